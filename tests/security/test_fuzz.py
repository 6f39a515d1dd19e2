"""The fuzzing of files, archives and ledgers runs, finds nothing in a moment, and finds what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FUZZ = """
import pathlib, sys
from tests.security import fuzz
def fail(*_):
    raise KeyError("x")
name, most, fuzz.KEPT, broken = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4] == "True"
if broken:
    fuzz.KINDS[name] = fuzz.KINDS[name]._replace(read=fail)
sys.exit(fuzz.run(name, 1, most=most) > 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize(
    ("kind", "most", "broken"),
    [("files", 100, False), ("archives", 3, False), ("ledgers", 10, False), ("files", 3, True)],
)
def test_what_is_altered_at_random_is_read_or_refused(kind, most, broken, tmp_path):
    command = [sys.executable, "-c", FUZZ, kind, str(most), str(tmp_path), str(broken)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode != 0) == broken, done.stdout[-2_000:] + done.stderr[-2_000:]
    assert ("KeyError: 'x'" in done.stdout) == broken
    assert f"seed 1: {most:,} {kind}, " in done.stdout
    assert broken or " 0 refused" not in done.stdout
    assert len(list(tmp_path.iterdir())) == (most if broken else 0)
