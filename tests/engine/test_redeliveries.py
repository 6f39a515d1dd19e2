"""Redeliveries: each delivery once, and when one has ended (rule 13)."""

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import outcomes
from tests.engine.steps import REDELIVER

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.redeliver import plan_redeliver


@pytest.mark.parametrize(("receiver", "outcome"), [(200, {"succeeded"}), (503, {"unknown", "failed"})])
def test_rule_13_a_redelivery_that_may_have_been_queued_is_not_sent_again(rig, receiver, outcome):
    """500 after the work, no key kept; the delivery shows no sign of being queued, or fails as before, but for its count."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    if receiver != 200:
        rig.sandbox.receiver(status=receiver, latency_ms=1200)
    world.plant_deliveries(rig.sandbox, 3)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault("status", "POST", REDELIVER, when="after", times=3))
    assert set(kernel.run(plan_redeliver(kernel.deliveries()))["outcome"]) <= outcome
    assert rig.effects("delivery.resend") == 3


def test_rule_13_what_has_arrived_is_sent_again_once_however_often_the_cell_is_run(rig):
    """Each success changes the delivery, so that the next would be a new request."""
    world.plant_deliveries(rig.sandbox, 2)
    for _ in range(3):
        kernel = rig.kernel()
        table = kernel.run(plan_redeliver(kernel.deliveries(), force=True))
        rig.sandbox.advance(3600)
    assert rig.effects("delivery.resend") == 2
    assert table["reason_code"].tolist() == ["redelivered_before"] * 2
    table = kernel.run(plan_redeliver(kernel.deliveries().assign(again=True), force=True))
    assert outcomes(table) == {"succeeded": 2}
    assert rig.effects("delivery.resend") == 4, "and once more where that is meant"


def test_rule_13_a_young_delivery_is_left_to_the_api_whatever_became_of_its_time(rig):
    """It failed ten minutes ago, and the frame says yesterday."""
    world.plant_deliveries(rig.sandbox, 2)
    for delivery in rig.sandbox.world.deliveries.values():
        delivery.created_at = rig.sandbox.world.now() - 600_000
        rig.sandbox.world.deliveries.save(delivery)
    kernel = rig.kernel()
    log = kernel.deliveries()
    log["created_at"] -= pd.Timedelta("1D")
    plan = plan_redeliver(log)
    assert plan.eligible == 2, "the frame alone says that they are old"
    assert kernel.run(plan)["reason_code"].tolist() == ["delivery_young"] * 2
    assert rig.effects("delivery.resend") == 0
    assert outcomes(kernel.run(plan_redeliver(log, force=True))) == {"succeeded": 2}
    assert rig.effects("delivery.resend") == 2


def test_a_deleted_webhook_blocks_its_own_rows_alone(rig):
    world.plant_deliveries(rig.sandbox, 4)
    kernel = rig.kernel()
    frame = kernel.deliveries()
    gone = frame["webhook_id"].iloc[0]
    eventloop.run(kernel.client.webhooks.delete(gone))
    table = kernel.run(plan_redeliver(frame))
    away = table["webhook_id"] == gone
    assert set(table.loc[away, "reason_code"]) == {"delivery_gone"}
    assert set(table.loc[~away, "outcome"]) == {"succeeded"}
