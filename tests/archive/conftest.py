"""A workspace, and archives of it: one that is synced once and copied for each test, and one that holds nothing yet."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.archive import Archive


@pytest.fixture(scope="session")
def _synced(_server: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of the sandbox as it is in the beginning; nobody writes to it."""
    _server.reset()
    folder = tmp_path_factory.mktemp("synced")
    with vx.connect(sandbox=_server, ledger=folder / "ledger.sqlite") as ws:
        assert ws.archive(folder / "history").sync().posts == 500
    return folder / "history"


@pytest.fixture
def ws(sandbox: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as workspace:
        yield workspace


@pytest.fixture
def unfilled(ws: vx.Workspace, tmp_path: Path) -> Archive:
    return ws.archive(tmp_path / "history")


@pytest.fixture
def archive(ws: vx.Workspace, _synced: Path, tmp_path: Path) -> Archive:
    return ws.archive(shutil.copytree(_synced, tmp_path / "history"))
