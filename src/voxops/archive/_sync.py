"""Bringing an archive up to date with as few requests as there are: what is new, and what may still change.

*New* is what was created since the last sync, found at the head of the lists, which are newest first. *Open* is what the
archive holds and may still change: posts that have not ended, or had failed within 30 days before they were read (somebody may
retry them), deliveries that were younger than 7 days then and had not succeeded, and what the ledger has acted on since. The
rest is *settled*: a post that was published and is unpublished later is found by ``sync(full=True)`` only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._core.safe import many
from voxops.api.limits import PAGE_RECORDS
from voxops.archive._open import (
    cheapest_reach,
    count_deliveries,
    held_deliveries,
    held_posts,
    last_read,
    open_posts,
    spans_read,
)
from voxops.archive._spans import Span, covered, gaps, near
from voxops.archive._store import Store
from voxops.archive._table import read_file, to_frame
from voxops.client import prefetch
from voxops.errors import NotFoundError
from voxops.frames import Columns, Targets, parse_times, targets
from voxops.frames.nested import TargetsArray
from voxops.frames.target import gather

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["BEGINNING", "LATE", "Sync", "Synced"]

BLOCK = 50_000  # records held before they are written
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
LATE = timedelta(minutes=5)  # how late a record may appear in a list, by its own created_at
ONLY_SINGLE = ("target_id", "retry_count")  # what lists may leave out of targets (assumed)
NO_TARGETS = Targets.of(())
SINGLES = 3  # up to so many posts are read one by one, without a look at any list
TOGETHER = 600.0  # seconds: deliveries as near as this are read in one go


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync has done.

    Attributes
    ----------
    posts, deliveries : int
        Records fetched, new or changed or the same.
    files : int
        Files written; none when nothing has changed.
    requests : int
        Requests that it took.
    """

    posts: int
    deliveries: int
    files: int
    requests: int

    def __str__(self) -> str:
        return (
            f"{many(self.posts, 'post')} and {many(self.deliveries, 'delivery', 'deliveries')} fetched by "
            f"{many(self.requests, 'request')}; {many(self.files, 'file')} written"
        )


