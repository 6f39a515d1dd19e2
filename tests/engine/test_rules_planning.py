"""Planning: what is open is joined, a post has one open operation, what a retry is, and what makes its key (rules 1 to 4)."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes
from tests.engine.steps import (
    BULK,
    HOUR,
    RETRY,
    caught,
    edit,
    killed,
    let_go,
    plan_rows,
    post,
    send_once,
)

from voxburst_sandbox import Switches
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.api.reasons import Reason, beginning


def test_rule_01_a_rerun_joins_what_is_open_with_its_batch_and_its_bytes(rig):
    """120 rows, the kernel dies while the server holds the first batches; the re-run forms nothing anew."""
    first = rig.kernel()
    plan = plan_rows(rig, 120)
    wanted = expected(plan)
    killed(rig, first, first.bind(plan), BULK)
    before = {(entry["key"], entry["body"]) for entry in rig.acts()}
    assert before
    shorter = plan_create(
        rig.campaign(120).iloc[::-1], key="row_id"
    )  # other batches, if they were formed from the frame
    second = rig.kernel()
    assert outcomes(second.run(shorter)) == {"succeeded": 120}
    assert rig.count(wanted).holds
    after = {(entry["key"], entry["body"]) for entry in rig.acts()}
    assert before <= after
    assert len(after) == len({key for key, _ in after}) == 3, "three batches, whoever sent them"


def test_rule_02_one_open_operation_per_post_whatever_the_key(rig):
    """A tag edit while a retry is open changes the time stamp, so the same failure would get a second key."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.set_switches(linger_failed_seconds=30.0)
    frame = kernel.triaged()
    run = kernel.bind(plan_retry(frame))
    work = caught(rig, kernel, run, RETRY, when="after")
    edit(rig, "post_f00000")
    again = plan_retry(kernel.triaged())
    assert again.operations[0].key != plan_retry(frame).operations[0].key
    other = rig.kernel()
    second = other.bind(again)
    following = other.start(second)
    let_go(rig)
    work.result(30)
    following.result(30)
    assert len({entry["key"] for entry in rig.acts()}) == 1
    assert rig.effects("target.requeue") == 1
    assert outcomes(other.results(second)) == {"succeeded": 1}, "the row stands for the retry that was open"


