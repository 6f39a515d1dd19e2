"""Virtual time that is honest about concurrency: it moves to the next instant that somebody waits for, once nothing is under way.

`SteppedClock` lets each sleeper move the server's clock by itself, so that two who wait at the same time let the sum pass.
For a test of what happens that is enough; for one of pace, or of how old a reading is, it is not.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops._support import eventloop
from voxops.client import AsyncClient, SteppedClock
from voxops.connection import open_workspace

QUIET_LOOKS = 3  # times in a row that nothing may be under way, or about to run, before time moves
BETWEEN_LOOKS = 0.001  # real seconds
PATIENCE = 60.0  # real seconds that something may take that happens soon, on a busy machine


class VirtualTime:
    """A clock for one event loop and one sandbox that stands still by itself.

    Parameters
    ----------
    advance : callable
        Moves the sandbox's clock by so many seconds; blocks.
    """

    def __init__(self, advance: Callable[[float], object]) -> None:
        self._advance = advance
        self._now = 0
        self._numbers = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._driver: asyncio.Task[None] | None = None
        self.busy: Callable[[], bool] = lambda: False

    def passed(self) -> int:
        """Whole milliseconds that have passed, as the sandbox counts."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that have passed."""
        return self.passed() / 1000

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds have passed."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.passed() + math.ceil(seconds * 1000), next(self._numbers), woken))
        if self._driver is None or self._driver.done():
            self._driver = asyncio.create_task(self._drive())
        await woken

    async def _drive(self) -> None:
        """Move time from sleeper to sleeper."""
        while self._sleepers:
            await self._quiet()
            due, _, woken = heapq.heappop(self._sleepers)
            failure: Exception | None = None
            try:
                if not woken.done() and (left := due - self.passed()) > 0:
                    await asyncio.to_thread(self._advance, left / 1000)
                    self._now += left
            except Exception as error:  # it belongs to whoever waits
                failure = error
            if woken.done():  # it was cancelled, perhaps while time moved
                continue
            if failure is None:
                woken.set_result(None)
            else:
                woken.set_exception(failure)

    async def _quiet(self) -> None:
        """Return when nothing has been under way for some looks in a row.

        A task that has been woken and has not had its turn yet is under way, too: on a busy machine that may take many looks.
        """
        ready, quiet = asyncio.get_running_loop()._ready, 0  # type: ignore[attr-defined]
        while quiet < QUIET_LOOKS:
            await asyncio.sleep(BETWEEN_LOOKS)
            quiet = 0 if ready or self.busy() else quiet + 1


@contextmanager
def workspace(sandbox: Sandbox, *, ledger: Path | None = None) -> Iterator[vx.Workspace]:
    """A workspace of a sandbox that lives in virtual time; its ledger is forgotten where none is named."""
    clock = VirtualTime(sandbox.advance)
    client = AsyncClient(sandbox.api_key, url=sandbox.url, max_wait=600.0, clock=clock)
    with tempfile.TemporaryDirectory() as folder:
        ws = eventloop.run(open_workspace(client, ledger=ledger or Path(folder) / "ledger.sqlite"))
        pace, engine = client._pace, ws._session.engine
        clock.busy = lambda: pace.busy or engine._writer.unwritten > 0
        with ws:
            yield ws


@contextmanager
def standing_still(client: AsyncClient) -> Iterator[None]:
    """No time passes for a client with a `SteppedClock`: what sleeps goes on sleeping, so that a run gets no further than its canaries.

    What is done to a run in here is done before its end, however long this thread is suspended meanwhile.
    """
    clock = client.clock
    assert isinstance(clock, SteppedClock)
    with clock._turn:
        yield


def until(condition: Callable[[], Any]) -> None:
    """Look again and again at what another thread or process does, until it has come true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
