"""Posts that are changed or moved: once under a name, never over somebody's head, whatever breaks; and runs that are undone (rows 2 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.chaos.rig import Rig, outcomes
from tests.engine.days import DAY, FAR, codes, done, planted
from tests.engine.steps import killed, planned
from tests.engine.verbs import undo, verify

from voxburst_sandbox import Fault
from voxops.acts.plan import Plan
from voxops.acts.update import plan_update
from voxops.api.timing import PROOF_AFTER

PATH = "/v1/posts/*"
THURSDAY = pd.Timestamp("2027-03-04T09:00:00Z")
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


def times(rig: Rig) -> set[pd.Timestamp]:
    return {pd.Timestamp(post.scheduled_for, unit="ms", tz="UTC") for post in rig.sandbox.world.posts.values()}


def person(rig: Rig, post: str, **body: Any) -> None:
    rig.sandbox.advance(2)
    rig.sandbox.person.edit(post, **body)


def test_a_move_is_sent_once_and_re_running_it_sends_nothing(rig: Rig) -> None:
    """By the same kernel or another; from a fresh frame; and from the same one, by a second kernel that bound it before it was sent."""
    ids = planted(rig, 3)
    one, two = rig.kernel(), rig.kernel()
    posts = one.posts("scheduled")
    plan = plan_update(posts, to=THURSDAY)
    runs = one.bind(plan), two.bind(plan)
    for kernel, run in zip((one, two), runs, strict=True):
        kernel.go(run)
        assert outcomes(kernel.results(run)) == {"succeeded": 3}
    assert outcomes(rig.kernel().run(plan)) == {"succeeded": 3}
    assert set(plan_update(one.posts("scheduled"), to=THURSDAY).frame["reason_code"]) == {"unchanged"}
    assert sorted(changed(rig)) == sorted(ids)
    assert times(rig) == {THURSDAY}
    assert {request["path"] for request in rig.acts()} == {f"/v1/posts/{post}" for post in ids}


@pytest.mark.parametrize(
    ("cell", "again"),
    [
        pytest.param(by("3D"), "", id="moved by some time, under a name"),
        pytest.param(later("3D"), "changed_before", id="moved to a time that the frame computes"),
        pytest.param(add(" #spring"), "changed_before", id="words added"),
        pytest.param(
            add(" #spring", "words"), "done_otherwise", id="words added under a name, which has another value"
        ),
    ],
)
@pytest.mark.parametrize("corrected", [False, True])
def test_rule_01_run_all_changes_once(rig: Rig, cell: Cell, again: str, corrected: bool) -> None:
    """Also where somebody has corrected the posts since; a colleague's ledger knows the names that the posts bear."""
    ids = planted(rig, 2, metadata={"by": "hand"})
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


def test_rule_01_several_cells_under_names_add_up_once_and_a_new_name_is_another_change(rig: Rig) -> None:
    """What the second cell has changed hides what the first one did. Without a name a field is changed once by a ledger."""
    planted(rig)
    kernel = rig.kernel()
    cells = [by("1D", "monday"), by("2h", "tuesday"), add(" #spring"), add(" #coffee", "coffee")]
    for number in range(3):
        for cell in cells:
            found = outcomes(kernel.run(cell(kernel.posts("scheduled"))))
            assert found == ({"blocked": 1} if number and cell in cells[2:] else {"succeeded": 1})
        rig.sandbox.advance(600)
    assert outcomes(kernel.run(add(" #sale")(kernel.posts("scheduled")))) == {"blocked": 1}
    assert outcomes(kernel.run(add(" #sale", "sale")(kernel.posts("scheduled")))) == {"succeeded": 1}
    (post,) = rig.sandbox.world.posts.values()
    assert post.content == "post 0 #spring #coffee #sale"
    assert times(rig) == {pd.Timestamp(FAR) + pd.Timedelta("1D2h")}
    assert len(changed(rig)) == 5


def test_rule_02_what_somebody_changed_is_blocked_and_not_written_over(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since it was loaded; or between our last reading and the server's turn: then the version makes the server refuse."""
    first, second, third = planted(rig, 3)
    kernel = rig.kernel()
    posts = kernel.posts("scheduled")
    person(rig, first, content="mended by hand")
    run = kernel.bind(plan_update(posts.assign(new_content="from the notebook")))
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


READINGS = {
    "default": {},
    "forgets": {"forget_key_on_5xx": True},
    "ignores": {"ignore_keys": True},
    "lags": {"list_lag_seconds": 60.0, "single_reads_lag": True},
}


@pytest.mark.parametrize("reading", ["default", "forgets", "ignores"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["drop", "status", "truncate"])
def test_a_lost_answer_is_settled_by_what_the_post_shows(rig: Rig, reading: str, when: str, action: str) -> None:
    planted(rig, 3)
    rig.sandbox.set_switches(**READINGS[reading])
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action=action, method="PATCH", path=PATH, when=when, times=2))
    assert outcomes(kernel.run(by("3D")(kernel.posts("scheduled")))) == {"succeeded": 3}
    assert times(rig) == {THURSDAY}
    assert len(set(changed(rig))) == len(changed(rig)) == 3


