"""What nobody knows of, beside what a colleague has made and what the analyst has planned meanwhile (rules 1, 3, 7, 13 and 26)."""

from __future__ import annotations

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, RETRY, by_a_tool, left_unknown, live

from voxburst_sandbox import Fault
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.api.reasons import Reason
from voxops.api.timing import PROOF_AFTER


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
            by_a_tool(rig, row)
    else:
        theirs = rig.kernel("theirs").run(plan_create(sheet.assign(**columns), key="row_id", campaign="c"))
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
    assert outcomes(rig.kernel("mine").run(plan_create(sheet, key="row_id", campaign="c"))) == {"failed": 2}
    rig.sandbox.clear_faults()
    kernel, run = left_unknown(rig, sheet.assign(attempt=2))
    rig.kernel("theirs").run(plan_create(sheet, key="row_id", campaign="c"))
    for wait in (seconds, PROOF_AFTER + 100):
        rig.sandbox.advance(wait)
        kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1]


def test_rule_26_the_rest_of_a_half_made_batch_is_not_sent_beside_what_others_have_made(rig: Rig) -> None:
    sheet = rig.campaign(4)
    rig.sandbox.add_fault(
        Fault(action="bulk_partial", method="POST", path=BULK, items=2),
        Fault(action="status", status=401, code="UNAUTHORIZED", method="POST", path=BULK, nth=2),
    )
    kernel = rig.kernel("mine")
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="c"))
    kernel.go(run)
    rig.sandbox.clear_faults()
    left = sheet[[not live(rig)[text] for text in sheet["content"]]]
    assert len(left) == 2
    for row in left.to_dict("records"):
        by_a_tool(rig, row)
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
    rig.kernel("theirs").run(plan_create(sheet.assign(**columns), key="row_id", campaign="c"))
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
    hand = by_a_tool(rig, row)
    rig.sandbox.advance(PROOF_AFTER + 100)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"blocked": 1}
    rig.sandbox.person.delete(hand)
    rig.sandbox.advance(PROOF_AFTER + 100)
    for _ in range(2):
        table = kernel.run(plan_create(sheet, key="row_id", campaign="c"))
        assert outcomes(table) == {"succeeded": 1}
    assert live(rig)[row["content"]] == 1


@pytest.mark.parametrize("change", ["struck", "corrected"])
def test_rule_01_a_row_that_was_struck_or_corrected_does_not_go_out_with_its_unknown_batch(
    rig: Rig, change: str
) -> None:
    sheet = rig.campaign(3)
    kernel, first = left_unknown(rig, sheet)
    later = sheet.drop(1) if change == "struck" else sheet.replace({"content": {sheet["content"][1]: "corrected"}})
    rig.sandbox.advance(120)
    table = kernel.run(plan_create(later, key="row_id", campaign="c"))
    assert outcomes(table) == {"succeeded": 2} | ({"blocked": 1} if change == "corrected" else {})
    assert [live(rig)[text] for text in sheet["content"]] == [1, 0, 1]
    assert outcomes(kernel.results(first)) == {"succeeded": 2, "pending": 1}
    if change == "corrected":  # its old text is proved absent by now
        table = kernel.run(plan_create(later, key="row_id", campaign="c"))
        assert outcomes(table) == {"succeeded": 3}
    kernel.go(first)  # who struck it has not cancelled the run that has it
    assert [live(rig)[text] for text in later["content"]] == [1] * len(later)
    assert live(rig)[sheet["content"][1]] == (change == "struck")


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_07_canaries_of_an_unknown_batch_go_first_and_alone(rig: Rig, one_by_one: bool) -> None:
    sheet = rig.campaign(4)
    kernel, _ = left_unknown(rig, sheet, one_by_one=one_by_one)
    rig.sandbox.advance(120)  # absence is proved later, in the run that has the canary
    path = "/v1/posts" if one_by_one else BULK
    rig.sandbox.add_fault(
        Fault(action="status", status=422, code="VALIDATION_ERROR", method="POST", path=path, times=None)
    )
    before = len(rig.sandbox.requests(acting=True))
    table = kernel.run(plan_create(sheet, key="row_id", campaign="c", one_by_one=one_by_one).canary(1))
    assert table["outcome"].tolist() == ["failed", "blocked", "blocked", "blocked"]
    assert table["waiting_for"][1:].eq(str(Reason("canaries_failed", succeeded=0, canaries=1))).all()
    sent = {request["key"] for request in rig.sandbox.requests(acting=True)[before:]}
    assert sent == {table["idempotency_key"][0]}


def test_rule_07_fewer_canaries_are_formed_anew(rig: Rig) -> None:
    """Three canaries waited to be sent when the analyst became more careful."""
    sheet = rig.campaign(6)
    plan = plan_create(sheet, key="row_id", campaign="c")
    kernel = rig.kernel()
    kernel.bind(plan.canary(3))
    rig.sandbox.add_fault(Fault(action="status", status=422, code="VALIDATION_ERROR", method="POST", path=BULK))
    table = kernel.run(plan.canary(1))
    assert table["outcome"].tolist() == ["failed", *["blocked"] * 5]
    assert len(rig.sandbox.requests(acting=True)) == 1


def test_rule_03_a_target_that_is_in_no_plan_does_not_go_out_with_an_unknown_retry(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 1, targets=2)
    rig.sandbox.set_switches(recovery_rate=1.0)
    rig.sandbox.add_fault(
        Fault(action="status", status=500, method="POST", path=RETRY),
        Fault(action="status", status=401, code="UNAUTHORIZED", method="POST", path=RETRY, times=None),
    )
    kernel = rig.kernel()
    triaged = kernel.triaged("failed")
    kernel.run(plan_retry(triaged))
    rig.sandbox.clear_faults()
    rig.sandbox.advance(120)
    table = kernel.run(plan_retry(triaged.head(1)))
    assert table["waiting_for"].tolist() == [
        "it was planned together with other targets, which this plan does not name; plan it again"
    ]
    assert rig.effects("target.requeue") == 0
    table = kernel.run(plan_retry(triaged.head(1)))
    assert outcomes(table) == {"succeeded": 1}
    assert rig.effects("target.requeue") == 1
