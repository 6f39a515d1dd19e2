"""What other kernels, runs and people have done by the time that a row is sent (rules 1, 3, 7, 8, 13 and 30)."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import (
    BULK,
    HELD,
    RETRY,
    by_a_tool,
    edit,
    left_unknown,
    let_go,
    live,
    planned,
    send_once,
    wait_for,
)

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.retry import plan_retry
from voxops.api.reasons import beginning
from voxops.api.timing import CREATES_FRESH_FOR, PROOF_AFTER
from voxops.engine.preflight import read_list
from voxops.ledger import Claim


def refused(path: str) -> Fault:
    """The API finds something wrong with every row."""
    return Fault(action="status", status=422, code="VALIDATION_ERROR", method="POST", path=path, times=None)


@pytest.mark.parametrize("kernels", [1, 2])
def test_rule_08_a_batch_that_another_sends_is_not_formed_anew_upon_a_list_that_took_long(
    rig: Rig, kernels: int
) -> None:
    """The list that was asked for before the other sent shows the post of another tool; it stands for a row of the batch."""
    sheet = rig.campaign(4)
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    slow = rig.kernel("mine", timeout=HELD)
    quick = slow if kernels == 1 else rig.kernel("mine", timeout=HELD)
    first, second = slow.bind(planned(sheet)), quick.bind(planned(sheet))
    rig.sandbox.advance(CREATES_FRESH_FOR + 1)
    rig.sandbox.add_fault(
        Fault(action="delay", method="GET", path="/v1/posts", seconds=2.0),
        Fault(action="delay", method="POST", path=BULK, seconds=HELD),
    )
    reads = slow.start(first)
    wait_for(lambda: rig.sandbox.faults()[0]["struck"])
    sends = quick.start(second)
    wait_for(lambda: rig.sandbox.faults()[1]["struck"])
    post = by_a_tool(rig, sheet.to_dict("records")[0])
    wait_for(lambda: slow.ledger.marks.of_posts([post]))
    let_go(rig)
    for work in (reads, sends):
        work.result(60)
    assert outcomes(slow.results(first)) == outcomes(quick.results(second)) == {"succeeded": 4}
    assert len({entry["key"] for entry in rig.acts()}) == 2, "one for the lesson, and one for the batch"
    assert [live(rig)[text] for text in sheet["content"][1:]] == [1, 1, 1]


def test_rule_08_a_batch_that_is_claimed_while_the_list_is_read_keeps_its_rows(rig: Rig) -> None:
    sheet = rig.campaign(4)
    one, two = rig.kernel("mine"), rig.kernel("mine")
    run = one.bind(planned(sheet))
    (op,) = one.ledger.operations.of_run(run)
    rig.sandbox.advance(CREATES_FRESH_FOR + 1)
    read, held = one.engine.reader.created, []

    async def slow(*args: Any, **options: Any):
        by_a_tool(rig, sheet.to_dict("records")[0])
        found = await read(*args, **options)
        claims = two.ledger.claims
        cleared = claims.clear(op, read=two.ledger.now())
        now = rig.sandbox.now().timestamp()
        held.append(claims.claim(cleared, owner="two", credential="c", server_now=now, deadline=HELD))
        return found

    one.engine.reader.created = slow
    eventloop.run(one.engine.sender.send(one.execution(run).current, one.ledger.claims.clear(op)))
    assert [type(claim) for claim in held] == [Claim]
    assert one.ledger.operations.get(op.id).state == "sent"
    assert len(one.ledger.operations.members(op.id)) == 4
    assert rig.acts() == []


def test_rule_08_what_failed_in_another_kernel_meanwhile_is_not_sent_again(rig: Rig) -> None:
    sheet = rig.campaign(4)
    sheet.loc[1, "accounts"] = "acc_unknown"
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    slow, quick = rig.kernel("mine", timeout=HELD), rig.kernel("mine", timeout=HELD)
    first, second = slow.bind(planned(sheet)), quick.bind(planned(sheet))
    rig.sandbox.advance(CREATES_FRESH_FOR + 1)
    rig.sandbox.add_fault(Fault(action="delay", method="GET", path="/v1/posts", seconds=2.0))
    reads = slow.start(first)
    wait_for(lambda: rig.sandbox.faults()[0]["struck"])
    quick.go(second)
    reads.result(60)
    assert outcomes(slow.results(first)) == {"succeeded": 3, "failed": 1}
    assert len(rig.acts()) == 2


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    "columns", [{}, {"attempt": 2}, None], ids=["the same row", "its next attempt", "another tool"]
)
def test_rule_13_what_the_plan_s_own_reading_shows_counts_for_rows_that_waited_already(
    rig: Rig, columns: dict[str, object] | None, one_by_one: bool
) -> None:
    sheet = rig.campaign(2)
    plan = planned(sheet, one_by_one=one_by_one)
    mine = rig.kernel("mine")
    mine.bind(plan)  # and the kernel dies
    if columns is None:
        for row in sheet.to_dict("records"):
            by_a_tool(rig, row)
    else:
        rig.kernel("theirs").run(planned(rig.campaign(3).assign(**columns)))
    run = mine.bind(plan)
    mine.go(run)
    assert outcomes(mine.results(run)) == {"blocked" if columns is None else "succeeded": 2}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1]


def test_rule_13_what_another_run_has_read_counts_for_rows_that_wait(rig: Rig) -> None:
    sheet = rig.campaign(2)
    mine = rig.kernel("mine")
    run = mine.bind(planned(sheet))
    for row in sheet.to_dict("records"):
        by_a_tool(rig, row)
    mine.bind(planned(rig.campaign(1, start=50)))
    mine.go(run)
    assert outcomes(mine.results(run)) == {"blocked": 2}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1]


def test_rule_01_an_act_that_waited_already_is_compared_with_what_the_plan_has_read(rig: Rig) -> None:
    """A colleague with an API key of his own has retried the post, seconds after it was first planned here."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs", api_key="vb_test_second")
    plan = plan_retry(mine.triaged("failed"))
    mine.bind(plan)  # and the kernel dies
    send_once(theirs, theirs.bind(plan_retry(theirs.triaged("failed"))))
    rig.sandbox.advance(4)
    queued = rig.effects("target.requeue")
    table = mine.run(plan)
    assert outcomes(table) == {"blocked": 1}
    assert table["waiting_for"][0].startswith(beginning("changed_since_loaded"))
    assert rig.effects("target.requeue") == queued


