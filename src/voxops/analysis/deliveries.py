"""Success, attempts and latency of webhook deliveries, by time, endpoint, event or several of them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from voxops.analysis.partials import STATES, deduplicate, group_columns, partial
from voxops.analysis.statistics import quantiles, share
from voxops.frames.spans import shown_zone

__all__ = ["DELIVERED_BY", "PERCENTS", "delivery_stats", "finish", "rates"]

PERCENTS = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}
DELIVERED_BY = {"delivered_by_1": 1, "delivered_by_2": 2, "delivered_by_3": 3}


def delivery_stats(log: pd.DataFrame, by: str | Sequence[str] = (), *, tz: str | None = None) -> pd.DataFrame:
    """Success, attempts and latency of deliveries, by time, endpoint, event or several of them.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``.
    by : str or sequence of str
        ``hour``, ``day``, ``week`` (from Monday), ``month``, ``endpoint``, ``event``, ``webhook``, ``status``, or any column of `log`
        that is not called as one of the result; nothing for one row in all.
    tz : str, optional
        Time zone of hours, days, weeks and months, that of the workspace (``log.attrs["tz"]``) by default, else UTC. A day lasts from
        midnight to midnight there, 23 or 25 hours when the clock changes; an hour that the clock goes through twice is two hours.

    Returns
    -------
    pandas.DataFrame
        One row per group that has deliveries, sorted: the groups (``hour day week month`` as the instant they begin,
        ``datetime64[us, tz]``; ``endpoint event webhook status`` as their columns ``url event_type webhook_id status_code``), then

        - ``deliveries succeeded failed in_flight`` (Int64),
        - ``success_rate`` (Float64) = succeeded / (succeeded + failed); NA where all are in flight,
        - ``delivered_by_1 delivered_by_2 delivered_by_3`` (Float64): of the same, the share that succeeded by attempt 1, 2, 3,
        - ``attempts`` (Int64, the sum) and ``attempts_mean`` (Float64, per delivery),
        - ``p50_ms p95_ms p99_ms`` (Int64): nearest rank over the deliveries that have a latency, NA without any.

    Raises
    ------
    PlanError
        If a column is missing, or can't be counted by.
    ConfigError
        If `tz` is not a time zone, or `by` not text.

    Examples
    --------
    >>> vx.delivery_stats(log, by="event")[["event_type", "deliveries", "success_rate"]].head(2)
           event_type  deliveries  success_rate
    0   account.error          14           1.0
    1  media.uploaded          11           1.0
    """
    return finish(partial(deduplicate(log), by, tz=shown_zone(log, tz)))


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
    keys = group_columns(partial)
    counts = partial["deliveries"]
    rows = partial.assign(
        **{name.replace(" ", "_"): counts.where(partial["state"] == name, 0) for name in STATES},
        **{
            name: counts.where((partial["state"] == "succeeded") & (partial["attempts"] <= most), 0)
            for name, most in DELIVERED_BY.items()
        },
        attempts=partial["attempts"] * counts,
    )
    sums = ["deliveries", "succeeded", "failed", "in_flight", *DELIVERED_BY, "attempts"]
    if keys:
        table = rows.groupby(keys, sort=True, dropna=False, observed=True)[sums].sum().reset_index()
    else:
        table = rows[sums].sum().to_frame().T
    table = table.astype({**dict.fromkeys(sums, "Int64"), **rows.dtypes[keys]})
    return rates(
        table.merge(
            quantiles(rows, keys, "latency_ms", "deliveries", PERCENTS),
            on=keys or None,
            how="left" if keys else "cross",
        ),
        keys,
    )


def rates(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Add the shares to counts and quantiles, and put the columns of `delivery_stats` in their order."""
    settled = table["succeeded"] + table["failed"]
    table["success_rate"] = share(table["succeeded"], settled)
    for name in DELIVERED_BY:
        table[name] = share(table[name], settled)
    table["attempts_mean"] = share(table["attempts"], table["deliveries"])
    counts = [
        "deliveries",
        "succeeded",
        "failed",
        "in_flight",
        "success_rate",
        *DELIVERED_BY,
        "attempts",
        "attempts_mean",
    ]
    return table[[*keys, *counts, *PERCENTS]]
