"""Clocks of the server that differ, step, or name a time that can't be: how long ago a try was, at the least (rules 11, 14 and 20)."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import caught, let_go, plan_rows, post, send_once

from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.retry import plan_retry
from voxops.api.timing import PROOF_AFTER, SKEW
from voxops.engine.facts import Moment, Readings

DAY = 86_400.0
BOTH = pytest.mark.parametrize("what", ["create", "retry"])


def warm(rig: Rig, what: str) -> tuple[Kernel, Plan]:
    """A kernel that knows that lists show marks, and what it is about to send."""
    kernel = rig.kernel()
    if what == "retry":
        world.plant_posts(rig.sandbox, 1)
        return kernel, plan_retry(kernel.triaged())
    kernel.run(plan_rows(rig, 1, campaign="before"))
    rig.sandbox.advance(300)
    return kernel, plan_create(rig.campaign(2, start=10), key="row_id", campaign="c")


def done(rig: Rig, what: str, kernel: Kernel, run: str) -> None:
    """One retry of two targets, or two creates beside the first."""
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert len(rig.sandbox.effects("post.retry" if what == "retry" else "post.create")) == (1 if what == "retry" else 3)


@BOTH
@pytest.mark.parametrize("ahead", [70.0, 290.0, -100.0])
@pytest.mark.parametrize("fresh", [False, True], ids=["the same kernel", "another kernel"])
def test_rule_14_where_clocks_of_the_server_differ_nothing_is_sent_early(
    rig: Rig, what: str, ahead: float, fresh: bool
) -> None:
    """What answers reads is ahead of what was sent to, which keeps no key after a 500; lists lag, and a queue shows nothing at first."""
    kernel, plan = warm(rig, what)
    rig.sandbox.set_switches(list_lag_seconds=60.0, queue_hold_seconds=30.0)
    rig.sandbox.add_fault(*post({"action": "status", "status": 500, "when": "after", "forget_key": True}))
    run = kernel.bind(plan)
    send_once(kernel, run)
    rig.sandbox.set_switches(date_ahead_seconds=ahead)
    if fresh:
        kernel.kill()
        kernel = rig.kernel()
    kernel.go(run)
    done(rig, what, kernel, run)


@BOTH
def test_rule_23_another_key_on_a_clock_that_is_ahead_waits_for_what_is_in_flight(rig: Rig, what: str) -> None:
    """The server holds a request of a kernel that has died for most of a minute."""
    kernel, plan = warm(rig, what)
    kernel.kill(caught(rig, kernel, kernel.bind(plan), "/v1/**"))
    rig.sandbox.set_switches(date_ahead_seconds=SKEW - 10)
    other = rig.kernel(api_key="vb_test_second")
    other.ledger.clock = lambda: other.client.now().timestamp()  # as a workspace sets it: leases are judged by it
    run = other.bind(plan)
    rig.clock.speed = 60.0  # virtual seconds in a real one, while the request is under way
    begun, work = rig.clock.passed(), other.start(run)
    while rig.clock.passed() - begun < 55_000 and not work.done():
        time.sleep(0.02)
    let_go(rig)
    work.result(100)
    done(rig, what, other, run)


@BOTH
@pytest.mark.parametrize("days", [1, 200])
def test_rule_20_a_time_far_ahead_on_one_answer_leaves_nothing_unknown_for_ever(rig: Rig, what: str, days: int) -> None:
    """How old its key is, nobody knows (rule 12): creates are proved absent, a retry is tried as its next attempt."""
    kernel, plan = warm(rig, what)
    rig.sandbox.add_fault(*post({"action": "status", "status": 500}))
    run = kernel.bind(plan)
    rig.sandbox.set_switches(date_ahead_seconds=days * DAY)
    send_once(kernel, run)
    rig.sandbox.set_switches(date_ahead_seconds=0.0)
    kernel = rig.kernel()
    kernel.go(run)
    if what == "retry":
        assert set(kernel.results(run)["reason_code"]) == {"resend_key_forgotten"}
        rig.sandbox.advance(601)
        run = kernel.bind(plan_retry(kernel.triaged().assign(attempt=2)))
        kernel.go(run)
    done(rig, what, kernel, run)


def test_a_wrong_time_beside_a_refusal_holds_nothing_up(rig: Rig) -> None:
    """A 429 asks for five seconds, and its date is two hours ahead."""
    kernel, plan = warm(rig, "create")
    rig.sandbox.add_fault(*post({"action": "retry_after", "seconds": 5, "times": 1}))
    run, begun = kernel.bind(plan), rig.sandbox.now()
    rig.sandbox.set_switches(date_ahead_seconds=2 * 3600.0)
    send_once(kernel, run)
    rig.sandbox.set_switches(date_ahead_seconds=0.0)
    kernel.go(run)
    done(rig, "create", kernel, run)
    assert (rig.sandbox.now() - begun).total_seconds() < PROOF_AFTER + 200


INSTANTS, WRONG = st.floats(0, 1e6, allow_nan=False), st.floats(-SKEW / 2, SKEW / 2)


def tried(end: float) -> Any:
    """A call of which nobody knows, as far as its age goes."""
    return SimpleNamespace(id=1, end=end, last_sent=end)


@given(ended=INSTANTS, until_seen=INSTANTS, watched=INSTANTS, then=WRONG, now=WRONG)
def test_an_age_is_never_more_than_the_true_one_and_grows_with_what_was_seen(
    ended: float, until_seen: float, watched: float, then: float, now: float
) -> None:
    """Whichever clocks the server named the two times by, as long as they differ by no more than they may."""
    at, readings, call = 1e9 + ended + until_seen + now, Readings(), tried(1e9 + ended + then)
    readings.looked(call, Moment(at, 0.0))
    age = readings.looked(call, Moment(at + watched, watched)) or 0.0
    assert age <= until_seen + watched + 1e-3
    assert age >= min(watched, until_seen + watched - SKEW) - 1e-3, "or it would never be old enough"


@pytest.mark.parametrize(
    ("end", "at", "seen", "age"),
    [(0.0, 50.0, 10.0, 10.0), (0.0, 50.0 + SKEW, 10.0, 50.0), (60.0, 60.5, 10.0, 0.5), (60.0, 59.0, 10.0, 10.0),
     (60.0, 59.0, 0.0, None), (60.0, 100.0 + SKEW, 10.0, 40.0), (200 * DAY, 0.0, PROOF_AFTER, PROOF_AFTER)],
)  # fmt: skip
def test_an_age_counts_from_the_end_of_a_try_or_from_when_this_kernel_saw_it_over(
    end: float, at: float, seen: float, age: float | None
) -> None:
    """Looked at first here, and again so many seconds later, in what the server calls the same instant."""
    readings, call = Readings(), tried(1e9 + end)
    readings.looked(call, Moment(1e9 + at, 0.0))
    found = readings.looked(call, Moment(1e9 + at, seen))
    assert found == (None if age is None else pytest.approx(age))
