"""Clocks: this machine's elapsed time, and time that is stepped."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable

# This clock keeps counting while the machine sleeps: on macOS CLOCK_MONOTONIC does, unlike Python's time.monotonic.
_AWAKE_OR_ASLEEP = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))

_QUIET_TURNS = 5  # of the event loop in a row, before a `SteppedClock` moves
_POLL_INTERVAL, _STEP = 0.001, 0.01  # real seconds
_ROUNDING = 1e-6  # milliseconds


class SystemClock:
    """Real time, including time that a laptop sleeps.

    Parameters
    ----------
    speed : float
        Seconds of this clock per real second, above 0; another than 1 is for a server whose clock is virtual.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed

    def monotonic(self) -> float:
        """Seconds since some fixed instant."""
        real = time.monotonic() if _AWAKE_OR_ASLEEP is None else time.clock_gettime(_AWAKE_OR_ASLEEP)
        return real * self.speed

    def wall(self) -> float:
        """Seconds of this machine's calendar clock, which a person or a server may set."""
        return time.time() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)


class SteppedClock:
    """The clock of a server whose time moves to the next instant that somebody waits for, once nothing is under way.

    Sleeps overlap, as in real time, and end in the order of their instants; so the duration of a run does not depend on how busy this
    machine is.

    Parameters
    ----------
    advance : callable
        Advances the server's clock by so many seconds; may block.
    speed : float
        Server seconds per real second of sleep, whatever is under way; infinite by default, so that sleeping takes no time.
    """

    def __init__(self, advance: Callable[[float], object], *, speed: float = math.inf) -> None:
        self.speed = speed
        self._advance = advance
        self._passed = 0
        self._turn = threading.Lock()
        self._numbers = itertools.count()
        self._sleepers: list[
            tuple[int, int, asyncio.Future[None]]
        ] = []  # by instant, then in the order of their arrival
        self._driver: asyncio.Task[None] | None = None
        self._work: list[Callable[[], bool]] = []

    def attend(self, works: Callable[[], bool]) -> None:
        """Stop the clock while `works` returns True; only at infinite speed."""
        self._work.append(works)

    def passed(self) -> int:
        """Whole milliseconds that this clock has advanced, as the server counts."""
        return self._passed

    def monotonic(self) -> float:
        """Seconds that this clock has advanced."""
        return self.passed() / 1000

    wall = monotonic

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass at the server."""
        start, began = self.passed(), time.monotonic()
        # At least one if there is any: a waiter may be a rounding error away from its instant, and would wait endlessly.
        due = start + max(math.ceil(seconds * 1000 - _ROUNDING), int(seconds > 0))
        while self.passed() < due and not math.isinf(speed := self.speed):
            await asyncio.sleep(min(_STEP, (due - self.passed()) / 1000 / speed))
            shown = start + math.ceil((time.monotonic() - began) * 1000 * speed)
            await asyncio.to_thread(self._move, min(due, shown))
        if self.passed() >= due:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (due, next(self._numbers), woken))
        if self._driver is None or self._driver.done():
            self._driver = asyncio.create_task(self._drive())
        await woken

    async def _drive(self) -> None:
        """Move time from sleeper to sleeper; a failure of the server is the sleeper's."""
        while self._sleepers:
            await self._quiet()
            due, _, woken = heapq.heappop(self._sleepers)
            if woken.done():
                continue
            try:
                await asyncio.to_thread(self._move, due)
            except Exception as error:  # noqa: BLE001  whatever it is belongs to who sleeps
                if not woken.done():
                    woken.set_exception(error)
            if not woken.done():  # it may have been cancelled while time moved
                woken.set_result(None)

    async def _quiet(self) -> None:
        """Return when nothing is under way: neither work, nor a task that was woken and has not had its turn yet."""
        ready = getattr(asyncio.get_running_loop(), "_ready", ())  # not every kind of loop has it
        turns = 0
        while turns < _QUIET_TURNS:
            busy = any(works() for works in self._work)
            await asyncio.sleep(_POLL_INTERVAL if busy else 0)
            turns = 0 if busy or ready else turns + 1

    def _move(self, due: int) -> None:
        """Advance both clocks to an instant without a turn of the event loop between them.

        The server's clock moves first: `ServerClock` would run ahead of a server that lags behind. An answer processed between the
        two moves would do the same.
        """
        with self._turn:
            left = due - self.passed()
            if left > 0:
                self._advance(left / 1000)
                self._passed += left
