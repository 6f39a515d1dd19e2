"""Figures: what they show is what the frame holds, in the colours of the palette, whatever the text."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.dates import num2date
from matplotlib.figure import Figure
from tests.analysis.makers import BAD, FLIGHT, OK, log_of
from tests.views.payloads import INVISIBLE, TEXTS

from voxops.errors import PlanError
from voxops.frames.registry import PLATFORM
from voxops.views import plots


@pytest.fixture(autouse=True)
def _agg():
    """Draw without a screen, and close what was drawn."""
    mpl.use("agg")
    plt.close("all")  # what other files have left open
    yield
    plt.close("all")


def text(*values):
    return pd.Series(values, dtype="string")


def triaged():
    causes = "TOKEN_EXPIRED linkedin", "TOKEN_EXPIRED linkedin", "TOKEN_EXPIRED twitter", "MEDIA linkedin: x", pd.NA
    platforms = "linkedin", "linkedin", "twitter", "linkedin", "twitter"
    return pd.DataFrame({"cause": causes, "platform": platforms}, dtype="string")


def log(**columns):
    """Ten deliveries to two endpoints in two hours: eight succeeded, one failed, one is in flight."""
    urls = ["https://a.example/in", "https://b.example/in?token=secret"] * 5
    rows = zip([*[OK] * 8, BAD, FLIGHT], urls, range(0, 100, 10), strict=True)
    return log_of(*({**row, "url": url, "at": at} for row, url, at in rows)).assign(**columns)


def bars(ax):
    """Return the length of each horizontal bar by row from the top and colour."""
    drawn = [bar for bar in ax.patches if bar.get_width()]
    rows = sorted({round(bar.get_y(), 3) for bar in drawn}, reverse=True)
    return {(rows.index(round(bar.get_y(), 3)), to_hex(bar.get_facecolor()).upper()): bar.get_width() for bar in drawn}


def words(ax):
    return [each.get_text() for each in (*ax.texts, *ax.get_yticklabels())]


@pytest.mark.parametrize("name", plots.__all__)
def test_a_figure_is_drawn_where_it_is_said_and_of_nothing_and_refuses_other_frames(name):
    draw, frame = getattr(plots, name), triaged() if name == "causes_by_platform" else log()
    ax = Figure().add_subplot()
    assert draw(frame, ax=ax) is ax
    assert not plt.get_fignums(), "no other figure is made"
    assert draw(frame).figure.get_figwidth() == 8
    empty = draw(frame.head(0))
    assert "nothing to show" in words(empty)
    empty.figure.canvas.draw()
    with pytest.raises(PlanError, match=rf"plots\.{name}\(\) needs .*Use "):
        draw(pd.DataFrame({"a": [1]}))


def test_causes_are_counted_by_platform_with_the_commonest_on_top_and_the_rest_added_up():
    linkedin, twitter = PLATFORM["linkedin"].colour, PLATFORM["twitter"].colour
    ax = plots.causes_by_platform(triaged())
    assert bars(ax) == {(0, linkedin): 2, (0, twitter): 1, (1, linkedin): 1}
    assert [each for each in words(ax) if each.startswith(("TOKEN", "MEDIA"))] == ["MEDIA: x", "TOKEN_EXPIRED"]
    ax = plots.causes_by_platform(triaged(), most=1)
    assert sum(bars(ax).values()) == 3
    rare = pd.DataFrame({"cause": text(*"AAAB"), "platform": text(*["linkedin"] * 3, "twitter")})
    named = plots.causes_by_platform(rare, most=1).get_legend_handles_labels()[1]
    assert named == ["linkedin"], "a platform without a bar is not named"


def test_volume_stacks_results_per_hour_day_or_week():
    ax = plots.delivery_volume(log())
    assert ax.get_legend_handles_labels()[1] == ["succeeded", "failed", "in flight"]
    assert [sum(bar.get_height() for bar in bars) for bars in ax.containers] == [8, 1, 1]
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
    assert shares[:, [21, 22]].tolist() == [[0, 0.5], [0, 0]], "12 and 13 o'clock in UTC"
    assert shares.mask.sum() == 2 * 22, "no delivery in the other hours"
    assert sum("b.example/…#" in word for word in words(ax)) == 1
    assert not any("secret" in word for word in words(ax))


def test_hostile_text_is_drawn_as_text():
    evil = pd.DataFrame({"cause": text(*TEXTS), "platform": text(*TEXTS[::-1])})
    addresses = log(url=text(*[f"https://{payload}.example" for payload in TEXTS[:10]]))
    causes = plots.causes_by_platform(evil, most=40)
    for ax in (causes, plots.endpoint_heatmap(addresses)):
        ax.figure.canvas.draw()  # matplotlib would fail at a formula, and warn of a character that it lacks
        assert not INVISIBLE & set("".join([*words(ax), *ax.get_legend_handles_labels()[1]]))
    assert any(r"\$\href" in word for word in words(causes))