def test_rule_02_a_row_whose_post_has_changed_is_held(rig):
    world.plant_posts(rig.sandbox, 2, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    edit(rig, "post_f00000")
    table = kernel.run(plan)
    assert outcomes(table) == {"blocked": 1, "succeeded": 1}
    assert table.set_index("post_id").loc["post_f00000", "waiting_for"] == str(
        Reason("changed_since_loaded", fields="updated_at")
    )
    assert [effect["post"] for effect in rig.sandbox.effects("target.requeue")] == ["post_f00001"]


def test_rule_02_a_post_that_changes_while_the_run_is_paused_is_held(rig):
    """Bound in the evening, resumed in the morning: what was read is not true any more."""
    world.plant_posts(rig.sandbox, 2, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    edit(rig, "post_f00001")
    rig.sandbox.advance(8 * HOUR)
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"blocked": 1, "succeeded": 1}
    assert [effect["post"] for effect in rig.sandbox.effects("target.requeue")] == ["post_f00000"]


def test_rule_03_a_filtered_frame_never_sends_the_other_targets(rig):
    """Filter to one platform: the whole post must not be retried, each row gets a fix of its own target."""
    world.plant_posts(rig.sandbox, 3)
    kernel = rig.kernel()
    frame = kernel.triaged()
    chosen = frame[frame["platform"] == "linkedin"]
    plan = plan_retry(chosen)
    wanted = expected(plan)
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": len(chosen)}
    assert set(table["request"].str.rpartition("/")[2]) == {"fix"}
    assert rig.count(wanted).holds


def test_rule_03_a_filter_that_lost_its_attributes_is_caught_before_sending(rig):
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    chosen = kernel.triaged().head(1).copy()
    chosen.attrs = {}
    plan = plan_retry(chosen)
    assert plan.operations[0].path.endswith("/retry"), "the frame alone can't tell"
    table = kernel.run(plan)
    assert outcomes(table) == {"blocked": 1}
    assert rig.acts() == []


def test_rule_03_a_row_that_stands_twice_does_not_stand_for_its_neighbour(rig):
    """Two targets failed, one was chosen, twice: two of two rows would look like the whole post."""
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    doubled = frame.iloc[[0, 0]].reset_index(drop=True)
    doubled.attrs = frame.attrs
    plan = plan_retry(doubled)
    wanted = expected(plan)
    assert plan.frame["eligible"].tolist() == [True, False]
    kernel.run(plan)
    assert len(wanted) == 1
    assert rig.count(wanted).holds


def test_rule_03_a_target_in_flight_is_held_until_it_is_old_and_the_analyst_says_so(rig):
    world.plant_posts(rig.sandbox, 1, targets=2)
    target = rig.sandbox.world.posts["post_f00000"].targets[1]
    target.status, target.error = "publishing", None
    kernel = rig.kernel()
    frame = kernel.triaged()
    assert not plan_retry(frame).frame["eligible"].any(), "nothing may touch a post of which a target is moving"
    insist = frame.assign(retryable=True)
    insist.attrs = {**frame.attrs, "fetched_at": (insist["updated_at"].max() + pd.Timedelta("3min")).isoformat()}
    assert not plan_retry(insist).frame["eligible"].any(), "three minutes old"
    insist.attrs["fetched_at"] = (insist["updated_at"].max() + pd.Timedelta("11min")).isoformat()
    assert plan_retry(insist).frame["eligible"].all()


def test_rule_03_a_target_without_an_id_is_held(rig):
    rig.sandbox.set_switches(no_target_ids=True)
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    table = kernel.run(plan_retry(frame[frame["platform"] == "twitter"]))
    assert outcomes(table) == {"blocked": 1}
    assert table["waiting_for"].str.contains("no id for this target").fillna(False).all()
    assert rig.acts() == []


def test_rule_03_one_target_waits_for_an_unsent_retry_of_its_post_or_goes_out_alone_when_that_is_cancelled(rig):
    """The whole post was planned and stopped by a 403; then one platform is chosen: to drop the other would lose it."""
    world.plant_posts(rig.sandbox, 1, targets=2)
    kernel = rig.kernel()
    triaged = kernel.triaged()
    rig.sandbox.add_fault(*post({"action": "status", "status": 403, "code": "AUTHORIZATION_ERROR"}))
    run = kernel.bind(plan_retry(triaged))
    kernel.go(run)
    chosen = triaged[triaged["platform"] == triaged["platform"].iloc[0]]
    held = kernel.run(plan_retry(chosen))
    assert held["waiting_for"].to_list() == [
        f"another retry of this post waits to be sent; let its run go on, or cancel it, with ws.attach({run!r})"
    ]
    assert outcomes(kernel.results(run)) == {"pending": 2}
    eventloop.run(kernel.engine.withdraw(run))
    assert outcomes(kernel.run(plan_retry(chosen))) == {"succeeded": 1}
    assert rig.effects("target.requeue") == 1


def test_rule_03_what_hangs_is_given_up_only_for_what_is_tried_in_its_place(rig):
    """A retry hangs; the analyst says so, but the post was edited since: the new row is held, and the old act is still watched."""
    rig.sandbox.set_switches(
        **{**asdict(Switches()), "silent_webhooks": True, "recovery_rate": 1.0, "publish_seconds": (2400.0, 2400.0)}
    )
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    first = kernel.bind(plan_retry(kernel.triaged()))
    send_once(kernel, first)
    rig.sandbox.advance(1000)
    hanging = kernel.triaged("publishing", "pending", "failed", "partial").assign(retryable=True)
    edit(rig, hanging["post_id"].iloc[0])
    second = kernel.bind(plan_retry(hanging))
    assert kernel.results(second)["waiting_for"].str.startswith(beginning("changed_since_loaded")).fillna(False).all()
    rig.sandbox.advance(5000)
    kernel.go(first)
    assert outcomes(kernel.results(first)) == {"succeeded": 1}


def test_rule_04_the_failure_alone_makes_the_key(rig):
    """Counts and ids may be missing on the wire; the same failure has the same key, the next failure another."""
    world.plant_posts(rig.sandbox, 2)
    kernel = rig.kernel()
    key = [operation.key for operation in plan_retry(kernel.triaged()).operations]
    rig.sandbox.set_switches(listed_retry_counts=True, listed_target_ids=True)
    assert [operation.key for operation in plan_retry(kernel.triaged()).operations] == key
    rig.sandbox.set_switches(no_retry_counts=True, no_target_ids=True, no_metadata=True, listed_retry_counts=False)
    assert [operation.key for operation in plan_retry(kernel.triaged()).operations] == key
    rig.sandbox.set_switches(recovery_rate=0.0)
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"failed": len(table)}
    later = [operation.key for operation in plan_retry(kernel.triaged()).operations]
    assert later
    assert not set(later) & set(key)
