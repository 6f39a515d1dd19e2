"""Execute, compare and render the notebooks: ``make notebooks``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from tests.notebooks import NOTEBOOKS, ROOT, differences, execute

_WIDGET = "application/vnd.jupyter.widget-view+json"
_RENDERED = ROOT / "build" / "notebooks"


def main() -> int:
    """Exit status 0 if every notebook runs and says what is stored in it, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks", description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of file names, such as 02 (default: all)")
    parser.add_argument("--update", action="store_true", help="store the outputs instead of comparing them")
    options = parser.parse_args()
    chosen = [path for path in NOTEBOOKS if not options.names or path.name.startswith(tuple(options.names))]
    return max([_one(path, update=options.update) for path in chosen], default=1)


def _one(path: Path, *, update: bool) -> int:
    """Run one notebook."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="voxops-notebooks-") as folder:
        try:
            fresh = execute(path, Path(folder))
        except CellExecutionError as error:
            print(f"{path.name}: {error}")
            return 1
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _of_kernel(output)]
    _RENDERED.mkdir(parents=True, exist_ok=True)
    page, _ = HTMLExporter().from_notebook_node(fresh)
    rendered = _RENDERED / f"{path.stem}.html"
    rendered.write_text(page, encoding="utf-8")
    if update:
        nbformat.write(fresh, path)
        strip = [sys.executable, "-m", "nbstripout", "--keep-output", "--keep-count", str(path)]
        subprocess.run(strip, check=True)
    found = differences(nbformat.read(path, as_version=4), fresh)
    print(
        f"{path.name}: {'; '.join(found) or 'as stored'} ({time.monotonic() - began:.0f} s, {rendered.relative_to(ROOT)})"
    )
    return 1 if found else 0


def _of_kernel(output) -> bool:
    """Whether an output is what only a living kernel can show: a widget, or the blank that one left when it was of no more use."""
    data = output.get("data")
    return data is not None and (_WIDGET in data or not any(data.values()))


if __name__ == "__main__":
    sys.exit(main())
