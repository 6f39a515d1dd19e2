"""Executing a run: send what the ledger says is unsent, look at what was sent, until neither changes anything."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from voxops.acts import keys
from voxops.acts.plan import Plan
from voxops.acts.table import act_named
from voxops.api.reasons import Reason
from voxops.api.timing import CAMPAIGN_QUIET, STUCK_AFTER, WATCH_LOOKS
from voxops.engine import outcome
from voxops.engine.control import GOES_ON, Control, Pass
from voxops.engine.duplicates import find_duplicates, read_copies
from voxops.engine.learning import note_posts
from voxops.engine.preflight import is_stale, read_again, renew
from voxops.engine.preparing import is_unsent_create
from voxops.engine.reader import interval
from voxops.engine.reporter import Reporter
from voxops.engine.settler import OR_ANEW
from voxops.engine.sharing import CANARIES_FAILED, NOT_ALONE, WAITS_FOR_CANARIES, divide, gate, shared
from voxops.errors import VoxopsError
from voxops.ledger import Clearance, Stored, audit
from voxops.model import Observer, Snapshot

if TYPE_CHECKING:
    from voxops.engine.engine import Engine

__all__ = ["Execution"]

WIDTH = 20  # operations in preparation, under way or being recorded at once; the client bounds the requests themselves
RESENDS = 6  # tries of one operation in one pass; after them it stays unknown
# Operations queued at once: what the rate limit lets through in a minute, so that none waits longer in the queue.
FEWEST_OFFERED, MOST_OFFERED = 30, 1000
BROKE_DOWN = "the run broke down; what was sent is on record"
NEVER_ENDED = f"accepted, but not ended for long; look at the dashboard, {OR_ANEW}"
RESTLESS = Reason("campaign_busy")


class Execution:
    """What a run does with its plan; one pass after the other, each until nothing moves any more.

    Parameters
    ----------
    engine : Engine
        The workspace's engine.
    run : str
        Id of a run in its ledger.
    observer : Observer
        Who is notified of each new snapshot.
    paused : bool
        Whether nothing is to be sent until the run is resumed.
    stop_after_failures : int, optional
        Failed rows after which nothing more is sent.
    look_back : bool
        Look for what was done twice for a while after something was sent, beside whatever goes on (rules 28 and 31).
    """

    def __init__(
        self,
        engine: Engine,
        run: str,
        observer: Observer,
        *,
        paused: bool = False,
        stop_after_failures: int | None = None,
        look_back: bool = False,
    ) -> None:
        self.id = run
        self._looks_back = look_back
        self._after: asyncio.Task[None] | None = None
        self._engine = engine
        self._client = engine.client
        self._ledger = engine.ledger
        self._reporter = Reporter(engine.client, engine.ledger, run, observer)
        self._limit = stop_after_failures
        self.current = Pass(run, Control(paused=paused), stop_after_failures)
        self.over = False

    # Asked by whoever holds the run.

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""
        return self._reporter.snapshot

    async def pause(self, *, withdraw: bool = False) -> None:
        """Send nothing more; return when no request is under way. `withdraw` gives up what was never sent."""
        self.current.control.pause()
        await self.current.queue.quiet()
        if withdraw:
            await self._engine.withdraw(self.id)

    def resume(self, *, paused: bool = False) -> bool:
        """Send again in this pass; True if it is over and another was made ready, which `go` works on."""
        if not self.over:
            self.current.resume()
            return False
        if self._after is not None:
            self._after.cancel()  # it would speak of the pass that is over; this one looks again when it ends
        self.current = Pass(self.id, Control(paused=paused, away=True), self._limit)
        self.over = False
        return True

    def close(self) -> None:
        """Send nothing more, and end when nothing is under way."""
        self.current.control.close()
        if self._after is not None:
            self._after.cancel()  # the next attach, reconcile or bind reads on

    def notify(self, subject: str) -> bool:
        """Look at a thing next; False if nothing that was sent on it is unsettled."""
        sent = self._ledger.operations.of_run(self.id, ("sent", "accepted", "unknown"))
        if all(operation.subject.id != subject for operation in sent):
            return False
        self.current.control.notify(subject)
        return True

    # What became of it.

    def results(self) -> pd.DataFrame:
        """One row per eligible row, with its outcome."""
        return audit.results(self._ledger, self.id)

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:
        """The failed rows as they were read when they failed, as their next attempt; `stuck` adds what has hung for ten minutes."""
        before = self._client.now().timestamp() - STUCK_AFTER.total_seconds() if stuck else None
        return outcome.failed_rows(self._ledger, self.id, stuck_before=before)

    async def made(self, *, copies: bool = False) -> pd.DataFrame:
        """The posts that it made, as they are now; or the copies of them, as a posts frame that a plan to cancel takes (rule 28)."""
        if not copies:
            return await outcome.made(self._client, self._ledger, self.id)
        return await read_copies(self._client, self._engine.reader, self._ledger, self._engine.commit, self.id)

    async def verify(self) -> pd.DataFrame:
        """Read the posts again and compare, per cause."""
        table, act = self.results(), act_named(self._ledger.runs.head(self.id).action)
        ids = set(table[outcome.posts_column(table, act)].dropna())
        posts = await self._engine.read_posts(ids)
        read = await read_again(self._engine.reader, self._ledger.marks.of_posts(ids).values(), posts)
        await self._engine.commit(lambda: note_posts(self._ledger, read, self._client.now()))
        return outcome.verified(self.results(), {**posts, **read}, act)

    @property
    def plan(self) -> Plan | None:
        """The plan that is executed, as it was bound."""
        return audit.plan_of(self._ledger, self.id)

    def replan(self) -> Plan | None:
        """A plan of the next attempt at what failed; it is shown, not run."""
        return outcome.replanned(self._ledger, self.id)

    # One pass.

    async def go(self) -> Snapshot:
        """Send, look and settle until nothing moves any more; return the last snapshot."""
        current = self.current
        tasks = [asyncio.create_task(self._work(current)) for _ in range(WIDTH)]
        reporter = asyncio.create_task(self._reporter.follow(current))
        failure: Exception | None = None
        try:
            await self._oversee(current)
        except VoxopsError as error:
            current.control.fail(error)
        except Exception as error:  # noqa: BLE001  raised below, when ledger and display know how the pass ended
            current.control.halt(BROKE_DOWN)
            failure = error
        except BaseException:
            current.control.halt(BROKE_DOWN)  # what is queued is not sent any more
            raise
        finally:
            self.over = True
            current.queue.end(len(tasks))
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            current.control.wake()
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
        try:
            snapshot = self._reporter.finish(current)
            if self._looks_back and not current.control.closed:
                self._after = asyncio.create_task(self._look_for_duplicates(current))
            return snapshot
        finally:
            for broken in filter(None, [failure, *ended]):
                raise broken

    async def _look_for_duplicates(self, current: Pass) -> None:
        """Say in the snapshot what was done twice, as far as that shows in the next minute (rules 28 and 31)."""
        engine = self._engine
        said = await find_duplicates(self._client, engine.reader, self._ledger, engine.commit, self.id)
        self._reporter.recount()
        if said:
            self._reporter.note(current, said)

    async def _oversee(self, current: Pass) -> None:
        """Offer what may be sent, look at what was sent, until neither changes anything."""
        engine, control, clock = self._engine, current.control, self._client.clock
        current.shares = bool(shared(self._ledger, current.run))
        due = clock.monotonic() + self._interval(current)
        while not (control.closed and not current.queue.in_flight):
            await engine.commit(self._ledger.claims.expire)
            planned = await self._planned(current)
            if not self._offer(current, planned) and not self._moving(current):
                return
            await control.rest(clock, due - clock.monotonic())
            notified = control.take_notified()
            if notified:
                control.defer(notified & self._being_sent(current))
            if clock.monotonic() < due:
                if notified:
                    await self._look(current, notified)
                continue
            current.tally.looks = 0 if await self._look(current) else current.tally.looks + 1
            due = clock.monotonic() + self._interval(current)

    def _interval(self, current: Pass) -> float:
        """Seconds until the next look."""
        return interval(current.tally.looks, self._engine.rng, self._engine.reader.pages)

    def _being_sent(self, current: Pass) -> set[str]:
        """Ids of what is being sent just now, or whose answer its sender still works on."""
        tried = self._ledger.operations.of_run(current.run, ("sent", "accepted", "unknown"))
        return {each.subject.id for each in tried if each.state == "sent" or each.id in current.queue}

    def _late(self, current: Pass) -> bool:
        """Whether nothing has changed for so long that waiting on is of no use."""
        return current.tally.looks > WATCH_LOOKS

    async def _planned(self, current: Pass) -> list[Stored]:
        """Operations of a run that are to be sent; what was read of them long ago is read again, and what has changed is held."""
        if not current.control.sending:
            return []
        if current.shares:
            for op, why in (await self._engine.commit(lambda: divide(self._ledger, current.run))).items():
                current.reasons.block(op, why)
        planned = self._unsent(current)
        if planned and current.control.away:  # the machine may have slept, so that readings look younger than they are
            current.control.away = False
            await self._engine.reader.learn_time()
        now = self._ledger.now()
        # Single targets, what bears a version, and creates are read when it is their turn, unless a campaign is to be quiet first.
        stale = [
            operation
            for operation in planned
            if operation.id not in current.queue
            and len(current.queue) < self._offered(operation)  # what waits its turn longer is read when it has it
            and is_stale(operation, now)
            and not operation.read_alone
            and (operation.shrunk or not is_unsent_create(operation))
        ]
        if not stale:
            return planned
        engine = self._engine
        held = await renew(engine.client, engine.reader, engine.ledger, engine.commit, stale)
        for op, why in held.items():
            current.reasons.block(op, why)
        return self._unsent(current)

    def _unsent(self, current: Pass) -> list[Stored]:
        """Operations of a run that are still to be sent and wait for nothing but their canaries."""
        return [
            operation
            for operation in self._ledger.operations.of_run(current.run, ("planned",))
            if current.reasons.waiting.get(operation.id, RESTLESS) in {RESTLESS, WAITS_FOR_CANARIES}
        ]

    def _offer(self, current: Pass, planned: Sequence[Stored]) -> int:
        """Queue what may be sent now; return how many operations of the run are still to be sent."""
        if not current.control.sending:
            return current.queue.in_flight
        late = self._late(current)
        closed_by_canaries = gate(self._ledger, current.run)
        left = 0
        for operation in planned:
            closed: Reason | str | None = self._restless(operation) if operation.shrunk else None
            closed = closed or closed_by_canaries(operation)
            if late and not closed:
                closed = current.reasons.refused.get(operation.id)
            if isinstance(closed, Reason) and closed.code == CANARIES_FAILED:
                current.reasons.block(operation.id, closed)
            elif closed:
                current.reasons.waiting[operation.id] = closed
                left += closed == RESTLESS
            if closed:
                continue
            current.reasons.waiting.pop(operation.id, None)
            left += self._enqueue(current, operation)
        return left + current.queue.in_flight

    def _restless(self, operation: Stored) -> Reason | None:
        """Why a batch that lost rows to what is there already must wait: its campaign is being made by somebody else (rule 27)."""
        members = self._ledger.operations.members(operation.id)
        last = self._ledger.marks.last_by_others(keys.campaign_mark(members[0].item.campaign)) if members else None
        if last is None:
            return None
        quiet = self._client.now().timestamp() - datetime.fromisoformat(last).timestamp()
        return RESTLESS if 0 <= quiet < CAMPAIGN_QUIET else None

    def _enqueue(self, current: Pass, operation: Stored, clearance: Clearance | None = None) -> bool:
        """Queue an operation once, when its backoff is over; False if it has been tried too often in this pass."""
        op, queue = operation.id, current.queue
        if op in queue:
            return True
        if queue.tries[op] >= RESENDS:
            said = queue.describe_failures(op) or f"tried {RESENDS} times without an answer"
            current.reasons.waiting[op] = f"{said}; look at the dashboard, then run.resume(), {OR_ANEW}"
            return False
        if queue.due(op, self._client.clock.monotonic()) and len(queue) < self._offered(operation):
            queue.put(clearance or self._ledger.claims.clear(operation))
        return True

    def _offered(self, operation: Stored) -> int:
        """How many operations may be queued together with this one.

        Of those that are read by themselves just before they are sent, no more than go out in a window together with their readings:
        where many wait, every reading would be too old when its send has its turn.
        """
        limit = self._client.pace.limit or MOST_OFFERED
        return (
            max(1, min(MOST_OFFERED, limit // 2))
            if operation.read_alone
            else max(FEWEST_OFFERED, min(MOST_OFFERED, limit))
        )

    def _moving(self, current: Pass) -> bool:
        """Whether something that was sent may still end by itself."""
        late = self._late(current)
        waiting = current.reasons.waiting
        for operation in self._ledger.operations.of_run(current.run, ("sent", "accepted", "unknown")):
            if operation.state == "sent" or (operation.id not in waiting and not late):
                return True
            if operation.state == "accepted":
                waiting.setdefault(operation.id, NEVER_ENDED)
        return False

    async def _look(self, current: Pass, notified: Collection[str] | None = None) -> bool:
        """Read what was sent, or only the posts that a webhook named; queue what may be sent again. True if anything has changed.

        A webhook's payload is never taken for the outcome: it only says which post to read now. So a forged, late or repeated
        one settles nothing, and neither does one that comes before the post has moved (rule 18).
        """
        operations = [
            operation
            for operation in self._ledger.operations.of_run(current.run, ("accepted", "unknown"))
            if operation.id not in current.queue and (notified is None or operation.subject.id in notified)
        ]
        if not operations:
            return False
        reading = await self._engine.settler.look(operations)
        current.note(reading.transitions)
        current.reasons.waiting |= reading.waiting
        if reading.resend:
            await self._resend(current, reading.resend)
        if reading.duplicates:
            current.control.halt(f"{'; '.join(reading.duplicates)}; look at run.copies()", f"then {GOES_ON}")
        return bool(reading.transitions or reading.formed)

    async def _resend(self, current: Pass, clearances: Sequence[Clearance]) -> None:
        """Queue what may be sent again under its key: what this run has alone, and what waits for no canaries of it."""
        unfit = shared(self._ledger, current.run) if current.shares else {}
        closed_by_canaries = gate(self._ledger, current.run)
        for clearance in clearances:
            why = NOT_ALONE if clearance.op in unfit else closed_by_canaries(clearance.operation)
            if why:  # looking goes on, until absence is proved or the canaries have ended
                await self._engine.commit(partial(self._ledger.outcomes.wait_for, clearance.op, str(why)))
            elif current.control.sending:
                self._enqueue(current, clearance.operation, clearance)
            else:
                current.reasons.waiting[clearance.op] = "to be sent again when the run is resumed"

    async def _work(self, current: Pass) -> None:
        """Take operations from the queue and send each once, until the pass ends."""
        while (clearance := await current.queue.take()) is not None:
            try:
                if current.control.sending:
                    await self._engine.sender.send(current, clearance)
            except VoxopsError as error:
                current.control.fail(error)
            except BaseException:
                current.control.halt(BROKE_DOWN)
                raise
            finally:
                if current.queue.done(clearance):
                    current.control.wake()
                current.control.answered()
