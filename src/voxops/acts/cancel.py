"""Cancel: withdraw posts that are not published yet (matrix row 6)."""

from __future__ import annotations

from itertools import islice
from typing import Any, ClassVar, Protocol

import pandas as pd

from voxops._support.canonical import fingerprint
from voxops.acts.act import Item, Judged, PostAct, Request, Requests, Row, Subject, blocked, settled
from voxops.acts.plan import Plan, build_plan, episode_identity, post_episode, target_rows, why_no_id
from voxops.api.evidence import Attempted, untouched
from voxops.api.limits import RESEND_UNANSWERED
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.frames.checks import need_posts
from voxops.model import IN_FLIGHT_STATUSES, TERMINAL_STATUSES, Outcome

_NOT_OUT = frozenset({"draft", "scheduled"})  # what can be cancelled


class Cancel(PostAct):
    """The answer says how it ended, and so does the status of the post.

    An item about a row withdraws the post that its create may have made: it has no path until that post is known, and its `seen` names
    the create (`of`, `attempt`). That of a duplicate names the post to `keep`.
    """

    name = "cancel"
    place = "POST /v1/posts/{0.id}/cancel"
    verb = "cancel"
    reverts = True
    answers: ClassVar[frozenset[str]] = frozenset({"id", "status"})

    def why_not(self, item: Item, state: PostState, past: Requests) -> Reason | None:
        """Only what has not gone out can be withdrawn."""
        if state.status not in _NOT_OUT:
            return Reason("not_cancellable", status=state.status)
        return super().why_not(item, state, past)

    def done_before(self, request: Request, state: PostState, past: Requests) -> Request | Reason | None:
        """Do not withdraw with a run what this ledger withdrew with it before, and a person has restored."""
        withdrawn = any(
            earlier.item.act == self.name and earlier.id != request.id and earlier.outcome is not Outcome.FAILED
            for earlier in past
        )
        if withdrawn and request.item.seen.get("of_run") and state.status in _NOT_OUT:
            return Reason("put_back")
        return _ended(request, state.status)

    def settle_answer(self, requests: Requests, data: Any, *, first: bool) -> list[Request]:  # noqa: ARG002
        """The answer is the post."""
        status = str(data.get("status", "")).lower()
        return list(filter(None, (_ended(request, status) for request in requests)))

    def became(self, request: Request, state: PostState, tried: Attempted) -> Request | None:
        """The status of the post decides, whoever withdrew it. One that still waits to go out, but was changed since, is blocked.

        A person may have restored it, and nothing tells whether the cancel took effect before.
        """
        if state.status in _NOT_OUT and tried.since >= RESEND_UNANSWERED and not untouched(state, tried.baseline):
            return blocked(request, Reason("changed_since_cancel", status=state.status))
        return _ended(request, state.status)


def _ended(request: Request, status: str) -> Request | None:
    """A cancel as the status of its post settles it; None while that still waits to go out."""
    if status == "cancelled":
        return settled(request, Outcome.SUCCEEDED, result_id=request.item.subject.id)
    if status in TERMINAL_STATUSES or status in IN_FLIGHT_STATUSES:
        why = str(Reason("too_late", status=status))
        return settled(request, Outcome.FAILED, error_code="TOO_LATE", error_message=why)
    return None


CANCEL = Cancel()


class _Made(Protocol):
    """A run that creates posts."""

    @property
    def id(self) -> str:
        """Its name."""

    def made(self) -> pd.DataFrame:
        """The posts that it created, as they are now."""


def plan_cancel(posts: pd.DataFrame | _Made) -> Plan:
    """Plan to withdraw posts that are not published yet (matrix row 6), or to undo a create run.

    Parameters
    ----------
    posts : pandas.DataFrame or Run
        From ``ws.posts``; only drafts and scheduled posts are eligible. For a run of `plan_create`, the posts that it created, read now
        (``run.made()``). The run ends permanently. Rows whose create is in doubt stay pending: run the cell again to withdraw them. Posts that
        another run or another ledger created are not eligible. A withdrawn post that somebody restored is blocked, unless a column
        ``again`` of ``run.made()`` is True. For ``run.copies()``, the duplicates that it lists.

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
    undo, frame, opened, unsent = "", posts, [], []  # type: str, Any, list[Any], list[str]
    if not isinstance(posts, pd.DataFrame) and callable(getattr(type(posts), "made", None)):
        undo, made = posts.id, posts.made()
        opened, unsent = (list(made.attrs.get(name) or ()) for name in ("open_rows", "unsent_rows"))
        # Rows without a post follow those with one, so that each row of the run has its reason.
        labels = [*(label for label, _, _ in opened), *unsent]
        frame = made.reset_index(drop=True).reindex(range(len(made) + len(labels)))
        frame.loc[len(made) :, "row"] = labels
    maker = "Use ws.posts(status='scheduled')."
    need_posts(frame, ("post_id", "status", "updated_at"), "plan_cancel() needs posts or a run", maker)
    of_run, count = "created_by_run" in frame.columns, len(frame) - len(opened) - len(unsent)

    def judge(row: Row) -> Judged:
        if reason := why_no_id(row, "post_id"):
            return reason, None
        if of_run and not row["created_by_run"]:
            return Reason("created_elsewhere"), None
        if row["status"] not in _NOT_OUT:
            return Reason("not_cancellable", status=row["status"]), None
        episode = post_episode(row)
        more = {"of_run": of_run and not row["again"], "keep": row["copy_of"]}
        seen = episode | {name: value for name, value in more.items() if value}
        subject, identity = Subject("post", row["post_id"]), episode_identity("cancel", episode)
        return Reason("not_out_yet"), CANCEL.item(row, subject, identity, seen, cause=row["status"])

    rows = target_rows(frame, "created_by_run", "again", more=["copy_of"])
    judged = [judge(row) for row in islice(rows, count)]
    judged += [(Reason("create_in_doubt"), _of_create(count + at, *row)) for at, row in enumerate(opened)]
    judged += [(Reason("never_sent"), None)] * len(unsent)
    return build_plan(CANCEL, frame, judged, undo=undo)


def _of_create(number: int, label: str, create: str, attempt: int) -> Item:
    """An item that withdraws the post of a create whose outcome is unknown."""
    seen = {"of": create, "attempt": attempt, "row": label}
    return Item(number, CANCEL.name, fingerprint("withdraw", create, attempt), 1, Subject("row", create), "", seen)
