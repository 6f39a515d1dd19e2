"""The figure of post performance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops.errors import PlanError
from voxops.frames.columns import need_frame
from voxops.frames.palette import OTHER, PLATFORM
from voxops.frames.records import latest_rows
from voxops.views import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["performance"]

_MEASURES = ("impressions", "reach", "engagements", "likes", "comments", "shares", "clicks", "saves", "video_views")


def performance(
    figures: pd.DataFrame, ax: Axes | None = None, *, by: str = "platform", measure: str = "impressions", most: int = 12
) -> Axes:
    """Draw the performance of posts, the highest on top, with engagements per impression beside each bar.

    Parameters
    ----------
    figures : pandas.DataFrame
        As `ws.analytics` returns it: columns ``impressions``, ``engagements``, `measure` and `by`. If frames were joined, each post on a
        platform counts once, with its latest figures.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    by : str
        Column whose values are the bars: ``platform``, or one that was merged in, such as a campaign.
    measure : str
        The length of the bars: ``impressions reach engagements likes comments shares clicks saves video_views``.
    most : int
        Most bars shown, the largest first.
    """
    from matplotlib.ticker import StrMethodFormatter

    if measure not in _MEASURES:
        raise PlanError(f"measure={measure!r} is not one of {', '.join(_MEASURES)}")
    columns = dict.fromkeys(("impressions", "engagements", measure))
    need_frame(figures, (by, *columns), "plots.performance() needs the figures of posts", "Use ws.analytics(posts).")
    figures = latest_rows(figures, ("post_id", "platform", *([] if by in {"post_id", "platform"} else [by])), "as_of")
    names = figures[by].astype("string").fillna("unknown")
    counts = figures[list(columns)].astype("Float64")
    # Like each row's own rate: a row without impressions or known engagements does not count in the rate.
    counts["engaged"] = counts["engagements"].where(counts["impressions"] > 0)
    counts["seen"] = counts["impressions"].where(counts["engaged"].notna())
    sums = counts.groupby(names).sum(min_count=1)
    sums = sums.sort_values([measure], ascending=False, kind="stable", na_position="last").head(most)
    ax = _axes.axes(ax, 1.1 + 0.36 * max(len(sums), 2))
    places = range(len(sums) - 1, -1, -1)
    colours = [PLATFORM.get(str(name), OTHER).colour for name in sums.index]
    bars = ax.barh(list(places), sums[measure].fillna(0).tolist(), color=colours, height=0.62)
    ends = [_end(value, rate) for value, rate in zip(sums[measure], sums["engaged"] / sums["seen"], strict=True)]
    ax.bar_label(bars, labels=ends, padding=2)
    ax.margins(x=0.25)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _axes.name_rows(ax, dict(zip(places, sums.index, strict=True)))
    ax.set_xlabel(f"{measure.replace('_', ' ')} (count)")
    return _axes.finish(ax, "x", empty=sums.empty)


def _end(value: Any, rate: Any) -> str:
    """Return the text at the end of a bar: the amount, and engagements per impression."""
    amount = " unknown" if pd.isna(value) else f" {value:,.0f}"
    return amount if pd.isna(rate) else f"{amount} · {100 * rate:.1f} % engaged"
