"""Figures: what they show is what the frame holds, in the colours of the palette, whatever the text."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.dates import num2date
from matplotlib.figure import Figure
from tests.views.payloads import INVISIBLE, PAYLOADS

from voxops.errors import PlanError
from voxops.frames.palette import PLATFORM
from voxops.views import plots

TEXTS = [payload for payload in PAYLOADS if not {"\ud800", "\ud83d"} & set(payload)]  # no column of strings has these


@pytest.fixture(autouse=True)
def _agg():
    """Draw without a screen, and close what was drawn."""
    mpl.use("agg")
    plt.close("all")  # what other files have left open
    yield
    plt.close("all")


def text(*values: object) -> pd.Series[Any]:
    return pd.Series(values, dtype="string")


def triaged() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cause": text(
                "TOKEN_EXPIRED linkedin", "TOKEN_EXPIRED linkedin", "TOKEN_EXPIRED twitter", "MEDIA linkedin: x", pd.NA
            ),
            "platform": text("linkedin", "linkedin", "twitter", "linkedin", "twitter"),
            "status": text("failed", "failed", "failed", "failed", "published"),
        }
    )


def log(**columns: Any) -> pd.DataFrame:
    """Ten deliveries to two endpoints: eight succeeded, one failed, one is in flight."""
    at = pd.date_range("2026-11-03T10:00Z", periods=10, freq="10min").as_unit("us")
    usual = {
        "created_at": at,
        "url": text(*["https://a.example/in", "https://b.example/in?token=secret"] * 5),
        "success": pd.array([True] * 8 + [False, None], dtype="boolean"),
        "latency_ms": pd.array([100] * 8 + [900, None], dtype="Int64"),
        "retry_count": pd.array([0] * 6 + [3, 4, 5, 0], dtype="Int64"),
        "status_code": pd.array([200] * 8 + [500, None], dtype="Int64"),
        "error": text(*[pd.NA] * 8, "no answer", pd.NA),
    }
    return pd.DataFrame({**usual, **columns})


FRAMES: dict[str, tuple[pd.DataFrame, ...]] = {
    "causes_by_platform": (triaged(),), "delivery_volume": (log(),),
    "latency_bands": (log(),), "endpoint_heatmap": (log(),),
}  # fmt: skip


def bars(ax: Axes) -> dict[tuple[int, str], float]:
    """Return the length of each horizontal bar by row from the top and colour."""
    drawn = [bar for bar in ax.patches if bar.get_width()]
    rows = sorted({round(bar.get_y(), 3) for bar in drawn}, reverse=True)
    return {(rows.index(round(bar.get_y(), 3)), to_hex(bar.get_facecolor()).upper()): bar.get_width() for bar in drawn}


def words(ax: Axes) -> list[str]:
    return [each.get_text() for each in (*ax.texts, *ax.get_yticklabels())]


@pytest.mark.parametrize("name", plots.__all__)
def test_a_figure_is_drawn_where_it_is_said_and_of_nothing_and_refuses_other_frames(name):
    draw, frames = getattr(plots, name), FRAMES[name]
    ax = Figure().add_subplot()
    assert draw(*frames, ax=ax) is ax
    assert not plt.get_fignums(), "no other figure is made"
    assert draw(*frames).figure.get_figwidth() == 8
    empty = draw(*(frame.head(0) for frame in frames))
    assert "nothing to show" in words(empty)
    empty.figure.canvas.draw()
    with pytest.raises(PlanError, match=rf"plots\.{name}\(\) needs .*Use "):
        draw(*(pd.DataFrame({"a": [1]}) for _ in frames))


def test_causes_are_counted_by_platform_with_the_commonest_on_top_and_the_rest_added_up():
    linkedin, twitter = PLATFORM["linkedin"].colour, PLATFORM["twitter"].colour
    ax = plots.causes_by_platform(triaged())
    assert bars(ax) == {(0, linkedin): 2, (0, twitter): 1, (1, linkedin): 1}
    assert [each for each in words(ax) if each.startswith(("TOKEN", "MEDIA"))] == ["MEDIA: x", "TOKEN_EXPIRED"]
    ax = plots.causes_by_platform(triaged(), most=1)
    assert sum(bars(ax).values()) == 3
    rare = triaged().assign(
        platform=text("linkedin", "linkedin", "linkedin", "twitter"), cause=text("A", "A", "A", "B")
    )
    named = plots.causes_by_platform(rare, most=1).get_legend_handles_labels()[1]
    assert named == ["linkedin"], "a platform without a bar is not named"


def test_volume_stacks_results_per_hour_day_or_week():
    ax = plots.delivery_volume(log())
    heights = {
        label: sum(bar.get_height() for bar in bars)
        for bars, label in zip(ax.containers, ax.get_legend_handles_labels()[1], strict=True)
    }
    assert heights == {"succeeded": 8, "failed": 1, "in flight": 1}
    for days, bucket in ((0.1, "hour"), (5, "day"), (200, "week")):
        at = pd.date_range("2026-01-01T10:00Z", periods=10, freq=pd.Timedelta(days, "D") / 9).as_unit("us")
        assert plots.delivery_volume(log(created_at=at)).get_ylabel() == f"deliveries per {bucket}"
    midnight = pd.to_datetime(["2026-10-20T22:00Z"] * 9 + ["2026-10-27T23:00Z"]).as_unit("us")  # clocks change between
    ax = plots.delivery_volume(log(created_at=midnight), tz="Europe/Berlin")
    assert {num2date(bar.get_x(), "Europe/Berlin").hour for bar in ax.patches} == {0}, "a day begins at its midnight"
    assert ax.get_xlabel() == "time (Europe/Berlin)"


def test_the_heat_map_has_the_share_of_each_hour_of_the_zone_and_shows_no_query():
    ax = plots.endpoint_heatmap(log(), tz="Asia/Tokyo")
    shares = ax.collections[0].get_array()
    a, b = (
        sorted(url for url in set(log()["url"])).index(url)
        for url in ("https://a.example/in", "https://b.example/in?token=secret")
    )
    assert shares[a][[19, 20]].tolist() == [0, 0.5], "10 and 11 o'clock in UTC"
    assert shares[b][[19, 20]].tolist() == [0, 0]
    assert shares.mask.sum() == 2 * 22, "no delivery in the other hours"
    assert sum("b.example/…#" in word for word in words(ax)) == 1
    assert not any("secret" in word for word in words(ax))


def test_hostile_text_is_drawn_as_text():
    evil = pd.DataFrame({"cause": text(*TEXTS), "platform": text(*TEXTS[::-1])})
    addresses = log(url=text(*[f"https://{payload}.example" for payload in TEXTS[:10]]))
    for ax in (
        plots.causes_by_platform(evil, most=40),
        plots.endpoint_heatmap(addresses),
    ):
        ax.figure.canvas.draw()  # matplotlib would fail at a formula, and warn of a character that it lacks
        shown = [*words(ax), *(each.get_text() for each in (ax.get_legend().get_texts() if ax.get_legend() else []))]
        assert not INVISIBLE & set("".join(shown))
    assert any(r"\$\href" in word for word in words(plots.causes_by_platform(evil, most=40)))
