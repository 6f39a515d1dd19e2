"""The client over a socket: configuration, secrets, requests, answers, and error texts."""

from __future__ import annotations

import asyncio
import copy
import gzip
import math
import pickle
import re
import socket
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.security import raw
from tests.security.leaks import KEY, leaks

from voxops._support import eventloop
from voxops.client import AsyncClient, Secret, SystemClock
from voxops.errors import ApiError, ConfigError, ValidationError, VoxopsError

EMPTY = True  # the sandbox


class Server:
    """A server of `raw` with one answer to every request, before which it calls `before`; `seen` lists the requests."""

    def __init__(
        self, body: bytes = b"{}", status: int = 200, *, before: Callable[[], object] = lambda: None, **headers: str
    ) -> None:
        self.seen: list[dict[str, Any]] = []

        def handler(head: bytes, content: bytes) -> Iterator[bytes]:
            line, *fields = head.decode("latin-1").split("\r\n")
            method, path, _ = line.split(" ", 2)
            found = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
            self.seen.append({"method": method, "path": path, "headers": found, "body": content})
            before()
            yield raw.answer(body, f"{status} Whatever", **headers)

        self._raw = raw.Raw(handler)
        self.url, self.close = self._raw.url, self._raw.close


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers with answers of a test's choice."""
    with ExitStack() as stack:

        def start(*answer: Any, **more: Any) -> Server:
            server = Server(*answer, **more)
            stack.callback(server.close)
            return server

        yield start


