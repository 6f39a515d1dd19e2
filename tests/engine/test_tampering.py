"""What the owner of a ledger has changed by hand is not sent, and holds no run up (rule 25, `fit` unharmed)."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import planned
from tests.engine.test_stopped_runs import in_doubt


def by_hand(kernel: Kernel, sql: str) -> None:
    with kernel.ledger.atomic() as db:
        assert db.execute(sql).rowcount


@pytest.mark.parametrize("cell", ["key = 'mine'", "path = '/v1/posts/other/retry'", "method = 'PATCH'", "body = '{}'"])
def test_rule_25_a_call_that_was_changed_by_hand_is_never_sent_again(rig: Rig, cell: str) -> None:
    kernel = rig.kernel()
    run = in_doubt(rig, kernel)
    kernel.go(run)
    rig.sandbox.clear_faults()
    sent = len(rig.acts())
    by_hand(kernel, f"UPDATE calls SET {cell}")
    kernel.go(run)
    assert len(rig.acts()) == sent
    results = kernel.results(run)
    assert results["reason_code"].to_list() == ["ledger_changed_by_hand"]
    assert outcomes(results) == {"unknown": 1}
    assert rig.effects("target.requeue") == 0


@pytest.mark.parametrize(
    "cell",
    [
        "item = replace(item, 'campaign', 'other')",
        "hash = 'mine'",
        "item = json_set(item, '$.identity', 'x')",
        "item = json_set(item, '$.attempt', 2)",
        "item = json_set(item, '$.subject', 'row::other')",
    ],
)
def test_rule_25_a_request_that_was_changed_by_hand_is_never_sent(rig: Rig, cell: str) -> None:
    kernel = rig.kernel()
    run = kernel.bind(planned(rig.campaign(3)))
    by_hand(kernel, f"UPDATE requests SET {cell} WHERE id = 2")
    kernel.go(run)
    assert rig.acts() == []
    assert kernel.results(run)["reason_code"].to_list() == ["ledger_changed_by_hand"] * 3
