"""An answer that can't be read says nothing, least of all that a post does not exist (rules 14 and 30)."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Rig, Silent, outcomes
from tests.engine.steps import BULK, others_post, plan_rows

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.engine.things import things_of
from voxops.engine.watching import Watch
from voxops.errors import DecodeError

MISREAD = Fault(action="garbage", method="GET", path="/v1/posts/*", body="json", status=200, times=None)


def test_a_post_that_could_not_be_read_rules_no_row_out(rig: Rig) -> None:
    """Three of five were made before a 500, and posts show no metadata: only single reads could tell, and they are garbled."""
    rig.sandbox.set_switches(no_metadata=True, forget_key_on_5xx=True)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=3), MISREAD)
    run = kernel.bind(plan_rows(rig, 5))
    kernel.go(run)
    assert set(rig.created().values()) == {1}
    rig.sandbox.clear_faults()
    kernel.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"succeeded": 5}


def test_verifying_takes_no_misread_post_for_a_deleted_one(rig: Rig) -> None:
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    rig.sandbox.add_fault(MISREAD)
    with pytest.raises(DecodeError, match="whether it exists is not known"):
        eventloop.run(execution.verify())
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    rig.sandbox.clear_faults()
    eventloop.run(execution.verify())
    assert outcomes(kernel.run(plan_create(rig.campaign(2).assign(attempt=2), key="row_id"))) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}


def test_a_post_that_somebody_has_cancelled_is_not_recovered(rig: Rig) -> None:
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    execution = kernel.execution(run)
    eventloop.run(execution.go())
    post_id = kernel.posts()["post_id"].iloc[0]
    eventloop.run(kernel.client.request("POST", f"/v1/posts/{post_id}/cancel"))
    assert eventloop.run(execution.verify())[["tried", "recovered", "blocked"]].to_numpy().tolist() == [[2, 1, 1]]


def test_a_watch_reads_on_where_a_post_could_not_be_read(rig: Rig) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 1))
    (post_id,) = kernel.posts()["post_id"]
    rig.sandbox.add_fault(Fault(action="garbage", method="GET", path="/v1/posts/*", body="json", status=200, times=2))
    watch = Watch(kernel.client, things_of(post_id, "post"), Silent())
    rig.sandbox.advance(400 * 86_400)
    eventloop.run(watch.go())
    assert watch.results()["outcome"].to_list() == ["succeeded"]
    assert rig.sandbox.faults()[-1]["struck"] == 2


def test_rule_14_a_list_that_ends_at_a_full_page_without_a_word_proves_nothing(rig: Rig) -> None:
    """No pagination object, as where a gateway drops it: a hundred posts are there, and the rows may stand behind them."""
    rig.sandbox.set_switches(pagination="none")
    rig.kernel("lost").run(plan_rows(rig, 3))
    rig.sandbox.advance(3600)
    others_post(rig)
    kernel = rig.kernel("new")
    with pytest.raises(DecodeError, match="ends at a full page without saying so; whether there is more is not known"):
        kernel.run(plan_rows(rig, 3))
    assert set(rig.created().values()) == {1}


def test_rule_14_a_full_page_that_goes_back_far_enough_is_proof(rig: Rig) -> None:
    others_post(rig)
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 1, campaign="first"))
    rig.sandbox.set_switches(pagination="none")
    rig.sandbox.advance(26 * 3600)
    assert outcomes(kernel.run(plan_rows(rig, 2, campaign="second"))) == {"succeeded": 2}
