"""Figures over weeks: the error budget of each endpoint, and causes of failures by week."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support import safe
from voxops._support.safe import short_address
from voxops.frames.columns import need_frame
from voxops.frames.palette import OTHER, OUTCOME, series_colours
from voxops.views import _axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cause_weeks", "error_budgets"]

_WIDEST = 3  # budgets; a longer bar is cut there, and its label has the number
_LEVELS = ("url", "share", "met", "budget_left", "burn_long", "burn_short", "burning")


def error_budgets(levels: pd.DataFrame, ax: Axes | None = None, *, most: int = 15) -> Axes:
    """Draw how much of its error budget each endpoint has spent; beyond the line at 100 % it is exhausted.

    Bars end at 300 %, as the axis says; the number beside such a bar is the true value.

    Parameters
    ----------
    levels : pandas.DataFrame
        From ``vx.deliveries.levels``: columns ``url share met budget_left burn_long burn_short burning``. Endpoints with too few
        deliveries for a verdict have no bar.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    most : int
        Most endpoints shown, those with the least budget left first.
    """
    from matplotlib.ticker import PercentFormatter

    need_frame(levels, _LEVELS, "plots.error_budgets() needs service levels", "Use vx.deliveries.levels(log).")
    shown = levels.sort_values("budget_left", na_position="last", kind="stable").head(most)
    ax = _axes.axes(ax, 1.2 + 0.36 * max(len(shown), 2))
    places = list(range(len(shown) - 1, -1, -1))
    whole = (1 - shown["budget_left"]).astype("Float64").fillna(0).clip(lower=0)
    spent = whole.clip(upper=_WIDEST).tolist()
    met = shown["met"].fillna(False)
    colours = [OUTCOME["succeeded" if good else "failed"].colour for good in met]
    bars = ax.barh(places, spent, color=colours, height=0.62)
    clear = {"facecolor": _axes.ground(ax), "edgecolor": "none", "pad": 0.6}  # hides the line behind the label
    ax.bar_label(bars, labels=[_verdict(row) for row in shown.to_dict("records")], padding=4, bbox=clear)
    ax.axvline(1.0, color=OTHER.colour, linewidth=1, linestyle="--", zorder=0)
    ax.set_xlim(0, max(1.6, 1.6 * max(spent, default=1)))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    if (whole > _WIDEST).any():  # bars are cut at the last tick
        ax.set_xticks(range(int(_WIDEST) + 1), [*(f"{100 * at}%" for at in range(int(_WIDEST))), "300% and more"])
    _axes.name_rows(ax, {place: short_address(url) for place, url in zip(places, shown["url"], strict=True)})
    ax.set_xlabel("error budget spent (% of what may miss)")
    return _axes.finish(ax, "x", empty=shown.empty)


def _verdict(row: dict[Any, Any]) -> str:
    """Return the text at the end of a bar."""
    if pd.isna(row["share"]):
        return "too few deliveries"
    burning = row["burning"] is not pd.NA and bool(row["burning"])
    spent = 1 - row["budget_left"]
    parts = [f"{safe.percent(row['share'], 2)} in time"]
    parts += [f"{100 * spent:.0f} % spent"] if spent > _WIDEST else []
    parts += [f"burning {row['burn_short']:.1f}×"] if burning else []
    return ", ".join(parts)


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
