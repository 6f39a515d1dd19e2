"""A few requests a minute: what is read before a send is still fresh when its turn comes, so that all goes out (rules 1, 8 and 13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig

from voxburst_sandbox import Sandbox, Switches
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.api.timing import CREATES_CLEARED_FOR


@pytest.fixture(params=[2, 3, 6, 20], ids="{}-a-minute".format)
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with Sandbox(seed=11, empty=True, rate_limit=request.param) as sandbox:
        sandbox.set_switches(**{**asdict(Switches()), "recovery_rate": 1.0, "silent_webhooks": True})
        world.plant_posts(sandbox, 42)
        world.plant_deliveries(sandbox, 24)
        rig = Rig(sandbox, tmp_path)
        yield rig
        rig.close()


def rows(kernel: Kernel) -> Plan:
    """More than there are senders, each a request of its own."""
    return plan_create(kernel.rig.campaign(30), key="row_id", one_by_one=True)


def targets(kernel: Kernel) -> Plan:
    """Of posts that have others, so that each is read by itself just before it is sent."""
    failed = kernel.triaged("failed")
    return plan_retry(failed[failed["platform"] == failed["platform"].min()])


def deliveries(kernel: Kernel) -> Plan:
    return plan_redeliver(kernel.deliveries())


@pytest.mark.parametrize(("plans", "reads"), [(rows, 2), (targets, 3), (deliveries, 3)])
def test_everything_goes_out_once_right_behind_what_was_read(
    slow: Rig, plans: Callable[[Kernel], Plan], reads: int
) -> None:
    kernel = slow.kernel()
    plan, before = plans(kernel), len(slow.sandbox.requests())
    found = kernel.run(plan)
    assert set(found["outcome"]) == {"succeeded"}, found["waiting_for"].unique()
    record = slow.sandbox.requests()[before:]
    sent = [datetime.fromisoformat(entry["at"]) for entry in record if entry["acting"]]
    assert len(sent) == len(plan.items) >= 14
    assert sum(not entry["acting"] for entry in record) <= reads * len(plan.items) + 12
    if plans is rows:
        lists = [
            datetime.fromisoformat(entry["at"])
            for entry in record
            if (entry["path"], entry["method"], entry["status"]) == ("/v1/posts", "GET", 200)
        ]
        ages = [(at - max(read for read in lists if read <= at)).total_seconds() for at in sent]
        assert max(ages) <= CREATES_CLEARED_FOR


@pytest.mark.parametrize("pace", [2, 3])
def test_an_empty_workspace_is_looked_through_once_and_not_before_every_send(pace: int, tmp_path: Path) -> None:
    """Three lists before each create would take all that a window lets through, and each create would come too late."""
    with Sandbox(seed=11, empty=True, rate_limit=pace) as sandbox:
        rig = Rig(sandbox, tmp_path)
        rig.kernel().run(plan_create(rig.campaign(120), key="row_id"))
        record = sandbox.requests()
        rig.close()
        assert len(sandbox.effects("post.create")) == 120
    asked = [f"{entry['at']} {entry['query'].get('status', entry['path'])}" for entry in record]
    assert sum(entry["acting"] for entry in record) == 3
    assert sum(" draft" in one for one in asked) < 3, "\n".join(asked)  # once more where time seemed to step back
    assert sum(not entry["acting"] for entry in record) <= 15, "\n".join(asked)


def test_one_request_a_minute_sends_nothing_upon_an_old_list_and_says_why(tmp_path: Path) -> None:
    with Sandbox(seed=11, empty=True, rate_limit=1) as sandbox:
        world.plant_posts(sandbox, 1)
        rig = Rig(sandbox, tmp_path)
        found = rig.kernel().run(plan_create(rig.campaign(30), key="row_id", one_by_one=True))
        rig.close()
        assert not sandbox.requests(acting=True)
    assert set(found["outcome"]) == {"pending"}
    assert found["waiting_for"].str.contains("too few requests are let through").any()
