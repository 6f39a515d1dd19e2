"""Posts of a frame with voxops' marks, as `plan_sync` compares them, and which of them exist twice (rule 19)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pandas as pd

from voxops._support.canonical import as_kept, fingerprint
from voxops.acts import keys
from voxops.acts.keys import shown_hash
from voxops.acts.plan import in_rows
from voxops.api.evidence import same_text
from voxops.api.limits import CLOCKS_DIFFER
from voxops.api.states import as_mark
from voxops.frames.cells import metadata_value
from voxops.frames.checks import flags, instants, need_posts, plain_values
from voxops.frames.records import targets_in
from voxops.model import NEVER_OUT, WITHDRAWN_STATUSES
from voxops.sheets.rules import tags_in, utc_text

COLUMNS = ("post_id", "status", "content", "scheduled_for", "created_at", "targets", "metadata")


@dataclass(frozen=True, slots=True)
class FramePost:
    """A post of a frame, with the marks that voxops has written into its metadata (rule 10)."""

    place: int  # in the frame
    post_id: str
    status: str
    row_mark: str | None
    op_mark: str | None
    asked: str | None  # hash of what was requested when it was created
    shown: Mapping[str, Any]  # its fields in the form of a request, None for one that is not shown
    marks: Mapping[str, Any]  # ``voxopsChanges``: what was last requested of its fields, and the names of changes
    state: str  # names its changes, with what is requested: a value that returns after another one is another change
    created: str
    updated: datetime | None
    withdrew: datetime | None  # when a sync of this ledger has withdrawn it
    override: bool
    label: str | None  # its row, where this ledger created it

    @property
    def is_live(self) -> bool:
        """Whether people see the post, or will (rule 19)."""
        return self.status not in NEVER_OUT

    @property
    def by_sync(self) -> bool:
        """Whether a sync has withdrawn it, and it was not changed since."""
        latest = self.withdrew and self.withdrew + timedelta(seconds=CLOCKS_DIFFER)
        return bool(self.status in WITHDRAWN_STATUSES and latest and self.updated and self.updated <= latest)

    @property
    def looks(self) -> str | None:
        """Fingerprint of what readers see; None where it does not show all of it."""
        content, accounts, when = (self.shown[name] for name in ("content", "accountIds", "scheduledFor"))
        return shown_hash(content, accounts, when) if content and accounts and when else None

    def was_asked(self, name: str, value: Any) -> bool:
        """Whether this was last requested of a field."""
        return as_mark(self.marks.get(name)) == keys.field_marks({name: value})[name]

    def other_texts(self, wanted: Mapping[str, str]) -> list[str]:
        """Columns of platforms' own texts that are not as they were last requested; none where no marks tell."""
        asked = {name: as_mark(mark) for name, mark in self.marks.items() if name.startswith("content:")}
        names = sorted(asked.keys() | wanted.keys()) if "content" in self.marks else []
        return [
            name for name in names if asked.get(name) != (keys.value_mark(wanted[name]) if name in wanted else None)
        ]

    def edited(self) -> list[str]:
        """Fields that show something else than was last requested, or of which that is not known; tags may not be shown."""
        shown = {name: value for name, value in self.shown.items() if value is not None or name != "tags"}
        return sorted(name for name, value in shown.items() if value is None or not self.was_asked(name, value))

    def shows(self, name: str, wanted: Any) -> bool:
        """Whether a field is as the sheet says; a list may cut a text that was requested so."""
        shown, asked = self.shown[name], self.was_asked(name, wanted)
        if shown is None:
            return asked
        if name == "content":
            cut = shown.rstrip().endswith(("…", "...")) and same_text(shown, wanted)
            return as_kept(shown) == as_kept(wanted) or (asked and cut)
        return bool(shown[:19] == wanted[:19]) if name == "scheduledFor" else set(shown) == set(wanted)


def read_posts(frame: pd.DataFrame, campaign: str | None = None) -> Iterator[FramePost]:
    """The posts of a frame that show metadata, of all campaigns or of one.

    A draft without a time is left out: it was cloned, so its marks are another post's.
    """
    ours, people = campaign and keys.campaign_mark(campaign), frame.attrs.get("people") or {}
    columns = {name: plain_values(frame, name) for name in (*COLUMNS, "tags")}
    columns |= {name: instants(frame, name) for name in ("updated_at", "sync_withdrew_at")}
    columns["override"], columns["row"] = flags(frame, "override"), plain_values(frame, "row")
    for place, row in enumerate(in_rows(columns)):
        metadata = metadata_value(row["metadata"], [])
        is_clone = row["status"] == "draft" and row["scheduled_for"] is None
        if is_clone or not row["post_id"] or not isinstance(metadata, Mapping):
            continue
        if ours and as_mark(metadata.get("voxopsCampaign")) != ours:
            continue
        accounts = [target.account_id for target in targets_in(row["targets"])]
        shown = {
            "content": row["content"],
            "scheduledFor": utc_text(row["scheduled_for"]),
            "accountIds": accounts if accounts and all(accounts) else None,
            "tags": None if "tags" in people or row["tags"] is None else tags_in(row["tags"]),
        }
        marks, row_mark = metadata.get("voxopsChanges"), metadata.get("voxopsRow")
        yield FramePost(
            place=place,
            post_id=str(row["post_id"]),
            status=str(row["status"]),
            row_mark=as_mark(row_mark),
            op_mark=as_mark(metadata.get("voxopsOp")),
            asked=as_mark(metadata.get("voxopsAsked")),
            shown=shown,
            marks=marks if isinstance(marks, Mapping) else {},
            state=fingerprint(ours, row_mark, marks, (utc_text(row["updated_at"]) or "")[:19]),
            created=str(row["created_at"]),
            updated=row["updated_at"],
            withdrew=row["sync_withdrew_at"],
            override=row["override"],
            label=row["row"],
        )


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
