"""Promised: with a server that forgets or ignores keys and still executes, what goes out twice is reported."""

from __future__ import annotations

import logging

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes, planned
from tests.engine.steps import HOUR, RETRY, failing

from voxops._support import eventloop
from voxops.acts.retry import plan_retry


@pytest.mark.parametrize("by", ["bind", "bind of another sheet", "attach", "reconcile"])
def test_rule_19_rows_that_two_ledgers_created_are_named_by_the_next_reading(rig, caplog, by):
    """Where keys are ignored nobody can prevent it: both have read the list before either has sent."""
    rig.sandbox.set_switches(ignore_keys=True)
    plan, kernels = planned(rig.campaign(2)), [rig.kernel("one"), rig.kernel("two")]
    runs = [kernel.bind(plan) for kernel in kernels]
    for kernel, run in zip(kernels, runs, strict=True):
        kernel.send_once(run)
    assert set(rig.created().values()) == {2}
    rig.sandbox.advance(100)
    for kernel, run in zip(kernels, runs, strict=True):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "voxops.engine"):
            if by == "reconcile":
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


@pytest.mark.parametrize("jump", [0.0, 26 * HOUR])
@pytest.mark.parametrize("what", ["retry", "create"])
def test_rule_09_past_the_retention_nothing_is_resent_that_is_not_proved_absent(rig, jump, what):
    """What took effect is found. Of what did not, creates are proved absent; a retry stays unknown until its next attempt."""
    rig.sandbox.set_switches(key_retention_seconds=3600)
    world.plant_posts(rig.sandbox, 4)
    kernel, path = rig.kernel(retention=HOUR), RETRY if what == "retry" else "/v1/posts"
    plan = plan_retry(kernel.triaged()) if what == "retry" else rig.plan_rows(4, one_by_one=True)
    faults = [{"action": "drop", "when": "after", "nth": 1}, {"action": "drop", "when": "before", "nth": 2}]
    rig.sandbox.add_fault(
        *failing(*faults, *([{"action": "advance", "seconds": jump, "nth": 3}] if jump else []), path=path)
    )
    table = kernel.run(plan)
    left = table[table["outcome"] != "succeeded"]
    assert len(rig.acts()) == (4 if what == "retry" else 5)
    if what == "retry":
        assert set(left["reason_code"]) == {"resend_key_forgotten"}
        rig.sandbox.advance(601)
        assert outcomes(kernel.run(plan_retry(kernel.triaged().assign(attempt=2)))) == {"succeeded": len(left)}
        assert rig.count(expected(plan)).holds
    else:
        assert left.empty
        rig.each_once(4)
