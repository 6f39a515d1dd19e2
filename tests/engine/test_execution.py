"""What a monitor hears of other processes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.chaos.rig import HELD, planned, wait_for

from voxops._support import eventloop
from voxops.engine import execution as module


class Seconds:
    """asyncio, but for the seconds that a monitor waits: each passes when the test says so."""

    def __init__(self):
        self.waited: list[float] = []
        self._passes = asyncio.Semaphore(0)

    def __getattr__(self, name):
        return getattr(asyncio, name)

    @asynccontextmanager
    async def timeout(self, seconds):
        self.waited.append(seconds)
        await self._passes.acquire()
        async with asyncio.timeout(0):
            yield

    async def one_passes(self):
        self._passes.release()


def test_a_monitor_that_only_watches_shows_within_a_second_what_another_process_wrote(rig, monkeypatch):
    """No time passes for the loop, which would look at the ledger half a minute later."""
    seconds = Seconds()
    monkeypatch.setattr(module, "asyncio", seconds)
    sender, watcher = rig.kernel(timeout=HELD), rig.kernel()
    run = sender.bind(planned(rig.campaign(1)))
    with rig.at(0):
        sending = sender.caught(run, "/v1/posts**")
        watched = watcher.execution(run, paused=True)
        watching = eventloop.submit(watched.go())
        wait_for(lambda: seconds.waited)
        rig.let_go()
        sending.result(60)
        assert (seconds.waited, watched.snapshot.settled) == ([1.0], 0)
        eventloop.run(seconds.one_passes())
        wait_for(lambda: watched.snapshot.settled or len(seconds.waited) > 1)
        assert watched.snapshot.settled == 1
    watching.result(60)
