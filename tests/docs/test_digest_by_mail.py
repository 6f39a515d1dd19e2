"""The script of `docs/how-to/share-a-report.md` that mails a digest: run by a shell, with a `mail` that writes down what it gets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "share-a-report.md"


@pytest.fixture
def mailed(tmp_path, sandbox):
    """Run the page's script; return the mails so far."""
    (script,) = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, line in {"mail": f'echo "$@" >>{tmp_path}/mails; cat >>{tmp_path}/mails', "voxops": f'exec "{sys.executable}" -m voxops "$@"'}.items():  # fmt: skip
        (commands / name).write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        (commands / name).chmod(0o700)
    (tmp_path / ".voxburst.env").write_text(
        f"export VOXBURST_API_KEY={sandbox.api_key} VOXBURST_API_URL={sandbox.url}\n", "utf-8"
    )
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "PATH": f"{commands}:{os.environ['PATH']}"}

    def run() -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", script], env=os.environ | home, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr == ""
        mails = tmp_path / "mails"
        return mails.read_text("utf-8") if mails.exists() else ""

    return run


@pytest.mark.skipif(os.name != "posix", reason="a script of a POSIX shell")
def test_the_digest_is_mailed_once_while_nothing_new_happens(mailed):
    first = mailed()
    assert "somebody has to act team@example.com" in first.splitlines()[0]
    assert "things for somebody to look at" in first
    assert mailed() == first, "nothing is new, so nothing is mailed"
