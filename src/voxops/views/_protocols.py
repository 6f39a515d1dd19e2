"""The part of a run that reports and views use, as a protocol."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from voxops.acts.plan import Plan


class RunLike(Protocol):
    """A run: what it was asked, and what it has done."""

    id: str

    @property
    def plan(self) -> Plan | None:
        """The plan that is executed."""

    def results(self) -> pd.DataFrame:
        """One row per eligible row, with its outcome."""

    def failed(self) -> pd.DataFrame:
        """The failed rows, ready to be planned again."""
