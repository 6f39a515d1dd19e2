"""A sandbox of 80 posts whose clock is stopped, for tests that need no other."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.sandbox.support import client

from voxburst_sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(posts=80, deliveries=120, rate_limit=None, workspace="ws_test") as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with client(sandbox) as opened:
        yield opened
