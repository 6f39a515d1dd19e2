"""The interval of polling, and which open calls are read for."""

import random

import pytest
from tests.chaos import world
from tests.chaos.rig import codes, outcomes
from tests.engine.steps import HOUR

from voxops.acts.retry import plan_retry
from voxops.engine.polling import interval


@pytest.mark.parametrize(
    ("look", "pages", "seconds"),
    [(0, 0, 2), (1, 0, 3), (2, 0, 4.5), (30, 0, 30), (10**6, 0, 30), (0, 5, 10), (0, 99, 30)],
)
def test_polling_slows_down_to_half_a_minute_and_takes_time_for_each_page(look, pages, seconds):
    drawn = [interval(look, random.Random(seed), pages) for seed in range(50)]
    assert 0.8 * seconds <= min(drawn) < seconds < max(drawn) <= 1.2 * seconds


@pytest.fixture
def hanging(rig):
    """A kernel that has retried one of two posts and reads for it no longer, as nothing shows for hours; the other post, and that run."""
    rig.sandbox.set_switches(queue_hold_seconds=2 * HOUR)
    world.plant_posts(rig.sandbox, 2, targets=1)
    kernel = rig.kernel()
    rows = kernel.triaged()
    run = kernel.done(plan_retry(rows.head(1)))
    assert codes(kernel.results(run)) == {"looks_as_before"}
    rig.sandbox.set_switches(queue_hold_seconds=0.0)
    return kernel, rows.tail(1), run


@pytest.mark.parametrize("concerns", [False, True])
def test_a_run_that_begins_reads_only_for_the_open_calls_that_concern_its_subjects(rig, hanging, concerns):
    kernel, other, run = hanging
    before = len(rig.sandbox.requests())
    kernel.go(run if concerns else kernel.bind(plan_retry(other)))
    read = {entry["path"] for entry in rig.sandbox.requests()[before:] if entry["method"] == "GET"}
    hangs = kernel.results(run)["post_id"][0]
    assert read == {f"/v1/posts/{hangs if concerns else other['post_id'].iloc[0]}"}


def test_a_dead_run_s_call_that_reconcile_has_looked_at_is_followed_when_a_run_begins(rig, hanging):
    kernel, other, run = hanging
    kernel.kill()
    kernel = rig.kernel()
    assert kernel.reconcile()["outcome"].to_list() == ["pending"]
    rig.sandbox.advance(2 * HOUR)
    kernel.done(plan_retry(other))
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
