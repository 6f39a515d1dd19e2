"""The sandbox as a server on three ports of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shlex
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from errno import EINVAL
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.routing import Router, request_response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from voxburst_sandbox import accounts, control, media, publishing, seed, webhooks
from voxburst_sandbox.app import Api
from voxburst_sandbox.control import Remote
from voxburst_sandbox.gates import CONNECTION, Guard, Limiter
from voxburst_sandbox.media import Storage
from voxburst_sandbox.store import Disk
from voxburst_sandbox.switches import Switches
from voxburst_sandbox.webhooks import Receiver
from voxburst_sandbox.world import START, VirtualClock, World
from voxburst_sandbox.world import real_time as system_time


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two files: `authority` for clients to trust, `server` with its private key."""

    authority: Path
    server: Path

    def client_context(self) -> ssl.SSLContext:
        """Return the settings of a client that trusts this sandbox alone."""
        return ssl.create_default_context(cafile=self.authority)


def make_certificate(folder: Path) -> Certificate:
    """Return the certificate in a folder, created if there is none; the authority's own key is never written.

    Parameters
    ----------
    folder : Path
        Where ``sandbox-ca.pem`` and ``sandbox-server.pem`` (readable by this user alone) lie.

    Raises
    ------
    OSError
        If the library that makes certificates is not installed, the folder can't be written, or somebody else made the files or could
        replace them. Whoever has the authority's key can read what clients send.
    """
    made = Certificate(folder / "sandbox-ca.pem", folder / "sandbox-server.pem")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (_is_mine(folder.stat()) and folder.stat().st_mode & 0o022 == 0):
        raise OSError(f"{folder} is another user's, or others may write in it; name a folder of your own for --tls")
    there = [path for path in (made.authority, made.server) if os.path.lexists(path)]
    for path in there:
        if not (_is_mine(path.lstat()) and path.is_file() and not path.is_symlink()):
            raise OSError(f"{path} is a link, or another user's; remove it, or name another folder for --tls")
    if len(there) == 2:
        return made
    try:
        import trustme  # an optional package: only this option needs it
    except ImportError as error:
        raise OSError("certificates need the package trustme: pip install 'voxops[tls]'") from error
    authority = trustme.CA(organization_name="voxops sandbox")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    for path in there:  # half of a pair
        path.unlink()
    for path, pem in ((made.authority, authority.cert_pem), (made.server, issued.private_key_and_cert_chain_pem)):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem.bytes())
    return made


def _is_mine(found: os.stat_result) -> bool:
    """Return whether a file is this user's; always on systems without users."""
    return os.name != "posix" or found.st_uid == os.geteuid()


Connections = dict[tuple[Any, Any], asyncio.Transport]


def listen(port: int) -> socket.socket:
    """Return a loopback socket."""
    # With the protocol named, asyncio switches Nagle off; without it small answers wait 40 ms for an acknowledgement.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        sock.close()
        number, why = (error.errno, error.strerror) if isinstance(error, OSError) else (EINVAL, "not a valid port")
        raise OSError(number, f"port {port} on 127.0.0.1 can't be used: {why}") from None
    sock.listen(512)
    return sock


