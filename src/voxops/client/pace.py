"""The rate limiter of a client: how many requests at the same time, how fast, and when to pause."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta

from voxops.api.limits import retry_after
from voxops.client.answer import Answer
from voxops.errors import WaitTooLong
from voxops.model import Clock, PaceInfo

_log = logging.getLogger("voxops.client")


SLOW_BELOW = 0.1  # share of the limit below which requests are spread over the rest of the window
WIDEST_GAP = 5.0  # maximum seconds between two such requests
SHORTEST_PAUSE = 0.5  # seconds, for "Retry-After: 0"
LONGEST_PAUSE = 30.0  # seconds, for a 429 without Retry-After
LONGEST_WINDOW = 86_400.0  # seconds; a later reset is not plausible
_FOREVER = 365 * 86_400.0  # seconds; longer pauses are shortened to this, so that they fit into a date


class ServerClock:
    """The server's time, estimated from the ``Date`` headers of its answers.

    A header is the server's time, in whole seconds, at some instant between sending and receiving. Each answer therefore bounds the
    offset between that clock and `monotonic`, and the bounds of all answers are intersected. Disjoint bounds mean that the clock
    was reset: the new bounds replace the old ones. `now` uses the lower bound, so it is never ahead of the server.

    Parameters
    ----------
    monotonic : callable
        Elapsed seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._low, self._high = -math.inf, math.inf

    def learn(self, date: datetime, sent: float, received: float) -> None:
        """Update the bounds by an answer's date and by when its request was sent and it was received (`monotonic`)."""
        low, high = date.timestamp() - received, date.timestamp() + 1.0 - sent
        if max(low, self._low) <= min(high, self._high):
            low, high = max(low, self._low), min(high, self._high)
        self._low, self._high = low, high

    def now(self) -> datetime:
        """Return the server's time in UTC; before the first answer, this machine's."""
        if math.isinf(self._low):
            return datetime.now(UTC)
        return datetime.fromtimestamp(self._low + self._monotonic(), UTC)


