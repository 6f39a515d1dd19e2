"""The promise is shown by kernels over a socket, as the engine is."""

from tests.engine.conftest import rig, server  # noqa: F401  fixtures
