"""The figure of what posts brought."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from voxops.errors import PlanError
from voxops.frames.columns import need_frame
from voxops.views import _axes
from voxops.views._palette import OTHER, PLATFORM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["performance"]

_MEASURES = ("impressions", "reach", "engagements", "likes", "comments", "shares", "clicks", "saves", "video_views")


def performance(
    figures: pd.DataFrame, ax: Axes | None = None, *, by: str = "platform", measure: str = "impressions", most: int = 12
) -> Axes:
    """Draw what posts brought, the most on top, with engagements per impression beside each bar.

    Parameters
    ----------
    figures : pandas.DataFrame
        As `ws.analytics` gives it: columns ``impressions``, ``engagements``, `measure` and `by`.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    by : str
        Column whose values are the bars: ``platform``, or one that was merged in, such as a campaign.
    measure : str
        What the length of a bar is: ``impressions reach engagements likes comments shares clicks saves video_views``.
    most : int
        Bars shown, the largest ones.
    """
    from matplotlib.ticker import StrMethodFormatter

    if measure not in _MEASURES:
        raise PlanError(f"measure={measure!r} is not one of {', '.join(_MEASURES)}")
    columns = dict.fromkeys(("impressions", "engagements", measure))
    need_frame(figures, (by, *columns), "plots.performance() needs the figures of posts", "Use ws.analytics(posts).")
    names = figures[by].astype("string").fillna("unknown")
    counts = figures[list(columns)].astype("Float64")
    counts["engaged"] = counts["engagements"].where(counts["impressions"] > 0)  # as in each row's own rate
    sums = counts.fillna(0).groupby(names).sum()
    sums = sums.sort_values([measure], ascending=False, kind="stable").head(most)
    ax = _axes.axes(ax, 1.1 + 0.36 * max(len(sums), 2))
    places = range(len(sums) - 1, -1, -1)
    colours = [PLATFORM.get(str(name), OTHER).colour for name in sums.index]
    bars = ax.barh(list(places), sums[measure].tolist(), color=colours, height=0.62)
    rates = (sums["engaged"] / sums["impressions"].where(sums["impressions"] > 0)).tolist()
    ends = [f" {value:,.0f}" + ("" if pd.isna(rate) else f" · {100 * rate:.1f} % engaged") for value, rate in zip(sums[measure], rates, strict=True)]  # fmt: skip
    ax.bar_label(bars, labels=ends, padding=2)
    ax.margins(x=0.25)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _axes.name_rows(ax, dict(zip(places, sums.index, strict=True)))
    ax.set_xlabel(f"{measure.replace('_', ' ')} (count)")
    return _axes.finish(ax, "x", empty=sums.empty)
