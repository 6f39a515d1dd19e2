"""The engine: binds plans, and drives runs until everything is settled that can be.

`Engine.bind` reads what a plan is about and writes the run; `Engine.go` sends what the ledger says is unsent, looks at what was
sent, and ends when neither changes anything. Pausing ends its sending, not its looking.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from voxops.acts.plan import Plan
from voxops.engine.binding import bind
from voxops.engine.drive import Drive, Teller
from voxops.engine.preflight import gather, renew
from voxops.engine.reader import Reader, interval
from voxops.engine.sender import Sender
from voxops.engine.settle import PostState
from voxops.engine.settler import LIKELY, Settler
from voxops.errors import VoxopsError, WaitTooLong
from voxops.ledger.audit import canary_outcomes
from voxops.ledger.ledger import Clearance, Ledger, Stored
from voxops.ledger.writer import Writer
from voxops.model import Observer, Snapshot

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Engine"]

WIDTH = 20  # operations in preparation, under way or being recorded at once; the client bounds the requests themselves
RESENDS = 6  # tries of one operation in one drive; after them it stays unknown
# Operations queued at once: what the rate limit lets through in a minute, so that none waits longer in the queue.
FEWEST_OFFERED, MOST_OFFERED = 30, 1000
FRESH_FOR = 60.0  # seconds after which what a planned operation is about is read again before it is sent
BROKE_DOWN = "the run broke down; what was sent is on record, run.resume() goes on"
NEVER_ENDED = (
    "accepted, but not ended for long; look at the dashboard, or plan it as its next attempt, in a column attempt"
)
WAITS_FOR_CANARIES = "waits for the canaries of its cause"
WATCH_FOR = (
    64  # looks without any change, about half an hour, after which what has not ended is left pending (contract: PLAY)
)


class Engine:
    """Binds plans and drives runs, for one workspace.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    ledger : Ledger
        The workspace's ledger.
    credential : str
        Salted fingerprint of the API key in use.
    retention : float
        Seconds for which the server is taken to remember a key.
    rng : random.Random
        Source of jitter.
    """

    def __init__(
        self,
        client: AsyncClient,
        ledger: Ledger,
        *,
        credential: str,
        retention: float,
        rng: random.Random | None = None,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self._rng = rng or random.Random()
        self._reader = Reader(client)
        self._writer = Writer(ledger)
        self._settler = Settler(ledger, self._reader, self._writer.commit, client.now)
        self._teller = Teller(client, ledger)
        self._sender = Sender(
            client,
            ledger,
            writer=self._writer,
            reader=self._reader,
            credential=credential,
            retention=retention,
            rng=self._rng,
        )

    def close(self) -> None:
        """End the thread that writes."""
        self._writer.close()

    async def bind(self, plan: Plan, reason: str | None) -> str:
        """Read what the plan is about, write the run, and return its id. Nothing acts."""
        run = f"run_{secrets.token_hex(5)}"
        await self._learn(plan)
        facts = await gather(self.client, self._reader, self.ledger, plan)
        await self._writer.commit(lambda: bind(self.ledger, run, plan, facts, reason))
        return run

    async def _learn(self, plan: Plan) -> None:
        """Look at what is open on the plan's rows, so that it is bound to what became of them and not to a question."""
        await self._writer.commit(self.ledger.abandon)
        subjects, identities = {item.subject for item in plan.items}, {item.identity for item in plan.items}
        about = [
            operation
            for operation in self.ledger.open_operations()
            if operation.state != "sent"
            and (operation.subject in subjects or identities.intersection(self.ledger.identities(operation.id)))
        ]
        if about:
            await self._settler.look(about)

    async def withdraw(self, run: str) -> int:
        """Take back every operation of a run that was never sent; return how many."""
        planned = self.ledger.operations_of(run, ("planned",))
        done = await self._writer.commit(
            lambda: [self.ledger.withdraw(operation.id, "cancelled") for operation in planned]
        )
        return sum(done)

    async def read_posts(self, ids: Collection[str]) -> dict[str, PostState]:
        """Read posts as they are now."""
        return await self._reader.posts(ids, LIKELY)

    async def reconcile(self) -> int:
        """Look once at every operation of the ledger that is accepted or unknown; return how many rows were settled."""
        await self._writer.commit(self.ledger.abandon)
        look = await self._settler.look(
            [operation for operation in self.ledger.open_operations() if operation.state != "sent"]
        )
        for op, why in look.waiting.items():
            await self._writer.commit(partial(self.ledger.wait_for, op, why))
        return len(look.transitions)

    def drive(self, run: str, observer: Observer | None = None, stop_after_failures: int | None = None) -> Drive:
        """Make a drive of a run; `go` sets it in motion."""
        return self._teller.begin(run, observer, stop_after_failures)

    async def go(self, drive: Drive) -> Snapshot:
        """Send, look and settle until nothing moves any more; return the last snapshot."""
        tasks = [asyncio.create_task(self._work(drive)) for _ in range(WIDTH)]
        reporter = asyncio.create_task(self._teller.follow(drive))
        try:
            await self._oversee(drive)
        except VoxopsError as error:
            drive.halt(str(error))
        except BaseException:
            drive.halt(BROKE_DOWN)  # what is queued is not sent any more
            raise
        finally:
            drive.over = True
            for _ in tasks:
                drive.ready.put_nowait(None)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            drive.settle_down()  # whoever waits for quiet
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
        try:
            return self._teller.finish(drive)
        finally:
            for broken in filter(None, ended):
                raise broken

    async def _oversee(self, drive: Drive) -> None:
        """Offer what may be sent, look at what was sent, until neither changes anything."""
        drive.looks = 0
        due = self.client.clock.monotonic() + interval(drive.looks, self._rng, self._reader.pages)
        while not (drive.closed and not drive.in_flight):
            await self._writer.commit(self.ledger.abandon)
            planned = await self._planned(drive)
            if not self._offer(drive, planned) and not self._moving(drive):
                return
            await drive.rest(self.client.clock, due - self.client.clock.monotonic())
            if told := drive.heard():
                drive.told |= told & self._sent(drive)  # whose answer is not here yet: they are looked at when it is
            if self.client.clock.monotonic() < due:
                if told:
                    await self._look(drive, told)
                continue
            drive.looks = 0 if await self._look(drive) else drive.looks + 1
            due = self.client.clock.monotonic() + interval(drive.looks, self._rng, self._reader.pages)

    def _sent(self, drive: Drive) -> set[str]:
        """Ids of what is being sent just now."""
        return {operation.subject.partition(":")[2] for operation in self.ledger.operations_of(drive.run, ("sent",))}

    def concerns(self, run: str, subject: str) -> bool:
        """Whether a run has an operation on this thing that was sent and is not settled."""
        sent = self.ledger.operations_of(run, ("sent", "accepted", "unknown"))
        return any(operation.subject.partition(":")[2] == subject for operation in sent)

    def _late(self, drive: Drive) -> bool:
        """Whether nothing has changed for so long that waiting on is of no use."""
        return drive.looks > WATCH_FOR

    async def _planned(self, drive: Drive) -> list[Stored]:
        """Operations of a run that are to be sent; what was read of them long ago is read again, and what has changed is held."""
        if not drive.sending:
            return []
        planned = self._unsent(drive)
        now = self.ledger.now()
        # A fix is read by itself just before it is sent.
        stale = [
            operation
            for operation in planned
            if operation.id not in drive.queued
            and now - operation.read > FRESH_FOR
            and not operation.path.endswith("/fix")
        ]
        if not stale:
            return planned
        drive.waiting.update(await renew(self.client, self._reader, self.ledger, self._writer.commit, stale))
        return self._unsent(drive)

    def _unsent(self, drive: Drive) -> list[Stored]:
        """Operations of a run that are still to be sent and wait for nothing but their canaries."""
        return [
            operation
            for operation in self.ledger.operations_of(drive.run, ("planned",))
            if drive.waiting.get(operation.id, WAITS_FOR_CANARIES) == WAITS_FOR_CANARIES
        ]

    def _offer(self, drive: Drive, planned: Sequence[Stored]) -> int:
        """Queue what may be sent now; return how many operations of the run are still to be sent."""
        if not drive.sending:
            return drive.in_flight
        late = self._late(drive)
        gate = self._gate(drive)
        left = 0
        for operation in planned:
            closed = "" if operation.canary else gate(operation)
            if late and not closed:
                closed = drive.refused.get(operation.id, "")
            if closed:
                drive.waiting[operation.id] = closed
                continue
            drive.waiting.pop(operation.id, None)
            left += self._enqueue(drive, operation)
        return left + drive.in_flight

    @property
    def _offered(self) -> int:
        """How many operations are queued at the most."""
        return max(FEWEST_OFFERED, min(MOST_OFFERED, self.client.pace.limit or MOST_OFFERED))

    def _enqueue(self, drive: Drive, operation: Stored, clearance: Clearance | None = None) -> bool:
        """Queue an operation once, when its backoff is over; False if it has been tried too often in this drive."""
        op = operation.id
        if op in drive.queued:
            return True
        if drive.tries[op] >= RESENDS:
            drive.waiting[op] = f"tried {RESENDS} times without an answer; look at the dashboard, then resume"
            return False
        if drive.not_before.get(op, 0.0) <= self.client.now().timestamp() and len(drive.queued) < self._offered:
            drive.queued.add(op)
            drive.ready.put_nowait(clearance or self.ledger.clearance(operation))
        return True

    def _moving(self, drive: Drive) -> bool:
        """Whether something that was sent may still end by itself."""
        late = self._late(drive)
        for operation in self.ledger.operations_of(drive.run, ("sent", "accepted", "unknown")):
            if operation.state == "sent" or (operation.id not in drive.waiting and not late):
                return True
            if operation.state == "accepted":
                drive.waiting.setdefault(operation.id, NEVER_ENDED)
        return False

    async def _look(self, drive: Drive, told: Collection[str] | None = None) -> bool:
        """Read what was sent, or only the posts that a webhook told of; queue what may be sent again. True if anything has changed.

        A webhook's payload is never taken for the outcome: it only says which post to read now. So a forged, late or repeated
        one settles nothing, and neither does one that comes before the post has moved (rule 18).
        """
        operations = [
            operation
            for operation in self.ledger.operations_of(drive.run, ("accepted", "unknown"))
            if operation.id not in drive.queued and (told is None or operation.subject.partition(":")[2] in told)
        ]
        if not operations:
            return False
        look = await self._settler.look(operations)
        drive.note(look.transitions)
        drive.waiting.update(look.waiting)
        for clearance in look.resend:
            if drive.sending:
                self._enqueue(drive, clearance.operation, clearance)
            else:
                drive.waiting[clearance.op] = "to be sent again when the run is resumed"
        if look.duplicates:
            drive.halt("; ".join(look.duplicates))
        return bool(look.transitions or look.formed)

    def _gate(self, drive: Drive) -> Callable[[Stored], str]:
        """What the canaries of each cause say: go (``""``), wait, or hold (rule 7)."""
        outcomes = canary_outcomes(self.ledger, drive.run)

        def gate(operation: Stored) -> str:
            for cause in sorted({member.item.cause for member in self.ledger.members(operation.id)} & outcomes.keys()):
                counts = outcomes[cause]
                sent = counts.total() - counts["held"]
                if counts["pending"] + counts["unknown"]:
                    return WAITS_FOR_CANARIES
                if not sent or counts["succeeded"] * 2 < sent:
                    return f"held: {counts['succeeded']} of {counts.total()} canaries of its cause succeeded"
            return ""

        return gate if outcomes else lambda _: ""

    async def _work(self, drive: Drive) -> None:
        """Take operations from the queue and send each once, until the drive ends."""
        while (clearance := await drive.ready.get()) is not None:
            drive.in_flight += 1
            try:
                if drive.sending:
                    await self._sender.send(drive, clearance)
            except WaitTooLong as error:
                drive.halt(f"{error}; run.resume() goes on")
            except VoxopsError as error:
                drive.halt(str(error))
            except BaseException:
                drive.halt(BROKE_DOWN)
                raise
            finally:
                drive.queued.discard(clearance.op)
                drive.in_flight -= 1
                if not drive.in_flight and drive.ready.empty():
                    drive.settle_down()
