"""Figures: a frame and ``ax=None`` in, the Axes out. Nothing is shown or saved.

Each function draws on the Axes passed, or on a new figure of notebook width. Axes show units and the name of the time
zone. A word has the same colour everywhere, from a palette for people with colour-vision deficiencies. Untrusted text is
shown as text, never as mathematics. Empty frames give empty, labelled Axes. A frame that lacks a column raises a PlanError
that names the call which returns it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from voxops._support import safe
from voxops.frames.checks import need
from voxops.frames.palette import OUTCOME, PLATFORM, STATUS
from voxops.frames.records import latest_rows, latest_targets
from voxops.frames.times import shown_zone
from voxops.views import _axes
from voxops.views._delivery_plots import delivery_delay, delivery_volume, endpoint_heatmap, latency_bands, outage_bands

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "before_after",
    "causes_by_platform",
    "delivery_delay",
    "delivery_volume",
    "endpoint_heatmap",
    "latency_bands",
    "outage_bands",
    "outcomes_by_platform",
    "schedule_calendar",
]

# Good, then bad, then open, whether the words are statuses or outcomes.
_STATE = {name: {**STATUS, **OUTCOME}[name] for name in ("succeeded", *STATUS, *OUTCOME)}

# The call that returns the required frame.
_TRIAGE = "Use vx.triage(posts)."
_TARGETS = "Use vx.targets(posts)."
_RESULTS = "Use run.results()."


def __dir__() -> list[str]:
    """The figures."""
    return sorted(__all__)


def causes_by_platform(triaged: pd.DataFrame, ax: Axes | None = None, *, most: int = 12) -> Axes:
    """Draw how many targets each cause hit, stacked by platform, commonest on top.

    Causes that differ only in the platform are one bar.

    Parameters
    ----------
    triaged : pandas.DataFrame
        Columns ``cause``, ``platform`` and, optionally, ``verdict``, which splits a cause. Rows without a cause are left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    most : int
        Most causes shown; the rest is added up.
    """
    need(triaged, ("cause", "platform"), "plots.causes_by_platform() needs a triaged frame", _TRIAGE)
    triaged = latest_targets(triaged)
    hit = triaged[triaged["cause"].notna()]
    named = _axes.common_causes(hit).astype(object)
    verdicts = _axes.texts(hit["verdict"]) if "verdict" in hit else pd.Series("", index=hit.index)
    lines = pd.Series(map(_head, _axes.texts(named), verdicts), index=hit.index, dtype=object)
    platforms = _axes.texts(hit["platform"])
    platforms = platforms.where(platforms.isin(list(PLATFORM)), "others")
    counts = _axes.largest(pd.crosstab(lines, platforms), most, "causes")
    counts = counts[_axes.ordered(counts.columns, PLATFORM)]
    ax = _axes.axes(ax, 1.1 + 0.5 * max(len(counts), 2))
    _axes.stacked(ax, counts, PLATFORM, list(map(str, counts.index)))
    ax.set_xlabel("targets that failed or hang (count)")
    return _axes.finish(ax, "x", empty=counts.empty)


def outcomes_by_platform(results: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the outcomes of a run by platform: columns ``platform`` and ``outcome``."""
    need(results, ("platform", "outcome"), "plots.outcomes_by_platform() needs the results of a run", _RESULTS)
    counts = _axes.largest(
        pd.crosstab(_axes.texts(results["platform"]), _axes.texts(results["outcome"])), 15, "platforms"
    )
    counts = counts[_axes.ordered(counts.columns, OUTCOME)]
    ax = _axes.axes(ax, 1.1 + 0.36 * max(len(counts), 2))
    _axes.stacked(ax, counts, OUTCOME)
    ax.set_xlabel("rows (count)")
    return _axes.finish(ax, "x", empty=counts.empty)


