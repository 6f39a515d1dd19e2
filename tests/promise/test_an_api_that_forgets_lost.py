"""An API that carries out a request, forgets its idempotency key, and takes more than a minute to list the result. Lost:
never: the row is `unknown`, and a person decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes, planned
from tests.engine.steps import BULK, HOUR, RETRY, failing

from voxburst_sandbox import Fault
from voxops.acts.retry import plan_retry
from voxops.api.limits import PROOF_AFTER


@pytest.mark.parametrize("jump", [0.0, 26 * HOUR])
@pytest.mark.parametrize("what", ["retry", "create"])
def test_rule_09_past_the_retention_nothing_is_resent_that_is_not_proved_absent(rig, jump, what):
    """What took effect is found. Of what did not, creates are proved absent; a retry stays unknown until its next attempt."""
    rig.sandbox.set_switches(key_retention_seconds=3600)
    world.plant_posts(rig.sandbox, 4)
    kernel, path = rig.kernel(retention=HOUR), RETRY if what == "retry" else "/v1/posts"
    plan = plan_retry(kernel.triaged()) if what == "retry" else rig.plan_rows(4, one_by_one=True)
    faults = [{"action": "drop", "when": "after", "nth": 1}, {"action": "drop", "when": "before", "nth": 2}]
    rig.sandbox.add_fault(*failing(*faults, {"action": "advance", "seconds": jump, "nth": 3}, path=path))
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


@pytest.mark.parametrize("hidden", ["no_metadata", "no_listed_metadata"])
def test_rule_11_alone_a_500_that_forgets_the_key_of_30_created_rows_creates_none_twice(rig, hidden):
    """Thirty of fifty were created. Where lists hide marks, all fifty stay in doubt, and a person looks."""
    rig.sandbox.set_switches(forget_key_on_5xx=True, **{hidden: True})
    kernel, sheet = rig.kernel(alone=True, told=False), rig.campaign(50)
    for _ in range(2):
        kernel.run(planned(rig.campaign(1, start=50)))  # a create of its own tells what lists show
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=30))
    run = kernel.bind(planned(sheet))
    for _ in range(2):
        kernel.go(run)
        rig.sandbox.advance(PROOF_AFTER + 100)
    assert outcomes(kernel.results(run)) == {"unknown": 50}
    assert rig.effects("post.create") == 31
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize("made", [0, 12, 20])
@pytest.mark.parametrize("lag", [60.0, *(pytest.param(lag, marks=pytest.mark.release) for lag in (0.0, 5.0, 20.0))])
def test_rule_09_a_500_in_the_middle_of_a_batch_creates_no_row_twice(rig, made, lag):
    """12 of 20 are created, 500, lists lag, and no key is kept: a blind resend makes 12 duplicates."""
    rig.sandbox.set_switches(list_lag_seconds=lag, forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1)
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=made))
    assert outcomes(rig.kernel().run(rig.plan_rows(20))) == {"succeeded": 20}
    rig.each_once(20)
    sent = [datetime.fromisoformat(entry["at"]) for entry in rig.acts()]
    assert made in {0, 20} or sent[1] - sent[0] >= timedelta(minutes=5), "no row of the rest can be in flight any more"
