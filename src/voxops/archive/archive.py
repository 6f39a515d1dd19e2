"""`Archive`: a workspace's history on disk, as frames and for SQL."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd

from voxops._support import loads, safe
from voxops._support.arguments import Words, empties, file_path, list_of_text, true_or_false
from voxops.archive.store import (
    COLUMNS,
    DELETE,
    KEY,
    TARGETS_VIEW,
    UNKNOWN_DAY,
    Store,
    add_view,
    allow,
    bounded,
    connected,
    isin,
    to_frame,
)
from voxops.archive.sync import Sync, Synced
from voxops.errors import ConfigError
from voxops.frames.times import MOMENTS, When, say_zone, window, zone
from voxops.loading.filters import plain_filters, statuses, with_people, words
from voxops.model import ArchivedStatus

if TYPE_CHECKING:
    from voxops.client import AsyncClient

SETTLES_WITHIN = timedelta(days=1)  # how long after its send an act may still change its subject


class Archive:
    """History on disk, in Parquet files partitioned by day.

    Parameters
    ----------
    path : path
        Its folder; need not exist yet. A file is refused with a ConfigError.
    client : AsyncClient, optional
        The source of `sync`; an archive without one is read-only. ``ws.archive(path)`` passes the workspace's.
    workspace : str
        Id of the workspace; an archive has one workspace only.
    acted : callable, optional
        Takes an instant; returns ids of the posts and deliveries acted on after it, which are reread at any age.
    tz : str
        Time zone of times without an offset, and for display; ``ws.archive(path)`` passes the workspace's.
    people : mapping of str to str, optional
        ``owner``, ``campaign`` or ``tags`` -> its field in the posts' metadata; ``ws.archive(path)`` passes the workspace's.

    Notes
    -----
    All reads raise a ConfigError if a file is damaged, a time or filter can't be read, or a table or column does not exist. An empty
    archive warns once.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        client: AsyncClient | None = None,
        *,
        workspace: str = "",
        acted: Callable[[datetime], Collection[str]] | None = None,
        tz: str = "UTC",
        people: Mapping[str, str] | None = None,
    ) -> None:
        root = file_path("path", path)
        if root.is_file():
            raise ConfigError(
                f"an archive needs a folder, and {root} is a file; name a folder, which need not exist yet"
            )
        self._store = Store(root)
        self._client, self._workspace, self._acted = client, workspace, acted
        self._tz, self._people = zone(tz), dict(people or {})
        self._warned = False

    def __dir__(self) -> list[str]:
        return ["sync", "posts", "deliveries", "sql", "files"]

    def __repr__(self) -> str:
        days = sorted({day for kind in COLUMNS for day in self._store.files(kind)} - {UNKNOWN_DAY})
        span = f"{safe.many(len(days), 'day')}, {days[0]} to {days[-1]}" if days else "nothing here yet"
        return f"<Archive {self._store.root}: {span}>"

    def sync(self, since: When = None, *, full: bool = False) -> Synced:
        """Fetch new records and those that may still change; once a week, everything.

        Lists are read from their heads back to records that are on disk and older than 65 minutes before the last sync. The weekly
        check finds records that came in deeper, such as imported posts with old dates. It reads the lists to their ends: a request
        for every 100 records. It warns of what it adds, and is then repeated after a day.

        Parameters
        ----------
        since : Timestamp, str or timedelta, optional
            Skip deliveries before it: an instant, or an offset such as ``"90D"``. Stored ones stay.
        full : bool
            Reread everything, also settled records, as the weekly check does.

        Returns
        -------
        Synced
            Counts of fetched records, requests, written files, and late records that a check added.

        Raises
        ------
        ConfigError
            If the archive is another workspace's, or can't be written.
        VoxopsError
            If another process writes the archive; try again when that process has ended.
        ApiError, TransportError, DecodeError
            If the API can't be read; written files stay, and the next sync continues from there.
        """
        return loads.run("the archive", self._sync(since, full=full), kept="what was written is kept; sync() goes on")

    async def _sync(self, since: When, *, full: bool) -> Synced:
        if self._client is None:
            raise ConfigError("this archive has no client to read from; use ws.archive(path).sync()")
        start, _ = window(since, None, self._client.now(), self._tz)
        with self._store.writing():
            state = self._store.state()
            if state.setdefault("workspace", self._workspace) != self._workspace:
                raise ConfigError(
                    f"the archive {self._store.root} has workspace {state['workspace']}, not {self._workspace}; choose another folder "
                    "(each sandbox is a workspace of its own, unless Sandbox(workspace=...) names it)"
                )
            read_at = min(state["read_at"].values(), default=None)
            acted = self._acted(read_at - SETTLES_WITHIN) if self._acted and read_at else ()
            sync = Sync(self._store, self._client, state, acted)
            return await sync.run(None if start is None else start.to_pydatetime(), full=full)

    def posts(
        self,
        since: When = None,
        until: When = None,
        *,
        status: ArchivedStatus | Iterable[ArchivedStatus] | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Load posts, newest created first.

        Parameters
        ----------
        since, until : Timestamp, str or timedelta, optional
            As for ``ws.posts``: they apply to the latest of scheduled, published, updated and created. An offset such as
            ``"7D"`` counts back from the last sync, ``"today"`` and ``"yesterday"`` begin at midnight in the archive's zone.
        status : str or list of str, optional
            As for ``ws.posts``, and ``deleted``.
        columns : sequence of str, optional
            Only these are read from disk.

        Returns
        -------
        pandas.DataFrame
            Columns and dtypes of ``ws.posts``, including ``owner``, ``campaign`` and ``tags`` if the workspace reads
            them. Posts that no longer exist have the status ``deleted``.

        Raises
        ------
        ConfigError
            If a time can't be read, a column does not exist, or a status is likely a typo.
        """
        filters = {"since": since, "until": until, "status": status}
        where = {"status": isin("status", "status")}
        posts = self._load("posts", columns, filters, where, f"greatest({', '.join(MOMENTS)})", status=statuses(status))
        return with_people(posts, self._people) if columns is None else posts

    def deliveries(
        self,
        since: When = None,
        until: When = None,
        *,
        webhook: Words = None,
        success: bool | None = None,
        event_type: Words = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Load webhook deliveries, newest first; days outside the span are never opened.

        Parameters
        ----------
        since, until : Timestamp, str or timedelta, optional
            They apply to ``created_at``. An offset such as ``"7D"`` counts back from the last sync.
        webhook, success, event_type
            As for ``ws.deliveries``.
        columns : sequence of str, optional
            Only these are read from disk.

        Returns
        -------
        pandas.DataFrame
            Columns and dtypes of ``ws.deliveries``.
        """
        filters = {"webhook": webhook, "since": since, "until": until, "success": success, "event_type": event_type}
        where = {
            "webhook": isin("webhook_id", "webhook"),
            "event_type": isin("lower(event_type)", "event_type"),
            "success": "coalesce(success, false) = $success",
        }
        if success is not None:
            true_or_false("success", success)
        return self._load(
            "deliveries", columns, filters, where, "created_at",
            webhook=list_of_text("webhook", webhook), event_type=words("event_type", event_type), success=success,
        )  # fmt: skip

    def sql(
        self,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        allow_file_access: bool = False,
    ) -> pd.DataFrame:
        """Query the archive with DuckDB, directly on the files.

        Parameters
        ----------
        query : str
            One SELECT over the tables ``posts``, ``targets`` (a row per post and platform) and ``deliveries``, with the columns of the
            frames and ``day`` (text, UTC); ``metadata`` is JSON text.
        parameters : sequence or mapping, optional
            Values of ``?`` or ``$name`` in the query; never put values into its text.
        allow_file_access : bool
            Let the query also open other files, with your own rights. Otherwise it sees only the archive, so that an untrusted query
            does no harm.

        Returns
        -------
        pandas.DataFrame
            Texts as ``string``, whole numbers as ``Int64``, times as ``datetime64[us, UTC]``, cut to microseconds; days, and times
            without a zone, such as ``created_at AT TIME ZONE 'Europe/Berlin'``, are ``datetime64[us]``. If two columns
            have one name, such as ``post_id``, the second becomes ``post_id_1``.

        Raises
        ------
        ConfigError
            If DuckDB can't run the query (with its error), or it is not one SELECT. Also if whole numbers are beyond int64, or the result
            takes more memory than an archive of this size may hold.
        """
        if not isinstance(query, str):
            raise ConfigError(f"query={query!r} is not SQL; it takes a text such as 'SELECT count(*) FROM posts'")
        files = [path for kind in COLUMNS for path in self._files(kind)]
        try:
            with connected() as connection:
                connection.execute("SET python_enable_replacements = false")  # a frame of the caller is not a table
                for kind in COLUMNS:
                    add_view(connection, kind, kind, self._files(kind))
                connection.execute(TARGETS_VIEW)
                if not allow_file_access:
                    allow(connection, files)
                statements = connection.extract_statements(query)
                if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                    raise ConfigError("query= takes a single SELECT")
                source = f"(\n{statements[0].query.rstrip().rstrip(';')}\n)"
                empty = connection.sql(f"FROM {source} LIMIT 0", params=parameters)
                types = dict(zip(empty.columns, map(str, empty.types), strict=True))
                return to_frame(connection.sql(bounded(source, types, files), params=parameters))
        # DuckDB's binding itself breaks at names that are no text, and at statements that it does not know, such as UPDATE EXTENSIONS.
        except (duckdb.Error, RuntimeError, ValueError) as error:
            damaged = isinstance(error, RuntimeError) or any(str(path) in str(error) for path in files)
            raise ConfigError(f"DuckDB can't run the query. {error}{f' {DELETE}' if damaged else ''}") from error

    def files(self, kind: str, since: When = None, until: When = None) -> list[Path]:
        """Return the files of one table, one per day, earliest first, for Dask or Spark.

        Parameters
        ----------
        kind : str
            ``posts`` or ``deliveries``.
        since, until : Timestamp, str or timedelta, optional
            Only days in the span.

        Returns
        -------
        list of Path
            Files of rows without a time are last.
        """
        return self._files(kind, *self._window(since, until))

    def _files(self, kind: str, start: datetime | None = None, end: datetime | None = None) -> list[Path]:
        """Return the files of a span; warn once of an empty archive, whose path may have a typo."""
        if not self._warned and not self._store.begun():
            self._warned = True
            warnings.warn(
                f"nothing here yet: {self._store.root}. Check its name, or fill it: archive.sync()", stacklevel=2
            )
        return [*self._store.files(kind, start, end).values()]

    def _synced_at(self) -> datetime | None:
        """Return when the archive last read the API, in the server's time."""
        return max(self._store.state()["read_at"].values(), default=None)

    def _window(self, since: When, until: When) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
        """Read a span of time; offsets count back from the last sync."""
        return window(since, until, self._synced_at() or datetime.now(UTC), self._tz)

    def _load(
        self,
        kind: str,
        columns: Sequence[str] | None,
        filters: Mapping[str, Any],
        where: Mapping[str, str],
        at: str,
        **values: Any,
    ) -> pd.DataFrame:
        """Return rows of one table, newest first; `at` is the SQL of the time to which the span applies, and an unknown one is inside."""
        span = self._window(filters["since"], filters["until"])
        values |= {name: when and when.to_pydatetime() for name, when in zip(("since", "until"), span, strict=True)}
        where = {**where, "since": f"coalesce({at} >= $since, true)", "until": f"coalesce({at} < $until, true)"}
        used = {name: value for name, value in values.items() if value is not None and value != []}
        conditions = [where[name] for name in used] + ["false" for _ in empties(**filters)]  # as in `ws.posts`
        frame = self._store.read(
            kind, _columns(kind, columns), " AND ".join(conditions) or "true",
            order=f"created_at DESC NULLS LAST, {KEY[kind]}",
            files=self._files(kind, *(span if at == "created_at" else ())), **used,
        )  # fmt: skip
        synced = self._synced_at()
        frame.attrs = {
            "kind": kind,
            "source": str(self._store.root),
            "fetched_at": synced and synced.isoformat(),
            "filters": plain_filters(filters),
        }
        return say_zone(frame, self._tz)


def _columns(kind: str, columns: Sequence[str] | None) -> list[str]:
    """Return the requested columns of a table, all by default, each once; a ConfigError for an unknown one."""
    known = COLUMNS[kind]
    names = dict.fromkeys(known if columns is None else list_of_text("columns", columns))
    if unknown := names.keys() - known.keys():
        raise ConfigError(f"the archive's {kind} have no column {', '.join(unknown)}; they have {', '.join(known)}")
    return list(names)
