"""Paths of acts, and faults that hit them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.chaos.rig import wait_for

from voxburst_sandbox import Fault

__all__ = ["BATCH_OR_NOT", "BULK", "HOUR", "REDELIVER", "RETRY", "failing", "wait_for"]

RETRY, BULK, REDELIVER = "/v1/posts/*/retry", "/v1/posts/bulk", "/v1/webhooks/*/deliveries/*/retry"
HOUR = 3600.0
BATCH_OR_NOT = pytest.mark.parametrize("one_by_one", [False, pytest.param(True, marks=pytest.mark.release)])


def failing(*actions: Any, path: str = "/v1/**", **where: Any) -> list[Fault]:
    """Faults that hit the same acting requests."""
    return [Fault(method="POST", path=path, **{**where, **action}) for action in actions]
