"""Posts that are changed, moved or withdrawn: once, under a name, and never over somebody's head (rules 1, 2, 5 and 14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import DAY, FAR, Rig, codes, outcomes, planned

from voxburst_sandbox import Fault
from voxops.acts.cancel import plan_cancel
from voxops.acts.plan import Plan
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.timing import PROOF_AFTER

Cell = Callable[[pd.DataFrame], Plan]


def by(step: str, change: str = "strike") -> Cell:
    return lambda posts: plan_update(posts, by=step, change=change)


def later(step: str) -> Cell:
    return lambda posts: plan_update(posts.assign(new_scheduled_for=posts["scheduled_for"] + pd.Timedelta(step)))


def add(words: str, change: str | None = None) -> Cell:
    return lambda posts: plan_update(posts.assign(new_content=posts["content"] + words), change=change)


def changed(rig: Rig) -> list[str]:
    """Posts in the order in which the server changed them; one that was changed twice stands there twice."""
    return [effect["post"] for effect in rig.sandbox.effects("post.update")]


def person(rig: Rig, post: str, **body: Any) -> None:
    rig.sandbox.advance(2)
    rig.sandbox.person.edit(post, **body)


@pytest.mark.parametrize(("cell", "again"), [
    pytest.param(by("3D"), "", id="moved by some time, under a name"),
    pytest.param(later("3D"), "changed_before", id="moved to a time that the frame computes"),
    pytest.param(add(" #spring"), "changed_before", id="words added"),
    pytest.param(add(" #spring", "words"), "done_otherwise", id="words added under a name, which has another value"),
])  # fmt: skip
@pytest.mark.parametrize("corrected", [False, True])
def test_rule_01_run_all_changes_once(rig, cell, again, corrected):
    """Also where somebody has corrected the posts since; a colleague's ledger knows the names that the posts bear."""
    ids = rig.planted(2, metadata={"by": "hand"})
    kernel = rig.kernel()
    assert outcomes(kernel.run(cell(kernel.posts("scheduled")))) == {"succeeded": 2}
    rig.sandbox.advance(DAY)
    for post in ids if corrected else ():
        person(rig, post, content="corrected", scheduled_for="2027-03-02T09:00:00Z")
    shown = [(post.content, post.scheduled_for) for post in rig.sandbox.world.posts.values()]
    named = cell(kernel.posts("scheduled")).items[0].seen.get("change")
    for ledger in ("ledger", "ledger", *(["colleague"] if named else [])):
        kernel = rig.kernel(ledger)
        table = kernel.run(cell(kernel.posts("scheduled")))
        said = {"changed_before" if ledger == "colleague" else again}
        assert (outcomes(table), codes(table)) == (({"blocked": 2}, said) if again else ({"succeeded": 2}, set()))
        rig.sandbox.advance(600)
    assert [(post.content, post.scheduled_for) for post in rig.sandbox.world.posts.values()] == shown
    assert sorted(changed(rig)) == sorted(ids)


def test_rule_02_what_somebody_changed_is_blocked_and_not_written_over(rig, monkeypatch):
    """Since it was loaded; or between our last reading and the server's turn: then the version makes the server refuse."""
    first, second, third = rig.planted(3)
    kernel = rig.kernel()
    posts = kernel.posts("scheduled")
    person(rig, first, content="mended by hand")
    run = kernel.bind(plan_update(posts.assign(new_content=[f"from the notebook {post}" for post in posts["post_id"]])))
    rig.sandbox.advance(100)
    read = kernel.engine.eyes.reader.post

    async def read_then_edit(post: str) -> Any:
        state = await read(post)
        if post == second:
            person(rig, second, content="mended by hand")
        return state

    monkeypatch.setattr(kernel.engine.eyes.reader, "post", read_then_edit)
    kernel.go(run)
    table = kernel.results(run).set_index("post_id")
    assert table["outcome"].to_dict() == {first: "blocked", second: "blocked", third: "succeeded"}
    assert table["reason_code"].to_dict() | {third: ""} == {
        first: "changed_since_loaded",
        second: "version_conflict",
        third: "",
    }
    assert table.loc[second, "http_status"] == 409
    assert "the post has changed since it was read" in table.loc[second, "waiting_for"]
    assert changed(rig) == [third]


def test_rule_02_what_was_never_sent_binds_no_other_plan_and_yields_to_what_was_done_since(rig):
    """What is not sent is in no call (core.md, 1): a later act on the same posts goes out, and the one that waits is blocked."""
    kernel = rig.kernel()
    kernel.run(planned(rig.campaign(4)))
    posts = kernel.posts("scheduled")
    cancels = kernel.stopped(kernel.bind(plan_cancel(posts.head(2))))
    words = kernel.bind(plan_update(posts.tail(2).assign(new_content=["first", "words"])))
    rig.sandbox.advance(5)
    later = plan_update(posts.assign(new_tags="late", new_content=["a", "b", "c", "d"]))
    assert outcomes(kernel.run(later)) == {"succeeded": 4}
    for run, code in ((cancels, "changed_since_loaded"), (words, "changed_before")):
        kernel.go(run)
        table = kernel.results(run)
        assert (outcomes(table), codes(table)) == ({"blocked": 2}, {code})
    assert (rig.effects("post.cancel"), rig.effects("post.update")) == (0, 4)


