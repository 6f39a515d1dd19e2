"""Requests: what was wanted, and what became of it, once and for ever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from voxops._support.canonical import json_text
from voxops.acts.act import Item, Request, Subject
from voxops.api.reasons import Reason
from voxops.ledger.records import item_text, read_request, reason_text, well_formed
from voxops.ledger.store import SOME, Part
from voxops.model import Outcome

# What a request is now: its outcome is its own; blocked, pending and unknown follow from what stands beside it.
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
        with self._store.atomic() as db:
            cursor = db.execute(
                "INSERT INTO requests (item, label, platform, mark, alike, asked, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*_cells(item), alike, asked, now),
            )
        return int(cursor.lastrowid or 0)

    def replace(self, request: int, item: Item, *, asked: int, alike: str | None) -> None:
        """What an unsent request asks follows the newest plan."""
        self._store.write(
            """UPDATE requests SET item = ?, label = ?, platform = ?, mark = ?, alike = ?, asked = ?
               WHERE id = ? AND call IS NULL AND outcome = ''""",
            *_cells(item), alike, asked, request,
        )  # fmt: skip

    def get(self, ids: Iterable[int]) -> dict[int, Request]:
        """Requests by their ids."""
        return self._find(f"requests.id {SOME}", ids)

    def of_run(self, run: str) -> dict[int, Request]:
        """The requests of a run, but for those of rows that were refused when it was bound."""
        return self._find("requests.id IN (SELECT request FROM run_rows WHERE run = ? AND reason = '')", run)

    def latest(self, identities: Iterable[str]) -> dict[str, Request]:
        """The highest attempt of each of these identities."""
        found = self._find(
            f"""requests.id IN (SELECT id FROM requests AS one WHERE identity {SOME}
                AND attempt = (SELECT max(attempt) FROM requests WHERE identity = one.identity))""",
            identities,
        )
        return {request.item.identity: request for request in found.values()}

    def of_call(self, call: int) -> list[Request]:
        """The requests that an open call answers for, by their place in it."""
        return self.of_calls([call])[call]

    def of_calls(self, calls: Iterable[int]) -> dict[int, list[Request]]:
        """The requests that open calls answer for, by their place in each."""
        found: dict[int, list[Request]] = {call: [] for call in calls}
        rows = self._find(f"requests.call {SOME}", found)
        for request in sorted(rows.values(), key=lambda request: request.position):
            found[request.call or 0].append(request)
        return found

    def past(self, *subjects: Subject) -> list[Request]:
        """What this ledger has wanted of these subjects and may have been sent, oldest first."""
        return list(self._find(f"requests.subject {SOME} AND {_MAY_HAVE_LEFT}", map(str, subjects)).values())

    def in_flight(self, identities: Iterable[str], alike: Iterable[str]) -> list[Request]:
        """Requests in open calls that are attempts at these rows, or make what would look alike."""
        found = self._find(
            f"requests.call IS NOT NULL AND (requests.identity {SOME} OR requests.alike {SOME})", identities, alike
        )
        return list(found.values())

    def first_created(self, settles: float) -> float | None:
        """Until when a create may show what lists show: for ever if one has succeeded, else so long after the last try; None if there is none."""
        rows = self._store.query(
            """SELECT max(CASE WHEN outcome = 'succeeded' THEN 9e99 ELSE calls.last_sent + ? END) FROM requests
               LEFT JOIN calls ON calls.id = requests.call WHERE mark IS NOT NULL AND (call IS NOT NULL OR outcome = 'succeeded')""",
            settles,
        )
        return None if rows[0][0] is None else float(rows[0][0])

    def created_between(self, since: float, until: float) -> dict[str, int]:
        """Post -> the create that has succeeded as it, of those that answers or readings settled in a span of server time."""
        rows = self._store.query(
            """SELECT result_id, id FROM requests WHERE mark IS NOT NULL AND outcome = 'succeeded' AND result_id IS NOT NULL
               AND settled BETWEEN ? AND ?""",
            since, until,
        )  # fmt: skip
        return {str(post): int(request) for post, request in rows}

    def bearing(self, marks: Iterable[str], posts: Iterable[str]) -> list[Request]:
        """Creates that bear one of these marks, or have succeeded as one of these posts."""
        where = f"requests.mark {SOME} OR (requests.mark IS NOT NULL AND requests.result_id {SOME})"
        return list(self._find(where, marks, posts).values())

    def duplicated(self, ids: Iterable[int] | None) -> list[Request]:
        """Creates that have succeeded, of these or all, whose row mark more than one post bears."""
        found = self._find(
            """requests.mark IS NOT NULL AND requests.outcome = 'succeeded' AND (?1 IS NULL OR requests.id IN (SELECT value FROM json_each(?1)))
                AND requests.result_id IN (SELECT post_id FROM seen WHERE row_mark IN
                    (SELECT row_mark FROM seen WHERE row_mark IS NOT NULL GROUP BY row_mark HAVING count(*) > 1))""",
            ids,
        )
        return list(found.values())

    # What becomes of requests.

    def settle(self, requests: Iterable[Request], now: float) -> None:
        """Write outcomes, which are final; a post that answers only named may be confirmed or corrected later."""
        self._store.write_each(
            """UPDATE requests SET outcome = ?, blocked = 0, reason = '', error_code = ?, error_message = ?, result_id = ?, seen = ?,
                   settled = ?, confirmed = ?, call = NULL WHERE id = ? AND outcome = ''""",
            [
                (str(one.outcome), well_formed(one.error_code), well_formed(one.error_message), well_formed(one.result_id),
                 json_text(one.seen), now, one.confirmed, one.id)
                for one in requests
            ],
        )  # fmt: skip

    def confirm(self, posts: Iterable[tuple[str, int]]) -> None:
        """A reading has shown the mark of these creates on these posts, which win over what an answer named."""
        self._store.write_each(
            "UPDATE requests SET confirmed = 1, result_id = ? WHERE id = ? AND outcome = 'succeeded' AND NOT confirmed",
            posts,
        )

    def unconfirmed(self, marks: Iterable[str]) -> dict[int, Request]:
        """Creates that bear one of these marks and have succeeded by an answer alone."""
        return self._find(f"requests.mark {SOME} AND requests.outcome = 'succeeded' AND NOT requests.confirmed", marks)

    def not_there(self, ids: Iterable[int], reason: Reason) -> None:
        """The posts that answers alone have named for these creates do not exist: a person must look at them."""
        self._store.write(
            f"""UPDATE requests SET outcome = '', blocked = 1, confirmed = 1, reason = ?
                WHERE id {SOME} AND outcome = 'succeeded' AND NOT confirmed""",
            reason_text(reason), ids,
        )  # fmt: skip

    def say(self, requests: Iterable[Request]) -> None:
        """Note of requests that are not settled whether they are blocked, and why they wait."""
        self._store.write_each(
            "UPDATE requests SET blocked = ?1, reason = ?2 WHERE id = ?3 AND outcome = '' AND (blocked <> ?1 OR reason <> ?2)",
            [(one.outcome is Outcome.BLOCKED, reason_text(one.reason), one.id) for one in requests],
        )

    def clear(self, ids: Iterable[int]) -> None:
        """A new plan wants these requests: what blocked them is asked again."""
        self._store.write(f"UPDATE requests SET blocked = 0, reason = '' WHERE id {SOME} AND outcome = ''", ids)

    def detach(self, ids: Iterable[int]) -> None:
        """These requests leave their call, which may have had an effect."""
        self._store.write(f"UPDATE requests SET call = NULL WHERE id {SOME}", ids)

    def release(self, ids: Iterable[int], *, alone: bool = False, page: int | None = None) -> None:
        """Nothing of what was sent for these requests has happened: they are unsent again.

        `alone` says that each goes in a call of its own from now on (rule 12); `page` is the status under which a proxy's page refused
        them.
        """
        released = list(ids)
        with self._store.atomic():
            self._store.write(
                f"UPDATE call_rows SET void = 1 WHERE (call, request) IN (SELECT call, id FROM requests WHERE id {SOME})",
                released,
            )
            self._store.write(
                """UPDATE requests SET call = NULL, reason = '', alone = alone OR ?1, page = coalesce(?2, page)
                   WHERE id IN (SELECT value FROM json_each(?3)) AND outcome = ''""",
                alone, page, released,
            )  # fmt: skip

    def _find(self, where: str, *values: Any) -> dict[int, Request]:
        rows = self._store.query(f"{_VIEW} WHERE {where} ORDER BY requests.id", *values)
        return {row["id"]: read_request(row) for row in rows}


def _cells(item: Item) -> tuple[str, str | None, str | None, str | None]:
    """What is kept of an item: it as text, and what finds it; only creates have a mark."""
    mark = item.mark if "campaign" in item.seen else None
    return item_text(item), well_formed(item.label), well_formed(item.platform), mark
