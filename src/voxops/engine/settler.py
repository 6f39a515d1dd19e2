"""Settling by reading: what the server shows about operations that were accepted, or of which nobody knows (rules 11 to 19).

Nothing is sent here. `Settler.look` reads once, writes what is proved into the ledger, and says which operations may be sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import compress
from typing import Any

from voxops.acts.act import DeliveryAct, PostAct
from voxops.acts.create import CreateAct, late
from voxops.acts.operation import Member, blocked, settled
from voxops.acts.table import act_named
from voxops.api.evidence import Attempted, Baseline, counted_below, delivery_untouched, promised_counts, sighted
from voxops.api.states import PostState
from voxops.api.timing import NO_EVIDENCE_AFTER, PROOF_AFTER, RESEND_ANSWERED, RESEND_UNANSWERED, SKEW
from voxops.client import Reply
from voxops.engine.answer import was_refused
from voxops.engine.batches import leave_batch
from voxops.engine.created import Listed
from voxops.engine.learning import learn, note_posts, remember
from voxops.engine.mended import verdict_of
from voxops.engine.presence import Verdict, cannot_tell, could_be, find_marked, is_older, made_twice, pair_unmarked
from voxops.engine.reader import Reader
from voxops.engine.reading import Reading, Watch, transitions
from voxops.errors import DecodeError
from voxops.ledger import Ledger, Stored
from voxops.model import WAITING_STATUSES, Outcome

__all__ = ["LIKELY", "OR_ANEW", "Settler"]

GONE = "the post no longer exists; look at the dashboard"
OR_ANEW = "or plan it as its next attempt, in a column attempt"
TOUCHED = f"nobody knows whether it took effect, for the post was changed since; look at the dashboard, {OR_ANEW}"
LOOKS_AS_BEFORE = "looks as before; it may still be queued"
AT_ONCE = 200  # operations settled in one transaction: few flushes, and no sender waits long for its turn
LIKELY = ("publishing", "pending", "published", "failed", "partial")

Commit = Callable[[Callable[[], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Change:
    """What a look has shown of one operation: its members before, those that are settled now, and its post, which may be on its way."""

    operation: Stored
    before: Sequence[Member]
    after: Sequence[Member]
    state: PostState | None = None
    sighted: bool = False


class Settler:
    """Reads and settles.

    Parameters
    ----------
    ledger : Ledger
        Where outcomes are written.
    reader : Reader
        How the server is read.
    commit : callable
        Runs a piece of work in a transaction of the ledger.
    now : callable
        Server time.
    watch : Watch
        For how long tries have been over.
    """

    def __init__(
        self, ledger: Ledger, reader: Reader, commit: Commit, now: Callable[[], datetime], watch: Watch
    ) -> None:
        self._ledger, self._reader, self._commit, self._now, self._watch = ledger, reader, commit, now, watch
        # Targets whose count was seen below the promised one, by operation and try; forgotten with the kernel, which only waits longer.
        self._below: dict[tuple[int, int], frozenset[tuple[str, str]]] = {}

    async def look(self, operations: Sequence[Stored]) -> Reading:
        """Read once for all of these operations and settle what is proved."""
        if any(map(self._begin().is_before, operations)):
            await self._reader.learn_time()
        reading = self._begin()
        for about, settle in (
            ("post", self._look_at_posts),
            ("delivery", self._look_at_deliveries),
            ("create", self._look_at_batches),
        ):
            group = [operation for operation in operations if act_named(operation.action).about == about]
            if group:
                await settle(group, reading)
        return reading

    def _begin(self) -> Reading:
        """A reading that begins now."""
        return self._watch.begin(self._ledger.now(), self._now().timestamp())

    def _may_resend(self, operation: Stored, reading: Reading) -> bool:
        """Whether a reading began long enough after the last try to let it be sent again (rule 11)."""
        return reading.since(operation) >= (RESEND_ANSWERED if operation.answered else RESEND_UNANSWERED)

    # Acts on posts.

    async def _look_at_posts(self, operations: Sequence[Stored], reading: Reading) -> None:
        """Settle acts on posts from the posts' present state."""
        doubtful = {operation.subject.id for operation in operations if operation.state == "unknown"}
        whole = {operation.subject.id for operation in operations if operation.under_version}
        states = await self._reader.posts(doubtful - whole, LIKELY) if doubtful - whole else {}
        states |= {post: state for post in sorted(whole) if (state := await self._reader.post(post)) is not None}
        seen = await self._reader.follow({operation.subject.id for operation in operations} - doubtful - whole)
        missing = seen.missing | ((doubtful | whole) - states.keys())
        states |= seen.found
        members = self._ledger.operations.members_of([operation.id for operation in operations])
        changes: list[_Change] = []
        for operation in operations:
            state = states.get(operation.subject.id)
            if state is not None:
                changes += await self._settle_post(operation, members[operation.id], state, reading)
            elif operation.subject.id in missing:
                reading.waiting[operation.id] = GONE
                if reading.since(operation) >= PROOF_AFTER:  # nothing can be expected of it any more
                    left = [member for member in members[operation.id] if not member.outcome.final]
                    changes.append(_Change(operation, left, [blocked(member, GONE) for member in left]))
        await self._write(changes, reading)

    async def _settle_post(
        self, operation: Stored, members: Sequence[Member], state: PostState, reading: Reading
    ) -> list[_Change]:
        """What the present state of a post settles of an act on it."""
        act = act_named(operation.action)
        assert isinstance(act, PostAct)
        baseline = Baseline.read(operation.baseline)
        unknown = operation.state == "unknown"
        if unknown and act.shows_nothing(members, state, baseline):
            await self._not_shown(operation, reading)
            return []
        on_its_way = act.sends and sighted(baseline, state)
        reply = None if unknown else self._reply(operation)
        tried = self._attempted(operation, state, baseline, reply, reading.since(operation), on_its_way=on_its_way)
        done = act.settle_reading(members, state, tried, reply)
        proved = any(member.outcome.final or member.outcome is Outcome.BLOCKED for member in done)
        if unknown and not on_its_way and not proved:  # nothing shows that the act took effect
            if tried.since >= NO_EVIDENCE_AFTER:
                reading.waiting[operation.id] = TOUCHED
            return []
        if state.status in WAITING_STATUSES and done:
            reading.waiting[operation.id] = f"the post is {state.status}"
        elif not done and tried.since >= NO_EVIDENCE_AFTER:
            reading.waiting[operation.id] = LOOKS_AS_BEFORE
        return [_Change(operation, members, done, state, on_its_way)] if done or on_its_way else []

    def _attempted(
        self,
        operation: Stored,
        state: PostState,
        baseline: Baseline | None,
        reply: Any,
        since: float,
        *,
        on_its_way: bool,
    ) -> Attempted:
        """What is known of an operation's last try, this reading included."""
        promised = promised_counts(reply)
        below = self._below.get((operation.id, operation.tries), frozenset()) | counted_below(state, promised)
        self._below[operation.id, operation.tries] = below
        return Attempted(baseline, since, on_its_way or operation.sighted is not None, promised, below)

    def _reply(self, operation: Stored) -> Any:
        """What the API answered to the last try of an accepted operation."""
        body = self._ledger.operations.reply(operation.id)
        try:
            return None if body is None else Reply(operation.path, operation.http_status or 0, {}, body).data
        except DecodeError:  # it was accepted on the evidence of a reading, after an answer that said nothing
            return None

    async def _not_shown(self, operation: Stored, reading: Reading) -> None:
        """An unknown act of which the server shows no trace: it may be sent again under its key (rule 11)."""
        if reading.since(operation) < PROOF_AFTER:
            if self._may_resend(operation, reading):
                self._clear(operation, reading)
        else:
            await self._revive(operation, reading, read=reading.began)

    async def _revive(self, operation: Stored, reading: Reading, *, read: float) -> None:
        """Plan an operation again that is proved to have had no effect, as it was read then."""
        work = partial(self._ledger.forming.revive, operation.id, operation.tries, read=read)
        if await self._commit(work):
            reading.formed.append(operation.id)

    def _clear(self, operation: Stored, reading: Reading) -> None:
        """Let an operation be sent again under its key; not if that was refused, as it would be again until absence is proved."""
        if not was_refused(operation.http_status, answered=operation.answered):
            reading.resend.append(self._ledger.claims.clear(operation, read=reading.began))

    # Acts on webhook deliveries.

    async def _look_at_deliveries(self, operations: Sequence[Stored], reading: Reading) -> None:
        """Settle redeliveries from the delivery log (rule 19)."""
        by_webhook: dict[str, list[Stored]] = {}
        for operation in operations:
            by_webhook.setdefault(operation.subject.parent, []).append(operation)
        for webhook, group in by_webhook.items():
            states = await self._reader.deliveries(webhook, {operation.subject.id for operation in group})
            members = self._ledger.operations.members_of([operation.id for operation in group])
            changes: list[_Change] = []
            for operation in group:
                now = states.get(operation.subject.id)
                if now is None:
                    reading.waiting[operation.id] = "the delivery is no longer listed; look at the dashboard"
                else:
                    changes += await self._settle_delivery(operation, members[operation.id], now, reading)
            await self._write(changes, reading)

    async def _settle_delivery(
        self, operation: Stored, members: Sequence[Member], now: Mapping[str, Any], reading: Reading
    ) -> list[_Change]:
        """What the present record of a delivery settles of an act on it."""
        act, baseline = act_named(operation.action), operation.baseline or {}
        assert isinstance(act, DeliveryAct)
        long_ago = reading.since(operation) >= PROOF_AFTER
        if act.ended(baseline, now, long_ago=long_ago and operation.state == "accepted"):
            return [_Change(operation, members, act.settle_reading(members, now))]
        if operation.state == "unknown" and long_ago:
            # A delivery does not show that it is queued, so nothing shorter tells a slow queue from a lost request.
            if delivery_untouched(baseline, now):
                await self._not_shown(operation, reading)
            else:
                reading.waiting[operation.id] = (
                    "it was tried again with the same result, by whom is not known; look at the dashboard"
                )
        return []

    # Creates.

    async def _look_at_batches(self, operations: Sequence[Stored], reading: Reading) -> None:
        """Settle unknown creates by their marks, or by what posts show (rules 13 and 14)."""
        earliest = min(operation.first_sent or operation.last_sent or 0.0 for operation in operations)
        listed = await self._reader.created(datetime.fromtimestamp(earliest - SKEW, UTC))
        await self._commit(lambda: learn(self._ledger, listed))
        singles: dict[str, PostState | None] = {}
        for operation in operations:
            await self._settle_batch(operation, listed, singles, reading)

    async def _settle_batch(
        self, operation: Stored, listed: Listed, singles: dict[str, PostState | None], reading: Reading
    ) -> None:
        """Take what was found as created; decide what may be done about the rest."""
        act, members = act_named(operation.action), self._ledger.operations.members(operation.id)
        assert isinstance(act, CreateAct)
        unsettled = [member for member in members if not member.outcome.final]
        shown = act.bodies(operation.body)
        bodies = {member.position: shown[member.position] for member in unsettled}
        first_sent = operation.first_sent or operation.last_sent or 0.0
        known = self._ledger.marks.show  # what this reading has shown is noted already
        marked = find_marked(unsettled, bodies, listed.posts.values())
        asked = {at: body for at, body in bodies.items() if at not in marked}
        unmarked = await self._unmarked(asked, listed, first_sent, singles, marked=known)
        marked = find_marked(unsettled, bodies, unmarked) | marked  # single reads show the marks that lists leave out
        reading.duplicates += [
            said for member in unsettled if (said := made_twice(member, marked, operation.last_sent or 0.0))
        ]
        found = {position: hits[0].post_id for position, hits in marked.items()}
        found |= pair_unmarked({at: body for at, body in bodies.items() if at not in found}, unmarked, first_sent)
        left, taken = {at: body for at, body in bodies.items() if at not in found}, set(found.values())
        tells = known or any(state.mark for state in unmarked)  # then one that shows none of our marks is not ours
        others = [state for state in unmarked if state.post_id not in taken]
        doubted = {at for at, body in left.items() if any(cannot_tell(state, [body], marked=tells) for state in others)}
        if found:
            done = [
                settled(member, Outcome.SUCCEEDED, result_id=found[member.position])
                for member in unsettled
                if member.position in found
            ]
            await self._write([_Change(operation, members, done)], reading)
        rest = [member for member in unsettled if member.position not in found]
        if rest:
            there = self._what_is_there(rest, bodies)
            whole = len(rest) == len(shown)  # rows that have left it are among its bytes still
            await self._decide_rest(operation, rest, listed, reading, doubted=doubted, whole=whole, there=there)

    async def _decide_rest(
        self,
        operation: Stored,
        rest: Sequence[Member],
        listed: Listed,
        reading: Reading,
        *,
        doubted: Collection[int],
        whole: bool,
        there: str,
    ) -> None:
        """What may be done about rows that no post was found for: plan them again once absence is proved, or resend, or wait.

        What is planned again counts as read never: the list is read and judged once more before it is sent.
        """
        waited = reading.since(operation) >= PROOF_AFTER
        sure = [member for member in rest if member.position not in doubted]
        shows = self._ledger.marks.show or any(state.content for state in listed.posts.values())
        if waited and not doubted:
            if whole:
                await self._revive(operation, reading, read=0.0)
            else:
                reading.formed += await self._commit(lambda: self._leave(operation, rest))
        elif waited:
            if sure:  # a row of which nobody can tell keeps no other
                reading.formed += await self._commit(lambda: self._leave(operation, sure))
            reading.waiting[operation.id] = (
                "a post that bears no mark may be it, and nobody can tell; look at the dashboard"
            )
        elif there:
            if operation.waiting_for != there:  # looking goes on, until absence is proved
                await self._commit(partial(self._ledger.outcomes.wait_for, operation.id, there))
        elif whole and shows and not doubted and self._may_resend(operation, reading) and not late(rest, self._now()):
            self._clear(operation, reading)

    async def _unmarked(
        self,
        asked: Mapping[int, Mapping[str, Any]],
        listed: Listed,
        first_sent: float,
        singles: dict[str, PostState | None],
        *,
        marked: bool,
    ) -> list[PostState]:
        """Posts that may be these rows' and bear no mark in the list, each read by itself.

        A post of another row is none of them, nor is one whose accounts or time differ; where it was edited, all of it must (rule 14).
        """
        whole: list[PostState] = []
        ids = [state.post_id for state in listed.posts.values() if not (state.mark or is_older(state, first_sent))]
        known = self._ledger.marks.of_posts(ids) if asked else {}
        claimed = {post_id for post_id, made in known.items() if made.is_ours}
        for post_id in ids if asked else ():
            state = listed.posts[post_id]
            if post_id in claimed or not any(could_be(state, body, marked=marked) for body in asked.values()):
                continue
            if post_id not in singles:
                singles[post_id] = await self._reader.post(post_id)
            single = singles[post_id]
            if single is not None:
                whole.append(single)
                listed.posts[post_id] = single
        return whole

    def _what_is_there(self, rest: Sequence[Member], bodies: Mapping[int, Mapping[str, Any]]) -> str:
        """Why rows of which nobody knows are not sent again yet: what others have made stands for one of them, or looks like it."""
        for member in rest:
            verdict = verdict_of(self._ledger, member.item, bodies[member.position])
            if verdict != Verdict():
                said = verdict.blocked or f"{verdict.made} is there, made elsewhere"
                return f"nobody knows yet whether it was created; meanwhile: {said}"
        return ""

    def _leave(self, operation: Stored, rest: Sequence[Member]) -> list[int]:
        """Give rows that are proved not to exist a batch of their own, and close the old one; unless it was sent meanwhile."""
        if not self._ledger.operations.is_unchanged(operation):
            return []
        made = leave_batch(self._ledger, operation, [rest], read=0.0)
        self._ledger.outcomes.settle(operation.id, [], self._now().timestamp())
        return made

    # Writing.

    async def _write(self, changes: Sequence[_Change], reading: Reading) -> None:
        """Write outcomes, many in one transaction, and note what changed."""
        at = self._now()
        for start in range(0, len(changes), AT_ONCE):
            some = changes[start : start + AT_ONCE]
            kept = await self._commit(partial(self._settle, some, at.timestamp()))
            for change in compress(some, kept):
                reading.transitions += transitions(change.before, change.after, at)

    def _settle(self, changes: Sequence[_Change], now: float) -> list[bool]:
        """Settle what nobody has sent again since it was looked at; for each whether it was."""
        note_posts(self._ledger, {each.state.post_id: each.state for each in changes if each.state}, self._now())
        kept = []
        for change in changes:
            operation = change.operation
            # That a create exists is true whatever was sent since; how an act ended is known of the try that was looked at.
            creates = act_named(operation.action).about == "create"
            lasts = creates or self._ledger.operations.is_unchanged(operation)
            if lasts:
                if not creates:
                    self._ledger.outcomes.accept(operation.id, sighted=now if change.sighted else None)
                self._ledger.outcomes.settle(operation.id, change.after, now)
                if creates:
                    remember(self._ledger, operation, change.after, now)
            kept.append(lasts)
        return kept
