"""The notebooks: they run top to bottom, say what is stored in them, and a changed number is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.notebooks import NOTEBOOKS, SANITIZE, environment, execute

from voxburst_sandbox import Sandbox

if TYPE_CHECKING:
    from nbformat import NotebookNode

pytestmark = pytest.mark.timeout(900)  # each starts kernels, twenty seconds on an idle machine
PATIENCE = 400  # seconds for a notebook, of which a cell may take half


def code(path: Path) -> list[NotebookNode]:
    """The cells of code as they are stored."""
    import nbformat

    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def nbval(path: Path, out: Path) -> subprocess.CompletedProcess[str]:
    options = f"--nbval --nbval-current-env --nbval-cell-timeout {PATIENCE // 2} -p no:cacheprovider -o addopts= -q"
    command = [sys.executable, "-m", "pytest", *options.split(), "-o", "filterwarnings=default"]
    command += ["--nbval-sanitize-with", str(SANITIZE), "--rootdir", str(path.parent), str(path)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(out), timeout=PATIENCE, check=False)


@pytest.mark.parametrize(
    "path",
    [path if "triage" in path.stem else pytest.param(path, marks=pytest.mark.release) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_nbval_finds_every_cell_as_stored(path, tmp_path):
    result = nbval(path, tmp_path)
    assert result.returncode == 0, result.stdout[-4000:]
    assert f"{len(code(path))} passed" in result.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stored_in_one_run_without_errors_secrets_or_paths(path):
    cells = code(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [one for one in outputs if one.output_type == "error" or one.get("name") == "stderr"]
    said = path.read_text(encoding="utf-8")
    for unwanted in ("vb_test_sandbox", "vb_live", "/work/", "/tmp/", "/home/", "Traceback", "widget-view"):
        assert unwanted not in said


def test_nothing_volatile_is_stored():
    strip = [sys.executable, "-m", "nbstripout", "--keep-output", "--keep-count", "--verify", *map(str, NOTEBOOKS)]
    result = subprocess.run(strip, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_campaign_that_is_run_top_to_bottom_a_second_time_creates_nothing(tmp_path):
    """A real workspace: another kernel, the same ledger on disk."""
    path = NOTEBOOKS[0]
    with Sandbox(speed=20.0, rate_limit=None) as sandbox:
        real = {"VOXOPS_SANDBOX": "0", "VOXBURST_API_URL": sandbox.url, "VOXBURST_API_KEY": sandbox.api_key}
        counts = []
        for _ in range(2):
            execute(path, tmp_path, XDG_DATA_HOME=str(tmp_path / "data"), **real)
            counts.append(len(sandbox.effects("post.create")))
        assert counts == [9, 9]
        assert not sandbox.duplicates()
