"""A process that stands still between the commit of a call and its bytes, as by SIGSTOP or a closed lid, while others go on (rule 7)."""

from __future__ import annotations

import asyncio

import pytest
from tests.chaos import world
from tests.chaos.rig import outcomes, planned, wait_for

from voxops._support import eventloop
from voxops.acts.retry import plan_retry


def stopped(kernel, run):
    """Drive a run until its first call is written, and stop the process then, and one of its clocks; returns the work, and what wakes it."""
    sender, clock, woken = kernel.engine.sender, kernel.rig.clock, asyncio.Event()
    exchange, slept = sender._exchange, [0.0]

    async def stand_still(permit, call, committed):
        sender._exchange = exchange
        kernel.asleep, before = True, clock.monotonic()
        await woken.wait()
        slept[0] = clock.monotonic() - before  # the wall's clock went on
        kernel.asleep = False
        return await exchange(permit, call, committed)

    sender._exchange = stand_still
    sender._clocks = lambda: (clock.monotonic() - slept[0], clock.wall())
    work = kernel.start(run)
    wait_for(lambda: kernel.asleep)

    async def wake():
        woken.set()

    return work, wake


@pytest.mark.parametrize("what", ["create", "retry"])
def test_rule_07_what_a_stopped_process_was_about_to_send_goes_out_once(rig, caplog, what):
    """Another kernel resends it under its key while the first stands still; that one then sends nothing."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    sleeper = rig.kernel()
    plan = planned(rig.campaign(1)) if what == "create" else plan_retry(sleeper.triaged())
    run = sleeper.bind(plan)
    work, wake = stopped(sleeper, run)
    rig.sandbox.advance(240)
    assert outcomes(rig.kernel().run(plan)) == {"succeeded": 1}
    sent = len(rig.acts())
    eventloop.run(wake())
    work.result(60)
    assert len(rig.acts()) == sent
    assert "is not sent: it was written more than 15 s ago" in caplog.text
    assert outcomes(sleeper.results(run)) == {"succeeded": 1}
    assert rig.effects("post.create" if what == "create" else "target.requeue") == 1
