"""The fuzzing of files runs, finds nothing in a moment, and finds what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.security import fuzz_ledgers

FUZZ = "from tests.security import fuzz; import sys; sys.exit(fuzz.run(0.1, 1))"
BROKEN = "import voxops as vx\ndef fail(*_, **__):\n    raise KeyError('x')\nvx.read_campaign = fail\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("broken", [False, True])
def test_files_altered_at_random_are_read_or_refused(broken: bool, tmp_path: Path) -> None:
    program = FUZZ.replace("sys.exit", f"fuzz.KEPT = fuzz.Path({str(tmp_path)!r}); sys.exit")
    done = subprocess.run(
        [sys.executable, "-c", (BROKEN if broken else "") + program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode != 0) == broken, done.stdout[-2_000:] + done.stderr[-2_000:]
    assert ("KeyError: 'x'" in done.stdout) == broken
    assert "seed 1: " in done.stdout
    assert bool(list(tmp_path.iterdir())) == broken


def test_ledgers_altered_at_random_are_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fuzz_ledgers.run(20, 1) == 0
    monkeypatch.setattr(fuzz_ledgers.audit, "runs", lambda _: 1 / 0)
    assert fuzz_ledgers.run(3, 1) > 0
