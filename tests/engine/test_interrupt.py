"""Ctrl-C in a script: nothing is sent after it, what was sent is on file, and the run can be taken up again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import voxops as vx
from voxops.sandbox import Fault, Sandbox

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
