"""What an answer or a reading proves about an operation: pure decisions, no I/O (rules 11 to 20)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from voxops import frames
from voxops._core.backoff import is_ambiguous
from voxops.acts.retries import delivery_rows, seen_of_delivery, seen_of_target, target_rows
from voxops.frames.columns import plain_values
from voxops.ledger.ledger import Member
from voxops.model import IN_FLIGHT_STATUSES, TERMINAL_STATUSES, WAITING_STATUSES, Outcome

__all__ = [
    "PROOF_AFTER",
    "Answer",
    "PostState",
    "changes",
    "delivery_moved",
    "judge",
    "late",
    "moved",
    "read_bulk",
    "read_deliveries",
    "read_posts",
    "settle_bulk",
    "settle_cancel",
    "settle_delivery",
    "settle_targets",
    "settled",
    "shaped",
    "stamped",
    "still_at_work",
    "unmoved",
]


class Answer(StrEnum):
    """What one try proves."""

    TAKEN = "taken"  # 2xx: queued or done, by the row's word
    REFUSED = "refused"  # nothing happened, and nothing will
    THROTTLED = "throttled"  # nothing happened, try again later
    STOP = "stop"  # nothing happened, and no other request would fare better
    UNKNOWN = "unknown"  # nobody knows


# Seconds after the last try before absence proves anything (rule 14), and before a time stamp alone does: till then the post may
# have been edited by somebody, or stamped when the try was queued, and to be taken for failed is to be tried again.
PROOF_AFTER = 300.0
_STOP_STATUSES = frozenset({401, 402, 403})
_ABOUT_THE_KEY = frozenset({"IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_IN_PROGRESS"})


def judge(status: int, code: str, *, first_try: bool) -> Answer:
    """Say what an answer proves.

    A 4xx proves that nothing happened only on the first try: after an ambiguous one it may be about a key or a state that
    the earlier try left behind (rule 16). An ``IDEMPOTENCY_CONFLICT`` is never a reason for a new key, and
    ``IDEMPOTENCY_IN_PROGRESS`` is a try that has not ended; a 409 without a code may be either. A quota, a scope or a refused
    key concern every request, so they stop the run, and leave the operation as it was before this try (rule 17).
    """
    if status == 429:
        return Answer.THROTTLED
    if 200 <= status < 300:
        return Answer.TAKEN
    if is_ambiguous(status) or status < 400 or code in _ABOUT_THE_KEY or (status == 409 and not code):
        return Answer.UNKNOWN
    if status in _STOP_STATUSES or code == "IDEMPOTENCY_INVALID_KEY":
        return Answer.STOP
    return Answer.REFUSED if first_try else Answer.UNKNOWN


def still_at_work(code: str) -> bool:
    """Whether the server may still be carrying out what a key stands for, after it answered ambiguously.

    Only the API's own word, an error with a code, says that a request has ended; a gateway gives up while the server goes on. An
    error about the key itself says nothing of the request.
    """
    return not code or code in _ABOUT_THE_KEY


@dataclass(frozen=True, slots=True)
class PostState:
    """A post as read from the server; `targets` are rows with the names of the targets frame, plain values."""

    post_id: str
    status: str
    updated_at: str | None
    created_at: str | None
    mark: str | None
    has_metadata: bool
    targets: tuple[Mapping[str, Any], ...]

    def target(self, platform: str, account: str) -> Mapping[str, Any] | None:
        """The target on a platform and account."""
        return next((row for row in self.targets if row["platform"] == platform and row["account_id"] == account), None)

    @property
    def failed_targets(self) -> int:
        """How many targets failed."""
        return sum(row["status"] == "failed" for row in self.targets)

    @property
    def open_targets(self) -> int:
        """How many targets a retry of the whole post would send again."""
        return sum(row["status"] == "failed" or row["status"] in IN_FLIGHT_STATUSES for row in self.targets)


def read_posts(records: Sequence[Mapping[str, Any]]) -> dict[str, PostState]:
    """Read posts in every shape the contract knows, through the same schema as the frames that analysts see."""
    posts = frames.build("posts", records)
    by_post: dict[str, list[dict[str, Any]]] = {}
    for row in target_rows(frames.targets(posts)):
        if row["platform"] is not None and row["post_id"] is not None:
            by_post.setdefault(row["post_id"], []).append(row)
    names = ("post_id", "status", "updated_at", "created_at", "metadata")
    states = {}
    for post_id, status, updated, created, metadata in zip(*(plain_values(posts, name) for name in names), strict=True):
        if post_id is not None:
            known = metadata if isinstance(metadata, Mapping) else {}
            mark = known.get("voxopsOp")
            states[post_id] = PostState(
                post_id, status or "", updated, created, None if mark is None else str(mark), bool(known),
                tuple(by_post.get(post_id, ())),
            )  # fmt: skip
    return states


def changes(seen: Mapping[str, Any], state: PostState) -> list[str]:
    """Names of what differs between a planned row and the server's present state; the post's own fields alone for a cancel."""
    if "platform" not in seen:
        now: Mapping[str, Any] = {"post_status": state.status, "updated_at": state.updated_at}
    else:
        target = state.target(seen["platform"], seen["account_id"])
        if target is None:
            return ["target"]
        now = seen_of_target(target)
    return [name for name, value in now.items() if name in seen and seen[name] != value]


def moved(baseline: Mapping[str, Any], state: PostState, since: float) -> bool:
    """Whether a post has moved since the baseline: its time stamp passed it, or it is on its way (rule 18).

    Where the wire shows no time stamp, a target that differs from the baseline counts. Where the time stamp is all that differs,
    it may be an edit of somebody else, which says nothing until `since`, the seconds since the try ended, are many.
    """
    were = {(row[0], row[1]): row[2] for row in baseline.get("targets", ())}
    pairs = [(baseline.get("post_status"), state.status)]
    pairs += [(were.get((row["platform"], row["account_id"])), row["status"]) for row in state.targets]
    if any(now in IN_FLIGHT_STATUSES and was not in IN_FLIGHT_STATUSES for was, now in pairs):
        return True
    differs = fingerprint_targets(state) != baseline.get("targets")
    if baseline.get("updated_at") and state.updated_at:
        return stamped(baseline, state) and (differs or since >= PROOF_AFTER)
    return differs


def stamped(baseline: Mapping[str, Any], state: PostState) -> bool:
    """Whether a post's time stamp has passed the baseline's: something has happened to it, if only an edit."""
    before, after = baseline.get("updated_at"), state.updated_at
    return bool(before and after) and datetime.fromisoformat(str(after)) > datetime.fromisoformat(str(before))


def fingerprint_targets(state: PostState) -> list[list[Any]]:
    """What a baseline keeps of a post's targets."""
    rows = [
        [row[name] for name in ("platform", "account_id", "status", "error_code", "error_message")]
        for row in state.targets
    ]
    return sorted(rows, key=str)


