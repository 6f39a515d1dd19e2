"""The sandbox as a server: its command, state file, https, ports, clock and documentation."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from tests.sandbox.support import KEY, Api, fields
from tests.virtual import PATIENCE, until

import voxburst_sandbox
from voxburst_sandbox import Fault, Remote, Sandbox, Switches
from voxburst_sandbox.control import routes
from voxburst_sandbox.switches import ACTIONS

SMALL = {"posts": 20, "deliveries": 0, "rate_limit": None}


# The command and the state file.


@contextlib.contextmanager
def process(*arguments, trust=None):
    """``voxops sandbox`` as a process and its remote control, interrupted at the end unless it was killed."""
    command = [sys.executable, "-m", "voxops", "sandbox", "--port", "0", "--speed", "0", "--posts", "60", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            line = running.stdout.readline()
            found = re.fullmatch(
                r"sandbox: url=(https?://127\.0\.0\.1:\d+) key=vb_test_sandbox workspace=ws_\w+\n", line
            )
            assert found, line
            if trust is not None:
                assert running.stdout.readline() == f"sandbox: certificate={trust}\n"
            remote = Remote(found[1], trust=trust)
            yield running, remote
            remote.close()
            if running.poll() is None:
                running.send_signal(signal.SIGINT)
                assert running.wait(PATIENCE) == 0
            assert running.stderr.read() == ""
        finally:
            running.kill()


SWITCHED = {
    "list_lag_seconds=20": 20.0, "ignore_keys=true": True, "publish_on_create=False": False, "pagination=snake": "snake",
    "key_retention_seconds=60": 60, "publish_seconds=[1,5]": (1.0, 5.0), 'failure_rates={"twitter":{"RATE_LIMITED":1}}':
    {"twitter": {"RATE_LIMITED": 1.0}},
}  # fmt: skip


def test_a_sandbox_starts_under_the_readings_that_it_is_given():
    with process(*(word for setting in SWITCHED for word in ("--switch", setting))) as (_, remote), Api(remote) as api:
        changed = {setting.partition("=")[0]: value for setting, value in SWITCHED.items()}
        assert remote.switches == replace(Switches(), **changed)
        assert set(api.read("/posts")["pagination"]) == {"has_more", "next_cursor", "limit"}


def test_a_killed_sandbox_goes_on_where_it_was(tmp_path):
    state = ("--state", str(tmp_path / "state.db"))

    def known(remote):
        return remote.workspace_id, remote.state()["seed"], remote.effects(), remote.requests()

    with process(*state, "--rate-limit", "0") as (running, remote), Api(remote) as api:
        path = f"/posts/{api.read('/posts', status='partial')['data'][0]['id']}"
        retried = api.post(f"{path}/retry", headers=KEY)
        remote.advance(10)
        before, then = known(remote), remote.now()
        running.kill()
        running.wait()
    options = (*state, "--seed", "99", "--tls", str(tmp_path))
    with process(*options, trust=tmp_path / "sandbox-ca.pem") as (_, remote), Api(remote) as api:
        assert known(remote) == before
        assert remote.now() > then
        assert api.post(f"{path}/retry", headers=KEY).content == retried.content
        remote.advance(120)
        assert {"target.publish", "target.fail"} & {effect["kind"] for effect in remote.effects()}
        assert api.read(path)["status"] in ("published", "partial", "failed")


def test_what_was_never_answered_but_done_is_on_file(tmp_path):
    state = tmp_path / "state.db"
    with Sandbox(state=state, **SMALL) as sandbox, Api(sandbox) as api:
        body = fields(api)
        sandbox.add_fault(Fault("drop", method="POST", when="after"))
        with pytest.raises(httpx.RemoteProtocolError):
            api.post("/posts", json=body, headers=KEY)
    with Sandbox(state=state) as sandbox, Api(sandbox) as api:
        assert api.post("/posts", json=body, headers=KEY).status_code == 201
        assert len(sandbox.effects("post.create")) == 1
        assert len(sandbox.world.posts) == 21


def records(sandbox):
    """All that a sandbox knows."""
    tables = {name: dict(table) for name, table in sandbox.world.tables()}
    return tables | {name: list(log) for name, log in sandbox.world.logs()}


def test_the_file_holds_every_record_as_it_is_until_a_reset_clears_it(tmp_path):
    state = tmp_path / "state.db"
    with Sandbox(state=state, posts=50, deliveries=80) as sandbox:
        sandbox.advance(7 * 86_400)
        before = records(sandbox)
    with Sandbox(state=state, speed=0) as sandbox:
        assert records(sandbox) == before
        assert sandbox.effects()
        sandbox.reset(empty=True)
    with Sandbox(state=state) as sandbox:
        assert (sandbox.effects(), sandbox.world.posts, sandbox.received()) == ([], {}, [])
        assert len(sandbox.world.accounts) == 12


def test_a_state_file_belongs_to_one_sandbox_at_a_time(tmp_path):
    state = tmp_path / "state.db"
    with Sandbox(state=state, **SMALL), pytest.raises(OSError, match="another sandbox"):
        Sandbox(state=state)
    with Sandbox(state=state) as sandbox:
        assert len(sandbox.world.posts) == 20


def test_a_sandbox_is_started_once():
    sandbox = Sandbox(empty=True)
    for early in (lambda: sandbox.url, sandbox.now):
        with pytest.raises(RuntimeError, match="not started"):
            early()
    with sandbox, pytest.raises(RuntimeError, match="running"):
        sandbox.start()
    with pytest.raises(RuntimeError, match="stopped"):
        sandbox.start()


# Ports, https, the clock and the end.


def addresses(sandbox):
    return [sandbox.url, sandbox.storage_url, sandbox.receiver_url]


def test_a_port_that_is_taken_or_is_none_is_named():
    with Sandbox(**SMALL) as sandbox:
        taken = int(sandbox.storage_url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match=str(taken)):
            Sandbox(**SMALL, receiver_port=taken).start()
    with pytest.raises(OSError, match="99999"):
        Sandbox(**SMALL, storage_port=99_999).start()


def test_it_speaks_https_on_every_port(tmp_path):
    with Sandbox(**SMALL, tls=tmp_path) as sandbox:
        assert {url.split(":")[0] for url in addresses(sandbox)} == {"https"}
        with pytest.raises(httpx.ConnectError):
            httpx.get(sandbox.url, trust_env=False)
        with Api(sandbox) as api:
            hook = api.post("/webhooks", json={"url": "https://mine.example/x", "events": ["post.failed"]}).json()
            assert api.post("/webhooks/test", json={"webhookId": hook["id"]}).json()["data"]["success"] is True
            sandbox.add_fault(Fault("drop", path="/v1/health"))
            with pytest.raises(httpx.RemoteProtocolError):
                api.get("/health")


def test_a_request_that_is_open_for_a_second_after_the_stop_is_broken_off():
    with Sandbox(**SMALL) as sandbox, Api(sandbox) as api, ThreadPoolExecutor() as beside:
        sandbox.add_fault(Fault("delay", path="/v1/posts", seconds=3600))
        answer = beside.submit(api.get, "/posts", timeout=PATIENCE)
        until(lambda: sandbox.faults()[0]["struck"])
        sandbox.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            answer.result(PATIENCE)


def test_now_is_this_machines_clock():
    about = timedelta(seconds=30)
    with Sandbox(posts=60, deliveries=60, real_time=True, rate_limit=100) as sandbox, Api(sandbox) as api:
        answer = api.get("/posts", params={"limit": 100})
        real = datetime.now(UTC)
        assert abs(parsedate_to_datetime(answer.headers["Date"]) - real) < about
        reset = datetime.fromtimestamp(int(answer.headers["X-RateLimit-Reset"]), UTC)
        assert -about < reset - real < timedelta(seconds=60) + about
        ages = [real - datetime.fromisoformat(post["createdAt"]) for post in answer.json()["data"]]
        assert min(ages) >= timedelta(0)
        assert sum(age < timedelta(days=7) for age in ages) > 20
        sandbox.reset()
        assert abs(sandbox.now() - datetime.now(UTC)) < about


# docs/reference/sandbox.md.


def section(title: str) -> str:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "sandbox.md").read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def named(title: str) -> set[str]:
    """The words in code type in the first cell of each row of a table."""
    cells = re.findall(r"^\| (`.*?) \|", section(title), re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.release
def test_the_conversation_runs_as_it_stands():
    blocks = re.findall(r"```sh\n(.*?)```", section("A conversation with curl"), re.DOTALL)
    with Sandbox(deliveries=0) as sandbox:
        script = "set -eu\n" + "\n".join(blocks).replace("http://127.0.0.1:8765", sandbox.url)
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=250)
        assert done.returncode == 0, done.stderr
        injected = '"error":{"code":"INTERNAL_ERROR","message":"injected'
        assert done.stdout.count('"error":{') == done.stdout.count(injected)
        assert '"kind":"target.requeue"' in done.stdout  # said twice: the retry under another key
        assert '"dataAvailable":true' in done.stdout


def test_every_fault_and_every_control_call_is_named():
    assert named("Faults") == set(ACTIONS)
    served = routes(Sandbox(posts=1, deliveries=0).world)
    assert named("Control calls") == {f"{method} {at.path}" for at in served for method in at.methods - {"HEAD"}}
    for name in ("method", "path", "nth", "every", "chance", "times", "forget_key"):
        assert hasattr(Fault("drop"), name)
        assert f"`{name}" in section("Faults")


def test_every_kind_of_effect_that_the_code_writes_is_named():
    code = "".join(path.read_text(encoding="utf-8") for path in Path(voxburst_sandbox.__file__).parent.glob("*.py"))
    kinds = set(re.findall(r'(?:effect|_moved)\(\s*(?:call, )?"([a-z]+\.[a-z]+)"', code))
    assert kinds
    assert [kind for kind in kinds if kind not in section("Side effects")] == []
