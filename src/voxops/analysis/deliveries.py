"""What the webhook delivery history says: rates, attempts, latencies, outages, duplicates, losses. Frame in, frame out.

Every count rests on one *partial*: how many deliveries there are of each group, state, number of attempts and latency.
Partials are frames and merge in any order, so the same three functions run on one pandas frame, over a Parquet archive file
by file, on Dask partitions and in Spark's ``mapInPandas``, and give the same digits::

    finish(merge(partial(part, by="day") for part in parts))

**State** of a delivery: *succeeded* if ``success`` is true; *failed* if it is false and an attempt left a trace (status code,
latency or error), for all that the API may still try it again; *in flight* otherwise. **Attempts** are ``retry_count + 1``,
and ``retry_count`` of a delivery in flight, whose first attempt has left no trace yet. **Latency** is what the API measured
for the last attempt, in whole milliseconds; a negative one (two clocks) is no latency. **Time** is ``created_at``, the API's
own clock; ``delivered_at`` is never compared with another machine's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from voxops._core.arguments import texts
from voxops.analysis.statistics import Tally, flat, quantiles
from voxops.errors import PlanError
from voxops.frames.spans import zone
from voxops.frames.typed import need_frame

__all__ = [
    "STATES",
    "attempts_to_success",
    "delivery_state",
    "delivery_stats",
    "finish",
    "finish_attempts",
    "merge",
    "partial",
]

STATES = ("succeeded", "failed", "in flight")
_STATE = pd.CategoricalDtype(list(STATES))
_FIELDS = {"endpoint": "url", "event": "event_type", "webhook": "webhook_id", "status": "status_code"}
_SPANS = {"hour": "h", "day": "D"}
_COUNTED = ("state", "attempts", "latency_ms")
_PERCENTS = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
_NEEDED = ("success", "status_code", "latency_ms", "retry_count", "error", "created_at")


def delivery_state(log: pd.DataFrame) -> pd.Series[Any]:
    """State of each delivery: ``succeeded``, ``failed`` or ``in flight``.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``; needs ``success status_code latency_ms error``.

    Returns
    -------
    pandas.Series
        category, with the index of `log`.
    """
    success = log["success"].astype("boolean")
    tried = log["status_code"].notna() | log["latency_ms"].notna() | log["error"].notna()
    codes = np.select([success.fillna(False).to_numpy(bool), (success.notna() & tried).to_numpy(bool)], [0, 1], 2)
    return pd.Series(pd.Categorical.from_codes(codes, dtype=_STATE), index=log.index, name="state")


def delivery_attempts(log: pd.DataFrame, state: pd.Series[Any]) -> pd.Series[Any]:
    """How many attempts each delivery has had, Int64; a missing retry count is 0."""
    retries = log["retry_count"].astype("Int64").fillna(0).clip(lower=0)
    return retries + (state != "in flight").astype("Int64")


def delivery_stats(log: pd.DataFrame, by: str | Sequence[str] = (), *, tz: str = "UTC") -> pd.DataFrame:
    """Success, attempts and latency of deliveries, by time, endpoint, event or several of them.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``.
    by : str or sequence of str
        ``hour``, ``day``, ``endpoint``, ``event``, ``webhook``, ``status``, or any column of `log`; nothing for one row in all.
    tz : str
        Time zone of days and hours. A day lasts from midnight to midnight there, 23 or 25 hours when the clock changes; an hour
        that the clock goes through twice is two hours.

    Returns
    -------
    pandas.DataFrame
        One row per group that has deliveries, sorted: the groups (``hour`` and ``day`` as the instant they begin,
        ``datetime64[us, tz]``; ``endpoint event webhook status`` as their columns ``url event_type webhook_id status_code``), then

        - ``deliveries succeeded failed in_flight`` (Int64),
        - ``success_rate`` (Float64) = succeeded / (succeeded + failed); NA where all are in flight,
        - ``attempts`` (Int64, the sum) and ``attempts_mean`` (Float64, per delivery),
        - ``p50_ms p95_ms p99_ms`` (Int64): nearest rank over the deliveries that have a latency, NA without any.

    Raises
    ------
    PlanError
        If a column is missing.
    ConfigError
        If `tz` is no time zone, or `by` no text.
    """
    return finish(partial(log, by, tz=tz))


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
        If a column is missing.
    ConfigError
        If `tz` is no time zone.
    """
    names = texts("by", by)
    columns = [_FIELDS.get(name, name) for name in names]
    needed = [name for name in (*_NEEDED, *columns) if name not in _SPANS]
    what = "these statistics need a deliveries frame"
    need_frame(log, needed, what, "Use ws.deliveries(...).", times=["created_at"])
    zone(tz)
    rows = pd.DataFrame(
        {name: begin(log["created_at"], name, tz) if name in _SPANS else log[name] for name in columns}, log.index
    )
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
    """Make one partial of several, given one by one or as an iterable; order and grouping do not matter.

    Raises
    ------
    PlanError
        If there is none, or they are not of the same groups.
    """
    parts = flat(partials)
    if len({tuple(part.columns) for part in parts}) != 1:
        raise PlanError("merge() needs partials of the same groups; make all of them with the same by=.")
    return _tally(_groups(parts[0])).merge(parts)


