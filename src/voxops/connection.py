"""Connect: read the workspace's identity, open its ledger, and return the workspace; or start the API on this machine."""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import pandas as pd

from voxops._support import eventloop
from voxops._support.arguments import file_path, true_or_false
from voxops.api.assumptions import KEY_RETENTION
from voxops.client import AsyncClient, Secret, SteppedClock, SystemClock, environment, is_loopback
from voxops.engine.engine import Engine
from voxops.errors import ApiError, ConfigError, DecodeError, LedgerError, WaitTooLong
from voxops.frames.times import seconds
from voxops.ledger.file import default_path
from voxops.ledger.ledger import Ledger
from voxops.loading.loader import Settings
from voxops.model import Clock
from voxops.workspace import Resources, Session, Workspace

if TYPE_CHECKING:
    from voxburst_sandbox import Sandbox
    from voxops.client.transport import AsyncTransport, Verify


SANDBOX_SPEED = 20.0  # speed of the embedded sandbox's clock during waits: its queue takes minutes


P = ParamSpec("P")
T = TypeVar("T")


def _blocking(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """A coroutine function as a blocking call."""

    @functools.wraps(work)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            begun = work(*args, **kwargs)
        finally:
            del args, kwargs  # so that no traceback from here on finds the key among the local variables
        return eventloop.run(begun)

    return call


def _awaitable(blocking: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The twin of a blocking call, for any event loop."""

    @functools.wraps(blocking)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            begun: Coroutine[Any, Any, T] = inspect.unwrap(blocking)(*args, **kwargs)
        finally:
            del args, kwargs
        return await eventloop.arun(begun)

    return call


@_blocking
async def connect(
    api_key: str | None = None,
    *,
    url: str | None = None,
    sandbox: bool | Sandbox = False,
    ledger: str | os.PathLike[str] | None = None,
    key_retention: str | timedelta = KEY_RETENTION,
    max_wait: str | timedelta = "5min",
    timeout: float | str | timedelta = 30.0,
    concurrency: int = 10,
    proxy: str | None = None,
    verify: Verify = True,
    transport: AsyncTransport | None = None,
    tz: str | None = None,
    owner_field: str | None = None,
    campaign_field: str | None = None,
    tags_field: str | None = None,
    alone: bool = False,
) -> Workspace:
    """Connect to a workspace.

    Parameters
    ----------
    api_key : str, optional
        Default: the environment variable ``VOXBURST_API_KEY``.
    url : str, optional
        The API's address, with or without ``/v1``; default: ``VOXBURST_API_URL``, then the public API. Plain http is
        accepted only for this machine.
    sandbox : bool or Sandbox
        True starts the API on this machine, with a seeded campaign; needs neither key nor url. Your own Sandbox is used as it is; if its
        clock is stopped, waits move it.
    ledger : path, optional
        The file of keys and outcomes; default: a file in your data folder, named by host and workspace.
    key_retention : str or timedelta
        How long the API remembers an idempotency key, such as ``"24h"``; voxops relies on one hour less.
    max_wait : str or timedelta
        The longest pause of a call for the rate limit; a longer one stops the run, which can be resumed.
    timeout : float, str or timedelta
        How long a request may take: connection, sending and the whole answer. Seconds, or such as ``"30s"``; an upload has more, by its
        size.
    concurrency : int
        Maximum number of requests in flight.
    proxy : str, optional
        Address of a proxy; default: ``HTTPS_PROXY`` or ``ALL_PROXY``, but for hosts in ``NO_PROXY``. An API on this machine has none.
    verify : True, path or ssl.SSLContext
        File of the certificates to trust; default: that of ``SSL_CERT_FILE``, then the HTTP library's own.
    transport : httpx.AsyncBaseTransport, optional
        Sends the requests instead of connections of voxops's own.
    tz : str, optional
        The time zone in which views, plots, reports, panels and sheets show times and in which ``since="today"`` and
        ``since="yesterday"`` begin, such as ``"Europe/Berlin"``; default: ``VOXOPS_TZ``, then UTC. Data stay in UTC.
    owner_field, campaign_field, tags_field : str, optional
        The metadata field of a post's owner, campaign or tags, such as ``"owner"`` (``"metadata.owner"`` is the same); default:
        ``VOXOPS_OWNER_FIELD``, ``VOXOPS_CAMPAIGN_FIELD``, ``VOXOPS_TAGS_FIELD``. Posts and targets then have columns
        ``owner campaign tags``, and reports name who must act. What a sheet has in ``owner`` and ``campaign`` is sent in these
        fields of the posts that are created from it.
    alone : bool
        Only this ledger creates posts in the workspace. Needed where the API's lists hide the metadata of posts, so that another laptop's
        posts would not be found; creates are blocked there otherwise (rule 11).

    Returns
    -------
    Workspace

    Notes
    -----
    It sets ``pd.options.display.html.use_mathjax`` to False: posts are untrusted text, and pandas would typeset formulas in them.

    Raises
    ------
    ConfigError
        If there is no key, or one together with `sandbox`; if the address redirects or returns a web page; or if a setting is unfit.
    AuthError
        If the API refuses the key.
    TransportError
        If there is no response.
    LedgerError
        If the ledger can't be used.

    Examples
    --------
    >>> ws = vx.connect(sandbox=True)  # or vx.connect() with VOXBURST_API_KEY set
    >>> ws.name
    'Alder Coffee'
    >>> ws.close()
    """
    secret, kind = Secret(api_key), None if api_key is None else type(api_key).__name__
    # So that no traceback from here on finds the key or a password among the local variables.
    url, proxy = (place and Secret(place) for place in (url, proxy))  # type: ignore[assignment]
    del api_key
    if kind is not None and not secret.expose_to(bool):
        # The environment's key may belong to another workspace.
        raise ConfigError(
            f"api_key= is {'blank' if kind == 'str' else f'of type {kind}'}, not a key; omit it to use VOXBURST_API_KEY"
        )
    if sandbox and (kind is not None or url is not None):
        raise ConfigError("sandbox= is the API on this machine, and api_key= or url= another API; omit one of them")
    path = None if ledger is None else _absolute("ledger", ledger)
    alone = true_or_false("alone", alone)
    retention, patience = seconds("key_retention", key_retention), seconds("max_wait", max_wait)
    values = {"tz": tz, "owner_field": owner_field, "campaign_field": campaign_field, "tags_field": tags_field}
    settings = Settings.read(
        {name: environment(f"VOXOPS_{name.upper()}") if value is None else value for name, value in values.items()}
    )
    # Frames contain untrusted text, which pandas lets MathJax typeset: a formula in a post's text could be a link.
    pd.set_option("display.html.use_mathjax", False)
    resources = Resources()
    client_with = functools.partial(
        AsyncClient, max_wait=patience, timeout=timeout, concurrency=concurrency, proxy=proxy, verify=verify, transport=transport
    )  # fmt: skip
    if sandbox:
        server = _sandbox(sandbox, resources)
        speed = SANDBOX_SPEED if server is resources.sandbox else math.inf
        clock: Clock = SystemClock(server.speed) if server.speed > 0 else SteppedClock(server.advance, speed=speed)
        client = client_with(server.api_key, url=server.url, _clock=clock)
        if path is None and not server.kept:  # its state and its ledger end with it
            path = resources.temporary_ledger()
    else:
        client = client_with(None if kind is None else secret, url=url or None)
    return await open_workspace(
        client, ledger=path, retention=retention, resources=resources, settings=settings, alone=alone
    )


aconnect = _awaitable(connect)
aconnect.__name__ = aconnect.__qualname__ = "aconnect"
aconnect.__doc__ = """Connect to a workspace from any event loop: `connect` as a coroutine, for scripts and services.

Parameters, results and errors are those of `connect`. ``async with`` closes the workspace; its methods are awaited on ``ws.aio``.

Returns
-------
Workspace

Examples
--------
>>> import asyncio
>>> async def count() -> int:
...     async with await vx.aconnect(sandbox=True) as ws:
...         return len(await ws.aio.posts(limit=3))
>>> asyncio.run(count())
3
"""


async def open_workspace(
    client: AsyncClient,
    *,
    ledger: Path | None,
    retention: float = 86_400.0,
    resources: Resources | None = None,
    settings: Settings | None = None,
    alone: bool = False,
) -> Workspace:
    """Read the identity, open the workspace's ledger, and return the workspace; `resources` end with it."""
    resources = resources or Resources()
    client._bind_loop(eventloop.arun)
    people = {name: field.removeprefix("metadata.") for name, field in (settings or Settings()).people.items()}
    try:
        identity, book, engine = await _identified(client, ledger, retention, people, alone=alone)
    except BaseException:
        await client.aclose()
        resources.stack.close()
        raise

    async def identify() -> Engine | None:
        identity, book, engine = await _identified(client, ledger, retention, people, alone=alone)
        workspace._identify(identity, book)
        return engine

    session = Session(client, engine, client.url, identify, settings or Settings())
    workspace = Workspace(session, ledger=book, identity=identity, resources=resources)
    return workspace


def _absolute(name: str, value: str | os.PathLike[str]) -> Path:
    """Return an absolute path: the notebook may change its folder before the file is opened."""
    try:
        return file_path(name, value).absolute()
    except OSError:
        raise ConfigError(
            f"{name}={str(value)!r} is relative to a working folder that no longer exists; pass the absolute path."
        ) from None


async def _identified(
    client: AsyncClient, ledger: Path | None, retention: float, people: Mapping[str, str], *, alone: bool
) -> tuple[dict[str, Any], Ledger | None, Engine | None]:
    """Return the identity, the workspace's ledger and the engine; the latter are None without an identity."""
    identity = await _identity(client)
    book = _ledger(client, ledger, identity)
    if book is None:
        return identity, None, None
    credential = client._secret.expose_to(book.fingerprint)
    return identity, book, Engine(client, book, credential=credential, retention=retention, people=people, alone=alone)


async def _identity(client: AsyncClient) -> dict[str, Any]:
    """Return the workspace of the key; empty if the API does not return it. A refused key or a wrong address is an error."""
    try:
        return dict(await client.identity())
    except DecodeError as error:
        raise ConfigError(str(error)) from error
    except WaitTooLong:
        raise
    except ApiError as error:
        # A web page, of another site or a proxy.
        if 300 <= error.status < 400 or error.body.lstrip()[:1] == b"<":
            raise ConfigError(str(error)) from error
        if error.status == 401:
            raise
        return {}


def _ledger(client: AsyncClient, ledger: Path | None, identity: dict[str, Any]) -> Ledger | None:
    """Open the workspace's ledger, in server time (rule 15); None if the API names no workspace, so that nothing is sent (rule 9)."""
    workspace = str(identity.get("workspaceId") or "")
    if not workspace:
        return None
    host = urlsplit(client.url).hostname or ""
    host = "localhost" if is_loopback(host) else host
    path = ledger or default_path(host, workspace)
    book = Ledger(path)
    try:
        book.belong_to(workspace, host)
    except LedgerError:
        book.close()
        raise
    return book


def _sandbox(sandbox: bool | Sandbox, resources: Resources) -> Sandbox:
    """Return the passed sandbox, or start one."""
    from voxburst_sandbox import Sandbox

    if sandbox is not True:
        if not isinstance(sandbox, Sandbox):
            raise ConfigError(f"sandbox={sandbox!r} must be True or a Sandbox")
        try:
            sandbox.url  # noqa: B018  raises where nobody listens
        except RuntimeError as error:
            raise ConfigError(str(error)) from None
        return sandbox
    started = Sandbox().start()
    resources.sandbox = started
    resources.stack.callback(started.stop)
    return started
