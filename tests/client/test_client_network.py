"""Deadlines, proxies and certificates, over sockets of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from tests.security import raw
from tests.virtual import until

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.client import AsyncClient
from voxops.client import client as client_module
from voxops.errors import ConfigError, TransportError

EMPTY = True
KEY = "vb_live_a_key_of_these_tests"
HOST = "api.voxburst.example"
AWAY = f"https://{HOST}"
ME = raw.answer(b'{"workspaceId": "ws_1", "workspaceName": "Alder Coffee", "plan": "PRO"}')


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between two tries."""
    monkeypatch.setattr(client_module, "delay", lambda *_: 0.0)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    return file


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[raw.Raw]:
    """The API over https, under its own name and that of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "127.0.0.1").configure_cert(context)
    with raw.serve(ME, context) as server:
        yield server


class Proxy:
    """A proxy that connects whoever asks with one server, and notes what it was asked for."""

    def __init__(self, port: int) -> None:
        self._port, self.asked = port, list[bytes]()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                here, _ = self._socket.accept()
            except OSError:
                return
            self.asked.append(here.recv(65_536))
            there = socket.create_connection(("127.0.0.1", self._port))
            here.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65_536):
                sink.sendall(piece)
        except OSError:
            pass  # one side has left
        finally:
            sink.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def proxy(secure: raw.Raw) -> Iterator[Proxy]:
    proxy = Proxy(secure.port)
    yield proxy
    proxy.close()


def connected(**settings: Any) -> str:
    """Connect a workspace, read the API's health once, and return the workspace's name."""
    with vx.connect(**settings) as ws:
        eventloop.run(ws.client.health())
        return ws.name


# Proxies.


def test_an_api_on_this_machine_has_no_proxy(proxy, secure, trusted, sandbox, tmp_path, without_proxies):
    """It would carry plain http, and with it the API key, off this machine."""
    for name in ("HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY"):
        without_proxies.setenv(name, proxy.url)
    assert connected(sandbox=sandbox, proxy=proxy.url)
    assert connected(url=secure.url, api_key=KEY, ledger=tmp_path / "ledger.sqlite", verify=trusted, proxy=proxy.url)
    assert (proxy.asked, len(secure.requests)) == ([], 2)


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "proxy.md"


def test_the_lines_of_the_page_about_proxies_go_through_one_that_does_not_see_the_key(
    proxy, secure, trusted, tmp_path, without_proxies
):
    page = PAGE.read_text("utf-8").replace("http://proxy.example:3128", proxy.url)
    (script,) = re.findall(r"^```sh\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    (lines,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "company-ca.pem").write_bytes(trusted.read_bytes())
    for name, value in {"VOXBURST_API_KEY": KEY, "VOXBURST_API_URL": AWAY, "HOME": str(tmp_path)}.items():
        without_proxies.setenv(name, value)
    source = Path(vx.__file__).parents[1]
    script = f'voxops() {{ PYTHONPATH="{source}" "{sys.executable}" -m voxops "$@"; }}\n{script}'
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.endswith("nothing yet\n"), done.stderr
    assert (len(proxy.asked), len(secure.requests)) == (1, 1), "it sends one request"
    without_proxies.chdir(tmp_path)
    made: dict[str, Any] = {"vx": vx}
    exec(lines, made)
    made["ws"].close()
    assert (len(proxy.asked), len(secure.requests)) == (2, 2)
    assert all(asked.startswith(b"CONNECT api.voxburst.example:443 ") for asked in proxy.asked)
    assert KEY.encode() not in b"".join(proxy.asked)
    assert all(f"Bearer {KEY}".encode() in head for head, _ in secure.requests)


@pytest.mark.usefixtures("at_once")
def test_the_page_about_proxies_has_the_words_of_each_error(secure, proxy, trusted, tmp_path, without_proxies):
    """A proxy that is not there, one that lets nobody through, one that opens https, and settings that are none."""
    named = re.findall(r"^\| `([^`]*?)(?: …)?` \|", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    closed = socket.create_server(("127.0.0.1", 0))
    nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
    closed.close()
    there = {"url": AWAY, "api_key": KEY, "ledger": tmp_path / "ledger.sqlite"}
    said = []
    with raw.serve(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as refuses:
        for settings in (
            {"proxy": nowhere}, {"proxy": refuses.url}, {"proxy": proxy.url}, {"verify": "none.pem"}, {"proxy": "socks5://127.0.0.1:1"},
        ):  # fmt: skip
            with pytest.raises((ConfigError, TransportError)) as caught:
                connected(**there, **settings)
            said.append(str(caught.value))
    assert [words for words, message in zip(named[:5], said, strict=True) if words not in message] == [], said
    assert named[5].startswith("did not answer completely within "), "as other tests of this file have it"


# Certificates.


@pytest.mark.usefixtures("at_once")
def test_a_certificate_is_refused_until_it_is_trusted(secure, trusted, tmp_path, without_proxies):
    there = {"url": secure.url, "api_key": KEY, "ledger": tmp_path / "ledger.sqlite"}
    with pytest.raises(TransportError, match="its certificate is not trusted") as caught:
        connected(**there)
    assert not caught.value.sent and secure.requests == []
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    for verify in (trusted, str(trusted), ssl.create_default_context(cafile=trusted)):
        assert connected(verify=verify, **there) == "Alder Coffee"
    without_proxies.setenv("SSL_CERT_FILE", str(trusted))
    assert connected(**there) == "Alder Coffee"
    with pytest.raises(TransportError, match="not trusted"):
        connected(verify=other, **there)


def test_what_can_not_be_trusted_is_refused(tmp_path, monkeypatch):
    words = tmp_path / "words.pem"
    words.write_text("no certificate")
    for bad, said in ((False, "whoever answers"), (7, "can't be read"), (words, "can't be read")):
        with pytest.raises(ConfigError, match=f"^verify=.*{said}"):
            AsyncClient(KEY, url=AWAY, verify=bad)
    monkeypatch.setenv("SSL_CERT_FILE", str(words))
    with pytest.raises(ConfigError, match=r"^SSL_CERT_FILE"):
        AsyncClient(KEY, url=AWAY)


# Concurrency, and another transport.


def test_a_workspace_bounds_its_requests_before_the_pool(client, sandbox):
    """The connections are as few, but a request that waits for one of them is delayed by seconds."""
    with vx.connect(sandbox=sandbox, concurrency=3) as ws:
        clear, sent = len(sandbox.requests()), ws.client.requests
        sandbox.add_fault(Fault("delay", path="/v1/auth/me", seconds=3600, times=None))

        async def many() -> None:
            await asyncio.gather(*(ws.client.identity() for _ in range(12)))

        work = eventloop.submit(many())
        until(lambda: len(sandbox.requests()) >= clear + 3)
        eventloop.run(client.health())  # the others would have gone out by now
        assert ws.client.requests == sent + 3
        sandbox.clear_faults()
        work.result(60)


def test_a_transport_sends_in_the_place_of_connections_of_our_own(tmp_path):
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, json={"workspaceId": "ws_1", "workspaceName": "Mock"})
    )
    assert connected(url=AWAY, api_key=KEY, ledger=tmp_path / "ledger.sqlite", transport=transport) == "Mock"
    for more in ({"proxy": "http://127.0.0.1:9"}, {"verify": os.devnull}):
        with pytest.raises(ConfigError, match="transport= opens the connections itself"):
            AsyncClient(KEY, url=AWAY, transport=transport, **more)


@pytest.mark.parametrize("handed", [
    lambda answer: answer, lambda answer: httpx.Response(answer.status_code, content=answer.content),
], ids=["read", "rebuilt"])  # fmt: skip
def test_a_transport_may_have_read_what_it_hands_over(sandbox, tmp_path, handed, fields):
    """Recording, logging and caching transports, and `httpx.MockTransport`."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" + bytes(600_000))
    there = httpx.AsyncHTTPTransport()

    async def hand_over(request: httpx.Request) -> httpx.Response:
        answer = await there.handle_async_request(request)
        await answer.aread()
        return handed(answer)

    async def main() -> None:
        transport = httpx.MockTransport(hand_over)
        async with there, AsyncClient(sandbox.api_key, url=sandbox.url, transport=transport) as client:
            made = {(await client.posts.create(**fields)).json["id"] for _ in range(3)}
            assert {record["id"] async for record in client.posts.list(page_size=2)} == made
            assert await client.upload(photo) == sandbox.effects("media.upload")[0]["media"]

    asyncio.run(main())


