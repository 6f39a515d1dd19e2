"""A figure over weeks: causes of failures by week."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from voxops._support import safe
from voxops.frames.columns import need_frame
from voxops.frames.palette import OTHER, series_colours
from voxops.views import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cause_weeks"]


def cause_weeks(weeks: pd.DataFrame, ax: Axes | None = None, *, most: int = 6) -> Axes:
    """Draw the failures of each week, stacked by cause.

    Causes that differ only in the platform are one; those beyond the commonest are added up. If the weeks span more than a year,
    the 53 weeks with the most causes are drawn, and a line below says how many failures lie outside.

    Parameters
    ----------
    weeks : pandas.DataFrame
        From ``vx.causes(triaged, by="week")``: columns ``week cause platform targets``.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    most : int
        Most causes shown by name.
    """
    from matplotlib.ticker import MaxNLocator

    weeks = need_frame(
        weeks,
        ("week", "cause", "platform", "targets"),
        "plots.cause_weeks() needs causes by week",
        "Use vx.causes(triaged, by='week').",
        times=["week"],
    )
    known = weeks[weeks["week"].notna()]
    local = known["week"].dt.tz_localize(None).dt.normalize()
    within = _axes.fullest_weeks(local) if len(known) else local.notna()
    outside = int(known.loc[~within, "targets"].sum())
    known, local = known[within], local[within]
    names = _axes.common_causes(known).astype(object)
    totals = known["targets"].groupby(names).sum()
    first = sorted(totals.index, key=lambda name: (-totals[name], name))[:most]
    named = names.where(names.isin(first), "other causes")
    counts = pd.crosstab(local, named, values=known["targets"].astype("int64"), aggfunc="sum").fillna(0)
    ax = _axes.axes(ax, 2.8 + 0.2 * min(len(first) + 1, len(totals)))
    if len(counts):
        counts = counts.reindex(pd.date_range(counts.index.min(), counts.index.max(), freq="7D"), fill_value=0)
    colours = {**series_colours(map(str, first)), "other causes": OTHER.colour}
    bottom = pd.Series(0, index=counts.index)
    for name in [each for each in (*first, "other causes") if each in counts]:
        ax.bar(
            range(len(counts)), counts[name], bottom=bottom, width=0.75, color=colours[str(name)], edgecolor="white",
            label=_axes.label(name, 60),
        )  # fmt: skip
        bottom = bottom + counts[name]
    step = max(1, -(-len(counts) // 12))
    ax.set_xticks(list(range(0, len(counts), step)), _days(pd.DatetimeIndex(counts.index[::step])))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    beyond = f"\n{safe.many(outside, 'failure lies', 'failures lie')} outside of these weeks" if outside else ""
    ax.set_xlabel(safe.zoned("week that began on", weeks["week"].dt.tz) + beyond)
    ax.set_ylabel("targets that failed or hang (count)")
    return _axes.finish(ax, "y", empty=counts.empty)


def _days(days: pd.DatetimeIndex) -> list[str]:
    """Return days as axis labels; if they span years, each year is written at its first day."""
    years = [day.year if len(set(days.year)) > 1 else None for day in days]
    return [
        f"{day:%d %b}" if year is None or year == before else f"{day:%d %b}\n{year}"
        for day, year, before in zip(days, years, [None, *years], strict=False)
    ]
