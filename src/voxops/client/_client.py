"""The client: typed methods over one rate limiter and one connection pool."""

from __future__ import annotations

import random
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from httpx import AsyncBaseTransport

from voxops._support import safe
from voxops._support.clocks import SteppedClock, SystemClock
from voxops.api import limits
from voxops.api.assumptions import DEFAULT_URL
from voxops.api.fields import batch_operations, http_method, refuse
from voxops.api.matrix import find, may_resend
from voxops.api.records import BatchResult, Health, Identity
from voxops.client._address import base_url, safe_path
from voxops.client._calls import READS, Call, KeyBook, encoded, freeze
from voxops.client._clock import ServerClock
from voxops.client._loop import LoopRunner, OwnLoop
from voxops.client._pace import Pace
from voxops.client._pages import Page, pages
from voxops.client._reply import Reply, error_of, single
from voxops.client._retries import Retries
from voxops.client._secret import Secret
from voxops.client._transport import Transport, Verify
from voxops.client._upload import Storage
from voxops.client.groups import Groups
from voxops.errors import ApiError, ConfigError
from voxops.frames.times import seconds
from voxops.model import Clock, PaceInfo

T = TypeVar("T")

_BATCH_PATIENCE = limits.BATCH_SECONDS + 15.0  # seconds to wait for the answer to a batch


def _seconds(name: str, value: Any) -> float:
    """Return a duration in seconds; here, a number is one of seconds."""
    number = None if isinstance(value, bool) else value
    if not isinstance(number, int | float):
        return seconds(name, value)
    if not number > 0:
        raise ConfigError(f"{name}={value!r}; it must be more than 0 seconds")
    return float(number)


class Permit:
    """Permission for one try of a planned act, granted by the rate limiter (rule 9).

    Parameters
    ----------
    send : callable
        Sends a call once.
    """

    def __init__(self, send: Callable[[Call], Awaitable[Reply]]) -> None:
        self._send: Callable[[Call], Awaitable[Reply]] | None = send

    def revoke(self) -> None:
        """End the permission, used or not."""
        self._send = None

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        key: str,
        version: str | None = None,
        may_go: Callable[[], bool] | None = None,
    ) -> Reply:
        """Send these bytes once, under this key and version token, and return the answer whatever its status.

        The precondition `may_go` is checked on the open connection before the headers are sent, and again before the body is.

        Raises
        ------
        TransportError
            If no answer was received; `sent` says whether the request may have arrived.
        """
        if self._send is None:
            raise RuntimeError("a permit allows one try, inside its own block")
        send, self._send = self._send, None
        call = freeze(method, path, key=key, version=version)
        return await send(replace(call, body=body, may_go=may_go))


