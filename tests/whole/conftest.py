"""A workspace on the shared sandbox, with a ledger of its own, for tests that need no other; what failed there, and a plan to retry it."""

from __future__ import annotations

import pytest

import voxops as vx


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ws(sandbox, ledger):
    with vx.connect(sandbox=sandbox, ledger=ledger) as workspace:
        yield workspace


@pytest.fixture
def failed(ws):
    return vx.triage(ws.posts(status=["failed", "partial"]))


@pytest.fixture
def plan(failed):
    return vx.plan_retry(failed)


@pytest.fixture
def acts(sandbox):
    """How many acting requests the server has seen: ``acts()``."""
    return lambda: len(sandbox.requests(acting=True))
