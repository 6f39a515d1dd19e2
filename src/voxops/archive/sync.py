"""Update an archive: read new records and *open* ones, which may have changed; the rest is *settled*.

Posts are read from the head of their list back to a page that is on disk and older than the last pass, less `LATE`; deliveries back to
that instant. A record's own time is no mark of how far was read, because clocks are set back and ahead. Records that come in deeper, such
as imported posts with old dates, are found by a check: once a week the lists are read to their ends.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.safe import many
from voxops.api.limits import PAGE_RECORDS
from voxops.archive.store import BEGINNING, KEY, Span, State, Store, isin
from voxops.client import prefetch
from voxops.errors import NotFoundError
from voxops.frames.records import Columns, build
from voxops.frames.times import parse_times

if TYPE_CHECKING:
    from voxops.client import AsyncClient


FINAL = ("published", "cancelled", "unpublished", "archived", "deleted")
# In the order in which posts move: a post that moves on between two reads is in the later list.
WAITING = ("draft", "pending_approval", "approved", "scheduled", "pending", "publishing")
REOPENED_WITHIN = timedelta(days=30)  # how long a failed post is open: somebody may retry it
DELIVERED_WITHIN = timedelta(days=7)  # how long a failed delivery is open
# Records that may have changed since they were read last; of those that one's own runs acted on, all may.
OPEN_POSTS = f"""
  coalesce(status, '') NOT IN {FINAL}
    AND NOT (coalesce(status, '') IN ('failed', 'partial') AND coalesce(coalesce(updated_at, created_at) < $settled, false))
  OR coalesce(status, '') <> 'deleted' AND {isin("post_id", "acted")}
"""
OPEN_DELIVERIES = f"""
  created_at IS NOT NULL AND {isin("webhook_id", "webhooks")}
    AND (NOT coalesce(success, false) AND created_at >= $settled OR {isin("delivery_id", "acted")})
