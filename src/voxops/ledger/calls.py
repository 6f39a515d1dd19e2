"""Calls: what was sent, written before the first byte leaves; who may send it again; and how its last try ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from voxops._support.canonical import fingerprint
from voxops.acts.item import Form, Request, Subject
from voxops.api.reasons import Reason
from voxops.api.timing import CLOCKS_DIFFER, LEAVES_WITHIN
from voxops.ledger.records import CALL, Call, json_or_none, read_call, reason_text
from voxops.ledger.store import Part

# The call as it was handed to its sender.
_ITS_OWN = "id = ? AND state = 'sent' AND owner = ? AND tries = ?"


class Calls(Part):
    """The calls of a ledger."""

    def send(
        self,
        form: Form,
        requests: Sequence[Request],
        *,
        run: str,
        act: str,
        subject: Subject,
        baseline: Mapping[str, Any] | None,
        credential: str,
        owner: str,
        now: float,
    ) -> Call:
        """Write a new call as sent, in the transaction that decides about it (rule 8)."""
        values = (
            run, act, form.method, form.path, form.body, form.key, str(subject), json_or_none(baseline), credential,
            _hash(form.method, form.path, form.body, form.key), len(requests), now, now, owner, self._store.now() + self._store.lease,
        )  # fmt: skip
        with self._store.atomic() as db:
            cursor = db.execute(
                """INSERT INTO calls (by_run, act, method, path, body, key, subject, baseline, credential, hash, size, state, tries, first_sent,
                   last_sent, owner, lease_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'sent', 1, ?, ?, ?, ?)""",
                values,
            )
            call = int(cursor.lastrowid or 0)
            db.executemany(
                "INSERT INTO call_rows (call, position, request) VALUES (?, ?, ?)",
                [(call, at, one.id) for at, one in enumerate(requests)],
            )
            db.executemany(
                "UPDATE requests SET call = ?, blocked = 0, reason = '' WHERE id = ?",
                [(call, one.id) for one in requests],
            )
        return self.get(call)

    def send_again(self, call: Call, *, owner: str, now: float) -> Call:
        """Write a further try of a call that may have had an effect, under its key."""
        lease = self._store.now() + self._store.lease
        with self._store.atomic() as db:
            db.execute(
                """UPDATE calls SET state = 'sent', tries = tries + 1, last_sent = ?, ended = NULL, answered = 0, owner = ?, lease_until = ?,
                   resent = 1, sighted = NULL, reason = '' WHERE id = ?""",
                (now, owner, lease, call.id),
            )
        return self.get(call.id)

    def get(self, call: int) -> Call:
        """One call."""
        return read_call(self._store.query(f"SELECT {CALL} FROM calls WHERE id = ?", (call,))[0])

    def some(self, ids: Iterable[int]) -> list[Call]:
        """Calls by their ids, in order."""
        rows = self._store.query(
            f"SELECT {CALL} FROM calls WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(list(ids)),),
        )
        return [read_call(row) for row in rows]

    def open(self) -> list[Call]:
        """Every call that still answers for a request."""
        return [
            read_call(row) for row in self._store.query(f"SELECT {CALL} FROM calls WHERE state <> 'closed' ORDER BY id")
        ]

    def on(self, subjects: Iterable[str]) -> list[Call]:
        """Open calls on these subjects (rule 2)."""
        rows = self._store.query(
            f"SELECT {CALL} FROM calls WHERE state <> 'closed' AND subject IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(list(subjects)),),
        )
        return [read_call(row) for row in rows]

    def of_requests(self, ids: Iterable[int]) -> list[Call]:
        """Every call that was formed for one of these requests, closed ones included."""
        rows = self._store.query(
            f"""SELECT {CALL} FROM calls WHERE id IN (SELECT call FROM call_rows WHERE request IN (SELECT value FROM json_each(?)))
                ORDER BY id""",
            (json.dumps(list(ids)),),
        )
        return [read_call(row) for row in rows]

    def has_followed(self, calls: Iterable[int]) -> set[int]:
        """Which of these calls were followed by another one on their subject: its counts tell of later ones."""
        rows = self._store.query(
            """SELECT DISTINCT one.id FROM calls AS one JOIN calls AS later USING (subject)
               WHERE later.id > one.id AND one.id IN (SELECT value FROM json_each(?))""",
            (json.dumps(list(calls)),),
        )
        return {int(call) for (call,) in rows}

    def is_unharmed(self, call: Call) -> bool:
        """Whether a call still fits its hash: nobody has changed it by hand."""
        written = call.body is None or isinstance(call.body, bytes)  # SQLite keeps text in any column
        return written and call.hash == _hash(call.method, call.path, call.body, call.key)

    def holds(self, call: Call) -> bool:
        """Whether a try may still leave: its lease holds, and it was decided upon a moment ago; whoever slept since must not send (rule 21)."""
        until = call.lease_until or 0.0
        written = until - self._store.lease
        return written - CLOCKS_DIFFER <= self._store.now() < min(until, written + LEAVES_WITHIN)

    def unsend(self, call: Call) -> None:
        """Nothing of a try has happened: it is as before, also where its lease was over by then; not if another one has followed."""
        with self._store.atomic() as db:
            changed = db.execute(
                """UPDATE calls SET state = 'unknown', tries = tries - 1, owner = NULL, lease_until = NULL
                   WHERE id = ? AND tries = ? AND state IN ('sent', 'unknown')""",
                (call.id, call.tries),
            ).rowcount
            if changed and call.tries == 1:  # what has not been sent is in no call
                db.execute("UPDATE requests SET call = NULL WHERE call = ?", (call.id,))
                db.execute("DELETE FROM call_rows WHERE call = ?", (call.id,))
                db.execute("DELETE FROM calls WHERE id = ?", (call.id,))

    def end(
        self,
        call: Call,
        state: str,
        *,
        now: float,
        status: int | None = None,
        reply: bytes | None = None,
        answered: bool = False,
        refused: bool = False,
        reason: Reason | None = None,
    ) -> bool:
        """Write how a try ended; False if it is not the call's last try any more."""
        with self._store.atomic() as db:
            changed = db.execute(
                f"""UPDATE calls SET state = ?, http_status = ?, reply = ?, answered = ?, ended = ?, refused = ?, reason = ?, owner = NULL,
                    lease_until = NULL WHERE {_ITS_OWN}""",
                (state, status, reply, answered, now, refused, reason_text(reason), *_own(call)),
            ).rowcount
            self.close(call.id)
        return bool(changed)

    def close(self, call: int) -> None:
        """Close a call that answers for no request any more."""
        with self._store.atomic() as db:
            db.execute(
                """UPDATE calls SET state = 'closed' WHERE id = ? AND state <> 'sent'
                   AND NOT EXISTS (SELECT 1 FROM requests WHERE requests.call = calls.id)""",
                (call,),
            )

    def expire(self) -> list[int]:
        """Every call in flight whose lease has run out is unknown: its sender died or sleeps (rule 21).

        A lease that ends later than any could was taken before the clock was set back, and is over.
        """
        with self._store.atomic() as db:
            now = self._store.now()
            rows = db.execute(
                "SELECT id FROM calls WHERE state = 'sent' AND NOT (? < lease_until AND lease_until <= ? + ?)",
                (now, now, self._store.lease + CLOCKS_DIFFER),
            ).fetchall()
            db.executemany("UPDATE calls SET state = 'unknown', owner = NULL, lease_until = NULL WHERE id = ?", rows)
        return [int(call) for (call,) in rows]

    def note(self, calls: Iterable[Call]) -> None:
        """Write what readings have shown of calls: their state, when their subject was seen in flight, counts below, and why they wait."""
        with self._store.atomic() as db:
            db.executemany(
                "UPDATE calls SET state = ?, sighted = ?, collided = ?, reason = ? WHERE id = ? AND tries = ? AND state NOT IN ('sent', 'closed')",
                [
                    (one.state, one.sighted, one.collided, reason_text(one.reason), one.id, one.tries)
                    for one in calls
                ],
            )  # fmt: skip

    def note_collided(self, calls: Iterable[int]) -> None:
        """Somebody else has done the same at the same moment (rule 31)."""
        with self._store.atomic() as db:
            db.executemany("UPDATE calls SET collided = 1 WHERE id = ?", [(call,) for call in calls])


def _own(call: Call) -> tuple[int, str | None, int]:
    return call.id, call.owner, call.tries


def _hash(*parts: Any) -> str:
    """Hash of what a call is."""
    method, path, body, key = parts
    return fingerprint(method, path, "" if body is None else bytes(body).decode("utf-8", "replace"), key)
