"""The rate limiter: with a virtual clock, then over real sockets."""

from __future__ import annotations

import asyncio
import math
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.virtual import PATIENCE, standing_still, until

from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.client import AsyncClient, Reply, SteppedClock, SystemClock
from voxops.client._clock import ServerClock
from voxops.client._pace import Pace, Window, gap
from voxops.errors import RateLimitError, WaitTooLong

EMPTY = True  # the sandbox
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Clock:
    """A virtual clock: a sleep advances it and returns at once."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += max(0.0, seconds)
        await asyncio.sleep(0)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.time)


def answer(
    clock: Clock, *, left: int | None = None, limit: int = 100, reset: float = 60.0, status: int = 200, **more: str
) -> Reply:
    """Return an answer whose rate window ends `reset` seconds after the start."""
    headers = {"date": format_datetime(clock.now().replace(microsecond=0), usegmt=True)}
    if left is not None:
        headers |= {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(left),
            "x-ratelimit-reset": str(int(START.timestamp() + reset)),
        }
    return Reply(
        "GET /v1/posts", status, headers | {name.replace("_", "-"): value for name, value in more.items()}, b"{}"
    )


def paced(clock: Clock, *, concurrency: int = 10, max_wait: float = 300.0) -> Pace:
    return Pace(clock, clock.now, concurrency=concurrency, max_wait=max_wait)


async def go(pace: Pace, clock: Clock, reply: Reply | None = None) -> float:
    """Send one request and return when it was sent."""
    async with pace.slot():
        at = clock.monotonic()
        if reply is not None:
            pace.learn(reply, sent=at, received=clock.monotonic())
        return at


@given(st.integers(1, 5000), st.integers(0, 5000), st.integers(0, 100), st.floats(0.001, 86_400))
def test_gap_grows_as_requests_run_out_and_is_never_negative(limit, left, in_flight, resets_in):
    wide, narrow = Window(limit, left + 1, 0.0), Window(limit, left, 0.0)
    assert 0.0 <= gap(wide, in_flight, resets_in) <= gap(narrow, in_flight, resets_in)
    assert (gap(narrow, in_flight, resets_in) == math.inf) == (left <= in_flight)


def test_requests_slow_down_before_the_limit_and_never_exceed_it():
    clock = Clock()

    async def main() -> list[float]:
        pace = paced(clock)
        await go(pace, clock, answer(clock, left=12))
        return [await go(pace, clock, answer(clock, left=left)) for left in range(11, -1, -1)] + [await go(pace, clock)]

    times = asyncio.run(main())
    assert times[0] == times[1] == 0.0  # more than a tenth left
    spaced = [later - earlier for earlier, later in pairwise(times[2:-1])]
    assert all(0 < step <= 60 / 10 for step in spaced)
    assert times[-2] < 60.0 <= times[-1]  # the last of this window, the first of the next


def test_requests_in_flight_are_subtracted_from_the_remaining_ones():
    clock = Clock()

    async def main() -> int:
        pace = paced(clock, concurrency=50)
        await go(pace, clock, answer(clock, left=3, limit=10))
        gone, gate = [], asyncio.Event()

        async def slow_request() -> None:
            async with pace.slot():
                gone.append(clock.monotonic())
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
    clock = Clock()

    async def main() -> tuple[int, float]:
        pace = paced(clock, concurrency=50)
        await go(pace, clock, answer(clock, left=1, limit=5))
        gate, went = asyncio.Event(), asyncio.Event()

        async def slow_request() -> None:
            async with pace.slot():
                went.set()
                await gate.wait()
                # the server had already counted it when it reported 1 request left
                pace.learn(answer(clock, left=1, limit=5), sent=0.0, received=clock.monotonic())

        slow = asyncio.create_task(slow_request())
        await went.wait()
        clock.sleep = lambda _: asyncio.Event().wait()
        next_one = asyncio.create_task(go(pace, clock))
        for _ in range(20):
            await asyncio.sleep(0)
        waiting = not next_one.done()
        gate.set()
        await slow
        return waiting, await asyncio.wait_for(next_one, 5)

    waiting, at = asyncio.run(main())
    assert waiting and at < 60.0


def test_requests_are_sent_in_the_order_of_their_arrival():
    clock = Clock()

    async def main() -> list[int]:
        pace = paced(clock, concurrency=2)
        pace.learn(answer(clock, status=429, retry_after="7"), sent=0.0, received=0.0)
        order: list[int] = []

        async def one(number: int) -> None:
            async with pace.slot():
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(one(number) for number in range(20)))
        return order

    assert asyncio.run(main()) == list(range(20))
    assert clock.slept == [7.0]


@pytest.mark.parametrize("after", ["9", format_datetime(START + timedelta(seconds=9), usegmt=True)])
def test_a_429_pauses_all_requests_once(after):
    clock = Clock()

    async def main() -> list[float]:
        pace = paced(clock)
        for _ in range(8):  # eight calls in flight, all refused
            pace.learn(answer(clock, status=429, retry_after=after), sent=0.0, received=0.0)
        return await asyncio.gather(*(go(pace, clock) for _ in range(8)))

    assert asyncio.run(main()) == [9.0] * 8
    assert clock.slept == [9.0]


def test_429s_without_retry_after_pause_once_together_and_longer_each_time():
    clock = Clock()
    pace = paced(clock)

    async def main() -> list[float]:
        waits = []
        for _ in range(3):
            sent = clock.monotonic()
            for _ in range(5):
                pace.learn(answer(clock, status=429), sent=sent - 0.001, received=sent)
            waits.append(await go(pace, clock) - sent)
        return waits

    assert asyncio.run(main()) == [1.0, 2.0, 4.0]


def test_a_429_without_retry_after_waits_for_the_end_of_an_exhausted_window():
    clock = Clock()
    pace = paced(clock)
    pace.learn(answer(clock, status=429, left=0, reset=42), sent=0.0, received=0.0)
    assert asyncio.run(go(pace, clock)) == 42.0


def test_a_pause_longer_than_max_wait_is_refused_with_the_time_to_come_back():
    clock = Clock()
    pace = paced(clock, max_wait=60)
    pace.learn(answer(clock, status=429, retry_after="3600"), sent=0.0, received=0.0)
    with pytest.raises(WaitTooLong, match="come back after 2026-03-02 10:00:00 UTC") as caught:
        asyncio.run(go(pace, clock))
    assert caught.value.seconds == caught.value.retry_after == 3600
    assert isinstance(caught.value, RateLimitError)
    assert (caught.value.status, caught.value.code) == (429, "RATE_LIMITED")
    assert clock.slept == []


@pytest.mark.parametrize("after", ["1e400", "nan", "-5", "soon", "0", f"Mon, {10**20} Jan 2020 00:00:00 GMT"])
def test_an_invalid_retry_after_neither_hangs_nor_raises(after):
    clock = Clock()
    pace = paced(clock, max_wait=60)
    pace.learn(answer(clock, status=429, retry_after=after), sent=0.0, received=0.0)
    try:
        assert asyncio.run(go(pace, clock)) <= 60
    except WaitTooLong as error:
        assert after == "1e400" and "come back after" in str(error)


@pytest.mark.parametrize("headers", [
    {"x_ratelimit_remaining": "many"}, {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "60"},
    {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1e300"},
])  # fmt: skip
def test_invalid_rate_headers_are_ignored(headers):
    clock = Clock()
    pace = paced(clock)
    pace.learn(answer(clock, **headers), sent=0.0, received=0.0)
    assert asyncio.run(go(pace, clock)) == 0.0
    assert pace.info.limit is None


def test_a_late_answer_of_a_window_that_is_over_changes_nothing():
    clock = Clock()
    pace = paced(clock)
    clock.time = 61.0
    pace.learn(answer(clock, left=99, reset=120), sent=61.0, received=61.0)
    pace.learn(answer(clock, left=0, reset=60), sent=10.0, received=61.0)
    assert pace.info.remaining == 99


def test_info_reports_limit_remaining_and_pause():
    clock = Clock()
    pace = paced(clock)
    assert pace.info.limit is None and pace.info.paused_for is None
    pace.learn(answer(clock, left=40, status=429, retry_after="5"), sent=0.0, received=0.0)
    info = pace.info
    assert (info.limit, info.remaining, info.resets_in, info.paused_for) == (100, 40, 60.0, 5.0)
    clock.time = 61.0
    assert (pace.info.limit, pace.info.remaining, pace.info.resets_in, pace.info.paused_for) == (100, None, None, None)


def test_a_slot_is_freed_after_an_error_or_a_cancellation():
    clock = Clock()

    async def main() -> None:
        pace = paced(clock, concurrency=1)
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                async with pace.slot():
                    raise ZeroDivisionError
        waiting = asyncio.create_task(asyncio.sleep(0))
        async with pace.slot():
            blocked = asyncio.create_task(go(pace, clock))
            await waiting
            blocked.cancel()
            await asyncio.gather(blocked, return_exceptions=True)
        await asyncio.wait_for(go(pace, clock), 5)

    asyncio.run(main())


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
    now = 0.0
    clock = ServerClock(lambda: now)
    clock.learn(START, 0.0, 0.0)
    clock.learn(START + timedelta(hours=1), 0.0, 0.0)
    assert clock.now() == START + timedelta(hours=1)
    clock.learn(START, 0.0, 0.0)
    assert clock.now() == START


def test_a_clock_at_another_speed_sleeps_less(monkeypatch):
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("voxops.client._clock.asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("voxops.client._clock.time", SimpleNamespace(clock_gettime=lambda _: 7.0))
    clock = SystemClock(1000)
    asyncio.run(clock.sleep(20))
    assert (slept, clock.monotonic()) == ([0.02], 7000.0)


def test_sleeps_of_a_stepped_clock_overlap():
    moved: list[float] = []
    woken: list[tuple[str, float]] = []
    clock = SteppedClock(moved.append)

    async def wait(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async def main() -> None:
        await asyncio.gather(wait("last", 5.0), wait("first", 2.0), wait("second", 3.0), wait("at once", 0.0))

    asyncio.run(main())
    assert woken == [("at once", 0.0), ("first", 2.0), ("second", 3.0), ("last", 5.0)]
    assert moved == [2.0, 1.0, 2.0]


def test_a_stepped_clock_stops_while_work_is_in_flight():
    moved: list[float] = []
    clock = SteppedClock(moved.append)
    works = True
    clock.attend(lambda: works)

    async def main() -> tuple[bool, list[float]]:
        nonlocal works
        cancelled, waiting = asyncio.create_task(clock.sleep(1.0)), asyncio.create_task(clock.sleep(30.0))
        await asyncio.sleep(0.1)
        cancelled.cancel()
        before = waiting.done(), list(moved)
        works = False
        await asyncio.wait_for(waiting, 10)
        return before

    assert asyncio.run(main()) == (False, [])
    assert moved == [30.0], "the sleep of one second was cancelled"


def test_a_stepped_clock_counts_in_milliseconds():
    moved: list[float] = []
    clock = SteppedClock(moved.append)
    for _ in range(3):
        asyncio.run(clock.sleep(0.0101))
    assert moved == [0.011] * 3
    assert clock.monotonic() == pytest.approx(0.033)


def test_a_429_pauses_every_concurrent_call_once(client, sandbox, clock):
    sandbox.add_fault(Fault("retry_after", path="/v1/posts", seconds=5, times=6))

    async def main() -> list[Reply]:
        return await asyncio.gather(*(client.request("GET", "/v1/posts", params={"limit": 1}) for _ in range(6)))

    with standing_still(client):  # else the fault may refuse a retry instead of a late first try
        work = eventloop.submit(main())
        until(lambda: len(sandbox.requests()) == 6)
    assert [reply.status for reply in work.result(PATIENCE)] == [200] * 6
    assert len(sandbox.requests()) == client.requests == 12
    assert sum(clock.slept) == pytest.approx(5.0, abs=1.01)


def test_the_rate_limit_is_never_hit_by_one_client():
    with Sandbox(speed=0, rate_limit=40, posts=5, deliveries=0) as sandbox:
        clock = SteppedClock(sandbox.advance)

        async def main() -> tuple[list[int], int | None]:
            async with AsyncClient(sandbox.api_key, url=sandbox.url, clock=clock, rng=random.Random(1)) as client:
                await client.identity()
                await asyncio.gather(*(client.identity() for _ in range(99)))
                return [request["status"] for request in sandbox.requests()], client.pace.limit

        statuses, limit = asyncio.run(main())
        assert statuses == [200] * 100 and limit == 40
        assert (sandbox.now() - START).total_seconds() < 180
