"""What a monitor hears of other processes."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

from tests.chaos.rig import HELD, planned, wait_for

from voxops._support import eventloop
from voxops.engine import execution as module


def test_a_monitor_that_only_watches_shows_within_a_second_what_another_process_wrote(rig, monkeypatch):
    """No time passes for the loop, which would look at the ledger half a minute later."""
    waited, passes = [], asyncio.Semaphore(0)

    @asynccontextmanager
    async def timeout(seconds):
        waited.append(seconds)
        await passes.acquire()
        async with asyncio.timeout(0):
            yield

    async def one_passes():
        passes.release()

    sender, watcher = rig.kernel(timeout=HELD), rig.kernel()
    run = sender.bind(planned(rig.campaign(1)))
    with rig.at(0):
        sending = sender.caught(run, "/v1/posts**")
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(**vars(asyncio) | {"timeout": timeout}))
        watched = watcher.execution(run, paused=True)
        watching = eventloop.submit(watched.go())
        wait_for(lambda: waited)
        rig.let_go()
        sending.result(60)
        assert (waited[0], watched.snapshot.settled) == (1.0, 0)
        eventloop.run(one_passes())
        wait_for(lambda: watched.snapshot.settled)
    watching.result(60)
