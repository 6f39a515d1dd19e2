"""Displays of a plan: a table that a manager could read, the same in every kernel and in a diff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxops._core import safe
from voxops.model import VERBS, Action

__all__ = ["plan_html"]

ROWS = 12  # rows shown of what would be sent, and of what is held
_WORDS = frozenset({"retry", "fix"})  # how the path of a retry may end
_SHOWN = ("post_id", "row_id", "delivery_id", "platform", "account_name", "content", "event_type", "cause")


def plan_html(plan: Any, reasons: Sequence[tuple[str, int]]) -> str:
    """Return a plan as HTML: what it costs, what would be sent, and why the rest would not."""
    cost = plan.cost
    acts, minutes = (
        safe.many(cost.acts, "acting request"),
        f"{cost.minutes:g} minute{'' if cost.minutes == 1 else 's'}",
    )
    facts = (
        f"<b>Plan to {VERBS[plan.action]}</b>: {safe.number(plan.eligible)} of {safe.many(len(plan.table), 'row')}. "
        f"{acts}, about {safe.number(cost.requests)} in all, {minutes} at {safe.number(cost.rate)} a minute. "
        "<i>Nothing has been sent.</i>"
    )
    if plan.canaries:
        facts += (
            f" The first {plan.canaries} of each cause go first; the others follow if at least half of them succeed."
        )
    parts = [f"<p style='margin:4px 0'>{facts}</p>"]
    if plan.eligible:
        parts.append(_sample(plan))
    held = [(safe.number(count), safe.escape(why)) for why, count in reasons]
    if held:
        parts.append("<p style='margin:8px 0 2px'><b>Held</b>, and why:</p>")
        parts.append(safe.table(("rows", "reason"), held[:ROWS], numeric=frozenset({0})))
    return f"<div style='font-size:13px;line-height:1.5;max-width:900px;overflow-x:auto'>{''.join(parts)}</div>"


def _sample(plan: Any) -> str:
    """The first rows that would be sent."""
    names = [name for name in _SHOWN if name in plan.table.columns][:4]
    sent = plan.table[plan.table["eligible"]]
    rows = sent.head(ROWS)
    counts = [
        name for name in ("attempt", "batch") if (sent[name] > 1).any()
    ]  # where all are the first, there is no need to say so
    lines = [
        (
            *(_cell(name, row[name]) for name in names),
            *(safe.number(row[name]) for name in counts),
            safe.line(row["reason"], row["reason"], "min-width:6em;max-width:18em", lines=2),
            f"{_short(_word(row['request'], plan.action), row['request'])} "
            f"<code>{_short(safe.clip(row['idempotency_key'], 7), row['idempotency_key'])}</code>",
        )
        for row in rows.to_dict("records")
    ]
    heads = (*map(safe.parted, (*names, *counts)), "reason", "request, key")
    more = plan.eligible - len(lines)
    rest = (
        f"<p style='margin:2px 0;opacity:.75'>and {safe.number(more)} more; plan.frame has them all</p>" if more else ""
    )
    return safe.table(heads, lines, numeric=frozenset(range(len(names), len(names) + len(counts)))) + rest


def _cell(name: str, value: Any) -> str:
    """One value of a row: ids lose their middle, long text keeps to one line."""
    if name.endswith("_id"):
        return _short(safe.middle(value, 12), value)
    if name in {"content", "cause"}:
        return safe.line(value, value, "min-width:4em;max-width:15em")
    return safe.escape(value, 60)


def _short(shown: str, full: Any) -> str:
    """Text made short; all of it shows on hovering."""
    return f'<span style="white-space:nowrap" title="{safe.escape(full, 400)}">{safe.escape(shown)}</span>'


def _word(request: str, action: Action) -> str:
    """What a request does, in a word; one plan to retry may hold both retries and fixes."""
    last = request.rpartition("/")[2]
    return last if action is Action.RETRY and last in _WORDS else VERBS[action]
