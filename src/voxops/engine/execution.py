"""A run in the engine: what it does with its plan, pass after pass, and how far it is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from voxops._support import eventloop, safe
from voxops.acts import act_named
from voxops.acts.plan import Plan, reasons
from voxops.api.limits import STUCK_AFTER
from voxops.api.reasons import Reason, kinds
from voxops.engine import outcome
from voxops.engine.polling import rest
from voxops.engine.run_state import REFRESH, Progress, RunState, cells_of
from voxops.engine.watch import Watch
from voxops.errors import LedgerError, VoxopsError
from voxops.ledger import audit
from voxops.model import MOVES, Observer, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.engine.engine import Engine


_log = logging.getLogger("voxops.engine")

PAUSES_WITHIN = 2.0  # seconds of the clock that a pause waits for requests in flight
FIRST_REFRESH = 0.05  # real seconds before the first snapshot, when something is on its way
LONGEST_REFRESH = 3.0  # real seconds between two snapshots of thousands of rows; a monitor that stands still looks dead
QUIET = 30  # real seconds after which a run of which nothing is heard is shown once more
RECENT = 8  # rows settled last that a first snapshot shows


class Execution(Progress):
    """What a run does with its plan, told by what the ledger knows, which other processes write, too.

    Parameters
    ----------
    engine : Engine
        The workspace's engine.
    run : str
        Id of a run in its ledger.
    observer : Observer
        Who is notified of each new snapshot.
    paused : bool
        Whether it is only watched until it is resumed here.

    Attributes
    ----------
    over : bool
        Whether the last pass has ended.
    """

    def __init__(self, engine: Engine, run: str, observer: Observer, *, paused: bool = False) -> None:
        self.id = run
        self._engine = engine
        self._ledger = engine.ledger
        self.current: RunState = RunState(run, watching=paused)
        self._withdraws = False  # whether what comes back unsent is abandoned
        self._held_up = ""
        head = engine.ledger.runs.head(run)
        act = act_named(head.action)
        self._creates = act.creates or "create" in act.parts
        self._tally = audit.tally(engine.ledger, run)
        title = f"{act.verb} {safe.many(self._tally.counts.total(), 'row')}"
        plan = None if self._tally.counts else self.plan
        self._ineligible = {} if plan is None else dict(kinds(reasons(plan)))  # why nothing is sent at all
        began = Snapshot(
            run, head.action, title, "watching" if paused else "sending", datetime.fromtimestamp(head.created, UTC), engine.client.now(),
            not_eligible=head.not_eligible, pace=engine.client.pace, note=head.note if paused else "", reason=head.reason or "",
            who=head.who, sends=not paused,
        )  # fmt: skip
        super().__init__(engine.client, observer, self._counted(began))
        # What has settled for good is neither read nor written once more, but for the posts that may be there twice (rule 19).
        self.over: bool = paused and not self._creates and self.snapshot.settled == self.snapshot.total
        if self.over:
            self.snapshot = replace(self.snapshot, phase=self._end_of(self.snapshot), note="")

    @property
    def sends(self) -> bool:
        """Whether it sends, and does not only read."""
        return not self.current.watching

    # Asked by whoever holds the run.

    async def pause(self, *, withdraw: bool = False) -> None:
        """Send nothing more; return when no request is in flight, at the latest in two seconds. `withdraw` abandons what was never sent."""
        self.current.paused = True
        self.current.news.set()
        self._engine.loop.wake()
        # Immediately, and not when all has ended: somebody may resume it in between.
        await self._engine.commit(lambda: self._ledger.runs.note(self.id, paused=True))
        current, clock = self.current, self._client._clock
        until = clock.monotonic() + PAUSES_WITHIN
        while current.under_way and (left := until - clock.monotonic()) > 0:
            await rest(clock, current.idle, left)
        if withdraw:
            self._withdraws = True
            await self._abandon()
            for groups in (current.ready, current.sendable, current.parked):
                groups.clear()
        if current.under_way:
            with suppress(LedgerError):  # a busy disk; the next refresh shows it
                self._refresh(current)

    async def _abandon(self) -> None:
        """Abandon what was never sent."""
        await self._engine.commit(lambda: outcome.abandon(self._ledger, self.id))

    async def leave(self) -> None:
        """It was bound, and nobody has taken it: it stays paused (rule 16)."""
        await self._engine.leave(self.id)

    async def allow(self) -> None:
        """The run may send again: what paused it is over."""
        await self._engine.commit(lambda: self._ledger.runs.note(self.id, paused=False))

    def resume(self, *, paused: bool = False) -> bool:
        """Send again in this pass; True if it is over and another was made ready, which `go` works on."""
        self._engine.shared.accounts_read = False  # one may have been connected again
        self._engine.shared.media.clear()
        self._withdraws = False
        if not self.over:
            self.current.watching = self.current.paused = self.current.reading_failed = False
            self.current.halted = None
            self._engine.loop.go_on(self.current)
            return False
        self.current = RunState(self.id, watching=paused)
        self.over = False
        return True

    def close(self) -> None:
        """Send nothing more, and end when nothing is under way."""
        self.current.paused = self.current.closed = True
        self.current.news.set()
        self._engine.loop.wake()

    def notify(self, subject: str) -> bool:
        """Look at a thing next; False if nothing that was sent on it is unsettled."""
        return self._engine.loop.notify(self.id, subject)

    # What became of it.

    def moves(self, since: datetime | None = None) -> Mapping[int, Transition]:
        """The rows that have settled since an instant, and perhaps some before it, each with its number, the first first."""
        return dict(reversed(audit.moves(self._ledger, self.id, since).items()))

    def results(self) -> pd.DataFrame:
        """One row per eligible row, with its outcome."""
        return audit.results(self._ledger, self.id, self._unsent(self.current))

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:
        """The failed rows as they were read when they failed, as their next attempt; `stuck` adds what has hung for ten minutes."""
        before = self._stuck_before() if stuck else None
        return outcome.failed_rows(self._ledger, self.id, self.results(), stuck_before=before)

    def to_mend(self) -> pd.DataFrame:
        """The rows that are not there and that nobody works on any more, the reason of each first."""
        return outcome.rows_to_mend(self._ledger, self.id, self.results(), self._stuck_before())

    def _stuck_before(self) -> float:
        """What was sent before this instant of server time, and has not ended, has hung."""
        return self._engine.shared.now - STUCK_AFTER.total_seconds()

    async def made(self, *, copies: bool = False) -> pd.DataFrame:
        """The posts that it created, as they are now; or the duplicates of them (rule 19)."""
        return await (outcome.copies(self._engine, self.id) if copies else outcome.made(self._engine, self.id))

    @property
    def plan(self) -> Plan:
        """The plan that is executed, as it was bound."""
        return audit.plan_of(self._ledger, self.id)

    def replan(self) -> Plan | None:
        """A plan of the next attempt at what failed; it is shown, not run."""
        return outcome.replanned(self._ledger, self.id)

    # One pass.

    async def go(self) -> Snapshot:
        """Work until nothing moves any more; return the last snapshot."""
        current = self.current
        refreshing = asyncio.create_task(self._keep_refreshing(current))
        try:
            if current.watching and self._creates:
                await self._look_for_copies(current)
            await self._engine.loop.run(current)
            if self._withdraws:
                await self._abandon()
        except BaseException:
            current.halt(Reason("broke_down"))
            raise
        finally:
            self.over = True
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)
            snapshot = self._finish(current)
        return snapshot

    async def _look_for_copies(self, current: RunState) -> None:
        """Read what was created since; what breaks that stops the pass, as any reading's end does."""
        try:
            await self._engine.look_for_copies()
        except VoxopsError as error:
            current.reading_failed = True
            current.break_off(error)

    # How far it is.

    def _counted(self, shown: Snapshot) -> Snapshot:
        """The snapshot with what was counted."""
        return replace(
            shown,
            cells=cells_of(self._tally.counts),
            withdrawn=self._tally.withdrawn,
            at_rest=self._tally.at_rest,
            recent=tuple(audit.moves(self._ledger, self.id, most=RECENT).values()),
            acts=audit.acts(self._ledger, self.id),
        )

    def _unsent(self, current: RunState) -> Reason:
        """Why rows are not sent of which nothing else is known: for the rate limit, or because it is not their turn."""
        pace = self._client.pace
        waits = current.sends and not current.done.is_set() and (pace.paused_for or pace.remaining == 0)
        return Reason("waits_for_limit" if waits else "unsent")

    def _refresh(self, current: RunState) -> Snapshot:
        """Show what has happened since."""
        tally, shown = audit.tally(self._ledger, self.id, self._unsent(current)), self.snapshot
        if tally != self._tally:
            self._tally = tally
            shown = self._counted(shown)
        waits = Counter[str]()
        for reason, count in kinds(tally.waits, by_code=True):
            waits[reason] += count
        note, phase = shown.note, _phase(current)
        in_flight = audit.in_flight(self._ledger, self.id) if current.paused and current.under_way else ()
        if self._held_up != self._ledger.held_up:
            note = self._held_up = self._ledger.held_up
        if (phase, in_flight) != (shown.phase, shown.in_flight) or current.halted is not None:
            note = str(current.halted or _being_sent(in_flight) or current.note)
        return self.show(
            replace(
                shown,
                phase=phase,
                waits=dict(waits) or self._ineligible,
                sends=not current.watching,
                note=note,
                in_flight=in_flight,
            )
        )

    async def _keep_refreshing(self, current: RunState) -> None:
        """Refresh a few times a second while something is sent; else upon news, so that hundreds of open runs cost nothing.

        It is done less often where it takes long, for it should cost half a percent of the time.
        """
        pause = FIRST_REFRESH
        while True:
            await asyncio.sleep(pause)
            current.news.clear()
            began = time.thread_time()  # not what it waits for the interpreter while a cell computes
            with suppress(LedgerError):  # a busy disk; the next refresh shows it, and `_finish` fails if none can
                self._refresh(current)
            pause = max(REFRESH, min(LONGEST_REFRESH, 199 * (time.thread_time() - began)))
            if _phase(current) != "sending" and not current.under_way:
                await self._hear(current)

    async def _hear(self, current: RunState) -> None:
        """Wait for news of a run: something has happened here, or another process has written the ledger; half a minute at the longest."""
        with suppress(LedgerError):  # the next refresh, and `_finish`, fail if it stays so
            version = self._ledger.version()
            for _ in range(QUIET):
                with suppress(TimeoutError):  # not `wait_for`, which may swallow a cancel up to Python 3.11
                    async with asyncio.timeout(1.0):
                        await current.news.wait()
                if current.news.is_set() or self._ledger.version() != version:
                    return

    def _finish(self, current: RunState) -> Snapshot:
        """Note how the pass ended, in the last snapshot and, unless it only watched what goes on elsewhere, in the ledger."""
        runs = self._ledger.runs
        if current.halted is not None and not current.watching:  # before it is shown: its rows say so
            runs.note(self.id, state="stopped", note=str(current.halted))
        snapshot = self._refresh(current)
        stays = current.closed and snapshot.settled < snapshot.total  # nobody watches what it has sent
        held = stays or ((current.paused or current.watching) and runs.unsent(self.id))
        if current.halted is not None:
            return snapshot
        if not held:
            return self._end(snapshot)
        if not current.watching:
            runs.note(self.id, state="open" if stays else snapshot.phase, note=snapshot.note)
        return snapshot

    def _end(self, shown: Snapshot) -> Snapshot:
        """Note that the run has ended, and how."""
        phase, note = self._end_of(shown), ""
        self._ledger.runs.note(self.id, state=phase, note="")
        if copies := audit.copies_of(self._ledger, self.id):  # until they are withdrawn (rule 19)
            phase, note = "blocked", str(Reason("duplicates_found", rows=len(copies)))
            _log.warning("run %s: duplicates_found", self.id)
        return self.show(replace(shown, phase=phase, note=note))

    def _end_of(self, shown: Snapshot) -> str:
        """The phase of a run that has ended."""
        return "blocked" if shown.needs_you else "cancelled" if self._tally.abandoned else "done"


