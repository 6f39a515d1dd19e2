"""The command: tables for people, exit codes for schedules, errors in one line."""

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
from tests.chaos import world

import voxops as vx
from voxburst_sandbox import Sandbox, Switches
from voxops.cli import _parser, main
from voxops.ledger.ledger import Ledger


def command(*words: str, stdout: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    run = [sys.executable, "-m", "voxops", *words]
    return subprocess.run(run, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


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


ODDS = "--posts=-1 --deliveries=-1 --rate-limit=-5 --speed=inf --port=70000 --port=-1 --storage-port=x --receiver-port=65536"


def test_wrong_usage_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("voxburst_sandbox.serve", lambda **_: None)  # else a test that fails serves for ever
    calls = [(words.split(), re.findall("--[a-z-]+", words)[-1]) for words in WRONG.strip().splitlines()]
    for odd in ODDS.split():
        option, _, value = odd.partition("=")
        calls.append((["sandbox", odd], f"{option}: {value!r} is no"))
    for words, said in calls:
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert f"error: argument {said}" in capsys.readouterr().err


def test_switches_reach_the_sandbox_in_their_type_or_are_refused(capsys, monkeypatch):
    served = []
    monkeypatch.setattr("voxburst_sandbox.serve", lambda **options: served.append(options["switches"]))
    main(
        [
            "sandbox",
            "--switch",
            "list_lag_seconds=20",
            "--switch",
            "publish_seconds=[1,5]",
            "--switch=list_lag_seconds=30",
        ]
    )
    assert served.pop() == Switches(list_lag_seconds=30.0, publish_seconds=(1.0, 5.0))
    main(["sandbox"])
    assert served.pop() == Switches()
    for odd, said in {
        "list_lag=20": "did you mean list_lag_seconds?", "ignore_keys": "'ignore_keys' is not NAME=VALUE",
        "failure_rate=nan": "of type float, not 'nan'", "ignore_keys=yes": "of type bool, not 'yes'", "publish_seconds=[1": "not JSON", "event_shape=old": "'oldest'",
    }.items():  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(["sandbox", "--switch", odd])
        error = capsys.readouterr().err
        assert (ended.value.code, "argument --switch: " in error, said in error) == (2, True, True), error
    assert served == []


def unread(*words: str) -> subprocess.CompletedProcess[str]:
    """The same where the reader of its output has closed the pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        return command(*words, stdout=closed)


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


def test_a_terminal_that_lacks_a_character_shows_its_number(tmp_path):
    path = tmp_path / "lödger.sqlite"
    with Sandbox(rate_limit=None) as sandbox:
        with vx.connect(sandbox=sandbox, ledger=path) as ws:
            ws.run(vx.plan_retry(vx.triage(ws.posts(status="failed"))), reason="Frühling 🌸 für Łódź").wait()
        run = [sys.executable, "-m", "voxops", "runs", "--url", sandbox.url, "--ledger", str(path)]
        env = {**os.environ, "PYTHONIOENCODING": "cp1252", "VOXBURST_API_KEY": sandbox.api_key}
        printed = subprocess.check_output(run, env=env)
    assert b"Fr\xfchling \\U0001f338 f\xfcr \\u0141" in printed


WRONG = """
deliveries --tz Mars/Phobos
deliveries --by colour
deliveries --since
resume run_1 --timeout soon
"""


@pytest.fixture
def handlers():
    """The signal handlers of this process, put back after a command that sets its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_port_in_use_is_said_in_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert main(["sandbox", "--port", str(server.getsockname()[1])]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("voxops: port ")


def test_sandbox_is_served_until_it_is_stopped(tmp_path):
    command = [sys.executable, "-m", "voxops", "sandbox", "--json", "--port", "0", "--state", str(tmp_path / "state")]
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


@pytest.mark.parametrize(("minutes", "status"), [(5, 0), (11, 3)], ids=["young", "stuck"])
def test_a_post_that_is_stuck_in_publishing_needs_somebody(minutes, status, monkeypatch, capsys):
    """The default lists failures only; a stuck target is not failed and must be requested."""
    with Sandbox(posts=0, deliveries=0) as sandbox:
        (post,) = world.plant_posts(sandbox, 1, targets=1)
        record = sandbox.world.posts[post]
        record.status, record.updated_at = "publishing", sandbox.world.now() - minutes * 60_000
        record.targets[0].status, record.targets[0].error = "publishing", None
        monkeypatch.setenv("VOXBURST_API_KEY", "vb_test_readonly")
        assert main(["triage", "--url", sandbox.url]) == status
    assert f"1 failed or hang, 1 {'need' if status else 'resolve'}" in capsys.readouterr().out


@pytest.mark.parametrize("recovers", [1.0, 0.0])
def test_a_retry_with_canaries_sends_the_rest_only_if_half_of_them_succeed(
    sandbox, recovers, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    sandbox.set_switches(recovery_rate=recovers)
    connect = vx.connect
    there = {"sandbox": sandbox, "ledger": tmp_path / "ledger"}
    monkeypatch.setattr("voxops.connection.connect", lambda **_: connect(**there))  # whose minutes pass at once
    words = ["retry"]
    assert main(words) == 3
    assert "Plan to retry" in capsys.readouterr().out
    assert sandbox.effects("post.retry") == []
    assert main([*words, "--canary", "1"]) == main([*words, "--yes", "--canary", "0"]) == 2
    capsys.readouterr()
    assert main([*words, "--yes", "--canary", "1", "--reason", "nightly", "--json"]) == 3
    said = json.loads(capsys.readouterr().out)
    with connect(**there) as ws:
        runs = ws.runs()
        assert runs.index[0] == said["run"]
        assert set(runs["reason"]) == {"nightly"}
        assert len(runs) == (2 if recovers else 1), "the rest was not sent"
        assert (said["succeeded"] > said["failed"]) == bool(recovers)
        assert said["rows"] == runs.iloc[0][["succeeded", "failed"]].sum()


@pytest.mark.parametrize(
    "words",
    [
        "--version",
        *(pytest.param(f"demo {more}--out {{}}", marks=pytest.mark.release) for more in ("", "--json ")),
    ],
)
def test_who_has_read_enough_ends_a_command_without_a_word(tmp_path, words):
    """As in ``voxops runs --json | head``: the reader closes the pipe."""
    done = unread(*words.format(tmp_path).split())
    assert done.returncode == 141
    assert done.stderr == "" or words.startswith("demo --json")  # whose words stand there


@pytest.mark.release
def test_files_are_written_also_where_nobody_reads_what_is_printed(tmp_path):
    report = tmp_path / "report.html"
    done = unread("triage", "--sandbox", "--since", "7D", "--json", "--html", str(report))
    assert done.returncode == 141
    assert "<html" in report.read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full, as Linux has one")
def test_a_full_disk_is_said_in_a_line():
    with Path("/dev/full").open("w") as full:
        done = command("--version", stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("voxops: can't write: ")
    assert done.stderr.count("\n") == 1


def test_the_package_itself_is_the_command():
    assert command("--version", stdout=subprocess.PIPE).stdout.startswith("voxops ")


def test_the_table_by_event_is_in_the_json_of_deliveries(capsys):
    assert main(["deliveries", "--sandbox", "--by", "event", "--json"]) in {0, 3}
    stats = json.loads(capsys.readouterr().out)["stats"]
    assert len({row["event_type"] for row in stats}) == len(stats) > 2


COUNTS = "posts failed_targets eligible retried succeeded failed pending unknown blocked duplicates"
LINE = re.compile("demo: " + " ".join(rf"{name}=(?P<{name}>\d+)" for name in COUNTS.split()) + r" report=(\S+)")


def last_line(text: str) -> tuple[dict[str, int], str]:
    """The counts of a demo's last line, and where its report is."""
    found = LINE.fullmatch(text.strip().splitlines()[-1])
    assert found is not None, text
    return {name: int(count) for name, count in found.groupdict().items()}, found.groups()[-1]


def effects(state: Path) -> int:
    """Posts that were ever retried in a kept sandbox, from its own record."""
    with Sandbox(state=state) as sandbox:
        return len(sandbox.effects("post.retry")) + len(sandbox.effects("target.fix"))


def test_the_demo_needs_no_key_and_reaches_this_machine_alone(tmp_path, capsys, monkeypatch):
    """Its last line adds up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    reached, connect = set(), socket.socket.connect

    def noted(self: socket.socket, address: tuple[str, int]) -> None:
        reached.add(address[0])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    assert main(["demo"]) == 0
    assert reached == {"127.0.0.1"}
    counts, report = last_line(capsys.readouterr().out)
    assert counts["posts"] > 50
    assert counts["failed_targets"] > 60
    ends = sum(counts[name] for name in ("succeeded", "failed", "pending", "unknown", "blocked"))
    assert counts["eligible"] == counts["retried"] == ends
    assert counts["duplicates"] == 0
    assert report == "build/demo/triage.html"
    assert "<svg" in (tmp_path / report).read_text(encoding="utf-8")


@pytest.mark.release
def test_a_folder_with_blanks_in_its_name_is_part_of_the_json(tmp_path, capsys):
    out = tmp_path / "my = o'ut"
    assert main(["demo", "--json", "--out", str(out)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["report"] == str(out / "triage.html")


@pytest.mark.release
def test_a_second_demo_on_kept_files_acts_no_more(tmp_path, capsys):
    state, ledger = tmp_path / "state", tmp_path / "ledger.sqlite"
    options = ["demo", "--state", str(state), "--ledger", str(ledger), "--out", str(tmp_path)]
    assert main(options) == 0
    first, _ = last_line(capsys.readouterr().out)
    acts = effects(state)
    assert acts > 20
    assert main(options) == 0
    second, _ = last_line(capsys.readouterr().out)
    assert effects(state) == acts
    assert [*second.values()][2:] == [*first.values()][2:]


def test_a_command_that_is_none_is_asked_for_by_the_nearest_one(capsys):
    for words, meant in {
        "tirage": "triage",
        "post": "posts",
        "archive snyc": "sync",
        "deliveries --by events": "event",
    }.items():
        with pytest.raises(SystemExit) as ended:
            main(words.split())
        assert (ended.value.code, f"did you mean '{meant}'?" in capsys.readouterr().err) == (2, True)
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "did you mean" not in capsys.readouterr().err


def test_posts_are_listed_and_each_list_says_whose_it_is_and_what_follows(sandbox, tmp_path, monkeypatch, capsys):
    url = sandbox.url
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    reads, keeps = ["--url", url], ["--url", url, "--ledger", str(tmp_path / "ledger.sqlite")]
    assert main(["posts", "--status", "failed", "--status", "partial", "--since", "30D", "--json", *reads]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["status"] for row in rows} == {"failed", "partial"}
    assert main(["posts", "--status", "failed", "--since", "30D", *reads]) == 0
    assert len(capsys.readouterr().out.splitlines()) == sum(row["status"] == "failed" for row in rows) + 2
    assert main(["triage", "--since", "30D", *reads]) == 3
    first, *_, last = capsys.readouterr().out.splitlines()
    assert (first, last) == (f"workspace Alder Coffee at {url}", "next: voxops retry --since 30D")
    assert main(["triage", "--since", "30D", "--exit-zero", *reads]) == 0
    with vx.connect(sandbox.api_key, url=url, ledger=tmp_path / "ledger.sqlite") as ws:
        run = ws.run(vx.plan_retry(vx.triage(ws.posts(status="failed")))).pause()
    capsys.readouterr()
    assert main(["runs", *keeps]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert (first, last) == (f"workspace Alder Coffee at {url}", f"next: voxops resume {run.id}")


def test_a_sync_reads_a_workbook_as_a_notebook_does(sandbox, tmp_path, monkeypatch, capsys):
    """Its second sheet, heads in the third row, days first, and pictures in another folder, which are uploaded before it is planned."""
    sandbox.set_speed(60)
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
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
    words = f"sync {tmp_path / 'plan.xlsx'} --key row_id --campaign spring --url {sandbox.url} --ledger {tmp_path / 'l.sqlite'} --tz Europe/Berlin".split()
    words += f"--sheet posts --header 3 --dayfirst --folder {pictures}".split()
    assert main(words) == 3
    assert "sheet = ws.upload(sheet)" in capsys.readouterr().out
    assert main([*words, "--yes", "--reason", "monday"]) == 0
    (post,) = [post for post in sandbox.world.posts.values() if post.content == "A"]
    assert datetime.fromtimestamp(post.scheduled_for / 1000, UTC) == datetime(2027, 4, 3, 7, tzinfo=UTC)
    assert len(post.media) == 1


def test_a_sync_is_shown_done_and_withdraws_only_what_it_is_told_to(sandbox, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    path, ledger = tmp_path / "sheet.csv", tmp_path / "ledger.sqlite"
    words = f"sync {path} --key row_id --campaign spring --url {sandbox.url} --ledger {ledger}".split()
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
