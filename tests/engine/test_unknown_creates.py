"""Creates of which nobody knows, beside what a colleague has made meanwhile (rules 13, 14 and 26)."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import BULK

from voxops.acts.create import plan_bulk
from voxops.api.windows import PROOF_AFTER
from voxops.sandbox import Fault


def left_unknown(rig: Rig, sheet: pd.DataFrame, *, one_by_one: bool = False) -> tuple[Kernel, str]:
    """A kernel whose creates were answered 500, nothing made, and whose run was stopped by a limit before they could be sent again."""
    rig.kernel("theirs").run(
        plan_bulk(rig.campaign(1, start=50), key="row_id", campaign="c")
    )  # lists are known to show marks
    path = "/v1/posts" if one_by_one else BULK
    rig.sandbox.add_fault(
        Fault(action="status", status=500, method="POST", path=path, times=len(sheet) if one_by_one else 1),
        Fault(action="status", status=402, code="LIMIT_EXCEEDED", method="POST", path=path, times=None),
    )
    kernel = rig.kernel("mine")
    run = kernel.bind(plan_bulk(sheet, key="row_id", campaign="c", one_by_one=one_by_one))
    kernel.go(run)
    rig.sandbox.clear_faults()
    assert set(kernel.results(run)["outcome"]) == {"unknown"}
    return kernel, run


def live(rig: Rig) -> Counter[str]:
    """How many live posts show each text."""
    return Counter(post.content for post in rig.sandbox.world.posts.values() if post.status == "scheduled")


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("seconds", [120.0, PROOF_AFTER + 100])
@pytest.mark.parametrize(
    ("columns", "became"),
    [({}, "succeeded"), ({"attempt": 2}, "succeeded"), ({"row_id": ["x", "y"]}, "blocked"), (None, "blocked")],
    ids=["the same row", "its next attempt", "another row", "another tool"],
)
def test_rule_26_what_nobody_knows_of_is_not_sent_beside_what_others_have_made(
    rig: Rig, columns: dict[str, object] | None, became: str, seconds: float, one_by_one: bool
) -> None:
    sheet = rig.campaign(2)
    kernel, run = left_unknown(rig, sheet, one_by_one=one_by_one)
    if columns is None:
        for row in sheet.to_dict("records"):
            rig.sandbox.plant_post(
                row["content"],
                [row["accounts"]],
                status="scheduled",
                scheduledFor=row["scheduled_for"],
                metadata={"by": "a tool"},
            )
    else:
        theirs = rig.kernel("theirs").run(plan_bulk(sheet.assign(**columns), key="row_id", campaign="c"))
        assert outcomes(theirs) == {"succeeded": 2}
    rig.sandbox.advance(seconds)
    kernel.go(run)
    rig.sandbox.advance(PROOF_AFTER + 100)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {became: 2}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1]


@pytest.mark.parametrize("seconds", [120.0, PROOF_AFTER + 100])
def test_rule_26_a_next_attempt_of_which_nobody_knows_is_not_sent_beside_a_colleague_s_first(
    rig: Rig, seconds: float
) -> None:
    """The first attempt failed here; a colleague with a fresh ledger has made the row from the same sheet."""
    sheet = rig.campaign(2)
    rig.sandbox.add_fault(
        Fault(action="status", status=422, code="VALIDATION_ERROR", method="POST", path=BULK, times=None)
    )
    assert outcomes(rig.kernel("mine").run(plan_bulk(sheet, key="row_id", campaign="c"))) == {"failed": 2}
    rig.sandbox.clear_faults()
    kernel, run = left_unknown(rig, sheet.assign(attempt=2))
    rig.kernel("theirs").run(plan_bulk(sheet, key="row_id", campaign="c"))
    for wait in (seconds, PROOF_AFTER + 100):
        rig.sandbox.advance(wait)
        kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1]


def test_rule_26_the_rest_of_a_half_made_batch_is_not_sent_beside_what_others_have_made(rig: Rig) -> None:
    sheet = rig.campaign(4)
    rig.sandbox.add_fault(
        Fault(action="bulk_partial", method="POST", path=BULK, items=2),
        Fault(action="status", status=402, code="LIMIT_EXCEEDED", method="POST", path=BULK, nth=2),
    )
    kernel = rig.kernel("mine")
    run = kernel.bind(plan_bulk(sheet, key="row_id", campaign="c"))
    kernel.go(run)
    rig.sandbox.clear_faults()
    left = sheet[[not live(rig)[text] for text in sheet["content"]]]
    assert len(left) == 2
    for row in left.to_dict("records"):
        rig.sandbox.plant_post(
            row["content"],
            [row["accounts"]],
            status="scheduled",
            scheduledFor=row["scheduled_for"],
            metadata={"by": "a tool"},
        )
    rig.sandbox.advance(PROOF_AFTER + 100)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 2, "blocked": 2}
    assert [live(rig)[text] for text in sheet["content"]] == [1] * 4


@pytest.mark.parametrize(
    "columns",
    [{"content": ["mended", "mended, too"]}, {"scheduled_for": ["2027-05-01T09:00:00Z", "2027-05-02T09:00:00Z"]}],
    ids=["text", "time"],
)
def test_rule_13_a_colleague_s_post_of_the_row_with_another_body_is_not_taken_for_this_one(
    rig: Rig, columns: dict[str, object]
) -> None:
    sheet = rig.campaign(2)
    kernel, run = left_unknown(rig, sheet)
    rig.kernel("theirs").run(plan_bulk(sheet.assign(**columns), key="row_id", campaign="c"))
    rig.sandbox.advance(PROOF_AFTER + 100)
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"blocked": 2}
    assert table["waiting_for"].str.contains("with other content, accounts or time").all()
    assert len(live(rig)) == 3


def test_rule_05_a_row_that_was_proved_absent_and_blocked_then_is_posted_once_its_double_is_gone(rig: Rig) -> None:
    sheet = rig.campaign(1)
    kernel, run = left_unknown(rig, sheet)
    row = sheet.to_dict("records")[0]
    hand = rig.sandbox.plant_post(
        row["content"], [row["accounts"]], status="scheduled", scheduledFor=row["scheduled_for"], metadata={"by": "a tool"}
    )
    rig.sandbox.advance(PROOF_AFTER + 100)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"blocked": 1}
    rig.sandbox.person.delete(hand)
    rig.sandbox.advance(PROOF_AFTER + 100)
    for _ in range(2):
        table = kernel.run(plan_bulk(sheet, key="row_id", campaign="c"))
        assert outcomes(table) == {"succeeded": 1}
    assert live(rig)[row["content"]] == 1
