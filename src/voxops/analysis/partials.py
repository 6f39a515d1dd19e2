"""State, attempts and latency of webhook deliveries, and how any part of a history is counted by them. Frame in, frame out.

Every count rests on one *partial*: how many deliveries there are of each group, state, number of attempts and latency.
Partials are frames and merge in any order, so the same three functions run on one pandas frame, over a Parquet archive file
by file, on Dask partitions and in Spark's ``mapInPandas``, and give the same digits::

    finish(merge(partial(part, by="day") for part in parts))

**State** of a delivery: *succeeded* if ``success`` is true; *failed* if it is false and an attempt left a trace (status code,
latency or error), for all that the API may still try it again; *in flight* otherwise. **Attempts** are ``retry_count + 1``,
and ``retry_count`` of a delivery in flight, whose first attempt has left no trace yet. **Latency** is what the API measured
for the last attempt, in whole milliseconds; a negative one (two clocks) is no latency. **Time** is ``created_at``, the API's
own clock; ``delivered_at`` is never compared with another machine's. A delivery that a frame holds twice, as where two logs that
overlap were joined, counts **once** (`deduplicate`); parts that are counted one by one must not overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from voxops._core.arguments import did_you_mean, list_of_text
from voxops.analysis.statistics import Tally, flat
from voxops.errors import PlanError
from voxops.frames import need_frame
from voxops.frames.columns import booleans
from voxops.frames.spans import day_starts, zone

__all__ = [
    "COUNT_COLUMNS",
    "FIELDS",
    "MOST_RETRIES",
    "SPANS",
    "STATES",
    "deduplicate",
    "delivery_attempts",
    "delivery_state",
    "group_columns",
    "merge",
    "need_both_results",
    "partial",
    "span_start",
]

MOST_RETRIES = 1_000_000  # so that sums over a history stay within 64 bits
STATES = ("succeeded", "failed", "in flight")
_STATE = pd.CategoricalDtype(list(STATES))
FIELDS = {"endpoint": "url", "event": "event_type", "webhook": "webhook_id", "status": "status_code"}
SPANS = ("hour", "day", "week", "month")
_OF_DAYS = frozenset({"week", "month"})  # spans that are made of whole days
_TRACES = ("status_code", "latency_ms", "error")
_COUNTED = ("state", "attempts", "latency_ms")
COUNT_COLUMNS = (*_COUNTED, "deliveries")  # columns of a partial, behind those of its groups
# What statistics are made of: a group of such a name would be taken for it.
_OWN = {
    *COUNT_COLUMNS, "succeeded", "failed", "in_flight", "success_rate", "attempts_mean", "p50_ms", "p95_ms", "p99_ms",
    "delivered_by_1", "delivered_by_2", "delivered_by_3",
}  # fmt: skip
_NEEDED = ("success", "status_code", "latency_ms", "retry_count", "error", "created_at")


def delivery_state(log: pd.DataFrame) -> pd.Series[Any]:
    """State of each delivery: ``succeeded``, ``failed`` or ``in flight``.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``; needs ``success``. What else it has of ``status_code latency_ms error`` tells a failed attempt from none
        so far; without any of them what did not succeed has failed.

    Returns
    -------
    pandas.Series
        category, with the index of `log`.
    """
    success = booleans(log, "success")
    traces = [name for name in _TRACES if name in log.columns]
    tried = log[traces].notna().any(axis=1) if traces else True
    codes = np.select([success.fillna(False).to_numpy(bool), (success.notna() & tried).to_numpy(bool)], [0, 1], 2)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=_STATE), index=log.index, name="state")


def deduplicate(log: pd.DataFrame) -> pd.DataFrame:
    """Return the deliveries of a frame, each once: as it stands after the most attempts. Those without an id all stay.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``, or several of them joined. Without ``delivery_id success retry_count`` it is returned as it is.

    Returns
    -------
    pandas.DataFrame
        Rows of `log` in their order, with their index.
    """
    if not isinstance(log, pd.DataFrame) or not {"delivery_id", "success", "retry_count"} <= set(log.columns):
        return log  # what it lacks is said where it is needed
    known = log.loc[:, ~log.columns.duplicated()]  # what it has twice is refused where it is needed
    ids = known["delivery_id"]
    if not (ids.duplicated() & ids.notna()).any():
        return log
    done = booleans(known, "success").fillna(False).to_numpy(bool)
    tries = pd.to_numeric(known["retry_count"], errors="coerce").fillna(0).to_numpy(float)
    order = np.lexsort((tries, done))  # of equals the last one in the frame stands
    ranked = ids.iloc[order]
    kept = (~ranked.duplicated(keep="last") | ranked.isna()).to_numpy(bool)
    return log.iloc[np.sort(order[kept])]


def delivery_attempts(log: pd.DataFrame, state: pd.Series[Any]) -> pd.Series[Any]:
    """How many attempts each delivery has had, Int64; a missing retry count is 0, and one beyond a million is a million."""
    retries = log["retry_count"].astype("Int64").fillna(0).clip(lower=0, upper=MOST_RETRIES)
    return retries + (state != "in flight").astype("Int64")


def need_both_results(log: pd.DataFrame, what: str) -> None:
    """Raise a PlanError where a log was loaded with what failed alone, or what arrived alone: the rest would be taken for not there."""
    success = (log.attrs.get("filters") or {}).get("success")
    if success is not None:
        raise PlanError(
            f"{what} needs what arrived and what failed, and the log was loaded with success={success}; load ws.deliveries(...) without it"
        )


def partial(log: pd.DataFrame, by: str | Sequence[str] = (), *, tz: str = "UTC") -> pd.DataFrame:
    """Count one part of a history.

    Parameters
    ----------
    log : pandas.DataFrame
        Any part of it, in any order.
    by, tz
        As for `delivery_stats`.

    Returns
    -------
    pandas.DataFrame
        One row per group, ``state`` (category), ``attempts`` (Int64) and ``latency_ms`` (Int64): ``deliveries`` (Int64).

    Raises
    ------
    PlanError
        If a column is missing, named twice, called as the statistics call theirs, or holds lists.
    ConfigError
        If `by` is no text, or `tz` is not a time zone.
    """
    names = list_of_text("by", by)
    columns = [FIELDS.get(name, name) for name in names]
    if len(set(columns)) < len(columns):
        raise PlanError(f"by={names!r} names a column twice; name each once")
    if isinstance(log, pd.DataFrame):
        for name, column in zip(names, columns, strict=True):
            if column not in log.columns and column not in {*SPANS, *FIELDS.values()}:
                raise PlanError(f"by={name!r}; {did_you_mean(name, {*FIELDS, *SPANS, *map(str, log.columns)})}")
    if taken := sorted(_OWN.intersection(columns)):
        raise PlanError(
            f"by={taken[0]!r}: the statistics have a column of that name themselves; rename that of the log"
        )
    needed = [name for name in (*_NEEDED, *columns) if name not in SPANS]
    what = "these statistics need a deliveries frame"
    log = need_frame(log, needed, what, "Use ws.deliveries(...).", times=["created_at"])
    zone(tz)
    rows = pd.DataFrame(
        {name: span_start(log["created_at"], name, tz) if name in SPANS else log[name] for name in columns}, log.index
    )
    for name, column in zip(names, columns, strict=True):
        if rows[column].dtype == object and not rows[column].map(pd.api.types.is_hashable).all():
            raise PlanError(f"by={name!r}: the column holds lists or the like; explode it, or make text of it")
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
    """Make one partial of several, one by one or as an iterable; order and grouping do not matter.

    Raises
    ------
    PlanError
        If there is none, or they are not of the same groups.
    """
    parts = flat(partials)
    if len({tuple(part.columns) for part in parts}) != 1:
        raise PlanError("merge() needs partials of the same groups; make all of them with the same by=.")
    return _tally(group_columns(parts[0])).merge(parts)


def span_start(times: pd.Series[Any], span: str, tz: str) -> pd.Series[Any]:
    """When the hour, day, week (from Monday) or month of each time began in a time zone; ``datetime64[us, tz]``."""
    wall = times.dt.tz_convert(tz).dt.tz_localize(None)
    if span == "hour":
        # On the wall clock, yet by each time's own offset: the hour that comes twice in autumn stays two hours.
        begun = (times - (wall - wall.dt.floor("h"))).dt.tz_convert(tz)
    else:
        days = wall.dt.normalize()
        if span in _OF_DAYS:  # by the calendar, not by hours: the week in which clocks change is a week, too
            days -= pd.to_timedelta(wall.dt.day_of_week if span == "week" else wall.dt.day - 1, unit="D")
        begun = day_starts(days, tz)
    return cast("pd.Series[Any]", begun.dt.as_unit("us"))


def group_columns(partial: pd.DataFrame) -> list[str]:
    """The columns of a partial that name its groups."""
    return [str(name) for name in partial.columns if name not in COUNT_COLUMNS]


def _tally(columns: Sequence[str]) -> Tally:
    """The shape of a partial with these groups."""
    return Tally(keys=(*columns, *_COUNTED), totals={"deliveries": "sum"})
