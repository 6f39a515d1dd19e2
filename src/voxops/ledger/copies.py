"""Duplicates: rows for which more than one live post is what was requested, whoever created them (rule 28)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxops.acts.act import Request
from voxops.acts.create import asked_hash, shown_of_body
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Seen


@dataclass(frozen=True, slots=True)
class Copy:
    """One row of a run that more than one live post was created for: the post to `keep`, and the `others`; `row` is its number."""

    row: int
    label: str
    keep: str
    others: tuple[str, ...]


def copies_of(ledger: Ledger, run: str) -> list[Copy]:
    """Rows of a run for which more than one live post shows what was requested, or what their own post shows."""
    rows = {row.request: row.row for row in ledger.runs.rows(run) if row.request is not None and row.reason is None}
    found = duplicates(ledger, rows)
    labels = {one.id: one.item.label for one in ledger.requests.get(found).values()}
    copies = [Copy(rows[request], labels[request], keep, tuple(others)) for request, (keep, *others) in found.items()]
    return sorted(copies, key=lambda copy: copy.row)


def duplicates(ledger: Ledger, ids: Iterable[int] | None = None) -> dict[int, list[str]]:
    """Request -> the live posts that were created for it, where there are several: the one to keep first.

    That is a published one, else the earliest created, else the smallest id. Of these requests, or of all.
    """
    requests = ledger.requests.duplicated(ids)
    by_mark: dict[str | None, list[Seen]] = {}
    for post in ledger.seen.of_rows([one.item.row_mark for one in requests]):
        by_mark.setdefault(post.row_mark, []).append(post)
    found = {}
    for one in requests:
        alike = _alike(one, [post for post in by_mark.get(one.item.row_mark, []) if post.is_live])
        alike.sort(key=lambda post: (post.status != "published", post.created, post.post_id))
        if len(alike) > 1:
            found[one.id] = [post.post_id for post in alike]
    return found


def _alike(request: Request, live: Sequence[Seen]) -> list[Seen]:
    """Several posts of a row that are what was requested, or else what its own post shows, since an API may escape texts.

    What bears the mark and differs is another use of the post.
    """
    body = request.item.requested
    asked, shown = asked_hash(body), shown_of_body(body)
    as_asked = [post for post in live if (post.asked == asked if post.shown is None else post.shown == shown)]
    if len(as_asked) > 1:
        return as_asked
    own = {post.shown for post in live if post.post_id == request.result_id and post.shown}
    return [post for post in live if (post.asked == asked if post.shown is None else post.shown in own)]
