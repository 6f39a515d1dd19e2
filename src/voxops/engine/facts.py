"""What is known when a plan is bound, and what may be decided about a row of it (rules 1, 2 and 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from voxops.acts.operation import Item, Subject
from voxops.api.evidence import Baseline
from voxops.api.states import PostState
from voxops.engine.created import Listed
from voxops.ledger import Stored

__all__ = ["Decision", "Facts", "Hold", "Join", "New"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What reading showed before binding.

    `now` is server time; `posts` and `deliveries` are present states by id; `accounts` maps ``platform:@name`` to an account id;
    `listed` are posts created lately, None where it was not asked; `read` is when the reading began, in the ledger's time: it is as old
    as its first page (rule 11).
    """

    now: datetime
    posts: Mapping[str, PostState] = field(default_factory=dict)
    deliveries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=dict)
    listed: Listed | None = None
    read: float | None = None

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
class Join:
    """The row stands for a member that exists."""

    op: int
    position: int


@dataclass(frozen=True, slots=True)
class New:
    """The row needs a new operation, as this attempt; open acts that never ended are given up for it, unsent ones make room."""

    item: Item
    given_up: tuple[Stored, ...] = ()
    replaced: tuple[Stored, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """The row is not sent, for this reason."""

    why: str


Decision = Join | New | Hold
