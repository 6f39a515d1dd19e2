"""The parts of a run that views and reports read."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from voxops.acts.plan import Plan

__all__ = ["RunLike"]


class RunLike(Protocol):
    """A run, which stands above the views."""

    id: str

    @property
    def plan(self) -> Plan | None:
        """The plan that is executed; None of a watch."""

    def results(self) -> pd.DataFrame:
        """One row per eligible row, with its outcome."""

    def failed(self) -> pd.DataFrame:
        """The failed rows, ready to be planned again."""
