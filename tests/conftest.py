"""A sandbox and a client for every test that talks HTTP; time passes only where a test lets it."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.sandbox.support import again

from voxburst_sandbox import Sandbox
from voxops._support import eventloop
from voxops.client import AsyncClient, SteppedClock

# What makes the reference is there; it is tested, and has every public frame.
sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

# No law depends on how fast this machine is just now. `make proof` draws 300 examples of each.
settings.register_profile(
    "voxops", settings.default, max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("voxops"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "voxops"))

# A shell that starts the tests in the background has them, and all processes that they start, ignore interrupts, of which some are
# about.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class SandboxClock(SteppedClock):
    """The sandbox's own clock as the client sees it: sleeping moves it forward, takes no time, and is on record."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox.advance)
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(seconds)


@pytest.fixture(scope="session")
def _server():
    """One server for all tests of a process."""
    with Sandbox(seed=7, speed=0, rate_limit=None, deliveries=600) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_server):
    """The API on this machine as it was in the beginning: 500 posts, 600 deliveries, time standing still, no faults, no rate limit."""
    _server.set_speed(0)
    return again(_server)


@pytest.fixture
def clock(sandbox):
    """The clock of `client`: what it sleeps passes in the sandbox, at once; `slept` lists it."""
    return SandboxClock(sandbox)


@pytest.fixture
def client(sandbox, clock):
    """A client of the sandbox, over a socket if that is not in this process: ``eventloop.run(client.identity())``."""
    transport = getattr(sandbox, "transport", None)
    client = AsyncClient(sandbox.api_key, url=sandbox.url, _clock=clock, _rng=random.Random(7), transport=transport)
    yield client
    eventloop.run(client.aclose())


# Files that take long, the longest first: a worker that begins one of them last would leave the other idle.
LONG = (
    "views/test_browser.py",
    "whole/test_kernel.py",
    "engine/test_chaos.py",
    "whole/test_run_notebooks.py",
    "whole/test_run_a_service.py",
    "docs/test_commands.py",
    "whole/test_no_key.py",
    "security/test_fuzz.py",
    "exhaustive/test_exhaustive.py",
    "archive/test_sync.py",
    "archive/test_archive.py",
    "conformance/test_matrix_rows.py",
    "analysis/test_deliveries.py",
    "docs/test_readme.py",
    "promise/test_one_ledger.py",
    "client/test_client_rows.py",
    "frames/test_records.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the long files, so that the workers end at about the same time."""
    place = {f"tests/{name}": number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(LONG)))
