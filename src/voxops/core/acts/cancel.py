"""Cancel: withdraw posts that have not gone out (matrix row 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from voxops._support.canonical import fingerprint
from voxops.api.error_bodies import bears_error
from voxops.api.evidence import Attempted, untouched
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.api.timing import RESEND_UNANSWERED
from voxops.core.acts.act import PostAct
from voxops.core.acts.item import Form, Item, Request, Subject, blocked, settled
from voxops.core.acts.plan import Plan, build_plan
from voxops.core.acts.rows import episode_identity, post_episode, post_item, target_rows, why_no_id
from voxops.frames.columns import booleans, flags, need_posts, plain_values
from voxops.model import IN_FLIGHT_STATUSES, TERMINAL_STATUSES, Outcome

if TYPE_CHECKING:
    import pandas as pd

_NOT_OUT = frozenset({"draft", "scheduled"})  # what can be cancelled


class Cancel(PostAct):
    """The answer says how it ended, and so does the status of the post.

    An item about a row withdraws the post that its create may have made: it has no path until that post is known, and its `seen` names
    the create (`of`, `attempt`). That of a duplicate names the post to `keep`.
    """

    name = "cancel"
    verb = "cancel"
    reverts = True

    def form(self, items: Sequence[Item], state: PostState | None = None) -> Form:
        """The post that a create has made is known from its reading."""
        if items[0].path or state is None:
            return super().form(items)
        return super().form([replace(item, path=f"/v1/posts/{state.post_id}/cancel") for item in items])

    def forbids(self, item: Item, state: PostState | None, past: Sequence[Request]) -> Reason | None:
        """Only what has not gone out can be withdrawn."""
        if state is not None and state.status not in _NOT_OUT:
            return Reason("not_cancellable", status=state.status)
        return super().forbids(item, state, past)

    def done_before(
        self, request: Request, state: PostState | None, past: Sequence[Request]
    ) -> Request | Reason | None:
        """A post that this ledger has withdrawn with a run, and that somebody restored, is not withdrawn with that run again."""
        if state is None:
            return None
        before = any(one.item.act == self.name and one.outcome is not Outcome.FAILED for one in _others(request, past))
        if request.item.seen.get("of_run") and before and state.status in _NOT_OUT:
            return Reason("put_back")
        return next(iter(_settle([request], state.status, state.post_id)), None)

    def decodes(self, data: Any) -> bool:
        """The post as it is now."""
        return isinstance(data, Mapping) and bool({"id", "status"} & data.keys()) and not bears_error(data)

    def settle_answer(self, requests: Sequence[Request], data: Any, *, first: bool) -> list[Request]:  # noqa: ARG002
        """The answer is the post."""
        return _settle(requests, str(data.get("status", "")).lower(), data.get("id"))

    def settle_reading(
        self,
        requests: Sequence[Request],
        state: PostState,
        tried: Attempted,
        reply: Any = None,  # noqa: ARG002
    ) -> list[Request]:
        """The status of the post decides, whoever withdrew it. One that waits to go out and was changed since is blocked.

        Somebody may have put it back; nothing tells whether the cancel took effect before.
        """
        moved = tried.baseline is not None and not untouched(state, tried.baseline)
        if state.status in _NOT_OUT and moved and tried.since >= RESEND_UNANSWERED:
            return [blocked(request, Reason("changed_since_cancel", status=state.status)) for request in requests]
        return _settle(requests, state.status, state.post_id)

    def verified(self, row: Mapping[str, Any], state: PostState | None) -> tuple[str, str]:
        """Recovered is what is cancelled now."""
        wanted = state is not None and state.status == "cancelled"
        failed = "failed_same" if row["outcome"] == "failed" else "pending"
        return str(row.get("status") or "created"), "recovered" if wanted else failed


def _others(request: Request, past: Sequence[Request]) -> list[Request]:
    return [one for one in past if one.id != request.id]


def _settle(requests: Sequence[Request], status: str, post_id: Any) -> list[Request]:
    """Outcomes of a cancel from the post's status; none while it still waits to go out."""
    if status == "cancelled":
        return [
            settled(request, Outcome.SUCCEEDED, result_id=str(post_id or request.item.label)) for request in requests
        ]
    if status in TERMINAL_STATUSES or status in IN_FLIGHT_STATUSES:
        why = str(Reason("too_late", status=status))
        return [settled(request, Outcome.FAILED, error_code="TOO_LATE", error_message=why) for request in requests]
    return []


