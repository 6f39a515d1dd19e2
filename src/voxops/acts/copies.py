"""Which posts exist twice: live ones that bear one mark of row and attempt, whoever created them (rule 19)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from voxops.acts.posts import COLUMNS, FramePost, read_posts
from voxops.frames.checks import need_posts
from voxops.model import NEVER_OUT


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


def _marked(post: FramePost) -> Marked:
    as_requested = post.shown["scheduledFor"] is not None or post.status == "published"
    if post.looks:
        as_requested = all(post.was_asked(name, post.shown[name]) for name in ("content", "scheduledFor", "accountIds"))
    return Marked(post.post_id, post.status, post.created, post.op_mark, post.looks, as_requested)


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
    need_posts(posts, COLUMNS, "copies() needs posts", "Use ws.posts().")
    latest = {post.post_id: post for post in read_posts(posts)}  # frames may overlap
    twice = created_twice(map(_marked, latest.values()))
    kept = {latest[other].place: keep for keep, others in twice for other in others}
    return posts.iloc[sorted(kept)].assign(copy_of=pd.array([kept[place] for place in sorted(kept)], dtype="string"))
