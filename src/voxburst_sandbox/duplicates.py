"""What happened twice for one logical thing: the count that must be zero."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

__all__ = ["by_kind", "duplicates"]


def duplicates(effects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Side effects that repeat an earlier one.

    Parameters
    ----------
    effects : iterable of dict
        The record of side effects, in order.

    Returns
    -------
    list of dict
        One entry per surplus effect: `kind` (``post.create``: same mark, or without a mark the same content, accounts and
        time; ``target.publish``: same target; ``target.requeue``: again while an earlier publication of the target had not
        ended; ``delivery.resend``: again while one was in flight or after one had succeeded), `subject`, `first` and
        `again` (numbers of the two effects), `effect`.
    """
    first: dict[tuple[str, str], int] = {}
    found = []
    for effect in effects:
        subject = _subject(effect)
        if subject is None:
            continue
        name = (effect["kind"], subject)
        if name in first and effect.get("again", True):
            entry = {"kind": effect["kind"], "subject": subject, "first": first[name], "again": effect["seq"]}
            found.append({**entry, "effect": effect})
        first.setdefault(name, effect["seq"])
    return found


def _subject(effect: dict[str, Any]) -> str | None:
    """Say what an effect may happen to only once; None if it may happen often."""
    kind = effect["kind"]
    if kind == "post.create":
        if effect["mark"]:
            return f"mark {effect['mark']}"
        return f"{effect['content']} | {' '.join(sorted(effect['accounts']))} | {effect['scheduled_for']}"
    if kind in ("target.publish", "target.requeue"):
        return str(effect["target"])
    return str(effect["delivery"]) if kind == "delivery.resend" else None


def by_kind(effects: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How many effects of each kind there were."""
    counts: dict[str, int] = defaultdict(int)
    for effect in effects:
        counts[effect["kind"]] += 1
    return dict(sorted(counts.items()))
