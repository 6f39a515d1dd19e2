"""The rate limiter and the clocks: with virtual time, then over real sockets."""

from __future__ import annotations

import asyncio
import math
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxburst_sandbox import Sandbox
from voxops.client import Answer, AsyncClient, SteppedClock, SystemClock
from voxops.client.pace import Pace, ServerClock
from voxops.errors import RateLimitError, WaitTooLong

EMPTY = True  # the sandbox
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Limited:
    """A rate limiter, its virtual clock (a sleep advances it and returns at once), and the server that it hears."""

    def __init__(self, **options: Any) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.pace = Pace(self, self.now, **{"concurrency": 10, "max_wait": 300.0, **options})

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += max(0.0, seconds)
        await asyncio.sleep(0)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time)

    def hear(
        self, left: int | None = None, *, limit: int = 100, reset: float = 60.0, status: int = 200,
        sent: float | None = None,
        **headers: str,
    ) -> None:  # fmt: skip
        """Learn from an answer now, whose rate window ends `reset` seconds after the start."""
        fields = {"date": format_datetime(self.now().replace(microsecond=0), usegmt=True)}
        if left is not None:
            counts = {"limit": limit, "remaining": left, "reset": int(START.timestamp() + reset)}
            fields |= {f"x-ratelimit-{name}": str(count) for name, count in counts.items()}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        reply = Answer("GET /v1/posts", status, fields, b"{}")
        self.pace.learn(reply, sent=self.time if sent is None else sent, received=self.time)

    async def go(self, left: int | None = None, **answer: Any) -> float:
        """Send one request, hear an answer if one is described, and return when it was sent."""
        async with self.pace.slot():
            at = self.time
            if left is not None:
                self.hear(left, **answer)
            return at


def test_requests_slow_down_before_the_limit_and_never_exceed_it():
    async def main() -> list[float]:
        limited = Limited()
        await limited.go(12)
        return [await limited.go(left) for left in range(11, -1, -1)] + [await limited.go()]

    times = asyncio.run(main())
    assert times[0] == times[1] == 0.0  # more than a tenth left
    spaced = [later - earlier for earlier, later in pairwise(times[2:-1])]
    assert all(0 < step <= 60 / 10 for step in spaced)
    assert times[-2] < 60.0 <= times[-1]  # the last of this window, the first of the next


def test_requests_in_flight_are_subtracted_from_the_remaining_ones():
    async def main() -> int:
        limited = Limited(concurrency=50)
        await limited.go(3, limit=10)
        gone, gate = [], asyncio.Event()

        async def slow_request() -> None:
            async with limited.pace.slot():
                gone.append(limited.time)
                await gate.wait()

        tasks = [asyncio.create_task(slow_request()) for _ in range(8)]
        for _ in range(200):
            await asyncio.sleep(0)
        before = sum(at < 60.0 for at in gone)
        gate.set()
        await asyncio.gather(*tasks)
        return before

    assert asyncio.run(main()) == 3


def test_an_answer_frees_its_slot():
    async def main() -> tuple[bool, float]:
        limited = Limited(concurrency=50)
        await limited.go(1, limit=5)
        limited.sleep = lambda _: asyncio.Event().wait()
        async with limited.pace.slot():
            next_one = asyncio.create_task(limited.go())
            for _ in range(20):
                await asyncio.sleep(0)
            waiting = not next_one.done()
            limited.hear(1, limit=5)  # the server had already counted this request when it reported 1 left
        return waiting, await asyncio.wait_for(next_one, 5)

    waiting, at = asyncio.run(main())
    assert waiting
    assert at < 60.0


def test_requests_are_sent_in_the_order_of_their_arrival():
    limited, order = Limited(concurrency=2), list[int]()
    limited.hear(status=429, retry_after="7")
    limited.time = 1.0
    limited.hear(status=429, retry_after="7", sent=0.0)  # it is part of the same pause

    async def main() -> None:

        async def one(number: int) -> None:
            async with limited.pace.slot():
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(main())
    assert (limited.slept, order) == ([6.0], list(range(20)))


def test_429s_without_retry_after_pause_once_together_and_longer_each_time():
    limited = Limited()

    async def main() -> list[float]:
        waits = []
        for _ in range(7):
            began = limited.time
            for _ in range(5):
                limited.hear(status=429, sent=began - 0.001)
            waits.append(await limited.go() - began)
        return waits

    assert asyncio.run(main()) == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


@pytest.mark.parametrize(("answer", "waits"), [
    ({"status": 429, "left": 0, "reset": 42}, 42.0), ({"status": 503, "retry_after": "8"}, 8.0), ({"status": 503}, 0.0),
    *(({"status": 429, "retry_after": after}, 1.0) for after in ("soon", f"Mon, {10**20} Jan 2020 00:00:00 GMT")),
    *(({"status": 429, "retry_after": after}, 0.5) for after in ("0", "-5", "nan")),
    ({"x_ratelimit_remaining": "many"}, 0.0),
    *(({"x_ratelimit_remaining": "0", "x_ratelimit_reset": reset}, 0.0) for reset in ("60", "1e300")),
])  # fmt: skip
def test_an_answer_without_a_sound_retry_after_or_window_neither_hangs_nor_raises(answer, waits):
    limited = Limited()
    limited.hear(**answer)
    assert asyncio.run(limited.go()) == waits


