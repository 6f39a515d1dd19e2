"""A run that has stopped by itself, or is paused, ends although a call of it might be sent again; when it is resumed, it is."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import RETRY
from tests.engine.verbs import resume

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.retry import plan_retry


def in_doubt(rig: Rig, kernel: Kernel) -> str:
    """A run whose only retry was answered 500, with nothing done, and was refused 401 when it was sent again."""
    rig.sandbox.plant_post("failed", list(rig.accounts.values())[:1], status="failed")
    rig.sandbox.add_fault(
        Fault("status", "POST", RETRY, status=500, when="before"),
        Fault("status", "POST", RETRY, status=401, code="UNAUTHORIZED", times=None),
    )
    return kernel.bind(plan_retry(kernel.triaged().assign(retryable=True)))


def test_rule_17_a_run_that_a_refused_key_has_stopped_ends_and_goes_on_when_it_is_resumed(rig: Rig) -> None:
    kernel = rig.kernel()
    run = in_doubt(rig, kernel)
    assert kernel.go(run).phase == "stopped"
    assert outcomes(kernel.results(run)) == {"unknown": 1}
    rig.sandbox.clear_faults()
    assert rig.effects("target.requeue") == 0
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("target.requeue") == 1


@pytest.mark.parametrize("fresh", [False, True], ids=["same kernel", "another kernel"])
def test_rule_22_a_paused_run_sends_nothing_again_and_ends(rig: Rig, fresh: bool) -> None:
    kernel = rig.kernel()
    run = in_doubt(rig, kernel)
    kernel.go(run)
    rig.sandbox.clear_faults()
    if fresh:
        kernel = rig.kernel()
    eventloop.run(kernel.execution(run).pause())
    sent = len(rig.acts())
    assert kernel.go(run).phase == "paused"
    assert len(rig.acts()) == sent
    assert outcomes(kernel.results(run)) == {"unknown": 1}
    execution = kernel.execution(run)
    eventloop.run(execution.allow())
    resume(kernel, run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("target.requeue") == 1
