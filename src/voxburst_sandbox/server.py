"""The sandbox as a server: three loopback ports, one thread with its own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route as HttpRoute
from starlette.types import ASGIApp

from voxburst_sandbox import (
    accounts,
    analytics,
    bulk,
    control,
    front,
    hooks,
    lifecycle,
    media,
    openapi,
    posts,
    queue,
    seed,
    session,
    webhooks,
)
from voxburst_sandbox.app import Api
from voxburst_sandbox.clock import START, VirtualClock
from voxburst_sandbox.clock import real_time as system_time
from voxburst_sandbox.gates import Limiter
from voxburst_sandbox.guard import Guard
from voxburst_sandbox.ports import Connections, Ports, PortServer, listen_all, protocol
from voxburst_sandbox.receiver import Receiver
from voxburst_sandbox.remote import Remote
from voxburst_sandbox.scene import Scene
from voxburst_sandbox.storage import Storage
from voxburst_sandbox.store import Disk
from voxburst_sandbox.switches import Switches
from voxburst_sandbox.tls import make_certificate
from voxburst_sandbox.world import World

__all__ = ["Sandbox"]

_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
_START_SECONDS = 20.0


class Sandbox(Remote):
    """The API on this machine; a context manager, or `start` and `stop`.

    Parameters
    ----------
    seed : int
        What the world and all its draws follow from.
    speed : float
        Virtual seconds per real second; 0 stands still until `advance`.
    state : path or None
        File that keeps the state; a sandbox started on it again goes on where the last one was, even if that was killed.
    port, storage_port, receiver_port : int
        Ports of the API, the storage and the receiver; 0 for a free one.
    switches : Switches or None
        How the contract is read.
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
    scene : Scene or None
        What it begins with instead of the seeded campaign: accounts, media and the time of a real workspace.
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
        scene: Scene | None = None,
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
        self._sender = hooks.Sender(verify=True if made is None else made.client_context())
        self._sockets: list[socket.socket] = []
        self._server: _Server | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False
        disk = None if state is None else Disk(state)
        facts = {} if disk is None else disk.facts()
        self._scene = scene
        first = system_time() if real_time else START if scene is None else scene.began()
        # A second ahead of the last time on file, so that time never runs backwards over a restart.
        clock = VirtualClock(
            max(facts["now"] + 1000, first if real_time else 0) if facts else first,
            1.0 if real_time else speed,
            beginning=system_time if real_time else None if scene is None else scene.began,
        )
        handlers = {**queue.HANDLERS, **accounts.HANDLERS, **media.HANDLERS, **hooks.handlers(self._sender)}
        self.world = World(
            facts.get("seed", seed), clock, switches or Switches(),
            workspace_id=facts.get("workspace", workspace), disk=disk, handlers=handlers,
        )  # fmt: skip
        if facts:
            self.world.restore()
        else:
            self._plant(*self._size)

    def __repr__(self) -> str:
        return "<Sandbox (stopped)>" if self._stopped else super().__repr__()

    def _plant(self, posts: int, deliveries: int) -> None:
        """Make the seeded beginning."""
        if self._scene is None:
            seed.plant(self.world, posts=posts, deliveries=deliveries)
        else:
            self._scene.plant(self.world)
        self.world.reindex()
        self.world.flush()

    async def restart(self, *, empty: bool) -> None:
        """Forget everything and begin again; runs on the server's loop, by the control call ``reset``."""
        self._limiter.clear()
        await self.world.restart(lambda: self._plant(*((0, 0) if empty else self._size)))

    @property
    def kept(self) -> bool:
        """Whether its state is in a file and outlives it."""
        return self.world.disk is not None

    @property
    def certificate(self) -> Path | None:
        """The certificate that clients must trust; None where the sandbox speaks plain http."""
        return None if self._certificate is None else self._certificate.authority

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""
        return self.world.clock.speed

    def addresses(self) -> dict[str, str]:
        """Where API, storage and receiver listen."""
        hosts = self.world.hosts
        return {"url": hosts["api"], "storageUrl": hosts["storage"], "receiverUrl": hosts["receiver"]}

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
        """Serve, and let what is due happen meanwhile."""
        connections: Connections = {}
        config = uvicorn.Config(
            Ports(self._apps(), connections),
            ssl_certfile=None if self._certificate is None else self._certificate.server, http=protocol(connections), ws="none", lifespan="off", log_config=None,
            access_log=False, date_header=False, server_header=False, timeout_keep_alive=75,
        )  # fmt: skip
        self._server = _Server(config, ready, self._halt)
        self._ticker = asyncio.create_task(_tick(self.world))
        await self._server.serve(sockets=self._sockets)
        self.world.flush()

    async def _halt(self) -> None:
        """Stop what happens by itself; what was under way is done again after a restart."""
        tasks = [*self.world.background, *([] if self._ticker is None else [self._ticker])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()

    def _apps(self) -> dict[int, ASGIApp]:
        """Return the application of each port."""
        tables = (
            posts.ROUTES,
            lifecycle.ROUTES,
            bulk.ROUTES,
            accounts.ROUTES,
            media.ROUTES,
            webhooks.ROUTES,
            analytics.ROUTES,
        )
        api = Api(self.world, [route for table in tables for route in table], self._limiter)
        api.add(session.routes(api.dispatch))
        api.add([openapi.route(api.served())])
        ports = [sock.getsockname()[1] for sock in self._sockets]
        pages = front.routes(self.world, api.served(), self.api_key)
        main = Starlette(
            routes=[*pages, *control.routes(self), HttpRoute("/{path:path}", api.endpoint, methods=_METHODS)]
        )
        storage = Starlette(routes=[HttpRoute("/{path:path}", Storage(self.world).endpoint, methods=_METHODS)])
        receiver = Starlette(routes=[HttpRoute("/{path:path}", Receiver(self.world).endpoint, methods=["POST"])])
        return {
            ports[0]: Guard(main, ports[0], pages=control.PAGES),
            ports[1]: Guard(storage, ports[1]),
            ports[2]: Guard(receiver, ports[2], open_to=hooks.is_example_host),
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


class _Server(PortServer):
    """A server that has stopped as soon as its connections are closed; uvicorn's own looks ten times a second."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
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
                while state.connections or state.tasks:  # noqa: ASYNC110  uvicorn tells nobody
                    await asyncio.sleep(0.001)
        return not (state.connections or state.tasks)


async def _tick(world: World) -> None:
    """Let events happen when they are due, also while nobody asks."""
    while True:
        world.due.clear()
        await world.settle()
        following, speed = world.next_due(), world.clock.speed
        patience = None
        if following is not None and speed > 0:
            patience = max(0.01, (following - world.now()) / 1000 / speed)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(world.due.wait(), patience)
