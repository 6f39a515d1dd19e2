"""Operations that a run has joined and that hold more than its plan says: only what a plan says is sent (rules 1, 3 and 7).

A batch of which nobody knows may hold rows that the analyst has struck from the sheet since, or canaries of this run beside rows that
wait for them. It is not sent again as it is; once it is proved to have done nothing, it is divided.
"""

from __future__ import annotations

from collections.abc import Callable

from voxops.acts.table import act_named
from voxops.api.reasons import Reason
from voxops.engine.batches import leave_batch
from voxops.ledger import Ledger, Stored, audit

__all__ = ["CANARIES_FAILED", "NOT_ALONE", "WAITS_FOR_CANARIES", "divide", "gate", "shared"]

CANARIES_FAILED = "canaries_failed"
WAITS_FOR_CANARIES = Reason("waits_for_canaries")
NOT_ALONE = (
    "nobody knows yet whether it took effect, and it holds more than this plan, so that it is not sent again as it is"
)
_OF_MORE_TARGETS = "it was planned together with other targets, which this plan does not name; plan it again"


def shared(ledger: Ledger, run: str) -> dict[int, list[set[int]]]:
    """Open operations of a run that hold rows of several kinds: the positions of its canaries, of its other rows, and of all others."""
    found: dict[int, list[set[int]]] = {}
    for op, position, own, canary in ledger.runs.open_rows(run):
        kinds = found.setdefault(op, [set(), set(), set()])
        kinds[0 if canary else 1 if own else 2].add(position)
    return {op: kinds for op, kinds in found.items() if sum(map(bool, kinds)) > 1}


def divide(ledger: Ledger, run: str) -> dict[int, str]:
    """Divide what is to be sent and holds more than a run's plan; return what can't be divided, and why it is held."""
    held = {}
    for op, kinds in shared(ledger, run).items():
        stored = ledger.operations.get(op)
        if stored.state != "planned":
            continue
        if act_named(stored.action).about != "create":
            held[op] = _OF_MORE_TARGETS
            continue
        members = ledger.operations.members(op)
        groups = [[each for each in members if each.position in kind] for kind in kinds]
        leave_batch(ledger, stored, groups, read=stored.read)
    return held


def gate(ledger: Ledger, run: str) -> Callable[[Stored], Reason | None]:
    """What the canaries of each cause say of an operation: go (None), wait, or hold (rule 7)."""
    outcomes = audit.canary_outcomes(ledger, run)
    ahead = {op for op, _, _, canary in ledger.runs.open_rows(run) if canary} if outcomes else set()

    def said(operation: Stored) -> Reason | None:
        if operation.id in ahead:  # whichever run it was formed for, as a canary or not
            return None
        members = ledger.operations.members(operation.id)
        for cause in sorted({member.item.cause for member in members} & outcomes.keys()):
            counts = outcomes[cause]
            sent = counts.total() - counts["held"]
            if counts["pending"] + counts["unknown"]:
                return WAITS_FOR_CANARIES
            if not sent or counts["succeeded"] * 2 < sent:
                return Reason(CANARIES_FAILED, succeeded=counts["succeeded"], canaries=counts.total())
        return None

    return said if outcomes else lambda _: None