class AsyncClient(Groups):
    """The VoxBurst API for scripts and services; notebooks use ``vx.connect``.

    Reads are sent again after a lost connection, a 429 or a 5xx. Writes are sent again only as their row of the matrix allows, under
    the same key in every try; connecting an account and rotating a secret are never sent twice. Only a plan (``ws.run(plan)``)
    prevents duplicates *across calls and crashes*. All calls share one rate limiter, which follows the API's rate limit.

    A client belongs to the event loop that first uses it, and refuses any other. The client of a workspace (``ws.client``) can be
    awaited from any loop, since it runs on voxops's own.

    Parameters
    ----------
    api_key : str or Secret
        The API key. It is sent to the API's own host only and is in no repr, ``vars``, pickle or traceback.
    url, concurrency, proxy, verify, transport
        As for ``vx.connect``; by default the public API.
    max_wait, timeout : float, str or timedelta
        As for ``vx.connect``; a number is one of seconds.
    clock : Clock, optional
        Elapsed seconds and sleep; real time by default.
    rng : random.Random, optional
        Source of jitter and of keys; the system's by default.

    Attributes
    ----------
    posts, accounts, media, webhooks, uploads, analytics
        The typed methods for each endpoint, by part of the API.
    url : str
        The API's address, without ``/v1``.
    requests : int
        Requests sent to the API so far, retries included.

    Raises
    ------
    ConfigError
        If there is no key, the address is not valid, or a setting can't be used.
    """

    url: str = ""  # tracebacks may show the repr of a client whose __init__ failed

    def __init__(
        self,
        api_key: str | Secret,
        *,
        url: str = DEFAULT_URL,
        max_wait: float | str | timedelta = 300.0,
        timeout: float | str | timedelta = 30.0,
        concurrency: int = 10,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        transport: AsyncBaseTransport | None = None,
        proxy: str | None = None,
        verify: Verify = True,
    ) -> None:
        self._secret = api_key if isinstance(api_key, Secret) else Secret(api_key)
        unfit = "" if isinstance(api_key, str | Secret | None) else type(api_key).__name__
        del api_key  # tracebacks may show local variables
        if unfit:
            raise ConfigError(f"api_key= is of type {unfit}, not a key")
        self._secret.check()
        if type(concurrency) is not int or concurrency < 1:
            raise ConfigError(f"concurrency={concurrency!r}; it must be a whole number, at least 1")
        if not isinstance(transport, AsyncBaseTransport | None):
            raise ConfigError(f"transport= takes an httpx.AsyncBaseTransport, not {type(transport).__name__}")
        patience, timeout = _seconds("max_wait", max_wait), _seconds("timeout", timeout)
        self.url = base_url(url)
        self.clock: Clock = SystemClock() if clock is None else clock
        self._rng = random.SystemRandom() if rng is None else rng
        self.requests: int = 0
        self._server = ServerClock(self.clock.monotonic)
        self._transport = Transport(
            self._secret, self.url, timeout=timeout, concurrency=concurrency, transport=transport, proxy=proxy, verify=verify,
        )  # fmt: skip
        self._pace = Pace(self.clock, self.now, concurrency=concurrency, max_wait=patience)
        if isinstance(self.clock, SteppedClock):
            self.clock.attend(lambda: self._pace.busy)
        self._retries = Retries(self.clock, self._rng)
        self._loop = OwnLoop(self._renew)
        self._keys = KeyBook()
        self.storage: Storage = Storage(self.url, self._put, self.now, self._retries, self._loop)
        super().__init__()

    async def aclose(self) -> None:
        """Close all connections; the client can't be used after that."""
        self._loop.close()
        await self._loop.run(self._transport.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<AsyncClient {self.url}>"

    @property
    def pace(self) -> PaceInfo:
        """The rate limit, as last reported by the API."""
        return self._pace.info

    def now(self) -> datetime:
        """Return the server's time in UTC; before the first answer, this machine's."""
        return self._server.now()

    def bind_loop(self, runner: LoopRunner) -> None:
        """Bind the client to one event loop: `runner` runs a coroutine there, and can be awaited from any other loop."""
        self._loop.run_by(runner)

    def fingerprint(self, digest: Callable[[str], T]) -> T:
        """Return the result of a one-way function of the API key, such as a ledger's salted hash."""
        return self._secret.expose_to(digest)

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
        """Send a request, with retries where its row of the matrix allows them; reads are always retried.

        Parameters
        ----------
        method, path : str
            Such as ``GET`` and ``/v1/posts``.
        params : mapping, optional
            The query; None values are left out, times need an offset.
        json : object, optional
            The body.
        idempotency_key : str, optional
            For a write; a random one by default. All tries use the same key.
        version : str, optional
            The version token of an update.
        accept : collection of int
            Statuses other than 2xx that are returned, not raised.

        Returns
        -------
        Reply

        Raises
        ------
        ApiError
            If the API answered with an error; a ConflictError with status 0 if this client used the key for another request.
        TransportError
            If no answer was received.
        WaitTooLong
            If the rate limit requires a wait longer than `max_wait`; nothing was sent.
        ValidationError
            With status 0, if the request was not sent: it exceeds a limit, or is a write without a row in the matrix.
        """
        method, path = http_method(method), safe_path(path)
        reads = method in READS
        row = None if reads else find(method, path)
        if not reads and row is None:
            where = safe.plain(f"{method} {path}")
            refuse("path", f"no row of the matrix governs {where}; send it once with client.raw()")
        if not reads and idempotency_key is None:
            idempotency_key = str(UUID(int=self._rng.getrandbits(128), version=4))
        resend = reads or may_resend(row, with_key=True)
        call = freeze(method, path, params=params, json=json, key=idempotency_key, version=version, resend=resend)
        return await self._loop.run(self._send_retried(call, accept, check_key=True))

    async def _send_retried(self, call: Call, accept: Collection[int] = (), *, check_key: bool = False) -> Reply:
        """Send a call, with retries where allowed; runs on the client's own loop, since only that writes the key book."""
        if check_key:
            self._keys.check(call)

        def failure_of(reply: Reply) -> ApiError | None:
            return (
                None
                if reply.status in accept
                else error_of(reply, url=self.url, now=self.now(), redact=self._secret.redact_json)
            )

        return await self._retries.send(call, self._once, failure_of)

    async def _once(self, call: Call) -> Reply:
        """Wait for the rate limiter and send once."""
        self._loop.bind()
        async with self._pace.slot():
            return await self._send(call)

    async def _send(self, call: Call) -> Reply:
        """Send once, now; the server clock and the rate limiter learn from the answer."""
        self.requests += 1
        sent = self.clock.monotonic()
        reply = await self._transport.send(call)
        received = self.clock.monotonic()
        if reply.date is not None:
            self._server.learn(reply.date, sent, received)
        self._pace.learn(reply, sent=sent, received=received)
        return reply

    async def _put(self, url: str, headers: Mapping[str, str], content: AsyncIterable[bytes], size: int) -> Reply:
        with self._pace.aside():
            return await self._transport.put(url, headers, content, size)

    def _renew(self) -> None:
        """Replace everything bound to a closed event loop or to another process."""
        self._transport.renew()
        self._pace.renew()

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotency_key: str | None = None,
    ) -> Reply:
        """Send any request once, without retries, and return the answer; errors are raised as by `request`.

        For calls that are not in the matrix. Without `idempotency_key` no key is sent.
        """
        call = freeze(method, path, params=params, json=json, key=idempotency_key)
        return await self._loop.run(self._send_retried(call))

    async def batch(
        self,
        operations: Sequence[Mapping[str, Any]],
        *,
        continue_on_error: bool = True,
        idempotency_key: str | None = None,
    ) -> BatchResult:
        """Send up to 100 writes in one request, once, without retries (contract: BATCH-n).

        Parameters
        ----------
        operations : sequence of mapping
            ``{id, method, path, body?, headers?}``; ids of 1 to 64 characters, bodies of at most 100 KB, 5 MB in all.
        continue_on_error : bool
            False skips all operations after the first failure; earlier ones are not undone.
        idempotency_key : str, optional
            No key is sent by default.

        Returns
        -------
        BatchResult
            ``results``, each with its own ``id``, ``status``, ``body`` and ``error``, and ``summary``.
        """
        checked = batch_operations(operations, lambda body: 0 if body is None else len(encoded(body)))
        body = {"operations": checked, "continueOnError": continue_on_error}
        call = freeze("POST", "/v1/batch", json=body, key=idempotency_key, timeout=_BATCH_PATIENCE)
        result: BatchResult = single(await self._loop.run(self._send_retried(call)))
        return result

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Permit]:
        """Wait for the rate limiter, then permit one try; for the engine, since only it resends planned acts (rule 9).

        An unused permit frees its slot.

        Raises
        ------
        WaitTooLong
            If the rate limit requires a wait longer than `max_wait`.
        """
        self._loop.bind()
        async with self._pace.slot():
            permit = Permit(self._send)
            try:
                yield permit
            finally:
                permit.revoke()

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Page[dict[str, Any]]]:
        """Read a list to its end, page by page.

        Raises
        ------
        ApiError, TransportError, WaitTooLong
            As by `request`.
        DecodeError
            If a page is not a list, or the list repeats itself.
        """

        async def fetch(query: Mapping[str, Any]) -> Reply:
            return await self.request("GET", path, params=query)

        return pages(fetch, params or {})

    async def identity(self) -> Identity:
        """Return the owner of the API key: at least ``workspaceId``, ``workspaceName`` and ``plan``."""
        identity: Identity = single(await self.request("GET", "/v1/auth/me"))
        return identity

    async def health(self) -> Health:
        """Return the API's own health report."""
        health: Health = single(await self.request("GET", "/v1/health"))
        return health
