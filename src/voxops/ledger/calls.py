"""Calls: HTTP requests, written before the first byte leaves, and how their last try ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from voxops._support.canonical import json_text
from voxops.acts.act import Form, Request
from voxops.ledger.records import Call, as_row, columns, read_call, reason_text
from voxops.ledger.store import Part, Store, some

_log = logging.getLogger("voxops.ledger")
_CALL = columns(Call)
# The try that its sender has made; another kernel may have marked it as unknown since.
_ITS_OWN = "tries = :tries AND state IN ('sent', 'unknown')"
# What is written of a call after it was sent, beside why it waits.
_CHANGING = ("state", "tries", "last_sent", "ended", "answered", "http_status", "reply", "refused", "resent", "sighted")


class Calls(Part):
    """The calls of a ledger.

    Only the kernel that sends a call knows that it is in flight. What any other has marked *sent* without an end is in doubt immediately, so
    that no kernel waits for one that was killed (rule 15).
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._in_flight: set[int] = set()  # sent by this kernel, and not ended

    def send(
        self,
        form: Form,
        requests: Sequence[Request],
        *,
        run: str,
        baseline: Mapping[str, Any] | None,
        credential: str,
        now: float,
    ) -> Call:
        """Write a new call as sent, in the transaction that decides about it (rule 7)."""
        item, ids = requests[0].item, [request.id for request in requests]
        with self._store.atomic():
            call = self._store.insert(
                "calls",
                by_run=run,
                act=item.act,
                subject=str(item.subject),
                baseline=json_text(baseline),
                credential=credential,
                size=len(ids),
                state="sent",
                tries=1,
                first_sent=now,
                last_sent=now,
                **as_row(form),
            )
            self._store.write(
                "INSERT INTO call_rows (call, position, request) SELECT :call, key, value FROM json_each(:ids)",
                call=call,
                ids=ids,
            )
            self._store.write(
                f"UPDATE requests SET call = :call, blocked = 0, reason = '' WHERE id {some('ids')}", call=call, ids=ids
            )
        self._in_flight.add(call)
        return self.get(call)

    def send_again(self, call: Call, *, now: float) -> Call:
        """Write a further try of a call that may have had an effect, under its key."""
        again = replace(
            call, state="sent", tries=call.tries + 1, last_sent=now, ended=None, answered=False, resent=True, sighted=None, reason=None,
        )  # fmt: skip
        self._change(again, "tries = :tries - 1")
        self._in_flight.add(call.id)
        return self.get(call.id)

    def get(self, call: int) -> Call:
        """One call."""
        return self.some([call])[0]

    def some(self, ids: Iterable[int]) -> list[Call]:
        """Calls by their ids, in order."""
        return self._find(f"id {some('ids')}", ids=ids)

    def open(self) -> list[Call]:
        """Every call that still answers for a request."""
        return self._find("state <> 'closed'")

    def on(self, subjects: Iterable[str]) -> list[Call]:
        """Open calls on these subjects (rule 2)."""
        return self._find(f"state <> 'closed' AND subject {some('subjects')}", subjects=subjects)

    def _find(self, where: str, **values: Any) -> list[Call]:
        calls = self._store.query(f"SELECT {_CALL} FROM calls WHERE {where} ORDER BY id", read_call, **values)
        return [self._as_it_is(call) for call in calls]

    def _as_it_is(self, call: Call) -> Call:
        if call.id in self._in_flight:
            return replace(call, state="sent")
        return replace(call, state="unknown") if call.state == "sent" else call

    def unsend(self, call: Call) -> None:
        """Write that nothing of a try has happened, so that all is as before it; not if another try has followed."""
        self._in_flight.discard(call.id)
        with self._store.atomic():
            changed = self._store.write(
                f"UPDATE calls SET state = 'unknown', tries = tries - 1 WHERE id = :id AND {_ITS_OWN}",
                id=call.id,
                tries=call.tries,
            )
            if changed and call.tries == 1:  # what has not been sent is in no call
                self._store.write("UPDATE requests SET call = NULL WHERE call = :id", id=call.id)
                self._store.write("DELETE FROM call_rows WHERE call = :id", id=call.id)
                self._store.write("DELETE FROM calls WHERE id = :id", id=call.id)

    def end(self, call: Call) -> bool:
        """Write how a try ended, as the call says it; False if it is not the call's last try any more."""
        self._in_flight.discard(call.id)
        with self._store.atomic():
            is_last = self._change(call, _ITS_OWN)
            self.close(call.id)
        if not is_last:
            _log.warning("another kernel has sent call %d again", call.id)
        return is_last

    def close(self, call: int) -> None:
        """Close a call that answers for no request any more."""
        if call not in self._in_flight:
            self._store.write(
                """UPDATE calls SET state = 'closed' WHERE id = :id
                   AND NOT EXISTS (SELECT 1 FROM requests WHERE requests.call = calls.id)""",
                id=call,
            )

    def note(self, call: Call) -> None:
        """Write what readings have shown of a call: its state, when its subject was seen in flight, and why it waits."""
        if call.id not in self._in_flight:  # else it has not ended
            self._change(call, "tries = :tries AND state <> 'closed'")

    def _change(self, call: Call, where: str) -> bool:
        """Write what may change of a call, if this holds of it as it is stored; whether it did."""
        cells = {name: getattr(call, name) for name in _CHANGING} | {"reason": reason_text(call.reason)}
        return bool(self._store.update("calls", f"id = :id AND {where}", cells, id=call.id))
