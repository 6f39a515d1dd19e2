"""Sending planned acts: the only place where the ledger and sending meet.

Each operation is prepared, claimed, sent once, and what came of it recorded (rules 8, 10, 15 to 17); when and whether it is
sent at all is the engine's business.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from voxops._core.backoff import Backoff, delay
from voxops.api.assumptions import KEY_EARLY
from voxops.api.errors import read_answer
from voxops.api.matrix import Endpoint, find, must_read_items, polled
from voxops.engine.binding import reform
from voxops.engine.drive import Drive
from voxops.engine.reader import Reader, interval
from voxops.engine.settle import (
    Answer,
    baseline_of,
    changes,
    judge,
    late,
    read_bulk,
    settle_bulk,
    settle_cancel,
    settle_skipped,
    settled,
    shaped,
    still_at_work,
)
from voxops.engine.settler import transitions
from voxops.errors import DecodeError, TransportError
from voxops.ledger.ledger import Claim, Clearance, Ledger, Member, Refusal
from voxops.ledger.writer import Writer
from voxops.model import Action, Outcome, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Sender"]

Settle = Callable[[list[Member]], list[Member]]  # of an operation's rows those that an answer settles, as they are then

LONGEST_MESSAGE = 500  # characters of a server's message that are kept
THROTTLES = 20  # refusals by rate limit of one operation in one drive; after them the run stops


class Sender:
    """Sends operations of a ledger, one try at a time.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    ledger : Ledger
        The workspace's ledger.
    writer : Writer
        Commits to it.
    reader : Reader
        Reads posts before a fix.
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
        writer: Writer,
        reader: Reader,
        credential: str,
        retention: float,
        rng: random.Random,
    ) -> None:
        self.client = client
        self.ledger = ledger
        self.commit, self.note = writer.commit, writer.note
        self.reader = reader
        self._credential = credential
        self._deadline = retention - KEY_EARLY
        self._owner = secrets.token_hex(8)
        self._rng = rng
        self._backoff = Backoff()

    async def send(self, drive: Drive, cleared: Clearance) -> None:
        """Prepare an operation, claim it, send it once, and record what came of it."""
        stored = cleared.operation
        clearance = await self._prepare(drive, cleared) if stored.state == "planned" else self._timely(drive, cleared)
        if clearance is None:
            return
        async with self.client.permit() as permit:
            claim = await self._claim(drive, clearance)
            if claim is None:
                return
            drive.tries[stored.id] += 1
            drive.acts += 1
            drive.looks = 0
            operation = claim.operation
            try:
                reply = await permit.send(operation.method, operation.path, body=operation.body, key=operation.key)
            except TransportError as error:
                await self._no_answer(drive, claim, error)
                return
            except BaseException:
                await self.commit(lambda: self._ended(claim, status=None, reply=None, answered=False))
                raise
        await self._answered(drive, claim, reply)

    async def _claim(self, drive: Drive, clearance: Clearance) -> Claim | None:
        """Claim an operation at the present server time; None if it must not be sent now."""
        if not drive.sending:
            return None
        claim = await self.commit(
            lambda: self.ledger.claim(
                clearance,
                owner=self._owner,
                credential=self._credential,
                server_now=self.client.now().timestamp(),
                deadline=self._deadline,
            )
        )
        if isinstance(claim, Refusal):
            self._refused(drive, clearance.op, claim)
            return None
        assert isinstance(claim, Claim)
        drive.refused.pop(clearance.op, None)
        if drive.halted or drive.paused:
            await self.commit(lambda: self.ledger.unsend(claim))
            return None
        # Whoever slept since the claim was given must not send any more; the claim is void by itself.
        return claim if self.ledger.holds(claim) else None

    def _ended(
        self,
        claim: Claim,
        *,
        status: int | None,
        reply: bytes | None,
        answered: bool,
        why: str = "",
        state: str = "unknown",
    ) -> bool:
        """Record that a try has ended, at the present server time."""
        return self.ledger.answer(
            claim,
            state=state,
            status=status,
            reply=reply,
            server_now=self.client.now().timestamp(),
            answered=answered,
            waiting_for=why,
        )

    def _refused(self, drive: Drive, op: int, refusal: Refusal) -> None:
        """A claim that was not granted: wait a little, or for good."""
        if refusal.final:
            drive.waiting[op] = refusal.why
        drive.refused[op] = refusal.why
        self._later(drive, op, interval(0, self._rng))

    async def _prepare(self, drive: Drive, cleared: Clearance) -> Clearance | None:
        """Look at what a planned operation is about to change; None if it must not be sent as it is."""
        stored = cleared.operation
        if stored.action is Action.BULK:
            return await self._drop_past(cleared)
        if not stored.path.endswith("/fix"):
            return cleared
        (member,) = self.ledger.members(stored.id)
        if any(other.id != stored.id and other.state != "planned" for other in self.ledger.open_on(stored.subject)):
            self._refused(drive, stored.id, Refusal("another request on this post is open"))
            return None
        read = self.ledger.now()
        state = await self.reader.post(member.item.seen["post_id"])
        target = None if state is None else state.target(member.item.platform, member.item.account)
        if state is None or target is None:
            drive.waiting[stored.id] = "the post or its target no longer exists; load the posts again"
            return None
        differing = [name for name in changes(member.item.seen, state) if name not in {"updated_at", "post_status"}]
        if differing:
            drive.waiting[stored.id] = f"changed since loaded ({', '.join(differing)}); load it again"
            return None
        if target["target_id"] is None:
            drive.waiting[stored.id] = "the API shows no id for this target; retry the whole post"
            return None
        path = f"/v1/posts/{state.post_id}/platforms/{target['target_id']}/fix"
        await self.commit(lambda: self.ledger.renew(stored.id, baseline=baseline_of(state), path=path))
        return self.ledger.clearance(stored, read=read)

    def _timely(self, drive: Drive, cleared: Clearance) -> Clearance | None:
        """A batch of which nobody knows is not sent again once a row's time has passed (rule 6); proof or a person must come first."""
        if cleared.operation.action is Action.BULK and late(self.ledger.members(cleared.op), self.client.now()):
            self._refused(drive, cleared.op, Refusal("nobody knows whether it was created, and its time has passed"))
            return None
        return cleared

    async def _drop_past(self, cleared: Clearance) -> Clearance | None:
        """Take rows whose time has passed out of a batch that has not happened (rule 6); None if the batch was formed anew."""
        stored, now = cleared.operation, self.client.now()
        members = self.ledger.members(stored.id)
        past = late(members, now)
        if not past:
            return cleared

        def work() -> None:
            if self.ledger.unchanged(stored):  # else another sender has it, as it was
                reform(self.ledger, stored, [[member for member in members if member not in past]])
                self.ledger.withdraw(stored.id, "its time has passed")

        await self.commit(work)
        return None

    async def _no_answer(self, drive: Drive, claim: Claim, error: TransportError) -> None:
        """No answer came: nothing happened if no connection was made, else nobody knows."""
        op = claim.operation.id
        if error.sent:
            await self.note(lambda: self._ended(claim, status=None, reply=None, answered=False, why="no answer came"))
            return
        await self.note(lambda: self.ledger.unsend(claim))
        if drive.tries[op] >= self._backoff.tries:
            drive.halt(f"{error}; run.resume() goes on when the server is back")
        self._later(drive, op, delay(self._backoff, drive.tries[op], self._rng))

    def _later(self, drive: Drive, op: int, seconds: float) -> None:
        """Send an operation again after so many seconds."""
        drive.not_before[op] = self.client.now().timestamp() + seconds

    async def _answered(self, drive: Drive, claim: Claim, reply: Any) -> None:
        """Record what an answer proves."""
        said = read_answer(_data(reply))
        code, message = said.code, said.message[:LONGEST_MESSAGE]
        match judge(reply.status, code, first_try=claim.first):
            case Answer.TAKEN:
                await self._taken(drive, claim, reply)
            case Answer.REFUSED:
                await self._rejected(drive, claim, reply, code, message)
            case Answer.THROTTLED:
                await self.note(lambda: self.ledger.unsend(claim))
                drive.tries[claim.operation.id] -= 1  # it was not looked at
                drive.throttled[claim.operation.id] += 1
                if drive.throttled[claim.operation.id] > THROTTLES:
                    drive.halt("the API keeps refusing for its rate limit; run.resume() goes on later")
                self._later(drive, claim.operation.id, delay(self._backoff, 1, self._rng))
            case Answer.STOP:
                await self.note(lambda: self.ledger.unsend(claim))
                drive.halt(
                    f"the API answered {reply.status} {code}: {message}. Nothing more is sent; mend it and run.resume()"
                )
            case Answer.UNKNOWN:
                why = (
                    "the server is still working on it"
                    if code == "IDEMPOTENCY_IN_PROGRESS"
                    else f"the API answered {reply.status} {code}"
                )
                await self._unknown(claim, reply, code, why.strip())

    async def _unknown(self, claim: Claim, reply: Any, code: str, why: str) -> None:
        """Record an answer after which nobody knows."""
        answered = not still_at_work(code)
        await self.note(lambda: self._ended(claim, status=reply.status, reply=reply.body, answered=answered, why=why))

    async def _taken(self, drive: Drive, claim: Claim, reply: Any) -> None:
        """A 2xx: an outcome only where the row says so, and only if it decodes to the row's shape (rules 15 and 18)."""
        operation = claim.operation
        endpoint = find(operation.method, operation.path)
        try:
            data = reply.data
        except DecodeError:
            data = None
        if endpoint is None or not shaped(operation.action, data):
            await self._unknown(claim, reply, "", "the answer is not what this call returns")
            return
        state = "accepted" if polled(endpoint) else "unknown"
        await self._record(drive, claim, reply, state, _told(claim, endpoint, data))

    async def _rejected(self, drive: Drive, claim: Claim, reply: Any, code: str, message: str) -> None:
        """A 4xx on the first try: nothing happened (rule 16); a batch is read by its items if it has any, else named or halved (rule 17)."""
        operation = claim.operation
        members = self.ledger.members(operation.id)
        if operation.action is Action.BULK:
            items = read_bulk(_data(reply), 1 + max(member.position for member in members))
            if items is not None and any(items):
                await self._record(drive, claim, reply, "unknown", partial(settle_bulk, items=items))
                return
            if len(members) > 1:
                await self._divide(drive, claim, reply, members, code, message)
                return
        refused = partial(
            settled, outcome=Outcome.FAILED, error_code=code or f"HTTP_{reply.status}", error_message=message
        )
        await self._record(drive, claim, reply, "unknown", lambda members: list(map(refused, members)))

    async def _divide(
        self, drive: Drive, claim: Claim, reply: Any, members: Sequence[Member], code: str, message: str
    ) -> None:
        """A batch refused as a whole: fail the row that the answer names, or halve it."""
        row = read_answer(_data(reply)).row
        named = next((member for member in members if member.position == row), None)
        half = len(members) // 2
        groups = [[m for m in members if m is not named]] if named else [members[:half], members[half:]]
        failed = [settled(named, Outcome.FAILED, error_code=code, error_message=message)] if named else []
        now = self.client.now()

        def work() -> list[Transition]:
            if not self._ended(claim, status=reply.status, reply=reply.body, answered=True):
                return []
            reform(self.ledger, claim.operation, groups)
            if failed:
                self.ledger.settle(claim.operation.id, failed, now.timestamp())
            return transitions(members, failed, now)

        drive.note(await self.commit(work))

    async def _record(self, drive: Drive, claim: Claim, reply: Any, state: str, settle: Settle | None) -> None:
        """Write an answer and the outcomes that it brings, in one transaction; `settle` tells them of the rows, None if it brings none."""
        now = self.client.now()
        op = claim.operation.id

        def work() -> list[Transition]:
            members = self.ledger.members(op) if settle else []
            if not self._ended(claim, status=reply.status, reply=reply.body, answered=True, state=state) or not settle:
                return []
            done = settle(members)
            if done:
                self.ledger.settle(op, done, now.timestamp())
            return transitions(members, done, now)

        drive.note(await self.note(work))


def _told(claim: Claim, endpoint: Endpoint, data: Any) -> Settle | None:
    """What a 2xx tells of the rows; None if nothing."""
    action = claim.operation.action
    if must_read_items(endpoint) and action is Action.BULK:
        return lambda members: settle_bulk(members, read_bulk(data, 1 + max(each.position for each in members)) or [])
    if action is Action.CANCEL:
        status = str(data.get("status", "")).lower()
        return lambda members: [result for member in members if (result := settle_cancel(member, status))]
    # After an ambiguous try, "skipped" may be about what that one queued.
    return partial(settle_skipped, reply=data) if claim.first and data.get("skippedPlatforms") else None


def _data(reply: Any) -> Any:
    """The decoded answer; None if it is no JSON."""
    try:
        return reply.data
    except DecodeError:
        return None
