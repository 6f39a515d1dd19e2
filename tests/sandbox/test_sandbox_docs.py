"""docs/sandbox.md stays true: its conversation runs in a shell, its tables name what there is."""

from __future__ import annotations

import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from voxburst_sandbox import Fault, Sandbox, Switches
from voxburst_sandbox.control import routes
from voxburst_sandbox.switches import ACTIONS

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def named(table: str) -> set[str]:
    """The words in code type in the first cell of each row."""
    return {
        word
        for line in table.splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    }


@pytest.mark.release
def test_the_conversation_runs_as_it_stands(text):
    blocks = re.findall(r"```sh\n(.*?)```", section(text, "A conversation with curl"), re.DOTALL)
    with Sandbox(deliveries=0) as sandbox:
        script = "set -eu\n" + "\n".join(blocks).replace("http://127.0.0.1:8765", sandbox.url)
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=250)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count('"error":{') == done.stdout.count(
            '"error":{"code":"INTERNAL_ERROR","message":"injected'
        )
        assert '"kind":"target.requeue"' in done.stdout  # said twice: the retry under another key
        assert '"dataAvailable":true' in done.stdout
        assert sandbox.effects() == []  # the last line began again


def test_every_switch_is_named_with_its_default(text):
    table = section(text, "Readings of the contract")
    assert named(table) == {field.name for field in fields(Switches)}
    for line in table.splitlines():
        if line.startswith("| `"):
            names, defaults = (re.findall(r"`([^`]+)`", cell) for cell in line.split(" | ")[:2])
            assert {str(getattr(Switches(), name)) for name in names} == set(defaults), line


def test_every_fault_and_every_control_call_is_named(text):
    assert named(section(text, "Faults")) == set(ACTIONS)
    served = {
        f"{method} {route.path}"
        for route in routes(Sandbox(posts=1, deliveries=0).world)
        for method in route.methods - {"HEAD"}
    }
    assert named(section(text, "Control calls")) == served
    for name in ("method", "path", "nth", "every", "chance", "times", "forget_key"):
        assert name in Fault.__dataclass_fields__
        assert f"`{name}" in section(text, "Faults")


def test_every_kind_of_effect_that_the_code_writes_is_named(text):
    folder = Path(__import__("voxburst_sandbox", fromlist=["x"]).__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    kinds = set(re.findall(r'(?:effect|_moved)\(\s*(?:call, )?"([a-z]+\.[a-z]+)"', code))
    assert kinds
    listed = section(text, "Side effects")
    assert not [kind for kind in kinds if kind not in listed]
