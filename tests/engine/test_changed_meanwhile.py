"""What was changed, undone, duplicated, abandoned or created again meanwhile, here or by others (rules 5, 13, 20, 26 and 30)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.days import DAY, FAR, codes, planted, send_first, stopped
from tests.engine.steps import planned, scheduled

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.update import plan_update

LATER = "2027-03-05T09:00:00Z"
PATCH = {"path": "/v1/posts/*", "method": "PATCH"}


# Rows that ask for what an open change makes of a post.


@pytest.mark.parametrize("lag", [0.0, 60.0])
@pytest.mark.parametrize(
    ("change", "asks"),
    [
        ({"new_content": "mended"}, {"content": "mended"}),
        ({"new_scheduled_for": LATER}, {"scheduled_for": LATER}),
        ({"new_account_ids": "other"}, {"accounts": "other"}),
    ],
    ids=["text", "time", "accounts"],
)
def test_rule_26_a_row_that_asks_for_what_an_open_change_makes_of_a_post_waits(
    rig: Rig, change: dict[str, Any], asks: dict[str, Any], lag: float
) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(row_id="001")
    other = next(account for account in rig.accounts.values() if account != sheet["accounts"][0])
    change, asks = ({k: other if v == "other" else v for k, v in each.items()} for each in (change, asks))
    kernel.run(planned(sheet))
    rig.sandbox.advance(DAY)
    rig.sandbox.set_switches(list_lag_seconds=lag, single_reads_lag=bool(lag))
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(**change)))
    send_first(kernel, run, Fault("status", status=500, when="after", **PATCH))
    kernel.kill()
    kernel = rig.kernel()
    rig.sandbox.advance(5)
    same = sheet.assign(row_id="1", **asks)
    for row in (same.assign(row_id="2", content="something else"), same.assign(row_id="3", twin=True)):
        assert outcomes(kernel.run(planned(row))) == {"succeeded": 1}
    table = kernel.run(planned(same))
    assert (outcomes(table), codes(table)) == ({"blocked": 1}, {"looks_like_row"})
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert len(rig.sandbox.world.posts) == 3


@pytest.mark.parametrize("gone", ["deleted", "withdrawn", "changed"])
def test_rule_26_a_change_that_can_not_be_made_any_more_blocks_no_row(rig: Rig, gone: str) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(1)
    kernel.run(planned(sheet))
    rig.sandbox.advance(DAY)
    (post,) = list(rig.sandbox.world.posts)
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_content="mended")))
    send_first(kernel, run, Fault("status", status=500, when="before", **PATCH))
    if gone == "changed":
        rig.sandbox.person.edit(post, content="something else")
    else:
        getattr(rig.sandbox.person, "delete" if gone == "deleted" else "withdraw")(post)
    rig.sandbox.advance(DAY)
    kernel.go(run)
    assert set(kernel.results(run)["outcome"]) == {"blocked"}
    assert outcomes(kernel.run(planned(sheet.assign(row_id="x", content="mended")))) == {"succeeded": 1}


# Changes and cancels that somebody undid, or that a later one replaced.


@pytest.mark.parametrize("what", ["cancel", "text"])
@pytest.mark.parametrize("fresh", [False, True])
def test_rule_20_a_cell_whose_effect_somebody_undid_sends_nothing(rig: Rig, what: str, fresh: bool) -> None:
    """From the same frame it is what it was (rule 20); a change from a fresh one was made before; a cancel is another one."""
    (post,) = planted(rig)
    kernel = rig.kernel()

    def cell(posts: pd.DataFrame) -> Any:
        return plan_cancel(posts) if what == "cancel" else plan_update(posts.assign(new_content="right price"))

    first = cell(kernel.posts("scheduled"))
    assert outcomes(kernel.run(first)) == {"succeeded": 1}
    rig.sandbox.advance(DAY)
    rig.sandbox.world.posts[post].status = "scheduled"
    rig.sandbox.person.edit(post, content="wrong price")
    rig.sandbox.advance(DAY)
    kernel.run(plan_update(kernel.posts("scheduled").assign(new_tags="x")))
    rig.sandbox.advance(DAY)
    table = kernel.run(cell(kernel.posts("scheduled")) if fresh else first)
    meant = fresh and what == "cancel"
    assert codes(table) == ({"changed_before"} if fresh and what == "text" else set())
    assert rig.effects("post.cancel") + rig.effects("post.update") == 2 + meant


@pytest.mark.parametrize(
    ("mended", "asked", "outcome"),
    [
        ({"tags": "sale;spring"}, {"new_tags": "spring;sale"}, "succeeded"),
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
        ({"tags": "x"}, {"new_tags": "x", "by hand": "somebody's words"}, "succeeded"),
    ],
)
def test_rule_05_only_a_post_that_was_mended_as_the_sheet_was_is_as_it_asks(
    rig: Rig, mended: dict[str, Any], asked: dict[str, Any], outcome: str
) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(tags="first")
    other = next(account for account in rig.accounts.values() if account != sheet["accounts"][0])
    mended, asked = ({k: other if v == "other" else v for k, v in each.items()} for each in (mended, asked))
    words = asked.pop("by hand", None)
    kernel.run(planned(sheet))
    table = kernel.run(planned(sheet.assign(**mended)))
    assert codes(table) <= {"created_otherwise", "created_otherwise_update"} and outcomes(table) == {"blocked": 1}
    rig.sandbox.advance(DAY)
    kernel.run(plan_update(kernel.posts("scheduled").assign(**asked)))
    if words:
        rig.sandbox.person.edit(*rig.sandbox.world.posts, content=words)
    rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(planned(sheet.assign(**mended)))) == {outcome: 1}
    assert len(rig.sandbox.world.posts) == 1


@pytest.mark.parametrize("fault", [{"action": "status", "status": 409, "code": "CONFLICT"}, {"action": "drop"}])
def test_rule_05_a_change_of_tags_that_was_not_made_gives_none(rig: Rig, fault: dict[str, Any]) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(tags="old")
    kernel.run(planned(sheet))
    rig.sandbox.advance(DAY)
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_tags="new")))
    send_first(kernel, run, Fault(**fault, when="before", **PATCH))
    rig.sandbox.advance(5)
    assert codes(kernel.run(planned(sheet.assign(tags="new")))) == {"created_otherwise_update"}


# Rows that were withdrawn, duplicated or created again.


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("found", [True, False])
def test_rule_13_a_row_that_a_colleague_created_again_is_there(rig: Rig, named: bool, found: bool) -> None:
    """This ledger has created the first post, or has only found it."""
    mine, theirs, sheet = rig.kernel("mine"), rig.kernel("theirs"), rig.campaign(2)
    if named:
        accounts = [rig.sandbox.world.accounts[each] for each in sheet["accounts"]]
        sheet["accounts"] = [f"{one.platform}:@{one.username}" for one in accounts]
    for kernel in (theirs, mine) if found else (mine,):
        assert outcomes(kernel.run(planned(sheet))) == {"succeeded": 2}
    rig.sandbox.advance(DAY)
    theirs.run(plan_cancel(theirs.posts("scheduled")))
    rig.sandbox.advance(DAY)
    again = theirs.run(planned(sheet.assign(attempt=2)))
    rig.sandbox.advance(DAY)
    for row in (sheet, sheet, sheet.assign(twin=True)):
        table = mine.run(planned(row))
        assert sorted(table["result_id"]) == sorted(again["result_id"])
        assert (outcomes(table), table["withdrawn"].notna().any()) == ({"succeeded": 2}, False)
    assert rig.effects("post.create") == 4


def test_rule_13_a_row_that_was_withdrawn_and_whose_account_is_gone_stays_blocked(rig: Rig) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(1)
    account = rig.sandbox.world.accounts[sheet["accounts"][0]]
    sheet["accounts"] = f"{account.platform}:@{account.username}"
    kernel.run(planned(sheet))
    kernel.run(plan_cancel(kernel.posts("scheduled")))
    account.username = "renamed"
    rig.sandbox.advance(DAY)
    assert codes(kernel.run(planned(sheet))) == {"withdrawn_since"}


@pytest.mark.parametrize("ledger", ["ledger", "fresh"])
@pytest.mark.parametrize("changed", [{"content", "time"}, {"time"}, {"content"}])
@pytest.mark.parametrize("beside", [False, True])
def test_rule_13_a_duplicate_that_shows_something_else_is_no_row(
    rig: Rig, ledger: str, changed: set[str], beside: bool
) -> None:
    """Beside the row's post it is another one. In its place it may be the row, mended by a colleague: a person looks at it."""
    kernel, sheet = rig.kernel(), rig.campaign(1)
    (post,) = kernel.run(planned(sheet))["result_id"]
    rig.sandbox.advance(600)
    copy = rig.sandbox.person.duplicate(post)
    rig.sandbox.advance(5)
    content = sheet["content"][0] + (" in other words" if "content" in changed else "")
    when = "2027-03-09T09:00:00Z" if "time" in changed else sheet["scheduled_for"][0]
    rig.sandbox.person.edit(copy, content=content, scheduled_for=when)
    rig.sandbox.world.posts[copy].status = "scheduled"
    rig.sandbox.advance(600)
    if beside:
        assert rig.kernel(ledger).run(planned(sheet))["result_id"].to_list() == [post]
        return
    posts = kernel.posts("scheduled")
    kernel.run(plan_cancel(posts[posts["post_id"] == post]))
    rig.sandbox.advance(DAY)
    kernel = rig.kernel(ledger)
    for again in (sheet, sheet.assign(attempt=2)):
        table = kernel.run(planned(again))
        assert (outcomes(table), codes(table)) == ({"blocked": 1}, {"duplicate_of"})
    assert table["waiting_for"][0].startswith(f"{copy}, a duplicate of {post} (cancelled since), shows something else")
    assert scheduled(rig, content) == 1
    table = kernel.run(planned(sheet.assign(attempt=2, twin=True)))
    assert (outcomes(table), table["result_id"].isin([post, copy]).any()) == ({"succeeded": 1}, False)


