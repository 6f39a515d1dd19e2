"""What runs do: `PlanJob` carries a plan out through the engine, `WatchJob` follows things that somebody else started."""

from __future__ import annotations

import json
import random
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops import audit, frames
from voxops.compare import verified
from voxops.creates import plan_bulk
from voxops.drive import REFRESH, Drive
from voxops.engine import Engine
from voxops.errors import NotFoundError, VoxopsError
from voxops.model import TERMINAL_STATUSES, WAITING_STATUSES, Action, Event, Observer, Outcome, Snapshot, Transition
from voxops.plan import PLAN_COLUMNS, Plan
from voxops.progress import cells_of, fold, start
from voxops.reconcile import LIKELY
from voxops.retries import plan_redeliver, plan_retry
from voxops.triage import triage
from voxops.watch import Reader, interval

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["PlanJob", "WatchJob"]

_TRIAGED = ("cause", "verdict", "remedy", "retryable")


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
        failed = (table["outcome"] == Outcome.FAILED).to_numpy(dtype=bool)
        table = table[failed]
        states = [state for state, wanted in zip(states, failed, strict=True) if wanted]
        extra = {*PLAN_COLUMNS, *audit.RESULT_COLUMNS} - {"attempt", "error_code", "error_message"}
        rows = table.drop(columns=list(extra)).assign(attempt=table["attempt"] + 1)
        rows.attrs = {name: value for name, value in table.attrs.items() if name != "open_targets"}
        if "post_id" in rows.columns:
            opened = {post: state["open"] for post, state in zip(rows["post_id"], states, strict=True) if "open" in state}
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
            last[post] = {name: value for name, value in state.items() if name != "status"}
    return [state | last.get(post, {}) for post, state in zip(table["post_id"], states, strict=True)]