@pytest.mark.parametrize("late", [0.0, 600.0, 2 * DAY])
@pytest.mark.parametrize("when", ["before", "after"])
def test_rule_09_a_cancel_of_which_nobody_knows_is_looked_at_by_a_person_where_the_post_was_changed(rig, when, late):
    kernel = rig.kernel()
    kernel.run(planned(rig.campaign(1)))
    rig.sandbox.advance(600)
    lost = Fault("status", status=500, method="POST", path="/v1/posts/*/cancel", when=when)
    run = kernel.send_first(kernel.bind(plan_cancel(kernel.posts("scheduled"))), lost)
    (post,) = rig.sandbox.world.posts.values()
    rig.sandbox.advance(60)
    rig.restored(post.id)
    rig.sandbox.advance(late)
    kernel.go(run)
    table = kernel.results(run)
    assert (outcomes(table), codes(table)) == ({"blocked": 1}, {"changed_since_cancel"})
    assert (post.status, rig.effects("post.cancel")) == ("scheduled", int(when == "after"))
    assert outcomes(kernel.run(plan_cancel(kernel.posts("scheduled")))) == {"succeeded": 1}


def drafts(rig: Rig, **fields: Any) -> tuple[str, pd.DataFrame]:
    """A draft that was planted, and the frame that shows it."""
    (post,) = rig.planted(status="draft", **fields)
    posts = rig.kernel().posts("draft")
    return post, posts[posts["post_id"] == post]


def test_a_draft_that_the_api_leaves_a_draft_is_no_success(rig, monkeypatch):
    post, frame = drafts(rig, scheduledFor=None)
    kept = rig.sandbox.world.posts[post]
    monkeypatch.setattr(type(kept), "status", property(lambda _: "draft", lambda *_: None), raising=False)
    table = rig.kernel().run(plan_update(frame.assign(new_scheduled_for=pd.Timestamp(FAR))))
    assert table["error_message"].to_list() == ["the API accepted the change, but the post is still a draft"]


def test_a_draft_that_has_its_time_is_let_out_by_that_time(rig):
    post, frame = drafts(rig)
    assert plan_update(frame, to=pd.Timestamp(FAR)).frame["reason_code"].to_list() == ["draft_would_go_out"]
    kernel = rig.kernel()
    assert outcomes(kernel.run(plan_update(frame.assign(new_scheduled_for=pd.Timestamp(FAR))))) == {"succeeded": 1}
    assert rig.sandbox.world.posts[post].status == "scheduled"
    assert plan_update(kernel.posts("scheduled").assign(new_scheduled_for=pd.Timestamp(FAR))).eligible == 0


def test_what_was_withdrawn_never_goes_out_and_what_is_out_is_not_withdrawn(rig):
    rig.planted(1, status="published")
    rig.planted(3)
    rig.planted(2, status="draft", scheduledFor=None)
    kernel = rig.kernel()
    plan = plan_cancel(kernel.posts())
    assert sorted(plan.frame.loc[~plan.frame["eligible"], "reason_code"]) == ["not_cancellable"]
    assert outcomes(kernel.run(plan)) == {"succeeded": 5}
    rig.sandbox.advance(400 * DAY)
    assert (rig.effects("post.cancel"), rig.effects("target.publish")) == (5, 0)


def lost(path: str, when: str = "before", **details: Any) -> Fault:
    return Fault(**{"action": "status", "status": 500, "method": "POST", "path": path, "when": when, **details})


@pytest.mark.parametrize("when", ["answered", "before", "after"])
@pytest.mark.parametrize("what", ["retry", "cancel", "update"])
def test_rule_14_an_act_whose_post_was_deleted_is_blocked_in_the_end(rig, what, when):
    """Not before five minutes have passed, since readings may lag."""
    if what == "retry":
        (post,) = world.plant_posts(rig.sandbox, 1)
    else:
        (post,) = rig.planted()
    rig.sandbox.set_switches(publish_seconds=(100.0, 100.0))
    mine = rig.kernel("mine")
    plan = {
        "retry": lambda: plan_retry(mine.triaged("failed")),
        "cancel": lambda: plan_cancel(mine.posts("scheduled")),
        "update": lambda: plan_update(mine.posts("scheduled"), by="3D", change="strike"),
    }[what]()
    method = "PATCH" if what == "update" else "POST"
    faults = [] if when == "answered" else [lost("/v1/**", when, method=method)]
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
