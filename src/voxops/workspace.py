"""The face: `connect` and `Workspace`. Every method blocks, or is awaited as ``ws.aio.method``; both go through one loop."""

from __future__ import annotations

import atexit
import functools
import math
import os
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar, cast
from urllib.parse import urlsplit

import pandas as pd

from voxops._core import eventloop, safe
from voxops._core.arguments import file_path
from voxops.analytics import analytics
from voxops.api.assumptions import DEFAULT_URL, KEY_RETENTION
from voxops.client import AsyncClient, Secret, is_loopback
from voxops.core import Core
from voxops.engine.engine import Engine
from voxops.errors import ApiError, ConfigError, DecodeError, LedgerError
from voxops.ledger import audit
from voxops.ledger.file import default_path
from voxops.ledger.ledger import Ledger
from voxops.model import Clock
from voxops.run import Run

if TYPE_CHECKING:
    from voxops.archive import Archive
    from voxops.sandbox import Sandbox

__all__ = ["Awaitables", "Workspace", "connect", "open_workspace"]

P = ParamSpec("P")
T = TypeVar("T")

SANDBOX_SPEED = 20.0  # seconds that pass in the embedded sandbox per second of waiting: its queue takes minutes


def _blocking(
    method: Callable[Concatenate[Core, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Workspace, P], T]:
    """A method of the core as a blocking call."""

    @functools.wraps(method)
    def call(self: Workspace, *args: P.args, **kwargs: P.kwargs) -> T:
        return eventloop.run(method(self._core.opened(), *args, **kwargs))

    return cast("Callable[Concatenate[Workspace, P], T]", call)


def _showing(
    method: Callable[Concatenate[Core, P], Coroutine[Any, Any, Run]],
) -> Callable[Concatenate[Workspace, P], Run]:
    """A method of the core as a blocking call that shows its run in the cell."""

    @functools.wraps(method)
    def call(self: Workspace, *args: P.args, **kwargs: P.kwargs) -> Run:
        return eventloop.run(method(self._core.opened(), *args, **kwargs)).show()

    return cast("Callable[Concatenate[Workspace, P], Run]", call)


def _awaitable(
    method: Callable[Concatenate[Core, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Awaitables, P], Awaitable[T]]:
    """A method of the core as an awaitable for any event loop."""

    @functools.wraps(method)
    def call(self: Awaitables, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return eventloop.arun(method(self._core.opened(), *args, **kwargs))

    return cast("Callable[Concatenate[Awaitables, P], Awaitable[T]]", call)


class Awaitables:
    """The methods of a workspace as awaitables: ``await ws.aio.posts(...)``."""

    def __init__(self, core: Core) -> None:
        self._core = core

    posts = _awaitable(Core.posts)
    deliveries = _awaitable(Core.deliveries)
    accounts = _awaitable(Core.accounts)
    check_accounts = _awaitable(Core.check_accounts)
    webhooks = _awaitable(Core.webhooks)
    analytics = _awaitable(analytics)
    validate = _awaitable(Core.validate)
    run = _awaitable(Core.run)
    watch = _awaitable(Core.watch)
    attach = _awaitable(Core.attach)
    reconcile = _awaitable(Core.reconcile)


class Workspace:
    """One workspace of the API: load, act, follow. Made by `connect`; a context manager.

    Attributes
    ----------
    client : AsyncClient
        The async client itself, for what the workspace has no method for; its calls may be awaited on any event loop.
    aio : Awaitables
        The same methods, awaitable.
    name, id : str
        As the API tells them; ``""`` where it does not.
    sandbox : Sandbox or None
        The embedded sandbox, if this workspace lives in one.
    """

    def __init__(self, core: Core, *, ledger: Ledger | None, identity: dict[str, Any], owned: list[Any]) -> None:
        self._core = core
        self._owned = owned
        self.client = core.client
        self.aio = Awaitables(core)
        self._know(identity, ledger)
        _open_workspaces.add(self)
        self.sandbox: Sandbox | None = next((thing for thing in owned if hasattr(thing, "advance")), None)

    def _know(self, identity: dict[str, Any], ledger: Ledger | None) -> None:
        """Take note of whose workspace it is, and of its ledger."""
        self._ledger = ledger
        self.id = str(identity.get("workspaceId") or "")
        self.name = str(identity.get("workspaceName") or "")
        self.plan = str(identity.get("plan") or "").lower()

    posts = _blocking(Core.posts)
    deliveries = _blocking(Core.deliveries)
    accounts = _blocking(Core.accounts)
    check_accounts = _blocking(Core.check_accounts)
    webhooks = _blocking(Core.webhooks)
    analytics = _blocking(analytics)
    validate = _blocking(Core.validate)
    run = _showing(Core.run)
    watch = _showing(Core.watch)
    attach = _showing(Core.attach)
    reconcile = _blocking(Core.reconcile)

    def runs(self) -> pd.DataFrame:
        """Return the runs of this workspace's ledger, newest first; their ids are what `attach` takes.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``run``: ``action campaign state who reason note`` (string), ``created_at`` (UTC), ``succeeded failed
            pending unknown`` (Int64, rows).
        """
        return audit.runs(self._core.opened().engine.ledger)

    def ledger(self) -> pd.DataFrame:
        """Return the audit trail: every row that was ever planned to be sent, who, when, why, and what became of it.

        Returns
        -------
        pandas.DataFrame
            Oldest first: ``action item platform method path idempotency_key state outcome waiting_for error_code error_message
            result_id who reason`` (string), ``attempt batch tries http_status`` (Int64), ``created_at first_sent_at last_sent_at
            settled_at`` (UTC).
        """
        return audit.history(self._core.opened().engine.ledger)

    def archive(self, path: str | os.PathLike[str]) -> Archive:
        """Open an archive of this workspace: its history as Parquet files in a folder.

        Parameters
        ----------
        path : path
            The folder; it need not exist yet. ``archive.sync()`` fills it, and later fetches only what is new or still open.

        Returns
        -------
        Archive

        Raises
        ------
        ConfigError
            If pyarrow or DuckDB is not installed.
        """
        try:
            from voxops.archive import Archive
        except ModuleNotFoundError as error:
            raise ConfigError(f"an archive needs {error.name}: pip install 'voxops[archive]'") from error
        return Archive(path, self.client, workspace=self.id)

    def close(self) -> None:
        """Stop new sends, let what is under way end, say how to go on, and close. Closing twice is closing once."""
        if self not in _open_workspaces:
            return
        _open_workspaces.discard(self)
        forgets = any(isinstance(thing, tempfile.TemporaryDirectory) for thing in self._owned)
        for line in eventloop.run(self._core.close()):
            if not forgets:
                print(line)  # noqa: T201  the last word to the person at the keyboard
        if self._ledger is not None:
            self._ledger.close()
        for thing in self._owned:
            _dispose(thing)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        where = "the embedded sandbox" if self.sandbox is not None else self.client.url
        limit = self.client.pace.limit
        rows = {
            "address": where + ("" if self in _open_workspaces else ", closed"),
            "ledger": self._ledger_told(),
            "rate limit": "not told yet" if limit is None else f"{limit:,} requests a minute",
        }
        cells = [[name, safe.escape(value, 500)] for name, value in rows.items()]
        return safe.table(["Workspace", self.name or self.id or "of unknown identity"], cells)

    def _ledger_told(self) -> str:
        """Where the ledger is, as a notebook may show it: not whose machine this is."""
        if self._ledger is None:
            return "none: nothing can be run"
        path = self._ledger.path
        if any(isinstance(thing, tempfile.TemporaryDirectory) for thing in self._owned):
            return "a temporary one, which ends with this workspace"
        return f"~/{path.relative_to(Path.home()).as_posix()}" if path.is_relative_to(Path.home()) else str(path)

    def __repr__(self) -> str:
        where = "sandbox" if self.sandbox is not None else self.client.url
        where += ", closed" if self not in _open_workspaces else ""
        return f"<Workspace {self.name or self.id or 'of unknown identity'} at {where}>"


def connect(
    api_key: str | None = None,
    *,
    url: str | None = None,
    sandbox: bool | Sandbox = False,
    ledger: str | os.PathLike[str] | None = None,
    key_retention: str = KEY_RETENTION,
    max_wait: str = "5min",
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
    key_retention : str
        How long the API remembers an idempotency key, such as ``"24h"``; treated as an hour less.
    max_wait : str
        How long a call waits for the rate limit before it gives up, resumably.

    Returns
    -------
    Workspace

    Raises
    ------
    ConfigError
        If there is no key, or the address can't be used: it redirects, or answers with a web page.
    AuthError
        If the API refuses the key.
    TransportError
        If nobody answers.
    LedgerError
        If the ledger can't be used.
    """
    secret = Secret(api_key)
    del api_key  # so that no traceback from here on finds it among the local variables
    retention, patience = _seconds("key_retention", key_retention), _seconds("max_wait", max_wait)
    path = None if ledger is None else file_path("ledger", ledger)
    owned: list[Any] = []
    if sandbox:
        server = _sandbox(sandbox, owned)
        client = _sandbox_client(server, patience, speed=SANDBOX_SPEED if server in owned else math.inf)
        if path is None and not server.kept:  # it forgets everything when it stops, and so does its ledger
            folder = tempfile.TemporaryDirectory(prefix="voxops-")
            owned.append(folder)
            path = Path(folder.name) / "ledger.sqlite"
    else:
        client = _client(secret, url, patience)
    return eventloop.run(open_workspace(client, ledger=path, retention=retention, owned=owned))


async def open_workspace(
    client: AsyncClient,
    *,
    ledger: Path | None,
    retention: float = 86_400.0,
    owned: Sequence[Any] = (),
) -> Workspace:
    """Read who we are, open the ledger that belongs to it, and put the workspace together; `owned` ends with it."""
    owned = list(owned)
    client.bind_loop(eventloop.arun)
    try:
        identity, book, engine = await _enrol(client, ledger, retention)
    except BaseException:
        await client.aclose()
        for thing in owned:
            _dispose(thing)
        raise
    core = Core(client, engine, client.url)
    workspace = Workspace(core, ledger=book, identity=identity, owned=owned)

    async def again() -> Engine | None:
        identity, book, engine = await _enrol(client, ledger, retention)
        workspace._know(identity, book)
        return engine

    core.enrol_by(again)
    return workspace


async def _enrol(
    client: AsyncClient, ledger: Path | None, retention: float
) -> tuple[dict[str, Any], Ledger | None, Engine | None]:
    """Who we are, the ledger that belongs to it, and the engine; without an identity there are neither."""
    identity = await _identity(client)
    book = _ledger(client.url, ledger, identity)
    if book is None:
        return identity, None, None
    return identity, book, Engine(client, book, credential=client.fingerprint(book.credential), retention=retention)


async def _identity(client: AsyncClient) -> dict[str, Any]:
    """Who the key belongs to; empty where the API won't tell, which neither a refused key nor a wrong address may be."""
    try:
        return dict(await client.identity())
    except DecodeError as error:
        raise ConfigError(str(error)) from error
    except ApiError as error:
        if (
            300 <= error.status < 400 or error.body.lstrip()[:1] == b"<"
        ):  # a page: of another site, or of what stands before the API
            raise ConfigError(str(error)) from error
        if error.status == 401:
            raise
        return {}


def _ledger(url: str, ledger: Path | None, identity: dict[str, Any]) -> Ledger | None:
    """The workspace's ledger; None where the API does not name the workspace: nothing is sent then (rule 23)."""
    workspace = str(identity.get("workspaceId") or "")
    if not workspace:
        return None
    host = urlsplit(url).hostname or ""
    book = Ledger(ledger or default_path("localhost" if is_loopback(host) else host, workspace))
    try:
        book.belong(workspace)
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
    """A variable of the environment; in a frame of its own, since a verbose traceback prints what its lines look at."""
    return os.environ.get(name)


def _sandbox(sandbox: Sandbox | Literal[True], owned: list[Any]) -> Sandbox:
    """The sandbox that was handed in, or one of our own, started."""
    from voxops.sandbox import Sandbox

    if sandbox is not True:
        if not isinstance(sandbox, Sandbox):
            raise ConfigError(f"sandbox={sandbox!r} must be True or a Sandbox")
        try:
            sandbox.url  # noqa: B018  raises where nobody listens
        except RuntimeError as error:
            raise ConfigError(str(error)) from None
        return sandbox
    owned.append(Sandbox().start())
    return cast("Sandbox", owned[-1])


def _sandbox_client(server: Sandbox, max_wait: float, *, speed: float) -> AsyncClient:
    """A client for the API on this machine, whose time is the sandbox's; `speed` is how fast a standing clock is waited on."""
    from voxops.client import ScaledClock, SteppedClock

    clock: Clock = ScaledClock(server.speed) if server.speed > 0 else SteppedClock(server.advance, speed=speed)
    return AsyncClient(server.api_key, url=server.url, max_wait=max_wait, clock=clock)


def _seconds(name: str, text: str) -> float:
    """A length of time in seconds; a bare number has no unit and is refused."""
    try:
        seconds = pd.Timedelta(text).total_seconds() if isinstance(text, str | timedelta) else math.nan
    except ValueError:
        seconds = math.nan
    if isinstance(text, str) and text.strip().replace(".", "", 1).isdigit():
        seconds = math.nan
    if not seconds > 0:
        raise ConfigError(f"{name}={text!r} is no length of time; write it as '24h', '5min' or '30s'")
    return seconds


_open_workspaces: weakref.WeakSet[Workspace] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """At the interpreter's exit: stop new sends, let what is under way end, say how to go on (rule 22)."""
    for workspace in list(_open_workspaces):
        workspace.close()


def _dispose(thing: Any) -> None:
    """End something that the workspace started."""
    (thing.stop if hasattr(thing, "stop") else thing.cleanup)()
