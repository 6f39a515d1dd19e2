"""What an archive offers beside its tables: sync, and statistics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._core import eventloop
from voxops._core.arguments import list_of_text
from voxops.analysis import (
    Objective,
    cause_partial,
    finish,
    finish_causes,
    finish_levels,
    level_partial,
    merge,
    merge_causes,
    merge_levels,
    merge_weeks,
    partial,
    triage,
    week_partial,
)
from voxops.analysis.rules import Rule
from voxops.archive._count import count, fits
from voxops.archive._loads import Loads
from voxops.archive._open import latest
from voxops.archive._sync import Synced
from voxops.archive._tables import Tables
from voxops.frames.spans import When, say_zone, zone

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Archive"]

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
        """Compute ``vx.delivery_stats`` over the whole history, by DuckDB where the files are.

        Parameters
        ----------
        by, tz
            As for ``vx.delivery_stats``; the zone is by default the archive's.
        since, until : Timestamp, str or timedelta, optional
            Which deliveries, by ``created_at``.

        Returns
        -------
        pandas.DataFrame
            As ``vx.delivery_stats`` returns it, equal to the last digit.
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
        parts = self.parts("deliveries", _OF_LEVELS, since=since)
        return finish_levels(merge_levels(level_partial(part, objective, now) for part in parts), objective)


def _created_within(log: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None) -> pd.DataFrame:
    """Deliveries created within a span; an unknown time is inside."""
    if start is not None:
        log = log[~(log["created_at"] < start)]
    if end is not None:
        log = log[~(log["created_at"] >= end)]
    return log
