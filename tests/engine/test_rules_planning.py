"""Planning: what is open is joined, a post has one open call, what a retry is, and what makes its key (rules 1 to 4)."""

from __future__ import annotations

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, HOUR, RETRY, caught, edit, killed, let_go, plan_rows, post, send_once

from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.retry import plan_retry


def keys_of(plan: Plan) -> list[str]:
    return list(plan.frame["idempotency_key"])


def test_rule_01_a_rerun_joins_what_is_open_with_its_batch_and_its_bytes(rig: Rig) -> None:
    """120 rows, the kernel dies while the server holds the first batches; the sheet is sorted otherwise by then."""
    first = rig.kernel()
    plan = plan_rows(rig, 120)
    killed(rig, first, first.bind(plan), BULK)
    before = {(entry["key"], entry["body"]) for entry in rig.acts()}
    assert outcomes(rig.kernel().run(plan_create(rig.campaign(120).iloc[::-1], key="row_id"))) == {"succeeded": 120}
    assert rig.count(expected(plan)).holds
    after = {(entry["key"], entry["body"]) for entry in rig.acts()}
    assert before
    assert before <= after
    assert len(after) == len({key for key, _ in after}) == 3, "three batches, whoever sent them"


def test_rule_02_one_open_call_per_post_whatever_the_key(rig: Rig) -> None:
    """A tag edit while a retry is open changes the time stamp, so the same failure would get a second key."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    rig.sandbox.set_switches(linger_failed_seconds=30.0)
    kernel, other = rig.kernel(), rig.kernel()
    plan = plan_retry(kernel.triaged())
    work = caught(rig, kernel, kernel.bind(plan), RETRY, when="after")
    edit(rig, "post_f00000")
    again = plan_retry(kernel.triaged())
    assert keys_of(again) != keys_of(plan)
    second = other.bind(again)
    following = other.start(second)
    let_go(rig)
    work.result(30)
    following.result(30)
    assert len(rig.acts()) == rig.effects("target.requeue") == 1
    assert set(other.results(second)["outcome"]) <= {"succeeded", "blocked"}


@pytest.mark.parametrize("later", [0.0, 8 * HOUR])
def test_rule_02_a_row_whose_post_has_changed_is_blocked(rig: Rig, later: float) -> None:
    """Before it was bound, or bound in the evening and resumed in the morning."""
    world.plant_posts(rig.sandbox, 2, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    run = kernel.bind(plan) if later else ""
    edit(rig, "post_f00000")
    rig.sandbox.advance(later)
    run = run or kernel.bind(plan)
    kernel.go(run)
    table = kernel.results(run).set_index("post_id")
    assert table["outcome"].to_dict() == {"post_f00000": "blocked", "post_f00001": "succeeded"}
    assert table["reason_code"]["post_f00000"] == "changed_since_loaded"
    assert [effect["post"] for effect in rig.sandbox.effects("target.requeue")] == ["post_f00001"]


def test_rule_03_a_filtered_frame_never_sends_the_other_targets(rig: Rig) -> None:
    """Filter to one platform: the whole post must not be retried, each row gets a fix of its own target."""
    world.plant_posts(rig.sandbox, 3)
    kernel = rig.kernel()
    plan = plan_retry((frame := kernel.triaged())[frame["platform"] == "linkedin"])
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": len(plan.items)}
    assert set(table["request"].str.rpartition("/")[2]) == {"fix"}
    assert rig.count(expected(plan)).holds


@pytest.mark.parametrize(("lost", "code"), [("attributes", "other_target_open"), ("ids", "target_without_id")])
def test_rule_03_what_would_act_on_more_than_was_chosen_is_blocked(rig: Rig, lost: str, code: str) -> None:
    """A filter that lost its attributes looks like the whole post; a target without an id has no fix."""
    rig.sandbox.set_switches(no_target_ids=lost == "ids")
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    frame = kernel.triaged().head(1).copy()
    if lost == "attributes":
        frame.attrs = {}
    plan = plan_retry(frame)
    assert plan.items[0].path.endswith("/retry") == (lost == "attributes"), "the frame alone can't tell"
    table = kernel.run(plan)
    assert table[["outcome", "reason_code"]].values.tolist() == [["blocked", code]]
    assert rig.acts() == []


def test_rule_03_a_row_that_stands_twice_does_not_stand_for_its_neighbour(rig: Rig) -> None:
    """Two targets failed, one was chosen, twice: two of two rows would look like the whole post."""
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    doubled = frame.iloc[[0, 0]].reset_index(drop=True)
    doubled.attrs = frame.attrs
    plan = plan_retry(doubled)
    assert plan.frame["eligible"].tolist() == [True, False]
    kernel.run(plan)
    assert len(expected(plan)) == 1
    assert rig.count(expected(plan)).holds


def test_rule_03_one_target_goes_out_alone_where_the_retry_of_its_post_was_never_sent(rig: Rig) -> None:
    """The whole post was planned and stopped by a 403; then one platform is chosen. The first run goes on with the other."""
    world.plant_posts(rig.sandbox, 1, targets=2)
    kernel = rig.kernel()
    triaged = kernel.triaged()
    rig.sandbox.add_fault(*post({"action": "status", "status": 403, "code": "AUTHORIZATION_ERROR"}))
    run = kernel.bind(plan_retry(triaged))
    kernel.go(run)
    chosen = triaged[triaged["platform"] == triaged["platform"].iloc[0]]
    assert outcomes(kernel.run(plan_retry(chosen))) == {"succeeded": 1}
    assert rig.effects("target.requeue") == 1
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1, "blocked": 1}, "the post has changed since"
    assert rig.effects("target.requeue") == 1


def test_rule_03_what_hangs_is_abandoned_only_for_what_is_tried_in_its_place(rig: Rig) -> None:
    """A retry hangs; the analyst says so, but the post was edited since: the new row is blocked, and the old act still watched."""
    rig.sandbox.set_switches(publish_seconds=(2400.0, 2400.0))
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    first = kernel.bind(plan_retry(kernel.triaged()))
    send_once(kernel, first)
    rig.sandbox.advance(1000)
    hanging = kernel.triaged("publishing", "pending", "failed", "partial").assign(retryable=True)
    edit(rig, hanging["post_id"].iloc[0])
    second = kernel.bind(plan_retry(hanging))
    assert kernel.results(second)["reason_code"].tolist() == ["subject_unknown"]
    rig.sandbox.advance(5000)
    kernel.go(first)
    assert outcomes(kernel.results(first)) == {"succeeded": 1}


def test_rule_04_the_failure_alone_makes_the_key(rig: Rig) -> None:
    """Counts and ids may be missing on the wire; the same failure has the same key, the next failure another."""
    world.plant_posts(rig.sandbox, 2)
    kernel = rig.kernel()
    key = keys_of(plan_retry(kernel.triaged()))
    for shows in (
        {"listed_retry_counts": True, "listed_target_ids": True},
        {"no_retry_counts": True, "no_target_ids": True, "no_metadata": True, "listed_retry_counts": False},
    ):
        rig.sandbox.set_switches(**shows)
        assert keys_of(plan_retry(kernel.triaged())) == key
    rig.sandbox.set_switches(recovery_rate=0.0)
    assert set(outcomes(kernel.run(plan_retry(kernel.triaged())))) == {"failed"}
    later = keys_of(plan_retry(kernel.triaged()))
    assert later
    assert not set(later) & set(key)
