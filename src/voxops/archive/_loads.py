"""What the loads of a workspace take from disk: what is settled; what is open or new they read from the API.

A load of everything brings the archive up to date, and then is the archive. A load of some reads the head of the API's own lists,
newest first, back to the instant before which nothing is open, and takes the rest from disk: it never costs more requests than
without an archive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from voxops.archive._open import held_deliveries, held_posts, last_read, open_posts, spans_read
from voxops.archive._spans import gaps
from voxops.archive._store import BusyError, Store
from voxops.archive._sync import BEGINNING, LATE, Sync, Synced
from voxops.archive._table import SCHEMA, dataset, readable, to_frame
from voxops.archive._where import created, isin
from voxops.errors import ConfigError
from voxops.frames.spans import When, window

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Loads"]

SETTLES_WITHIN = timedelta(days=1)  # how long after it was sent an act may still change what it is about
_SECOND = pd.Timedelta(seconds=1)  # to which an API may round a filter


class Loads:
    """Passes over the API that fill an archive, and what need not be read again.

    Parameters
    ----------
    store : Store
        The files.
    client : AsyncClient or None
        Where they come from.
    workspace : str
        Whose they are.
    acted : callable or None
        As for `Archive`.
    """

    def __init__(
        self,
        store: Store,
        client: AsyncClient | None,
        workspace: str,
        acted: Callable[[datetime], Collection[str]] | None,
    ) -> None:
        self._store = store
        self._client = client
        self._workspace = workspace
        self._acted = acted
        self._turn = asyncio.Lock()

    async def sync(self, since: When, *, full: bool, tz: str = "UTC") -> Synced:
        """As `Archive.sync`, `since` in a zone."""
        async with self._pass() as sync:
            start, _ = window(since, None, self._now(), tz)
            return await sync.run(None if start is None else start.to_pydatetime(), full=full)

    async def posts(self, *, full: bool = False) -> tuple[pd.DataFrame, set[str]] | None:
        """Bring the posts up to date.

        Parameters
        ----------
        full : bool
            Read all of them.

        Returns
        -------
        tuple of (DataFrame, set of str), or None
            All posts that exist, in any order, and the ids of those that were read from the API just now; None while another
            process writes.
        """
        try:
            async with self._pass() as sync:
                await sync.posts(full=full)
        except BusyError:
            return None
        return self._read("posts", _exists()), sync.read["posts"]

    async def deliveries(
        self, webhooks: Sequence[str], start: pd.Timestamp | None, *, full: bool = False
    ) -> tuple[pd.DataFrame, set[str]] | None:
        """Bring the deliveries of these webhooks since an instant up to date; as `posts`."""
        try:
            async with self._pass() as sync:
                await sync.deliveries(webhooks, None if start is None else start.to_pydatetime(), full=full)
        except BusyError:
            return None
        return self._read("deliveries", created(start, None) & _of(webhooks)), sync.read["deliveries"]

    def settled_posts(self, statuses: Sequence[str]) -> tuple[pd.DataFrame, pd.Timestamp | None]:
        """Posts with one of these statuses that need not be read, and the instant from which on all must be; None for all."""
        state = self.state()
        newest, last = state["posts"].get("newest"), last_read(state, "posts")
        if newest is None or last is None:
            return self._read("posts", pc.scalar(False)), None
        held = held_posts(self._store)
        opened = held[open_posts(held, last, self._acted_on(state))]["created_at"]
        if opened.isna().any():  # who knows where the list has it
            return self._read("posts", pc.scalar(False)), None
        edge = min([pd.Timestamp(newest) - LATE, *opened])
        return self._read("posts", created(None, edge) & _exists() & isin("status", statuses)), edge

    def settled_deliveries(self, webhook: str, start: pd.Timestamp | None) -> tuple[pd.DataFrame, pd.Timestamp | None]:
        """As `settled_posts`, of one webhook since an instant."""
        state = self.state()
        last = last_read(state, "deliveries")
        low = BEGINNING if start is None else start.to_pydatetime()
        missing = gaps(spans_read(state, webhook), low, self._now())
        if last is None or not missing or missing[-1][0] <= low:
            return self._read("deliveries", pc.scalar(False)), None
        held = held_deliveries(self._store, last, self._acted_on(state))
        opened = held[held["webhook_id"] == webhook]["created_at"].min()
        edge = pd.Timestamp(missing[-1][0]) - _SECOND
        edge = edge if pd.isna(opened) else min(edge, opened)
        return self._read("deliveries", created(start, edge) & _of([webhook])), edge

    def state(self) -> dict[str, Any]:
        """What was read so far.

        Raises
        ------
        ConfigError
            If the archive is another workspace's.
        """
        state = self._store.state()
        if state.setdefault("workspace", self._workspace) != self._workspace:
            raise ConfigError(
                f"the archive {self._store.root} holds workspace {state['workspace']}, not {self._workspace}; give another folder "
                "(each sandbox is a workspace of its own, unless Sandbox(workspace=...) names it)"
            )
        return state

    @asynccontextmanager
    async def _pass(self) -> AsyncIterator[Sync]:
        """Be the only writer, for one pass over the API; loads of one kernel wait for each other."""
        client = self._source()
        async with self._turn:
            with self._store.writing():
                state = self.state()
                yield Sync(self._store, client, state, self._acted_on(state))

    def _acted_on(self, state: dict[str, Any]) -> Collection[str]:
        """Ids of what was acted on since the archive has read it."""
        read = [when for kind in ("posts", "deliveries") if (when := last_read(state, kind)) is not None]
        if self._acted is None or not read:
            return frozenset()
        return self._acted(min(read).to_pydatetime() - SETTLES_WITHIN)

    def _now(self) -> datetime:
        """The server's time."""
        return self._source().now()

    def _source(self) -> AsyncClient:
        """The client that the archive is filled from; ConfigError if it has none."""
        if self._client is None:
            raise ConfigError("this archive has no client to read from; use ws.archive(path).sync()")
        return self._client

    def _read(self, kind: str, wanted: Any) -> pd.DataFrame:
        """Rows of one table, in any order."""
        data = dataset(kind, self._store.files(kind).values(), self._store.root)
        with readable():
            return to_frame(data.to_table(columns=SCHEMA[kind].names, filter=wanted))


def _exists() -> Any:
    """Posts that were not deleted."""
    return pc.field("status").is_null() | (pc.field("status") != "deleted")


def _of(webhooks: Sequence[str]) -> Any:
    """Deliveries of these webhooks."""
    return pc.field("webhook_id").isin(pa.array(list(webhooks), pa.string()))
