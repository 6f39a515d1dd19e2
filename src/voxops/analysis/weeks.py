"""Week against week: which causes are new, gone, worse, recurring, or came back after they were gone."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd

from voxops.errors import ConfigError, PlanError
from voxops.frames import latest_targets, need_frame
from voxops.frames.columns import unnamed_index
from voxops.frames.spans import length, present_of, window
from voxops.frames.values import STRING_DTYPE

__all__ = ["CHANGES", "compare_weeks"]

CHANGES = ("came back", "new", "worse", "recurring", "gone")  # in the order in which they are looked at
_NAMES = ("cause", "verdict", "remedy")


def compare_weeks(triaged: pd.DataFrame, *, now: datetime | None = None, span: str | timedelta = "7D") -> pd.DataFrame:
    """Compare the failures of this week with those of last week, cause by cause, by the time of the event.

    A failure belongs to the week in which its post was last changed. What was mended since fails no more and is not counted, so a
    week that was dealt with looks better than it was; to compare weeks as they were, pass the failures of an archive.

    Parameters
    ----------
    triaged : pandas.DataFrame
        From `triage`, of at least two spans: ``ws.posts(status=["failed", "partial"], since="28D")``. What lies before last week tells a
        cause that came back from a new one.
    now : datetime, optional
        The end of this week; by default when the frame was loaded, else its latest change.
    span : str or timedelta
        How long a week is.

    Returns
    -------
    pandas.DataFrame
        One row per cause, what needs looking at first: ``change`` (string: ``came back`` this week, it was not there last week but before;
        ``new``; ``worse``, more rows than last week; ``recurring``, as many or fewer; ``gone``, not there this week), ``cause verdict remedy``
        (string), ``rows last_week before`` (Int64: rows of this week, of last week, and of the time before), ``posts`` (Int64, of this
        week), ``last_seen`` (datetime64[us, UTC]). ``attrs["weeks"]`` holds the three instants between which is counted.

    Raises
    ------
    PlanError
        If a column is missing, or the frame was loaded for less than two spans.
    ConfigError
        If `span` is not a duration, or `now` has no offset.

    Examples
    --------
    >>> posts = ws.posts(status=["failed", "partial"], since="28D")
    >>> weeks = vx.compare_weeks(vx.triage(vx.targets(posts)))
    >>> set(weeks["change"]) <= {"came back", "new", "worse", "recurring", "gone"}
    True
    """
    need_frame(
        triaged, (*_NAMES, "post_id", "updated_at"), "compare_weeks() needs a triaged frame",
        "Use vx.triage(vx.targets(posts)).", times=["updated_at"],
    )  # fmt: skip
    week = length("span", span)
    end = _end(triaged, now)
    this, last = end - week, end - 2 * week
    _refuse_short(triaged, end, last, week)
    triaged = latest_targets(unnamed_index(triaged))
    rows = triaged[triaged["cause"].notna() & triaged["updated_at"].notna() & (triaged["updated_at"] <= end)]
    rows = rows.assign(
        rows=rows["updated_at"] > this,
        last_week=(rows["updated_at"] > last) & (rows["updated_at"] <= this),
        before=rows["updated_at"] <= last,
        _post=rows["post_id"].where(rows["updated_at"] > this),
    )
    grouped = rows.groupby(list(_NAMES), dropna=False, sort=True)
    table = grouped.agg(
        rows=("rows", "sum"), last_week=("last_week", "sum"), before=("before", "sum"), posts=("_post", "nunique"),
        last_seen=("updated_at", "max"),
    ).reset_index()  # fmt: skip
    table = table[(table["rows"] > 0) | (table["last_week"] > 0)]
    table = table.astype(dict.fromkeys(("rows", "last_week", "before", "posts"), "Int64"))
    found = [_change(*counts) for counts in zip(table["rows"], table["last_week"], table["before"], strict=True)]
    table.insert(0, "change", pd.Series(found, index=table.index, dtype=STRING_DTYPE))
    order = table["change"].map({name: number for number, name in enumerate(CHANGES)})
    table = (
        table.assign(_order=order)
        .sort_values(
            ["_order", "rows", "last_week", "cause"],
            ascending=[True, False, False, True],
            kind="stable",
            ignore_index=True,
        )
        .drop(columns="_order")
    )
    table.attrs = {**triaged.attrs, "weeks": [when.isoformat() for when in (last, this, end)]}
    return table


def _change(rows: int, last_week: int, before: int) -> str:
    """What became of a cause."""
    if not rows:
        return "gone"
    if not last_week:
        return "came back" if before else "new"
    return "worse" if rows > last_week else "recurring"


def _end(triaged: pd.DataFrame, now: datetime | None) -> pd.Timestamp:
    """The end of this week."""
    end = present_of(triaged, now, triaged["updated_at"])
    return pd.Timestamp.now("UTC") if pd.isna(end) else end.tz_convert("UTC")


def _refuse_short(triaged: pd.DataFrame, end: pd.Timestamp, last: pd.Timestamp, week: pd.Timedelta) -> None:
    """Refuse a frame that was loaded for less than two spans: everything would seem new."""
    since = (triaged.attrs.get("filters") or {}).get("since")
    if since is None:
        return
    try:
        start, _ = window(since, None, end.to_pydatetime(), triaged.attrs.get("tz") or "UTC")
    except ConfigError:  # a length of time, as frames name it
        start = end - pd.Timedelta(since)
    if start is not None and start > last + pd.Timedelta("1min"):
        days = f"{3 * week / pd.Timedelta('1D'):g}D"
        raise PlanError(
            f"the frame was loaded with since={since!r}, which is less than two spans, so everything would seem new; load "
            f"ws.posts(status=['failed', 'partial'], since={days!r})"
        )
