"""The four parts of a pass: what it was asked to do, its queue, its counts, its reasons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from voxops.engine.control import Control, Pass, Queue, in_words
from voxops.errors import LedgerError, TransportError
from voxops.ledger import Clearance
from voxops.model import Transition

FAILED = Transition(
    at=datetime(2026, 3, 2, 9, tzinfo=UTC), item="x", platform="twitter", was="pending", now="failed", detail=""
)


class Cleared:
    """A clearance of which a queue knows the number alone."""

    def __init__(self, op: int) -> None:
        self.op = op


def cleared(op: int) -> Clearance:
    return Cleared(op)  # type: ignore[return-value]


class Clock:
    """A clock on which a sleep is noted, and lasts until it is cancelled unless it is short."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.cancelled = 0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        try:
            await asyncio.sleep(3600 if seconds else 0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.mark.parametrize(
    ("options", "sending", "away"),
    [({}, True, False), ({"paused": True}, False, True), ({"away": True}, True, True)],
)
def test_a_run_begins_as_it_was_asked_to(options, sending, away):
    control = Control(**options)
    assert (control.sending, control.away, control.closed, control.halted) == (sending, away, False, "")


def test_pausing_halting_and_closing_stop_sending_and_only_resuming_lets_it_go_on():
    control = Control()
    control.pause()
    assert (control.sending, control.paused, control.away, control.closed) == (False, True, True, False)
    control.resume()
    assert (control.sending, control.away) == (True, True), "time passed meanwhile, and has not been asked for"
    control.halt("one")
    control.halt("two")
    assert (control.sending, control.paused, control.halted) == (False, False, "one; run.resume() goes on")
    control.resume()
    assert (control.sending, control.halted) == (True, "")
    control.close()
    assert (control.sending, control.paused, control.closed) == (False, True, True)


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (lambda control: control.halt("it broke."), "it broke; run.resume() goes on"),
        (lambda control: control.halt("late", "run.resume() watches on"), "late; run.resume() watches on"),
        (lambda control: control.fail(LedgerError("the disk is full")), "the disk is full; run.resume() goes on"),
        (
            lambda control: control.fail(TransportError("nobody listens")),
            "nobody listens; run.resume() goes on when the server is back",
        ),
    ],
)
def test_whatever_stops_a_run_says_how_to_go_on(stop: Callable[[Control], None], said: str):
    control = Control()
    stop(control)
    assert control.halted == said


def test_what_was_notified_is_taken_once():
    control = Control()
    control.notify("a")
    control.notify("b")
    assert control.take_notified() == {"a", "b"}
    assert control.take_notified() == set()


@pytest.mark.parametrize(
    "asked",
    [
        Control.pause, Control.resume, Control.close, Control.wake,
        lambda control: control.halt("x"), lambda control: control.notify("x"),
    ],
)  # fmt: skip
def test_whatever_a_run_is_asked_ends_its_rest_at_once_and_only_one(asked: Callable[[Control], None]):
    async def rest() -> tuple[int, bool]:
        control, clock = Control(), Clock()
        resting = asyncio.create_task(control.rest(clock, 5.0))
        await asyncio.sleep(0.01)
        assert not resting.done(), "nothing has been asked of it"
        asked(control)
        await asyncio.wait_for(resting, 10)
        again = asyncio.create_task(control.rest(clock, 5.0))
        await asyncio.sleep(0.01)
        rests = not again.done()
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
        return clock.cancelled, rests

    assert asyncio.run(rest()) == (2, True), "no sleep goes on behind its back"


def test_a_rest_takes_its_time_and_none_where_it_is_over_already():
    async def rest() -> list[float]:
        control, clock = Control(), Clock()
        await asyncio.wait_for(control.rest(clock, -3.0), 10)
        await asyncio.wait_for(control.rest(clock, 0.0), 10)
        return clock.slept

    assert asyncio.run(rest()) == [0.0, 0.0]


def test_a_clock_that_breaks_ends_the_rest_with_its_error():
    class Broken(Clock):
        async def sleep(self, seconds: float) -> None:
            raise OSError("no clock")

    with pytest.raises(OSError, match="no clock"):
        asyncio.run(Control().rest(Broken(), 1.0))


