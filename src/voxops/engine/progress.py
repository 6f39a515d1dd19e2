"""How far a run is: `fold` turns what happened into the next `Snapshot`; `rate` and `time_left` read it.

Everything here is pure. A run is the fold of its events, so a log, a widget and a test that see the same events see the
same run. Moves of items add up and so may arrive in any order; phases, waits and notes replace what was there.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from voxops._support import safe
from voxops.acts.table import act_named
from voxops.api.reasons import Reason
from voxops.engine.job import notify
from voxops.errors import LedgerError
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger
from voxops.model import OUTCOMES, Cell, Event, Observer, Outcome, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient
    from voxops.engine.drive import Pass

REFRESH = 0.25  # real seconds between two snapshots
FIRST_REFRESH = 0.05  # the same before the first, when something is on its way
LONGEST_REFRESH = 3.0  # the same for thousands of rows; a monitor that stands still looks dead

RECENT = 8  # transitions that a Snapshot keeps


def start(
    run_id: str,
    action: str,
    *,
    at: datetime,
    title: str = "",
    cells: Iterable[Cell] = (),
    held: int = 0,
    phase: str = "sending",
) -> Snapshot:
    """Return the Snapshot of a run before its first event.

    Parameters
    ----------
    run_id, action, title : str
        Whose progress this is.
    at : datetime
        Server time.
    cells : iterable of Cell
        All eligible items; they may also come later, in a ``planned`` event.
    held : int
        Rows of the plan that were never eligible.
    phase : str
        Where it begins.
    """
    table = _tidy(cells)
    total = sum(cell.count for cell in table)
    return Snapshot(run_id, action, title, phase, table, total, held, {}, (), started_at=at, updated_at=at)


def fold(snapshot: Snapshot, event: Event) -> Snapshot:
    """Return the Snapshot after an Event.

    ``planned`` replaces cells and total; ``changed`` adds its counts to the cells; ``phase`` replaces phase and note;
    ``waiting`` replaces the waits; ``note`` replaces the note. Whatever the kind, transitions join the recent ones,
    requests and acts are added, and a pace replaces the former. Kinds from a later version change nothing else.

    Raises
    ------
    ValueError
        When a ``changed`` event does not keep the total, or takes away more than is there: a fault of the caller, as it
        would make the monitor lie.
    """
    following = replace(
        snapshot,
        updated_at=max(snapshot.updated_at, event.at),
        recent=_newest((*reversed(event.transitions), *snapshot.recent)),
        requests=snapshot.requests + event.requests,
        acts=snapshot.acts + event.acts,
        pace=event.pace or snapshot.pace,
    )
    match event.kind:
        case "planned":
            cells = _tidy(event.cells)
            return replace(following, cells=cells, total=sum(cell.count for cell in cells))
        case "changed":
            if gain := sum(cell.count for cell in event.cells):
                raise ValueError(f"a change must keep the number of items, this one adds {gain}")
            return replace(following, cells=_tidy((*snapshot.cells, *event.cells)))
        case "phase":
            return replace(following, phase=event.phase, note=event.text)
        case "waiting":
            return replace(following, waits={why: count for why, count in event.waits.items() if count})
        case "note":
            return replace(following, note=event.text)
    return following


def cells_of(items: Iterable[tuple[str, str]]) -> tuple[Cell, ...]:
    """Count (platform, outcome) pairs into cells, sorted by platform, then in the order of the outcomes."""
    counts = Counter(items)
    return _tidy(Cell(platform, Outcome(outcome), count) for (platform, outcome), count in counts.items())


def rate(snapshot: Snapshot, since: Snapshot | None = None) -> float | None:
    """Return items settled per second, from `since` (default: the start of the run) to `snapshot`.

    None while no time has passed. A run that was taken up again measures from the Snapshot it began with, so that the
    night in between doesn't count.
    """
    begun = since.updated_at if since else snapshot.started_at
    seconds = (snapshot.updated_at - begun).total_seconds()
    if seconds <= 0:
        return None
    return (snapshot.settled - (since.settled if since else 0)) / seconds


def time_left(snapshot: Snapshot, since: Snapshot | None = None) -> float | None:
    """Return the seconds until all items are settled at the present `rate`; None if that can't be said."""
    left = snapshot.total - snapshot.settled
    if left <= 0:
        return 0.0
    speed = rate(snapshot, since)
    return left / speed if speed and speed > 0 else None


