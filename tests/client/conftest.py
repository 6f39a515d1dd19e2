"""The sandbox of all tests; without posts, which take most of a reset, where a file has no use for them (``EMPTY``)."""

from __future__ import annotations

import pytest
from tests.sandbox.support import again

from voxburst_sandbox import Sandbox


@pytest.fixture
def sandbox(_server: Sandbox, request: pytest.FixtureRequest) -> Sandbox:
    return again(_server, empty=getattr(request.module, "EMPTY", False))
