"""What a reading proves: the end of an asynchronous act, and outcomes that add up (rules 18 to 20)."""

from __future__ import annotations

from typing import Any

import pandas as pd
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes
from tests.engine.steps import (
    REDELIVER,
    RETRY,
    caught,
    edit,
    let_go,
    post,
    send_once,
)

from voxops._support import eventloop
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.api.reasons import Reason


def test_rule_18_a_terminal_status_settles_only_after_the_post_has_moved(rig):
    """202, and the first looks still say "failed"."""
    rig.sandbox.set_switches(linger_failed_seconds=3.0)
    world.plant_posts(rig.sandbox, 6)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": len(table)}
    assert rig.count(expected(plan)).holds


def test_rule_18_targets_that_the_answer_skips_fail_at_once(rig):
    world.plant_posts(rig.sandbox, 1)
    for target in rig.sandbox.world.posts["post_f00000"].targets[:1]:
        target.retry_count = 3
    kernel = rig.kernel()
    table = kernel.run(plan_retry(kernel.triaged()))
    assert table["outcome"].tolist() == ["failed", "succeeded"]
    assert table["error_message"][0] == "retry limit reached"


def test_rule_18_skipped_at_a_resend_may_be_what_the_first_try_queued(rig):
    """Keys are ignored: the resend is executed, and skips the target because the first try has it publishing."""
    rig.sandbox.set_switches(ignore_keys=True, publish_seconds=[400.0, 500.0])
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    operation = kernel.ledger.operations.of_run(run)[0]
    eventloop.run(kernel.client.raw("POST", operation.path))
    rig.sandbox.advance(350)
    with kernel.ledger.atomic() as db:
        db.execute(
            "UPDATE operations SET state = 'unknown', tries = 1, first_sent = 1e9, last_sent = 1e9, credential = ?",
            (kernel.engine.sender._credential,),
        )
    cleared = kernel.ledger.claims.clear(kernel.ledger.operations.get(operation.id), read=kernel.ledger.now())
    kernel.engine.sender._deadline = 1e12
    eventloop.run(kernel.engine.sender.send(kernel.execution(run).current, cleared))
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}


def test_rule_18_skipped_at_a_resend_is_believed_when_nothing_has_moved(rig):
    """The first answer is lost, the second is its replay: both skipped the target, which stays as it was."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    rig.sandbox.world.posts["post_f00000"].targets[0].retry_count = 3
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"failed": 1}
    assert table[["error_code", "error_message", "tries"]].values.tolist() == [["SKIPPED", "retry limit reached", 2]]
    assert table["settled_at"][0] - pd.Timestamp(rig.sandbox.effects("post.retry")[0]["at"]) >= pd.Timedelta(
        seconds=300
    )


def test_rule_18_a_stamp_alone_is_no_outcome_while_the_queue_may_be_slow(rig):
    """The post is edited while its retry waits in a slow queue; to call that a failure would be to retry it twice."""
    rig.sandbox.set_switches(linger_failed_seconds=180.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    send_once(kernel, run)
    edit(rig, kernel.triaged()["post_id"].iloc[0])
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("target.publish") == 1


def test_rule_18_an_unknown_act_on_a_post_with_a_new_stamp_is_not_sent_again(rig):
    """No answer came, the server keeps no keys, and all that shows is a new stamp: it may be ours, so nothing is sent upon it."""
    rig.sandbox.set_switches(linger_failed_seconds=180.0, ignore_keys=True)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}, path=RETRY))
    send_once(kernel, run)
    edit(rig, kernel.triaged()["post_id"].iloc[0])
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


def test_rule_19_a_redelivery_is_done_when_its_count_and_its_result_moved(rig):
    world.plant_deliveries(rig.sandbox, 3)
    kernel = rig.kernel()
    plan = plan_redeliver(kernel.deliveries())
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": 3}
    assert rig.count(expected(plan)).holds


def test_rule_19_a_redelivery_in_a_slow_queue_is_not_sent_again(rig):
    """500 after the work, no key kept, and the delivery shows no sign of being queued: only time tells."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    world.plant_deliveries(rig.sandbox, 3)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "when": "after", "times": 3}, path=REDELIVER))
    table = kernel.run(plan_redeliver(kernel.deliveries()))
    assert outcomes(table) == {"succeeded": 3}
    assert rig.effects("delivery.resend") == 3


