"""The server's clock, estimated from its answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

NO_CLOCK_SHOWS = 2262  # the first year of which a date is a mistake: nanoseconds since 1970 end in it, and what is reckoned from dates must be times


class ServerClock:
    """The server's time, estimated from the ``Date`` headers of its answers.

    A header is the server's time, in whole seconds, at some instant between sending and receiving. Each answer therefore bounds the
    offset between that clock and `monotonic`, and the bounds of all answers are intersected. Disjoint bounds mean that the clock
    was reset: the new bounds replace the old ones. `now` uses the lower bound, so it is never ahead of the server.

    Parameters
    ----------
    monotonic : callable
        Elapsed seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._low: float | None = None
        self._high = 0.0

    def learn(self, date: datetime, sent: float, received: float) -> None:
        """Update the bounds by an answer's date and by when its request was sent and it was received (`monotonic`)."""
        low, high = date.timestamp() - received, date.timestamp() + 1.0 - sent
        if self._low is not None and max(low, self._low) <= min(high, self._high):
            low, high = max(low, self._low), min(high, self._high)
        self._low, self._high = low, high

    def now(self) -> datetime:
        """Return the server's time in UTC; before the first answer, this machine's."""
        if self._low is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self._low + self._monotonic(), UTC)


def parse_date(text: str | None) -> datetime | None:
    """Return the instant of a ``Date`` header; None if it is absent or unreadable, or of a year that no clock can show yet."""
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
        date = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the offset may lead to a year out of range
        return None
    return date if date.year < NO_CLOCK_SHOWS else None
