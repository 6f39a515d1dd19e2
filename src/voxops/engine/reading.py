"""What one look at the server has brought, and how old it is as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from voxops.acts.operation import Member
from voxops.ledger import Clearance, Stored
from voxops.model import Transition

__all__ = ["Reading", "transitions"]


@dataclass
class Reading:
    """What one look has brought.

    `resend` clears operations to be sent again under their key; `formed` are new ones made of rows that took no effect;
    `waiting` says why an operation does not end by looking again; `duplicates` are sentences that stop a run. Reading began at
    `began` in the ledger's time, and at `at` in the server's.
    """

    transitions: list[Transition] = field(default_factory=list)
    resend: list[Clearance] = field(default_factory=list)
    formed: list[int] = field(default_factory=list)
    waiting: dict[int, str] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    began: float = 0.0
    at: float = 0.0

    def since(self, operation: Stored) -> float:
        """Seconds from the last try of an operation, or from its sending where nobody saw it end, to the beginning of this reading.

        What a reading shows is as old as its first page: a rate limit or a sleeping laptop may hold the rest of it up for long, and
        that makes it no better as evidence.
        """
        return self.at - (operation.ended or operation.last_sent or 0.0)


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