def finish(partial: pd.DataFrame) -> pd.DataFrame:
    """Turn a partial, or several merged, into the table of `delivery_stats`.

    Parameters
    ----------
    partial : pandas.DataFrame
        From `partial` or `merge`.

    Returns
    -------
    pandas.DataFrame
        As `delivery_stats` returns it.
    """
    keys = _groups(partial)
    counts = partial["deliveries"]
    rows = partial.assign(
        **{name.replace(" ", "_"): counts.where(partial["state"] == name, 0) for name in STATES},
        attempts=partial["attempts"] * counts,
    )
    sums = ["deliveries", "succeeded", "failed", "in_flight", "attempts"]
    if keys:
        table = rows.groupby(keys, sort=True, dropna=False, observed=True)[sums].sum().reset_index()
    else:
        table = rows[sums].sum().to_frame().T
    table = table.astype({**dict.fromkeys(sums, "Int64"), **rows.dtypes[keys]})
    table["success_rate"] = _share(table["succeeded"], table["succeeded"] + table["failed"])
    table["attempts_mean"] = _share(table["attempts"], table["deliveries"])
    table = table.merge(
        quantiles(rows, keys, "latency_ms", "deliveries", _PERCENTS), on=keys or None, how="left" if keys else "cross"
    )
    order = [
        *keys,
        "deliveries",
        "succeeded",
        "failed",
        "in_flight",
        "success_rate",
        "attempts",
        "attempts_mean",
        *_PERCENTS,
    ]
    return table[order]


def attempts_to_success(log: pd.DataFrame, by: str | Sequence[str] = (), *, tz: str = "UTC") -> pd.DataFrame:
    """How many attempts deliveries take until they succeed: a survival curve (Kaplan and Meier).

    A delivery that has not succeeded after its last attempt so far is *censored* there: it counts among those at risk up to
    that attempt, and says nothing of later ones. One that has had no attempt yet says nothing at all.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``.
    by, tz
        As for `delivery_stats`.

    Returns
    -------
    pandas.DataFrame
        One row per group and attempt 1, 2, …: the groups, ``attempt``, ``at_risk`` (deliveries that took this attempt),
        ``succeeded`` (of these, by it), ``censored`` (of these, not yet, and no further attempt so far) (Int64), ``hazard`` (Float64)
        = succeeded / at_risk, ``survival`` (Float64) = product of ``1 - hazard`` up to here: the share not delivered after it.

    Raises
    ------
    PlanError
        If a column is missing.
    ConfigError
        If `tz` is no time zone.
    """
    return finish_attempts(partial(log, by, tz=tz))