# Deadlines.


def dripping(head: bytes, _: bytes) -> Iterator[bytes]:
    """The API, but of a list of posts it sends a byte every two seconds."""
    if b"/v1/posts" not in head:
        yield ME
        return
    for byte in raw.answer(b'{"data": [], "pagination": {"hasMore": false}}'):
        yield bytes([byte])
        time.sleep(2.0)


@pytest.mark.usefixtures("at_once")
def test_a_list_that_drips_ends_at_the_deadline_of_each_try(tmp_path):
    there = {"api_key": KEY, "ledger": tmp_path / "ledger.sqlite"}
    with raw.serve(dripping) as server, vx.connect(url=server.url, timeout="0.5s", **there) as ws:
        began = time.monotonic()
        with pytest.raises(TransportError, match=r"did not answer completely within 0\.5 s"):
            ws.posts()
        assert 5 * 0.5 <= time.monotonic() - began < 30
        assert len(server.requests) == 1 + 5


def test_a_connection_that_is_not_made_in_time_has_sent_nothing():
    """The server takes the connection, and never answers the first words of https."""

    async def send(url: str) -> TransportError:
        async with AsyncClient(KEY, url=url, timeout=0.5) as client, client._permit() as permit:
            with pytest.raises(TransportError, match="accepted no connection in time") as caught:
                await permit.send("POST", "/v1/posts", b"{}", "a-key")
            return caught.value

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not asyncio.run(send(f"https://127.0.0.1:{silent.getsockname()[1]}")).sent


@pytest.mark.parametrize("size", [1_000, 400_000])
def test_an_upload_has_time_by_its_size(size, tmp_path):
    """The storage answers after a second and a half, and the timeout is one."""
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" + bytes(size))

    def storage(head: bytes, _: bytes) -> Iterator[bytes]:
        if head.startswith(b"PUT"):
            time.sleep(0.7)
            yield b"HTTP/1.1 200 OK\r\n"
            time.sleep(0.7)
            yield b"Content-Length: 0\r\n\r\n"
        else:
            yield raw.answer(json.dumps({"mediaId": "media_1", "uploadUrl": f"{server.url}/bucket/a.jpg"}).encode())

    late = pytest.raises(TransportError, match=r"PUT to 127\.0\.0\.1: .* within 1\.06 s")
    with raw.serve(storage) as server, late if size == 1_000 else nullcontext():
        assert raw.asked(server.url, lambda client: client.upload(photo), KEY, 1.0) == "media_1"
