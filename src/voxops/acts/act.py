"""What an act is: everything in which retry, fix, cancel, update, create and redeliver differ, as one object per act.

`acts.table` lists them. A new act is one module with a planner and a subclass, and one line in that table; the engine names no act,
and the ledger only what a forged row of each would look like (`ledger.tampering`). Nothing here reads or sends: states, answers and
evidence come as arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from voxops._support.canonical import canonical
from voxops._support.safe import redact_addresses
from voxops.acts import keys
from voxops.acts.operation import Item, Member, Operation, Past, settled
from voxops.acts.rows import TIMES
from voxops.api.evidence import Attempted, Baseline, delivery_ended, delivery_untouched, same_text, same_time, untouched
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.frames.records import DELIVERY_EPISODE
from voxops.model import Outcome

__all__ = ["About", "Act", "DeliveryAct", "PostAct", "changed_fields", "why_changed_since"]

About = Literal["post", "delivery", "create"]

BATCH = 50  # operations that are counted as one batch where each is a request of its own


class Act:
    """One kind of act; subclasses say what is particular to it.

    Attributes
    ----------
    name : str
        As plans, runs and ledgers call it.
    verb : str
        What a person calls it.
    about : str
        How its subject is read: ``post``, ``delivery``, or ``create`` for what does not exist yet.
    rounds : int
        Looks at its subjects that a plan's cost counts.
    """

    name: ClassVar[str]
    verb: ClassVar[str]
    about: ClassVar[About]
    rounds: ClassVar[int] = 4

    # Planning.

    def form(self, items: Sequence[Item]) -> list[Operation]:
        """Operations of these items: one per call; items with the same call share it."""
        groups: dict[str, list[Item]] = {}
        for item in items:
            groups.setdefault(f"{item.subject} {item.path}", []).append(item)
        return [self._single(group, number // BATCH + 1) for number, group in enumerate(groups.values())]

    def _single(self, items: Sequence[Item], batch: int) -> Operation:
        """One call, for one item or for all failed targets of a post."""
        first = items[0]
        episode = sorted(item.identity for item in items)
        attempt = max(item.attempt for item in items)
        return Operation(
            key=keys.stable_key(first.method, first.path, first.body, episode, attempt),
            action=self.name,
            method=first.method,
            path=first.path,
            body=None if first.body is None else canonical(first.body),
            subject=first.subject,
            items=tuple(items),
            batch=batch,
        )

    def as_attempt(self, item: Item, attempt: int) -> Item:
        """The item as another deliberate attempt."""
        return item if item.attempt == attempt else replace(item, attempt=attempt)

    # Before it is sent.

    def why_changed(self, item: Item, state: Any) -> Reason | None:
        """Why the present state of its subject (None if it does not exist) forbids the act; None if it does not."""
        raise NotImplementedError

    def why_again(self, item: Item, state: Any, before: Sequence[Past]) -> Reason | None:  # noqa: ARG002  few acts add up
        """Why an act must not be done once more, by what this ledger has done to its subject before; None if it may be."""
        return None

    def why_not_whole(self, body: bytes | None, items: Sequence[Item], state: Any) -> Reason | None:  # noqa: ARG002  most acts don't mind
        """Why a request would act on more than was chosen; None if it would not."""
        return None

    # Its answer.

    def decodes(self, data: Any) -> bool:
        """Whether a 2xx decodes to the shape of its row; one that does not proves nothing (rule 15)."""
        return isinstance(data, Mapping) and bool({"id", "status", "success"} & data.keys())

    def settle_answer(self, members: Sequence[Member], data: Any, *, first: bool) -> list[Member]:  # noqa: ARG002
        """Members that a 2xx settles by itself; `first` says that no earlier try can have had an effect."""
        return []

    def settle_refusal(self, members: Sequence[Member], data: Any) -> list[Member]:  # noqa: ARG002
        """Members that a refusal settles one by one; none where it refuses all alike."""
        return []

    # Afterwards.

    def verified(self, row: Mapping[str, Any], state: PostState | None) -> tuple[str, str]:
        """Cause of a row of results, and which count of ``run.verify()`` it belongs to by the present state of its post."""
        raise NotImplementedError

    def failed_rows(self, rows: Any) -> Any:
        """The failed rows of a run as the frame that its planner takes; `rows` has what settled them."""
        return rows

    def keeps_old_errors(self) -> bool:
        """Whether a failed row keeps the error that it was planned by, where the attempt brought none of the API's own."""
        return False

    def replan(self, failed: Any, *, key: str, campaign: str) -> Any:  # noqa: ARG002
        """A plan of the next attempt at failed rows; None where there is no such thing."""
        return None


