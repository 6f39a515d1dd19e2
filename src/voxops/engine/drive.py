"""One pass over a run: what its senders share, how it is told to stop, and what it tells an observer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from voxops._core import safe
from voxops.engine.progress import fold, start
from voxops.errors import LedgerError
from voxops.ledger import audit
from voxops.ledger.ledger import Clearance, Ledger
from voxops.model import VERBS, Cell, Clock, Event, Observer, Outcome, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Drive", "Teller"]

REFRESH = 0.25  # real seconds between two snapshots
FIRST_REFRESH = 0.05  # the same before the first, when something is on its way
LONGEST_REFRESH = 3.0  # the same for thousands of rows; a monitor that stands still looks dead


@dataclass(eq=False)
class Drive:
    """One pass over a run: what its senders share, and how it is told to stop.

    `waiting` says why operations don't go on in this pass, `refused` why one was not sent when it was its turn; `looks` counts the
    looks since anything was sent or settled, `failures` the rows that have failed; `over` says that it is on its way out.
    """

    run: str
    snapshot: Snapshot
    observer: Observer | None = None
    stop_after_failures: int | None = None
    failures: int = 0
    paused: bool = False
    closed: bool = False
    halted: str = ""
    over: bool = False
    ready: asyncio.Queue[Clearance | None] = field(default_factory=asyncio.Queue)
    queued: set[int] = field(default_factory=set)
    not_before: dict[int, float] = field(default_factory=dict)
    tries: Counter[int] = field(default_factory=Counter)
    throttled: Counter[int] = field(default_factory=Counter)
    waiting: dict[int, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    looks: int = 0
    in_flight: int = 0
    acts: int = 0
    requests: int = 0
    transitions: list[Transition] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def halt(self, why: str) -> None:
        """Send nothing more; the first reason counts."""
        self.halted = self.halted or why
        self.changed.set()

    def note(self, transitions: Sequence[Transition]) -> None:
        """Take note of what became of rows; stop where it was asked to stop after so many failures."""
        self.transitions += transitions
        self.failures += sum(each.now == Outcome.FAILED for each in transitions)
        if self.stop_after_failures is not None and self.failures >= self.stop_after_failures:
            self.halt(f"stopped after {self.failures} failures, as asked; look at run.failed(), then run.resume()")

    def go_on(self) -> None:
        """Send again, as a new pass would: what made this one give up counts from now."""
        self.paused, self.halted, self.failures, self.looks = False, "", 0, 0
        for reasons in (self.waiting, self.refused, self.tries, self.throttled):
            reasons.clear()
        self.changed.set()

    def tell(self, subject: str) -> None:
        """Take note that something is said to have happened to a thing; it is looked at next."""
        self.told.add(subject)
        self.changed.set()

    def heard(self) -> set[str]:
        """What was told since this was asked last."""
        told, self.told = self.told, set()
        return told

    @property
    def sending(self) -> bool:
        """Whether new requests may leave."""
        return not self.paused and not self.halted

    def settle_down(self) -> None:
        """Note that nothing is under way and nothing queued."""
        self.idle.set()
        self.changed.set()

    def close(self) -> None:
        """Send nothing more, and end when nothing is under way."""
        self.paused = self.closed = True
        self.changed.set()

    async def quiet(self) -> None:
        """Wait until no request of this drive is under way."""
        while self.in_flight:
            self.idle.clear()
            await self.idle.wait()

    async def rest(self, clock: Clock, seconds: float) -> None:
        """Sleep, or wake when the drive is told something or runs out of work."""
        tasks = [asyncio.create_task(self.changed.wait()), asyncio.create_task(clock.sleep(max(seconds, 0.0)))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.changed.clear()


def _cells(counts: Counter[tuple[str, str]]) -> tuple[Cell, ...]:
    """Counts as cells."""
    return tuple(Cell(platform, Outcome(outcome), count) for (platform, outcome), count in counts.items())


class Teller:
    """Makes snapshots of a drive from the ledger, which knows what other senders did, too.

    Parameters
    ----------
    client : AsyncClient
        For server time and pace.
    ledger : Ledger
        The ledger.
    """

    def __init__(self, client: AsyncClient, ledger: Ledger) -> None:
        self.client = client
        self.ledger = ledger

    def begin(self, run: str, observer: Observer | None, stop_after_failures: int | None) -> Drive:
        """Make a drive of a run, with the snapshot that the ledger gives now."""
        row = self.ledger.query("SELECT * FROM runs WHERE id = ?", (run,))
        if not row:
            raise LedgerError(f"no run {run} in this ledger; ws.runs() lists them")
        counts = audit.cells(self.ledger, run)
        verb = VERBS[row[0]["action"]]
        title = f"{verb} {safe.many(counts.total(), 'row')}"
        held = int(row[0]["held"])
        snapshot = start(run, row[0]["action"], at=self.client.now(), title=title, cells=_cells(counts), held=held)
        return Drive(
            run,
            snapshot,
            observer,
            stop_after_failures,
            requests=self.client.requests,
        )

    def refresh(self, drive: Drive) -> Snapshot:
        """Fold what has happened since into the snapshot, and tell the observer."""
        at = self.client.now()
        counts, reasons = audit.tally(self.ledger, drive.run, drive.waiting)
        moves, drive.transitions = tuple(drive.transitions), []
        acts = drive.acts - drive.snapshot.acts
        requests = self.client.requests - drive.requests
        drive.requests = self.client.requests
        planned = Event(
            "planned", at, cells=_cells(counts), transitions=moves, pace=self.client.pace, acts=acts, requests=requests
        )
        snapshot = fold(drive.snapshot, planned)
        waits: Counter[str] = Counter()
        for (op, why), count in reasons.items():
            waits[drive.waiting.get(op, "") or why] += count
        snapshot = fold(snapshot, Event("waiting", at, waits=waits))
        phase = self._phase(drive)
        if phase != snapshot.phase or drive.halted:
            snapshot = fold(snapshot, Event("phase", at, phase=phase, text=drive.halted))
        drive.snapshot = snapshot
        if drive.observer is not None:
            drive.observer.notice(snapshot)
        return snapshot

    def _phase(self, drive: Drive) -> str:
        """Word for what the drive is doing."""
        if drive.halted:
            return "stopped"
        if drive.paused:
            return "paused"
        return "sending" if drive.queued or drive.in_flight else "watching"

    async def follow(self, drive: Drive) -> None:
        """Tell the observer a few times a second; less often where telling takes long, for it should cost half a percent of the time."""
        pause = FIRST_REFRESH
        while True:
            await asyncio.sleep(pause)
            began = time.thread_time()  # not what it waits for the interpreter while a cell computes
            self.refresh(drive)
            pause = max(REFRESH, min(LONGEST_REFRESH, 199 * (time.thread_time() - began)))

    def finish(self, drive: Drive) -> Snapshot:
        """Note how the drive ended: why what is not settled waits, in the ledger and in the last snapshot."""
        with self.ledger.atomic():
            for op, why in (drive.refused | drive.waiting).items():
                self.ledger.wait_for(op, why)
        snapshot = self.refresh(drive)
        unsent = self.ledger.operations_of(drive.run, ("planned", "unknown"))
        if not drive.halted and (not drive.paused or not unsent):
            snapshot = fold(snapshot, Event("phase", self.client.now(), phase="done"))
        drive.snapshot = snapshot
        if drive.observer is not None:
            drive.observer.notice(snapshot)
        with self.ledger.atomic() as db:
            db.execute("UPDATE runs SET state = ?, note = ? WHERE id = ?", (snapshot.phase, snapshot.note, drive.run))
        return snapshot
