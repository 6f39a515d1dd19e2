"""A server of a few lines that answers whatever bytes a test wants, also what no web framework would send."""

from __future__ import annotations

import asyncio
import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from voxops.client import AsyncClient

# Request head and body -> pieces of the answer; the connection is closed after the last.
Handler = Callable[[bytes, bytes], Iterator[bytes]]


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """One whole answer."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class Raw(socketserver.ThreadingTCPServer):
    """A listening server; `url` is its address, `requests` what came, head and body."""

    daemon_threads, block_on_close, request_queue_size = True, False, 128

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._handler, self._tls = handler, tls
        self.port = self.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.requests: list[tuple[bytes, bytes]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def finish_request(self, request: Any, _: Any) -> None:
        """Read a whole request, and send the pieces of its answer; the client may leave, as some tests want it to."""
        with (
            suppress(OSError),
            self._tls.wrap_socket(request, server_side=True) if self._tls else request as connection,
        ):
            stream = connection.makefile("rb")
            lines = [*iter(lambda: stream.readline().rstrip(b"\r\n"), b"")]
            size = int(dict(line.lower().split(b": ", 1) for line in lines[1:]).get(b"content-length", 0))
            body = stream.read(size)
            if lines and len(body) == size:
                came = b"\r\n".join(lines), body
                self.requests.append(came)
                for piece in self._handler(*came):
                    connection.sendall(piece)

    def server_close(self) -> None:
        """Stop to listen; first the thread lets go of the socket, else it would answer for the next one with the same number."""
        self.shutdown()
        super().server_close()


def serve(handler: Handler | bytes, tls: ssl.SSLContext | None = None) -> Raw:
    """A server for the length of a block; bytes are the answer to every request."""
    return Raw((lambda *_: iter([handler])) if isinstance(handler, bytes) else handler, tls)


def asked(
    url: str,
    use: Callable[[AsyncClient], Any] = AsyncClient.identity,
    key: str = "vb_live_a_key_of_a_test",
    timeout: float = 30.0,
    **settings: Any,
) -> Any:
    """What a client gets that tries nothing twice."""

    async def main() -> Any:
        async with AsyncClient(key, url=url, timeout=timeout, **settings) as client:
            client._backoff = type(client._backoff)(tries=1)
            return await use(client)

    return asyncio.run(main())


@contextmanager
def uploaded(
    folder: Path, stored: bytes, query: str = "X-Amz-Signature=abc", **further: Any
) -> Iterator[tuple[Raw, Callable[[], Any]]]:
    """An API which says where a photo is to be put, and what the storage there answers; and the call that uploads it."""
    photo = folder / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" + bytes(100))

    def api(head: bytes, _: bytes) -> Iterator[bytes]:
        place = {"mediaId": "media_1", "uploadUrl": f"{server.url}/bucket/a.jpg?{query}", **further}
        yield stored if head.startswith(b"PUT") else answer(json.dumps(place).encode())

    with serve(api) as server:
        yield server, lambda: asked(server.url, lambda client: client.upload(photo))
