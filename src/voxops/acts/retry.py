"""Retry and fix: send failed targets of a post again, all of them or single ones (matrix rows 5 and 10)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pandas as pd

from voxops.acts.act import Form, Item, Judged, PostAct, Request, Requests, Row, Subject, changed_since_loaded, settled
from voxops.acts.plan import TARGET_EPISODE, Plan, build_plan, episode_identity, target_rows, why_no_id, why_unfit
from voxops.analysis.triage import triage
from voxops.api.evidence import Attempted, Fate, fate_of, reply_targets
from voxops.api.limits import PROOF_AFTER, STUCK_AFTER
from voxops.api.reasons import Reason
from voxops.api.states import PostState, TargetState
from voxops.frames.checks import need, refuse_results, warn_of_typos
from voxops.model import IN_FLIGHT_STATUSES, WAITING_STATUSES, WITHDRAWN_STATUSES, Outcome, Verdict

_TRIAGED = ("cause", "verdict", "remedy", "retryable")


class TargetAct(PostAct):
    """An act that sends targets of a post again; the API works on what it has queued."""

    answers: ClassVar[frozenset[str]] = frozenset({"id", "status", "retriedPlatforms", "platformId"})
    keeps_old_errors = True  # a refused act changed nothing, so its target still shows the error that it was planned by

    def settle_answer(self, requests: Requests, data: Any, *, first: bool) -> list[Request]:
        """Targets that the reply lists as skipped have failed immediately, for the server's reason (rule 13).

        After an ambiguous try that proves nothing: the target may be skipped because the first try has queued it.
        """
        return _skipped(requests, data) if first else []

    def settle_reading(
        self, requests: Requests, state: PostState, tried: Attempted, reply: Any = None
    ) -> list[Request]:
        """Outcomes of targets whose try has ended; others stay pending, with the reason.

        The API tries a platform several times on its own (contract: PLAY), so a failed target has failed only when its whole post
        is terminal. `reply`, the answer to an accepted try without consequences, settles what it lists as skipped.
        """
        ended = super().settle_reading(requests, state, tried)
        return ended or (_skipped(requests, reply) if tried.since >= PROOF_AFTER else [])

    def became(self, request: Request, state: PostState, tried: Attempted) -> Request | None:
        """The outcome of a target whose try has ended, or why it waits; None where nothing shows a sign of a try."""
        target = _target(state, request.item)
        if target is None:
            return replace(request, outcome=Outcome.PENDING, reason=Reason("target_not_listed"))
        seen = {
            "post_status": state.status,
            "updated_at": state.updated_at,
            "open": [state.failed_targets, state.open_targets - state.failed_targets],
        }
        match fate_of(target, state, tried):
            case Fate.SUCCEEDED:
                return settled(
                    request, Outcome.SUCCEEDED, result_id=target.platform_post_id or state.post_id, seen=seen
                )
            case Fate.MOVING if state.status in WAITING_STATUSES:
                return replace(request, outcome=Outcome.PENDING, reason=Reason("post_waits", status=state.status))
            case Fate.MOVING:
                reason = Reason("publishing", status=target.status or state.status or "queued")
                return replace(request, outcome=Outcome.PENDING, reason=reason)
            case Fate.FAILED:
                seen |= {"status": "failed", "error_code": target.error_code, "error_message": target.error_message}
                code = target.error_code or str(target.status).upper()
                return settled(request, Outcome.FAILED, seen=seen, error_code=code, error_message=target.error_message)
        return None


def _target(state: PostState | None, item: Item) -> TargetState | None:
    return None if state is None else state.target(item.platform, item.account)


def _skipped(requests: Requests, reply: Any) -> list[Request]:
    """Requests whose target a reply lists as skipped: failed, for the server's reason."""
    reasons = {
        place: str(entry.get("reason") or "skipped by the server")
        for place, entry in reply_targets(reply, "skippedPlatforms")
    }
    return [
        settled(request, Outcome.FAILED, error_code="SKIPPED", error_message=reasons[place])
        for request in requests
        if (place := (request.item.platform, request.item.account)) in reasons
    ]


class Retry(TargetAct):
    """One request per post, which sends every target that is not published; where not all are meant, rows are fixes."""

    name = "retry"
    place = "POST /v1/posts/{0.id}/retry"
    verb = "retry"

    def covers(self, items: Sequence[Item], state: PostState | None) -> Reason | None:
        """A retry would send targets that were not chosen (rule 3)."""
        return Reason("other_target_open") if state is not None and state.open_targets != len(items) else None

    def failed_rows(self, rows: pd.DataFrame, stuck: Sequence[bool]) -> pd.DataFrame:
        """Failed targets are triaged afresh, by what the server says now; of stuck ones what the analyst has set stays."""
        before = rows[[name for name in _TRIAGED if name in rows.columns]]
        triaged = triage(rows.drop(columns=before.columns))
        for name, column in before.items():
            kept = (column.notna() & pd.Series(stuck, column.index, bool)).to_numpy()
            triaged[name] = triaged[name].mask(kept, column.array).astype(triaged[name].dtype)
        return triaged

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:  # noqa: ARG002
        """Retry what failed."""
        return plan_retry(failed)


