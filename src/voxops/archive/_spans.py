"""Spans of time that have been read, and the gaps between them; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

__all__ = ["Span", "covered", "gaps", "near"]

Span = tuple[datetime, datetime]


def covered(spans: Iterable[Span]) -> list[Span]:
    """Merge spans that touch or overlap; the earliest first."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] <= span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def gaps(read: Sequence[Span], start: datetime, end: datetime) -> list[Span]:
    """What of ``start`` to ``end`` has not been read, the latest first."""
    missing = []
    upper = end
    for low, high in reversed(covered(read)):
        if high < start:
            break
        if high < upper:
            missing.append((high, upper))
        upper = min(upper, low)
    return [*missing, (start, upper)] if start < upper else missing


def near(instants: Iterable[datetime], seconds: float) -> list[Span]:
    """Gather instants into spans: those that follow within so many seconds are one."""
    found: list[Span] = []
    for instant in sorted(instants):
        if found and (instant - found[-1][1]).total_seconds() <= seconds:
            found[-1] = (found[-1][0], instant)
        else:
            found.append((instant, instant))
    return found
