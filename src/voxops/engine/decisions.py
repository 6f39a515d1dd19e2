"""Deciding what becomes of each row of a plan: new, joined to what is already open, or held (rules 1, 2 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from voxops._support.canonical import as_kept
from voxops.acts.act import Act, PostAct
from voxops.acts.change import FIELDS
from voxops.acts.create import CreateAct, resolved
from voxops.acts.operation import Item, Member, Operation
from voxops.acts.plan import Plan
from voxops.acts.table import act_named
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.api.timing import PROOF_AFTER, STUCK_AFTER
from voxops.client.names import no_account
from voxops.engine.batches import leave_batch
from voxops.engine.doubles import Doubles, may_show_yet
from voxops.engine.facts import Decision, Facts, Hold, Join, New
from voxops.engine.mended import is_made_by_now, resolves_otherwise, shows_by_now, verdict_of
from voxops.engine.presence import Verdict
from voxops.ledger import Ledger, Stored
from voxops.model import IN_FLIGHT_STATUSES, Outcome

__all__ = ["Decider", "why_not_now"]

SUPERSEDED = "never sent; a later plan took its place"  # why an operation that makes room for another is not sent

# Field of a request -> the column of a sheet that it comes from, where they differ.
_COLUMNS = {"accountIds": "accounts", "scheduledFor": "scheduled_for", "firstComment": "first_comment"}


def why_not_now(act: Act, body: bytes | None, items: Sequence[Item], state: Any) -> Reason | None:
    """Why an act must not be sent as its subject is now; None if it may."""
    changed = next((why for item in items if (why := act.why_changed(item, state))), None)
    return changed or act.why_not_whole(body, items, state)


class Decider:
    """Decides for every row of a plan; the caller holds the ledger's transaction.

    Parameters
    ----------
    ledger : Ledger
        What is open and what was tried. Unsent operations that stand in the way are withdrawn from it.
    plan : Plan
        The rows.
    facts : Facts
        What the server shows.

    Attributes
    ----------
    verdicts : dict of int to Verdict
        What the posts that are there allow for each row of a create.
    """

    def __init__(self, ledger: Ledger, plan: Plan, facts: Facts) -> None:
        self.verdicts: dict[int, Verdict] = {}
        self._ledger = ledger
        self._plan = plan
        self._act = plan.act
        self._facts = facts
        self._creates = isinstance(plan.act, CreateAct)
        self._whole: set[int] = set()  # unsent batches that hold no row of another plan
        self._doubles = Doubles(ledger, plan, facts.accounts, facts.now)

    def decide(self) -> dict[int, Decision]:
        """A decision per row.

        Deciding for one row may dissolve a planned operation that another has joined; the other is decided again then. That ends,
        for what is dissolved stays so.
        """
        decisions: dict[int, Decision] = {}
        undecided: Sequence[Operation] = self._plan.operations
        while undecided:
            for operation in undecided:
                decisions |= self._decide_operation(operation)
            joined = {decision.op for decision in decisions.values() if isinstance(decision, Join)}
            gone = self._ledger.operations.withdrawn(joined)
            left = {row for row, decision in decisions.items() if isinstance(decision, Join) and decision.op in gone}
            undecided = [each for each in self._plan.operations if left.intersection(item.row for item in each.items)]
        return decisions

    def _decide_operation(self, operation: Operation) -> dict[int, Decision]:
        """A decision per row of an operation. A whole post is retried or nothing of it: one held row holds the others."""
        own = {item.row: self._decide(operation, item) for item in operation.items}
        if not self._creates and len({type(decision) for decision in own.values()}) > 1:
            tried = any(isinstance(decision, Join) for decision in own.values())
            own = {row: _with_the_post(decision, tried=tried) for row, decision in own.items()}
        if any(isinstance(decision, New) for decision in own.values()):
            state = self._facts.of(operation.subject)
            why = self._act.why_not_whole(operation.body, operation.items, state)
            own = dict.fromkeys(own, Hold(str(why))) if why else own
        for decision in own.values():
            for stored in decision.replaced if isinstance(decision, New) else ():
                self._ledger.forming.withdraw(stored.id, _superseded(stored), blocked=True)
        return own

    def _decide(self, operation: Operation, item: Item) -> Decision:
        """Decide for one row: what the ledger knows comes before what the server shows."""
        known = self._ledger.operations.latest(item.identity)
        # What the analyst asked for; the key counts how often this episode was tried (rule 9).
        deliberate = item.attempt
        if known is not None and not self._creates and self._is_stuck(item, known[1], known[2], deliberate):
            item = self._act.as_attempt(item, known[0] + 1)
        elif known is not None:
            decision = self._decide_known(operation, item, *known)
            if not isinstance(decision, New):
                return decision
            item = decision.item
        elif not self._creates:
            item = self._act.as_attempt(item, 1)
        if self._creates:
            return self._decide_create(item)
        given_up, replaced = [], []
        for stored in self._ledger.operations.open_on(item.subject):
            member = self._in_the_way(item, stored)
            if member is not None and self._is_stuck(item, stored, member, deliberate):
                given_up.append(stored)
            elif stored.state == "planned":
                if self._is_of_another_target(operation, item, stored):
                    continue
                if why := self._why_waits(operation, stored):
                    return Hold(why)
                replaced.append(stored)
            else:
                return self._decide_open(item, stored)
        state, before = self._facts.of(item.subject), self._ledger.outcomes.done_before(item.subject)
        if isinstance(self._act, PostAct):
            item = self._act.as_bound(item, state)
        held = self._act.why_again(item, state, before) or self._act.why_changed(item, state)
        asked = replace(item, seen={**item.seen, "asked": deliberate})
        return Hold(str(held)) if held else New(asked, tuple(given_up), tuple(replaced))

    def _decide_known(self, operation: Operation, item: Item, attempt: int, stored: Stored, member: Member) -> Decision:
        """Decide for a row that was tried before (rule 5)."""
        join = Join(stored.id, member.position)
        # What may be out is compared as people see it; what was not sent, or has failed, is taken as it stands now.
        exact = member.item.body_hash == item.body_hash
        fields = _differing(member.item.body or {}, item.body or {})
        differing = ", ".join(_COLUMNS.get(name, name) for name in fields)
        if member.outcome is Outcome.SUCCEEDED:
            if not self._creates:
                return self._decide_done(item, attempt, stored, member)
            if not fields or shows_by_now(self._ledger, self._facts, item, str(member.result_id), fields):
                return join
            where = "with vx.plan_update" if set(fields) <= set(FIELDS.values()) else "in the dashboard"
            return Hold(
                f"already posted as {member.result_id}, with other values of {differing}; change the post itself, {where}. "
                "A new campaign name would post all the rows again"
            )
        is_blocked = member.outcome is Outcome.BLOCKED and stored.state == "settled"
        if is_blocked and self._creates and member.result_id is None:
            # It is proved not to exist, and what blocked it may be gone; a key that was sent is not sent for anything new.
            return New(self._at_least(item, attempt + (stored.tries > 0)))
        if member.outcome is Outcome.FAILED or is_blocked:
            made = self._creates and member.result_id is not None  # another text is no other row (rule 30)
            if (exact or made) and not self._is_anew(item, attempt, member):
                again = self._at_least(item, attempt + 1)
                return New(again) if made and is_made_by_now(self._ledger, self._facts, again) else join
            if self._creates and may_show_yet(stored, member, self._facts.now):
                return Hold(
                    f"its last attempt ended a moment ago with {member.error_code}, after which the post may be there all the same; "
                    "plan it again in five minutes"
                )
            return New(self._at_least(item, attempt + 1))
        if stored.state == "planned":
            return self._decide_unsent(operation, item, attempt, stored, member)
        if resolves_otherwise(stored, member, item, self._facts):
            return Hold("an attempt for the account that bore this name before is still open; wait for its outcome")
        if not fields:
            return join
        return Hold(f"an attempt with other values of {differing} is still open; wait for its outcome")

    def _decide_unsent(
        self, operation: Operation, item: Item, attempt: int, stored: Stored, member: Member
    ) -> Decision:
        """Decide for a row that waits to be sent, or is proved not to have been: joined as it stands, else formed anew."""
        if self._creates and self._part_from_others(stored):
            return self._decide(operation, item)
        # Its key is known to have done nothing, and may do nothing again.
        renamed = resolves_otherwise(stored, member, item, self._facts)
        more = self._is_anew(item, attempt, member) or _is_again(item, member)  # joined, each run would ask for it anew
        anew = stored.tries > 0 and (renamed or more)
        exact = member.item.body_hash == item.body_hash and not renamed
        if exact and not more and not self._formed_otherwise(operation, stored):
            if not self._creates:  # what was read just now may be newer than what it was formed upon
                self._ledger.forming.renew(stored.id, baseline=stored.baseline, read=0.0)
            return Join(stored.id, member.position)
        if self._creates:  # the row leaves its batch, whose other rows keep their bytes
            others = [one for one in self._ledger.operations.members(stored.id) if one.position != member.position]
            leave_batch(self._ledger, stored, [others], read=stored.read)
            self._ledger.forming.withdraw(stored.id, _superseded(stored), blocked=stored.tries > 0)
        # What waits of an act makes room, or holds it, like any other on its subject.
        return New(self._at_least(item, attempt + anew))

    def _at_least(self, item: Item, attempt: int) -> Item:
        """The row as an attempt: of a create the sheet may name a later one; of an act the ledger counts.

        A number that the ledger has raised asks for nothing to be made again (rule 30).
        """
        if self._creates and attempt > item.attempt:
            item = replace(item, seen={**item.seen, "asked": item.attempt})
        return self._act.as_attempt(item, max(item.attempt, attempt) if self._creates else attempt)

    def _is_anew(self, item: Item, attempt: int, member: Member) -> bool:
        """Whether the analyst means a next attempt: a number above the last one, and above the one that was asked for then."""
        return item.attempt > max(attempt, _asked(member))

    def _part_from_others(self, stored: Stored) -> bool:
        """Part the rows of an unsent batch that this plan has from those that it does not have: only what is planned is sent."""
        if stored.id in self._whole:
            return False
        self._whole.add(stored.id)
        members = self._ledger.operations.members(stored.id)
        ours = {member.position for member in members if member.item.identity in self._rows}
        groups = [[each for each in members if (each.position in ours) is mine] for mine in (False, True)]
        if groups[0]:
            leave_batch(self._ledger, stored, groups, read=stored.read)
        return bool(groups[0])

    @cached_property
    def _rows(self) -> frozenset[str]:
        """Identities of the rows of the plan."""
        return frozenset(item.identity for item in self._plan.items)

    def _decide_done(self, item: Item, attempt: int, stored: Stored, member: Member) -> Decision:
        """Decide for an act on a post or a delivery that has succeeded: it is done, unless it is meant once more, or was undone."""
        if _is_again(item, member):
            return New(self._act.as_attempt(item, attempt + 1))
        if member.item.body_hash != item.body_hash:
            return Hold("done before, with other values; load it again, and plan what is still wanted")
        long_ago = self._facts.now.timestamp() - (stored.last_sent or 0.0) > PROOF_AFTER  # else readings may lag
        if long_ago and isinstance(self._act, PostAct) and self._was_undone(self._act, item):
            return Hold("done before, and undone since; load it again, and plan what is still wanted")
        return Join(stored.id, member.position)

    def _was_undone(self, act: PostAct, item: Item) -> bool:
        """Whether somebody has undone an act, and not a later one of this ledger that has changed the same, and knows what it did."""
        before = self._ledger.outcomes.done_before(item.subject)
        own = max((at for at, past in enumerate(before) if past.item.identity == item.identity), default=-1)
        # Of what has failed only what the API kept in its own way is among it.
        done = (Outcome.SUCCEEDED, Outcome.FAILED)
        since = [past.item for past in before[own + 1 :] if past.outcome in done]
        ours = any(act.replaces(later, item) for later in since)
        return not ours and act.was_undone(item, self._facts.of(item.subject))

    def _formed_otherwise(self, operation: Operation, stored: Stored) -> bool:
        """Whether an unsent operation would send other targets than this plan does, or other rows as canaries."""
        if self._plan.canaries and operation.canary != stored.canary:
            return True
        if self._creates:
            return stored.action != operation.action  # in batches, or one by one
        members = self._ledger.operations.members(stored.id)
        return {member.item.identity for member in members} != {each.identity for each in operation.items}

    def _decide_create(self, item: Item) -> Decision:
        """Decide for a create: its names must resolve, the server must not show it already, and its time must lie ahead (rule 6)."""
        strangers = [name for name in item.named_accounts if name not in self._facts.accounts]
        if strangers:
            return Hold(no_account(strangers, self._facts.accounts))
        body = resolved(item, self._facts.accounts)
        verdict = verdict_of(self._ledger, item, body)
        self.verdicts[item.row] = verdict
        if verdict.blocked:
            return Hold(verdict.blocked)
        if verdict.made:
            return New(item)
        if not item.seen.get("named") and self._is_of_another_campaign(item):
            return Hold(
                "this ledger knows a row of that name in another campaign; pass campaign=, or keep the column campaign of run.failed()"
            )
        if datetime.fromisoformat(body["scheduledFor"]) <= self._facts.now:
            return Hold("its time has passed")
        why = self._doubles.why_double(item, body)
        return Hold(why) if why else New(item)

    def _is_of_another_campaign(self, item: Item) -> bool:
        """Whether this ledger made a row of that name, under the name of another campaign only (rule 29)."""
        campaigns = self._ledger.creates.campaigns_of(item.label)
        return bool(campaigns) and item.campaign not in campaigns

    def _decide_open(self, item: Item, stored: Stored) -> Decision:
        """Decide for a row whose subject has an operation that was sent and is open (rule 2)."""
        what = f"another {act_named(stored.action).verb} of this {item.subject.kind}"
        same = self._own(item, stored)
        if same is not None and stored.action == self._act.name and same.item.body_hash == item.body_hash:
            return Join(stored.id, same.position)
        advice = "wait for its outcome"
        if self._is_old(stored):
            advice = "plan this one as a next attempt, in a column attempt, to give that one up"
        return Hold(f"{what} is still open; {advice}")

    def _is_of_another_target(self, operation: Operation, item: Item, stored: Stored) -> bool:
        """Whether an unsent operation is the same act on another target of the post: they are sent one after the other."""
        return stored.about_one_target and operation.action == stored.action and self._own(item, stored) is None

    def _why_waits(self, operation: Operation, stored: Stored) -> str:
        """Why an act must wait for one that is to be sent; ``""`` where it takes its place, or that one would not be sent as it stands.

        It takes the place of the same act, in other words or a later episode. What would act on other targets, or change other fields,
        is another one: to drop it would lose it.
        """
        act, state = act_named(stored.action), self._facts.of(stored.subject)
        members = self._ledger.operations.members(stored.id)
        left = [
            each for each in members if each.outcome is not Outcome.BLOCKED and not act.why_changed(each.item, state)
        ]
        places = {(item.platform, item.account) for item in operation.items}
        fields = {name for item in operation.items for name in item.body or {}}
        covered = all(
            (each.item.platform, each.item.account) in places and fields.issuperset(each.item.body or {})
            for each in left
        )
        if not left or (stored.action == operation.action and covered):
            return ""
        run = next(iter(self._ledger.runs.of_operation(stored.id)), None)
        what = f"another {act.verb} of this {stored.subject.kind} waits to be sent"
        return f"{what}; let its run go on, or cancel it, with ws.attach({run!r})"

    def _own(self, item: Item, stored: Stored) -> Member | None:
        """The member of an operation that is about the row's own target."""
        place = (item.platform, item.account)
        members = self._ledger.operations.members(stored.id)
        return next((each for each in members if (each.item.platform, each.item.account) == place), None)

    def _in_the_way(self, item: Item, stored: Stored) -> Member | None:
        """The member of an open operation that a next attempt at a row may give up: of its own target, whatever the episode.

        An act on the whole post may give up any, and so may one on a target where none of those is listed any more.
        """
        own = self._own(item, stored)
        state = self._facts.of(item.subject)
        if own is not None or not isinstance(state, PostState):
            return own
        members = self._ledger.operations.members(stored.id)
        listed = any(state.target(each.item.platform, each.item.account) is not None for each in members)
        return None if item.platform and listed else max(members, key=lambda each: each.item.attempt)

    def _is_stuck(self, item: Item, stored: Stored, member: Member, deliberate: int) -> bool:
        """Whether an act was accepted, or nobody knows of it, and has not ended for ten minutes, and the analyst tries anew (rule 18).

        That is said by a target that hangs, or by a column `attempt` that is higher than the act's own, or a column `again`.
        """
        anew = item.seen.get("status") in IN_FLIGHT_STATUSES or deliberate > _asked(member)
        return (anew or _is_again(item, member)) and self._is_old(stored)

    def _is_old(self, stored: Stored) -> bool:
        """Whether an act that was sent has been open for so long that the analyst may give it up."""
        age = self._facts.now.timestamp() - (stored.last_sent or 0.0)
        return stored.state in {"accepted", "unknown"} and age > STUCK_AFTER.total_seconds()


