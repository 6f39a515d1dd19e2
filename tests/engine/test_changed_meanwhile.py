"""What was changed, undone, duplicated, given up or made again meanwhile, here or by others (rules 5, 13, 20, 26 and 30)."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import edit, scheduled, send_once

from voxops._core import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_bulk
from voxops.acts.update import plan_reschedule, plan_update
from voxops.sandbox import Fault

DAY = 86_400.0


def plan(sheet: pd.DataFrame) -> object:
    return plan_bulk(sheet, key="row_id", campaign="spring")


def stopped(rig: Rig, kernel: Kernel, run: str) -> None:
    """The key does not count for a while: a run stops before anything happens."""
    rig.sandbox.add_fault(Fault("status", status=401, code="UNAUTHORIZED", when="before", times=None))
    kernel.go(run)
    rig.sandbox.clear_faults()


@pytest.mark.parametrize("how", ["unsent", "lost answer", "lost answer, and reads lag"])
def test_rule_26_a_row_that_asks_for_what_an_open_change_makes_of_a_post_waits(rig, how):
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(row_id="001")
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    lag = 60.0 if "lag" in how else 0.0
    rig.sandbox.set_switches(list_lag_seconds=lag, single_reads_lag=bool(lag))
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_content="mended")))
    if how == "unsent":
        stopped(rig, kernel, run)
    else:
        rig.sandbox.add_fault(Fault("status", status=500, path="/v1/posts/*", method="PATCH", when="after"))
        send_once(kernel, run)
        rig.sandbox.clear_faults()
    kernel.kill()
    kernel = rig.kernel()
    rig.sandbox.advance(5)
    changed = sheet.assign(row_id="1", content="mended")
    assert outcomes(kernel.run(plan(changed))) == {"blocked": 1}
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert scheduled(rig, "mended") == 1


def test_rule_26_a_change_of_another_post_or_of_another_campaign_holds_no_row(rig):
    kernel, sheet = rig.kernel(), rig.campaign(2)
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    posts = kernel.posts("scheduled").set_index("content").loc[sheet["content"]].reset_index()
    stopped(rig, kernel, kernel.bind(plan_update(posts.head(1).assign(new_content="mended"))))
    other = plan_bulk(sheet.head(1).assign(content="mended"), key="row_id", campaign="summer")
    assert outcomes(kernel.run(other)) == {"succeeded": 1}
    assert outcomes(kernel.run(plan(sheet.head(1).assign(row_id="x", content="something else")))) == {"succeeded": 1}
    twin = sheet.head(1).assign(row_id="y", content="mended", twin=True)
    assert outcomes(kernel.run(plan(twin))) == {"succeeded": 1}


@pytest.mark.parametrize("what", ["cancel", "text"])
def test_rule_05_what_somebody_undid_is_held_also_after_another_act_of_ours(rig, what):
    account = next(iter(rig.accounts.values()))
    when = {"status": "scheduled", "scheduledFor": "2027-03-01T09:00:00Z"}
    post = rig.sandbox.plant_post("wrong price", [account], daysOld=1, **when)
    kernel = rig.kernel()
    posts = kernel.posts("scheduled")
    cell = plan_cancel(posts) if what == "cancel" else plan_update(posts.assign(new_content="right price"))
    assert outcomes(kernel.run(cell)) == {"succeeded": 1}
    rig.sandbox.advance(DAY)
    if what == "cancel":
        rig.sandbox.world.posts[post].status = "scheduled"
        edit(rig, post)
    else:
        rig.sandbox.person.edit(post, content="wrong price")
    rig.sandbox.advance(DAY)
    later = kernel.posts("scheduled")
    other = plan_update(later.assign(new_tags="x")) if what == "cancel" else plan_reschedule(later, by="3D")
    assert outcomes(kernel.run(other)) == {"succeeded": 1}
    rig.sandbox.advance(DAY)
    table = kernel.run(cell)
    assert table["waiting_for"].to_list() == [
        "done before, and undone since; load it again, and plan what is still wanted"
    ]


def test_rule_05_what_a_later_change_of_ours_replaced_is_done(rig):
    account = next(iter(rig.accounts.values()))
    rig.sandbox.plant_post("one", [account], status="scheduled", scheduledFor="2027-03-01T09:00:00Z", daysOld=1)
    kernel = rig.kernel()
    cell = plan_update(kernel.posts("scheduled").assign(new_content="two"))
    kernel.run(cell)
    rig.sandbox.advance(DAY)
    kernel.run(plan_update(kernel.posts("scheduled").assign(new_content="three")))
    rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(cell)) == {"succeeded": 1}
    assert rig.effects("post.update") == 2


def test_rule_05_tags_that_were_mended_as_the_reason_says_are_as_the_sheet_asks(rig):
    kernel, sheet = rig.kernel(), rig.campaign(2)
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    mended = sheet.assign(tags="spring;sale")
    table = kernel.run(plan(mended))
    assert table["waiting_for"].str.contains("other values of tags; change the post itself, with vx.plan_update").all()
    for tags in ("sale", "sale;spring"):
        assert outcomes(kernel.run(plan(mended))) == {"blocked": 2}, "none or others"
        kernel.run(plan_update(kernel.posts("scheduled").assign(new_tags=tags)))
        rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(plan(mended))) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize(
    ("mended", "given", "outcome"),
    [
        ({"tags": "x", "content": "b"}, {"new_tags": "x", "new_content": "b"}, "succeeded"),
        ({"tags": "x", "content": "b"}, {"new_content": "b"}, "blocked"),
        ({"tags": "x", "content": "b"}, {"new_tags": "x"}, "blocked"),
        ({"tags": "x", "content": "b"}, {"new_tags": "y", "new_content": "b"}, "blocked"),
        ({"tags": None}, {"new_tags": "y"}, "blocked"),
        ({"content": "b"}, {"new_tags": "y", "new_content": "b"}, "succeeded"),
        ({"content": "b"}, {"new_tags": "y"}, "blocked"),
        ({"content": "b", "first_comment": "c"}, {"new_content": "b"}, "blocked"),
        ({"first_comment": "c"}, {"new_content": "b"}, "blocked"),
    ],
)
def test_rule_05_only_a_post_that_was_mended_as_the_sheet_was_is_as_it_asks(rig, mended, given, outcome):
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(tags="first")
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    kernel.run(plan_update(kernel.posts("scheduled").assign(**given)))
    rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(plan(sheet.assign(**mended)))) == {outcome: 1}
    assert len(rig.sandbox.world.posts) == 1


def test_rule_13_a_row_that_a_colleague_made_again_is_there(rig):
    mine, theirs, sheet = rig.kernel("mine"), rig.kernel("theirs"), rig.campaign(1)
    mine.run(plan(sheet))
    rig.sandbox.advance(DAY)
    theirs.run(plan_cancel(theirs.posts("scheduled")))
    rig.sandbox.advance(DAY)
    again = theirs.run(plan(sheet.assign(attempt=2)))
    rig.sandbox.advance(DAY)
    table = mine.run(plan(sheet))
    assert (outcomes(table), table["result_id"].to_list()) == ({"succeeded": 1}, again["result_id"].to_list())
    assert scheduled(rig, sheet["content"][0]) == 1


@pytest.mark.parametrize("fresh", [True, False])
def test_rule_13_a_duplicate_that_was_made_into_another_post_is_no_row(rig, fresh):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    kernel.run(plan(sheet))
    (post,) = list(rig.sandbox.world.posts)
    rig.sandbox.advance(600)
    copy = rig.sandbox.person.duplicate(post)
    rig.sandbox.advance(5)
    rig.sandbox.person.edit(copy, content="made from a template", scheduled_for="2027-03-09T09:00:00Z")
    rig.sandbox.world.posts[copy].status = "scheduled"
    rig.sandbox.advance(600)
    posts = kernel.posts("scheduled")
    kernel.run(plan_cancel(posts[posts["post_id"] == post]))
    rig.sandbox.advance(DAY)
    kernel = rig.kernel("fresh") if fresh else kernel
    assert kernel.run(plan(sheet))["waiting_for"].str.contains(f"made as {post}, cancelled since").all()
    table = kernel.run(plan(sheet.assign(attempt=2)))
    assert (outcomes(table), scheduled(rig, sheet["content"][0])) == ({"succeeded": 1}, 1)
    assert table["result_id"].to_list() not in ([post], [copy])


@pytest.mark.parametrize("running", [True, False])
def test_rule_20_giving_up_an_older_run_leaves_what_a_later_one_waits_to_send(rig, running):
    kernel, sheet = rig.kernel(), rig.campaign(3)
    monday = kernel.bind(plan(sheet))
    stopped(rig, kernel, monday)
    rig.sandbox.advance(3600)
    tuesday = kernel.bind(plan(sheet))
    if running:
        stopped(rig, kernel, tuesday)
    eventloop.run(kernel.execution(monday, paused=True).pause(withdraw=True))
    assert set(kernel.results(monday)["waiting_for"]) == {f"{monday} was given up, but {tuesday} waits to send it"}
    kernel.go(tuesday)
    assert outcomes(kernel.results(tuesday)) == {"succeeded": 3}
    assert set(rig.created().values()) == {1}


def test_rule_20_giving_up_the_latest_run_gives_its_rows_up(rig):
    kernel, sheet = rig.kernel(), rig.campaign(3)
    for _ in range(2):
        run = kernel.bind(plan(sheet))
        stopped(rig, kernel, run)
        rig.sandbox.advance(3600)
    eventloop.run(kernel.execution(run, paused=True).pause(withdraw=True))
    assert kernel.go(run).phase == "cancelled"
    assert rig.created() == {}
    assert outcomes(kernel.run(plan(sheet))) == {"succeeded": 3}


def test_a_draft_that_has_its_time_is_let_out_by_that_time(rig):
    account = next(iter(rig.accounts.values()))
    when = "2027-03-01T09:00:00Z"
    post = rig.sandbox.plant_post("sent back", [account], status="draft", scheduledFor=when, daysOld=1)
    kernel = rig.kernel()
    drafts = kernel.posts("draft")
    drafts = drafts[drafts["post_id"] == post]
    held = plan_reschedule(drafts, to=pd.Timestamp(when)).frame["reason"].to_list()
    assert held == ["a draft: a time would let it go out; plan_update with new_scheduled_for says that this is meant"]
    assert outcomes(kernel.run(plan_update(drafts.assign(new_scheduled_for=pd.Timestamp(when))))) == {"succeeded": 1}
    assert rig.sandbox.world.posts[post].status == "scheduled"
    rig.sandbox.advance(DAY)
    again = kernel.run(plan_update(kernel.posts("scheduled").assign(new_scheduled_for=pd.Timestamp(when))))
    assert outcomes(again) == {}, "a post that is scheduled so needs nothing"
