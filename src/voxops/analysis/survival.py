"""How many attempts deliveries take until they succeed: a survival curve (Kaplan and Meier)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from voxops.analysis.partials import deduplicate, group_columns, partial
from voxops.analysis.statistics import share
from voxops.frames.spans import shown_zone

__all__ = ["attempts_to_success", "finish_attempts"]


def attempts_to_success(log: pd.DataFrame, by: str | Sequence[str] = (), *, tz: str | None = None) -> pd.DataFrame:
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
        If `by` is no text, or `tz` is not a time zone.

    Examples
    --------
    >>> vx.attempts_to_success(log).columns.to_list()[:3]
    ['attempt', 'at_risk', 'succeeded']
    """
    return finish_attempts(partial(deduplicate(log), by, tz=shown_zone(log, tz)))


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
    keys = group_columns(partial)
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
        curve["hazard"] = share(curve["succeeded"], at_risk)
        curve["survival"] = (1 - curve["hazard"]).groupby(groups, dropna=False, observed=True).cumprod()
    else:
        curve["at_risk"] = left[::-1].cumsum()[::-1]
        curve["hazard"] = share(curve["succeeded"], curve["at_risk"])
        curve["survival"] = (1 - curve["hazard"]).cumprod()
    curve = curve.astype({"at_risk": "Int64", "hazard": "Float64", "survival": "Float64"})
    # copied, as DuckDB does not read columns that lie backwards in memory
    return curve[[*on, "at_risk", "succeeded", "censored", "hazard", "survival"]].copy()


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
