"""Which posts exist twice: live ones that bear one mark of row and attempt, whoever created them (rule 19)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from voxops.acts import keys
from voxops.acts.create import shown_hash
from voxops.acts.plan import in_rows
from voxops.api.states import as_mark
from voxops.frames.columns import metadata_value, need_posts, plain_values
from voxops.frames.records import targets_in
from voxops.model import NEVER_OUT
from voxops.sheets.rules import utc_text

_NEEDED = ("post_id", "status", "content", "scheduled_for", "created_at", "targets", "metadata")


class Marked(NamedTuple):
    """A post with the mark of its row and attempt; `shown` is the hash of what it shows, None where it does not show all of that."""

    post_id: str
    status: str
    created: str
    mark: str | None
    shown: str | None
    as_requested: bool


def created_twice(posts: Iterable[Marked]) -> list[tuple[str, list[str]]]:
    """Return each post to keep with its duplicates: kept is a published one, else the earliest created.

    Drafts are not live. A post that shows neither what was requested nor what the kept one shows is another post.
    """
    groups: dict[str, list[Marked]] = defaultdict(list)
    for post in posts:
        if post.mark is not None and post.status not in NEVER_OUT:
            groups[post.mark].append(post)
    twice = []
    for group in groups.values():
        keep, *others = sorted(group, key=_order)
        same = [post.post_id for post in others if post.as_requested or (keep.shown and post.shown == keep.shown)]
        if same:
            twice.append((keep.post_id, same))
    return twice


def _order(post: Marked) -> tuple[bool, str, str]:
    return post.status != "published" or not post.as_requested, post.created, post.post_id


def _marked(row: Mapping[str, Any]) -> Marked:
    """A row of a posts frame."""
    when, targets = utc_text(row["scheduled_for"]), targets_in(row["targets"])
    accounts = [target.account_id for target in targets if target.account_id]
    shown, as_requested = None, when is not None or row["status"] == "published"  # without a time it is a clone
    if row["content"] and when and accounts and len(accounts) == len(targets):
        shown = shown_hash(row["content"], accounts, when)
        wanted = keys.field_marks({"content": row["content"], "scheduledFor": when, "accountIds": accounts})
        marks = metadata_value(row["metadata"], ["voxopsChanges"])
        as_requested = all(as_mark(metadata_value(marks, [name])) == mark for name, mark in wanted.items())
    mark = as_mark(metadata_value(row["metadata"], ["voxopsOp"]))
    return Marked(str(row["post_id"]), str(row["status"]), str(row["created_at"]), mark, shown, as_requested)


def copies(posts: pd.DataFrame) -> pd.DataFrame:
    """Return the posts of a frame that exist twice, each with the post to keep (rule 19).

    Such posts are live and bear one mark of row and attempt: two laptops have created the row, or somebody has copied its post. A draft is
    none of them, nor is a copy that was made into another post.

    Parameters
    ----------
    posts : pandas.DataFrame
        From ``ws.posts``, in any status. Posts that voxops did not create are left alone; so are all where lists show no metadata.

    Returns
    -------
    pandas.DataFrame
        The rows to withdraw: the columns of `posts`, and ``copy_of`` (string), the post to keep: a published one, else the earliest
        created. ``vx.plan_cancel`` takes it; the run reads first whether that post is still there.

    Raises
    ------
    PlanError
        If columns are missing, or the rows are targets.

    Examples
    --------
    >>> vx.copies(posts)["copy_of"].to_list()
    []
    """
    need_posts(posts, _NEEDED, "use ws.posts()")
    rows = in_rows({name: plain_values(posts, name) for name in _NEEDED})
    latest = {post.post_id: (place, post) for place, post in enumerate(map(_marked, rows))}  # frames may overlap
    twice = created_twice(post for _, post in latest.values())
    kept = {latest[other][0]: keep for keep, others in twice for other in others}
    return posts.iloc[sorted(kept)].assign(copy_of=pd.array([kept[place] for place in sorted(kept)], dtype="string"))
