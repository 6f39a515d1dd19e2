"""What is this post? Creates found by their marks, by what posts show, or proved absent (rules 13 to 15). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from voxops._support.canonical import as_read
from voxops.acts import keys
from voxops.acts.act import Request, settled
from voxops.acts.create import asked_hash, shown_of_body, shown_of_state
from voxops.api.evidence import same_time
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.api.timing import SKEW
from voxops.ledger.records import Seen
from voxops.model import WAITING_STATUSES, Outcome

LATER_ATTEMPTS = 29  # attempts beyond its own under which another ledger may have created a row


@dataclass(frozen=True, slots=True)
class Match:
    """What a reading of the list says of the rows of a create call.

    `found` maps a request to its post; `doubtful` are requests for which it is unknown whether a post of the list is theirs.
    `twice` says that our own sending created a row twice (rule 14).
    """

    found: Mapping[int, str] = field(default_factory=dict)
    doubtful: frozenset[int] = frozenset()
    twice: bool = False


def seen_of(state: PostState, began: float) -> Seen:
    """A post as the ledger remembers it, by a reading that began then."""
    op, row, campaign, asked = state.marks
    source = "single" if state.source == "single" else "list"
    return Seen(
        state.post_id, state.created_at or "", state.status, state.updated_at, op, row, campaign, asked, shown_of_state(state), began,
        source, began,
    )  # fmt: skip


def is_remembered(state: PostState, now: float) -> bool:
    """Whether a post is remembered: it bears a mark of ours, was read by itself, or a row might ask for the same (rule 26)."""
    if state.source == "single" or state.mark is not None or state.marks[1] is not None:
        return True
    return state.scheduled_for is not None and shown_of_state(state) is not None and _instant(state.scheduled_for) > now


def candidates(
    requests: Sequence[Request],
    posts: Iterable[PostState],
    claimed: AbstractSet[str],
    first_sent: float,
    *,
    marks: bool,
) -> list[str]:
    """Posts without a mark that may be one of these rows, and so must be read by themselves (rule 14).

    `claimed` are posts that are known to be some row's; `marks` says that lists have shown our marks.
    """
    return [
        state.post_id
        for state in posts
        if state.mark is None
        and state.post_id not in claimed
        and not is_older(state, first_sent)
        and (
            (not marks and state.source == "list")  # a list that has never shown our marks may hide them
            or any(could_be(state, request.item.body or {}, marks=marks) for request in requests)
        )
    ]


def match(
    requests: Sequence[Request],
    posts: Mapping[str, PostState],
    unmarked: Sequence[PostState],
    first_sent: float,
    last_sent: float,
    *,
    marks: bool,
) -> Match:
    """Say which posts are these rows: by the mark first, then by what they show; equal rows are matched by number.

    `posts` are all that were read, `unmarked` those of them that are candidates, as their single reads show them: with marks that lists
    leave out.
    """
    marked = _marked(requests, posts.values())
    found = {request: hits[0].post_id for request, hits in marked.items()}
    found |= _by_look([request for request in requests if request.id not in found], unmarked, first_sent)
    tells = marks or any(state.mark for state in unmarked)  # then one that shows none of our marks is not ours
    others = [state for state in unmarked if state.post_id not in found.values()]
    doubtful = frozenset(
        request.id
        for request in requests
        if request.id not in found
        and any(_cannot_tell(state, request.item.body or {}, marks=tells) for state in others)
    )
    until = last_sent + SKEW
    twice = any(
        sum(not state.created_at or _instant(state.created_at) <= until for state in hits) > 1
        for hits in marked.values()
    )
    return Match(found, doubtful, twice)


def by_mark(posts: Iterable[PostState]) -> dict[str, list[PostState]]:
    """Mark -> the posts that bear it, the earliest first."""
    found: dict[str, list[PostState]] = {}
    for state in sorted(posts, key=lambda state: (state.created_at or "", state.post_id)):
        if state.mark is not None:
            found.setdefault(state.mark, []).append(state)
    return found


def _marked(requests: Iterable[Request], posts: Iterable[PostState]) -> dict[int, list[PostState]]:
    """Request -> the posts that bear its mark and were created as it asks, the earliest first.

    A colleague may have created the same row with another body. Drafts without a time are clones, and don't count, unless no other post
    bears the mark.
    """
    marks, found = by_mark(posts), {}
    for request in requests:
        marked = marks.get(request.item.mark, [])
        whole = [state for state in marked if state.status != "draft" or state.scheduled_for is not None]
        asked = asked_hash(request.item.body or {})
        if hits := [state for state in whole or marked[-1:] if state.marks[3] in {None, asked}]:
            found[request.id] = hits
    return found


def _by_look(requests: Sequence[Request], posts: Sequence[PostState], first_sent: float) -> dict[int, str]:
    """Request -> the post that shows the same content, accounts and time and was created since the send, without a mark."""
    free: dict[str | None, list[str]] = {}
    for state in sorted(posts, key=lambda state: (state.created_at or "", state.post_id)):
        if state.mark is None and state.created_at is not None and not is_older(state, first_sent):
            free.setdefault(shown_of_state(state), []).append(state.post_id)
    found = {}
    for request in requests:
        if ids := free.get(shown_of_body(request.item.body or {})):
            found[request.id] = ids.pop(0)
    return found


def was_edited(state: PostState) -> bool:
    """Whether a post was changed after it was created, so that what it shows need not be what was requested."""
    return state.updated_at is not None and not same_time(state.updated_at, state.created_at)


def is_older(state: PostState, first_sent: float) -> bool:
    """Whether a post was there before anything was sent, so that it can't be what was."""
    return state.created_at is not None and _instant(state.created_at) < first_sent - SKEW


