"""Promised: a lost or rolled-back ledger posts nothing twice, and loses nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import DAY, Kernel, outcomes, planned
from tests.engine.steps import BULK, HOUR

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.api.timing import PROOF_AFTER


def all_blocked(kernel: Kernel, plan: Plan, code: str) -> None:
    run = kernel.done(plan)
    assert outcomes(kernel.results(run)) == {"blocked": len(plan.items)}
    assert kernel.blocked(run) == {code: len(plan.items)}


@pytest.mark.parametrize("waits", [0.0, 40 * 86_400.0])
def test_rule_10_a_ledger_that_sees_the_workspace_first_finds_its_rows_and_no_others(rig, waits):
    """After forty days, too. Another sheet with the same row names, without a campaign, is not taken for created."""
    frame = rig.campaign(4)
    rig.kernel("theirs").run(plan_create(frame, key="row_id"))
    rig.sandbox.advance(waits)
    assert outcomes(rig.kernel("mine").run(plan_create(frame, key="row_id"))) == {"succeeded": 4}
    this_week = frame.assign(content="this week: " + frame["content"])
    all_blocked(rig.kernel("another"), plan_create(this_week, key="row_id"), "other_content")
    rig.each_once(4)
    assert outcomes(rig.kernel("another").run(plan_create(this_week, key="row_id", campaign="this week"))) == {
        "succeeded": 4
    }


@pytest.mark.parametrize("rows", [10, 60])
def test_rule_10_a_ledger_that_was_lost_finds_its_creates_by_their_mark(rig, rows):
    """Colab lost its disk. First some rows are run, then all: the search must not be spent on the first."""
    plan = rig.plan_rows(60)
    assert outcomes(rig.kernel("lost").run(plan)) == {"succeeded": 60}
    for number, later in enumerate((12 * HOUR, 31 * 24 * HOUR)):  # what waits to go out is found however old it is
        rig.sandbox.advance(later)
        world.plant_posts(rig.sandbox, 150, targets=1, name=f"other{number}")
    second = rig.kernel("new")
    for wanted in (rig.plan_rows(rows), plan):
        assert outcomes(second.run(wanted)) == {"succeeded": len(wanted.items)}
    assert rig.count(expected(plan)).holds
    rig.each_once(60)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_10_what_was_cancelled_40_days_ago_is_not_created_again_by_a_fresh_ledger(rig, one_by_one):
    """Rule 10: at first sight of a workspace the list is read 400 days back for whatever has not gone out, cancelled included.

    The server has forgotten the keys, and others have posted ever since.
    """
    sheet = rig.campaign(3)
    rig.kernel("lost").run(planned(sheet, one_by_one=one_by_one))
    rig.sandbox.advance(600)
    for post in list(rig.sandbox.world.posts):
        rig.sandbox.person.withdraw(post)
    rig.sandbox.advance(40 * DAY)
    account = next(iter(rig.accounts.values()))
    for number in range(300):
        rig.sandbox.plant_post(f"other {number}", [account], status="published", daysOld=number / 8)

    kernel = rig.kernel("fresh")
    run = kernel.done(planned(sheet, one_by_one=one_by_one))
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"blocked": 3}
    assert kernel.blocked(run) == {"withdrawn_since": 3}


@pytest.mark.parametrize("clone", ["", "also cloned", "only the clone is left"])
def test_rule_10_a_fresh_ledger_finds_a_post_for_next_week_that_was_created_35_days_ago(rig, clone):
    """Its clone is a draft without a time, which bears all its marks, and is nobody's."""
    sheet = rig.campaign(2, when=rig.sandbox.now() + timedelta(days=42))
    ids = rig.kernel("lost").run(planned(sheet))["result_id"]
    rig.sandbox.advance(35 * DAY)
    if clone:
        theirs = rig.kernel("theirs")
        eventloop.run(theirs.client.request("POST", f"/v1/posts/{ids[0]}/clone"))
    if clone == "only the clone is left":
        rig.sandbox.person.delete(ids[0])
    rig.others_post()
    assert outcomes(rig.kernel("fresh").run(planned(sheet))) == {"succeeded": 2}
    assert set(rig.live()[text] for text in sheet["content"]) == {1}
    assert rig.effects("post.create") == 2 + (clone == "only the clone is left")


@pytest.mark.parametrize("hidden", ["", "no_metadata", "no_listed_metadata"])
def test_rule_11_alone_a_500_that_forgets_the_key_of_30_created_rows_creates_none_twice(rig, hidden):
    """Thirty of fifty were created. Where lists hide marks, all fifty stay in doubt, and a person looks; else the twenty follow."""
    rig.sandbox.set_switches(forget_key_on_5xx=True, **({hidden: True} if hidden else {}))
    kernel, sheet = rig.kernel(alone=True, told=False), rig.campaign(50)
    for _ in range(2):
        kernel.run(planned(rig.campaign(1, start=50)))  # a create of its own tells what lists show
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=30))
    run = kernel.bind(planned(sheet))
    for _ in range(2):
        kernel.go(run)
        rig.sandbox.advance(PROOF_AFTER + 100)
    assert outcomes(kernel.results(run)) == ({"unknown": 50} if hidden else {"succeeded": 50})
    assert rig.effects("post.create") == (31 if hidden else 51)
    assert set(rig.created().values()) == {1}
