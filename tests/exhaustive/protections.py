"""Protections, each removed alone: the search must find a history that breaks the promise, or it proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from tests.exhaustive.search import Case, Found, search
from tests.ledger import test_ledger_machine as machine


@dataclass(frozen=True)
class Removal:
    """A protection, and the universe in which its absence shows."""

    name: str
    act: str
    depth: int
    to_the_end: bool = True


REMOVALS = (
    Removal("key saved after the send", "retry", 3),
    Removal("batch re-formed", "create", 2),
    Removal("resend without reading", "retry", 2),
    Removal("status trusted before the baseline moved", "retry", 4),
)


def counterexample(removal: Removal) -> Found:
    """Search without the protection."""
    ledger, patch, reading, _ = machine.REMOVED[removal.name]
    with patch():
        case = Case(removal.act, reading=machine.READINGS[reading], ledger=ledger)
        return search(case, removal.depth, to_the_end=removal.to_the_end)
