"""A plan for reading: what it costs, what would be sent, and why the rest would not."""

from __future__ import annotations

import pandas as pd

from voxops._support import safe
from voxops.acts.keys import doubt_of_name
from voxops.acts.plan import Plan, reasons
from voxops.api.reasons import READY, kinds
from voxops.views.table import Cell, Head, Part, Table, in_reading_order, shown_columns, table_of

ROWS = 12  # rows of a plan in a cell
_KINDS = 12  # kinds of reasons
_COLUMNS = 12  # some are dropped, because they say nothing


def plan_parts(plan: Plan, most: int, tz: str) -> list[Part]:
    """Return what a plan says, with at most so many rows of each act."""
    cost, rows = plan.cost, in_reading_order(plan.table).head(plan.eligible)
    wait = "under a minute" if cost.minutes < 1 else f"at least {cost.minutes:g} minutes"
    line = (
        f"{safe.many(cost.acts, 'acting request')}, about {cost.requests:,} in all, {wait} at {cost.rate:,} a minute."
    )
    doubt = doubt_of_name(plan.campaign, plan.table.attrs.get("campaigns") or ())
    changes, posts = sum(not item.creates for item in plan.items), plan.table["post_id"].count() if plan.compared else 0
    most_of_it = (
        f"It changes or withdraws {changes:,} of the campaign's {posts:,} posts. " if 0 < posts < 2 * changes else ""
    )
    title = f"Plan to {plan.act.verb}: {plan.eligible:,} of {safe.many(len(plan.table), 'row')}"
    parts = [Part(title, f"{most_of_it}Nothing has been sent. Times in {tz}.", f"{line} {doubt}".strip())]
    for act in plan.act.parts or [""]:
        group = rows[rows["act"] == act] if act else rows
        if act and group.empty:
            continue
        table = table_of(group, _names(group), tz=tz, most=most)
        rest = len(group) - most
        more = f"and {rest:,} more; vx.view(plan, rows={len(group)}) shows all" if rest > 0 else ""
        if act:
            parts.append(Part(f"To {act}: {safe.many(len(group), 'row')}", table=table, more=more))
        else:
            parts[0] = parts[0]._replace(table=table, more=more)
    if blocked := kinds(reasons(plan)):
        lines = [(Cell(f"{count:,}"), Cell(str(why))) for why, count in blocked[:_KINDS]]
        rest = len(blocked) - _KINDS
        more = f"and {rest} more kinds; plan.frame has the reason of each row" if rest > 0 else ""
        table = Table([Head("rows", shape="number"), Head("reason", shape="text")], lines)
        parts.append(Part("Not eligible, and why", table=table, more=more))
    return parts


def _names(rows: pd.DataFrame) -> list[str]:
    """Return the columns that matter and distinguish the rows."""
    usual = {"reason": READY, "attempt": 1}
    same = {"eligible", *(name for name in usual if (rows[name] == usual[name]).all())}
    return [name for name in shown_columns(rows, _COLUMNS) if name not in same]