# Drafts.


def drafts(rig: Rig, **fields: Any) -> tuple[str, pd.DataFrame]:
    """A draft that was planted, and the frame that shows it."""
    (post,) = planted(rig, status="draft", **fields)
    posts = rig.kernel().posts("draft")
    return post, posts[posts["post_id"] == post]


def test_a_draft_that_the_api_leaves_a_draft_is_no_success(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    post, frame = drafts(rig, scheduledFor=None)
    kept = rig.sandbox.world.posts[post]
    monkeypatch.setattr(type(kept), "status", property(lambda _: "draft", lambda *_: None), raising=False)
    table = rig.kernel().run(plan_update(frame.assign(new_scheduled_for=pd.Timestamp(FAR))))
    assert table["error_message"].to_list() == ["the API accepted the change, but the post is still a draft"]


def test_a_draft_that_has_its_time_is_let_out_by_that_time(rig: Rig) -> None:
    post, frame = drafts(rig)
    assert plan_update(frame, to=pd.Timestamp(FAR)).frame["reason_code"].to_list() == ["draft_would_go_out"]
    kernel = rig.kernel()
    assert outcomes(kernel.run(plan_update(frame.assign(new_scheduled_for=pd.Timestamp(FAR))))) == {"succeeded": 1}
    assert rig.sandbox.world.posts[post].status == "scheduled"
    assert plan_update(kernel.posts("scheduled").assign(new_scheduled_for=pd.Timestamp(FAR))).eligible == 0


# Runs that are abandoned.


@pytest.mark.parametrize("lives", [True, False], ids=["the later lives", "the later has stopped"])
@pytest.mark.parametrize("which", ["earlier", "later"])
def test_rule_20_abandoning_a_run_leaves_what_another_living_run_wants(rig: Rig, which: str, lives: bool) -> None:
    """What no living run wants is cancelled, until it is planned again; who was abandoned sends nothing any more."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    earlier = stopped(rig, kernel, kernel.bind(planned(sheet)))
    rig.sandbox.advance(3600)
    later = kernel.bind(planned(sheet))
    if not lives:
        stopped(rig, kernel, later)
    given_up, other = (earlier, later) if which == "earlier" else (later, earlier)
    eventloop.run(kernel.execution(given_up, paused=True).pause(withdraw=True))
    kept = which == "earlier" and lives
    assert codes(kernel.results(given_up)) == ({"unsent"} if kept else {"cancelled"})
    assert (kernel.go(given_up).phase, rig.created().total()) == ("paused" if kept else "cancelled", 0)
    kernel.go(other)
    assert rig.created().total() == (3 if kept else 0)
    for run in (kernel.bind(planned(sheet)), given_up):
        kernel.go(run)
        assert outcomes(kernel.results(run)) == {"succeeded": 3}
    assert set(rig.created().values()) == {1}
