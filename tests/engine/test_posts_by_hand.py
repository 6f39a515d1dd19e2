"""Rule 26: a row that a live post equals which nobody made for a row is held, however long ago that post was seen."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import BULK, others_post, plan_rows, scheduled

from voxburst_sandbox import Fault
from voxops.acts.create import plan_create


def by_hand(rig: Rig, sheet: pd.DataFrame, number: int) -> str:
    """Post a row by hand; the post's id."""
    row = sheet.to_dict("records")[number]
    post = rig.sandbox.plant_post(
        row["content"], [row["accounts"]], scheduledFor=row["scheduled_for"], status="scheduled", daysOld=0
    )
    return str(post)


def held_once(rig: Rig, kernel: Kernel) -> pd.DataFrame:
    """A sheet whose first row somebody has posted by hand: it is held, and the others go out."""
    sheet = rig.campaign(3)
    sheet.attrs["by_hand"] = by_hand(rig, sheet, 0)
    rig.sandbox.advance(1800)
    assert outcomes(kernel.run(plan_create(sheet, key="row_id"))) == {"blocked": 1, "succeeded": 2}
    rig.sandbox.advance(3600)
    others_post(rig)
    return sheet


def test_a_row_that_was_held_is_held_when_the_list_has_moved_on(rig: Rig) -> None:
    kernel = rig.kernel()
    sheet = held_once(rig, kernel)
    for _ in range(2):
        again = kernel.run(plan_create(sheet, key="row_id"))
        assert outcomes(again) == {"blocked": 1, "succeeded": 2}
        rig.sandbox.advance(3600)
    assert scheduled(rig, sheet["content"][0]) == 1


@pytest.mark.parametrize("what", ["deleted", "withdrawn", "back to a draft"])
def test_a_row_whose_double_is_gone_is_posted(rig: Rig, what: str) -> None:
    kernel = rig.kernel()
    sheet = held_once(rig, kernel)
    person, post = rig.sandbox.person, sheet.attrs["by_hand"]
    if what == "deleted":
        person.delete(post)
    elif what == "withdrawn":
        person.withdraw(post)
    else:
        person.submit(post)
        person.reject(post)
    again = kernel.run(plan_create(sheet, key="row_id"))
    assert outcomes(again) == {"succeeded": 3}
    assert scheduled(rig, sheet["content"][0]) == 1


def blocked_meanwhile(rig: Rig, kernel: Kernel, sheet: pd.DataFrame, *, one_by_one: bool = False) -> str:
    """A run stops at a refused key, somebody posts its first row by hand, and it goes on: that row is blocked; the post's id."""
    path = "/v1/posts" if one_by_one else BULK
    rig.sandbox.add_fault(Fault(action="status", status=401, code="UNAUTHORIZED", method="POST", path=path, times=None))
    run = kernel.bind(plan_create(sheet, key="row_id", one_by_one=one_by_one))
    kernel.go(run)
    rig.sandbox.clear_faults()
    rig.sandbox.advance(60)
    post = by_hand(rig, sheet, 0)
    kernel.go(run)
    assert kernel.results(run)["outcome"].tolist() == ["blocked", *["succeeded"] * (len(sheet) - 1)]
    rig.sandbox.advance(400)
    return post


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("meant", [True, False])
def test_a_row_that_was_blocked_as_it_waited_is_posted_once_it_is_meant_or_its_double_is_gone(
    rig: Rig, one_by_one: bool, meant: bool
) -> None:
    """Its key was never sent, so the row may be formed again as it was."""
    count = 3 if one_by_one else 1
    kernel, sheet = rig.kernel(), rig.campaign(count)
    post = blocked_meanwhile(rig, kernel, sheet, one_by_one=one_by_one)
    if meant:
        sheet["twin"] = sheet.index == 0
    else:
        rig.sandbox.person.delete(post)
    for _ in range(2):
        again = kernel.run(plan_create(sheet, key="row_id", one_by_one=one_by_one))
        assert outcomes(again) == {"succeeded": count}
        assert again["attempt"].tolist() == [1] * count
    assert [scheduled(rig, text) for text in sheet["content"]] == [1 + meant] + [1] * (count - 1)
    assert rig.created() == dict.fromkeys(sheet["content"], 1)


@pytest.mark.parametrize("fault", ["half made", "too large"])
def test_a_batch_that_is_parted_into_a_row_that_was_blocked_as_it_waited_goes_on(rig: Rig, fault: str) -> None:
    kernel, rows = rig.kernel(), rig.campaign(12)
    rig.sandbox.person.delete(blocked_meanwhile(rig, kernel, rows.head(1)))
    # A batch is in the order of its rows' fingerprints; that row must be the second, so that it is parted off.
    pairs = (rows.iloc[[0, number]] for number in range(1, 12))
    sheet = next(pair for pair in pairs if plan_create(pair, key="row_id").operations[0].items[1].row == 0)
    rig.sandbox.add_fault(
        Fault(action="bulk_partial", method="POST", path=BULK, items=1)
        if fault == "half made"
        else Fault(action="status", status=413, code="TOO_LARGE", method="POST", path=BULK)
    )
    run = kernel.bind(plan_create(sheet, key="row_id"))
    kernel.go(run)
    rig.sandbox.advance(3600)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert rig.created() == dict.fromkeys(sheet["content"], 1)


