"""A workspace on the shared sandbox, with a ledger of its own, for tests that need no other."""

from __future__ import annotations

import pytest

import voxops as vx


@pytest.fixture
def ws(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as workspace:
        yield workspace
