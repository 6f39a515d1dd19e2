"""What a plan shows: a table that a manager could read, the same in every kernel and in a diff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxops._core import blocks, safe
from voxops._core.blocks import Block

__all__ = ["plan_blocks"]

ROWS = 12  # rows shown of what would be sent, and of what is held
_WORDS = frozenset({"retry", "fix"})  # how the path of a retry may end
_SHOWN = ("post_id", "row_id", "delivery_id", "platform", "account_name", "content", "event_type", "cause")
_LIMITS = {"content": 60, "cause": 60}  # characters shown


def plan_blocks(plan: Any, reasons: Sequence[tuple[str, int]]) -> list[Block]:
    """Return what a plan says: what it costs, what would be sent, and why the rest would not."""
    cost = plan.cost
    minutes = f"{cost.minutes:g} minute{'' if cost.minutes == 1 else 's'}"
    parts = [
        blocks.heading(
            f"Plan to {plan.act.verb}: {safe.number(plan.eligible)} of {safe.many(len(plan.table), 'row')}",
            "Nothing has been sent.",
        ),
        blocks.line(
            f"{safe.many(cost.acts, 'acting request')}, about {safe.number(cost.requests)} in all, {minutes} at "
            f"{safe.number(cost.rate)} a minute."
        ),
    ]
    if plan.canaries:
        said = f"The first {plan.canaries} of each cause go first; the others follow if at least half of them succeed."
        parts.append(blocks.line(said))
    if plan.eligible:
        parts += _sample(plan)
    if reasons:
        parts.append(blocks.heading("Held, and why"))
        parts.append(blocks.table(("rows", "reason"), [(safe.number(n), why) for why, n in reasons[:ROWS]], [0]))
    return parts


def _sample(plan: Any) -> list[Block]:
    """The first rows that would be sent."""
    names = [name for name in _SHOWN if name in plan.table.columns][:4]
    sent = plan.table[plan.table["eligible"]]
    # Where all are the first attempt, or in the first batch, there is no need to say so.
    counts = [name for name in ("attempt", "batch") if (sent[name] > 1).any()]
    lines = [
        (
            *(_cell(name, row[name]) for name in names),
            *(safe.number(row[name]) for name in counts),
            blocks.cell(row["reason"], limit=80),
            blocks.cell(_word(row["request"], plan.act), row["request"]),
            blocks.cell(safe.clip(row["idempotency_key"], 7), row["idempotency_key"]),
        )
        for row in sent.head(ROWS).to_dict("records")
    ]
    heads = (*names, *counts, "reason", "request", "key")
    numeric, spare = range(len(names), len(names) + len(counts)), range(len(heads) - 2, len(heads))
    parts = [blocks.table(heads, lines, numeric, spare)]
    if more := plan.eligible - len(lines):
        parts.append(blocks.line(f"and {safe.number(more)} more; plan.frame has them all"))
    return parts


def _cell(name: str, value: Any) -> Block:
    """One value of a row: ids lose their middle, long text is cut; all of it shows on hovering."""
    if name.endswith("_id"):
        return blocks.cell(safe.middle(value, 12), value)
    return blocks.cell(value, limit=_LIMITS.get(name, 60))


def _word(request: str, act: Any) -> str:
    """What a request does, in a word; one plan to retry may hold both retries and fixes."""
    last = request.rpartition("/")[2]
    return last if last in _WORDS else str(act.verb)