@pytest.mark.parametrize(("after", "back"), [("3600", "2026-03-02 10:00:00 UTC"), ("1e400", "2027-03-02")])
def test_a_pause_longer_than_max_wait_is_refused_with_the_time_to_come_back(after, back):
    limited = Limited(max_wait=60)
    limited.hear(status=429, retry_after=after)
    with pytest.raises(WaitTooLong, match=f"come back after {back}") as caught:
        asyncio.run(limited.go())
    assert isinstance(caught.value, RateLimitError)
    assert (caught.value.status, caught.value.code) == (429, "RATE_LIMITED")
    assert caught.value.seconds == caught.value.retry_after > 3599
    assert limited.slept == []


def test_info_reports_limit_remaining_and_pause_and_ignores_a_window_that_is_over():
    limited = Limited()

    def info() -> tuple[Any, ...]:
        now = limited.pace.info
        return now.limit, now.remaining, now.resets_in, now.paused_for

    assert info() == (None, None, None, None)
    limited.hear(40, status=429, retry_after="5")
    assert info() == (100, 40, 60.0, 5.0)
    limited.time = 61.0
    assert info() == (100, None, None, None)
    limited.hear(99, reset=120)
    limited.hear(0, reset=60, sent=10.0)  # late
    assert info() == (100, 99, 59.0, None)


def test_a_slot_is_freed_after_an_error_or_a_cancellation():
    async def main() -> None:
        limited = Limited(concurrency=1)
        with pytest.raises(ZeroDivisionError):
            async with limited.pace.slot():
                raise ZeroDivisionError
        async with limited.pace.slot():
            blocked = asyncio.create_task(limited.go())
            await asyncio.sleep(0)
            blocked.cancel()
            await asyncio.gather(blocked, return_exceptions=True)
        await asyncio.wait_for(limited.go(), 5)

    asyncio.run(main())


# Clocks.


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30),
    st.floats(-1e6, 1e6),
)
def test_the_server_s_time_is_never_ahead_and_at_most_a_second_and_a_trip_behind(trips, skew):
    now = 1_000.0
    clock = ServerClock(lambda: now)
    base = 1.7e9 + skew
    for pause, there, back in trips:
        sent = now = now + pause
        shown = datetime.fromtimestamp(math.floor(base + sent + there), UTC)
        now = sent + there + back
        clock.learn(shown, sent, now)
        behind = base + now - clock.now().timestamp()
        assert -0.001 <= behind <= 1.0 + back + 0.001


def test_a_clock_that_was_reset_is_followed_at_once():
    clock = ServerClock(lambda: 0.0)
    for shown in (START, START + timedelta(hours=1), START):
        clock.learn(shown, 0.0, 0.0)
        assert clock.now() == shown


def test_a_clock_at_another_speed_sleeps_less(monkeypatch):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("voxops._support.clocks.asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("voxops._support.clocks.time", SimpleNamespace(clock_gettime=lambda _: 7.0))
    clock = SystemClock(1000)
    asyncio.run(clock.sleep(20))
    assert (slept, clock.monotonic()) == ([0.02], 7000.0)


def test_sleeps_of_a_stepped_clock_overlap_and_count_in_milliseconds():
    moved, woken = list[float](), list[tuple[float, float]]()
    clock = SteppedClock(moved.append)

    async def wait(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    async def main() -> None:
        await asyncio.gather(*map(wait, (5.0, 2.0, 3.0, 0.0)))
        await clock.sleep(0.0101)

    asyncio.run(main())
    assert woken == [(at, at) for at in (0.0, 2.0, 3.0, 5.0)]
    assert moved == [2.0, 1.0, 2.0, 0.011]


def test_a_stepped_clock_stops_while_work_is_in_flight():
    moved: list[float] = []
    clock = SteppedClock(moved.append)
    works = True
    clock.attend(lambda: works)

    async def main() -> None:
        nonlocal works
        cancelled, waiting = asyncio.create_task(clock.sleep(1.0)), asyncio.create_task(clock.sleep(30.0))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        assert not waiting.done()
        assert moved == []
        works = False
        await asyncio.wait_for(waiting, 10)

    asyncio.run(main())
    assert moved == [30.0], "the sleep of one second was cancelled"


# Over sockets.


def test_the_rate_limit_is_never_hit_by_one_client():
    with Sandbox(speed=0, rate_limit=40, posts=5, deliveries=0) as sandbox:
        clock = SteppedClock(sandbox.advance)

        async def main() -> list[int]:
            async with AsyncClient(sandbox.api_key, url=sandbox.url, _clock=clock, _rng=random.Random(1)) as client:
                await client.identity()
                await asyncio.gather(*(client.identity() for _ in range(99)))
                return [request["status"] for request in sandbox.requests()]

        assert asyncio.run(main()) == [200] * 100
        assert (sandbox.now() - START).total_seconds() < 180


def test_whoever_waits_for_an_instant_on_a_stepped_clock_comes_there_whatever_is_rounded():
    """At one millisecond in seventy, two seconds later is not reached by sleeping for two seconds: a rest of 1e-14 s is left."""

    async def waits(start: int) -> int:
        clock, sleeps = SteppedClock(lambda _: None), 0
        await clock.sleep(start / 1000)
        until = clock.monotonic() + 2.0
        while (left := until - clock.monotonic()) > 0 and sleeps < 5:
            await clock.sleep(left)
            sleeps += 1
        return sleeps

    late = [start for start in range(1, 3000) if (start / 1000 + 2.0) - (start + 2000) / 1000 > 0]
    assert late
    assert {asyncio.run(waits(start)) for start in late[:20]} == {2}