def could_be(state: PostState, body: Mapping[str, Any], *, marks: bool) -> bool:
    """Whether a post that bears none of our marks may be a row's, as far as what it shows goes.

    Where lists have shown our marks, metadata that are not ours, or another text, are another post. Else an API may keep only metadata
    of its own, and change texts: with entities, links made short, other line ends.
    """
    if state.mark is not None or (marks and state.has_metadata):
        return False
    accounts, content, when = state.accounts, state.content, state.scheduled_for
    elsewhere = bool(accounts) and set(accounts) != set(body["accountIds"])
    at_another_time = (
        when is not None
        and abs(_instant(when) - _instant(body["scheduledFor"])) >= timedelta(minutes=1).total_seconds()
    )
    other_text = content is not None and not as_read(str(body["content"])).startswith(as_read(content).rstrip(".… "))
    if was_edited(state):
        # People change one thing or another, but not all at once. What is out may show no time of its own.
        out = when is None and state.status not in WAITING_STATUSES
        return not (elsewhere and other_text and (at_another_time or out))
    return not (elsewhere or at_another_time or (marks and other_text))


def _cannot_tell(state: PostState, body: Mapping[str, Any], *, marks: bool) -> bool:
    """Whether even a single read does not rule a post out: it shows too little, was edited since, or no other post bears a mark either."""
    whole = shown_of_state(state) is not None and not was_edited(state)
    return not (whole and marks) and could_be(state, body, marks=marks)


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


# What the posts that are there make of a row that is to be created (rules 13 and 26).


def judge(request: Request, posts: Sequence[Seen]) -> Request | Reason | None:
    """The row settled as a post that is there, or why it must not be created; None if nothing that was seen forbids it.

    `posts` bear a mark of the row or of one of its attempts.
    """
    if not posts:
        return None
    item = request.item
    body = item.body or {}
    asked, shown = asked_hash(body), shown_of_body(body)
    attempts = keys.marks(item.campaign, item.label, item.attempt + LATER_ATTEMPTS)
    latest = max((attempts.get(post.op_mark, len(attempts)) for post in posts if post.op_mark), default=item.attempt)
    first: dict[str, Seen] = {}
    for post in sorted(posts, key=lambda one: (one.created, one.post_id)):
        if post.op_mark is not None:
            first.setdefault(post.op_mark, post)

    def is_copy(
        post: Seen,
    ) -> bool:  # somebody has duplicated the row's post, marks and all, and made something else of it
        return first.get(post.op_mark or "", post) is not post and post.shown not in {None, shown}

    # What is there comes first: it may be another attempt at the row. What may be a duplicate comes later, what was withdrawn last.
    for post in sorted(posts, key=lambda one: (one.withdrawn, one.status == "draft", is_copy(one))):
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
