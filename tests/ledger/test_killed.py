"""A process that is killed between any two of its writes: the ledger opens, nothing is half written, and what was acknowledged is there."""

from __future__ import annotations

import itertools
import os
import signal
from contextlib import closing
from pathlib import Path

from tests.ledger.filled import add, row, send
from tests.processes import Process

from voxops.ledger.ledger import Ledger


def write(folder: Path, statements: int) -> None:
    """Write calls as sent, and acknowledge each key after its commit; killed before so many statements of SQL have run."""
    acknowledged = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    left = itertools.count(statements, -1)

    def kill(_: str) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    ledger = Ledger(folder / "ledger.sqlite")
    ledger._db.set_trace_callback(kill)
    for name in ("a", "b"):
        call = send(ledger, add(ledger, row(f"{name}1"), row(f"{name}2")))
        os.write(acknowledged, f"{call.key}\n".encode())
        ledger.calls.end(call, "unknown", now=ledger.now())


def test_no_key_is_lost_and_nothing_is_half_written_wherever_a_writer_is_killed(tmp_path: Path) -> None:
    seen = set()
    for statements in itertools.count():
        folder = tmp_path / str(statements)
        folder.mkdir()
        process = Process(write, folder, statements)
        process.join()
        with closing(Ledger(folder / "ledger.sqlite")) as ledger:
            assert [list(line) for line in ledger.query("PRAGMA integrity_check")] == [["ok"]]
            calls = ledger.calls.open()
            acknowledged = (folder / "acknowledged").read_text().split()
            assert [call.key for call in calls][: len(acknowledged)] == acknowledged
            for call in calls:
                of_call = [line for line in ledger.query("SELECT request FROM call_rows WHERE call = ?", call.id)]
                requests = ledger.requests.get([line["request"] for line in of_call])
                assert len(of_call) == call.size == 2 == sum(one.call == call.id for one in requests.values())
            seen.add((len(acknowledged), len(calls), *(call.state for call in calls)))
        if process.code == 0:
            break
        assert process.code == -signal.SIGKILL
    assert seen == {
        (0, 0), (0, 1, "unknown"), (1, 1, "unknown"), (1, 2, "unknown", "unknown"), (2, 2, "unknown", "unknown"),
    }  # fmt: skip
    assert statements > 20
