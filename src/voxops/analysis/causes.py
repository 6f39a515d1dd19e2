"""Causes of failures: counted, by week, and compared between two weeks or two loads."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeGuard

import pandas as pd

from voxops.analysis.statistics import Tally, flat, ranked, span_start
from voxops.errors import ConfigError, PlanError
from voxops.frames.columns import flags, need_columns, need_frame, plain_values, restored, unnamed_index
from voxops.frames.records import TARGET_KEY, latest_targets
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.times import length, present_of, shown_zone, window, zone

# One row per cause, account and post; enough to count each of them exactly after any merge.
CAUSE_TALLY = Tally(
    keys=("cause", "verdict", "remedy", "platform", "account_id", "post_id"),
    totals={"count": "sum", "retryable": "sum", "first_seen": "min", "last_seen": "max", "example": "min"},
)
_CAUSE = ["cause", "verdict", "remedy"]


def cause_partial(triaged: pd.DataFrame) -> pd.DataFrame:
    """Count the causes of one part of a history; merge parts with `merge_causes`.

    Parameters
    ----------
    triaged : pandas.DataFrame
        From `triage`, with ``post_id account_id updated_at``.

    Returns
    -------
    pandas.DataFrame
        A partial: keys ``cause verdict remedy platform account_id post_id`` (string); ``count retryable`` (Int64),
        ``first_seen last_seen`` (UTC, of the post's last change) and ``example`` (string, a message). Rows without a cause are
        left out.

    Raises
    ------
    PlanError
        If a column is missing.
    """
    needed = [*CAUSE_TALLY.keys, "retryable", "updated_at", "error_message"]
    need_frame(triaged, needed, "causes() needs a triaged frame", "Use vx.triage(vx.targets(posts)).")
    failures = triaged.loc[triaged["cause"].notna(), needed]
    failures = failures.assign(retryable=flags(failures, "retryable"))  # a file may have made text of it
    rows = restored(failures).rename(columns={"updated_at": "first_seen", "error_message": "example"})
    rows = rows.assign(count=1, last_seen=rows["first_seen"]).astype({"count": "Int64", "retryable": "Int64"})
    return CAUSE_TALLY.group(rows)


def merge_causes(*partials: pd.DataFrame | Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Make one partial of several, one by one or as an iterable; order and grouping do not matter."""
    return CAUSE_TALLY.merge(flat(partials))


def finish_causes(partial: pd.DataFrame) -> pd.DataFrame:
    """Turn a partial into the table of causes.

    Parameters
    ----------
    partial : pandas.DataFrame
        From `cause_partial`, or several merged.

    Returns
    -------
    pandas.DataFrame
        One row per cause, the commonest first: ``cause verdict remedy`` (string), ``platforms`` (string, joined by a comma),
        ``count`` (Int64, targets), ``posts accounts`` (Int64, distinct), ``retryable`` (Int64, how many targets),
        ``first_seen last_seen`` (UTC), ``example`` (string).
    """
    grouped = partial.groupby(_CAUSE, dropna=False, sort=True)
    table = grouped.agg(
        platforms=("platform", lambda names: ", ".join(sorted(set(names.dropna())))),
        count=("count", "sum"),
        posts=("post_id", "nunique"),
        accounts=("account_id", "nunique"),
        retryable=("retryable", "sum"),
        first_seen=("first_seen", "min"),
        last_seen=("last_seen", "max"),
        example=("example", "min"),
    ).reset_index()
    text, number = STRING_DTYPE, "Int64"
    table = table.astype(
        {"platforms": text, "posts": number, "accounts": number, "count": number, "retryable": number, "example": text}
    )
    return table.sort_values(["count", "cause", "verdict"], ascending=[False, True, True], ignore_index=True)


def causes(triaged: pd.DataFrame) -> pd.DataFrame:
    """Group the rows of a triaged frame by cause: how many, where, since when, an example.

    Parameters
    ----------
    triaged : pandas.DataFrame
        From `triage`; of several joined, each target counts once, as its post was last (`latest_targets`).

    Returns
    -------
    pandas.DataFrame
        As `finish_causes` returns it, and where the rows have an ``owner`` also ``owners`` (string: whose posts they are, most
        rows first, with how many). Rows without a cause (published, withdrawn, not yet due) are left out.

    Raises
    ------
    PlanError
        If a column is missing.

    Examples
    --------
    >>> vx.causes(triaged)[["cause", "verdict", "count"]].head(3)
                                                   cause            verdict  count
    0  TOKEN_EXPIRED instagram: The access token of <...  reconnect account     20
    1  RATE_LIMITED twitter: X rate limit reached for...              retry      9
    2  SERVICE_UNAVAILABLE facebook: Facebook answere...              retry      9
    """
    triaged = latest_targets(triaged)
    table = finish_causes(cause_partial(triaged))
    if "owner" in triaged.columns:
        rows = triaged[triaged["cause"].notna()]
        groups = {
            tuple(map(str, key)): names_of(part["owner"])
            for key, part in rows.groupby([rows[name].astype(str) for name in _CAUSE], sort=False)
        }
        keys = table[_CAUSE].astype(str).itertuples(index=False, name=None)
        table["owners"] = pd.array([groups.get(key, "") for key in keys], dtype=STRING_DTYPE)
    table.attrs = {name: triaged.attrs[name] for name in ("tz", "people") if name in triaged.attrs}
    return table


def names_of(owners: pd.Series, most: int = 4) -> str:
    """Name people by how many rows are theirs, as ``maria.k (3), tom.b (1)``; what belongs to nobody is not named."""
    counts = ranked(owners)
    named = [f"{name} ({count})" for name, count in counts.head(most).items()]
    return ", ".join(named) + (f" and {len(counts) - most} more" if len(counts) > most else "")


_KEYS = ("week", "cause", "verdict", "platform")
_TALLY = Tally(keys=_KEYS, totals={"targets": "sum"})


def cause_weeks(triaged: pd.DataFrame, *, tz: str | None = None) -> pd.DataFrame:
    """Count the causes of failures week by week.

    Parameters
    ----------
    triaged : pandas.DataFrame
        From ``vx.triage``.
    tz : str, optional
        Time zone in which weeks begin, on Monday at midnight: that of the workspace (``triaged.attrs["tz"]``) by default, else UTC.

    Returns
    -------
    pandas.DataFrame
        One row per week, cause, verdict and platform, sorted: ``week`` (``datetime64[us, tz]``, when it began; of the post's last
        change), ``cause verdict platform`` (string), ``targets`` (Int64). Rows without a cause are left out; weeks without failures
        have no row.

    Raises
    ------
    PlanError
        If a column is missing.
    ConfigError
        If `tz` is not a time zone.

    Examples
    --------
    >>> weeks = vx.cause_weeks(triaged)
    >>> int(weeks["targets"].sum()) == int(triaged["cause"].notna().sum())
    True
    """
    return merge_weeks(week_partial(latest_targets(triaged), tz=shown_zone(triaged, tz)))


def week_partial(triaged: pd.DataFrame, *, tz: str = "UTC") -> pd.DataFrame:
    """Count one part of a history; `merge_weeks` makes one of several."""
    needed = ("cause", "verdict", "platform", "updated_at")
    what = "cause_weeks() needs a triaged frame"
    triaged = need_frame(triaged, needed, what, "Use vx.triage(vx.targets(posts)).", times=["updated_at"])
    zone(tz)
    rows = triaged[triaged["cause"].notna()]
    week = span_start(rows["updated_at"], "week", tz)
    counted = pd.DataFrame({"week": week, **{name: rows[name] for name in _KEYS[1:]}})
    return _TALLY.group(counted.assign(targets=pd.array([1] * len(counted), dtype="Int64")))


def merge_weeks(*partials: pd.DataFrame | Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Make one partial of several, which is the table itself."""
    return _TALLY.merge(flat(partials))


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


_TARGET = list(TARGET_KEY)
# What names a row of a run's results, the most particular first.
_COMPARISON_NAMES = (_TARGET, ["delivery_id"], ["post_id"])
_ORDER = ("newly failing", "recovered", "only before", "only after", "otherwise", "same")


class _Results(Protocol):
    """A run."""

    def results(self) -> pd.DataFrame:
        """What became of its rows."""


def compare(before: pd.DataFrame | _Results, after: pd.DataFrame | _Results) -> pd.DataFrame:
    """Compare two loads of the same targets, or two runs row by row.

    Parameters
    ----------
    before, after : pandas.DataFrame or Run
        Two frames from ``vx.targets`` or ``vx.triage``, whose rows are matched by post, platform and account (those that share all
        three, in their order); or two runs, whose rows are
        matched by what their plans name: the key of a campaign, the delivery, or post, platform and account.

    Returns
    -------
    pandas.DataFrame
        Of frames: indexed by ``was`` and ``now`` (statuses, ``–`` where a row has none; ``absent`` where one side has no such row):
        ``rows`` (Int64), most first.
        Of runs: one row per row of either, its names first, then ``was now`` (string: outcomes, ``absent`` where one has no such row),
        ``change`` (string: ``newly failing``, ``recovered``, ``only before``, ``only after``, ``otherwise`` or ``same``) and
        ``error_code error_message`` (string, of the later run), what needs looking at first.

    Raises
    ------
    PlanError
        If a frame has no ``post_id platform account_id status``, a frame is compared with a run, or two runs are about different things.

    Examples
    --------
    >>> before = vx.targets(ws.posts(status=["failed", "partial"]))
    >>> vx.compare(before, before)["rows"].sum() == len(before)
    np.True_
    """
    if isinstance(before, pd.DataFrame) or isinstance(after, pd.DataFrame) or not (_is_run(before) and _is_run(after)):
        if _is_run(before) or _is_run(after):
            raise PlanError("compare() takes two frames or two runs, not one of each")
        return _frames(before, after)
    return _runs(before.results(), after.results())


def _is_run(thing: Any) -> TypeGuard[_Results]:
    """Whether a thing is a run."""
    return callable(getattr(type(thing), "results", None))


def _frames(before: Any, after: Any) -> pd.DataFrame:
    """How many targets went from which status to which."""
    for frame in (before, after):
        need_columns(frame, (*_TARGET, "status"), "use vx.targets(posts)")
    left, right = _numbered(before, "was"), _numbered(after, "now")
    both = left.merge(right, on=[*_TARGET, "number"], how="outer")
    both[["was", "now"]] = both[["was", "now"]].fillna("absent")
    counts = both.groupby(["was", "now"]).size().astype("Int64")
    table: pd.DataFrame = counts.sort_values(ascending=False, kind="stable").to_frame("rows")
    return table


def _numbered(frame: pd.DataFrame, status: str) -> pd.DataFrame:
    """Targets with their status under this name; those that share a name, such as one without an account, are numbered in their order."""
    names = unnamed_index(frame[_TARGET])
    number = names.groupby(_TARGET, dropna=False, observed=True).cumcount()
    # A row without a status is there all the same.
    return names.assign(number=number, **{status: frame["status"].astype(STRING_DTYPE).fillna("–")})


def _runs(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """What became of each row in the one run and in the other."""
    names = _names_of(before)
    if names != _names_of(after):
        raise PlanError(
            f"these runs are about different things: rows of the one are named by {', '.join(names)}, of the other by "
            f"{', '.join(_names_of(after))}"
        )
    was, now = dict(_rows(before, names)), dict(_rows(after, names))
    table = []
    for key in [*was, *(key for key in now if key not in was)]:
        old, new = (side.get(key, {}) for side in (was, now))
        said = (old.get("outcome", "absent"), new.get("outcome", "absent"))
        table.append((*key, *said, _comparison_change(*said), new.get("error_code"), new.get("error_message")))
    columns = [*names, "was", "now", "change", "error_code", "error_message"]
    values = list(zip(*table, strict=True)) or [()] * len(columns)
    frame = pd.DataFrame(
        {name: pd.array(list(some), dtype=STRING_DTYPE) for name, some in zip(columns, values, strict=True)}
    )
    order = frame["change"].map({name: number for number, name in enumerate(_ORDER)})
    return frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def _names_of(results: pd.DataFrame) -> list[str]:
    """The columns that name a row of a run's results."""
    key = results.attrs.get("key")
    if key and key in results.columns:
        return [str(key)]
    found = next((names for names in _COMPARISON_NAMES if set(names) <= set(results.columns)), None)
    if found is None:
        raise PlanError("compare() takes runs of plans; what a watch follows has no outcome of its own")
    return list(found)


def _rows(results: pd.DataFrame, names: list[str]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The rows of a run, each under its name."""
    wanted = [*names, "outcome", "error_code", "error_message"]
    columns = {name: plain_values(results, name) for name in wanted}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [(tuple(None if row[name] is None else str(row[name]) for name in names), row) for row in rows]


def _comparison_change(was: str, now: str) -> str:
    """What two outcomes say of a row."""
    if "absent" in (was, now):
        return "only after" if was == "absent" else "only before"
    if was == now:
        return "same"
    if now == "succeeded":
        return "recovered"
    return "newly failing" if now == "failed" else "otherwise"
