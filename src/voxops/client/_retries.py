"""When a call is sent again, and after what pause."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from voxops.api.assumptions import UNDECIDED
from voxops.api.timing import Backoff, delay, is_ambiguous
from voxops.client._calls import Call
from voxops.client._reply import Reply
from voxops.errors import ApiError, TransportError, WaitTooLong
from voxops.model import Clock

__all__ = ["Retries"]


class Retries:
    """Sends a call until it is answered, its tries are used up, or its row allows no other.

    Parameters
    ----------
    clock : Clock
        Where pauses are slept.
    rng : random.Random
        Source of jitter.
    backoff : Backoff
        How many tries, and how the pauses grow.
    """

    def __init__(self, clock: Clock, rng: random.Random, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._rng = rng
        self.backoff = backoff or Backoff()

    async def pause(self, attempt: int) -> None:
        """Wait before the next try, after so many."""
        await self._clock.sleep(delay(self.backoff, attempt, self._rng))

    async def send(
        self, call: Call, once: Callable[[Call], Awaitable[Reply]], failure_of: Callable[[Reply], ApiError | None]
    ) -> Reply:
        """Send a call by `once` and return its answer.

        Parameters
        ----------
        call : Call
            Its `resend` says whether it may be sent again when nobody knows if it took effect.
        once : callable
            One try.
        failure_of : callable
            The error that an answer stands for, None for a success.

        Raises
        ------
        ApiError, TransportError
            What the last try ended with.
        WaitTooLong
            If the rate limit asks for a longer pause than allowed, and nothing is in doubt.
        """
        failure: ApiError | TransportError | None = None
        for attempt in range(self.backoff.tries):
            if failure is not None and not _throttled(failure):  # after a 429 the shared pause is all the wait there is
                await self.pause(attempt)
            try:
                reply = await once(call)
            except TransportError as error:
                failure = error
            except WaitTooLong:
                if failure is None or _throttled(failure) or call.reads:
                    raise
                break  # "nothing was sent" would not be true of a write whose last try is in doubt
            else:
                failure = failure_of(reply)
                if failure is None:
                    return reply
            if not (call.resend and _may_pass(failure)):
                break
        assert failure is not None
        raise failure


def _throttled(failure: ApiError | TransportError) -> bool:
    """Whether a request was refused for its rate alone."""
    return isinstance(failure, ApiError) and failure.status == 429


def _may_pass(failure: ApiError | TransportError) -> bool:
    """Whether a failure may pass by itself: no answer, 429, 5xx, 408, or the same key still in progress."""
    if isinstance(failure, TransportError):
        return True
    code = UNDECIDED.get(failure.status)
    return is_ambiguous(failure.status) or code == "" or (code is not None and code == failure.code)
