"""Binding a plan to the ledger: which rows are new, which join what is already open, and which are held (rules 1, 2 and 5).

One transaction decides for all rows; before it, the engine has read what the server shows. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from voxops import frames
from voxops.acts import keys
from voxops.acts.act import Act
from voxops.acts.create import CreateAct, resolved
from voxops.acts.made import Made, asked_hash, shown_of_body
from voxops.acts.operation import Item, Member, Operation, Subject, settled
from voxops.acts.plan import Plan
from voxops.acts.table import act_named
from voxops.api.evidence import Baseline
from voxops.api.states import PostState
from voxops.api.windows import STUCK_AFTER
from voxops.engine.batches import leave_batch
from voxops.engine.presence import Verdict, judge_row
from voxops.engine.reader import Listed
from voxops.ledger import Ledger, RunHead, RunRow, Stored
from voxops.model import IN_FLIGHT_STATUSES, Outcome

__all__ = ["Facts", "bind", "learn", "remember", "verdict_of", "why_not_now"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What reading showed before binding.

    `now` is server time; `posts` and `deliveries` are present states by id; `accounts` maps ``platform:@name`` to an account id;
    `listed` are posts created lately, None where it was not asked.
    """

    now: datetime
    posts: Mapping[str, PostState] = field(default_factory=dict)
    deliveries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    listed: Listed | None = None

    def of(self, subject: Subject) -> Any:
        """The present state of a subject; None if it does not exist."""
        return (self.deliveries if subject.kind == "delivery" else self.posts).get(subject.id)

    def baseline(self, subject: Subject) -> dict[str, Any] | None:
        """What the ledger keeps of a subject as it was before acting; None for what does not exist yet."""
        state = self.of(subject)
        if isinstance(state, PostState):
            return Baseline.of(state).stored()
        return None if state is None else dict(state)


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
    head = RunHead(run, plan.action, plan.campaign, plan.key, plan.canaries, plan.held)
    with ledger.atomic():
        ledger.runs.start(head, reason=reason, created=facts.now.timestamp(), frame=frames.pack(plan.table))
        if facts.listed is not None:
            learn(ledger, facts.listed)
        ledger.claims.expire()
        canaries = {
            item.row: item.cause for operation in plan.operations if operation.canary for item in operation.items
        }
        binder = _Binder(ledger, plan, facts)
        decisions = binder.decide()
        binder.write(decisions)
        ledger.runs.add_rows(
            run, [_row(ledger, item, decisions[item.row], canaries.get(item.row)) for item in plan.items]
        )


def learn(ledger: Ledger, listed: Listed) -> None:
    """Remember what the lists have shown."""
    made = listed.made
    ledger.marks.learn(made, latest=listed.latest, shown=listed.metadata)
    ledger.outcomes.withdrawn({post.post_id: post.status for post in made if post.withdrawn})


def remember(ledger: Ledger, operation: Stored, members: Sequence[Member], now: float) -> None:
    """Remember the posts that creates have just made, so that they are known where lists show no metadata (rules 26 and 28)."""
    act = act_named(operation.action)
    if not isinstance(act, CreateAct):
        return
    bodies, created = act.bodies(operation.body), datetime.fromtimestamp(now, UTC).isoformat()
    ledger.marks.learn(
        Made(
            post_id=member.result_id,
            created=created,
            status="scheduled",
            op_mark=member.item.mark,
            row_mark=member.item.row_mark,
            campaign_mark=keys.campaign_mark(member.item.campaign),
            asked=asked_hash(bodies[member.position]),
            shown=shown_of_body(bodies[member.position]),
        )
        for member in members
        if member.outcome is Outcome.SUCCEEDED and member.result_id is not None
    )


def verdict_of(ledger: Ledger, item: Item, body: Mapping[str, Any], kept: Collection[str] = frozenset()) -> Verdict:
    """What the posts that are there allow for a row; `kept` are marks of rows that ask for what was made for them."""
    made = ledger.marks.of_row(item.row_mark, item.marks)
    return judge_row(item, body, made, ledger.marks.alike(shown_of_body(body)), kept)


