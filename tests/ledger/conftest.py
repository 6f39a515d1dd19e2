"""A ledger for the tests that need no ledger of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ledger.filled import Clock, filled

from voxops.ledger import Ledger


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """Operations in every state; it is 50 seconds later."""
    ledger = filled(tmp_path / "ledger.sqlite", clock)
    yield ledger
    ledger.close()