def test_numbers_are_said_as_people_say_them():
    assert [in_words(number) for number in range(1, 13)] == [
        "once", "twice", "three times", "four times", "five times", "six times", "seven times", "eight times", "nine times",
        "ten times", "11 times", "12 times",
    ]  # fmt: skip


def test_an_operation_is_queued_until_it_is_done_and_under_way_while_it_is_worked_on():
    async def work() -> list[Any]:
        queue = Queue()
        queue.put(cleared(1))
        queue.put(cleared(2))
        found: list[Any] = [1 in queue, 3 in queue, len(queue), queue.in_flight]
        one = await queue.take()
        two = await queue.take()
        assert one is not None
        assert two is not None
        found += [one.op, two.op, queue.in_flight, 1 in queue]
        found += [queue.done(one), queue.in_flight, 1 in queue, len(queue), queue.done(two), queue.in_flight]
        queue.end(2)
        found += [await queue.take(), await queue.take(), queue.in_flight]
        return found

    assert asyncio.run(asyncio.wait_for(work(), 10)) == [
        True, False, 2, 0, 1, 2, 2, True, False, 1, False, 1, True, 0, None, None, 0,
    ]  # fmt: skip


def test_quiet_is_when_nothing_is_under_way_any_more_and_not_before():
    async def wait() -> None:
        queue = Queue()
        await asyncio.wait_for(queue.quiet(), 10)
        for op in (1, 2):  # the second time it has been idle before
            queue.put(cleared(op))
            taken = await queue.take()
            assert taken is not None
            quiet = asyncio.create_task(queue.quiet())
            await asyncio.sleep(0.01)
            assert not quiet.done()
            queue.done(taken)
            await asyncio.wait_for(quiet, 10)

    asyncio.run(wait())


def test_a_backoff_is_over_at_its_very_end():
    queue = Queue()
    assert queue.due(1, 0.0)
    queue.delay(1, 5.0)
    assert [queue.due(1, now) for now in (4.999, 5.0, 5.001)] == [False, True, True]
    assert queue.due(2, 0.0)


def test_what_was_heard_of_the_tries_is_said_most_often_first():
    queue = Queue()
    assert queue.describe_failures(1) == ""
    for said in ("no answer came", "the API answered 500", "no answer came"):
        queue.note_failure(1, said)
    queue.note_failure(2, "other")
    assert queue.describe_failures(1) == "no answer came twice, the API answered 500 once"
    queue.forget_tries()
    assert queue.describe_failures(1) == ""


def test_failures_are_counted_and_transitions_shown_once():
    current = Pass("run", Control())
    assert (current.tally.acts, current.tally.failures, current.tally.looks) == (0, 0, 0)
    done = replace(FAILED, now="succeeded")
    current.note([FAILED, done, FAILED])
    assert current.tally.failures == 2
    assert current.tally.take_transitions() == (FAILED, done, FAILED)
    assert current.tally.take_transitions() == ()
    assert current.control.sending, "nobody asked it to stop"


def test_a_run_that_goes_on_counts_and_reasons_anew():
    current = Pass("run", Control(), stop_after_failures=2)
    current.note([FAILED])
    assert current.control.sending
    current.note([FAILED])
    assert (
        current.control.halted == "stopped after 2 failures, as asked; look at run.failed(); then run.resume() goes on"
    )
    current.reasons.block(1, "changed")
    assert (current.reasons.waiting, current.reasons.blocked) == ({1: "changed"}, {1})
    current.reasons.refused[1], current.tally.looks, current.queue.tries[1], current.queue.throttled[1] = "no", 9, 6, 3
    current.queue.note_failure(1, "no answer came")
    current.resume()
    reasons, queue, tally = current.reasons, current.queue, current.tally
    assert (current.control.sending, tally.failures, tally.looks) == (True, 0, 0)
    assert not (
        reasons.waiting or reasons.refused or reasons.blocked or queue.tries or queue.throttled or queue.failures
    )


@pytest.mark.parametrize("deferred", [False, True])
def test_an_answer_ends_a_rest_only_if_something_was_deferred_until_then(deferred):
    async def rest() -> bool:
        control = Control()
        if deferred:
            control.defer({"post_1"})
        control.answered()
        resting = asyncio.create_task(control.rest(Clock(), 60.0))
        for _ in range(20):
            await asyncio.sleep(0)
        return resting.done()

    assert asyncio.run(rest()) == deferred
