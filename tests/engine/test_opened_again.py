"""One ledger, two kernels and a look at it from a terminal: processes of their own, counted at the server (rules 21 and 25)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict

import pytest
from tests.chaos import world

from voxburst_sandbox import Fault, Sandbox, Switches

KERNEL = """
import shutil, sys, warnings
import pandas as pd
import voxops as vx

url, ledger, sheet, how = sys.argv[1:]
warnings.simplefilter("ignore")
ws = vx.connect("vb_test_sandbox", url=url, ledger=ledger)
if how == "twice":
    ws = vx.connect("vb_test_sandbox", url=url, ledger=ledger)
elif how == "copied":
    shutil.copy(ledger, ledger + ".copy")
print("connected", flush=True)
sys.stdin.readline()
run = ws.run(vx.plan_create(pd.read_csv(sheet, dtype="string"), key="row_id", campaign="spring"))
run.wait(60)
print(run.results()["outcome"].value_counts().to_dict(), flush=True)
"""


@pytest.mark.parametrize("how", ["twice", "copied"])
def test_a_ledger_that_one_kernel_opened_twice_or_copied_sends_nothing_twice(tmp_path, how):
    ledger = tmp_path / "ledger.sqlite"
    with Sandbox(seed=11, empty=True, rate_limit=None) as sandbox, ExitStack() as processes:
        sandbox.set_switches(**{**asdict(Switches()), "silent_webhooks": True})
        sandbox.reset(empty=True)
        accounts = world.accounts(sandbox)
        kernels = []
        for number, (start, what) in enumerate([(0, how), (5, "once")]):
            sheet = tmp_path / f"{number}.csv"
            world.campaign(accounts, 20, start=start).to_csv(sheet, index=False)
            arguments = [sys.executable, "-c", KERNEL, sandbox.url, str(ledger), str(sheet), what]
            kernel = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            kernels.append(processes.enter_context(kernel))
            processes.callback(kernel.kill)
            assert kernel.stdout is not None
            assert kernel.stdout.readline() == "connected\n"
            if number == 0:
                looked = subprocess.run(
                    [sys.executable, "-m", "voxops", "ledger", str(ledger)], capture_output=True, check=False
                )
                assert looked.returncode == 0
        sandbox.add_fault(
            Fault(action="delay", method="POST", path="/v1/posts/bulk", when="before", seconds=2, times=2)
        )
        for kernel in kernels:
            assert kernel.stdin is not None
            kernel.stdin.write("\n")
            kernel.stdin.flush()
        said = [kernel.communicate(timeout=120)[0] for kernel in kernels]
        made = Counter(effect["content"] for effect in sandbox.effects("post.create"))
        assert max(made.values()) == 1
        assert len(made) == 25
        assert said == ["{'succeeded': 20}\n"] * 2
