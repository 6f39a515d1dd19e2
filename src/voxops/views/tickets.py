"""A report as tickets: one plain text for each account, for each person who must act, and for support.

All lines are indented by four blanks. Markdown shows such a block as it is, so nothing that others wrote is a link, a picture or a
mention.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxops._support import safe
from voxops._support.arguments import did_you_mean
from voxops.errors import PlanError
from voxops.frames.cells import is_missing
from voxops.frames.registry import column_named
from voxops.model import Verdict
from voxops.views.table import text_of

__all__ = ["account_of", "tickets"]

_ROWS = 50  # rows of one remedy in one ticket
_LINE = (
    "post_id",
    "platform",
    "account_name",
    "account_id",
    "error_code",
    "error_message",
    "updated_at",
    "content",
    "platform_post_url",
)


def tickets(failures: pd.DataFrame, about: str, by: str, tz: str) -> dict[str, str]:
    """Return account, person or ``support`` -> text; see `Report.tickets`."""
    if not isinstance(by, str) or by not in failures.columns:
        advice = "Connect with vx.connect(owner_field='owner') and load the posts again."
        advice = advice if by == "owner" else did_you_mean(str(by), map(str, failures.columns))
        raise PlanError(f"tickets(by={by!r}): the failures have no such column; {advice}")
    account, support = failures["verdict"] == Verdict.RECONNECT, failures["verdict"] == Verdict.SUPPORT
    names = failures[by].astype(object).map(_names)
    names = names.mask(account, account_of(failures) + " (account)").mask(
        support, "support (team)" if by == "support" else "support"
    )
    named = failures.assign(_name=names, _last=2 * support + ~account).explode("_name")
    return {
        str(name): _ticket(f"{name}: {safe.many(len(part), 'target')}", about, part, tz)
        for (_, name), part in named.groupby(["_last", "_name"], sort=True)
    }


def account_of(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return the platform and the account of each target."""
    names = rows["account_name"].fillna(rows["account_id"]) if "account_name" in rows else rows["account_id"]
    return (rows["platform"].fillna("") + " " + names.fillna("–")).astype(object)


def _names(value: Any) -> list[str]:
    """Return the names that a row belongs to, each once; ``nobody`` if there is none."""
    several = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    names = [safe.plain(name, 80) for name in several if not is_missing(name)]
    return list(dict.fromkeys(filter(None, names))) or ["nobody"]


def _ticket(title: str, about: str, rows: pd.DataFrame, tz: str) -> str:
    """Return one ticket: a block for each remedy, the most rows first."""
    blocks = [[title, about]]
    remedies = rows["verdict"].fillna("–") + ": " + rows["remedy"].fillna("")
    for remedy, count in remedies.value_counts().items():
        part = rows[(remedies == remedy).to_numpy(bool)].head(_ROWS).reindex(columns=_LINE)
        lines = [
            " · ".join(filter(None, (_said(name, value, tz) for name, value in row.items())))
            for row in part.to_dict("records")
        ]
        more = [f"and {count - _ROWS:,} more"] if count > _ROWS else []
        blocks.append([f"{safe.many(count, 'target')}: {remedy}", *lines, *more])
    return "\n\n".join("\n".join(f"    {safe.plain(line, 1000)}" for line in block) for block in blocks) + "\n"


def _said(name: Any, value: Any, tz: str) -> str:
    """Return one value of a target; ids are whole, since people search for them."""
    return (
        text_of(value, column_named(name), tz)
        if name in {"updated_at", "content"}
        else ""
        if is_missing(value)
        else str(value)
    )
