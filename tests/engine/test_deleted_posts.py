"""A post is deleted when the API says so and reads don't lag; a page in its place says nothing (rules 13, 14 and 30)."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import plan_rows

from voxops._core import eventloop
from voxops.acts.create import plan_bulk
from voxops.errors import DecodeError
from voxops.sandbox import Fault


@pytest.mark.parametrize("body", ["html", "empty"])
def test_rule_30_a_404_of_a_proxy_deletes_no_post(rig: Rig, body: str) -> None:
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    rig.sandbox.add_fault(Fault(action="garbage", method="GET", path="/v1/posts/*", body=body, status=404, times=None))
    with pytest.raises(DecodeError, match="answered 404 without the API's own words"):
        eventloop.run(execution.verify())
    assert outcomes(kernel.results(run)) == {"succeeded": 2}


def test_rule_30_what_reads_do_not_show_yet_is_not_deleted(rig: Rig) -> None:
    """Reads lag by 45 s: verified at once the posts seem to be deleted, and a next attempt makes them again."""
    rig.sandbox.set_switches(list_lag_seconds=45.0, single_reads_lag=True)
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    eventloop.run(execution.verify())
    kernel.run(plan_bulk(rig.campaign(2).assign(attempt=2), key="row_id"))
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"succeeded": 2}


def test_rule_30_what_is_there_again_is_not_deleted(rig: Rig) -> None:
    rig.sandbox.set_switches(list_lag_seconds=45.0, single_reads_lag=True)
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    eventloop.run(execution.verify())
    rig.sandbox.advance(200)
    eventloop.run(execution.verify())
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
