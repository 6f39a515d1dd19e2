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
        The end of this week; by default ``until=`` of the load, else when the frame was loaded, else its latest change, else this machine's time.
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
        If a column is missing, or the frame was loaded for less than two spans or cut by ``limit=``.
    ConfigError
        If `span` is not a duration above zero, or `now` has no offset.

    Examples
    --------
    >>> posts = ws.posts(status=["failed", "partial"], since="28D")
    >>> weeks = vx.compare_weeks(vx.triage(vx.targets(posts)))
    >>> set(weeks["change"]) <= {"came back", "new", "worse", "recurring", "gone"}
    True
    """
    triaged = need_frame(
        triaged, (*_NAMES, "post_id", "updated_at"), "compare_weeks() needs a triaged frame",
        "Use vx.triage(vx.targets(posts)).", times=["updated_at"],
    )  # fmt: skip
    week = length("span", span)
    if week <= pd.Timedelta(0):
        raise ConfigError(f"span={span!r} must be longer than nothing; write one such as '7D'.")
    end = _end(triaged, now)
    this, last = end - week, end - 2 * week
    _refuse_short(triaged, last, week)
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
    """The end of this week: what was loaded until then is all that can be compared."""
    present = present_of(triaged, now, triaged["updated_at"])
    end = pd.Timestamp.now("UTC") if pd.isna(present) else present.tz_convert("UTC")
    until = None if now is not None else _side(triaged, "until")
    return end if until is None else min(end, until)


def _side(triaged: pd.DataFrame, name: str) -> pd.Timestamp | None:
    """The instant at which a frame's load began or ended, ``since`` or ``until``; None where it names none."""
    value = (triaged.attrs.get("filters") or {}).get(name)
    if value is None:
        return None
    present = pd.Timestamp(present_of(triaged, None, triaged["updated_at"]))
    present = pd.Timestamp.now("UTC") if pd.isna(present) else present
    try:
        return window(value, None, present.to_pydatetime(), triaged.attrs.get("tz") or "UTC")[0]
    except ConfigError:  # a length of time, as frames name it
        return present - pd.Timedelta(value)


def _refuse_short(triaged: pd.DataFrame, last: pd.Timestamp, week: pd.Timedelta) -> None:
    """Refuse a frame that was loaded for less than two spans, or cut: everything would seem new."""
    since = _side(triaged, "since")
    if triaged.attrs.get("complete") is False:
        short = "was cut, as by limit=, so what is older is missing"
    elif since is not None and since > last + pd.Timedelta("1min"):
        short = f"was loaded with since={triaged.attrs['filters']['since']!r}, which is less than two spans"
    else:
        return
    days = f"{3 * week / pd.Timedelta('1D'):g}D"
    raise PlanError(
        f"the frame {short}, so everything would seem new; load ws.posts(status=['failed', 'partial'], since={days!r})"
    )
