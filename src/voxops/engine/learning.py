"""What readings and answers have shown is remembered: which posts there are, whose they are, and what became of them since.

Rules 13, 26 and 30 decide by it, also when the list has long moved on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from voxops.acts import keys
from voxops.acts.create import CreateAct
from voxops.acts.made import DRAFT_AGAIN, Made, asked_hash, is_live, made_of, of_nobody, shown_of_body, shown_of_state
from voxops.acts.operation import Member
from voxops.acts.table import act_named
from voxops.api.states import PostState
from voxops.api.timing import PROOF_AFTER
from voxops.engine.created import Listed
from voxops.engine.presence import was_edited
from voxops.ledger import Ledger, Stored
from voxops.model import WITHDRAWN_STATUSES, Outcome

__all__ = ["are_of_others", "came_back", "learn", "note_posts", "remember"]


def learn(ledger: Ledger, listed: Listed) -> None:
    """Remember what the lists have shown.

    A list that lags shows for a while what was taken back: that it is there again is believed only of the post itself (rule 30).
    """
    # A post of the future stands on top of the list for days, and would hide what is made until then (rule 13).
    read = datetime.fromtimestamp(ledger.now() if listed.read is None else listed.read, UTC)
    latest = None if listed.latest is None else min(listed.latest, read.isoformat())
    known = ledger.marks.of_posts(listed.posts)
    shown = {
        post_id: state
        for post_id, state in listed.posts.items()
        if state.source == "single"
        or post_id not in known
        or not (came_back(known[post_id], state) or _lags(known[post_id], state))
    }
    made = [one for state in shown.values() if (one := made_of(state) or of_nobody(state, read)) is not None]
    ledger.marks.learn(made, latest=latest, shown=listed.marked, looked_through=listed.looked_through)
    note_posts(ledger, {**shown, **dict.fromkeys(listed.gone)}, read)


def note_posts(ledger: Ledger, posts: Mapping[str, PostState | None], now: datetime) -> None:
    """Remember of posts as they are read, None for one that does not exist, what they show, and which were taken back (rules 26 and 30).

    What was created a moment ago is not deleted because reads do not show it yet.
    """
    known = ledger.marks.of_posts(posts)
    lasting = (now - timedelta(seconds=PROOF_AFTER)).astimezone(UTC).isoformat()
    present, away = [], {}
    for post_id, one in known.items():
        state = posts[post_id]
        if state is not None:
            shown, updated = shown_of_state(state) or one.shown, state.updated_at or one.updated
            present.append(replace(one, status=state.status, shown=shown, updated=updated))
            away[post_id] = _away(state, long_ago=one.created < lasting)
        elif one.created < lasting:
            away[post_id] = "deleted"
            present.append(replace(one, status="deleted"))
    ledger.marks.learn(one for one in present if one != known[one.post_id])
    ledger.marks.forget(_gone(known.values(), posts, now))
    ledger.outcomes.withdrawn({post_id: became for post_id, became in away.items() if became}, now.timestamp())
    ledger.outcomes.restored([post_id for post_id, became in away.items() if not became])


def _away(state: PostState, *, long_ago: bool) -> str:
    """What became of a post that will not go out any more as it was made; empty for one that is there."""
    if state.status == "draft" and (long_ago or was_edited(state)):  # an approver has sent it back
        return DRAFT_AGAIN
    return state.status if state.status in WITHDRAWN_STATUSES else ""


def _lags(one: Made, state: PostState) -> bool:
    """Whether a list shows a post as it was before it was read, or changed here, last; lists may cut times to the second."""
    if one.updated is None or state.updated_at is None:
        return False
    return datetime.fromisoformat(one.updated) - datetime.fromisoformat(state.updated_at) >= timedelta(seconds=1)


def came_back(one: Made, state: PostState) -> bool:
    """Whether a row's post is there again that was taken back when it was read last."""
    return one.is_ours and one.taken_back and is_live(state.status)


def _gone(known: Iterable[Made], posts: Mapping[str, PostState | None], now: datetime) -> list[str]:
    """Posts of nobody that do not show any more what a row could ask for."""
    left = [one.post_id for one in known if not one.is_ours]
    return [post_id for post_id in left if (state := posts[post_id]) is None or of_nobody(state, now) is None]


def are_of_others(ledger: Ledger, members: Sequence[Member]) -> bool:
    """Whether an answer names posts for rows that are known to be other rows', as where a proxy has mixed up two answers (rule 15)."""
    rows = {member.result_id: member.item for member in members if member.result_id is not None}
    return any(
        one.is_ours and one.op_mark not in rows[post_id].marks and one.row_mark != rows[post_id].row_mark
        for post_id, one in ledger.marks.of_posts(rows).items()
    )


def remember(ledger: Ledger, operation: Stored, members: Sequence[Member], now: float) -> None:
    """Remember the posts that creates have just made, so that they are known where lists show no metadata (rules 26 and 28)."""
    act = act_named(operation.action)
    if not isinstance(act, CreateAct):
        return
    bodies, created = act.bodies(operation.body), datetime.fromtimestamp(now, UTC).isoformat()
    ledger.marks.learn(
        Made(
            post_id=member.result_id,
            created=created,
            status="scheduled",
            op_mark=member.item.mark,
            row_mark=member.item.row_mark,
            campaign_mark=keys.campaign_mark(member.item.campaign),
            asked=asked_hash(bodies[member.position]),
            shown=shown_of_body(bodies[member.position]),
        )
        for member in members
        if member.outcome is Outcome.SUCCEEDED and member.result_id is not None
    )
