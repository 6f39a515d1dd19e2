"""The command: tables for people, exit codes for schedules, errors in one line."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from tests.chaos import world

import voxops as vx
from voxburst_sandbox import Sandbox
from voxburst_sandbox import main as sandbox_main
from voxops.cli import main
from voxops.ledger.ledger import Ledger

ODDS = "--posts=-1 --deliveries=-1 --rate-limit=-5 --speed=inf --port=70000 --port=-1 --storage-port=x --receiver-port=65536"


@pytest.mark.parametrize("odd", ODDS.split())
def test_a_sandbox_refuses_what_is_no_count_port_or_speed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    for name in ("voxburst_sandbox.serve", "voxburst_sandbox.server.serve"):  # else a test that fails serves for ever
        monkeypatch.setattr(name, lambda **_: None)
    for command in (lambda: main(["sandbox", odd]), lambda: sandbox_main([odd])):
        with pytest.raises(SystemExit) as ended:
            command()
        assert ended.value.code == 2
        option, _, value = odd.partition("=")
        assert f"argument {option}: {value!r} is no" in capsys.readouterr().err


def test_without_a_key_the_way_of_a_terminal_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    for command in ("triage", "deliveries", "runs", "digest"):
        assert main([command]) == 2
        assert capsys.readouterr().err == (
            "voxops: no API key: set the environment variable VOXBURST_API_KEY; --sandbox needs none\n"
        )


def test_a_ledger_that_is_none_names_both_ways_to_give_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "txt.sqlite"
    text.write_text("this is no ledger" * 9)
    assert main(["ledger", str(text)]) == 1
    assert capsys.readouterr().err.endswith(
        "is damaged or not a ledger; move it away, or give another file (ledger= or --ledger)\n"
    )
    assert main(["runs", "--sandbox", "--ledger", str(text)]) == 1
    assert capsys.readouterr().err.endswith("move it away, or give another file (ledger= or --ledger)\n")


def test_a_path_that_no_system_takes_is_an_error_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    name = "x" * 300
    assert main(["ledger", name]) in {1, 2}  # newer Pythons say that there is no such file
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("voxops: ")
    assert name in line


def test_a_terminal_that_lacks_a_character_shows_its_number(tmp_path: Path) -> None:
    path = tmp_path / "lödger.sqlite"
    with Sandbox(rate_limit=None) as sandbox, vx.connect(sandbox=sandbox, ledger=path) as ws:
        ws.run(vx.plan_retry(vx.triage(vx.targets(ws.posts(status="failed")))), reason="Frühling 🌸 für Łódź").wait()
    command = [sys.executable, "-m", "voxops", "ledger", str(path), "--runs"]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Fr\xfchling \\U0001f338 f\xfcr \\u0141" in done.stdout


def test_ledger_is_shown_exported_and_pruned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ledger.sqlite"
    with Sandbox(rate_limit=None) as sandbox, vx.connect(sandbox=sandbox, ledger=path) as ws:
        triaged = vx.triage(vx.targets(ws.posts(status="failed")))
        rows = len(ws.run(vx.plan_retry(triaged), reason="=1+1").wait().results())
    capsys.readouterr()
    assert main(["ledger", str(path), "--runs"]) == 0
    assert "retry" in capsys.readouterr().out
    assert main(["ledger", str(path), "--export", str(tmp_path / "trail.csv")]) == 0
    with (tmp_path / "trail.csv").open(encoding="utf-8-sig") as file:
        trail = list(csv.DictReader(file))
    assert len(trail) == rows
    assert trail[0]["reason"] == "'=1+1"
    for odd in ("90", "ninety", "-1D"):
        assert main(["ledger", str(path), f"--prune={odd}"]) == 2
        assert "--prune=" in capsys.readouterr().err
    assert main(["ledger", str(path), "--export", str(tmp_path / "none" / "trail.csv")]) == 2
    assert "can't be written" in capsys.readouterr().err
    assert main(["ledger", str(path), "--prune", "0D"]) == 0
    assert main(["ledger", str(path)]) == 0
    assert len(re.findall(r" retry +post_", capsys.readouterr().out)) + 1 >= rows


@pytest.mark.parametrize(
    "words",
    [
        "ledger there.sqlite --runs --export trail.csv",
        "ledger there.sqlite --prune 90D --runs",
        "deliveries --tz Mars/Phobos",
        "deliveries --by colour",
        "deliveries --since",
    ],
)
def test_wrong_usage_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(words.split())
    assert error.value.code == 2
    assert f"error: argument {re.findall('--[a-z]+', words)[-1]}" in capsys.readouterr().err


@pytest.fixture
def handlers() -> Iterator[None]:
    """The signal handlers of this process, put back after a command that sets its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_port_in_use_and_an_unfit_state_file_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    garbage, nowhere = tmp_path / "garbage", tmp_path / "none" / "state"
    garbage.write_bytes(b"no database" * 500)
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE facts_of_others (name TEXT)")
    before = other.read_bytes()
    for state in (garbage, nowhere, tmp_path, other):
        for command in ("sandbox", "demo"):
            assert main([command, "--state", str(state)]) == 2
            said = capsys.readouterr().err
            assert said.startswith("voxops: the state file")
            assert said.count("\n") == 1
    assert other.read_bytes() == before
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert main(["sandbox", "--port", str(server.getsockname()[1])]) == 2
    said = capsys.readouterr().err
    assert said.startswith("voxops: port ")
    assert said.count("\n") == 1


