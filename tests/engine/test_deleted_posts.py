"""A post is deleted when the API says so and reads don't lag; a page in its place says nothing (rules 13, 14 and 30)."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import plan_rows

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.api.timing import PROOF_AFTER
from voxops.engine.execution import Execution
from voxops.errors import DecodeError


def made(rig: Rig) -> tuple[Kernel, str, Execution]:
    """Two posts, their run, and what it is verified by."""
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    return kernel, run, execution


@pytest.mark.parametrize("status", ["failed", "partial"])
def test_rule_30_what_failed_to_be_published_is_not_recovered(rig: Rig, status: str) -> None:
    _, _, execution = made(rig)
    first, _ = rig.sandbox.world.posts.values()
    first.status = status
    counts = eventloop.run(execution.verify())
    assert counts[["tried", "recovered", "failed_other", "pending"]].to_numpy().tolist() == [[2, 1, 1, 0]]


def test_rule_30_a_sheet_with_posts_of_its_own_is_verified_by_the_posts_that_it_made(rig: Rig) -> None:
    """It was made from last week's posts, whose ids are still in it."""
    kernel = rig.kernel()
    old = [
        rig.sandbox.plant_post("old", [rig.campaign(1)["accounts"][0]], status="published", daysOld=7) for _ in range(2)
    ]
    run = kernel.bind(plan_create(rig.campaign(2).assign(post_id=old), key="row_id"))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    for post in kernel.results(run)["result_id"]:
        rig.sandbox.person.delete(post)
    rig.sandbox.advance(PROOF_AFTER + 60)
    counts = eventloop.run(execution.verify())
    assert counts[["tried", "recovered", "blocked"]].to_numpy().tolist() == [[2, 0, 2]]
    assert outcomes(kernel.results(run)) == {"blocked": 2}


@pytest.mark.parametrize("body", ["html", "empty"])
def test_rule_30_a_404_of_a_proxy_deletes_no_post(rig: Rig, body: str) -> None:
    kernel, run, execution = made(rig)
    rig.sandbox.advance(PROOF_AFTER + 60)
    rig.sandbox.add_fault(Fault(action="garbage", method="GET", path="/v1/posts/*", body=body, status=404, times=None))
    with pytest.raises(DecodeError, match="404 came without the API's own words"):
        eventloop.run(execution.verify())
    assert outcomes(kernel.results(run)) == {"succeeded": 2}


def test_rule_30_what_reads_do_not_show_yet_is_not_deleted(rig: Rig) -> None:
    """Reads lag by 45 s: verified at once the posts seem to be deleted, and a next attempt makes them again."""
    rig.sandbox.set_switches(list_lag_seconds=45.0, single_reads_lag=True)
    kernel, run, execution = made(rig)
    eventloop.run(execution.verify())
    kernel.run(plan_create(rig.campaign(2).assign(attempt=2), key="row_id"))
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"succeeded": 2}


def test_rule_30_what_is_there_again_is_not_deleted(rig: Rig) -> None:
    """Reads lag for longer than anybody thinks; the next look puts it right."""
    rig.sandbox.set_switches(list_lag_seconds=PROOF_AFTER + 600, single_reads_lag=True)
    kernel, run, execution = made(rig)
    rig.sandbox.advance(PROOF_AFTER + 60)
    eventloop.run(execution.verify())
    assert outcomes(kernel.results(run)) == {"blocked": 2}
    rig.sandbox.advance(600)
    eventloop.run(execution.verify())
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