class Impatient(SystemClock):
    """Real time without pauses between tries."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def ask(url: str, work: Callable[[AsyncClient], Any], **options: Any) -> Any:
    """Run some work with a new client on a new event loop."""

    async def main() -> Any:
        async with AsyncClient(KEY, url=url, _clock=Impatient(), **options) as client:
            return await work(client)

    return asyncio.run(main())


@pytest.mark.parametrize(("url", "wanted"), [
    ("https://api.voxburst.io", "https://api.voxburst.io"), ("https://api.voxburst.io/", "https://api.voxburst.io"),
    ("https://api.voxburst.io/v1", "https://api.voxburst.io"),
    (" https://api.voxburst.io/v1/ ", "https://api.voxburst.io"),
    ("https://proxy.example:8443/voxburst/v1", "https://proxy.example:8443/voxburst"),
    ("http://127.0.0.1:9000/v1", "http://127.0.0.1:9000"), ("http://localhost:9000", "http://localhost:9000"),
    ("http://[::1]:9000/v1/", "http://[::1]:9000"), ("http://127.8.9.1", "http://127.8.9.1"),
])  # fmt: skip
def test_the_address_is_taken_with_or_without_v1(url, wanted):
    assert AsyncClient(KEY, url=url).url == wanted


@pytest.mark.parametrize(("url", "what"), [
    ("api.voxburst.io", "write https://api.voxburst.io"), ("ftp://api.voxburst.io", "web address"),
    ("https://", "web address"),
    ("https://host:port", "web address"), ("https://[bad", "web address"), ("http://api.voxburst.io", "plain http"),
    ("http://127.0.0.1.evil.example", "plain http"), ("http://localhost.evil.example", "plain http"),
    ("http://10.0.0.1", "plain http"), ("http://0.0.0.0", "plain http"),
    ("https://user:hunter2@api.voxburst.io", "user name"), ("https://api.voxburst.io/v1?x=hunter2", "after"),
    ("admin:hunter2@api.example.com/v1", "url="), ("api.example.com/v1?token=hunter2", "url="),
    ("api.example.com#hunter2", "url="),
    ("api.example.com/hunter2", "url="), ("vb_live_abc.hunter2", "url="), ("eyJhbGciOi.eyJzdWIiOi.hunter2", "url="),
    ("localhost:hunter2", "url="), ("http://host.example/v1/hunter2", "url="),
])  # fmt: skip
def test_an_invalid_address_is_refused_with_a_remedy_and_without_a_possible_secret(url, what):
    with pytest.raises(ConfigError, match=what) as caught:
        AsyncClient(KEY, url=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("path", "sent"), [
    ("/posts", "/v1/posts"), ("/v1/posts", "/v1/posts"), ("/v1/posts/a b?c#d", "/v1/posts/a%20b%3Fc%23d"),
    ("/v1/posts/a%2Fb", "/v1/posts/a%2Fb"), *((bad, None) for bad in (
        "https://evil.example/v1", "//evil.example", "posts", "/v1/../admin", "/v1/posts/..", "/v1/./x", "\\\\evil",
        "/\\evil",
    )),
])  # fmt: skip
def test_paths_are_below_the_api_and_escaped(serve, path, sent):
    server = serve()
    with nullcontext() if sent else pytest.raises(ConfigError):
        ask(server.url, lambda client: client.request("GET", path))
    assert [seen["path"] for seen in server.seen] == ([sent] if sent else [])


@pytest.mark.parametrize("hostile", ["../../admin", "..", "a/b", "a?status=all", "a#b", "é\r\nX-Evil: 1", "%2e%2e"])
def test_an_id_is_escaped_into_one_segment(serve, hostile):
    server = serve(b'{"id": "x"}')
    with pytest.raises(ConfigError) if hostile == ".." else nullcontext():
        ask(server.url, lambda client: client.posts.get(hostile))
    for seen in server.seen:
        assert re.fullmatch(r"/v1/posts/[^/?#]+", seen["path"])
        assert "x-evil" not in seen["headers"]
    assert len(server.seen) == (hostile != "..")


@pytest.mark.parametrize(("key", "said"), [
    *((missing, "set VOXBURST_API_KEY or pass api_key=") for missing in ("", "   ", None)),
    (KEY.encode(), "is of type bytes, not a key"),
    *((unfit, "key") for unfit in ("vb_live_a b", "vb_live_é", "vb_live_a\r\nX: y", "vb_live_\x00")),
])  # fmt: skip
def test_a_key_that_is_missing_or_does_not_fit_into_a_header_is_refused_and_not_quoted(key, said, monkeypatch):
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=said) as caught:
        AsyncClient(key)
    assert leaks(caught.value, Counter()) == []
    assert "vb_live" not in str(caught.value)


def test_key_and_address_come_from_the_environment(serve, monkeypatch):
    server = serve()
    monkeypatch.setenv("VOXBURST_API_KEY", KEY)
    monkeypatch.setenv("VOXBURST_API_URL", f"{server.url}/v1")

    async def main() -> None:
        async with AsyncClient() as client:
            await client.identity()

    asyncio.run(main())
    assert [seen["headers"]["authorization"] for seen in server.seen] == [f"Bearer {KEY}"]


@pytest.mark.parametrize("use", [
    AsyncClient.identity, lambda client: anext(client.pages("/v1/posts")), lambda client: client.upload("a.jpg"), AsyncClient.aclose,
])  # fmt: skip
def test_outside_of_asyncio_it_is_said_what_to_do(use):
    """As under trio, whose loop is not asyncio's."""
    with pytest.raises(ConfigError, match="outside of asyncio"):
        use(AsyncClient(KEY)).__await__().send(None)


