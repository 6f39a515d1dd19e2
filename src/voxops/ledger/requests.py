"""Requests: what was wanted, and its outcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from voxops._support.canonical import json_text
from voxops.acts.act import Item, Request, Subject
from voxops.api.reasons import Reason
from voxops.ledger.records import item_text, read_request, reason_text
from voxops.ledger.store import Part, some
from voxops.model import Outcome

# The outcome of a request now: succeeded and failed are stored; blocked, pending and unknown follow from other columns and its call.
NOW = """CASE WHEN requests.outcome <> '' THEN requests.outcome WHEN requests.blocked THEN 'blocked'
              WHEN calls.state = 'unknown' THEN 'unknown' ELSE 'pending' END"""
_VIEW = f"""SELECT requests.*, {NOW} AS now, call_rows.position AS position
            FROM requests LEFT JOIN calls ON calls.id = requests.call
            LEFT JOIN call_rows ON call_rows.call = requests.call AND call_rows.request = requests.id"""
_MAY_HAVE_LEFT = "EXISTS (SELECT 1 FROM call_rows WHERE call_rows.request = requests.id AND NOT call_rows.void)"


class Requests(Part):
    """The requests of a ledger."""

    def add(self, item: Item, *, asked: int, alike: str | None, now: float) -> int:
        """Write a new request and return its id; `alike` is the hash of what a post would show."""
        return self._store.insert("requests", **_cells(item), alike=alike, asked=asked, created=now)

    def replace(self, request: int, item: Item, *, asked: int, alike: str | None) -> None:
        """Let an unsent request ask what the newest plan does; what blocked it is forgotten, and the rules are asked again."""
        cells = {**_cells(item), "alike": alike, "asked": asked, "blocked": False, "reason": ""}
        self._store.update("requests", "id = :id AND call IS NULL AND outcome = ''", cells, id=request)

    def get(self, ids: Iterable[int]) -> dict[int, Request]:
        """Requests by their ids."""
        return self._find(f"requests.id {some('ids')}", ids=ids)

    def of_run(self, run: str) -> dict[int, Request]:
        """The requests of a run, but for those of rows that were refused when it was bound."""
        return self._find("requests.id IN (SELECT request FROM run_rows WHERE run = :run AND reason = '')", run=run)

    def latest(self, identities: Iterable[str]) -> dict[str, Request]:
        """The highest attempt of each of these identities."""
        requests = self._find(f"requests.identity {some('identities')}", identities=identities).values()
        return {
            request.item.identity: request for request in sorted(requests, key=lambda request: request.item.attempt)
        }

    def of_call(self, call: int) -> list[Request]:
        """The requests that an open call answers for, by their place in it."""
        return self.of_calls([call])[call]

    def of_calls(self, calls: Iterable[int]) -> dict[int, list[Request]]:
        """The requests that open calls answer for, by their place in each."""
        by_call: dict[int, list[Request]] = {call: [] for call in calls}
        requests = self._find(f"requests.call {some('calls')}", calls=by_call).values()
        for request in sorted(requests, key=lambda request: request.position):
            by_call[request.call or 0].append(request)
        return by_call

    def past(self, *subjects: Subject) -> list[Request]:
        """What this ledger has wanted of these subjects and may have been sent, oldest first."""
        where = f"requests.subject {some('subjects')} AND {_MAY_HAVE_LEFT}"
        return list(self._find(where, subjects=map(str, subjects)).values())

    def in_flight(self, identities: Iterable[str], alike: Iterable[str]) -> list[Request]:
        """Requests in open calls that are attempts at these rows, or make what would look alike."""
        where = (
            f"requests.call IS NOT NULL AND (requests.identity {some('identities')} OR requests.alike {some('alike')})"
        )
        return list(self._find(where, identities=identities, alike=alike).values())

    def first_created(self, settles: float) -> float | None:
        """Until when a create may show what lists show: always if one has succeeded, else so long after the last try; None without any."""
        rows = self._store.query(
            """SELECT max(CASE WHEN outcome = 'succeeded' THEN 9e99 ELSE calls.last_sent + :settles END) FROM requests
               LEFT JOIN calls ON calls.id = requests.call WHERE mark IS NOT NULL AND (call IS NOT NULL OR outcome = 'succeeded')""",
            settles=settles,
        )
        return None if rows[0][0] is None else float(rows[0][0])

    def created_between(self, since: float, until: float) -> dict[str, int]:
        """Post -> the create that has succeeded as it, of those that answers or readings settled in a span of server time."""
        rows = self._store.query(
            """SELECT result_id, id FROM requests WHERE mark IS NOT NULL AND outcome = 'succeeded' AND result_id IS NOT NULL
               AND settled BETWEEN :since AND :until""",
            since=since,
            until=until,
        )
        return {str(post): int(request) for post, request in rows}

    def bearing(self, marks: Iterable[str], posts: Iterable[str]) -> list[Request]:
        """Creates that bear one of these marks, or have succeeded as one of these posts."""
        where = f"requests.mark {some('marks')} OR (requests.mark IS NOT NULL AND requests.result_id {some('posts')})"
        return list(self._find(where, marks=marks, posts=posts).values())

    def duplicated(self, ids: Iterable[int] | None) -> list[Request]:
        """Creates that have succeeded, of these or all, whose row mark more than one post bears."""
        where = f"""requests.mark IS NOT NULL AND requests.outcome = 'succeeded' AND (:ids IS NULL OR requests.id {some("ids")})
            AND requests.result_id IN (SELECT post_id FROM seen WHERE row_mark IN
                (SELECT row_mark FROM seen WHERE row_mark IS NOT NULL GROUP BY row_mark HAVING count(*) > 1))"""
        return list(self._find(where, ids=ids).values())

    # What becomes of requests.

    def settle(self, requests: Iterable[Request], now: float) -> None:
        """Write outcomes, which are final; a post that answers only named may be confirmed or corrected later."""
        names = ("id", "outcome", "error_code", "error_message", "result_id", "confirmed")
        self._store.write_each(
            """UPDATE requests SET outcome = :outcome, blocked = 0, reason = '', error_code = :error_code, error_message = :error_message,
                   result_id = :result_id, seen = :seen, settled = :now, confirmed = :confirmed, call = NULL
               WHERE id = :id AND outcome = ''""",
            [
                {name: getattr(request, name) for name in names} | {"seen": json_text(request.seen), "now": now}
                for request in requests
            ],
        )

    def confirm(self, posts: Iterable[tuple[str, int]]) -> None:
        """Write on which posts a reading has shown the mark of these creates; they win over what an answer named."""
        self._store.write_each(
            "UPDATE requests SET confirmed = 1, result_id = :post WHERE id = :id AND outcome = 'succeeded' AND NOT confirmed",
            [{"post": post, "id": request} for post, request in posts],
        )

    def unconfirmed(self, marks: Iterable[str]) -> dict[int, Request]:
        """Creates that bear one of these marks and have succeeded by an answer alone."""
        where = f"requests.mark {some('marks')} AND requests.outcome = 'succeeded' AND NOT requests.confirmed"
        return self._find(where, marks=marks)

    def not_there(self, request: int, reason: Reason) -> None:
        """Block a create for which an answer has named a post that does not exist: a person must look at it."""
        cells = {"outcome": "", "blocked": True, "confirmed": True, "reason": reason.stored()}
        self._store.update("requests", "id = :id AND outcome = 'succeeded' AND NOT confirmed", cells, id=request)

    def say(self, requests: Iterable[Request]) -> None:
        """Write of requests that are not settled whether they are blocked, and why they wait."""
        self._store.write_each(
            """UPDATE requests SET blocked = :blocked, reason = :reason
               WHERE id = :id AND outcome = '' AND (blocked <> :blocked OR reason <> :reason)""",
            [
                {"id": request.id, "blocked": request.outcome is Outcome.BLOCKED, "reason": reason_text(request.reason)}
                for request in requests
            ],
        )

    def detach(self, ids: Iterable[int]) -> None:
        """Take these requests out of their call, which may have had an effect."""
        self._store.write(f"UPDATE requests SET call = NULL WHERE id {some('ids')}", ids=ids)

    def release(self, ids: Iterable[int], *, alone: bool = False, page: int | None = None) -> None:
        """Make these requests unsent again: nothing of what was sent for them has happened.

        `alone` says that each goes in a call of its own from now on (rule 12); `page` is the status under which a proxy's page refused
        them.
        """
        released = list(ids)
        with self._store.atomic():
            self._store.write(
                f"UPDATE call_rows SET void = 1 WHERE (call, request) IN (SELECT call, id FROM requests WHERE id {some('ids')})",
                ids=released,
            )
            self._store.write(
                f"""UPDATE requests SET call = NULL, reason = '', alone = alone OR :alone, page = coalesce(:page, page)
                    WHERE id {some("ids")} AND outcome = ''""",
                alone=alone,
                page=page,
                ids=released,
            )

    def _find(self, where: str, **values: Any) -> dict[int, Request]:
        requests = self._store.query(f"{_VIEW} WHERE {where} ORDER BY requests.id", read_request, **values)
        return {request.id: request for request in requests}


def _cells(item: Item) -> dict[str, Any]:
    """What is kept of an item: it as text, and what finds it; only creates have a mark."""
    mark = item.mark if item.creates else None
    return {"item": item_text(item), "label": item.label, "platform": item.platform, "mark": mark}
