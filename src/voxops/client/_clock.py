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

_IDLE_LOOKS, _BETWEEN_LOOKS, _TURNS = 3, 0.001, 5  # looks of `SteppedClock`, real seconds, turns of the event loop
_ROUNDING = 1e-6  # milliseconds


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
    """The clock of a server that stands still: time passes there when somebody waits here, and no work is under way.

    Those who wait at the same time wait side by side, as in real time: the clock moves to the instant that comes first, then to the
    next. Else how much time a run takes would depend on how busy this machine is.

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
        self._awaited: list[float] = []  # instants
        self._work: list[Callable[[], bool]] = []

    def attend(self, works: Callable[[], bool]) -> None:
        """Let no time pass while `works` says that something is under way; where time runs by itself, it does so meanwhile, too."""
        self._work.append(works)

    def monotonic(self) -> float:
        """Seconds that have passed here."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds pass at the server."""
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
        """Return when, for some looks in a row, nothing was under way and nobody waited for an earlier instant."""
        idle = 0
        while idle < _IDLE_LOOKS:
            await asyncio.sleep(_BETWEEN_LOOKS)
            for _ in range(_TURNS):  # what has been woken must have its turn, too
                await asyncio.sleep(0)
            idle = 0 if due > min(self._awaited) or any(works() for works in self._work) else idle + 1

    def _move(self, due: float) -> None:
        """Move both clocks to an instant, without a turn of the event loop between them, in whole milliseconds, as servers count.

        The server's moves first: one that lags behind ours would make `ServerClock` run ahead of it; and so would an answer that is
        taken in while only the server's has moved.
        """
        with self._turn:
            left = math.ceil((due - self._now) * 1000 - _ROUNDING) / 1000
            if left > 0:
                self._advance(left)
                self._now += left


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
        return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # an offset may lead out of the years that there are
        return None
