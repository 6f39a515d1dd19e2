"""A plan for reading: what it costs, what would be sent, before and after if it changes something, and why the rest is not."""

from __future__ import annotations

import pandas as pd

from voxops._support import safe
from voxops.acts.keys import doubt_of_name
from voxops.acts.plan import Plan, reasons
from voxops.api.reasons import READY, kinds
from voxops.frames.registry import column_named, kind_of
from voxops.views.table import Cell, Head, Part, Table, in_reading_order, shown_columns, table_of, text_of

__all__ = ["ROWS", "plan_parts"]

ROWS = 12  # rows of a plan in a cell
_KINDS = 12  # kinds of reasons
# Field of a request -> the columns of its new value and of the one before.
_CHANGES = {
    "scheduledFor": ("new_scheduled_for", "scheduled_for"),
    "content": ("new_content", "content"),
    "tags": ("new_tags", "tags"),
    "accountIds": ("new_account_ids", "targets"),
    "mediaUrl": ("new_media_url", "media"),
}


def plan_parts(plan: Plan, most: int, tz: str) -> list[Part]:
    """Return what a plan says, with at most so many rows of each act."""
    cost, rows = plan.cost, in_reading_order(plan.table, kind_of(plan.table)).head(plan.eligible)
    wait = "under a minute" if cost.minutes < 1 else f"at least {cost.minutes:g} minutes"
    requests = (
        f"{safe.many(cost.acts, 'acting request')}, about {cost.requests:,} in all, {wait} at {cost.rate:,} a minute."
    )
    title = f"Plan to {plan.act.verb}: {plan.eligible:,} of {safe.many(len(plan.table), 'row')}"
    doubt = doubt_of_name(plan.campaign, plan.table.attrs.get("campaigns") or ())
    parts = [Part(title, f"Nothing has been sent. Times in {tz}.", " ".join(filter(None, [requests, doubt])))]
    for act in plan.act.parts or [""]:
        some = rows[rows["act"] == act] if act else rows
        if act and some.empty:
            continue
        table = _changes(plan, some.head(most), tz) or table_of(some, _names(some), tz=tz, most=most)
        more = f"and {len(some) - most:,} more; vx.view(plan, rows={len(some)}) shows all" if len(some) > most else ""
        if act:
            parts.append(Part(f"To {act}: {safe.many(len(some), 'row')}", table=table, more=more))
        else:
            parts[0] = parts[0]._replace(table=table, more=more)
    if blocked := kinds(reasons(plan)):
        lines = [(Cell(f"{count:,}"), Cell(why)) for why, count in blocked[:_KINDS]]
        more = (
            f"and {len(blocked) - _KINDS} more kinds; plan.frame has the reason of each row"
            if len(blocked) > _KINDS
            else ""
        )
        parts.append(
            Part(
                "Not eligible, and why",
                table=Table([Head("rows", shape="number"), Head("reason", shape="text")], lines),
                more=more,
            )
        )
    return parts


def _names(rows: pd.DataFrame) -> list[str]:
    """Return the columns that matter and distinguish the rows."""
    same = {"eligible"} | {
        name for name, value in {"reason": READY, "attempt": 1}.items() if (rows[name] == value).all()
    }
    acts = ["act"] if len(set(rows["act"])) > 1 else []
    return [name for name in [*acts, *shown_columns(rows)] if name not in same]


def _changes(plan: Plan, rows: pd.DataFrame, tz: str) -> Table | None:
    """Return a row per field that a plan changes: from what and to what; None if it changes no fields."""
    asked = {name for item in plan.items for name in item.requested}
    about = [name for name in ("row_id", "post_id", "platform", "account_name") if name in rows][:2]
    fields = []
    for new, old in (columns for field, columns in _CHANGES.items() if field in asked and columns[0] in rows):
        now = new.replace("new_", "now_")
        before = rows[now] if now in rows else rows.get(old, [None] * len(rows))
        texts = {
            name: [text_of(value, column_named(new), tz) for value in values]
            for name, values in {"from": before, "to": rows[new]}.items()
        }
        fields.append(rows[about].assign(change=column_named(old).title, **texts)[rows[new].notna()])
    table = (
        pd.concat(fields).sort_index(kind="stable") if fields else rows.head(0)
    )  # a sync also creates: no field changes
    return table_of(table, [*about, "change", "from", "to"], tz=tz) if len(table) else None
