"""A workspace: every method blocks, or is awaited as ``ws.aio.method``; both go through one loop."""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from voxops._core import eventloop, safe
from voxops._core.calls import awaitable, blocking, showing
from voxops._core.resources import Resources
from voxops.acts.plan import Plan
from voxops.client import AsyncClient, Handle
from voxops.engine.engine import Engine
from voxops.engine.execution import Execution
from voxops.engine.nothing import Nothing
from voxops.engine.watching import Watch, refuse_unknown, things_of
from voxops.errors import ConfigError, LedgerError, PlanError
from voxops.ledger import Ledger, audit
from voxops.loading import BoardLoader
from voxops.run import Run

if TYPE_CHECKING:
    from voxops.archive import Archive

__all__ = ["Awaitables", "Session", "Workspace"]


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
    """

    def __init__(
        self,
        client: AsyncClient,
        engine: Engine | None,
        source: str,
        identify: Callable[[], Awaitable[Engine | None]] | None = None,
    ) -> None:
        super().__init__(client, source)
        self.client = client
        self._engine = engine
        self._identify = identify
        self._identifying = asyncio.Lock()
        self._closed = False
        self._process = os.getpid()
        self._runs: weakref.WeakSet[Run] = weakref.WeakSet()

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
        """Bind a plan to the ledger and start to carry it out.

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
        limit = stop_after_failures
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise ConfigError(f"stop_after_failures={limit!r} must be a whole number from 1")
        if not plan.items:
            return self._kept(Run(partial(Nothing, plan, self.client.now())))
        engine = await self._acting()
        run = await engine.bind(plan, reason)
        return self._kept(Run(partial(Execution, engine, run, stop_after_failures=limit, watch_copies=True)))

    async def attach(self, run_id: str) -> Run:
        """Take a run up again, in any kernel: reads, settles and watches; only ``run.resume()`` sends what was never sent.

        A run that lives in this kernel is returned as it is.

        Examples
        --------
        >>> ws.attach(run.id).id == run.id
        True
        """
        living = next((run for run in self._runs if run.id == run_id and run.running), None)
        return living or self._kept(Run(partial(Execution, await self._acting(), run_id, paused=True)))

    async def watch(
        self, frame_or_ids: pd.DataFrame | Iterable[str | Handle] | str | Handle, kind: str = "post"
    ) -> Run:
        """Follow things until each is terminal; reads only.

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
        return self._kept(Run(partial(Watch, self.client, things)))

    def _kept(self, run: Run) -> Run:
        """Remember a run, so that closing ends it."""
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

        Examples
        --------
        >>> len(ws.reconcile())
        0
        """
        engine = await self._acting()
        await engine.reconcile()
        table = audit.history(engine.ledger)
        return table[table["outcome"].isin(["pending", "unknown"]) & (table["state"] != "withdrawn")]


