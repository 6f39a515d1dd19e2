"""A process that stands still between the commit of a call and its bytes, as by SIGSTOP or a closed lid, while others go on (rule 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, outcomes, planned, wait_for

from voxops._support import eventloop
from voxops.acts.retry import plan_retry


def stopped(kernel: Kernel, run: str, *, clock_stops: bool) -> tuple[Future[Any], Callable[[], None]]:
    """Drive a run until its first call is written, and stop the process then; returns the work, and what wakes it."""
    sender, clock, woken = kernel.engine.sender, kernel.rig.clock, asyncio.Event()
    exchange, slept = sender._exchange, [0.0]

    async def stand_still(permit: Any, call: Any, committed: Any) -> Any:
        sender._exchange = exchange  # type: ignore[method-assign]
        kernel.asleep, before = True, clock.monotonic()
        await woken.wait()
        if clock_stops:  # in a sleep the one goes on, and the other does not
            slept[0] = clock.monotonic() - before
        kernel.asleep = False
        return await exchange(permit, call, committed)

    sender._exchange = stand_still  # type: ignore[method-assign]
    sender._clocks = lambda: (clock.monotonic() - slept[0], clock.wall())  # type: ignore[method-assign]
    work = kernel.start(run)
    wait_for(lambda: kernel.asleep)
    return work, lambda: eventloop.run(_set(woken))


async def _set(event: asyncio.Event) -> None:
    event.set()


@pytest.mark.parametrize("clock_stops", [False, True])
@pytest.mark.parametrize("seconds", [240.0, 420.0])
@pytest.mark.parametrize("ledger", ["the same ledger", "another ledger"])
@pytest.mark.parametrize("what", ["create", "retry"])
def test_rule_07_what_a_stopped_process_was_about_to_send_goes_out_once(
    rig, caplog, what, ledger, seconds, clock_stops
):
    """Another kernel resends it under its key, or does it anew, while the first stands still; that one then sends nothing."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    sleeper = rig.kernel("the same ledger")
    plan = planned(rig.campaign(1)) if what == "create" else plan_retry(sleeper.triaged())
    run = sleeper.bind(plan)
    work, wake = stopped(sleeper, run, clock_stops=clock_stops)
    rig.sandbox.advance(seconds)
    other = rig.kernel(ledger)
    assert outcomes(other.run(plan)) == {"succeeded": 1}
    sent = len(rig.acts())
    wake()
    work.result(60)
    assert len(rig.acts()) == sent
    assert "is not sent: it was written more than 15 s ago" in caplog.text
    changed = what == "retry" and ledger == "another ledger"  # the post, since the frame was loaded
    assert outcomes(sleeper.results(run)) == ({"blocked": 1} if changed else {"succeeded": 1})
    assert rig.effects("post.create" if what == "create" else "target.requeue") == 1
