"""Batches that a limit broke off in their middle: what was created of them shows late, and to others too (rules 14, 16 and 17)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import BULK, live, planned, post, send_once

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.api.timing import PROOF_AFTER, RESEND_ANSWERED


def broken_off(rig: Rig, sheet: pd.DataFrame) -> Kernel:
    """A kernel that stopped when a quota had refused its batch after two rows; lists are known to show marks, and lag by 30 s."""
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    rig.sandbox.advance(200)
    rig.sandbox.set_switches(list_lag_seconds=30)
    rig.sandbox.add_fault(Fault("bulk_partial", "POST", BULK, items=2, status=402, code="LIMIT_EXCEEDED"))
    mine = rig.kernel("mine")
    run = mine.bind(planned(sheet))
    send_once(mine, run)
    assert mine.results(run)["reason_code"].tolist() == ["rate_limited"] * len(sheet)
    assert created(rig, sheet) == 2
    return mine


def created(rig: Rig, *sheets: pd.DataFrame) -> int:
    """How many posts show texts of these sheets."""
    return sum(live(rig)[text] for text in {text for sheet in sheets for text in sheet["content"]})


@pytest.mark.parametrize(
    ("change", "code"),
    [({}, set()), ({"content": ["new 0", "new 1", "new 2", "new 3"]}, {"created_otherwise_update"}),
     ({"row_id": ["a", "b", "c", "d"]}, {"looks_like_row"})],
    ids=["as it was", "corrected", "renamed"],
)  # fmt: skip
@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_17_what_a_limit_has_let_through_is_not_created_again_where_it_is_planned_again(
    rig: Rig, change: dict[str, Any], code: set[str], one_by_one: bool
) -> None:
    """Two rows are there, and found as soon as they show; the others are proved absent, and follow the newest plan."""
    sheet = rig.campaign(4)
    again, mine = sheet.assign(**change), broken_off(rig, sheet)
    for _ in range(3):
        run = mine.bind(planned(again, one_by_one=one_by_one))
        mine.go(run)
        table = mine.results(run)
        assert created(rig, sheet, again) <= 4
        rig.sandbox.advance(PROOF_AFTER + 1)
        eventloop.run(mine.engine.reconcile())
    assert created(rig, sheet, again) == 4
    assert outcomes(table) == ({"blocked": 2, "succeeded": 2} if change else {"succeeded": 4})
    assert set(table["reason_code"].dropna()) == code


def test_rule_17_nor_of_a_part_of_its_rows(rig: Rig) -> None:
    sheet = rig.campaign(4)
    mine = broken_off(rig, sheet)
    assert outcomes(mine.run(planned(sheet.drop(1)))) == {"succeeded": 3}
    assert max(live(rig)[text] for text in sheet["content"]) == 1


def test_rule_17_a_batch_that_was_refused_at_the_door_waits_for_nothing(rig: Rig) -> None:
    rig.sandbox.add_fault(*post({"action": "status", "status": 401, "code": "UNAUTHORIZED"}, path=BULK))
    mine, begun = rig.kernel("mine"), rig.sandbox.now()
    run = mine.bind(planned(rig.campaign(2)))
    for outcome in ("pending", "succeeded"):
        mine.go(run)
        assert outcomes(mine.results(run)) == {outcome: 2}
    assert rig.sandbox.now() - begun < timedelta(seconds=RESEND_ANSWERED)


@pytest.mark.parametrize("details", [{}, {"field": "posts[1].content"}], ids=["halved", "named"])
def test_rule_27_what_is_left_of_a_batch_that_was_refused_as_a_whole_waits_for_other_laptops(
    rig: Rig, details: dict[str, str]
) -> None:
    """For a reading that began 135 s after the refusal: another laptop's batch may not have been refused."""
    refused = {"action": "status", "status": 422, "code": "VALIDATION_ERROR", "details": details}
    rig.sandbox.add_fault(*post(refused, path=BULK))
    mine, begun = rig.kernel("mine"), rig.sandbox.now()
    table = mine.run(planned(rig.campaign(4)))
    assert outcomes(table) == ({"succeeded": 3, "failed": 1} if details else {"succeeded": 4})
    assert timedelta(seconds=135) <= rig.sandbox.now() - begun < timedelta(seconds=160)
