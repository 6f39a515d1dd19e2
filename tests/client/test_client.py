"""The client over a socket: configuration, secrets, requests, answers, and error texts."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
import re
import socket
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.security import raw
from tests.security.leaks import KEY, leaks

from voxops._support import eventloop
from voxops.client import AsyncClient, Secret
from voxops.errors import ApiError, ConfigError, ValidationError, VoxopsError

EMPTY = True  # the sandbox


@pytest.fixture
def server() -> Iterator[raw.Raw]:
    """A server that answers every request with an empty object, and a cookie."""
    with raw.serve(raw.answer(b"{}", Set_Cookie="session=1; Path=/")) as server:
        yield server


def ask(server: raw.Raw, use: Callable[[AsyncClient], Any]) -> list[str]:
    """Use a new client; return the paths that the server was asked for."""
    raw.asked(server.url, use, KEY)
    return paths(server)


def paths(server: raw.Raw) -> list[str]:
    return [head.decode().split(" ")[1] for head, _ in server.requests]


@pytest.mark.parametrize(("url", "wanted"), [
    ("https://api.voxburst.io", "https://api.voxburst.io"),
    (" https://api.voxburst.io/v1/ ", "https://api.voxburst.io"),
    ("https://proxy.example:8443/voxburst/v1", "https://proxy.example:8443/voxburst"),
    ("http://localhost:9000", "http://localhost:9000"),
    ("http://[::1]:9000/v1/", "http://[::1]:9000"), ("http://127.8.9.1", "http://127.8.9.1"),
])  # fmt: skip
def test_the_address_is_taken_with_or_without_v1(url, wanted):
    assert AsyncClient(KEY, url=url).url == wanted


@pytest.mark.parametrize(("url", "what"), [
    ("api.voxburst.io", "write https://api.voxburst.io"), ("ftp://api.voxburst.io", "web address"),
    ("https://", "web address"),
    ("https://host:port", "web address"), ("http://api.voxburst.io", "plain http"),
    ("http://127.0.0.1.evil.example", "plain http"), ("http://localhost.evil.example", "plain http"),
    ("http://10.0.0.1", "plain http"), ("http://0.0.0.0", "plain http"),
    ("https://user:hunter2@api.voxburst.io", "user name"), ("https://api.voxburst.io/v1?x=hunter2", "after"),
    ("admin:hunter2@api.example.com/v1", "url="), ("api.example.com/v1?token=hunter2", "url="),
    ("vb_live_abc.hunter2", "url="), ("localhost:hunter2", "url="), ("http://host.example/v1/hunter2", "url="),
])  # fmt: skip
def test_an_invalid_address_is_refused_with_a_remedy_and_without_a_possible_secret(url, what):
    with pytest.raises(ConfigError, match=what) as caught:
        AsyncClient(KEY, url=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("path", "sent"), [
    ("/posts", "/v1/posts"), ("/v1/posts/a b?c#d", "/v1/posts/a%20b%3Fc%23d"), ("/v1/posts/a%2Fb", "/v1/posts/a%2Fb"),
    *((bad, None) for bad in (
        "https://evil.example/v1", "//evil.example", "posts", "/v1/../admin", "/v1/./x", "\\\\evil", "/\\evil",
    )),
])  # fmt: skip
def test_paths_are_below_the_api_and_escaped(server, path, sent):
    with nullcontext() if sent else pytest.raises(ConfigError):
        ask(server, lambda client: client.request("GET", path))
    assert paths(server) == ([sent] if sent else [])


@pytest.mark.parametrize(("hostile", "sent"), [
    ("../a?b#c", "..%2Fa%3Fb%23c"), ("é\r\nX-Evil: 1", "%C3%A9%0D%0AX-Evil%3A%201"), ("%2e%2e", "%252e%252e"),
])  # fmt: skip
def test_an_id_is_escaped_into_one_segment(server, hostile, sent):
    assert ask(server, lambda client: client.posts.get(hostile)) == [f"/v1/posts/{sent}"]


@pytest.mark.parametrize(("key", "said"), [
    *((missing, "set VOXBURST_API_KEY or pass api_key=") for missing in ("", "   ", None)),
    (KEY.encode(), "is of type bytes, not a key"),
    *((unfit, "key") for unfit in ("vb_live_a b", "vb_live_é", "vb_live_\x00")),
])  # fmt: skip
def test_a_key_that_is_missing_or_does_not_fit_into_a_header_is_refused_and_not_quoted(key, said, monkeypatch):
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=said) as caught:
        AsyncClient(key)
    assert leaks(caught.value, Counter()) == []
    assert "vb_live" not in str(caught.value)


@pytest.mark.parametrize("use", [
    AsyncClient.identity, lambda client: anext(client.pages("/v1/posts")), lambda client: client.upload("a.jpg"), AsyncClient.aclose,
])  # fmt: skip
def test_outside_of_asyncio_it_is_said_what_to_do(use):
    """As under trio, whose loop is not asyncio's."""
    with pytest.raises(ConfigError, match="outside of asyncio"):
        use(AsyncClient(KEY)).__await__().send(None)


def test_the_key_is_in_no_repr_and_no_pickle():
    """Nor in anything that a client holds: `tests/security`."""
    secret = Secret(f"  {KEY}\n")
    assert repr(secret) == str(secret) == f"{secret}" == "***"
    client = AsyncClient(secret)
    assert repr(client) == "<AsyncClient https://api.voxburst.io>"
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="pickled"):
            attempt(client)
    assert client._secret.expose_to(lambda key: key == KEY) is True


def ours_only(error: BaseException) -> bool:
    """Return whether a traceback contains no frame of the HTTP library."""
    frames = [at.f_code.co_filename for at, _ in traceback.walk_tb(error.__traceback__)]
    return not any(re.search("httpx|httpcore|h11|anyio", name) for name in frames)


