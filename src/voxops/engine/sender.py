"""Sending planned acts: the only place where the ledger and sending meet.

Each operation is prepared, claimed, sent once, and what came of it recorded (rules 8, 10, 15 to 17); when and whether it is
sent at all is the engine's business.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from voxops.acts.operation import Member, settled
from voxops.acts.table import act_named
from voxops.api.assumptions import KEY_EARLY
from voxops.api.error_bodies import read_answer
from voxops.api.matrix import find, polled
from voxops.api.states import PostState, as_mark
from voxops.api.timing import Backoff, delay
from voxops.engine.answer import Answer, from_a_proxy, judge, may_be_half_done, may_still_run
from voxops.engine.batches import leave_batch
from voxops.engine.control import GOES_ON, Pass
from voxops.engine.learning import are_of_others, note_posts, remember
from voxops.engine.preflight import is_overtaken
from voxops.engine.preparing import Preparer
from voxops.engine.reader import Reader, interval
from voxops.engine.reading import transitions
from voxops.errors import DecodeError, TransportError
from voxops.frames.records import read_post
from voxops.ledger import Claim, Clearance, Ledger, Refusal, Stored, Writer
from voxops.model import Outcome, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Sender"]

Settle = Callable[[list[Member]], list[Member]]  # of an operation's rows those that an answer settles, as they are then

LONGEST_MESSAGE = 500  # characters of a server's message that are kept
OVERTAKEN = "others have made what stands for one of its rows by now, or looks like it"
RENEWALS = 3  # readings of the list while one create waits for its turn; after them it is offered again later
_ACCEPTED = 202
_OF_ANOTHER = "the answer is about another post"
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
        self._preparer = Preparer(client, ledger, commit=writer.commit, reader=reader)
        self._credential = credential
        self._deadline = retention - KEY_EARLY
        self._owner = secrets.token_hex(8)
        self._rng = rng
        self._backoff = Backoff()

    async def send(self, current: Pass, cleared: Clearance) -> None:
        """Prepare an operation, claim it, send it once, and record what came of it.

        Where the rate limit lets few requests through, or lists take long, what was read is too old whenever its turn comes. Then it is
        read again, for creates once for all that wait, of other acts alone, and they go out right behind that reading.
        """
        refusal = await self._attempt(current, await self._preparer.prepare(current, cleared))
        for _ in range(RENEWALS):
            if refusal is None or not refusal.stale or cleared.operation.state != "planned":
                break
            refusal = await self._renewed(current, cleared.operation)
        if refusal is not None:
            self._refused(current, cleared.op, refusal)

    async def _renewed(self, current: Pass, stored: Stored) -> Refusal | None:
        """Read once more and try again; of what is read alone one after the other, so that no other's permit comes between."""
        if act_named(stored.action).about == "create":
            return await self._attempt(current, await self._preparer.renew(current, stored))
        async with current.renewing:
            return await self._attempt(current, await self._preparer.renew(current, stored))

    async def _attempt(self, current: Pass, clearance: Clearance | Refusal | None) -> Refusal | None:
        """Wait for a permit, claim, and send once; the refusal if there was no claim to be had."""
        if not isinstance(clearance, Clearance):
            return clearance
        async with self.client.permit() as permit:
            claim = await self._claim(current, clearance)
            if not isinstance(claim, Claim):
                return claim
            current.queue.tries[claim.operation.id] += 1
            current.tally.acts += 1
            current.tally.looks = 0
            operation = claim.operation
            still = partial(self.ledger.claims.holds, claim)  # asked when the connection stands, which may take long
            try:
                token = {} if operation.version is None else {"version": operation.version}
                reply = await permit.send(
                    operation.method, operation.path, body=operation.body, key=operation.key, may_go=still, **token
                )
            except TransportError as error:
                await self._no_answer(current, claim, error)
                return None
            except BaseException:
                await self.commit(lambda: self._ended(claim, status=None, reply=None, answered=False))
                raise
        await self._answered(current, claim, reply)
        return None

    async def _claim(self, current: Pass, clearance: Clearance) -> Claim | Refusal | None:
        """Claim an operation at the present server time; None if nothing is to be sent now."""
        if not current.control.sending:
            return None

        def work() -> Claim | Refusal:
            creates = act_named(clearance.operation.action).about == "create"
            if creates and is_overtaken(self.ledger, clearance.operation):
                return Refusal(OVERTAKEN, stale=True)
            return self.ledger.claims.claim(
                clearance,
                owner=self._owner,
                credential=self._credential,
                server_now=self.client.now().timestamp(),
                deadline=self._deadline,
            )

        claim: Claim | Refusal = await self.commit(work)
        if isinstance(claim, Refusal):
            return claim
        current.reasons.refused.pop(clearance.op, None)
        if current.control.halted or current.control.paused:  # while it was claimed
            await self.commit(lambda: self.ledger.claims.take_back(claim))
            return None
        # Whoever slept since the claim was made must not send any more; the claim is void by itself.
        return claim if self.ledger.claims.holds(claim) else None

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
        return self.ledger.claims.record(
            claim,
            state=state,
            status=status,
            reply=reply,
            server_now=self.client.now().timestamp(),
            answered=answered,
            waiting_for=why,
        )

    def _refused(self, current: Pass, op: int, refusal: Refusal) -> None:
        """A claim that was not granted: wait a little, or for good."""
        if refusal.final:
            current.reasons.waiting[op] = refusal.why
        current.reasons.refused[op] = refusal.why
        self._later(current, op, interval(0, self._rng))

    async def _no_answer(self, current: Pass, claim: Claim, error: TransportError) -> None:
        """No answer came: nothing happened if no connection was made, else nobody knows."""
        op = claim.operation.id
        if error.sent:
            current.queue.note_failure(op, "no answer came")
            await self.note(lambda: self._ended(claim, status=None, reply=None, answered=False, why="no answer came"))
            return
        await self.note(lambda: self.ledger.claims.take_back(claim))
        if current.queue.tries[op] >= self._backoff.tries:
            current.control.fail(error)
        self._later(current, op, delay(self._backoff, current.queue.tries[op], self._rng))

    def _later(self, current: Pass, op: int, seconds: float) -> None:
        """Send an operation again after so many seconds."""
        current.queue.delay(op, self.client.clock.monotonic() + seconds)

    async def _answered(self, current: Pass, claim: Claim, reply: Any) -> None:
        """Record what an answer proves."""
        data = _data(reply)
        said = read_answer(data)
        code, message = said.code, said.message[:LONGEST_MESSAGE]
        # What was found to be absent since a page refused it, and is refused so again, does not get through.
        spoken = bool(data) or reply.status == claim.operation.http_status
        match judge(reply.status, code, first_try=claim.first, spoken=spoken):
            case Answer.TAKEN:
                await self._taken(current, claim, reply)
            case Answer.REFUSED:
                await self._rejected(current, claim, reply, code, message)
            case Answer.THROTTLED:
                if not (data or "retry-after" in reply.headers):
                    await self._unknown(current, claim, reply, code, from_a_proxy(reply.status))
                else:
                    await self._refused_to_look(current, claim, reply, code)
                current.queue.tries[claim.operation.id] -= 1  # it was not looked at
                current.queue.throttled[claim.operation.id] += 1
                if current.queue.throttled[claim.operation.id] > THROTTLES:
                    current.control.halt("the API keeps refusing for its rate limit", f"{GOES_ON} later")
                self._later(current, claim.operation.id, delay(self._backoff, 1, self._rng))
            case Answer.STOP if data:  # never believed otherwise: a run that has stopped asks nobody in vain
                await self._refused_to_look(current, claim, reply, code)
                words = f" {code}" * bool(code) + f": {message}" * bool(message)
                self._stop(current, f"the API answered {reply.status}{words}")
            case Answer.STOP:
                await self._unknown(current, claim, reply, code, from_a_proxy(reply.status))
                self._stop(current, from_a_proxy(reply.status))
            case Answer.UNKNOWN:
                why = (
                    "the server is still working on it"
                    if code == "IDEMPOTENCY_IN_PROGRESS"
                    else f"the API answered {reply.status} {code}"
                )
                await self._unknown(current, claim, reply, code, why.strip())

    async def _refused_to_look(self, current: Pass, claim: Claim, reply: Any, code: str) -> None:
        """The API refused to look at a try: it is as before; of a batch nobody knows, which a limit may have broken off in its middle."""
        if claim.operation.subject.kind == "batch" and may_be_half_done(reply.status):
            await self._unknown(
                current,
                claim,
                reply,
                code,
                f"the API answered {reply.status} {code}".strip() + ", perhaps in the middle of it",
            )
        else:
            await self.note(lambda: self.ledger.claims.take_back(claim))

    @staticmethod
    def _stop(current: Pass, why: str) -> None:
        """Send nothing more, since no other request would fare better."""
        current.control.halt(f"{why}. Nothing more is sent", f"fix that, then {GOES_ON}")

    async def _unknown(
        self, current: Pass, claim: Claim, reply: Any, code: str, why: str, *, keeps: bool = True
    ) -> None:
        """Record an answer after which nobody knows; `keeps` its body for a later reading."""
        current.queue.note_failure(claim.operation.id, why)
        answered = not may_still_run(code)
        body = reply.body if keeps else None
        await self.note(lambda: self._ended(claim, status=reply.status, reply=body, answered=answered, why=why))

    async def _taken(self, current: Pass, claim: Claim, reply: Any) -> None:
        """A 2xx: an outcome only where the row says so, and only if it decodes to the row's shape (rules 15 and 18)."""
        operation = claim.operation
        act, endpoint = act_named(operation.action), find(operation.method, operation.path)
        data = _data(reply)
        # A create that is only accepted, and perhaps named by an operation, may still be refused.
        if endpoint is None or not act.decodes(data) or (act.about == "create" and reply.status == _ACCEPTED):
            await self._unknown(current, claim, reply, "", "the answer is not what this call returns")
            return
        of_another = _is_of_another(operation, self.ledger.operations.members(operation.id), data)
        settle: Settle = (lambda _: []) if of_another else partial(act.settle_answer, data=data, first=claim.first)
        if polled(endpoint):  # it may name its job: then it was queued, and what else it says is not about this post
            await self._record(current, claim, reply, "accepted", settle, about_it=not of_another)
        elif of_another:
            await self._unknown(current, claim, reply, "", _OF_ANOTHER, keeps=False)
        else:
            post = read_post(data) if operation.subject.kind == "post" else None  # as it is now that it was changed
            await self._record(current, claim, reply, "unknown", settle, post)

    async def _rejected(self, current: Pass, claim: Claim, reply: Any, code: str, message: str) -> None:
        """A 4xx on the first try: nothing happened (rule 16); a batch is read by its items if it has any, else named or halved (rule 17)."""
        operation = claim.operation
        act, members = act_named(operation.action), self.ledger.operations.members(operation.id)
        read = act.settle_refusal(members, _data(reply))
        # Items that say nothing are read around; that they come again, now that it is known to be absent, is a refusal.
        if read and (reply.status != operation.http_status or any(member.outcome.final for member in read)):
            await self._record(current, claim, reply, "unknown", partial(act.settle_refusal, data=_data(reply)))
        elif act.about == "create" and len(members) > 1:
            await self._divide(current, claim, reply, members, code, message)
        else:
            refused = partial(
                settled, outcome=Outcome.FAILED, error_code=code or f"HTTP_{reply.status}", error_message=message
            )
            await self._record(current, claim, reply, "unknown", lambda members: list(map(refused, members)))

    async def _divide(
        self, current: Pass, claim: Claim, reply: Any, members: Sequence[Member], code: str, message: str
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
            leave_batch(self.ledger, claim.operation, groups, read=claim.operation.read)
            if failed:
                self.ledger.outcomes.settle(claim.operation.id, failed, now.timestamp())
            return transitions(members, failed, now)

        current.note(await self.commit(work))

    async def _record(
        self,
        current: Pass,
        claim: Claim,
        reply: Any,
        state: str,
        settle: Settle,
        post: PostState | None = None,
        *,
        about_it: bool = True,
    ) -> None:
        """Write an answer and what it settles of the operation's rows, in one transaction; `post` is what it shows, if it does.

        What is not `about_it` is not kept, so that nothing reads it later.
        """
        now = self.client.now()
        op = claim.operation.id
        mixed_up = False

        def work() -> list[Transition]:
            nonlocal mixed_up
            members = self.ledger.operations.members(op)
            done = settle(members)
            # In the transaction: what an answer names may have been learnt from another one just before.
            mixed_up = act_named(claim.operation.action).about == "create" and are_of_others(self.ledger, done)
            if mixed_up:
                self._ended(claim, status=reply.status, reply=None, answered=True, why=_OF_ANOTHER)
                return []
            body = reply.body if about_it else None
            if not self._ended(claim, status=reply.status, reply=body, answered=True, state=state):
                return []
            if post is not None and post.status:
                note_posts(self.ledger, {post.post_id: post}, now)
            if done:
                self.ledger.outcomes.settle(op, done, now.timestamp())
                remember(self.ledger, claim.operation, done, now.timestamp())
            return transitions(members, done, now)

        current.note(await self.note(work))
        if mixed_up:
            current.queue.note_failure(op, _OF_ANOTHER)


def _data(reply: Any) -> Any:
    """The decoded answer; None if it is no JSON."""
    try:
        return reply.data
    except DecodeError:
        return None


def _is_of_another(operation: Stored, members: Sequence[Member], data: Mapping[str, Any]) -> bool:
    """Whether an answer names another post or target, as where a proxy has mixed up two answers."""
    if operation.subject.kind == "post":
        parts = operation.path.split("/")
        target = data.get("platformId") if "platforms" in parts else None
        return data.get("id") not in (None, operation.subject.id) or target not in (None, *parts)
    results = data.get("results")
    items = results if isinstance(results, list) else []
    posts = [data, *(item.get("post") for item in items if isinstance(item, Mapping))]
    shown = {mark for post in posts if (mark := _mark_of(post))}
    return not shown <= {member.item.mark for member in members}


def _mark_of(post: Any) -> str | None:
    """The mark that a post shows, None where it shows none."""
    metadata = post.get("metadata") if isinstance(post, Mapping) else None
    return as_mark(metadata.get("voxopsOp")) if isinstance(metadata, Mapping) else None
