"""Batches that a limit broke off in their middle: what was made of them shows late, and to others too (rules 14, 17 and 21)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import BULK, left_unknown, live, look_once, planned, send_once

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.api.timing import PROOF_AFTER, RESEND_ANSWERED

LIMITS = [(429, "RATE_LIMIT_EXCEEDED"), (402, "LIMIT_EXCEEDED"), (403, "AUTHORIZATION_ERROR")]


def break_off(rig: Rig, status: int = 429, code: str = "RATE_LIMIT_EXCEEDED") -> None:
    """The next batch makes two of its rows, and is refused then."""
    rig.sandbox.add_fault(
        Fault(action="bulk_partial", method="POST", path=BULK, items=2, status=status, code=code),
    )


def teach(rig: Rig) -> None:
    """Lists are known to show marks."""
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    rig.sandbox.advance(200)


def broken_off(rig: Rig, sheet: pd.DataFrame) -> tuple[Kernel, str]:
    """A kernel and its run, which died when a quota had refused its batch in the middle; the quota is raised then."""
    teach(rig)
    break_off(rig, 402, "LIMIT_EXCEEDED")
    mine = rig.kernel("mine")
    run = mine.bind(planned(sheet))
    send_once(mine, run)
    assert outcomes(mine.results(run)) == {"unknown": len(sheet)}
    assert made(rig, sheet) == 2
    return mine, run


def made(rig: Rig, *sheets: pd.DataFrame) -> int:
    """How many posts show texts of these sheets."""
    return sum(live(rig)[text] for text in {text for sheet in sheets for text in sheet["content"]})


@pytest.mark.parametrize("lag", [0, 30, 60])
@pytest.mark.parametrize(("status", "code"), LIMITS)
def test_rule_17_what_a_limit_has_let_through_is_not_made_again_where_lists_lag(
    rig: Rig, status: int, code: str, lag: float
) -> None:
    rig.sandbox.set_switches(list_lag_seconds=lag)
    sheet = rig.campaign(4)
    teach(rig)
    break_off(rig, status, code)
    mine = rig.kernel("mine")
    run = mine.bind(planned(sheet))
    mine.go(run)
    mine.go(run)
    assert outcomes(mine.results(run)) == {"succeeded": 4}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "change",
    [{}, {"content": ["new 0", "new 1", "new 2", "new 3"]}, {"row_id": ["a", "b", "c", "d"]}],
    ids=["as it was", "corrected", "renamed"],
)
@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
def test_rule_17_nor_where_it_is_planned_again(
    rig: Rig, change: dict[str, Any], one_by_one: bool, cancelled: bool
) -> None:
    rig.sandbox.set_switches(list_lag_seconds=30)
    sheet = rig.campaign(4)
    again = sheet.assign(**change)
    mine, run = broken_off(rig, sheet)
    if cancelled:
        eventloop.run(mine.execution(run, paused=True).pause(withdraw=True))
    for _ in range(3):
        table = mine.run(planned(again, one_by_one=one_by_one))
        assert made(rig, sheet, again) <= 4
        rig.sandbox.advance(PROOF_AFTER + 1)
        eventloop.run(mine.engine.reconcile())
    if "row_id" in change:
        assert (made(rig, again), outcomes(table)) == (2, {"blocked": 4})
        said = table["waiting_for"].str.contains(
            "looks like another row of this campaign|the same post waits to be sent as row"
        )
        assert said.all()
    else:
        assert made(rig, sheet, again) == 4
        assert outcomes(table) == ({"blocked": 2, "succeeded": 2} if change else {"succeeded": 4})


def test_rule_17_nor_of_a_part_of_its_rows(rig: Rig) -> None:
    rig.sandbox.set_switches(list_lag_seconds=30)
    sheet = rig.campaign(4)
    mine, _ = broken_off(rig, sheet)
    assert outcomes(mine.run(planned(sheet.drop(1)))) == {"succeeded": 3}
    assert max(live(rig)[text] for text in sheet["content"]) == 1


def test_rule_17_a_batch_that_was_refused_at_the_door_waits_for_nothing(rig: Rig) -> None:
    sheet = rig.campaign(2)
    rig.sandbox.add_fault(Fault(action="status", status=401, code="UNAUTHORIZED", method="POST", path=BULK))
    mine = rig.kernel("mine")
    run = mine.bind(planned(sheet))
    begun = rig.sandbox.now()
    mine.go(run)
    assert outcomes(mine.results(run)) == {"pending": 2}
    mine.go(run)
    assert outcomes(mine.results(run)) == {"succeeded": 2}
    assert (rig.sandbox.now() - begun).total_seconds() < RESEND_ANSWERED


@pytest.mark.parametrize("named", [False, True])
def test_rule_16_a_batch_that_was_refused_as_a_whole_waits_for_no_list(rig: Rig, named: bool) -> None:
    sheet = rig.campaign(4)
    details = {"field": "posts[1].content"} if named else {}
    rig.sandbox.add_fault(
        Fault(action="status", status=422, code="VALIDATION_ERROR", method="POST", path=BULK, times=2, details=details)
    )
    mine = rig.kernel("mine")
    run = mine.bind(planned(sheet))
    begun = rig.sandbox.now()
    mine.go(run)
    assert (rig.sandbox.now() - begun).total_seconds() < RESEND_ANSWERED
    assert set(mine.results(run)["outcome"]) <= {"succeeded", "failed"}


def test_rule_21_a_clearance_does_not_outlive_the_try_of_another_kernel_that_was_broken_off(rig: Rig) -> None:
    sheet = rig.campaign(4)
    teach(rig)
    one, two = rig.kernel("mine"), rig.kernel("mine")
    run, again = one.bind(planned(sheet)), two.bind(planned(sheet))
    (op,) = one.ledger.operations.of_run(run)
    first, second = one.execution(run), two.execution(again)
    break_off(rig)
    permit, waited = one.client.permit, []

    @asynccontextmanager
    async def held_up():
        if not waited:  # the other kernel has its turn while this one waits for a permit
            waited.append(True)
            await two.engine.sender.send(second.current, two.ledger.claims.clear(op))
        async with permit() as granted:
            yield granted

    one.client.permit = held_up
    eventloop.run(one.engine.sender.send(first.current, one.ledger.claims.clear(op)))
    assert [entry["status"] for entry in rig.acts()[1:]] == [429]
    one.go(run)
    assert outcomes(one.results(run)) == {"succeeded": 4}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1, 1, 1]


def test_rule_21_nor_one_to_send_again_what_nobody_knows_of(rig: Rig) -> None:
    sheet = rig.campaign(4)
    one, run = left_unknown(rig, sheet)
    two = rig.kernel("mine")
    for kernel in (one, two):
        look_once(kernel, run)
    rig.sandbox.advance(140)
    (first,), (second,) = (look_once(kernel, run).resend for kernel in (one, two))
    break_off(rig)
    eventloop.run(two.engine.sender.send(two.execution(run).current, second))
    sent = len(rig.acts())
    eventloop.run(one.engine.sender.send(one.execution(run).current, first))
    assert len(rig.acts()) == sent
    one.go(run)
    assert outcomes(one.results(run)) == {"succeeded": 4}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1, 1, 1]
