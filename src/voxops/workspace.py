"""The workspace: an API key's posts, deliveries, accounts and runs, blocking and awaitable."""

from __future__ import annotations

import asyncio
import atexit
import inspect
import logging
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import pandas as pd

from voxops._support import eventloop, loads, safe
from voxops._support.arguments import whole_number
from voxops._support.eventloop import awaitable, beginning, blocking, showing
from voxops.acts.keys import doubt_of_name
from voxops.acts.plan import Plan
from voxops.api.states import as_mark
from voxops.client import Answer, AsyncClient
from voxops.engine.engine import Engine
from voxops.engine.execution import Execution
from voxops.engine.watch import Watch, refuse_unknown, things_of
from voxops.errors import ConfigError, LedgerError, PlanError
from voxops.frames.cells import metadata_value
from voxops.frames.records import with_rows, with_tries
from voxops.frames.times import say_zone
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger
from voxops.loading.loader import Loader, Settings
from voxops.loading.upload import Uploads
from voxops.model import Observer
from voxops.run import Run

if TYPE_CHECKING:
    from voxburst_sandbox import Sandbox
    from voxops.archive import Archive
    from voxops.engine.execution import Job
    from voxops.views.panel import Panel

_log = logging.getLogger("voxops")


@dataclass
class Resources:
    """The resources that a workspace owns and closes.

    `sandbox` is the embedded API, if any; `forgets` is True if the ledger ends with the workspace.
    """

    stack: ExitStack = field(default_factory=ExitStack)
    sandbox: Sandbox | None = None
    forgets: bool = False
    _removal: weakref.finalize[..., Resources] | None = field(default=None, init=False, repr=False)

    def temporary_ledger(self) -> Path:
        """A ledger in a folder that is removed with the workspace."""
        self.forgets = True
        folder = Path(tempfile.mkdtemp(prefix="voxops-"))
        self._removal = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        # The finalizer is for a workspace that was dropped without close(). At the interpreter's exit it would run before the close,
        # with requests in flight; then the close removes the folder.
        self._removal.atexit = False
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder / "ledger.sqlite"


