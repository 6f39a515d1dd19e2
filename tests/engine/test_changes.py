"""Posts that are changed or moved: at most once, never over somebody's head, whatever breaks; counted at the server (row 2)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import BULK, HOUR, killed

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.update import plan_update
from voxops.api.reasons import Reason, beginning
from voxops.api.timing import PROOF_AFTER

PATH = "/v1/posts/*"
WHEN = "2027-03-01T09:00:00Z"
THURSDAY = pd.Timestamp("2027-03-04T09:00:00Z")


def planted(rig: Rig, count: int, **fields: Any) -> list[str]:
    """Posts that wait to go out."""
    account = next(iter(rig.accounts.values()))
    body = {"status": "scheduled", "scheduledFor": WHEN, "daysOld": 1, **fields}
    return [rig.sandbox.plant_post(f"post {number}", [account], **body) for number in range(count)]


def changed(rig: Rig) -> list[str]:
    """Posts in the order in which the server changed them; one that was changed twice stands there twice."""
    return [effect["post"] for effect in rig.sandbox.effects("post.update")]


def times(rig: Rig) -> set[pd.Timestamp]:
    return {pd.Timestamp(post.scheduled_for, unit="ms", tz="UTC") for post in rig.sandbox.world.posts.values()}


def person(rig: Rig, post: str, **body: Any) -> None:
    rig.sandbox.advance(2)
    rig.sandbox.person.edit(post, **body)


def test_a_move_is_sent_once_shown_and_verified_and_re_running_it_sends_nothing(rig):
    ids = planted(rig, 3)
    kernel = rig.kernel()
    posts = kernel.posts("scheduled")
    table = kernel.run(plan_update(posts, to=THURSDAY))
    assert outcomes(table) == {"succeeded": 3}
    assert sorted(changed(rig)) == sorted(ids)
    assert times(rig) == {THURSDAY}
    assert {request["path"] for request in rig.acts()} == {f"/v1/posts/{post}" for post in ids}
    assert outcomes(rig.kernel().run(plan_update(posts, to=THURSDAY))) == {"succeeded": 3}, "the same frame"
    again = plan_update(kernel.posts("scheduled"), to=THURSDAY)
    assert again.frame["reason"].to_list() == [str(Reason("unchanged"))] * 3, "and a fresh one"
    assert len(changed(rig)) == 3


def test_rule_01_run_all_does_not_move_twice(rig):
    planted(rig, 2)
    kernel = rig.kernel()
    for _ in range(3):
        table = kernel.run(plan_update(kernel.posts("scheduled"), by="3D"))
        kernel = rig.kernel()
    assert outcomes(table) == {"blocked": 2}
    assert table["waiting_for"].iloc[0] == str(Reason("moved_already", time="2027-03-04 09:00 UTC"))
    assert times(rig) == {THURSDAY}
    assert len(changed(rig)) == 2


def test_rule_01_run_all_adds_a_text_once(rig):
    """As the example of ``plan_update`` has it."""
    ids = planted(rig, 2)
    kernel = rig.kernel()
    before = kernel.posts("scheduled")["content"].to_list()
    for _ in range(3):
        posts = kernel.posts("scheduled")
        table = kernel.run(plan_update(posts.assign(new_content="New: " + posts["content"] + " #spring")))
        kernel = rig.kernel()
    assert kernel.posts()["content"].to_list() == [f"New: {text} #spring" for text in before]
    assert table["waiting_for"].iloc[0] == str(Reason("added_already", text="New: … #spring"))
    posts = kernel.posts("scheduled").head(1)
    kernel.run(plan_update(posts.assign(new_content=posts["content"] + " #sale")))
    assert len(changed(rig)) == len(ids) + 1, "another addition is another change"
    posts = kernel.posts("scheduled").tail(1)
    kernel.run(plan_update(posts.assign(new_content="New: " + posts["content"] + " #spring", again=True)))
    assert len(changed(rig)) == len(ids) + 2, "and the same, where it is meant"


def test_rule_01_run_all_does_what_several_cells_add_up_once(rig):
    """Two cells that add words, and two that move a post: what the second has made hides what the first one did."""
    planted(rig, 1)
    kernel = rig.kernel()
    cells = [
        lambda posts: plan_update(posts.assign(new_content=posts["content"] + " #spring")),
        lambda posts: plan_update(posts.assign(new_content=posts["content"] + " #coffee")),
        lambda posts: plan_update(posts.assign(new_scheduled_for=posts["scheduled_for"] + pd.Timedelta("1D"))),
        lambda posts: plan_update(posts.assign(new_scheduled_for=posts["scheduled_for"] + pd.Timedelta("2h"))),
    ]
    for expected in ({"succeeded": 1}, {"blocked": 1}, {"blocked": 1}):
        for cell in cells:
            assert outcomes(kernel.run(cell(kernel.posts("scheduled")))) == expected
        rig.sandbox.advance(600)
    (post,) = rig.sandbox.world.posts.values()
    assert post.content == "post 0 #spring #coffee"
    assert times(rig) == {pd.Timestamp(WHEN) + pd.Timedelta("1D2h")}
    assert len(changed(rig)) == 4
    again = cells[0](kernel.posts("scheduled").assign(again=True))
    assert outcomes(kernel.run(again)) == {"succeeded": 1}


def test_rule_01_run_all_moves_once_what_was_computed_in_the_frame(rig):
    planted(rig, 2)
    kernel = rig.kernel()
    for _ in range(3):
        posts = kernel.posts("scheduled")
        table = kernel.run(plan_update(posts.assign(new_scheduled_for=posts["scheduled_for"] + pd.Timedelta("3D"))))
        kernel = rig.kernel()
    assert times(rig) == {THURSDAY}
    assert table["waiting_for"].iloc[0] == str(Reason("moved_as_far_already", time="2027-03-04 09:00 UTC"))
    posts = kernel.posts("scheduled")
    kernel.run(plan_update(posts.assign(new_scheduled_for=THURSDAY + pd.Timedelta("1D"))))
    assert times(rig) == {THURSDAY + pd.Timedelta("1D")}, "to another time it may go"


def test_a_move_that_is_meant_once_more_is_done(rig):
    planted(rig, 1)
    kernel = rig.kernel()
    for again in (False, True):
        rig.sandbox.advance(5)
        posts = kernel.posts("scheduled").assign(again=again)
        assert outcomes(kernel.run(plan_update(posts, by="36h"))) == {"succeeded": 1}
    assert times(rig) == {THURSDAY}


def test_a_time_that_somebody_else_set_may_be_moved_again(rig):
    (post,) = planted(rig, 1)
    kernel = rig.kernel()
    kernel.run(plan_update(kernel.posts("scheduled"), by="1D"))
    person(rig, post, scheduled_for="2027-03-03T09:00:00Z")
    assert outcomes(kernel.run(plan_update(kernel.posts("scheduled"), by="1D"))) == {"succeeded": 1}
    assert times(rig) == {THURSDAY}


def test_rule_02_what_somebody_changed_since_it_was_loaded_is_blocked_and_not_written_over(rig):
    first, second = planted(rig, 2)
    kernel = rig.kernel()
    posts = kernel.posts("scheduled")
    person(rig, first, content="mended by hand")
    table = kernel.run(plan_update(posts.assign(new_content="from the notebook"))).set_index("post_id")
    assert table["outcome"].to_dict() == {first: "blocked", second: "succeeded"}
    assert table.loc[first, "waiting_for"].startswith(beginning("changed_since_loaded"))
    assert rig.sandbox.world.posts[first].content == "mended by hand"
    assert changed(rig) == [second]


def test_rule_02_what_somebody_changes_between_our_reading_and_the_server_s_turn_is_blocked_by_its_version(rig):
    """The token goes with the request: the server itself refuses, and the refusal is no failure but a question to a person."""
    (post,) = planted(rig, 1)
    kernel = rig.kernel()
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_content="from the notebook")))
    send = kernel.engine.reader.post

    async def reads_then_somebody_edits(post_id: str) -> Any:
        state = await send(post_id)
        person(rig, post, content="mended by hand")
        return state

    kernel.engine.reader.post = reads_then_somebody_edits  # type: ignore[method-assign]
    kernel.go(run)
    (row,) = kernel.results(run).to_dict("records")
    assert (row["outcome"], row["http_status"]) == ("blocked", 409)
    assert "the post has changed since it was read" in row["waiting_for"]
    assert rig.sandbox.world.posts[post].content == "mended by hand"
    assert changed(rig) == []


@pytest.mark.parametrize(
    "reading", [{}, {"forget_key_on_5xx": True}, {"ignore_keys": True}], ids=["default", "forgets", "ignores"]
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["drop", "status", "truncate"])
def test_a_lost_answer_is_settled_by_what_the_post_shows(rig, reading, when, action):
    planted(rig, 3)
    rig.sandbox.set_switches(**reading)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action=action, method="PATCH", path=PATH, when=when, times=2))
    table = kernel.run(plan_update(kernel.posts("scheduled"), by="3D"))
    assert outcomes(table) == {"succeeded": 3}
    assert times(rig) == {THURSDAY}
    assert len(set(changed(rig))) == len(changed(rig)) == 3


@pytest.mark.parametrize(
    "reading",
    [{}, {"ignore_keys": True}, {"list_lag_seconds": 60.0, "single_reads_lag": True}],
    ids=["default", "ignores", "lags"],
)
def test_a_kernel_killed_between_receipt_and_commit_has_moved_once(rig, reading):
    ids = planted(rig, 2)
    kernel = rig.kernel()
    run = kernel.bind(plan_update(kernel.posts("scheduled"), by="3D"))
    rig.sandbox.set_switches(**reading)
    killed(rig, kernel, run, PATH, method="PATCH")
    assert changed(rig), "the server carried out what it had received"
    rig.sandbox.advance(200)
    second = rig.kernel()
    table = second.run(
        plan_update(second.posts("scheduled"), by="3D")
    )  # Run All, on a frame that shows the move or does not
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 2}
    assert set(table["outcome"]) <= {"blocked", "succeeded"}
    assert sorted(changed(rig)) == sorted(ids)
    assert times(rig) == {THURSDAY}


def test_an_edit_after_a_lost_answer_is_not_written_over(rig):
    """Nobody knows whether ours came before; the post shows somebody else's, and that stays."""
    (post,) = planted(rig, 1)
    kernel = rig.kernel()
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_content="ours")))
    killed(rig, kernel, run, PATH, method="PATCH")
    person(rig, post, content="theirs")
    rig.sandbox.advance(100)
    second = rig.kernel()
    second.go(run)
    (row,) = second.results(run).to_dict("records")
    assert row["outcome"] == "blocked"
    assert "changed since it was sent" in row["waiting_for"]
    assert rig.sandbox.world.posts[post].content == "theirs"
    assert outcomes(second.run(plan_update(second.posts("scheduled").assign(new_content="ours")))) == {"succeeded": 1}
    assert rig.sandbox.world.posts[post].content == "ours", "a fresh load is a new request"


