"""Undo of a half-sent run: what it created is withdrawn, and what it never sent is never sent (rules 20 and 22; core.md, 5)."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine import verbs
from tests.engine.steps import BULK, HELD, planned, wait_for

from voxburst_sandbox import Fault

SINGLE = "/v1/posts"


def live(rig: Rig) -> int:
    """How many posts will go out."""
    return sum(post.status == "scheduled" for post in rig.sandbox.world.posts.values())


def hold(rig: Rig, path: str, done: range, lost: range) -> None:
    """Let the server hold creates until the faults are cleared: then it does those `done`, and drops those `lost`."""
    for nth in done:
        rig.sandbox.add_fault(Fault("delay", method="POST", path=path, nth=nth, seconds=HELD))
    for nth in lost:
        rig.sandbox.add_fault(
            Fault("delay", method="POST", path=path, nth=nth, seconds=HELD),
            Fault("drop", method="POST", path=path, nth=nth),
        )


def let_go(rig: Rig) -> None:
    """Let the server go on, and return when it has done with all that it held."""
    rig.sandbox.clear_faults()
    wait_for(lambda: all(entry["ended"] for entry in rig.acts()))


def test_a_run_killed_at_900_of_1500_and_undone_stays_undone_when_all_open_runs_are_resumed(rig: Rig) -> None:
    """Rule 22: an undo binds every later resume. Rule 20: what was withdrawn stays succeeded in its run.

    18 batches are created; the server does the 19th after the kill, and never sees those that follow.
    """
    kernel = rig.kernel()
    sheet = rig.campaign(1500)
    run = kernel.bind(planned(sheet))
    hold(rig, BULK, range(19, 20), range(20, 31))
    work = kernel.start(run)
    wait_for(lambda: rig.effects("post.create") == 900 and rig.sandbox.faults()[0]["struck"])
    kernel.kill(work)
    let_go(rig)
    assert live(rig) == 950

    later = rig.kernel()
    verbs.attach(later, run)
    undoing = later.bind(verbs.undo(later, run))
    later.go(undoing)
    assert (outcomes(later.results(undoing)), live(rig)) == ({"succeeded": 950}, 0)

    rig.sandbox.advance(3600)
    cron = rig.kernel()
    for each in (run, undoing):
        verbs.resume(cron, each)
    assert live(rig) == 0
    cron.run(planned(sheet))  # Run All
    assert (live(rig), rig.effects("post.create")) == (0, 950)
    assert outcomes(cron.results(run)) == {"succeeded": 950, "blocked": 550}
    assert (verbs.withdrawn(cron, run), verbs.blocked(cron, run)) == (950, {"undone": 550})


def test_a_run_that_is_undone_while_it_sends_leaves_nothing_live(rig: Rig) -> None:
    """Core.md, 5: the bind of an undo pauses the run, in whatever process; what comes of its calls in flight is withdrawn.

    17 of 100 rows are created, and as many calls are under way as the client sends at once.
    """
    sender, undoer = rig.kernel(timeout=HELD), rig.kernel()
    run = sender.bind(planned(rig.campaign(100), one_by_one=True))
    hold(rig, SINGLE, range(18, 101), range(0))
    undo_while_it_sends(rig, undoer, run, sender.start(run))


def test_what_comes_of_canaries_in_flight_is_withdrawn_and_nothing_follows_them(rig: Rig) -> None:
    """The same in one process: 17 of 25 canaries are created when the run is undone, and 75 rows wait for them."""
    kernel = rig.kernel(timeout=HELD)
    run = kernel.bind(planned(rig.campaign(100), one_by_one=True).canary(25))
    hold(rig, SINGLE, range(18, 26), range(0))
    undo_while_it_sends(rig, kernel, run, kernel.start(run))


@pytest.mark.parametrize("again", [False, True], ids=["", "the cell is run again meanwhile"])
def test_what_was_lost_in_flight_is_undone_with_its_run(rig: Rig, again: bool) -> None:
    """Rule 22: the batch under way is dropped by the server after its run was undone; a reading proves that nothing of it happened."""
    kernel, sheet = rig.kernel(timeout=HELD), rig.campaign(3)
    run = kernel.bind(planned(sheet))
    hold(rig, BULK, range(0), range(1, 2))
    sending = kernel.start(run)
    wait_for(lambda: rig.sandbox.faults()[0]["struck"])
    undoing = kernel.start(kernel.bind(verbs.undo(kernel, run)))
    works = [sending, undoing, *([kernel.start(kernel.bind(planned(sheet)))] if again else [])]
    let_go(rig)
    for work in works:
        work.result(60)
    rig.sandbox.advance(3600)
    table = kernel.run(planned(sheet))
    assert (live(rig), rig.effects("post.create")) == (0, 0)
    assert outcomes(kernel.results(run)) == outcomes(table) == {"blocked": 3}
    assert verbs.blocked(kernel, run) == {"undone": 3}


def undo_while_it_sends(rig: Rig, kernel: Kernel, run: str, sending: Future[Any]) -> None:
    """Undo a run when 17 of its 100 rows are created; let the server go on when these are withdrawn."""
    wait_for(lambda: outcomes(kernel.results(run)).get("succeeded") == 17 and rig.sandbox.faults()[0]["struck"])
    undoing = kernel.bind(verbs.undo(kernel, run))
    undone = kernel.start(undoing)
    wait_for(lambda: rig.effects("post.cancel") == 17)
    left = sum(entry["path"] == SINGLE for entry in rig.acts())
    assert 17 < left < 100
    let_go(rig)
    for work in (sending, undone):
        work.result(120)
    assert live(rig) == 0
    assert rig.effects("post.create") == rig.effects("post.cancel") == left
    assert outcomes(kernel.results(run)) == {"succeeded": left, "blocked": 100 - left}


def test_a_run_that_stopped_after_5_failures_stays_stopped_when_another_process_resumes_it(rig: Rig) -> None:
    """Rule 22: `stop_after_failures` stands in the ledger and binds every later resume."""
    rig.sandbox.add_fault(Fault("status", status=422, code="VALIDATION_ERROR", method="POST", path=SINGLE, times=None))
    kernel = rig.kernel()
    run = kernel.bind(planned(rig.campaign(100), one_by_one=True), failures=5)
    kernel.go(run)
    refused = len(rig.acts())
    assert 5 <= refused < 50
    kernel.close()
    rig.sandbox.advance(3600)
    verbs.resume(rig.kernel(), run)
    assert len(rig.acts()) == refused