@pytest.mark.parametrize("reads", [True, False])
def test_a_transport_may_hand_over_bodies_that_are_read(reads):
    """Caching, recording and logging transports do, and so does `httpx.MockTransport`."""

    class Recording(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            body = gzip.compress(b'{"id": "post_1"}')
            answer = httpx.Response(201, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(body))
            if reads:
                await answer.aread()
            return answer

    made = ask("https://api.example", lambda client: client.posts.create(content="x"), transport=Recording())
    assert made.json == {"id": "post_1"}


def test_the_key_is_in_no_repr_no_vars_and_no_pickle():
    secret = Secret(f"  {KEY}\n")
    assert repr(secret) == str(secret) == f"{secret}" == "***"
    client = AsyncClient(secret)
    assert repr(client) == "<AsyncClient https://api.voxburst.io>"
    todo: list[Any] = [client]
    for _ in range(4):
        todo = [inner for one in todo for inner in (vars(one).values() if hasattr(one, "__dict__") else ())]
        assert all(KEY not in repr(one) and KEY not in str(one) for one in todo)
    for attempt in (pickle.dumps, copy.deepcopy, lambda one: pickle.dumps(vars(one))):
        with pytest.raises(TypeError, match="pickled"):
            attempt(client)
    assert client._secret.expose_to(lambda key: key == KEY) is True


def ours_only(error: BaseException) -> bool:
    """Return whether a traceback contains no frame of the HTTP library, and names no other exception."""
    frames = [at.f_code.co_filename for at, _ in traceback.walk_tb(error.__traceback__)]
    return not any(re.search("httpx|httpcore|h11|anyio", name) for name in frames)


def test_a_cancelled_call_shows_neither_key_nor_library(serve):
    go = threading.Event()
    server = serve(before=lambda: go.wait(10))

    async def main() -> list[str]:
        async with AsyncClient(KEY, url=server.url) as client:
            task = asyncio.create_task(client.identity())
            while not server.seen:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert ours_only(caught.value)
            return leaks(caught.value, Counter())

    assert asyncio.run(main()) == []
    go.set()


def test_the_key_stays_with_its_host_when_redirected(serve):
    other = serve()
    server = serve(b"", 307, Location=f"{other.url}/v1/auth/me")
    with pytest.raises(ApiError, match="Redirects are not followed") as caught:
        ask(server.url, lambda client: client.identity())
    assert caught.value.status == 307 and other.seen == []
    assert server.seen[0]["headers"]["authorization"] == f"Bearer {KEY}"


def test_a_proxy_of_the_environment_gets_no_plain_http(serve, monkeypatch):
    proxy, server = serve(), serve()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    ask(server.url, lambda client: client.identity())
    assert proxy.seen == [] and len(server.seen) == 1


def test_cookies_are_neither_kept_nor_sent(serve):
    server = serve(Set_Cookie="session=1; Path=/")

    async def twice(client: AsyncClient) -> None:
        await client.identity()
        await client.identity()

    ask(server.url, twice)
    assert [("cookie" in seen["headers"]) for seen in server.seen] == [False, False]


def test_every_request_has_the_required_headers(serve):
    server = serve()

    async def main(client: AsyncClient) -> None:
        await client.request("GET", "/v1/posts", params= {
            "status": "failed", "limit": 5, "deep": True, "from": datetime(2026, 3, 2, 9, tzinfo=UTC), "no": None,
            "ids": ["a", "b"],
        })  # fmt: skip
        await client.request("POST", "/v1/posts/p1/cancel")
        await client.request("post", "/posts/p1/unpublish", json={"b": 1, "a": "é"}, idempotency_key="my-key")

    ask(server.url, main)
    read, retry, fix = server.seen
    assert read["headers"]["authorization"] == f"Bearer {KEY}" and read["headers"]["accept"] == "application/json"
    assert read["headers"]["cache-control"] == "no-cache", "a cached answer proves nothing"
    assert read["headers"]["user-agent"].startswith("voxops/") and "idempotency-key" not in read["headers"]
    assert urlsplit(read["path"]).query == "status=failed&limit=5&deep=true&from=2026-03-02T09%3A00%3A00.000Z&ids=a%2Cb"
    assert retry["headers"]["content-type"] == "application/json" and retry["body"] == b""
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", retry["headers"]["idempotency-key"]
    )
    assert fix["path"] == "/v1/posts/p1/unpublish" and fix["body"] == '{"a":"é","b":1}'.encode()
    assert fix["headers"]["idempotency-key"] == "my-key"


@pytest.mark.parametrize("bad", [
    {"json": {"x": float("nan")}}, {"json": {1, 2}}, {"params": {"x": object()}},
    {"params": {"at": datetime(2026, 3, 2)}}, {"json": {"at": datetime(2026, 3, 2)}}, {"idempotency_key": "a b"}, {"idempotency_key": ""},
])  # fmt: skip
def test_a_request_that_can_t_be_encoded_is_not_sent(serve, bad):
    server = serve()
    with pytest.raises(ValidationError, match="nothing was sent") as caught:
        ask(server.url, lambda client: client.request("POST", "/v1/posts/p1/cancel", **bad))
    assert caught.value.status == 0 and server.seen == []


