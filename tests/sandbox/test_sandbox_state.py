"""The sandbox as a process of its own: its state file, its command, its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest
from tests.virtual import PATIENCE

from voxburst_sandbox import Fault, Remote, Sandbox
from voxburst_sandbox.store import Disk, Tables

KEY = {"Idempotency-Key": "77d9e9a6-3f0b-4d66-9e53-0d2f3c1b7a55"}
AUTH = {"Authorization": "Bearer vb_test_sandbox"}


@contextmanager
def process(*arguments: str):
    """``python -m voxburst_sandbox`` with its address."""
    command = [sys.executable, "-m", "voxburst_sandbox", "--speed", "0", "--posts", "60", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            line = running.stdout.readline()
            yield running, Remote(re.search(r"url=(\S+)", line)[1]), line
        finally:
            if running.poll() is None:
                running.kill()


def test_a_killed_sandbox_goes_on_where_it_was(tmp_path):
    state = str(tmp_path / "state.db")
    with process("--state", state) as (running, remote, _):
        with httpx.Client(base_url=remote.url + "/v1", headers=AUTH, trust_env=False) as api:
            failed = api.get("/posts", params={"status": "partial"}).json()["data"][0]["id"]
            retried = api.post(f"/posts/{failed}/retry", headers=KEY)
            remote.advance(10)
        before = (remote.workspace_id, remote.effects(), remote.requests(), remote.now())
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        remote.close()
    with process("--state", state, "--seed", "99") as (_, remote, _):
        assert (remote.workspace_id, remote.effects(), remote.requests()) == before[:3]
        assert remote.now() > before[3]
        assert remote.state()["seed"] == 7
        again = httpx.post(f"{remote.url}/v1/posts/{failed}/retry", headers=AUTH | KEY, trust_env=False)
        assert again.content == retried.content
        remote.advance(120)
        kinds = {effect["kind"] for effect in remote.effects() if effect["kind"].startswith("target.")}
        assert kinds & {"target.publish", "target.fail"}
        post = httpx.get(f"{remote.url}/v1/posts/{failed}", headers=AUTH, trust_env=False).json()
        assert post["status"] in ("published", "partial", "failed")
        remote.close()


def test_what_was_never_answered_but_done_is_on_file(tmp_path):
    def create() -> httpx.Response:
        body = {"content": "x", "accountIds": [account]}
        return httpx.post(sandbox.url + "/v1/posts", json=body, headers=AUTH | KEY, trust_env=False)

    state = tmp_path / "state.db"
    with Sandbox(state=state, posts=20, deliveries=0) as sandbox:
        account = next(a.id for a in sandbox.world.accounts.values() if a.platform == "facebook")
        sandbox.add_fault(Fault("drop", method="POST", when="after"))
        with pytest.raises(httpx.RemoteProtocolError):
            create()
    with Sandbox(state=state) as sandbox:
        assert create().status_code == 201
        assert len(sandbox.effects("post.create")) == 1
        assert len(sandbox.world.posts) == 21


def test_the_file_holds_every_record_as_it_is(tmp_path):
    state = tmp_path / "state.db"
    with Sandbox(state=state, posts=50, deliveries=80) as sandbox:
        sandbox.advance(7 * 86_400)
        kept = {name: dict(table) for name, table in sandbox.world.tables()}
        logs = {name: list(log) for name, log in sandbox.world.logs()}
    read = Tables()
    disk = Disk(state)
    disk.load(read)
    disk.close()
    assert {name: dict(table) for name, table in read.tables()} == kept
    assert {name: list(log) for name, log in read.logs()} == logs


def test_a_reset_clears_the_file_too(tmp_path):
    state = tmp_path / "state.db"
    with Sandbox(state=state, posts=60, deliveries=10) as sandbox:
        sandbox.advance(20 * 86_400)
        assert sandbox.effects()
        sandbox.reset(empty=True)
    with Sandbox(state=state) as sandbox:
        assert (sandbox.effects(), sandbox.world.posts, sandbox.received()) == ([], {}, [])
        assert len(sandbox.world.accounts) == 12


def test_the_command_prints_where_it_is_and_ends_cleanly():
    with process() as (running, remote, line):
        assert re.fullmatch(r"sandbox: url=http://127\.0\.0\.1:\d+ key=vb_test_sandbox workspace=ws_\w+\n", line)
        assert httpx.get(remote.url + "/v1/health", headers=AUTH, trust_env=False).status_code == 200
        remote.close()
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 0
        assert running.stderr.read() == ""


def test_a_port_in_use_is_said_in_one_line():
    with Sandbox(posts=1, deliveries=0) as sandbox:
        port = sandbox.url.rpartition(":")[2]
        command = [sys.executable, "-m", "voxburst_sandbox", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert port in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_sandbox_starts_once():
    with Sandbox(posts=1, deliveries=0) as sandbox, pytest.raises(RuntimeError, match="running"):
        sandbox.start()
    with pytest.raises(RuntimeError, match="was stopped; make another one"):
        sandbox.start()


def test_a_state_file_belongs_to_one_sandbox_at_a_time(tmp_path):
    state = tmp_path / "state.db"
    with Sandbox(state=state, posts=1, deliveries=0), pytest.raises(OSError, match="another sandbox is using it"):
        Sandbox(state=state)
    with Sandbox(state=state) as sandbox:
        assert len(sandbox.world.posts) == 1


def test_a_file_that_is_something_else_is_left_alone(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("not a database, but long enough to look at" * 20)
    with pytest.raises(OSError, match="not a sandbox's state"):
        Sandbox(state=other)
    with pytest.raises(OSError, match="can't be opened"):
        Sandbox(state=tmp_path / "none" / "state.db")
    assert other.read_text().startswith("not a database")
