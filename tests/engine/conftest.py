"""A rig for every test of the engine: kernels with ledgers of their own against one server in this process, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.chaos.rig import Rig
from tests.inprocess import InProcess

from voxburst_sandbox import Sandbox, Switches


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with InProcess(seed=11, empty=True, rate_limit=None) as sandbox:
        yield sandbox


@pytest.fixture
def rig(server: Sandbox, tmp_path: Path) -> Iterator[Rig]:
    server.set_switches(**{**asdict(Switches()), "recovery_rate": 1.0, "silent_webhooks": True})
    server.receiver()
    server.receiver(status=200)
    server.reset(empty=True)
    rig = Rig(server, tmp_path)
    yield rig
    rig.close()
