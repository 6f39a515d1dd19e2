"""A workspace, and archives of it: one that is synced once and copied for each test, and one that holds nothing yet."""

from __future__ import annotations

import shutil

import pytest

import voxops as vx


@pytest.fixture(scope="session")
def _synced(_server, tmp_path_factory):
    """An archive of the sandbox as it is in the beginning; nobody writes to it."""
    _server.reset()
    folder = tmp_path_factory.mktemp("synced")
    with vx.connect(sandbox=_server, ledger=folder / "ledger.sqlite") as ws:
        assert ws.archive(folder / "history").sync().posts == 500
    return folder / "history"


@pytest.fixture
def ws(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as workspace:
        yield workspace


@pytest.fixture
def unfilled(ws, tmp_path):
    return ws.archive(tmp_path / "history")


@pytest.fixture
def archive(ws, _synced, tmp_path):
    return ws.archive(shutil.copytree(_synced, tmp_path / "history"))