@pytest.mark.parametrize("reading", ["default", "ignores", "lags"])
def test_a_kernel_killed_between_receipt_and_commit_has_moved_once(rig: Rig, reading: str) -> None:
    """Run All comes upon a frame that shows the move, or does not yet."""
    ids = planted(rig, 2)
    kernel = rig.kernel()
    run = kernel.bind(by("3D")(kernel.posts("scheduled")))
    rig.sandbox.set_switches(**READINGS[reading])
    killed(rig, kernel, run, PATH, method="PATCH")
    assert changed(rig), "the server carried out what it had received"
    rig.sandbox.advance(200)
    second = rig.kernel()
    assert outcomes(second.run(by("3D")(second.posts("scheduled")))) == {"succeeded": 2}
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 2}
    assert sorted(changed(rig)) == sorted(ids)
    assert times(rig) == {THURSDAY}


def test_an_edit_after_a_lost_answer_is_not_written_over(rig: Rig) -> None:
    """Nobody knows whether ours came before; the post shows somebody else's, and that stays: its name stands for what may have left."""
    (post,) = planted(rig)
    kernel = rig.kernel()
    killed(rig, kernel, run := kernel.bind(add(" ours")(kernel.posts("scheduled"))), PATH, method="PATCH")
    person(rig, post, content="theirs")
    rig.sandbox.advance(100)
    kernel = rig.kernel()
    kernel.go(run)
    table = kernel.results(run)
    assert (outcomes(table), codes(table)) == ({"blocked": 1}, {"changed_since_sent"})
    assert codes(kernel.run(add(" ours")(kernel.posts("scheduled")))) == {"changed_before"}
    assert rig.sandbox.world.posts[post].content == "theirs"
    assert outcomes(kernel.run(add(", ours", "mine")(kernel.posts("scheduled")))) == {"succeeded": 1}
    assert rig.sandbox.world.posts[post].content == "theirs, ours"


def test_a_move_whose_new_time_has_passed_is_not_sent(rig: Rig) -> None:
    planted(rig, scheduledFor="2026-03-09T09:00:00Z")
    kernel = rig.kernel()
    run = kernel.bind(plan_update(kernel.posts("scheduled"), to=rig.sandbox.now() + pd.Timedelta("1h")))
    rig.sandbox.advance(7200)
    kernel.go(run)
    assert (codes(kernel.results(run)), rig.acts()) == ({"time_passed"}, [])


# Runs that are undone.


def reasons(plan: Plan) -> dict[str, str]:
    """Why each row of an undo goes or does not."""
    return plan.frame.assign(code=[each.code for each in plan.why]).set_index("row")["code"].to_dict()


def test_a_create_run_is_undone(rig: Rig) -> None:
    """What is still scheduled is withdrawn; what was withdrawn or never sent, and what another ledger had created, is not."""
    kernel, other = rig.kernel(), rig.kernel("other")
    sheet = rig.campaign(4)
    other.run(planned(sheet.head(1)))
    run = kernel.bind(planned(sheet))
    assert reasons(undo(kernel, run))["r00003"] == "never_sent"
    kernel.go(run)
    created = kernel.results(run)["result_id"].to_list()
    rig.sandbox.person.withdraw(created[1])
    plan = undo(kernel, run)
    assert reasons(plan) == {
        "r00000": "created_elsewhere",
        "r00001": "not_cancellable",
        "r00002": "not_out_yet",
        "r00003": "not_out_yet",
    }
    assert outcomes(kernel.run(plan)) == {"succeeded": 2}
    assert {effect["post"] for effect in rig.sandbox.effects("post.cancel")} == set(created[2:])


def test_a_create_run_is_undone_although_lists_lag(rig: Rig) -> None:
    """What the list does not show is read by itself: a run must not be called withdrawn whose posts go out."""
    rig.sandbox.set_switches(list_lag_seconds=3600)
    kernel = rig.kernel()
    run = done(kernel, planned(rig.campaign(3)))
    assert kernel.posts("scheduled").empty, "no list shows them"
    assert outcomes(kernel.run(undo(kernel, run))) == {"succeeded": 3}
    assert rig.effects("post.cancel") == 3


def test_posts_that_reads_do_not_show_yet_are_not_left_out_of_an_undo(rig: Rig) -> None:
    """Reads lag: the API says of all posts at first that they don't exist."""
    rig.sandbox.set_switches(list_lag_seconds=PROOF_AFTER - 60, single_reads_lag=True)
    kernel = rig.kernel()
    run = done(kernel, planned(rig.campaign(3)))
    plan = undo(kernel, run)
    assert sorted(reasons(plan)) == ["r00000", "r00001", "r00002"]
    kernel.run(plan)
    rig.sandbox.advance(PROOF_AFTER)
    assert outcomes(kernel.run(undo(kernel, run)))
    assert rig.effects("post.cancel") == 3


def test_an_undo_reads_the_list_back_to_its_posts_and_none_that_are_known_to_be_deleted(rig: Rig) -> None:
    """Two hundred and fifty posts have come since; of another ledger's run only one has been deleted."""
    kernel = rig.kernel()
    run = done(kernel, planned(rig.campaign(3)))
    gone = kernel.results(run)["result_id"][1]
    rig.sandbox.advance(PROOF_AFTER + 60)
    rig.sandbox.person.delete(gone)
    verify(kernel, run)
    account = next(iter(rig.accounts.values()))
    for number in range(250):
        rig.sandbox.plant_post(f"other {number}", [account], status="published", daysOld=0.0)
    rig.sandbox.advance(4 * DAY)
    before = len(rig.sandbox.requests())
    assert undo(kernel, run).eligible == 2
    assert [each["path"] for each in rig.sandbox.requests()[before:]] == ["/v1/posts"] * 3