def test_rule_19_a_redelivery_that_fails_as_before_is_never_taken_for_absent(rig):
    """The receiver answers as it did, with the same latency; only the count says that it was tried."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    rig.sandbox.receiver(status=503, latency_ms=1200)
    world.plant_deliveries(rig.sandbox, 1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "when": "after"}, path=REDELIVER))
    table = kernel.run(plan_redeliver(kernel.deliveries()))
    assert rig.effects("delivery.resend") == 1
    assert outcomes(table) in ({"unknown": 1}, {"failed": 1})


def test_what_has_arrived_is_sent_again_once_however_often_the_cell_is_run(rig):
    """Each success changes the delivery, so that the next would be a new request."""
    world.plant_deliveries(rig.sandbox, 2)
    kernel = rig.kernel()
    for _ in range(3):
        table = kernel.run(plan_redeliver(kernel.deliveries(), force=True))
        rig.sandbox.advance(3600)
        kernel = rig.kernel()
    assert rig.effects("delivery.resend") == 2
    assert table["waiting_for"].eq(str(Reason("redelivered_before"))).fillna(False).all()
    table = kernel.run(plan_redeliver(kernel.deliveries().assign(again=True), force=True))
    assert outcomes(table) == {"succeeded": 2}
    assert rig.effects("delivery.resend") == 4, "and once more where that is meant"


def test_rule_19_young_deliveries_are_held_unless_forced(rig):
    world.plant_deliveries(rig.sandbox, 2)
    young = next(iter(rig.sandbox.world.deliveries.values()))
    young.created_at = rig.sandbox.world.now() - 60_000
    kernel = rig.kernel()
    frame = kernel.deliveries()
    assert plan_redeliver(frame).eligible == 1
    assert plan_redeliver(frame, force=True).eligible == 2


def test_rule_19_a_redelivery_that_fails_exactly_as_before_ends_as_failed(rig):
    """The receiver is still away: the same error, no latency; only the count of tries shows that there was one."""
    world.plant_deliveries(rig.sandbox, 1)
    kernel = rig.kernel()
    rig.sandbox.receiver(status=503, latency_ms=1200)
    assert outcomes(kernel.run(plan_redeliver(kernel.deliveries()))) == {"failed": 1}
    again = kernel.run(plan_redeliver(kernel.deliveries().assign(attempt=2)))
    assert outcomes(again) == {"failed": 1}
    assert rig.effects("delivery.resend") == 2


def test_rule_20_four_outcomes_sum_to_the_eligible_rows(rig):
    world.plant_posts(rig.sandbox, 12, targets=1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT", "nth": 1}, path=RETRY))
    edit(rig, "post_f00003")
    plan = plan_retry(frame)
    run = kernel.bind(plan)
    sums = []

    class Watcher:
        def notice(self, snapshot: Any) -> None:
            sums.append(sum(cell.count for cell in snapshot.cells))

    kernel.go(run, observer=Watcher())
    assert set(sums) == {plan.eligible}
    table = kernel.results(run)
    assert len(table) == plan.eligible
    assert outcomes(table) == {"succeeded": 10, "failed": 1, "blocked": 1}
    assert table.loc[table["outcome"] == "blocked", "waiting_for"].notna().all()


def test_rule_20_what_only_a_person_moves_does_not_hold_the_wait(rig):
    """A retried post goes back to approval: the run ends and says so."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    work = caught(rig, kernel, run, RETRY, when="after")
    kept = rig.sandbox.world.posts["post_f00000"]
    rig.sandbox.world.events.clear()
    kept.status = "pending_approval"
    rig.sandbox.world.touch(kept, rig.sandbox.world.now())
    let_go(rig)
    assert work.result(30).phase == "done"
    assert kernel.results(run)["waiting_for"].tolist() == ["the post is pending_approval"]
