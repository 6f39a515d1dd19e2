"""Before and after: what has changed between two loads of the same targets."""

from __future__ import annotations

import pandas as pd

from voxops.frames.columns import need_columns

__all__ = ["compare"]


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
