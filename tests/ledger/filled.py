"""A ledger with something of every kind in it, and what a piece of work changes in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from voxops.acts.create import plan_create
from voxops.acts.operation import Operation
from voxops.ledger import Claim, Ledger, Refusal

START = 1_772_442_000.0
NOW = START + 50
STATES = {
    1: "planned",
    2: "sent",
    3: "unknown",
    4: "accepted",
    5: "settled",
    6: "withdrawn",
    7: "planned",
    8: "unknown",
}


class Clock:
    """A local clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@cache  # a frame takes longer than all the rest of a test
def batch(*names: str, campaign: str = "") -> Operation:
    frame = pd.DataFrame(
        {"row_id": names, "content": names, "accounts": "acc", "scheduled_for": "2027-01-01T00:00:00Z"}
    )
    (operation,) = plan_create(frame, key="row_id", campaign=campaign).operations
    return operation


Cells = dict[tuple[Any, ...], Any]


def cells(ledger: Ledger) -> Cells:
    """Every cell of the ledger."""
    found: Cells = {}
    for row in ledger.query("SELECT * FROM operations"):
        found |= {("op", row["id"], name): row[name] for name in row.keys()}  # noqa: SIM118  a row is no mapping
    for row in ledger.query("SELECT * FROM members"):
        found |= {("row", row["op"], row["position"], name): row[name] for name in row.keys()}  # noqa: SIM118
    for row in ledger.query("SELECT * FROM items"):
        found["item", row["identity"], row["attempt"]] = (row["op"], row["position"])
    return found


def change(ledger: Ledger, work: Callable[[], Any]) -> tuple[Any, Cells]:
    """What a piece of work returns, and the cells that are other than before; None for those that are gone."""
    before = cells(ledger)
    said = work()
    after = cells(ledger)
    return said, {
        place: after.get(place) for place in before | after if before.get(place, "none") != after.get(place, "none")
    }


def ops(op: int, **values: Any) -> Cells:
    return {("op", op, name): value for name, value in values.items()}


def rows(op: int, *positions: int, **values: Any) -> Cells:
    return {("row", op, position, name): value for position in positions or (0, 1) for name, value in values.items()}


def claim(ledger: Ledger, op: int, owner: str = "me", **options: Any) -> Claim | Refusal:
    defaults = {"credential": "c", "server_now": NOW, "deadline": 3600.0, **options}
    return ledger.claims.claim(
        ledger.claims.clear(ledger.operations.get(op), read=ledger.now()), owner=owner, **defaults
    )


def granted(ledger: Ledger, op: int, **options: Any) -> Claim:
    held = claim(ledger, op, **options)
    assert isinstance(held, Claim), held
    return held


def filled(path: Path, clock: Clock) -> Ledger:
    """Eight batches of two rows in every state, each with something in every cell that a write may have to clear."""
    ledger = Ledger(path, clock=clock)
    for number, state in STATES.items():
        op = ledger.forming.add(batch(f"r{number}.0", f"r{number}.1"), baseline={"x": number})
        assert op == number
        tries = 0 if state == "planned" else 1
        outcome = {"unknown": "unknown", "settled": "succeeded"}.get(state, "pending")
        ledger.query(
            """UPDATE operations SET state = ?, tries = ?, waiting_for = 'w', sighted = 1.0, ended = 2.0, answered = 1, first_sent = ?,
               last_sent = ?, credential = ?, owner = ?, lease_until = ?, http_status = 500, reply = ? WHERE id = ?""",
            (
                state, tries, START if tries else None, START if tries else None, "c" if tries else None,
                "you" if state == "sent" else None, START + 90 if state == "sent" else None, f"reply {op}".encode(), op,
            ),
        )  # fmt: skip
        ledger.query("UPDATE members SET outcome = ?, waiting_for = 'm' WHERE op = ?", (outcome, op))
    clock.now = NOW
    return ledger
