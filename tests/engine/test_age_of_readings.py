"""A reading is as old as its first page: whatever holds the rest of it up makes it no better as evidence (rules 11 and 13)."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, HOUR, plan_rows, post

from voxburst_sandbox import Fault
from voxops.acts.create import plan_create

HELD_UP = {
    "a rate limit": Fault(action="retry_after", method="GET", path="/v1/posts", nth=2, seconds=300),
    "a nap": Fault(action="advance", method="GET", path="/v1/posts", nth=2, seconds=320),
    "a night": Fault(action="advance", method="GET", path="/v1/posts", nth=2, seconds=26 * HOUR),
}


@pytest.mark.parametrize("held_up", HELD_UP)
@pytest.mark.parametrize("forgets", [False, True])
def test_rows_are_not_made_again_upon_a_list_that_was_begun_too_early(rig: Rig, held_up: str, forgets: bool) -> None:
    rig.sandbox.set_switches(list_lag_seconds=20.0, forget_key_on_5xx=forgets)
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 120))  # more than one page
    rig.sandbox.advance(60)
    run = kernel.bind(plan_create(rig.campaign(5, start=500), key="row_id"))
    rig.sandbox.add_fault(*post({"action": "status", "status": 500, "when": "after"}, path=BULK))
    rig.sandbox.add_fault(HELD_UP[held_up])
    kernel.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"succeeded": 5}
    assert any(fault["struck"] for fault in rig.sandbox.faults() if fault["action"] == HELD_UP[held_up].action)


def test_a_colleague_who_posts_while_the_list_is_read_is_seen_before_anything_is_sent(rig: Rig) -> None:
    """The laptop sleeps for a night after the first page of its preflight; the same rows are made elsewhere meanwhile."""
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    mine.run(plan_rows(rig, 120))
    rig.sandbox.advance(60)
    plan = plan_create(rig.campaign(5, start=500), key="row_id")
    theirs.run(plan)
    created = rig.created()
    rig.sandbox.set_switches(list_lag_seconds=20.0)  # so that the first page does not show them yet
    rig.sandbox.add_fault(
        Fault(action="advance", method="GET", path="/v1/posts", nth=1, when="after", seconds=26 * HOUR)
    )
    assert outcomes(mine.run(plan)) == {"succeeded": 5}
    assert rig.created() == created
