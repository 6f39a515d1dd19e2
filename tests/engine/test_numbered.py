"""A cell that numbers an attempt, or says `again`, asks for one act however often it is run: also where an earlier cell was bound, not sent.

What waits unsent under a lower number is formed anew under the higher one, so that the ledger knows what was asked for (rules 5, 18
and 30).
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import BULK, caught, let_go, live, send_once, wait_for

from voxburst_sandbox import Fault
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.timing import PROOF_AFTER

LATER = PROOF_AFTER + 400  # seconds after which an act that hangs may be given up, and absence is proved


@pytest.mark.parametrize("rows", [1, 2], ids=["fix", "retry"])
@pytest.mark.parametrize("bound", [False, True], ids=["alone", "after a cell that was not sent"])
def test_rule_18_a_numbered_retry_that_hangs_is_not_given_up_by_its_own_cell(rig: Rig, rows: int, bound: bool) -> None:
    rig.sandbox.set_switches(queue_hold_seconds=1800.0)
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    triaged = kernel.triaged().head(rows)
    if bound:
        kernel.bind(plan_retry(triaged))
    send_once(kernel, kernel.bind(plan_retry(triaged.assign(attempt=2))))
    kind = "post.retry" if rows == 2 else "target.fix"
    for _ in range(2):
        rig.sandbox.advance(LATER)
        kernel = rig.kernel()
        again = kernel.bind(plan_retry(triaged.assign(attempt=2)))
        assert not kernel.ledger.operations.of_run(again, ("planned",))
        assert rig.effects(kind) == 1
    rig.sandbox.advance(3600)
    kernel.go(again)
    assert outcomes(kernel.results(again)) == {"succeeded": rows}
    assert rig.effects("target.publish") == rows
    rig.sandbox.set_switches(queue_hold_seconds=0.0)


def test_rule_09_a_numbered_act_goes_under_another_key_than_one_that_was_sent_without_effect(rig: Rig) -> None:
    """The server may keep its 500 under the first one."""
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    triaged = kernel.triaged()
    rig.sandbox.add_fault(Fault(action="status", status=500, method="POST", path="/v1/**"))
    send_once(kernel, kernel.bind(plan_retry(triaged)))
    rig.sandbox.advance(LATER)
    assert outcomes(kernel.run(plan_retry(triaged.assign(attempt=2)))) == {"succeeded": 2}
    assert len({entry["key"] for entry in rig.acts()}) == len(rig.acts()) == 2
    assert rig.effects("post.retry") == 1


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("before", ["bound", "proved absent"])
def test_rule_30_a_numbered_create_that_was_withdrawn_is_not_made_again_by_its_own_cell(
    rig: Rig, before: str, one_by_one: bool
) -> None:
    sheet = rig.campaign(2)
    kernel = rig.kernel()

    def numbered(attempt: int) -> str:
        return kernel.bind(
            plan_create(sheet.assign(attempt=attempt), key="row_id", campaign="c", one_by_one=one_by_one)
        )

    first = numbered(1)
    if before == "proved absent":
        rig.sandbox.add_fault(Fault(action="status", status=500, method="POST", path="/v1/**"))
        send_once(kernel, first)
        rig.sandbox.advance(LATER)
    second = numbered(2)
    kernel.go(second)
    assert outcomes(kernel.results(second)) == {"succeeded": 2}
    rig.sandbox.advance(LATER)
    kernel.run(plan_cancel(kernel.posts("scheduled")))
    rig.sandbox.advance(LATER)
    for book in ("ledger", "another"):
        kernel = rig.kernel(book)
        third = numbered(2)
        kernel.go(third)
        results = kernel.results(third)
        assert outcomes(results) == {"blocked": 2}
        assert results["waiting_for"].str.contains("set a column attempt to 3").all()
    assert rig.effects("post.create") == 2
    assert not live(rig)


def test_rule_30_what_run_failed_has_numbered_counts_as_asked_for(rig: Rig) -> None:
    sheet = rig.campaign(2)
    kernel = rig.kernel()
    rig.sandbox.add_fault(
        Fault(action="status", status=422, code="VALIDATION_ERROR", method="POST", path=BULK, times=None)
    )
    first = kernel.bind(plan_create(sheet, key="row_id", campaign="c"))
    kernel.go(first)
    rig.sandbox.clear_faults()
    failed = kernel.execution(first).failed()
    assert failed["attempt"].to_list() == [2, 2]
    kernel.bind(plan_create(failed, key="row_id", campaign="c"))
    for effects, became in ((2, "succeeded"), (2, "blocked")):
        run = kernel.bind(plan_create(failed.assign(attempt=3), key="row_id", campaign="c"))
        kernel.go(run)
        assert (outcomes(kernel.results(run)), rig.effects("post.create")) == ({became: 2}, effects)
        rig.sandbox.advance(LATER)
        if became == "succeeded":
            kernel.run(plan_cancel(kernel.posts("scheduled")))
            rig.sandbox.advance(LATER)


def _plant(rig: Rig, what: str) -> tuple[Callable[[Kernel], pd.DataFrame], Callable[[pd.DataFrame, bool], Plan], str]:
    """What is acted upon, how it is planned with `again` or without, and what the server counts of it."""
    if what == "redeliver":
        world.plant_deliveries(rig.sandbox, 1)
        return Kernel.deliveries, lambda frame, again: plan_redeliver(frame.assign(again=again)), "delivery.resend"
    account = next(iter(rig.accounts.values()))
    rig.sandbox.plant_post("hello", [account], status="scheduled", scheduledFor="2027-03-01T09:00:00Z")
    rig.sandbox.advance(100)

    def change(frame: pd.DataFrame, again: bool) -> Plan:
        if what == "move":
            return plan_update(frame.assign(again=again), by="3D")
        return plan_update(frame.assign(new_content="hello, world", again=again))

    return lambda kernel: kernel.posts("scheduled"), change, "post.update"


@pytest.mark.parametrize("what", ["redeliver", "move", "update"])
def test_rule_05_a_cell_that_says_again_acts_once_after_one_that_was_not_sent(rig: Rig, what: str) -> None:
    load, plan, kind = _plant(rig, what)
    kernel = rig.kernel()
    frame = load(kernel)
    kernel.bind(plan(frame, False))
    for _ in range(3):
        kernel = rig.kernel()
        run = kernel.bind(plan(frame, True))
        kernel.go(run)
        assert outcomes(kernel.results(run)) == {"succeeded": 1}
        assert rig.effects(kind) == 1
        rig.sandbox.advance(LATER)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_31_two_ledgers_number_the_same_attempt_where_one_has_bound_an_earlier_one(
    rig: Rig, one_by_one: bool
) -> None:
    sheet = rig.campaign(1 if one_by_one else 2)

    def numbered(attempt: int) -> Plan:
        return plan_create(sheet.assign(attempt=attempt), key="row_id", campaign="c", one_by_one=one_by_one)

    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    mine.bind(numbered(1))
    runs = mine.bind(numbered(2)), theirs.bind(numbered(2))
    held = caught(rig, mine, runs[0], "/v1/**")
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