class Pace:
    """Admits requests one after the other, in the order of their arrival, at most `concurrency` at the same time.

    It waits at most `max_wait` seconds; a longer pause raises `WaitTooLong`. `now` returns the server's time.
    """

    def __init__(self, clock: Clock, now: Callable[[], datetime], *, concurrency: int, max_wait: float) -> None:
        self._clock = clock
        self._now = now
        self._concurrency = concurrency
        self._max_wait = max_wait
        # The rate window that the server last reported: requests per window, the lowest number of remaining ones that any answer
        # of this window reported, and its end in seconds since 1970 by the server's clock.
        self._limit: int | None = None
        self._left, self._reset = 0, -math.inf
        self._last = self._paused_at = self._resumes = -math.inf
        self._refusals = 0
        self.renew()

    def renew(self) -> None:
        """Replace everything bound to an event loop; keep the reported window and pauses."""
        # Requests queue at this semaphore: queueing inside the connection pool delays the last ones by seconds.
        self._slots = asyncio.Semaphore(self._concurrency)
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._in_flight = 0
        self._aside = 0

    @property
    def busy(self) -> bool:
        """Whether a request is in flight, also one that the rate limit does not count."""
        return self._in_flight + self._aside > 0

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Be in flight without a turn, as bytes for the storage are."""
        self._aside += 1
        try:
            yield
        finally:
            self._aside -= 1

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a turn, then occupy a slot among the requests in flight.

        Raises
        ------
        WaitTooLong
            If the wait would exceed `max_wait`.
        """
        async with self._slots:
            async with self._turn:
                await self._wait()
                self._in_flight += 1
                self._last = self._clock.monotonic()
            try:
                yield
            finally:
                self._in_flight -= 1
                self._news.set()

    async def _wait(self) -> None:
        """Wait until the next request may be sent."""
        while (seconds := self._delay()) > 0:
            # Answers to requests in flight may report more remaining requests than assumed.
            open_end = self._in_flight > 0 and self._pause() == 0
            if seconds > self._max_wait and not open_end:
                back = self._now() + timedelta(seconds=seconds)
                raise WaitTooLong(
                    f"the API's rate limit requires a pause of {seconds:.0f} s, more than max_wait={self._max_wait:.0f} s. "
                    f"Nothing was sent; come back after {back:%Y-%m-%d %H:%M:%S} UTC",
                    seconds=seconds,
                )
            if not open_end:
                await self._clock.sleep(seconds)
                continue
            self._news.clear()
            tasks = [asyncio.ensure_future(work) for work in (self._clock.sleep(seconds), self._news.wait())]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _delay(self) -> float:
        """Return the seconds until the next request may be sent.

        Requests in flight are subtracted, as if the server had not counted them yet: many at the same time can't exceed the limit. There is no
        gap while more than a tenth of the limit is left. The last tenth is spread evenly over the rest of the window, which lets as
        many requests through without a stop at its end.
        """
        pause, resets_in = self._pause(), self._resets_in()
        if pause > 0 or self._limit is None:
            return pause
        if resets_in <= 0:  # a new window has begun; only its size is known
            return LONGEST_PAUSE if 0 < self._in_flight >= self._limit else 0.0
        free = self._left - self._in_flight
        if free > self._limit * SLOW_BELOW:
            return 0.0
        if free <= 0:
            return resets_in
        return self._last + min(WIDEST_GAP, resets_in / (free + 1)) - self._clock.monotonic()

    def _pause(self) -> float:
        """Return the seconds left of a pause that the server requested."""
        return max(0.0, self._resumes - self._clock.monotonic())

    def _resets_in(self) -> float:
        """Return the seconds until the window ends, by the server's clock."""
        return self._reset - self._now().timestamp()

    def learn(self, answer: Answer, *, sent: float, received: float) -> None:
        """Update the window and the pause by an answer, and by when its request was sent and it was received (`monotonic`)."""
        self._see_window(answer)
        after, before = retry_after(answer.headers.get("retry-after"), self._now()), self._resumes
        if answer.status == 429:
            self._refused(after, sent, received)
        elif answer.status == 503 and after is not None:
            self._resumes = max(self._resumes, received + min(after, _FOREVER))
        elif sent >= self._resumes:
            self._refusals = 0
        if self._resumes > before:
            _log.info("cooldown: %.1f s without a request after HTTP %d", self._resumes - received, answer.status)

    def _see_window(self, answer: Answer) -> None:
        """Read the rate headers (contract: section 4); implausible values are ignored, and late answers of a window that is over."""
        limit, left, reset = (_number(answer, f"x-ratelimit-{name}") for name in ("limit", "remaining", "reset"))
        if left is None or reset is None or not 0 < reset - self._now().timestamp() <= LONGEST_WINDOW:
            return
        if reset >= self._reset:
            self._left = int(min(left, self._left) if reset == self._reset else left)
            self._limit = int(max(left, self._limit or 0) if limit is None else limit)
            self._reset = reset

    def _refused(self, after: float | None, sent: float, received: float) -> None:
        """Pause all requests after a 429: by its Retry-After, else until the window ends, else longer each time."""
        together = sent <= self._paused_at  # sent before the current pause began: it is part of that pause
        if after is None:
            if together:
                return
            after = min(LONGEST_PAUSE, 2.0**self._refusals)
            if self._left == 0 and self._resets_in() > 0:
                after = self._resets_in()
            self._refusals += 1
        if not together:
            self._paused_at = received
        self._resumes = max(self._resumes, self._paused_at + min(max(after, SHORTEST_PAUSE), _FOREVER))

    @property
    def info(self) -> PaceInfo:
        """The rate limit, as far as known."""
        pause, resets_in = self._pause() or None, self._resets_in()
        if resets_in <= 0:
            return PaceInfo(self._limit, paused_for=pause)
        return PaceInfo(self._limit, self._left, resets_in, pause)


def _number(answer: Answer, name: str) -> float | None:
    """Return a header as a non-negative number, else None."""
    try:
        number = float(answer.headers.get(name, ""))
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
