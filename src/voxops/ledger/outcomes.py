"""Outcomes: what an answer or a reading has proved of an operation's rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from voxops._support import canonical
from voxops.acts.operation import NOT_AS_ASKED, Member, Past, Subject
from voxops.ledger.records import COLLIDED, compact_json, read_member, well_formed
from voxops.ledger.store import Part

__all__ = ["Outcomes"]


class Outcomes(Part):
    """Writes what became of rows."""

    def settle(self, op: int, members: Sequence[Member], server_now: float) -> None:
        """Write outcomes; when all members have succeeded, failed or are blocked, the operation is settled."""
        with self._store.atomic() as db:
            # What is known of the server's time may step back by a second; nothing was settled before it was sent.
            sent = db.execute(
                "SELECT max(coalesce(first_sent, 0), coalesce(last_sent, 0)) FROM operations WHERE id = ?", (op,)
            ).fetchone()
            server_now = max(server_now, sent[0] if sent else 0.0)
            for member in members:
                final = member.outcome.final
                db.execute(
                    """UPDATE members SET outcome = ?, waiting_for = ?, error_code = ?, error_message = ?, result_id = ?, seen = ?,
                       settled = ? WHERE op = ? AND position = ? AND outcome NOT IN ('succeeded', 'failed')""",
                    (
                        str(member.outcome), well_formed(member.waiting_for), well_formed(member.error_code), well_formed(member.error_message),
                        well_formed(member.result_id),
                        compact_json(member.seen), server_now if final else None, op, member.position,
                    ),
                )  # fmt: skip
            left = db.execute(
                "SELECT count(*) FROM members WHERE op = ? AND outcome NOT IN ('succeeded', 'failed', 'blocked')", (op,)
            ).fetchone()[0]
            if not left:
                db.execute(
                    "UPDATE operations SET state = 'settled', settled = ?, waiting_for = '', owner = NULL WHERE id = ?",
                    (server_now, op),
                )
            self._store.note_time(server_now)

    def accept(self, op: int, *, sighted: float | None = None) -> None:
        """Reading has shown that an act took effect; `sighted` is when its subject was seen on its way, in server time."""
        with self._store.atomic() as db:
            db.execute(
                """UPDATE operations SET state = 'accepted', waiting_for = '', sighted = coalesce(sighted, ?)
                   WHERE id = ? AND (state = 'unknown' OR (state = 'accepted' AND sighted IS NULL AND ? IS NOT NULL))""",
                (sighted, op, sighted),
            )

    def note_collisions(self, ops: Sequence[int]) -> None:
        """Note that somebody else has done the same at the same moment."""
        with self._store.atomic() as db:
            db.executemany("UPDATE operations SET resent = ? WHERE id = ?", [(COLLIDED, op) for op in ops])

    def wait_for(self, op: int, why: str) -> None:
        """Note why an open operation is not settled."""
        with self._store.atomic() as db:
            db.execute(
                "UPDATE operations SET waiting_for = ? WHERE id = ? AND state NOT IN ('settled', 'withdrawn')",
                (well_formed(why), op),
            )

    def block(self, op: int, why: str) -> None:
        """Say of the rows of an unsent operation that a person must change something first (rule 20); it may still be sent later."""
        with self._store.atomic() as db:
            db.execute(
                """UPDATE members SET outcome = 'blocked', waiting_for = ? WHERE op = ? AND outcome IN ('pending', 'blocked')
                   AND op IN (SELECT id FROM operations WHERE state = 'planned')""",
                (well_formed(why), op),
            )

    def withdrawn(self, statuses: Mapping[str, str], now: float) -> None:
        """Say of creates whose post was taken back since that they are blocked, whatever was recorded; post id -> status (rule 30).

        `now` is when that was seen, in server time.
        """
        with self._store.atomic() as db:
            db.executemany(
                """UPDATE members SET outcome = 'blocked', settled = ?, waiting_for = 'made as ' || result_id || ', ' || ?
                     || ' since; to make it again, set a column attempt to ' || (json_extract(item, '$.attempt') + 1)
                   WHERE result_id = ? AND outcome = 'succeeded'
                   AND op IN (SELECT id FROM operations WHERE action IN ('create', 'create_one'))""",
                [(now, became, post) for post, became in statuses.items()],
            )

    def restored(self, posts: Collection[str]) -> None:
        """Say of creates whose posts are there after all that they have succeeded: they were not taken back (rule 30)."""
        with self._store.atomic() as db:
            db.execute(
                """UPDATE members SET outcome = 'succeeded', waiting_for = '' WHERE outcome = 'blocked'
                   AND result_id IN (SELECT value FROM json_each(?))
                   AND op IN (SELECT id FROM operations WHERE action IN ('create', 'create_one'))""",
                (json.dumps(list(posts)),),
            )

    def done_before(self, subject: Subject) -> list[Past]:
        """What this ledger has done to one subject, or may have done; what the API took and kept in its own way included."""
        rows = self._store.query(
            """SELECT members.*, operations.reply AS reply FROM members JOIN operations ON operations.id = op
               WHERE subject = ? AND operations.state <> 'planned' AND operations.tries > 0
                 AND (members.outcome IN ('succeeded', 'unknown', 'blocked', 'pending') OR members.error_code = ?)
               ORDER BY op, position""",
            (str(subject), NOT_AS_ASKED),
        )
        members = [(read_member(row), row["reply"]) for row in rows]
        return [Past(member.item, _answer(reply), member.seen, member.outcome) for member, reply in members]


def _answer(reply: bytes | None) -> Any:
    """An answer as it was decoded; None for one that is no JSON."""
    try:
        return None if reply is None else canonical.decode(bytes(reply))
    except ValueError:
        return None
