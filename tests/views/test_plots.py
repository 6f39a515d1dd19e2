"""Figures: what they show is what the frame holds, in the colours of the house, whatever the text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex, to_rgba
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.testing.compare import compare_images
from tests.views.payloads import INVISIBLE, PAYLOADS

from voxops.frames.palette import OUTCOME, PLATFORM, STATUS, VERDICT
from voxops.views import _axes, plots

BASELINE = Path(__file__).parent / "baseline"


@pytest.fixture(autouse=True)
def _agg() -> Iterator[None]:
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
            "cause": text("TOKEN_EXPIRED", "TOKEN_EXPIRED", "TOKEN_EXPIRED", "MEDIA_INVALID", pd.NA),
            "platform": text("linkedin", "linkedin", "twitter", "linkedin", "twitter"),
            "verdict": text("reconnect account", "reconnect account", "reconnect account", "fix media", pd.NA),
            "status": text("failed", "failed", "failed", "failed", "published"),
        }
    )


def log() -> pd.DataFrame:
    """Ten deliveries to two endpoints: eight succeeded, one failed, one is in flight."""
    at = pd.date_range("2026-11-03T10:00Z", periods=10, freq="10min").as_unit("us")
    return pd.DataFrame(
        {
            "created_at": at,
            "url": text(*["https://a.example/in", "https://b.example/in?token=secret"] * 5),
            "success": pd.array([True] * 8 + [False, None], dtype="boolean"),
            "latency_ms": pd.array([100] * 8 + [900, None], dtype="Int64"),
            "delivered_at": at + pd.to_timedelta([0.2] * 6 + [700, 4_000, None, None], unit="s"),
            "retry_count": pd.array([0] * 6 + [3, 4, 5, 0], dtype="Int64"),
        }
    )


def outages() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "url": text("https://a.example/in"),
            "start": pd.to_datetime(["2026-11-03T10:30Z"]).as_unit("us"),
            "end": pd.to_datetime(["2026-11-03T11:00Z"]).as_unit("us"),
        }
    )


def scheduled(*times: str) -> pd.DataFrame:
    return pd.DataFrame({"scheduled_for": pd.to_datetime(pd.Series(times, dtype="string"), utc=True)})


OUTCOMES = pd.DataFrame({"platform": text("linkedin", "twitter"), "outcome": text("succeeded", "failed")})
FRAMES: dict[str, tuple[pd.DataFrame, ...]] = {
    "causes_by_platform": (triaged(),),
    "outcomes_by_platform": (OUTCOMES,),
    "before_after": (triaged(), triaged()),
    "delivery_delay": (log(),),
    "delivery_volume": (log(),),
    "latency_bands": (log(),),
    "endpoint_heatmap": (log(),),
    "outage_bands": (outages(), log()),
    "schedule_calendar": (scheduled("2026-11-03T10:00Z"),),
}


def draw(name: str, **more: Any) -> Axes:
    """Draw a figure of its usual frames."""
    return getattr(plots, name)(*FRAMES[name], **more)


def bars(ax: Axes) -> dict[tuple[int, str], float]:
    """Return the length of each horizontal bar by row from the top and colour."""
    rows = sorted({round(bar.get_y(), 3) for bar in ax.patches if isinstance(bar, Rectangle)}, reverse=True)
    return {
        (rows.index(round(bar.get_y(), 3)), to_hex(bar.get_facecolor()).upper()): bar.get_width()
        for bar in ax.patches
        if isinstance(bar, Rectangle) and bar.get_width()
    }


def legend(ax: Axes) -> dict[str, str]:
    """Return the colour of each name in the legend."""
    shown = ax.get_legend()
    assert shown is not None
    names = [each.get_text() for each in shown.get_texts()]
    return dict(zip(names, [to_hex(handle.get_facecolor()).upper() for handle in shown.get_patches()], strict=True))


def words(ax: Axes) -> str:
    return " | ".join(each.get_text() for each in (*ax.texts, *ax.get_yticklabels(), *ax.get_xticklabels()))


def grid(ax: Axes) -> np.ndarray[Any, Any]:
    """Return the cells of a heat map."""
    return np.ma.filled(ax.collections[0].get_array().astype(float), np.nan)


@pytest.mark.parametrize("name", plots.__all__)
def test_a_figure_is_drawn_where_it_is_said_in_notebook_width_and_also_of_nothing(name: str) -> None:
    ax = Figure().add_subplot()
    assert draw(name, ax=ax) is ax
    assert ax.get_xlabel()
    assert not plt.get_fignums(), "no figure of pyplot's was opened"
    ax.figure.canvas.draw()
    figure = draw(name).figure
    assert plt.get_fignums() == [figure.number]
    assert figure.get_size_inches()[0] == 8
    empty = getattr(plots, name)(*(frame.iloc[:0] for frame in FRAMES[name]))
    assert "nothing to show" in words(empty)
    empty.figure.canvas.draw()


def test_causes_are_counted_by_platform_with_the_commonest_on_top() -> None:
    ax = plots.causes_by_platform(triaged())
    linkedin, twitter = PLATFORM["linkedin"].colour, PLATFORM["twitter"].colour
    assert bars(ax) == {(0, linkedin): 2, (0, twitter): 1, (1, linkedin): 1}
    assert legend(ax) == {"linkedin": linkedin, "twitter": twitter}
    assert "TOKEN_EXPIRED → reconnect account" in words(ax)


def test_causes_beyond_the_most_are_summed_up() -> None:
    frame = pd.DataFrame({"cause": text(*"aaabbcd"), "platform": text(*["linkedin"] * 7)})
    ax = plots.causes_by_platform(frame, most=2)
    assert list(bars(ax).values()) == [3, 2, 2]
    assert "2 other causes" in words(ax)

    platforms = pd.DataFrame({"cause": text("a", "a", "a"), "platform": text("mastodon", "telegram", pd.NA)})
    ax = plots.causes_by_platform(platforms)
    assert (list(legend(ax)), list(bars(ax).values())) == (["others"], [3]), "platforms without a colour share one"
    verdicts = triaged().assign(verdict=text("retry", "retry", "ask support", "fix media", pd.NA))
    for name in ("MEDIA_INVALID → fix media", "TOKEN_EXPIRED → ask support", "TOKEN_EXPIRED → retry"):
        assert name in words(plots.causes_by_platform(verdicts)), "one cause with two verdicts is two bars"
    long = pd.DataFrame({"cause": text("x" * 300), "platform": text("twitter"), "verdict": text("reconnect account")})
    shown = plots.causes_by_platform(long)
    assert any(each.get_text().endswith("… → reconnect account") for each in shown.texts), "its verdict is not cut"
    ax = plots.causes_by_platform(triaged().astype(dict.fromkeys(("cause", "platform", "verdict"), "category")))
    assert list(bars(ax).values()) == list(bars(draw("causes_by_platform")).values())


def test_before_and_after_show_the_same_targets_good_ones_first() -> None:
    before = pd.DataFrame({"status": text("failed", "failed", "FAILED", "failed")})
    after = pd.DataFrame({"status": text("published", "failed", "published", "levitating")})
    ax = plots.before_after(before, after)
    green, red, grey = STATUS["published"].colour, STATUS["failed"].colour, "#8C8C8C"
    assert bars(ax) == {(0, red): 4, (1, green): 2, (1, red): 1, (1, grey): 1}
    assert list(legend(ax)) == ["published", "failed", "levitating"]

    results = pd.DataFrame({"outcome": text("succeeded")})
    for frame in (results, results.assign(status="failed")):  # the status is that before the run
        ax = plots.before_after(pd.DataFrame({"status": text("failed")}), frame)
        assert legend(ax) == {"succeeded": OUTCOME["succeeded"].colour, "failed": STATUS["failed"].colour}
        assert list(bars(ax).values()) == [1, 1]


def test_volume_stacks_results_and_states_the_success_rate() -> None:
    ax = plots.delivery_volume(log())
    heights = {name: 0.0 for name in ("succeeded", "failed", "in flight")}
    for container in ax.containers:
        heights[str(container.get_label())] = sum(bar.get_height() for bar in container)
    assert heights == {"succeeded": 8, "failed": 1, "in flight": 1}
    assert ax.get_title(loc="left") == "88.9 % of 9 deliveries succeeded"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (UTC)", "deliveries per minute")
    at = pd.Series(pd.to_datetime(["2026-11-03T10:00:30Z"] * 4_000)).dt.as_unit("us")
    for lost, share in ((0, "100.0 %"), (1, "99.9 %"), (400, "90.0 %")):  # all have succeeded only where none failed
        ax = plots.delivery_volume(pd.DataFrame({"created_at": at, "success": at.index >= lost}))
        assert ax.get_title(loc="left") == f"{share} of 4,000 deliveries succeeded"


def test_a_day_of_a_zone_begins_at_its_midnight_even_when_the_clocks_change() -> None:
    at = pd.date_range("2026-10-01T00:00Z", "2026-11-20T00:00Z", freq="1h").as_unit("us")
    ax = plots.delivery_volume(pd.DataFrame({"created_at": at, "success": True}), tz="Europe/Berlin")
    assert ax.get_ylabel() == "deliveries per day" and "Europe/Berlin" in ax.get_xlabel()
    heights = {round(bar.get_x(), 6): bar.get_height() for bar in ax.containers[0]}
    clocks_go_back = round(date2num(pd.Timestamp("2026-10-25", tz="Europe/Berlin")), 6)
    assert heights[clocks_go_back] == 25
    assert heights[round(date2num(pd.Timestamp("2026-10-24", tz="Europe/Berlin")), 6)] == 24


def test_latency_bands_are_the_percentiles() -> None:
    rng = np.random.default_rng(7)
    values = rng.integers(10, 5_000, 2_000)
    at = pd.Series(pd.to_datetime(["2026-11-03T10:00:30Z"] * 2_000)).dt.as_unit("us")
    ax = plots.latency_bands(pd.DataFrame({"created_at": at, "latency_ms": pd.array(values, dtype="Int64")}))
    drawn = {str(line.get_label()): float(line.get_ydata()[0]) for line in ax.lines}
    expected = {
        f"{level} % were faster": float(np.percentile(values, level, method="inverted_cdf")) for level in (50, 95, 99)
    }
    assert drawn == pytest.approx(expected)
    assert ax.get_ylabel() == "latency per minute (ms)" and ax.get_yscale() == "log"

    odd = pd.array([-1_000, -1_000, -1_000, -1_000, 40, 50, 60, None, -1], dtype="Int64")  # a negative one is none
    ax = plots.latency_bands(pd.DataFrame({"created_at": at[:9], "latency_ms": odd}))
    assert [float(line.get_ydata()[0]) for line in ax.lines] == pytest.approx([50.0, 60.0, 60.0])


def test_the_heat_map_holds_failure_shares_by_hour_of_the_zone() -> None:
    ax = plots.endpoint_heatmap(log(), tz="Asia/Kolkata")
    cells = grid(ax)
    assert cells.shape == (2, 24)
    # 10:00 to 11:30 UTC is 15:30 to 17:00 there; the failure is of endpoint a, at 11:20 UTC, 16:50 there.
    # Of three deliveries one failed, which is paler than a third of twenty.
    assert cells[0, 16] == pytest.approx(100 / 3 * (3 / 20) ** 2)
    assert np.isnan(cells[0, 3]) and cells[1, 15] == 0
    assert "(Asia/Kolkata)" in ax.get_xlabel()


def test_one_failure_of_few_is_no_dark_cell_and_says_how_few() -> None:
    at = pd.to_datetime(["2026-11-03T10:30Z"] * 9 + ["2026-11-03T12:30Z"] * 40).as_unit("us")
    good = pd.array([False] + [True] * 8 + [False] * 4 + [True] * 36, dtype="boolean")
    ax = plots.endpoint_heatmap(pd.DataFrame({"created_at": at, "url": "https://a.example/in", "success": good}))
    cells = grid(ax)
    assert cells[0, 12] == pytest.approx(10.0)
    assert cells[0, 10] == pytest.approx(100 / 9 * (9 / 20) ** 2)
    assert [each.get_text() for each in ax.texts] == ["1/9", "10"]
    assert "fewer than 20 deliveries are paler" in ax.get_xlabel()
    many = log().iloc[:0].reindex(range(30)).assign(created_at=at[0], url="https://a.example/in", success=True)
    assert "fewer" not in plots.endpoint_heatmap(many).get_xlabel()


def test_a_day_that_is_not_over_is_beside_the_lines() -> None:
    days = [pd.date_range(f"2026-02-{day:02}T00:00Z", periods=24, freq="1h") for day in range(1, 29)]
    at = pd.DatetimeIndex([]).append([*days, pd.date_range("2026-03-01T00:00Z", periods=3, freq="1h")])
    frame = pd.DataFrame({"created_at": at.as_unit("us"), "latency_ms": 100.0})
    frame = frame.drop(frame.index[24 * 9 : 24 * 10 - 2])  # a day of two deliveries
    ax = plots.latency_bands(frame)
    lines = [line for line in ax.lines if line.get_linestyle() == "-"]
    drawn = {date.day for line in lines for date in pd.DatetimeIndex(line.get_xdata())}
    assert drawn == set(range(1, 29)) - {10}
    circles = [line for line in ax.lines if line.get_marker() == "o"]
    assert {pd.Timestamp(date).day for line in circles for date in line.get_xdata()} == {1, 10}
    assert "day not over, or of few" in [each.get_text() for each in ax.get_legend().get_texts()]
    ax.figure.canvas.draw()
    assert ax.xaxis.get_major_formatter().get_offset() == "2026-Feb to 2026-Mar"
    frame.attrs["fetched_at"] = "2026-03-09T00:00:00Z"
    whole = plots.latency_bands(frame[frame["created_at"].dt.day != 10])
    assert [line for line in whole.lines if line.get_marker() == "o" and len(line.get_xdata())] != [], "3 of 24"


def test_no_figure_shows_the_query_of_an_endpoint() -> None:
    for name in ("endpoint_heatmap", "outage_bands"):
        shown = words(draw(name))
        assert "b.example/in?…" in shown and "secret" not in shown


def test_outages_span_their_time_and_failures_are_ticks() -> None:
    ax = plots.outage_bands(outages(), log())
    (band,) = ax.collections
    across = band.get_paths()[0].get_extents()
    assert (across.x0, across.x1) == pytest.approx(
        (date2num(pd.Timestamp("2026-11-03T10:30Z")), date2num(pd.Timestamp("2026-11-03T11:00Z")))
    )
    assert len(ax.lines[0].get_xdata()) == 1

    untimed = pd.Series([pd.NaT], dtype="datetime64[us, UTC]").reindex(log().index)
    ax = plots.outage_bands(outages(), pd.concat([log(), log().assign(created_at=untimed, success=False)]))
    assert len(ax.lines[0].get_xdata()) == 1, "a failure without a time is no tick"


@pytest.mark.parametrize(
    ("times", "tz", "rows", "cells"),
    [
        (["2026-11-03T23:30Z", "2026-11-03T23:10Z", "2026-11-02T08:00Z"], "Europe/Berlin", ["Mon 02 Nov 2026", "Wed 04 Nov 2026", 3], {(2, 0): 2, (0, 9): 1}),
        (["2026-09-02T10:00Z", "2026-11-01T10:00Z"], None, ["Mon 31 Aug 2026", "Mon 26 Oct 2026", 9], {(0, 2): 1, (-1, 6): 1}),
    ],
    ids=["by local day and hour", "a long one by week and weekday"],
)  # fmt: skip
def test_the_calendar_counts_posts(times: list[str], tz: str | None, rows: list[Any], cells: dict[Any, int]) -> None:
    ax = plots.schedule_calendar(scheduled(*times), tz=tz)
    shown = [tick.get_text() for tick in ax.get_yticklabels()]
    assert [shown[0], shown[-1], len(shown)] == rows
    counts = np.nan_to_num(grid(ax))
    assert {at: counts[at] for at in cells} == cells
    assert counts.sum() == len(times)


def test_a_calendar_of_decades_shows_its_fullest_year_and_says_how_many_lie_outside() -> None:
    mine = ["2026-03-02T10:00Z", "2026-04-20T10:00Z", "2026-04-21T10:00Z", "2027-03-01T10:00Z"]
    posts = scheduled("2062-03-02T10:00Z", *mine, "2025-04-07T10:00Z", "1999-12-31T10:00Z")
    ax = plots.schedule_calendar(posts.set_axis([0] * len(posts)))
    rows = [tick.get_text() for tick in ax.get_yticklabels()]
    assert (rows[0], rows[-1], len(rows)) == ("Mon 02 Mar 2026", "Mon 01 Mar 2027", 53)
    assert np.nansum(grid(ax)) == 4
    assert ax.get_xlabel().endswith("the numbers are posts\n3 posts lie outside of these weeks")
    assert ax.figure.get_size_inches()[1] < 20
    one = plots.schedule_calendar(scheduled("2062-03-02T10:00Z", *mine))
    assert one.get_xlabel().endswith("\n1 post lies outside of these weeks")
    assert "outside" not in plots.schedule_calendar(scheduled(*mine)).get_xlabel()


def test_joined_loads_are_drawn_as_one() -> None:
    before = pd.DataFrame(
        {
            "post_id": text("p1", "p2"), "platform": text("twitter", "twitter"), "account_id": text("a", "a"),
            "status": text("failed", "failed"), "updated_at": pd.Timestamp("2026-03-02T09:00Z"),
            "scheduled_for": pd.Timestamp("2026-03-03T09:00Z"),
        }
    )  # fmt: skip
    after = before.assign(status="published", updated_at=pd.Timestamp("2026-03-02T10:00Z"))
    ax = plots.before_after(pd.concat([before, before]), pd.concat([after, before]))
    assert sorted(bar.get_width() for bar in ax.patches) == [0, 0, 2, 2]
    moved = after.assign(scheduled_for=pd.Timestamp("2026-03-04T09:00Z"))
    cells = plots.schedule_calendar(pd.concat([before, moved])).collections[0].get_array()
    assert np.ma.filled(cells.astype(float), 0).sum() == 2


@pytest.mark.parametrize("first", range(0, len(PAYLOADS), 6))
def test_hostile_text_is_drawn_as_text(first: int) -> None:
    """Each payload as a bar, an endpoint and an entry of a legend of its own."""
    texts = [each for each in PAYLOADS[first : first + 6] if not {"\ud800", "\ud83d"} & set(each)]
    frame = pd.DataFrame(dict.fromkeys(("cause", "platform", "verdict", "status", "outcome"), text(*texts)))
    deliveries = log().head(len(texts)).assign(url=text(*texts))
    for ax in (
        plots.causes_by_platform(frame),
        plots.outcomes_by_platform(frame),
        plots.before_after(frame, frame),
        plots.endpoint_heatmap(deliveries),
        plots.outage_bands(outages().assign(url=texts[0]), deliveries),
    ):
        ax.figure.canvas.draw()
        assert not INVISIBLE & set(words(ax))
        assert "\n" not in words(ax)


def light(colour: Any) -> float:
    """Return the relative luminance, as WCAG defines it."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgba(colour)[:3]]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def test_every_mark_is_seen_on_a_dark_page_and_one_word_has_one_colour() -> None:
    for table in (OUTCOME, STATUS, VERDICT, PLATFORM):
        for word, look in table.items():
            assert (light(look.colour) + 0.05) / (light("#161616") + 0.05) >= 3, word
            assert look.colour == {**OUTCOME, **STATUS, **table}[word].colour == to_hex(look.colour).upper()
    assert all(OUTCOME[word].colour == STATUS[word].colour for word in set(OUTCOME) & set(STATUS))


