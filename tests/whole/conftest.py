"""A workspace on the shared sandbox, with a ledger of its own, and its failures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import voxops as vx
from voxburst_sandbox import Sandbox


@pytest.fixture
def ws(sandbox: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as workspace:
        yield workspace
