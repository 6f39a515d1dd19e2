"""Batches that meet a limit are reported as pending, not as unknown, and delay no other batch (rules 16 and 17)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, planned
from tests.engine.verbs import at

from voxburst_sandbox import Fault

BATCH = 50


def open_rows(results: pd.DataFrame) -> tuple[int, set[str], set[str]]:
    """How many rows have not succeeded, and as what and why they are reported."""
    left = results[results["outcome"] != "succeeded"]
    return len(left), set(left["outcome"]), set(left["reason_code"])


def test_rule_16_a_429_on_one_of_three_batches_is_pending_and_the_others_do_not_wait_for_its_proof(rig: Rig) -> None:
    """Rule 16: of a batch it proves nothing, so this one is resent as after any answer; the others go on at Retry-After."""
    rig.sandbox.add_fault(Fault(action="retry_after", seconds=5, method="POST", path=BULK))
    kernel, sheet, begun = rig.kernel(), rig.campaign(3 * BATCH), rig.sandbox.now()
    run = kernel.bind(planned(sheet))
    work = kernel.start(run)
    with at(rig, 10):
        assert rig.effects("post.create") == 2 * BATCH
        reported = open_rows(kernel.results(run))
    work.result(60)
    results = kernel.results(run)
    assert rig.created() == dict.fromkeys(sheet["content"], 1)
    assert outcomes(results) == {"succeeded": 3 * BATCH}
    assert results["settled_at"].max() - begun < timedelta(seconds=100)
    sent = [datetime.fromisoformat(entry["at"]) - begun for entry in rig.acts()]
    assert not [after for after in sent if timedelta(0) < after < timedelta(seconds=5)], "nothing is sent in the pause"
    assert reported == (BATCH, {"pending"}, {"rate_limited"})


@pytest.mark.parametrize("lag", [0.0, 30.0, 60.0])
@pytest.mark.parametrize(
    ("status", "code", "headers"),
    [(402, "LIMIT_EXCEEDED", {}), (403, "AUTHORIZATION_ERROR", {}), (429, "RATE_LIMITED", {"Retry-After": "5"})],
)
def test_rule_17_a_batch_that_a_limit_breaks_off_is_pending_and_creates_each_row_once(
    rig: Rig, status: int, code: str, headers: dict[str, str], lag: float
) -> None:
    """Rules 16 and 17: two of four rows were created, lists lag, no key is kept; 402 and 403 stop the run, which is resumed."""
    rig.sandbox.set_switches(list_lag_seconds=lag)
    rig.sandbox.add_fault(
        Fault("bulk_partial", "POST", BULK, items=2, status=status, code=code, headers=headers, forget_key=True)
    )
    kernel, sheet = rig.kernel(), rig.campaign(4)
    run = kernel.bind(planned(sheet))
    work = kernel.start(run)
    with at(rig, 1):
        assert rig.effects("post.create") == 2
        _, *reported = open_rows(kernel.results(run))
    work.result(60)
    kernel.go(run)
    assert rig.created() == dict.fromkeys(sheet["content"], 1)
    assert outcomes(kernel.results(run)) == {"succeeded": 4}
    assert reported == [{"pending"}, {"rate_limited"}]
