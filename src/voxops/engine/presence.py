"""Whether a post is there already: creates found by their marks, by what they show, or proved absent (rules 13, 14 and 26).

Everything here is a decision about states that were read; nothing reads or sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from voxops._support.canonical import as_read
from voxops.acts.made import Made, accounts_of, asked_hash, is_live, made_of, shown_of_body, shown_of_state
from voxops.acts.operation import Item, Member
from voxops.api.evidence import same_time
from voxops.api.reasons import TWIN
from voxops.api.states import PostState
from voxops.api.timing import SKEW
from voxops.model import WAITING_STATUSES

__all__ = [
    "Verdict",
    "cannot_tell",
    "could_be",
    "find_marked",
    "is_older",
    "judge_row",
    "made_twice",
    "pair_unmarked",
    "was_edited",
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a row before it is created: `made` as this post, or `blocked` for this reason; neither if it may be sent."""

    made: str | None = None
    blocked: str = ""


def judge_row(
    item: Item,
    body: Mapping[str, Any],
    made: Sequence[Made],
    alike: Sequence[Made],
) -> Verdict:
    """Say what the posts that were made allow for a row.

    Parameters
    ----------
    item : Item
        The row, as the attempt that is meant.
    body : mapping
        What is asked, with account ids.
    made : sequence of Made
        Posts made for this row, by any of its marks.
    alike : sequence of Made
        Posts that show the same content, accounts and time, or were asked for so, whoever's row they are.
    """
    asked, shown = asked_hash(body), shown_of_body(body)
    asked_for = item.seen.get("asked", item.attempt)  # by the analyst: after a failure the ledger raises the number
    next_attempt = max((_attempt_of(item, post) for post in made if post.op_mark is not None), default=item.attempt) + 1
    # What is there comes first: it may be another attempt at the same row. A draft comes last: it may be a clone, and where it is none,
    # no other post bears its mark. So does what may be a duplicate.
    copied = {one.post_id: _copied_from(one, made, shown) for one in made}
    for post in sorted(made, key=lambda one: (one.taken_back, one.status == "draft", copied[one.post_id] is not None)):
        later = post.op_mark is not None and post.op_mark != item.mark and _attempt_of(item, post) < asked_for
        if post.taken_back:
            if not later:
                return Verdict(blocked=made_again(post.post_id, post.became, next_attempt))
        elif (first := copied[post.post_id]) is not None:
            if not item.seen.get("twin"):
                return Verdict(
                    blocked=f"{post.post_id}, a duplicate of its post {first.post_id} ({first.became} since), is there and shows "
                    "something else; if it is this row, change it; if it is another post, a column twin (True) says so, and a column "
                    f"attempt set to {next_attempt} makes the row again"
                )
        elif post.is_for(asked, shown):
            return Verdict(made=post.post_id)
        elif post.shown == shown:
            return Verdict(
                blocked=f"already posted as {post.post_id}, which shows this text, these accounts and this time by now, but was made "
                "with another text, tags or media; if something is still to be changed, change the post itself"
            )
        else:
            return Verdict(
                blocked=f"already posted as {post.post_id} with other content, accounts or time; change the post itself, or name a "
                "new campaign, which would post every row again"
            )
    if not item.seen.get("twin"):
        campaign = (item.body or {}).get("metadata", {}).get("voxopsCampaign")
        for post in alike:
            if not post.is_ours and is_live(post.status):
                return Verdict(blocked=f"looks like {post.post_id}, made by hand or elsewhere; {TWIN}")
            mine = post.row_mark == item.row_mark or post.op_mark in item.marks
            if mine or not (is_live(post.status) or post.taken_back):
                continue
            if post.campaign_mark == campaign:
                since = "" if is_live(post.status) else f", {post.became} since"
                return Verdict(
                    blocked=f"looks like another row of this campaign, made as {post.post_id}{since}; {TWIN}"
                )
            # Nobody has said for sure that it is another campaign (rule 29).
            if is_live(post.status) and not item.seen.get("named", True):
                return Verdict(
                    blocked=f"looks like a row of another campaign, made as {post.post_id}; pass campaign= to name the one that is meant"
                )
    return Verdict()


def _copied_from(post: Made, made: Sequence[Made], shown: str) -> Made | None:
    """The post of a row which somebody has duplicated, marks and all; None where a post is no such duplicate.

    Whether one that shows something else is the row, mended and put in its place, or was made from it as from a template, nobody knows;
    where the row's own post is still there, that one is judged first.
    """
    alike = [one for one in made if one.op_mark is not None and one.op_mark == post.op_mark]
    first = min(alike, key=lambda one: (one.created, one.post_id), default=post)
    another = post is not first and post.shown not in {None, shown}
    return first if another else None


def made_again(post_id: str, became: str, attempt: int) -> str:
    """Why a row whose post was taken back is blocked, and which attempt makes it again (rule 30)."""
    return f"made as {post_id}, {became} since; to make it again, set a column attempt to {attempt}"


def _attempt_of(item: Item, post: Made) -> int:
    """Which attempt at a row a post is; a very late one where it bears a mark of none that is known."""
    if post.op_mark not in item.marks:
        return len(item.marks)
    return item.marks.index(post.op_mark) + 1


