"""What other kernels, runs and people have done by the time that a row is sent (rules 1, 8, 13 and 30)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes
from tests.engine.days import codes, done, left_unknown, planted, send_first
from tests.engine.steps import BULK, HELD, by_a_tool, caught, edit, let_go, live, planned, wait_for

from voxburst_sandbox import Fault
from voxops.acts.cancel import plan_cancel
from voxops.acts.retry import plan_retry
from voxops.api.timing import CREATES_FRESH_FOR, PROOF_AFTER

OLD = CREATES_FRESH_FOR + 1
REFUSED = Fault(action="status", status=422, code="VALIDATION_ERROR", method="POST", path=BULK, times=None)


@pytest.mark.parametrize("quick_does", ["send", "fail"])
def test_rule_08_what_another_does_while_a_list_is_read_that_takes_long_counts(rig: Rig, quick_does: str) -> None:
    """A batch that it sends is not formed anew, although the list shows the post of another tool; what failed is not sent again."""
    sheet = rig.campaign(4)
    if quick_does == "fail":
        sheet.loc[1, "accounts"] = "acc_unknown"
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    slow, quick = rig.kernel("mine", timeout=HELD), rig.kernel("mine", timeout=HELD)
    first, second = slow.bind(planned(sheet)), quick.bind(planned(sheet))
    rig.sandbox.advance(OLD)
    rig.sandbox.add_fault(Fault(action="delay", method="GET", path="/v1/posts", seconds=2.0))
    reads = slow.start(first)
    wait_for(lambda: rig.sandbox.faults()[0]["struck"])
    if quick_does == "fail":
        quick.go(second)
    else:
        sends = caught(rig, quick, second, BULK)
        post = by_a_tool(rig, sheet.to_dict("records")[0])
        wait_for(lambda: slow.ledger.seen.of_posts([post]))
        let_go(rig)
        sends.result(60)
    reads.result(60)
    became = {"succeeded": 4} if quick_does == "send" else {"succeeded": 3, "failed": 1}
    assert outcomes(slow.results(first)) == outcomes(quick.results(second)) == became
    assert len({entry["key"] for entry in rig.acts()}) == 2, "one for the lesson, and one for the batch"
    assert [live(rig)[text] for text in sheet["content"][2:]] == [1, 1]


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("reads", ["its own plan", "another run"])
@pytest.mark.parametrize("columns", [{}, {"attempt": 2}, None], ids=["the same row", "its next attempt", "a tool"])
def test_rule_13_whatever_has_been_read_counts_for_rows_that_waited_already(
    rig: Rig, columns: dict[str, object] | None, reads: str, one_by_one: bool
) -> None:
    sheet = rig.campaign(2)
    plan = planned(sheet, one_by_one=one_by_one)
    mine = rig.kernel("mine")
    run = mine.bind(plan)
    if columns is None:
        for row in sheet.to_dict("records"):
            by_a_tool(rig, row)
    else:
        rig.kernel("theirs").run(planned(rig.campaign(3).assign(**columns)))
    if reads == "its own plan":
        run = mine.bind(plan)
    else:
        mine.bind(planned(rig.campaign(1, start=50)))
    mine.go(run)
    table = mine.results(run)
    assert (outcomes(table), codes(table)) == (
        ({"blocked": 2}, {"looks_like"}) if columns is None else ({"succeeded": 2}, set())
    )
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1]


@pytest.mark.parametrize("what", ["retry", "cancel"])
def test_rule_01_an_act_that_waited_already_is_compared_with_what_the_plan_has_read(rig: Rig, what: str) -> None:
    """A colleague with an API key of his own has retried the post since it was first planned here, or somebody has changed it."""
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs", api_key="vb_test_second")
    if what == "retry":
        world.plant_posts(rig.sandbox, 1, targets=1)
        plan = plan_retry(mine.triaged("failed"))
    else:
        (post,) = planted(rig)
        plan = plan_cancel(mine.posts("scheduled"))
    mine.bind(plan)
    if what == "retry":
        send_first(theirs, theirs.bind(plan_retry(theirs.triaged("failed"))))
        rig.sandbox.advance(4)
    else:
        edit(rig, post)
    before = rig.effects("target.requeue")
    table = mine.run(plan)
    assert (outcomes(table), codes(table)) == ({"blocked": 1}, {"changed_since_loaded"})
    assert (rig.effects("target.requeue"), rig.effects("post.cancel")) == (before, 0)


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("who", ["a colleague", "a tool"])
def test_rule_13_what_is_learnt_while_a_create_waits_for_its_permit_counts(rig: Rig, who: str, unknown: bool) -> None:
    """Another kernel on the same ledger reads the list meanwhile, or finds a row of a batch that is to be sent again (rule 11)."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    sheet = rig.campaign(2)
    if unknown:
        one, run = left_unknown(rig, sheet)
        rig.sandbox.advance(120)
    else:
        rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
        rig.sandbox.advance(200)
        one = rig.kernel("mine")
        run = one.bind(planned(sheet))
    two, theirs = rig.kernel("mine"), rig.kernel("theirs")
    their_run = theirs.bind(planned(sheet[:1]))
    permit, waited = one.client.permit, []

    @asynccontextmanager
    async def held_up() -> AsyncIterator[Any]:
        if not waited:
            waited.append(True)
            if who == "a colleague":
                await theirs._go(their_run)
            else:
                by_a_tool(rig, sheet.to_dict("records")[0])
            rig.sandbox.advance(4)
            await two.engine.reconcile()
        async with permit() as granted:
            yield granted

    one.client.permit = held_up  # type: ignore[method-assign]
    one.go(run)
    assert waited
    rig.sandbox.advance(PROOF_AFTER + 1)
    one.go(run)
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1]


@pytest.mark.parametrize("first", ["unknown", "failed", "failed, and planned again before"])
def test_rule_30_a_number_that_only_the_ledger_has_raised_creates_nothing_again(rig: Rig, first: str) -> None:
    """A colleague has created the rows under the same names, and somebody has withdrawn them."""
    sheet = rig.campaign(2)
    mended = sheet.assign(content=["mended", "mended, too"])
    if first == "unknown":
        mine, run = left_unknown(rig, sheet)
        theirs, again = mended, sheet
    else:
        rig.sandbox.add_fault(REFUSED)
        mine = rig.kernel("mine")
        run = done(mine, planned(sheet))
        assert outcomes(mine.results(run)) == {"failed": 2}
        rig.sandbox.clear_faults()
        theirs, again = sheet, mended
    if first.endswith("before"):
        run = mine.bind(planned(mended))
    for post in rig.kernel("theirs").run(planned(theirs))["result_id"]:
        rig.sandbox.person.withdraw(post)
    rig.sandbox.advance(PROOF_AFTER + 100)
    mine.go(run)
    before = len(rig.acts())
    for _ in range(2):
        table = mine.run(planned(again))
        assert (outcomes(table), codes(table)) == ({"blocked": 2}, {"withdrawn_since"})
        assert table["waiting_for"].str.contains("set a column attempt to 2").all()
        rig.sandbox.advance(HELD)
    assert len(rig.acts()) == before
    assert outcomes(mine.run(planned(again.assign(attempt=2)))) == {"succeeded": 2}
    assert [live(rig)[text] for text in again["content"]] == [1, 1]
