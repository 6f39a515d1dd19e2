"""How far a run is, shown to who follows it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from voxops._support import safe
from voxops.acts.table import act_named
from voxops.api.reasons import Reason
from voxops.errors import LedgerError
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger
from voxops.model import OUTCOMES, Cell, Observer, Outcome, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient
    from voxops.engine.drive import Pass

REFRESH = 0.25  # real seconds between two snapshots
FIRST_REFRESH = 0.05  # the same before the first, when something is on its way
LONGEST_REFRESH = 3.0  # the same for thousands of rows; a monitor that stands still looks dead

RECENT = 8  # transitions that a Snapshot keeps
_log = logging.getLogger(__name__)


def notify(observer: Observer, snapshot: Snapshot) -> None:
    """Show a new state to who follows a run; a display that breaks stops neither the run nor what the others see."""
    try:
        observer.notice(snapshot)
    except Exception:  # noqa: BLE001
        _log.exception("what follows %s broke", snapshot.run_id)


def cells_of(counts: Counter[tuple[str, str]]) -> tuple[Cell, ...]:
    """Items by platform and outcome, by platform, then in the order of the outcomes."""
    places = sorted(counts, key=lambda place: (place[0], OUTCOMES.index(place[1])))
    return tuple(Cell(platform, Outcome(outcome), counts[platform, outcome]) for platform, outcome in places)


class Progress:
    """Tells an observer how far a run is.

    Parameters
    ----------
    client : AsyncClient
        For server time, requests and pace.
    observer : Observer
        Who is notified of each new snapshot.
    run, action, title, phase : str
        Whose progress it is, and where it begins.
    cells : tuple of Cell
        All eligible items.
    held : int
        Rows of the plan that were never eligible.

    Attributes
    ----------
    snapshot : Snapshot
        The newest state.
    """

    def __init__(
        self,
        client: AsyncClient,
        observer: Observer,
        run: str,
        action: str,
        title: str,
        *,
        phase: str = "sending",
        cells: tuple[Cell, ...] = (),
        held: int = 0,
    ) -> None:
        self._client = client
        self._observer = observer
        self._requests = client.requests
        at = client.now()
        self.snapshot = Snapshot(run, action, title, phase, at, at, cells, held, pace=client.pace)

    def show(self, snapshot: Snapshot, moves: Sequence[Transition] = ()) -> Snapshot:
        """Show a state as the newest one, with the time, the requests, the pace and the moves since the last."""
        requests, self._requests = self._client.requests - self._requests, self._client.requests
        recent = sorted((*reversed(moves), *snapshot.recent), key=lambda move: move.at, reverse=True)
        self.snapshot = replace(
            snapshot,
            updated_at=max(snapshot.updated_at, self._client.now()),
            recent=tuple(recent[:RECENT]),
            requests=snapshot.requests + requests,
            pace=self._client.pace,
        )
        notify(self._observer, self.snapshot)
        return self.snapshot


class Reporter(Progress):
    """Tells how far a run is by what the ledger knows, which other senders write, too.

    Parameters
    ----------
    client : AsyncClient
        For server time, requests and pace.
    observer : Observer
        Who is notified of each new snapshot.
    ledger : Ledger
        The ledger.
    run : str
        The run.
    """

    def __init__(self, client: AsyncClient, observer: Observer, ledger: Ledger, run: str) -> None:
        self._ledger = ledger
        self._run = run
        self._held_up = ""
        head = ledger.runs.head(run)
        counts, _ = audit.tally(ledger, run)
        title = f"{act_named(head.action).verb} {safe.many(counts.total(), 'row')}"
        super().__init__(client, observer, run, head.action, title, cells=cells_of(counts), held=head.held)

    def refresh(self, current: Pass) -> Snapshot:
        """Show what has happened since."""
        counts, why = audit.tally(self._ledger, self._run)
        moves, current.transitions = current.transitions, []
        note = self.snapshot.note
        if self._held_up != self._ledger.held_up:
            note = self._held_up = self._ledger.held_up
        phase = _phase(current)
        if phase != self.snapshot.phase or current.halted is not None:
            note = str(current.halted or current.note)
        shown = replace(
            self.snapshot,
            phase=phase,
            cells=cells_of(counts),
            waits=_with_waits(why, current),
            acts=current.acts,
            note=note,
        )
        return self.show(shown, moves)

    def look_back(self, current: Pass, found: Reason | None) -> None:
        """Show what has become of rows since the pass ended, and what was found then; without that the phase stays."""
        if found is not None:
            self.show(replace(self.refresh(current), phase="blocked", note=str(found)))
            return
        with suppress(LedgerError):  # a busy disk; ws.attach shows it
            counts, _ = audit.tally(self._ledger, self._run)
            if (cells := cells_of(counts)) != self.snapshot.cells:
                self.show(replace(self.snapshot, cells=cells))

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
        """Note how the pass ended, in the ledger and in the last snapshot."""
        snapshot = self.refresh(current)
        runs = self._ledger.runs
        if current.closed and current.halted is None and snapshot.settled < snapshot.total:
            runs.finish(self._run, state="open", note=snapshot.note)  # nobody watches what it has sent
            return snapshot
        if current.halted is None and not (current.paused and runs.unsent(self._run)):
            abandoned = runs.abandoned(self._run)
            needs_somebody = snapshot.count(Outcome.BLOCKED) > abandoned
            phase = "blocked" if needs_somebody else "cancelled" if abandoned else "done"
            snapshot = self.show(replace(snapshot, phase=phase, note=""))
        runs.finish(self._run, state=snapshot.phase, note=snapshot.note)
        return snapshot


def _with_waits(why: Counter[str], current: Pass) -> dict[str, int]:
    """Why rows wait; of those that are not sent yet the loop knows what they wait for."""
    found = Counter(why)
    unsent = found.pop("not sent yet", 0)
    if current.stopped is not None:
        known = Counter({str(current.stopped): unsent})
    else:
        known = Counter(str(reason) for reason in current.waits.values())
    for said, count in [*known.most_common(), ("not sent yet", unsent)]:
        taken = min(count, unsent)
        found[said] += taken
        unsent -= taken
    return {said: count for said, count in found.items() if count}


def _phase(current: Pass) -> str:
    """What the pass is doing."""
    if current.halted is not None:
        return "stopped"
    if current.paused:
        return "paused"
    waits = current.ready or current.sendable or current.timed
    return "sending" if waits or current.under_way or current.reading else "watching"