class Awaitables:
    """The methods of a workspace as awaitables: ``await ws.aio.posts(...)``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    posts = awaitable(Session.posts)
    deliveries = awaitable(Session.deliveries)
    accounts = awaitable(Session.accounts)
    check_accounts = awaitable(Session.check_accounts)
    account_board = awaitable(Session.account_board)
    at_risk = awaitable(Session.at_risk)
    webhooks = awaitable(Session.webhooks)
    analytics = awaitable(Session.analytics)
    validate = awaitable(Session.validate)
    run = awaitable(Session.run)
    watch = awaitable(Session.watch)
    attach = awaitable(Session.attach)
    reconcile = awaitable(Session.reconcile)


class Workspace:
    """One workspace of the API: load, act, follow. Made by `connect`; a context manager.

    Attributes
    ----------
    client : AsyncClient
        The async client itself, for what the workspace has no method for; its calls may be awaited on any event loop.
    aio : Awaitables
        The same methods, awaitable.
    name, id : str
        As the API names them; ``""`` where it does not.
    sandbox : Sandbox or None
        The embedded sandbox, if this workspace lives in one.
    """

    def __init__(
        self, session: Session, *, ledger: Ledger | None, identity: Mapping[str, Any], resources: Resources
    ) -> None:
        self._session = session
        self._resources = resources
        self.client = session.client
        self.aio = Awaitables(session)
        self.identify(identity, ledger)
        _open_workspaces.add(self)
        self.sandbox = resources.sandbox

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name != "identify"]

    def identify(self, identity: Mapping[str, Any], ledger: Ledger | None) -> None:
        """Take note of whose workspace it is, and of its ledger."""
        self._ledger = ledger
        self.id = str(identity.get("workspaceId") or "")
        self.name = str(identity.get("workspaceName") or "")
        self.plan = str(identity.get("plan") or "").lower()

    posts = blocking(Session.posts)
    deliveries = blocking(Session.deliveries)
    accounts = blocking(Session.accounts)
    check_accounts = blocking(Session.check_accounts)
    account_board = blocking(Session.account_board)
    at_risk = blocking(Session.at_risk)
    webhooks = blocking(Session.webhooks)
    analytics = blocking(Session.analytics)
    validate = blocking(Session.validate)
    run = showing(Session.run)
    watch = showing(Session.watch)
    attach = showing(Session.attach)
    reconcile = blocking(Session.reconcile)

    def runs(self) -> pd.DataFrame:
        """Return the runs of this workspace's ledger, newest first; their ids are what `attach` takes.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``run``: ``action campaign state who reason note`` (string), ``created_at`` (UTC), ``succeeded failed
            pending unknown`` (Int64, rows).

        Examples
        --------
        >>> ws.runs().loc[run.id, ["action", "state"]].to_list()
        ['retry', 'done']
        """
        return audit.runs(self._session.usable().engine.ledger)

    def ledger(self) -> pd.DataFrame:
        """Return the audit trail: every row that was ever planned to be sent, who, when, why, and what became of it.

        Returns
        -------
        pandas.DataFrame
            Oldest first: ``action item platform method path idempotency_key state outcome waiting_for error_code error_message
            result_id who reason`` (string), ``attempt batch tries http_status`` (Int64), ``created_at first_sent_at last_sent_at
            settled_at`` (UTC).

        Examples
        --------
        >>> sorted(ws.ledger()["action"].unique())
        ['bulk', 'retry']
        """
        return audit.history(self._session.usable().engine.ledger)

    def archive(self, path: str | os.PathLike[str]) -> Archive:
        """Open an archive of this workspace: its history as Parquet files in a folder.

        Parameters
        ----------
        path : path
            The folder; it need not exist yet. ``archive.sync()`` fills it, and later fetches only what is new or still open.

        Returns
        -------
        Archive

        Raises
        ------
        ConfigError
            If pyarrow or DuckDB is not installed.

        Examples
        --------
        >>> ws.archive(folder / "archive").sync("7D").posts
        502
        """
        try:
            from voxops.archive import Archive
        except ModuleNotFoundError as error:
            raise ConfigError(f"an archive needs {error.name}: pip install 'voxops[archive]'") from error
        return Archive(path, self.client, workspace=self.id)

    def close(self) -> None:
        """Stop new sends, let what is under way end, say how to go on, and close. Closing twice is closing once."""
        if self not in _open_workspaces:
            return
        _open_workspaces.discard(self)
        for line in eventloop.run(self._session.close()):
            if not self._resources.forgets:
                print(line)  # noqa: T201  the last word to the person at the keyboard
        if self._ledger is not None:
            self._ledger.close()
        self._resources.stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        where = "the embedded sandbox" if self.sandbox is not None else self.client.url
        limit = self.client.pace.limit
        pace = "not known yet" if limit is None else f"{limit:,} requests a minute"
        address = where + ("" if self in _open_workspaces else ", closed")
        rows = {"address": address, "ledger": self._ledger_place(), "rate limit": pace}
        cells = [[name, safe.escape(value, 500)] for name, value in rows.items()]
        return safe.table(["Workspace", self.name or self.id or "of unknown identity"], cells)

    def _ledger_place(self) -> str:
        """Where the ledger is, as a notebook may show it: not whose machine this is."""
        if self._ledger is None:
            return "none: nothing can be run"
        if self._resources.forgets:
            return "a temporary one, which ends with this workspace"
        path = self._ledger.path
        return f"~/{path.relative_to(Path.home()).as_posix()}" if path.is_relative_to(Path.home()) else str(path)

    def __repr__(self) -> str:
        where = "sandbox" if self.sandbox is not None else self.client.url
        where += ", closed" if self not in _open_workspaces else ""
        return f"<Workspace {safe.plain(self.name or self.id or 'of unknown identity')} at {where}>"


_open_workspaces: weakref.WeakSet[Workspace] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """At the interpreter's exit: stop new sends, let what is under way end, say how to go on (rule 22)."""
    for workspace in list(_open_workspaces):
        workspace.close()
