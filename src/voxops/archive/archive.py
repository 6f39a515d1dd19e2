"""The tables of an archive as frames, with columns and filters pushed down, as files, and for SQL."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds

from voxops._support import eventloop, safe
from voxops._support.arguments import folder_path, list_of_text
from voxops._support.files import short_path
from voxops.analysis.causes import cause_partial, finish_causes, merge_causes, merge_weeks, week_partial
from voxops.analysis.statistics import Objective, finish, finish_levels, level_partial, merge, merge_levels, partial
from voxops.analysis.triage import Rule, triage
from voxops.archive.query import SCHEMA, UNKNOWN_DAY, ask, count, dataset, file_format, fits, readable
from voxops.archive.store import Store, created, day_of, isin, moment, some
from voxops.archive.sync import Loads, Synced, latest
from voxops.errors import ConfigError
from voxops.frames.arrow import to_frame
from voxops.frames.columns import PEOPLE, with_people
from voxops.frames.times import When, say_zone, window, zone
from voxops.loading.filters import Words, plain_filters, statuses, words

if TYPE_CHECKING:
    from voxops.client import AsyncClient


class Tables:
    """What is read from an archive's files; `Archive` adds how they come about, and statistics.

    Parameters
    ----------
    path : path
        The archive's folder; need not exist yet.
    tz : str
        Time zone in which days begin, and which a time without an offset is in.
    people : mapping of str to str, optional
        ``owner``, ``campaign`` or ``tags`` -> the field of the posts' metadata that holds it.
    """

    def __init__(self, path: str | PathLike[str], *, tz: str = "UTC", people: Mapping[str, str] | None = None) -> None:
        self.path = folder_path("path", path)
        self._tz, self._people = zone(tz), dict(people or {})
        self._store = Store(self.path)
        self._warned = False

    def __repr__(self) -> str:
        days = self._store.files("posts").keys() | self._store.files("deliveries").keys()
        return f"<Archive {self.path}: {safe.many(len(days), 'day')}>"

    def _repr_html_(self) -> str:
        rows = [[kind, _span_of(list(self._store.files(kind)))] for kind in ("posts", "deliveries")]
        return safe.table(["Archive", safe.escape(short_path(self.path), 500)], rows)

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
            Columns and dtypes of ``ws.posts``, including ``owner``, ``campaign`` and ``tags`` where the workspace reads
            them. Posts that no longer exist have the status ``deleted``.

        Raises
        ------
        ConfigError
            If a time can't be read, a column does not exist, or a status is not known and another one is near.
        """
        wanted = isin("status", statuses(status)) & some(status=status)
        found = self._load(
            "posts", columns, moment(*self._window(since, until)) & wanted, since=since, until=until, status=status
        )
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
        wanted = isin("status", statuses(status)) & some(status=status)
        found = self._load(
            "targets", shown, moment(*self._window(since, until)) & wanted, since=since, until=until, status=status
        )
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
        if success is not None and not isinstance(success, bool):
            raise ConfigError(f"success={success!r} must be True, False or None for both")
        wanted = created(*self._window(since, until)) & isin("webhook_id", list_of_text("webhook", webhook))
        wanted &= isin("event_type", words("event_type", event_type), any_case=True)
        wanted &= some(webhook=webhook, event_type=event_type)
        if success is not None:
            wanted &= pc.coalesce(pc.field("success"), pc.scalar(False)) == pc.scalar(success)
        said = {"webhook": webhook, "since": since, "until": until, "success": success, "event_type": event_type}
        return self._load("deliveries", columns, wanted, **said)

    def sql(
        self,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        allow_file_access: bool = False,
    ) -> pd.DataFrame:
        """Ask DuckDB, which reads the files where they are.

        Parameters
        ----------
        query : str
            SQL over the tables ``posts``, ``targets`` and ``deliveries``, with the columns of the frames and ``day`` (text).
        parameters : sequence or mapping, optional
            Values of ``?`` or ``$name`` in the query; never put values into its text.
        allow_file_access : bool
            Let the query also read and write other files, attach databases and load extensions: whatever you may do yourself.
            Else it sees the three tables and nothing besides, so that a query from somebody else does no harm.

        Returns
        -------
        pandas.DataFrame
            Texts as ``string``, whole numbers as ``Int64``, times as ``datetime64[us, UTC]``, cut to microseconds; what has no zone,
            such as ``make_timestamp(…)`` or ``created_at AT TIME ZONE 'UTC'``, is ``datetime64[us]``.

        Raises
        ------
        ConfigError
            If DuckDB can't answer the query, in its words, it is more than one statement, two columns of the answer have one
            name, or whole numbers are beyond int64.
        """
        files = {kind: list(self._files(kind).values()) for kind in SCHEMA}
        return ask(files, query, parameters, allow_file_access=allow_file_access)

    def files(self, kind: str, since: When = None, until: When = None) -> list[Path]:
        """Return the files of one table, a day each, the earliest first: what a cluster's partitions are made of.

        Parameters
        ----------
        kind : str
            ``posts``, ``targets`` or ``deliveries``.
        since, until : Timestamp, str or timedelta, optional
            Only days that the span touches.

        Returns
        -------
        list of Path
            Those of rows without a time are last.
        """
        start, end = self._window(since, until)
        first = "" if start is None else day_of(start)
        last = "~" if end is None else day_of(end - timedelta(microseconds=1))  # a span ends before its end
        files = self._files(kind)
        return [path for day, path in files.items() if day == UNKNOWN_DAY or first <= day <= last]

    def parts(
        self, kind: str, columns: Sequence[str] | None = None, since: When = None, until: When = None
    ) -> Iterator[pd.DataFrame]:
        """Read one table file by file, so that memory holds one day at a time.

        Parameters
        ----------
        kind : str
            ``posts``, ``targets`` or ``deliveries``.
        columns : sequence of str, optional
            Only these.
        since, until : Timestamp, str or timedelta, optional
            Days outside the span are left out; the first and the last are whole.

        Yields
        ------
        pandas.DataFrame
            At least one, with the dtypes of the table.
        """
        files, names = self.files(kind, since, until), _columns(kind, columns)
        for path in files:
            yield self._read(kind, ds.dataset([str(path)], schema=SCHEMA[kind], format=file_format(kind)), names)
        if not files:
            yield self._read(kind, ds.dataset(SCHEMA[kind].empty_table()), names)

    def _files(self, kind: str) -> dict[str, Path]:
        """Day -> file of a table that is read; warns once of an archive that was never filled, such as one whose name has a slip."""
        if not self._warned and not self._store.begun():
            self._warned = True
            warnings.warn(f"nothing here yet: {self.path}. Check its name, or fill it: archive.sync()", stacklevel=2)
        return self._store.files(kind)

    def _window(self, since: When, until: When) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
        """A span of time; offsets count back from the last sync, which is the server's time."""
        return window(since, until, latest(self._store.state()) or datetime.now(UTC), self._tz)

    def _whose(self, found: pd.DataFrame) -> pd.DataFrame:
        """Targets with the owner, the campaign and the tags of their posts, as ``vx.targets`` has them."""
        ids = list(found["post_id"].unique())
        posts = with_people(self._load("posts", ("post_id", "tags", "metadata"), isin("post_id", ids)), self._people)
        names = [name for name in PEOPLE if name in posts.columns]
        joined = found.join(posts.set_index("post_id")[names], on="post_id")
        joined.attrs = {**found.attrs, "people": dict(self._people)}
        return joined

    def _load(self, kind: str, columns: Sequence[str] | None, wanted: Any, **filters: Any) -> pd.DataFrame:
        """Rows of one table, newest first; they say with which filters they were loaded."""
        data = dataset(kind, self._files(kind).values(), self.path)
        found = self._read(kind, data, columns, wanted)
        found.attrs["filters"] = plain_filters(filters)
        return found

    def _read(self, kind: str, data: Any, columns: Sequence[str] | None, wanted: Any = None) -> pd.DataFrame:
        """Read some columns and rows."""
        names = _columns(kind, columns)
        with readable():
            frame = to_frame(data.to_table(columns=names, filter=wanted))
        read = latest(self._store.state())
        frame.attrs = {"kind": kind, "source": str(self.path), "fetched_at": None if read is None else read.isoformat()}
        return say_zone(frame, self._tz)


