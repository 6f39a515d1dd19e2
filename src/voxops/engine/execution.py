"""What a run does with its plan: pass after pass through the loop, each until nothing moves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from voxops._support import eventloop
from voxops.acts.plan import Plan
from voxops.acts.table import act_named
from voxops.api.reasons import Reason
from voxops.api.timing import STUCK_AFTER
from voxops.engine import outcome
from voxops.engine.loop import Pass
from voxops.engine.lists import rest
from voxops.engine.progress import Reporter
from voxops.engine.watch import Watch
from voxops.errors import LedgerError, VoxopsError
from voxops.ledger import audit
from voxops.model import MOVES, Observer, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.engine.engine import Engine


_log = logging.getLogger("voxops.engine")

PAUSES_WITHIN = 2.0  # seconds of the clock that a pause waits for requests in flight


class Execution:
    """What a run does with its plan.

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
        self._reporter = Reporter(engine.client, observer, engine.ledger, run, watching=paused)
        self.id = run
        self._engine = engine
        self._ledger = engine.ledger
        self.current: Pass = Pass(run, watching=paused)
        self._withdraws = False  # whether what comes back unsent is abandoned
        act = act_named(engine.ledger.runs.head(run).action)
        self._creates = act.creates or "create" in act.parts
        # What has settled for good is neither read nor written once more, but for the posts that may be there twice (rule 19).
        self.over: bool = paused and not self._creates and self._reporter.has_ended()

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""
        return self._reporter.snapshot

    @property
    def sends(self) -> bool:
        """Whether it sends by itself, and does not only read."""
        return not self.current.watching

    # Asked by whoever holds the run.

    async def pause(self, *, withdraw: bool = False) -> None:
        """Send nothing more; return when no request is in flight, at the latest in two seconds. `withdraw` abandons what was never sent."""
        self.current.paused = True
        self._engine.driver.wake()
        # At once, and not when all has ended: somebody may resume it meanwhile.
        await self._engine.commit(lambda: self._ledger.runs.note(self.id, paused=True))
        current, clock = self.current, self._engine.client._clock
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
                self._reporter.refresh(current)

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
        self._engine.known.accounts_read = False  # one may have been connected again
        self._engine.known.media.clear()
        self._withdraws = False
        if not self.over:
            self.current.watching = self.current.paused = self.current.blind = False
            self.current.halted = None
            self._engine.driver.go_on(self.current)
            return False
        self.current = Pass(self.id, watching=paused)
        self.over = False
        return True

    def close(self) -> None:
        """Send nothing more, and end when nothing is under way."""
        self.current.paused = self.current.closed = True
        self._engine.driver.wake()

    def notify(self, subject: str) -> bool:
        """Look at a thing next; False if nothing that was sent on it is unsettled."""
        return self._engine.driver.notify(self.id, subject)

    # What became of it.

    def moves(self, since: datetime | None = None) -> Mapping[int, Transition]:
        """The rows that have settled since an instant, and perhaps some before it, each with its number, the first first."""
        return dict(reversed(audit.moves(self._ledger, self.id, since).items()))

    def results(self) -> pd.DataFrame:
        """One row per eligible row, with its outcome."""
        return audit.results(self._ledger, self.id, self._reporter.unsent(self.current))

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:
        """The failed rows as they were read when they failed, as their next attempt; `stuck` adds what has hung for ten minutes."""
        before = self._engine.known.now - STUCK_AFTER.total_seconds() if stuck else None
        return outcome.failed_rows(self._ledger, self.id, self.results(), stuck_before=before)

    def to_mend(self) -> pd.DataFrame:
        """The rows that are not there and that nobody works on any more, the reason of each first."""
        before = self._engine.known.now - STUCK_AFTER.total_seconds()
        return outcome.rows_to_mend(self._ledger, self.id, self.results(), before)

    async def made(self, *, copies: bool = False) -> pd.DataFrame:
        """The posts that it created, as they are now; or the duplicates of them (rule 19)."""
        return await (outcome.copies(self._engine, self.id) if copies else outcome.made(self._engine, self.id))

    @property
    def plan(self) -> Plan | None:
        """The plan that is executed, as it was bound."""
        return audit.plan_of(self._ledger, self.id)

    def replan(self) -> Plan | None:
        """A plan of the next attempt at what failed; it is shown, not run."""
        return outcome.replanned(self._ledger, self.id)

    # One pass.

    async def go(self) -> Snapshot:
        """Work until nothing moves any more; return the last snapshot."""
        current = self.current
        reporter = asyncio.create_task(self._reporter.follow(current))
        try:
            if current.watching and self._creates:
                await self._look_for_copies(current)
            await self._engine.driver.drive(current)
            if self._withdraws:
                await self._abandon()
        except BaseException:
            current.halt(Reason("broke_down"))
            raise
        finally:
            self.over = True
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
            snapshot = self._reporter.finish(current)
        return snapshot

    async def _look_for_copies(self, current: Pass) -> None:
        """Read what was created since; what breaks that stops the pass, as any reading's end does."""
        try:
            await self._engine.look_for_copies()
        except VoxopsError as error:
            current.blind = True
            current.break_off(error)


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
