"""Before and after: what a run, or a week, has changed. Frames in, frames out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxops.model import Action
from voxops.plan import need_columns
from voxops.settle import PostState
from voxops.triage import judge

__all__ = ["compare", "verified"]

_COUNTS = ("tried", "recovered", "failed_same", "failed_other", "pending")


def compare(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Compare two loads of the same targets.

    Parameters
    ----------
    before, after : pandas.DataFrame
        From ``vx.targets`` or ``vx.triage``; rows are matched by post, platform and account.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``was`` and ``now`` (statuses; ``absent`` where one side has no such row): ``rows`` (Int64), most first.

    Raises
    ------
    PlanError
        If a frame has no ``post_id platform account_id status``.
    """
    names = ["post_id", "platform", "account_id"]
    for frame in (before, after):
        need_columns(frame, (*names, "status"), "use vx.targets(posts)")
    left = before[[*names, "status"]].rename(columns={"status": "was"})
    right = after[[*names, "status"]].rename(columns={"status": "now"})
    both = left.merge(right, on=names, how="outer")
    both[["was", "now"]] = both[["was", "now"]].fillna("absent")
    counts = both.groupby(["was", "now"]).size().astype("Int64")
    return counts.sort_values(ascending=False, kind="stable").to_frame("rows")


def verified(results: pd.DataFrame, posts: dict[str, PostState], action: Action) -> pd.DataFrame:
    """Count per cause what became of a run's rows, by the posts as they are now.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``cause``: ``tried recovered failed_same failed_other pending`` (Int64); the last four sum to the first.
    """
    rows = []
    for row in results.to_dict("records"):
        cause, verdict = _verdict({str(name): value for name, value in row.items()}, posts, action)
        rows.append({"cause": cause, verdict: 1, "tried": 1})
    table = pd.DataFrame(rows, columns=["cause", *_COUNTS])
    counts = table.groupby("cause")[list(_COUNTS)].sum().astype("Int64")
    return counts.sort_values(["tried", "cause"], ascending=[False, True], kind="stable")


def _verdict(row: dict[str, Any], posts: dict[str, PostState], action: Action) -> tuple[str, str]:
    """Cause of a row and which count it belongs to."""
    if action is Action.REDELIVER:
        cause = f"{row['event_type']}"
        return cause, {"succeeded": "recovered", "failed": "failed_same"}.get(row["outcome"], "pending")
    post = row["result_id"] if action is Action.BULK else row["post_id"]
    state = posts.get(post) if isinstance(post, str) else None
    if action in {Action.BULK, Action.CANCEL}:
        cause = str(row.get("status") or "created") if action is Action.CANCEL else "created"
        wanted = state is not None and (action is Action.BULK or state.status == "cancelled")
        failed = "failed_same" if row["outcome"] == "failed" else "pending"
        return cause, "recovered" if wanted else failed
    said = row.get("cause")
    cause = said if isinstance(said, str) else "not triaged"
    if row["outcome"] in {"pending", "unknown"}:
        return cause, "pending"
    target = None if state is None else state.target(row["platform"], row["account_id"])
    if target is None or target["status"] not in {"published", "failed"}:
        return cause, "pending"
    if target["status"] == "published":
        return cause, "recovered"
    now = judge(
        target["error_code"],
        target["platform"],
        target["error_message"],
        target["status"],
        state.status if state else None,
    )
    return cause, "failed_same" if now.cause == cause else "failed_other"
