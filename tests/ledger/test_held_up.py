"""Other processes that read the ledger while a run sends: the run waits, says for whom, loses nothing and sends nothing twice (rule 25)."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from tests.chaos import world
from tests.ledger.filled import claim

import voxops as vx
from voxburst_sandbox import Fault, Sandbox, Switches
from voxops.api.timing import CREATES_CLEARED_FOR
from voxops.errors import LedgerError
from voxops.ledger import Ledger, Refusal, store
from voxops.ledger.claims import TOO_OLD

READ = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
print("ready", flush=True)
sys.stdin.readline()
rows = db.execute("SELECT * FROM sqlite_master, (SELECT 1 UNION SELECT 2)")
rows.fetchone()  # and not the others: the SELECT stays open
print("reading", flush=True)
sys.stdin.readline()
"""
WRITE = READ.replace("rows.fetchone()", "db.execute('BEGIN IMMEDIATE')")
HELD_UP = "another process is reading the ledger"


class Other:
    """Another process, which reads or writes when it is told to, until it is told to end."""

    def __init__(self, code: str, path: Path) -> None:
        command = [sys.executable, "-c", code, str(path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect("ready")

    def begin(self) -> None:
        self._tell()
        self._expect("reading")

    def end(self) -> None:
        self._tell()
        self.process.wait()

    def _tell(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def _expect(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{word}\n"


@contextmanager
def other_process(code: str, path: Path) -> Iterator[Other]:
    other = Other(code, path)
    with other.process:
        try:
            yield other
        finally:
            other.process.kill()


def until(true: Callable[[], object]) -> None:
    """Wait for what another process or thread does."""
    limit = time.monotonic() + 60
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.005)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, empty=True, rate_limit=None) as sandbox:
        sandbox.set_switches(**{**asdict(Switches()), "silent_webhooks": True})
        sandbox.reset(empty=True)
        yield sandbox


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ws(sandbox: Sandbox, path: Path) -> Iterator[vx.Workspace]:
    with vx.connect("vb_test_sandbox", url=sandbox.url, ledger=path) as workspace:
        yield workspace


def rows(sandbox: Sandbox, number: int) -> pd.DataFrame:
    return world.campaign(world.accounts(sandbox), number)


def created(sandbox: Sandbox) -> Counter[str]:
    return Counter(effect["content"] for effect in sandbox.effects("post.create"))


def test_a_run_is_bound_when_nobody_reads_the_ledger_any_more(sandbox, ws, path, caplog):
    plan = vx.plan_create(rows(sandbox, 20), key="row_id", campaign="spring")
    with other_process(READ, path) as reader, ThreadPoolExecutor(1) as pool:
        reader.begin()
        run = pool.submit(ws.run, plan)
        until(lambda: HELD_UP in caplog.text)
        assert str(path) in caplog.text
        assert created(sandbox) == {}
        reader.end()
        done = run.result(60).wait(60)
    assert set(done.results()["outcome"]) == {"succeeded"}
    assert (len(created(sandbox)), created(sandbox).total()) == (20, 20)
    assert [each.levelno for each in caplog.records if HELD_UP in each.message] == [logging.WARNING]


def test_a_run_that_sends_waits_for_a_reader_says_so_and_sends_every_row_once(sandbox, ws, path):
    plan = vx.plan_create(rows(sandbox, 60), key="row_id", campaign="spring", one_by_one=True)
    sandbox.add_fault(Fault("delay", "POST", "/v1/posts", when="before", seconds=0.1, times=60))
    with other_process(READ, path) as reader:
        run = ws.run(plan)
        until(lambda: created(sandbox))
        reader.begin()
        assert run.snapshot.phase == "sending", "or there is nothing left to wait for"
        until(lambda: run.snapshot.note.startswith(HELD_UP))
        so_far = created(sandbox)
        assert 0 < so_far.total() < 60
        assert len(run.results()) == 60, "what is on disk can be read meanwhile"
        assert created(sandbox) == so_far, "what is not on disk is not sent"
        reader.end()
        run.wait(60)
    assert run.snapshot.note == ""
    assert set(run.results()["outcome"]) == {"succeeded"}
    assert (len(created(sandbox)), created(sandbox).total()) == (60, 60)


def test_a_run_goes_on_while_its_ledger_is_copied_to_a_slow_disk(sandbox, ws, path):
    """The copy is stopped half way, as on a disk that takes no more for a while."""
    ledger = ws._session.usable().engine.ledger
    with ledger.atomic() as db:
        db.execute("INSERT INTO meta VALUES ('much', ?)", ("x" * 50_000_000,))
    for number in range(20):  # until a copy is caught at it
        to = path.with_name(f"copy{number}.sqlite")
        command = [sys.executable, "-m", "voxops", "ledger", str(path), "--copy", str(to)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as copier:
            until(lambda to=to: to.exists() and to.stat().st_size)
            copier.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, copier.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if copier.poll() is not None:
                continue
            try:
                run = ws.run(vx.plan_create(rows(sandbox, 20), key="row_id", campaign="spring"))
                run.wait(60)
                assert copier.poll() is None
            finally:
                copier.send_signal(signal.SIGCONT)
        break
    else:
        pytest.fail("every copy was faster")
    assert copier.returncode == 0
    assert set(run.results()["outcome"]) == {"succeeded"}
    assert (len(created(sandbox)), created(sandbox).total()) == (20, 20)
    copy = Ledger(to)
    assert copy.query("PRAGMA integrity_check")[0][0] == "ok"
    assert copy.query("SELECT count(*) FROM runs")[0][0] == 0
    copy.close()


@pytest.mark.parametrize(("code", "does"), [(READ, "reading"), (WRITE, "writing")], ids=["reader", "writer"])
def test_who_holds_a_ledger_up_for_long_is_told_and_nothing_is_written(path, monkeypatch, caplog, code, does):
    monkeypatch.setattr(store, "PATIENCE", 0.3)
    monkeypatch.setattr(store, "QUIET", 0.1)
    ledger = Ledger(path)
    with other_process(code, path) as other:
        other.begin()
        with pytest.raises(LedgerError, match="locked by another program; close it"):
            ledger.set_meta("said", "too early")
        assert f"another process is {does} the ledger {path}" in caplog.text
        assert ledger.held_up == ""
        assert ledger.meta("said") is None, "it can be read all the while"
        other.end()
    assert ledger.set_meta("said", "now") == "now"
    ledger.close()


def test_threads_read_while_one_waits_to_write(path, monkeypatch):
    monkeypatch.setattr(store, "QUIET", 0.0)
    ledger = Ledger(path)
    ledger.set_meta("said", "before")
    with other_process(READ, path) as reader:
        reader.begin()
        writer = threading.Thread(target=ledger.set_meta, args=("said", "after"))
        writer.start()
        until(lambda: ledger.held_up)
        assert ledger.meta("said") == "before"
        assert writer.is_alive()
        reader.end()
        writer.join(60)
    assert ledger.meta("said") == "after"
    ledger.close()


def test_rule_08_a_claim_that_was_held_up_is_decided_by_the_clock_of_then(ledger, clock, monkeypatch):
    """What was read of a row is too old when the reader has ended, so nothing is sent upon it."""
    monkeypatch.setattr(store, "QUIET", 0.0)
    with other_process(READ, ledger.path) as reader, ThreadPoolExecutor(1) as pool:
        reader.begin()
        held = pool.submit(claim, ledger, 1)
        until(lambda: ledger.held_up)
        clock.now += CREATES_CLEARED_FOR + 1
        reader.end()
        assert held.result(60) == Refusal(TOO_OLD, stale=True)
    assert ledger.operations.get(1).state == "planned"
