"""Displays of a plan: a table that a manager could read, the same in every kernel and in a diff."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from voxops import _html
from voxops.model import VERBS

__all__ = ["plan_html"]

ROWS = 12  # rows shown of what would be sent, and of what is held
_LONG = re.compile(r"(?<=/)[^/]{17,}")  # an id within a path; the row has it in full
_SHOWN = ("post_id", "row_id", "delivery_id", "platform", "account_name", "content", "event_type", "cause")


def plan_html(plan: Any, reasons: Sequence[tuple[str, int]]) -> str:
    """Return a plan as HTML: what it costs, what would be sent, and why the rest would not."""
    cost = plan.cost
    facts = (
        f"<b>Plan to {VERBS[plan.action]}</b>: {_html.number(plan.eligible)} of {_html.number(len(plan.table))} rows. "
        f"{_html.number(cost.acts)} acting requests, about {_html.number(cost.requests)} in all, {cost.minutes:g} minutes at "
        f"{_html.number(cost.rate)} a minute. <i>Nothing has been sent.</i>"
    )
    if plan.canaries:
        facts += (
            f" The first {plan.canaries} of each cause go first; the others follow if at least half of them succeed."
        )
    parts = [f"<p style='margin:4px 0'>{facts}</p>"]
    if plan.eligible:
        parts.append(_sample(plan))
    held = [(_html.number(count), _html.escape(why)) for why, count in reasons]
    if held:
        parts.append("<p style='margin:8px 0 2px'><b>Held</b>, and why:</p>")
        parts.append(_html.table(("rows", "reason"), held[:ROWS], numeric=frozenset({0})))
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
            *(_html.number(row[name]) for name in counts),
            f"<code style='white-space:nowrap'>{_html.escape(_LONG.sub('…', row['request']), 70)}</code>",
            f"<code>{_html.escape(row['idempotency_key'])[:8]}…</code>",
        )
        for row in rows.to_dict("records")
    ]
    heads = (*names, *counts, "request", "key")
    more = plan.eligible - len(lines)
    rest = (
        f"<p style='margin:2px 0;opacity:.75'>and {_html.number(more)} more; plan.frame has them all</p>"
        if more
        else ""
    )
    return _html.table(heads, lines, numeric=frozenset(range(len(names), len(names) + len(counts)))) + rest


def _cell(name: str, value: Any) -> str:
    """One value of a row; long text keeps room to be read in."""
    text = _html.escape(value, 60)
    return f"<div style='min-width:15em'>{text}</div>" if name in {"content", "cause"} else text
