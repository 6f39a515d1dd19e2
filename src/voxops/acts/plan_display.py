"""What a plan shows: a table that a manager could read, the same in every kernel and in a diff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxops._support import blocks, safe
from voxops._support.blocks import Block
from voxops.acts.plan_rows import shown_columns
from voxops.api.reasons import Reason, kinds

__all__ = ["KINDS", "how_long", "plan_blocks"]

ROWS = 12  # rows shown of what would be sent
KINDS = 12  # kinds of reasons shown of what is held
_WORDS = frozenset({"retry", "fix"})  # how the path of a retry may end


def plan_blocks(plan: Any, reasons: Sequence[tuple[Reason | str, int]]) -> list[Block]:
    """Return what a plan says: what it costs, what would be sent, and why the rest would not."""
    cost = plan.cost
    parts = [
        blocks.heading(
            f"Plan to {plan.act.verb}: {safe.number(plan.eligible)} of {safe.many(len(plan.table), 'row')}",
            "Nothing has been sent.",
        ),
        blocks.line(
            f"{safe.many(cost.acts, 'acting request')}, about {safe.number(cost.requests)} in all, {how_long(cost)}."
        ),
    ]
    if plan.canaries:
        said = f"The first {plan.canaries} of each cause go first; the others follow if at least half of them succeed."
        parts.append(blocks.line(said))
    if plan.eligible:
        parts += _sample(plan)
    if reasons:
        parts.append(blocks.heading("Held, and why"))
        held = kinds(reasons)
        lines = [(safe.number(n), blocks.cell(why, limit=200)) for why, n in held[:KINDS]]
        parts.append(blocks.table(("rows", "reason"), lines, [0]))
        if (more := len(held) - KINDS) > 0:
            parts.append(blocks.line(f"and {safe.many(more, 'more kind')}; plan.frame has the reason of each row"))
    return parts


def how_long(cost: Any) -> str:
    """Say how long a plan takes at the rate limit, which is the least that it can take."""
    least = (
        "under a minute" if cost.minutes < 1 else f"at least {cost.minutes:g} minute{'' if cost.minutes == 1 else 's'}"
    )
    return f"{least} at {safe.number(cost.rate)} a minute"


def _sample(plan: Any) -> list[Block]:
    """The first rows that would be sent."""
    sent = plan.table[plan.table["eligible"]]
    columns = shown_columns(plan, sent)
    lines = [
        (
            *(column.cell(row) for column in columns),
            blocks.cell(_word(row["request"], plan.act), row["request"]),
            blocks.cell(safe.clip(row["idempotency_key"], 7), row["idempotency_key"]),
        )
        for row in sent.head(ROWS).to_dict("records")
    ]
    heads = (*(column.head for column in columns), "request", "key")
    numeric = [at for at, column in enumerate(columns) if column.counts]
    parts = [blocks.table(heads, lines, numeric, range(len(heads) - 2, len(heads)))]
    if more := plan.eligible - len(lines):
        parts.append(blocks.line(f"and {safe.number(more)} more; plan.frame has them all"))
    return parts


def _word(request: str, act: Any) -> str:
    """What a request does, in a word; one plan to retry may hold both retries and fixes, and a redelivery is a retry to the API alone."""
    last = request.rpartition("/")[2]
    return last if last in _WORDS and act.about == "post" else str(act.verb)
