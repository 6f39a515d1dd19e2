"""A workspace for the tests of a file, with its `SETTINGS`, and what has failed there lately."""

from __future__ import annotations

import pytest

import voxops as vx
from voxburst_sandbox import Sandbox


@pytest.fixture(scope="module")
def ws(request):
    with Sandbox(seed=7, speed=0, rate_limit=None) as server:
        with vx.connect(sandbox=server, **request.module.SETTINGS) as workspace:
            yield workspace


@pytest.fixture(scope="module")
def triaged(ws):
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="7D")))
