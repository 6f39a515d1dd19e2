"""A few requests a minute: what is read before a send is still fresh when its turn comes, so that all goes out (rules 1, 8 and 13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime

import pytest
from tests.chaos import world
from tests.virtual import workspace

import voxops as vx
from voxburst_sandbox import Sandbox, Switches
from voxops.api.timing import CREATES_CLEARED_FOR


@pytest.fixture(params=[2, 3, 6, 20], ids="{}-a-minute".format)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(seed=11, empty=True, rate_limit=request.param) as sandbox:
        sandbox.set_switches(**{**asdict(Switches()), "recovery_rate": 1.0, "silent_webhooks": True})
        world.plant_posts(sandbox, 42)
        world.plant_deliveries(sandbox, 24)
        yield sandbox


def rows(ws: vx.Workspace, sandbox: Sandbox) -> vx.Plan:
    """More than there are senders, each a request of its own."""
    return vx.plan_create(world.campaign(world.accounts(sandbox), 30), key="row_id", one_by_one=True)


def targets(ws: vx.Workspace, sandbox: Sandbox) -> vx.Plan:
    """Of posts that have others, so that each is read by itself just before it is sent."""
    failed = vx.triage(vx.targets(ws.posts(status="failed")))
    return vx.plan_retry(failed[failed["platform"] == failed["platform"].min()])


def deliveries(ws: vx.Workspace, sandbox: Sandbox) -> vx.Plan:
    return vx.plan_redeliver(ws.deliveries())


@pytest.mark.parametrize(("planned", "reads"), [(rows, 2), (targets, 3), (deliveries, 3)])
def test_everything_goes_out_once(
    sandbox: Sandbox, planned: Callable[[vx.Workspace, Sandbox], vx.Plan], reads: int
) -> None:
    with workspace(sandbox) as ws:
        plan = planned(ws, sandbox)
        before = len(sandbox.requests())
        run = ws.run(plan)
        run.wait()
        found = run.results()
    assert set(found["outcome"]) == {"succeeded"}, found["waiting_for"].unique()
    sent = sandbox.requests()[before:]
    assert sum(entry["acting"] for entry in sent) == len(plan.items) >= 14
    assert sum(not entry["acting"] for entry in sent) <= reads * len(plan.items) + 12


def test_creates_go_out_right_behind_the_list_that_clears_them(sandbox: Sandbox) -> None:
    with workspace(sandbox) as ws:
        ws.run(rows(ws, sandbox)).wait()
    ages, read = [], None
    for entry in sandbox.requests():
        at = datetime.fromisoformat(entry["at"])
        if entry["path"] == "/v1/posts" and entry["method"] == "GET" and entry["status"] == 200:
            read = at
        elif entry["acting"]:
            assert read is not None
            ages.append((at - read).total_seconds())
    assert len(ages) == 30
    assert max(ages) <= CREATES_CLEARED_FOR


@pytest.mark.parametrize("pace", [2, 3])
def test_an_empty_workspace_is_looked_through_once_and_not_before_every_send(pace: int) -> None:
    """Three lists before each create would take all that a window lets through, and each create would come too late."""
    with Sandbox(seed=11, empty=True, rate_limit=pace) as sandbox:
        plan = vx.plan_create(world.campaign(world.accounts(sandbox), 120), key="row_id")
        with workspace(sandbox) as ws:
            ws.run(plan).wait()
            sent = sandbox.requests()
        assert len(sandbox.effects("post.create")) == 120
    assert sum(entry["acting"] for entry in sent) == 3
    asked = [f"{entry['at']} {entry['query'].get('status', entry['path'])}" for entry in sent]
    assert sum(" draft" in one for one in asked) < 3, "\n".join(asked)  # once more where time seemed to step back
    assert sum(not entry["acting"] for entry in sent) <= 14, "\n".join(asked)


def test_one_request_a_minute_sends_nothing_upon_an_old_list_and_says_why() -> None:
    with Sandbox(seed=11, empty=True, rate_limit=1) as sandbox:
        world.plant_posts(sandbox, 1)
        with workspace(sandbox) as ws:
            run = ws.run(rows(ws, sandbox))
            run.wait()
            found = run.results()
        assert not sandbox.requests(acting=True)
    assert set(found["outcome"]) == {"pending"}
    assert found["waiting_for"].str.contains("too few requests are let through").any()
