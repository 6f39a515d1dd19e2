"""A server of a few lines that answers whatever bytes a test wants, also what no web framework would send."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxops.client import AsyncClient

# For a program that a test starts: the most memory that it has used, in MB. `ru_maxrss` would begin with what the test's process has used.
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return int(status.read().partition("VmHWM:")[2].split()[0]) // 1024
"""

# Request head and body -> pieces of the answer; the connection is closed after the last.
Handler = Callable[[bytes, bytes], Iterator[bytes]]


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """One whole answer."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class Raw:
    """A listening server; `url` is its address, `requests` what came, head and body."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler, self._tls = handler, tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.requests: list[tuple[bytes, bytes]] = []
        self.cut: list[bytes] = []  # what came of bodies that ended early
        self._closing = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self._closing:
                connection.close()
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(
                    connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True)
                )
                data = b""
                while b"\r\n\r\n" not in data:
                    piece = connection.recv(65_536)
                    if not piece:
                        return
                    data += piece
                head, _, body = data.partition(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                while len(body) < int(fields.get(b"content-length", 0)):
                    piece = connection.recv(65_536)
                    if not piece:
                        self.cut.append(body)
                        return  # else it would look for ever, and keep the processor from the other tests
                    body += piece
                self.requests.append((head, body))
                for piece in self._handler(head, body):
                    connection.sendall(piece)
            except OSError:
                return  # the client has left, as some tests want it to

    def close(self) -> None:
        """Stop to listen; first the thread lets go of the socket, else it would answer for the next one with the same number."""
        self._closing = True
        socket.create_connection(self._socket.getsockname()).close()
        self._thread.join()
        self._socket.close()


@contextmanager
def serve(handler: Handler | bytes, tls: ssl.SSLContext | None = None) -> Iterator[Raw]:
    """A server for the length of a block; bytes are the answer to every request."""
    server = Raw((lambda *_: iter([handler])) if isinstance(handler, bytes) else handler, tls)
    try:
        yield server
    finally:
        server.close()


def once(url: str, key: str = "vb_live_a_key_of_a_test", timeout: float = 30.0) -> AsyncClient:
    """A client that tries nothing twice."""
    client = AsyncClient(key, url=url, timeout=timeout)
    client._backoff = type(client._backoff)(tries=1)
    return client


def asked(url: str, use: Callable[[AsyncClient], Any] = AsyncClient.identity, *options: Any) -> Any:
    """What such a client gets."""

    async def main() -> Any:
        async with once(url, *options) as client:
            return await use(client)

    return asyncio.run(main())


@contextmanager
def uploaded(
    folder: Path, stored: bytes, query: str = "X-Amz-Signature=abc", sha256: str | None = None, **further: Any
) -> Iterator[tuple[Raw, Callable[[], Any]]]:
    """An API which says where a photo is to be put, and what the storage there answers; and the call that uploads it."""
    photo = folder / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" + bytes(100))

    def api(head: bytes, _: bytes) -> Iterator[bytes]:
        place = {"mediaId": "media_1", "uploadUrl": f"{server.url}/bucket/a.jpg?{query}", **further}
        yield stored if head.startswith(b"PUT") else answer(json.dumps(place).encode())

    with serve(api) as server:
        yield server, lambda: asked(server.url, lambda client: client.upload(photo, sha256=sha256))