def test_two_kernels_on_one_ledger_move_once(rig):
    planted(rig, 4)
    one, two = rig.kernel(), rig.kernel()
    plan = plan_update(one.posts("scheduled"), by="3D")
    runs = [one.bind(plan), two.bind(plan)]
    one.go(runs[0])
    two.go(runs[1])
    assert outcomes(two.results(runs[1])) == {"succeeded": 4}
    assert len(changed(rig)) == 4
    assert times(rig) == {THURSDAY}


def test_a_move_whose_new_time_has_passed_is_not_sent(rig):
    planted(rig, 1, scheduledFor="2026-03-09T09:00:00Z")
    kernel = rig.kernel()
    soon = rig.sandbox.now() + pd.Timedelta("1h")
    run = kernel.bind(plan_update(kernel.posts("scheduled"), to=soon))
    rig.sandbox.advance(7200)
    kernel.go(run)
    (row,) = kernel.results(run).to_dict("records")
    assert (row["outcome"], row["waiting_for"]) == ("blocked", str(Reason("new_time_past")))
    assert rig.acts() == []


def test_canaries_of_a_change_go_first_and_hold_the_others(rig):
    planted(rig, 6)
    kernel = rig.kernel()
    rig.sandbox.add_fault(
        Fault(action="status", method="PATCH", path=PATH, when="before", status=400, code="VALIDATION_ERROR", times=2)
    )
    table = kernel.run(plan_update(kernel.posts("scheduled"), to=THURSDAY).canary(2))
    assert outcomes(table) == {"failed": 2, "blocked": 4}
    assert len(rig.acts()) == 2


