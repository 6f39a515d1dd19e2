"""A post whose time stamp lies in the future hides nothing that is made after it (rule 13)."""

from __future__ import annotations

from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import plan_rows

from voxops.acts.create import plan_create


def test_rule_13_a_post_of_the_future_hides_no_others(rig: Rig) -> None:
    """Somebody has imported a post of the day after tomorrow, which stands on top of the list; then a colleague runs the sheet."""
    account = next(iter(rig.accounts.values()))
    key = rig.sandbox.plant_post("imported", [account], status="draft")
    world = rig.sandbox.world
    post = world.posts[key]
    world.remove_post(post)
    post.created_at += 2 * 86_400_000
    world.add_post(post)
    mine = rig.kernel("mine")
    mine.run(plan_create(rig.campaign(1).assign(content="older"), key="row_id", campaign="another"))
    rig.kernel("theirs").run(plan_rows(rig, 150))
    rig.sandbox.advance(26 * 3600)
    table = mine.run(plan_rows(rig, 150))
    twice = {text for text, times in rig.created().items() if times > 1}
    assert not twice, len(twice)
    assert outcomes(table) == {"succeeded": 150}
