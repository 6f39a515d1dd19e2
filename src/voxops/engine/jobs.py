"""What a run does with a plan: `PlanJob` carries it out through the engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from voxops import frames
from voxops.acts.creates import plan_bulk
from voxops.acts.plan import PLAN_COLUMNS, Plan
from voxops.acts.retries import plan_redeliver, plan_retry
from voxops.analysis import triage
from voxops.engine.drive import Drive
from voxops.engine.engine import Engine
from voxops.engine.verification import verified
from voxops.frames.columns import plain_values
from voxops.ledger import audit
from voxops.model import Action, Observer, Outcome, Snapshot

__all__ = ["PlanJob"]

_OF_TARGET = ("error_code", "error_message")
_TRIAGED = ("cause", "verdict", "remedy", "retryable")
_REFUSED = "SKIPPED"  # the API's own word that it will not try a target again


class PlanJob:
    """Carries a bound plan out.

    Parameters
    ----------
    engine : Engine
        The workspace's engine.
    run : str
        Id of a run in its ledger.
    """

    def __init__(self, engine: Engine, run: str) -> None:
        self.id = run
        self._engine = engine
        self._ledger = engine.ledger

    def begin(self, observer: Observer, stop_after_failures: int | None = None) -> Drive:
        """Make a drive."""
        return self._engine.drive(self.id, observer, stop_after_failures)

    async def go(self, drive: Drive) -> Snapshot:
        """Send, look and settle."""
        return await self._engine.go(drive)

    def concerns(self, subject: str) -> bool:
        """Whether something that was sent and is not settled bears this id."""
        return self._engine.concerns(self.id, subject)

    async def withdraw(self) -> int:
        """Give up what was never sent."""
        return await self._engine.withdraw(self.id)

    def results(self) -> pd.DataFrame:
        """One row per eligible row, with its outcome."""
        return audit.results(self._ledger, self.id)

    @property
    def action(self) -> Action:
        """What the plan does."""
        return Action(self._ledger.query("SELECT action FROM runs WHERE id = ?", (self.id,))[0][0])

    def failed(self) -> pd.DataFrame:
        """The failed rows as the server shows them now, as their next attempt; failed targets are triaged afresh."""
        table = self.results()
        states = _newest(table, audit.seen_states(self._ledger, self.id))
        if self.action in {Action.RETRY, Action.FIX}:
            states = _with_errors(table, audit.planned_rows(self._ledger, self.id), states)
        failed = (table["outcome"] == Outcome.FAILED).to_numpy(dtype=bool)
        table = table[failed]
        states = [state for state, wanted in zip(states, failed, strict=True) if wanted]
        extra = {*PLAN_COLUMNS, *audit.RESULT_COLUMNS} - {"attempt", "error_code", "error_message"}
        rows = table.drop(columns=list(extra)).assign(attempt=table["attempt"] + 1)
        rows.attrs = {name: value for name, value in table.attrs.items() if name != "open_targets"}
        if "post_id" in rows.columns:
            opened = {
                post: state["open"] for post, state in zip(rows["post_id"], states, strict=True) if "open" in state
            }
            rows.attrs["open_targets"] = json.dumps(opened)
        for name in {name for state in states for name in state} & set(rows.columns):
            now = [state.get(name, old) for state, old in zip(states, rows[name], strict=True)]
            rows[name] = _like(now, rows[name])
        if self.action is Action.RETRY:
            rows = triage(rows.drop(columns=[name for name in _TRIAGED if name in rows.columns]))
        return rows

    async def verify(self) -> pd.DataFrame:
        """Read the posts again and compare, per cause."""
        table = self.results()
        ids = set(table["post_id" if "post_id" in table.columns else "result_id"].dropna())
        posts = await self._engine.read_posts(ids)
        return verified(table, posts, self.action)

    @property
    def plan(self) -> Plan | None:
        """The plan that is carried out, as it was bound."""
        return audit.plan_of(self._ledger, self.id)

    def replan(self) -> Plan | None:
        """A plan to retry what failed; it is shown, not run."""
        failed = self.failed()
        if self.action is Action.RETRY:
            return plan_retry(failed)
        if self.action is Action.REDELIVER:
            return plan_redeliver(failed)
        if self.action is Action.BULK:
            row = self._ledger.query("SELECT campaign, key_column FROM runs WHERE id = ?", (self.id,))[0]
            return plan_bulk(failed, key=row["key_column"], campaign=row["campaign"])
        return None


def _newest(table: pd.DataFrame, states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row's state, with what belongs to its post from whichever of the post's rows was settled last."""
    if "post_id" not in table.columns:
        return states
    last: dict[Any, dict[str, Any]] = {}
    for post, state in zip(table["post_id"], states, strict=True):
        if state and (post not in last or str(state["updated_at"]) > str(last[post]["updated_at"])):
            last[post] = {name: value for name, value in state.items() if name not in {"status", *_OF_TARGET}}
    return [state | last.get(post, {}) for post, state in zip(table["post_id"], states, strict=True)]


def _with_errors(table: pd.DataFrame, planned: pd.DataFrame, states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row's state with the error that decides what comes next.

    A refused act changed nothing, so its target still shows its old error. What the API left out keeps the API's word: by the old
    error it would be planned again, and be left out again, for ever.
    """
    old = zip(*(plain_values(planned, name) for name in _OF_TARGET), strict=True)
    new = zip(*(plain_values(table, name) for name in _OF_TARGET), strict=True)
    return [
        dict(zip(_OF_TARGET, before, strict=True))
        | state
        | (dict(zip(_OF_TARGET, now, strict=True)) if now[0] == _REFUSED else {})
        for before, now, state in zip(old, new, states, strict=True)
    ]


def _like(values: Sequence[Any], column: pd.Series) -> Any:
    """Values as an array of the column's dtype; times as ISO text are read."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return frames.parse_times([None if value is None or value is pd.NaT else str(value) for value in values])
    known: list[Any] = [pd.NA if value is None else value for value in values]
    return pd.Series(known, dtype=column.dtype).array
