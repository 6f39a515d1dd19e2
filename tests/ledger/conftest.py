"""A ledger for the tests that need no server."""

import pytest

from voxops.ledger.ledger import Ledger


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()
