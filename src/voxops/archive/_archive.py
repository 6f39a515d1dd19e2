"""What an archive offers: sync, frames with columns and filters pushed down, SQL, and statistics file by file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds

from voxops._core import eventloop, safe
from voxops._core.arguments import file_path, list_of_text
from voxops.analysis import (
    Objective,
    cause_partial,
    finish_causes,
    finish_levels,
    level_partial,
    merge_causes,
    merge_levels,
    merge_weeks,
    triage,
    week_partial,
)
from voxops.analysis.rules import Rule
from voxops.archive._count import Sources, count, fits
from voxops.archive._frames import COUNTED_COLUMNS, frame_by_frame
from voxops.archive._kept import serving
from voxops.archive._loads import Loads
from voxops.archive._open import latest
from voxops.archive._sql import ask
from voxops.archive._store import UNKNOWN_DAY, Store
from voxops.archive._sync import Synced
from voxops.archive._table import SCHEMA, dataset, file_format, readable, to_frame
from voxops.archive._where import created, isin, moment
from voxops.errors import ConfigError
from voxops.frames.spans import When, window, zone
from voxops.loading.filters import Words, statuses, words

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Archive"]


class Archive:
    """History on disk, in Parquet files partitioned by day.

    Parameters
    ----------
    path : path
        Its folder; need not exist yet.
    client : AsyncClient, optional
        What `sync` reads from; an archive without one can only be read. ``ws.archive(path)`` gives the workspace's.
    workspace : str
        Id of the workspace; an archive holds one workspace only.
    acted : callable, optional
        Takes an instant; ids of the posts and deliveries that were acted on since. These are read again, however old they are.

    Attributes
    ----------
    path : Path
        Its folder.
    loads : Loads
        What a workspace's loads take from disk.

    Notes
    -----
    Everything that reads the files raises a ConfigError where one is damaged, a time or filter can't be read, or there is no such table
    or column; statistics raise what the function of the same name in ``vx`` does.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        client: AsyncClient | None = None,
        *,
        workspace: str = "",
        acted: Callable[[datetime], Collection[str]] | None = None,
    ) -> None:
        self.path = file_path("path", path)
        self._store = Store(self.path)
        self._client = client
        self.loads = Loads(self._store, client, workspace, acted)

    def __repr__(self) -> str:
        days = self._store.files("posts").keys() | self._store.files("deliveries").keys()
        return f"<Archive {self.path}: {safe.many(len(days), 'day')}>"

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
        return await self.loads.sync(since, full=full)

    def posts(
        self, since: When = None, until: When = None, *, status: Words = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Load posts, newest created first.

        Parameters
        ----------
        since, until : Timestamp, str or timedelta, optional
            As for ``ws.posts``: they apply to the latest of scheduled, published, updated and created. An offset such as
            ``"7D"`` counts back from the last sync, ``"today"`` and ``"yesterday"`` begin at midnight in UTC.
        status : str or list of str, optional
            As for ``ws.posts``, and ``deleted``.
        columns : sequence of str, optional
            Only these are read from disk.

        Returns
        -------
        pandas.DataFrame
            Columns and dtypes of ``ws.posts``. Posts that no longer exist have the status ``deleted``.

        Raises
        ------
        ConfigError
            If a time can't be read, a column does not exist, or a status is not known and another one is near.
        """
        return self._load("posts", columns, moment(*self._window(since, until)) & isin("status", statuses(status)))

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
        return self._load("targets", shown, moment(*self._window(since, until)) & isin("status", statuses(status)))

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
        if success is not None:
            wanted &= pc.coalesce(pc.field("success"), pc.scalar(False)) == pc.scalar(success)
        return self._load("deliveries", columns, wanted)

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
            Texts as ``string``, whole numbers as ``Int64``, times as ``datetime64[us, UTC]``.

        Raises
        ------
        ConfigError
            If DuckDB can't answer the query, in its words, or it is more than one statement.
        """
        files = {kind: list(self._store.files(kind).values()) for kind in SCHEMA}
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
        first, last = ("" if start is None else f"{start:%Y-%m-%d}"), ("~" if end is None else f"{end:%Y-%m-%d}")
        files = self._store.files(kind)
        return [path for day, path in files.items() if day == UNKNOWN_DAY or first <= day <= last]

    def parts(self, kind: str, columns: Sequence[str] | None = None, since: When = None) -> Iterator[pd.DataFrame]:
        """Read one table file by file, so that memory holds one day at a time.

        Parameters
        ----------
        kind : str
            ``posts``, ``targets`` or ``deliveries``.
        columns : sequence of str, optional
            Only these.
        since : Timestamp, str or timedelta, optional
            Days before it are left out; the first day is whole.

        Yields
        ------
        pandas.DataFrame
            At least one, with the dtypes of the table.
        """
        files = self.files(kind, since)
        for path in files:
            yield self._read(kind, ds.dataset([str(path)], schema=SCHEMA[kind], format=file_format(kind)), columns)
        if not files:
            yield self._read(kind, ds.dataset(SCHEMA[kind].empty_table()), columns)

    def delivery_stats(
        self, by: str | Sequence[str] = (), *, tz: str = "UTC", since: When = None, until: When = None
    ) -> pd.DataFrame:
        """Compute ``vx.delivery_stats`` over the whole history: from the answers that are kept, and where they do not do, by DuckDB.

        Parameters
        ----------
        by, tz
            As for ``vx.delivery_stats``.
        since, until : Timestamp, str or timedelta, optional
            Which deliveries, by ``created_at``.

        Returns
        -------
        pandas.DataFrame
            As ``vx.delivery_stats`` returns it, equal to the last digit.
        """
        names = list_of_text("by", by)
        zone(tz)
        start, end = self._window(since, until)
        files = self.files("deliveries", since, until)
        days = [path.parent.name.removeprefix("day=") for path in files]
        if not fits(names, days):
            return frame_by_frame(files, names, tz, (start, end))
        kept = serving(self._store.answers(), names, tz, (start, end))
        rest = [path for path, day in zip(files, days, strict=True) if day not in kept]
        return count(Sources([kept[day] for day in days if day in kept], rest, start, end, days), names, tz)

    def causes(self, rules: Iterable[Rule] | Mapping[str, Any] | None = None, *, since: When = None) -> pd.DataFrame:
        """Group the failures of the whole history by cause, a day in memory at a time.

        Parameters
        ----------
        rules
            As for ``vx.triage``.
        since : Timestamp, str or timedelta, optional
            Leave out days before it.

        Returns
        -------
        pandas.DataFrame
            As ``causes(triage(targets))`` returns it.
        """
        return finish_causes(
            merge_causes(cause_partial(triage(part, rules)) for part in self.parts("targets", since=since))
        )

    def cause_weeks(
        self,
        rules: Iterable[Rule] | Mapping[str, Any] | None = None,
        *,
        tz: str = "UTC",
        since: When = None,
    ) -> pd.DataFrame:
        """Count the causes of the failures of the whole history week by week, a day in memory at a time.

        Parameters
        ----------
        rules, since
            As for `causes`.
        tz : str
            As for ``vx.cause_weeks``.

        Returns
        -------
        pandas.DataFrame
            As ``vx.cause_weeks(triaged)`` returns it.
        """
        return merge_weeks(week_partial(triage(part, rules), tz=tz) for part in self.parts("targets", since=since))

    def service_levels(
        self,
        within: str | timedelta = "5min",
        target: float = 0.99,
        *,
        windows: Sequence[str | timedelta] = ("3D", "6h"),
        at_least: int = 100,
        since: When = None,
    ) -> pd.DataFrame:
        """Compute ``vx.service_levels`` over a history, a day in memory at a time; its now is the last sync.

        Parameters
        ----------
        within, target, windows, at_least
            As for ``vx.service_levels``.
        since : Timestamp, str or timedelta, optional
            Leave out days before it.

        Returns
        -------
        pandas.DataFrame
            As ``vx.service_levels`` returns it.
        """
        objective = Objective.of(within, target, windows, at_least)
        now = pd.Timestamp(latest(self._store.state()) or datetime.now(UTC))
        parts = self.parts("deliveries", ("url", *COUNTED_COLUMNS, "error", "delivered_at"), since=since)
        return finish_levels(merge_levels(level_partial(part, objective, now) for part in parts), objective)

    def _window(self, since: When, until: When) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
        """A span of time; offsets count back from the last sync, which is the server's time."""
        return window(since, until, latest(self._store.state()) or datetime.now(UTC))

    def _load(self, kind: str, columns: Sequence[str] | None, wanted: Any) -> pd.DataFrame:
        """Rows of one table, newest first."""
        unknown = [name for name in columns or () if name not in SCHEMA[kind].names]
        if unknown:
            raise ConfigError(
                f"the archive's {kind} have no column {', '.join(unknown)}; they have {', '.join(SCHEMA[kind].names)}"
            )
        data = dataset(kind, self._store.files(kind).values(), self.path)
        return self._read(kind, data, columns, wanted)

    def _read(self, kind: str, data: Any, columns: Sequence[str] | None, wanted: Any = None) -> pd.DataFrame:
        """Read some columns and rows."""
        names = list(SCHEMA[kind].names if columns is None else columns)
        with readable():
            frame = to_frame(data.to_table(columns=names, filter=wanted))
        read = latest(self._store.state())
        frame.attrs = {"kind": kind, "source": str(self.path), "fetched_at": None if read is None else read.isoformat()}
        return frame
