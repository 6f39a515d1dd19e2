"""The client: one method for each endpoint over one rate limiter and one connection pool."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from voxops._support.clocks import SteppedClock, SystemClock
from voxops._support.eventloop import refuse_outside
from voxops.api.assumptions import BULK_READ_STATUSES, DEFAULT_URL, UNDECIDED
from voxops.api.limits import WATCH_FOR, Backoff, delay, is_ambiguous
from voxops.api.matrix import Endpoint, find, may_resend
from voxops.client.answer import Answer, Ending, accepted, error_of, follow, items_of, job_of, read_before
from voxops.client.methods import Methods
from voxops.client.pace import Pace, ServerClock
from voxops.client.pages import Page, pages
from voxops.client.request import Call, base_url, encoded, freeze
from voxops.client.secret import Secret
from voxops.client.transport import AsyncTransport, Transport, Verify
from voxops.client.upload import Notice, upload
from voxops.errors import ApiError, ConfigError, ConflictError, DecodeError, RateLimitError, TransportError, WaitTooLong
from voxops.frames.times import seconds
from voxops.model import Clock, PaceInfo

T = TypeVar("T")

_REMEMBERED = 10_000  # keys
_log = logging.getLogger("voxops.client")


def _seconds(name: str, value: Any) -> float:
    """Return a duration in seconds; here, a number is one of seconds."""
    if type(value) not in {int, float}:
        return seconds(name, value)
    if not value > 0:
        raise ConfigError(f"{name}={value!r}; it must be more than 0 seconds")
    return float(value)


def environment(name: str) -> str | None:
    """Read an environment variable; a separate function, because a verbose traceback prints the values in its lines."""
    return os.environ.get(name)


class Permit:
    """Permission for one try of a planned act, granted by the rate limiter (rule 9).

    Parameters
    ----------
    send : callable
        Sends a call once.
    """

    def __init__(self, send: Callable[[Call], Awaitable[Answer]]) -> None:
        self._send: Callable[[Call], Awaitable[Answer]] | None = send

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
    ) -> Answer:
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
        return await send(freeze(method, path, body=body, key=key, version=version, may_go=may_go))


class AsyncClient(Methods):
    """The VoxBurst API for scripts and services; notebooks use ``vx.connect``.

    Reads are sent again after a lost connection, a 429 or a 5xx. Writes are sent again only as their row of the matrix allows, under
    the same key in every try; connecting an account and rotating a secret are never sent twice. Only a plan (``ws.run(plan)``)
    prevents duplicates *across calls and crashes*. All calls share one rate limiter, which follows the API's rate limit.

    A client belongs to the event loop that first uses it, and refuses any other. The client of a workspace (``ws.client``) can be
    awaited from any loop, because it runs on voxops's own.

    Parameters
    ----------
    api_key : str, optional
        The API key; default: ``VOXBURST_API_KEY``. It is sent to the API's own host only and is in no repr, ``vars``, pickle or traceback.
    url : str, optional
        The API's address; default: ``VOXBURST_API_URL``, then the public API.
    max_wait, timeout : float, str or timedelta
        As for ``vx.connect``; a number is one of seconds.
    concurrency, proxy, verify, transport
        As for ``vx.connect``.

    Attributes
    ----------
    posts, accounts, media, webhooks, analytics
        A method for each endpoint, by part of the API.
    url : str
        The API's address, without ``/v1``.
    requests : int
        Requests sent to the API so far, retries included.

    Raises
    ------
    ConfigError
        If there is no key, the address is not valid, or a setting can't be used.

    Examples
    --------
    >>> async with vx.AsyncClient() as client:  # doctest: +SKIP
    ...     answer = await client.posts.retry("post_1")
    ...     (await client.wait(answer)).status
    'published'
    """

    url: str = ""  # tracebacks may show the repr of a client whose __init__ failed

    def __init__(
        self,
        api_key: str | Secret | None = None,
        *,
        url: str | Secret | None = None,
        max_wait: float | str | timedelta = 300.0,
        timeout: float | str | timedelta = 30.0,
        concurrency: int = 10,
        transport: AsyncTransport | None = None,
        proxy: str | Secret | None = None,
        verify: Verify = True,
        _clock: Clock | None = None,
        _rng: random.Random | None = None,
    ) -> None:
        kind = "" if isinstance(api_key, str | Secret | None) else type(api_key).__name__
        self._secret = Secret(environment("VOXBURST_API_KEY") if api_key is None else api_key)
        url = Secret(environment("VOXBURST_API_URL") or DEFAULT_URL if url is None else url)
        proxy = None if proxy is None else Secret(proxy)
        del api_key  # tracebacks may show local variables
        if kind:
            raise ConfigError(f"api_key= is of type {kind}, not a key")
        self._secret.check()
        if type(concurrency) is not int or concurrency < 1:
            raise ConfigError(f"concurrency={concurrency!r}; it must be a whole number, at least 1")
        if not isinstance(transport, AsyncTransport | None):
            raise ConfigError(f"transport= takes an httpx.AsyncBaseTransport, not {type(transport).__name__}")
        patience, timeout = _seconds("max_wait", max_wait), _seconds("timeout", timeout)
        self.url = base_url(url)
        self._clock: Clock = _clock or SystemClock()
        self._rng = _rng or random.SystemRandom()
        self._backoff = Backoff()
        self.requests: int = 0
        self._keys: dict[str, int] = {}  # the latest keys, and the hash of the request of each
        self._server = ServerClock(self._clock.monotonic)
        self._transport = Transport(
            self._secret, self.url, timeout=timeout, concurrency=concurrency, transport=transport, proxy=proxy, verify=verify,
        )  # fmt: skip
        self._pace = Pace(self._clock, self.now, concurrency=concurrency, max_wait=patience)
        if isinstance(self._clock, SteppedClock):
            self._clock.attend(lambda: self._pace.busy)
        # Connections, locks and semaphores are bound to this loop of this process.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._runner: Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]] | None = None
        self._closed = False
        super().__init__()

    async def aclose(self) -> None:
        """Close all connections; the client can't be used after that."""
        self._closed = True
        if self._loop is not None and self._loop.is_closed():
            self._renew()  # what is bound to a closed loop can't be closed on another
        await self._run(self._transport.connections.aclose())

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

    def _bind_loop(self, runner: Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]) -> None:
        """Bind the client to one event loop: `runner` runs a coroutine there, and can be awaited from any other loop."""
        self._runner = runner

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the client's loop: the runner's, or the running one."""
        if self._runner is not None:
            result: T = await self._runner(work)
            return result
        refuse_outside(work, "run it in a thread, such as await trio.to_thread.run_sync(asyncio.run, main())")
        return await work

    def _bind(self) -> None:
        """Bind to the running loop; refuse if the client is closed, or in use on another loop."""
        if self._closed:
            raise ConfigError("this client is closed; create a new one")
        loop = asyncio.get_running_loop()
        forked = self._process != os.getpid()
        if self._loop is not None and (forked or loop is not self._loop):
            if not forked and not self._loop.is_closed():
                raise ConfigError(
                    "this client is in use on another event loop; use one client per loop, or ws.client of a workspace"
                )
            self._renew()
        self._loop, self._process = loop, os.getpid()

    def _renew(self) -> None:
        """Replace everything bound to a closed event loop or to another process."""
        self._transport.renew()
        self._pace.renew()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotency_key: str | None = None,
        version: str | None = None,
        timeout: float | str | timedelta | None = None,
    ) -> Answer:
        """Send a request, with retries where its row of the matrix allows them; reads are always retried.

        A write without a row, such as a batch, is sent once. The subject of a retry, a fix or a redelivery is read first: only a change
        shows that it was tried again.

        Parameters
        ----------
        method, path : str
            Such as ``GET`` and ``/v1/posts``.
        params : mapping, optional
            The query; None values are left out, times need an offset.
        json : object, optional
            The body; the API judges it.
        idempotency_key : str, optional
            For a write. All tries use the same key; a write with a row has a random one by default.
        version : str, optional
            The version token of an update.
        timeout : float, str or timedelta, optional
            How long this request may take; default: the client's own.

        Returns
        -------
        Answer

        Raises
        ------
        ApiError
            If the API answered with an error; a ConflictError with status 0 if this client used the key for another request.
        TransportError
            If no answer was received.
        DecodeError
            If the answer to a write of the matrix is not JSON, or the outcome of its items is unknown.
        WaitTooLong
            If the rate limit requires a wait longer than `max_wait`; nothing was sent.
        ValidationError
            With status 0, if the request can't be encoded; nothing was sent.
        """
        patience = None if timeout is None else _seconds("timeout", timeout)
        call = freeze(
            method, path, params=params, body=encoded(json), key=idempotency_key, version=version, timeout=patience
        )
        row = None if call.reads else find(call.method, call.path)
        if row is not None and idempotency_key is None:
            key = str(UUID(int=self._rng.getrandbits(128), version=4))
            call = replace(call, headers={"Idempotency-Key": key, **call.headers})
        return await self._run(self._governed(call, row, json))

    async def _governed(self, call: Call, row: Endpoint | None, json: Any) -> Answer:
        """Send a call as its row says, and check that the answer has what the row promises; runs on the client's own loop."""
        self._claim(call)
        if row is None:
            return await self._retried(call, resend=call.reads)
        job = job_of(row, call.path, json)
        if job is not None and (row.partial or job.kind == "delivery"):
            job = replace(job, before=await read_before(job, self))
        answer = await self._retried(call, resend=may_resend(row, with_key=True), partial=row.partial)
        answer.record  # noqa: B018  what can't be read is not taken for a success
        items = items_of(row, answer) if row.partial else ()
        return replace(answer, row=row, items=items, job=None if job is None else accepted(job, answer))

    def _claim(self, call: Call) -> None:
        """Remember the key of a call: a key is never sent with a second request."""
        key, use = call.headers.get("Idempotency-Key"), hash((call.method, call.path, call.body))
        if key is None:
            return
        self._keys[key] = known = self._keys.pop(key, use)
        if known != use:
            text = f"idempotency_key was already used for a request other than this {call.method} {call.path}; nothing was sent"
            raise ConflictError(text, status=0, code="IDEMPOTENCY_CONFLICT")
        if len(self._keys) > _REMEMBERED:
            del self._keys[next(iter(self._keys))]

    async def _retried(self, call: Call, *, resend: bool, partial: bool = False) -> Answer:
        """Send a call until it has a final answer, its tries are used up, or it may not be sent again."""
        failure: ApiError | TransportError | None = None
        for attempt in range(self._backoff.tries):
            if failure is not None:
                await self._rest(f"{call.method} {call.path}", attempt, failure)
            try:
                self._bind()
                async with self._pace.slot():
                    answer = await self._send(call)
            except TransportError as error:
                failure = error
            except WaitTooLong:
                if failure is None or isinstance(failure, RateLimitError) or call.reads:
                    raise
                break  # "nothing was sent" would be false: the outcome of the last try is unknown
            else:
                failure = error_of(answer, url=self.url, now=self.now(), redact=self._secret.redact_json)
                if failure is None or (partial and answer.status in BULK_READ_STATUSES and _has_results(answer)):
                    return answer
            if not (resend and _may_pass(failure)):
                break
        assert failure is not None
        raise failure

    async def _rest(self, what: str, attempt: int, failure: ApiError | TransportError) -> None:
        """Wait after this many tries, and log the outcome of the last of them; after a 429 the rate limiter pauses."""
        why = "no answer"
        if isinstance(failure, ApiError):
            # Any other text of a server may be a post's.
            code = failure.code if re.fullmatch("[A-Z0-9_]{1,60}", failure.code) else ""
            why = f"HTTP {failure.status} {code}".rstrip()
        _log.info("retry: %s, try %d after %s", what, attempt + 1, why)
        if not isinstance(failure, RateLimitError):
            await self._clock.sleep(delay(self._backoff, attempt, self._rng))

    async def _send(self, call: Call) -> Answer:
        """Send once, now; the server clock and the rate limiter learn from the answer."""
        self.requests += 1
        sent = self._clock.monotonic()
        answer = await self._transport.send(call)
        received = self._clock.monotonic()
        if answer.date is not None:
            self._server.learn(answer.date, sent, received)
        self._pace.learn(answer, sent=sent, received=received)
        return answer

    @asynccontextmanager
    async def _permit(self) -> AsyncIterator[Permit]:
        """Wait for the rate limiter, then permit one try; for the engine, because only it resends planned acts (rule 9).

        An unused permit frees its slot.

        Raises
        ------
        WaitTooLong
            If the rate limit requires a wait longer than `max_wait`.
        """
        self._bind()
        async with self._pace.slot():
            permit = Permit(self._send)
            try:
                yield permit
            finally:
                permit.revoke()

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Page]:
        """Read a list to its end, page by page.

        Parameters
        ----------
        path : str
            Such as ``/v1/posts``.
        params : mapping, optional
            The query of the first page.

        Raises
        ------
        ApiError, TransportError, WaitTooLong
            As by `request`.
        DecodeError
            If a page is not a list, or the list repeats itself.
        """
        return pages(lambda query: self.request("GET", path, params=query), params or {})

    async def wait(self, answer: Answer, *, timeout: float | str | timedelta = WATCH_FOR) -> Ending:
        """Follow the job of an asynchronous call to its end: poll its post, media files, account or delivery.

        A state from before the act is not taken for its outcome (rule 13).

        Parameters
        ----------
        answer : Answer
            What the call returned.
        timeout : float, str or timedelta
            How long to wait, half an hour by default; what has not ended by then is ``pending``.

        Returns
        -------
        Ending
            ``status outcome records``.

        Raises
        ------
        ConfigError
            If the call was not asynchronous.
        ApiError, TransportError, DecodeError, WaitTooLong
            As by `request`.
        """
        if answer.job is None:
            raise ConfigError(f"{answer.endpoint} has no job to wait for; its answer is the outcome")
        return await self._run(follow(answer.job, self, _seconds("timeout", timeout)))

    async def upload(
        self,
        file: str | os.PathLike[str],
        *,
        content_type: str | None = None,
        progress: Notice | None = None,
        place: Mapping[str, Any] | None = None,
        sha256: str | None = None,
    ) -> str:
        """Upload one file (rows 24 and 33); posts can use the media file once its status is ``ready``.

        The file is read piece by piece, and sent to the storage host only, without API key and cookies.

        Parameters
        ----------
        file : path
            A file of any size.
        content_type : str, optional
            Derived from the file's name by default.
        progress : callable, optional
            Called with the bytes sent and all bytes after each piece, on the client's loop (in another thread for ``ws.client``); it must
            return immediately.
        place : mapping, optional
            Where to: the answer of ``client.media.presign``, or ``{"mediaId": id}`` of one whose bytes have not arrived; by default a new
            media file is requested.
        sha256 : str, optional
            The hash of the file's bytes in hexadecimal digits; another file is not uploaded.

        Returns
        -------
        str
            The media id.

        Raises
        ------
        ValidationError
            With status 0, if the file can't be read or has changed.
        ApiError, TransportError
            If the API or its storage refused the file, or could not be reached.
        """
        return await self._run(upload(self, file, content_type, sha256, progress or (lambda *_: None), place))


def _may_pass(failure: ApiError | TransportError) -> bool:
    """Return whether a failure may be temporary: no answer, 429, 5xx, 408, or the same key still in progress."""
    if isinstance(failure, TransportError):
        return True
    undecided = failure.status in UNDECIDED and UNDECIDED[failure.status] in {"", failure.code}
    return undecided or is_ambiguous(failure.status)


def _has_results(answer: Answer) -> bool:
    """Whether an answer lists the outcome of each item, whatever its status is."""
    try:
        return isinstance(answer.record.get("results"), list)
    except DecodeError:
        return False
