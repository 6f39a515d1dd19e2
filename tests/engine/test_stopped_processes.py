"""A process that stands still between the commit of a call and its bytes, as by SIGSTOP or a closed lid, while others go on (rule 7)."""

import asyncio

import pytest
from tests.chaos import world
from tests.chaos.rig import outcomes, planned, wait_for

from voxops._support import eventloop
from voxops.acts.retry import plan_retry


@pytest.mark.parametrize("what", ["create", "retry"])
def test_rule_07_what_a_stopped_process_was_about_to_send_goes_out_once(rig, caplog, what):
    """Another kernel resends it under its key while the first, and one of its clocks, stands still; that one then sends nothing."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    sleeper, clock, woken = rig.kernel(), rig.clock, asyncio.Event()
    plan = planned(rig.campaign(1)) if what == "create" else plan_retry(sleeper.triaged())
    run, sender = sleeper.bind(plan), sleeper.engine.sender
    exchange, slept = sender._exchange, [0.0]

    async def stand_still(permit, call, committed):
        sender._exchange = exchange
        sleeper.asleep, before = True, clock.monotonic()
        await woken.wait()
        slept[0] = clock.monotonic() - before  # the wall's clock went on
        sleeper.asleep = False
        return await exchange(permit, call, committed)

    async def wake():
        woken.set()

    sender._exchange = stand_still
    sender._clocks = lambda: (clock.monotonic() - slept[0], clock.wall())
    work = sleeper.start(run)
    wait_for(lambda: sleeper.asleep)
    rig.sandbox.advance(240)
    assert outcomes(rig.kernel().run(plan)) == {"succeeded": 1}
    sent = len(rig.acts())
    eventloop.run(wake())
    work.result(60)
    assert len(rig.acts()) == sent
    assert "is not sent: it was written more than 15 s ago" in caplog.text
    assert outcomes(sleeper.results(run)) == {"succeeded": 1}
    assert rig.effects("post.create" if what == "create" else "target.requeue") == 1
