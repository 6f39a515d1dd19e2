"""The notebooks as a reader runs them, and a comparison with what is stored in them.

``python -m tests.notebooks`` executes all of them, compares, and renders what came out to ``build/notebooks``; with ``--update``
it stores the outputs. The test suite runs them once more under nbval, by the same sanitising file and the same tags.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SANITIZE = Path(__file__).with_name("sanitize.cfg")
IGNORED = "nbval-ignore-output"  # tag of cells whose output moves with time: the live displays
_COMPARED = ("text/plain", "text/html", "text/markdown")  # pictures differ by version of matplotlib and fonts


def environment(out: Path, **more: str) -> dict[str, str]:
    """An environment without the caller's workspace, so that no run of ours ever reaches a real one."""
    own = ("VOXBURST_", "VOXOPS_", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    places = {"VOXOPS_OUT": out / "files", "IPYTHONDIR": out / "ipython", "JUPYTER_CONFIG_DIR": out / "jupyter"}
    return {**kept, **{name: str(path) for name, path in places.items()}, "PYDEVD_DISABLE_FILE_VALIDATION": "1", **more}


def execute(path: Path, out: Path, **more: str):
    """Run a notebook top to bottom in a fresh kernel; files it writes go to ``out / "files"``."""
    import nbformat  # takes two seconds, which every worker would wait for
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    quiet = ["--log-level=ERROR"]  # the kernel says at each start that it is not encrypted
    client = NotebookClient(
        notebook, timeout=200, startup_timeout=200, kernel_name="python3", extra_arguments=quiet, resources=place
    )
    client.execute(env=environment(out, **more))
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of the messages
    return notebook


def differences(stored, fresh) -> list[str]:
    """What a reader would see otherwise than it is stored: one line per output."""
    found = []
    for before, after in zip(stored.cells, fresh.cells, strict=True):
        if before.cell_type != "code" or IGNORED in before.metadata.get("tags", ()):
            continue
        said, says = list(compared(before)), list(compared(after))
        if said != says:
            line = next((pair for pair in zip(said, says, strict=False) if pair[0] != pair[1]), (said[-1:], says[-1:]))
            found.append(f"{before.id}: stored {str(line[0])[:300]} but now {str(line[1])[:300]}")
    return found


def compared(cell) -> Iterator[tuple[str, str]]:
    """Kind and text of everything in a cell's outputs that has to stay as it is, sanitised."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.name, sanitized(output.text)
        elif output.output_type == "error":
            yield "error", output.ename
        else:
            yield from ((kind, sanitized(output.data[kind])) for kind in _COMPARED if kind in output.data)


def sanitized(text: str) -> str:
    """A text without what differs between two runs, as nbval sees it."""
    rules = configparser.RawConfigParser()
    rules.read(SANITIZE)
    for name in rules.sections():
        text = re.sub(rules[name]["regex"], rules[name]["replace"], text)
    return text
