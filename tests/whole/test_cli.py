"""Use the commands: tables for people, JSON and exit statuses for schedules, errors in one line."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from PIL import Image

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops.cli import _parser, main
from voxops.ledger.ledger import Ledger

PYTHON = [sys.executable, "-m", "voxops"]


@pytest.fixture
def url(sandbox, monkeypatch):
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    return sandbox.url


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    """The one line of JSON that a command printed: plain ASCII, whatever strangers wrote, and without NaN."""
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isascii()
    return json.loads(line, parse_constant=pytest.fail)


# -- words -------------------------------------------------------------------------------------------------------------

COMMANDS = """
demo --json --ledger --out --state
sandbox --deliveries --json --now --port --posts --rate-limit --receiver-port --seed --speed --state --storage-port --switch --tls
posts --campaign --json --sandbox --since --status --tz --url
triage --csv --exit-zero --html --json --sandbox --since --tz --url
retry --canary --exit-zero --json --ledger --reason --sandbox --since --tz --url --yes
deliveries --by --csv --exit-zero --html --json --sandbox --since --tz --url
archive sync --full --json --sandbox --since --url path
runs --json --ledger --sandbox --url
resume --exit-zero --json --ledger --look --sandbox --timeout --url run
sync --campaign --dayfirst --exit-zero --folder --header --json --key --ledger --reason --sandbox --sheet --tz --url --withdraw --yes path
"""


def commands(parser: argparse.ArgumentParser, *words: str) -> Iterator[str]:
    """Each command with its options, as a line."""
    names, parsers = [], {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            parsers = action.choices
        elif not isinstance(action, argparse._HelpAction):
            names += action.option_strings or [action.dest]
    if not parsers:
        yield " ".join((*words, *sorted(names)))
    for name, each in parsers.items():
        yield from commands(each, *words, name)


def test_the_commands_and_their_options_are_these():
    assert list(commands(_parser())) == COMMANDS.split("\n")[1:-1]


# Words, and what the error names.
WRONG = {
    "deliveries --tz Mars/Phobos": "argument --tz", "deliveries --by colour": "argument --by", "deliveries --since": "argument --since",
    "resume run_1 --timeout soon": "argument --timeout", "tirage": "did you mean 'triage'?", "post": "did you mean 'posts'?",
    "triage --sicne 7D": "did you mean --since?", "archive snyc": "did you mean 'sync'?", "deliveries --by events": "did you mean 'event'?", "sandbox --posts=-1": "argument --posts: '-1' is no",
    "sandbox --rate-limit=-5": "argument --rate-limit: '-5' is no", "sandbox --speed=inf": "argument --speed: 'inf' is no",
    "sandbox --port=70000": "argument --port: '70000' is no", "sandbox --switch list_lag=20": "did you mean list_lag_seconds?",
    "sandbox --switch ignore_keys": "'ignore_keys' is not NAME=VALUE", "sandbox --switch ignore_keys=yes": "of type bool, not 'yes'",
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words_are_refused_with_what_was_meant(words, capsys, monkeypatch):
    monkeypatch.setattr("voxburst_sandbox.serve", lambda **_: None)  # else a test that fails serves for ever
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert WRONG[words] in capsys.readouterr().err


READERS = ("triage", "deliveries", "runs")


# Words of a command, its exit status, and what its one line of an error names.
REFUSED = [
    *((name, 2, "VOXBURST_API_KEY; --sandbox") for name in READERS),
    *((f"{name} --sandbox --url http://127.0.0.1:9", 2, "--url") for name in READERS),
    ("runs --sandbox --ledger text", 1, "give another file (ledger= or --ledger)"),
    ("runs --sandbox --ledger " + "x" * 300, 2, "x" * 300),
    *((f"{name} --state {path}", 2, "state file") for name in ("sandbox", "demo") for path in ("text", "none/x", ".", "there")),
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "said"), REFUSED)
@pytest.mark.usefixtures("handlers")
def test_what_can_t_be_done_is_said_in_one_line_and_leaves_all_as_it_is(
    words, status, said, tmp_path, capsys, monkeypatch
):
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("this is no ledger" * 99)
    Ledger(Path("there")).close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(words.split()) in {status, 1 if "xxx" in words else status}  # what older Pythons say of a long name
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("voxops: ")
    assert said in line
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.fixture
def handlers():
    """The signal handlers of this process, put back after a command that sets its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


# -- a shell -----------------------------------------------------------------------------------------------------------


