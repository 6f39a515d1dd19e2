"""The sandbox of all tests, in this process: a client that a test makes by itself talks to it over a socket.

It is without posts, which take most of a reset, where a file has no use for them (``EMPTY``).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.inprocess import InProcess
from tests.sandbox.support import again

from voxburst_sandbox import Sandbox


@pytest.fixture(scope="package")
def _server() -> Iterator[Sandbox]:
    with InProcess(seed=7, speed=0, rate_limit=None, deliveries=600) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_server: Sandbox, request: pytest.FixtureRequest) -> Sandbox:
    return again(_server, empty=getattr(request.module, "EMPTY", False))
