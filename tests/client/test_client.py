"""The client as its users meet it: set-up, secrets, what leaves and what comes back, in plain sentences."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import pytest

from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.client import AsyncClient, Secret, SystemClock, _transport, is_loopback
from voxops.client._address import base_url, safe_path
from voxops.errors import (
    ApiError,
    AuthError,
    ConfigError,
    DecodeError,
    NotFoundError,
    ServerError,
    TransportError,
    ValidationError,
    VoxopsError,
)

KEY = "vb_live_0123456789abcdefSECRET"


class Server:
    """Any HTTP server: `answer` decides, `seen` keeps what came."""

    def __init__(self, answer: Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]) -> None:
        seen = self.seen = []  # type: list[dict[str, Any]]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                entry = {
                    "method": self.command,
                    "path": self.path,
                    "headers": {k.lower(): v for k, v in self.headers.items()},
                    "body": body,
                }
                seen.append(entry)
                status, headers, content = answer(entry)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()

            def log_message(self, *args: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that hangs up is what some tests are about

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join(5)
        self._http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that answer as a test asks."""
    started: list[Server] = []

    def start(answer: Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]]) -> Server:
        started.append(Server(answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


class Impatient(SystemClock):
    """Real time without the waits between tries."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def ask(url: str, work: Callable[[AsyncClient], Any], **options: Any) -> Any:
    """Do something with a client of its own, on a loop of its own."""

    async def main() -> Any:
        async with AsyncClient(KEY, url=url, clock=Impatient(), **options) as client:
            return await work(client)

    return asyncio.run(main())


# --- the address ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://api.voxburst.io", "https://api.voxburst.io"),
        ("https://api.voxburst.io/", "https://api.voxburst.io"),
        ("https://api.voxburst.io/v1", "https://api.voxburst.io"),
        (" https://api.voxburst.io/v1/ ", "https://api.voxburst.io"),
        ("https://proxy.example:8443/voxburst/v1", "https://proxy.example:8443/voxburst"),
        ("http://127.0.0.1:9000/v1", "http://127.0.0.1:9000"),
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://[::1]:9000/v1/", "http://[::1]:9000"),
    ],
)
def test_the_address_is_taken_with_or_without_v1(url: str, wanted: str) -> None:
    assert base_url(url) == wanted
    assert AsyncClient(KEY, url=url).url == wanted


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("api.voxburst.io", "write https://api.voxburst.io"),
        ("ftp://api.voxburst.io", "not a valid web address"),
        ("https://", "not a valid web address"),
        ("https://host:port", "not a valid web address"),
        ("https://[bad", "not a valid web address"),
        ("http://api.voxburst.io", "plain http"),
        ("http://127.0.0.1.evil.example", "plain http"),
        ("http://localhost.evil.example", "plain http"),
        ("http://10.0.0.1", "plain http"),
        ("https://user:word@api.voxburst.io", "user name"),
        ("https://api.voxburst.io/v1?x=1", "after"),
    ],
)
def test_an_address_that_can_t_be_used_is_refused_with_the_way_out(url: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        AsyncClient(KEY, url=url)
    assert "word@" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "admin:hunter2@api.example.com/v1",
        "api.example.com/v1?token=hunter2",
        "api.example.com#hunter2",
        "api.example.com/hunter2",
        "vb_live_abc.hunter2",
        "eyJhbGciOi.eyJzdWIiOi.hunter2",
        "localhost:hunter2",
        "http://host.example/v1/hunter2",
    ],
)
def test_what_may_be_a_secret_in_the_address_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="url=") as caught:
        AsyncClient(KEY, url=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["api.example.com/v1", "10.0.0.1:8765", "localhost:8765/", "api-2.example.com:443/v1/"])
def test_a_plain_host_without_a_scheme_is_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=f"write https://{url}$"):
        AsyncClient(KEY, url=url)


@pytest.mark.parametrize(
    ("host", "yes"),
    [("localhost", True), ("127.8.9.1", True), ("::1", True), ("0.0.0.0", False), ("example.com", False)],
)
def test_loopback(host: str, yes: bool) -> None:
    assert is_loopback(host) is yes


def test_paths_are_below_the_api_and_escaped() -> None:
    assert safe_path("/posts") == safe_path("/v1/posts") == "/v1/posts"
    assert safe_path("/v1/posts/a b?c#d") == "/v1/posts/a%20b%3Fc%23d"
    assert safe_path("/v1/posts/a%2Fb") == "/v1/posts/a%2Fb"
    for bad in (
        "https://evil.example/v1",
        "//evil.example",
        "posts",
        "/v1/../admin",
        "/v1/posts/..",
        "/v1/./x",
        "\\\\evil",
        "/\\evil",
    ):
        with pytest.raises(ConfigError):
            safe_path(bad)


@pytest.mark.parametrize("hostile", ["../../admin", "..", "a/b", "a?status=all", "a#b", "é\r\nX-Evil: 1", "%2e%2e"])
def test_an_id_is_one_segment_whatever_it_holds(serve: Callable[..., Server], hostile: str) -> None:
    server = serve(lambda _: (200, {}, b'{"id": "x"}'))
    try:
        ask(server.url, lambda client: client.posts.get(hostile))
    except ConfigError:
        assert hostile == ".." and server.seen == []
    else:
        assert re.fullmatch(r"/v1/posts/[^/?#]+", server.seen[0]["path"]) and "x-evil" not in server.seen[0]["headers"]


# --- the key --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "   ", None])
def test_no_key_says_where_to_put_it(key: Any) -> None:
    with pytest.raises(ConfigError, match="set VOXBURST_API_KEY or pass api_key="):
        AsyncClient(key)


@pytest.mark.parametrize("key", ["vb_live_a b", "vb_live_é", "vb_live_a\r\nX: y", "vb_live_\x00"])
def test_a_key_that_no_header_can_hold_is_refused_unseen(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AsyncClient(key)
    assert "vb_live" not in shown(caught.value)


def test_a_key_that_is_wrapped_already_is_in_no_caller_s_frame_either() -> None:
    secret = Secret(f"  {KEY}\n")
    assert repr(secret) == str(secret) == f"{secret}" == "***"
    assert AsyncClient(secret).fingerprint(lambda key: key == KEY) is True


def shown(error: BaseException) -> str:
    """All that a traceback with local variables, and all that hangs on its exceptions, would show."""
    texts: list[str] = []
    seen: set[int] = set()

    def look(value: Any, depth: int) -> None:
        texts.append(repr(value))
        if (
            depth
            and hasattr(value, "__dict__")
            and type(value).__module__.startswith(("voxops", "httpx", "httpcore", "h11"))
        ):
            for inner in vars(value).values():
                look(inner, depth - 1)

    def frame(at: FrameType) -> None:
        if at.f_code.co_filename != __file__ and "_pytest" not in at.f_code.co_filename:
            for value in list(at.f_locals.values()):
                look(value, 3)

    def walk(one: BaseException | None) -> None:
        if one is None or id(one) in seen:
            return
        seen.add(id(one))
        texts.append(repr(one))
        texts.append(repr(vars(one)))
        for at, _ in traceback.walk_tb(one.__traceback__):
            frame(at)
        walk(one.__cause__)
        walk(one.__context__)

    walk(error)
    return "\n".join(texts)


def own_frames(error: BaseException) -> bool:
    """Whether a traceback ends in our own code."""
    return not any(
        re.search("httpx|httpcore|h11|anyio", at.f_code.co_filename) for at, _ in traceback.walk_tb(error.__traceback__)
    )


def test_the_key_is_in_no_repr_no_vars_and_no_pickle() -> None:
    client = AsyncClient(KEY)
    assert repr(client) == "<AsyncClient https://api.voxburst.io>"
    todo: list[Any] = [client]
    for _ in range(4):
        todo = [inner for one in todo for inner in (vars(one).values() if hasattr(one, "__dict__") else ())]
        assert all(KEY not in repr(one) and KEY not in str(one) for one in todo)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, lambda one: pickle.dumps(vars(one))):
        with pytest.raises(TypeError, match=r"pickled|written anywhere"):
            attempt(client)
    assert client.fingerprint(lambda key: key == KEY) is True


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_server_that_echoes_the_key_does_not_get_it_into_an_error(serve: Callable[..., Server], status: int) -> None:
    server = serve(
        lambda _: (
            status,
            {"X-Echo": "1"},
            json.dumps(
                {"error": {"code": "X", "message": f"bad key {KEY}", "details": {"key": KEY}}, "key": KEY}
            ).encode(),
        )
    )
    try:
        text = repr(ask(server.url, lambda client: client.identity()))
    except ApiError as error:
        text = shown(error) + str(error) + repr(error.details) + repr(error.body)
    assert KEY not in text and "***" in text


def broken_wires(serve: Callable[..., Server]) -> Iterator[str]:
    """Addresses where nothing comes back: nobody there, hung up, no HTTP, no such host."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-x\r\n" if not counted else b"")
                counted.append(1)

    counted: list[int] = []
    thread = threading.Thread(target=hang_up, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()  # before it is closed, else it may accept for the next listener, which can get its number
    listener.close()
    yield "https://no-such-host.invalid"


def test_no_failure_of_the_network_shows_the_key_or_the_library(serve: Callable[..., Server]) -> None:
    for url in broken_wires(serve):
        with pytest.raises(TransportError) as caught:
            ask(url, lambda client: client.raw("POST", "/v1/posts", json={}))
        assert KEY not in shown(caught.value)
        assert own_frames(caught.value) and caught.value.__cause__ is caught.value.__context__ is None


def test_a_cancelled_call_shows_neither(serve: Callable[..., Server]) -> None:
    go = threading.Event()
    server = serve(lambda _: (go.wait(10), (200, {}, b"{}"))[1])

    async def main() -> str:
        async with AsyncClient(KEY, url=server.url) as client:
            task = asyncio.create_task(client.identity())
            while not server.seen:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert own_frames(caught.value)
            return shown(caught.value)

    text = asyncio.run(main())
    go.set()
    assert KEY not in text


def test_nothing_is_logged_that_holds_the_key(serve: Callable[..., Server], caplog: pytest.LogCaptureFixture) -> None:
    server = serve(lambda _: (200, {}, b"{}"))
    with caplog.at_level(logging.DEBUG):
        ask(server.url, lambda client: client.identity())
    assert KEY not in caplog.text


def test_the_key_stays_with_its_host_when_redirected(serve: Callable[..., Server]) -> None:
    other = serve(lambda _: (200, {}, b"{}"))
    server = serve(lambda _: (307, {"Location": f"{other.url}/v1/auth/me"}, b""))
    with pytest.raises(ApiError, match="Redirects are not followed") as caught:
        ask(server.url, lambda client: client.identity())
    assert caught.value.status == 307 and other.seen == []
    assert server.seen[0]["headers"]["authorization"] == f"Bearer {KEY}"


def test_a_proxy_of_the_environment_gets_no_plain_http(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(lambda _: (200, {}, b"{}")), serve(lambda _: (200, {}, b"{}"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    ask(server.url, lambda client: client.identity())
    assert proxy.seen == [] and len(server.seen) == 1


def test_cookies_are_neither_kept_nor_sent(serve: Callable[..., Server]) -> None:
    server = serve(lambda _: (200, {"Set-Cookie": "session=1; Path=/"}, b"{}"))

    async def twice(client: AsyncClient) -> None:
        await client.identity()
        await client.identity()

    ask(server.url, twice)
    assert [("cookie" in seen["headers"]) for seen in server.seen] == [False, False]


# --- what leaves ----------------------------------------------------------------------------------------------------------------


def test_every_request_has_what_the_api_asks_for(serve: Callable[..., Server]) -> None:
    server = serve(lambda _: (200, {}, b"{}"))

    async def main(client: AsyncClient) -> None:
        await client.request(
            "GET",
            "/v1/posts",
            params={
                "status": "failed",
                "limit": 5,
                "deep": True,
                "from": datetime(2026, 3, 2, 9, tzinfo=UTC),
                "no": None,
                "ids": ["a", "b"],
            },
        )
        await client.request("POST", "/v1/posts/p1/retry")
        await client.request("post", "/posts/p1/platforms/t1/fix", json={"b": 1, "a": "é"}, idempotency_key="my-key")

    ask(server.url, main)
    read, retry, fix = server.seen
    assert read["headers"]["authorization"] == f"Bearer {KEY}" and read["headers"]["accept"] == "application/json"
    assert read["headers"]["cache-control"] == "no-cache", "what a cache has kept proves nothing"
    assert read["headers"]["user-agent"].startswith("voxops/") and "idempotency-key" not in read["headers"]
    assert urlsplit(read["path"]).query == "status=failed&limit=5&deep=true&from=2026-03-02T09%3A00%3A00.000Z&ids=a%2Cb"
    assert retry["headers"]["content-type"] == "application/json" and retry["body"] == b""
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", retry["headers"]["idempotency-key"]
    )
    assert fix["path"] == "/v1/posts/p1/platforms/t1/fix" and fix["body"] == '{"a":"é","b":1}'.encode()
    assert fix["headers"]["idempotency-key"] == "my-key"


@pytest.mark.parametrize(
    "bad",
    [
        {"json": {"x": float("nan")}},
        {"json": {1, 2}},
        {"params": {"x": object()}},
        {"params": {"at": datetime(2026, 3, 2)}},
        {"idempotency_key": "a b"},
        {"idempotency_key": ""},
    ],
)
def test_what_can_t_be_written_is_refused_before_it_is_sent(serve: Callable[..., Server], bad: dict[str, Any]) -> None:
    server = serve(lambda _: (200, {}, b"{}"))
    with pytest.raises(ValidationError, match="nothing was sent") as caught:
        ask(server.url, lambda client: client.request("POST", "/v1/posts/p1/retry", **bad))
    assert caught.value.status == 0 and server.seen == []


# --- what comes back, in plain sentences ----------------------------------------------------------------------------------------


def failing(url: str, use: Callable[[AsyncClient], Any] = lambda client: client.identity()) -> str:
    """The sentence that a failing set-up gets."""
    with pytest.raises(VoxopsError) as caught:
        ask(url, use)
    text = str(caught.value)
    assert text.count(". ") <= 2 and len(text) < 250 and KEY not in text
    return text


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        text = failing(f"http://127.0.0.1:{port}")
    assert f"nobody answers at 127.0.0.1:{port}" in text and "VOXBURST_API_URL" in text


def test_no_such_host() -> None:
    assert "there is no host named no-such-host.invalid" in failing("https://no-such-host.invalid")


@pytest.mark.parametrize("proxy", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_nobody_answers_at_is_not_taken_for_the_api(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        there = f"127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv(proxy, f"http://user:hunter2@{there}")
        text = failing("https://api.voxburst.example")
        assert "the proxy that HTTPS_PROXY or ALL_PROXY names could not be reached" in text
        assert there not in text and "hunter2" not in text
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert f"nobody answers at {there}" in failing(f"https://{there}")


def test_no_https_there(serve: Callable[..., Server]) -> None:
    server = serve(lambda _: (200, {}, b"{}"))
    assert "no secure connection" in failing(server.url.replace("http://", "https://"))


def test_no_answer_in_time(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_transport, "_WHOLE", 1000.0)  # else one suspended for two seconds finds both its times over
    go = threading.Event()
    server = serve(lambda _: (len(server.seen) == 1 or go.wait(60), (200, {}, b"{}"))[1])

    async def use(client: AsyncClient) -> None:
        client._retries.backoff = type(client._retries.backoff)(tries=1)
        await client.identity()
        client._transport._timeout = (
            0.2  # only now: to connect may take longer on a busy machine, and says something else
        )
        await client.identity()

    text = failing(server.url, use)
    go.set()
    assert "did not answer in time" in text and "took effect" not in text


def test_a_web_page_instead_of_the_api(serve: Callable[..., Server]) -> None:
    for status in (200, 404, 403):
        server = serve(lambda _, status=status: (status, {"Content-Type": "text/html"}, b"<!doctype html><h1>hello"))
        text = failing(server.url)
        assert "a web page" in text and "VOXBURST_API_URL" in text


def test_a_wrong_key(sandbox: Sandbox) -> None:
    text = failing(sandbox.url)
    assert "401 UNAUTHORIZED" in text and "VOXBURST_API_KEY" in text


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "VALIDATION_ERROR", ValidationError),
        (402, "LIMIT_EXCEEDED", AuthError),
        (404, "NOT_FOUND", NotFoundError),
        (422, "VALIDATION_ERROR", ValidationError),
        (500, "INTERNAL_ERROR", ServerError),
        (503, "SERVICE_UNAVAILABLE", ServerError),
    ],
)
def test_errors_over_the_wire_keep_status_code_request_id_and_bytes(
    client: AsyncClient, sandbox: Sandbox, status: int, code: str, kind: type[ApiError]
) -> None:
    sandbox.add_fault(Fault("status", path="/v1/auth/me", status=status, code=code, times=None))
    with pytest.raises(kind) as caught:
        eventloop.run(client.identity())
    error = caught.value
    assert (error.status, error.code) == (status, code) and (error.request_id or "").startswith("req_")
    assert json.loads(error.body)["error"]["code"] == code
    assert str(error).startswith(f"GET /v1/auth/me answered {status} {code}: injected by a fault")


@pytest.mark.parametrize("shape", ["envelope", "string", "pair", "toplevel"])
def test_each_shape_of_error_over_the_wire(client: AsyncClient, sandbox: Sandbox, shape: str) -> None:
    sandbox.set_switches(error_shape=shape)
    with pytest.raises(NotFoundError, match="post not found") as caught:
        eventloop.run(client.posts.get("post_nowhere"))
    assert caught.value.code == ("" if shape == "string" else "NOT_FOUND")


def test_an_answer_of_the_wrong_kind_keeps_its_bytes(client: AsyncClient, sandbox: Sandbox) -> None:
    sandbox.add_fault(Fault("garbage", path="/v1/auth/me", body="html", status=200))
    with pytest.raises(DecodeError, match="GET /v1/auth/me answered 200 with a web page") as caught:
        eventloop.run(client.identity())
    assert caught.value.body.startswith(b"<!DOCTYPE html>")


# --- identity, time, life -------------------------------------------------------------------------------------------------------


def test_identity_health_and_the_server_s_time(client: AsyncClient, sandbox: Sandbox) -> None:
    assert eventloop.run(client.identity())["workspaceId"] == sandbox.workspace_id
    assert eventloop.run(client.health())["status"] == "ok"
    assert client.now() == sandbox.now() == datetime(2026, 3, 2, 9, tzinfo=UTC)
    sandbox.advance(86_400)
    eventloop.run(client.health())
    assert client.now() == datetime(2026, 3, 3, 9, tzinfo=UTC)


def test_a_client_is_of_one_loop_and_begins_anew_when_that_has_ended(sandbox: Sandbox) -> None:
    client = AsyncClient(sandbox.api_key, url=sandbox.url)

    async def use() -> None:
        await client.identity()
        await client._transport.close()  # the loop ends with its connections closed
        client._transport.renew()

    asyncio.run(use())
    eventloop.run(client.identity())

    async def elsewhere() -> None:
        with pytest.raises(ConfigError, match="another event loop"):
            await client.identity()

    asyncio.run(elsewhere())


def test_a_client_whose_loop_has_ended_can_be_closed(sandbox: Sandbox) -> None:
    """As in a script that calls ``asyncio.run`` for each of its steps."""
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


def test_no_type_of_the_http_library_is_in_sight() -> None:
    import importlib
    import inspect
    import sys

    import voxops.client as public

    importlib.import_module("voxops.client.outgoing")  # only who posts a digest loads it
    importing = {
        name for name, module in sys.modules.items() if name.startswith("voxops.client") and hasattr(module, "httpx")
    }
    assert importing == {"voxops.client._transport", "voxops.client.outgoing"}
    for name in public.__all__:
        thing = getattr(public, name)
        members = [thing, *(vars(thing).values() if inspect.isclass(thing) else ())]
        assert all("httpx" not in str(getattr(member, "__annotations__", "")) for member in members)


def test_options_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="concurrency"):
        AsyncClient(KEY, concurrency=0)
