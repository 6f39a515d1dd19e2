"""Sending calls: in their turn, at one pace, again where that is allowed; and the single try of a planned act."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from voxops._core.backoff import Backoff, delay, is_ambiguous
from voxops.api.assumptions import UNDECIDED
from voxops.client._calls import Call, freeze
from voxops.client._clock import ServerClock
from voxops.client._pace import Pace
from voxops.client._reply import Reply, error_of
from voxops.client._transport import Transport
from voxops.errors import ApiError, ConfigError, TransportError, WaitTooLong
from voxops.model import Clock, PaceInfo

__all__ = ["Carrier", "Permit", "Sending"]

T = TypeVar("T")

Carrier = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]


class Permit:
    """The right to one single try of a planned act, given out by the shared pace (rule 10)."""

    def __init__(self, send: Callable[[Call], Awaitable[Reply]]) -> None:
        self._send: Callable[[Call], Awaitable[Reply]] | None = send

    def void(self) -> None:
        """End the right, used or not."""
        self._send = None

    async def send(self, method: str, path: str, body: bytes | None, key: str) -> Reply:
        """Send once, these bytes under this key, and return the answer whatever its status.

        Raises
        ------
        TransportError
            If no answer came; `sent` says whether the request may have arrived.
        """
        if self._send is None:
            raise RuntimeError("a permit is good for one try, inside its own block")
        send, self._send = self._send, None
        call = freeze(method, path, key=key)
        return await send(Call(call.method, call.path, call.query, call.headers, body, resend=False))


class Sending:
    """What stands between the typed methods and the network.

    Parameters
    ----------
    transport : Transport
        The network.
    clock : Clock
        Elapsed seconds and sleep.
    rng : random.Random
        Source of jitter.
    concurrency : int
        Requests under way at once.
    max_wait : float
        Seconds to wait for the rate limit at the most.
    """

    def __init__(
        self, transport: Transport, clock: Clock, rng: random.Random, *, concurrency: int, max_wait: float
    ) -> None:
        self.url = transport.url
        self.requests = 0
        self._transport = transport
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff()
        self._server = ServerClock(clock.monotonic)
        self._pace = Pace(clock, self._server.now, concurrency=concurrency, max_wait=max_wait)
        self._carrier: Carrier | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._closed = False

    @property
    def tries(self) -> int:
        """How often one request is sent at the most."""
        return self._backoff.tries

    @property
    def pace(self) -> PaceInfo:
        """The rate limit as the API told it last."""
        return self._pace.info

    def now(self) -> datetime:
        """The server's time; this machine's before the first answer."""
        return self._server.now()

    def reside(self, carrier: Carrier) -> None:
        """Live on one loop from now on: `carrier` does work there, and is awaited from any other."""
        self._carrier = carrier

    async def at_home(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work on the loop where the client lives; without one, on the running loop."""
        return await (work if self._carrier is None else self._carrier(work))

    async def close(self) -> None:
        """Close all connections, for good."""
        self._closed = True
        await self.at_home(self._transport.close())

    async def carry(self, call: Call, accept: Collection[int] = ()) -> Reply:
        """Send a call until it is answered, its tries are used up, or nothing allows another; raise what it ended with.

        Statuses in `accept` are answers although they are no 2xx.
        """
        return await self.at_home(self._carry(call, accept))

    async def _carry(self, call: Call, accept: Collection[int]) -> Reply:
        """Send a call, on the client's own loop."""
        failure: ApiError | TransportError | None = None
        for attempt in range(self.tries):
            if failure is not None and not _throttled(failure):  # after a 429 the shared pause is all the wait there is
                await self.rest(attempt)
            try:
                reply = await self._once(call)
            except TransportError as error:
                failure = error
            except WaitTooLong:
                if failure is None or _throttled(failure) or call.reads:
                    raise
                break  # "nothing was sent" would not be true of a write whose last try is in doubt
            else:
                failure = error_of(reply, url=self.url, now=self.now())
                if failure is None or reply.status in accept:
                    return reply
            if not (call.resend and _passing(failure)):
                break
        assert failure is not None
        raise failure

    async def rest(self, attempt: int) -> None:
        """Wait before the next try, after so many."""
        await self._clock.sleep(delay(self._backoff, attempt, self._rng))

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Permit]:
        """Wait for one's turn, then hold the right to one try; unused, it gives its place back."""
        self._settle_in()
        async with self._pace.slot():
            permit = Permit(self._send)
            try:
                yield permit
            finally:
                permit.void()

    async def put(self, url: str, headers: Mapping[str, str], content: AsyncIterable[bytes], size: int) -> Reply:
        """Put bytes to a presigned address, once; the storage host has no part in the API's pace."""
        self._settle_in()
        return await self._transport.put(url, headers, content, size)

    async def _once(self, call: Call) -> Reply:
        """One try, in its turn."""
        self._settle_in()
        async with self._pace.slot():
            return await self._send(call)

    async def _send(self, call: Call) -> Reply:
        """One try, now; clock and pace learn from the answer."""
        self.requests += 1
        sent = self._clock.monotonic()
        reply = await self._transport.send(
            call.method, call.path, params=call.query, headers=call.headers, body=call.body, timeout=call.timeout
        )
        received = self._clock.monotonic()
        if reply.date is not None:
            self._server.learn(reply.date, sent, received)
        self._pace.learn(reply, sent=sent, received=received)
        return reply

    def _settle_in(self) -> None:
        """Bind to the running loop; a client that was forked, or whose loop has ended, begins anew."""
        if self._closed:
            raise ConfigError("this client is closed; make a new one")
        loop = asyncio.get_running_loop()
        forked = self._process != os.getpid()
        if loop is self._loop and not forked:
            return
        if self._loop is not None:
            if not forked and not self._loop.is_closed():
                raise ConfigError(
                    "this client is at work on another event loop; use one client per loop, or ws.client of a workspace"
                )
            self._transport.renew()
            self._pace.renew()
        self._loop, self._process = loop, os.getpid()


def _throttled(failure: ApiError | TransportError) -> bool:
    """Whether a request was refused for its rate alone."""
    return isinstance(failure, ApiError) and failure.status == 429


def _passing(failure: ApiError | TransportError) -> bool:
    """Whether a failure may pass by itself: no answer, 429, 5xx, 408, or the same key still at work."""
    if isinstance(failure, TransportError):
        return True
    code = UNDECIDED.get(failure.status)
    return is_ambiguous(failure.status) or code == "" or (code is not None and code == failure.code)
