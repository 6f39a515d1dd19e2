"""The sandbox's time: whole milliseconds since 1970, virtual, never running backwards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

__all__ = ["START", "VirtualClock", "http_date", "iso", "iso_or_none", "parse_time", "real_time"]

START = int(datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp()) * 1000
_END = int(datetime(9000, 1, 1, tzinfo=UTC).timestamp()) * 1000


class VirtualClock:
    """A clock that starts at a fixed instant, runs at its own speed and can be moved forward.

    Parameters
    ----------
    start : int
        First instant, milliseconds since 1970.
    speed : float
        Virtual seconds per real second; 0 stands still.
    monotonic : callable
        Real seconds, for tests.
    beginning : callable or None
        The first instant after a `restart`; None for the fixed one.
    """

    def __init__(
        self,
        start: int = START,
        speed: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        beginning: Callable[[], int] | None = None,
    ) -> None:
        self._monotonic = monotonic
        self._beginning = beginning
        self.start = start
        self._base = start
        self._since = monotonic()
        self.speed = speed

    def now(self) -> int:
        """Milliseconds since 1970."""
        return self._base + int((self._monotonic() - self._since) * self.speed * 1000)

    def advance(self, seconds: float) -> None:
        """Move forward; a negative step is refused, because no server's time runs backwards, and one that ends beyond the year 9000."""
        if seconds < 0:
            raise ValueError(f"the clock can't go back by {-seconds} s")
        if not self.now() + seconds * 1000 < _END:
            raise ValueError(f"the clock can't go on by {seconds} s: it would leave the calendar")
        self._base += round(seconds * 1000)

    def restart(self) -> None:
        """Begin again."""
        self.start = START if self._beginning is None else self._beginning()
        self._base, self._since = self.start, self._monotonic()

    def set_speed(self, speed: float) -> None:
        """Run at another speed from now on; 0 stands still."""
        if not 0 <= speed < math.inf:
            raise ValueError(f"speed must be a number from 0, in virtual seconds per second, not {speed}")
        self._base, self._since, self.speed = self.now(), self._monotonic(), speed


def real_time() -> int:
    """Return the time of this machine's clock."""
    return round(time.time() * 1000)


def iso(at: int) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z`` (contract: SCH)."""
    return f"{datetime.fromtimestamp(at // 1000, UTC).isoformat()[:19]}.{at % 1000:03d}Z"


def iso_or_none(at: int | None) -> str | None:
    """Return an instant as text, or None."""
    return None if at is None else iso(at)


def http_date(at: int) -> str:
    """Return the instant as a `Date` header."""
    return format_datetime(datetime.fromtimestamp(at // 1000, UTC), usegmt=True)


def parse_time(text: str) -> int:
    """Milliseconds of an ISO text; ValueError if it has no offset, as the API refuses such times (contract: SCH)."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset or Z")
    return round(moment.timestamp() * 1000)