def listen_all(numbers: Iterable[int]) -> list[socket.socket]:
    """Return a loopback socket for each port, or none at all if one can't be used."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(listen(number)) for number in numbers]
        stack.pop_all()
        return sockets


class PortServer(uvicorn.Server):
    """A server that reports when it is ready, and stops immediately instead of polling ten times a second."""

    def __init__(
        self, config: uvicorn.Config, ready: threading.Event, before_stop: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._before_stop = before_stop
        self._leave = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then report it."""
        await super().startup(sockets=sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        """Wait for `leave`."""
        await self._leave.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cancel background tasks, then close the connections; open requests get a second to end."""
        await self._before_stop()
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        if not await self._has_ended(within=1.0):
            for connection in list(state.connections):
                connection.transport.abort()
            for task in list(state.tasks):
                task.cancel()
            await self._has_ended(within=1.0)

    async def _has_ended(self, *, within: float) -> bool:
        """Whether all connections and requests end in so many seconds."""
        state = self.server_state
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while state.connections or state.tasks:  # noqa: ASYNC110  uvicorn has no event for it
                    await asyncio.sleep(0.001)
        return not (state.connections or state.tasks)

    def leave(self) -> None:
        """Stop; from any thread."""
        self._loop.call_soon_threadsafe(self._leave.set)


class Ports:
    """One application per port; each request knows its connection."""

    def __init__(self, apps: dict[int, ASGIApp], connections: Connections) -> None:
        self._apps = apps
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request by the application of its port."""
        here, there = tuple(scope["server"]), tuple(scope["client"])
        scope.setdefault(CONNECTION, self._connections.get((here, there)))
        await self._apps[here[1]](scope, receive, send)


def protocol(connections: Connections) -> type[H11Protocol]:
    """Return an HTTP protocol that keeps its open connections in a dictionary, so that a fault can close one."""

    class Protocol(H11Protocol):
        """HTTP/1.1 with known connections."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._place = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
            connections[self._place] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self._place, None)
            super().connection_lost(exc)

    return Protocol


_START_SECONDS = 20.0


class Sandbox(Remote):
    """The API on this machine; a context manager, or `start` and `stop`.

    Parameters
    ----------
    seed : int
        Source of the world and all its draws.
    speed : float
        Virtual seconds per real second; with 0 the clock moves only by `advance`.
    state : path or None
        File that keeps the state; a later sandbox on it continues there, even if the last one was killed.
    port, storage_port, receiver_port : int
        Ports of the API, the storage and the receiver; 0 for a free one.
    switches : Switches or None
        The readings of the contract.
    rate_limit : int or None
        Requests per API key and virtual minute; None is without limit and sends no rate headers.
    empty : bool
        Start with accounts, media and webhooks, but without posts and deliveries.
    posts, deliveries : int
        Size of the seeded campaign and of the delivery history.
    real_time : bool
        The clock is this machine's and moves with it, so that rate limits and "the last 7 days" are true for clients that don't
        read ``Date``. The seeded campaign ends at the start.
    tls : path or None
        Folder of the certificate: every port speaks https. Clients must trust `certificate`.
    workspace : str or None
        Workspace id; None draws a fresh one for each start without a state file.

    Raises
    ------
    ValueError
        If a size or the speed is below 0, or `rate_limit` below 1.
    """

    def __init__(
        self,
        *,
        seed: int = 7,
        speed: float = 0.0,
        state: str | Path | None = None,
        port: int = 0,
        storage_port: int = 0,
        receiver_port: int = 0,
        switches: Switches | None = None,
        rate_limit: int | None = 500,
        empty: bool = False,
        posts: int = 500,
        deliveries: int = 4500,
        real_time: bool = False,
        tls: str | Path | None = None,
        workspace: str | None = None,
    ) -> None:
        for name, number in {"posts": posts, "deliveries": deliveries, "speed": speed}.items():
            if not 0 <= number < math.inf:
                raise ValueError(f"{name}={number} must be a number from 0")
        if rate_limit is not None and rate_limit < 1:
            raise ValueError(f"rate_limit={rate_limit} must be at least 1, or None for no limit")
        made = None if tls is None else make_certificate(Path(tls))
        super().__init__(trust=None if made is None else made.authority)
        self._certificate = made
        self._size = (0, 0) if empty else (posts, deliveries)
        self._ports = (port, storage_port, receiver_port)
        self._limiter = Limiter(rate_limit)
        self._sender = webhooks.Sender(verify=True if made is None else made.client_context())
        self._sockets: list[socket.socket] = []
        self._server: PortServer | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        disk = None if state is None else Disk(state)
        facts = {} if disk is None else disk.facts()
        first = system_time() if real_time else START
        # A second ahead of the last time on file, so that time never runs backwards over a restart.
        clock = VirtualClock(
            max(facts["now"] + 1000, first if real_time else 0) if facts else first,
            1.0 if real_time else speed,
            beginning=system_time if real_time else None,
        )
        handlers = {
            **publishing.HANDLERS,
            **accounts.HANDLERS,
            **media.HANDLERS,
            "delivery.attempt": self._sender.attempt,
        }
        self.world = World(
            facts.get("seed", seed), clock, switches or Switches(),
            workspace_id=facts.get("workspace", workspace), disk=disk, handlers=handlers, plant=self._plant,
        )  # fmt: skip
        if facts:
            self.world.restore()
        else:
            self._plant()

    def __repr__(self) -> str:
        return "<Sandbox (stopped)>" if self._stopped else super().__repr__()

    def _plant(self, *, empty: bool = False) -> None:
        """Fill the world."""
        self._limiter.clear()
        posts, deliveries = (0, 0) if empty else self._size
        seed.plant(self.world, posts=posts, deliveries=deliveries)
        self.world.reindex()
        self.world.flush()

    @property
    def kept(self) -> bool:
        """Whether the state is kept in a file."""
        return self.world.disk is not None

    @property
    def certificate(self) -> Path | None:
        """The certificate that clients must trust; None where the sandbox speaks plain http."""
        return None if self._certificate is None else self._certificate.authority

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""
        return self.world.clock.speed

    def start(self) -> Self:
        """Listen; returns when the first request can be answered.

        Raises
        ------
        RuntimeError
            If it is running, or was stopped: a sandbox starts once. Another one with the same `state` goes on where it was.
        """
        if self._thread is not None:
            raise RuntimeError("the sandbox is running")
        if self._stopped:
            raise RuntimeError("the sandbox was stopped; make another one, with the same state= to go on where it was")
        self._sockets = listen_all(self._ports)
        scheme = "http" if self._certificate is None else "https"
        for name, sock in zip(("api", "storage", "receiver"), self._sockets, strict=True):
            self.world.hosts[name] = f"{scheme}://127.0.0.1:{sock.getsockname()[1]}"
        self._url = self.world.hosts["api"]
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="voxops-sandbox", daemon=True)
        self._thread.start()
        if not ready.wait(_START_SECONDS):
            raise RuntimeError("the sandbox did not start")
        return self

    def _serve(self, ready: threading.Event) -> None:
        """Run the server on its own event loop until it is stopped."""
        # run_until_complete and not asyncio.run, which nest_asyncio replaces.
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._run(ready))
        finally:
            loop.close()

    async def _run(self, ready: threading.Event) -> None:
        """Serve, and run what falls due."""
        connections: Connections = {}
        self.app = Ports(self._apps(), connections)
        config = uvicorn.Config(
            self.app,
            ssl_certfile=None if self._certificate is None else self._certificate.server, http=protocol(connections), ws="none", lifespan="off", log_config=None,
            access_log=False, date_header=False, server_header=False, timeout_keep_alive=75,
        )  # fmt: skip
        self._server = PortServer(config, ready, self._halt)
        self._ticker = asyncio.create_task(_tick(self.world))
        await self._server.serve(sockets=self._sockets)
        self.world.flush()

    async def _halt(self) -> None:
        """Cancel background tasks; what they were doing is done again after a restart."""
        tasks = [*self.world.background, *([] if self._ticker is None else [self._ticker])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()

    def _apps(self) -> dict[int, ASGIApp]:
        """Return the application of each port."""
        api = Api(self.world, self._limiter)
        ports = [sock.getsockname()[1] for sock in self._sockets]
        # Not as a route: no pattern of a route matches a path with a line break.
        main = Router(control.routes(self.world), redirect_slashes=False, default=request_response(api.endpoint))
        storage = request_response(Storage(self.world).endpoint)
        receiver = request_response(Receiver(self.world).endpoint)
        return {
            ports[0]: Guard(main, ports[0], page=control.AUTHORIZE),
            ports[1]: Guard(storage, ports[1]),
            ports[2]: Guard(receiver, ports[2], open_to=webhooks.is_example_host),
        }

    def stop(self) -> None:
        """Stop listening, for good; open requests get a second to end. The state file, if any, is complete."""
        self._stopped = True
        if self._server is not None:
            self._server.leave()
        if self._thread is not None:
            self._thread.join(_START_SECONDS)
        self._thread = self._server = None
        for sock in self._sockets:
            sock.close()
        self.close()
        if self.world.disk is not None:
            self.world.disk.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


async def _tick(world: World) -> None:
    """Run events when they are due, also between requests."""
    while True:
        world.due.clear()
        await world.settle()
        following, speed = world.next_due(), world.clock.speed
        patience = None
        if following is not None and speed > 0:
            patience = max(0.01, (following - world.now()) / 1000 / speed)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(world.due.wait(), patience)


def serve(*, speed: float = 1.0, now: bool = False, **options: Any) -> None:
    """Serve until SIGTERM or SIGINT, after printing the address and the key.

    Parameters are those of `Sandbox`; `now` is its `real_time`.
    """
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with Sandbox(speed=speed, real_time=now, **options) as sandbox:
        _print(f"url={sandbox.url} key={sandbox.api_key} workspace={sandbox.workspace_id}")
        if sandbox.certificate is not None:
            _print(f"certificate={shlex.quote(str(sandbox.certificate))}")
        done.wait()


def _print(text: str) -> None:
    sys.stdout.write(f"sandbox: {text}\n")
    sys.stdout.flush()