def baseline_of(state: PostState) -> dict[str, Any]:
    """The state of a post as read before acting."""
    return {"post_status": state.status, "updated_at": state.updated_at, "targets": fingerprint_targets(state)}


def settle_targets(members: Sequence[Member], state: PostState) -> list[Member]:
    """Outcomes of retried or fixed targets, from a post that has moved; what is still on its way stays pending.

    A published target has succeeded at once. A failed one has failed only when the whole post is terminal, as the API tries a
    platform several times by itself (contract: PLAY). A state that only a person or a later time moves is said (rule 20).
    """
    done = []
    seen = {
        "post_status": state.status,
        "updated_at": state.updated_at,
        "open": [state.failed_targets, state.open_targets - state.failed_targets],
    }
    for member in members:
        if member.outcome.final:
            continue
        target = state.target(member.item.platform, member.item.account)
        status = None if target is None else target["status"]
        if target is not None and status == "published":
            done.append(
                settled(member, Outcome.SUCCEEDED, result_id=target["platform_post_id"] or state.post_id, seen=seen)
            )
        elif state.status not in TERMINAL_STATUSES:
            waits = (
                f"the post is {state.status}"
                if state.status in WAITING_STATUSES
                else f"{status or state.status or 'queued'}"
            )
            done.append(replace(member, outcome=Outcome.PENDING, waiting_for=waits))
        elif target is not None and status not in IN_FLIGHT_STATUSES:
            code, message = target["error_code"], target["error_message"]
            code = code or str(status).upper()
            now = seen | {"status": "failed", "error_code": target["error_code"], "error_message": message}
            done.append(settled(member, Outcome.FAILED, error_code=code, error_message=message, seen=now))
        else:
            waits = "the target is no longer listed" if target is None else str(status)
            done.append(replace(member, outcome=Outcome.PENDING, waiting_for=waits))
    return done


def settle_skipped(members: Sequence[Member], reply: Any) -> list[Member]:
    """Members whose target the answer to a retry lists as skipped: failed at once, for the server's reason (rule 18)."""
    skipped = reply.get("skippedPlatforms") if isinstance(reply, Mapping) else None
    reasons = {}
    for entry in skipped if isinstance(skipped, list) else []:
        if isinstance(entry, Mapping):
            place = (str(entry.get("platform", "")).lower(), str(entry.get("accountId", "")))
            reasons[place] = str(entry.get("reason") or "skipped by the server")
    return [
        settled(
            member,
            Outcome.FAILED,
            error_code="SKIPPED",
            error_message=reasons[member.item.platform, member.item.account],
        )
        for member in members
        if (member.item.platform, member.item.account) in reasons
    ]


