"""The sandbox in this process: it runs on the loop of voxops, and requests are handed to it without a socket.

Nothing races: client, engine and server take turns on one thread. Connections that drop, answers that break off, requests that are
held and the client's timeouts are as over a socket; the sockets are open all the same, for whatever else talks to the sandbox.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, Self

import httpx
from starlette.types import Message, Receive, Scope, Send

from voxburst_sandbox import Sandbox
from voxburst_sandbox.gates import CONNECTION
from voxops._support import eventloop


class InProcess(Sandbox):
    """A sandbox on the loop of voxops; `transport` carries a client's requests to it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transport = _Transport(self)
        self._http = httpx.Client(transport=_Controls(self))

    def start(self) -> Self:
        """Start; webhooks of the built-in receiver are handed over, too."""
        super().start()
        inside = {self.world.hosts["receiver"]: _Inside(self)}
        self._sender._http = httpx.AsyncClient(verify=False, trust_env=False, mounts=inside)
        return self

    def _serve(self, ready: threading.Event) -> None:
        eventloop.submit(self._run(ready)).result()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Serve a request, and break off where a fault closes the connection."""
        cut: list[str] = []

        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            async def read() -> Message:
                return {"type": "http.disconnect"} if cut else await receive()

            closing = SimpleNamespace(abort=lambda: cut.append("unanswered"), close=lambda: cut.append("in the middle"))
            await self.app({**scope, CONNECTION: closing}, read, send)
            if "unanswered" in cut:
                raise httpx.ReadError("the connection was reset")
            if cut:
                await send({"type": "http.response.body"})

        answer = await httpx.ASGITransport(served).handle_async_request(request)
        if cut:
            answer.stream = _Half(answer.stream)
        return answer


class _Half(httpx.AsyncByteStream):
    """The body of an answer that breaks off."""

    def __init__(self, sent: Any) -> None:
        self._sent = sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._sent:
            yield part
        raise httpx.RemoteProtocolError("the connection was closed in the middle of the answer")


class _Inside(httpx.AsyncBaseTransport):
    """Hands the sandbox's own requests to it."""

    def __init__(self, sandbox: InProcess) -> None:
        self._sandbox = sandbox

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._sandbox.answer(request)


class _Transport(_Inside):
    """Hands a client's requests to the sandbox, each in a task of its own: the server goes on when the client has left."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace = request.extensions.get("trace")
        for part in ("headers", "body") if trace is not None else ():
            await trace(f"http11.send_request_{part}.started", {"request": request})
        work = self._sandbox.answer(request)
        here = eventloop._private.is_current()
        served = asyncio.create_task(work) if here else asyncio.wrap_future(eventloop.submit(work))
        try:
            async with asyncio.timeout(request.extensions["timeout"]["read"]):
                return await asyncio.shield(served)
        except TimeoutError as late:
            raise httpx.ReadTimeout("the server did not answer in time") from late


class _Controls(httpx.BaseTransport):
    """Makes control calls, from the loop itself, too, where nothing that they do may wait."""

    def __init__(self, sandbox: InProcess) -> None:
        self._sandbox = sandbox

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not eventloop._private.is_current():
            return eventloop.submit(self._made(request)).result()
        work = self._made(request)
        try:
            work.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        work.close()
        raise RuntimeError("this control call waits, so it can't be made on the loop itself")

    async def _made(self, request: httpx.Request) -> httpx.Response:
        answer = await self._sandbox.answer(request)
        return httpx.Response(answer.status_code, content=await answer.aread())