def find_marked(
    members: Iterable[Member], bodies: Mapping[int, Mapping[str, Any]], posts: Iterable[PostState]
) -> dict[int, list[PostState]]:
    """Position -> the posts that bear a member's mark and were made as its body asks, the earliest first.

    A colleague may have made the same row with another body. Drafts without a time are clones, and don't count, unless no other post
    bears the mark.
    """
    by_mark: dict[str, list[PostState]] = {}
    drafts: dict[str, list[PostState]] = {}
    for state in posts:
        if state.mark is not None:
            clone = state.status == "draft" and state.scheduled_for is None
            (drafts if clone else by_mark).setdefault(state.mark, []).append(state)
    by_mark = {mark: hits[-1:] for mark, hits in drafts.items()} | by_mark
    found = {
        member.position: [
            state for state in by_mark.get(member.item.mark, ()) if _was_for(state, bodies[member.position])
        ]
        for member in members
    }
    return {
        position: sorted(hits, key=lambda state: (state.created_at or "", state.post_id))
        for position, hits in found.items()
        if hits
    }


def _was_for(state: PostState, body: Mapping[str, Any]) -> bool:
    """Whether a post was made as a body asks, as far as its own word goes; people may have edited it since."""
    post = made_of(state)
    return post is None or post.asked is None or post.asked == asked_hash(body)


def was_edited(state: PostState) -> bool:
    """Whether a post was changed after it was created, so that what it shows need not be what was asked."""
    return state.updated_at is not None and not same_time(state.updated_at, state.created_at)


def is_older(state: PostState, first_sent: float) -> bool:
    """Whether a post was there before anything was sent, so that it can't be what was (rule 14)."""
    return state.created_at is not None and datetime.fromisoformat(state.created_at).timestamp() < first_sent - SKEW


def could_be(state: PostState, body: Mapping[str, Any], *, marked: bool) -> bool:
    """Whether a post that bears none of our marks may be a row's, as far as what it shows goes.

    Parameters
    ----------
    state : PostState
        The post.
    body : mapping
        What the row asks for.
    marked : bool
        Whether lists have shown our marks. Then metadata that are not ours, or another text, are another post; else an API may keep
        metadata of its own alone, and show texts as it likes: with entities, links made short, other line ends.
    """
    if state.mark is not None or (marked and state.has_metadata):
        return False
    accounts, content, when = accounts_of(state), state.content, state.scheduled_for
    elsewhere = bool(accounts) and set(accounts) != set(body["accountIds"])
    at_another_time = when is not None and not _same_minute(when, body["scheduledFor"])
    other_text = content is not None and not _may_be_cut(content, str(body["content"]))
    if was_edited(state):
        # People change one thing or another, but not all at once. What is out may show no time of its own.
        out = when is None and state.status not in WAITING_STATUSES
        return not (elsewhere and other_text and (at_another_time or out))
    return not (elsewhere or at_another_time or (marked and other_text))


def _same_minute(one: str, other: str) -> bool:
    """Whether two times differ by less than a minute, to which an API may keep them."""
    return abs(datetime.fromisoformat(one) - datetime.fromisoformat(other)) < timedelta(minutes=1)


def _may_be_cut(shown: str, whole: str) -> bool:
    """Whether a text may be another one, which a list has cut."""
    return as_read(whole).startswith(as_read(shown).rstrip(".… "))


def cannot_tell(state: PostState, bodies: Iterable[Mapping[str, Any]], *, marked: bool) -> bool:
    """Whether even a single read does not rule a post out (rule 14).

    It shows too little, or was edited since, or no other post bears a mark either.
    """
    whole = shown_of_state(state) is not None and not was_edited(state)
    return not (whole and marked) and any(could_be(state, body, marked=marked) for body in bodies)


def pair_unmarked(
    bodies: Mapping[int, Mapping[str, Any]], posts: Sequence[PostState], first_sent: float
) -> dict[int, str]:
    """Position -> the post that a row is, for posts that bear no mark: equal content, accounts and time, created since the send.

    Twins in one sheet are matched by number: two equal rows and one post leave one row unmatched.
    """
    free: dict[str, list[str]] = {}
    for state in sorted(posts, key=lambda state: (state.created_at or "", state.post_id)):
        shown = shown_of_state(state)
        if shown is None or state.mark is not None or state.created_at is None:
            continue
        if not is_older(state, first_sent):
            free.setdefault(shown, []).append(state.post_id)
    found = {}
    for position, body in sorted(bodies.items()):
        ids = free.get(shown_of_body(body))
        if ids:
            found[position] = ids.pop(0)
    return found


def made_twice(member: Member, marked: Mapping[int, Sequence[PostState]], last_sent: float) -> str:
    """A sentence if a row was created twice by our own sending; a copy that somebody made later is none (rule 14)."""
    until = datetime.fromtimestamp(last_sent + SKEW, UTC)
    ours = [
        state.post_id
        for state in marked.get(member.position, ())
        if not state.created_at or datetime.fromisoformat(state.created_at) <= until
    ]
    return f"{member.item.label} was created twice: {ours[0]}, {ours[1]}" if len(ours) > 1 else ""
