"""How far a run is, shown to who follows it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING

from voxops._support import safe
from voxops.acts.plan import reasons
from voxops.acts.table import act_named
from voxops.api.reasons import Reason, kinds
from voxops.errors import LedgerError
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger
from voxops.model import MOVES, OUTCOMES, Cell, Observer, Outcome, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient
    from voxops.engine.loop import Pass

REFRESH = 0.25  # real seconds between two snapshots
FIRST_REFRESH = 0.05  # the same before the first, when something is on its way
LONGEST_REFRESH = 3.0  # the same for thousands of rows; a monitor that stands still looks dead

ENDS, KNOWS = 15, 3  # promised ends of which the median is shown, and how many it needs
RECENT = 8  # transitions that a Snapshot keeps
_log = logging.getLogger("voxops.engine")


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
    began : Snapshot
        Where it begins.

    Attributes
    ----------
    snapshot : Snapshot
        The newest state.
    """

    def __init__(self, client: AsyncClient, observer: Observer, began: Snapshot) -> None:
        self._client = client
        self._observer = observer
        self._began = began
        self._ends = deque[float](maxlen=ENDS)
        self.snapshot: Snapshot = began

    def show(self, snapshot: Snapshot, moves: Sequence[Transition] = ()) -> Snapshot:
        """Show a state as the newest one, with the time, the pace, the time left and the moves since the last."""
        now = max(snapshot.updated_at, self._client.now())
        if self.snapshot.phase not in MOVES or not self.snapshot.sends:  # what stood still tells nothing of the rate
            self._began = replace(self.snapshot, updated_at=now)
            self._ends.clear()
        recent = sorted((*reversed(moves), *snapshot.recent), key=lambda move: move.at, reverse=True)
        if snapshot.phase != self.snapshot.phase and snapshot.phase not in MOVES:
            counts = ", ".join(f"{snapshot.count(name)} {name}" for name in OUTCOMES if snapshot.count(name))
            _log.info("run %s %s: %s", snapshot.run_id, snapshot.phase, counts or "no row")
        shown = replace(snapshot, updated_at=now, recent=tuple(recent[:RECENT]), pace=self._client.pace)
        self.snapshot = replace(shown, seconds_left=self._time_left(shown))
        notify(self._observer, self.snapshot)
        return self.snapshot

    def _time_left(self, now: Snapshot) -> float | None:
        """Return the seconds to the median of the ends that the last states promised; None before it knows three."""
        began, at = self._began, now.updated_at.timestamp()
        settled, seconds = now.settled - began.settled, at - began.updated_at.timestamp()
        if now.phase not in MOVES or settled <= 0 or seconds <= 0:
            return None
        self._ends.append(at + (now.total - now.settled) * seconds / settled)
        return max(0.0, median(self._ends) - at) if len(self._ends) >= KNOWS else None


