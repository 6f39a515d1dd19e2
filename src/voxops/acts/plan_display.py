"""What a plan shows: a table that a manager could read, the same in every kernel and in a diff."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta, timezone, tzinfo
from typing import Any

import pandas as pd

from voxops._core import blocks, safe
from voxops._core.blocks import Block
from voxops.analysis.sheet_times import readable_time
from voxops.frames.spans import shown_zone

__all__ = ["kinds_of", "plan_blocks"]

ROWS = 12  # rows shown of what would be sent
KINDS = 12  # kinds of reasons shown of what is held
_EXAMPLES = 2  # of each kind
_WORDS = frozenset({"retry", "fix"})  # how the path of a retry may end
_SHOWN = (
    "post_id", "row_id", "delivery_id", "platform", "account_name", "content", "event_type", "status_code", "cause",
)  # fmt: skip
_CREATED = ("accounts", "account_ids", "scheduled_for", "content")  # after the name of the row
# What tells one reason from another of its kind: what is quoted, ids, names of rows, and how many characters there are.
_DETAIL = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b(?:post|del|acc|media|run)_\w+|(?<=\bas row )[^;:]+|\b\d[\d,]*(?= characters)"""
)
_CELL = re.compile(r" \([A-Z]{1,3}\d+\)$| \(row \d+\)$")  # and where in the sheet it stands
_LIMITS = {"content": 60, "cause": 60}  # characters shown


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
    """Group reasons that differ only in what they quote: one line for each kind, with examples, most rows first."""
    rows, examples = Counter[str](), dict[str, list[str]]()
    for why, count in reasons:
        kind = _DETAIL.sub("…", _CELL.sub("", why))
        rows[kind] += count
        examples.setdefault(kind, []).append(why)
    kinds = []
    for kind, count in rows.most_common():
        alike = examples[kind]
        if len(alike) == 1:
            kinds.append((alike[0], count))
            continue
        shown = [" ".join([*_DETAIL.findall(why), *map(str.strip, _CELL.findall(why))]) for why in alike[:_EXAMPLES]]
        kinds.append((f"{kind}, such as {' and '.join(shown)}", count))
    return kinds


def _sample(plan: Any) -> list[Block]:
    """The first rows that would be sent."""
    names = [name for name in _shown(plan) if name in plan.table.columns][:4]
    sent = plan.table[plan.table["eligible"]]
    tz = _zone(sent)
    # Where all are the first attempt, or in the first batch, there is no need to say so.
    counts = [name for name in ("attempt", "batch") if (sent[name] > 1).any()]
    lines = [
        (
            *(_cell(name, row[name], tz) for name in names),
            *(safe.number(row[name]) for name in counts),
            blocks.cell(row["reason"], limit=80),
            blocks.cell(_word(row["request"], plan.act), row["request"]),
            blocks.cell(safe.clip(row["idempotency_key"], 7), row["idempotency_key"]),
        )
        for row in sent.head(ROWS).to_dict("records")
    ]
    heads = (
        *(safe.zoned(name, tz) if name == "scheduled_for" and tz is not None else name for name in names),
        *counts,
        "reason",
        "request",
        "key",
    )
    numeric, spare = range(len(names), len(names) + len(counts)), range(len(heads) - 2, len(heads))
    parts = [blocks.table(heads, lines, numeric, spare)]
    if more := plan.eligible - len(lines):
        parts.append(blocks.line(f"and {safe.number(more)} more; plan.frame has them all"))
    return parts


def _shown(plan: Any) -> tuple[str, ...]:
    """The columns by which a person knows a row: of what is to be created, what goes where and when."""
    return (plan.key, *_CREATED) if plan.act.about == "create" else _SHOWN


def _zone(sent: pd.DataFrame) -> str | tzinfo | None:
    """The zone in which times of rows are shown: the frame's, else the one that its times are in; None where each has its own offset."""
    if "tz" in sent.attrs or "scheduled_for" not in sent:
        return shown_zone(sent)
    times = sent["scheduled_for"]
    if isinstance(times.dtype, pd.DatetimeTZDtype):
        return times.dtype.tz
    # So they can be compared with the sheet as they stand there.
    offsets = {when.utcoffset() for when in map(readable_time, times) if when is not None}
    return timezone(offsets.pop() or timedelta()) if len(offsets) == 1 else None


def _cell(name: str, value: Any, tz: str | tzinfo | None) -> Block:
    """One value of a row: ids lose their middle, long text is cut, times are in the zone; all of it shows on hovering."""
    if name == "scheduled_for":
        when = readable_time(value)
        if when is None:
            return blocks.cell(value, value)
        local = when if tz is None else pd.Timestamp(when).tz_convert(tz)
        shown = f"{local:%a %d %b %Y %H:%M}" + (f" {when.isoformat()[-6:]}" if tz is None else "")
        return blocks.cell(shown, value)
    if isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    if name.endswith("_id"):
        return blocks.cell(safe.middle(value, 12), value)
    return blocks.cell(value, limit=_LIMITS.get(name, 60))


def _word(request: str, act: Any) -> str:
    """What a request does, in a word; one plan to retry may hold both retries and fixes."""
    last = request.rpartition("/")[2]
    return last if last in _WORDS else str(act.verb)