def _like(values: Sequence[Any], column: pd.Series) -> Any:
    """Values as an array of the column's dtype; times as ISO text are read."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return frames.parse_times([None if value is None or value is pd.NaT else str(value) for value in values])
    known: list[Any] = [pd.NA if value is None else value for value in values]
    return pd.Series(known, dtype=column.dtype).array


class WatchJob:
    """Follows posts, media or accounts until each is terminal; it reads only.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    ids : mapping
        Id -> what it belongs to: the platform or group that the monitor counts it under.
    kind : str
        ``post``, ``media`` or ``account``.
    deadline : float
        Seconds of server time after which what has not ended is left pending.
    """

    def __init__(
        self, client: AsyncClient, ids: Mapping[str, str], *, kind: str, deadline: float = 1800.0, rng: random.Random | None = None
    ) -> None:
        self.id = f"watch_{secrets.token_hex(5)}"
        self._client = client
        self._reader = Reader(client)
        self._groups = dict(ids)
        self._kind = kind
        self._deadline = deadline
        self._rng = rng or random.Random()
        self._status: dict[str, str | None] = dict.fromkeys(ids)
        self._error: dict[str, str] = {}
        self._settled_at: dict[str, pd.Timestamp] = {}

    def begin(self, observer: Observer, stop_after_failures: int | None = None) -> Drive:
        """Make a drive."""
        snapshot = start(self.id, Action.WATCH, at=self._client.now(), title=f"watch {len(self._groups)} {self._kind}s", phase="watching")
        return Drive(self.id, fold(snapshot, self._planned(())), observer, stop_after_failures)

    async def go(self, drive: Drive) -> Snapshot:
        """Look until everything is terminal or the deadline has passed."""
        began = self._client.now().timestamp()
        looks = 0
        while (left := self._left()) and not drive.paused and not drive.halted:
            try:
                moves = await self._look(left)
            except VoxopsError as error:
                drive.halt(str(error))
                break
            self._tell(drive, moves)
            if not self._holding():
                break
            if self._client.now().timestamp() - began > self._deadline:
                drive.halt(f"still pending after {self._deadline / 60:.0f} minutes; look at the dashboard")
                break
            looks = 0 if moves else looks + 1
            await drive.rest(self._client.clock, max(interval(looks, self._rng), REFRESH))
        phase = "stopped" if drive.halted else "paused" if drive.paused and self._left() else "done"
        drive.snapshot = fold(drive.snapshot, Event("phase", self._client.now(), phase=phase, text=drive.halted))
        if drive.observer is not None:
            drive.observer.notice(drive.snapshot)
        return drive.snapshot

    def _left(self) -> set[str]:
        """Things that are not terminal."""
        return {item for item, status in self._status.items() if self._outcome(status) is Outcome.PENDING}

    def _holding(self) -> bool:
        """Whether something may still end by itself (rule 20)."""
        return any(self._status[item] not in WAITING_STATUSES for item in self._left())

    def _outcome(self, status: str | None) -> Outcome:
        """What a status means; an unknown one is never terminal."""
        if status in {"published", "ready", "completed", "cancelled", "unpublished", "archived"}:
            return Outcome.SUCCEEDED
        if status in TERMINAL_STATUSES or status in {"gone", "error"}:
            return Outcome.FAILED
        return Outcome.PENDING

    async def _look(self, left: set[str]) -> list[Transition]:
        """Read once; return what changed."""
        at = self._client.now()
        now = await self._read(left)
        moves = []
        for item in sorted(left):
            status = now.get(item, "gone")
            was = self._status[item]
            if status == was:
                continue
            self._status[item] = status
            if self._outcome(status) is not Outcome.PENDING:
                self._settled_at[item] = pd.Timestamp(at)
            moves.append(Transition(at, item, self._groups[item], was or "not read yet", status, self._error.get(item, "")))
        return moves

    async def _read(self, ids: set[str]) -> dict[str, str]:
        """Present status by id."""
        if self._kind == "post":
            states = await self._reader.posts(ids, LIKELY)
            for post_id, state in states.items():
                self._error[post_id] = next((row["error_message"] or "" for row in state.targets if row["status"] == "failed"), "")
            return {post_id: state.status for post_id, state in states.items()}
        found = {}
        for item in sorted(ids):
            status = await self._read_one(item)
            if status is not None:
                found[item] = status
        return found

    async def _read_one(self, item: str) -> str | None:
        """Status of one medium, or of one account's backfill."""
        path = f"/v1/media/{item}" if self._kind == "media" else f"/v1/accounts/{item}"
        try:
            data = (await self._client.request("GET", path)).data
        except NotFoundError:
            return None
        if self._kind == "account":
            data = data.get("backfill") or {}
        elif data.get("metadata", {}).get("importStatus"):
            data = {"status": data["status"], **data}
        return str(data.get("status", "pending")).lower()

    def _planned(self, moves: Sequence[Transition]) -> Event:
        """The state of everything, as an event."""
        cells = cells_of((group, str(self._outcome(self._status[item]))) for item, group in self._groups.items())
        return Event("planned", self._client.now(), cells=cells, transitions=tuple(moves), pace=self._client.pace)

    def _tell(self, drive: Drive, moves: Sequence[Transition]) -> None:
        """Tell the observer."""
        snapshot = fold(drive.snapshot, self._planned(moves))
        waits = Counter(self._status[item] or "not read yet" for item in self._left())
        drive.snapshot = fold(snapshot, Event("waiting", self._client.now(), waits=waits))
        if drive.observer is not None:
            drive.observer.notice(drive.snapshot)

    async def withdraw(self) -> int:
        """Nothing was sent, so there is nothing to give up."""
        return 0

    def results(self) -> pd.DataFrame:
        """One row per thing: ``id platform status outcome waiting_for error_message`` (string), ``settled_at`` (UTC)."""
        items = list(self._groups)
        outcomes = [self._outcome(self._status[item]) for item in items]
        waits = [self._status[item] or "not read yet" if out is Outcome.PENDING else None for item, out in zip(items, outcomes, strict=True)]
        return pd.DataFrame(
            {
                "id": pd.array(items, dtype="string"),
                "platform": pd.array([self._groups[item] for item in items], dtype="string"),
                "status": pd.array([self._status[item] for item in items], dtype="string"),
                "outcome": pd.array([str(out) for out in outcomes], dtype="string"),
                "waiting_for": pd.array(waits, dtype="string"),
                "error_message": pd.array([self._error.get(item) or None for item in items], dtype="string"),
                "settled_at": pd.DatetimeIndex([self._settled_at.get(item, pd.NaT) for item in items], dtype="datetime64[us, UTC]"),
            }
        )

    def failed(self) -> pd.DataFrame:
        """The things that ended badly."""
        table = self.results()
        return table[table["outcome"] == Outcome.FAILED]

    async def verify(self) -> pd.DataFrame:
        """Read everything once more; see `results`."""
        await self._look(set(self._status))
        return self.results()

    def replan(self) -> Plan | None:
        """Nothing was planned."""
        return None
