"""Fix: replace the content or the media file of a single target and send it again (matrix row 10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxops.acts.plan import Plan, build_plan
from voxops.acts.rows import (
    MOVING,
    TARGET_EPISODE,
    TWICE,
    fetched_at,
    fix_path,
    open_targets,
    repeated,
    target_item,
    target_rows,
    why_no_act,
)
from voxops.acts.target_act import TargetAct
from voxops.api.limits import CONTENT_CHARACTERS
from voxops.api.reasons import Reason
from voxops.frames.columns import need_columns, warn_of_typos
from voxops.sheets.rules import is_written_missing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIX", "plan_fix"]


class _Fix(TargetAct):
    """Each row is a request of its own."""

    name = "fix"
    verb = "fix"


FIX = _Fix()


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
    maker = "add new_content or new_media_url to rows of vx.targets(posts)"
    need_columns(frame, TARGET_EPISODE, maker)
    if "new_content" not in frame.columns:
        need_columns(frame, ["new_media_url"], maker)
    warn_of_typos(frame, ("new_content", "new_media_url"))
    rows = list(target_rows(frame))
    opened = open_targets(frame, rows)
    now = fetched_at(frame)
    items, reasons = [], []
    for number, (row, again) in enumerate(zip(rows, repeated(rows), strict=True)):
        body = _fix_body(row)
        reason = TWICE if again else _why_not_fix(body) or why_no_act(row, now)
        if reason is None and opened[row["post_id"]].moving:
            reason = MOVING
        reasons.append(reason or Reason("new_values", fields=" and ".join(sorted(body))))
        if reason is None:
            items.append(target_item(number, row, FIX.name, fix_path(row), body))
    return build_plan(FIX, frame, items, reasons, [row["attempt"] for row in rows], reads=len(items))


def _why_not_fix(body: Mapping[str, Any]) -> Reason | None:
    """Why a row's fix can't be asked for; None if it can."""
    if not body:
        return Reason("new_value_missing")
    if not all(isinstance(value, str) and value.strip() for value in body.values()):
        return Reason("new_value_blank")
    if any(map(is_written_missing, body.values())):
        return Reason("new_value_written_missing")
    if (count := len(body.get("content", ""))) > CONTENT_CHARACTERS:
        return Reason("content_too_long", count=count, platform="the API", most=CONTENT_CHARACTERS)
    if not body.get("mediaUrl", "https://").startswith("https://"):
        return Reason("new_media_form")
    return None


def _fix_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a fix asks for."""
    body = {"content": row["new_content"], "mediaUrl": row["new_media_url"]}
    return {name: value for name, value in body.items() if value is not None}
