"""Rule 26: a row that a live post equals which nobody created for a row is blocked, however long ago that post was seen."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.days import DAY, codes, sent_back, stopped
from tests.engine.steps import BULK, others_post, planned, scheduled

from voxburst_sandbox import Fault
from voxops.acts.create import plan_create


def by_hand(rig: Rig, sheet: pd.DataFrame, number: int = 0, status: str = "scheduled") -> str:
    """Post a row by hand; the post's id."""
    row = sheet.to_dict("records")[number]
    post = rig.sandbox.plant_post(
        row["content"], [row["accounts"]], scheduledFor=row["scheduled_for"], status=status, daysOld=0
    )
    return str(post)


def another(rig: Rig, kernel: Kernel, number: int, **options: str) -> None:
    """Another campaign is run, so that the list is read."""
    kernel.run(plan_create(rig.campaign(1, start=number), key="row_id", campaign=f"other {number}", **options))


def test_only_what_goes_out_counts(rig: Rig) -> None:
    sheet = rig.campaign(4)
    for number, status in enumerate(("scheduled", "cancelled", "draft")):
        by_hand(rig, sheet, number, status)
    assert rig.kernel().run(planned(sheet))["outcome"].to_list() == ["blocked", *["succeeded"] * 3]


@pytest.mark.parametrize("what", ["stays", "deleted", "withdrawn", "back to a draft", "moved", "moved, and gone out"])
def test_a_row_that_was_blocked_is_posted_once_its_look_alike_is_gone_or_moved(rig: Rig, what: str) -> None:
    """The list has moved on by then."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    post = by_hand(rig, sheet)
    rig.sandbox.advance(1800)
    table = kernel.run(planned(sheet))
    assert (outcomes(table), codes(table)) == ({"blocked": 1, "succeeded": 2}, {"looks_like"})
    rig.sandbox.advance(3600)
    others_post(rig)
    person = rig.sandbox.person
    if what == "deleted":
        person.delete(post)
    elif what == "withdrawn":
        person.withdraw(post)
    elif what == "back to a draft":
        sent_back(rig, post)
    elif what.startswith("moved"):
        when = rig.sandbox.now() + timedelta(days=30 if what == "moved" else 1 / 24)
        person.edit(post, scheduled_for=when.isoformat())
        rig.sandbox.advance(7200)
    for _ in range(2):
        assert outcomes(kernel.run(planned(sheet))) == (
            {"blocked": 1, "succeeded": 2} if what == "stays" else {"succeeded": 3}
        )
        rig.sandbox.advance(3600)
    assert rig.created()[sheet["content"][0]] == (what != "stays")


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("meant", [True, False])
def test_a_row_that_was_blocked_as_it_waited_is_posted_once_it_is_meant_or_its_look_alike_is_gone(
    rig: Rig, one_by_one: bool, meant: bool
) -> None:
    """Somebody posts it by hand while its run is stopped; its attempt is what it was."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    run = stopped(rig, kernel, kernel.bind(planned(sheet, one_by_one=one_by_one)), path="/v1/posts**")
    rig.sandbox.advance(600)
    post = by_hand(rig, sheet)
    rig.sandbox.advance(600)
    kernel.go(run)
    assert kernel.results(run)["reason_code"].fillna("").to_list() == ["looks_like", "", ""]
    rig.sandbox.advance(400)
    if meant:
        sheet["twin"] = sheet.index == 0
    else:
        rig.sandbox.person.delete(post)
    for _ in range(2):
        again = kernel.run(planned(sheet, one_by_one=one_by_one))
        assert (outcomes(again), again["attempt"].tolist()) == ({"succeeded": 3}, [1, 1, 1])
    assert [scheduled(rig, text) for text in sheet["content"]] == [1 + meant, 1, 1]
    assert rig.created() == dict.fromkeys(sheet["content"], 1)