def test_rule_01_nor_is_a_post_cancelled_that_somebody_has_changed(rig: Rig) -> None:
    (account, *_) = rig.accounts.values()
    post = rig.sandbox.plant_post("text", [account], status="scheduled", scheduledFor="2027-03-01T09:00:00Z", daysOld=1)
    mine = rig.kernel("mine")
    plan = plan_cancel(mine.posts("scheduled"))
    mine.bind(plan)
    edit(rig, post)
    assert outcomes(mine.run(plan)) == {"blocked": 1}
    assert rig.sandbox.world.posts[post].status == "scheduled"


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("who", ["a colleague", "another tool"])
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
    (op,) = one.ledger.operations.of_run(run)
    their_run = theirs.bind(planned(sheet[:1]))
    (their_op,) = theirs.ledger.operations.of_run(their_run)
    permit, waited = one.client.permit, []

    @asynccontextmanager
    async def held_up():
        if not waited:
            waited.append(True)
            if who == "a colleague":
                clearance = theirs.ledger.claims.clear(their_op)
                await theirs.engine.sender.send(theirs.execution(their_run).current, clearance)
            else:
                by_a_tool(rig, sheet.to_dict("records")[0])
            rig.sandbox.advance(4)
            await read_list(two.client, two.engine.reader, two.ledger, two.engine.commit)
            if unknown:
                await two.engine.settler.look([two.ledger.operations.get(op.id)])
        async with permit() as granted:
            yield granted

    cleared = eventloop.run(one.engine.settler.look([op])).resend[0] if unknown else one.ledger.claims.clear(op)
    one.client.permit = held_up
    eventloop.run(one.engine.sender.send(one.execution(run).current, cleared))
    assert waited
    one.go(run)
    rig.sandbox.advance(PROOF_AFTER + 1)
    one.go(run)
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1]


@pytest.mark.parametrize("first", ["unknown", "failed"])
def test_rule_30_a_number_that_only_the_ledger_has_raised_makes_nothing_again(rig: Rig, first: str) -> None:
    """A colleague has made the rows under the same names, and somebody has withdrawn them."""
    sheet = rig.campaign(2)
    mended = sheet.assign(content=["mended", "mended, too"])
    if first == "unknown":
        mine, run = left_unknown(rig, sheet)
        theirs, again = mended, sheet
    else:
        rig.sandbox.add_fault(refused(BULK))
        mine = rig.kernel("mine")
        run = mine.bind(planned(sheet))
        mine.go(run)
        rig.sandbox.clear_faults()
        theirs, again = sheet, mended
    for post in rig.kernel("theirs").run(planned(theirs))["result_id"]:
        rig.sandbox.person.withdraw(post)
    rig.sandbox.advance(PROOF_AFTER + 100)
    mine.go(run)
    before = len(rig.acts())
    for _ in range(2):
        table = mine.run(planned(again))
        assert outcomes(table) == {"blocked": 2}
        assert table["waiting_for"].str.contains("set a column attempt to 2").all()
        rig.sandbox.advance(HELD)
    assert len(rig.acts()) == before
    assert outcomes(mine.run(planned(again.assign(attempt=2)))) == {"succeeded": 2}
    assert [live(rig)[text] for text in again["content"]] == [1, 1]


