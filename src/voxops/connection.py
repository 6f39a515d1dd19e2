"""Connecting: who we are, which ledger is ours, and the workspace put together; or the API on this machine."""

from __future__ import annotations

import math
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pandas as pd

from voxops._support import eventloop
from voxops._support.arguments import file_path
from voxops.api.assumptions import DEFAULT_URL, KEY_RETENTION
from voxops.client import AsyncClient, ScaledClock, Secret, SteppedClock, is_loopback
from voxops.engine.engine import Engine
from voxops.errors import ApiError, ConfigError, DecodeError, LedgerError, WaitTooLong
from voxops.frames.times import plain_units
from voxops.ledger import Ledger
from voxops.ledger.file import default_path
from voxops.loading.loader import Settings
from voxops.model import Clock
from voxops.workspace import Resources, Session, Workspace

if TYPE_CHECKING:
    from voxburst_sandbox import Sandbox


SANDBOX_SPEED = 20.0  # seconds that pass in the embedded sandbox per second of waiting: its queue takes minutes


def connect(
    api_key: str | None = None,
    *,
    url: str | None = None,
    sandbox: bool | Sandbox = False,
    ledger: str | os.PathLike[str] | None = None,
    key_retention: str | timedelta = KEY_RETENTION,
    max_wait: str | timedelta = "5min",
    tz: str | None = None,
    owner: str | None = None,
    campaign: str | None = None,
    tags: str | None = None,
    archive: str | os.PathLike[str] | None = None,
) -> Workspace:
    """Connect to a workspace.

    Parameters
    ----------
    api_key : str, optional
        Default: the environment variable ``VOXBURST_API_KEY``.
    url : str, optional
        The API's address, with or without ``/v1``; default: ``VOXBURST_API_URL``, then the public API. Plain http is taken
        only for this machine.
    sandbox : bool or Sandbox
        True starts the API on this machine, with a seeded campaign; needs neither key nor url. A Sandbox of your own is
        taken as it is; where its clock stands still, time passes when somebody waits.
    ledger : path, optional
        Where keys and outcomes are kept; default: a file in your data folder, named by host and workspace.
    key_retention : str or timedelta
        How long the API remembers an idempotency key, such as ``"24h"``; one hour less is relied on.
    max_wait : str or timedelta
        How long a call waits for the rate limit before it gives up, resumably.
    tz : str, optional
        The time zone in which views, plots, reports, panels and sheets show times and in which ``since="today"`` and
        ``since="yesterday"`` begin, such as ``"Europe/Berlin"``; default: ``VOXOPS_TZ``, then UTC. Data stay in UTC.
    owner, campaign, tags : str, optional
        Which field of the posts' metadata says whose a post is, of which campaign, and under which tags, such as
        ``"metadata.owner"``; default: ``VOXOPS_OWNER``, ``VOXOPS_CAMPAIGN`` (where it begins
        with ``metadata.``), ``VOXOPS_TAGS``. Posts and targets then have columns
        of these names, and reports say who must act.
    archive : path, optional
        A folder on which ``ws.posts`` and ``ws.deliveries`` stand: what is settled comes from there, what is open or new from the
        API. The first load of everything fills it. Edits of what was settled are not seen but with ``refresh=True``; the frames'
        ``attrs["archive"]`` say what came from where.

    Returns
    -------
    Workspace

    Notes
    -----
    From here on pandas' own tables are not typeset as formulas (``pd.options.display.html.use_mathjax`` is False): posts are
    text that anybody may have written.

    Raises
    ------
    ConfigError
        If there is no key, or one beside `sandbox`, or the address can't be used: it redirects, or answers with a web page; or a setting is unfit; or the
        archive can't be used: it is another workspace's, or pyarrow or DuckDB is missing.
    AuthError
        If the API refuses the key.
    TransportError
        If nobody answers.
    LedgerError
        If the ledger can't be used.

    Examples
    --------
    >>> ws = vx.connect(sandbox=True)  # or vx.connect() with VOXBURST_API_KEY set
    >>> ws.name
    'Alder Coffee'
    >>> ws.close()
    """
    named, secret = api_key is not None, Secret(api_key)
    kind = type(api_key).__name__
    del api_key  # so that no traceback from here on finds it among the local variables
    if named and not secret.expose_to(bool):
        # The environment's key may be that of another workspace.
        raise ConfigError(
            f"api_key= is {'blank' if kind == 'str' else f'of type {kind}'}, not a key; leave it out to take VOXBURST_API_KEY"
        )
    if sandbox and (named or url is not None):
        raise ConfigError(
            "sandbox= is the API on this machine, and api_key= or url= another one; leave one of them out"
        )
    retention, patience = _seconds("key_retention", key_retention), _seconds("max_wait", max_wait)
    path = None if ledger is None else _absolute("ledger", ledger)
    passed = {"tz": tz, "owner": owner, "campaign": campaign, "tags": tags}
    settings = Settings.read({name: _setting(name) if value is None else value for name, value in passed.items()})
    disk = None if archive is None else _absolute("archive", archive)
    # Frames hold what strangers wrote, and pandas lets MathJax typeset it: a formula in a post's text would be a link.
    pd.set_option("display.html.use_mathjax", False)
    resources = Resources()
    if sandbox:
        server = _sandbox(sandbox, resources)
        # Who waits moves a clock that stands still; a sandbox of one's own is waited for at once.
        speed = SANDBOX_SPEED if server is resources.sandbox else math.inf
        clock: Clock = ScaledClock(server.speed) if server.speed > 0 else SteppedClock(server.advance, speed=speed)
        client = AsyncClient(server.api_key, url=server.url, max_wait=patience, clock=clock)
        if path is None and not server.kept:  # it forgets everything when it stops, and so does its ledger
            path = resources.temporary_ledger()
    else:
        client = _client(secret, url, patience)
    opened = open_workspace(client, ledger=path, retention=retention, resources=resources, settings=settings)
    workspace = eventloop.run(opened)
    if disk is not None:
        try:
            _use_archive(workspace, resources, disk)
        except ConfigError:
            workspace.close()
            raise
    return workspace


