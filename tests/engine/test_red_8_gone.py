"""What was cancelled long ago is not created again, and what was deleted soon is not told succeeded (rules 13, 15, 20 and 30)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine import verbs
from tests.engine.steps import BULK, caught, let_go, planned

DAY = 86_400.0


@pytest.mark.parametrize("one_by_one", [False, True])
def test_what_was_cancelled_40_days_ago_is_not_created_again_by_a_fresh_ledger(rig: Rig, one_by_one: bool) -> None:
    """Rule 13: at first sight of a workspace the list is read 400 days back for whatever has not gone out, cancelled included.

    The server has forgotten the keys, and others have posted ever since.
    """
    sheet = rig.campaign(3)
    rig.kernel("lost").run(planned(sheet, one_by_one=one_by_one))
    rig.sandbox.advance(600)
    for post in list(rig.sandbox.world.posts):
        rig.sandbox.person.withdraw(post)
    rig.sandbox.advance(40 * DAY)
    account = next(iter(rig.accounts.values()))
    for number in range(300):
        rig.sandbox.plant_post(f"other {number}", [account], status="published", daysOld=number / 8)

    kernel = rig.kernel("fresh")
    run = kernel.bind(planned(sheet, one_by_one=one_by_one))
    kernel.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"blocked": 3}
    assert verbs.blocked(kernel, run) == {"withdrawn_since": 3}


def test_a_post_deleted_within_five_minutes_is_not_told_succeeded_for_good(rig: Rig) -> None:
    """Rule 30: a post deleted at any time since is said so; rule 20: the row itself stays succeeded."""
    sheet, kernel = rig.campaign(3), rig.kernel()
    run = kernel.bind(planned(sheet))
    kernel.go(run)
    kernel.run(planned(sheet))  # Run All: the list shows its mark
    rig.sandbox.advance(60)
    delete_one(rig)
    verify_too_early(rig, kernel, run)
    for _ in range(2):
        verbs.reconcile(kernel := rig.kernel())
        rig.sandbox.advance(DAY)
    assert (outcomes(kernel.results(run)), verbs.withdrawn(kernel, run)) == ({"succeeded": 3}, 1)
    kernel.run(planned(sheet))
    assert rig.effects("post.create") == 3


def test_a_post_that_only_the_answer_has_named_is_not_told_succeeded_for_good(rig: Rig) -> None:
    """Rule 15: an id that shows no mark and does not exist five minutes on makes its row blocked."""
    kernel = rig.kernel()
    run = kernel.bind(planned(rig.campaign(3)))
    work = caught(rig, kernel, run, BULK, when="after")
    delete_one(rig)
    let_go(rig)
    work.result(60)
    verify_too_early(rig, kernel, run)
    for _ in range(2):
        verbs.reconcile(kernel := rig.kernel())
        rig.sandbox.advance(DAY)
    assert outcomes(kernel.results(run)) == {"succeeded": 2, "blocked": 1}
    assert verbs.blocked(kernel, run) == {"not_found": 1}


def test_a_published_post_deleted_within_five_minutes_is_not_told_succeeded_for_good(rig: Rig) -> None:
    """The same of a post that went out before: Run All is told, too."""
    rig.sandbox.set_switches(failure_rate=0.0, publish_seconds=[1.0, 2.0])
    sheet, kernel = rig.campaign(3, when=rig.sandbox.now() + timedelta(seconds=30)), rig.kernel()
    run = kernel.bind(planned(sheet))
    kernel.go(run)
    rig.sandbox.advance(60)
    kernel.run(planned(sheet))
    assert rig.effects("target.publish") == 3
    rig.sandbox.advance(60)
    delete_one(rig)
    verify_too_early(rig, kernel, run)
    for _ in range(2):
        kernel = rig.kernel()
        kernel.run(planned(sheet))
        rig.sandbox.advance(DAY)
    assert rig.effects("post.create") == 3
    assert (outcomes(kernel.results(run)), verbs.withdrawn(kernel, run)) == ({"succeeded": 3}, 1)


def delete_one(rig: Rig) -> None:
    """Somebody deletes one of the posts."""
    rig.sandbox.person.delete(next(iter(rig.sandbox.world.posts)))


def verify_too_early(rig: Rig, kernel: Kernel, run: str) -> None:
    """Read the API's own 404 when a reading that lags could show it, too; then let ten minutes pass."""
    rig.sandbox.advance(30)
    verbs.verify(kernel, run)
    rig.sandbox.advance(600)
