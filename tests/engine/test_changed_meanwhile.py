"""What was changed, undone, duplicated, given up or made again meanwhile, here or by others (rules 5, 13, 20, 26 and 30)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import edit, scheduled, send_once

from voxburst_sandbox import Fault
from voxburst_sandbox import posts as sandbox_posts
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.update import plan_update

DAY = 86_400.0
LATER = "2027-03-05T09:00:00Z"


def plan(sheet: pd.DataFrame) -> object:
    return plan_create(sheet, key="row_id", campaign="spring")


def planted(rig: Rig, content: str, **fields: Any) -> str:
    """A post that waits to go out, made by hand yesterday."""
    account = next(iter(rig.accounts.values()))
    when = {"status": "scheduled", "scheduledFor": "2027-03-01T09:00:00Z"}
    return rig.sandbox.plant_post(content, [account], **{"daysOld": 1, **when, **fields})


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
    other = plan_create(sheet.head(1).assign(content="mended"), key="row_id", campaign="summer")
    assert outcomes(kernel.run(other)) == {"succeeded": 1}
    assert outcomes(kernel.run(plan(sheet.head(1).assign(row_id="x", content="something else")))) == {"succeeded": 1}
    twin = sheet.head(1).assign(row_id="y", content="mended", twin=True)
    assert outcomes(kernel.run(plan(twin))) == {"succeeded": 1}


@pytest.mark.parametrize("what", ["cancel", "text"])
def test_rule_05_what_somebody_undid_is_held_also_after_another_act_of_ours(rig, what):
    post = planted(rig, "wrong price")
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
    other = plan_update(later.assign(new_tags="x")) if what == "cancel" else plan_update(later, by="3D")
    assert outcomes(kernel.run(other)) == {"succeeded": 1}
    rig.sandbox.advance(DAY)
    table = kernel.run(cell)
    assert table["waiting_for"].to_list() == [
        "done before, and undone since; load it again, and plan what is still wanted"
    ]


def test_rule_05_what_a_later_change_of_ours_replaced_is_done(rig):
    planted(rig, "one")
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
    assert (
        table["waiting_for"]
        .str.contains("other values of tags; change the post itself, with vx.plan_update")
        .fillna(False)
        .all()
    )
    for tags in ("sale", "sale;spring"):
        assert outcomes(kernel.run(plan(mended))) == {"blocked": 2}, "none or others"
        kernel.run(plan_update(kernel.posts("scheduled").assign(new_tags=tags)))
        rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(plan(mended))) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize(
    ("mended", "asked", "outcome"),
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
        ({"scheduled_for": LATER}, {"new_scheduled_for": LATER}, "succeeded"),
        ({"scheduled_for": LATER}, {"new_content": "b"}, "blocked"),
        ({"accounts": "other"}, {"new_account_ids": "other"}, "succeeded"),
    ],
)
def test_rule_05_only_a_post_that_was_mended_as_the_sheet_was_is_as_it_asks(rig, mended, asked, outcome):
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(tags="first")
    other = next(account for account in rig.accounts.values() if account != sheet["accounts"][0])
    mended, asked = (
        {name: other if value == "other" else value for name, value in each.items()} for each in (mended, asked)
    )
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    kernel.run(plan_update(kernel.posts("scheduled").assign(**asked)))
    rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(plan(sheet.assign(**mended)))) == {outcome: 1}
    assert len(rig.sandbox.world.posts) == 1


@pytest.mark.parametrize("named", [True, False])
def test_rule_13_a_row_that_a_colleague_made_again_is_there(rig, named):
    mine, theirs, sheet = rig.kernel("mine"), rig.kernel("theirs"), rig.campaign(1)
    account = rig.sandbox.world.accounts[sheet["accounts"][0]]
    if named:
        sheet["accounts"] = f"{account.platform}:@{account.username}"
    mine.run(plan(sheet))
    rig.sandbox.advance(DAY)
    theirs.run(plan_cancel(theirs.posts("scheduled")))
    rig.sandbox.advance(DAY)
    again = theirs.run(plan(sheet.assign(attempt=2)))
    rig.sandbox.advance(DAY)
    table = mine.run(plan(sheet))
    assert (outcomes(table), table["result_id"].to_list()) == ({"succeeded": 1}, again["result_id"].to_list())
    assert table["attempt"].to_list() == [2]
    assert scheduled(rig, sheet["content"][0]) == 1


def test_rule_05_tags_count_whatever_else_was_changed_in_the_post(rig):
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(tags="old")
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    posts = kernel.posts("scheduled")
    kernel.run(plan_update(posts.assign(new_tags="new")))
    rig.sandbox.person.edit(posts["post_id"][0], content="somebody's words")
    rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(plan(sheet.assign(tags="new")))) == {"succeeded": 1}


def test_rule_13_a_row_that_was_taken_back_and_whose_account_is_gone_stays_blocked(rig):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    account = rig.sandbox.world.accounts[sheet["accounts"][0]]
    sheet["accounts"] = f"{account.platform}:@{account.username}"
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    kernel.run(plan_cancel(kernel.posts("scheduled")))
    account.username = "renamed"
    rig.sandbox.advance(DAY)
    assert kernel.run(plan(sheet))["waiting_for"].str.contains("cancelled since; to make it again").fillna(False).all()


@pytest.mark.parametrize("twin", [True, False])
def test_rule_13_a_row_that_was_only_found_here_and_made_again_by_a_colleague_is_there(rig, twin):
    theirs, mine, sheet = rig.kernel("theirs"), rig.kernel("mine"), rig.campaign(2)
    for kernel in (theirs, mine):
        assert outcomes(kernel.run(plan(sheet))) == {"succeeded": 2}
    rig.sandbox.advance(600)
    for post in list(rig.sandbox.world.posts):
        rig.sandbox.person.withdraw(post)
    rig.sandbox.advance(DAY)
    again = theirs.run(plan(sheet.assign(attempt=2)))
    rig.sandbox.advance(DAY)
    table = mine.run(plan(sheet.assign(twin=True) if twin else sheet))
    assert sorted(table["result_id"]) == sorted(again["result_id"])
    assert outcomes(table) == {"succeeded": 2}


def test_rule_05_what_a_later_change_replaced_that_the_api_kept_in_its_own_way_is_done(rig, monkeypatch):
    planted(rig, "one")
    kernel = rig.kernel()
    cell = plan_update(kernel.posts("scheduled").assign(new_content="two"))
    kernel.run(cell)
    rig.sandbox.advance(DAY)
    start = sandbox_posts._start

    def shorten(call: Any, post: Any) -> Any:
        post.content = "three http://sho.rt/1"
        return start(call, post)

    later = kernel.posts("scheduled").assign(
        new_content="three http://long.example", new_scheduled_for="2027-03-05T09:00:00Z"
    )
    with monkeypatch.context() as patched:
        patched.setattr(sandbox_posts, "_start", shorten)
        assert kernel.run(plan_update(later))["error_code"].to_list() == ["NOT_AS_ASKED"]
    rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(cell)) == {"succeeded": 1}


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("changed", ["all of it", "its time", "its text"])
def test_rule_13_a_duplicate_in_the_place_of_a_row_s_post_is_looked_at_by_a_person(rig, fresh, changed):
    """It may be the row, mended by a colleague, or another post that was made from it: it is neither made again nor called made."""
    kernel, sheet = rig.kernel(), rig.campaign(1)
    kernel.run(plan(sheet))
    (post,) = list(rig.sandbox.world.posts)
    rig.sandbox.advance(600)
    copy = rig.sandbox.person.duplicate(post)
    rig.sandbox.advance(5)
    content = sheet["content"][0] + ("" if changed == "its time" else " in other words")
    when = sheet["scheduled_for"][0] if changed == "its text" else "2027-03-09T09:00:00Z"
    rig.sandbox.person.edit(copy, content=content, scheduled_for=when)
    rig.sandbox.world.posts[copy].status = "scheduled"
    rig.sandbox.advance(600)
    posts = kernel.posts("scheduled")
    kernel.run(plan_cancel(posts[posts["post_id"] == post]))
    rig.sandbox.advance(DAY)
    kernel = rig.kernel("fresh") if fresh else kernel
    for again in (sheet, sheet.assign(attempt=2)):
        table = kernel.run(plan(again))
        assert outcomes(table) == {"blocked": 1}
    said = f"{copy}, a duplicate of its post {post} (cancelled since), is there and shows something else"
    assert table["waiting_for"].str.startswith(said).fillna(False).all()
    assert scheduled(rig, content) == 1
    table = kernel.run(plan(sheet.assign(attempt=2, twin=True)))
    assert (outcomes(table), table["result_id"].isin([post, copy]).any()) == ({"succeeded": 1}, False)


def test_rule_13_a_duplicate_beside_a_row_s_post_is_no_row(rig):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    first = kernel.run(plan(sheet))["result_id"].to_list()
    rig.sandbox.advance(600)
    copy = rig.sandbox.person.duplicate(first[0])
    rig.sandbox.advance(5)
    rig.sandbox.person.edit(copy, content="made from a template", scheduled_for="2027-03-09T09:00:00Z")
    rig.sandbox.world.posts[copy].status = "scheduled"
    rig.sandbox.advance(DAY)
    for ledger in ("ledger", "fresh"):
        assert rig.kernel(ledger).run(plan(sheet))["result_id"].to_list() == first


@pytest.mark.parametrize("answer", ["refused", "lost before it came"])
def test_rule_05_a_change_of_tags_that_was_not_made_gives_none(rig, answer):
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(tags="old")
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    fault = {"action": "status", "status": 409, "code": "CONFLICT"} if answer == "refused" else {"action": "drop"}
    rig.sandbox.add_fault(Fault(**fault, path="/v1/posts/*", method="PATCH", when="before", times=None))
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_tags="new")))
    send_once(kernel, run)
    rig.sandbox.clear_faults()
    rig.sandbox.advance(5)
    table = kernel.run(plan(sheet.assign(tags="new")))
    assert table["waiting_for"].str.contains("with other values of tags").fillna(False).all()


@pytest.mark.parametrize("gone", ["deleted", "withdrawn", "changed"])
def test_rule_26_a_change_that_can_not_be_made_any_more_holds_no_row(rig, gone):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    (post,) = list(rig.sandbox.world.posts)
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_content="mended")))
    stopped(rig, kernel, run)
    if gone == "changed":
        rig.sandbox.person.edit(post, content="something else")
    else:
        getattr(rig.sandbox.person, "delete" if gone == "deleted" else "withdraw")(post)
    rig.sandbox.advance(DAY)
    assert set(kernel.results(run)["outcome"]) == {"pending"}
    kernel.go(run)
    assert set(kernel.results(run)["outcome"]) == {"blocked"}
    assert outcomes(kernel.run(plan(sheet.assign(row_id="x", content="mended")))) == {"succeeded": 1}


def test_rule_26_an_open_change_of_tags_alone_holds_no_row_that_is_made_again(rig):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    (post,) = list(rig.sandbox.world.posts)
    stopped(rig, kernel, kernel.bind(plan_update(kernel.posts("scheduled").assign(new_tags="x"))))
    rig.sandbox.person.withdraw(post)
    rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(plan(sheet.assign(attempt=2)))) == {"succeeded": 1}


def test_rule_26_an_open_move_of_a_post_whose_text_the_frame_had_cut_holds_the_same_row(rig):
    kernel, sheet = (
        rig.kernel(),
        rig.campaign(1).assign(content="a text that is rather long, and of which lists show a part"),
    )
    kernel.run(plan(sheet))
    rig.sandbox.advance(DAY)
    posts = kernel.posts("scheduled")
    cut = posts.assign(content=posts["content"].str[:20] + "…")
    run = kernel.bind(plan_update(cut, to=pd.Timestamp("2027-03-05T09:00:00Z")))
    stopped(rig, kernel, run)
    table = kernel.run(plan(sheet.assign(row_id="x", scheduled_for="2027-03-05T09:00:00Z")))
    assert (
        table["waiting_for"]
        .str.contains(f"to the same waits to be sent, as {run}; send or cancel that")
        .fillna(False)
        .all()
    )


def test_rule_30_what_an_approver_has_sent_back_asks_for_somebody(rig):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    run = kernel.bind(plan(sheet))
    kernel.go(run)
    rig.sandbox.advance(600)
    (post,) = list(rig.sandbox.world.posts)
    rig.sandbox.person.submit(post)
    rig.sandbox.person.reject(post)
    rig.sandbox.advance(DAY)
    kernel.run(plan(sheet))
    assert (kernel.go(run).phase, kernel.ledger.runs.withdrawn(run)) == ("blocked", 0)


def test_a_draft_that_the_api_leaves_a_draft_is_no_success(rig, monkeypatch):
    account = next(iter(rig.accounts.values()))
    when = "2027-03-01T09:00:00Z"
    post = rig.sandbox.plant_post("sent back", [account], status="draft", daysOld=1)
    kernel = rig.kernel()
    drafts = kernel.posts("draft")
    drafts = drafts[drafts["post_id"] == post]
    kept = rig.sandbox.world.posts[post]
    monkeypatch.setattr(type(kept), "status", property(lambda _: "draft", lambda *_: None), raising=False)
    table = kernel.run(plan_update(drafts.assign(new_scheduled_for=pd.Timestamp(when))))
    assert table["error_message"].to_list() == ["the API took it, but the post is still a draft"]


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
    assert set(kernel.results(monday)["waiting_for"]) == {f"cancelled; {tuesday} stands for it"}
    assert kernel.go(monday).phase == "cancelled"
    assert rig.created() == {}, "who was given up sends nothing any more"
    kernel.go(tuesday)
    assert kernel.go(monday).phase == "cancelled"
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
    held = plan_update(drafts, to=pd.Timestamp(when)).frame["reason_code"].to_list()
    assert held == ["draft_would_go_out"]
    assert outcomes(kernel.run(plan_update(drafts.assign(new_scheduled_for=pd.Timestamp(when))))) == {"succeeded": 1}
    assert rig.sandbox.world.posts[post].status == "scheduled"
    rig.sandbox.advance(DAY)
    again = kernel.run(plan_update(kernel.posts("scheduled").assign(new_scheduled_for=pd.Timestamp(when))))
    assert outcomes(again) == {}, "a post that is scheduled so needs nothing"