def settle_cancel(member: Member, status: str) -> Member | None:
    """Outcome of a cancel from the post's status; None while it still waits to go out."""
    if status == "cancelled":
        return settled(member, Outcome.SUCCEEDED, result_id=member.item.label)
    if status in TERMINAL_STATUSES or status in IN_FLIGHT_STATUSES:
        return settled(member, Outcome.FAILED, error_code="TOO_LATE", error_message=f"the post is {status} already")
    return None


@dataclass(frozen=True, slots=True)
class BulkItem:
    """One readable item of a bulk answer."""

    created: bool
    post_id: str | None
    error_code: str | None
    error_message: str | None


def read_bulk(data: Any, count: int) -> list[BulkItem | None] | None:
    """Read a bulk answer by ``index`` (rule 15).

    Returns
    -------
    list or None
        One entry per item, None where the index is missing, doubled or says nothing; None for an answer that holds no items.
    """
    results = data.get("results") if isinstance(data, Mapping) else None
    if not isinstance(results, list):
        return None
    table = frames.build("bulk_results", results)
    columns = ("index", "status", "post_id", "error_code", "error_message")
    rows = list(zip(*(plain_values(table, name) for name in columns), strict=True))
    times = Counter(row[0] for row in rows)
    items: list[BulkItem | None] = [None] * count
    for index, status, post_id, code, message in rows:
        if index is None or not 0 <= index < count or times[index] > 1:
            continue
        if status == "created" and post_id:
            items[index] = BulkItem(True, post_id, None, None)
        elif status == "failed":
            items[index] = BulkItem(False, None, code, message)
    return items


def late(members: Sequence[Member], now: datetime) -> list[Member]:
    """Rows of a batch that are to be created for a time that has passed (rule 6)."""
    return [
        member
        for member in members
        if not member.outcome.final and datetime.fromisoformat((member.item.body or {})["scheduledFor"]) <= now
    ]


def settle_bulk(members: Sequence[Member], items: Sequence[BulkItem | None]) -> list[Member]:
    """Outcomes of a batch from its items, by position; unreadable ones are unknown."""
    done = []
    for member in members:
        item = items[member.position]
        if item is None:
            done.append(
                replace(member, outcome=Outcome.UNKNOWN, waiting_for="the answer did not say what became of it")
            )
        elif item.created:
            done.append(settled(member, Outcome.SUCCEEDED, result_id=item.post_id))
        else:
            message = item.error_message or "the server gave no reason"
            done.append(settled(member, Outcome.FAILED, error_code=item.error_code or "FAILED", error_message=message))
    return done


def read_deliveries(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Read deliveries as their episodes, by id."""
    rows = delivery_rows(frames.build("deliveries", list(records)))
    return {row["delivery_id"]: seen_of_delivery(row) for row in rows if row["delivery_id"] is not None}


_MOVES = ("success", "status_code", "latency_ms", "error", "delivered_at")


def delivery_moved(baseline: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a delivery was tried again and the try has ended (rule 19).

    Its retry count exceeds the baseline *and* something of the result differs. Where the wire shows no count, the result alone
    decides.
    """
    differs = any(baseline.get(name) != now.get(name) for name in _MOVES)
    before, after = baseline.get("retry_count"), now.get("retry_count")
    counted = before is None or after is None or after > before
    return differs and counted


def unmoved(baseline: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a delivery shows no sign of a further try, not even in its count: only this proves that there was none."""
    return all(baseline.get(name) == value for name, value in now.items())


def settle_delivery(member: Member, now: Mapping[str, Any]) -> Member:
    """Outcome of a redelivery that has been tried."""
    if now["success"]:
        return settled(member, Outcome.SUCCEEDED, result_id=member.item.label)
    code = None if now["status_code"] is None else f"HTTP_{now['status_code']}"
    return settled(member, Outcome.FAILED, error_code=code or "NOT_DELIVERED", error_message=now["error"], seen=now)


def settled(member: Member, outcome: Outcome, **result: Any) -> Member:
    """The member with its final outcome; it waits for nothing any more."""
    return replace(member, outcome=outcome, waiting_for="", **result)


def shaped(action: str, data: Any) -> bool:
    """Whether a 2xx decodes to the shape of its row; one that does not proves nothing (rule 15)."""
    if not isinstance(data, Mapping) or not data:
        return False
    if action == "bulk":
        return isinstance(data.get("results"), list)
    if action == "fix" or "platformId" in data:
        return data.get("success") is not False
    return "id" in data or "status" in data or "retriedPlatforms" in data