def test_a_reader_that_has_closed_the_pipe_ends_a_command_silently():
    """As in ``voxops runs --json | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run([*PYTHON, "--version"], stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


def test_sandbox_is_served_until_it_is_stopped(tmp_path):
    command = [*PYTHON, "sandbox", "--json", "--port", "0", "--state", str(tmp_path / "state")]
    server = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert server.stdout is not None
        words = json.loads(server.stdout.readline())
        answer = httpx.get(f"{words['url']}/v1/health", headers={"Authorization": f"Bearer {words['key']}"}, timeout=60)
        assert answer.status_code == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) in {0, -signal.SIGTERM}
    finally:
        server.kill()
        server.communicate()


# -- jobs --------------------------------------------------------------------------------------------------------------


COUNTS = "posts failed_targets eligible retried succeeded failed pending unknown blocked duplicates"


LINE = re.compile("demo: " + " ".join(rf"{name}=(?P<{name}>\d+)" for name in COUNTS.split()) + r" report=(\S+)")


def test_the_demo_needs_no_key_reaches_this_machine_alone_and_acts_once_on_kept_files(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    reached, connect = set(), socket.socket.connect

    def noted(self: socket.socket, address: tuple[str, int]) -> None:
        reached.add(address[0])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    acts, counts = [], []
    for _ in range(2):
        assert main(["demo", "--state", "state", "--ledger", "ledger.sqlite"]) == 0
        found = LINE.fullmatch(capsys.readouterr().out.strip().splitlines()[-1])
        assert found is not None
        counts.append({name: int(count) for name, count in found.groupdict().items()})
        with Sandbox(state=Path("state")) as sandbox:
            acts.append(len(sandbox.effects("post.retry")) + len(sandbox.effects("target.fix")))
    assert reached == {"127.0.0.1"}
    assert acts[0] == acts[1] > 20
    assert counts[0]["posts"] > 50
    for count in counts:
        ends = sum(count[name] for name in ("succeeded", "failed", "pending", "unknown", "blocked"))
        assert (count["eligible"], count["retried"], count["duplicates"]) == (ends, ends, 0)
    assert "<svg" in Path("build/demo/triage.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("recovers", [1.0, 0.0])
def test_a_retry_with_canaries_sends_the_rest_only_if_half_of_them_succeed(
    sandbox, url, recovers, tmp_path, monkeypatch, capsys
):
    sandbox.set_switches(recovery_rate=recovers)
    connect, place = vx.connect, {"sandbox": sandbox, "ledger": tmp_path / "ledger"}
    monkeypatch.setattr("voxops.connection.connect", lambda **_: connect(**place))  # whose minutes pass at once
    assert main(["retry"]) == 3
    assert "Plan to retry" in capsys.readouterr().out
    assert sandbox.effects("post.retry") == []
    assert main(["retry", "--canary", "1"]) == main(["retry", "--yes", "--canary", "0"]) == 2
    capsys.readouterr()
    assert main(["retry", "--yes", "--canary", "1", "--reason", "nightly", "--json"]) == 3
    answer = printed(capsys)
    with connect(**place) as ws:
        runs = ws.runs()
    assert runs.index[0] == answer["run"]
    assert set(runs["reason"]) == {"nightly"}
    assert len(runs) == (2 if recovers else 1), "the rest was not sent"
    assert (answer["succeeded"] > answer["failed"]) == bool(recovers)


def test_runs_and_resume_go_on_where_a_kernel_died(sandbox, url, tmp_path, capsys):
    ledger = tmp_path / "ledger.sqlite"
    sandbox.set_switches(recovery_rate=1.0)
    sandbox.set_speed(30)  # faster, a reading would be too old when a busy machine comes to send, again and again
    for target in (target for post in sandbox.world.posts.values() for target in post.targets):
        target.retry_count = 0
    with vx.connect(sandbox.api_key, url=url, ledger=ledger) as ws:
        rows = vx.triage(vx.targets(ws.posts(status="failed")))
        rows = rows[rows["verdict"] == "retry"].head(12)
        sandbox.add_fault(
            Fault("status", method="POST", path="/v1/posts/*/retry", status=401, code="UNAUTHORIZED", nth=3)
        )
        run = ws.run(vx.plan_retry(rows)).wait(60)
        assert (run.results()["outcome"] == "pending").any()
    sandbox.clear_faults()
    options = ["--url", url, "--ledger", str(ledger), "--json"]
    capsys.readouterr()
    assert main(["runs", *options]) == 0
    (listed,) = printed(capsys)
    assert (listed["run"], listed["action"]) == (run.id, "retry")
    before = len(sandbox.requests(acting=True))
    assert main(["resume", run.id, "--look", *options]) == 3
    assert printed(capsys)["pending"] > 0
    assert len(sandbox.requests(acting=True)) == before, "to look is to send nothing"
    assert main(["resume", run.id, *options]) == 0
    answer = printed(capsys)
    assert answer["succeeded"] == answer["rows"] == len(rows)
    assert answer["left"] == []
    assert sandbox.duplicates() == []
    assert main(["resume", "run_unknown", *options]) == 2  # trying again later does not help
    assert "no run run_unknown in the ledger of this workspace; voxops runs lists them" in capsys.readouterr().err


def test_every_command_prints_json_and_a_mistyped_path_makes_no_ledger(sandbox, url, tmp_path, capsys):
    ledger, hostile = str(tmp_path / "l.sqlite"), "\x1b[31mred\u202e"
    for target in (target for post in sandbox.world.posts.values() for target in post.targets):
        target.error = target.error and {"code": "ODD", "message": hostile}
    assert main(["triage", "--url", url, "--json", "--since", "30D"]) == 3
    answer = printed(capsys)
    assert {"headline", "causes", "failures"} <= set(answer)
    assert hostile in {row["error_message"] for row in answer["failures"]}
    assert answer["failures"][0]["updated_at"].endswith("+00:00")
    assert main(["deliveries", "--url", url, "--json", "--by", "event", "--since", "30D"]) == 3
    answer = printed(capsys)
    assert "lost" in answer and len({row["event_type"] for row in answer["stats"]}) == len(answer["stats"]) > 2
    assert main(["runs", "--url", url, "--ledger", ledger, "--json"]) == 2
    assert "there is no ledger" in capsys.readouterr().err
    assert not Path(ledger).exists()
    vx.connect(sandbox=sandbox, ledger=ledger).close()
    assert main(["runs", "--url", url, "--ledger", ledger, "--json"]) == 0
    assert printed(capsys) == []
    assert main(["archive", "sync", str(tmp_path / "archive"), "--url", url, "--json"]) == 0
    assert printed(capsys)["posts"] == 500


def test_a_sync_reads_a_workbook_as_a_notebook_does(sandbox, url, tmp_path, capsys):
    """Its second sheet, heads in the third row, days first, and pictures in another folder, which are uploaded before it is planned."""
    sandbox.set_speed(60)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (64, 64), "white").save(pictures / "a.png")
    when = "03.04.2027 09:00"
    rows = [
        ["title", "", "", "", ""],
        ["row_id", "content", "accounts", "scheduled_for", "media"],
        ["a", "A", "twitter:@aldercoffee", when, "a.png"],
    ]
    with pd.ExcelWriter(tmp_path / "plan.xlsx") as book:
        pd.DataFrame([["nothing"]]).to_excel(book, sheet_name="notes", header=False, index=False)
        pd.DataFrame(rows).to_excel(book, sheet_name="posts", startrow=1, header=False, index=False)
    words = f"sync {tmp_path / 'plan.xlsx'} --key row_id --campaign spring --url {url} --ledger {tmp_path / 'l.sqlite'} --tz Europe/Berlin".split()
    words += f"--sheet posts --header 3 --dayfirst --folder {pictures}".split()
    assert main(words) == 3
    assert "sheet = ws.upload(sheet)" in capsys.readouterr().out
    assert main([*words, "--yes", "--reason", "monday"]) == 0
    (post,) = [post for post in sandbox.world.posts.values() if post.content == "A"]
    assert datetime.fromtimestamp(post.scheduled_for / 1000, UTC) == datetime(2027, 4, 3, 7, tzinfo=UTC)
    assert len(post.media) == 1


def test_a_sync_is_shown_done_and_withdraws_only_what_it_is_told_to(sandbox, url, tmp_path, capsys):
    path, ledger = tmp_path / "sheet.csv", tmp_path / "ledger.sqlite"
    words = f"sync {path} --key row_id --campaign spring --url {url} --ledger {ledger}".split()
    rows = [f"{name},{name.upper()},twitter:@aldercoffee,2027-03-01T09:0{at}:00Z" for at, name in enumerate("ab")]
    path.write_text("\n".join(["row_id,content,accounts,scheduled_for", *rows]))
    assert main(words) == 3
    assert "To create: 2 rows" in capsys.readouterr().out
    assert not sandbox.effects("post.create")
    assert main([*words, "--yes", "--reason", "monday"]) == main(words) == 0
    path.write_text("\n".join(["row_id,content,accounts,scheduled_for", rows[0]]))
    assert main([*words, "--yes"]) == main(words) == 3, "a row is gone, and nobody has asked for its withdrawal"
    capsys.readouterr()
    assert main([*words, "--withdraw", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["succeeded"] == 1
    assert [len(sandbox.effects(f"post.{kind}")) for kind in ("create", "cancel")] == [2, 1]
