"""Ctrl-C in a script: nothing is sent after it, what was sent is on file, and the run can be taken up again."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop

AT_ONCE = 10  # requests that a client has under way
SCRIPT = """
import sys
import voxops as vx
with vx.connect("vb_test_sandbox", url=sys.argv[1], ledger=sys.argv[2]) as ws:
    run = ws.run(vx.plan_retry(vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))))
    print(run.id, flush=True)
    try:
        run.wait()
    except KeyboardInterrupt:
        print("interrupted", (run.results()["tries"] > 0).sum(), flush=True)
        raise SystemExit(130)
"""


def test_ctrl_c_stops_sending_and_the_run_goes_on_later(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    with Sandbox(rate_limit=None, speed=1) as sandbox:
        held = Fault(action="delay", method="POST", path="/v1/posts/**", every=1, times=1000, seconds=3.0)
        sandbox.add_fault(held)
        command = [sys.executable, "-c", SCRIPT, sandbox.url, str(ledger)]
        script = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert script.stdout is not None
            run_id = script.stdout.readline().strip()
            deadline = time.monotonic() + 60
            while len(sandbox.requests(acting=True)) < AT_ONCE:
                assert time.monotonic() < deadline
                time.sleep(0.01)  # the sandbox answers in this process
            script.send_signal(signal.SIGINT)  # while all of these are under way
            out, err = script.communicate(timeout=60)
        finally:
            script.kill()
        assert script.returncode == 130, err
        assert f"ws.attach('{run_id}')" in out
        assert len(sandbox.requests(acting=True)) == AT_ONCE, "nothing was sent any more"
        sandbox.clear_faults()
        sandbox.set_speed(0)
        with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
            run = ws.attach(run_id).resume().wait()
            assert set(run.results()["outcome"]) <= {"succeeded", "failed"}
        assert sandbox.duplicates() == []


def test_rule_22_whoever_holds_ctrl_c_down_stops_the_run_all_the_same(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each further interrupt strikes where the former is being dealt with."""
    more, cancel = [KeyboardInterrupt()] * 3, eventloop._Work.cancel

    def interrupted(work: Any) -> None:
        for _ in range(2):  # what was begun is under way
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), work._loop).result(30)
        raise KeyboardInterrupt

    def interrupted_again(work: Any) -> None:
        if more:
            raise more.pop()
        cancel(work)

    sandbox.add_fault(Fault(action="delay", method="POST", path="/v1/posts/**", times=None, seconds=30.0))
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        run = ws.run(vx.plan_retry(vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))))
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(eventloop._Work, "wait", interrupted)
            patch.setattr(eventloop._Work, "cancel", interrupted_again)
            patch.setattr(run, "pause", lambda: interrupted(eventloop._Work()))
            run.wait()
        assert not more
        sandbox.clear_faults()
        run.wait(30)
        assert run.snapshot.phase == "paused"
        assert run.results()["tries"].eq(0).any()
