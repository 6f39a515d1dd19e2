"""What is this post? Creates found by their marks, or proved absent (rules 10 and 11). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from voxops.acts import keys
from voxops.acts.act import Request, settled
from voxops.api.evidence import same_time
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.ledger.records import Seen
from voxops.model import Outcome

LATER_ATTEMPTS = 29  # attempts beyond its own under which another ledger may have created a row


def seen_of(state: PostState, began: float) -> Seen:
    """A post as the ledger remembers it, by a reading that began then."""
    op, row, campaign, asked = state.marks
    source = "single" if state.source == "single" else "list"
    return Seen(
        state.post_id, state.created_at or "", state.status, state.updated_at, op, row, campaign, asked, keys.shown_of_state(state), began,
        source, began,
    )  # fmt: skip


def is_remembered(state: PostState, now: float) -> bool:
    """Whether a post is remembered: it bears a mark of ours, was read separately, or a row might ask for the same (rule 17)."""
    if state.source == "single" or state.mark is not None or state.marks[1] is not None:
        return True
    return (
        state.scheduled_for is not None
        and keys.shown_of_state(state) is not None
        and _instant(state.scheduled_for) > now
    )


def strangers(
    requests: Sequence[Request],
    posts: Iterable[PostState],
    claimed: AbstractSet[str],
    span: tuple[float, float],
    *,
    shows_metadata: bool,
) -> dict[int, str]:
    """Request -> a post without our marks that may be its, so that a reading without its mark proves nothing (rule 11).

    Such a post is for the same accounts, or shows none, and was created in the `span`. `claimed` are posts that are known to be some
    row's. Where lists are known to show metadata, a person must have wiped the mark, so that the post was edited since it was created.
    """
    may_be: dict[int, str] = {}
    for state in posts:
        created = None if state.created_at is None else _instant(state.created_at)
        elsewhen = created is not None and not span[0] <= created <= span[1]
        if (
            state.mark is not None
            or state.post_id in claimed
            or elsewhen
            or (shows_metadata and not may_be_edited(state))
        ):
            continue
        accounts = set(state.accounts)
        for request in requests:
            if not accounts or accounts & set(request.item.requested["accountIds"]):
                may_be.setdefault(request.id, state.post_id)
    return may_be


def by_mark(posts: Iterable[PostState]) -> dict[str, list[PostState]]:
    """Mark -> the posts that bear it, the earliest first."""
    marked: dict[str, list[PostState]] = {}
    for state in sorted(posts, key=lambda state: (state.created_at or "", state.post_id)):
        if state.mark is not None:
            marked.setdefault(state.mark, []).append(state)
    return marked


def posts_for(requests: Iterable[Request], posts: Iterable[PostState]) -> dict[int, str]:
    """Request -> the earliest post that bears its mark and was created as it asks.

    A colleague may have created the same row with another body. Drafts without a time are clones, and don't count, unless no other post
    bears the mark.
    """
    marks, matched = by_mark(posts), {}
    for request in requests:
        marked = marks.get(request.item.mark, [])
        whole = [state for state in marked if state.status != "draft" or state.scheduled_for is not None]
        asked = {None, request.item.asked_hash}
        if hits := [state for state in whole or marked[-1:] if state.marks[3] in asked]:
            matched[request.id] = hits[0].post_id
    return matched


def may_be_edited(state: PostState) -> bool:
    """Whether a post may have been changed after it was created; stamps of whole seconds can't tell."""
    if state.updated_at is None or not same_time(state.updated_at, state.created_at):
        return True
    return "." not in f"{state.created_at}{state.updated_at}"


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


# What the posts that are there make of a row that is to be created (rules 10 and 17).


def judge(request: Request, posts: Sequence[Seen]) -> Request | Reason | None:
    """The row settled as a post that is there, or why it must not be created; None if nothing that was seen forbids it.

    `posts` bear a mark of the row or of one of its attempts; clones belong to no row.
    """
    posts = [post for post in posts if not post.is_clone]
    if not posts:
        return None
    item = request.item
    asked, shown = item.asked_hash, item.shown_hash
    attempts = keys.marks(item.campaign, item.label, item.attempt + LATER_ATTEMPTS)
    latest = max((attempts.get(post.op_mark, len(attempts)) for post in posts if post.op_mark), default=item.attempt)
    first: dict[str, Seen] = {}
    for post in sorted(posts, key=lambda post: (post.created, post.post_id)):
        if post.op_mark is not None:
            first.setdefault(post.op_mark, post)

    # Somebody has duplicated the row's post, marks and all, and made something else of it.
    def is_copy(post: Seen) -> bool:
        return first.get(post.op_mark or "", post) is not post and post.shown not in {None, shown}

    # What is there comes first: it may be another attempt at the row. What may be a duplicate comes later, what was withdrawn last.
    for post in sorted(posts, key=lambda post: (post.withdrawn, post.status == "draft", is_copy(post))):
        earlier = post.op_mark is not None and attempts.get(post.op_mark, len(attempts)) < request.asked
        if post.withdrawn or post.status == "draft":
            if not earlier:
                return Reason("withdrawn_since", post=post.post_id, status=became(post), attempt=latest + 1)
        elif is_copy(post):
            if not item.seen.get("twin"):
                own = first[post.op_mark or ""]
                return Reason(
                    "duplicate_of", post=post.post_id, own=own.post_id, status=became(own), attempt=latest + 1
                )
        elif post.is_as_requested(asked, shown):
            return settled(request, Outcome.SUCCEEDED, result_id=post.post_id, confirmed=True)
        else:
            return Reason("shows_it_now" if post.shown == shown else "other_content", post=post.post_id)
    return None


def looks_like(request: Request, alike: Sequence[Seen], in_flight: Sequence[Request]) -> Reason | None:
    """Why a row would go out twice: another live post, or an open call, shows or makes the same, in whichever campaign (rule 17)."""
    item = request.item
    if item.seen.get("twin"):
        return None
    marks = keys.marks(item.campaign, item.label, item.attempt + LATER_ATTEMPTS) if alike and item.creates else {}
    for post in alike:
        own = post.post_id == item.subject.id or (
            item.creates and (post.row_mark == item.row_mark or post.op_mark in marks)
        )
        if post.is_live and not own:
            return (
                Reason("looks_like_row", post=post.post_id, of="")
                if post.is_ours
                else Reason("looks_like", post=post.post_id)
            )
    other = next((other for other in in_flight if other.id != request.id), None)
    return None if other is None else Reason("alike_in_flight", row=other.item.label[:40])


def became(post: Seen) -> str:
    """What a post is now, for people."""
    return "a draft again" if post.status == "draft" else post.status