def _use_archive(workspace: Workspace, resources: Resources, path: Path) -> None:
    """Let loads take from an archive what is settled."""
    if not workspace.id:
        raise ConfigError("the API does not name the workspace, so whose archive is it? Connect without archive=")
    resources.archive = workspace.archive(path)
    resources.archive.loads.state()  # raises where it is another workspace's
    workspace._session.use_disk(resources.archive.loads)


async def open_workspace(
    client: AsyncClient,
    *,
    ledger: Path | None,
    retention: float = 86_400.0,
    resources: Resources | None = None,
    settings: Settings | None = None,
) -> Workspace:
    """Read who we are, open the ledger that belongs to it, and put the workspace together; `resources` end with it."""
    resources = resources or Resources()
    client.bind_loop(eventloop.arun)
    try:
        identity, book, engine = await _identified(client, ledger, retention)
    except BaseException:
        await client.aclose()
        resources.stack.close()
        raise

    async def identify() -> Engine | None:
        identity, book, engine = await _identified(client, ledger, retention)
        workspace.identify(identity, book)
        return engine

    session = Session(client, engine, client.url, identify, settings)
    workspace = Workspace(session, ledger=book, identity=identity, resources=resources)
    return workspace


def _absolute(name: str, value: str | os.PathLike[str]) -> Path:
    """A path as it is meant now: the file is opened when the workspace is known, and the notebook may have changed its folder by then."""
    try:
        return file_path(name, value).absolute()
    except OSError:
        raise ConfigError(
            f"{name}={str(value)!r} lies in a working folder that exists no more; write it out."
        ) from None


async def _identified(
    client: AsyncClient, ledger: Path | None, retention: float
) -> tuple[dict[str, Any], Ledger | None, Engine | None]:
    """Who we are, the ledger that belongs to it, and the engine; without an identity there are neither."""
    identity = await _identity(client)
    book = _ledger(client, ledger, identity)
    if book is None:
        return identity, None, None
    return identity, book, Engine(client, book, credential=client.fingerprint(book.fingerprint), retention=retention)


async def _identity(client: AsyncClient) -> dict[str, Any]:
    """Who the key belongs to; empty where the API won't tell, which neither a refused key nor a wrong address may be."""
    try:
        return dict(await client.identity())
    except DecodeError as error:
        raise ConfigError(str(error)) from error
    except WaitTooLong:
        raise
    except ApiError as error:
        # A page: of another site, or of what stands before the API.
        if 300 <= error.status < 400 or error.body.lstrip()[:1] == b"<":
            raise ConfigError(str(error)) from error
        if error.status == 401:
            raise
        return {}


def _ledger(client: AsyncClient, ledger: Path | None, identity: dict[str, Any]) -> Ledger | None:
    """The workspace's ledger, in server time (rule 21); None where the API names no workspace: nothing is sent then (rule 23)."""
    workspace = str(identity.get("workspaceId") or "")
    if not workspace:
        return None
    host = urlsplit(client.url).hostname or ""
    host = "localhost" if is_loopback(host) else host
    path = ledger or default_path(host, workspace)
    book = Ledger(path, clock=lambda: client.now().timestamp())
    try:
        book.belong_to(workspace, host)
    except LedgerError:
        book.close()
        raise
    return book


def _client(secret: Secret, url: str | None, max_wait: float) -> AsyncClient:
    """A client for the real API."""
    if not secret.expose_to(bool):
        secret = Secret(_environment("VOXBURST_API_KEY"))
    if not secret.expose_to(bool):
        raise ConfigError("no API key: set VOXBURST_API_KEY or pass api_key=; vx.connect(sandbox=True) needs none")
    return AsyncClient(secret, url=url or _environment("VOXBURST_API_URL") or DEFAULT_URL, max_wait=max_wait)


def _environment(name: str) -> str | None:
    """A variable of the environment; a function of its own, since a verbose traceback prints what its lines look at."""
    return os.environ.get(name)


def _setting(name: str) -> str | None:
    """A setting of the environment, such as ``VOXOPS_TZ``; a campaign's own name, as our notebooks take it, is none."""
    value = _environment(f"VOXOPS_{name.upper()}")
    return None if name == "campaign" and not (value or "").startswith("metadata.") else value


def _sandbox(sandbox: Sandbox | Literal[True], resources: Resources) -> Sandbox:
    """The sandbox that was passed, or one of our own, started."""
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


def _seconds(name: str, text: str | timedelta) -> float:
    """A duration in seconds; a bare number has no unit and is refused."""
    try:
        length = plain_units(text) if isinstance(text, str) else text
        seconds = pd.Timedelta(length).total_seconds() if isinstance(length, str | timedelta) else math.nan
    except ValueError:
        seconds = math.nan
    if isinstance(text, str) and text.strip().replace(".", "", 1).isdigit():
        seconds = math.nan
    if not seconds > 0:
        raise ConfigError(f"{name}={text!r} is not a duration; write it as '24h', '5min' or '30s'")
    return seconds
