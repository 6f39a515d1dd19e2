"""`Archive`: a workspace's history on disk, for frames, statistics and SQL."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.compute as pc

from voxops._support import document, eventloop, safe
from voxops._support.arguments import folder_path, list_of_text, true_or_false
from voxops._support.drawing import to_html
from voxops._support.files import short_path
from voxops.analysis.causes import causes
from voxops.analysis.statistics import stats
from voxops.analysis.triage import Rule, triage
from voxops.archive.query import ask
from voxops.archive.store import SCHEMA, UNKNOWN_DAY, Store, created, day_of, isin, moment, read, some
from voxops.archive.sync import Loads, Synced, latest
from voxops.errors import ConfigError
from voxops.frames.arrow import duplicate_name, to_frame
from voxops.frames.columns import PEOPLE, with_people
from voxops.frames.times import When, say_zone, window, zone
from voxops.loading.filters import Words, plain_filters, statuses, words

if TYPE_CHECKING:
    from voxops.client import AsyncClient


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
        Default time zone of days and weeks, of times without an offset, and for display; ``ws.archive(path)`` passes the workspace's.
    people : mapping of str to str, optional
        ``owner``, ``campaign`` or ``tags`` -> its field in the posts' metadata; ``ws.archive(path)`` passes the workspace's.

    Notes
    -----
    All reads raise a ConfigError if a file is damaged, a time or filter can't be read, or a table or column does not exist. Statistics
    raise the errors of the function of the same name in ``vx``. An empty archive warns once.
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
        self.path: Path = folder_path("path", path)
        self._tz, self._people = zone(tz), dict(people or {})
        self._store = Store(self.path)
        self._warned = False
        self.client = client
        self.loads: Loads = Loads(self._store, client, workspace, acted)  # the workspace's loads read it from disk

    def __dir__(self) -> list[str]:
        return ["path", "sync", "posts", "deliveries", "targets", "stats", "causes", "sql", "files"]

    def __repr__(self) -> str:
        days = self._store.files("posts").keys() | self._store.files("deliveries").keys()
        return f"<Archive {self.path}: {safe.many(len(days), 'day')}>"

    def _repr_html_(self) -> str:
        rows = [(kind, _span_of(list(self._store.files(kind)))) for kind in ("posts", "deliveries")]
        return to_html([document.heading("Archive", short_path(self.path)), document.pairs(rows)], name="archive")

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
            If the archive is another workspace's, is being written by another process, or can't be written.
        ApiError, TransportError, DecodeError
            If the API can't be read; written files stay, and the next sync continues from there.
        """
        return eventloop.run(self.loads.sync(since, full=full, tz=self._tz))

    def posts(
        self, since: When = None, until: When = None, *, status: Words = None, columns: Sequence[str] | None = None
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
        found = self._by_status("posts", columns, since, until, status)
        return with_people(found, self._people) if columns is None else found

    def targets(
        self, since: When = None, until: When = None, *, status: Words = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Load targets, for ``vx.triage``.

        Parameters
        ----------
        since, until, status, columns
            As for `posts`; times apply to the latest of the target's ``published_at``, the post's ``updated_at``,
            ``scheduled_for`` and ``created_at``, `status` to the target.

        Returns
        -------
        pandas.DataFrame
            Columns and dtypes of ``vx.targets(posts)``.
        """
        shown = columns if columns is not None else [name for name in SCHEMA["targets"].names if name != "created_at"]
        found = self._by_status("targets", shown, since, until, status)
        return self._whose(found) if columns is None and self._people else found

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
        if success is not None:
            true_or_false("success", success)
        wanted = created(*self._window(since, until)) & isin("webhook_id", list_of_text("webhook", webhook))
        wanted &= isin("event_type", words("event_type", event_type), any_case=True)
        wanted &= some(webhook=webhook, event_type=event_type)
        if success is not None:
            wanted &= pc.coalesce(pc.field("success"), pc.scalar(False)) == pc.scalar(success)
        said = {"webhook": webhook, "since": since, "until": until, "success": success, "event_type": event_type}
        return self._load("deliveries", columns, wanted, **said)

    def stats(
        self, by: str | Sequence[str] = (), *, tz: str | None = None, since: When = None, until: When = None
    ) -> pd.DataFrame:
        """Compute ``vx.deliveries.stats`` over the whole history.

        Parameters
        ----------
        by, tz
            As for ``vx.deliveries.stats``; the zone is by default the archive's.
        since, until : Timestamp, str or timedelta, optional
            Which deliveries, by ``created_at``.

        Returns
        -------
        pandas.DataFrame
            As ``vx.deliveries.stats`` returns it, equal to the last digit.
        """
        return stats(self.deliveries(since, until), by, tz=tz)

    def causes(
        self,
        by: str | None = None,
        *,
        rules: Iterable[Rule] | Mapping[str, Any] | None = None,
        tz: str | None = None,
        since: When = None,
        until: When = None,
    ) -> pd.DataFrame:
        """Compute ``vx.causes`` over the whole history, a day in memory at a time.

        Parameters
        ----------
        by, tz
            As for ``vx.causes``; the zone is by default the archive's.
        rules
            As for ``vx.triage``.
        since, until : Timestamp, str or timedelta, optional
            Leave out days outside the span, by when posts were created; the first and the last day are whole.

        Returns
        -------
        pandas.DataFrame
            As ``vx.causes(vx.triage(archive.targets()), by)`` returns it, without ``owners``.
        """
        parts = self._parts("targets", since=since, until=until)
        tz = self._tz if tz is None else zone(tz)
        return say_zone(causes(triage(pd.concat(parts), rules), by, tz=tz), self._tz)

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
            SQL over the tables ``posts``, ``targets`` and ``deliveries``, with the columns of the frames and ``day`` (text).
        parameters : sequence or mapping, optional
            Values of ``?`` or ``$name`` in the query; never put values into its text.
        allow_file_access : bool
            Let the query also open other files, with your own rights. Otherwise it sees only the three tables, so that an untrusted
            query does no harm.

        Returns
        -------
        pandas.DataFrame
            Texts as ``string``, whole numbers as ``Int64``, times as ``datetime64[us, UTC]``, cut to microseconds; times without a
            zone, such as ``make_timestamp(…)`` or ``created_at AT TIME ZONE 'UTC'``, are ``datetime64[us]``.

        Raises
        ------
        ConfigError
            If DuckDB can't run the query (with its error), or it is not one SELECT or EXPLAIN. Also if two columns of the result
            have the same name, or whole numbers are beyond int64.
        """
        files = {kind: list(self._files(kind).values()) for kind in SCHEMA}
        return ask(files, query, parameters, allow_file_access=allow_file_access)

    def files(self, kind: str, since: When = None, until: When = None) -> list[Path]:
        """Return the files of one table, a day each, the earliest first, as the partitions of a cluster.

        Parameters
        ----------
        kind : str
            ``posts``, ``targets`` or ``deliveries``.
        since, until : Timestamp, str or timedelta, optional
            Only days in the span.

        Returns
        -------
        list of Path
            Files of rows without a time are last.
        """
        start, end = self._window(since, until)
        first = "" if start is None else day_of(start)
        last = "~" if end is None else day_of(end - timedelta(microseconds=1))  # a span ends before its end
        files = self._files(kind)
        return [path for day, path in files.items() if day == UNKNOWN_DAY or first <= day <= last]

    def _files(self, kind: str) -> dict[str, Path]:
        """Return day -> file of a table; warn once of an empty archive, whose path may have a typo."""
        if not self._warned and not self._store.begun():
            self._warned = True
            warnings.warn(f"nothing here yet: {self.path}. Check its name, or fill it: archive.sync()", stacklevel=2)
        return self._store.files(kind)

    def _window(self, since: When, until: When) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
        """Read a span of time; offsets count back from the last sync, in the server's time."""
        return window(since, until, latest(self._store.state()) or datetime.now(UTC), self._tz)

    def _whose(self, found: pd.DataFrame) -> pd.DataFrame:
        """Return targets with the owner, campaign and tags of their posts, as in ``vx.targets``."""
        ids = list(found["post_id"].unique())
        posts = with_people(self._load("posts", ("post_id", "tags", "metadata"), isin("post_id", ids)), self._people)
        names = [name for name in PEOPLE if name in posts.columns]
        joined = found.join(posts.set_index("post_id")[names], on="post_id")
        joined.attrs = {**found.attrs, "people": dict(self._people)}
        return joined

    def _by_status(
        self, kind: str, columns: Sequence[str] | None, since: When, until: When, status: Words
    ) -> pd.DataFrame:
        """Return posts or targets by time and status."""
        wanted = moment(*self._window(since, until)) & isin("status", statuses(status)) & some(status=status)
        return self._load(kind, columns, wanted, since=since, until=until, status=status)

    def _load(self, kind: str, columns: Sequence[str] | None, wanted: Any, **filters: Any) -> pd.DataFrame:
        """Return rows of one table, newest first; ``attrs`` name the filters."""
        found = self._read(kind, self._files(kind).values(), columns, wanted)
        found.attrs["filters"] = plain_filters(filters)
        return found

    def _parts(
        self,
        kind: str,
        columns: Sequence[str] | None = None,
        *,
        since: When = None,
        until: When = None,
        wanted: Any = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield one table day by day, with one day in memory at a time; at least one frame."""
        for files in [[path] for path in self.files(kind, since, until)] or [[]]:
            yield self._read(kind, files, columns, wanted)

    def _read(
        self, kind: str, files: Collection[Path], columns: Sequence[str] | None, wanted: Any = None
    ) -> pd.DataFrame:
        frame = to_frame(read(kind, files, _columns(kind, columns), wanted))
        synced = latest(self._store.state())
        fetched = None if synced is None else synced.isoformat()
        frame.attrs = {"kind": kind, "source": str(self.path), "fetched_at": fetched}
        return say_zone(frame, self._tz)


def _columns(kind: str, columns: Sequence[str] | None) -> list[str]:
    """Return the requested columns of a table, all by default; a ConfigError for an unknown or duplicate one."""
    known = SCHEMA[kind].names
    if columns is None:
        return list(known)
    names = list_of_text("columns", columns)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"the archive's {kind} have no column {', '.join(unknown)}; they have {', '.join(known)}")
    if duplicate := duplicate_name(names):
        raise ConfigError(f"columns= names {duplicate} twice; remove one")
    return names


def _span_of(days: Sequence[str]) -> str:
    """How many days there are, and from when to when."""
    dated = [day for day in days if day != UNKNOWN_DAY]
    span = f", {dated[0]} to {dated[-1]}" if dated else ""
    return f"{safe.many(len(days), 'day')}{span}" if days else "nothing here yet: archive.sync()"
