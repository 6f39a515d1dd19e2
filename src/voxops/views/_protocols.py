"""The parts of a workspace and a run that displays use, as protocols."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from voxops.acts.plan import Plan
from voxops.model import Observer, Snapshot

__all__ = ["AwaitableMethods", "ClientLike", "RunLike", "SettingsLike", "WorkspaceLike"]


class RunLike(Protocol):
    """The run that a panel follows and controls."""

    id: str

    @property
    def snapshot(self) -> Snapshot:
        """The newest state."""

    @property
    def plan(self) -> Plan | None:
        """The plan that is executed."""

    def observe(self, observer: Observer) -> None:
        """Notify an observer of every state from now on."""

    def pause(self) -> object:
        """Send nothing more for now."""

    def resume(self) -> object:
        """Go on sending."""

    def cancel(self) -> object:
        """Abandon what was never sent."""

    def results(self) -> pd.DataFrame:
        """One row per eligible row, with its outcome."""

    def failed(self) -> pd.DataFrame:
        """The failed rows, ready to be planned again."""

    def __await__(self) -> Generator[Any, Any, object]:
        """Wait for its end."""


class AwaitableMethods(Protocol):
    """The methods of a workspace that panels await."""

    def run(self, plan: Plan, *, reason: str | None = None) -> Awaitable[RunLike]:
        """Run a plan."""

    def attach(self, run_id: str) -> Awaitable[RunLike]:
        """Take a run up again."""

    def webhooks(self) -> Awaitable[pd.DataFrame]:
        """Load the webhooks."""

    def deliveries(self, webhook: str | None = None, *, since: str | None = None) -> Awaitable[pd.DataFrame]:
        """Load the delivery history."""


class ClientLike(Protocol):
    """The client of a workspace."""

    @property
    def url(self) -> str:
        """The API's address."""

    def now(self) -> datetime:
        """The server's time."""


class SettingsLike(Protocol):
    """The settings of a workspace."""

    @property
    def tz(self) -> str:
        """Time zone in which times are shown."""

    def arguments(self) -> dict[str, str]:
        """The same settings as arguments of ``vx.connect``."""


class WorkspaceLike(Protocol):
    """A workspace, as panels use it."""

    @property
    def aio(self) -> AwaitableMethods:
        """Its awaitable methods."""

    @property
    def client(self) -> ClientLike:
        """Its client."""

    @property
    def settings(self) -> SettingsLike:
        """Its settings."""

    @property
    def sandbox(self) -> Any:
        """The embedded sandbox, if there is one."""

    def runs(self) -> pd.DataFrame:
        """The runs of its ledger."""

    def ledger(self) -> pd.DataFrame:
        """The audit trail."""
