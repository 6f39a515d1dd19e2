"""Statistics of webhook deliveries: success, attempts and latency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from voxops._support.arguments import did_you_mean, list_of_text
from voxops.errors import PlanError
from voxops.frames.checks import booleans, need, unnamed_index
from voxops.frames.records import last_of_each
from voxops.frames.times import day_starts, shown_zone


def ranked(values: pd.Series[Any]) -> pd.Series[Any]:
    """Count each value, the most frequent first, ties in sorted order; missing values are left out."""
    counts = values.value_counts()
    return counts[counts > 0].sort_index().sort_values(ascending=False, kind="stable")


MOST_RETRIES = 1_000_000  # so that sums over a history stay within 64 bits
STATES = ("succeeded", "failed", "in flight")
_STATE = pd.CategoricalDtype(list(STATES))
FIELDS = {"endpoint": "url", "event": "event_type", "webhook": "webhook_id", "status": "status_code"}
SPANS = ("hour", "day", "week", "month")
PERCENTS = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
DELIVERED_BY = {"delivered_by_1": 1, "delivered_by_2": 2, "delivered_by_3": 3}
_ALL, _TAKEN = "_all", {"_all", "latency_ms"}  # columns of the statistics' own
_COLUMNS = (
    "deliveries", "succeeded", "failed", "in_flight", "success_rate", *DELIVERED_BY, "attempts", "attempts_mean", *PERCENTS,
)  # fmt: skip
NEEDED = ("success", "status_code", "latency_ms", "retry_count", "error", "created_at")


def need_log(log: pd.DataFrame, call: str, names: Iterable[str]) -> pd.DataFrame:
    """Return a deliveries frame with the columns that statistics need and these, or raise a PlanError that names what is missing."""
    needed = dict.fromkeys([*NEEDED, *names])
    times = [name for name in ("created_at", "delivered_at") if name in needed]
    return need(log, needed, f"{call} needs a deliveries frame", "Use ws.deliveries(...).", times=times)


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
    names = list_of_text("by", by)
    columns = [FIELDS.get(name, name) for name in names]
    if len(set(columns)) < len(columns):
        raise PlanError(f"by={names!r} names a column twice; name each once")
    if isinstance(log, pd.DataFrame):
        for name, column in zip(names, columns, strict=True):
            if column not in log.columns and column not in {*SPANS, *FIELDS.values()}:
                raise PlanError(f"by={name!r}; {did_you_mean(name, {*FIELDS, *SPANS, *map(str, log.columns)})}")
    if taken := sorted({*_TAKEN, *_COLUMNS}.intersection(columns)):  # its values would be read as the count
        raise PlanError(f"by={taken[0]!r}: the statistics have a column with that name; rename the log's")
    tz = shown_zone(log, tz)
    log = unnamed_index(need_log(deduplicate(log), "stats()", [name for name in columns if name not in SPANS]))
    keys = {name: span_start(log["created_at"], name, tz) if name in SPANS else log[name] for name in columns}
    for name, column in zip(names, columns, strict=True):
        if keys[column].dtype == object and not keys[column].map(pd.api.types.is_hashable).all():
            raise PlanError(f"by={name!r}: the column contains lists or the like; explode it, or convert it to text")
    return _counted(log, pd.DataFrame({_ALL: 0, **keys}, log.index))


def _counted(log: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `stats` for groups that these columns name."""
    state, on = delivery_state(log), list(keys.columns)
    attempts, succeeded = delivery_attempts(log, state), state == "succeeded"
    latency = log["latency_ms"].astype("Int64")
    counts = {
        "deliveries": state.notna(),
        **{name.replace(" ", "_"): state == name for name in STATES},
        **{name: succeeded & (attempts <= most) for name, most in DELIVERED_BY.items()},
        "attempts": attempts,
    }
    rows = keys.assign(**{name: count.astype("Int64") for name, count in counts.items()})
    rows = with_quantiles(rows.assign(latency_ms=latency.where(latency >= 0)), on)
    how = {**dict.fromkeys(counts, "sum"), **dict.fromkeys(PERCENTS, "max")}
    table = rows.groupby(on, sort=True, dropna=False, observed=True).agg(how)
    if on == [_ALL]:  # one row, also of no deliveries
        table = table.reindex([0]).fillna(dict.fromkeys(counts, 0))
    table = table.reset_index().astype(rows.dtypes[on])
    settled = table["succeeded"] + table["failed"]
    table["success_rate"] = _share(table["succeeded"], settled)
    for name in DELIVERED_BY:
        table[name] = _share(table[name], settled)
    table["attempts_mean"] = _share(table["attempts"], table["deliveries"])
    return table[[*on[1:], *_COLUMNS]]


def with_quantiles(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Add the columns of `PERCENTS`: each has the quantile of its group's latencies at one row of the group, and NA elsewhere.

    The quantile of ``p`` percent is by nearest rank: the smallest latency that at least ``p`` percent of the deliveries do not exceed,
    the one at rank ``ceil(p * n / 100)``. It is always an observed one, and equal to ``quantile_disc`` of DuckDB.
    """
    latency = rows.groupby(keys, dropna=False, observed=True)["latency_ms"]
    rank, total = latency.rank(method="first"), latency.transform("count")
    marks = {name: rank == (total * percent + 99) // 100 for name, percent in PERCENTS.items()}
    return rows.assign(**{name: rows["latency_ms"].where(mark) for name, mark in marks.items()})


def _share(part: pd.Series[Any], whole: pd.Series[Any]) -> pd.Series[Any]:
    """Divide one count by another, Float64; NA for a zero divisor."""
    return cast("pd.Series[Any]", part.astype("Float64") / whole.astype("Float64").where(whole > 0))


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
