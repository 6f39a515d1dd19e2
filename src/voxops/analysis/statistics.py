"""Statistics of webhook deliveries: success, attempts and latency (`stats`), and service levels (`levels`).

Both count a history in parts: a partial of each, merged, then finished. The result does not depend on the division.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import pandas as pd

from voxops._support.arguments import did_you_mean, list_of_text, whole_number
from voxops._support.canonical import well_formed
from voxops.errors import ConfigError, PlanError
from voxops.frames.columns import booleans, need_frame, unnamed_index
from voxops.frames.records import last_of_each
from voxops.frames.times import day_starts, length, present_of, shown_zone, zone


@dataclass(frozen=True)
class Tally:
    """The columns of a partial, and how two are merged.

    Attributes
    ----------
    keys : tuple of str
        Columns that identify a group; NA is a valid group.
    totals : mapping
        Other columns -> ``sum``, ``min`` or ``max``.
    """

    keys: tuple[str, ...]
    totals: Mapping[str, str]

    def group(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Reduce rows to one per group.

        Parameters
        ----------
        rows : pandas.DataFrame
            Has all keys and totals.

        Returns
        -------
        pandas.DataFrame
            Keys and totals with their dtypes, sorted by the keys, index from 0.
        """
        rows, totals = unnamed_index(rows), dict(self.totals)
        for name in totals:
            if rows[name].dtype == "string":
                # The first in order is the smallest, which pandas finds far sooner: it compares texts group by group in Python.
                # Of half a surrogate pair a question mark stays: pyarrow refuses it where pandas hands columns to it.
                texts = rows[name].map(well_formed, na_action="ignore").astype(rows[name].dtype)
                rows = rows.assign(**{name: texts}).sort_values(name, kind="stable")
                totals[name] = "first"
        table = rows.groupby(list(self.keys), sort=True, dropna=False, observed=True).agg(totals).reset_index()
        return table.astype(rows.dtypes[[*self.keys, *totals]])

    def merge(self, partials: Iterable[pd.DataFrame]) -> pd.DataFrame:
        """Make one partial of several; order and grouping do not matter."""
        parts = list(partials)
        filled = [part for part in parts if len(part)]
        return self.group(pd.concat(filled, ignore_index=True)) if filled else parts[0]


