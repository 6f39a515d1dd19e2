"""Retry: send every target of a post again that is not published, or single ones of it (matrix rows 5 and 10)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voxops.acts.operation import Item
from voxops.acts.plan import Plan, build_plan
from voxops.acts.rows import (
    MOVING,
    TARGET_EPISODE,
    TWICE,
    OpenTargets,
    fetched_at,
    fix_path,
    open_targets,
    repeated,
    target_item,
    target_rows,
    why_no_act,
)
from voxops.acts.target_act import TargetAct
from voxops.analysis.triage import triage
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.frames.columns import need_columns, refuse_results
from voxops.model import Verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RETRY", "plan_retry"]


_TRIAGED = ("cause", "verdict", "remedy", "retryable")
# An analyst has changed one of the two; the remedy would say to send it again, or what another verdict called for.
_SAYS_NO = Reason("retryable_says_no")


class _Retry(TargetAct):
    """A retry acts on a whole post; where not all of its failed targets are meant, a fix that changes nothing stands in."""

    name = "retry"
    verb = "retry"

    def why_not_whole(self, body: bytes | None, items: Sequence[Item], state: PostState | None) -> Reason | None:
        """A retry of the whole post would send targets that were not chosen (rule 3)."""
        if body is None and state is not None and state.open_targets != len(items):
            return Reason("other_target_open")
        return None

    def failed_rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Failed targets are triaged afresh, by what the server says now."""
        return triage(rows.drop(columns=[name for name in _TRIAGED if name in rows.columns]))

    def replan(self, failed: pd.DataFrame, *, key: str, campaign: str) -> Plan:  # noqa: ARG002
        """Retry what failed."""
        return plan_retry(failed)


RETRY = _Retry()


def plan_retry(triaged: pd.DataFrame) -> Plan:
    """Plan to retry the failed targets of a triaged frame.

    A retry acts on a whole *post*: it re-queues every target that is not published. So it is used where all of a post's
    failed targets are in the frame and retryable; elsewhere each row gets a fix of its one target that changes nothing
    (rule 3).

    Parameters
    ----------
    triaged : pandas.DataFrame
        From ``vx.triage``: one row per post and platform. Set ``retryable`` to True in pandas to retry what the rules would
        not; the plan records that it was you. A column ``attempt`` (default 1) makes a deliberate further attempt.

    Returns
    -------
    Plan
        ``plan.frame`` has the input's rows and columns, and ``eligible reason reason_code attempt batch idempotency_key request``.

    Raises
    ------
    PlanError
        If columns are missing, or the frame is ``run.results()``. A single unfit row is held, with its reason.

    Examples
    --------
    >>> plan = vx.plan_retry(triaged)
    >>> plan.action, plan.eligible == plan.frame["eligible"].sum()
    ('retry', np.True_)
    """
    need_columns(triaged, (), "use vx.triage(posts)")
    refuse_results(triaged, "plan_retry()")
    need_columns(triaged, (*TARGET_EPISODE, "verdict", "retryable"), "use vx.triage(posts)")
    rows = list(target_rows(triaged))
    now = fetched_at(triaged)
    opened = open_targets(triaged, rows)
    why = [
        TWICE if again else _why_not_retry(row, opened[row["post_id"] or ""], now)
        for row, again in zip(rows, repeated(rows), strict=True)
    ]
    picked = Counter(row["post_id"] for row, reason in zip(rows, why, strict=True) if reason is None)
    items, reasons = [], []
    for number, (row, reason) in enumerate(zip(rows, why, strict=True)):
        reasons.append(reason or _why_retry(row))
        if reason is not None:
            continue
        post = opened[row["post_id"]]
        whole = picked[row["post_id"]] == post.failed + post.in_flight
        path = f"/v1/posts/{row['post_id']}/retry" if whole else fix_path(row)
        items.append(target_item(number, row, RETRY.name, path, None if whole else {}))
    reads = sum(item.body is not None for item in items)
    return build_plan(RETRY, triaged, items, reasons, [row["attempt"] for row in rows], reads=reads)


def _why_not_retry(row: Mapping[str, Any], post: OpenTargets, now: pd.Timestamp | None) -> Reason | None:
    """Why a row is not retried; None if it is."""
    reason = why_no_act(row, now)
    if reason is not None:
        return reason
    if not row["retryable"]:
        if row["verdict"] == Verdict.RETRY:
            return _SAYS_NO
        verdict, remedy = row["verdict"] or "not triaged", row["remedy"] or "not retryable"
        return Reason("not_retryable", verdict=verdict, remedy=remedy)
    return MOVING if post.moving else None


def _why_retry(row: Mapping[str, Any]) -> Reason:
    """Why a row is retried, and on whose word."""
    if row["verdict"] in {Verdict.RETRY, Verdict.WAIT}:
        return Reason("by_verdict", verdict=row["verdict"], remedy=row["remedy"] or "may succeed as it is")
    return Reason("as_analyst_says", verdict=row["verdict"] or "none")
