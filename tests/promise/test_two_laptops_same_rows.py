"""Promised: two laptops that run the same rows at the same moment post none twice, while the server remembers keys."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes, planned, wait_for
from tests.engine.steps import BULK

from voxops.acts.plan import Plan
from voxops.acts.retry import plan_retry
from voxops.api.timing import PROOF_AFTER


@pytest.mark.parametrize(("count", "one_by_one"), [(6, True), (60, False)])
def test_rule_08_two_laptops_at_once_create_no_row_twice(rig, count, one_by_one):
    """The same sheet sorted otherwise, in the same batches; one by one also a part of it."""
    frame, one, two = rig.campaign(count), rig.kernel("one"), rig.kernel("two")
    part = frame.iloc[2 if one_by_one else 0 :].iloc[::-1]
    works = [
        (kernel, kernel.bind(planned(rows, one_by_one=one_by_one))) for kernel, rows in ((one, frame), (two, part))
    ]
    for work in [kernel.start(run) for kernel, run in works]:
        work.result(60)
    rig.each_once(count)
    assert [outcomes(kernel.results(run)) for kernel, run in works] == [{"succeeded": count}, {"succeeded": len(part)}]


def test_rule_08_the_same_failure_has_one_key_whoever_plans_it(rig):
    """A colleague loads the failure afresh, I plan the rows of run.failed(): one request."""
    rig.sandbox.set_switches(recovery_rate=0.0)
    world.plant_posts(rig.sandbox, 3, targets=1)
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    run = mine.done(plan_retry(mine.triaged()))
    assert outcomes(mine.results(run)) == {"failed": 3}
    again, fresh = plan_retry(mine.execution(run).failed()), plan_retry(theirs.triaged())
    assert set(again.frame["idempotency_key"]) == set(fresh.frame["idempotency_key"])
    mine.run(again)
    before = rig.effects("post.retry")
    theirs.run(fresh)
    assert rig.effects("post.retry") == before, "the server knows the key"


def both_run(rig: Rig, sheet: pd.DataFrame, later: float) -> list[dict[str, str]]:
    """Run a sheet on two laptops, on the second so many seconds later; returns for both the outcome of each text."""
    rig.sandbox.set_switches(list_lag_seconds=60.0)
    begun = rig.laptops(later, sheet, sheet)
    for _, _, work in begun:
        work.result(60)
    return [kernel.results(run).set_index("content")["outcome"].to_dict() for kernel, run, _ in begun]


LATER = PROOF_AFTER + 400  # seconds after which an act that hangs may be abandoned, and absence is proved


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_19_two_ledgers_number_the_same_attempt_where_one_has_bound_an_earlier_one(rig, one_by_one):
    sheet = rig.campaign(1 if one_by_one else 2)

    def numbered(attempt: int) -> Plan:
        return planned(sheet.assign(attempt=attempt), one_by_one=one_by_one)

    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    mine.bind(numbered(1))
    runs = mine.bind(numbered(2)), theirs.bind(numbered(2))
    held = mine.caught(runs[0], "/v1/posts" if one_by_one else BULK)
    other = theirs.start(runs[1])
    wait_for(lambda: len(rig.acts()) == 2)  # it is answered that the first is under way
    rig.let_go()
    for work in (held, other):
        work.result(60)
    rig.sandbox.advance(LATER)
    for kernel, run in zip((mine, theirs), runs, strict=True):
        kernel.go(run)
        assert outcomes(kernel.results(run)) == {"succeeded": len(sheet)}
    assert rig.effects("post.create") == len(sheet)