"""
BLOCK = 50_000  # records held before they are written
# How far below the last pass a record may come in: an hour by which a clock was wrong, and five minutes of lists that lag.
LATE = timedelta(minutes=65)
CHECK_AFTER = timedelta(days=7)  # when the lists are read to their ends again
CHECK_SOONER = timedelta(days=1)  # the same after a check that found late records
SECOND = timedelta(seconds=1)  # in which the filters of the API count


@dataclass(frozen=True, slots=True)
class Synced:
    """Result of a sync.

    Attributes
    ----------
    posts, deliveries : int
        Records fetched, also unchanged ones.
    files : int
        Files written; none if nothing has changed.
    requests : int
        Requests sent.
    late : int
        Records that a check added: created long before the last sync, which had not seen them.
    """

    posts: int
    deliveries: int
    files: int
    requests: int
    late: int = 0

    def __str__(self) -> str:
        return (
            f"{many(self.posts, 'post')} and {many(self.deliveries, 'delivery', 'deliveries')} fetched by "
            f"{many(self.requests, 'request')}; {many(self.files, 'file')} written"
            + (f"; {many(self.late, 'late record')} added" if self.late else "")
        )


class Sync:
    """One pass over the API.

    Parameters
    ----------
    store : Store
        The target, locked by the caller.
    client : AsyncClient
        The source.
    state : State
        The record of earlier reads, updated and saved with every block.
    acted : collection of str
        Ids of posts and deliveries acted on after the last read.
    """

    def __init__(self, store: Store, client: AsyncClient, state: State, acted: Collection[str]) -> None:
        self._store = store
        self._client = client
        self._state = state
        self._acted = sorted(acted)
        self._fetched: dict[str, set[str]] = {"posts": set(), "deliveries": set()}  # ids
        self._files = 0
        self._late = 0
        self._late_days: Counter[str] = Counter()  # of the check that is being made

    async def run(self, since: datetime | None, *, full: bool) -> Synced:
        """Read new and open records; `since` skips deliveries before it, `full` rereads settled records."""
        before = self._client.requests
        listed = self._client.webhooks.list()  # whose answer also tells the server's time
        webhooks = [str(record["id"]) async for record in listed if record.get("id")]
        await self._sync_posts(full=full)
        await self._sync_deliveries(webhooks, since or BEGINNING, full=full)
        counts = {kind: len(ids) for kind, ids in self._fetched.items()}
        return Synced(**counts, files=self._files, requests=self._client.requests - before, late=self._late)

    async def _sync_posts(self, *, full: bool) -> None:
        known, begun = len(self._store.read("posts", ["post_id"])), self._client.now()
        few = known <= len(WAITING) * PAGE_RECORDS  # to read all takes no more requests than the lists of what waits
        full = full or few or self._due("posts")
        await self._new_posts(full=full)
        await self._open_posts(full=full)
        self._note_pass("posts", begun, full=full)

    async def _sync_deliveries(self, webhooks: Sequence[str], since: datetime, *, full: bool) -> None:
        begun, full = self._client.now(), full or self._due("deliveries")
        for webhook in webhooks:
            await self._new_deliveries(webhook, since, full=full)
        await self._open_deliveries(webhooks)
        self._note_pass("deliveries", begun, full=full)

    def _due(self, kind: str) -> bool:
        """Whether these must be checked: the first time, after a week, or because the server's clock went back far."""
        now = self._client.now()
        begun, check_at = self._state["read_at"].get(kind, now), self._state["check_at"].get(kind, BEGINNING)
        return not begun - LATE <= now < check_at

    def _settled(self, kind: str, within: timedelta) -> datetime:
        """Return the time before which failures were settled when these were last read; the present, if they never were."""
        return self._state["read_at"].get(kind, self._client.now()) - within

    def _unknown(self, kind: str, frame: pd.DataFrame) -> pd.Series[bool]:
        """Which records, of which at least one shows its time, are not on disk."""
        key, times = KEY[kind], frame["created_at"]
        days = self._store.files(kind, times.min(), times.max() + timedelta(microseconds=1)).values()
        return frame[key].notna() & ~frame[key].isin(self._store.read(kind, [key], files=days)[key])

    async def _take(self, kind: str, columns: Columns, seen: Span | None = None) -> None:
        """Write records; count, by day, those that are not on disk although earlier passes have read the span `seen`."""
        frame, key = columns.frame(), KEY[kind]
        frame = frame[frame[key].notna()].drop_duplicates(key, keep="last")  # as it was read last
        if seen and not (there := frame[frame["created_at"].between(*seen, inclusive="left")]).empty:
            late = there[self._unknown(kind, there)]
            self._late_days.update(late["created_at"].dt.strftime("%Y-%m-%d"))
        self._fetched[kind].update(frame[key])
        if not frame.empty:
            self._files += await asyncio.to_thread(self._store.merge, kind, frame)

    def _note_pass(self, kind: str, begun: datetime, *, full: bool) -> None:
        """Record the start of a completed pass; of a check also when the next one is due, and warn of late records."""
        self._state["read_at"][kind] = begun
        if full:
            days, self._late_days = self._late_days, Counter()
            self._late += days.total()
            self._state["check_at"][kind] = begun + (CHECK_SOONER if days else CHECK_AFTER)
            if days:
                latest = ", ".join(f"{count:,} of {day}" for day, count in sorted(days.items())[-5:])
                warnings.warn(
                    f"the check of the archive added {days.total():,} {kind} that earlier syncs had not seen: {latest}"
                    + (" and of earlier days" if len(days) > 5 else ""),
                    stacklevel=2,
                )
        self._store.save(self._state)

    # Posts.

    async def _new_posts(self, *, full: bool) -> None:
        """Read the list of posts, newest first, until it reaches posts that are on disk and older than the last pass, or its end."""
        last = self._state["read_at"].get("posts")
        low = None if full or last is None else min(last, self._client.now()) - LATE
        seen = (BEGINNING, last - LATE) if full and last is not None else None
        columns = Columns("posts")
        async for page in self._client.posts.list(status="all").pages():
            columns.extend(page.records)
            if low is not None and self._met(page.records, low):
                break
            if len(columns) >= BLOCK:
                await self._take("posts", columns, seen)
                columns = Columns("posts")
        await self._take("posts", columns, seen)

    def _met(self, records: Sequence[Mapping[str, Any]], low: datetime) -> bool:
        """Whether a page of posts, newest first, is older than an instant and entirely on disk."""
        frame = build("posts", records)
        times = frame["created_at"].dropna()
        passed = len(times) > 0 and times.iloc[-1] < low and times.iloc[-1] <= times.iloc[0]
        return passed and not self._unknown("posts", frame).any()

    async def _open_posts(self, *, full: bool) -> None:
        """Reread posts that may have changed, from the lists of what waits and of old statuses; after a full pass, those in no list."""
        facts = ["post_id", "status", "created_at"]
        if full:
            stored = self._store.read("posts", facts, "coalesce(status, '') <> 'deleted'")
        else:
            settled = self._settled("posts", REOPENED_WITHIN)
            stored = self._store.read("posts", facts, OPEN_POSTS, settled=settled, acted=self._acted)
        stored = stored[~stored["post_id"].isin(list(self._fetched["posts"]))]
        left, columns = set(stored["post_id"]), Columns("posts")
        oldest = stored["created_at"].min()
        others = [str(word) for word in stored["status"].dropna().unique() if word not in WAITING]
        for word in () if full else [*WAITING, *others, "published"]:
            if word in WAITING or left:
                await self._from_list(word, left, oldest, columns)
        gone = []
        for post_id in sorted(left):
            try:
                columns.extend([await self._client.posts.get(post_id)])
            except NotFoundError:
                gone.append(post_id)
        await self._take("posts", columns)
        if gone:  # noted, so that they are not requested again
            lost = self._store.read("posts", where=isin("post_id", "gone"), gone=gone)
            lost.loc[:, "status"] = "deleted"
            self._files += await asyncio.to_thread(self._store.merge, "posts", lost)

    async def _from_list(self, status: str, left: set[str], oldest: Any, columns: Columns) -> None:
        """Read a list of waiting posts to its end, other lists while a page costs fewer requests than reading the remaining posts singly."""
        fruitless = 0
        async for page in self._client.posts.list(status=status).pages():
            columns.extend(page.records)
            met = left & {record.get("id") for record in page.records}
            left -= met
            fruitless = 0 if met else fruitless + 1
            created = _oldest(page.records)
            passed = created is not None and created < oldest
            if status not in WAITING and (fruitless >= len(left) or passed):
                return

    # Deliveries.

    async def _new_deliveries(self, webhook: str, since: datetime, *, full: bool) -> None:
        """Read a webhook's history before the span that was read, then after it; the earlier part is recorded as read once it is on disk."""
        known, top = self._state["deliveries"].get(webhook), self._client.now() - LATE
        again = full and "deliveries" in self._state["read_at"]  # a first sync that was cut short goes on
        seen = known if again else None
        known = None if again or (known and known[1] < since) else known
        low, high = known or (None, top)
        parts = [(since, low)] if low is None or since < low else []
        parts += [(min(high, top), None)] if known else []
        for start, end in parts:
            columns = Columns("deliveries")
            first = None if start == BEGINNING else start
            async for page in prefetch(self._client.webhooks.deliveries(webhook, since=first, until=end).pages()):
                columns.extend(page.records, webhookId=webhook)
                oldest = _oldest(page.records)
                if oldest is not None and oldest < start:  # a server that does not know the filter
                    break
                if len(columns) >= BLOCK and oldest is not None:
                    await self._take("deliveries", columns, seen)
                    columns = Columns("deliveries")
                    if start == since:
                        self._note_read(webhook, (oldest + SECOND, high))
            await self._take("deliveries", columns, seen)
        self._note_read(webhook, (min(since, low or since), top))

    def _note_read(self, webhook: str, span: Span) -> None:
        """Record what was read and written."""
        self._state["deliveries"][webhook] = span
        self._store.save(self._state)

    async def _open_deliveries(self, webhooks: Sequence[str]) -> None:
        """Reread deliveries without success: first those that still fail, then the others, among all of their time."""
        settled = self._settled("deliveries", DELIVERED_WITHIN)
        stored = self._store.read(
            "deliveries", ["delivery_id", "webhook_id", "created_at"], OPEN_DELIVERIES,
            settled=settled, acted=self._acted, webhooks=[*webhooks],
        )  # fmt: skip
        stored = stored[~stored["delivery_id"].isin(list(self._fetched["deliveries"]))]
        columns = Columns("deliveries")
        for webhook, rows in stored.groupby("webhook_id"):
            left = dict(zip(rows["delivery_id"], rows["created_at"], strict=True))
            for success in (False, None):
                await self._find(str(webhook), left, columns, success)
        await self._take("deliveries", columns)

    async def _find(self, webhook: str, left: dict[str, datetime], columns: Columns, success: bool | None) -> None:
        """Read the list from the latest of some deliveries back in time, and skip to the next delivery when a page has none of them."""
        ahead = dict(left)
        while ahead:
            top, below = max(ahead.values()), None
            listing = self._client.webhooks.deliveries(
                webhook, since=min(ahead.values()), until=top + SECOND, success=success
            )
            async for page in listing.pages():
                hits = [record for record in page.records if record.get("id") in ahead]
                columns.extend(hits, webhookId=webhook)
                for record in hits:
                    del ahead[record["id"]], left[record["id"]]
                oldest = _oldest(page.records)
                if not ahead or (not hits and oldest is not None and oldest < top):
                    below = oldest
                    break
            ahead = {name: at for name, at in ahead.items() if below is not None and at <= below}


def _oldest(records: Collection[Mapping[str, Any]]) -> datetime | None:
    """Return when the oldest record was created; None if none shows its time."""
    times = parse_times([record.get("createdAt") or record.get("created_at") for record in records])
    return min((when.to_pydatetime() for when in times.dropna()), default=None)
