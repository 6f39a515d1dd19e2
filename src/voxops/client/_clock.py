"""Time: this machine's elapsed seconds, the same at another speed, and the server's clock as its answers show it."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["ScaledClock", "ServerClock", "SteppedClock", "SystemClock", "parse_date"]


# The system's clock that goes on while the machine sleeps: on macOS the monotonic one as the system has it, not Python's.
_AWAKE_OR_ASLEEP = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class SystemClock:
    """Real time, the hours of a laptop's sleep included."""

    def monotonic(self) -> float:
        """Seconds since some fixed instant."""
        return time.monotonic() if _AWAKE_OR_ASLEEP is None else time.clock_gettime(_AWAKE_OR_ASLEEP)

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""
        await asyncio.sleep(max(0.0, seconds))


class ScaledClock:
    """Real time at another speed, for a server whose clock is virtual.

    Parameters
    ----------
    speed : float
        Virtual seconds per real second, above 0.
    """

    def __init__(self, speed: float) -> None:
        if not speed > 0:
            raise ValueError(f"speed={speed}: a clock that stands still would never end a pause")
        self.speed = speed

    def monotonic(self) -> float:
        """Virtual seconds since some fixed instant."""
        return time.monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Let that many virtual seconds pass."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)


class SteppedClock:
    """The clock of a server that stands still: time passes there when somebody waits here.

    Parameters
    ----------
    advance : callable
        Moves the server's clock by so many seconds; may block.
    speed : float
        Server seconds per real second of waiting; infinite by default, so that waiting takes no time.
    """

    def __init__(self, advance: Callable[[float], object], *, speed: float = math.inf) -> None:
        self._advance = advance
        self._speed = speed
        self._now = 0.0
        self._turn = threading.Lock()

    def monotonic(self) -> float:
        """Seconds slept so far."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds pass at the server."""
        await asyncio.sleep(max(0.0, seconds) / self._speed)
        if seconds > 0:
            await asyncio.to_thread(self._move, seconds)

    def _move(self, seconds: float) -> None:
        """Move both clocks, without a turn of the event loop between them.

        The server's moves first: one that lags behind ours would make `ServerClock` run ahead of it; and so would an answer that is
        taken in while only the server's has moved.
        """
        with self._turn:
            self._advance(seconds)
            self._now += seconds


class ServerClock:
    """The server's time, learnt from the ``Date`` headers of its answers.

    A header says in whole seconds what the server's clock showed at some instant between sending and receiving. Each answer so
    bounds how far that clock is ahead of `monotonic`; the bounds of all answers are combined, and a clock that was set anew, which
    shows as bounds that exclude each other, is believed at once. `now` is the lower bound: never ahead of the server.

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
        """Take an answer into account: its date, and when its request was sent and it was received (`monotonic`)."""
        low, high = date.timestamp() - received, date.timestamp() + 1.0 - sent
        if self._low is not None and max(low, self._low) <= min(high, self._high):
            low, high = max(low, self._low), min(high, self._high)
        self._low, self._high = low, high

    def now(self) -> datetime:
        """Return the server's time in UTC; this machine's before the first answer."""
        if self._low is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self._low + self._monotonic(), UTC)


def parse_date(text: str | None) -> datetime | None:
    """The instant of a ``Date`` header; None if it is absent or unreadable."""
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
