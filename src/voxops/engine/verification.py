"""What became of a run's rows, by the posts as they are now."""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxops.analysis import judge
from voxops.engine.settle import PostState
from voxops.model import Action

__all__ = ["verified"]

_COUNTS = ("tried", "recovered", "failed_same", "failed_other", "pending")


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
