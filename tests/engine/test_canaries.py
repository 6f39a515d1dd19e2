"""Canaries go first, and the others of their cause if at least half of those that were sent succeeded (rule 7)."""

from __future__ import annotations

import pytest
from tests.chaos import world
from tests.chaos.rig import FAR, codes, outcomes

from voxburst_sandbox import Fault
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update


@pytest.mark.parametrize(("became", "goes"), [
    (("succeeded", "succeeded"), True), (("succeeded", "failed"), True), (("failed", "failed"), False),
    (("blocked", "succeeded"), True), (("blocked", "failed"), False), (("blocked", "blocked"), False),
    (("succeeded", "failed", "failed", "failed", "succeeded"), False),
    (("succeeded", "blocked", "failed", "failed", "succeeded"), True),
])  # fmt: skip
def test_rule_07_a_cause_goes_or_is_blocked_by_what_its_canaries_say(rig, became, goes):
    """What was blocked before it was sent does not count among those that were sent."""
    rig.planted(len(became) + 2)
    kernel = rig.kernel()
    plan = plan_update(kernel.posts("scheduled").assign(new_content="mended")).canary(len(became))
    ahead = plan.frame["post_id"].iloc[sorted(plan.first)].to_list()
    run = kernel.bind(plan)
    for post, outcome in zip(ahead, became, strict=True):
        if outcome == "failed":
            rig.sandbox.add_fault(
                Fault("status", status=422, code="VALIDATION_ERROR", method="PATCH", path=f"/v1/posts/{post}")
            )
        elif outcome == "blocked":
            rig.edit(post)
    rig.sandbox.advance(100)
    kernel.go(run)
    table = kernel.results(run).set_index("post_id")
    assert tuple(table.loc[ahead, "outcome"]) == became
    others = table.drop(ahead)
    assert (outcomes(others), codes(others)) == (
        ({"succeeded": 2}, set()) if goes else ({"blocked": 2}, {"canaries_failed"})
    )
    sent = [entry["path"] for entry in rig.acts()]
    assert {path.split("/")[3] for path in sent[: len(sent) - 2 * goes]} <= set(ahead), "canaries go first"


def test_rule_07_each_cause_has_canaries_of_its_own(rig):
    """Drafts and scheduled posts: one draft is refused, so that drafts are blocked."""
    rig.planted(3)
    drafts = rig.planted(3, status="draft", scheduledFor=FAR)
    kernel = rig.kernel()
    for post in drafts:
        rig.sandbox.add_fault(
            Fault("status", status=422, code="VALIDATION_ERROR", method="PATCH", path=f"/v1/posts/{post}", times=None)
        )
    posts = kernel.posts("scheduled", "draft")
    table = kernel.run(plan_update(posts.assign(new_content="mended")).canary(1))
    assert outcomes(table[table["status"] == "scheduled"]) == {"succeeded": 3}
    assert outcomes(table[table["status"] == "draft"]) == {"failed": 1, "blocked": 2}


def test_rule_03_targets_of_one_post_wait_for_each_other_where_one_waits_for_its_canaries(rig):
    """Else its retry would act on a target that waits, and the row that may go would be blocked."""
    alone = world.plant_posts(rig.sandbox, 2, targets=1, name="a")  # one on each platform of the next post
    (both,) = world.plant_posts(rig.sandbox, 1, name="z")
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged("failed")).canary(1)
    ahead = set(plan.frame["post_id"].iloc[sorted(plan.first)])
    assert ahead == set(alone), "the post with two targets waits for two causes"
    rig.sandbox.add_fault(Fault("drop", "POST", f"/v1/posts/{alone[1]}/retry", when="before"))
    assert outcomes(kernel.run(plan)) == {"succeeded": 4}
    assert [entry["path"] for entry in rig.acts()][-1] == f"/v1/posts/{both}/retry"