def test_sandbox_is_served_until_it_is_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "voxops", "sandbox", "--port", "0", "--state", str(tmp_path / "state")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert server.stdout is not None
        words = dict(word.split("=", 1) for word in server.stdout.readline().split() if "=" in word)
        answer = httpx.get(f"{words['url']}/v1/health", headers={"Authorization": f"Bearer {words['key']}"}, timeout=60)
        assert answer.status_code == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) in {0, -signal.SIGTERM}
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize(("minutes", "status"), [(5, 0), (11, 3)], ids=["young", "stuck"])
def test_a_post_that_is_stuck_in_publishing_needs_somebody(
    minutes: int, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default lists failures only; a stuck target is not failed and must be requested."""
    with Sandbox(posts=0, deliveries=0) as sandbox:
        (post,) = world.plant_posts(sandbox, 1, targets=1)
        record = sandbox.world.posts[post]
        record.status, record.updated_at = "publishing", sandbox.world.now() - minutes * 60_000
        record.targets[0].status, record.targets[0].error = "publishing", None
        monkeypatch.setenv("VOXBURST_API_KEY", "vb_test_readonly")
        assert main(["triage", "--url", sandbox.url]) == status
    assert f"1 target is {'stuck' if status else 'still in flight'}" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["triage", "deliveries", "runs", "digest"])
def test_the_sandbox_and_an_address_are_not_both_taken(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before, the address was left aside in silence, and the sandbox's failures were read for the workspace's."""
    assert main([command, "--sandbox", "--url", "http://127.0.0.1:9"]) == 2
    assert "--sandbox is the API on this machine, and --url another one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        "matrix",
        "--version",
        *(pytest.param(f"demo {more}--out {{}}", marks=pytest.mark.release) for more in ("", "--json ")),
    ],
)
def test_who_has_read_enough_ends_a_command_without_a_word(tmp_path: Path, arguments: str) -> None:
    """As in ``voxops matrix --json | head``: the reader closes the pipe."""
    command = [sys.executable, "-m", "voxops", *arguments.format(tmp_path).split()]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 141
    assert done.stderr == "" or arguments.startswith("demo --json")  # whose words stand there


def test_a_ledger_is_not_exported_over_itself_and_an_empty_file_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, empty = tmp_path / "ledger.sqlite", tmp_path / "empty"
    with closing(Ledger(ledger)):
        pass
    assert main(["ledger", str(ledger), "--export", str(ledger)]) == 2
    assert "is a database, such as a ledger, and would be lost; choose another file" in capsys.readouterr().err
    assert main(["ledger", str(ledger)]) == 0
    empty.touch()
    assert main(["ledger", str(empty)]) == 2
    assert capsys.readouterr().err == f"voxops: there is no ledger {empty}\n"
    assert not empty.stat().st_size


@pytest.mark.release
def test_files_are_written_also_where_nobody_reads_what_is_printed(tmp_path: Path) -> None:
    """Before, they were not, and the exit status said that nobody has to act."""
    arguments = ["triage", "--sandbox", "--since", "7D", "--json", "--html", str(tmp_path / "report.html")]
    command = [sys.executable, "-m", "voxops", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.communicate()
    assert process.returncode == 141
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.release
@pytest.mark.skipif(os.name != "posix", reason="a shell closes it")
def test_a_digest_without_an_output_is_made_and_one_that_nobody_reads_is_not_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "memory.json"
    arguments = ["-m", "voxops", "digest", "--sandbox", "--since-last", "--state", str(memory)]
    full = ["sh", "-c", '"$0" "$@" | true; exit 0', sys.executable, *arguments]
    subprocess.run(full, capture_output=True, check=True)
    assert not memory.exists()
    closed = ["sh", "-c", '"$0" "$@" >&-', sys.executable, *arguments]
    done = subprocess.run(closed, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert memory.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full, as Linux has one")
def test_a_full_disk_is_said_in_a_line() -> None:
    command = [sys.executable, "-c", "import sys; from voxops.cli import main; sys.exit(main(['matrix', '--json']))"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("voxops: can't write: ")
    assert done.stderr.count("\n") == 1


def test_the_package_itself_is_the_command_and_the_matrix_has_39_rows() -> None:
    command = [sys.executable, "-m", "voxops", "matrix"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.count("/v1/") == 38
    assert "presigned" in out


def test_the_table_by_event_is_in_the_json_of_deliveries(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deliveries", "--sandbox", "--by", "event", "--json"]) in {0, 3}
    stats = json.loads(capsys.readouterr().out)["stats"]
    assert len({row["event_type"] for row in stats}) == len(stats) > 2