def _asked(member: Member) -> int:
    """Which attempt the analyst's frame named when an act was planned; its own number counts how often the episode was tried."""
    return int(member.item.seen.get("asked", member.item.attempt))


def _is_again(item: Item, member: Member) -> bool:
    """Whether the analyst's frame asks for an act once more, in a column `again`, and did not when the act was planned."""
    return bool(item.seen.get("again")) and not member.item.seen.get("again")


def _superseded(stored: Stored) -> str:
    """Why what is taken back for a later plan is not sent any more."""
    return SUPERSEDED if not stored.tries else f"sent without effect; {SUPERSEDED.partition('; ')[2]}"


def _with_the_post(decision: Decision, *, tried: bool) -> Decision:
    """What becomes of a row whose post has rows that are decided otherwise."""
    if not isinstance(decision, New):
        return decision
    if tried:
        return Hold(
            "another target of this post was tried before; plan all of them as its next attempt, in a column attempt"
        )
    return Hold("another target of this post is held; load the posts again")


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the fields in which two bodies differ; line ends, and the order of accounts and tags, make no other post."""
    names = {*before, *after} - {"metadata", "contentType"}  # which follows from the media where nobody has named it
    return sorted(name for name in names if _compared(name, before.get(name)) != _compared(name, after.get(name)))


def _compared(name: str, value: Any) -> Any:
    """A field in the form in which it is compared."""
    if isinstance(value, str):
        return as_kept(value)
    return sorted(value) if name in {"accountIds", "tags"} and isinstance(value, list) else value
