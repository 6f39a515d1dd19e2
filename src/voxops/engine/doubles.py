"""Rows that ask for the post of another row, of which no list can say so yet: both are in one plan, or one is under way (rule 26)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from voxops.acts import keys
from voxops.acts.create import CreateAct, resolved
from voxops.acts.made import Made, shown_hash, shown_of_body
from voxops.acts.operation import Item, Member
from voxops.acts.plan import Plan
from voxops.acts.table import act_named
from voxops.api.evidence import Baseline
from voxops.api.reasons import TWIN
from voxops.api.timing import PROOF_AFTER
from voxops.engine.answer import leaves_open
from voxops.ledger import Ledger, Stored
from voxops.model import Outcome

__all__ = ["Doubles", "may_show_yet"]


def may_show_yet(stored: Stored, member: Member, now: datetime) -> bool:
    """Whether a create that has failed through no fault of its own may have been made, and lists lag (rules 14 and 15)."""
    return leaves_open(member.error_code) and now.timestamp() - (stored.last_sent or 0.0) < PROOF_AFTER


class Doubles:
    """Finds what would go out twice although no post shows it.

    Parameters
    ----------
    ledger : Ledger
        What is under way.
    plan : Plan
        The rows.
    accounts : mapping
        ``platform:@name`` -> account id.
    now : datetime
        Server time.
    """

    def __init__(self, ledger: Ledger, plan: Plan, accounts: Mapping[str, str], now: datetime) -> None:
        self._ledger = ledger
        self._plan = plan
        self._accounts = accounts
        self._now = now

    def why_double(self, item: Item, body: Mapping[str, Any]) -> str:
        """Why a row that asks for this body would go out twice; ``""`` if it would not, or is meant to."""
        if item.seen.get("twin"):
            return ""
        for state, other in self._same_under_way(item, body):
            if state == "planned":
                return f"the same post waits to be sent as row {other.label[:40]}; send that, or cancel its run; {TWIN}"
            return f"the same post is under way as row {other.label[:40]}; wait for its outcome; {TWIN}"
        for stored in self._changes.get(shown_of_body(body), ()):
            if self._is_of_campaign(stored.subject.id, item):
                run = next(iter(self._ledger.runs.of_operation(stored.id)), None)
                then = (
                    f"waits to be sent, as {run}; send or cancel that"
                    if stored.state == "planned"
                    else "is under way; wait for its outcome"
                )
                return f"a change of {stored.subject.id} to the same {then}; {TWIN}"
        first = self._first_of.get(shown_of_body(body), item.label) if self._first_of else item.label
        if first == item.label:
            return ""
        return f"same text, accounts and time as row {first[:40]}: it would go out twice; {TWIN}"

    @cached_property
    def _first_of(self) -> dict[str, str]:
        """What rows ask for -> the first of them, where accounts are named by ids and by names, so that a plan can't compare (rule 26)."""
        named = {":" in name for item in self._plan.items for name in item.asks("accountIds") or ()}
        if len(named) < 2:
            return {}
        rows = sorted((item for item in self._plan.items if not item.seen.get("twin")), key=lambda item: -item.row)
        return {self._asked_by_row[item.row_mark]: item.label for item in rows}

    def _same_under_way(self, item: Item, body: Mapping[str, Any]) -> Iterator[tuple[str, Item]]:
        """Other rows of which a create of this ledger asks for the same and may still make it, with their states.

        No list shows that yet (rule 26). What is planned makes room for what its row asks for in this plan, if that is something else.
        """
        wanted = shown_of_body(body)
        for state, other in self._under_way.get(wanted, ()):
            makes_room = state == "planned" and self._asked_by_row.get(other.row_mark, wanted) != wanted
            same_row = other.identity == item.identity
            of_campaign = other.campaign == item.campaign or not item.seen["named"]
            if of_campaign and not same_row and not makes_room:
                yield state, other

    @cached_property
    def _under_way(self) -> Mapping[str, list[tuple[str, Item]]]:
        """What creates of this ledger ask for that may still make a post -> their states and rows."""
        found: dict[str, list[tuple[str, Item]]] = {}
        stored_creates = self._ledger.creates.under_way(self._now.timestamp() - PROOF_AFTER)
        members = self._ledger.operations.members_of(stored.id for stored in stored_creates)
        for stored in stored_creates:
            act = act_named(stored.action)
            assert isinstance(act, CreateAct)
            bodies = act.bodies(stored.body)
            for member in members[stored.id]:
                if not member.outcome.final or may_show_yet(stored, member, self._now):
                    found.setdefault(shown_of_body(bodies[member.position]), []).append((stored.state, member.item))
        return found

    @cached_property
    def _changes(self) -> Mapping[str, list[Stored]]:
        """What posts will show by changes of this ledger that are open -> these changes; not of those that a person must look at."""
        found: dict[str, list[Stored]] = {}
        changes = self._ledger.operations.changes()
        members = self._ledger.operations.members_of(stored.id for stored in changes)
        known = self._ledger.marks.of_posts(stored.subject.id for stored in changes)
        for stored in changes:
            (member,) = members[stored.id]
            post = known.get(stored.subject.id)
            moot = member.outcome is Outcome.BLOCKED or _is_gone(post, stored)
            shown = None if moot else _will_show(member, stored)
            if shown is not None:
                found.setdefault(shown, []).append(stored)
        return found

    def _is_of_campaign(self, post_id: str, item: Item) -> bool:
        """Whether a post may be of the campaign of a row: one of another does not double it, where its campaign was named (rule 29)."""
        known = self._ledger.marks.of_posts([post_id]).get(post_id)
        theirs = None if known is None else known.campaign_mark
        return theirs is None or theirs == keys.campaign_mark(item.campaign) or not item.seen["named"]

    @cached_property
    def _asked_by_row(self) -> Mapping[str, str]:
        """Mark of a row of the plan -> what it asks for."""
        return {item.row_mark: shown_of_body(resolved(item, self._accounts)) for item in self._plan.items}


def _is_gone(post: Made | None, stored: Stored) -> bool:
    """Whether a post was taken back since a change of it was bound, so that it won't be made; a draft may still get its time by it."""
    if post is None or not post.withdrawn:
        return False
    before = Baseline.read(stored.baseline)
    return post.status == "deleted" or (post.updated or "") > ((before and before.updated_at) or "")


def _will_show(member: Member, stored: Stored) -> str | None:
    """What a post shows once a change is made; None where that is not known, or nothing of it is changed."""
    asked, bound, before = member.item.body or {}, member.item.seen.get("bound") or {}, Baseline.read(stored.baseline)
    content = asked.get("content") or bound.get("content")  # a frame may have cut it
    when = asked.get("scheduledFor") or bound.get("scheduled_for")
    accounts = asked.get("accountIds") or ([] if before is None else [account for _, account in before.targets])
    changes = {"content", "scheduledFor", "accountIds"} & asked.keys()
    return shown_hash(content, accounts, when) if changes and content and when and accounts else None
