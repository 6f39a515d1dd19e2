"""What is remembered of a post is read again where it decides: it may have been withdrawn since, or be there again (rules 13 and 30)."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.days import DAY, codes, done, sent_back
from tests.engine.steps import others_post, plan_rows, planned, scheduled
from tests.engine.verbs import verify, withdrawn

from voxops._support import eventloop
from voxops.acts.create import plan_create

FIRST = "row 0 of the campaign"


def hours_later(rig: Rig, kernel: Kernel, number: int) -> None:
    """Something else is created, so that the list is read, and others post: what came before is not listed again."""
    kernel.run(plan_create(rig.campaign(1, start=number), key="row_id", campaign="other"))
    rig.sandbox.advance(3600)
    others_post(rig)
    kernel.run(plan_create(rig.campaign(1, start=number + 1), key="row_id", campaign="other"))


def test_rule_13_what_was_sent_back_and_is_approved_now_is_not_created_by_a_next_attempt(rig: Rig) -> None:
    """Nor is it by the ledger that has created it, whose run stays as it was (rule 20)."""
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    run = done(mine, plan_rows(rig, 2))
    post, _ = mine.results(run)["result_id"]
    sent_back(rig, post)
    assert outcomes(theirs.run(plan_rows(rig, 1))) == {"blocked": 1}
    verify(mine, run)
    assert (outcomes(mine.results(run)), withdrawn(mine, run)) == ({"succeeded": 2}, 0)
    table = mine.run(plan_rows(rig, 2))
    assert (outcomes(table), codes(table)) == ({"succeeded": 1, "blocked": 1}, {"withdrawn_since"})
    assert f"created as {post}, a draft again since" in table["waiting_for"].dropna().item()
    hours_later(rig, theirs, 20)
    sent_back(rig, post, approved=True)
    assert outcomes(mine.run(plan_rows(rig, 2))) == {"succeeded": 2}
    hours_later(rig, theirs, 30)
    table = theirs.run(plan_create(rig.campaign(1).assign(attempt=2), key="row_id"))
    assert (outcomes(table), table["result_id"].to_list()) == ({"succeeded": 1}, [post])
    assert scheduled(rig, FIRST) == 1


def test_rule_26_a_renamed_row_is_not_created_again_whose_post_is_live_again(rig: Rig) -> None:
    """A spreadsheet turned 001 into 1; the post of 001 was seen cancelled at noon and restored later."""
    kernel = rig.kernel()
    sheet = rig.campaign(1)
    kernel.run(planned(sheet.assign(row_id="001")))
    (post,) = rig.sandbox.world.posts.values()
    rig.sandbox.person.withdraw(post.id)
    hours_later(rig, kernel, 20)
    post.status = "scheduled"
    for target in post.targets:
        target.status = "pending"
    hours_later(rig, kernel, 30)
    assert codes(kernel.run(planned(sheet.assign(row_id="1")))) == {"looks_like_row"}
    assert scheduled(rig, FIRST) == 1


@pytest.mark.parametrize("one_by_one", [True, False])
def test_rule_30_an_answer_that_is_repeated_for_what_was_deleted_since_is_no_success(
    rig: Rig, one_by_one: bool
) -> None:
    """The posts looked wrong, were deleted, and the sheet is run from a fresh ledger: the server remembers the keys, and answers as before."""
    rig.kernel("old").run(plan_rows(rig, 2, one_by_one=one_by_one))
    for post in list(rig.sandbox.world.posts):
        rig.sandbox.person.delete(post)
    rig.sandbox.advance(1800)
    new = rig.kernel("new")
    run = new.bind(plan_rows(rig, 2, one_by_one=one_by_one))

    async def look_back() -> str:
        execution = new.execution(run, look_back=True)
        await execution.go()
        assert execution._after is not None
        await execution._after
        return execution.snapshot.note

    assert eventloop.run(look_back()).startswith("2 of these posts do not exist: the server repeated an old answer")
    for table in (new.results(run), new.run(plan_rows(rig, 2, one_by_one=one_by_one))):
        assert (outcomes(table), codes(table)) == ({"blocked": 2}, {"not_found"})
    again = plan_create(rig.campaign(2).assign(attempt=2), key="row_id", one_by_one=one_by_one)
    assert outcomes(new.run(again)) == {"succeeded": 2}
    assert scheduled(rig, FIRST) == 1


@pytest.mark.parametrize("taken", ["delete", "withdraw"])
def test_rule_30_a_list_that_lags_brings_nothing_back(rig: Rig, taken: str) -> None:
    """It is verified, and the cell run again, within the minute in which the list shows what it was."""
    rig.sandbox.set_switches(list_lag_seconds=60)
    kernel = rig.kernel()
    run = done(kernel, plan_rows(rig, 2))
    gone, _ = kernel.results(run)["result_id"]
    rig.sandbox.advance(900)
    getattr(rig.sandbox.person, taken)(gone)
    rig.sandbox.advance(2)
    verify(kernel, run)
    for later in (0, 3600, DAY):
        rig.sandbox.advance(later)
        again = kernel.run(plan_rows(rig, 2))
        assert (outcomes(again), codes(again)) == ({"succeeded": 1, "blocked": 1}, {"withdrawn_since"})
        assert gone in again["waiting_for"].dropna().item()
        assert withdrawn(kernel, run) == 1


def test_rule_30_rows_that_were_withdrawn_are_looked_at_in_few_requests(rig: Rig) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 30))
    for post in list(rig.sandbox.world.posts):
        rig.sandbox.person.withdraw(post)
    hours_later(rig, kernel, 100)
    assert outcomes(kernel.run(plan_rows(rig, 30))) == {"blocked": 30}
    before = len(rig.sandbox.requests())
    assert outcomes(kernel.run(plan_rows(rig, 30))) == {"blocked": 30}
    assert len(rig.sandbox.requests()) - before <= 8, "not one for each"
