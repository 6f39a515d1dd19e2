"""A session on our own event loop: what a workspace does that waits for the API, each written once, as a coroutine."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import pandas as pd

from voxops._core.arguments import whole_number
from voxops.acts.plan import Plan
from voxops.client import AsyncClient, Handle
from voxops.engine.engine import Engine
from voxops.engine.execution import Execution
from voxops.engine.job import Job
from voxops.engine.nothing import PREFIX, Nothing
from voxops.engine.things import refuse_unknown, things_of
from voxops.engine.watching import Watch
from voxops.errors import ConfigError, LedgerError, PlanError
from voxops.frames.spans import say_zone
from voxops.ledger import audit
from voxops.loading import BoardLoader
from voxops.loading.settings import Settings
from voxops.model import Observer
from voxops.run import Run

__all__ = ["Session"]


class Session(BoardLoader):
    """A workspace on our own event loop: every method of `Workspace` that waits for the API, written once.

    Parameters
    ----------
    client : AsyncClient
        The one client.
    engine : Engine or None
        None where the workspace's identity could not be read: then planning works and running refuses (rule 23).
    source : str
        What ``df.attrs`` names as the origin.
    identify : callable, optional
        Reads an identity that could not be read once more, before something is run.
    settings : Settings, optional
        The zone, and which metadata name people.
    """

    def __init__(
        self,
        client: AsyncClient,
        engine: Engine | None,
        source: str,
        identify: Callable[[], Awaitable[Engine | None]] | None = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(client, source, settings)
        self.client = client
        self._engine = engine
        self._identify = identify
        self._identifying = asyncio.Lock()
        self._closed = False
        self._process = os.getpid()
        self._runs: weakref.WeakSet[Run] = weakref.WeakSet()
        self.workspace: object = None  # which is made of this session

    def usable(self) -> Session:
        """Return itself, while it is open."""
        if self._closed:
            raise ConfigError("this workspace is closed; call vx.connect() again")
        if self._process != os.getpid():
            raise ConfigError("this process was forked from the one that connected; call vx.connect() again in it")
        return self

    @property
    def engine(self) -> Engine:
        """The engine, or the reason why there is none."""
        if self._engine is None:
            raise LedgerError(
                "the workspace's identity could not be read (GET /v1/auth/me), so it is not known which ledger is its own; "
                "nothing is sent. Check the address and the API key's scopes"
            )
        return self._engine

    async def _acting(self) -> Engine:
        """The engine, whose identity may be readable by now."""
        async with self._identifying:
            if self._engine is None and self._identify is not None:
                self._engine = await self._identify()
        return self.engine

    async def run(self, plan: Plan, reason: str | None = None, stop_after_failures: int | None = None) -> Run:
        """Bind a plan to the ledger and start to execute it.

        Parameters
        ----------
        plan : Plan
            From ``vx.plan_retry`` and its like.
        reason : str, optional
            Why, for the audit trail.
        stop_after_failures : int, optional
            Send nothing more after so many failed rows. Failures of asynchronous acts come some time after they were sent; to risk
            only a few rows, use ``plan.canary``.

        Returns
        -------
        Run
            At once; the work goes on beside the notebook. Rows that were sent before join what became of them, so running a plan
            twice sends nothing twice. A plan without an eligible row gives a run that has ended, without rows and not recorded.

        Raises
        ------
        PlanError
            If `plan` is no plan.
        ConfigError
            If `stop_after_failures` is no whole number from 1, or `reason` is no text.
        LedgerError
            If the ledger can't be used; nothing has been sent then.

        Examples
        --------
        >>> plan = vx.plan_retry(triaged[triaged["verdict"] == "retry"].tail(1))
        >>> ws.run(plan, reason="Monday").wait(60).results()["outcome"].to_list()
        ['succeeded']
        """
        if not isinstance(plan, Plan):
            raise PlanError(f"ws.run takes a plan, such as vx.plan_retry(triaged), not {type(plan).__name__}")
        if stop_after_failures is not None:
            refusal = ConfigError(f"stop_after_failures={stop_after_failures!r} must be a whole number, 1 or more")
            stop_after_failures = whole_number(stop_after_failures, refusal)
        if reason is not None and not isinstance(reason, str):
            raise ConfigError(f"reason= must be text, such as 'ticket 4711', not {type(reason).__name__}")
        if not plan.items:
            return self._started(partial(Nothing, plan, self.client.now()))
        engine = await self._acting()
        run = await engine.bind(plan, reason)
        return self._started(partial(Execution, engine, run, stop_after_failures=stop_after_failures, look_back=True))

    async def attach(self, run_id: str) -> Run:
        """Take a run up again, in any kernel: reads, settles and watches; only ``run.resume()`` sends what was never sent.

        Parameters
        ----------
        run_id : str
            From ``ws.runs()``, or ``run.id``.

        Returns
        -------
        Run
            At once; one that is still running in this kernel is returned as it is.

        Raises
        ------
        ConfigError
            If it is no text.
        LedgerError
            If the ledger has no such run, such as one in which nothing was sent, or can't be used.

        Examples
        --------
        >>> ws.attach(run.id).id == run.id
        True
        """
        if not isinstance(run_id, str):
            raise ConfigError(
                f"ws.attach takes the id of a run, such as ws.runs().index[0], not {type(run_id).__name__}"
            )
        if run_id.startswith(PREFIX):
            raise LedgerError(f"nothing was sent in {run_id}, so it is not kept; look at its plan, which says why")
        living = next((run for run in self._runs if run.id == run_id and run.running), None)
        return living or self._started(partial(Execution, await self._acting(), run_id, paused=True, look_back=True))

    async def watch(
        self, frame_or_ids: pd.DataFrame | Iterable[str | Handle] | str | Handle, kind: str = "post"
    ) -> Run:
        """Follow things until each is terminal; reads only.

        It looks for half an hour at the most, and holds as long as something may end by then. What waits for a later time or for a person
        is left pending; the run says what it waits for, and ``run.resume()`` watches on.

        Parameters
        ----------
        frame_or_ids : DataFrame, Handle, str or iterable
            A posts, targets or deliveries frame, what an asynchronous call of ``ws.client`` returned, or ids.
        kind : str
            What the ids are, or which ids of the frame: ``post``, ``media``, ``account`` (its backfill) or ``delivery``. A handle
            knows its own kind.

        Returns
        -------
        Run
            At once; the cell shows it live.

        Raises
        ------
        ConfigError
            If there is no such kind, or an id that was typed names nothing here.

        Examples
        --------
        >>> ws.watch(ws.posts(status="published", limit=2)).wait(10).results()["outcome"].to_list()
        ['succeeded', 'succeeded']
        """
        things = things_of(frame_or_ids, kind)
        if not isinstance(frame_or_ids, pd.DataFrame):
            await refuse_unknown(self.client, things)
        return self._started(partial(Watch, self.client, things))

    def _started(self, job: Callable[[Observer], Job]) -> Run:
        """Start a run, and remember it, so that closing ends it."""
        run = Run(job, tz=self.settings.tz, session=self)
        self._runs.add(run)
        return run

    async def close(self) -> list[str]:
        """End all runs, each when nothing of it is under way, and close; return how to go on with those that aren't done."""
        self._closed = True
        try:
            # all at once: none goes on sending while the last request of another is waited for (rule 22)
            lines = [left for left in await asyncio.gather(*(run.end() for run in list(self._runs))) if left]
        finally:
            if self._engine is not None:
                self._engine.close()
            await self.client.aclose()
        return lines

    async def reconcile(self) -> pd.DataFrame:
        """Settle from the server's state what this ledger does not know; nothing is sent.

        Returns
        -------
        pandas.DataFrame
            What is still open, as in ``ws.ledger()``.

        Raises
        ------
        LedgerError
            If the ledger can't be used.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> len(ws.reconcile())
        0
        """
        engine = await self._acting()
        await engine.reconcile()
        table = audit.history(engine.ledger)
        left = table[table["outcome"].isin(["pending", "unknown"]) & (table["state"] != "withdrawn")]
        return say_zone(left, self.settings.tz)