def _row(ledger: Ledger, item: Item, decision: _Decision, canary: str | None) -> RunRow:
    """A row of the run as the ledger keeps it."""
    match decision:
        case _Hold(why):
            return RunRow(item.row, None, None, why, canary)
        case _Join():
            return RunRow(item.row, item.identity, _alias(ledger, item, decision), canary=canary)
        case _New():
            return RunRow(item.row, item.identity, decision.item.attempt, canary=canary)


def _alias(ledger: Ledger, item: Item, join: _Join) -> int:
    """Attempt under which the item is known to stand for a member; the ledger learns it where it does not know it yet."""
    known = ledger.runs.attempt_of(item.identity, join.op, join.position)
    if known is not None:
        return known
    attempt = max(item.attempt, ledger.runs.last_attempt(item.identity) + 1)
    ledger.forming.point(item.identity, attempt, join.op, join.position)
    return attempt


def why_not_now(act: Act, body: bytes | None, items: Sequence[Item], state: Any) -> str:
    """Why an act must not be sent as its subject is now; ``""`` if it may."""
    changed = next((why for item in items if (why := act.why_changed(item, state))), "")
    return changed or act.why_not_whole(body, items, state)


class _Binder:
    """Decides for every row of a plan, then writes what is new."""

    def __init__(self, ledger: Ledger, plan: Plan, facts: Facts) -> None:
        self._ledger = ledger
        self._plan = plan
        self._act = plan.act
        self._facts = facts
        self._creates = isinstance(plan.act, CreateAct)
        self._verdicts: dict[int, Verdict] = {}
        self._kept: frozenset[str] | None = None

    def decide(self) -> dict[int, _Decision]:
        """A decision per row.

        Deciding for one row may dissolve a planned operation that another has joined; the other is decided again then. That ends,
        for what is dissolved stays so.
        """
        decisions: dict[int, _Decision] = {}
        undecided: Sequence[Operation] = self._plan.operations
        while undecided:
            for operation in undecided:
                decisions |= self._decide_operation(operation)
            joined = {decision.op for decision in decisions.values() if isinstance(decision, _Join)}
            gone = self._ledger.operations.withdrawn(joined)
            left = {row for row, decision in decisions.items() if isinstance(decision, _Join) and decision.op in gone}
            undecided = [
                operation for operation in self._plan.operations if any(item.row in left for item in operation.items)
            ]
        return decisions

    def _decide_operation(self, operation: Operation) -> dict[int, _Decision]:
        """A decision per row of an operation. A whole post is retried or nothing of it: one held row holds the others."""
        own = {item.row: self._decide(operation, item) for item in operation.items}
        if not self._creates and len({type(decision) for decision in own.values()}) > 1:
            tried = any(isinstance(decision, _Join) for decision in own.values())
            own = {row: _with_the_post(decision, tried=tried) for row, decision in own.items()}
        if any(isinstance(decision, _New) for decision in own.values()):
            state = self._facts.of(operation.subject)
            why = self._act.why_not_whole(operation.body, operation.items, state)
            own = dict.fromkeys(own, _Hold(why)) if why else own
        return own

    def _decide(self, operation: Operation, item: Item) -> _Decision:
        """Decide for one row: what the ledger knows comes before what the server shows."""
        found = [
            known for identity in item.identities if (known := self._ledger.operations.latest(identity)) is not None
        ]
        if len(found) > 1:
            return _Hold(
                "this ledger holds two rows that are one by now, written 1 and 1.0; give one of them another name"
            )
        known = found[0] if found else None
        deliberate = (
            item.attempt
        )  # what the analyst asked for; the key counts how often this episode was tried (rule 9)
        if known is not None and self._is_stuck(item, known[1], known[0], deliberate):
            item = self._act.as_attempt(item, known[0] + 1)
        elif known is not None:
            decision = self._decide_known(operation, item, *known)
            if not isinstance(decision, _New):
                return decision
            item = decision.item
        elif not self._creates:
            item = self._act.as_attempt(item, 1)
        if self._creates:
            return self._decide_create(item)
        given_up = []
        for stored in self._ledger.operations.open_on(item.subject):
            own = self._own(item, stored)  # a next attempt is about the row's own target, whatever the episode
            if own is not None and self._is_stuck(item, stored, own.item.attempt, deliberate):
                given_up.append(stored)
                continue
            open_decision = self._decide_open(item, stored)
            if open_decision is not None:
                return open_decision
        state, before = self._facts.of(item.subject), self._ledger.outcomes.times_set(item.subject)
        why = self._act.why_again(item, state, before) or self._act.why_changed(item, state)
        return _Hold(why) if why else _New(item, tuple(given_up))

    def _decide_known(
        self, operation: Operation, item: Item, attempt: int, stored: Stored, member: Member
    ) -> _Decision:
        """Decide for a row that was tried before (rule 5)."""
        join = _Join(stored.id, member.position)
        same = member.item.body_hash == item.body_hash
        differing = ", ".join(_differing(member.item.body or {}, item.body or {}))
        if member.outcome is Outcome.SUCCEEDED:
            if same or not self._creates:
                return join
            return _Hold(
                f"already posted as {member.result_id}, with another {differing}; change the post itself, or name a new "
                "campaign, which would post every row again"
            )
        if member.outcome is Outcome.BLOCKED and stored.state == "settled" and not stored.tries:
            return _New(self._act.as_attempt(item, attempt))  # it was never sent: what blocked it may be gone
        if member.outcome is Outcome.FAILED or (member.outcome is Outcome.BLOCKED and stored.state == "settled"):
            if item.attempt > attempt or not same:
                return _New(self._act.as_attempt(item, attempt + 1))
            return join
        if same and not (stored.state == "planned" and self._formed_otherwise(operation, stored)):
            return join
        if stored.state == "planned":
            if self._creates:  # never sent: the row leaves its batch, whose other rows keep their bytes
                members = self._ledger.operations.members(stored.id)
                leave_batch(self._ledger, stored, [[one for one in members if one.position != member.position]])
            self._ledger.forming.withdraw(stored.id, "never sent; a later plan took its place")
            return _New(self._act.as_attempt(item, attempt))
        return _Hold(f"an attempt with another {differing} is still open; wait for its outcome")

    def _formed_otherwise(self, operation: Operation, stored: Stored) -> bool:
        """Whether an unsent operation would send other targets than this plan does, or send a canary behind its own canaries."""
        if operation.canary and not stored.canary:
            return True
        if self._creates:
            return False
        members = self._ledger.operations.members(stored.id)
        return {member.item.identity for member in members} != {each.identity for each in operation.items}

    def _decide_create(self, item: Item) -> _Decision:
        """Decide for a create: its names must resolve, the server must not show it already, and its time must lie ahead (rule 6)."""
        names = [name for name in (item.body or {}).get("accountIds", ()) if ":" in name]
        strangers = [name for name in names if name not in self._facts.accounts]
        if strangers:
            return _Hold(f"no account {', '.join(strangers)} in this workspace")
        body = resolved(item, self._facts.accounts)
        verdict = verdict_of(self._ledger, item, body, self._kept_marks())
        self._verdicts[item.row] = verdict
        if verdict.blocked:
            return _Hold(verdict.blocked)
        if verdict.made:
            return _New(item)
        if not item.seen.get("named") and self._is_of_another_campaign(item):
            return _Hold(
                "this ledger knows a row of that name in another campaign; pass campaign=, or keep the column campaign of run.failed()"
            )
        if datetime.fromisoformat(body["scheduledFor"]) <= self._facts.now:
            return _Hold("its time has passed")
        return _New(item)

    def _kept_marks(self) -> frozenset[str]:
        """Marks of the plan's rows that still ask for exactly what was made for them (rule 26)."""
        if self._kept is None:
            kept = set()
            for item in self._plan.items:
                asked = asked_hash(resolved(item, self._facts.accounts))
                if any(post.asked == asked for post in self._ledger.marks.of_row(item.row_mark, item.marks)):
                    kept.add(item.row_mark)
            self._kept = frozenset(kept)
        return self._kept

    def _is_of_another_campaign(self, item: Item) -> bool:
        """Whether this ledger made a row of that name, under the name of another campaign only (rule 29)."""
        campaigns = self._ledger.operations.campaigns_of(item.label)
        return bool(campaigns) and item.campaign not in campaigns

    def _decide_open(self, item: Item, stored: Stored) -> _Decision | None:
        """Decide for a row whose subject has an open operation (rule 2); None if that operation does not stand in the way."""
        if stored.state == "planned":
            self._ledger.forming.withdraw(stored.id, "never sent; a later plan took its place")
            return None
        same = self._own(item, stored)
        if same is not None and stored.action == self._act.name and same.item.body_hash == item.body_hash:
            return _Join(stored.id, same.position)
        return _Hold(f"another {stored.action} of this {item.subject.kind} is still open; wait for its outcome")

    def _own(self, item: Item, stored: Stored) -> Member | None:
        """The member of an operation that is about the row's own target."""
        place = (item.platform, item.account)
        members = self._ledger.operations.members(stored.id)
        return next((each for each in members if (each.item.platform, each.item.account) == place), None)

    def _is_stuck(self, item: Item, stored: Stored, attempt: int, deliberate: int) -> bool:
        """Whether an accepted act has not ended for ten minutes, and the analyst tries anew, whatever the episode (rule 18).

        That is said by a target that hangs, or by a column `attempt` that is higher than the act's own.
        """
        anew = item.seen.get("status") in IN_FLIGHT_STATUSES or deliberate > attempt
        long_ago = self._facts.now.timestamp() - (stored.last_sent or 0.0) > STUCK_AFTER.total_seconds()
        return stored.state == "accepted" and anew and long_ago

    def write(self, decisions: Mapping[int, _Decision]) -> None:
        """Form operations of the new rows and write them; creates that a mark proves done are settled at once."""
        self._give_up(decisions)
        new = {row: decision.item for row, decision in decisions.items() if isinstance(decision, _New)}
        ordered = [new[item.row] for item in self._plan.items if item.row in new]
        there = self._write_found(ordered) if self._creates else set()
        left = {item.row: item for item in ordered if item.row not in there}
        for planned in self._plan.operations:
            group = [left[item.row] for item in planned.items if item.row in left]
            gone = sum(item.row in there or isinstance(decisions[item.row], _Join) for item in planned.items)
            for formed in self._act.form(group):
                operation = replace(formed, batch=planned.batch, canary=planned.canary)
                if isinstance(self._act, CreateAct):
                    operation = self._act.resolve(operation, self._facts.accounts)
                shrunk = self._creates and bool(gone) and len(planned.items) > 1
                baseline = self._facts.baseline(operation.subject)
                self._ledger.forming.add(operation, baseline=baseline, shrunk=shrunk)

    def _write_found(self, items: Sequence[Item]) -> set[int]:
        """Write creates that the server shows as settled; return their rows."""
        there = {item.row: post for item in items if (post := self._verdicts[item.row].made)}
        for operation in self._act.form([item for item in items if item.row in there]):
            op = self._ledger.forming.add(operation, baseline=None)
            members = self._ledger.operations.members(op)
            done = [settled(member, Outcome.SUCCEEDED, result_id=there[member.item.row]) for member in members]
            self._ledger.outcomes.settle(op, done, self._facts.now.timestamp())
        return set(there)

    def _give_up(self, decisions: Mapping[int, _Decision]) -> None:
        """Close accepted acts that never ended, each once, where something is really tried anew in their place."""
        stuck = {
            each.id: each for decision in decisions.values() if isinstance(decision, _New) for each in decision.given_up
        }
        for op in stuck:
            left = [member for member in self._ledger.operations.members(op) if not member.outcome.final]
            why = "never ended; tried anew"
            done = [settled(member, Outcome.FAILED, error_code="STUCK", error_message=why) for member in left]
            self._ledger.outcomes.settle(op, done, self._facts.now.timestamp())


def _with_the_post(decision: _Decision, *, tried: bool) -> _Decision:
    """What becomes of a row whose post has rows that are decided otherwise."""
    if not isinstance(decision, _New):
        return decision
    if tried:
        return _Hold(
            "another target of this post was tried before; plan all of them as its next attempt, in a column attempt"
        )
    return _Hold("another target of this post is held; load the posts again")


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the fields in which two bodies differ."""
    return sorted(name for name in {*before, *after} - {"metadata"} if before.get(name) != after.get(name))
