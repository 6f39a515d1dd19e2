"""The values that planning makes and the engine acts upon: subjects, items, operations, and members of stored operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from voxops._support.canonical import fingerprint
from voxops.acts import keys
from voxops.model import Outcome

__all__ = ["LATER_ATTEMPTS", "NOT_AS_ASKED", "Item", "Member", "Operation", "Past", "Subject", "blocked", "settled"]

NOT_AS_ASKED = "NOT_AS_ASKED"  # error code of a change that the API took, after which the post shows something else
LATER_ATTEMPTS = 30  # attempts beyond its own under which another ledger may have created a row


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about: one thing, on which at most one operation is open (rule 2).

    Attributes
    ----------
    kind : str
        ``post``, ``delivery``, ``batch`` (creates that are sent together) or ``row`` (one create).
    id : str
        Which one.
    parent : str
        The webhook of a delivery; ``""`` for other kinds.
    """

    kind: str
    id: str
    parent: str = ""

    @classmethod
    def parse(cls, text: str, path: str = "") -> Subject:
        """The subject that a ledger stores as `text`, of an operation with this path."""
        kind, _, name = text.partition(":")
        parts = path.split("/")
        return cls(kind, name, parts[3] if kind == "delivery" and len(parts) > 3 else "")

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Item:
    """One eligible row, frozen.

    Attributes
    ----------
    row : int
        Position in ``plan.frame``.
    identity : str
        What the row is, for ever: the same failure, or the same row of the same campaign, has the same identity.
    attempt : int
        Number of the deliberate attempt, from 1.
    subject : Subject
        What the act changes.
    label, platform, account : str
        For people and for finding the target again; ``""`` where it does not apply.
    cause : str
        Group for canaries.
    method, path : str
        The call. A fix names its target as ``platform~account`` until the engine has read its id.
    body : mapping or None
        What is asked. For a batch of creates it is this item's part.
    seen : mapping
        The state as the frame showed it, JSON values only: the episode of a failure (rule 4), or what a create is.
    """

    row: int
    identity: str
    attempt: int
    subject: Subject
    label: str
    platform: str
    account: str
    cause: str
    method: str
    path: str
    body: Mapping[str, Any] | None
    seen: Mapping[str, Any]

    @property
    def body_hash(self) -> str:
        """Fingerprint of what the analyst asked; the mark, which names the attempt, is left out."""
        body = {name: value for name, value in (self.body or {}).items() if name != "metadata"}
        return fingerprint(body)

    def asks(self, name: str) -> Any:
        """What is asked of a field; None where it is not."""
        return (self.body or {}).get(name)

    @property
    def named_accounts(self) -> list[str]:
        """The accounts of a create that are named, as ``platform:@name``, and not by their ids."""
        return [name for name in self.asks("accountIds") or () if ":" in name]

    @property
    def campaign(self) -> str:
        """The campaign of a create; ``""`` for other acts."""
        return str(self.seen.get("campaign", ""))

    @property
    def mark(self) -> str:
        """What a create bears, so that it can be found again (rule 13); ``""`` for other acts."""
        return str((self.body or {}).get("metadata", {}).get("voxopsOp", ""))

    @property
    def row_mark(self) -> str:
        """What any attempt at this create bears."""
        return keys.row_mark(self.campaign, self.label)

    @property
    def marks(self) -> tuple[str, ...]:
        """Marks of the attempts at this create, from the first on."""
        return tuple(keys.marks(self.campaign, self.label, range(1, self.attempt + LATER_ATTEMPTS)))


@dataclass(frozen=True, slots=True)
class Operation:
    """One logical request: a call, its frozen bytes, its key and the items it covers.

    `action` is the name of its act. `batch` counts from 1. `canary` operations go first; the others wait for the causes of their
    items (rule 7).
    """

    key: str
    action: str
    method: str
    path: str
    body: bytes | None
    subject: Subject
    items: tuple[Item, ...]
    batch: int
    canary: bool = False

    @property
    def causes(self) -> frozenset[str]:
        """Causes of its items."""
        return frozenset(item.cause for item in self.items)


@dataclass(frozen=True, slots=True)
class Member:
    """One row that a stored operation covers, and what became of it; `seen` is the state that settled it."""

    op: int
    position: int
    item: Item
    outcome: Outcome
    waiting_for: str
    error_code: str | None = None
    error_message: str | None = None
    result_id: str | None = None
    seen: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What was asked of a subject before, what the API answered to that last, decoded, what settled it, and what became of it."""

    item: Item
    answer: Any = None
    seen: Mapping[str, Any] | None = None
    outcome: Outcome = Outcome.SUCCEEDED


def blocked(member: Member, why: str) -> Member:
    """The member, which a person must look at."""
    return replace(member, outcome=Outcome.BLOCKED, waiting_for=why)


def settled(member: Member, outcome: Outcome, **result: Any) -> Member:
    """The member with its final outcome; it waits for nothing any more."""
    return replace(member, outcome=outcome, waiting_for="", **result)
