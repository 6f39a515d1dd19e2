"""Snapshots of a pass over a run, made from the ledger, which knows what other senders did, too."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from voxops._support import safe
from voxops.acts.table import act_named
from voxops.api.reasons import Reason
from voxops.engine.control import Pass
from voxops.engine.job import notify
from voxops.engine.progress import fold, start
from voxops.errors import LedgerError
from voxops.ledger import Ledger, audit
from voxops.ledger.forming import CANCELLED
from voxops.model import Cell, Event, Observer, Outcome, Snapshot

if TYPE_CHECKING:
    from voxops.api.reasons import Reason
from voxops.client import AsyncClient

__all__ = ["REFRESH", "Reporter", "cells_from"]

REFRESH = 0.25  # real seconds between two snapshots
FIRST_REFRESH = 0.05  # the same before the first, when something is on its way
LONGEST_REFRESH = 3.0  # the same for thousands of rows; a monitor that stands still looks dead


def cells_from(counts: Counter[tuple[str, str]]) -> tuple[Cell, ...]:
    """Counts by platform and outcome as cells."""
    return tuple(Cell(platform, Outcome(outcome), count) for (platform, outcome), count in counts.items())


class Reporter:
    """Tells an observer how far a run is.

    Parameters
    ----------
    client : AsyncClient
        For server time and pace.
    ledger : Ledger
        The ledger.
    run : str
        The run.
    observer : Observer
        Who is notified of each new snapshot.

    Attributes
    ----------
    snapshot : Snapshot
        The newest state.
    """

    def __init__(self, client: AsyncClient, ledger: Ledger, run: str, observer: Observer) -> None:
        self._client = client
        self._ledger = ledger
        self._run = run
        self._observer = observer
        self._requests = client.requests
        self._acts = 0
        self._pass: Pass | None = None
        self._held_up = ""
        head = ledger.runs.head(run)
        counts = audit.cells(ledger, run)
        title = f"{act_named(head.action).verb} {safe.many(counts.total(), 'row')}"
        self.snapshot = start(run, head.action, at=client.now(), title=title, cells=cells_from(counts), held=head.held)

    def refresh(self, current: Pass) -> Snapshot:
        """Fold what has happened since into the snapshot, and notify the observer."""
        if current is not self._pass:
            self._pass, self._acts = current, 0  # each pass counts from the beginning
        at = self._client.now()
        counts, why = audit.tally(self._ledger, self._run, current.reasons.waiting)
        requests, self._requests = self._client.requests - self._requests, self._client.requests
        acts, self._acts = current.tally.acts - self._acts, current.tally.acts
        planned = Event(
            "planned", at, cells=cells_from(counts), transitions=current.tally.take_transitions(), pace=self._client.pace,
            acts=acts, requests=requests,
        )  # fmt: skip
        snapshot = fold(self.snapshot, planned)
        waits: Counter[str] = Counter()
        for (op, reason), count in why.items():
            waits[str(current.reasons.waiting.get(op) or reason)] += count
        snapshot = fold(snapshot, Event("waiting", at, waits=waits))
        if self._held_up != self._ledger.held_up:
            self._held_up = self._ledger.held_up
            snapshot = fold(snapshot, Event("note", at, text=self._held_up))
        phase = _phase(current)
        if phase == "paused" and any(why.startswith(CANCELLED) for why in waits) and not self._unsent():
            phase = "watching"  # what was given up is not there to be resumed
        if phase != snapshot.phase or current.control.halted:
            snapshot = fold(snapshot, Event("phase", at, phase=phase, text=current.control.halted))
        return self._show(snapshot)

    def note(self, current: Pass, text: str) -> None:
        """Say something in the snapshot, after the pass has ended."""
        self.refresh(current)
        self._show(fold(self.snapshot, Event("phase", self._client.now(), phase="blocked", text=text)))

    def recount(self) -> None:
        """Show what has become of rows since the pass ended, as where their posts were withdrawn (rule 30); the phase stays."""
        with suppress(LedgerError):  # a busy disk; ws.attach shows it
            cells = cells_from(audit.cells(self._ledger, self._run))
            snapshot = fold(self.snapshot, Event("planned", self._client.now(), cells=cells))
            if snapshot.cells != self.snapshot.cells:
                self._show(snapshot)

    async def follow(self, current: Pass) -> None:
        """Refresh a few times a second; less often where that takes long, for it should cost half a percent of the time."""
        pause = FIRST_REFRESH
        while True:
            await asyncio.sleep(pause)
            began = time.thread_time()  # not what it waits for the interpreter while a cell computes
            with suppress(LedgerError):  # a busy disk; the next refresh shows it, and `finish` fails if none can
                self.refresh(current)
            pause = max(REFRESH, min(LONGEST_REFRESH, 199 * (time.thread_time() - began)))

    def finish(self, current: Pass) -> Snapshot:
        """Note how the pass ended: why what is not settled waits, in the ledger and in the last snapshot."""
        reasons: dict[int, Reason | str] = {**current.reasons.refused, **current.reasons.waiting}
        if current.control.halted:
            left = self._ledger.operations.of_run(self._run, ("planned",))
            reasons = {**{operation.id: f"stopped: {current.control.halted}" for operation in left}, **reasons}
        with self._ledger.atomic():
            for op, why in reasons.items():
                self._ledger.outcomes.wait_for(op, str(why))
                if op in current.reasons.blocked:
                    self._ledger.outcomes.block(op, str(why))
        snapshot = self.refresh(current)
        went = current.control.closed and not current.control.halted and not self._unsent()
        if went and any(snapshot.count(each) for each in (Outcome.PENDING, Outcome.UNKNOWN)):
            self._ledger.runs.finish(self._run, state="open", note=snapshot.note)  # nobody watches what it has sent
            return snapshot
        if not current.control.halted and (not current.control.paused or not self._unsent()):
            snapshot = self._show(fold(snapshot, Event("phase", self._client.now(), phase=self._last_phase(snapshot))))
        self._ledger.runs.finish(self._run, state=snapshot.phase, note=snapshot.note)
        return snapshot

    def _last_phase(self, snapshot: Snapshot) -> str:
        """Word for how a pass that went through has ended."""
        given_up = sum(rows for why, rows in snapshot.waits.items() if why.startswith(f"{CANCELLED};"))
        if snapshot.count(Outcome.BLOCKED) > self._ledger.runs.withdrawn(self._run) + given_up:
            return "blocked"
        return "cancelled" if given_up or CANCELLED in snapshot.waits else "done"

    def _unsent(self) -> bool:
        """Whether there is anything that going on might send."""
        return bool(self._ledger.operations.of_run(self._run, ("planned", "unknown")))

    def _show(self, snapshot: Snapshot) -> Snapshot:
        self.snapshot = snapshot
        notify(self._observer, snapshot)
        return snapshot


def _phase(current: Pass) -> str:
    """Word for what the pass is doing."""
    if current.control.halted:
        return "stopped"
    if current.control.paused:
        return "paused"
    return "sending" if len(current.queue) or current.queue.in_flight else "watching"
