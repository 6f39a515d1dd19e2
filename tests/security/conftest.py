"""Kernels on an empty sandbox of their own."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Rig

from voxburst_sandbox import Sandbox


@pytest.fixture
def rig(tmp_path):
    with Sandbox(seed=7, speed=0, rate_limit=None) as sandbox:
        sandbox.reset(empty=True)
        made = Rig(sandbox, tmp_path)
        yield made
        made.close()