def _being_sent(rows: Sequence[str]) -> str:
    """Say that rows of a paused run are in flight; nothing for none."""
    named = ", ".join(safe.plain(row, 40) for row in rows[:3]) + (" …" if len(rows) > 3 else "")
    return f"Still in flight: {named}; recorded when answered" if rows else ""


def _phase(current: RunState) -> str:
    """What the pass is doing."""
    if current.halted is not None:
        return "stopped"
    if current.paused:
        return "paused"
    if current.watching:
        return "watching"
    waits = current.ready or current.sendable or current.timed
    return "sending" if waits or current.under_way or current.reading else "watching"


Job: TypeAlias = Execution | Watch  # what a run does


def begin(job: Job, shown: Observer) -> Future[Snapshot]:
    """Start a pass of a run on our own loop; one that breaks down says so also where nobody waits for it."""
    _log.info("run %s %s: %s", job.id, "begun" if job.sends else "watched", job.snapshot.title)
    future = eventloop.submit(job.go())
    future.add_done_callback(partial(_say_why_it_broke_down, job, shown))
    return future


def _say_why_it_broke_down(job: Job, shown: Observer, future: Future[Snapshot]) -> None:
    """Show that nothing more is sent, without asking the ledger, which may be what is gone."""
    error = None if future.cancelled() else future.exception()
    if error is not None and job.snapshot.phase in MOVES:
        why = (
            str(error)
            if isinstance(error, VoxopsError)
            else f"It broke down, which is a fault of voxops: {type(error).__name__}."
        )
        _log.error("run %s stopped: %s", job.id, type(error).__name__)
        shown.notice(replace(job.snapshot, phase="stopped", note=why))
