"""How a pass ends: whatever breaks, ledger and display say how it ended, and the next pass begins anew."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, Silent, outcomes
from tests.engine.steps import HELD, RETRY, let_go, plan_rows, post, wait_for

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.retry import plan_retry
from voxops.errors import LedgerError
from voxops.ledger import audit
from voxops.model import Snapshot


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
    world.plant_posts(rig.sandbox, 1, targets=1)
    rig.clock.speed = 1
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(Fault(action="delay", method="POST", path=RETRY, seconds=1.0))
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
    execution.close()
    work.result(20)


def test_a_pass_that_breaks_down_says_so_everywhere(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    world.plant_posts(rig.sandbox, 2)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    execution = kernel.execution(run)

    async def broken(*_: Any) -> bool:
        raise KeyError("a bug")

    monkeypatch.setattr(execution, "_look", broken)
    with pytest.raises(KeyError, match="a bug"):
        eventloop.run(execution.go())
    assert execution.snapshot.phase == "stopped"
    assert "run.resume() goes on" in execution.snapshot.note
    assert audit.runs(kernel.ledger)["state"].to_list() == ["stopped"]


def test_rows_that_a_halt_left_unsent_say_why(rig: Rig) -> None:
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 3))
    rig.sandbox.add_fault(*post({"action": "status", "status": 403, "code": "AUTHORIZATION_ERROR", "times": None}))
    kernel.go(run)
    why = kernel.results(run)["waiting_for"]
    assert why.str.startswith("stopped: the API answered 403 AUTHORIZATION_ERROR").all()
    rig.sandbox.clear_faults()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 3}
    assert kernel.results(run)["waiting_for"].isna().all()


def test_a_webhook_for_a_post_whose_request_is_under_way_waits_for_its_answer(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 1, targets=1)
    rig.clock.speed = 1
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(Fault(action="delay", method="POST", path=RETRY, seconds=HELD))
    execution = kernel.execution(run)
    turns = 0
    expire = kernel.ledger.claims.expire

    def counted() -> int:
        nonlocal turns
        turns += 1
        return expire()

    kernel.ledger.claims.expire = counted  # type: ignore[method-assign]
    work = eventloop.submit(execution.go())
    wait_for(lambda: rig.sandbox.faults()[-1]["struck"])

    async def notify() -> bool:
        return execution.notify(kernel.ledger.operations.of_run(run)[0].subject.id)

    before = turns
    assert eventloop.run(notify())
    eventloop.run(asyncio.sleep(0.3))
    assert turns - before <= 3, "it waits, and does not ask again and again"
    execution.close()
    let_go(rig)
    work.result(20)


def test_a_second_pass_counts_from_the_beginning_and_ends_the_look_back_of_the_first(rig: Rig) -> None:
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 3))
    execution = kernel.execution(run, observer=Silent(), look_back=True)

    async def twice() -> tuple[int, int, bool]:
        await execution.go()
        acts, after = execution.snapshot.acts, execution._after
        assert after is not None
        assert execution.resume()
        await execution.go()
        await asyncio.sleep(0)
        return acts, execution.snapshot.acts, after.done() or after.cancelled()

    acts, then, ended = eventloop.run(twice())
    assert (acts, then, ended) == (1, 1, True)
    execution.close()
