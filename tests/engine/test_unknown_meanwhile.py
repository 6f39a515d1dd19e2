"""What nobody knows of, beside what others have created and what the analyst has planned meanwhile (rules 1, 3, 7, 13 and 26)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.days import codes, left_unknown, send_first
from tests.engine.steps import BULK, RETRY, by_a_tool, live, planned

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.retry import plan_retry
from voxops.api.timing import PROOF_AFTER

LATER = PROOF_AFTER + 100


def refused(path: str) -> Fault:
    """The API finds something wrong with every row."""
    return Fault(action="status", status=422, code="VALIDATION_ERROR", method="POST", path=path, times=None)


def lives(rig: Rig, sheet: pd.DataFrame) -> list[int]:
    """How many live posts show the text of each row."""
    return [live(rig)[text] for text in sheet["content"]]


@pytest.mark.parametrize(("one_by_one", "seconds"), [(False, 120.0), (True, LATER)])
@pytest.mark.parametrize(
    ("mine", "theirs", "became"),
    [
        ({}, {}, ""),
        ({}, {"attempt": 2}, ""),
        ({"attempt": 2}, {}, ""),
        ({}, {"row_id": ["x", "y"]}, "looks_like_row"),
        ({}, None, "looks_like"),
        ({}, {"content": ["mended", "mended, too"]}, "other_content"),
        ({}, {"scheduled_for": ["2027-05-01T09:00:00Z", "2027-05-02T09:00:00Z"]}, "other_content"),
    ],
    ids=[
        "the same row",
        "its next attempt",
        "its first attempt",
        "another row",
        "a tool",
        "another text",
        "another time",
    ],
)
def test_rule_26_what_nobody_knows_of_is_not_sent_beside_what_others_have_created(
    rig: Rig, mine: dict[str, Any], theirs: dict[str, Any] | None, became: str, seconds: float, one_by_one: bool
) -> None:
    sheet = rig.campaign(2)
    if mine:  # the first attempt has failed here
        rig.sandbox.add_fault(refused("/v1/posts**"))
        assert outcomes(rig.kernel("mine").run(planned(sheet))) == {"failed": 2}
        rig.sandbox.clear_faults()
    kernel, run = left_unknown(rig, sheet.assign(**mine), one_by_one=one_by_one)
    if theirs is None:
        for row in sheet.to_dict("records"):
            by_a_tool(rig, row)
    else:
        assert outcomes(rig.kernel("theirs").run(planned(sheet.assign(**theirs)))) == {"succeeded": 2}
    before = rig.effects("post.create")
    for wait in (seconds, LATER):
        rig.sandbox.advance(wait)
        kernel.go(run)
    table = kernel.results(run)
    assert (outcomes(table), codes(table)) == (({"blocked": 2}, {became}) if became else ({"succeeded": 2}, set()))
    assert rig.effects("post.create") == before


def test_rule_26_the_rest_of_a_half_created_batch_is_not_sent_beside_what_others_have_created(rig: Rig) -> None:
    sheet = rig.campaign(4)
    kernel = rig.kernel("mine")
    run = kernel.bind(planned(sheet))
    send_first(kernel, run, Fault(action="bulk_partial", method="POST", path=BULK, items=2))
    left = sheet[[not live(rig)[text] for text in sheet["content"]]]
    assert len(left) == 2
    for row in left.to_dict("records"):
        by_a_tool(rig, row)
    rig.sandbox.advance(LATER)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 2, "blocked": 2}
    assert lives(rig, sheet) == [1] * 4


@pytest.mark.parametrize("change", ["struck", "corrected"])
def test_rule_01_a_row_that_was_struck_or_corrected_does_not_go_out_with_its_unknown_batch(
    rig: Rig, change: str
) -> None:
    sheet = rig.campaign(3)
    kernel, first = left_unknown(rig, sheet)
    later = sheet.drop(1) if change == "struck" else sheet.replace({"content": {sheet["content"][1]: "corrected"}})
    rig.sandbox.advance(120)
    table = kernel.run(planned(later))
    assert outcomes(table) == {"succeeded": 2} | ({"blocked": 1} if change == "corrected" else {})
    assert codes(table) == ({"open_otherwise"} if change == "corrected" else set())
    assert lives(rig, sheet) == [1, 0, 1]
    assert outcomes(kernel.results(first)) == {"succeeded": 2, "pending": 1}
    if change == "corrected":  # its old text is proved absent by now
        assert outcomes(kernel.run(planned(later))) == {"succeeded": 3}
    kernel.go(first)  # who struck it has not cancelled the run that has it
    assert lives(rig, later) == [1] * len(later)
    assert live(rig)[sheet["content"][1]] == (change == "struck")


@pytest.mark.parametrize("cancelled", ["the earlier", "the later"])
def test_rule_03_cancelling_a_run_takes_back_its_own_rows_and_no_others(rig: Rig, cancelled: str) -> None:
    """A batch is proved to have done nothing after a later run, which lives, named all of its rows but one."""
    sheet = rig.campaign(3)
    kernel, earlier = left_unknown(rig, sheet)
    for seconds in (120, LATER):
        rig.sandbox.advance(seconds)
        later = kernel.bind(planned(sheet.drop(1)))
    assert outcomes(kernel.results(earlier)) == {"pending": 3}
    given_up, other = (earlier, later) if cancelled == "the earlier" else (later, earlier)
    eventloop.run(kernel.execution(given_up, paused=True).pause(withdraw=True))
    kernel.go(other)
    assert lives(rig, sheet) == ([1, 0, 1] if cancelled == "the earlier" else [0, 1, 0])
    if cancelled == "the earlier":  # the row that only it had waits no longer: it can be planned under another name
        renamed = sheet.assign(row_id=["r00000", "renamed", "r00002"])
        assert outcomes(kernel.run(planned(renamed))) == {"succeeded": 3}
        assert lives(rig, sheet) == [1, 1, 1]


# Canaries.


@pytest.mark.parametrize("before", ["bound", "unknown", "unknown canaries"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_07_canaries_go_first_and_alone_whatever_an_earlier_run_has_sent(
    rig: Rig, before: str, one_by_one: bool
) -> None:
    """Nothing of the others is sent again either: they are proved absent first, and formed anew."""
    sheet, path = rig.campaign(4), "/v1/posts" if one_by_one else BULK
    plan = planned(sheet, one_by_one=one_by_one)
    if before == "bound":
        kernel = rig.kernel("mine")
        kernel.bind(plan.canary(3))
    elif before == "unknown":
        kernel, _ = left_unknown(rig, sheet, one_by_one=one_by_one)
    else:
        kernel, _ = left_unknown(rig, sheet.head(3), one_by_one=one_by_one)
        kernel.bind(plan.canary(3))
    rig.sandbox.advance(120)
    rig.sandbox.add_fault(refused(path))
    sent = len(rig.acts())
    table = kernel.run(plan.canary(1))
    assert table["outcome"].tolist() == ["failed", *["blocked"] * 3]
    assert codes(table) == {"canaries_failed"}
    assert {entry["key"] for entry in rig.acts()[sent:]} == {table["idempotency_key"][0]}


def unknown_retries(rig: Rig, count: int, targets: int) -> tuple[Kernel, pd.DataFrame]:
    """Retries that were answered 500, nothing done, by a kernel that is left then; and the frame that was planned."""
    world.plant_posts(rig.sandbox, count, targets=targets)
    kernel = rig.kernel()
    triaged = kernel.triaged()
    triaged = triaged if targets > 1 else triaged[triaged["platform"] == "twitter"]
    count = triaged["post_id"].nunique()
    lost = Fault(action="status", status=500, method="POST", path=RETRY, times=None)
    send_first(kernel, kernel.bind(plan_retry(triaged)), lost, calls=count)
    return kernel, triaged


@pytest.mark.parametrize("well", [False, True])
def test_rule_07_unknown_retries_are_not_sent_again_before_their_canary_went_well(rig: Rig, well: bool) -> None:
    """They are formed for their posts once and for all, and stay unknown until a next attempt gives them up (core.md, 4)."""
    kernel, triaged = unknown_retries(rig, 9, 1)
    rig.sandbox.advance(120)
    rig.sandbox.add_fault(*([] if well else [refused(RETRY)]))
    sent = len(rig.acts())
    table = kernel.run(plan_retry(triaged).canary(1))
    assert len({entry["path"] for entry in rig.acts()[sent:]}) == (3 if well else 1)
    assert outcomes(table) == ({"succeeded": 3} if well else {"unknown": 3})
    rig.sandbox.clear_faults()
    rig.sandbox.advance(600)
    assert outcomes(kernel.run(plan_retry(triaged.assign(attempt=1 + (not well))))) == {"succeeded": 3}
    assert rig.effects("post.retry") == 3


def test_rule_03_a_target_that_no_plan_names_does_not_go_out_with_an_unknown_retry(rig: Rig) -> None:
    """It stays unknown (core.md, 4) until a plan names both targets again, or a next attempt at both gives it up."""
    kernel, triaged = unknown_retries(rig, 1, 2)
    rig.sandbox.advance(120)
    table = kernel.run(plan_retry(triaged.head(1)))
    assert (outcomes(table), codes(table)) == ({"unknown": 1}, {"resend_unwanted"})
    assert rig.effects("target.requeue") == 0
    rig.sandbox.advance(600)
    assert codes(kernel.run(plan_retry(triaged.head(1).assign(attempt=2)))) == {"subject_unknown"}
    assert rig.effects("target.requeue") == 0
    for _ in range(2):
        assert outcomes(kernel.run(plan_retry(triaged.assign(attempt=2)))) == {"succeeded": 2}
    assert rig.effects("target.requeue") == 2
