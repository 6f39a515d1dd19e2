"""The commands that the docs write: the parser takes each, and what cron and Airflow would run sends each thing once."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from tests.docs import DOCS, HOME, WRITTEN, blocks
from tests.virtual import until

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops.cli import _parser

SCHEDULED = DOCS / "how-to" / "schedule.md"
PAGES = [*WRITTEN, HOME / "README.md", HOME / "notebooks" / "README.md"]
COMMAND = re.compile(r"(?<![\w./=-])voxops (?=[a-z-])")
ROWS = 60  # two calls


# -- the parser takes each ---------------------------------------------------------------------------------------------

PLACEHOLDERS = {"N": "1", "X": "1", "SECONDS": "1", "NAME=VALUE": "list_lag_seconds=1"}


def words(text: str) -> list[str]:
    """The arguments of a command line that begins after its `voxops`, without redirections and what follows a pipe."""
    found = []
    lexer = shlex.shlex(re.sub(r"\d?>>?\s*\S+", "", text), posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    for word in lexer:  # an unclosed quotation mark of another command comes after a pipe
        if set(word) <= set("|&;()<>"):
            break
        found.append(PLACEHOLDERS.get(word, word))
    return found


def command_lines(page: Path) -> Iterator[tuple[str, bool]]:
    """Each command line of a page, after its `voxops`; and whether it is whole, as in a block, or may be cut short, as in prose."""
    for language in ("sh", "console", "text", "bash", ""):
        for block in blocks(page, language):
            for line in re.sub(r"(?m)(^|\s)#.*", "", block.replace("\\\n", " ")).splitlines():
                if language != "console" or line.startswith("$"):
                    yield from ((line[found.end() :], True) for found in COMMAND.finditer(line))
    prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`\n]+)`", prose):
        for found in COMMAND.finditer(span):
            yield re.sub(r"[][]", "", span[found.end() :].replace("\\|", "|")), False


def test_the_parser_takes_every_command_line(monkeypatch):
    def refused(_, message):
        raise ValueError(message)

    monkeypatch.setattr(argparse.ArgumentParser, "error", refused)
    wrong, taken = [], Counter[Path]()
    for page in PAGES:
        for line, whole in command_lines(page):
            taken[page] += 1
            try:
                _parser().parse_args(words(line))
            except ValueError as error:
                if whole or not re.search("arguments are required|expected one argument", str(error)):
                    wrong.append(f"{page.relative_to(HOME)}: voxops {line}: {error}")
            except SystemExit:  # --version, --help
                pass
    assert not wrong, "\n".join(wrong)
    assert taken[SCHEDULED] > 10, "the pattern finds nothing any more"


# -- cron --------------------------------------------------------------------------------------------------------------

FIELD = r"(?:\*|\d+(?:-\d+)?)(?:/\d+)?(?:,\d+(?:-\d+)?)*"
MOST = (59, 23, 31, 12, 7)


def crontab() -> str:
    """The command of the page's crontab, whose fields are what cron takes."""
    ((fields, command),) = re.findall(rf"^((?:{FIELD} +){{5}})(.*)$", SCHEDULED.read_text("utf-8"), re.MULTILINE)
    for field, most in zip(fields.split(), MOST, strict=True):
        assert all(int(number) <= most for number in re.findall(r"\d+", field)), field
    return command


