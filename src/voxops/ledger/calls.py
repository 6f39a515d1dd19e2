"""Calls: what was sent, written before the first byte leaves; who may send it again; and how its last try ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from voxops._support.canonical import fingerprint, json_text
from voxops.acts.act import Form, Request
from voxops.api.reasons import Reason
from voxops.api.timing import CLOCKS_DIFFER, LEAVES_WITHIN
from voxops.ledger.records import Call, columns, read_call, reason_text
from voxops.ledger.store import SOME, Part

_CALL = columns(Call)
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
        baseline: Mapping[str, Any] | None,
        credential: str,
        owner: str,
        now: float,
    ) -> Call:
        """Write a new call as sent, in the transaction that decides about it (rule 8)."""
        item = requests[0].item
        values = (
            run, item.act, form.method, form.path, form.body, form.key, str(item.subject), json_text(baseline), credential,
            _hash(form.method, form.path, form.body, form.key), len(requests), now, now, owner, self._store.now() + self._store.lease,
        )  # fmt: skip
        with self._store.atomic() as db:
            cursor = db.execute(
                """INSERT INTO calls (by_run, act, method, path, body, key, subject, baseline, credential, hash, size, state, tries, first_sent,
                   last_sent, owner, lease_until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'sent', 1, ?, ?, ?, ?)""",
                values,
            )
            call = int(cursor.lastrowid or 0)
            ids = [one.id for one in requests]
            self._store.write(
                "INSERT INTO call_rows (call, position, request) SELECT ?, key, value FROM json_each(?)", call, ids
            )
            self._store.write(f"UPDATE requests SET call = ?, blocked = 0, reason = '' WHERE id {SOME}", call, ids)
        return self.get(call)

    def send_again(self, call: Call, *, owner: str, now: float) -> Call:
        """Write a further try of a call that may have had an effect, under its key."""
        self._store.write(
            """UPDATE calls SET state = 'sent', tries = tries + 1, last_sent = ?, ended = NULL, answered = 0, owner = ?, lease_until = ?,
               resent = 1, sighted = NULL, reason = '' WHERE id = ?""",
            now, owner, self._store.now() + self._store.lease, call.id,
        )  # fmt: skip
        return self.get(call.id)

    def get(self, call: int) -> Call:
        """One call."""
        return self.some([call])[0]

    def some(self, ids: Iterable[int]) -> list[Call]:
        """Calls by their ids, in order."""
        return self._find(f"id {SOME}", ids)

    def open(self) -> list[Call]:
        """Every call that still answers for a request."""
        return self._find("state <> 'closed'")

    def on(self, subjects: Iterable[str]) -> list[Call]:
        """Open calls on these subjects (rule 2)."""
        return self._find(f"state <> 'closed' AND subject {SOME}", subjects)

    def of_requests(self, ids: Iterable[int]) -> list[Call]:
        """Every call that was formed for one of these requests, closed ones included."""
        return self._find(f"id IN (SELECT call FROM call_rows WHERE request {SOME})", ids)

    def _find(self, where: str, *values: Any) -> list[Call]:
        return list(map(read_call, self._store.query(f"SELECT {_CALL} FROM calls WHERE {where} ORDER BY id", *values)))

    def has_followed(self, calls: Iterable[int]) -> set[int]:
        """Which of these calls were followed by another one on their subject: its counts tell of later ones."""
        rows = self._store.query(
            f"""SELECT DISTINCT one.id FROM calls AS one JOIN calls AS later USING (subject)
                WHERE later.id > one.id AND one.id {SOME}""",
            calls,
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
        with self._store.atomic():
            changed = self._store.write(
                """UPDATE calls SET state = 'unknown', tries = tries - 1, owner = NULL, lease_until = NULL
                   WHERE id = ? AND tries = ? AND state IN ('sent', 'unknown')""",
                call.id, call.tries,
            )  # fmt: skip
            if changed and call.tries == 1:  # what has not been sent is in no call
                self._store.write("UPDATE requests SET call = NULL WHERE call = ?", call.id)
                self._store.write("DELETE FROM call_rows WHERE call = ?", call.id)
                self._store.write("DELETE FROM calls WHERE id = ?", call.id)

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
        with self._store.atomic():
            changed = self._store.write(
                f"""UPDATE calls SET state = ?, http_status = ?, reply = ?, answered = ?, ended = ?, refused = ?, reason = ?, owner = NULL,
                    lease_until = NULL WHERE {_ITS_OWN}""",
                state, status, reply, answered, now, refused, reason_text(reason), call.id, call.owner, call.tries,
            )  # fmt: skip
            self.close(call.id)
        return bool(changed)

    def close(self, call: int) -> None:
        """Close a call that answers for no request any more."""
        self._store.write(
            """UPDATE calls SET state = 'closed' WHERE id = ? AND state <> 'sent'
               AND NOT EXISTS (SELECT 1 FROM requests WHERE requests.call = calls.id)""",
            call,
        )

    def expire(self) -> int:
        """Every call in flight whose lease has run out is unknown: its sender died or sleeps (rule 21). Return how many.

        A lease that ends later than any could was taken before the clock was set back, and is over.
        """
        now = self._store.now()
        return self._store.write(
            """UPDATE calls SET state = 'unknown', owner = NULL, lease_until = NULL
               WHERE state = 'sent' AND NOT (? < lease_until AND lease_until <= ?)""",
            now, now + self._store.lease + CLOCKS_DIFFER,
        )  # fmt: skip

    def note(self, one: Call) -> None:
        """Write what readings have shown of a call: its state, when its subject was seen in flight, counts below, and why it waits."""
        self._store.write(
            "UPDATE calls SET state = ?, sighted = ?, collided = ?, reason = ? WHERE id = ? AND tries = ? AND state NOT IN ('sent', 'closed')",
            one.state, one.sighted, one.collided, reason_text(one.reason), one.id, one.tries,
        )  # fmt: skip

    def collided(self, run: str) -> int:
        """How many calls of a run act on what somebody else has acted on, too."""
        rows = self._store.query(
            """SELECT count(DISTINCT calls.id) FROM run_rows JOIN call_rows ON call_rows.request = run_rows.request
               JOIN calls ON calls.id = call WHERE run_rows.run = ? AND run_rows.reason = '' AND collided""",
            run,
        )
        return int(rows[0][0])

    def note_collided(self, calls: Iterable[int]) -> None:
        """Somebody else has done the same at the same moment (rule 31)."""
        self._store.write(f"UPDATE calls SET collided = 1 WHERE id {SOME}", calls)


def _hash(*parts: Any) -> str:
    """Hash of what a call is."""
    method, path, body, key = parts
    return fingerprint(method, path, "" if body is None else bytes(body).decode("utf-8", "replace"), key)
