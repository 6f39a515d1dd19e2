"""Retries of calls, and the pauses between them."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Awaitable, Callable

from voxops.api.assumptions import UNDECIDED
from voxops.api.timing import Backoff, delay, is_ambiguous
from voxops.client._answer import Answer
from voxops.client._calls import Call
from voxops.errors import ApiError, TransportError, WaitTooLong
from voxops.model import Clock

_log = logging.getLogger("voxops.client")
_CODE = re.compile("[A-Z0-9_]{1,60}")  # any other text of a server may be a post's


class Retries:
    """Sends a call until it has a final answer, its tries are used up, or its row allows no retry."""

    def __init__(self, clock: Clock, rng: random.Random, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._rng = rng
        self.backoff: Backoff = backoff or Backoff()

    async def pause(self, attempt: int) -> None:
        """Wait after this many tries."""
        await self._clock.sleep(delay(self.backoff, attempt, self._rng))

    async def send(
        self, call: Call, once: Callable[[Call], Awaitable[Answer]], failure_of: Callable[[Answer], ApiError | None]
    ) -> Answer:
        """Send a call by `once` and return its answer; `failure_of` returns the error of an answer, None for a success.

        Raises
        ------
        ApiError, TransportError
            The error of the last try.
        WaitTooLong
            If the rate limit requires a longer pause than allowed, and no write has an unknown outcome.
        """
        failure: ApiError | TransportError | None = None
        for attempt in range(self.backoff.tries):
            if failure is not None:
                log_retry(f"{call.method} {call.path}", attempt, failure)
            if failure is not None and not _throttled(failure):  # after a 429 the rate limiter pauses
                await self.pause(attempt)
            try:
                answer = await once(call)
            except TransportError as error:
                failure = error
            except WaitTooLong:
                if failure is None or _throttled(failure) or call.reads:
                    raise
                break  # "nothing was sent" would be false: the outcome of the last try is unknown
            else:
                failure = failure_of(answer)
                if failure is None:
                    return answer
            if not (call.resend and _may_pass(failure)):
                break
        assert failure is not None
        raise failure


def log_retry(what: str, attempt: int, failure: ApiError | TransportError) -> None:
    """Log that something is tried again after so many tries, and what the last of them came to."""
    why = "no answer"
    if isinstance(failure, ApiError):
        code = failure.code if _CODE.fullmatch(failure.code) else ""
        why = f"HTTP {failure.status} {code}".rstrip()
    _log.info("retry: %s, try %d after %s", what, attempt + 1, why)


def _throttled(failure: ApiError | TransportError) -> bool:
    return isinstance(failure, ApiError) and failure.status == 429


def _may_pass(failure: ApiError | TransportError) -> bool:
    """Return whether a failure may be temporary: no answer, 429, 5xx, 408, or the same key still in progress."""
    if isinstance(failure, TransportError):
        return True
    code = UNDECIDED.get(failure.status)
    return is_ambiguous(failure.status) or code == "" or (code is not None and code == failure.code)
