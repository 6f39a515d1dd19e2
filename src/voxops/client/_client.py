"""The client: the typed methods of the API over one pace and one pool of connections."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar
from uuid import UUID

from voxops.api import limits
from voxops.api.assumptions import DEFAULT_URL
from voxops.api.matrix import find, may_resend
from voxops.client import _checks as checks
from voxops.client._calls import READS, Call, KeyBook, encoded, freeze
from voxops.client._clock import SystemClock
from voxops.client._pages import Page, pages
from voxops.client._reply import Reply, single
from voxops.client._secret import Secret
from voxops.client._sending import Carrier, Permit, Sending
from voxops.client._transport import Transport, base_url
from voxops.client.accounts import Accounts
from voxops.client.media import Media
from voxops.client.posts import Posts
from voxops.client.uploads import Uploads
from voxops.client.webhooks import Webhooks
from voxops.errors import ConfigError
from voxops.model import Clock, PaceInfo

__all__ = ["AsyncClient"]

T = TypeVar("T")

_BATCH_PATIENCE = limits.BATCH_SECONDS + 15.0  # seconds to wait for the answer to a batch


class AsyncClient:
    """The VoxBurst API for scripts and services; notebooks use ``vx.connect``.

    Reads are sent again after a lost connection, a 429 or a 5xx. Writes are sent again only as their row of the matrix allows, under
    one key that stays the same over all tries; connecting an account and rotating a secret are never sent twice. That nothing is
    done twice *across calls and crashes* is promised for plans alone (``ws.run(plan)``). All calls share one pace, which follows
    the API's rate limit.

    A client belongs to the event loop that first uses it, and refuses any other; only that of a workspace (``ws.client``), which
    lives on voxops's own loop, may be used on all.

    Parameters
    ----------
    api_key : str or Secret
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
    posts, accounts, media, webhooks, uploads
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

    url: str = ""  # so that even a client that could not be made has a repr, for tracebacks

    def __init__(
        self,
        api_key: str | Secret,
        *,
        url: str = DEFAULT_URL,
        max_wait: float = 300.0,
        timeout: float = 30.0,
        concurrency: int = 10,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._secret = api_key if isinstance(api_key, Secret) else Secret(api_key)
        del api_key  # so that no traceback from here on finds it among the local variables
        self._secret.check()
        if concurrency < 1:
            raise ConfigError(f"concurrency={concurrency}; at least one request must be under way at once")
        self.url = base_url(url)
        self.clock: Clock = SystemClock() if clock is None else clock
        self._rng = random.SystemRandom() if rng is None else rng
        transport = Transport(self._secret, self.url, timeout=timeout, concurrency=concurrency)
        self._sending = Sending(transport, self.clock, self._rng, concurrency=concurrency, max_wait=max_wait)
        self._keys = KeyBook()
        self.posts = Posts(self)
        self.accounts = Accounts(self)
        self.media = Media(self)
        self.webhooks = Webhooks(self)
        self.uploads = Uploads(self, self._sending)

    async def aclose(self) -> None:
        """Close all connections; the client can't be used after that."""
        await self._sending.close()

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
        return self._sending.pace

    @property
    def requests(self) -> int:
        """Requests sent to the API so far, repeated ones included."""
        return self._sending.requests

    def now(self) -> datetime:
        """Return the server's time, in UTC; this machine's before the first answer."""
        return self._sending.now()

    def reside(self, carrier: Carrier) -> None:
        """Live on one event loop, and be of use on all: `carrier` does work on that loop, and is awaited from any other."""
        self._sending.reside(carrier)

    def fingerprint(self, digest: Callable[[str], T]) -> T:
        """Hand the API key to a one-way function, such as a ledger's salted hash, and return what it makes of it."""
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
            If the API answered with an error; a ConflictError with status 0 if this client used the key for another request.
        TransportError
            If no answer came.
        WaitTooLong
            If the rate limit asks for more than `max_wait`; nothing was sent then.
        ValidationError
            With status 0, if the request is refused before it is sent: a limit is broken, or it is a write that no row governs.
        """
        method = method.upper()
        reads = method in READS
        row = None if reads else find(method, path)
        if not reads and row is None:
            checks.refuse("path", f"no row of the matrix governs {method} {path}; send it once with client.raw()")
        if not reads and idempotency_key is None:
            idempotency_key = str(UUID(int=self._rng.getrandbits(128), version=4))
        resend = reads or may_resend(row, with_key=True)
        call = freeze(method, path, params=params, json=json, key=idempotency_key, version=version, resend=resend)
        return await self._sending.at_home(self._checked(call, accept))

    async def _checked(self, call: Call, accept: Collection[int]) -> Reply:
        """Send a call whose key was used for no other, on the client's own loop, which alone writes the book of keys."""
        self._keys.check(call)
        return await self._sending.carry(call, accept)

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
        return await self._sending.carry(freeze(method, path, params=params, json=json, key=idempotency_key))

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
        checks.check_operations(operations, lambda body: 0 if body is None else len(encoded(body)))
        body = {"operations": [dict(operation) for operation in operations], "continueOnError": continue_on_error}
        call = freeze("POST", "/v1/batch", json=body, key=idempotency_key, timeout=_BATCH_PATIENCE)
        return single(await self._sending.carry(call))

    def permit(self) -> AbstractAsyncContextManager[Permit]:
        """Wait for the shared pace, then hold the right to one try; for the engine, which alone resends planned acts (rule 10).

        A permit that is not used gives its place back.

        Raises
        ------
        WaitTooLong
            If the rate limit asks for more than `max_wait`.
        """
        return self._sending.permit()

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
