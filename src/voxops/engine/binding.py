"""Binding a plan to the ledger: which rows are new, which join what is already open, and which are held (rules 1, 2 and 5).

One transaction decides for all rows; before it, the engine has read what the server shows. Nothing is sent here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from voxops import frames
from voxops._core.canonical import canonical
from voxops.acts import keys
from voxops.acts.plan import Item, Operation, Plan, form
from voxops.engine.reader import Marks
from voxops.engine.settle import PostState, baseline_of, changes, settled
from voxops.ledger.ledger import Ledger, Member, Stored, whoami
from voxops.model import IN_FLIGHT_STATUSES, STUCK_AFTER, Action, Outcome

__all__ = ["Facts", "bind", "reform", "why_not_now"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What reading showed before binding.

    `now` is server time; `posts` and `deliveries` are present states by id; `accounts` maps ``platform:@name`` to an account id;
    `marks` are creates that the server shows, None where it was not asked.
    """

    now: datetime
    posts: Mapping[str, PostState] = field(default_factory=dict)
    deliveries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    marks: Marks | None = None


@dataclass(frozen=True, slots=True)
class _Join:
    """The row stands for a member that exists."""

    op: int
    position: int


@dataclass(frozen=True, slots=True)
class _New:
    """The row needs a new operation, as this attempt; accepted acts that never ended are given up for it."""

    item: Item
    given_up: tuple[Stored, ...] = ()


@dataclass(frozen=True, slots=True)
class _Hold:
    """The row is not sent, for this reason."""

    why: str


_Decision = _Join | _New | _Hold