def undone(kernel: Kernel, run: str) -> Plan:
    """The plan to withdraw what a run has made."""

    class Run:
        def made(self) -> pd.DataFrame:
            return eventloop.run(kernel.execution(run).made())

    return plan_cancel(Run())


def test_a_create_run_is_undone_although_lists_lag(rig):
    """What the list does not show is read by itself: a run must not be called withdrawn whose posts go out."""
    rig.sandbox.set_switches(list_lag_seconds=3600)
    kernel = rig.kernel()
    run = kernel.bind(plan_create(rig.campaign(3), key="row_id"))
    kernel.go(run)
    assert kernel.posts("scheduled").empty, "no list shows them"
    plan = undone(kernel, run)
    assert plan.why == (Reason("not_out_yet"),) * 3
    assert outcomes(kernel.run(plan)) == {"succeeded": 3}
    assert rig.effects("post.cancel") == 3


def test_rows_that_a_fresh_ledger_has_found_are_held_when_its_run_is_undone_however_many_posts_came_since(rig):
    first = rig.kernel()
    first.go(first.bind(plan_create(rig.campaign(3), key="row_id")))
    for number in range(250):
        rig.sandbox.plant_post(f"other {number}", [next(iter(rig.accounts.values()))], status="published", daysOld=0.0)
    rig.sandbox.advance(4 * 24 * HOUR)
    kernel = rig.kernel("another")
    run = kernel.bind(plan_create(rig.campaign(3), key="row_id"))
    before = len(rig.sandbox.requests())
    assert undone(kernel, run).frame["reason_code"].to_list() == ["created_elsewhere"] * 3
    assert len(rig.sandbox.requests()) - before == 3, "the list is read back to them"


