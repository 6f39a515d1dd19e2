"""Whole runs, and how a pass ends: cancelling, fixing, stopping, pausing; whatever breaks, ledger and display say so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Rig, Silent, outcomes
from tests.engine.steps import BULK, HELD, RETRY, caught, let_go, plan_rows, post, send_once, wait_for

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_fix, plan_retry
from voxops.errors import LedgerError
from voxops.ledger import audit
from voxops.model import Snapshot

BREAKS = {"action": "drop", "when": "after", "nth": 1}, {"action": "status", "nth": 2}


def test_a_storm_of_refusals_by_rate_limit_counts_as_no_try(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="retry_after", method="POST", path=RETRY, seconds=2, times=12))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert table[["outcome", "tries"]].values.tolist() == [["succeeded", 1]]
    assert len(rig.acts()) == 13


def test_cancelling_a_post_happens_once_and_is_read_back(rig: Rig) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 3))
    rig.sandbox.add_fault(*post(*BREAKS))
    assert outcomes(kernel.run(plan_cancel(kernel.posts("scheduled")))) == {"succeeded": 3}
    assert rig.effects("post.cancel") == 3


def test_a_fix_with_new_content_happens_once(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 2)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post(*BREAKS))
    plan = plan_fix(kernel.triaged().assign(new_content="better words"))
    assert outcomes(kernel.run(plan)) == {"succeeded": len(plan.items)}
    assert rig.count(expected(plan)).holds


def test_an_accepted_act_whose_job_was_lost_gives_way_to_a_next_attempt(rig: Rig) -> None:
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
    assert kernel.results(second)[["outcome", "reason_code"]].values.tolist() == [["pending", "unsent"]]
    assert kernel.results(first)["error_code"].tolist() == ["STUCK"]


def test_a_limit_of_failures_counts_what_is_refused_at_once_and_binds_a_later_resume(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 120, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT", "times": None}, path=RETRY))
    run = kernel.bind(plan_retry(kernel.triaged()), failures=5)
    assert "stopped after" in kernel.go(run).note
    failed = outcomes(kernel.results(run))["failed"]
    assert 5 <= failed < 60
    rig.kernel().go(run)
    assert len(rig.acts()) == failed


def test_a_deleted_webhook_blocks_its_own_rows_alone(rig: Rig) -> None:
    world.plant_deliveries(rig.sandbox, 4)
    kernel = rig.kernel()
    frame = kernel.deliveries()
    gone = frame["webhook_id"].iloc[0]
    eventloop.run(kernel.client.webhooks.delete(gone))
    table = kernel.run(plan_redeliver(frame))
    away = table["webhook_id"] == gone
    assert set(table.loc[away, "reason_code"]) == {"delivery_gone"}
    assert set(table.loc[~away, "outcome"]) == {"succeeded"}


def test_pause_returns_when_reading_breaks_while_a_request_is_in_flight(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 3, targets=1)
    kernel = rig.kernel(timeout=20.0)
    rig.clock.speed = 50
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(
        Fault(action="delay", method="POST", path=RETRY, seconds=HELD, nth=3),
        Fault(action="status", method="GET", path="/v1/posts**", status=400, code="BAD_REQUEST", times=None),
    )
    execution = kernel.execution(run)
    work = eventloop.submit(execution.go())
    wait_for(lambda: "400" in str(execution.current.halted))
    pausing = eventloop.submit(execution.pause())
    let_go(rig)
    pausing.result(30)
    assert not execution.current.under_way
    assert work.result(30).phase == "stopped"
    eventloop.run(execution.allow())
    assert execution.resume()
    assert eventloop.run(execution.go()).phase == "done"
    assert outcomes(kernel.results(run)) == {"succeeded": 3}


# -- how a pass ends ----------------------------------------------------------------------------------------------------------------


class Broken:
    """A display that always breaks."""

    def notice(self, snapshot: Snapshot) -> None:
        raise RuntimeError(snapshot.phase)


def test_a_display_that_breaks_stops_nothing(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 3))
    kernel.go(run, observer=Broken())
    assert outcomes(kernel.results(run)) == {"succeeded": 3}
    assert audit.runs(kernel.ledger)["state"].to_list() == ["done"]
    assert f"what follows {run} broke" in caplog.text


def test_a_ledger_that_is_busy_for_a_moment_does_not_end_the_display(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 3))
    rig.sandbox.add_fault(Fault(action="delay", method="POST", path=BULK, seconds=HELD))
    execution = kernel.execution(run)
    refresh, seen = execution._reporter.refresh, []

    def busy(current: Any) -> Snapshot:
        seen.append(len(seen))
        if len(seen) == 1:
            raise LedgerError("the ledger is locked")
        return refresh(current)

    monkeypatch.setattr(execution._reporter, "refresh", busy)
    work = eventloop.submit(execution.go())
    wait_for(lambda: len(seen) > 2)
    let_go(rig)
    assert work.result(20).phase == "done"


@pytest.mark.parametrize("where", ["loop", "reading"])
def test_a_pass_that_breaks_down_says_so_everywhere(rig: Rig, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    world.plant_posts(rig.sandbox, 2)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    execution = kernel.execution(run)

    async def broken(*_: Any, **__: Any) -> bool:
        raise KeyError("a bug")

    part, name = (kernel.engine.driver, "_look") if where == "loop" else (kernel.engine.eyes, "subjects")
    monkeypatch.setattr(part, name, broken)
    with pytest.raises(KeyError, match="a bug"):
        eventloop.run(execution.go())
    assert (execution.snapshot.phase, "broke down" in execution.snapshot.note) == ("stopped", True)
    assert audit.runs(kernel.ledger)["state"].to_list() == ["stopped"]


def test_a_webhook_for_a_post_whose_request_is_in_flight_waits_for_its_answer(rig: Rig) -> None:
    """It does not ask again and again."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    work = caught(rig, kernel, run, RETRY)
    turns, turn = [], kernel.engine.driver._turn

    async def counted() -> None:
        turns.append(True)
        await turn()

    kernel.engine.driver._turn = counted  # type: ignore[method-assign]

    async def notify() -> bool:
        told = kernel._executions[-1].notify("post_f00000")
        await asyncio.sleep(0.3)
        return told

    assert eventloop.run(notify())
    assert len(turns) <= 3
    let_go(rig)
    assert work.result(20).phase == "done"


