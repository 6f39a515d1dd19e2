"""Settling by reading: what the server shows about operations that were accepted, or of which nobody knows (rules 11 to 19).

Nothing is sent here. `Settler.look` reads once, writes what is proved into the ledger, and says which operations may be sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import compress
from typing import Any

from voxops.client import Reply
from voxops.engine.binding import reform
from voxops.engine.reader import Marks, Reader
from voxops.engine.settle import (
    PROOF_AFTER,
    PostState,
    delivery_moved,
    late,
    moved,
    settle_cancel,
    settle_delivery,
    settle_skipped,
    settle_targets,
    settled,
    stamped,
    unmoved,
)
from voxops.ledger.ledger import CLOCKS_DIFFER, Clearance, Ledger, Member, Stored
from voxops.model import WAITING_STATUSES, Action, Outcome, Transition

__all__ = ["Look", "Settler"]

SKEW = 300.0  # seconds that two clocks of the server may differ (rule 14)
# Seconds after a try before reading says anything: what is queued shows within seconds of the API's answer, but a request that
# nobody has answered may still be carried out for as long as servers and their gateways let requests live.
QUIET_ANSWERED, QUIET_UNANSWERED = 6.0, 60.0
AT_ONCE = 200  # operations settled in one transaction: few flushes, and no sender waits long for its turn
LIKELY = ("publishing", "pending", "published", "failed", "partial")

Commit = Callable[[Callable[[], Any]], Awaitable[Any]]


@dataclass
class Look:
    """What one look has brought.

    `resend` clears operations to be sent again under their key; `formed` are new ones made of rows that took no effect;
    `waiting` says why an operation does not end by looking again; `duplicates` are sentences that stop a run. Reading began at
    `began`, in the ledger's time.
    """

    transitions: list[Transition] = field(default_factory=list)
    resend: list[Clearance] = field(default_factory=list)
    formed: list[int] = field(default_factory=list)
    waiting: dict[int, str] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    began: float = 0.0


@dataclass(frozen=True, slots=True)
class _Change:
    """What a look has proved of one operation: its members before, and those that are settled now."""

    operation: Stored
    before: Sequence[Member]
    after: Sequence[Member]


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
    """

    def __init__(self, ledger: Ledger, reader: Reader, commit: Commit, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._reader = reader
        self._commit = commit
        self._now = now

    async def look(self, operations: Sequence[Stored]) -> Look:
        """Read once for all of these operations and settle what is proved."""
        look = Look(began=self._ledger.now())
        if any(
            self._since(operation) < -CLOCKS_DIFFER for operation in operations
        ):  # this clock slept while another sender worked
            await self._reader.ask_the_time()
        ready = [operation for operation in operations if self._quiet(operation)]
        by_kind: dict[str, list[Stored]] = {}
        for operation in ready:
            by_kind.setdefault(operation.subject.partition(":")[0], []).append(operation)
        if by_kind.get("post"):
            await self._look_at_posts(by_kind["post"], look)
        if by_kind.get("delivery"):
            await self._look_at_deliveries(by_kind["delivery"], look)
        if by_kind.get("batch"):
            await self._look_at_batches(by_kind["batch"], look)
        return look

    def _quiet(self, operation: Stored) -> bool:
        """Whether enough time has passed since the last try for reading to say something."""
        if operation.state == "accepted":
            return True
        return self._since(operation) >= (QUIET_ANSWERED if operation.answered else QUIET_UNANSWERED)

    def _since(self, operation: Stored) -> float:
        """Seconds since the last try ended, or was sent where nobody saw it end."""
        return self._now().timestamp() - (operation.ended or operation.last_sent or 0.0)

    # Posts: retry, fix, cancel.

    async def _look_at_posts(self, operations: Sequence[Stored], look: Look) -> None:
        """Settle acts on posts from the posts' present state."""
        names = {operation.id: operation.subject.partition(":")[2] for operation in operations}
        doubtful = {names[operation.id] for operation in operations if operation.state == "unknown"}
        states = await self._reader.posts(doubtful, LIKELY) if doubtful else {}
        sight = await self._reader.follow({*names.values()} - doubtful)
        missing = sight.missing | (doubtful - states.keys())
        states |= sight.found
        shown = [operation for operation in operations if names[operation.id] in states]
        members = self._ledger.members_of([operation.id for operation in shown])
        changes: list[_Change] = []
        for operation in operations:
            state = states.get(names[operation.id])
            if state is None:
                if names[operation.id] in missing:
                    look.waiting[operation.id] = "the post no longer exists; look at the dashboard"
                continue
            done = self._ended(operation, members[operation.id], state)
            if done:
                changes.append(_Change(operation, members[operation.id], done))
                if state.status in WAITING_STATUSES:
                    look.waiting[operation.id] = f"the post is {state.status}"
            elif operation.state == "unknown" and not stamped(operation.baseline or {}, state):
                await self._not_shown(operation, look)
        await self._write(changes, look)

    def _ended(self, operation: Stored, members: Sequence[Member], state: PostState) -> list[Member]:
        """Members of an act that the post's present state settles."""
        if operation.action is Action.CANCEL:
            return [result for member in members if (result := settle_cancel(member, state.status)) is not None]
        since = self._since(operation)
        if moved(operation.baseline or {}, state, since):
            return settle_targets(members, state)
        if operation.state == "accepted" and since >= PROOF_AFTER:
            # No try has moved anything, so what the answer to the last one calls skipped was not queued by an earlier one.
            return settle_skipped([member for member in members if not member.outcome.final], self._reply(operation))
        return []

    def _reply(self, operation: Stored) -> Any:
        """What the API answered to the last try of an accepted operation."""
        body = self._ledger.reply(operation.id)
        return None if body is None else Reply(operation.path, operation.http_status or 0, {}, body).data

    async def _not_shown(self, operation: Stored, look: Look) -> None:
        """An unknown act of which the server shows no trace: it may be sent again under its key (rule 11)."""
        if self._since(operation) < PROOF_AFTER:
            self._clear(operation, look)
        elif await self._commit(lambda: self._ledger.absent(operation.id, operation.tries)):
            look.formed.append(operation.id)

    def _clear(self, operation: Stored, look: Look) -> None:
        """Let an operation be sent again under its key; not if that was refused, as it would be again until absence is proved."""
        if not refused(operation):
            look.resend.append(self._ledger.clearance(operation, read=look.began))

    # Webhook deliveries.

    async def _look_at_deliveries(self, operations: Sequence[Stored], look: Look) -> None:
        """Settle redeliveries from the delivery log (rule 19)."""
        by_webhook: dict[str, list[Stored]] = {}
        for operation in operations:
            by_webhook.setdefault(operation.path.split("/")[3], []).append(operation)
        for webhook, group in by_webhook.items():
            states = await self._reader.deliveries(
                webhook, {operation.subject.partition(":")[2] for operation in group}
            )
            members = self._ledger.members_of([operation.id for operation in group])
            changes: list[_Change] = []
            for operation in group:
                now = states.get(operation.subject.partition(":")[2])
                if now is None:
                    look.waiting[operation.id] = "the delivery is no longer listed; look at the dashboard"
                elif delivery_moved(operation.baseline or {}, now) or self._same_again(operation, now):
                    rows = members[operation.id]
                    changes.append(_Change(operation, rows, [settle_delivery(member, now) for member in rows]))
                elif operation.state == "unknown" and self._since(operation) >= PROOF_AFTER:
                    # A delivery does not show that it is queued, so nothing shorter tells a slow queue from a lost request.
                    if unmoved(operation.baseline or {}, now):
                        await self._not_shown(operation, look)
                    else:
                        look.waiting[operation.id] = (
                            "it was tried again with the same result, by whom is not known; look at the dashboard"
                        )
            await self._write(changes, look)

    def _same_again(self, operation: Stored, now: Mapping[str, Any]) -> bool:
        """Whether an accepted redelivery has long shown a further try of which nothing else is new: the same result again."""
        waited = operation.state == "accepted" and self._since(operation) >= PROOF_AFTER
        return waited and not unmoved(operation.baseline or {}, now)

    # Creates.

    async def _look_at_batches(self, operations: Sequence[Stored], look: Look) -> None:
        """Settle unknown creates by their marks (rules 13 and 14)."""
        earliest = min(operation.first_sent or operation.last_sent or 0.0 for operation in operations)
        marks = await self._reader.marks(datetime.fromtimestamp(earliest - SKEW, UTC))
        for operation in operations:
            await self._settle_batch(operation, marks, look)

    async def _settle_batch(self, operation: Stored, marks: Marks, look: Look) -> None:
        """Take what was found as created; decide what may be done about the rest."""
        members = self._ledger.members(operation.id)
        unsettled = [member for member in members if not member.outcome.final]
        found = [(member, hits) for member in unsettled if (hits := marks.found.get(member.item.mark))]
        look.duplicates += [said for member, hits in found if (said := _twice(member, hits, operation))]
        if found:
            done = [settled(member, Outcome.SUCCEEDED, result_id=hits[0][1]) for member, hits in found]
            await self._write([_Change(operation, members, done)], look)
        rest = [member for member in unsettled if not marks.found.get(member.item.mark)]
        if not rest:
            return
        waited = self._since(operation) >= PROOF_AFTER
        proved = marks.metadata and waited
        untouched = len(rest) == len(members)
        if untouched and proved:
            if await self._commit(lambda: self._ledger.absent(operation.id, operation.tries)):
                look.formed.append(operation.id)
        elif untouched and (marks.metadata or not operation.answered) and not late(rest, self._now()):
            self._clear(operation, look)
        elif proved:
            look.formed += await self._commit(lambda: self._reform(operation, rest))
        elif not marks.metadata and waited:
            look.waiting[operation.id] = (
                "posts show no metadata, so nobody can tell whether it was created; look at the dashboard"
            )

    def _reform(self, operation: Stored, rest: Sequence[Member]) -> list[int]:
        """Give rows that are proved not to exist a batch of their own, and close the old one; unless it was sent meanwhile."""
        if not self._ledger.unchanged(operation):
            return []
        made = reform(self._ledger, operation, [rest])
        self._ledger.settle(operation.id, [], self._now().timestamp())
        return made

    # Writing.

    async def _write(self, changes: Sequence[_Change], look: Look) -> None:
        """Write outcomes, many in one transaction, and note what changed."""
        at = self._now()
        for start in range(0, len(changes), AT_ONCE):
            some = changes[start : start + AT_ONCE]
            kept = await self._commit(partial(self._settle, some, at.timestamp()))
            for change in compress(some, kept):
                look.transitions += transitions(change.before, change.after, at)

    def _settle(self, changes: Sequence[_Change], now: float) -> list[bool]:
        """Settle what nobody has sent again since it was looked at; for each whether it was."""
        kept = []
        for change in changes:
            operation = change.operation
            # That a create exists is true whatever was sent since; how an act ended is told of the try that was looked at.
            lasts = operation.action is Action.BULK or self._ledger.unchanged(operation)
            if lasts:
                if operation.action is not Action.BULK and operation.state == "unknown":
                    self._ledger.happened(operation.id)
                self._ledger.settle(operation.id, change.after, now)
            kept.append(lasts)
        return kept


def refused(operation: Stored) -> bool:
    """Whether the last try was refused for good, which after an ambiguous one proves nothing by itself (rule 16).

    A time-out, a rate limit and a key still in use may pass; a 409 without the API's own word may be about the key, too.
    """
    status = operation.http_status or 0
    return 400 <= status < 500 and status not in {408, 429} and (status != 409 or operation.answered)


def _twice(member: Member, hits: Sequence[tuple[str, str]], operation: Stored) -> str:
    """A sentence if a row was created twice by our own sending; a copy that somebody made later is none (rule 14)."""
    until = datetime.fromtimestamp((operation.last_sent or 0.0) + SKEW, UTC)
    ours = [post_id for created, post_id in hits if not created or datetime.fromisoformat(created) <= until]
    return f"{member.item.label} was created twice: {ours[0]}, {ours[1]}" if len(ours) > 1 else ""


def transitions(before: Sequence[Member], after: Sequence[Member], at: datetime) -> list[Transition]:
    """What a monitor shows of a change: members whose outcome is another now."""
    was = {member.position: member for member in before}
    return [
        Transition(
            at=at,
            item=member.item.label,
            platform=member.item.platform,
            was=str(was[member.position].outcome),
            now=str(member.outcome),
            detail=member.error_message or member.error_code or "",
        )
        for member in after
        if was[member.position].outcome != member.outcome
    ]
