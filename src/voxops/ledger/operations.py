"""Looking operations up: which there are, on what, and what became of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voxops.acts.operation import Member, Subject
from voxops.ledger.records import BUSY, OPEN, STORED, Stored, compact_json, read_member, read_stored
from voxops.ledger.store import Part

__all__ = ["Operations"]


class Operations(Part):
    """The stored operations, to be read."""

    def get(self, op: int) -> Stored:
        """One operation."""
        return read_stored(self._store.query(f"SELECT {STORED} FROM operations WHERE id = ?", (op,))[0])

    def of_run(self, run: str, states: Sequence[str] = OPEN, *, since: float | None = None) -> list[Stored]:
        """A run's operations in these states, in the order of sending; `since` leaves out what was sent and settled before."""
        marks = ",".join("?" * len(states))
        rows = self._store.query(
            f"""SELECT {STORED} FROM operations WHERE state IN ({marks})
                AND id IN (SELECT op FROM run_rows JOIN items USING (identity, attempt) WHERE run = ?)
                AND (? IS NULL OR coalesce(settled, last_sent) >= ?) ORDER BY canary DESC, id""",
            (*states, run, since, since),
        )
        return [read_stored(row) for row in rows]

    def busy(self) -> list[Stored]:
        """Every operation that something may still happen to."""
        rows = self._store.query(f"SELECT {STORED} FROM operations WHERE state IN {BUSY} ORDER BY id")
        return [read_stored(row) for row in rows]

    def changes(self) -> list[Stored]:
        """Changes of posts' texts, times or accounts that are open (rule 26)."""
        rows = self._store.query(
            f"SELECT {STORED} FROM operations WHERE action = 'update' AND state IN {OPEN} ORDER BY id"
        )
        return [read_stored(row) for row in rows]

    def is_unchanged(self, stored: Stored) -> bool:
        """Whether nobody has sent, settled or replaced an operation since it was looked up."""
        now = self._store.query("SELECT state, tries FROM operations WHERE id = ?", (stored.id,))[0]
        return tuple(now) == (stored.state, stored.tries)

    def withdrawn(self, ops: Iterable[int]) -> set[int]:
        """Which of these operations have been taken back."""
        rows = self._store.query(
            "SELECT id FROM operations WHERE state = 'withdrawn' AND id IN (SELECT value FROM json_each(?))",
            (compact_json(list(ops)),),
        )
        return {int(op) for (op,) in rows}

    def open_on(self, subject: Subject) -> list[Stored]:
        """Open operations on one subject (rule 2)."""
        rows = self._store.query(
            f"SELECT {STORED} FROM operations WHERE subject = ? AND state IN {OPEN}", (str(subject),)
        )
        return [read_stored(row) for row in rows]

    def identities(self, op: int) -> set[str]:
        """Identities of the rows of an operation, under every name that they are known by."""
        return {str(row[0]) for row in self._store.query("SELECT identity FROM items WHERE op = ?", (op,))}

    def reply(self, op: int) -> bytes | None:
        """The body of the last answer to an operation."""
        body = self._store.query("SELECT reply FROM operations WHERE id = ?", (op,))[0][0]
        return None if body is None else bytes(body)

    def members(self, op: int) -> list[Member]:
        """The rows of an operation, by position."""
        return [
            read_member(row) for row in self._store.query("SELECT * FROM members WHERE op = ? ORDER BY position", (op,))
        ]

    def members_of(self, ops: Iterable[int]) -> dict[int, list[Member]]:
        """The rows of several operations, by position."""
        found: dict[int, list[Member]] = {op: [] for op in ops}
        rows = self._store.query(
            "SELECT * FROM members WHERE op IN (SELECT value FROM json_each(?)) ORDER BY op, position",
            (compact_json(list(found)),),
        )
        for row in rows:
            found[row["op"]].append(read_member(row))
        return found

    def latest(self, identity: str) -> tuple[int, Stored, Member] | None:
        """The latest attempt at an item that was not withdrawn: its number, operation and member."""
        rows = self._store.query(
            """SELECT items.attempt, items.op, items.position FROM items JOIN operations ON operations.id = items.op
               WHERE identity = ? AND operations.state <> 'withdrawn' ORDER BY attempt DESC LIMIT 1""",
            (identity,),
        )
        if not rows:
            return None
        attempt, op, position = rows[0]
        member = self._store.query("SELECT * FROM members WHERE op = ? AND position = ?", (op, position))[0]
        return int(attempt), self.get(op), read_member(member)