def test_a_ledger_that_read_the_list_meanwhile_remembers_what_was_made_by_hand(rig: Rig) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 2, campaign="monday"))
    sheet = rig.campaign(2, start=10)
    rig.sandbox.advance(86_400)
    by_hand(rig, sheet, 0)
    rig.sandbox.advance(3600)
    kernel.run(plan_create(rig.campaign(1, start=20), key="row_id", campaign="tuesday"))
    rig.sandbox.advance(3600)
    others_post(rig)
    kernel.run(plan_create(rig.campaign(1, start=21), key="row_id", campaign="tuesday, too"))
    rig.sandbox.advance(86_400)
    table = kernel.run(plan_create(sheet, key="row_id", campaign="wednesday"))
    assert scheduled(rig, sheet["content"][0]) == 1
    assert outcomes(table) == {"blocked": 1, "succeeded": 1}


@pytest.mark.parametrize(("switch", "became"), [("no_metadata", "blocked"), ("no_listed_metadata", "succeeded")])
def test_a_lost_ledger_and_several_sheets_where_lists_show_no_metadata(rig: Rig, switch: str, became: str) -> None:
    """Only the first cell's plan sees the old posts in the list. A post read by itself may show its mark, and is the row's then."""
    rig.sandbox.set_switches(**{switch: True})
    lost = rig.kernel("lost")
    lost.run(plan_rows(rig, 3, campaign="a"))
    sheet = rig.campaign(3, start=10)
    lost.run(plan_create(sheet, key="row_id", campaign="b"))
    rig.sandbox.advance(26 * 3600)
    new = rig.kernel("new")
    for number in (30, 31):
        new.run(plan_create(rig.campaign(1, start=number), key="row_id", campaign=f"c{number}"))
        rig.sandbox.advance(3600)
        others_post(rig)
    table = new.run(plan_create(sheet, key="row_id", campaign="b"))
    assert set(rig.created().values()) == {1}
    assert outcomes(table) == {became: 3}


def test_what_was_posted_by_hand_while_a_run_was_paused_is_not_posted(rig: Rig) -> None:
    kernel = rig.kernel()
    sheet = rig.campaign(2)
    run = kernel.bind(plan_create(sheet, key="row_id"))
    rig.sandbox.advance(600)
    by_hand(rig, sheet, 0)
    rig.sandbox.advance(600)
    kernel.go(run)
    assert scheduled(rig, sheet["content"][0]) == 1
    table = kernel.results(run)
    assert table["outcome"].to_list() == ["blocked", "succeeded"]
    assert "made by hand or elsewhere" in table["waiting_for"][0]


@pytest.mark.parametrize("one_by_one", [True, False])
def test_two_ledgers_one_after_the_other_where_lists_show_no_metadata(rig: Rig, one_by_one: bool) -> None:
    """One binds and is paused before it sends; another runs an overlapping sheet; the next day the first is resumed."""
    rig.sandbox.set_switches(no_metadata=True)
    theirs, mine = rig.kernel("a"), rig.kernel("b")
    run = mine.bind(plan_create(rig.campaign(4), key="row_id", one_by_one=one_by_one))
    theirs.run(plan_create(rig.campaign(3), key="row_id", one_by_one=one_by_one))
    rig.sandbox.advance(26 * 3600)
    mine.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(mine.results(run)) == {"blocked": 3, "succeeded": 1}


@pytest.mark.parametrize("days", [1 / 24, 30])
def test_a_row_whose_double_was_moved_is_posted(rig: Rig, days: float) -> None:
    """It goes out at another time by now, or has gone out."""
    kernel = rig.kernel()
    sheet = held_once(rig, kernel)
    when = rig.sandbox.now() + timedelta(days=days)
    rig.sandbox.person.edit(sheet.attrs["by_hand"], scheduled_for=when.isoformat())
    rig.sandbox.advance(7200)
    assert outcomes(kernel.run(plan_create(sheet, key="row_id"))) == {"succeeded": 3}


def test_a_draft_of_somebody_that_is_scheduled_by_now_holds_the_row(rig: Rig) -> None:
    kernel = rig.kernel()
    sheet = rig.campaign(2)
    post = by_hand(rig, sheet, 0)
    rig.sandbox.person.submit(post)
    rig.sandbox.person.reject(post)
    rig.sandbox.advance(60)
    kernel.run(plan_rows(rig, 1, campaign="first"))
    rig.sandbox.person.submit(post)
    rig.sandbox.person.approve(post)
    assert outcomes(kernel.run(plan_create(sheet, key="row_id"))) == {"blocked": 1, "succeeded": 1}
