"""The failures of a triage that remain after a run."""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxops.analysis.triage import NEEDED, triage
from voxops.frames.records import TARGET_KEY
from voxops.frames.schemas import STRING_DTYPE
from voxops.model import Outcome, Verdict

__all__ = ["remaining_failures"]

_KEYS = list(TARGET_KEY)
_OUTCOME = ("outcome", "waiting_for")


def remaining_failures(failures: pd.DataFrame, results: pd.DataFrame, failed: pd.DataFrame) -> pd.DataFrame:
    """Return the failures after a run: without those that succeeded, and with the new error of those that failed again.

    Rows that settled before the frame was read stay as they are in the frame.

    Parameters
    ----------
    failures : pandas.DataFrame
        Rows of a triaged frame that have a cause.
    results, failed : pandas.DataFrame
        Of the run. If they name no targets, as in a campaign, the failures stay as they are.
    """
    if not set(_KEYS) <= set(results) or not {*_KEYS, *NEEDED} <= set(failed):
        return failures
    outcomes = _outcomes(failures, results)
    outcome, why = outcomes["outcome"], outcomes["waiting_for"]
    pending, unknown, again = (
        (outcome == name).fillna(False).astype(bool) for name in (Outcome.PENDING, Outcome.UNKNOWN, Outcome.FAILED)
    )
    every = (
        failures[outcome.isna() | (outcome == Outcome.BLOCKED).fillna(False)],
        _again(failures[again], failed),
        _under_way(failures[pending], why[pending]),
        _unknown(failures[unknown], why[unknown]),
    )
    parts = [part for part in every if len(part)]
    table = pd.concat(parts) if parts else failures.head(0)
    table.attrs = dict(failures.attrs)
    return table


def _outcomes(failures: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Return the outcome of each failure in the run; NA if it was not sent, or settled before the frame was read."""
    known = pd.Series(True, index=results.index)
    if "tries" in results:
        known &= results["tries"].fillna(0) > 0
    fetched = failures.attrs.get("fetched_at")
    if fetched is not None and "settled_at" in results:
        known &= ~(results["settled_at"] < pd.Timestamp(fetched)).fillna(False)
    rows = results.loc[known, [*_KEYS, *_OUTCOME]].drop_duplicates(_KEYS)
    outcomes = failures[_KEYS].merge(rows, on=_KEYS, how="left")
    return outcomes.set_axis(failures.index)


def _again(tried: pd.DataFrame, failed: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that failed again, triaged by the new error."""
    now = triage(failed.drop(columns="outcome", errors="ignore"))  # `failed` has the statuses after the run
    wanted = tried[_KEYS].merge(now, on=_KEYS, how="inner").drop_duplicates(_KEYS)
    return wanted.reindex(columns=tried.columns)


def _under_way(rows: pd.DataFrame, why: pd.Series[Any]) -> pd.DataFrame:
    """Return the rows that were sent and have no outcome yet."""
    remedy = "It was sent and has not ended: " + why.fillna("its outcome is awaited") + "."
    return rows.assign(status="publishing", **_judged(rows, Verdict.WAIT, remedy))


def _unknown(rows: pd.DataFrame, why: pd.Series[Any]) -> pd.DataFrame:
    """Return the rows that were sent and whose outcome is unknown."""
    remedy = "Its outcome is unknown, so look at the post: " + why.fillna("no answer") + "."
    return rows.assign(**_judged(rows, Verdict.SUPPORT, remedy))


def _judged(rows: pd.DataFrame, verdict: Verdict, remedy: pd.Series[Any]) -> dict[str, Any]:
    """Return the columns of a triage, by the run."""
    return {
        "verdict": pd.array([str(verdict)] * len(rows), dtype=STRING_DTYPE),
        "remedy": remedy.astype(STRING_DTYPE).array,
        "retryable": False,
    }