def test_rows_of_which_nobody_knows_whether_they_were_made_are_held_when_a_run_is_undone(rig):
    kernel = rig.kernel()
    run = kernel.bind(plan_create(rig.campaign(3), key="row_id"))
    plan = undone(kernel, run)
    assert plan.eligible == 0
    assert plan.frame["row"].to_list() == ["r00000", "r00001", "r00002"]
    assert set(plan.frame["reason_code"]) == {"never_sent"}
    rig.sandbox.set_switches(list_lag_seconds=60)
    killed(rig, kernel, run, BULK)
    assert set(undone(rig.kernel(), run).frame["reason_code"]) == {"creation_unknown"}
    later = rig.kernel()
    rig.sandbox.advance(300)
    later.go(run)
    assert undone(later, run).eligible == 3


def test_posts_that_are_known_to_be_deleted_are_not_read_again_when_a_run_is_undone(rig):
    kernel = rig.kernel()
    run = kernel.bind(plan_create(rig.campaign(3), key="row_id"))
    kernel.go(run)
    gone = kernel.results(run)["result_id"][1]
    eventloop.run(kernel.client.request("DELETE", f"/v1/posts/{gone}"))
    rig.sandbox.advance(PROOF_AFTER + 60)
    eventloop.run(kernel.execution(run).verify())
    before = len(rig.sandbox.requests())
    assert undone(kernel, run).why == (Reason("not_out_yet"),) * 2
    assert not any(gone in each["path"] for each in rig.sandbox.requests()[before:])


def test_a_post_that_is_not_shown_just_after_it_was_made_is_not_taken_for_deleted(rig):
    """Reads lag: the API says of all posts at first that they don't exist."""
    rig.sandbox.set_switches(list_lag_seconds=PROOF_AFTER + 600, single_reads_lag=True)
    kernel = rig.kernel()
    run = kernel.bind(plan_create(rig.campaign(3), key="row_id"))
    kernel.go(run)
    plan = undone(kernel, run)
    assert plan.frame["reason_code"].to_list() == ["creation_unknown"] * 3
    rig.sandbox.advance(PROOF_AFTER + 1)
    assert undone(kernel, run).frame["reason"].to_list() == [], "after five minutes that is taken for the truth"
    rig.sandbox.advance(600)
    assert undone(kernel, run).eligible == 3


def test_a_create_run_is_undone(rig):
    """What is still scheduled is withdrawn; what went out, and what another ledger had made, is not."""
    kernel, other = rig.kernel(), rig.kernel("other")
    sheet = rig.campaign(4)
    other.run(plan_create(sheet.head(1), key="row_id"))
    run = kernel.bind(plan_create(sheet, key="row_id"))
    kernel.go(run)
    made = kernel.results(run)["result_id"].to_list()
    rig.sandbox.person.withdraw(made[1])
    posts = eventloop.run(kernel.execution(run).made())
    plan = plan_cancel(posts)
    codes = plan.frame.set_index("row")["reason_code"].to_dict()
    assert codes == {"r00000": "created_elsewhere", "r00001": "not_cancellable", "r00002": "ready", "r00003": "ready"}
    assert outcomes(kernel.run(plan)) == {"succeeded": 2}
    assert {effect["post"] for effect in rig.sandbox.effects("post.cancel")} == set(made[2:])
