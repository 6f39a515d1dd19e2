"""The core against the sandbox: each act once."""

from __future__ import annotations

from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import planned

from voxops.acts.cancel import plan_cancel
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update


def test_creates(rig: Rig) -> None:
    kernel = rig.kernel()
    sheet = rig.campaign(120)
    assert outcomes(kernel.run(planned(sheet))) == {"succeeded": 120}
    assert rig.created() == dict.fromkeys(sheet["content"], 1)
    assert outcomes(kernel.run(planned(sheet))) == {"succeeded": 120}
    assert rig.effects("post.create") == 120


def test_creates_one_by_one(rig: Rig) -> None:
    kernel = rig.kernel()
    sheet = rig.campaign(7)
    assert outcomes(kernel.run(planned(sheet, one_by_one=True))) == {"succeeded": 7}
    assert rig.effects("post.create") == 7


def test_retries(rig: Rig) -> None:
    account = list(rig.accounts.values())
    for number in range(10):
        rig.sandbox.plant_post(f"failed {number}", account[: 1 + number % 2], status="failed")
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged().assign(retryable=True))
    assert plan.eligible
    assert outcomes(kernel.run(plan)) == {"succeeded": plan.eligible}
    assert outcomes(kernel.run(plan)) == {"succeeded": plan.eligible}
    assert len(rig.acts()) == 10


def test_updates_and_cancels(rig: Rig) -> None:
    kernel = rig.kernel()
    kernel.run(planned(rig.campaign(6)))
    posts = kernel.posts("scheduled")
    plan = plan_update(posts, by="2h", change="strike")
    assert outcomes(kernel.run(plan)) == {"succeeded": 6}
    assert outcomes(kernel.run(plan_update(kernel.posts("scheduled"), by="2h", change="strike"))) == {"succeeded": 6}
    assert rig.effects("post.update") == 6
    assert outcomes(kernel.run(plan_cancel(kernel.posts("scheduled")))) == {"succeeded": 6}
    assert rig.effects("post.cancel") == 6


def test_redeliveries(rig: Rig) -> None:
    kernel = rig.kernel()
    log = kernel.deliveries()
    assert len(plan_redeliver(log).frame) == len(log)