def test_every_delivery_that_is_settled_is_a_dot_and_those_that_never_came_are_on_top() -> None:
    ax = plots.delivery_delay(log())
    dots = {line.get_label(): list(map(float, line.get_ydata())) for line in ax.lines}
    assert dots == {
        "at the first attempt": pytest.approx([0.2] * 6),
        "after retries or redelivery": pytest.approx([700, 4_000]),
        "failed": [21_600.0],
    }
    ax.figure.canvas.draw()
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names[-2:] == ["1 h", "never"]
    assert max(map(max, dots.values())) == ax.get_yticks()[-1]


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_the_picture_is_the_one_that_was_approved(name: str, tmp_path: Path) -> None:
    """Text left out and the Axes at a fixed place, so that fonts and layouts of other versions make no difference."""
    figure = Figure(figsize=(4, 2), dpi=100)
    ax = draw(name, ax=figure.add_axes((0.02, 0.02, 0.96, 0.96)))
    beside = [other for other in figure.axes if other is not ax]
    for each in (*ax.texts, ax.xaxis, ax.yaxis, ax.get_legend(), *beside):
        if each is not None:
            each.set_visible(False)
    ax.set_title("", loc="left")
    figure.savefig(tmp_path / "drawn.png", metadata={"Software": None})
    difference = compare_images(str(BASELINE / f"{name}.png"), str(tmp_path / "drawn.png"), tol=5)
    assert difference is None, difference


