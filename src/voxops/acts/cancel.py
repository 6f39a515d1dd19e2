"""Cancel: withdraw posts that have not gone out (matrix row 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from voxops._support.canonical import fingerprint
from voxops.acts.act import PostAct
from voxops.acts.operation import Item, Member, Past, blocked, settled
from voxops.acts.plan import Plan, build_plan
from voxops.acts.rows import post_episode, post_item, target_rows, why_no_id
from voxops.api.error_bodies import bears_error
from voxops.api.evidence import Attempted, untouched
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.api.timing import RESEND_UNANSWERED
from voxops.frames.columns import booleans, flags, need_posts, plain_values
from voxops.model import IN_FLIGHT_STATUSES, TERMINAL_STATUSES, Outcome

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CANCEL", "plan_cancel"]

_NOT_OUT = frozenset({"draft", "scheduled"})  # what can be cancelled


class _Cancel(PostAct):
    """The answer says how it ended, and so does the status of the post."""

    name = "cancel"
    verb = "cancel"

    def why_again(self, item: Item, state: PostState | None, before: Sequence[Past]) -> Reason | None:
        """A post that this ledger withdrew with a run, and that somebody restored, is not withdrawn again with that run."""
        if not item.seen.get("of_run") or state is None or state.status not in _NOT_OUT:
            return None
        return Reason("put_back") if any(past.item.path == item.path for past in before) else None

    def was_undone(self, item: Item, state: PostState | None) -> bool:  # noqa: ARG002  the status says it
        """Whether the post will go out again, or could."""
        return state is not None and state.status in _NOT_OUT

    def decodes(self, data: Any) -> bool:
        """The post as it is now."""
        return isinstance(data, Mapping) and bool({"id", "status"} & data.keys()) and not bears_error(data)

    def settle_answer(self, members: Sequence[Member], data: Any, *, first: bool) -> list[Member]:  # noqa: ARG002
        """The answer is the post."""
        return _settle(members, str(data.get("status", "")).lower())

    def settle_reading(
        self,
        members: Sequence[Member],
        state: PostState,
        tried: Attempted,
        reply: Any = None,  # noqa: ARG002
    ) -> list[Member]:
        """The status of the post decides, whoever withdrew it. What still waits to go out, and was changed since, a person must look at.

        Somebody may have put it back; nothing tells whether the cancel took effect before.
        """
        moved = tried.baseline is not None and not untouched(state, tried.baseline)
        if state.status in _NOT_OUT and moved and tried.since >= RESEND_UNANSWERED:
            why = f"it is {state.status}, and was changed since it was sent; load it again"
            return [blocked(member, why) for member in members]
        return _settle(members, state.status)

    def verified(self, row: Mapping[str, Any], state: PostState | None) -> tuple[str, str]:
        """Recovered is what is cancelled now."""
        wanted = state is not None and state.status == "cancelled"
        failed = "failed_same" if row["outcome"] == "failed" else "pending"
        return str(row.get("status") or "created"), "recovered" if wanted else failed


def _settle(members: Sequence[Member], status: str) -> list[Member]:
    """Outcomes of a cancel from the post's status; none while it still waits to go out."""
    if status == "cancelled":
        return [settled(member, Outcome.SUCCEEDED, result_id=member.item.label) for member in members]
    if status in TERMINAL_STATUSES or status in IN_FLIGHT_STATUSES:
        why = f"the post is {status} already"
        return [settled(member, Outcome.FAILED, error_code="TOO_LATE", error_message=why) for member in members]
    return []


CANCEL = _Cancel()


class _Made(Protocol):
    """A run that creates posts."""

    def made(self) -> pd.DataFrame:
        """The posts that it created, as they are now."""


def plan_cancel(posts: pd.DataFrame | _Made) -> Plan:
    """Plan to withdraw posts that have not gone out (matrix row 6), or to undo a create run.

    Parameters
    ----------
    posts : pandas.DataFrame or Run
        From ``ws.posts``; only drafts and scheduled posts are eligible. For a run of `plan_create`, the posts that it created, read
        now (``run.made()``). Posts that another run or another ledger created and rows whose outcome is unknown are not eligible.
        A withdrawn post that somebody restored is blocked, unless a column ``again`` of ``run.made()`` is True.

    Returns
    -------
    Plan
        As for `plan_retry`; one request per post.

    Raises
    ------
    PlanError
        If columns are missing, the rows are targets, or the run is no create.

    Examples
    --------
    >>> plan = vx.plan_cancel(ws.posts(status="scheduled").head(3))
    >>> plan.frame["reason"].to_list()
    ['not out yet', 'not out yet', 'not out yet']
    """
    frame: Any = _of_run(posts.made()) if callable(getattr(type(posts), "made", None)) else posts  # type: ignore[operator]
    need_posts(frame, ("post_id", "status", "updated_at"), "use ws.posts(status='scheduled')")
    here = booleans(frame, "created_by_run").fillna(True) if "created_by_run" in frame.columns else [True] * len(frame)
    theirs = [not made for made in here]
    unmade, of_run, again = plain_values(frame, "unmade"), "created_by_run" in frame.columns, flags(frame, "again")
    items, reasons, numbers = [], [], []
    seen_ids: set[str] = set()
    for number, row in enumerate(target_rows(frame)):
        numbers.append(row["attempt"])
        reason = unmade[number] or _why_not(row, seen_ids, theirs=theirs[number])
        reasons.append(reason or Reason("not_out_yet"))
        if reason is not None:
            continue
        seen_ids.add(row["post_id"])
        episode = post_episode(row)
        seen = {**episode, "of_run": True} if of_run and not again[number] else episode
        items.append(post_item(number, row, fingerprint("cancel", episode), ("POST", "/cancel"), None, seen))
    return build_plan(CANCEL, frame.drop(columns="unmade", errors="ignore"), items, reasons, numbers)


def _of_run(made: pd.DataFrame) -> pd.DataFrame:
    """The posts of a run, and below them its rows that have none, with the reason: none is left out without a word."""
    why: dict[Any, Reason] = dict.fromkeys(made.attrs.get("open_rows") or [], Reason("creation_unknown"))
    why |= dict.fromkeys(made.attrs.get("unsent_rows") or [], Reason("never_sent"))
    frame = made.reset_index(drop=True).reindex(range(len(made) + len(why)))
    frame.loc[len(made) :, "row"] = list(why)
    unmade: list[Any] = [*[None] * len(made), *why.values()]
    return frame.assign(unmade=unmade)


def _why_not(row: Mapping[str, Any], seen_ids: set[str], *, theirs: bool) -> Reason | None:
    """Why a post is not cancelled; None if it is."""
    if nothing := why_no_id(row, "post_id"):
        return nothing
    if row["post_id"] in seen_ids:
        return Reason("post_twice")
    if theirs:
        return Reason("created_elsewhere")
    if row["status"] not in _NOT_OUT:
        return Reason("not_cancellable", status=row["status"])
    return None