class Reporter(Progress):
    """Tells how far a run is by what the ledger knows, which other processes write, too.

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
    watching : bool
        Whether it is only watched.
    """

    def __init__(
        self, client: AsyncClient, observer: Observer, ledger: Ledger, run: str, *, watching: bool = False
    ) -> None:
        self._ledger = ledger
        self._run = run
        self._held_up = ""
        head = ledger.runs.head(run)
        self._tally = audit.tally(ledger, run)
        title = f"{act_named(head.action).verb} {safe.many(self._tally.counts.total(), 'row')}"
        plan = None if self._tally.counts else audit.plan_of(ledger, run)
        self._ineligible = {} if plan is None else dict(kinds(reasons(plan)))  # why nothing is sent at all
        began = Snapshot(
            run, head.action, title, "watching" if watching else "sending", datetime.fromtimestamp(head.created, UTC), client.now(),
            not_eligible=head.not_eligible, pace=client.pace, note=head.note if watching else "", reason=head.reason or "", who=head.who,
            sends=not watching,
        )  # fmt: skip
        super().__init__(client, observer, self._counted(began, self._tally))

    def _counted(self, shown: Snapshot, found: audit.Tally) -> Snapshot:
        """The snapshot with what was counted."""
        return replace(
            shown,
            cells=cells_of(found.counts),
            withdrawn=found.withdrawn,
            at_rest=found.at_rest,
            recent=tuple(audit.moves(self._ledger, self._run, most=RECENT).values()),
            acts=audit.acts(self._ledger, self._run),
        )

    def unsent(self, current: Pass) -> Reason:
        """Why rows are not sent of which nothing else is known: for the rate limit, or because it is not their turn."""
        pace = self._client.pace
        waits = current.sends and not current.done.is_set() and (pace.paused_for or pace.remaining == 0)
        return Reason("waits_for_limit" if waits else "unsent")

    def _count(self, current: Pass) -> Snapshot:
        """The snapshot with what the ledger says now."""
        found = audit.tally(self._ledger, self._run, self.unsent(current))
        shown = self.snapshot if found == self._tally else self._counted(self.snapshot, found)
        self._tally = found
        return shown

    def has_ended(self) -> bool:
        """Whether all rows have settled; the snapshot says then how the run has ended."""
        if self.snapshot.settled < self.snapshot.total:
            return False
        self.snapshot = replace(self.snapshot, phase=self._end_of(self.snapshot), note="")
        return True

    def refresh(self, current: Pass) -> Snapshot:
        """Show what has happened since."""
        note = self.snapshot.note
        in_flight = audit.in_flight(self._ledger, self._run) if current.paused and current.under_way else ()
        if self._held_up != self._ledger.held_up:
            note = self._held_up = self._ledger.held_up
        if (_phase(current), in_flight) != (self.snapshot.phase, self.snapshot.in_flight) or current.halted is not None:
            note = str(current.halted or _being_sent(in_flight) or current.note)
        return self.show(replace(self._now(current), note=note, in_flight=in_flight))

    def _now(self, current: Pass) -> Snapshot:
        """The snapshot as it is now."""
        shown = self._count(current)
        waits = Counter[str]()
        for said, count in kinds(self._tally.waits, by_code=True):
            waits[said] += count
        return replace(shown, phase=_phase(current), waits=dict(waits) or self._ineligible, sends=not current.watching)

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
        """Note how the pass ended, in the last snapshot and, unless it only watched what goes on elsewhere, in the ledger."""
        runs = self._ledger.runs
        if current.halted is not None and not current.watching:  # before it is shown: its rows say so
            runs.note(self._run, state="stopped", note=str(current.halted))
        snapshot = self.refresh(current)
        stays = current.closed and snapshot.settled < snapshot.total  # nobody watches what it has sent
        held = stays or ((current.paused or current.watching) and runs.unsent(self._run))
        if current.halted is not None:
            return snapshot
        if not held:
            return self._end(snapshot)
        if not current.watching:
            runs.note(self._run, state="open" if stays else snapshot.phase, note=snapshot.note)
        return snapshot

    def _end(self, shown: Snapshot) -> Snapshot:
        """Note that the run has ended, and how."""
        phase = self._end_of(shown)
        self._ledger.runs.note(self._run, state=phase, note="")
        if copies := audit.copies_of(self._ledger, self._run):  # until they are withdrawn (rule 19)
            note = str(Reason("duplicates_found", rows=len(copies)))
            _log.warning("run %s: duplicates_found", self._run)
            return self.show(replace(shown, phase="blocked", note=note))
        return self.show(replace(shown, phase=phase, note=""))

    def _end_of(self, shown: Snapshot) -> str:
        """The phase of a run that has ended."""
        return "blocked" if shown.needs_you else "cancelled" if self._tally.abandoned else "done"


def _being_sent(rows: Sequence[str]) -> str:
    """Say that rows of a paused run are in flight; nothing for none."""
    some = ", ".join(safe.plain(row, 40) for row in rows[:3]) + (" …" if len(rows) > 3 else "")
    return f"Still in flight: {some}; recorded when answered" if rows else ""


def _phase(current: Pass) -> str:
    """What the pass is doing."""
    if current.halted is not None:
        return "stopped"
    if current.paused:
        return "paused"
    if current.watching:
        return "watching"
    waits = current.ready or current.sendable or current.timed
    return "sending" if waits or current.under_way or current.reading else "watching"
