"""Runs: what an analyst started, and the rows that it stands for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from voxops.errors import LedgerError
from voxops.ledger.records import OPEN, well_formed
from voxops.ledger.store import Part

__all__ = ["RunHead", "RunRow", "Runs"]


@dataclass(frozen=True, slots=True)
class RunHead:
    """A run without its frame."""

    id: str
    action: str
    campaign: str
    key_column: str
    canaries: int
    held: int


@dataclass(frozen=True, slots=True)
class RunRow:
    """A row of a run: the item and attempt that it stands for, or no attempt and why it is held; `canary` is its cause where it goes first."""

    row: int
    identity: str | None
    attempt: int | None
    held: str = ""
    canary: str | None = None


class Runs(Part):
    """The runs of a ledger."""

    def start(self, head: RunHead, *, reason: str | None, created: float, frame: bytes) -> None:
        """Write a run; its rows follow in the same transaction."""
        with self._store.atomic() as db:
            db.execute(
                """INSERT INTO runs (id, action, campaign, key_column, reason, who, created, frame, canaries, held)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (head.id, head.action, head.campaign, head.key_column, well_formed(reason), _whoami(), created, frame, head.canaries, head.held),
            )  # fmt: skip

    def add_rows(self, run: str, rows: Iterable[RunRow]) -> None:
        """Write the rows of a run."""
        with self._store.atomic() as db:
            db.executemany(
                "INSERT INTO run_rows VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (run, row.row, row.identity, row.attempt, well_formed(row.held), well_formed(row.canary))
                    for row in rows
                ],
            )

    def leave(self, run: str, op: int, why: str) -> None:
        """Let a run stand no longer for the rows of an operation, for this reason; a later one does."""
        with self._store.atomic() as db:
            db.execute(
                """UPDATE run_rows SET held = ?, attempt = NULL WHERE run = ?
                   AND (identity, attempt) IN (SELECT identity, attempt FROM items WHERE op = ?)""",
                (well_formed(why), run, op),
            )

    def open_rows(self, run: str) -> list[tuple[int, int, bool, bool]]:
        """Rows without an outcome of a run's open operations: operation, position, whether it is a row of the run, and a canary of it."""
        rows = self._store.query(
            f"""WITH own AS (SELECT items.op, items.position, run_rows.canary FROM run_rows JOIN items USING (identity, attempt)
                             WHERE run = ?)
                SELECT members.op, members.position, own.op IS NOT NULL, own.canary IS NOT NULL
                FROM members JOIN operations ON operations.id = members.op
                LEFT JOIN own ON own.op = members.op AND own.position = members.position
                WHERE members.op IN (SELECT op FROM own) AND operations.state IN {OPEN}
                  AND members.outcome NOT IN ('succeeded', 'failed')""",
            (run,),
        )
        return [(int(op), int(position), bool(is_own), bool(canary)) for op, position, is_own, canary in rows]

    def attempt_of(self, identity: str, op: int, position: int) -> int | None:
        """The attempt under which an item is known to stand for a member; None where it is not."""
        rows = self._store.query(
            "SELECT attempt FROM items WHERE identity = ? AND op = ? AND position = ?", (identity, op, position)
        )
        return int(rows[0][0]) if rows else None

    def last_attempt(self, identity: str) -> int:
        """The highest attempt of an item, 0 for none."""
        return int(self._store.query("SELECT max(attempt) FROM items WHERE identity = ?", (identity,))[0][0] or 0)

    def sent_before(self, run: str) -> set[int]:
        """The operations that runs before a run had, and that were sent before it was begun; of a repetition, before the first run.

        It repeats a run that had all of its rows.
        """
        rows = self._store.query(
            """WITH first AS (
                   SELECT min(rowid) AS number, min(created) AS begun FROM runs WHERE NOT EXISTS (
                       SELECT identity FROM run_rows WHERE run = ? AND identity IS NOT NULL AND attempt IS NOT NULL
                       EXCEPT SELECT identity FROM run_rows WHERE run = runs.id))
               SELECT DISTINCT operations.id FROM first JOIN runs ON runs.rowid < first.number
               JOIN run_rows ON run_rows.run = runs.id JOIN items USING (identity, attempt) JOIN operations ON operations.id = items.op
               WHERE operations.first_sent <= first.begun""",
            (run,),
        )
        return {int(op) for (op,) in rows}

    def of_operation(self, op: int) -> list[str]:
        """The runs with a row that stands for a member of an operation, the one that was begun last first."""
        rows = self._store.query(
            """SELECT runs.id FROM runs JOIN run_rows ON run_rows.run = runs.id JOIN items USING (identity, attempt)
               WHERE items.op = ? GROUP BY runs.id ORDER BY runs.created DESC, runs.rowid DESC""",
            (op,),
        )
        return [str(run) for (run,) in rows]

    def withdrawn(self, run: str) -> int:
        """How many rows of a run are blocked because their posts were taken back since it was begun, which asks for nobody (rule 30)."""
        # Where a clock stands still, as the sandbox's does, the run that was the first to have a row is older than what became of it.
        rows = self._store.query(
            """SELECT count(*) FROM runs JOIN run_rows ON run_rows.run = runs.id JOIN items USING (identity, attempt)
               JOIN members ON members.op = items.op AND members.position = items.position
               WHERE runs.id = ? AND members.outcome = 'blocked' AND settled >= runs.created
                 AND (settled > runs.created OR NOT EXISTS (
                   SELECT 1 FROM runs AS earlier JOIN run_rows AS before ON before.run = earlier.id
                   WHERE earlier.rowid < runs.rowid AND before.identity = items.identity AND before.attempt = items.attempt))
                 AND result_id IN (SELECT post_id FROM made WHERE status <> 'draft') -- an approver has sent that back
                 AND members.op IN (SELECT id FROM operations WHERE action IN ('create', 'create_one'))""",
            (run,),
        )
        return int(rows[0][0])

    def head(self, run: str) -> RunHead:
        """What a run is.

        Raises
        ------
        LedgerError
            If there is no such run.
        """
        rows = self._store.query(
            "SELECT id, action, campaign, key_column, canaries, held FROM runs WHERE id = ?", (run,)
        )
        if not rows:
            raise LedgerError(f"no run {run} in this ledger; ws.runs() lists them")
        return RunHead(*rows[0])

    def frame(self, run: str) -> bytes:
        """The frame of a run's plan, as it was stored."""
        self.head(run)
        return bytes(self._store.query("SELECT frame FROM runs WHERE id = ?", (run,))[0][0])

    def finish(self, run: str, *, state: str, note: str) -> None:
        """Note how a pass over a run ended."""
        with self._store.atomic() as db:
            db.execute("UPDATE runs SET state = ?, note = ? WHERE id = ?", (state, note, run))


def _whoami() -> str:
    """The person at this computer, for the audit trail."""
    try:
        import getpass  # loads what drives a terminal

        return getpass.getuser()
    except (OSError, KeyError):  # a container without a user entry
        return "unknown"