def before_after(before: pd.DataFrame, after: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the same targets before and after a run, by status.

    Parameters
    ----------
    before, after : pandas.DataFrame
        Column ``outcome`` (results), else ``status`` (targets), since the status in results is the one before the run. If loads were
        joined, each target counts once, with its latest status.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    """
    what = "plots.before_after() needs two frames with a status or an outcome"
    named = ["outcome" if "outcome" in getattr(frame, "columns", ()) else "status" for frame in (before, after)]
    for frame, name in zip((before, after), named, strict=True):
        need(frame, (name,), what, f"{_TARGETS} {_RESULTS}")
    before, after = (
        latest_targets(frame) if name == "status" else frame for frame, name in zip((before, after), named, strict=True)
    )
    states = [_axes.texts(frame[name]).str.lower() for frame, name in zip((before, after), named, strict=True)]
    rows = {name: state.value_counts() for name, state in zip(("before", "after"), states, strict=True)}
    counts = pd.DataFrame(rows).T.fillna(0).astype(int)
    counts = counts[_axes.ordered(counts.columns, _STATE)]
    ax = _axes.axes(ax, 1.9)
    _axes.stacked(ax, counts, _STATE, inside=True)
    ax.set_xlabel("targets (count)" if "status" in named else "rows (count)")
    return _axes.finish(ax, "x", empty=not any(map(len, states)))


def schedule_calendar(posts: pd.DataFrame, ax: Axes | None = None, *, tz: str | None = None) -> Axes:
    """Draw how many posts are scheduled when: day by hour, or week by weekday if they span more than five weeks.

    If they span more than a year, the 53 weeks with the most posts are drawn, and a line below says how many lie outside.

    Parameters
    ----------
    posts : pandas.DataFrame
        Column ``scheduled_for`` (``datetime64[us, UTC]``); posts without a time are left out. If loads were joined, each post counts
        once, with its latest time.
    ax, tz
        As in `delivery_volume`.
    """
    what = "plots.schedule_calendar() needs a posts frame"
    posts = need(posts, ("scheduled_for",), what, "Use ws.posts(status='scheduled').", times=["scheduled_for"])
    tz = shown_zone(posts, tz)
    posts = latest_rows(posts, ("post_id",), "updated_at")
    when = posts["scheduled_for"].dropna().dt.tz_convert(tz).reset_index(drop=True)  # an index label may be there twice
    days = when.dt.tz_localize(None).dt.normalize()  # calendar days: no hour is missing or repeated
    long = len(days) > 0 and (days.max() - days.min()).days > 35
    rows = days - pd.to_timedelta(days.dt.day_of_week, unit="D") if long else days
    shown = _axes.fullest_weeks(rows) if long else rows.notna()
    rows, when, outside = rows[shown], when[shown], int((~shown).sum())
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] if long else [f"{hour:02}" for hour in range(24)]
    counts = pd.crosstab(rows, when.dt.day_of_week if long else when.dt.hour)
    lines = 3 if rows.empty else max((rows.max() - rows.min()).days // (7 if long else 1) + 1, 3)
    ax = _axes.axes(ax, 1.3 + 0.3 * lines)
    if len(counts):
        span = pd.date_range(rows.min(), rows.max(), freq="7D" if long else "1D")
        counts = counts.reindex(index=span, columns=range(len(names)))
        counts.index = pd.Index(span.strftime("%a %d %b %Y"))
        _axes.grid(ax, counts, STATUS["scheduled"].colour, float(counts.max().max()))
        ax.set_xticks([at + 0.5 for at in range(len(names))], names)
    beyond = f"\n{safe.many(outside, 'post lies', 'posts lie')} outside of these weeks" if outside else ""
    ax.set_xlabel(f"{safe.zoned('weekday' if long else 'hour', tz)}; the numbers are posts{beyond}")
    ax.set_ylabel("week of" if long else "day")
    return _axes.finish(ax, "", empty=counts.empty)


def _head(cause: str, verdict: str) -> str:
    """Return a cause and its verdict on one line; if it is too long, the cause is cut, never the verdict."""
    call = f" → {_axes.label(verdict, 30)}" if verdict else ""
    return _axes.label(cause, 100 - len(call)) + call