@pytest.fixture
def machine(sandbox, tmp_path, monkeypatch):
    """A machine with the command `voxops`, whose home is a new folder; `voxops.pid` there names the last command."""
    for name in [name for name in os.environ if name.startswith(("VOXBURST_", "VOXOPS_", "XDG_"))]:
        monkeypatch.delenv(name)
    command = tmp_path / "bin" / "voxops"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho $$ >"{tmp_path}/voxops.pid"\nexec "{sys.executable}" -m voxops "$@"\n')
    command.chmod(0o755)
    for name, value in {
        "PYTHONPATH": Path(vx.__file__).parents[1], "PATH": f"{command.parent}:{os.environ['PATH']}", "HOME": tmp_path,
        "VOXBURST_API_URL": sandbox.url,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    return tmp_path


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script as cron would run it, in a shell of its own."""
    return subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def campaign_sheet(name: str) -> pd.DataFrame:
    hours = pd.date_range("2026-04-01T09:00Z", periods=ROWS, freq="h").strftime("%Y-%m-%dT%H:%MZ")
    rows = [(f"r{row}", f"Cup {row} of {name}", "twitter:@aldercoffee", hour) for row, hour in enumerate(hours)]
    return pd.DataFrame(rows, columns=["row_id", "content", "accounts", "scheduled_for"])


def left_half_done(sandbox: Sandbox, campaign: str, ledger: Path | None = None) -> str:
    """A run of a laptop, of which the API refused a call; its id."""
    sandbox.add_fault(Fault("status", method="POST", path="/v1/posts/bulk", status=401, code="UNAUTHORIZED", nth=2))
    with vx.connect(sandbox.api_key, url=sandbox.url, ledger=ledger) as ws:
        run = ws.run(vx.plan_create(campaign_sheet(campaign), key="row_id", campaign=campaign)).wait(30)
        assert (run.results()["outcome"] == "pending").any()
    sandbox.clear_faults()
    assert 0 < len(sandbox.effects("post.create")) < ROWS
    return str(run.id)


def created_once(sandbox: Sandbox, rows: int) -> bool:
    marks = [effect["mark"] for effect in sandbox.effects("post.create")]
    return len(marks) == len(set(marks)) == rows and sandbox.duplicates() == []


def test_the_scripts_of_the_page_do_what_it_says(sandbox, machine):
    env, report, resume = blocks(SCHEDULED, "sh")
    assert shell(env.replace("vb_live_…", sandbox.api_key), machine).returncode == 0
    file = machine / ".voxburst.env"
    assert file.stat().st_mode & 0o077 == 0
    setting = f". {shlex.quote(str(file))}\n"

    before = len(sandbox.requests(acting=True))
    done = shell(crontab(), machine)
    assert (done.returncode, done.stderr) == (3, "")
    assert "whoever owns the account" in done.stdout

    done = shell(setting + report, machine)
    assert (done.returncode, done.stdout) == (0, "for somebody to look at: triage.html\n"), done.stderr
    assert "<html" in (machine / "triage.html").read_text("utf-8") and (machine / "summary.txt").read_text()
    assert len(sandbox.requests(acting=True)) == before

    run = left_half_done(sandbox, "spring")
    done = shell(setting + resume, machine)
    said = json.loads(done.stdout)
    assert (done.returncode, said["run"], said["succeeded"], said["left"]) == (0, run, ROWS, [])
    assert created_once(sandbox, ROWS)


# -- Airflow -----------------------------------------------------------------------------------------------------------


class AirflowException(Exception):
    pass


class AirflowFailException(Exception):
    pass


def run_dags(script, monkeypatch):
    """Import a file of DAGs, as Airflow does as far as the page needs it; each task that ended, and its result."""
    done = []

    def task(*, retries):
        def decorate(function):
            def call(**values):
                for left in range(retries, -1, -1):
                    try:
                        result = json.loads(json.dumps(function(**values)))  # as XCom does
                    except AirflowException:
                        if not left:
                            raise
                    else:
                        done.append((function.__name__, result))
                        return result

            call.expand = lambda run: [call(run=each) for each in run]
            return call

        return decorate

    errors = SimpleNamespace(AirflowException=AirflowException, AirflowFailException=AirflowFailException)
    monkeypatch.setitem(sys.modules, "airflow.exceptions", errors)
    sdk = SimpleNamespace(task=task, dag=lambda **_: lambda function: function)
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    monkeypatch.setitem(sys.modules, "pendulum", SimpleNamespace(datetime=lambda *_, tz: tz))
    exec(script, {})
    return done


@pytest.mark.release
def test_a_dag_whose_worker_is_killed_posts_nothing_twice(sandbox, machine, monkeypatch):
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    left = left_half_done(sandbox, "farewell", machine / "ledger.sqlite")
    campaign_sheet("opening").to_excel(machine / "opening.xlsx", index=False)

    def kill():
        until(lambda: len(sandbox.effects("post.create")) > ROWS)
        os.kill(int((machine / "voxops.pid").read_text()), signal.SIGKILL)
        sandbox.clear_faults()
        sandbox.advance(600)  # what may be on its way has arrived
        sandbox.set_speed(30)

    sandbox.add_fault(Fault("delay", "POST", "/v1/posts/bulk", seconds=3600, when="after", nth=2))
    killer = threading.Thread(target=kill)
    killer.start()
    (script,) = blocks(SCHEDULED, "python")
    script = script.replace("    triage()\n", "").replace("/data/voxops", str(machine))
    (_, (_, resumed), (_, synced)) = done = run_dags(script, monkeypatch)
    killer.join()
    assert [name for name, _ in done] == ["unfinished", "resume", "sync"]
    assert (resumed["run"], resumed["succeeded"]) == (left, ROWS)
    assert synced["left"] == [], "what the first try created is there already"
    assert created_once(sandbox, 2 * ROWS)
