"""A cell that numbers an attempt, or says `again`, asks for one act however often it is run: also after a cell that was bound, not sent.

What was not sent under a lower number is asked under the higher one (rules 5, 18 and 30).
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.days import codes, done, planted, send_first
from tests.engine.steps import BULK, caught, let_go, live, planned, wait_for

from voxburst_sandbox import Fault
from voxops.acts.cancel import plan_cancel
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.timing import PROOF_AFTER

LATER = PROOF_AFTER + 400  # seconds after which an act that hangs may be abandoned, and absence is proved
LOST = Fault(action="status", status=500, method="POST", path="/v1/**")


@pytest.mark.parametrize("rows", [1, 2], ids=["fix", "retry"])
@pytest.mark.parametrize("bound", [False, True], ids=["alone", "after a cell that was not sent"])
def test_rule_18_a_numbered_retry_that_hangs_is_not_abandoned_by_its_own_cell(rig: Rig, rows: int, bound: bool) -> None:
    rig.sandbox.set_switches(queue_hold_seconds=7200.0)
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    triaged = kernel.triaged().head(rows)
    if bound:
        kernel.bind(plan_retry(triaged))
    send_first(kernel, kernel.bind(plan_retry(triaged.assign(attempt=2))))
    for _ in range(2):
        rig.sandbox.advance(LATER)
        run = done(rig.kernel(), plan_retry(triaged.assign(attempt=2)))
        assert rig.effects("post.retry" if rows == 2 else "target.fix") == 1
    rig.sandbox.advance(7200)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": rows}
    assert rig.effects("target.publish") == rows


def test_rule_09_a_numbered_act_goes_under_another_key_than_one_that_was_sent_without_effect(rig: Rig) -> None:
    """The server may keep its 500 under the first one."""
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    triaged = kernel.triaged()
    send_first(kernel, kernel.bind(plan_retry(triaged)), LOST)
    rig.sandbox.advance(LATER)
    assert outcomes(kernel.run(plan_retry(triaged.assign(attempt=2)))) == {"succeeded": 2}
    assert len({entry["key"] for entry in rig.acts()}) == len(rig.acts()) == 2
    assert rig.effects("post.retry") == 1


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("before", ["bound", "proved absent", "failed"])
def test_rule_30_a_numbered_create_that_was_withdrawn_is_not_created_again_by_its_own_cell(
    rig: Rig, before: str, one_by_one: bool
) -> None:
    """Also where ``run.failed()`` has numbered it."""
    sheet = rig.campaign(2)
    kernel = rig.kernel()
    first = kernel.bind(planned(sheet, one_by_one=one_by_one))
    if before == "proved absent":
        send_first(kernel, first, LOST)
        rig.sandbox.advance(LATER)
    elif before == "failed":
        rig.sandbox.add_fault(
            Fault(action="status", status=422, code="VALIDATION_ERROR", method="POST", path="/v1/posts**", times=None)
        )
        kernel.go(first)
        rig.sandbox.clear_faults()
        sheet = kernel.execution(first).failed()
        assert sheet["attempt"].to_list() == [2, 2]
        kernel.bind(planned(sheet, one_by_one=one_by_one))
    number = 2 + (before == "failed")
    second = planned(sheet.assign(attempt=number), one_by_one=one_by_one)
    assert outcomes(kernel.run(second)) == {"succeeded": 2}
    rig.sandbox.advance(LATER)
    kernel.run(plan_cancel(kernel.posts("scheduled")))
    for ledger in ("ledger", "another"):
        rig.sandbox.advance(LATER)
        table = rig.kernel(ledger).run(second)
        assert (outcomes(table), codes(table)) == ({"blocked": 2}, {"withdrawn_since"})
        assert table["waiting_for"].str.contains(f"set a column attempt to {number + 1}").all()
    assert rig.effects("post.create") == 2
    assert not live(rig)


def _plant(rig: Rig, what: str) -> tuple[Callable[[Kernel], pd.DataFrame], Callable[[pd.DataFrame, bool], Plan], str]:
    """What is acted upon, how it is planned once more or not, and what the server counts of it."""
    if what == "redeliver":
        world.plant_deliveries(rig.sandbox, 1)
        return Kernel.deliveries, lambda frame, again: plan_redeliver(frame.assign(again=again)), "delivery.resend"
    planted(rig)

    def change(frame: pd.DataFrame, again: bool) -> Plan:
        name = "once more" if again else "strike"
        if what == "move":
            return plan_update(frame, by="3D", change=name)
        return plan_update(frame.assign(new_content="hello, world"), change=name)

    return lambda kernel: kernel.posts("scheduled"), change, "post.update"


@pytest.mark.parametrize("what", ["redeliver", "move", "update"])
def test_rule_05_a_cell_that_is_meant_once_more_acts_once_after_one_that_was_not_sent(rig: Rig, what: str) -> None:
    """A change once more has another name (core.md, 6)."""
    load, plan, kind = _plant(rig, what)
    kernel = rig.kernel()
    frame = load(kernel)
    kernel.bind(plan(frame, False))
    for _ in range(3):
        assert outcomes(rig.kernel().run(plan(frame, True))) == {"succeeded": 1}
        assert rig.effects(kind) == 1
        rig.sandbox.advance(LATER)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_31_two_ledgers_number_the_same_attempt_where_one_has_bound_an_earlier_one(
    rig: Rig, one_by_one: bool
) -> None:
    sheet = rig.campaign(1 if one_by_one else 2)

    def numbered(attempt: int) -> Plan:
        return planned(sheet.assign(attempt=attempt), one_by_one=one_by_one)

    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    mine.bind(numbered(1))
    runs = mine.bind(numbered(2)), theirs.bind(numbered(2))
    held = caught(rig, mine, runs[0], "/v1/posts" if one_by_one else BULK)
    other = theirs.start(runs[1])
    wait_for(lambda: len(rig.acts()) == 2)  # it is answered that the first is under way
    let_go(rig)
    for work in (held, other):
        work.result(60)
    rig.sandbox.advance(LATER)
    for kernel, run in zip((mine, theirs), runs, strict=True):
        kernel.go(run)
        assert outcomes(kernel.results(run)) == {"succeeded": len(sheet)}
    assert rig.effects("post.create") == len(sheet)
