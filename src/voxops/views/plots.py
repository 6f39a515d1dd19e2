"""Figures: a frame and ``ax=None`` in, the Axes out. Nothing is shown or saved.

Each function draws on the Axes passed, or on a new figure of notebook width. Axes show units and the name of the time
zone. A word has the same colour everywhere, from a palette for people with colour-vision deficiencies. Untrusted text is
shown as text, never as mathematics. Empty frames give empty, labelled Axes. A frame that lacks a column raises a PlanError
that names the call which returns it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from voxops._support import safe
from voxops.analysis.statistics import NEEDED, PERCENTS, deduplicate, delivery_state, stats
from voxops.frames.checks import need
from voxops.frames.records import latest_targets
from voxops.frames.registry import OTHER, OUTCOME, PLATFORM, STATUS, look
from voxops.frames.times import shown_zone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["causes_by_platform", "delivery_volume", "endpoint_heatmap", "latency_bands"]

_RESULTS = {
    "succeeded": OUTCOME["succeeded"].colour,
    "failed": OUTCOME["failed"].colour,
    "in_flight": OUTCOME["pending"].colour,
}


def __dir__() -> list[str]:
    """The figures."""
    return sorted(__all__)


def causes_by_platform(triaged: pd.DataFrame, ax: Axes | None = None, *, most: int = 12) -> Axes:
    """Draw how many targets each cause hit, stacked by platform, commonest on top.

    Causes that differ only in the platform are one bar.

    Parameters
    ----------
    triaged : pandas.DataFrame
        Columns ``cause`` and ``platform``. Rows without a cause are left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    most : int
        Most causes shown, those with most targets.
    """
    what = "plots.causes_by_platform() needs a triaged frame"
    triaged = latest_targets(need(triaged, ("cause", "platform"), what, "Use vx.triage(posts)."))
    hit = triaged[triaged["cause"].notna()]
    known = hit["platform"].astype(object).where(hit["platform"].isin(list(PLATFORM)), "others")
    counts = pd.crosstab(common_causes(hit), known)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    counts = counts.head(most).iloc[::-1]
    counts = counts[[name for name in (*PLATFORM, "others") if name in counts and counts[name].any()]]
    ax = _axes(ax, 1.1 + 0.35 * max(len(counts), 2))
    if len(counts):
        colours: Any = [look(PLATFORM, name).colour for name in counts]
        named = counts.set_axis([_label(cause) for cause in counts.index])
        named.plot.barh(stacked=True, ax=ax, color=colours, width=0.7, legend=False)
        totals = counts.sum(axis=1)
        ax.bar_label(cast("Any", ax.containers[-1]), [f"{total:,}" for total in totals], padding=4)
        ax.set_xlim(0, totals.max() * 1.08)
    ax.locator_params("x", integer=True)
    return _finish(ax, "targets (count)", empty=counts.empty)


def delivery_volume(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None) -> Axes:
    """Draw deliveries over time, stacked by result.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    tz : str, optional
        Time zone of the axis, by default the workspace's, in which days and weeks begin.
    """
    counts, bucket, width, tz = _by_time(log, "delivery_volume", tz)
    ax, bottom = _axes(ax), counts["deliveries"] * 0.0
    for name, colour in _RESULTS.items():
        ax.bar(counts[bucket], counts[name], width, bottom, align="edge", color=colour, label=name.replace("_", " "))
        bottom += counts[name]
    return _finish(ax, _time_axis(ax, tz), f"deliveries per {bucket}", empty=counts.empty)


def latency_bands(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None) -> Axes:
    """Draw the 50th, 95th and 99th percentile of the last attempt's latency over time, on a logarithmic scale.

    Parameters
    ----------
    log, ax, tz
        As in `delivery_volume`.
    """
    ranks, bucket, width, tz = _by_time(log, "latency_bands", tz)
    ax, middle = _axes(ax), ranks[bucket] + width / 2
    for (name, percent), style in zip(PERCENTS.items(), ("-", "--", ":"), strict=True):
        colour, label = STATUS["scheduled"].colour, f"{percent} % were faster"
        ax.plot(middle, ranks[name], style, marker=".", color=colour, label=label)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    return _finish(ax, _time_axis(ax, tz), f"latency per {bucket} (ms)", empty=ranks.empty)


def endpoint_heatmap(log: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None, most: int = 15) -> Axes:
    """Draw the share of failed deliveries by endpoint and hour of the day.

    Parameters
    ----------
    log, ax, tz
        As in `delivery_volume`.
    most : int
        Endpoints shown, those with most deliveries.
    """
    log, tz = _deliveries(log, "endpoint_heatmap", tz)
    log = deduplicate(log)
    state, hours = delivery_state(log), log["created_at"].dt.tz_convert(tz).dt.hour
    shares = pd.crosstab(log["url"], hours, (state == "failed").mask(state == "in flight"), aggfunc="mean")
    urls, ax = sorted(log["url"].value_counts().index[:most]), _axes(ax)
    shares = shares.reindex(index=urls, columns=range(24)).astype("float64")
    if urls:
        ax.pcolormesh(range(24), range(len(urls)), shares, cmap="OrRd", vmin=0, vmax=1)
    ax.set_yticks(range(len(urls)), [_label(safe.redact_address(url)) for url in urls])
    ax.set_xticks(range(0, 24, 2))
    across = f"{safe.zoned('hour of the day', tz)}; the darker, the larger the share that failed"
    return _finish(ax, across, empty=not urls)


def common_causes(triaged: pd.DataFrame) -> pd.Series[Any]:
    """Return the cause of each row without its platform, so that a cause on six platforms counts as one."""
    return triaged["cause"].astype("string").str.replace(rf" ({'|'.join(PLATFORM)})(?=:|$)", "", n=1, regex=True)


def _deliveries(log: pd.DataFrame, name: str, tz: str | None) -> tuple[pd.DataFrame, str]:
    """Return the deliveries with a time, and the time zone."""
    what, maker = f"plots.{name}() needs a deliveries frame", "Use ws.deliveries(...)."
    log = need(log, ("url", *NEEDED), what, maker, times=["created_at"])
    return log[log["created_at"].notna()], shown_zone(log, tz)


def _by_time(log: pd.DataFrame, name: str, tz: str | None) -> tuple[pd.DataFrame, str, Any, str]:
    """Return the statistics by the shortest of hour, day and week that gives few rows; then that span, its length, and the zone."""
    log, tz = _deliveries(log, name, tz)
    days = (log["created_at"].max() - log["created_at"].min()).days if len(log) else 0
    bucket, width = ("hour", "1h") if days < 4 else ("day", "1D") if days < 100 else ("week", "7D")
    table = stats(log, by=bucket, tz=tz)
    numbers = dict.fromkeys(("deliveries", *_RESULTS, *PERCENTS), "float64")
    return table.astype(numbers), bucket, pd.Timedelta(width), tz


def _axes(ax: Axes | None, height: float = 3.2) -> Axes:
    """Return the Axes passed, or those of a new figure of notebook width and this height in inches."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(8, height), layout="constrained")[1]


def _finish(ax: Axes, across: str, up: str = "", *, empty: bool) -> Axes:
    """Label the axes and apply the common style: few lines, a legend on top, a text where there is nothing to draw."""
    ax.set(xlabel=across, ylabel=up)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)
    if empty:
        ax.text(0.5, 0.5, "nothing to show", transform=ax.transAxes, ha="center", color=OTHER.colour)
    elif ax.get_legend_handles_labels()[1]:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    return ax


def _time_axis(ax: Axes, tz: str) -> str:
    """Show times of a named zone on the horizontal axis, and return its label."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(tz=tz)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=tz))  # type: ignore[no-untyped-call]
    return safe.zoned("time", tz)


def _label(value: object, limit: int = 40) -> str:
    """Return one safe line that the font can draw, without mathematics; a leading underscore would hide the legend entry."""
    drawn = "".join(char if _drawable(char) else "□" for char in safe.plain(value, limit)).replace("$", r"\$")
    return f"\u200a{drawn}" if drawn.startswith("_") else drawn


@lru_cache(maxsize=4096)
def _drawable(char: str) -> bool:
    """Whether the figures' font has this character; matplotlib warns at each drawing if not."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return get_font(findfont(FontProperties())).get_char_index(ord(char)) != 0
