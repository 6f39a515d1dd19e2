"""The demo does the main job, says so in one line, and done twice on kept files acts once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from voxburst_sandbox import Sandbox
from voxops.cli import main

LINE = re.compile(
    r"demo: posts=(\d+) failed_targets=(\d+) eligible=(\d+) retried=(\d+) succeeded=(\d+) failed=(\d+) pending=(\d+) unknown=(\d+) "
    r"blocked=(\d+) duplicates=(\d+) report=(\S+)"
)


def last_line(text: str) -> re.Match[str]:
    found = LINE.fullmatch(text.strip().splitlines()[-1])
    assert found is not None, text
    return found


def effects(state: Path) -> int:
    """Posts that were ever retried in a kept sandbox, from its own record."""
    with Sandbox(state=state) as sandbox:
        return len(sandbox.effects("post.retry")) + len(sandbox.effects("target.fix"))


def test_the_last_line_adds_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    line = last_line(capsys.readouterr().out)
    posts, failed_targets, eligible, retried, succeeded, failed, pending, unknown, blocked, duplicates = map(
        int, line.groups()[:10]
    )
    assert posts > 50
    assert failed_targets > 60
    assert eligible == retried == succeeded + failed + pending + unknown + blocked
    assert duplicates == 0
    assert line[11] == "build/demo/triage.html"
    assert "<svg" in (tmp_path / line[11]).read_text(encoding="utf-8")


@pytest.mark.release
def test_a_folder_with_blanks_in_its_name_is_part_of_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my = o'ut"
    assert main(["demo", "--json", "--out", str(out)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["report"] == str(out / "triage.html")


@pytest.mark.release
def test_a_second_demo_on_kept_files_acts_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, ledger = tmp_path / "state", tmp_path / "ledger.sqlite"
    options = ["demo", "--state", str(state), "--ledger", str(ledger), "--out", str(tmp_path)]
    assert main(options) == 0
    first = last_line(capsys.readouterr().out)
    acts = effects(state)
    assert acts > 20
    assert main(options) == 0
    second = last_line(capsys.readouterr().out)
    assert effects(state) == acts
    assert second.groups()[2:10] == first.groups()[2:10]
