"""The client: sends requests at one pace, again where the matrix allows, and turns error answers into errors."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar
from uuid import UUID

from voxops import keys, matrix
from voxops.backoff import Backoff, delay, is_ambiguous
from voxops.client import _checks as checks
from voxops.client._clock import ServerClock, SystemClock
from voxops.client._pace import Pace
from voxops.client._pages import Page, pages
from voxops.client._reply import Reply, error_of, single
from voxops.client._secret import Secret
from voxops.client._transport import Transport, base_url
from voxops.client.accounts import Accounts
from voxops.client.assumptions import UNDECIDED, VERSION_HEADER
from voxops.client.posts import Posts
from voxops.client.webhooks import Webhooks
from voxops.errors import ApiError, ConfigError, TransportError, WaitTooLong
from voxops.model import Clock, PaceInfo

__all__ = ["AsyncClient", "Permit"]

T = TypeVar("T")

DEFAULT_URL = "https://api.voxburst.io"
_READS = frozenset({"GET", "HEAD"})
_BATCH_SECONDS = 75.0  # the API may work on a batch for 60 (contract: BATCH-n)


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, the same bytes under the same key over all its tries."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)
    resend: bool
    timeout: float | None = None


class Permit:
    """The right to one single try of a planned act, given out by the shared pace (rule 10)."""

    def __init__(self, send: Callable[[_Call], Any]) -> None:
        self._send: Callable[[_Call], Any] | None = send

    def void(self) -> None:
        """End the right, used or not."""
        self._send = None

    async def send(self, method: str, path: str, body: bytes | None, key: str) -> Reply:
        """Send once, under this key, and return the answer whatever its status.

        Raises
        ------
        TransportError
            If no answer came; `sent` says whether the request may have arrived.
        """
        if self._send is None:
            raise RuntimeError("a permit is good for one try, inside its own block")
        send, self._send = self._send, None
        headers = {"Idempotency-Key": checks.check_key(key)}
        reply: Reply = await send(_Call(method.upper(), path, {}, headers, body, resend=False))
        return reply


class AsyncClient:
    """The VoxBurst API for scripts and services; notebooks use ``vx.connect``.

    Reads are sent again after a lost connection, a 429 or a 5xx. Writes are sent again only as their row of the matrix allows, under
    one key that stays the same over all tries; connecting an account and rotating a secret are never sent twice. That nothing is
    done twice *across calls and crashes* is promised for plans alone (``ws.run(plan)``). All calls share one pace, which follows
    the API's rate limit.

    Parameters
    ----------
    api_key : str
        The API key. It leaves for the API's own host alone and is in no repr, ``vars``, pickle or traceback.
    url : str
        The API's address, with or without ``/v1``; plain http only to this machine.
    max_wait : float
        Seconds that a call waits for the rate limit at the most.
    timeout : float
        Seconds to wait for a connection, and for each next byte.
    concurrency : int
        Requests under way at once.
    clock : Clock, optional
        Elapsed seconds and sleep; real time by default.
    rng : random.Random, optional
        Source of jitter and of keys; the system's by default.

    Attributes
    ----------
    posts, accounts, webhooks
        Typed methods for every row of the matrix.
    url : str
        The API's address, without ``/v1``.
    clock : Clock
        The clock in use.

    Raises
    ------
    ConfigError
        If there is no key, or the address can't be used.
    """

    def __init__(
        self,
        api_key: str,
        *,
        url: str = DEFAULT_URL,
        max_wait: float = 300.0,
        timeout: float = 30.0,
        concurrency: int = 10,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._secret = Secret(api_key)
        del api_key  # so that no traceback from here on finds it among the local variables
        self._secret.check()
        if concurrency < 1:
            raise ConfigError(f"concurrency={concurrency}; at least one request must be under way at once")
        self.url = base_url(url)
        self.clock: Clock = SystemClock() if clock is None else clock
        self._rng = random.SystemRandom() if rng is None else rng
        self._backoff = Backoff()
        self._server = ServerClock(self.clock.monotonic)
        self._pace = Pace(self.clock, self._server.now, concurrency=concurrency, max_wait=max_wait)
        self._transport = Transport(self._secret, self.url, timeout=timeout, concurrency=concurrency)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._closed = False
        self._requests = 0
        self.posts = Posts(self)
        self.accounts = Accounts(self)
        self.webhooks = Webhooks(self)

    async def aclose(self) -> None:
        """Close all connections; the client can't be used after that."""
        self._closed = True
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<AsyncClient {self.url}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds connections and an API key and can't be pickled; make a new one instead")

    @property
    def pace(self) -> PaceInfo:
        """The rate limit as the API told it last."""
        return self._pace.info

    @property
    def requests(self) -> int:
        """Requests sent so far, repeated ones included."""
        return self._requests

    def now(self) -> datetime:
        """Return the server's time, in UTC; this machine's before the first answer."""
        return self._server.now()

    def fingerprint(self, digest: Callable[[str], T]) -> T:
        """Hand the API key to a one-way function, such as a ledger's salted hash, and return what it makes of it."""
        return self._secret.use(digest)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotency_key: str | None = None,
        version: str | None = None,
        accept: Collection[int] = (),
    ) -> Reply:
        """Send a request, again where its row of the matrix allows; reads always.

        Parameters
        ----------
        method, path : str
            Such as ``GET`` and ``/v1/posts``.
        params : mapping, optional
            The query; None values are left out, times need an offset.
        json : object, optional
            The body.
        idempotency_key : str, optional
            For a write; a fresh one by default, the same over all tries.
        version : str, optional
            The version token of an update.
        accept : collection of int
            Statuses that are returned and not raised although they are no 2xx.

        Returns
        -------
        Reply

        Raises
        ------
        ApiError
            If the API answered with an error.
        TransportError
            If no answer came.
        WaitTooLong
            If the rate limit asks for more than `max_wait`; nothing was sent then.
        ValidationError
            With status 0, if the request is refused before it is sent: a limit is broken, or it is a write that no row governs.
        """
        method = method.upper()
        reads = method in _READS
        row = None if reads else matrix.find(method, path)
        if not reads and row is None:
            checks.refuse(
                "path", f"{method} {path} is a write that the matrix does not know; send it once with client.raw()"
            )
        if not reads and idempotency_key is None:
            idempotency_key = self._new_key()
        call = self._call(
            method, path, params, json, idempotency_key, version, resend=reads or matrix.may_resend(row, with_key=True)
        )
        return await self._carry(call, accept)

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotency_key: str | None = None,
    ) -> Reply:
        """Send any request exactly once, never again, and return the answer; errors are raised as by `request`.

        For calls that the matrix does not know. No key is made up: without `idempotency_key` none is sent.
        """
        return await self._carry(
            self._call(method.upper(), path, params, json, idempotency_key, None, resend=False), ()
        )

    async def batch(
        self,
        operations: Sequence[Mapping[str, Any]],
        *,
        continue_on_error: bool = True,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Send up to 100 writes in one request, exactly once, never again (contract: BATCH-n).

        Parameters
        ----------
        operations : sequence of mapping
            ``{id, method, path, body?, headers?}``; ids of 1 to 64 characters, bodies of at most 100 KB, 5 MB in all.
        continue_on_error : bool
            False skips what stands after the first failure; what stands before it stays done.
        idempotency_key : str, optional
            None is made up.

        Returns
        -------
        dict
            ``results``, each with ``id``, ``status``, ``body`` and ``error``, to be read one by one; ``summary``.
        """
        checks.check_operations(operations, lambda body: len(b"" if body is None else _encoded(body)))
        body = {"operations": [dict(operation) for operation in operations], "continueOnError": continue_on_error}
        call = self._call("POST", "/v1/batch", None, body, idempotency_key, None, resend=False, timeout=_BATCH_SECONDS)
        return single(await self._carry(call, ()))

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Permit]:
        """Wait for the shared pace, then hold the right to one try; for the engine, which alone resends planned acts (rule 10).

        A permit that is not used gives its place back.

        Raises
        ------
        WaitTooLong
            If the rate limit asks for more than `max_wait`.
        """
        self._settle_in()
        async with self._pace.slot():
            permit = Permit(self._send)
            try:
                yield permit
            finally:
                permit.void()

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Page]:
        """Read a list to its end, page by page.

        Raises
        ------
        ApiError, TransportError, WaitTooLong
            As by `request`.
        DecodeError
            If a page is no list, or the list runs in a circle.
        """

        async def fetch(query: Mapping[str, Any]) -> Reply:
            return await self.request("GET", path, params=query)

        return pages(fetch, params or {})

    async def identity(self) -> dict[str, Any]:
        """Return whose key this is: at least ``workspaceId``, ``workspaceName`` and ``plan``."""
        return single(await self.request("GET", "/v1/auth/me"))

    async def health(self) -> dict[str, Any]:
        """Return what the API says of its own health."""
        return single(await self.request("GET", "/v1/health"))

    def _call(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        json: Any,
        key: str | None,
        version: str | None,
        *,
        resend: bool,
        timeout: float | None = None,
    ) -> _Call:
        """Freeze a request."""
        headers = {} if key is None else {"Idempotency-Key": checks.check_key(key)}
        if version is not None:
            headers[VERSION_HEADER] = checks.check_key(version, "version")
        query = {name: _text(name, value) for name, value in (params or {}).items() if value is not None}
        return _Call(method, path, query, headers, None if json is None else _encoded(json), resend, timeout)

    def _new_key(self) -> str:
        """A fresh idempotency key, a UUID of version 4 (contract: section 6)."""
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    async def _carry(self, call: _Call, accept: Collection[int]) -> Reply:
        """Send a request until it is answered, its tries are used up, or nothing allows another."""
        failure: ApiError | TransportError | None = None
        for attempt in range(1, self._backoff.tries + 1):
            if failure is not None and not _throttled(failure):  # after a 429 the shared pause is all the wait there is
                await self.clock.sleep(delay(self._backoff, attempt - 1, self._rng))
            try:
                reply = await self._once(call)
            except TransportError as error:
                failure = error
            except WaitTooLong:
                if failure is None or _throttled(failure) or call.method in _READS:
                    raise
                break  # "nothing was sent" would not be true of a write whose last try is in doubt
            else:
                failure = error_of(reply, url=self.url, now=self.now())
                if failure is None or reply.status in accept:
                    return reply
            if not call.resend or not _passing(failure):
                break
        assert failure is not None
        raise failure

    async def _once(self, call: _Call) -> Reply:
        """One try, in its turn."""
        self._settle_in()
        async with self._pace.slot():
            return await self._send(call)

    async def _send(self, call: _Call) -> Reply:
        """One try, now; clock and pace learn from the answer."""
        self._requests += 1
        sent = self.clock.monotonic()
        reply = await self._transport.send(
            call.method, call.path, params=call.params, headers=call.headers, body=call.body, timeout=call.timeout
        )
        received = self.clock.monotonic()
        if reply.date is not None:
            self._server.learn(reply.date, sent, received)
        self._pace.learn(reply, sent=sent, received=received)
        return reply

    def _settle_in(self) -> None:
        """Bind the client to the running loop; a client that was forked, or whose loop has ended, begins anew."""
        if self._closed:
            raise ConfigError("this client is closed; make a new one")
        loop = asyncio.get_running_loop()
        if loop is self._loop and self._process == os.getpid():
            return
        if self._loop is not None:
            if self._process == os.getpid() and not self._loop.is_closed():
                raise ConfigError(
                    "this client belongs to another event loop; use one client per loop, or ws.aio of a workspace"
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


def _encoded(body: Any) -> bytes:
    """A body as the bytes that are sent."""
    try:
        return keys.canonical(body)
    except (TypeError, ValueError) as error:
        checks.refuse("json", f"can't be written as JSON ({error})")


def _text(name: str, value: Any) -> str:
    """A query value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return checks.instant(name, value)
    if isinstance(value, str | int | float):
        return str(value)
    if not isinstance(value, Sequence):
        checks.refuse(name, f"a query takes text, numbers and times, not {type(value).__name__}")
    return ",".join(_text(name, each) for each in value)
