"""Sending, leases, pausing, other API keys, and how a pass ends (rules 7, 9, 14, 15 and 16)."""

import asyncio
import math

import pytest
from tests.chaos import world
from tests.chaos.rig import HELD, codes, outcomes, planned, wait_for
from tests.engine.steps import RETRY
from tests.virtual import standing_still

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.retry import plan_retry
from voxops.client.client import Permit
from voxops.errors import TransportError
from voxops.ledger import audit


@pytest.mark.parametrize(("waits", "code"), [
    ("for another row", "alike_in_flight"), ("for the rate limit", "waits_for_limit"), ("since it has stopped", "stopped"),
])  # fmt: skip
def test_rule_14_the_results_say_why_an_unsent_row_waits_as_the_monitor_does(waits, code, rig):
    """Nothing of it has reached the server meanwhile."""
    kernel, sheet = rig.kernel(timeout=HELD), rig.campaign(1)
    run = kernel.bind(planned(sheet))
    if waits == "for another row":
        kernel.caught(kernel.bind(planned(sheet.assign(row_id="other"))), "/v1/posts**")
    elif waits == "for the rate limit":
        rig.sandbox.add_fault(Fault("retry_after", "*", "/v1/posts**", seconds=40))
    else:
        rig.sandbox.add_fault(Fault("status", status=402, code="PLAN", path="/v1/posts**"))
    execution = kernel.execution(run)
    before = rig.sandbox.effects()
    with standing_still(kernel.client):
        work = eventloop.submit(execution.go())
        wait_for(lambda: code in execution.results()["reason_code"].fillna("").to_list())
        execution._refresh(execution.current)
        assert execution.snapshot.waits == execution.results()["waiting_for"].value_counts().to_dict()
        assert rig.sandbox.effects() == before
    rig.let_go()
    work.result(60)


def test_rule_15_what_was_changed_by_hand_is_never_sent(rig):
    """A call whose only try was answered 500, with nothing done; of requests before they were sent `tests/security` tells."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    kernel.send_first(run, Fault("status", "POST", RETRY, status=500, when="before"))
    kernel.ledger.query("UPDATE calls SET path = '/v1/posts/post_x/retry'")
    kernel.go(run)
    assert codes(kernel.results(run)) == {"ledger_changed_by_hand"}
    assert (len(rig.acts()), rig.effects("target.requeue")) == (1, 0)


def test_pause_returns_when_reading_breaks_while_a_request_is_in_flight(rig):
    world.plant_posts(rig.sandbox, 3, targets=1)
    kernel = rig.kernel(timeout=20.0)
    rig.clock.speed = 50
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(
        Fault("delay", "POST", RETRY, seconds=HELD, nth=3),
        Fault("status", "GET", "/v1/posts**", status=400, code="BAD_REQUEST", times=None),
    )
    execution = kernel.execution(run)
    work = eventloop.submit(execution.go())
    wait_for(lambda: "400" in str(execution.current.halted))
    pausing = eventloop.submit(execution.pause())
    rig.let_go()
    pausing.result(30)
    assert work.result(30).phase == "stopped"
    eventloop.run(execution.allow())
    assert execution.resume()
    assert eventloop.run(execution.go()).phase == "done"
    assert outcomes(kernel.results(run)) == {"succeeded": 3}


@pytest.mark.parametrize("withdraw", [False, True])
def test_rule_16_a_pause_returns_in_two_seconds_and_names_what_is_in_flight(withdraw, rig):
    """Nothing more is sent, here or by whoever attaches, until it is allowed or planned again; what is in flight is recorded."""
    kernel = rig.kernel(timeout=20.0)
    rig.clock.speed = 50
    plan = planned(rig.campaign(30), one_by_one=True)
    run = kernel.bind(plan)
    rig.sandbox.add_fault(Fault("delay", "POST", "/v1/posts", seconds=HELD, times=None))
    execution = kernel.execution(run)
    work = eventloop.submit(execution.go())
    wait_for(lambda: len(rig.acts()) == 10)  # as many as the client has in flight
    began = rig.clock.monotonic()
    eventloop.run(execution.pause(withdraw=withdraw))
    assert 2 <= rig.clock.monotonic() - began < 400, "eight real seconds"
    snapshot = execution.snapshot
    sent = snapshot.in_flight
    assert snapshot.phase == "paused"
    assert (len(sent), snapshot.waits["being sent"]) == (10, 10)
    assert snapshot.note == f"Still in flight: {', '.join(sent[:3])} …; recorded when answered"
    assert set(sent) == set(kernel.results(run).query("waiting_for == 'being sent'")["row_id"])
    rig.clock.speed = math.inf
    rig.sandbox.clear_faults()
    assert work.result(60).in_flight == ()
    table = kernel.results(run).set_index("row_id")
    assert (table.loc[list(sent), "outcome"] == "succeeded").all()
    assert outcomes(table) == {"succeeded": 10, "blocked" if withdraw else "pending": 20}
    second = rig.kernel()
    second.attach(run)
    second.go(run)
    rig.each_once(10)
    assert codes(table) == codes(second.results(run)) == {"cancelled" if withdraw else "paused"}, (
        "it stands in the ledger"
    )
    if withdraw:
        run = second.bind(plan)
    eventloop.run(second.execution(run).allow())
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 30}
    rig.each_once(30)


def test_cancelling_also_abandons_what_comes_back_unsent(rig, monkeypatch):
    kernel = rig.kernel(timeout=20.0)
    rig.clock.speed = 50
    run = kernel.bind(planned(rig.campaign(1)))
    go, asked = asyncio.Event(), list[str]()

    async def unreachable(_, method, *__, **___):
        asked.append(method)
        await go.wait()
        raise TransportError("no server answers", sent=False)

    monkeypatch.setattr(Permit, "send", unreachable)
    execution = kernel.execution(run)
    work = eventloop.submit(execution.go())
    wait_for(lambda: asked)
    eventloop.run(execution.pause(withdraw=True))
    assert execution.snapshot.in_flight == ("r00000",)

    async def answer():
        go.set()

    eventloop.run(answer())
    assert work.result(60).phase == "cancelled"
    assert (outcomes(kernel.results(run)), rig.acts()) == ({"blocked": 1}, [])


@pytest.mark.parametrize("where", ["loop", "reading"])
def test_a_pass_that_breaks_down_says_so_everywhere(rig, monkeypatch, where):
    world.plant_posts(rig.sandbox, 2)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    execution = kernel.execution(run)

    async def broken(*_, **__):
        raise KeyError("a bug")

    part, name = (kernel.engine.loop, "_look") if where == "loop" else (kernel.engine.reads, "subjects")
    monkeypatch.setattr(part, name, broken)
    with pytest.raises(KeyError, match="a bug"):
        eventloop.run(execution.go())
    assert (execution.snapshot.phase, "broke down" in execution.snapshot.note) == ("stopped", True)
    assert audit.runs(kernel.ledger)["state"].to_list() == ["stopped"]
