"""Runs: what an analyst started, its rows, and what stops it: pauses, undo, limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from voxops.acts import keys
from voxops.api.reasons import read_reason
from voxops.errors import RunNotFound
from voxops.ledger.records import RunHead, RunRow, as_row, columns, reason_text
from voxops.ledger.store import Part, some

_HEAD = columns(RunHead)


class Runs(Part):
    """The runs of a ledger."""

    def start(self, head: RunHead, rows: Iterable[RunRow], *, reason: str | None, frame: bytes) -> None:
        """Write a run with its rows and their chunks."""
        with self._store.atomic():
            self._store.insert("runs", **as_row(replace(head, reason=reason, who=_whoami())))
            self._store.insert("frames", run=head.id, frame=frame)
            self._store.write_each(
                "INSERT INTO run_rows VALUES (:run, :row, :request, :reason, :chunk)",
                [{**as_row(row), "run": head.id, "reason": reason_text(row.reason)} for row in rows],
            )

    def head(self, run: str) -> RunHead:
        """What a run is.

        Raises
        ------
        RunNotFound
            If there is no such run.
        """
        rows = self._store.query(f"SELECT {_HEAD} FROM runs WHERE id = :run", run=run)
        if not rows:
            raise RunNotFound(f"no run {run!r} in this ledger; ws.runs() lists them")
        value = dict(rows[0])
        return RunHead(**value | {name: bool(value[name]) for name in ("paused", "undone")})

    def rows(self, run: str) -> list[RunRow]:
        """The rows of a run, in the order of its plan."""
        rows = self._store.query(
            "SELECT row, request, reason, chunk FROM run_rows WHERE run = :run ORDER BY row", run=run
        )
        return [
            RunRow(row, request, read_reason(reason) if reason else None, chunk) for row, request, reason, chunk in rows
        ]

    def frame(self, run: str) -> bytes:
        """The frame of a run's plan, as it was stored."""
        self.head(run)
        return b"".join(self._store.query("SELECT frame FROM frames WHERE run = :run", lambda row: row[0], run=run))

    def wanted(self, ids: Iterable[int], runs: Iterable[str]) -> set[int]:
        """Which of these requests one of these runs names that is neither paused nor undone (rule 9)."""
        rows = self._store.query(
            f"""SELECT request FROM run_rows JOIN runs ON runs.id = run
                WHERE request {some("ids")} AND run {some("runs")} AND run_rows.reason = '' AND NOT paused AND NOT undone""",
            ids=ids,
            runs=runs,
        )
        return {request for (request,) in rows}

    def note(self, run: str, **columns: Any) -> bool:
        """Write the state of a run: ``state note paused undone``; whether there is such a run.

        An undone run is one that a later plan has ended permanently; a paused one sends nothing until it is resumed (rule 16).
        """
        return bool(self._store.update("runs", "id = :id", columns, id=run))

    def created(self, run: str) -> set[str]:
        """Posts that a run created: those that it sent, or that a run sent which it repeats.

        A later run of other rows has only found what an earlier one created.
        """
        rows = self._store.query(
            """SELECT result_id FROM run_rows JOIN requests ON requests.id = request
               JOIN calls ON calls.id = (SELECT max(call) FROM call_rows WHERE call_rows.request = requests.id)
               WHERE run_rows.run = :run AND run_rows.reason = '' AND result_id IS NOT NULL AND mark IS NOT NULL
                 AND (calls.by_run = run_rows.run OR NOT EXISTS (
                   SELECT request FROM run_rows AS own WHERE own.run = run_rows.run AND request IS NOT NULL
                   EXCEPT SELECT request FROM run_rows AS sent WHERE sent.run = calls.by_run))""",
            run=run,
        )
        return {post for (post,) in rows}

    def left(self, run: str) -> list[tuple[int, int | None]]:
        """Requests of a run that are neither settled nor blocked, each with its open call."""
        rows = self._store.query(
            """SELECT requests.id, call FROM run_rows JOIN requests ON requests.id = request
               WHERE run = :run AND run_rows.reason = '' AND outcome = '' AND NOT blocked""",
            run=run,
        )
        return [(request, call) for request, call in rows]

    def unsent(self, run: str) -> bool:
        """Whether a run has rows that going on might send."""
        rows = self._store.query(
            """SELECT 1 FROM run_rows JOIN requests ON requests.id = request LEFT JOIN calls ON calls.id = call
               WHERE run = :run AND run_rows.reason = '' AND outcome = '' AND NOT blocked AND coalesce(calls.state, 'unknown') <> 'accepted' LIMIT 1""",
            run=run,
        )
        return bool(rows)

    def others_unsent(self, run: str) -> list[str]:
        """Other runs of the run's campaign that are not undone, and have unsent rows which it does not name."""
        rows = self._store.query(
            """SELECT DISTINCT run, runs.campaign FROM run_rows JOIN runs ON runs.id = run JOIN requests ON requests.id = request
               WHERE run <> :run AND NOT undone AND run_rows.reason = ''
                 AND requests.call IS NULL AND outcome = '' AND NOT blocked
                 AND request NOT IN (SELECT request FROM run_rows WHERE run = :run AND request IS NOT NULL)""",
            run=run,
        )
        name = keys.campaign_name(self.head(run).campaign)
        return [other for other, campaign in rows if keys.campaign_name(campaign) == name]

    def undone(self, ids: Iterable[int]) -> set[int]:
        """Which of these requests a run names that a later plan has undone."""
        rows = self._store.query(
            f"""SELECT DISTINCT request FROM run_rows JOIN runs ON runs.id = run
                WHERE request {some("ids")} AND run_rows.reason = '' AND undone""",
            ids=ids,
        )
        return {request for (request,) in rows}

    def failed(self, run: str) -> int:
        """How many rows of a run have failed."""
        rows = self._store.query(
            """SELECT count(*) FROM run_rows JOIN requests ON requests.id = request
               WHERE run = :run AND run_rows.reason = '' AND outcome = 'failed'""",
            run=run,
        )
        return int(rows[0][0])


def _whoami() -> str:
    """The person at this computer, for the audit trail."""
    try:
        import getpass  # loads what drives a terminal

        return getpass.getuser()
    except (OSError, KeyError):  # a container without a user entry
        return "unknown"