@pytest.mark.parametrize(("style", "behind"), [("default", "#ffffff"), ("dark_background", "#000000")])
def test_figures_follow_the_style_of_matplotlib(style: str, behind: str) -> None:
    """In a dark theme it is one line: what is drawn on the ground of the figure has its colour, and words can be read there."""
    with plt.style.context(style):
        for ax in (plots.endpoint_heatmap(log()), plots.schedule_calendar(scheduled("2026-03-02T09:00Z"))):
            (mesh,) = (each for each in ax.collections if isinstance(each, QuadMesh))
            assert to_hex(ax.patch.get_facecolor()) == behind
            assert to_hex(mesh.get_edgecolor()[0]) == behind
            least = mesh.get_cmap()(0.0)[0]
            assert (least > 0.9) == (behind == "#ffffff")
            assert abs(to_rgba(ax.xaxis.label.get_color())[0] - least) > 0.7


@pytest.mark.parametrize("ground", ["none", "#ffffff", "#161616"])
def test_the_numbers_of_a_heat_map_can_be_read_on_every_shade(ground: str) -> None:
    figure, ax = plt.subplots(facecolor=ground)
    ax.set_facecolor(ground)
    shares = [*range(1, 101)]
    mesh = _axes.grid(ax, pd.DataFrame([shares]), OUTCOME["failed"].colour, 100.0)
    for share, text in zip(shares, ax.texts, strict=True):
        low, high = sorted([light(mesh.to_rgba(share)[:3]), light(text.get_color())])
        assert (high + 0.05) / (low + 0.05) >= 4.5, share
    plt.close(figure)


