"""A reading is as old as its first page, and a post of the future hides none that is created after it (rules 11 and 13)."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, HOUR, each_once, plan_rows, post

from voxburst_sandbox import Fault
from voxops.acts.create import plan_create

HELD_UP = {
    "a rate limit": Fault(action="retry_after", method="GET", path="/v1/posts", nth=2, seconds=300),
    "a nap": Fault(action="advance", method="GET", path="/v1/posts", nth=2, seconds=320),
    "a night": Fault(action="advance", method="GET", path="/v1/posts", nth=2, seconds=26 * HOUR),
}


@pytest.mark.parametrize("held_up", HELD_UP)
@pytest.mark.parametrize("forgets", [False, True])
def test_rows_are_not_created_again_upon_a_list_that_was_begun_too_early(rig: Rig, held_up: str, forgets: bool) -> None:
    rig.sandbox.set_switches(list_lag_seconds=20.0, forget_key_on_5xx=forgets)
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 120))  # more than one page
    rig.sandbox.advance(60)
    run = kernel.bind(plan_create(rig.campaign(5, start=500), key="row_id"))
    rig.sandbox.add_fault(*post({"action": "status", "status": 500, "when": "after"}, path=BULK), HELD_UP[held_up])
    kernel.go(run)
    each_once(rig, 125)
    assert outcomes(kernel.results(run)) == {"succeeded": 5}
    assert any(fault["struck"] for fault in rig.sandbox.faults() if fault["action"] == HELD_UP[held_up].action)


def test_a_colleague_who_posts_while_the_list_is_read_is_seen_before_anything_is_sent(rig: Rig) -> None:
    """The laptop sleeps for a night after the first page of its first reading; the same rows are created elsewhere meanwhile."""
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    mine.run(plan_rows(rig, 120))
    rig.sandbox.advance(60)
    plan = plan_create(rig.campaign(5, start=500), key="row_id")
    theirs.run(plan)
    rig.sandbox.set_switches(list_lag_seconds=20.0)  # so that the first page does not show them yet
    rig.sandbox.add_fault(Fault("advance", "GET", "/v1/posts", nth=1, when="after", seconds=26 * HOUR))
    assert outcomes(mine.run(plan)) == {"succeeded": 5}
    each_once(rig, 125)


def test_rule_13_a_post_of_the_future_hides_no_others(rig: Rig) -> None:
    """Somebody has imported a post of the day after tomorrow, which stands on top of the list; then a colleague runs the sheet."""
    world, post = rig.sandbox.world, rig.sandbox.plant_post("imported", [rig.accounts["twitter"]], status="draft")
    imported = world.posts[post]
    world.remove_post(imported)
    imported.created_at += 2 * 86_400_000
    world.add_post(imported)
    mine = rig.kernel("mine")
    mine.run(plan_create(rig.campaign(1).assign(content="older"), key="row_id", campaign="another"))
    rig.kernel("theirs").run(plan_rows(rig, 150))
    rig.sandbox.advance(26 * HOUR)
    assert outcomes(mine.run(plan_rows(rig, 150))) == {"succeeded": 150}
    each_once(rig, 151)