class Session(Loader):
    """Every method of `Workspace` that waits for the API, as a coroutine on the private event loop.

    Parameters
    ----------
    client : AsyncClient
        The one client.
    engine : Engine or None
        None if the workspace's identity could not be read: planning still works, but runs are refused (rule 9).
    source : str
        The origin in ``df.attrs``.
    identify : callable
        Reads the identity again before a run, if it could not be read before.
    settings : Settings
        The time zone, and the metadata fields of owner, campaign and tags.
    """

    def __init__(
        self,
        client: AsyncClient,
        engine: Engine | None,
        source: str,
        identify: Callable[[], Awaitable[Engine | None]],
        settings: Settings,
    ) -> None:
        super().__init__(client, source, settings)
        self._engine = engine
        self._identify = identify
        self._identifying = asyncio.Lock()
        self._closed = False
        self._process = os.getpid()
        self._runs: weakref.WeakSet[Run] = weakref.WeakSet()
        self._named: dict[str, audit.Named] = {}  # post -> its campaign
        self.workspace: Workspace | None = None  # set by the workspace of this session

    def usable(self) -> Session:
        """Return itself if it is open."""
        if self._closed:
            raise ConfigError("this workspace is closed; call vx.connect() again")
        if self._process != os.getpid():
            raise ConfigError("the workspace belongs to the parent process; call vx.connect() in this one")
        return self

    @property
    def engine(self) -> Engine:
        """Return the engine, or raise an error with the reason for its absence."""
        if self._engine is None:
            raise LedgerError(
                "the workspace's identity could not be read (GET /v1/auth/me), so its ledger is unknown; "
                "nothing is sent. Check the address and the API key's scopes"
            )
        self._engine.shared.checks = self._checks
        return self._engine

    def _with_ledger(self, posts: pd.DataFrame, *, is_campaign: bool) -> pd.DataFrame:
        cells = (posts.get(name, ()) for name in ("campaign", "post_id", "metadata", "created_at"))
        for name, post, metadata, created in zip(*cells, strict=False):
            if isinstance(name, str):
                self._named[post] = (name, as_mark(metadata_value(metadata, ["voxopsRow"])) or post, created)
        if self._engine is None:
            return posts
        ids, ledger = posts["post_id"].dropna().to_list(), self._engine.ledger
        if is_campaign and ids:
            posts = with_rows(posts, audit.rows_of(ledger, ids))
            posts.attrs["campaigns"] = self._campaigns()
        return with_tries(posts, audit.tries(ledger, ids))

    def campaigns(self) -> pd.DataFrame:
        """Return the campaigns of the ledger, and of the posts that were loaded."""
        return audit.campaigns(self.engine.ledger, self._named.values())

    def _campaigns(self) -> list[str]:
        return [] if self._engine is None else self.campaigns()["campaign"].to_list()

    async def _acting(self) -> Engine:
        """Return the engine, after another try to read the identity if there was none."""
        async with self._identifying:
            if self._engine is None:
                self._engine = await self._identify()
        return self.engine

    async def run(self, plan: Plan, reason: str | None = None, stop_after_failures: int | None = None) -> Run:
        """Bind a plan to the ledger and start its execution.

        Parameters
        ----------
        plan : Plan
            From ``vx.plan_retry`` and its like.
        reason : str, optional
            The reason, for the audit trail.
        stop_after_failures : int, optional
            Stop sending after so many failed rows. It stands in the ledger, so that a resume sends nothing more; a new run of the plan
            goes on. Failures of asynchronous acts arrive some time after the send; to risk only a few rows, use ``plan.canary``.

        Returns
        -------
        Run
            At once; the work goes on in the background. A call that is interrupted or cancelled before it returns leaves a paused run, if
            any, which the exception names (rule 16). Rows that were sent before get their recorded outcome, so running a plan twice
            sends nothing twice. A plan without an eligible row ends immediately.

        Raises
        ------
        PlanError
            If `plan` is not a plan.
        ConfigError
            If `stop_after_failures` is not a whole number from 1, or `reason` is not text.
        LedgerError
            If the ledger can't be used; then nothing was sent.

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
        engine = await self._acting()
        if plan.campaign and (doubt := doubt_of_name(plan.campaign, self._campaigns())):
            warnings.warn(doubt, stacklevel=2)
        run = await engine.bind(plan, reason, failures=stop_after_failures)
        return self._started(partial(Execution, engine, run))

    async def upload(
        self,
        media: pd.DataFrame | str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        folder: str | Path | None = None,
    ) -> pd.DataFrame:
        """Upload what a sheet names, or files, three at the same time, and wait until posts can use them.

        Each file and each address is uploaded once, whatever number of rows names it, and however often the cell runs: the ledger keeps
        a receipt. An interrupted upload goes on. What was deleted since is uploaded again.

        Parameters
        ----------
        media : pandas.DataFrame, path or iterable of path
            A sheet, such as from ``vx.read_campaign``, whose column ``media`` names files in its folder, https addresses and ids. Or
            pictures (jpg, png, gif, webp), films (mp4, mov, avi, webm) and PDFs.
        folder : str or Path, optional
            Where the files of a sheet are; by default where this process has read it. Files outside of it are refused.

        Returns
        -------
        pandas.DataFrame
            For a sheet: the sheet with ``media_id``, ``media_sha256`` (the hash of a file; an address or an id stands for itself),
            ``media_uploaded`` (the cell ``media`` as it was uploaded) and ``media_error`` (all string). Cells with several media are
            separated by ``;``. A row with a medium that failed has only ``media_error``; its plan is not eligible.

            For paths: one row per path, in their order: ``path name media_id`` (string), ``status`` (string: ``ready`` or ``failed``),
            ``bytes`` (Int64), ``reused`` (boolean, no bytes were sent for this row), ``error_code error_message`` (string; why one has
            failed, which does not stop the others).

        Raises
        ------
        PlanError
            If a frame has no column ``media``.
        ConfigError
            If `media` is something else.
        AuthError, WaitTooLong
            These would fail for every file; what is uploaded by then is kept.
        LedgerError
            If the ledger can't be used.

        Examples
        --------
        >>> size = (folder / "menu.pdf").write_bytes(b"%PDF-1.7")
        >>> ws.upload([folder / "menu.pdf"])[["name", "status", "reused"]].to_numpy().tolist()
        [['menu.pdf', 'ready', False]]
        >>> ws.upload(sheet.assign(media="menu.pdf"), folder=folder)["media_uploaded"].to_list()
        ['menu.pdf', 'menu.pdf']
        """
        paths: list[Any] = []
        if not isinstance(media, pd.DataFrame):
            paths = [media] if isinstance(media, str | os.PathLike) or not isinstance(media, Iterable) else list(media)
        for path in paths:
            if not isinstance(path, str | os.PathLike):
                raise ConfigError(f"ws.upload takes a sheet or paths, not {type(path).__name__}")
        engine = await self._acting()
        uploads = Uploads(self.client, engine.ledger.media, engine.commit)
        if not isinstance(media, pd.DataFrame):
            return await uploads.files(paths)
        sheet = await uploads.sheet(media, folder)
        sheet.attrs["campaigns"] = self._campaigns()
        return sheet

    async def attach(self, run_id: str) -> Run:
        """Attach to a run in any kernel: read, settle and watch. Only ``run.resume()`` sends rows that were never sent.

        If all rows have settled, the run has ended and this costs no request, except that duplicates of created posts are looked for
        in the list.

        Parameters
        ----------
        run_id : str
            From ``ws.runs()``, or ``run.id``.

        Returns
        -------
        Run
            At once. A run that is running in this kernel is returned itself; what other processes do to one is shown while anything of it is open.

        Raises
        ------
        ConfigError
            If it is not text.
        RunNotFound
            If the ledger has no such run.
        LedgerError
            If the ledger can't be used.

        Examples
        --------
        >>> ws.attach(run.id).id == run.id
        True
        """
        if not isinstance(run_id, str):
            raise ConfigError(
                f"ws.attach takes the id of a run, such as ws.runs().index[0], not {type(run_id).__name__}"
            )
        engine = await self._acting()  # before it is looked for: nobody may attach in between
        living = next((run for run in self._runs if run.id == run_id and (run.running or run.unbegun)), None)
        return living or self._started(partial(Execution, engine, run_id, paused=True))

    async def watch(self, frame_or_ids: pd.DataFrame | Iterable[str] | str | Answer, kind: str = "post") -> Run:
        """Watch posts, media or deliveries until each is terminal; reads only.

        It polls for half an hour at most, and ends earlier if nothing can end by then. Items that wait for a later time or a person stay
        pending; the run shows the reason, and ``run.resume()`` goes on.

        Parameters
        ----------
        frame_or_ids : DataFrame, str, iterable of str or Answer
            A posts, targets or deliveries frame, ids, or what an asynchronous call of ``ws.client`` has returned.
        kind : str
            The kind of the ids, or which ids of the frame: ``post``, ``media``, ``account`` (its backfill) or ``delivery``. An
            answer has its own kind.

        Returns
        -------
        Run
            At once; the cell shows it live.

        Raises
        ------
        ConfigError
            If there is no such kind, or an id does not exist in this workspace.

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
        """Make a run, which its caller begins, and record it, so that closing ends it."""
        run = Run(job, tz=self.settings.tz, session=self)
        self._runs.add(run)
        return run

    async def close(self) -> list[str]:
        """End all runs once no request is in flight, and close; return how to continue unfinished ones."""
        self._closed = True
        try:
            # Stop all runs together: none sends while the last request of another is awaited (rule 16).
            lines = [left for left in await asyncio.gather(*(run.end() for run in list(self._runs))) if left]
        finally:
            if self._engine is not None:
                self._engine.close()
            await self.client.aclose()
        return lines

    async def reconcile(self) -> pd.DataFrame:
        """Settle unknown outcomes of this ledger from the server's state; nothing is sent.

        Returns
        -------
        pandas.DataFrame
            The rows that are still pending or unknown, and those with duplicates, which ``notice`` names; the columns of ``ws.ledger()``.

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
        left = table[table["outcome"].isin(["pending", "unknown"]) | table["notice"].notna()]
        return say_zone(left, self.settings.tz)


class Workspace:
    """One workspace of the API: load, act, follow. `connect` returns it; a context manager, also of ``async with``.

    Attributes
    ----------
    client : AsyncClient
        The async client, for calls that the workspace has no method for; they may be awaited on any event loop.
    aio : Awaitables
        The same methods as coroutines.
    name, id, plan : str
        As the API returns them, the plan in lower case; ``""`` if it does not.
    sandbox : Sandbox or None
        The embedded sandbox, if this workspace lives in one.
    settings : Settings
        The time zone in which times are shown, and the metadata fields of owner, campaign and tags; see `connect`.
    """

    _noun = "ws"

    def __init__(
        self, session: Session, *, ledger: Ledger | None, identity: Mapping[str, Any], resources: Resources
    ) -> None:
        self._session = session
        session.workspace = self
        self._resources = resources
        self.client: AsyncClient = session.client
        self.settings: Settings = session.settings
        self.aio: Awaitables = Awaitables(self)
        self._identify(identity, ledger)
        _open_workspaces.add(self)
        self.sandbox: Sandbox | None = resources.sandbox

    def _identify(self, identity: Mapping[str, Any], ledger: Ledger | None) -> None:
        """Set the identity of the workspace, and its ledger."""
        self._ledger = ledger
        self.id: str = str(identity.get("workspaceId") or "")
        self.name: str = str(identity.get("workspaceName") or "")
        self.plan: str = str(identity.get("plan") or "").lower()

    def _doer(self) -> Session:
        return self._session.usable()

    posts: Final = blocking(Session.posts, partial(loads.run, "posts"))
    deliveries: Final = blocking(Session.deliveries, partial(loads.run, "deliveries"))
    accounts: Final = blocking(Session.accounts)
    webhooks: Final = blocking(Session.webhooks)
    check: Final = blocking(Session.check, partial(loads.run, "the check"))
    run: Final = showing(Session.run)
    upload: Final = blocking(
        Session.upload, partial(loads.run, "media", kept="what has arrived is kept; call it again")
    )
    watch: Final = showing(Session.watch)
    attach: Final = showing(Session.attach)
    reconcile: Final = blocking(Session.reconcile)

    def runs(self) -> pd.DataFrame:
        """Return the runs of this workspace's ledger, newest first, with their ids for `attach`.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``run``: ``action campaign state who reason note`` (string), ``created_at`` (UTC), ``succeeded failed
            pending unknown blocked`` (Int64, rows; they sum to the eligible ones), ``withdrawn`` (Int64: succeeded rows whose posts
            were withdrawn or deleted since), ``mended`` (Int64: failed and blocked rows that a later request has brought to success).

        Raises
        ------
        LedgerError
            If the API does not name the workspace, so that it has no ledger, or the ledger can't be read.

        Examples
        --------
        >>> ws.runs().loc[run.id, ["action", "state"]].to_list()
        ['retry', 'done']
        """
        return self._with_settings(audit.runs(self._session.usable().engine.ledger))

    def campaigns(self) -> pd.DataFrame:
        """Return the campaigns of this workspace, as they were written last, so that a misspelt name shows.

        They are those of its ledger, and of the posts that ``ws.posts`` has loaded, if the workspace has a ``campaign_field``. A name
        that is new and close to one of them is named by the plan, and by a warning when the plan runs.

        Returns
        -------
        pandas.DataFrame
            The latest first: ``campaign`` (string), ``rows`` (Int64: how many were sent, or have posts), ``first_at last_at`` (UTC: when the
            first and the last of them were created).

        Raises
        ------
        LedgerError
            As for `runs`.

        Examples
        --------
        >>> ws.campaigns()["campaign"].to_list()
        []
        """
        return self._with_settings(self._session.usable().campaigns())

    def ledger(self) -> pd.DataFrame:
        """Return the audit trail: every row of every run, with who, when, why and its outcome.

        Returns
        -------
        pandas.DataFrame
            Oldest first: ``action item platform method path idempotency_key state outcome waiting_for error_code error_message
            result_id notice who reason`` (string), ``attempt tries http_status`` (Int64), ``created_at first_sent_at last_sent_at
            settled_at`` (UTC); times, key and call are those of its last call.

        Raises
        ------
        LedgerError
            As for `runs`.

        Examples
        --------
        >>> sorted(ws.ledger()["action"].unique())
        ['create', 'retry']
        """
        return self._with_settings(audit.history(self._session.usable().engine.ledger))

    def _with_settings(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame with the display settings in ``attrs``."""
        frame.attrs |= self.settings.attrs()
        return frame

    def archive(self, path: str | os.PathLike[str]) -> Archive:
        """Open an archive of this workspace: its history as Parquet files in a folder.

        Parameters
        ----------
        path : path
            The folder; it need not exist yet. ``archive.sync()`` fills it, and later fetches only new and open records.

        Returns
        -------
        Archive

        Raises
        ------
        ConfigError
            If DuckDB is not installed, or `path` is a file.

        Examples
        --------
        >>> ws.archive(folder / "archive").sync("7D").posts
        502
        """
        try:
            from voxops.archive import Archive
        except ModuleNotFoundError as error:
            raise ConfigError(f"an archive needs {error.name}: pip install 'voxops[archive]'") from error
        acted = None if self._ledger is None else partial(audit.acted_on, self._ledger)
        tz, people = self.settings.tz, self.settings.people
        return Archive(path, self.client, workspace=self.id, acted=acted, tz=tz, people=people)

    def panel(self, frame: pd.DataFrame | None = None) -> Panel:
        """Show a panel that does the same jobs by clicking, for failures, webhook deliveries or runs.

        Facets, a search and days filter in the kernel; rows are ticked by id. A plan of all that match, or of the ticked rows, says what
        would be sent and why the rest would not. Nothing is sent before a person gives a reason and presses that plan's own *Run*.

        Parameters
        ----------
        frame : pandas.DataFrame, optional
            From ``vx.triage``; posts and targets are triaged first. Or from ``ws.deliveries``. By default the runs of this workspace: the
            ticked ones are opened, watched and resumed.

        Returns
        -------
        Panel
            ``panel.frame`` are the rows that match, ``panel.ticked`` the ticked ones.

        Raises
        ------
        PlanError
            If the frame has neither posts nor deliveries, or a frame lacks columns.
        LedgerError
            If the panel of runs is requested and the workspace has no ledger.

        Examples
        --------
        >>> len(ws.panel(triaged).frame) == triaged["cause"].notna().sum()
        np.True_
        """
        from voxops.views.panel import Panel  # imported only for a display, which a script does not have

        return Panel(self, frame)

    def close(self) -> None:
        """Stop new sends, wait for requests in flight, log what is not settled as a warning, and close; once."""
        if self not in _open_workspaces:
            return
        try:
            for line in eventloop.run(self._session.close()):
                if not self._resources.forgets:
                    _log.warning("%s", line)
        finally:  # an interrupt leaves nothing open either; the ledger has the sent rows
            _open_workspaces.discard(self)
            if self._ledger is not None:
                self._ledger.close()
            self._resources.stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aio.close()

    def _repr_html_(self) -> str:
        where = "the embedded sandbox" if self.sandbox is not None else self.client.url
        limit = self.client.pace.limit
        pace = "not known yet" if limit is None else f"{safe.many(limit, 'request')} a minute"
        address = where + ("" if self in _open_workspaces else ", closed")
        from voxops.views.table import draw  # imported only for a display, which a script does not have

        rows = {"address": address, "ledger": self._ledger_place(), "rate limit": pace}
        return draw("workspace.html", name="workspace", title=self.name or self.id or "of unknown identity", rows=rows)

    def _ledger_place(self) -> str:
        """Return the ledger's path for a notebook, without the user's name."""
        if self._ledger is None:
            return "none: nothing can be run"
        if self._resources.forgets:
            return "a temporary one, which ends with this workspace"
        path = self._ledger.path
        place = f"~/{path.relative_to(Path.home()).as_posix()}" if path.is_relative_to(Path.home()) else str(path)
        try:
            runs = audit.count_runs(self._ledger)
        except LedgerError:  # closed, or locked for long
            return place
        # A typo in the path starts a new, empty ledger: the count of runs shows it.
        return f"{place}, {safe.many(runs, 'run')} in it" if runs else f"{place}, no run in it yet"

    def __repr__(self) -> str:
        where = "sandbox" if self.sandbox is not None else self.client.url
        where += ", closed" if self not in _open_workspaces else ""
        return f"<Workspace {safe.plain(self.name or self.id or 'of unknown identity')} at {where}>"


