"""What a reading proves: the end of an asynchronous act, and outcomes that add up (rules 18 to 20)."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import REDELIVER, RETRY, caught, edit, let_go, post, send_once

from voxops.acts.create import plan_create
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry


def test_rule_18_a_terminal_status_settles_only_after_the_post_has_moved(rig: Rig) -> None:
    """202, and the first looks still say "failed"."""
    rig.sandbox.set_switches(linger_failed_seconds=3.0)
    world.plant_posts(rig.sandbox, 6)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    assert outcomes(kernel.run(plan)) == {"succeeded": len(plan.items)}
    assert rig.count(expected(plan)).holds


@pytest.mark.parametrize("lost", [False, True])
def test_rule_18_targets_that_the_answer_skips_have_failed(rig: Rig, lost: bool) -> None:
    """At once; where the first answer is lost, its replay is believed when nothing has moved."""
    world.plant_posts(rig.sandbox, 1, targets=1 if lost else 2)
    rig.sandbox.world.posts["post_f00000"].targets[0].retry_count = 3
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}) if lost else ())
    kernel = rig.kernel()
    table = kernel.run(plan_retry(kernel.triaged()))
    assert table["outcome"].tolist() == ["failed", "succeeded"][: 1 if lost else 2]
    assert table.loc[0, ["error_code", "error_message", "tries"]].to_list() == [
        "SKIPPED",
        "retry limit reached",
        1 + lost,
    ]
    waited = table["settled_at"][0] - pd.Timestamp(rig.sandbox.effects("post.retry")[0]["at"])
    assert waited >= pd.Timedelta(seconds=300) or not lost


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("seconds", [180.0, 420.0])
def test_rule_18_a_stamp_alone_is_no_outcome_while_the_queue_may_be_slow(rig: Rig, lost: bool, seconds: float) -> None:
    """The post is edited while its retry waits in a slow queue: no failure, and no reason to send it again, answered or not."""
    rig.sandbox.set_switches(queue_hold_seconds=seconds, ignore_keys=lost)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}, path=RETRY) if lost else ())
    send_once(kernel, run)
    edit(rig, "post_f00000")
    kernel.go(run)
    kernel.run(plan_retry(kernel.triaged()))
    rig.sandbox.advance(900)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


def test_rule_18_the_same_failure_again_is_known_soon_after_it_was_seen_publishing(rig: Rig) -> None:
    rig.sandbox.set_switches(recovery_rate=0.0, publish_seconds=(20.0, 20.0))
    world.plant_posts(rig.sandbox, 2, targets=1)
    kernel, began = rig.kernel(), rig.sandbox.now()
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"failed": 2}
    assert table["settled_at"].max() - began < pd.Timedelta(seconds=90), "two polls after the end, and not five minutes"


@pytest.mark.parametrize("status", ["pending_approval", "draft"])
def test_rule_20_what_only_a_person_moves_does_not_hold_the_wait(rig: Rig, status: str) -> None:
    """A retried post goes back to approval: the run ends and says so."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    work = caught(rig, kernel, run, RETRY, when="after")
    kept = rig.sandbox.world.posts["post_f00000"]
    rig.sandbox.world.events.clear()
    kept.status = status
    rig.sandbox.world.touch(kept, rig.sandbox.world.now())
    let_go(rig)
    assert work.result(30).phase == "done"
    assert kernel.results(run)["waiting_for"].tolist() == [f"the post is {status}"]


def test_rule_19_a_redelivery_is_done_when_its_count_and_its_result_moved(rig: Rig) -> None:
    world.plant_deliveries(rig.sandbox, 3)
    kernel = rig.kernel()
    plan = plan_redeliver(kernel.deliveries())
    assert outcomes(kernel.run(plan)) == {"succeeded": 3}
    assert rig.count(expected(plan)).holds


@pytest.mark.parametrize(("receiver", "outcome"), [(200, {"succeeded"}), (503, {"unknown", "failed"})])
def test_rule_19_a_redelivery_that_may_have_been_queued_is_not_sent_again(
    rig: Rig, receiver: int, outcome: set[str]
) -> None:
    """500 after the work, no key kept; the delivery shows no sign of being queued, or fails as before, but for its count."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    if receiver != 200:
        rig.sandbox.receiver(status=receiver, latency_ms=1200)
    world.plant_deliveries(rig.sandbox, 3)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "when": "after", "times": 3}, path=REDELIVER))
    assert set(kernel.run(plan_redeliver(kernel.deliveries()))["outcome"]) <= outcome
    assert rig.effects("delivery.resend") == 3


def test_rule_19_what_has_arrived_is_sent_again_once_however_often_the_cell_is_run(rig: Rig) -> None:
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


def test_rule_19_a_redelivery_that_fails_exactly_as_before_ends_as_failed(rig: Rig) -> None:
    """The receiver is still away: the same error, no latency; only the count of tries shows that there was one."""
    world.plant_deliveries(rig.sandbox, 1)
    kernel = rig.kernel()
    rig.sandbox.receiver(status=503, latency_ms=1200)
    for attempt in (1, 2):
        assert outcomes(kernel.run(plan_redeliver(kernel.deliveries().assign(attempt=attempt)))) == {"failed": 1}
    assert rig.effects("delivery.resend") == 2


def test_rule_20_five_outcomes_sum_to_the_eligible_rows(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 12, targets=1)
    kernel = rig.kernel()
    frame, sums = kernel.triaged(), []
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT", "nth": 1}, path=RETRY))
    edit(rig, "post_f00003")
    plan = plan_retry(frame)
    run = kernel.bind(plan)

    class Watcher:
        def notice(self, snapshot: Any) -> None:
            sums.append(sum(cell.count for cell in snapshot.cells))

    kernel.go(run, observer=Watcher())
    assert set(sums) == {plan.eligible}
    table = kernel.results(run)
    assert outcomes(table) == {"succeeded": 10, "failed": 1, "blocked": 1}
    assert table.loc[table["outcome"] == "blocked", "reason_code"].notna().all()


def test_rule_20_blocked_rows_are_a_state_of_their_own(rig: Rig) -> None:
    frame = rig.campaign(2)
    frame.loc[0, "accounts"] = "twitter:@aldercofee"
    kernel = rig.kernel()
    run = kernel.bind(plan_create(frame, key="row_id"))
    assert kernel.go(run).phase == "blocked"
    table = kernel.results(run)
    assert table["outcome"].tolist() == ["blocked", "succeeded"]
    assert table["waiting_for"][0].endswith(
        "no account twitter:@aldercofee in this workspace; did you mean twitter:@aldercoffee?"
    )
    assert kernel.execution(run).failed().empty
