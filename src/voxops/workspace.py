"""A workspace: every method blocks, or is awaited as ``ws.aio.method``; both go through one loop."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import pandas as pd

from voxops._core import eventloop, safe
from voxops._core.bound import never_copied
from voxops._core.calls import awaitable, blocking, showing
from voxops._core.files import short_path
from voxops._core.resources import Resources
from voxops.errors import ConfigError, LedgerError
from voxops.ledger import Ledger, audit
from voxops.session import Session

if TYPE_CHECKING:
    from voxops.archive import Archive

__all__ = ["Awaitables", "Workspace"]

CONNECT_THERE = "connect there with vx.connect(), and take runs up by their ids: ws.attach('run_…')"


@never_copied(lambda _: CONNECT_THERE)
class Awaitables:
    """The methods of a workspace as awaitables: ``await ws.aio.posts(...)``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<Awaitables of {self._session.client.url}>"

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


@never_copied(lambda _: CONNECT_THERE)
class Workspace:
    """One workspace of the API: load, act, follow. Made by `connect`; a context manager.

    Attributes
    ----------
    client : AsyncClient
        The async client itself, for what the workspace has no method for; its calls may be awaited on any event loop.
    aio : Awaitables
        The same methods, awaitable.
    name, id, plan : str
        As the API names them, the plan in lower case; ``""`` where it does not.
    sandbox : Sandbox or None
        The embedded sandbox, if this workspace lives in one.
    settings : Settings
        The zone in which times are shown, and which metadata name people; see `connect`.
    """

    def __init__(
        self, session: Session, *, ledger: Ledger | None, identity: Mapping[str, Any], resources: Resources
    ) -> None:
        self._session = session
        session.workspace = self
        self._resources = resources
        self.client = session.client
        self.settings = session.settings
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
            pending unknown blocked`` (Int64, rows; they sum to the eligible ones), ``withdrawn`` (Int64: of the blocked ones those
            whose posts were taken back since, which asks for nobody).

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

    def ledger(self) -> pd.DataFrame:
        """Return the audit trail: every row that was ever planned to be sent, who, when, why, and what became of it.

        Returns
        -------
        pandas.DataFrame
            Oldest first: ``action item platform method path idempotency_key state outcome waiting_for error_code error_message
            result_id who reason`` (string), ``attempt batch tries http_status`` (Int64), ``created_at first_sent_at last_sent_at
            settled_at`` (UTC). A request that the API refused to look at, or that never reached it, does not count as sent;
            ``first_sent_at`` is the first time that it may have had an effect.

        Raises
        ------
        LedgerError
            As for `runs`.

        Examples
        --------
        >>> sorted(ws.ledger()["action"].unique())
        ['bulk', 'retry']
        """
        return self._with_settings(audit.history(self._session.usable().engine.ledger))

    def _with_settings(self, frame: pd.DataFrame) -> pd.DataFrame:
        """A frame whose ``attrs`` hold the settings by which it is shown."""
        frame.attrs |= self.settings.attrs()
        return frame

    def archive(self, path: str | os.PathLike[str] | None = None) -> Archive:
        """Open an archive of this workspace: its history as Parquet files in a folder.

        Parameters
        ----------
        path : path, optional
            The folder; it need not exist yet. ``archive.sync()`` fills it, and later fetches only what is new or still open. By
            default the one that the workspace stands on.

        Returns
        -------
        Archive

        Raises
        ------
        ConfigError
            If pyarrow or DuckDB is not installed, `path` is a file, or there is neither a path nor ``vx.connect(archive=…)``.

        Examples
        --------
        >>> ws.archive(folder / "archive").sync("7D").posts
        502
        """
        if path is None:
            if self._resources.archive is None:
                raise ConfigError("which archive? Give its folder as path=, or connect with vx.connect(archive=folder)")
            return cast("Archive", self._resources.archive)
        try:
            from voxops.archive import Archive
        except ModuleNotFoundError as error:
            raise ConfigError(f"an archive needs {error.name}: pip install 'voxops[archive]'") from error
        acted = None if self._ledger is None else partial(audit.acted_on, self._ledger)
        tz, people = self.settings.tz, self.settings.people
        return Archive(path, self.client, workspace=self.id, acted=acted, tz=tz, people=people)

    def close(self) -> None:
        """Stop new sends, let what is under way end, say how to go on, and close. Closing twice is closing once."""
        if self not in _open_workspaces:
            return
        try:
            for line in eventloop.run(self._session.close()):
                if not self._resources.forgets:
                    print(line)  # noqa: T201  the last word to the person at the keyboard
        finally:  # an interrupt while a request is waited for leaves nothing open; the ledger knows what was sent
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

    def _repr_html_(self) -> str:
        where = "the embedded sandbox" if self.sandbox is not None else self.client.url
        limit = self.client.pace.limit
        pace = "not known yet" if limit is None else f"{safe.many(limit, 'request')} a minute"
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
        place = short_path(self._ledger.path)
        try:
            runs = audit.count_runs(self._ledger)
        except LedgerError:  # closed, or busy for long; its path is still so
            return place
        # A path with a slip of the pen begins a new ledger, which knows nothing of what was sent: that is to be seen here.
        return f"{place}, {safe.many(runs, 'run')} in it" if runs else f"{place}, no run in it yet"

    def __repr__(self) -> str:
        where = "sandbox" if self.sandbox is not None else self.client.url
        where += ", closed" if self not in _open_workspaces else ""
        return f"<Workspace {safe.plain(self.name or self.id or 'of unknown identity')} at {where}>"


_open_workspaces: weakref.WeakSet[Workspace] = weakref.WeakSet()


def _after_fork() -> None:
    """The workspaces of the parent are its own: a child that ends, or closes one, must end nothing there."""
    for workspace in list(_open_workspaces):
        workspace._resources.disown()
    _open_workspaces.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _close_all() -> None:
    """At the interpreter's exit: stop new sends, let what is under way end, say how to go on (rule 22)."""
    for workspace in list(_open_workspaces):
        workspace.close()
