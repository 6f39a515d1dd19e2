"""A server of a few lines that answers whatever bytes a test wants, also what no web framework would send."""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from voxops.client import AsyncClient

# Request head and body -> pieces of the answer; the connection is closed after the last.
Handler = Callable[[bytes, bytes], Iterator[bytes]]


def answer(body, status="200 OK", **headers):
    """One whole answer."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class Raw(socketserver.ThreadingTCPServer):
    """A listening server; `url` is its address, `requests` what came, head and body."""

    daemon_threads, block_on_close, request_queue_size = True, False, 128

    def __init__(self, handler, tls):
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self._handler, self._tls = handler, tls
        self.port = self.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.requests: list[tuple[bytes, bytes]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def finish_request(self, request, _):
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

    def server_close(self):
        """Stop to listen; first the thread lets go of the socket, else it would answer for the next one with the same number."""
        self.shutdown()
        super().server_close()


def serve(handler, tls=None):
    """A server for the length of a block; bytes are the answer to every request."""
    return Raw((lambda *_: iter([handler])) if isinstance(handler, bytes) else handler, tls)


def asked(url, use=AsyncClient.identity, key="vb_live_a_key_of_a_test", timeout=30.0, **settings):
    """What a client gets that tries nothing twice."""

    async def main():
        async with AsyncClient(key, url=url, timeout=timeout, **settings) as client:
            client._backoff = type(client._backoff)(tries=1)
            return await use(client)

    return asyncio.run(main())


@contextmanager
def uploaded(folder, stored, query="X-Amz-Signature=abc", **further):
    """An API which says where a photo is to be put, and what the storage there answers; and the call that uploads it."""
    photo = folder / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" + bytes(100))

    def api(head, _):
        place = {"mediaId": "media_1", "uploadUrl": f"{server.url}/bucket/a.jpg?{query}", **further}
        yield stored if head.startswith(b"PUT") else answer(json.dumps(place).encode())

    with serve(api) as server:
        yield server, lambda: asked(server.url, lambda client: client.upload(photo))