class Sync:
    """One pass over the API.

    Parameters
    ----------
    store : Store
        Where it goes, locked by the caller.
    client : AsyncClient
        Where it comes from.
    state : dict
        What has been read before; kept up to date, and saved with every block.
    acted : collection of str
        Ids of posts and deliveries that have been acted on since.

    Attributes
    ----------
    read : dict
        Table -> ids of the records that came from the API.
    """

    def __init__(
        self, store: Store, client: AsyncClient, state: dict[str, Any], acted: Collection[str] = frozenset()
    ) -> None:
        self._store = store
        self._client = client
        self._state = state
        self._acted = acted
        self._fetched = {"posts": 0, "deliveries": 0}
        self._files = 0
        self._shown: set[str] = set()  # of ONLY_SINGLE, what lists have shown after all
        self.read: dict[str, set[str]] = {"posts": set(), "deliveries": set()}

    async def run(self, since: datetime | None, *, full: bool = False) -> Synced:
        """Read what is new and what is open; `since` leaves out deliveries before it, `full` reads what is settled, too."""
        before = self._client.requests
        await self.posts(full=full)
        webhooks = [str(record["id"]) async for record in self._webhooks() if record.get("id")]
        await self.deliveries(webhooks, since, full=full)
        self._state["synced_at"] = self._client.now().isoformat()
        self._store.save(self._state)
        return Synced(**self._fetched, files=self._files, requests=self._client.requests - before)

    async def posts(self, *, full: bool = False) -> None:
        """Read posts that are new or open, or all of them."""
        if full:
            self._state["posts"] = {}
        begun = self._client.now()
        await self._new_posts(self._reach())
        await self._open_posts(full=full)
        self._note_pass("posts", begun)

    async def deliveries(self, webhooks: Sequence[str], since: datetime | None, *, full: bool = False) -> None:
        """Read deliveries of these webhooks that are new or open, or all since an instant."""
        low = since or BEGINNING
        for webhook in webhooks if full else ():
            read = spans_read(self._state, webhook)
            self._keep_spans(webhook, [(first, min(last, low)) for first, last in read if first < low])
        begun = self._client.now()
        for webhook in webhooks:
            await self._new_deliveries(webhook, low)
        await self._open_deliveries(webhooks)
        self._note_pass("deliveries", begun)

    def _note_pass(self, kind: str, begun: datetime) -> None:
        """Note when a pass began that has ended."""
        self._state.setdefault("read_at", {})[kind] = begun.isoformat()
        self._store.save(self._state)

    async def _webhooks(self) -> AsyncIterator[Mapping[str, Any]]:
        """The webhooks of the workspace."""
        async for page in self._client.webhooks.list():
            for record in page.records:
                yield record

    # Posts.

    def _reach(self) -> datetime:
        """How far back the list of all posts is read: to what is new, or as far as makes other lists needless at less cost."""
        known = self._state["posts"].get("newest")
        if known is None:
            return BEGINNING
        new = datetime.fromisoformat(known) - LATE
        held = held_posts(self._store)
        opened = held[open_posts(held, self._last("posts"), self._acted)]
        further = cheapest_reach(held, opened, pd.Timestamp(self._client.now()), PAGE_RECORDS)
        return new if further is None else min(new, further.to_pydatetime())

    async def _new_posts(self, until: datetime) -> None:
        """Read the list of all posts from its head to an instant."""
        newest = self._state["posts"].get("newest")
        columns = Columns("posts")
        async for page in self._client.pages("/v1/posts", {"status": "all", "limit": PAGE_RECORDS}):
            columns.extend(page.records)
            created = _created(page.records)
            newest = max(filter(None, (newest, *(when.isoformat() for when in created))), default=None)
            if len(columns) >= BLOCK:
                await self._take_posts(columns)
                columns = Columns("posts")
            # One that stands out of order, such as an imported one, says nothing of what follows.
            if created and created[-1] < until and created == sorted(created, reverse=True):
                break
        await self._take_posts(columns)
        if newest is not None:
            self._state["posts"]["newest"] = newest

    async def _take_posts(self, columns: Columns, *, listed: bool = True) -> None:
        """Write posts and their targets."""
        posts = columns.frame()
        posts = posts[posts["post_id"].notna()].drop_duplicates("post_id")
        if posts.empty:
            return
        if listed:
            fields = gather([cell or NO_TARGETS for cell in posts["targets"]])
            self._shown |= {name for name in ONLY_SINGLE if any(value is not None for value in fields[name])}
        else:  # a post is in the archive as lists show it, however it was read
            posts["targets"] = TargetsArray._from_sequence([self._as_listed(cell) for cell in posts["targets"]])
        expanded = targets(posts)
        expanded["created_at"] = posts.set_index("post_id")["created_at"].loc[expanded["post_id"]].array
        self._fetched["posts"] += len(posts)
        self.read["posts"].update(posts["post_id"])
        self._files += await asyncio.to_thread(self._store.merge, {"posts": posts, "targets": expanded})

    async def _open_posts(self, *, full: bool) -> None:
        """Read again what may have changed, by the lists of the statuses that it had; after a full pass, what no list has shown."""
        held = held_posts(self._store)
        wanted = (held["status"] != "deleted") if full else open_posts(held, self._last("posts"), self._acted)
        held = held[wanted & ~held["post_id"].isin(list(self.read["posts"]))]
        left, columns = set(held["post_id"]), Columns("posts")
        oldest = held["created_at"].min()
        for word in [] if full else [*held["status"].dropna().unique(), "published"]:
            if len(left) > SINGLES or word != "published":
                await self._from_list(str(word), left, oldest, columns)
        await self._take_posts(columns)
        gone, columns = [], Columns("posts")
        for post_id in sorted(left):
            try:
                record = await self._client.posts.get(post_id)
            except NotFoundError:
                gone.append(post_id)
            else:
                columns.extend([record])
        await self._take_posts(columns, listed=False)
        await self._note_deleted(gone)

    async def _from_list(self, status: str, left: set[str], oldest: Any, columns: Columns) -> None:
        """Take posts from one list while its pages are worth their cost: one page against one request for each post left."""
        fruitless = 0
        async for page in self._client.pages("/v1/posts", {"status": status, "limit": PAGE_RECORDS}):
            hits = [record for record in page.records if record.get("id") in left]
            columns.extend(hits)
            left -= {record["id"] for record in hits}
            fruitless = 0 if hits else fruitless + 1
            created = min(_created(page.records), default=None)
            if not left or fruitless >= len(left) or (created is not None and created < oldest):
                return

    def _as_listed(self, cell: Targets | None) -> Targets | None:
        """Targets of a post that was read by itself without what lists do not show."""
        hidden: dict[str, Any] = dict.fromkeys(set(ONLY_SINGLE) - self._shown)
        return cell and Targets.of([target._replace(**hidden) for target in cell])

    async def _note_deleted(self, gone: Collection[str]) -> None:
        """Note that posts no longer exist, so that nobody asks for them again."""
        if not gone:
            return
        for kind, column in (("posts", "status"), ("targets", "post_status")):
            for path in self._store.files(kind).values():
                frame = to_frame(read_file(kind, path))
                lost = frame["post_id"].isin(list(gone))
                if lost.any():
                    frame.loc[lost, column] = "deleted"
                    self._files += await asyncio.to_thread(self._store.merge, {kind: frame[lost]})

    # Deliveries.

    async def _new_deliveries(self, webhook: str, since: datetime) -> None:
        """Read the gaps in what has been read of a webhook's history, the latest first."""
        now = self._client.now()
        for low, high in gaps(spans_read(self._state, webhook), since, now):
            await self._read_gap(webhook, low, None if high == now else high, now)

    async def _read_gap(self, webhook: str, low: datetime, high: datetime | None, now: datetime) -> None:
        """Read one gap block by block; each block is noted as read when it is on disk."""
        end = now - LATE if high is None else high
        columns = Columns("deliveries")
        since = None if low == BEGINNING else low
        async for page in prefetch(self._client.webhooks.deliveries(webhook, since=since, until=high)):
            columns.extend(page.records, webhookId=webhook)
            oldest = min(_created(page.records), default=None)
            if oldest is not None and oldest < low:  # a server that does not know the filter
                break
            if len(columns) >= BLOCK and oldest is not None:
                await self._take_deliveries(columns)
                columns = Columns("deliveries")
                self._note_read(webhook, (oldest + timedelta(seconds=1), end))
        await self._take_deliveries(columns)
        self._note_read(webhook, (low, end))

    def _note_read(self, webhook: str, span: Span) -> None:
        """Note what has been read and written."""
        self._keep_spans(webhook, covered([*spans_read(self._state, webhook), span]))
        self._store.save(self._state)

    def _keep_spans(self, webhook: str, spans: Sequence[Span]) -> None:
        """What has been read of a webhook's history."""
        self._state["deliveries"][webhook] = [[low.isoformat(), high.isoformat()] for low, high in spans]

    async def _take_deliveries(self, columns: Columns) -> None:
        """Write deliveries."""
        frame = columns.frame()
        frame = frame[frame["delivery_id"].notna()].drop_duplicates("delivery_id")
        self._fetched["deliveries"] += len(frame)
        self.read["deliveries"].update(frame["delivery_id"])
        if not frame.empty:
            self._files += await asyncio.to_thread(self._store.merge, {"deliveries": frame})

    async def _open_deliveries(self, webhooks: Collection[str]) -> None:
        """Read again what had not succeeded: those that still have not by one list, the others where they stand."""
        held = held_deliveries(self._store, self._last("deliveries"), self._acted)
        read = held["delivery_id"].isin(list(self.read["deliveries"]))
        held = held[held["created_at"].notna() & held["webhook_id"].isin(list(webhooks)) & ~read]
        columns = Columns("deliveries")
        for webhook, rows in held.groupby("webhook_id"):
            created = dict(zip(rows["delivery_id"], rows["created_at"], strict=True))
            left = set(created)
            span = (min(created.values()), max(created.values()) + timedelta(seconds=1))
            await self._find(str(webhook), left, span, columns, success=False)
            for low, high in self._places(str(webhook), [created[item] for item in left]):
                await self._find(str(webhook), left, (low, high + timedelta(seconds=1)), columns)
        await self._take_deliveries(columns)

    def _places(self, webhook: str, instants: Sequence[datetime]) -> list[Span]:
        """Where to look for deliveries created at these instants: around each, or all through where that takes fewer pages."""
        apart = near(instants, TOGETHER)
        if len(apart) < 2:
            return apart
        whole = (apart[0][0], apart[-1][1])
        return [whole] if count_deliveries(self._store, webhook, whole) / PAGE_RECORDS <= len(apart) else apart

    async def _find(
        self,
        webhook: str,
        left: set[str],
        span: Span,
        columns: Columns,
        success: bool | None = None,
    ) -> None:
        """Take deliveries out of a part of the history until all are found or it ends."""
        async for page in self._client.webhooks.deliveries(webhook, since=span[0], until=span[1], success=success):
            hits = [record for record in page.records if record.get("id") in left]
            columns.extend(hits, webhookId=webhook)
            left -= {record["id"] for record in hits}
            oldest = min(_created(page.records), default=None)
            if not left or (oldest is not None and oldest < span[0]):
                return

    def _last(self, kind: str) -> pd.Timestamp:
        """When the last pass over these began; now, if there was none."""
        return last_read(self._state, kind) or pd.Timestamp(self._client.now())


def _created(records: Collection[Mapping[str, Any]]) -> list[datetime]:
    """When records were created, those that say so."""
    times = parse_times([record.get("createdAt") or record.get("created_at") for record in records])
    return [when.to_pydatetime() for when in times.dropna()]
