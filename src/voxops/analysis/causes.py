"""Causes of failures: counts, by week, or against the previous span."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pandas as pd

from voxops._support.canonical import well_formed
from voxops.analysis.statistics import ranked, span_start
from voxops.errors import ConfigError, PlanError
from voxops.frames.checks import flags, need, restored, unnamed_index
from voxops.frames.records import latest_targets
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.times import length, present_of, shown_zone, window
from voxops.model import Displayed

_NEEDS, _ADVICE = "causes() needs a triaged frame", "Use vx.triage(posts)."
_CAUSE = ["cause", "verdict", "remedy"]


class Causes(Displayed, pd.DataFrame):
    """Causes, which a notebook cell shows as `vx.view` does; frames made from it are plain ones."""

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    shown: pd.DataFrame = table.copy(deep=False)
    shown.__class__ = Causes
    return shown


def causes(
    triaged: pd.DataFrame,
    by: str | None = None,
    *,
    against: str | timedelta | None = None,
    now: datetime | None = None,
    tz: str | None = None,
) -> pd.DataFrame:
    """Group the failures of a triaged frame by cause, with counts, platforms and times; by week; or by change since the previous span.

    Parameters
    ----------
    triaged : pandas.DataFrame
        From `triage`. A target with several rows counts once, by the last change of its post.
    by : str, optional
        ``"week"`` counts each cause per week, verdict and platform.
    against : str or timedelta, optional
        Length of a span, such as ``"7D"``: compares the failures of the last span with those of the previous one, by the last change of
        the post. A failure fixed later counts in neither. Load more than two spans:
        ``ws.posts(status=["failed", "partial"], since="28D")``; the earlier time distinguishes a recurring cause from a new one.
    now : datetime, optional
        With `against`, the end of the last span. By default ``until=`` of the load, else the time of the load, else the latest
        change, else this machine's time.
    tz : str, optional
        With ``by="week"``, the time zone in which weeks begin, on Monday at midnight. By default that of the workspace
        (``triaged.attrs["tz"]``), else UTC.

    Returns
    -------
    pandas.DataFrame
        One row per cause, the commonest first: ``cause verdict remedy`` (string), ``platforms`` (string, joined by a comma),
        ``count`` (Int64, targets), ``posts accounts`` (Int64, distinct), ``retryable`` (Int64, how many targets),
        ``first_seen last_seen`` (UTC, of the post's last change), ``example`` (string, a message). If the rows have an ``owner``,
        also ``owners`` (string: the owners with most rows, and how many).

        By week one row per week, cause, verdict and platform, sorted: ``week`` (``datetime64[us, tz]``, when it began),
        ``cause verdict platform`` (string), ``targets`` (Int64). Weeks without failures have no row.

        Against the span before, one row per cause: ``change`` (string: ``came back``, ``new``, ``worse``, ``recurring``, as many rows
        or fewer, or ``gone``, in this order), ``cause verdict remedy`` (string), ``rows last_week before`` (Int64: rows of the last
        span, of the span before, and of the time before both), ``posts`` (Int64, of the last span), ``last_seen`` (UTC).
        ``attrs["weeks"]`` has the three instants that bound the spans.

        Rows without a cause (published, withdrawn, not yet due) are left out in every form.

    Raises
    ------
    PlanError
        If a column is missing; with `against`, if the frame was loaded for less than two spans or cut by ``limit=``.
    ConfigError
        If `by` is not ``"week"``, `by` and `against` are both given, `against` is not a duration above zero, `now` has no offset, or
        `tz` is not a time zone.

    Examples
    --------
    >>> vx.causes(triaged)[["cause", "verdict", "count"]].head(3)
                                                   cause            verdict  count
    0  TOKEN_EXPIRED instagram: The access token of <...  reconnect account     20
    1  RATE_LIMITED twitter: X rate limit reached for...              retry      9
    2  SERVICE_UNAVAILABLE facebook: Facebook answere...              retry      9

    >>> weeks = vx.causes(triaged, by="week")
    >>> int(weeks["targets"].sum()) == int(triaged["cause"].notna().sum())
    True

    >>> failed = vx.triage(ws.posts(status=["failed", "partial"], since="28D"))
    >>> set(vx.causes(failed, against="7D")["change"]) <= {"came back", "new", "worse", "recurring", "gone"}
    True
    """
    if against is not None:
        if by is not None:
            raise ConfigError("causes() takes by= or against=, not both")
        return _shown(_against_span_before(triaged, against, now))
    if by not in (None, "week"):
        raise ConfigError(f"by={by!r}; causes() takes by='week'")
    triaged = latest_targets(triaged)
    if by == "week":
        return _shown(_by_week(triaged, shown_zone(triaged, tz)))
    needed = [*_CAUSE, "platform", "account_id", "post_id", "retryable", "updated_at", "error_message"]
    triaged = need(triaged, needed, _NEEDS, _ADVICE)
    rows = restored(triaged[triaged["cause"].notna()])
    # The first example in order is the smallest, which pandas finds far sooner: it compares texts group by group in Python. Half a
    # surrogate pair becomes a question mark, because pyarrow refuses it where pandas hands columns to it.
    example = rows["error_message"].map(well_formed, na_action="ignore").astype(STRING_DTYPE)
    rows = rows.assign(retryable=flags(rows, "retryable"), example=example)  # a file may have turned flags into text
    owners = {"owners": ("owner", names_of)} if "owner" in rows.columns else {}
    table = (
        rows.sort_values("example", kind="stable")
        .groupby(_CAUSE, dropna=False, sort=True)
        .agg(
            platforms=("platform", lambda names: ", ".join(sorted(set(names.dropna())))),
            count=("cause", "size"),
            posts=("post_id", "nunique"),
            accounts=("account_id", "nunique"),
            retryable=("retryable", "sum"),
            first_seen=("updated_at", "min"),
            last_seen=("updated_at", "max"),
            example=("example", "first"),
            **owners,
        )
    )
    numbers = dict.fromkeys(("count", "posts", "accounts", "retryable"), "Int64")
    table = table.reset_index().astype({**numbers, **dict.fromkeys(("platforms", "example", *owners), STRING_DTYPE)})
    table = table.sort_values(["count", "cause", "verdict"], ascending=[False, True, True], ignore_index=True)
    table.attrs = {name: triaged.attrs[name] for name in ("tz", "people") if name in triaged.attrs}
    return _shown(table)


def _by_week(triaged: pd.DataFrame, tz: str) -> pd.DataFrame:
    keys = ["cause", "verdict", "platform"]
    triaged = need(triaged, (*keys, "updated_at"), _NEEDS, _ADVICE, times=["updated_at"])
    rows = unnamed_index(triaged[triaged["cause"].notna()])
    rows = rows[keys].assign(week=span_start(rows["updated_at"], "week", tz))
    table = rows.groupby(["week", *keys], sort=True, dropna=False, observed=True).size()
    return table.astype("Int64").reset_index(name="targets")


def names_of(owners: pd.Series, most: int = 4) -> str:
    """Name owners by their number of rows, as ``maria.k (3), tom.b (1)``; unowned rows are left out."""
    counts = ranked(owners)
    named = [f"{name} ({count})" for name, count in counts.head(most).items()]
    return ", ".join(named) + (f" and {len(counts) - most} more" if len(counts) > most else "")


CHANGES = ("came back", "new", "worse", "recurring", "gone")  # the most urgent first


def _against_span_before(triaged: pd.DataFrame, span: str | timedelta, now: datetime | None) -> pd.DataFrame:
    needed = (*_CAUSE, "post_id", "updated_at")
    triaged = need(triaged, needed, _NEEDS, _ADVICE, times=["updated_at"])
    week = length("against", span)
    if week <= pd.Timedelta(0):
        raise ConfigError(f"against={span!r} must be longer than zero; write a span such as '7D'.")
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
    counts = {name: (name, "sum") for name in ("rows", "last_week", "before")}
    grouped = rows.groupby(_CAUSE, dropna=False, sort=True)
    table = grouped.agg(**counts, posts=("_post", "nunique"), last_seen=("updated_at", "max")).reset_index()
    table = table[(table["rows"] > 0) | (table["last_week"] > 0)]
    table = table.astype(dict.fromkeys((*counts, "posts"), "Int64"))
    table = table.sort_values(["rows", "last_week", "cause"], ascending=[False, False, True])
    found = [_change(*row) for row in zip(*(table[name] for name in counts), strict=True)]
    table.insert(0, "change", pd.Series(found, index=table.index, dtype=STRING_DTYPE))
    table = _in_order(table, CHANGES)
    table.attrs = {**triaged.attrs, "weeks": [when.isoformat() for when in (last, this, end)]}
    return table


def _change(rows: int, last_week: int, before: int) -> str:
    if not rows:
        return "gone"
    if not last_week:
        return "came back" if before else "new"
    return "worse" if rows > last_week else "recurring"


def _in_order(table: pd.DataFrame, changes: tuple[str, ...]) -> pd.DataFrame:
    """Rows by their ``change``; rows with the same change keep their order."""
    order = table["change"].map({name: number for number, name in enumerate(changes)})
    return table.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def _end(triaged: pd.DataFrame, now: datetime | None) -> pd.Timestamp:
    """Return the end of the last span: the end of the load, after which nothing can be compared."""
    end = _present(triaged, now)
    until = _bound(triaged, "until") if now is None else None
    return end if until is None else min(end, until)


def _present(triaged: pd.DataFrame, now: datetime | None = None) -> pd.Timestamp:
    present = pd.Timestamp(present_of(triaged, now, triaged["updated_at"]))
    return pd.Timestamp.now("UTC") if pd.isna(present) else present.tz_convert("UTC")


def _bound(triaged: pd.DataFrame, name: str) -> pd.Timestamp | None:
    """Return the instant of ``since`` or ``until`` of a frame's load; None without one."""
    value = (triaged.attrs.get("filters") or {}).get(name)
    if value is None:
        return None
    present = _present(triaged)
    try:
        return window(value, None, present.to_pydatetime(), triaged.attrs.get("tz") or "UTC")[0]
    except ConfigError:  # a length of time, as stored in attrs
        return present - pd.Timedelta(value)


def _refuse_short(triaged: pd.DataFrame, last: pd.Timestamp, week: pd.Timedelta) -> None:
    """Refuse a frame that was cut, or covers less than two spans: everything would seem new."""
    since = _bound(triaged, "since")
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
