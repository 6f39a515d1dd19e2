"""Clocks of the server that differ, step, or name a time that can't be: how long ago a try was, at the least (rules 11, 14 and 20)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.shown import NOW
from tests.engine.steps import caught, let_go, plan_rows, send_once

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.retry import plan_retry
from voxops.api.timing import CLOCKS_DIFFER, PROOF_AFTER, SKEW
from voxops.engine.reading import Watch
from voxops.ledger import Stored

DAY = 86_400.0


def warm(rig: Rig, what: str) -> tuple[Kernel, Plan, str]:
    """A kernel that knows that lists show marks, what it is about to send, and the kind of its effects."""
    kernel = rig.kernel()
    if what == "retry":
        world.plant_posts(rig.sandbox, 1)
        return kernel, plan_retry(kernel.triaged()), "post.retry"
    kernel.run(plan_rows(rig, 1, campaign="before"))
    rig.sandbox.advance(300)
    return kernel, plan_create(rig.campaign(2, start=10), key="row_id", campaign="c"), "post.create"


def made(rig: Rig, kind: str) -> int:
    """How many retries there were, or rows of the campaign made."""
    return rig.effects(kind) - (kind == "post.create")


@pytest.mark.parametrize("what", ["create", "retry"])
@pytest.mark.parametrize("ahead", [70.0, 290.0, -100.0])
@pytest.mark.parametrize("fresh", [False, True], ids=["the same kernel", "another kernel"])
def test_rule_14_where_clocks_of_the_server_differ_nothing_is_sent_early(
    rig: Rig, what: str, ahead: float, fresh: bool
) -> None:
    """What answers reads is ahead of what was sent to, which keeps no key after a 500; lists lag, and a queue shows nothing at first."""
    kernel, plan, kind = warm(rig, what)
    rig.sandbox.set_switches(list_lag_seconds=60.0, queue_hold_seconds=30.0)
    rig.sandbox.add_fault(
        Fault(action="status", status=500, when="after", method="POST", path="/v1/**", forget_key=True)
    )
    run = kernel.bind(plan)
    send_once(kernel, run)
    rig.sandbox.set_switches(date_ahead_seconds=ahead)
    if fresh:
        kernel.kill()
        kernel = rig.kernel()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert made(rig, kind) == (1 if what == "retry" else 2)


@pytest.mark.parametrize("what", ["create", "retry"])
def test_rule_23_another_key_on_a_clock_that_is_ahead_waits_for_what_is_under_way(rig: Rig, what: str) -> None:
    """The server holds a request of a kernel that has died for most of a minute."""
    kernel, plan, kind = warm(rig, what)
    kernel.kill(caught(rig, kernel, kernel.bind(plan), "/v1/**"))
    rig.sandbox.set_switches(date_ahead_seconds=SKEW - 10)
    other = rig.kernel(api_key="vb_test_second")
    other.ledger.clock = lambda: other.client.now().timestamp()  # as a workspace sets it: leases are judged by it
    run = other.bind(plan)
    rig.clock.speed = 60.0  # virtual seconds in a real one, while the request is under way
    begun = rig.clock.passed()
    work = other.start(run)
    while rig.clock.passed() - begun < 55_000 and not work.done():
        time.sleep(0.02)
    let_go(rig)
    work.result(100)
    assert outcomes(other.results(run)) == {"succeeded": 2}
    assert made(rig, kind) == (1 if what == "retry" else 2)


@pytest.mark.parametrize("what", ["create", "retry"])
@pytest.mark.parametrize("days", [1, 200])
def test_rule_20_a_time_far_ahead_on_one_answer_leaves_nothing_unknown_for_ever(rig: Rig, what: str, days: int) -> None:
    kernel, plan, kind = warm(rig, what)
    rig.sandbox.add_fault(Fault(action="status", status=500, method="POST", path="/v1/**"))
    run = kernel.bind(plan)
    rig.sandbox.set_switches(date_ahead_seconds=days * DAY)
    send_once(kernel, run)
    rig.sandbox.set_switches(date_ahead_seconds=0.0)
    kernel = rig.kernel()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert made(rig, kind) == (1 if what == "retry" else 2)


INSTANTS = st.floats(0, 1e6, allow_nan=False)
WRONG = st.floats(-SKEW / 2, SKEW / 2)


def tried(ended: float | None, sent: float = 0.0) -> Stored:
    """An operation of which nobody knows, as far as its age goes."""
    stored = object.__new__(Stored)
    for name, value in (("id", 1), ("tries", 1), ("ended", ended), ("last_sent", sent)):
        object.__setattr__(stored, name, value)
    return stored


@given(ended=INSTANTS, until_seen=INSTANTS, watched=INSTANTS, then=WRONG, now=WRONG)
def test_an_age_is_never_more_than_the_true_one_and_grows_with_what_was_seen(
    ended: float, until_seen: float, watched: float, then: float, now: float
) -> None:
    """Whichever clocks the server named the two times by, as long as they differ by no more than they may."""
    at = ended + until_seen
    elapsed = [0.0]
    watch = Watch(lambda: elapsed[0])
    operation = tried(1e9 + ended + then)
    watch.begin(0.0, 1e9 + at + now).since(operation)
    elapsed[0] = watched
    age = watch.begin(0.0, 1e9 + at + watched + now).since(operation)
    assert age <= until_seen + watched + 1e-3
    assert age >= min(watched, until_seen + watched - SKEW) - 1e-3, "or it would never be old enough"


@pytest.mark.parametrize("ahead", [DAY, 200 * DAY])
def test_where_a_try_seems_to_lie_ahead_what_was_seen_counts(ahead: float) -> None:
    elapsed = [0.0]
    watch = Watch(lambda: elapsed[0])
    now = NOW.timestamp()
    operation = tried(None, now + ahead)
    reading = watch.begin(0.0, now)
    assert reading.is_before(operation)
    assert reading.since(operation) == 0.0
    elapsed[0] = PROOF_AFTER
    assert watch.begin(0.0, now + PROOF_AFTER).since(operation) == PROOF_AFTER


def test_a_wrong_time_beside_a_refusal_holds_nothing_up(rig: Rig) -> None:
    """A 429 asks for five seconds, and its date is two hours ahead."""
    kernel, plan, _ = warm(rig, "create")
    rig.sandbox.add_fault(Fault(action="retry_after", method="POST", path="/v1/**", seconds=5, times=1))
    run = kernel.bind(plan)
    current = kernel.execution(run).current
    (operation,) = kernel.ledger.operations.of_run(run)
    rig.sandbox.set_switches(date_ahead_seconds=2 * 3600.0)
    eventloop.run(kernel.engine.sender.send(current, kernel.ledger.claims.clear(operation)))
    rig.sandbox.set_switches(date_ahead_seconds=0.0)
    eventloop.run(kernel.engine.reader.learn_time())
    rig.sandbox.advance(60)
    assert current.queue.due(operation.id, kernel.client.clock.monotonic())


@pytest.mark.parametrize(
    ("ended", "at", "seen", "age"),
    [
        (None, 50.0, 10.0, 10.0),
        (None, 50.0 + SKEW, 10.0, 50.0),
        (60.0, 60.0, 10.0, 0.0),
        (60.0, 60.5, 10.0, 0.5),
        (60.0, 59.0, 10.0, 10.0),
        (60.0, 100.0 + SKEW, 10.0, 40.0),
    ],
)
def test_an_age_counts_from_the_end_of_a_try_where_somebody_saw_it(
    ended: float | None, at: float, seen: float, age: float
) -> None:
    """A try that was sent at 0, looked at first here, and again so many seconds later."""
    elapsed = [0.0]
    watch = Watch(lambda: elapsed[0])
    operation = tried(ended and 1e9 + ended, 1e9)
    watch.begin(0.0, 1e9 + at).since(operation)
    elapsed[0] = seen
    assert watch.begin(0.0, 1e9 + at).since(operation) == pytest.approx(age)


@pytest.mark.parametrize(("early", "before"), [(CLOCKS_DIFFER, False), (CLOCKS_DIFFER + 0.5, True)])
def test_a_reading_is_before_a_try_by_more_than_whole_seconds_make_of_it(early: float, before: bool) -> None:
    reading = Watch(lambda: 0.0).begin(0.0, 1e9 - early)
    assert reading.is_before(tried(None, 1e9)) is before