def finish_attempts(partial: pd.DataFrame) -> pd.DataFrame:
    """Turn a partial, or several merged, into the curve of `attempts_to_success`.

    Parameters
    ----------
    partial : pandas.DataFrame
        From `partial` or `merge`.

    Returns
    -------
    pandas.DataFrame
        As `attempts_to_success` returns it.
    """
    keys = _groups(partial)
    rows = partial[partial["attempts"] > 0]
    won = rows["state"] == "succeeded"
    rows = rows.assign(
        attempt=rows["attempts"], succeeded=rows["deliveries"].where(won, 0), censored=rows["deliveries"].where(~won, 0)
    )
    on = [*keys, "attempt"]
    ended = rows.groupby(on, sort=True, dropna=False, observed=True)[["succeeded", "censored"]].sum().reset_index()
    curve = _every_attempt(ended, keys)
    left = curve["succeeded"] + curve["censored"]
    if keys:
        groups = [curve[name] for name in keys]
        at_risk = left[::-1].groupby([group[::-1] for group in groups], dropna=False, observed=True).cumsum()[::-1]
        curve["at_risk"] = at_risk
        curve["hazard"] = _share(curve["succeeded"], at_risk)
        curve["survival"] = (1 - curve["hazard"]).groupby(groups, dropna=False, observed=True).cumprod()
    else:
        curve["at_risk"] = left[::-1].cumsum()[::-1]
        curve["hazard"] = _share(curve["succeeded"], curve["at_risk"])
        curve["survival"] = (1 - curve["hazard"]).cumprod()
    curve = curve.astype({"at_risk": "Int64", "hazard": "Float64", "survival": "Float64"})
    return curve[[*on, "at_risk", "succeeded", "censored", "hazard", "survival"]]


def _every_attempt(ended: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows for every attempt up to the last of each group, also for those at which nothing ended."""
    last = (
        ended.groupby(keys, sort=True, dropna=False, observed=True)["attempt"].max().reset_index()
        if keys
        else ended.tail(1)
    )
    counts = last["attempt"].to_numpy(np.int64) if len(last) else np.empty(0, np.int64)
    every = last[keys].loc[last.index.repeat(counts)].reset_index(drop=True)
    every["attempt"] = pd.array(
        np.concatenate([np.arange(1, n + 1) for n in counts]) if len(counts) else counts, dtype="Int64"
    )
    curve = every.merge(ended, on=[*keys, "attempt"], how="left")
    return curve.fillna({"succeeded": 0, "censored": 0}).astype({"succeeded": "Int64", "censored": "Int64"})


def begin(times: pd.Series[Any], span: str, tz: str) -> pd.Series[Any]:
    """When the hour or day of each time began in a time zone; ``datetime64[us, tz]``."""
    local = times.dt.tz_convert(tz)
    if span == "hour":
        # On the wall clock, yet by each time's own offset: the hour that comes twice in autumn stays two hours.
        wall = local.dt.tz_localize(None)
        begun = (times - (wall - wall.dt.floor("h"))).dt.tz_convert(tz)
    else:
        midnight = local.dt.tz_localize(None).dt.normalize()
        first = np.ones(len(times), bool)  # of two midnights
        begun = midnight.dt.tz_localize(tz, ambiguous=first, nonexistent="shift_forward")
    return cast("pd.Series[Any]", begun.dt.as_unit("us"))


def _groups(partial: pd.DataFrame) -> list[str]:
    """The columns of a partial that name its groups."""
    return [str(name) for name in partial.columns if name not in {*_COUNTED, "deliveries"}]


def _tally(columns: Sequence[str]) -> Tally:
    """The shape of a partial with these groups."""
    return Tally(keys=(*columns, *_COUNTED), totals={"deliveries": "sum"})


def _share(part: pd.Series[Any], whole: pd.Series[Any]) -> pd.Series[Any]:
    """One count by another, Float64; NA where there is nothing to divide by."""
    return cast("pd.Series[Any]", part.astype("Float64") / whole.astype("Float64").where(whole > 0))