class Fix(TargetAct):
    """One request per target, which needs the target's id. Without a body it is the retry of a single target."""

    name = "fix"
    place = "POST /v1/posts/{0.id}/platforms/*/fix"
    verb = "fix"
    alone = True

    def form(self, items: Sequence[Item], state: PostState | None = None, people: Row | None = None) -> Form:
        """The path has the target's id once a reading has shown it; the key has platform and account."""
        form, (item,) = super().form(items, people=people), items
        target = _target(state, item)
        if target is None or target.target_id is None:
            return form
        return replace(form, path=f"/v1/posts/{item.subject.id}/platforms/{target.target_id}/fix")

    def why_not(self, item: Item, state: PostState, past: Requests) -> Reason | None:
        """Another target that was fixed from the same load may have moved the status and time stamp of the post."""
        shared = ("post_status", "updated_at")
        others = (earlier.item for earlier in past if earlier.item.act == self.name)
        moved = any(
            (other.platform, other.account) != (item.platform, item.account)
            and all(other.seen.get(name) == item.seen.get(name) for name in shared)
            for other in others
        )
        return changed_since_loaded(item.seen, state, *shared if moved else ())

    def covers(self, items: Sequence[Item], state: PostState | None) -> Reason | None:
        """Without the id of its target nothing names it (rule 3)."""
        target = _target(state, items[0])
        return Reason("target_without_id") if target is not None and target.target_id is None else None

    def is_of_another(self, requests: Requests, path: str, data: Row) -> bool:
        """Post and target are named in the path."""
        return super().is_of_another(requests, path, data) or data.get("platformId") not in (None, *path.split("/"))


RETRY, FIX = Retry(), Fix()


def plan_retry(triaged: pd.DataFrame) -> Plan:
    """Plan to retry the failed targets of a triaged frame.

    A retry acts on a whole *post*: it re-queues every target that is not published. So it is used where all of a post's
    failed targets are in the frame and retryable. Elsewhere each row gets a fix of its one target that changes nothing
    (rule 3).

    Parameters
    ----------
    triaged : pandas.DataFrame
        From ``vx.triage``: one row per post and platform. Set ``retryable`` to True in pandas to retry what the rules would
        not; the plan records that it was you. A column ``attempt`` (default 1) makes a deliberate further attempt.

    Returns
    -------
    Plan
        ``plan.frame`` has the input's rows and columns, and ``act eligible reason reason_code attempt batch idempotency_key request``.

    Raises
    ------
    PlanError
        If columns are missing, or the frame is ``run.results()``. A single unfit row is not eligible, with its reason.

    Examples
    --------
    >>> plan = vx.plan_retry(triaged)
    >>> plan.action, plan.eligible == plan.frame["eligible"].sum()
    ('retry', np.True_)
    """
    refuse_results(triaged, "plan_retry()")
    need(
        triaged,
        (*TARGET_EPISODE, "verdict", "retryable"),
        "plan_retry() needs triaged targets",
        "Use vx.triage(posts).",
    )
    rows = _judged(triaged, _why_not_retry)
    picked = Counter(row["post_id"] for row, reason in rows if reason is None)

    def judge(row: Row, reason: Reason | None) -> Judged:
        whole = picked[row["post_id"]] == row["open"]  # else a fix that changes nothing
        return (reason, None) if reason else (_why_retry(row), _item(row, "retry", None if whole else {}))

    judged = [judge(*row) for row in rows]
    reads = sum(item is not None and item.act == FIX.name for _, item in judged)
    # The API has no retry of one platform: a fix that changes nothing is one, and people know it as a retry.
    return build_plan(RETRY, triaged, judged, reads=reads, acts=[RETRY.name if item else None for _, item in judged])


def plan_fix(frame: pd.DataFrame) -> Plan:
    """Plan to replace the content or the media file of single targets and send them again (matrix row 10).

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows of ``vx.targets`` or ``vx.triage`` with ``new_content`` or ``new_media_url`` (https) or both; missing values leave
        that part as it is.

    Returns
    -------
    Plan
        As for `plan_retry`; each row is a request of its own.

    Raises
    ------
    PlanError
        If columns are missing.

    Examples
    --------
    >>> rows = triaged[triaged["verdict"] == "fix content"].head(2)
    >>> vx.plan_fix(rows.assign(new_content="Shorter.")).frame["reason"].to_list()
    ['new content', 'new content']
    """
    change = [] if "new_content" in getattr(frame, "columns", ()) else ["new_media_url"]
    maker = "Add new_content or new_media_url to rows of vx.targets(posts)."
    need(frame, (*TARGET_EPISODE, *change), "plan_fix() needs targets and their changes", maker)
    warn_of_typos(frame, ("new_content", "new_media_url"))

    def judge(row: Row, reason: Reason | None) -> Judged:
        body = _fix_body(row)
        new = Reason("new_values", fields=" and ".join(sorted(body)))
        return (reason, None) if reason else (new, _item(row, "fix", body))

    return build_plan(FIX, frame, [judge(*row) for row in _judged(frame, _why_not_fix)])


