"""One sandbox for each file of tests, as it was in the beginning for each test; its clock is stopped.

A file may say how large it is, and under which readings: ``SANDBOX`` and ``SWITCHES``.
"""

from __future__ import annotations

import pytest
from tests.sandbox.support import Api, again

from voxburst_sandbox import Sandbox


@pytest.fixture(scope="module")
def _server(request):
    size = getattr(request.module, "SANDBOX", {"posts": 80, "deliveries": 120})
    with Sandbox(**size, rate_limit=None, workspace="ws_test") as running:
        yield running


@pytest.fixture
def sandbox(_server, request):
    return again(_server, **getattr(request.module, "SWITCHES", {}))


@pytest.fixture
def api(sandbox):
    with Api(sandbox) as opened:
        yield opened