def _tidy(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Add up cells of the same place, drop the empty ones, and sort."""
    counts: Counter[tuple[str, Outcome]] = Counter()
    for cell in cells:
        counts[cell.platform, cell.outcome] += cell.count
    for (platform, outcome), count in counts.items():
        if count < 0:
            raise ValueError(f"{-count} more taken from {platform or 'no platform'}, {outcome} than there were")
    places = sorted(counts, key=lambda place: (place[0], OUTCOMES.index(place[1])))
    return tuple(Cell(*place, counts[place]) for place in places if counts[place])


def _newest(transitions: Iterable[Transition]) -> tuple[Transition, ...]:
    """Keep the newest transitions, newest first; of equal times, the one that comes first."""
    return tuple(sorted(transitions, key=lambda transition: transition.at, reverse=True)[:RECENT])


class Reporter:
    """Tells an observer how far a run is, by what the ledger knows, which other senders write, too.

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
        counts, _ = audit.tally(ledger, run)
        title = f"{act_named(head.action).verb} {safe.many(counts.total(), 'row')}"
        self.snapshot = start(run, head.action, at=client.now(), title=title, cells=_cells(counts), held=head.held)

    def refresh(self, current: Pass) -> Snapshot:
        """Fold what has happened since into the snapshot, and notify the observer."""
        if current is not self._pass:
            self._pass, self._acts = current, 0  # each pass counts from the beginning
        at = self._client.now()
        counts, why = audit.tally(self._ledger, self._run)
        requests, self._requests = self._client.requests - self._requests, self._client.requests
        acts, self._acts = current.acts - self._acts, current.acts
        moves, current.transitions = tuple(current.transitions), []
        planned = Event(
            "planned", at, cells=_cells(counts), transitions=moves, pace=self._client.pace, acts=acts, requests=requests
        )
        snapshot = fold(self.snapshot, planned)
        snapshot = fold(snapshot, Event("waiting", at, waits=_with_waits(why, current)))
        if self._held_up != self._ledger.held_up:
            self._held_up = self._ledger.held_up
            snapshot = fold(snapshot, Event("note", at, text=self._held_up))
        phase = _phase(current)
        if phase != snapshot.phase or current.halted is not None:
            snapshot = fold(snapshot, Event("phase", at, phase=phase, text=str(current.halted or current.note)))
        return self._show(snapshot)

    def say(self, current: Pass, what: Reason) -> None:
        """Say something in the snapshot, after the pass has ended."""
        self.refresh(current)
        self._show(fold(self.snapshot, Event("phase", self._client.now(), phase="blocked", text=str(what))))

    def recount(self) -> None:
        """Show what has become of rows since the pass ended; the phase stays."""
        with suppress(LedgerError):  # a busy disk; ws.attach shows it
            counts, _ = audit.tally(self._ledger, self._run)
            snapshot = fold(self.snapshot, Event("planned", self._client.now(), cells=_cells(counts)))
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
        """Note how the pass ended, in the ledger and in the last snapshot."""
        snapshot = self.refresh(current)
        left = snapshot.count(Outcome.PENDING) + snapshot.count(Outcome.UNKNOWN)
        if current.closed and current.halted is None and left:
            self._ledger.runs.finish(self._run, state="open", note=snapshot.note)  # nobody watches what it has sent
            return snapshot
        if current.halted is None and not (current.paused and self._unsent()):
            snapshot = self._show(fold(snapshot, Event("phase", self._client.now(), phase=self._last_phase(snapshot))))
        self._ledger.runs.finish(self._run, state=snapshot.phase, note=snapshot.note)
        return snapshot

    def _last_phase(self, snapshot: Snapshot) -> str:
        """How a pass that went through has ended."""
        abandoned = self._ledger.runs.abandoned(self._run)
        if snapshot.count(Outcome.BLOCKED) > abandoned:
            return "blocked"
        return "cancelled" if abandoned else "done"

    def _unsent(self) -> bool:
        """Whether there is anything that going on might send."""
        return self._ledger.runs.unsent(self._run)

    def _show(self, snapshot: Snapshot) -> Snapshot:
        self.snapshot = snapshot
        notify(self._observer, snapshot)
        return snapshot


def _cells(counts: Counter[tuple[str, str]]) -> tuple[Cell, ...]:
    return tuple(Cell(platform, Outcome(outcome), count) for (platform, outcome), count in counts.items())


def _with_waits(why: Counter[str], current: Pass) -> dict[str, int]:
    """Why rows wait; of those that are not sent yet the loop knows what they wait for."""
    found = Counter(why)
    unsent = found.pop("not sent yet", 0)
    if current.stopped is not None and unsent:
        found[str(current.stopped)] += unsent
        return dict(found)
    known = Counter(str(reason) for reason in current.waits.values())
    for said, count in known.most_common():
        taken = min(count, unsent)
        if taken:
            found[said] += taken
            unsent -= taken
    if unsent:
        found["not sent yet"] += unsent
    return dict(found)


def _phase(current: Pass) -> str:
    """What the pass is doing."""
    if current.halted is not None:
        return "stopped"
    if current.paused:
        return "paused"
    waits = current.ready or current.sendable or current.timed
    return "sending" if waits or current.under_way or current.reading else "watching"