def _judged(frame: pd.DataFrame, why_not: Callable[[Row], Reason | None]) -> list[tuple[Row, Reason | None]]:
    """Rows, each with how many targets of its post are `open`, and why it is not sent.

    What is open is what the frame shows, or more where the posts had more before the frame was filtered. Nothing may touch a post with
    a target in flight that was not chosen by hand (rule 3).
    """
    rows = list(target_rows(frame))
    whys = [_why_no_act(row) for row in rows]
    twice = pd.Series([tuple(row[name] for name in TARGET_EPISODE[:3]) for row in rows], dtype=object).duplicated()
    failed, in_flight, chosen = Counter[Any](), Counter[Any](), Counter[Any]()
    for row, why, again in zip(rows, whys, twice, strict=True):
        if not again:
            moves = row["status"] in IN_FLIGHT_STATUSES
            failed[row["post_id"]] += row["status"] == "failed"
            in_flight[row["post_id"]] += moves
            chosen[row["post_id"]] += moves and why is None
    loaded: dict[str, list[int]] = json.loads(frame.attrs.get("open_targets") or "{}")
    judged: list[tuple[Row, Reason | None]] = []
    for row, why, again in zip(rows, whys, twice, strict=True):
        post = row["post_id"]
        failed_before, moving_before = loaded.get(post, (0, 0))
        moving = max(in_flight[post], moving_before)
        reason = Reason("target_twice") if again else why or why_not(row)
        if reason is None and moving > chosen[post]:
            reason = Reason("other_target_publishing")
        judged.append(({**row, "open": max(failed[post], failed_before) + moving}, reason))
    return judged


def _why_no_act(row: Row) -> Reason | None:
    """Why no act may touch this target, whatever its verdict; None if one may."""
    if reason := why_no_id(row, "post_id"):
        return reason
    if row["platform"] is None or row["account_id"] is None:
        return Reason("target_missing")
    if not isinstance(row["account_id"], str):
        return why_no_id(row, "account_id")
    status = row["status"]
    if status == "published":
        return Reason("already_published")
    if status == "failed":
        return None
    if row["post_status"] in WAITING_STATUSES | WITHDRAWN_STATUSES:
        return Reason("post_not_failed", status=row["post_status"])
    if status not in IN_FLIGHT_STATUSES:
        return Reason("target_not_failed", status=status or "of unknown status")
    if row["age"] is None:
        return Reason("in_flight_age_unknown", status=status)
    if row["age"] < STUCK_AFTER:
        return Reason("in_flight", status=status)
    return None if row["retryable"] else Reason("in_flight_stuck", status=status)


def _item(row: Row, action: str, body: dict[str, Any] | None) -> Item:
    """An item about one target: a retry with its whole post where it has no body, else a fix."""
    seen = {name: row[name] for name in TARGET_EPISODE}
    return (RETRY if body is None else FIX).item(
        row,
        Subject("post", row["post_id"]),
        episode_identity(action, seen),
        seen,
        body=body,
        platform=row["platform"],
        account=row["account_id"],
        cause=row["cause"] or row["error_code"] or "",
    )


def _why_not_retry(row: Row) -> Reason | None:
    """Why the analyst or the verdict lets a row not be retried; None if it is."""
    if row["retryable"]:
        return None
    if row["verdict"] == Verdict.RETRY:  # the analyst has changed one of the two; the remedy would say to send it again
        return Reason("retryable_says_no")
    verdict, remedy = row["verdict"] or "not triaged", row["remedy"] or "not retryable"
    return Reason("not_retryable", verdict=verdict, remedy=remedy)


def _why_retry(row: Row) -> Reason:
    """Why a row is retried, and on whose word."""
    if row["verdict"] in {Verdict.RETRY, Verdict.WAIT}:
        return Reason("by_verdict", verdict=row["verdict"], remedy=row["remedy"] or "may succeed as it is")
    return Reason("as_analyst_says", verdict=row["verdict"] or "none")


def _why_not_fix(row: Row) -> Reason | None:
    """Why a row's fix can't be requested; None if it can."""
    body = _fix_body(row)
    if not body:
        return Reason("new_value_missing")
    if not str(body.get("mediaUrl", "https://")).startswith("https://"):
        return Reason("new_media_form")
    return why_unfit(content=body.get("content", "as it is"))


def _fix_body(row: Row) -> dict[str, Any]:
    """What a fix requests."""
    body = {"content": row["new_content"], "mediaUrl": row["new_media_url"]}
    return {name: value for name, value in body.items() if value is not None}