def test_a_cancelled_call_shows_neither_key_nor_library():
    go = threading.Event()

    async def main() -> None:
        async with AsyncClient(KEY, url=server.url) as client:
            task = asyncio.create_task(client.identity())
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            await task

    with raw.serve(lambda *_: iter([b""] * go.wait(10))) as server:
        with pytest.raises(asyncio.CancelledError) as caught:
            asyncio.run(main())
        go.set()
    assert ours_only(caught.value) and leaks(caught.value, Counter()) == []


def test_the_key_stays_with_its_host_when_redirected(server):
    with raw.serve(raw.answer(b"", "307 Moved", Location=f"{server.url}/v1/auth/me")) as other:
        with pytest.raises(ApiError, match="Redirects are not followed") as caught:
            ask(other, AsyncClient.identity)
    assert (caught.value.status, len(other.requests), server.requests) == (307, 1, [])


def test_a_request_has_its_headers_key_and_address_of_the_environment_and_no_cookie(server, monkeypatch):
    monkeypatch.setenv("VOXBURST_API_KEY", KEY)
    monkeypatch.setenv("VOXBURST_API_URL", f"{server.url}/v1")

    async def main() -> None:
        async with AsyncClient() as client:
            await client.request("GET", "/v1/posts", params= {
                "status": "failed", "limit": 5, "deep": True, "from": datetime(2026, 3, 2, 9, tzinfo=UTC), "no": None,
                "ids": ["a", "b"],
            })  # fmt: skip
            await client.request("POST", "/v1/posts/p1/cancel")
            await client.request("post", "/posts/p1/unpublish", json={"b": 1, "a": "é"}, idempotency_key="my-key")

    asyncio.run(main())
    query = "status=failed&limit=5&deep=true&from=2026-03-02T09%3A00%3A00.000Z&ids=a%2Cb"
    assert paths(server) == [f"/v1/posts?{query}", "/v1/posts/p1/cancel", "/v1/posts/p1/unpublish"]
    read, retry, fix = (head.decode() for head, _ in server.requests)
    for line in (f"Authorization: Bearer {KEY}", "Accept: application/json", "User-Agent: voxops/"):
        assert f"\n{line}" in read
    assert "\nCache-Control: no-cache" in read, "a cached answer proves nothing"
    assert "Idempotency-Key" not in read and "Cookie" not in retry + fix
    assert "\nContent-Type: application/json" in retry
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.search(rf"\nIdempotency-Key: {uuid}\r", retry) and "\nIdempotency-Key: my-key\r" in fix
    assert [body.decode() for _, body in server.requests] == ["", "", '{"a":"é","b":1}']


@pytest.mark.parametrize("bad", [
    {"json": {"x": float("nan")}}, {"json": {1, 2}}, {"params": {"x": object()}},
    {"params": {"at": datetime(2026, 3, 2)}}, {"json": {"at": datetime(2026, 3, 2)}}, {"idempotency_key": "a b"}, {"idempotency_key": ""},
])  # fmt: skip
def test_a_request_that_can_t_be_encoded_is_not_sent(server, bad):
    with pytest.raises(ValidationError, match="nothing was sent") as caught:
        ask(server, lambda client: client.request("POST", "/v1/posts/p1/cancel", **bad))
    assert caught.value.status == 0 and server.requests == []


def failing(url: str, use: Callable[[AsyncClient], Any] = AsyncClient.identity) -> str:
    """Return the error text of a wrong configuration or a broken network."""
    with pytest.raises(VoxopsError) as caught:
        raw.asked(url, use, KEY)
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


def test_an_unreachable_proxy_is_not_taken_for_the_api(without_proxies):
    with free_port() as there:
        without_proxies.setenv("ALL_PROXY", f"http://user:hunter2@{there}")
        text = failing("https://api.voxburst.example")
        assert "could not reach the proxy in proxy=, HTTPS_PROXY or ALL_PROXY" in text
        assert there not in text and "hunter2" not in text
        without_proxies.setenv("NO_PROXY", "127.0.0.1")
        assert f"no server answers at {there}" in failing(f"https://{there}")


def test_a_client_is_bound_to_one_loop(client):
    eventloop.run(client.identity())
    with pytest.raises(ConfigError, match="another event loop"):
        asyncio.run(client.identity())


def test_a_client_can_be_closed_after_its_loop(sandbox):
    """As in a script that calls ``asyncio.run`` for each step."""
    client = AsyncClient(sandbox.api_key, url=sandbox.url)
    for _ in range(2):
        assert asyncio.run(client.identity())["workspaceId"]
    for run in (asyncio.run, eventloop.run):
        run(client.aclose())
        with pytest.raises(ConfigError, match="this client is closed"):
            run(client.identity())


@pytest.mark.parametrize(("name", "values"), [
    ("concurrency", [0, "4", 2.5, True]),
    *((name, ["3", "soon", None, -1, math.nan, True, "-5min", timedelta(0)]) for name in ("timeout", "max_wait")),
    ("transport", [httpx.HTTPTransport(), "tcp"]),
])  # fmt: skip
def test_a_setting_that_no_call_could_work_with_is_refused_at_construction(name, values):
    for value in values:
        with pytest.raises(ConfigError, match=f"{name}="):
            AsyncClient(KEY, **{name: value})


@pytest.mark.parametrize("wait", [90, "1.5min", timedelta(seconds=90)])
def test_durations_are_seconds_or_texts_as_for_connect(wait):
    client = AsyncClient(KEY, max_wait=wait, timeout=wait)
    assert (client._pace._max_wait, client._transport._timeout) == (90.0, 90.0)