def test_rule_30_nor_where_they_were_withdrawn_while_the_row_waited(rig: Rig) -> None:
    sheet = rig.campaign(2)
    mended = sheet.assign(content=["mended", "mended, too"])
    rig.sandbox.add_fault(refused(BULK))
    mine = rig.kernel("mine")
    assert outcomes(mine.run(planned(sheet))) == {"failed": 2}
    rig.sandbox.clear_faults()
    rig.sandbox.advance(PROOF_AFTER + 100)
    run = mine.bind(planned(mended))
    for post in rig.kernel("theirs").run(planned(sheet))["result_id"]:
        rig.sandbox.person.withdraw(post)
    rig.sandbox.advance(CREATES_FRESH_FOR + 1)
    mine.go(run)
    assert outcomes(mine.results(run)) == {"blocked": 2}
    assert live(rig) == Counter()


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_07_canaries_of_an_earlier_run_wait_for_those_of_this_one(rig: Rig, one_by_one: bool) -> None:
    sheet = rig.campaign(4)
    path = "/v1/posts" if one_by_one else BULK
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    mine = rig.kernel("mine")
    rig.sandbox.add_fault(
        Fault(action="status", status=500, method="POST", path=path, times=3 if one_by_one else 1),
        Fault(action="status", status=401, code="UNAUTHORIZED", method="POST", path=path, times=None),
    )
    table = mine.run(planned(sheet, one_by_one=one_by_one).canary(3))
    assert outcomes(table) == {"unknown": 3, "pending": 1}
    rig.sandbox.clear_faults()
    rig.sandbox.advance(120)
    rig.sandbox.add_fault(refused(path))
    before = len(rig.acts())
    table = mine.run(planned(sheet, one_by_one=one_by_one).canary(1))
    assert list(table["outcome"]) == ["failed", "blocked", "blocked", "blocked"]
    assert len({entry["key"] for entry in rig.acts()[before:]}) == 1


def test_rule_07_retries_that_were_canaries_wait_for_those_of_this_run(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 12, targets=1)
    mine = rig.kernel("mine")
    triaged = mine.triaged("failed")
    plan = plan_retry(triaged[triaged["platform"] == "twitter"])
    rig.sandbox.add_fault(
        Fault(action="status", status=500, method="POST", path=RETRY, times=3),
        Fault(action="status", status=401, code="UNAUTHORIZED", method="POST", path=RETRY, times=None),
    )
    assert outcomes(mine.run(plan.canary(3))) == {"unknown": 3, "pending": 1}
    rig.sandbox.clear_faults()
    rig.sandbox.advance(120)
    rig.sandbox.add_fault(refused(RETRY))
    before = len(rig.acts())
    assert outcomes(mine.run(plan.canary(1))) == {"failed": 1, "blocked": 3}
    assert len({entry["path"] for entry in rig.acts()[before:]}) == 1


@pytest.mark.parametrize("cancelled", ["the earlier", "the later"])
def test_rule_03_cancelling_a_run_takes_back_its_own_rows_and_no_others(rig: Rig, cancelled: str) -> None:
    """A batch is proved to have done nothing after a later run, without one of its rows, had joined it."""
    sheet = rig.campaign(3)
    mine, earlier = left_unknown(rig, sheet)
    rig.sandbox.advance(120)
    later = mine.bind(planned(sheet.drop(1)))
    rig.sandbox.advance(PROOF_AFTER + 100)
    eventloop.run(mine.engine.reconcile())
    taken_back, other = (earlier, later) if cancelled == "the earlier" else (later, earlier)
    eventloop.run(mine.execution(taken_back, paused=True).pause(withdraw=True))
    mine.go(other)
    expected = [1, 0, 1] if cancelled == "the earlier" else [0, 1, 0]
    assert [live(rig)[text] for text in sheet["content"]] == expected
    if (
        cancelled == "the earlier"
    ):  # the row that only it had waits no longer, so that it can be planned under another name
        renamed = sheet.assign(row_id=["r00000", "renamed", "r00002"])
        assert outcomes(mine.run(planned(renamed))) == {"succeeded": 3}
        assert [live(rig)[text] for text in sheet["content"]] == [1, 1, 1]


def test_rule_03_each_of_several_runs_on_one_batch_takes_back_what_only_it_has(rig: Rig) -> None:
    sheet = rig.campaign(3)
    mine, first = left_unknown(rig, sheet)
    mine.bind(planned(sheet[1:]))
    third = mine.bind(planned(sheet[2:]))
    rig.sandbox.advance(PROOF_AFTER + 100)
    eventloop.run(mine.engine.reconcile())
    eventloop.run(mine.execution(first, paused=True).pause(withdraw=True))
    assert list(mine.results(first)["waiting_for"].str.startswith("cancelled")) == [True, True, True]
    assert mine.results(first)["waiting_for"][0] == "cancelled"
    mine.go(third)
    assert [live(rig)[text] for text in sheet["content"]] == [0, 0, 1]
    assert outcomes(mine.run(planned(sheet[:1].assign(row_id="renamed")))) == {"succeeded": 1}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 0, 1]
