"""How long to wait before the next try, as pure functions."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["Backoff", "delay", "is_ambiguous", "retry_after"]

# Statuses after which nobody knows whether a write took effect: the gateway or the server gave up, not the rule book.
_AMBIGUOUS_4XX = frozenset({408})


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter.

    Attributes
    ----------
    base : float
        Seconds; upper bound of the first delay.
    cap : float
        Seconds; no delay is longer.
    tries : int
        How often one request is sent at the most, the first time included.
    """

    base: float = 0.5
    cap: float = 30.0
    tries: int = 5


def delay(policy: Backoff, attempt: int, rng: random.Random) -> float:
    """Return the seconds before try ``attempt + 1``: uniform in ``[0, min(cap, base * 2 ** (attempt - 1))]``.

    Parameters
    ----------
    policy : Backoff
        Base and cap.
    attempt : int
        Number of tries already made, from 1.
    rng : random.Random
        Source of the jitter.
    """
    bound = min(policy.cap, policy.base * 2.0 ** min(attempt - 1, 60))
    return rng.uniform(0.0, bound)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, None if it is absent or unreadable.

    The API does not say which of HTTP's two forms it sends, so both are read: seconds, or a date, which is measured from the
    server's own `now`.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # no date, or one with numbers that no calendar has
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def is_ambiguous(status: int) -> bool:
    """Whether an HTTP status leaves open if a write took effect: any 5xx, and 408."""
    return status >= 500 or status in _AMBIGUOUS_4XX
