"""Posts that are changed, moved or withdrawn: once, under a name, and never over somebody's head (rules 1, 2, 5 and 14)."""

import pytest
from tests.chaos import world
from tests.chaos.rig import codes, outcomes

from voxburst_sandbox import Fault
from voxops.acts.cancel import plan_cancel
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.limits import PROOF_AFTER


def person(rig, post, **body):
    rig.sandbox.advance(2)
    rig.sandbox.person.edit(post, **body)


def test_rule_02_what_somebody_changed_is_blocked_and_not_written_over(rig, monkeypatch):
    """Since it was loaded; or between our last reading and the server's turn: then the version makes the server refuse."""
    first, second, third = rig.planted(3)
    kernel = rig.kernel()
    posts = kernel.posts("scheduled")
    person(rig, first, content="mended by hand")
    run = kernel.bind(plan_update(posts.assign(new_content=[f"from the notebook {post}" for post in posts["post_id"]])))
    rig.sandbox.advance(100)
    read = kernel.engine.reads.reader.post

    async def read_then_edit(post):
        state = await read(post)
        if post == second:
            person(rig, second, content="mended by hand")
        return state

    monkeypatch.setattr(kernel.engine.reads.reader, "post", read_then_edit)
    kernel.go(run)
    table = kernel.results(run).set_index("post_id")
    assert table["outcome"].to_dict() == {first: "blocked", second: "blocked", third: "succeeded"}
    assert table["reason_code"].dropna().to_dict() == {first: "changed_since_loaded", second: "version_conflict"}
    assert table.loc[second, "http_status"] == 409
    assert "the post has changed since it was read" in table.loc[second, "waiting_for"]
    assert [effect["post"] for effect in rig.sandbox.effects("post.update")] == [third]


@pytest.mark.parametrize("when", ["answered", "before", "after"])
@pytest.mark.parametrize("what", ["retry", "cancel", "update"])
def test_rule_14_an_act_whose_post_was_deleted_is_blocked_in_the_end(rig, what, when):
    """Not before five minutes have passed, since readings may lag."""
    (post,) = world.plant_posts(rig.sandbox, 1) if what == "retry" else rig.planted()
    rig.sandbox.set_switches(publish_seconds=(100.0, 100.0))
    mine = rig.kernel("mine")
    plan = {
        "retry": lambda: plan_retry(mine.triaged()), "cancel": lambda: plan_cancel(mine.posts("scheduled")),
        "update": lambda: plan_update(mine.posts("scheduled"), by="3D", change="strike"),
    }[what]()  # fmt: skip
    method = "PATCH" if what == "update" else "POST"
    faults = () if when == "answered" else (Fault("status", method, "/v1/**", status=500, when=when),)
    run = mine.send_first(mine.bind(plan), *faults)
    rig.sandbox.person.delete(post)
    sent = rig.sandbox.now()
    phase = mine.go(run).phase
    table = mine.results(run)
    if what != "retry" and when != "before":
        assert outcomes(table) == {"succeeded": 1}, "by its answer, which the server repeats under its key"
        return
    assert (set(table["outcome"]), codes(table), phase) == ({"blocked"}, {"post_gone"}, "blocked")
    assert (rig.sandbox.now() - sent).total_seconds() >= PROOF_AFTER
