"""Under the application: loopback sockets, a server that can be stopped, connections that can be closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from errno import EINVAL
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from voxburst_sandbox.spoil import CONNECTION

__all__ = ["Connections", "PortServer", "Ports", "listen", "listen_all", "protocol"]

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
    """A server that says when it is ready, and stops at once instead of looking ten times a second."""

    def __init__(
        self, config: uvicorn.Config, ready: threading.Event, before_stop: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._before_stop = before_stop
        self._leave = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets=sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        """Wait for `leave`."""
        await self._leave.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop what happens by itself before the connections close."""
        await self._before_stop()
        await super().shutdown(sockets=sockets)

    def leave(self) -> None:
        """Stop; from any thread."""
        self._loop.call_soon_threadsafe(self._leave.set)


class Ports:
    """One application per port; each request knows its connection."""

    def __init__(self, apps: dict[int, ASGIApp], connections: Connections) -> None:
        self._apps = apps
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the application of its port."""
        here, there = tuple(scope["server"]), tuple(scope["client"])
        scope[CONNECTION] = self._connections.get((here, there))
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