@pytest.mark.parametrize(
    "fault",
    [{"action": "bulk_partial", "items": 1}, {"action": "status", "status": 413, "code": "TOO_LARGE"}],
    ids=["half done", "too large"],
)
def test_a_batch_goes_on_with_a_row_that_was_blocked_before(rig: Rig, fault: dict[str, object]) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(4)
    post = by_hand(rig, sheet)
    assert outcomes(kernel.run(planned(sheet.head(1)))) == {"blocked": 1}
    rig.sandbox.person.delete(post)
    rig.sandbox.advance(400)
    rig.sandbox.add_fault(Fault(method="POST", path=BULK, **fault))
    run = kernel.bind(planned(sheet))
    for _ in range(2):
        kernel.go(run)
        rig.sandbox.advance(3600)
    assert outcomes(kernel.results(run)) == {"succeeded": 4}
    assert rig.created() == dict.fromkeys(sheet["content"], 1)


@pytest.mark.parametrize("seen", ["as it was scheduled", "as a draft"])
def test_a_ledger_that_read_the_list_meanwhile_remembers_what_was_created_by_hand(rig: Rig, seen: str) -> None:
    kernel = rig.kernel()
    another(rig, kernel, 0)
    sheet = rig.campaign(2, start=10)
    rig.sandbox.advance(DAY)
    post = by_hand(rig, sheet)
    if seen == "as a draft":
        sent_back(rig, post)
    rig.sandbox.advance(3600)
    another(rig, kernel, 20)
    if seen == "as a draft":
        sent_back(rig, post, approved=True)
    rig.sandbox.advance(3600)
    others_post(rig)
    another(rig, kernel, 21)
    rig.sandbox.advance(DAY)
    table = kernel.run(planned(sheet))
    assert (outcomes(table), codes(table)) == ({"blocked": 1, "succeeded": 1}, {"looks_like"})


# Where lists, or all readings, show no metadata.


@pytest.mark.parametrize(("switch", "became"), [("no_metadata", "blocked"), ("no_listed_metadata", "succeeded")])
@pytest.mark.parametrize("sheets", [False, True], ids=["at once", "after other sheets"])
def test_a_lost_ledger_posts_nothing_twice_where_lists_show_no_metadata(
    rig: Rig, switch: str, became: str, sheets: bool
) -> None:
    """Single reads tell whose the posts are; where they don't, their looks block the rows. A twin is meant."""
    rig.sandbox.set_switches(**{switch: True})
    lost, new, sheet = rig.kernel("lost"), rig.kernel("new"), rig.campaign(3, start=10)
    another(rig, lost, 0)
    lost.run(planned(sheet))
    rig.sandbox.advance(26 * 3600)
    for number in (30, 31) if sheets else ():
        another(rig, new, number)
        rig.sandbox.advance(3600)
        for each in range(30):
            rig.sandbox.plant_post(
                f"other {number} {each}", list(rig.accounts.values())[:1], status="published", daysOld=0
            )
    table = new.run(planned(sheet))
    assert (outcomes(table), codes(table)) == ({became: 3}, {"looks_like"} if became == "blocked" else set())
    assert set(rig.created().values()) == {1}
    assert outcomes(new.run(planned(sheet.head(1).assign(row_id="x", twin=True)))) == {"succeeded": 1}


@pytest.mark.parametrize("one_by_one", [True, False])
def test_two_ledgers_one_after_the_other_where_nothing_shows_metadata(rig: Rig, one_by_one: bool) -> None:
    """One binds and is paused before it sends; another runs an overlapping sheet; the next day the first is resumed."""
    rig.sandbox.set_switches(no_metadata=True)
    theirs, mine = rig.kernel("a"), rig.kernel("b")
    run = mine.bind(planned(rig.campaign(4), one_by_one=one_by_one))
    theirs.run(planned(rig.campaign(3), one_by_one=one_by_one))
    rig.sandbox.advance(26 * 3600)
    mine.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(mine.results(run)) == {"blocked": 3, "succeeded": 1}
