"""A run of nothing: a plan without an eligible row is done before it begins, and no ledger needs to know of it."""

from __future__ import annotations

import secrets
from datetime import datetime

import pandas as pd

from voxops.acts.plan import RESULT_TYPES, Plan
from voxops.engine.outcome import COUNTS
from voxops.engine.progress import start
from voxops.frames.records import build
from voxops.model import Observer, Snapshot

PREFIX = "nothing_"  # of the names of such runs


class Nothing:
    """What a run does that has nothing to do: it has ended, so that Run All goes on.

    Parameters
    ----------
    plan : Plan
        The plan, of which no row is eligible.
    now : datetime
        Server time.
    observer : Observer
        Nobody hears of it, since nothing changes.
    """

    over = True

    def __init__(self, plan: Plan, now: datetime, observer: Observer) -> None:  # noqa: ARG002
        self.id = f"{PREFIX}{secrets.token_hex(5)}"
        self.plan = plan
        title = f"{plan.act.verb} 0 rows"
        self.snapshot = start(self.id, plan.action, at=now, title=title, held=plan.held, phase="done")

    async def go(self) -> Snapshot:
        """End at once."""
        return self.snapshot

    async def pause(self, *, withdraw: bool = False) -> None:
        """Nothing is under way."""

    def resume(self, *, paused: bool = False) -> bool:  # noqa: ARG002
        """There is nothing to go on with."""
        return False

    async def allow(self, *, trust_lists: bool = False) -> None:
        """Nothing holds it."""

    def close(self) -> None:
        """Nothing is open."""

    def notify(self, subject: str) -> bool:  # noqa: ARG002
        """Nothing is followed."""
        return False

    def results(self) -> pd.DataFrame:
        """No row, with the columns of all results."""
        table = self.plan.table.head(0)
        table = table.assign(**{name: pd.Series([], dtype=dtype) for name, dtype in RESULT_TYPES.items()})
        table.attrs = {**self.plan.table.attrs, "run": self.id}
        if self.plan.key:
            table = table.assign(campaign=pd.array([], dtype="string"))
            table.attrs |= {"campaign": self.plan.campaign, "key": self.plan.key}
        return table

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:  # noqa: ARG002
        """No row."""
        return self.results()

    async def made(self, *, copies: bool = False) -> pd.DataFrame:  # noqa: ARG002
        """No post."""
        empty = pd.array([], dtype="string")
        return build("posts", []).assign(row=empty)

    async def verify(self) -> pd.DataFrame:
        """No cause."""
        index = pd.Index([], name="cause", dtype="string")
        return pd.DataFrame({name: pd.array([], dtype="Int64") for name in COUNTS}, index=index)

    def replan(self) -> None:
        """Nothing failed."""
