"""Duplicates: rows for which more than one live post is what was requested, whoever created them (rule 28)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxops.acts.create import asked_hash, shown_of_body
from voxops.acts.item import Request
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Seen


@dataclass(frozen=True, slots=True)
class Copy:
    """One row of a run that more than one live post was created for: the post to `keep`, and the `others`; `row` is its number."""

    row: int
    request: Request
    keep: str
    others: tuple[str, ...]


def copies_of(ledger: Ledger, run: str) -> list[Copy]:
    """Rows of a run for which more than one live post shows what was requested, or what their own post shows."""
    rows = {row.request: row.row for row in ledger.runs.rows(run) if row.request is not None and row.reason is None}
    found = []
    for request, posts in _duplicated(ledger, ledger.requests.duplicated(rows)):
        keep, *others = posts
        found.append(Copy(rows[request.id], request, keep.post_id, tuple(post.post_id for post in others)))
    return sorted(found, key=lambda copy: copy.row)


def duplicates_in(ledger: Ledger) -> dict[int, str]:
    """Request -> which duplicates of its post exist, for people."""
    return {
        request.id: f"duplicates exist: {', '.join(post.post_id for post in posts[1:])}"
        for request, posts in _duplicated(ledger, ledger.requests.duplicated(None))
    }


def _duplicated(ledger: Ledger, requests: Iterable[Request]) -> list[tuple[Request, list[Seen]]]:
    wanted = list(requests)
    if not wanted:
        return []
    by_mark: dict[str | None, list[Seen]] = {}
    for post in ledger.seen.of_rows([one.item.row_mark for one in wanted]):
        by_mark.setdefault(post.row_mark, []).append(post)
    found = [(one, duplicates(one, by_mark.get(one.item.row_mark, []))) for one in wanted]
    return [(one, posts) for one, posts in found if len(posts) > 1]


def keep_first(posts: Iterable[Seen]) -> list[Seen]:
    """The post to keep, then its duplicates: a published one, else the earliest created, then the smallest id."""
    return sorted(posts, key=lambda post: (post.status != "published", post.created, post.post_id))


def duplicates(request: Request, posts: Sequence[Seen]) -> list[Seen]:
    """Live posts of a row that are what was requested, or what its own post shows, the one to keep first; fewer than two for none.

    What bears the mark and differs is another use of the post.
    """
    body = request.item.body or {}
    asked, shown = asked_hash(body), shown_of_body(body)
    live = [post for post in posts if post.is_live]
    own = {post.shown for post in live if post.post_id == request.result_id and post.shown}  # an API may escape texts
    for looks in ({shown}, own):
        alike = [post for post in live if (post.shown in looks if post.shown is not None else post.asked == asked)]
        if len(alike) > 1:
            return keep_first(alike)
    return []
