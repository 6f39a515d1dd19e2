"""Bringing an archive up to date with as few requests as there are: what is new, and what may still change.

*New* is what was created since the last sync, found at the head of the lists, which are newest first. *Open* is what the
archive holds and may still change: posts that have not ended, or failed within 30 days (somebody may retry them), and
deliveries of the last 7 days that have not succeeded. A post that was published and is unpublished later is found by
``sync(full=True)`` only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from voxops.api.limits import PAGE_RECORDS
from voxops.archive._spans import Span, covered, gaps, near
from voxops.archive._store import Store
from voxops.archive._table import to_frame
from voxops.client import prefetch
from voxops.errors import NotFoundError
from voxops.frames import Columns, parse_times, targets

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Sync", "Synced"]

BLOCK = 50_000  # records held before they are written
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
LATE = timedelta(minutes=5)  # how late a record may appear in a list, by its own created_at
SINGLES = 3  # so few posts are read one by one without a thought
FINAL = ("published", "cancelled", "unpublished", "archived", "deleted")
ENDED = ("failed", "partial")
REOPENED_WITHIN = timedelta(days=30)  # how long a failed post counts as open: somebody may retry it
DELIVERED_WITHIN = timedelta(days=7)  # how long a delivery that failed counts as open
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
            f"{self.posts} posts and {self.deliveries} deliveries fetched by {self.requests} requests; "
            f"{self.files} files written"
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
    """

    def __init__(self, store: Store, client: AsyncClient, state: dict[str, Any]) -> None:
        self._store = store
        self._client = client
        self._state = state
        self._fetched = {"posts": 0, "deliveries": 0}
        self._files = 0

    async def run(self, since: datetime | None) -> Synced:
        """Read what is new and what is open; `since` leaves out deliveries before it."""
        before = self._client.requests
        fresh = await self._new_posts()
        await self._open_posts(fresh)
        webhooks = [str(record["id"]) async for record in self._webhooks() if record.get("id")]
        for webhook in webhooks:
            await self._new_deliveries(webhook, since or BEGINNING)
        await self._open_deliveries(webhooks)
        self._store.keep_answers()
        self._state["synced_at"] = self._client.now().isoformat()
        self._store.save(self._state)
        return Synced(**self._fetched, files=self._files, requests=self._client.requests - before)

    async def _webhooks(self) -> AsyncIterator[Mapping[str, Any]]:
        """The webhooks of the workspace."""
        async for page in self._client.webhooks.list():
            for record in page.records:
                yield record

    # Posts.

    async def _new_posts(self) -> set[str]:
        """Read the head of the list; return the ids that were read."""
        known = self._state["posts"].get("newest")
        until = BEGINNING if known is None else datetime.fromisoformat(known) - LATE
        newest, ids = known, set()
        columns = Columns("posts")
        async for page in self._client.pages("/v1/posts", {"status": "all", "limit": PAGE_RECORDS}):
            columns.extend(page.records)
            created = sorted(_created(page.records))
            newest = max(filter(None, (newest, *(when.isoformat() for when in created[-1:]))), default=None)
            ids |= {str(record.get("id")) for record in page.records}
            if len(columns) >= BLOCK:
                self._take_posts(columns)
                columns = Columns("posts")
            if created and created[0] < until:
                break
        self._take_posts(columns)
        if newest is not None:
            self._state["posts"]["newest"] = newest
        return ids

    def _take_posts(self, columns: Columns) -> None:
        """Write posts and their targets."""
        posts = columns.frame()
        posts = posts[posts["post_id"].notna()].drop_duplicates("post_id")
        if posts.empty:
            return
        expanded = targets(posts)
        expanded["created_at"] = posts.set_index("post_id")["created_at"].loc[expanded["post_id"]].array
        self._fetched["posts"] += len(posts)
        self._files += self._store.merge({"posts": posts, "targets": expanded})

    async def _open_posts(self, fresh: Collection[str]) -> None:
        """Read again what may have changed, by the lists of the statuses that it had."""
        held = self._held("posts", ["post_id", "status", "updated_at", "created_at"])
        now = pd.Timestamp(self._client.now())
        status = held["status"].fillna("")
        old = held["updated_at"].fillna(held["created_at"]) < now - REOPENED_WITHIN
        held = held[~status.isin(FINAL) & ~(status.isin(ENDED) & old) & ~held["post_id"].isin(list(fresh))]
        left, columns = set(held["post_id"]), Columns("posts")
        oldest = held["created_at"].min()
        for word in [*held["status"].dropna().unique(), "published"]:
            if len(left) > SINGLES or word != "published":
                await self._from_list(str(word), left, oldest, columns)
        gone = []
        for post_id in sorted(left):
            try:
                reply = await self._client.request("GET", f"/v1/posts/{post_id}")
            except NotFoundError:
                gone.append(post_id)
            else:
                columns.extend([reply.data])
        self._take_posts(columns)
        self._note_deleted(gone)

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

    def _note_deleted(self, gone: Collection[str]) -> None:
        """Note that posts no longer exist, so that nobody asks for them again."""
        if not gone:
            return
        for kind, column in (("posts", "status"), ("targets", "post_status")):
            for path in self._store.files(kind).values():
                frame = to_frame(pq.ParquetFile(path).read())
                lost = frame["post_id"].isin(list(gone))
                if lost.any():
                    frame.loc[lost, column] = "deleted"
                    self._files += self._store.merge({kind: frame[lost]})

    # Deliveries.

    async def _new_deliveries(self, webhook: str, since: datetime) -> None:
        """Read the gaps in what has been read of a webhook's history, the latest first."""
        now = self._client.now()
        read = [(datetime.fromisoformat(low), datetime.fromisoformat(high)) for low, high in self._spans(webhook)]
        for low, high in gaps(read, since, now):
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
                self._take_deliveries(columns)
                columns = Columns("deliveries")
                self._note_read(webhook, (oldest + timedelta(seconds=1), end))
        self._take_deliveries(columns)
        self._note_read(webhook, (low, end))

    def _spans(self, webhook: str) -> list[list[str]]:
        """What has been read of a webhook's history, as the state keeps it."""
        spans: list[list[str]] = self._state["deliveries"].get(webhook, [])
        return spans

    def _note_read(self, webhook: str, span: Span) -> None:
        """Note what has been read and written."""
        read = [(datetime.fromisoformat(low), datetime.fromisoformat(high)) for low, high in self._spans(webhook)]
        self._state["deliveries"][webhook] = [
            [low.isoformat(), high.isoformat()] for low, high in covered([*read, span])
        ]
        self._store.save(self._state)

    def _take_deliveries(self, columns: Columns) -> None:
        """Write deliveries."""
        frame = columns.frame()
        frame = frame[frame["delivery_id"].notna()].drop_duplicates("delivery_id")
        self._fetched["deliveries"] += len(frame)
        if not frame.empty:
            self._files += self._store.merge({"deliveries": frame})

    async def _open_deliveries(self, webhooks: Collection[str]) -> None:
        """Read again what had not succeeded: those that still have not by one list, the others where they stand."""
        now = pd.Timestamp(self._client.now())
        held = self._held(
            "deliveries", ["delivery_id", "webhook_id", "success", "created_at"], since=now - DELIVERED_WITHIN
        )
        # what was created within the last minutes has just been read
        recent = held["created_at"].between(now - DELIVERED_WITHIN, now - LATE)
        held = held[~held["success"].fillna(False) & recent & held["webhook_id"].isin(list(webhooks))]
        columns = Columns("deliveries")
        for webhook, rows in held.groupby("webhook_id"):
            created = dict(zip(rows["delivery_id"], rows["created_at"], strict=True))
            left = set(created)
            await self._find(str(webhook), left, (min(created.values()), None), columns, success=False)
            for low, high in near((created[item] for item in left), TOGETHER):
                await self._find(str(webhook), left, (low, high + timedelta(seconds=1)), columns)
        self._take_deliveries(columns)

    async def _find(
        self,
        webhook: str,
        left: set[str],
        span: tuple[datetime, datetime | None],
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

    def _held(self, kind: str, columns: list[str], since: pd.Timestamp | None = None) -> pd.DataFrame:
        """Some columns of what the archive holds, since a day."""
        first = "" if since is None else f"{since:%Y-%m-%d}"
        parts = [pq.ParquetFile(path).read(columns) for day, path in self._store.files(kind).items() if day >= first]
        if not parts:
            return Columns(kind).frame()[columns]
        return pd.concat(map(to_frame, parts), ignore_index=True)


def _created(records: Collection[Mapping[str, Any]]) -> list[datetime]:
    """When records were created, those that say so."""
    times = parse_times([record.get("createdAt") or record.get("created_at") for record in records])
    return [when.to_pydatetime() for when in times.dropna()]
