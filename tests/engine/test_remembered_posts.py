"""What is remembered of a post is read again where it decides: it may have been taken back since, or be there again (rules 13 and 30)."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import others_post, plan_rows, scheduled

from voxops._support import eventloop
from voxops.acts.create import plan_create

FIRST = "row 0 of the campaign"


def hours_later(rig: Rig, kernel: Kernel, number: int) -> None:
    """Something else is made, so that the list is read, and others post: what came before is not listed again."""
    kernel.run(plan_create(rig.campaign(1, start=number), key="row_id", campaign="other"))
    rig.sandbox.advance(3600)
    others_post(rig)
    kernel.run(plan_create(rig.campaign(1, start=number + 1), key="row_id", campaign="other"))


def looking_back(kernel: Kernel, run: str) -> str:
    """Drive a run and look back; what it says in the end."""

    async def go() -> str:
        execution = kernel.execution(run, look_back=True)
        await execution.go()
        assert execution._after is not None
        await execution._after
        return execution.snapshot.note

    return eventloop.run(go())


def sent_back(rig: Rig, post: str) -> None:
    rig.sandbox.advance(5)
    rig.sandbox.person.submit(post)
    rig.sandbox.person.reject(post)


def test_rule_13_what_was_sent_back_and_is_approved_by_now_is_not_made_by_a_next_attempt(rig: Rig) -> None:
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    mine.run(plan_rows(rig, 1))
    post = mine.posts()["post_id"][0]
    sent_back(rig, post)
    assert outcomes(theirs.run(plan_rows(rig, 1))) == {"blocked": 1}
    hours_later(rig, theirs, 20)
    rig.sandbox.person.submit(post)
    rig.sandbox.person.approve(post)
    hours_later(rig, theirs, 30)
    table = theirs.run(plan_create(rig.campaign(1).assign(attempt=2), key="row_id"))
    assert scheduled(rig, FIRST) == 1
    assert outcomes(table) == {"succeeded": 1}
    assert table["result_id"].to_list() == [post]


def test_rule_30_what_an_approver_has_sent_back_is_said_by_the_ledger_that_made_it(rig: Rig) -> None:
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    back, _ = kernel.posts()["post_id"]
    sent_back(rig, back)
    found = eventloop.run(execution.verify())
    assert found[["recovered", "pending", "blocked"]].to_numpy().tolist() == [[1, 0, 1]]
    said = kernel.results(run).set_index("result_id")["waiting_for"]
    assert said[back] == f"made as {back}, a draft again since; to make it again, set a column attempt to 2"
    assert outcomes(kernel.run(plan_rows(rig, 2))) == {"succeeded": 1, "blocked": 1}
    rig.sandbox.person.submit(back)
    rig.sandbox.person.approve(back)
    assert outcomes(kernel.run(plan_rows(rig, 2))) == {"succeeded": 2}, "and when it is approved it is there again"
    assert rig.effects("post.create") == 2


@pytest.mark.parametrize("taken", ["delete", "withdraw"])
def test_rule_30_a_next_attempt_at_what_was_taken_back_makes_it_again(rig: Rig, taken: str) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 2))
    ids = kernel.posts()["post_id"].to_list()
    hours_later(rig, kernel, 20)
    for post in ids:
        getattr(rig.sandbox.person, taken)(post)
    hours_later(rig, kernel, 30)
    table = kernel.run(plan_create(rig.campaign(2).assign(attempt=2), key="row_id"))
    assert outcomes(table) == {"succeeded": 2}
    assert not set(ids) & set(table["result_id"])
    assert scheduled(rig, FIRST) == 1


def test_rule_13_a_draft_whose_time_was_cleared_is_no_clone(rig: Rig) -> None:
    """Somebody clears the time to think it over; a colleague runs the sheet; then it is scheduled again."""
    rig.kernel("mine").run(plan_rows(rig, 1))
    (post,) = rig.sandbox.world.posts.values()
    when, post.status, post.scheduled_for = post.scheduled_for, "draft", None
    rig.sandbox.advance(26 * 3600)
    table = rig.kernel("theirs").run(plan_rows(rig, 1))
    post.status, post.scheduled_for = "scheduled", when
    assert scheduled(rig, FIRST) == 1
    assert outcomes(table) == {"blocked": 1}


def test_rule_26_a_renamed_row_is_not_made_again_whose_post_is_live_again(rig: Rig) -> None:
    """A spreadsheet turned 001 into 1; the post of 001 was seen cancelled at noon and restored later."""
    kernel = rig.kernel()
    sheet = rig.campaign(1)
    kernel.run(plan_create(sheet.assign(row_id="001"), key="row_id", campaign="c"))
    (post,) = rig.sandbox.world.posts.values()
    rig.sandbox.person.withdraw(post.id)
    hours_later(rig, kernel, 20)
    post.status = "scheduled"
    for target in post.targets:
        target.status = "pending"
    hours_later(rig, kernel, 30)
    table = kernel.run(plan_create(sheet.assign(row_id="1"), key="row_id", campaign="c"))
    assert scheduled(rig, FIRST) == 1
    assert "looks like another row of this campaign" in table["waiting_for"][0]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_rule_30_an_answer_that_is_repeated_for_what_was_deleted_since_is_no_success(
    rig: Rig, one_by_one: bool
) -> None:
    """The posts looked wrong, were deleted, and the sheet is run from a fresh ledger: the server remembers the keys, and answers as before."""
    kernel = rig.kernel("old")
    kernel.run(plan_rows(rig, 2, one_by_one=one_by_one))
    ids = kernel.posts()["post_id"].to_list()
    for post in ids:
        rig.sandbox.person.delete(post)
    rig.sandbox.advance(1800)
    new = rig.kernel("new")
    run = new.bind(plan_rows(rig, 2, one_by_one=one_by_one))
    said = looking_back(new, run)
    assert said.startswith("2 of these posts do not exist: an answer of an earlier time was repeated")
    table = new.results(run)
    assert outcomes(table) == {"blocked": 2}
    assert set(table["waiting_for"]) == {
        f"made as {post}, deleted since; to make it again, set a column attempt to 2" for post in ids
    }
    again = new.run(plan_create(rig.campaign(2).assign(attempt=2), key="row_id", one_by_one=one_by_one))
    assert outcomes(again) == {"succeeded": 2}
    assert scheduled(rig, FIRST) == 1


@pytest.mark.parametrize("taken", ["delete", "withdraw"])
def test_rule_30_a_list_that_lags_brings_nothing_back(rig: Rig, taken: str) -> None:
    """It is verified, and the cell run again, within the minute in which the list shows what it was."""
    rig.sandbox.set_switches(list_lag_seconds=60)
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    gone, _ = kernel.results(run)["result_id"]
    rig.sandbox.advance(900)
    getattr(rig.sandbox.person, taken)(gone)
    rig.sandbox.advance(2)
    eventloop.run(execution.verify())
    for later in (0, 3600):
        rig.sandbox.advance(later)
        again = kernel.run(plan_rows(rig, 2))
        assert outcomes(again) == {"succeeded": 1, "blocked": 1}
        assert (
            again["waiting_for"]
            .dropna()
            .str.contains(f"made as {gone}, .* since; to make it again, set a column attempt")
            .all()
        )


def test_rule_30_rows_that_were_taken_back_are_looked_at_in_few_requests(rig: Rig) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 30))
    for post in rig.sandbox.world.posts.values():
        rig.sandbox.person.withdraw(post.id)
    hours_later(rig, kernel, 100)
    assert outcomes(kernel.run(plan_rows(rig, 30))) == {"blocked": 30}
    before = len(rig.sandbox.requests())
    assert outcomes(kernel.run(plan_rows(rig, 30))) == {"blocked": 30}
    assert len(rig.sandbox.requests()) - before <= 8, "not one for each"