CANCEL = Cancel()


class _Made(Protocol):
    """A run that creates posts."""

    @property
    def id(self) -> str:
        """Its name."""

    def made(self) -> pd.DataFrame:
        """The posts that it created, as they are now."""


def plan_cancel(posts: pd.DataFrame | _Made) -> Plan:
    """Plan to withdraw posts that have not gone out (matrix row 6), or to undo a create run.

    Parameters
    ----------
    posts : pandas.DataFrame or Run
        From ``ws.posts``; only drafts and scheduled posts are eligible. For a run of `plan_create`, the posts that it created, read
        now (``run.made()``): rows whose create has not ended are withdrawn once it has, and rows that were never sent never are. Posts
        that another run or another ledger created are not eligible. A withdrawn post that somebody restored is blocked, unless a column
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
    undo, frame, opened, unsent = "", posts, [], []  # type: Any, Any, list[Any], list[Any]
    if callable(getattr(type(posts), "made", None)):
        undo, frame = posts.id, posts.made()  # type: ignore[union-attr]
        opened, unsent = (frame.attrs.get(name) or [] for name in ("open_rows", "unsent_rows"))
        frame = _with_rows(frame, [*(label for label, _, _ in opened), *unsent])
    need_posts(frame, ("post_id", "status", "updated_at"), "use ws.posts(status='scheduled')")
    of_run, again, keep = "created_by_run" in frame.columns, flags(frame, "again"), plain_values(frame, "copy_of")
    theirs = (~booleans(frame, "created_by_run").fillna(True)).tolist() if of_run else [False] * len(frame)
    rows = list(target_rows(frame))
    count = len(rows) - len(opened) - len(unsent)
    items, reasons = [], []
    seen_ids: set[str] = set()
    for number, row in enumerate(rows[:count]):
        reason = _why_not(row, seen_ids, theirs=theirs[number])
        reasons.append(reason or Reason("not_out_yet"))
        if reason is None:
            seen_ids.add(row["post_id"])
            episode = post_episode(row)
            more = {"of_run": of_run and not again[number], "keep": keep[number]}
            seen = episode | {name: value for name, value in more.items() if value}
            items.append(post_item(number, row, CANCEL.name, "/cancel", episode_identity("cancel", episode), seen))
    items += [of_create(count + at, *row) for at, row in enumerate(opened)]
    reasons += [*[Reason("withdrawn_when_created")] * len(opened), *[Reason("never_sent")] * len(unsent)]
    return build_plan(CANCEL, frame, items, reasons, [row["attempt"] for row in rows], undo=undo)


def _with_rows(made: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """The posts of a run, and below them its rows without a post: none is left out without a word."""
    frame = made.reset_index(drop=True).reindex(range(len(made) + len(labels)))
    frame.loc[len(made) :, "row"] = labels
    return frame


def of_create(number: int, label: str, identity: str, attempt: int) -> Item:
    """An item that withdraws what comes of a create."""
    return Item(
        row=number,
        act=CANCEL.name,
        identity=fingerprint("withdraw", identity, attempt),
        attempt=1,
        subject=Subject("row", identity),
        label=label,
        platform="",
        account="",
        cause="",
        method="POST",
        path="",
        body=None,
        seen={"of": identity, "attempt": attempt},
    )


def _why_not(row: Mapping[str, Any], seen_ids: set[str], *, theirs: bool) -> Reason | None:
    """Why a post is not cancelled; None if it is."""
    if nothing := why_no_id(row, "post_id"):
        return nothing
    if row["post_id"] in seen_ids:
        return Reason("post_twice")
    if theirs:
        return Reason("created_elsewhere")
    return None if row["status"] in _NOT_OUT else Reason("not_cancellable", status=row["status"])
