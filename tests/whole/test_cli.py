"""Use the commands: tables for people, JSON and exit statuses for schedules, errors in one line."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import _reference as reference
import pandas as pd
import pytest
from PIL import Image

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops.cli import main
from voxops.ledger.ledger import Ledger
from voxops.model import OUTCOMES


@pytest.fixture
def url(sandbox, monkeypatch):
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    return sandbox.url


@pytest.fixture
def at_once(sandbox, url, ledger, monkeypatch):
    """Commands connect to the sandbox in its own time: minutes pass at once."""
    connect = vx.connect
    monkeypatch.setattr("voxops.connection.connect", lambda **_: connect(sandbox=sandbox, ledger=ledger))


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


def test_the_commands_and_their_options_are_these():
    lines = []
    for name, (parser, _) in reference.commands().items():
        actions = [each for each in parser._actions if not isinstance(each, argparse._HelpAction)]
        lines.append(" ".join([name, *sorted(word for each in actions for word in each.option_strings or [each.dest])]))
    assert lines == COMMANDS.split("\n")[1:-1]


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
def test_what_can_t_be_done_is_said_in_one_line_and_leaves_all_as_it_is(
    words, status, said, tmp_path, capsys, monkeypatch
):
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # who serves sets handlers
    Path("text").write_text("this is no ledger" * 99)
    Ledger(Path("there")).close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(words.split()) in {status, 1 if "xxx" in words else status}  # what older Pythons say of a long name
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("voxops: ")
    assert said in line
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# -- a shell -----------------------------------------------------------------------------------------------------------


def test_a_reader_that_has_closed_the_pipe_ends_a_command_silently():
    """As in ``voxops runs --json | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        command = [sys.executable, "-m", "voxops", "--version"]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


def test_what_the_sandbox_says_of_itself_is_json_on_request(monkeypatch, capsys):
    monkeypatch.setattr("voxburst_sandbox.serve", lambda **_: print("sandbox: url=http://127.0.0.1:8765 key=k"))
    assert main(["sandbox", "--json"]) == 0
    assert printed(capsys) == {"command": "sandbox", "url": "http://127.0.0.1:8765", "key": "k"}


ACCOUNT = "twitter:@aldercoffee"


# -- jobs --------------------------------------------------------------------------------------------------------------