def test_a_second_pass_counts_from_the_beginning_and_ends_the_look_back_of_the_first(rig: Rig) -> None:
    kernel = rig.kernel()
    execution = kernel.execution(kernel.bind(plan_rows(rig, 3)), observer=Silent(), look_back=True)

    async def twice() -> tuple[int, int, bool]:
        await execution.go()
        acts, after = execution.snapshot.acts, execution._after
        assert after is not None
        assert execution.resume()
        await execution.go()
        await asyncio.sleep(0)
        return acts, execution.snapshot.acts, after.done() or after.cancelled()

    assert eventloop.run(twice()) == (1, 1, True)
    execution.close()


def test_kernels_wait_for_an_answer_without_growing_older(rig: Rig) -> None:
    """Virtual time stands still while a request is in flight: else a busy machine would let leases run out and readings grow old."""
    kernel, other = rig.kernel(), rig.kernel("other")
    run, began = kernel.bind(plan_rows(rig, 3)), rig.sandbox.now()
    work = caught(rig, kernel, run, BULK)
    waiting = eventloop.submit(other.client.clock.sleep(5.0))
    eventloop.run(asyncio.sleep(0.3))  # a pass that waited would have let an hour pass
    assert (rig.sandbox.now(), waiting.done()) == (began, False)
    let_go(rig)
    work.result(30)
    waiting.result(30)
    assert outcomes(kernel.results(run)) == {"succeeded": 3}
