"""What an analyst wants once: subjects, the rows of a plan, requests as the ledger keeps them, and the form of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from voxops.acts import keys
from voxops.api.reasons import Reason
from voxops.model import Outcome

BULK = "/v1/posts/bulk"  # the one call whose rows are those of a chunk


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about.

    Attributes
    ----------
    kind : str
        ``post``, ``delivery``, or ``row`` (a create, whose post does not exist yet).
    id : str
        Which one.
    parent : str
        The webhook of a delivery; ``""`` for other kinds.
    """

    kind: str
    id: str
    parent: str = ""

    @classmethod
    def parse(cls, text: str) -> Subject:
        """The subject that a ledger stores as `text`."""
        kind, parent, name = text.split(":", 2)
        return cls(kind, name, parent)

    def __str__(self) -> str:
        return f"{self.kind}:{self.parent}:{self.id}"


@dataclass(frozen=True, slots=True)
class Item:
    """One eligible row of a plan.

    Attributes
    ----------
    row : int
        Position in ``plan.frame``.
    act : str
        Name of the act; a plan may hold several.
    identity : str
        What the row is, for ever: the same failure, or the same row of the same campaign, has the same identity.
    attempt : int
        Number of the deliberate attempt, from 1.
    subject : Subject
        What the act changes.
    path, method : str
        The call. A fix names its target as ``platform~account``, since lists show no target ids.
    seen : mapping
        The state as the frame showed it, JSON values only: the episode of a failure (rule 4), or what a create is.
    body : mapping or None
        What is requested, without marks. For a create: content, accountIds, scheduledFor and so on.
    platform, account : str
        For finding the target again; ``""`` where it does not apply.
    cause : str
        Group for canaries.
    after : tuple of int
        Rows of the same plan that must have succeeded before this one is sent.
    """

    row: int
    act: str
    identity: str
    attempt: int
    subject: Subject
    path: str
    seen: Mapping[str, Any]
    body: Mapping[str, Any] | None = None
    method: str = "POST"
    platform: str = ""
    account: str = ""
    cause: str = ""
    after: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """Its name for people: the row of a create, else the subject's id."""
        return str(self.seen.get("row", self.subject.id))

    @property
    def group(self) -> str:
        """Items of a chunk with the same group share a call."""
        return BULK if self.path == BULK else f"{self.subject} {self.path}"

    @property
    def requested(self) -> Mapping[str, Any]:
        """What is requested, by field; empty for an act without a body."""
        return self.body or {}

    @property
    def campaign(self) -> str:
        """The campaign of a create; ``""`` for other acts."""
        return str(self.seen.get("campaign", ""))

    @property
    def named_accounts(self) -> list[str]:
        """The accounts of a create that are named, as ``platform:@name``, and not by their ids."""
        return [name for name in self.requested.get("accountIds", ()) if ":" in name]

    @property
    def row_mark(self) -> str:
        """The mark of any attempt at this create."""
        return keys.row_mark(self.campaign, self.label)

    @property
    def mark(self) -> str:
        """The mark of this attempt at this create."""
        return keys.mark(self.campaign, self.label, self.attempt)


@dataclass(frozen=True, slots=True)
class Form:
    """One HTTP request for one or more items: its bytes, and the key that they give."""

    method: str
    path: str
    body: bytes | None
    key: str


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that an analyst wants once, as the ledger keeps it, whatever run wanted it.

    `outcome` is pending until evidence settles it as succeeded or failed, for ever; unknown where its call's end is. `reason` says why
    it is blocked. `seen` is the state that settled it, `position` its place in its call. `asked` is the attempt that the analyst's frame
    named. `confirmed` says that a reading has shown the mark on the post of a create. `alike` is the hash of what a post would show,
    `most` the size of the largest call that may carry it, `page` the status under which a proxy's page refused it.
    """

    id: int
    item: Item
    outcome: Outcome = Outcome.PENDING
    reason: Reason | None = None
    error_code: str | None = None
    error_message: str | None = None
    result_id: str | None = None
    seen: Mapping[str, Any] | None = None
    settled_at: float | None = None
    asked: int = 1
    position: int = 0
    call: int | None = None
    confirmed: bool = False
    alike: str | None = None
    most: int | None = None
    page: int | None = None


def settled(request: Request, outcome: Outcome, **result: Any) -> Request:
    """The request with its final outcome."""
    return replace(request, outcome=outcome, reason=None, **result)


def blocked(request: Request, reason: Reason) -> Request:
    """The request, which a person must look at."""
    return replace(request, outcome=Outcome.BLOCKED, reason=reason)