class PostAct(Act):
    """An act on a post that exists; `sends` says that it makes the post go out, so that a post on its way is a sign of it."""

    about = "post"
    sends: ClassVar[bool] = True

    def shows_nothing(self, members: Sequence[Member], state: PostState, baseline: Baseline | None) -> bool:  # noqa: ARG002
        """Whether a post shows no sign at all of the act: only this lets one of which nobody knows be sent again (rule 11)."""
        return untouched(state, baseline)

    def why_changed(self, item: Item, state: PostState | None) -> Reason | None:
        """Hold what has changed since the frame was loaded."""
        if state is None:
            return Reason("post_gone")
        return why_changed_since(changed_fields(item.seen, state))

    def as_bound(self, item: Item, state: Any) -> Item:  # noqa: ARG002  few acts must know what the server showed
        """The row with what its subject shows when it is bound."""
        return item

    def replaces(self, later: Item, item: Item) -> bool:  # noqa: ARG002  few acts change what one before has changed
        """Whether a later act of the same ledger has changed what a row did, so that it is not as asked any more, and nobody undid it."""
        return False

    def was_undone(self, item: Item, state: PostState | None) -> bool:  # noqa: ARG002  what is out can't be undone
        """Whether the present state of its subject shows that somebody has undone what this act did."""
        return False

    def settle_reading(
        self, members: Sequence[Member], state: PostState, tried: Attempted, reply: Any = None
    ) -> list[Member]:
        """What the present state of the post settles, or says of why members wait; `reply` is the answer to an accepted try."""
        raise NotImplementedError


class DeliveryAct(Act):
    """An act on a webhook delivery."""

    about = "delivery"

    def why_changed(self, item: Item, state: Mapping[str, Any] | None) -> Reason | None:
        """Hold what has changed since the frame was loaded."""
        if state is None:
            return Reason("delivery_gone")
        return why_changed_since(
            [
                name
                for name in DELIVERY_EPISODE
                if name in item.seen and not _same(name, item.seen[name], state.get(name))
            ]
        )

    def ended(self, baseline: Mapping[str, Any], state: Mapping[str, Any], *, long_ago: bool) -> bool:
        """Whether a delivery was tried again and the try has ended; after long a count that rose alone is the same result again."""
        return delivery_ended(baseline, state) or (long_ago and not delivery_untouched(baseline, state))

    def settle_reading(self, members: Sequence[Member], state: Mapping[str, Any]) -> list[Member]:
        """Outcomes of a redelivery that has been tried."""
        if state["success"]:
            return [settled(member, Outcome.SUCCEEDED, result_id=member.item.label) for member in members]
        code = None if state["status_code"] is None else f"HTTP_{state['status_code']}"
        return [
            settled(
                member,
                Outcome.FAILED,
                error_code=code or "NOT_DELIVERED",
                error_message=None if state["error"] is None else redact_addresses(state["error"]),
                seen=state,
            )
            for member in members
        ]


def changed_fields(seen: Mapping[str, Any], state: PostState) -> list[str]:
    """Names of what differs between a planned row and the post's present state; the post's own fields alone for a whole post."""
    now: dict[str, Any] = {"post_status": state.status, "updated_at": state.updated_at}
    if "platform" in seen:
        target = state.target(seen["platform"], seen["account_id"])
        if target is None:
            return ["target"]
        now |= {
            "status": target.status,
            "error_code": target.error_code,
            "error_message": target.error_message,
        }
    return [name for name, value in now.items() if name in seen and not _same(name, seen[name], value)]


def _same(name: str, seen: Any, now: Any) -> bool:
    """Whether a field is as it was seen; lists may cut messages and milliseconds that single reads show."""
    if name in TIMES:
        return same_time(seen, now)
    return same_text(seen, now) if name == "error_message" else bool(seen == now)


def why_changed_since(names: Sequence[str]) -> Reason | None:
    """Why a row is held that is not as it was; None if it is."""
    return Reason("changed_since_loaded", fields=", ".join(sorted(names))) if names else None