def _columns(kind: str, columns: Sequence[str] | None) -> list[str]:
    """The columns of a table that are asked for, all by default; ConfigError for one that there is not, or is asked for twice."""
    known = SCHEMA[kind].names
    if columns is None:
        return list(known)
    names = list_of_text("columns", columns)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"the archive's {kind} have no column {', '.join(unknown)}; they have {', '.join(known)}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ConfigError(f"columns= names {', '.join(twice)} twice; leave one out")
    return names


def _span_of(days: Sequence[str]) -> str:
    """How many days there are, and from when to when."""
    dated = [day for day in days if day != UNKNOWN_DAY]
    span = f", {dated[0]} to {dated[-1]}" if dated else ""
    return f"{safe.many(len(days), 'day')}{span}" if days else "nothing here yet: archive.sync()"


# What service levels are counted from.
_OF_LEVELS = ("url", "success", "status_code", "latency_ms", "retry_count", "created_at", "error", "delivered_at")


class Archive(Tables):
    """History on disk, in Parquet files partitioned by day.

    Parameters
    ----------
    path : path
        Its folder; need not exist yet. A file is refused with a ConfigError.
    client : AsyncClient, optional
        What `sync` reads from; an archive without one can only be read. ``ws.archive(path)`` gives the workspace's.
    workspace : str
        Id of the workspace; an archive holds one workspace only.
    acted : callable, optional
        Takes an instant; ids of the posts and deliveries that were acted on since. These are read again, however old they are.
    tz : str
        Time zone in which days and weeks begin where a call names none, times without an offset are taken, and frames are shown;
        ``ws.archive(path)`` gives the workspace's.
    people : mapping of str to str, optional
        ``owner``, ``campaign`` or ``tags`` -> the field of the posts' metadata that holds it; ``ws.archive(path)`` gives the workspace's.

    Attributes
    ----------
    path : Path
        Its folder.
    client : AsyncClient or None
        What `sync` reads from.
    loads : Loads
        What a workspace's loads take from disk.

    Notes
    -----
    Everything that reads the files raises a ConfigError where one is damaged, a time or filter can't be read, or there is no such table
    or column; statistics raise what the function of the same name in ``vx`` does. An archive that was never filled warns once.
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
        super().__init__(path, tz=tz, people=people)
        self.client = client
        self.loads = Loads(self._store, client, workspace, acted)

    def sync(self, since: When = None, *, full: bool = False) -> Synced:
        """Fetch what is new and what may still change.

        Parameters
        ----------
        since : Timestamp, str or timedelta, optional
            Leave out deliveries before it: an instant, or an offset such as ``"90D"``. What has been read stays.
        full : bool
            Read everything again, also what was thought to have ended.

        Returns
        -------
        Synced
            How much was fetched, by how many requests, and how many files were written.

        Raises
        ------
        ConfigError
            If the archive is another workspace's, is being written by another process, or can't be written.
        ApiError, TransportError, DecodeError
            If the API can't be read; what was written stays, and the next sync goes on from there.
        """
        return eventloop.run(self.sync_async(since, full=full))

    async def sync_async(self, since: When = None, *, full: bool = False) -> Synced:
        """As `sync`; for the loop that the client lives on."""
        return await self.loads.sync(since, full=full, tz=self._tz)

    def delivery_stats(
        self, by: str | Sequence[str] = (), *, tz: str | None = None, since: When = None, until: When = None
    ) -> pd.DataFrame:
        """Compute ``vx.deliveries.stats`` over the whole history, by DuckDB where the files are.

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
        names = list_of_text("by", by)
        tz = self._tz if tz is None else zone(tz)
        start, end = self._window(since, until)
        files = self.files("deliveries", since, until)
        if fits(names, files):
            return count(files, names, tz, (start, end))
        parts = self.parts("deliveries", since=since, until=until)
        return finish(merge(partial(_created_within(part, start, end), names, tz=tz) for part in parts))

    def causes(
        self, rules: Iterable[Rule] | Mapping[str, Any] | None = None, *, since: When = None, until: When = None
    ) -> pd.DataFrame:
        """Group the failures of the whole history by cause, a day in memory at a time.

        Parameters
        ----------
        rules
            As for ``vx.triage``.
        since, until : Timestamp, str or timedelta, optional
            Leave out days outside the span, by when posts were created; the first and the last day are whole.

        Returns
        -------
        pandas.DataFrame
            As ``causes(triage(targets))`` returns it, without ``owners``.
        """
        parts = self.parts("targets", since=since, until=until)
        return say_zone(finish_causes(merge_causes(cause_partial(triage(part, rules)) for part in parts)), self._tz)

    def cause_weeks(
        self,
        rules: Iterable[Rule] | Mapping[str, Any] | None = None,
        *,
        tz: str | None = None,
        since: When = None,
        until: When = None,
    ) -> pd.DataFrame:
        """Count the causes of the failures of the whole history week by week, a day in memory at a time.

        Parameters
        ----------
        rules, since, until
            As for `causes`.
        tz : str, optional
            As for ``vx.cause_weeks``; by default the archive's.

        Returns
        -------
        pandas.DataFrame
            As ``vx.cause_weeks(triaged)`` returns it.
        """
        parts = self.parts("targets", since=since, until=until)
        tz = self._tz if tz is None else zone(tz)
        return merge_weeks(week_partial(triage(part, rules), tz=tz) for part in parts)

    def service_levels(
        self,
        within: str | timedelta = "5min",
        target: float = 0.99,
        *,
        windows: Sequence[str | timedelta] = ("3D", "6h"),
        at_least: int = 100,
        since: When = None,
    ) -> pd.DataFrame:
        """Compute ``vx.deliveries.levels`` over a history, a day in memory at a time; its now is the last sync.

        Parameters
        ----------
        within, target, windows, at_least
            As for ``vx.deliveries.levels``.
        since : Timestamp, str or timedelta, optional
            Leave out days before it.

        Returns
        -------
        pandas.DataFrame
            As ``vx.deliveries.levels`` returns it.
        """
        objective = Objective.of(within, target, windows, at_least)
        now = pd.Timestamp(latest(self._store.state()) or datetime.now(UTC))
        parts = self.parts("deliveries", _OF_LEVELS, since=since)
        return finish_levels(merge_levels(level_partial(part, objective, now) for part in parts), objective)


def _created_within(log: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None) -> pd.DataFrame:
    """Deliveries created within a span; an unknown time is inside."""
    if start is not None:
        log = log[~(log["created_at"] < start)]
    if end is not None:
        log = log[~(log["created_at"] >= end)]
    return log
