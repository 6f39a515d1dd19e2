"""The sandbox as a server that people run: its page, https, this machine's clock, fixed ports."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

import httpx
import pytest
from tests.virtual import PATIENCE

from voxburst_sandbox import Fault, Remote, Sandbox

KEY = {"Authorization": "Bearer vb_test_sandbox"}


class Text(HTMLParser):
    """The text of a page, and every tag that could run or load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def free_ports(count: int) -> list[int]:
    """So many ports, no two the same, that are free just now."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in taken]


@contextlib.contextmanager
def on_fixed_ports() -> Iterator[tuple[Sandbox, list[int]]]:
    """A sandbox that listens on ports of the test's choice, and these; other tests may take one of them in between."""
    for _ in range(20):
        ports = free_ports(3)
        wanted = dict(zip(("port", "storage_port", "receiver_port"), ports, strict=True))
        sandbox = Sandbox(posts=5, deliveries=0, **wanted)
        with contextlib.suppress(OSError):
            sandbox.start()
            break
    else:
        pytest.fail("no three ports stay free for a moment")
    try:
        yield sandbox, ports
    finally:
        sandbox.stop()


def test_the_page_says_what_is_served_and_what_happened():
    with Sandbox(posts=20, deliveries=5, rate_limit=None) as sandbox, httpx.Client(trust_env=False) as http:
        sandbox.add_fault(Fault("status", path="/v1/<script>alert(1)</script>", status=503))
        http.get(f"{sandbox.url}/v1/<script>alert(1)</script>", headers=KEY)
        sandbox.set_switches(list_lag_seconds=20)
        before = len(sandbox.requests())
        answer = http.get(
            sandbox.url + "/",
            headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        )
        page = Text(answer.text)
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        for word in (
            sandbox.api_key,
            sandbox.workspace_id,
            sandbox.storage_url,
            "/v1/posts/{id}/retry",
            "status:before",
            "list_lag_seconds",
        ):
            assert word in page.text
        assert "<script>alert(1)</script>" in page.text
        assert not {"script", "iframe", "img", "form"} & set(page.tags)
        assert http.get(sandbox.url + "/favicon.ico").status_code == 204
        assert len(sandbox.requests()) == before


@pytest.mark.release
def test_the_commands_on_the_page_work():
    with Sandbox(posts=20, deliveries=0, rate_limit=None) as sandbox:
        page = Text(httpx.get(sandbox.url + "/", trust_env=False).text).text
        for line in page.splitlines():
            if line.startswith("curl"):
                done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=PATIENCE)
                assert done.returncode == 0, line
                assert not done.stdout.startswith('{"error"'), (line, done.stdout)


def test_it_speaks_https_with_a_certificate_that_is_kept(tmp_path):
    for _ in range(2):
        with Sandbox(posts=5, deliveries=0, rate_limit=None, tls=tmp_path / "tls") as sandbox:
            assert {url.split(":")[0] for url in (sandbox.url, sandbox.storage_url, sandbox.receiver_url)} == {"https"}
            trusted = (tmp_path / "tls" / "sandbox-ca.pem").read_bytes()
            with pytest.raises(httpx.ConnectError):
                httpx.get(sandbox.url + "/v1/health", headers=KEY, trust_env=False)
            remote = Remote(sandbox.url, trust=sandbox.certificate)
            api = httpx.Client(
                base_url=sandbox.url, headers=KEY, trust_env=False, verify=sandbox._certificate.client_context()
            )
            hook = api.post("/v1/webhooks", json={"url": "https://mine.example/x", "events": ["post.failed"]}).json()
            assert api.post("/v1/webhooks/test", json={"webhookId": hook["id"]}).json()["data"]["success"] is True
            sandbox.add_fault(Fault("drop", path="/v1/health"))
            with pytest.raises(httpx.RemoteProtocolError):
                api.get("/v1/health")
            assert remote.state()["workspaceId"] == sandbox.workspace_id
            remote.close()
            api.close()
    assert (tmp_path / "tls" / "sandbox-ca.pem").read_bytes() == trusted
    assert (tmp_path / "tls" / "sandbox-server.pem").stat().st_mode & 0o77 == 0


def test_a_request_that_is_open_for_a_second_after_the_stop_is_broken_off():
    with Sandbox(posts=5, deliveries=0, rate_limit=None) as sandbox, ThreadPoolExecutor() as beside:
        sandbox.add_fault(Fault("delay", path="/v1/posts", seconds=3600))
        answer = beside.submit(httpx.get, f"{sandbox.url}/v1/posts", headers=KEY, trust_env=False, timeout=PATIENCE)
        while not sandbox.faults()[0]["struck"]:
            assert not answer.done()
        thread = sandbox._thread
        sandbox.stop()
        assert not thread.is_alive()
        with pytest.raises(httpx.RemoteProtocolError):
            answer.result(PATIENCE)


def test_now_is_this_machines_clock():
    with Sandbox(posts=60, deliveries=60, real_time=True, rate_limit=100) as sandbox:
        answer = httpx.get(f"{sandbox.url}/v1/posts", params={"limit": 100}, headers=KEY, trust_env=False)
        real = datetime.now(UTC)
        assert abs(parsedate_to_datetime(answer.headers["Date"]) - real) < timedelta(seconds=30)
        reset = datetime.fromtimestamp(int(answer.headers["X-RateLimit-Reset"]), UTC)
        assert timedelta(seconds=-30) < reset - real < timedelta(seconds=90)
        created = [datetime.fromisoformat(post["createdAt"]) for post in answer.json()["data"]]
        assert sum(real - timedelta(days=7) < at <= real for at in created) > 20
        assert max(created) <= real
        sandbox.reset()
        assert abs(sandbox.now() - datetime.now(UTC)) < timedelta(seconds=30)


def test_ports_can_be_fixed_and_a_taken_one_is_named():
    with on_fixed_ports() as (sandbox, ports):
        urls = (sandbox.url, sandbox.storage_url, sandbox.receiver_url)
        assert [int(url.rsplit(":", 1)[1]) for url in urls] == ports
        other = Sandbox(posts=5, deliveries=0, receiver_port=ports[1])
        with pytest.raises(OSError, match=str(ports[1])):
            other.start()
        with pytest.raises(OSError, match="not a valid port"):
            Sandbox(posts=5, deliveries=0, storage_port=99_999).start()


def test_the_command_prints_the_certificate(tmp_path):
    options = f"--port 0 --posts 5 --now --rate-limit 7 --tls {tmp_path}"
    command = [sys.executable, "-m", "voxburst_sandbox", *options.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            first, second = (server.stdout.readline() for _ in range(2))
            assert "url=https://127.0.0.1:" in first
            assert second.strip() == f"sandbox: certificate={tmp_path / 'sandbox-ca.pem'}"
            remote = Remote(first.split("url=")[1].split()[0], trust=tmp_path / "sandbox-ca.pem")
            assert remote.state()["counts"]["posts"] == 5
            remote.close()
        finally:
            server.terminate()
    assert server.returncode == 0
