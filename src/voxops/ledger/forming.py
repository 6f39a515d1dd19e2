"""Forming operations: added when a plan is bound, withdrawn while they are unsent, planned again where nothing came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxops.acts.operation import Operation
from voxops.ledger.records import compact_json, item_text, well_formed
from voxops.ledger.store import Part

__all__ = ["CANCELLED", "Forming"]

CANCELLED = "cancelled"  # why rows of a run that somebody has given up are not sent

_POINT = "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)"


class Forming(Part):
    """Writes operations that nothing has happened to."""

    def add(
        self,
        operation: Operation,
        *,
        baseline: Mapping[str, Any] | None,
        shrunk: bool = False,
        read: float | None = None,
    ) -> int:
        """Write a new operation with its members and point their items at it; `read` is when what it stands on was read, else now."""
        with self._store.atomic() as db:
            now = self._store.now()
            # What was blocked before it was ever sent makes room for its key: its rows may be formed again, as they were.
            db.execute(
                """UPDATE operations SET key = key || '#' || id WHERE key = ? AND state = 'settled' AND tries = 0
                   AND NOT EXISTS (SELECT 1 FROM members WHERE op = operations.id AND result_id IS NOT NULL)""",
                (operation.key,),
            )
            cursor = db.execute(
                """INSERT INTO operations (key, action, method, path, body, subject, batch, canary, state, baseline, created, read, shrunk)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'planned', ?, ?, ?, ?)""",
                (
                    operation.key, operation.action, operation.method, operation.path, operation.body, str(operation.subject),
                    operation.batch, operation.canary, compact_json(baseline), now, now if read is None else read, shrunk,
                ),
            )  # fmt: skip
            op = int(cursor.lastrowid or 0)
            db.executemany(
                "INSERT INTO members (op, position, item, body_hash, platform, label) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (op, position, item_text(item), item.body_hash, well_formed(item.platform), well_formed(item.label))
                    for position, item in enumerate(operation.items)
                ],
            )
            db.executemany(
                _POINT, [(item.identity, item.attempt, op, position) for position, item in enumerate(operation.items)]
            )
        return op

    def point(self, identity: str, attempt: int, op: int, position: int) -> None:
        """Let an item's attempt stand for a member."""
        with self._store.atomic() as db:
            db.execute(_POINT, (identity, attempt, op, position))

    def withdraw(self, op: int, why: str, *, blocked: bool = False) -> bool:
        """Take back an operation that was never sent; False if it was. `blocked` where a person must change something first."""
        with self._store.atomic() as db:
            changed = db.execute(
                "UPDATE operations SET state = 'withdrawn' WHERE id = ? AND state = 'planned'", (op,)
            ).rowcount
            if changed:
                # The key may be formed again from the same rows; the withdrawn one makes room for it.
                db.execute("UPDATE operations SET key = key || '#' || id WHERE id = ?", (op,))
                db.execute(
                    "UPDATE members SET waiting_for = ?, outcome = ? WHERE op = ?",
                    (well_formed(why), "blocked" if blocked else "pending", op),
                )
        return bool(changed)

    def detach(self, op: int, positions: Sequence[int]) -> None:
        """Take members out of an operation that did nothing for them; without members it is withdrawn."""
        with self._store.atomic() as db:
            for position in positions:
                db.execute("DELETE FROM members WHERE op = ? AND position = ?", (op, position))
            if not db.execute("SELECT count(*) FROM members WHERE op = ?", (op,)).fetchone()[0]:
                db.execute(
                    "UPDATE operations SET state = 'withdrawn', key = key || '#' || id, owner = NULL WHERE id = ?",
                    (op,),
                )

    def renew(
        self, op: int, *, baseline: Mapping[str, Any] | None, path: str | None = None, read: float | None = None
    ) -> None:
        """Note that the subject of a planned operation was read again, and the state and ids that it has now; `read` as in `add`."""
        with self._store.atomic() as db:
            db.execute(
                "UPDATE operations SET path = coalesce(?, path), baseline = ?, read = ? WHERE id = ? AND state = 'planned'",
                (path, compact_json(baseline), self._store.now() if read is None else read, op),
            )

    def revive(self, op: int, tries: int, *, read: float) -> bool:
        """A reading has proved that none of so many tries took effect: the operation is planned again, under the key it has.

        `read` is when that reading began, in the ledger's time: what is sent upon it must not be older than any other reading.
        """
        with self._store.atomic() as db:
            changed = db.execute(
                """UPDATE operations SET state = 'planned', first_sent = NULL, credential = NULL, waiting_for = '', read = ?
                   WHERE id = ? AND state = 'unknown' AND tries = ?""",
                (read, op, tries),
            ).rowcount
            if changed:
                db.execute(
                    "UPDATE members SET outcome = 'pending', waiting_for = '' WHERE op = ? AND outcome = 'unknown'",
                    (op,),
                )
        return bool(changed)
