"""Displays of a plan: a table that a manager could read, the same in every kernel and in a diff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxops._core import safe
from voxops._core.safe import Markup, html

__all__ = ["plan_html"]

ROWS = 12  # rows shown of what would be sent, and of what is held
_WORDS = frozenset({"retry", "fix"})  # how the path of a retry may end
_SHOWN = ("post_id", "row_id", "delivery_id", "platform", "account_name", "content", "event_type", "cause")


def plan_html(plan: Any, reasons: Sequence[tuple[str, int]]) -> Markup:
    """Return a plan as HTML: what it costs, what would be sent, and why the rest would not."""
    cost = plan.cost
    facts = html(
        "<b>Plan to {}</b>: {} of {}. {}, about {} in all, {} minute{} at {} a minute. <i>Nothing has been sent.</i>{}",
        plan.act.verb,
        safe.number(plan.eligible),
        safe.many(len(plan.table), "row"),
        safe.many(cost.acts, "acting request"),
        safe.number(cost.requests),
        f"{cost.minutes:g}",
        "" if cost.minutes == 1 else "s",
        safe.number(cost.rate),
        f" The first {plan.canaries} of each cause go first; the others follow if at least half of them succeed."
        if plan.canaries
        else "",
    )
    parts = [html("<p style='margin:4px 0'>{}</p>", facts)]
    if plan.eligible:
        parts.append(_sample(plan))
    held = [(safe.number(count), why) for why, count in reasons]
    if held:
        parts.append(Markup("<p style='margin:8px 0 2px'><b>Held</b>, and why:</p>"))
        parts.append(safe.table(("rows", "reason"), held[:ROWS], numeric=frozenset({0})))
    return html(
        "<div class='{}' style='font-size:13px;line-height:1.5;max-width:900px;overflow-x:auto'>{}</div>",
        safe.IGNORE_MATH,
        safe.joined(parts),
    )


def _sample(plan: Any) -> Markup:
    """The first rows that would be sent."""
    names = [name for name in _SHOWN if name in plan.table.columns][:4]
    sent = plan.table[plan.table["eligible"]]
    rows = sent.head(ROWS)
    # Where all are the first attempt, or in the first batch, there is no need to say so.
    counts = [name for name in ("attempt", "batch") if (sent[name] > 1).any()]
    lines = [
        (
            *(_cell(name, row[name]) for name in names),
            *(safe.number(row[name]) for name in counts),
            safe.line(row["reason"], row["reason"], "min-width:6em;max-width:18em", lines=2),
            html(
                "{} <code>{}</code>",
                _short(_word(row["request"], plan.act), row["request"]),
                _short(safe.clip(row["idempotency_key"], 7), row["idempotency_key"]),
            ),
        )
        for row in rows.to_dict("records")
    ]
    heads = (*map(safe.parted, (*names, *counts)), "reason", "request, key")
    more = plan.eligible - len(lines)
    rest = (
        html("<p style='margin:2px 0;opacity:.75'>and {} more; plan.frame has them all</p>", safe.number(more))
        if more
        else ""
    )
    numeric = frozenset(range(len(names), len(names) + len(counts)))
    return safe.joined([safe.table(heads, lines, numeric=numeric), rest])


def _cell(name: str, value: Any) -> Markup:
    """One value of a row: ids lose their middle, long text keeps to one line."""
    if name.endswith("_id"):
        return _short(safe.middle(value, 12), value)
    if name in {"content", "cause"}:
        return safe.line(value, value, "min-width:4em;max-width:15em")
    return safe.escape(value, 60)


def _short(shown: str, full: Any) -> Markup:
    """Text made short; all of it shows on hovering."""
    return html('<span style="white-space:nowrap" title="{}">{}</span>', safe.escape(full, 400), shown)


def _word(request: str, act: Any) -> str:
    """What a request does, in a word; one plan to retry may hold both retries and fixes."""
    last = request.rpartition("/")[2]
    return last if last in _WORDS else str(act.verb)
