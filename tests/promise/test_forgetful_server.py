"""Promised: with a server that forgets or ignores keys and still executes, what goes out twice is reported."""

from __future__ import annotations

import asyncio

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Kernel, outcomes
from tests.engine.steps import HOUR, RETRY, failing

from voxops._support import eventloop
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.engine.lookback import FEW


def looked_back(kernel: Kernel, run: str) -> pd.DataFrame:
    """What a run says in the end, after it has looked for what others did at the same moment."""
    execution = kernel.execution(run, look_back=True)
    eventloop.run(execution.go())
    eventloop.run(asyncio.wait_for(execution._after, 30))
    table = kernel.results(run)
    return table[table["notice"].notna()]


@pytest.mark.parametrize("what", ["answered", "not answered", "delivery", "more than are read"])
def test_rule_19_what_two_people_retry_at_the_same_moment_is_reported(rig, what):
    """Where keys are ignored nobody can prevent it: both have read the thing before either has sent."""
    rig.sandbox.set_switches(ignore_keys=True)
    kernels = [rig.kernel("one"), rig.kernel("two")]
    if what == "delivery":
        world.plant_deliveries(rig.sandbox, 1)
        plan = plan_redeliver(kernels[0].deliveries())
    else:
        world.plant_posts(rig.sandbox, FEW + 10 if what == "more than are read" else 2, targets=1)
        plan = plan_retry(kernels[0].triaged())
    runs = [kernel.bind(plan) for kernel in kernels]
    if what == "not answered":
        rig.sandbox.add_fault(*failing({"action": "drop", "when": "after", "times": 1}, path=RETRY))
    for kernel, run in zip(kernels, runs, strict=True):
        kernel.send_once(run)
    said = pd.concat([looked_back(kernel, run) for kernel, run in zip(kernels, runs, strict=True)])
    assert len(rig.acts()) == 2 * len(plan.items)
    assert set(said["post_id" if "post_id" in said else "delivery_id"]) == {item.subject.id for item in plan.items}
    assert said["notice"].str.startswith("may have gone out twice: somebody else").all()


def test_rule_19_a_later_attempt_of_our_own_is_nobody_else_s(rig):
    """The first cell, run again after the second had retried what was left, said that somebody else did the same."""
    world.plant_posts(rig.sandbox, 3, targets=1)
    rig.sandbox.set_switches(recovery_rate=0.0)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    run = kernel.done(plan)
    assert outcomes(kernel.results(run)) == {"failed": 3}
    rig.sandbox.set_switches(recovery_rate=1.0)
    assert outcomes(kernel.run(plan_retry(kernel.execution(run).failed()))) == {"succeeded": 3}
    assert looked_back(kernel, kernel.bind(plan)).empty
    assert rig.effects("post.retry") == 6


@pytest.mark.parametrize("jump", [0.0, 26 * HOUR])
@pytest.mark.parametrize("what", ["retry", "create"])
def test_rule_09_past_the_retention_nothing_is_resent_that_is_not_proved_absent(rig, jump, what):
    """What took effect is found. Of what did not, creates are proved absent; a retry stays unknown until its next attempt."""
    rig.sandbox.set_switches(key_retention_seconds=3600)
    world.plant_posts(rig.sandbox, 4)
    kernel, path = rig.kernel(retention=HOUR), RETRY if what == "retry" else "/v1/posts"
    plan = plan_retry(kernel.triaged()) if what == "retry" else rig.plan_rows(4, one_by_one=True)
    faults = [{"action": "drop", "when": "after", "nth": 1}, {"action": "drop", "when": "before", "nth": 2}]
    rig.sandbox.add_fault(
        *failing(*faults, *([{"action": "advance", "seconds": jump, "nth": 3}] if jump else []), path=path)
    )
    table = kernel.run(plan)
    left = table[table["outcome"] != "succeeded"]
    assert len(rig.acts()) == (4 if what == "retry" else 5)
    if what == "retry":
        assert set(left["reason_code"]) == {"resend_key_forgotten"}
        rig.sandbox.advance(601)
        assert outcomes(kernel.run(plan_retry(kernel.triaged().assign(attempt=2)))) == {"succeeded": len(left)}
        assert rig.count(expected(plan)).holds
    else:
        assert left.empty
        rig.each_once(4)
