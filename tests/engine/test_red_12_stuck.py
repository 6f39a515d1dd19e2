"""A retry that an analyst has chosen and that hangs is planned again as chosen (rule 18)."""

from __future__ import annotations

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes

from voxops.acts.retry import plan_retry

ENDLESS = 1e7  # seconds, for which nothing of a retry shows


@pytest.mark.parametrize("slow", ["queue_hold_seconds", "linger_failed_seconds"])
def test_run_failed_stuck_keeps_the_retryable_that_the_analyst_has_set(rig: Rig, slow: str) -> None:
    """Rule 18: `run.failed(stuck=True)` keeps what the analyst set, and its plan ends the try that hangs.

    The rules would not retry this error, the analyst does; the API accepts it, and nothing shows for eleven minutes.
    """
    for post in world.plant_posts(rig.sandbox, 3, targets=1):
        rig.sandbox.world.posts[post].targets[0].error = {
            "code": "PUBLISH_ERROR",
            "message": "policy check did not pass",
        }
    kernel = rig.kernel()
    triaged = kernel.triaged()
    assert plan_retry(triaged).eligible == 0
    rig.sandbox.set_switches(**{slow: ENDLESS})
    run = kernel.bind(plan_retry(triaged.assign(retryable=True)))
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"pending": 3}
    rig.sandbox.advance(660)
    rig.sandbox.set_switches(**{slow: 0.0})

    kernel = rig.kernel()
    stuck = kernel.execution(run).failed(stuck=True)
    assert len(stuck) == 3
    assert stuck["retryable"].all()
    plan = plan_retry(stuck)
    assert plan.eligible == 3
    assert outcomes(kernel.run(plan)) == {"succeeded": 3}
    assert rig.effects("post.retry") == 6
    assert rig.effects("target.publish") == 3
    assert outcomes(kernel.run(plan)) == {"succeeded": 3}  # Run All
    assert rig.effects("post.retry") == 6