def bind(ledger: Ledger, run: str, plan: Plan, facts: Facts, reason: str | None) -> None:
    """Write a run and everything it needs into the ledger, in one IMMEDIATE transaction."""
    with ledger.atomic() as db:
        db.execute(
            """INSERT INTO runs (id, action, campaign, key_column, reason, who, created, frame, canaries, held)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                run,
                str(plan.action),
                plan.campaign,
                plan.key,
                reason,
                whoami(),
                facts.now.timestamp(),
                frames.pack(plan.table),
                plan.canaries,
                plan.held,
            ),
        )
        if facts.marks is not None:
            ledger.learn_marks(facts.marks.found, facts.now.timestamp())
        ledger.abandon()
        canaries = {
            item.row: item.cause for operation in plan.operations if operation.canary for item in operation.items
        }
        decisions = _decide_all(ledger, plan, facts)
        _write_new(ledger, plan, facts, decisions)
        rows: list[tuple[Any, ...]] = []
        for item in plan.items:
            decision = decisions[item.row]
            if isinstance(decision, _Hold):
                rows.append((run, item.row, None, None, decision.why, canaries.get(item.row)))
            else:
                attempt = decision.item.attempt if isinstance(decision, _New) else item.attempt
                if isinstance(decision, _Join):
                    attempt = _alias(ledger, item, decision)
                rows.append((run, item.row, item.identity, attempt, "", canaries.get(item.row)))
        db.executemany("INSERT INTO run_rows VALUES (?, ?, ?, ?, ?, ?)", rows)


def _alias(ledger: Ledger, item: Item, join: _Join) -> int:
    """Attempt under which the item is known to stand for a member; the ledger learns it where it does not know it yet."""
    known = ledger.query(
        "SELECT attempt FROM items WHERE identity = ? AND op = ? AND position = ?",
        (item.identity, join.op, join.position),
    )
    if known:
        return int(known[0][0])
    latest = ledger.query("SELECT max(attempt) FROM items WHERE identity = ?", (item.identity,))[0][0]
    attempt = max(item.attempt, (latest or 0) + 1)
    ledger.point(item.identity, attempt, join.op, join.position)
    return attempt


def _decide_all(ledger: Ledger, plan: Plan, facts: Facts) -> dict[int, _Decision]:
    """A decision per row.

    Deciding for one row may dissolve a planned operation that another has joined; the other is decided again then. That ends, for
    what is dissolved stays so.
    """
    decisions: dict[int, _Decision] = {}
    undecided = list(plan.operations)
    while undecided:
        for operation in undecided:
            decisions |= _decide_operation(ledger, plan, operation, facts)
        gone = ledger.withdrawn({decision.op for decision in decisions.values() if isinstance(decision, _Join)})
        left = {row for row, decision in decisions.items() if isinstance(decision, _Join) and decision.op in gone}
        undecided = [operation for operation in plan.operations if any(item.row in left for item in operation.items)]
    return decisions


def _decide_operation(ledger: Ledger, plan: Plan, operation: Operation, facts: Facts) -> dict[int, _Decision]:
    """A decision per row of an operation. A whole post is retried or nothing of it: one held row holds the others."""
    own = {item.row: _decide(ledger, plan, operation, item, facts) for item in operation.items}
    if plan.action is not Action.BULK and len({type(decision) for decision in own.values()}) > 1:
        tried = any(isinstance(decision, _Join) for decision in own.values())
        own = {row: _with_the_post(decision, tried=tried) for row, decision in own.items()}
    if any(isinstance(decision, _New) for decision in own.values()):
        why = _why_not_whole(plan.action, operation.body, operation.items, facts)
        own = dict.fromkeys(own, _Hold(why)) if why else own
    return own


def _why_not_whole(action: Action, body: bytes | None, items: Sequence[Item], facts: Facts) -> str:
    """Why a retry of a whole post would send more targets than were chosen (rule 3); ``""`` if it would not."""
    state = facts.posts.get(items[0].subject.partition(":")[2])
    if action is Action.RETRY and body is None and state is not None and state.open_targets != len(items):
        return "another target of this post is not published either; load the posts again"
    return ""


def why_not_now(action: Action, body: bytes | None, items: Sequence[Item], facts: Facts) -> str:
    """Why an act must not be sent as the server is now; ``""`` if it may."""
    for item in items:
        decision = _decide_changed(item, facts)
        if isinstance(decision, _Hold):
            return decision.why
    return _why_not_whole(action, body, items, facts)


def _with_the_post(decision: _Decision, *, tried: bool) -> _Decision:
    """What becomes of a row whose post has rows that are decided otherwise."""
    if not isinstance(decision, _New):
        return decision
    if tried:
        return _Hold(
            "another target of this post was tried before; plan all of them as its next attempt, in a column attempt"
        )
    return _Hold("another target of this post is held; load the posts again")


def _decide(ledger: Ledger, plan: Plan, operation: Operation, item: Item, facts: Facts) -> _Decision:
    """Decide for one row: what the ledger knows comes before what the server shows."""
    known = ledger.latest(item.identity)
    if known is not None and _is_stuck(item, known[1], known[0], facts):
        item = _as_attempt(item, plan.campaign, known[0] + 1)
    elif known is not None:
        decision = _decide_known(ledger, plan, operation, item, *known)
        if not isinstance(decision, _New):
            return decision
        item = decision.item
    if plan.action is Action.BULK:
        return _decide_create(ledger, item, facts)
    given_up = []
    for stored in ledger.open_on(item.subject):
        # a next attempt is about the row's own act alone
        attempt = known[0] if known is not None and known[1].id == stored.id else math.inf
        if _is_stuck(item, stored, attempt, facts):
            given_up.append(stored)
            continue
        open_decision = _decide_open(ledger, item, stored, plan.action)
        if open_decision is not None:
            return open_decision
    decision = _decide_changed(item, facts)
    return replace(decision, given_up=tuple(given_up)) if isinstance(decision, _New) else decision


def _decide_known(
    ledger: Ledger, plan: Plan, operation: Operation, item: Item, attempt: int, stored: Stored, member: Member
) -> _Decision:
    """Decide for a row that was tried before (rule 5)."""
    join = _Join(stored.id, member.position)
    same = member.item.body_hash == item.body_hash
    if member.outcome is Outcome.SUCCEEDED:
        if same or plan.action is not Action.BULK:
            return join
        differing = ", ".join(_differing(member.item.body or {}, item.body or {}))
        return _Hold(
            f"already posted as {member.result_id}, with another {differing}; change the post itself, or name a new campaign, "
            "which would post every row again"
        )
    if member.outcome is Outcome.FAILED:
        if item.attempt > attempt or not same:
            return _New(_as_attempt(item, plan.campaign, attempt + 1))
        return join
    if same and not (stored.state == "planned" and _formed_otherwise(ledger, plan, operation, stored)):
        return join
    if stored.state == "planned":
        if plan.action is Action.BULK:  # never sent: the row leaves its batch, whose other rows keep their bytes
            reform(
                ledger, stored, [[other for other in ledger.members(stored.id) if other.position != member.position]]
            )
        ledger.withdraw(stored.id, "never sent; a later plan took its place")
        return _New(_as_attempt(item, plan.campaign, attempt))
    differing = ", ".join(_differing(member.item.body or {}, item.body or {}))
    return _Hold(f"an attempt with another {differing} is still open; wait for its outcome")


def _formed_otherwise(ledger: Ledger, plan: Plan, operation: Operation, stored: Stored) -> bool:
    """Whether an unsent operation would send other targets than this plan does, or send a canary behind its own canaries."""
    if operation.canary and not stored.canary:
        return True
    if plan.action is Action.BULK:
        return False
    return {member.item.identity for member in ledger.members(stored.id)} != {each.identity for each in operation.items}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the fields in which two bodies differ."""
    return sorted(name for name in {*before, *after} - {"metadata"} if before.get(name) != after.get(name))


def _as_attempt(item: Item, campaign: str, attempt: int) -> Item:
    """The item as another attempt; a create's mark names the attempt, too."""
    if item.attempt == attempt:
        return item
    body = item.body
    if body is not None and "metadata" in body:
        body = {**body, "metadata": {"voxopsOp": keys.mark(campaign, item.label, attempt)}}
    return replace(item, attempt=attempt, body=body)


def _decide_create(ledger: Ledger, item: Item, facts: Facts) -> _Decision:
    """Decide for a create: unless the server shows it already, its names must resolve, and its time lie ahead (rule 6)."""
    body = item.body or {}
    if ledger.created(item.marks):
        return _New(item)
    unknown = [name for name in body.get("accountIds", ()) if ":" in name and name not in facts.accounts]
    if unknown:
        return _Hold(f"no account {', '.join(unknown)} in this workspace")
    if datetime.fromisoformat(body["scheduledFor"]) <= facts.now:
        return _Hold("its time has passed")
    return _New(item)


def _decide_open(ledger: Ledger, item: Item, stored: Stored, action: Action) -> _Decision | None:
    """Decide for a row whose subject has an open operation (rule 2); None if that operation does not stand in the way."""
    if stored.state == "planned":
        ledger.withdraw(stored.id, "never sent; a later plan took its place")
        return None
    members = ledger.members(stored.id)
    twin = next((m for m in members if (m.item.platform, m.item.account) == (item.platform, item.account)), None)
    if twin is not None and stored.action is action and twin.item.body_hash == item.body_hash:
        return _Join(stored.id, twin.position)
    what = item.subject.partition(":")[0]
    return _Hold(f"another {stored.action} of this {what} is still open; wait for its outcome")


def _is_stuck(item: Item, stored: Stored, attempt: float, facts: Facts) -> bool:
    """Whether an accepted act has not ended for too long, and the analyst tries anew: says that its target hangs, or a next attempt."""
    anew = item.seen.get("status") in IN_FLIGHT_STATUSES or item.attempt > attempt
    long_ago = facts.now.timestamp() - (stored.last_sent or 0.0) > STUCK_AFTER.total_seconds()
    return stored.state == "accepted" and anew and long_ago


def _decide_changed(item: Item, facts: Facts) -> _Decision:
    """Decide by the server's present state: what has changed since the frame was loaded is held."""
    what, _, name = item.subject.partition(":")
    if what == "delivery":
        now = facts.deliveries.get(name)
        if now is None:
            return _Hold("this delivery no longer exists")
        differing = sorted(field for field, value in item.seen.items() if now.get(field) != value)
    else:
        state = facts.posts.get(name)
        if state is None:
            return _Hold("this post no longer exists")
        differing = changes(item.seen, state)
    if differing:
        return _Hold(f"changed since loaded ({', '.join(differing)}); load it again")
    return _New(item)


def _write_new(ledger: Ledger, plan: Plan, facts: Facts, decisions: Mapping[int, _Decision]) -> None:
    """Form operations of the new rows and write them; creates that a mark proves done are settled at once."""
    new = {row: decision.item for row, decision in decisions.items() if isinstance(decision, _New)}
    _give_up(ledger, decisions, facts)
    canary_rows = {item.row for operation in plan.operations if operation.canary for item in operation.items}
    ordered = [new[item.row] for item in plan.items if item.row in new]
    there = {item.row: post for item in ordered if plan.action is Action.BULK and (post := ledger.created(item.marks))}
    for operation in form(plan.action, [item for item in ordered if item.row in there]):
        op = ledger.add(operation, baseline=None)
        done = [settled(m, Outcome.SUCCEEDED, result_id=there[m.item.row]) for m in ledger.members(op)]
        ledger.settle(op, done, facts.now.timestamp())
    for canary in (True, False):
        group = [item for item in ordered if item.row not in there and (item.row in canary_rows) is canary]
        for operation in form(plan.action, group):
            ledger.add(_resolve(replace(operation, canary=canary), facts), baseline=_baseline(operation, facts))


def _give_up(ledger: Ledger, decisions: Mapping[int, _Decision], facts: Facts) -> None:
    """Close accepted acts that never ended, each once, where something is really tried anew in their place."""
    stuck = {
        each.id: each for decision in decisions.values() if isinstance(decision, _New) for each in decision.given_up
    }
    for stored in stuck.values():
        left = [member for member in ledger.members(stored.id) if not member.outcome.final]
        done = [settled(m, Outcome.FAILED, error_code="STUCK", error_message="never ended; tried anew") for m in left]
        ledger.settle(stored.id, done, facts.now.timestamp())


def _resolve(operation: Operation, facts: Facts) -> Operation:
    """The operation with account ids for account names in its bytes; its key stays that of what the analyst wrote."""
    if operation.action is not Action.BULK:
        return operation
    posts = []
    for item in operation.items:
        body = dict(item.body or {})
        body["accountIds"] = [facts.accounts.get(name, name) for name in body.get("accountIds", ())]
        posts.append(body)
    return replace(operation, body=canonical({"posts": posts, "dryRun": False}))


def reform(ledger: Ledger, stored: Stored, groups: Sequence[Sequence[Member]]) -> list[int]:
    """Move members of a batch that took no effect into batches of their own, bytes unchanged (rules 11 and 17).

    Returns the new operations. The old one keeps its other members, and is withdrawn if it has none.
    """
    posts = json.loads(stored.body or b"{}").get("posts", [])
    made = []
    with ledger.atomic():
        for group in groups:
            if not group:
                continue
            ledger.detach(stored.id, [member.position for member in group])
            (operation,) = form(stored.action, [member.item for member in group])
            body = canonical({"posts": [posts[member.position] for member in group], "dryRun": False})
            made.append(
                ledger.add(replace(operation, body=body, batch=stored.batch, canary=stored.canary), baseline=None)
            )
    return made


def _baseline(operation: Operation, facts: Facts) -> dict[str, Any] | None:
    """The state of the subject as read before acting."""
    what, _, name = operation.subject.partition(":")
    if what == "post" and name in facts.posts:
        return baseline_of(facts.posts[name])
    if what == "delivery" and name in facts.deliveries:
        return dict(facts.deliveries[name])
    return None
