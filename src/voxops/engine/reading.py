"""What one look at the server has brought, and how old it is as evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from voxops.acts.operation import Member
from voxops.api.timing import CLOCKS_DIFFER, SKEW
from voxops.ledger import Clearance, Stored
from voxops.model import Transition

__all__ = ["Reading", "Watch", "transitions"]


class Watch:
    """For how long a kernel has seen tries to be over; forgotten with it, which makes it wait longer, and nothing else.

    Parameters
    ----------
    monotonic : callable
        Elapsed seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[tuple[int, float | None], float] = {}

    def begin(self, began: float, at: float) -> Reading:
        """A reading that begins now: then by the ledger's time, and by the server's."""
        return Reading(began=began, at=at, elapsed=self._monotonic(), watch=self)

    def seen(self, operation: Stored, now: float) -> float:
        """Elapsed seconds until `now` since the last try of an operation was first looked at here, when it was over."""
        return now - self._seen.setdefault((operation.id, operation.last_sent), now)


@dataclass
class Reading:
    """What one look has brought.

    `resend` clears operations to be sent again under their key; `formed` are new ones made of rows that took no effect;
    `waiting` says why an operation does not end by looking again; `duplicates` are sentences that stop a run. Reading began at
    `began` in the ledger's time, at `at` in the server's, and at `elapsed` in the seconds that `watch` counts.
    """

    transitions: list[Transition] = field(default_factory=list)
    resend: list[Clearance] = field(default_factory=list)
    formed: list[int] = field(default_factory=list)
    waiting: dict[int, str] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    began: float = 0.0
    at: float = 0.0
    elapsed: float = 0.0
    watch: Watch = field(default_factory=lambda: Watch(lambda: 0.0))

    def since(self, operation: Stored) -> float:
        """Seconds at the least from the last try of an operation, or its sending where nobody saw it end, to the beginning of this reading.

        What a reading shows is as old as its first page: a rate limit or a sleeping laptop may hold the rest of it up for long, and
        that makes it no better as evidence. Two times that the server names may be of two clocks, which differ by `SKEW` at the
        most; of what this kernel has seen to be over for so long itself, so much is sure (rules 11, 14 and 20).
        """
        named = self._named(operation)
        seen = self.watch.seen(operation, self.elapsed)
        return seen if named < 0 else max(min(named, seen), named - SKEW)

    def is_before(self, operation: Stored) -> bool:
        """Whether this reading seems to have begun before the try was over: this clock slept while another sender worked."""
        return self._named(operation) < -CLOCKS_DIFFER

    def _named(self, operation: Stored) -> float:
        """Seconds since the last try of an operation, by the times that the server named."""
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
