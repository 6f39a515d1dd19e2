"""A workspace on the shared sandbox, for tests that need no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import voxops as vx
from voxburst_sandbox import Sandbox


@pytest.fixture
def ws(sandbox: Sandbox) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox) as workspace:
        yield workspace
