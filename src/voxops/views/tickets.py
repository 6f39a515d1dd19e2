"""A report as tickets: one plain text for each account, for each person who must act, and for support.

All lines are indented by four blanks. Markdown shows such a block as it is, so nothing that others wrote is a link, a picture or a
mention.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxops._support import safe
from voxops.frames.registry import column_named
from voxops.model import Verdict
from voxops.views.table import redacted, text_of

_ROWS = 50  # rows of one remedy in one ticket
_NAMES = (
    "post_id", "platform", "account_name", "account_id", "error_code", "error_message", "updated_at", "content", "platform_post_url",
)  # fmt: skip


def tickets(failures: pd.DataFrame, about: str, tz: str) -> dict[str, str]:
    """Return account, owner or ``support`` -> text; see `Report.tickets`."""
    account, support = failures["verdict"] == Verdict.RECONNECT, failures["verdict"] == Verdict.SUPPORT
    owners = failures.get("owner", pd.Series(pd.NA, failures.index, "string")).fillna("nobody")
    names = owners.mask(account, account_of(failures) + " (account)").mask(support, "support")
    failures = redacted(failures)
    tasks = ((safe.plain(name, 80), rows) for (*_, name), rows in failures.groupby([support, ~account, names]))
    return {name: _ticket(name, about, rows, tz) for name, rows in tasks}


def account_of(rows: pd.DataFrame) -> pd.Series[Any]:
    """Return the platform and the account of each target."""
    names = rows.get("account_name", rows["account_id"]).fillna(rows["account_id"])
    return rows["platform"] + " " + names.fillna("–")


def _ticket(name: str, about: str, rows: pd.DataFrame, tz: str) -> str:
    """Return one ticket: a block for each remedy, the most rows first."""
    blocks = [[f"{name}: {safe.many(len(rows), 'target')}", about]]
    remedies = rows["verdict"].fillna("–") + ": " + rows["remedy"].fillna("")
    for remedy, count in remedies.value_counts().items():
        shown = rows[remedies == remedy].head(_ROWS).filter(_NAMES)
        whole = {name: column_named(name)._replace(kind="text") for name in shown}  # people search for whole ids
        columns = [[text_of(value, whole[name], tz) for value in shown[name]] for name in shown]
        lines = [" · ".join(filter(None, texts)) for texts in zip(*columns, strict=True)]
        more = [f"and {count - _ROWS:,} more"] if count > _ROWS else []
        blocks.append([f"{safe.many(count, 'target')}: {remedy}", *lines, *more])
    return "\n\n".join("\n".join(f"    {safe.plain(line, 1000)}" for line in block) for block in blocks) + "\n"