for _method in vars(Workspace).values():
    if hasattr(_method, "__wrapped__"):  # help shows its own name, and its types without their aliases
        _method.__signature__ = inspect.signature(_method, eval_str=True)
        _method.__module__, _method.__qualname__ = __name__, f"Workspace.{_method.__name__}"


class Awaitables:
    """The methods of a workspace as coroutines, for any event loop: ``await ws.aio.posts(...)``.

    Cancelling one cancels its requests. A cancelled ``run`` leaves no run that sends: if it was bound, it is paused, and a note of the
    exception names it.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._owner = workspace

    def __repr__(self) -> str:
        return f"<Awaitables of {self._owner.client.url}>"

    posts: Final = awaitable(Workspace.posts)
    deliveries: Final = awaitable(Workspace.deliveries)
    accounts: Final = awaitable(Workspace.accounts)
    webhooks: Final = awaitable(Workspace.webhooks)
    check: Final = awaitable(Workspace.check)
    run: Final = beginning(Workspace.run)
    upload: Final = awaitable(Workspace.upload)
    watch: Final = beginning(Workspace.watch)
    attach: Final = beginning(Workspace.attach)
    reconcile: Final = awaitable(Workspace.reconcile)
    runs: Final = awaitable(Workspace.runs)
    campaigns: Final = awaitable(Workspace.campaigns)
    ledger: Final = awaitable(Workspace.ledger)
    archive: Final = awaitable(Workspace.archive)
    panel: Final = awaitable(Workspace.panel, here=True)
    close: Final = awaitable(Workspace.close)


_open_workspaces: weakref.WeakSet[Workspace] = weakref.WeakSet()


def _after_fork() -> None:
    """Forget the parent's workspaces, which a child process must not end."""
    for workspace in list(_open_workspaces):
        resources = workspace._resources
        if resources._removal is not None:
            resources._removal.detach()
        resources.stack.pop_all()
    _open_workspaces.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _close_all() -> None:
    """Close at the interpreter's exit, as rule 16 has it."""
    for workspace in list(_open_workspaces):
        workspace.close()