def test_a_delivery_in_flight_is_none_that_failed_and_one_of_two_joined_logs_is_one() -> None:
    """The API may say `false` of one that has not been tried: nothing of it is known yet."""
    flying = log().assign(
        status_code=pd.array([200] * 8 + [503, None], dtype="Int64"),
        error=text(*[None] * 8, "refused", None),
        success=pd.array([True] * 8 + [False, False], dtype="boolean"),
        delivery_id=text(*[f"d{number}" for number in range(10)]),
    )
    for frame in (flying, pd.concat([flying, flying]), pd.concat([flying, flying], ignore_index=True)):
        ax = plots.delivery_volume(frame)
        assert ax.get_title(loc="left") == "88.9 % of 9 deliveries succeeded"
        assert set(legend(ax)) == {"succeeded", "failed", "in flight"}
        (mesh,) = (each for each in plots.endpoint_heatmap(frame).collections if isinstance(each, QuadMesh))
        assert {each.get_text() for each in mesh.axes.texts} - {""} == {"1/2"}
        dots = {line.get_label(): len(line.get_ydata()) for line in plots.delivery_delay(frame).lines}
        assert dots == {"at the first attempt": 6, "after retries or redelivery": 2, "failed": 1}
        (line,) = plots.outage_bands(
            pd.DataFrame({"url": text(), "start": frame["created_at"][:0], "end": frame["created_at"][:0]}), frame
        ).lines
        assert len(line.get_xdata()) == 1


def test_one_moment_alone_is_shown_with_an_hour_beside_it() -> None:
    one = log().head(1)
    for draw in (plots.latency_bands, plots.delivery_delay):
        low, high = draw(one).get_xlim()
        assert 0 < high - low < 1, draw.__name__
