"""What a plan shows: a table that a manager could read, the same in every kernel and in a diff."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import compress
from typing import Any

from voxops._support import blocks, safe
from voxops._support.blocks import Block
from voxops.acts.plan_rows import shown_columns

__all__ = ["KINDS", "how_long", "kinds_of", "plan_blocks"]

ROWS = 12  # rows shown of what would be sent
KINDS = 12  # kinds of reasons shown of what is held
_EXAMPLES = 2  # of each kind
_WORDS = frozenset({"retry", "fix"})  # how the path of a retry may end
# What tells one reason from another of its kind: what is quoted, ids, names of rows, and how many characters there are.
_DETAIL = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b(?:post|del|acc|media|run)_\w+|(?<=\bas row )[^;:]+|\b\d[\d,]*(?= characters)"""
    r"""|\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d| [A-Z]{2,5}\b)?"""
)
_CELL = re.compile(r" \([A-Z]{1,3}\d+\)$| \(row \d+\)$")  # and where in the sheet it stands


def plan_blocks(plan: Any, reasons: Sequence[tuple[str, int]]) -> list[Block]:
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
        kinds = kinds_of(reasons)
        lines = [(safe.number(n), blocks.cell(why, limit=200)) for why, n in kinds[:KINDS]]
        parts.append(blocks.table(("rows", "reason"), lines, [0]))
        if (more := len(kinds) - KINDS) > 0:
            parts.append(blocks.line(f"and {safe.many(more, 'more kind')}; plan.frame has the reason of each row"))
    return parts


def how_long(cost: Any) -> str:
    """Say how long a plan takes at the rate limit, which is the least that it can take."""
    least = (
        "under a minute" if cost.minutes < 1 else f"at least {cost.minutes:g} minute{'' if cost.minutes == 1 else 's'}"
    )
    return f"{least} at {safe.number(cost.rate)} a minute"


def kinds_of(reasons: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Group reasons that differ only in what they quote: one line for each kind, with examples apart, most rows first."""
    rows, alike = Counter[tuple[str, int]](), dict[tuple[str, int], list[str]]()
    for why, count in reasons:
        kind = _DETAIL.subn("…", _CELL.sub("", why))
        rows[kind] += count
        alike.setdefault(kind, []).append(why)
    return [(_as_one(alike[kind]), count) for kind, count in rows.most_common()]


def _as_one(alike: Sequence[str]) -> str:
    """Reasons of one kind in one sentence: what they share stays; examples of the rest, and where they stand, follow in brackets."""
    if len(alike) == 1:
        return alike[0]
    bare = [_CELL.sub("", why) for why in alike]
    details = [_DETAIL.findall(why) for why in bare]
    differ = [len(set(each)) > 1 for each in zip(*details, strict=True)]
    left = iter(differ)
    said = _DETAIL.sub(lambda found: "…" if next(left) else found[0], bare[0])
    examples = []
    for why, each in list(zip(alike, details, strict=True))[:_EXAMPLES]:
        places = [f"in {place.strip(' ()')}" for place in _CELL.findall(why)]
        examples.append(" ".join(filter(None, [", ".join(compress(each, differ)), *places])))
    return f"{said} (for example {' and '.join(filter(None, examples))})"


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
