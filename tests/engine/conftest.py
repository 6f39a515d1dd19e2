"""A rig for every test of the engine: kernels with ledgers of their own against one server in this process, in virtual time."""

import pytest
from tests.chaos.rig import Rig
from tests.inprocess import InProcess
from tests.sandbox.support import again


@pytest.fixture(scope="module")
def server():
    with InProcess(seed=11, empty=True, rate_limit=None) as sandbox:
        yield sandbox


@pytest.fixture
def rig(server, tmp_path):
    rig = Rig(again(server, empty=True, recovery_rate=1.0, silent_webhooks=True), tmp_path)
    yield rig
    rig.close()
