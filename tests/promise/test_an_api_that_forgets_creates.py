"""An API that carries out a request, forgets its idempotency key, and takes more than a minute to list the result. Posted
twice: possible; duplicate creates are reported.
"""

from __future__ import annotations

import logging

import pytest
from tests.chaos.rig import planned

from voxops._support import eventloop


@pytest.mark.parametrize("by", ["bind", "bind of another sheet", "attach", "reconcile", "another text"])
def test_rule_19_rows_that_two_ledgers_created_are_named_by_the_next_reading(rig, caplog, by):
    """Where keys are ignored nobody can prevent it: both have read the list before either has sent."""
    rig.sandbox.set_switches(ignore_keys=True)
    plan, kernels = planned(rig.campaign(2)), [rig.kernel("one"), rig.kernel("two")]
    other = planned(rig.campaign(2).assign(content=["a", "b"])) if by == "another text" else plan
    runs = [kernel.bind(each) for kernel, each in zip(kernels, (plan, other), strict=True)]
    for kernel, run in zip(kernels, runs, strict=True):
        kernel.send_once(run)
    assert sum(rig.created().values()) == 4
    rig.sandbox.advance(100)
    for kernel, run in zip(kernels, runs, strict=True):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "voxops.engine"):
            if by in {"reconcile", "another text"}:
                assert kernel.reconcile()["notice"].str.startswith("duplicates exist: ").sum() == 2
            elif by == "bind of another sheet":
                kernel.bind(planned(rig.campaign(1, start=7)))
            else:
                execution = (
                    kernel.execution(run, paused=True) if by == "attach" else kernel.execution(kernel.bind(plan))
                )
                shown = eventloop.run(execution.go())
                assert (shown.phase, shown.note[:33]) == ("blocked", "2 of these rows have duplicates: ")
        assert "2 rows created more than once: " in caplog.text
    assert {len(kernel.copies(run)) for kernel, run in zip(kernels, runs, strict=True)} == {2}