def latency_quantiles(histogram: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Quantiles of latencies per group of an exact histogram, by nearest rank.

    The quantile of ``p`` percent is the smallest latency that at least ``p`` percent of the deliveries do not exceed: the one
    at rank ``max(1, ceil(p * n / 100))``. It is always an observed one, and equal to ``quantile_disc`` of DuckDB.

    Parameters
    ----------
    histogram : pandas.DataFrame
        Columns `keys`, ``latency_ms`` and ``deliveries`` (Int64); rows without a latency are left out.
    keys : sequence of str
        Columns that name a group.

    Returns
    -------
    pandas.DataFrame
        `keys` and the columns of `PERCENTS` (Int64); only groups with a latency.
    """
    on = list(keys)
    seen = histogram[histogram["latency_ms"].notna() & (histogram["deliveries"] > 0)]
    seen = seen.groupby([*on, "latency_ms"], sort=True, dropna=False, observed=True)["deliveries"].sum().reset_index()
    groups = seen.groupby(on, sort=False, dropna=False, observed=True)
    rank, total = groups["deliveries"].cumsum(), groups["deliveries"].transform("sum")
    found = groups.head(1)[on].reset_index(drop=True)
    for name, percent in PERCENTS.items():
        reached = seen[rank >= (total * percent + 99) // 100]
        first = reached.groupby(on, sort=False, dropna=False, observed=True).head(1)
        found[name] = pd.Series(first["latency_ms"].to_numpy(object), dtype="Int64")
    return found


def share(part: pd.Series[Any], whole: pd.Series[Any]) -> pd.Series[Any]:
    """Divide one count by another, Float64; NA for a zero divisor."""
    return cast("pd.Series[Any]", part.astype("Float64") / whole.astype("Float64").where(whole > 0))


def ranked(values: pd.Series[Any]) -> pd.Series[Any]:
    """Count each value, the most frequent first, ties in sorted order; missing values are left out."""
    counts = values.value_counts()
    return counts[counts > 0].sort_index().sort_values(ascending=False, kind="stable")


MOST_RETRIES = 1_000_000  # so that sums over a history stay within 64 bits
STATES = ("succeeded", "failed", "in flight")
_STATE = pd.CategoricalDtype(list(STATES))
FIELDS = {"endpoint": "url", "event": "event_type", "webhook": "webhook_id", "status": "status_code"}
SPANS = ("hour", "day", "week", "month")
_COUNTED = ("state", "attempts", "latency_ms")
COUNT_COLUMNS = (*_COUNTED, "deliveries")  # columns of a partial, after those of its groups
PERCENTS = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
DELIVERED_BY = {"delivered_by_1": 1, "delivered_by_2": 2, "delivered_by_3": 3}
_COLUMNS = (
    "deliveries", "succeeded", "failed", "in_flight", "success_rate", *DELIVERED_BY, "attempts", "attempts_mean", *PERCENTS,
)  # fmt: skip
_NEEDED = ("success", "status_code", "latency_ms", "retry_count", "error", "created_at")


def need_log(log: pd.DataFrame, call: str, names: Iterable[str]) -> pd.DataFrame:
    """Return a deliveries frame with the columns that statistics need and these, or raise a PlanError that names what is missing."""
    needed = dict.fromkeys([*_NEEDED, *names])
    times = [name for name in ("created_at", "delivered_at") if name in needed]
    return need_frame(log, needed, f"{call} needs a deliveries frame", "Use ws.deliveries(...).", times=times)


def delivery_state(log: pd.DataFrame) -> pd.Series[Any]:
    """Return the state of each delivery: ``succeeded``, ``failed`` or ``in flight``.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``; needs ``success``. Any of ``status_code latency_ms error`` distinguishes a failed attempt from none so
        far; without them every delivery without success has failed.

    Returns
    -------
    pandas.Series
        category, with the index of `log`.
    """
    success = booleans(log, "success")
    traces = [name for name in ("status_code", "latency_ms", "error") if name in log.columns]
    tried = log[traces].notna().any(axis=1) if traces else True
    codes = np.select([success.fillna(False).to_numpy(bool), (success.notna() & tried).to_numpy(bool)], [0, 1], 2)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=_STATE), index=log.index, name="state")


def deduplicate(log: pd.DataFrame) -> pd.DataFrame:
    """Return the deliveries of a frame, each once, with its most attempts. Those without an id all stay.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``, or several of them joined. Without ``delivery_id success retry_count`` it is returned unchanged.

    Returns
    -------
    pandas.DataFrame
        Rows of `log` in their order, with their index.
    """
    if not isinstance(log, pd.DataFrame) or not {"delivery_id", "success", "retry_count"} <= set(log.columns):
        return log  # a missing column is reported where it is needed
    known = log.loc[:, ~log.columns.duplicated()]  # a duplicate column is refused where it is needed
    ids = known["delivery_id"]
    done = booleans(known, "success").fillna(False).to_numpy(bool)
    tries = pd.to_numeric(known["retry_count"], errors="coerce").fillna(0).to_numpy(float)
    return last_of_each(log, ids, ids.notna(), tries, done)


def delivery_attempts(log: pd.DataFrame, state: pd.Series[Any]) -> pd.Series[Any]:
    """Return the attempts of each delivery, Int64; a missing retry count is 0, and one beyond a million is a million."""
    retries = log["retry_count"].astype("Int64").fillna(0).clip(lower=0, upper=MOST_RETRIES)
    return retries + (state != "in flight").astype("Int64")


def need_both_results(log: pd.DataFrame, what: str) -> None:
    """Raise a PlanError if a log was loaded with ``success=``: the rest would count as absent."""
    success = (log.attrs.get("filters") or {}).get("success")
    if success is not None:
        raise PlanError(
            f"{what} needs successes and failures, and the log was loaded with success={success}; load ws.deliveries(...) without it"
        )


def stats(log: pd.DataFrame, by: str | Sequence[str] = (), *, tz: str | None = None) -> pd.DataFrame:
    """Return success, attempts and latency of deliveries, by time, endpoint, event or several of them.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``.
    by : str or sequence of str
        ``hour``, ``day``, ``week`` (from Monday), ``month``, ``endpoint``, ``event``, ``webhook``, ``status``, or any column of `log`
        without the name of a result column; nothing for one row in all.
    tz : str, optional
        Time zone of hours, days, weeks and months, by default the workspace's (``log.attrs["tz"]``), else UTC. A day lasts from midnight
        to midnight, 23 or 25 hours when clocks change; a repeated hour counts as two hours.

    Returns
    -------
    pandas.DataFrame
        One row per group that has deliveries, sorted: the groups (``hour day week month`` as the instant they begin,
        ``datetime64[us, tz]``; ``endpoint event webhook status`` as their columns ``url event_type webhook_id status_code``), then

        - ``deliveries succeeded failed in_flight`` (Int64),
        - ``success_rate`` (Float64) = succeeded / (succeeded + failed); NA if all are in flight,
        - ``delivered_by_1 delivered_by_2 delivered_by_3`` (Float64): the share of the same that succeeded by attempt 1, 2, 3,
        - ``attempts`` (Int64, the sum) and ``attempts_mean`` (Float64, per delivery),
        - ``p50_ms p95_ms p99_ms`` (Int64): nearest rank over the deliveries with a latency, NA without any.

    Raises
    ------
    PlanError
        If a column is missing, or can't be counted by.
    ConfigError
        If `tz` is not a time zone, or `by` is not text.

    Examples
    --------
    >>> vx.deliveries.stats(log, by="event")[["event_type", "deliveries", "success_rate"]].head(2)
           event_type  deliveries  success_rate
    0   account.error          14           1.0
    1  media.uploaded          11           1.0
    """
    return finish(partial(deduplicate(log), by, tz=shown_zone(log, tz)))


def partial(log: pd.DataFrame, by: str | Sequence[str] = (), *, tz: str = "UTC") -> pd.DataFrame:
    """Count one part of a history.

    Parameters
    ----------
    log : pandas.DataFrame
        Any part of it, in any order.
    by, tz
        As for `stats`.

    Returns
    -------
    pandas.DataFrame
        One row per group, ``state`` (category), ``attempts`` (Int64) and ``latency_ms`` (Int64): ``deliveries`` (Int64).

    Raises
    ------
    PlanError
        If a column is missing, named twice, has the name of a result column, or contains lists.
    ConfigError
        If `by` is not text, or `tz` is not a time zone.
    """
    names = list_of_text("by", by)
    columns = [FIELDS.get(name, name) for name in names]
    if len(set(columns)) < len(columns):
        raise PlanError(f"by={names!r} names a column twice; name each once")
    if isinstance(log, pd.DataFrame):
        for name, column in zip(names, columns, strict=True):
            if column not in log.columns and column not in {*SPANS, *FIELDS.values()}:
                raise PlanError(f"by={name!r}; {did_you_mean(name, {*FIELDS, *SPANS, *map(str, log.columns)})}")
    if taken := sorted({*COUNT_COLUMNS, *_COLUMNS}.intersection(columns)):  # its values would be read as the count
        raise PlanError(f"by={taken[0]!r}: the statistics have a column with that name; rename the log's")
    log = need_log(log, "stats()", [name for name in columns if name not in SPANS])
    zone(tz)
    rows = pd.DataFrame(
        {name: span_start(log["created_at"], name, tz) if name in SPANS else log[name] for name in columns}, log.index
    )
    for name, column in zip(names, columns, strict=True):
        if rows[column].dtype == object and not rows[column].map(pd.api.types.is_hashable).all():
            raise PlanError(f"by={name!r}: the column contains lists or the like; explode it, or convert it to text")
    latency = log["latency_ms"].astype("Int64")
    state = delivery_state(log)
    rows = rows.assign(
        state=state,
        attempts=delivery_attempts(log, state),
        latency_ms=latency.where(latency >= 0),
        deliveries=pd.array(np.ones(len(log), np.int64), dtype="Int64"),
    )
    return _tally(columns).group(rows)


def merge(*partials: pd.DataFrame | Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Merge several partials, passed singly or as iterables; order and grouping do not matter.

    Raises
    ------
    PlanError
        If there is none, or they are not of the same groups.
    """
    parts = [part for each in partials for part in ([each] if isinstance(each, pd.DataFrame) else each)]
    if len({tuple(part.columns) for part in parts}) != 1:
        raise PlanError("merge() needs partials of the same groups; pass the same by= for all.")
    return _tally(_group_columns(parts[0])).merge(parts)


def span_start(times: pd.Series[Any], span: str, tz: str) -> pd.Series[Any]:
    """Return the start of each time's hour, day, week (from Monday) or month in a zone; ``datetime64[us, tz]``."""
    wall = times.dt.tz_convert(tz).dt.tz_localize(None)
    if span == "hour":
        # On the wall clock, but with each time's own offset: the repeated hour in autumn stays two hours.
        begun = (times - (wall - wall.dt.floor("h"))).dt.tz_convert(tz)
    else:
        days = wall.dt.normalize()
        if span != "day":  # by the calendar, not by hours: the week in which clocks change is a week, too
            days -= pd.to_timedelta(wall.dt.day_of_week if span == "week" else wall.dt.day - 1, unit="D")
        begun = day_starts(days, tz)
    return cast("pd.Series[Any]", begun.dt.as_unit("us"))


def _group_columns(partial: pd.DataFrame) -> list[str]:
    return [str(name) for name in partial.columns if name not in COUNT_COLUMNS]


def _tally(columns: Sequence[str]) -> Tally:
    return Tally(keys=(*columns, *_COUNTED), totals={"deliveries": "sum"})


def finish(partial: pd.DataFrame) -> pd.DataFrame:
    """Convert a partial, or several merged, to the table that `stats` returns.

    Parameters
    ----------
    partial : pandas.DataFrame
        From `partial` or `merge`.

    Returns
    -------
    pandas.DataFrame
        As `stats` returns it.
    """
    keys = _group_columns(partial)
    counts = partial["deliveries"]
    rows = partial.assign(
        _all=0,
        **{name.replace(" ", "_"): counts.where(partial["state"] == name, 0) for name in STATES},
        **{
            name: counts.where((partial["state"] == "succeeded") & (partial["attempts"] <= most), 0)
            for name, most in DELIVERED_BY.items()
        },
        attempts=partial["attempts"] * counts,
    )
    sums = [name for name in _COLUMNS if name in rows.columns]
    on = ["_all", *keys]
    if keys:
        table = rows.groupby(on, sort=True, dropna=False, observed=True)[sums].sum().reset_index()
    else:  # one row, also of no deliveries
        table = rows[sums].sum().to_frame().T.assign(_all=0)
    table = table.astype({**dict.fromkeys(sums, "Int64"), **rows.dtypes[keys]})
    return rates(table.merge(latency_quantiles(rows, on), on=on, how="left"), keys)


def rates(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Add the shares to counts and quantiles, and order the columns of `stats`."""
    settled = table["succeeded"] + table["failed"]
    table["success_rate"] = share(table["succeeded"], settled)
    for name in DELIVERED_BY:
        table[name] = share(table[name], settled)
    table["attempts_mean"] = share(table["attempts"], table["deliveries"])
    return table[[*keys, *_COLUMNS]]


_COUNTS = ("deliveries", "in_time", "late", "failed", "unknown", "long", "long_missed", "short", "short_missed")
_LEVELS = Tally(keys=("url",), totals=dict.fromkeys(_COUNTS, "sum"))
LEVEL_COLUMNS = (*_NEEDED, "url", "delivered_at")  # columns of deliveries that levels need
_LONGEST_MS = 1e15  # longer is late for any objective, and its microseconds may overflow
_DIGITS = 9  # digits of budgets and shares, so that rounding errors do not overdraw an exactly spent budget


def levels(
    log: pd.DataFrame,
    within: str | timedelta = "5min",
    target: float = 0.99,
    *,
    windows: Sequence[str | timedelta] = ("3D", "6h"),
    at_least: int = 100,
    now: datetime | None = None,
) -> pd.DataFrame:
    """Return the service level of each endpoint: the share delivered in time, the error budget left, and its burn rate.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``: the span of the objective, such as ``since="30D"``.
    within : str or timedelta
        The time limit of a delivery, including retries.
    target : float
        The share that must arrive within it.
    windows : sequence of str or timedelta
        A long and a short window before `now` for the burn rates.
    at_least : int
        The least number of due deliveries for a verdict.
    now : datetime, optional
        The server's time; by default the time of the load.

    Returns
    -------
    pandas.DataFrame
        One row per endpoint, the one with the least budget left first: ``url`` (string), ``deliveries in_time late failed unknown``
        (Int64; due ones), ``share`` (Float64, in time of those known), ``met`` (boolean), ``budget`` (Float64, deliveries that may
        miss), ``budget_left`` (Float64, share of it; below 0 it is overdrawn), ``burn_long burn_short`` (Float64, budgets per
        objective's time), ``burning`` (boolean, both above 1). NA with too few deliveries.

    Raises
    ------
    PlanError
        If a column is missing, or the log was loaded with ``success=``.
    ConfigError
        If a number or a length of time is invalid, or `now` has no offset.

    Examples
    --------
    >>> levels = vx.deliveries.levels(log, within="5min", target=0.99)
    >>> levels["met"].to_list()
    [False, False, <NA>]
    """
    log = need_log(log, "levels()", LEVEL_COLUMNS)
    need_both_results(log, "levels()")
    return levels_of([deduplicate(log)], present_of(log, now, log["created_at"]), within, target, windows, at_least)


def levels_of(
    parts: Iterable[pd.DataFrame],
    now: pd.Timestamp,
    within: str | timedelta,
    target: float,
    windows: Sequence[str | timedelta],
    at_least: int,
) -> pd.DataFrame:
    """Return the table of `levels` from the parts of a history, with each delivery in one of them."""
    if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target < 1:
        raise ConfigError(f"target={target!r} must be a share between 0 and 1, such as 0.99.")
    at_least = whole_number(
        at_least, ConfigError(f"at_least={at_least!r} must be a whole number of deliveries, 1 or more.")
    )
    if isinstance(windows, str) or not isinstance(windows, Collection) or len(windows) != 2:
        raise ConfigError(f"windows={windows!r} must be two lengths of time, such as ('3D', '6h').")
    time, (long, short) = length("within", within), [length("windows", each) for each in windows]
    if time <= pd.Timedelta(0) or not pd.Timedelta(0) < short < long:
        raise ConfigError("within and windows must be longer than zero, and the first window longer than the second.")
    counted = _LEVELS.merge(_level_partial(part, now, time, {"long": long, "short": short}) for part in parts)
    return _finish_levels(counted, 1 - target, at_least)


def _level_partial(
    log: pd.DataFrame, now: pd.Timestamp, within: pd.Timedelta, windows: Mapping[str, pd.Timedelta]
) -> pd.DataFrame:
    """Count the due deliveries of one part per endpoint."""
    due = log["created_at"] + within
    if len(log):
        counted = (due <= now) & log["url"].notna()
        log, due = log[counted], due[counted]
    state = delivery_state(log)
    took = log["delivered_at"] - log["created_at"]
    once = delivery_attempts(log, state) == 1
    latency = log["latency_ms"].astype("Float64")
    latency = latency.where(once & (latency >= 0).fillna(False)).clip(upper=_LONGEST_MS)
    quick = (latency.to_numpy(float, na_value=0.0) * 1000).round().astype(np.int64).astype("m8[us]")
    took = took.where(took.notna() | latency.isna(), pd.Series(quick, index=log.index))
    arrived = (state == "succeeded").to_numpy(bool)
    in_time, known = (took <= within).to_numpy(bool), took.notna().to_numpy(bool)
    flags = {
        "deliveries": np.ones(len(log), bool),
        "in_time": arrived & in_time,
        "late": arrived & known & ~in_time,
        "failed": ~arrived,
        "unknown": arrived & ~known,
    }
    missed = flags["late"] | flags["failed"]
    for name, window in windows.items():
        inside = (due > now - window).to_numpy(bool) & ~flags["unknown"]
        flags |= {name: inside, f"{name}_missed": inside & missed}
    rows = pd.DataFrame({"url": log["url"], **{name: flag.astype(np.int64) for name, flag in flags.items()}})
    return _LEVELS.group(rows.astype(dict.fromkeys(_COUNTS, "Int64")))


def _finish_levels(partial: pd.DataFrame, allowed: float, enough: int) -> pd.DataFrame:
    known = partial["in_time"] + partial["late"] + partial["failed"]
    missed = partial["late"] + partial["failed"]
    level = share(partial["in_time"], known).where(known >= enough)
    budget = (known.astype("Float64") * allowed).round(_DIGITS).where(known >= enough)
    burns = {
        f"burn_{name}": (share(partial[f"{name}_missed"], partial[name]) / allowed)
        .where(partial[name] >= enough)
        .round(_DIGITS)
        for name in ("long", "short")
    }
    spent = (missed.astype("Float64") / budget).round(_DIGITS)
    long, short = burns.values()
    burning = ((long > 1) & (short > 1)).where(long.notna() & short.notna())
    table = partial[["url", "deliveries", "in_time", "late", "failed", "unknown"]].assign(
        share=level,
        met=(spent <= 1).astype("boolean"),
        budget=budget,
        budget_left=1 - spent,
        **burns,
        burning=burning.astype("boolean"),
    )
    return table.sort_values(["budget_left", "url"], na_position="last", kind="stable", ignore_index=True)