def test_the_demo_needs_no_key_reaches_this_machine_alone_and_acts_once_on_kept_files(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    reached, connect = set(), socket.socket.connect

    def noted(self: socket.socket, address: tuple[str, int]) -> None:
        reached.add(address[0])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    counts = []
    for _ in range(2):
        assert main(["demo", "--state", "state", "--ledger", "ledger.sqlite", "--json"]) == 0
        count = printed(capsys)
        assert count["eligible"] == count["retried"] == sum(count[name] for name in OUTCOMES)
        with Sandbox(state=Path("state")) as sandbox:
            counts.append((count["posts"], len(sandbox.effects("post.retry")) + len(sandbox.effects("target.fix"))))
            assert sandbox.duplicates() == []
    assert reached == {"127.0.0.1"}
    posts, acts = counts[0]
    assert posts > 50
    assert acts == counts[1][1] > 20
    assert "<svg" in Path(count["report"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("recovers", [1.0, 0.0])
@pytest.mark.usefixtures("at_once")
def test_a_retry_with_canaries_sends_the_rest_only_if_half_of_them_succeed(sandbox, ws, acts, recovers, capsys):
    sandbox.set_switches(recovery_rate=recovers)
    assert main(["retry"]) == 3
    assert "Plan to retry" in capsys.readouterr().out
    assert main(["retry", "--canary", "1"]) == main(["retry", "--yes", "--canary", "0"]) == 2
    assert acts() == 0
    capsys.readouterr()
    assert main(["retry", "--yes", "--canary", "1", "--reason", "nightly", "--json"]) == 3
    answer, runs = printed(capsys), ws.runs()
    assert runs.index[0] == answer["run"]
    assert runs["reason"].to_list() == ["nightly"] * (2 if recovers else 1), "the rest was not sent"
    assert (answer["succeeded"] > answer["failed"]) == bool(recovers)


@pytest.mark.usefixtures("at_once")
def test_resume_goes_on_where_a_kernel_died(sandbox, ws, acts, capsys):
    sheet = pd.DataFrame({"row_id": [*"abc"], "content": [*"ABC"]}).assign(
        accounts=ACCOUNT, scheduled_for="2027-03-01T09:00Z"
    )
    sandbox.add_fault(Fault("status", path="/v1/posts", method="POST", status=401, code="UNAUTHORIZED", nth=2))
    run = ws.run(vx.plan_create(sheet, key="row_id", one_by_one=True)).wait(60)
    ws.close()
    sandbox.clear_faults()
    before = acts()
    capsys.readouterr()
    assert main(["resume", run.id, "--look", "--json"]) == 3
    assert printed(capsys)["pending"] > 0
    assert acts() == before, "to look is to send nothing"
    assert main(["resume", run.id, "--json"]) == 0
    answer = printed(capsys)
    assert (answer["succeeded"], answer["rows"], answer["left"]) == (3, 3, [])
    assert sandbox.duplicates() == []
    assert main(["resume", "run_unknown"]) == 2  # trying again later does not help
    assert "no run run_unknown in the ledger of this workspace; voxops runs lists them" in capsys.readouterr().err


def test_every_command_prints_json_and_a_mistyped_path_makes_no_ledger(sandbox, url, ledger, tmp_path, capsys):
    hostile = "\x1b[31mred\u202e"
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
    runs = ["runs", "--url", url, "--ledger", str(ledger), "--json"]
    assert main(runs) == 2
    assert "there is no ledger" in capsys.readouterr().err
    assert not ledger.exists()
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
        run = ws.run(vx.plan_cancel(ws.posts(status="scheduled").head(1))).wait(60)
    capsys.readouterr()
    assert main(runs) == 0
    (listed,) = printed(capsys)
    assert (listed["run"], listed["action"]) == (run.id, "cancel")
    assert main(["archive", "sync", str(tmp_path / "archive"), "--url", url, "--json"]) == 0
    assert printed(capsys)["posts"] == 500


def test_a_sync_reads_a_workbook_as_a_notebook_does(sandbox, url, ledger, tmp_path, capsys):
    """Its second sheet, heads in the third row, days first, and pictures in another folder, which are uploaded before it is planned."""
    sandbox.set_speed(60)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (64, 64), "white").save(pictures / "a.png")
    row = {"row_id": "a", "content": "A", "accounts": ACCOUNT, "scheduled_for": "03.04.2027 09:00", "media": "a.png"}
    with pd.ExcelWriter(tmp_path / "plan.xlsx") as book:
        pd.DataFrame([["nothing"]]).to_excel(book, sheet_name="notes", header=False, index=False)
        pd.DataFrame([row]).to_excel(book, sheet_name="posts", startrow=2, index=False)
    words = f"sync {tmp_path / 'plan.xlsx'} --key row_id --campaign spring --url {url} --ledger {ledger} --tz Europe/Berlin".split()
    words += f"--sheet posts --header 3 --dayfirst --folder {pictures}".split()
    assert main(words) == 3
    assert "sheet = ws.upload(sheet)" in capsys.readouterr().out
    assert main([*words, "--yes", "--reason", "monday"]) == 0
    (post,) = [post for post in sandbox.world.posts.values() if post.content == "A"]
    assert datetime.fromtimestamp(post.scheduled_for / 1000, UTC) == datetime(2027, 4, 3, 7, tzinfo=UTC)
    assert len(post.media) == 1


@pytest.mark.usefixtures("at_once")
def test_a_sync_is_shown_done_and_withdraws_only_what_it_is_told_to(sandbox, tmp_path, capsys):
    path = tmp_path / "sheet.csv"
    words = f"sync {path} --key row_id --campaign spring".split()
    rows = [f"{name},{name.upper()},{ACCOUNT},2027-03-01T09:0{at}:00Z" for at, name in enumerate("ab")]
    path.write_text("\n".join(["row_id,content,accounts,scheduled_for", *rows]))
    assert main(words) == 3
    assert "To create: 2 rows" in capsys.readouterr().out
    assert not sandbox.effects("post.create")
    assert main([*words, "--yes", "--reason", "monday"]) == main(words) == 0
    path.write_text("\n".join(["row_id,content,accounts,scheduled_for", rows[0]]))
    assert main([*words, "--yes"]) == main(words) == 3, "a row is gone, and nobody has asked for its withdrawal"
    capsys.readouterr()
    assert main([*words, "--withdraw", "--yes", "--json"]) == 0
    assert printed(capsys)["succeeded"] == 1
    assert [len(sandbox.effects(f"post.{kind}")) for kind in ("create", "cancel")] == [2, 1]
