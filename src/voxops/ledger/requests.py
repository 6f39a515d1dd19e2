"""Requests: what was wanted, and what became of it, once and for ever."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from voxops._support.canonical import fingerprint
from voxops.acts.item import Item, Request, Subject
from voxops.api.reasons import Reason
from voxops.ledger.records import item_text, json_or_none, read_item, read_request, reason_text, well_formed
from voxops.ledger.store import Part

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
        text = item_text(item)
        with self._store.atomic() as db:
            cursor = db.execute(
                """INSERT INTO requests (act, identity, attempt, asked, subject, label, platform, campaign, requested, mark, alike, item, hash, created)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (item.act, item.identity, item.attempt, asked, str(item.subject), well_formed(item.label), well_formed(item.platform),
                 well_formed(item.campaign), item.requested, _mark(item), alike, text, fingerprint(text), now),
            )  # fmt: skip
        return int(cursor.lastrowid or 0)

    def replace(self, request: int, item: Item, *, asked: int, alike: str | None) -> None:
        """What an unsent request asks follows the newest plan."""
        text = item_text(item)
        with self._store.atomic() as db:
            db.execute(
                """UPDATE requests SET act = ?, attempt = ?, asked = ?, subject = ?, label = ?, platform = ?, requested = ?, mark = ?, alike = ?, item = ?, hash = ?
                   WHERE id = ? AND call IS NULL AND outcome = ''""",
                (item.act, item.attempt, asked, str(item.subject), well_formed(item.label), well_formed(item.platform), item.requested, _mark(item), alike, text, fingerprint(text), request),
            )  # fmt: skip

    def get(self, ids: Iterable[int]) -> dict[int, Request]:
        """Requests by their ids."""
        return self._find("requests.id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))

    def of_run(self, run: str) -> dict[int, Request]:
        """The requests of a run, but for those of rows that were refused when it was bound."""
        return self._find("requests.id IN (SELECT request FROM run_rows WHERE run = ? AND reason = '')", (run,))

    def latest(self, identities: Iterable[str]) -> dict[str, Request]:
        """The highest attempt of each of these identities."""
        found = self._find(
            """requests.id IN (SELECT id FROM requests AS one WHERE identity IN (SELECT value FROM json_each(?))
               AND attempt = (SELECT max(attempt) FROM requests WHERE identity = one.identity))""",
            (json.dumps(list(identities)),),
        )
        return {request.item.identity: request for request in found.values()}

    def of_call(self, call: int) -> list[Request]:
        """The requests that an open call answers for, by their place in it."""
        return sorted(self._find("requests.call = ?", (call,)).values(), key=lambda request: request.position)

    def of_calls(self, calls: Iterable[int]) -> dict[int, list[Request]]:
        """The requests that open calls answer for."""
        found: dict[int, list[Request]] = {call: [] for call in calls}
        rows = self._find("requests.call IN (SELECT value FROM json_each(?))", (json.dumps(list(found)),))
        for request in sorted(rows.values(), key=lambda request: request.position):
            found[request.call or 0].append(request)
        return found

    def formed_for(self, call: int) -> list[Request]:
        """Every request that a call was formed for, by its place in it, also those that have left it."""
        ids = [
            row[0]
            for row in self._store.query("SELECT request FROM call_rows WHERE call = ? ORDER BY position", (call,))
        ]
        found = self.get(ids)
        return [found[each] for each in ids]

    def past(self, subject: Subject) -> list[Request]:
        """What this ledger has wanted of a subject and may have been sent, oldest first."""
        return self.pasts([str(subject)]).get(str(subject), [])

    def pasts(self, subjects: Iterable[str]) -> dict[str, list[Request]]:
        """What this ledger has wanted of each of these subjects and may have been sent, oldest first."""
        found: dict[str, list[Request]] = {}
        rows = self._find(
            f"requests.subject IN (SELECT value FROM json_each(?)) AND {_MAY_HAVE_LEFT}", (json.dumps(list(subjects)),)
        )
        for request in rows.values():
            found.setdefault(str(request.item.subject), []).append(request)
        return found

    def alike_in_flight(self, alike: Iterable[str]) -> list[tuple[str | None, Request]]:
        """Requests in open calls that would create, or turn a post into, what looks like this, with its hash."""
        rows = self._store.query(
            f"{_VIEW} WHERE requests.call IS NOT NULL AND requests.alike IN (SELECT value FROM json_each(?)) ORDER BY requests.id",
            (json.dumps(list(alike)),),
        )
        return [(row["alike"], read_request(row)) for row in rows]

    def attempts_in_flight(self, identities: Iterable[str]) -> dict[str, list[Request]]:
        """Attempts at these rows that are in open calls."""
        found: dict[str, list[Request]] = {}
        rows = self._find(
            "requests.call IS NOT NULL AND requests.identity IN (SELECT value FROM json_each(?))",
            (json.dumps(list(identities)),),
        )
        for request in rows.values():
            found.setdefault(request.item.identity, []).append(request)
        return found

    def campaigns_of(self, labels: Iterable[str]) -> dict[str, set[str]]:
        """The campaigns under which creates of rows of these names were ever sent (rule 29)."""
        rows = self._store.query(
            f"""SELECT DISTINCT label, campaign FROM requests
                WHERE label IN (SELECT value FROM json_each(?)) AND mark IS NOT NULL AND ({_MAY_HAVE_LEFT} OR result_id IS NOT NULL)""",
            (json.dumps(list(labels)),),
        )
        found: dict[str, set[str]] = {}
        for label, campaign in rows:
            found.setdefault(label, set()).add(campaign)
        return found

    def waiting_withdrawals(self) -> list[Request]:
        """Unsent withdrawals of what comes of a create whose post is not known yet."""
        return list(
            self._find(
                "requests.subject LIKE 'row:%' AND requests.mark IS NULL AND requests.outcome = '' AND requests.call IS NULL",
                (),
            ).values()
        )

    def of_posts(self, posts: Iterable[str]) -> dict[str, list[Request]]:
        """Creates that have succeeded as these posts."""
        found: dict[str, list[Request]] = {}
        rows = self._find(
            "requests.result_id IN (SELECT value FROM json_each(?)) AND requests.subject LIKE 'row:%'",
            (json.dumps(list(posts)),),
        )
        for request in rows.values():
            found.setdefault(request.result_id or "", []).append(request)
        return found

    def created_between(self, since: float, until: float) -> dict[str, int]:
        """Post -> the create that has succeeded as it, of those that answers or readings settled in a span of server time."""
        rows = self._store.query(
            """SELECT result_id, id FROM requests WHERE mark IS NOT NULL AND outcome = 'succeeded' AND result_id IS NOT NULL
               AND settled BETWEEN ? AND ?""",
            (since, until),
        )
        return {str(post): int(request) for post, request in rows}

    def bearing(self, marks: Iterable[str], posts: Iterable[str]) -> list[Request]:
        """Creates that bear one of these marks, or have succeeded as one of these posts."""
        found = self._find(
            "requests.mark IN (SELECT value FROM json_each(?)) OR (requests.mark IS NOT NULL AND requests.result_id IN (SELECT value FROM json_each(?)))",
            (json.dumps(list(marks)), json.dumps(list(posts))),
        )
        return list(found.values())

    def duplicated(self, ids: Iterable[int] | None) -> list[Request]:
        """Creates that have succeeded, of these or all, whose row mark more than one post bears."""
        some = None if ids is None else json.dumps(list(ids))
        found = self._find(
            """requests.mark IS NOT NULL AND requests.outcome = 'succeeded' AND (? IS NULL OR requests.id IN (SELECT value FROM json_each(?)))
               AND (SELECT count(*) FROM seen WHERE row_mark = (SELECT row_mark FROM seen WHERE post_id = requests.result_id)) > 1""",
            (some, some),
        )
        return list(found.values())

    def are_unharmed(self, ids: Iterable[int]) -> bool:
        """Whether what is requested still fits its hash, and what finds it fits that: nobody has changed it by hand."""
        rows = self._store.query(
            "SELECT item, hash, identity, attempt, subject FROM requests WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        return all(_is_unharmed(row) for row in rows)

    # What becomes of requests.

    def settle(self, requests: Iterable[Request], now: float) -> None:
        """Write outcomes, which are final; a post that answers only named may be confirmed or corrected later."""
        with self._store.atomic() as db:
            db.executemany(
                """UPDATE requests SET outcome = ?, blocked = 0, reason = '', error_code = ?, error_message = ?, result_id = ?, seen = ?,
                       settled = ?, confirmed = ?, call = NULL WHERE id = ? AND outcome = ''""",
                [
                    (str(one.outcome), well_formed(one.error_code), well_formed(one.error_message), well_formed(one.result_id),
                     json_or_none(one.seen), now, one.confirmed, one.id)
                    for one in requests
                ],
            )  # fmt: skip

    def confirm(self, posts: Iterable[tuple[str, int]]) -> None:
        """A reading has shown the mark of these creates on these posts, which win over what an answer named."""
        with self._store.atomic() as db:
            db.executemany(
                "UPDATE requests SET confirmed = 1, result_id = ? WHERE id = ? AND outcome = 'succeeded' AND NOT confirmed",
                list(posts),
            )

    def unconfirmed(self, marks: Iterable[str]) -> dict[int, Request]:
        """Creates that bear one of these marks and have succeeded by an answer alone."""
        return self._find(
            "requests.mark IN (SELECT value FROM json_each(?)) AND requests.outcome = 'succeeded' AND NOT requests.confirmed",
            (json.dumps(list(marks)),),
        )

    def not_there(self, ids: Iterable[int], reason: Reason) -> None:
        """The posts that answers alone have named for these creates do not exist: a person must look at them."""
        with self._store.atomic() as db:
            db.executemany(
                """UPDATE requests SET outcome = '', blocked = 1, confirmed = 1, reason = ?
                   WHERE id = ? AND outcome = 'succeeded' AND NOT confirmed""",
                [(reason_text(reason), each) for each in ids],
            )

    def say(self, requests: Iterable[Request]) -> None:
        """Note of requests that are not settled whether they are blocked, and why they wait."""
        requests = list(requests)
        if not requests:
            return
        with self._store.atomic() as db:
            db.executemany(
                "UPDATE requests SET blocked = ?, reason = ? WHERE id = ? AND outcome = '' AND (blocked <> ? OR reason <> ?)",
                [
                    (blocked := one.outcome == "blocked", text := reason_text(one.reason), one.id, blocked, text)
                    for one in requests
                ],
            )

    def clear(self, ids: Iterable[int]) -> None:
        """A new plan wants these requests: what blocked them is asked again."""
        with self._store.atomic() as db:
            db.executemany(
                "UPDATE requests SET blocked = 0, reason = '' WHERE id = ? AND outcome = ''", [(each,) for each in ids]
            )

    def detach(self, ids: Iterable[int]) -> None:
        """These requests leave their call, which may have had an effect."""
        with self._store.atomic() as db:
            db.executemany("UPDATE requests SET call = NULL WHERE id = ?", [(each,) for each in ids])

    def release(self, ids: Sequence[int], *, most: int | None = None, page: int | None = None) -> None:
        """Nothing of what was sent for these requests has happened: they are unsent again.

        `most` bounds the calls that carry them from now on (rule 17); `page` is the status under which a proxy's page refused them.
        """
        with self._store.atomic() as db:
            db.executemany(
                "UPDATE call_rows SET void = 1 WHERE request = ? AND call = (SELECT call FROM requests WHERE id = ?)",
                [(each, each) for each in ids],
            )
            db.executemany(
                """UPDATE requests SET call = NULL, reason = '', most = min(coalesce(most, ?), coalesce(?, most)), page = coalesce(?, page)
                   WHERE id = ? AND outcome = ''""",
                [(most, most, page, each) for each in ids],
            )

    def bounds(self, ids: Iterable[int]) -> tuple[int | None, set[int | None]]:
        """The largest call that may carry these requests, None for no bound; and the statuses of pages that refused them."""
        rows = self._store.query(
            "SELECT most, page FROM requests WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )
        return min((row["most"] for row in rows if row["most"] is not None), default=None), {
            row["page"] for row in rows
        }

    def _find(self, where: str, values: Sequence[Any]) -> dict[int, Request]:
        rows = self._store.query(f"{_VIEW} WHERE {where} ORDER BY requests.id", values)
        return {row["id"]: read_request(row) for row in rows}


def _is_unharmed(row: sqlite3.Row) -> bool:
    if row["hash"] != fingerprint(row["item"]):
        return False
    item = read_item(row["item"])
    return (item.identity, item.attempt, str(item.subject)) == (row["identity"], row["attempt"], row["subject"])


def _mark(item: Item) -> str | None:
    """The mark of a create; None for other acts."""
    return item.mark if "campaign" in item.seen else None
