"""What `run.to_mend()` has: each row that is not there and that nobody works on any more, fit to be planned again as it is (rule 14)."""

import pytest
from tests.chaos import world
from tests.chaos.rig import outcomes, planned
from tests.engine.steps import RETRY

from voxburst_sandbox import Fault
from voxops.acts.retry import plan_retry
from voxops.engine.outcome import rows_to_mend

SINGLE = "/v1/posts**"


def create(rig, kernel, case):
    """A run of two rows, of which the second one becomes this, and the first one is there if it may be."""
    sheet = rig.campaign(2)
    if case == "not eligible":
        sheet.loc[1, "content"] = ""
    elif case == "blocked":
        rig.by_a_tool(sheet.loc[1].to_dict())
    run = kernel.bind(planned(sheet, one_by_one=True))
    if case == "failed":
        rig.sandbox.add_fault(Fault("status", "POST", SINGLE, status=422, code="VALIDATION_ERROR", nth=2))
    elif case == "unknown":
        return kernel.send_first(run, Fault("status", "POST", SINGLE, status=500, times=None), calls=2)
    phase = kernel.go(run).phase
    assert phase == ("blocked" if case == "blocked" else "done")
    return run


@pytest.mark.parametrize(("case", "outcome", "attempt"), [
    ("failed", "failed", 2), ("blocked", "blocked", 1), ("not eligible", "blocked", 1), ("unknown", None, 0),
])  # fmt: skip
def test_of_creates_what_is_pending_or_unknown_is_not_to_mend(case, outcome, attempt, rig):
    kernel = rig.kernel()
    run = create(rig, kernel, case)
    before = rig.effects("post.create")
    rows = kernel.execution(run).to_mend()
    assert [*rows.columns[:3]] == ["reason", "reason_code", "outcome"]
    assert rows["reason"].str.fullmatch(r"[A-Z].*\.").all()
    if outcome is None:
        assert rows.empty
        return
    assert rows["outcome"].to_list() == [outcome]
    assert planned(rows).frame["attempt"].to_list() == [attempt]
    for _ in range(2):
        assert kernel.run(planned(rows.assign(content="mended")))["outcome"].to_list() == ["succeeded"]
    assert rig.effects("post.create") == before + 1 == 2


def test_a_row_that_settles_while_rows_to_mend_are_gathered_is_among_the_next(rig):
    kernel = rig.kernel()
    run = create(rig, kernel, "failed")
    before = kernel.execution(run).results().assign(outcome="pending")  # as the ledger was a moment ago
    assert rows_to_mend(kernel.ledger, run, before, 0.0).empty
    assert len(kernel.execution(run).to_mend()) == 1


@pytest.mark.parametrize("hangs", ["in the queue", "in doubt"])
def test_of_retries_those_in_doubt_for_ten_minutes_are_to_mend_and_what_an_analyst_must_decide(hangs, rig):
    """The second of the posts has failed for what the rules don't retry, until somebody says otherwise."""
    _, refused = world.plant_posts(rig.sandbox, 2, targets=1)
    error = {"code": "PUBLISH_ERROR", "message": "policy check did not pass"}
    rig.sandbox.world.posts[refused].targets[0].error = error
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.set_switches(queue_hold_seconds=1e6)
    if hangs == "in doubt":
        kernel.send_first(run, Fault("status", "POST", RETRY, status=500, when="before"))
    else:
        kernel.go(run)
    execution = kernel.execution(run)
    assert execution.to_mend()["outcome"].to_list() == ["blocked"], "which is not eligible"
    rig.sandbox.advance(660)
    rig.sandbox.set_switches(queue_hold_seconds=0.0)
    rows = execution.to_mend()
    assert sorted(rows["attempt"]) == [1, 2]
    assert plan_retry(rows).eligible == 1
    before = rig.effects("post.retry")
    for _ in range(2):
        table = kernel.run(plan_retry(rows.assign(retryable=True)))
        assert outcomes(table) == {"succeeded": 2}, table["waiting_for"].to_list()
    assert rig.effects("post.retry") == before + 2
