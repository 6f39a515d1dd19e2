"""A rig for every test of the engine: kernels with ledgers of their own against one server, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.chaos.rig import Rig
from tests.engine.desk import Desk
from tests.engine.office import Office
from tests.engine.shown import Bench

from voxburst_sandbox import Sandbox, Switches
from voxops.ledger import Ledger


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(seed=11, empty=True, rate_limit=None) as sandbox:
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


@pytest.fixture
def local(tmp_path: Path) -> Iterator[tuple[Ledger, Callable[[float], None]]]:
    """A ledger and how its clock is set, without a server."""
    time = [0.0]
    ledger = Ledger(tmp_path / "ledger.sqlite", clock=lambda: time[0])
    yield ledger, lambda now: time.__setitem__(0, now)
    ledger.close()


@pytest.fixture
def bench(local: tuple[Ledger, Callable[[float], None]]) -> Bench:
    """A settler that reads what a test shows."""
    return Bench(*local)


@pytest.fixture
def desk(local: tuple[Ledger, Callable[[float], None]]) -> Desk:
    """A sender whose answers a test gives."""
    return Desk(*local)


@pytest.fixture
def office(local: tuple[Ledger, Callable[[float], None]]) -> Office:
    """An execution whose sender and readings a test gives."""
    return Office(*local)
