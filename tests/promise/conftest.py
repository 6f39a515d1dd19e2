"""The promise is shown by kernels over a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine.conftest import rig  # noqa: F401  a fixture

from voxburst_sandbox import Sandbox


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(seed=11, empty=True, rate_limit=None) as sandbox:
        yield sandbox
