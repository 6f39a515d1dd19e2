"""The parts of a run that displays use, as a protocol."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from voxops.acts.plan import Plan
from voxops.model import Observer, Snapshot

__all__ = ["RunLike"]


class RunLike(Protocol):
    """The run that a display follows and steers."""

    id: str

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""

    @property
    def plan(self) -> Plan | None:
        """The plan that is executed."""

    @property
    def tz(self) -> str:
        """The time zone in which it is shown."""

    def observe(self, observer: Observer) -> None:
        """Notify an observer of every state from now on."""

    def pause(self) -> object:
        """Send nothing more for now."""

    def resume(self) -> object:
        """Go on sending."""

    def cancel(self) -> object:
        """Abandon what was never sent."""

    def replan(self) -> Plan | None:
        """Plan what failed."""

    def results(self) -> pd.DataFrame:
        """One row per eligible row, with its outcome."""

    def failed(self) -> pd.DataFrame:
        """The failed rows, ready to be planned again."""
