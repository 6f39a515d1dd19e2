"""Clocks: this machine's elapsed time, scaled and stepped time, and the server's clock estimated from its answers."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["ScaledClock", "ServerClock", "SteppedClock", "SystemClock", "parse_date"]


# This clock keeps counting while the machine sleeps: on macOS CLOCK_MONOTONIC does, unlike Python's time.monotonic.
_AWAKE_OR_ASLEEP = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))

_IDLE_POLLS, _POLL_INTERVAL, _TURNS = 3, 0.001, 5  # polls of `SteppedClock`, real seconds, turns of the event loop
_ROUNDING = 1e-6  # milliseconds


class SystemClock:
    """Real time, including time that a laptop sleeps."""

    def monotonic(self) -> float:
        """Seconds since some fixed instant."""
        return time.monotonic() if _AWAKE_OR_ASLEEP is None else time.clock_gettime(_AWAKE_OR_ASLEEP)

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds."""
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
            raise ValueError(f"speed={speed}: it must be above 0, or no sleep would end")
        self.speed = speed

    def monotonic(self) -> float:
        """Virtual seconds since some fixed instant."""
        return time.monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many virtual seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)


class SteppedClock:
    """The clock of a server whose time advances only while a caller sleeps here and no work is in flight.

    Concurrent sleeps overlap, as in real time: the clock moves to the earliest wake-up time, then to the next. Otherwise the duration
    of a run would depend on how busy this machine is.

    Parameters
    ----------
    advance : callable
        Advances the server's clock by so many seconds; may block.
    speed : float
        Server seconds per real second of sleep; infinite by default, so that sleeping takes no time.
    """

    def __init__(self, advance: Callable[[float], object], *, speed: float = math.inf) -> None:
        self._advance = advance
        self._speed = speed
        self._now = 0.0
        self._turn = threading.Lock()
        self._awaited: list[float] = []  # instants
        self._work: list[Callable[[], bool]] = []

    def attend(self, works: Callable[[], bool]) -> None:
        """Stop the clock while `works` returns True; only at infinite speed."""
        self._work.append(works)

    def monotonic(self) -> float:
        """Seconds that this clock has advanced."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass at the server."""
        due = self._now + seconds
        await asyncio.sleep(max(0.0, seconds) / self._speed)
        if seconds <= 0:
            return
        self._awaited.append(due)
        try:
            if math.isinf(self._speed):
                await self._idle(due)
            await asyncio.to_thread(self._move, due)
        finally:
            self._awaited.remove(due)

    async def _idle(self, due: float) -> None:
        """Return when several polls in a row found no work in flight and no earlier wake-up time."""
        idle = 0
        while idle < _IDLE_POLLS:
            await asyncio.sleep(_POLL_INTERVAL)
            for _ in range(_TURNS):  # let tasks run that were just woken
                await asyncio.sleep(0)
            idle = 0 if due > min(self._awaited) or any(works() for works in self._work) else idle + 1

    def _move(self, due: float) -> None:
        """Advance both clocks to an instant, in whole milliseconds, without a turn of the event loop between them.

        The server's clock moves first: `ServerClock` would run ahead of a server that lags behind. An answer processed between the
        two moves would do the same.
        """
        with self._turn:
            left = math.ceil((due - self._now) * 1000 - _ROUNDING) / 1000
            if left > 0:
                self._advance(left)
                self._now += left


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
    """Return the instant of a ``Date`` header; None if it is absent or unreadable."""
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the offset may lead to a year out of range
        return None
