"""Whole runs beside the numbered rules: cancelling, fixing, stopping, pausing, and what others delete meanwhile."""

from __future__ import annotations

from functools import partial

from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes
from tests.engine.steps import (
    HELD,
    RETRY,
    let_go,
    plan_rows,
    post,
    send_once,
    wait_for,
)

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.fix import plan_fix
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.api.reasons import Reason
from voxops.engine.execution import Execution
from voxops.run import Run


def test_a_storm_of_refusals_by_rate_limit_counts_as_no_try(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="retry_after", method="POST", path=RETRY, seconds=2, times=12))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"succeeded": 1}
    assert table["tries"].tolist() == [1]
    assert len(rig.acts()) == 13


def test_cancelling_a_post_happens_once_and_is_read_back(rig):
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 3))
    rig.sandbox.add_fault(
        *post({"action": "drop", "when": "after", "nth": 1}, {"action": "status", "when": "after", "nth": 2})
    )
    table = kernel.run(plan_cancel(kernel.posts("scheduled")))
    assert outcomes(table) == {"succeeded": 3}
    assert rig.effects("post.cancel") == 3


def test_a_fix_with_new_content_happens_once(rig):
    world.plant_posts(rig.sandbox, 2)
    kernel = rig.kernel()
    frame = kernel.triaged().assign(new_content="better words")
    rig.sandbox.add_fault(
        *post({"action": "drop", "when": "after", "nth": 1}, {"action": "status", "when": "before", "nth": 2})
    )
    plan = plan_fix(frame)
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": len(frame)}
    assert rig.count(expected(plan)).holds


def test_an_accepted_act_whose_job_was_lost_gives_way_to_a_next_attempt(rig):
    """A 202 after which nothing moves for a quarter of an hour; the analyst plans it as attempt 2."""
    rig.sandbox.set_switches(linger_failed_seconds=1e6)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    first = kernel.bind(plan_retry(kernel.triaged()))
    send_once(kernel, first)
    rig.sandbox.advance(900)
    joined = kernel.bind(plan_retry(kernel.triaged()))
    assert outcomes(kernel.results(joined)) == {"pending": 1}, "the same attempt joins it"
    second = kernel.bind(plan_retry(kernel.triaged().assign(attempt=2)))
    assert [stored.state for stored in kernel.ledger.operations.of_run(second)] == ["planned"]
    assert kernel.results(first)["error_code"].tolist() == ["STUCK"]


def test_stop_after_failures_counts_what_is_refused_at_once(rig):
    world.plant_posts(rig.sandbox, 120, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT", "times": None}, path=RETRY))
    run = kernel.bind(plan_retry(kernel.triaged()))
    snapshot = kernel.go(run, stop_after_failures=5)
    assert "stopped after" in snapshot.note
    assert 5 <= outcomes(kernel.results(run))["failed"] < 60


def test_a_deleted_webhook_holds_its_own_rows_alone(rig):
    world.plant_deliveries(rig.sandbox, 4)
    kernel = rig.kernel()
    frame = kernel.deliveries()
    gone = frame["webhook_id"].iloc[0]
    with vx.connect(sandbox=rig.sandbox, ledger=rig.folder / "other.sqlite") as ws:
        eventloop.run(ws.client.webhooks.delete(gone))
    table = kernel.run(plan_redeliver(frame))
    away = table["webhook_id"] == gone
    assert table.loc[away, "waiting_for"].eq(str(Reason("delivery_gone"))).all()
    assert (table.loc[~away, "outcome"] == "succeeded").all()


def test_pause_returns_when_reading_breaks_while_a_request_is_under_way(rig):
    world.plant_posts(rig.sandbox, 3, targets=1)
    kernel = rig.kernel(timeout=20.0)
    rig.clock.speed = 50
    run_id = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(
        Fault(action="delay", method="POST", path=RETRY, seconds=HELD, nth=3),
        Fault(action="status", method="GET", path="/v1/posts**", status=400, code="BAD_REQUEST", times=None),
    )
    run = Run(partial(Execution, kernel.engine, run_id))
    wait_for(lambda: "BAD_REQUEST" in run._job.current.control.halted or "400" in run._job.current.control.halted)
    pausing = eventloop.submit(run._job.pause())
    let_go(rig)
    pausing.result(30)
    assert run._job.current.queue.in_flight == 0
    assert run.resume().wait().snapshot.phase == "done"
    assert outcomes(run.results()) == {"succeeded": 3}
