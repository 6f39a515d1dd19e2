"""Retries and fixes: what they cover, when they have ended, and what becomes of one that hangs (rules 2, 3, 4 and 13)."""

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import DAY, codes, outcomes
from tests.engine.steps import RETRY, failing

from voxburst_sandbox import Fault
from voxops.acts.retry import plan_fix, plan_retry


@pytest.mark.parametrize(("lost", "code"), [("attributes", "other_target_open"), ("ids", "target_without_id")])
def test_rule_03_what_would_act_on_more_than_was_chosen_is_blocked(rig, lost, code):
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


@pytest.mark.parametrize("lost", [False, True])
def test_rule_13_targets_that_the_answer_skips_have_failed(rig, lost):
    """At once; where the first answer is lost, its replay is believed when nothing has moved."""
    world.plant_posts(rig.sandbox, 1, targets=1 if lost else 2)
    rig.sandbox.world.posts["post_f00000"].targets[0].retry_count = 3
    rig.sandbox.add_fault(*failing({"action": "drop", "when": "after"}) if lost else ())
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


UNAVAILABLE = {"code": "SERVICE_UNAVAILABLE", "message": "as often before"}  # what the sandbox's known rates fail with


COUNTED = {"listed_retry_counts": True, "listed_target_ids": True}


@pytest.mark.parametrize("posts", [1, 12], ids=["single reads", "lists"])
def test_a_retry_that_fails_as_before_within_a_second_is_told_within_45_seconds(rig, posts):
    """Rule 13: the count in the list has reached what the reply promised, under a newer stamp, and nobody has edited the post."""
    rates = {platform: {UNAVAILABLE["code"]: 1.0} for platform in world.PLATFORMS}
    for name in world.plant_posts(rig.sandbox, posts, targets=1):
        rig.sandbox.world.posts[name].targets[0].error = UNAVAILABLE
    rig.sandbox.set_switches(**COUNTED, failure_rates=rates, recovery_rate=0.0, publish_seconds=[0.2, 0.8])
    kernel = rig.kernel()
    run = kernel.done(plan_retry(kernel.triaged()))
    assert rig.effects("post.retry") == rig.effects("target.fail") == posts
    results = kernel.results(run)
    assert outcomes(results) == {"failed": posts}, results["waiting_for"][0]
    queued = pd.Timestamp(rig.sandbox.effects("post.retry")[-1]["at"])
    assert (results["settled_at"] - queued).max() <= pd.Timedelta(seconds=45)
    assert len(kernel.execution(run).failed()) == posts


ERROR = {"code": "RATE_LIMITED", "message": "rate limit reached, 30 seconds until reset"}  # as planted


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("forgets", [False, True])
def test_rule_13_a_retry_of_which_nobody_knows_is_abandoned_for_a_next_attempt(rig, when, forgets):
    """Somebody edited the post, or it failed again with the same error before anybody looked: nothing tells whether it was tried.

    Sent again under its key, it would go out twice where the server has forgotten that.
    """
    kernel = rig.kernel()
    rig.sandbox.set_switches(recovery_rate=0.0, forget_key_on_5xx=forgets)
    (post,) = world.plant_posts(rig.sandbox, 1, targets=1)
    lost = Fault("status", "POST", RETRY, status=500, when=when)
    run = kernel.send_first(kernel.bind(plan_retry(kernel.triaged())), lost)
    kernel.kill()
    rig.sandbox.advance(DAY / 2)
    rig.sandbox.world.posts[post].targets[0].error = ERROR
    rig.edit(post)
    rig.sandbox.set_switches(recovery_rate=1.0)
    kernel, tried = rig.kernel(), rig.effects("post.retry")
    kernel.go(run)
    table = kernel.results(run)
    assert (outcomes(table), codes(table)) == ({"unknown": 1}, {"changed_in_doubt"})
    assert codes(kernel.run(plan_retry(kernel.triaged()))) == {"subject_unknown"}
    assert rig.effects("post.retry") == tried
    assert kernel.execution(run).failed(stuck=True)["attempt"].to_list() == [2]
    rows = kernel.triaged().assign(attempt=2)
    for _ in range(2):
        assert outcomes(kernel.run(plan_retry(rows))) == {"succeeded": 1}
    assert rig.effects("post.retry") == tried + 1


def failed(rig, posts):
    """A kernel, and the failed targets of so many posts, two each for two of three."""
    world.plant_posts(rig.sandbox, posts)
    kernel = rig.kernel()
    return kernel, kernel.triaged()


def test_a_fix_sends_what_it_has_and_not_over_somebody_s_head(rig):
    kernel, rows = failed(rig, 3)
    rows = rows.drop_duplicates("post_id").assign(
        new_content=["Shorter.", None, "Shorter."], new_media_url=[None, "https://cdn.example/right.jpg", None]
    )
    run = kernel.bind(plan_fix(rows))
    rig.edit(rows["post_id"].iloc[2])
    rig.sandbox.advance(100)
    kernel.go(run)
    table = kernel.results(run)
    assert table["outcome"].to_list() == ["succeeded", "succeeded", "blocked"]
    assert codes(table) == {"changed_since_loaded"}
    assert sorted(effect["changed"] for effect in rig.sandbox.effects("target.fix")) == [["content"], ["mediaUrl"]]


def test_what_a_refused_act_leaves_is_the_target_s_own_error(rig):
    """Planned again it is retried; the API's word of a skipped target counts instead, and it can be mended once it is loaded again."""
    kernel, rows = failed(rig, 1)
    conflict = Fault("status", "POST", "/v1/posts/**", status=409, code="CONFLICT", when="before")
    rig.sandbox.add_fault(conflict)
    run = kernel.done(plan_retry(rows))
    assert set(kernel.results(run)["error_code"]) == {"CONFLICT"}
    left = kernel.execution(run).failed()
    assert left["error_code"].to_list() == rows["error_code"].to_list()
    for target in rig.sandbox.world.posts[rows["post_id"].iloc[0]].targets:
        target.retry_count = 3
    run = kernel.done(plan_retry(left))
    assert set(kernel.results(run)["error_code"]) == {"SKIPPED"}
    left = kernel.execution(run).failed()
    assert set(left["error_message"]) == {"retry limit reached"}
    assert plan_retry(left).eligible == 0
    mended = kernel.run(plan_fix(kernel.triaged().assign(new_content="Shorter.")))
    assert (set(mended["outcome"]), rig.effects("target.publish")) == ({"succeeded"}, len(rows))
