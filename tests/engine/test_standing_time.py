"""Virtual time stands still while a request is under way: else a busy machine would let leases run out and readings grow old."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, HELD, caught, let_go, plan_rows, wait_for

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop

A_WHILE = 0.3  # real seconds; a pass that waited would have let an hour pass


def test_kernels_wait_for_an_answer_without_growing_older(rig: Rig) -> None:
    kernel, other = rig.kernel(), rig.kernel("other")
    run = kernel.bind(plan_rows(rig, 3))
    began = rig.sandbox.now()
    work = caught(rig, kernel, run, BULK)
    waiting = eventloop.submit(other.client.clock.sleep(5.0))
    eventloop.run(asyncio.sleep(A_WHILE))
    assert (rig.sandbox.now(), waiting.done()) == (began, False)
    let_go(rig)
    work.result(30)
    waiting.result(30)
    assert outcomes(kernel.results(run)) == {"succeeded": 3}


@pytest.mark.parametrize("rows", [1, 3])
def test_a_workspace_of_a_standing_sandbox_does_so_too(rig: Rig, tmp_path: Path, rows: int) -> None:
    with vx.connect(sandbox=rig.sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        began = rig.sandbox.now()
        rig.sandbox.add_fault(Fault(action="delay", method="POST", path="/v1/posts/**", seconds=HELD, times=None))
        run = ws.run(plan_rows(rig, rows))
        wait_for(rig.acts)
        eventloop.run(asyncio.sleep(A_WHILE))
        assert rig.sandbox.now() == began
        let_go(rig)
        assert outcomes(run.wait(30).results()) == {"succeeded": rows}
