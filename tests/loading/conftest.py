"""The engine's rig, for uploads by two laptops."""

from __future__ import annotations

from tests.engine.conftest import rig, server

__all__ = ["rig", "server"]