def failing(url: str, use: Callable[[AsyncClient], Any] = lambda client: client.identity()) -> str:
    """Return the error text of a wrong configuration or a broken network."""
    with pytest.raises(VoxopsError) as caught:
        ask(url, use)
    text = str(caught.value)
    assert text.count(". ") <= 2 and len(text) < 250 and KEY not in text
    assert ours_only(caught.value) and caught.value.__cause__ is caught.value.__context__ is None
    return text


@contextmanager
def free_port() -> Iterator[str]:
    """An address of this machine where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{free.getsockname()[1]}"


def test_the_network_fails_in_words_and_not_in_the_library_s(sandbox):
    with free_port() as there:
        text = failing(f"http://{there}")
    assert f"no server answers at {there}" in text
    assert "VOXBURST_API_URL" in text
    assert "no host named no-such-host.invalid" in failing("https://no-such-host.invalid")
    assert "no secure connection" in failing(sandbox.url.replace("http://", "https://"))
    for other in (b"", b"SSH-2.0-x\r\n"):
        with raw.serve(other) as odd:
            failing(odd.url, lambda client: client.request("POST", "/v1/posts", json={}))
    refused = failing(sandbox.url)
    assert "401 UNAUTHORIZED" in refused
    assert "VOXBURST_API_KEY" in refused


@pytest.mark.parametrize("proxy", ["HTTPS_PROXY", "ALL_PROXY"])
def test_an_unreachable_proxy_is_not_taken_for_the_api(proxy, without_proxies):
    with free_port() as there:
        without_proxies.setenv(proxy, f"http://user:hunter2@{there}")
        text = failing("https://api.voxburst.example")
        assert "could not reach the proxy in proxy=, HTTPS_PROXY or ALL_PROXY" in text
        assert there not in text and "hunter2" not in text
        without_proxies.setenv("NO_PROXY", "127.0.0.1")
        assert f"no server answers at {there}" in failing(f"https://{there}")


def test_no_answer_in_time(serve):
    go = threading.Event()
    server = serve(before=lambda: len(server.seen) == 1 or go.wait(60))

    async def use(client: AsyncClient) -> None:
        client._backoff = type(client._backoff)(tries=1)
        await client.identity()
        client._transport._timeout = 0.2  # not before: connecting may take longer on a busy machine, with another error
        await client.identity()

    text = failing(server.url, use)
    go.set()
    assert "did not answer completely within 0.2 s" in text and "unknown" not in text


def test_a_client_is_bound_to_one_loop(client):
    eventloop.run(client.identity())
    with pytest.raises(ConfigError, match="another event loop"):
        asyncio.run(client.identity())


def test_a_client_can_be_closed_after_its_loop(sandbox):
    """As in a script that calls ``asyncio.run`` for each step."""
    client = AsyncClient(sandbox.api_key, url=sandbox.url)
    for _ in range(2):
        assert asyncio.run(client.identity())["workspaceId"]
    for _ in range(2):
        asyncio.run(client.aclose())
    with pytest.raises(ConfigError, match="this client is closed"):
        asyncio.run(client.identity())
    eventloop.run(client.aclose())
    with pytest.raises(ConfigError, match="closed"):
        eventloop.run(client.identity())


@pytest.mark.parametrize(("name", "values"), [
    ("concurrency", [0, -1, "4", None, 2.5, True]),
    *((name, ["3", "soon", None, -1, 0, math.nan, True, b"5min", "-5min", timedelta(0)]) for name in ("timeout", "max_wait")),
    ("transport", [httpx.HTTPTransport(), "tcp"]),
])  # fmt: skip
def test_a_setting_that_no_call_could_work_with_is_refused_at_construction(name, values):
    for value in values:
        with pytest.raises(ConfigError, match=f"{name}="):
            AsyncClient(KEY, **{name: value})


@pytest.mark.parametrize("wait", [90, 90.0, "90s", "1.5min", timedelta(seconds=90)])
def test_durations_are_seconds_or_texts_as_for_connect(wait):
    client = AsyncClient(KEY, max_wait=wait, timeout=wait)
    assert (client._pace._max_wait, client._transport._timeout) == (90.0, 90.0)
