"""Service levels of endpoints: what share arrives within a time, how much may still fail, and how fast that is being used up.

A delivery is *due* once it is as old as the time that it has; younger ones say nothing yet and are left out. It is *in time* if it
succeeded within it, by whatever attempt: both instants are the API's own. It is *late* if it succeeded later, and *failed* if it has
not succeeded, in flight or not. Where a delivery that succeeded has no ``delivered_at``, its latency tells; where it was retried or
has none (a negative one is none), nobody can say: it is counted as *unknown*, and neither for nor against the endpoint.

The *error budget* is the share that may miss: ``1 - target`` of what was due. The *burn rate* over a window is the share that missed
there, in budgets: at 1 the budget lasts exactly, at 2 half as long. One window alone either rings late or for every blip; so an
endpoint burns when the long window and the short one both do (Google, Site Reliability Workbook, chapter 5).

Counts are sums: parts of a history merge in any order, as in `voxops.analysis.partials`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import pandas as pd

from voxops._core.arguments import whole_number
from voxops.analysis.partials import deduplicate, delivery_attempts, delivery_state, need_both_results
from voxops.analysis.statistics import Tally, flat, share
from voxops.errors import ConfigError
from voxops.frames import need_frame
from voxops.frames.spans import length, present_of

__all__ = ["Objective", "finish_levels", "level_partial", "merge_levels", "service_levels"]

_COUNTS = ("deliveries", "in_time", "late", "failed", "unknown", "long", "long_missed", "short", "short_missed")
_TALLY = Tally(keys=("url",), totals=dict.fromkeys(_COUNTS, "sum"))
_NEEDED = ("url", "success", "status_code", "latency_ms", "retry_count", "error", "created_at", "delivered_at")
_LONGEST_MS = 1e15  # what is longer is late for any objective, and its microseconds may be more than a time holds
_DIGITS = 9  # of budgets and their shares: what is just spent is not overdrawn by how a computer rounds


@dataclass(frozen=True, slots=True)
class Objective:
    """What is asked of an endpoint.

    Attributes
    ----------
    within : Timedelta
        The time that a delivery has.
    target : float
        The share that must arrive in it, between 0 and 1.
    windows : tuple of Timedelta
        Over which the burn rate is taken, the long one first; they end now.
    at_least : int
        How many deliveries must have been due before a share or a rate says anything.
    """

    within: pd.Timedelta
    target: float
    windows: tuple[pd.Timedelta, pd.Timedelta]
    at_least: int

    @classmethod
    def of(
        cls,
        within: str | timedelta,
        target: float,
        windows: Sequence[str | timedelta],
        at_least: int,
    ) -> Objective:
        """Read what an analyst writes; a ConfigError says what is wrong with it."""
        if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target < 1:
            raise ConfigError(f"target={target!r} must be a share between 0 and 1, such as 0.99.")
        at_least = whole_number(
            at_least, ConfigError(f"at_least={at_least!r} must be a whole number of deliveries, 1 or more.")
        )
        if isinstance(windows, str) or not isinstance(windows, Collection) or len(windows) != 2:
            raise ConfigError(f"windows={windows!r} must be two lengths of time, such as ('3D', '6h').")
        time, (long, short) = length("within", within), [length("windows", each) for each in windows]
        if time <= pd.Timedelta(0) or not pd.Timedelta(0) < short < long:
            raise ConfigError(
                "within and windows must be longer than nothing, and the first window longer than the second."
            )
        return cls(time, float(target), (long, short), at_least)


def service_levels(
    log: pd.DataFrame,
    within: str | timedelta = "5min",
    target: float = 0.99,
    *,
    windows: Sequence[str | timedelta] = ("3D", "6h"),
    at_least: int = 100,
    now: datetime | None = None,
) -> pd.DataFrame:
    """Say of each endpoint whether enough deliveries arrive in time, what of its error budget is left, and how fast it burns.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``: the span of the objective, such as ``since="30D"``.
    within : str or timedelta
        The time that a delivery has, with all its retries.
    target : float
        The share that must arrive within it.
    windows : sequence of str or timedelta
        A long and a short window before `now`, over which the burn rates are taken.
    at_least : int
        Deliveries that must have been due for a verdict; with fewer there is none.
    now : datetime, optional
        The server's time; by default when the log was fetched.

    Returns
    -------
    pandas.DataFrame
        One row per endpoint, the one that has least of its budget left first: ``url`` (string), ``deliveries in_time late failed
        unknown`` (Int64; of those that were due), ``share`` (Float64, in time of those known), ``met`` (boolean), ``budget``
        (Float64, deliveries that may miss), ``budget_left`` (Float64, share of it; below 0 it is overdrawn), ``burn_long
        burn_short`` (Float64, budgets per budget's time), ``burning`` (boolean, both above 1). NA where there were too few
        deliveries to say.

    Raises
    ------
    PlanError
        If a column is missing, or the log was loaded with ``success=``.
    ConfigError
        If a number or a length of time is none, or `now` has no offset.

    Examples
    --------
    >>> levels = vx.service_levels(log, within="5min", target=0.99)
    >>> levels["met"].to_list()
    [False, False, <NA>]
    """
    objective = Objective.of(within, target, windows, at_least)
    what = "service_levels() needs a deliveries frame"
    log = need_frame(log, _NEEDED, what, "Use ws.deliveries(...).", times=["created_at", "delivered_at"])
    need_both_results(log, "service_levels()")
    present = present_of(log, now, log["created_at"])
    return finish_levels(level_partial(deduplicate(log), objective, present), objective)


def level_partial(log: pd.DataFrame, objective: Objective, now: pd.Timestamp) -> pd.DataFrame:
    """Count one part of a history: one row per endpoint; `merge_levels` makes one of several."""
    due = log["created_at"] + objective.within
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
    in_time, known = (took <= objective.within).to_numpy(bool), took.notna().to_numpy(bool)
    flags = {
        "deliveries": np.ones(len(log), bool),
        "in_time": arrived & in_time,
        "late": arrived & known & ~in_time,
        "failed": ~arrived,
        "unknown": arrived & ~known,
    }
    missed = flags["late"] | flags["failed"]
    for name, window in zip(("long", "short"), objective.windows, strict=True):
        inside = (due > now - window).to_numpy(bool) & ~flags["unknown"]
        flags |= {name: inside, f"{name}_missed": inside & missed}
    rows = pd.DataFrame({"url": log["url"], **{name: flag.astype(np.int64) for name, flag in flags.items()}})
    return _TALLY.group(rows.astype(dict.fromkeys(_COUNTS, "Int64")))


def merge_levels(*partials: pd.DataFrame | Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Make one partial of several, of the same objective and the same now."""
    return _TALLY.merge(flat(partials))


def finish_levels(partial: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    """Turn a partial into the table of `service_levels`."""
    enough = objective.at_least
    allowed = 1 - objective.target
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
    table = partial[["url", "deliveries", "in_time", "late", "failed", "unknown"]].assign(
        share=level,
        met=(spent <= 1).astype("boolean"),
        budget=budget,
        budget_left=1 - spent,
        **burns,
        burning=_all(burns["burn_long"] > 1, burns["burn_short"] > 1),
    )
    return table.sort_values(["budget_left", "url"], na_position="last", kind="stable", ignore_index=True)


def _all(one: pd.Series[Any], other: pd.Series[Any]) -> pd.Series[Any]:
    """Both; NA where either is not known."""
    return cast("pd.Series[Any]", (one & other).where(one.notna() & other.notna()).astype("boolean"))
