"""The sandbox in this process: it runs on the loop of voxops, and requests are handed to it without a socket.

Nothing races: client, engine and server take turns on one thread. Connections that drop, answers that break off, requests that are
held and the client's timeouts are as over a socket; the sockets are open all the same, for whatever else talks to the sandbox.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from voxburst_sandbox import Sandbox
from voxburst_sandbox.gates import CONNECTION
from voxops._support import eventloop

T = TypeVar("T")


class _Connection:
    """One request on its way through the sandbox: what the application reads, sends, and does to the connection."""

    def __init__(self, request: httpx.Request) -> None:
        url = request.url
        self.scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method, "scheme": url.scheme,
            "path": url.path, "raw_path": url.raw_path.partition(b"?")[0], "query_string": url.query, "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (url.host, url.port), "client": ("127.0.0.1", 0), CONNECTION: self,
        }  # fmt: skip
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self._body = aiter(request.stream)
        self._unread = True
        self._answer: dict[str, Any] = {}
        self._parts: list[bytes] = []
        self._broken: str | None = None
        self._closed = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        """The body part by part, then that the connection is closed."""
        if self._unread:
            part = await anext(self._body, None)
            self._unread = part is not None
            return {"type": "http.request", "body": part or b"", "more_body": self._unread}
        await self._closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            self._answer = message
        else:
            self._parts.append(message.get("body", b""))

    def abort(self) -> None:
        """Break off, nothing having been sent."""
        self._broken = "the connection was reset"
        self._closed.set()

    close = abort

    async def serve(self, sandbox: InProcess) -> httpx.Response:
        """Run the application, which goes on even if the client does not wait for it."""
        await sandbox.app(self.scope, self.receive, self.send)
        if self._broken is not None and not self._answer:
            raise httpx.ReadError(self._broken)
        stream = _Stream(self._parts, self._broken)
        return httpx.Response(self._answer["status"], headers=self._answer.get("headers", []), stream=stream)


class _Stream(httpx.AsyncByteStream):
    """The body of an answer, which may break off."""

    def __init__(self, parts: list[bytes], broken: str | None) -> None:
        self.parts, self._broken = parts, broken

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part
        if self._broken is not None:
            raise httpx.RemoteProtocolError(self._broken)


class InProcess(Sandbox):
    """A sandbox on the loop of voxops; `transport` carries a client's requests to it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transport = _Transport(self)

    def start(self) -> Self:
        """Start; webhooks of the built-in receiver are handed over, too."""
        super().start()
        inside = {self.world.hosts["receiver"]: _Inside(self)}
        self._sender._http = httpx.AsyncClient(verify=False, trust_env=False, mounts=inside)
        return self

    def _serve(self, ready: threading.Event) -> None:
        eventloop.submit(self._run(ready)).result()

    def send(self, method: str, path: str, sent: Any) -> bytes:
        """Make one control call; from the loop itself, too, where nothing that it does may wait."""
        query = urlencode({name: each for name, each in sent.items() if each is not None}) if method == "GET" else ""
        url, headers = f"{self.url}/_sandbox/{path}?{query}", {"Content-Type": "application/json"}
        body = b"" if method == "GET" else msgspec.json.encode(sent)
        call = _Connection(httpx.Request(method, url, headers=headers, content=body)).serve(self)
        answer = _at_once(call) if eventloop._private.is_current() else eventloop.submit(call).result()
        assert isinstance(answer.stream, _Stream)
        shown = b"".join(answer.stream.parts)
        if answer.status_code == 400:
            raise ValueError(msgspec.json.decode(shown)["error"])
        assert answer.status_code == 200, shown
        return shown


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    raise RuntimeError("a control call waits, so it can't be made on the loop itself")


class _Inside(httpx.AsyncBaseTransport):
    """Hands the sandbox's own requests to its application."""

    def __init__(self, sandbox: InProcess) -> None:
        self._sandbox = sandbox

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await _Connection(request).serve(self._sandbox)


class _Transport(_Inside):
    """Hands requests to the application, each in a task of its own: the server goes on when the client has left."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace = request.extensions.get("trace")
        for part in ("headers", "body") if trace is not None else ():
            await trace(f"http11.send_request_{part}.started", {"request": request})
        work = _Connection(request).serve(self._sandbox)
        here = eventloop._private.is_current()
        served = asyncio.create_task(work) if here else asyncio.wrap_future(eventloop.submit(work))
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("read")):
                return await asyncio.shield(served)
        except TimeoutError as late:
            raise httpx.ReadTimeout("the server did not answer in time") from late
