"""Update an archive: read new records and *open* ones, which may have changed; the rest is *settled*."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.compute as pc

from voxops._support.safe import many
from voxops.api.limits import PAGE_RECORDS
from voxops.archive.store import BusyError, Store, created, dataset, isin, read
from voxops.client import prefetch
from voxops.errors import ConfigError, NotFoundError
from voxops.frames.arrow import to_frame
from voxops.frames.nested import Targets, TargetsArray, gather
from voxops.frames.records import Columns, targets
from voxops.frames.times import When, parse_times, window
from voxops.model import IN_FLIGHT_STATUSES

if TYPE_CHECKING:
    from voxops.client import AsyncClient


Span = tuple[datetime, datetime]


def covered(spans: Iterable[Span]) -> list[Span]:
    """Merge spans that touch or overlap; the earliest first."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] <= span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def gaps(read: Sequence[Span], start: datetime, end: datetime) -> list[Span]:
    """Return the unread parts of ``start`` to ``end``, the latest first."""
    missing = []
    upper = end
    for low, high in reversed(covered(read)):
        if high < start:
            break
        if high < upper:
            missing.append((high, upper))
        upper = min(upper, low)
    return [*missing, (start, upper)] if start < upper else missing


def near(instants: Iterable[datetime], seconds: float) -> list[Span]:
    """Merge instants into spans: instants within so many seconds of each other are one."""
    found: list[Span] = []
    for instant in sorted(instants):
        if found and (instant - found[-1][1]).total_seconds() <= seconds:
            found[-1] = (found[-1][0], instant)
        else:
            found.append((instant, instant))
    return found


FINAL = ("published", "cancelled", "unpublished", "archived", "deleted")
ENDED = ("failed", "partial")
REOPENED_WITHIN = timedelta(days=30)  # how long a failed post is open: somebody may retry it
DELIVERED_WITHIN = timedelta(days=7)  # how long a failed delivery is open


def last_read(state: Mapping[str, Any], kind: str) -> pd.Timestamp | None:
    """When the last pass over these began, as the state keeps it."""
    found = state.get("read_at", {}).get(kind)
    return None if found is None else pd.Timestamp(found)


def latest(state: Mapping[str, Any]) -> datetime | None:
    """When anything was read last."""
    times = [*state.get("read_at", {}).values(), *filter(None, [state.get("synced_at")])]
    return max(map(datetime.fromisoformat, times), default=None)


def spans_read(state: Mapping[str, Any], webhook: str) -> list[Span]:
    """Return the recorded read spans of a webhook's history."""
    return [
        (datetime.fromisoformat(low), datetime.fromisoformat(high))
        for low, high in state["deliveries"].get(webhook, [])
    ]


def open_posts(archived: pd.DataFrame, last: pd.Timestamp, acted: Collection[str]) -> pd.Series[bool]:
    """Which posts may have changed since they were read last."""
    status = archived["status"].fillna("")
    old = archived["updated_at"].fillna(archived["created_at"]) < last - REOPENED_WITHIN
    mine = archived["post_id"].isin(list(acted)) & (status != "deleted")
    return ~status.isin(FINAL) & ~(status.isin(ENDED) & old) | mine


def cheapest_reach(archived: pd.DataFrame, opened: pd.DataFrame, now: pd.Timestamp, page: int) -> pd.Timestamp | None:
    """Return how far back to read the list of all posts for the fewest pages in all; None for new ones only.

    Most open posts are still in the short list of their status. Those published since then are not: they are searched for in the
    list of published posts, unless the list of all posts is read that far.
    """
    if opened.empty or opened["created_at"].isna().any():
        return None
    come = (opened["scheduled_for"] <= now) & ~opened["status"].isin(ENDED)
    due = opened[come | opened["status"].isin(IN_FLIGHT_STATUSES)]

    def pages(instant: pd.Timestamp) -> float:
        return float((archived["created_at"] >= instant).sum()) / page

    def lists(rest: pd.DataFrame) -> int:
        return sum(math.ceil(count / page) for count in rest["status"].value_counts())

    costs: dict[pd.Timestamp | None, float] = {None: lists(opened)}
    if len(due):
        costs[None] += min(len(due), pages(due["created_at"].min()))
    for part in (due, opened):
        if len(part):
            instant = part["created_at"].min()
            costs[instant] = pages(instant) + lists(opened[opened["created_at"] < instant])
    return min(costs, key=lambda instant: costs[instant])


def archived_posts(store: Store) -> pd.DataFrame:
    """Return ids, statuses and times of the archived posts."""
    names = ("post_id", "status", "updated_at", "created_at", "scheduled_for")
    return to_frame(read("posts", store.files("posts").values(), names))


def archived_deliveries(store: Store, last: pd.Timestamp, acted: Collection[str]) -> pd.DataFrame:
    """Return the archived deliveries that may have changed since their last read; older days are read for ids only."""
    failed = ~pc.coalesce(pc.field("success"), pc.scalar(False))
    wanted = failed & created(last - DELIVERED_WITHIN, None)
    if acted:
        wanted |= isin("delivery_id", sorted(acted))
    names = ("delivery_id", "webhook_id", "success", "created_at")
    return to_frame(read("deliveries", store.files("deliveries").values(), names, wanted))


BLOCK = 50_000  # records held before they are written
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
LATE = timedelta(minutes=5)  # how late after its created_at a record may appear in a list
ONLY_SINGLE = ("target_id", "retry_count")  # fields of targets that lists may omit (assumed)
NO_TARGETS = Targets.of(())
SINGLES = 3  # up to this many posts are read one by one, without any list
TOGETHER = 600.0  # seconds: deliveries this close are read in one span


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
        The target, locked by the caller.
    client : AsyncClient
        The source.
    state : dict
        The record of earlier reads, updated and saved with every block.
    acted : collection of str
        Ids of posts and deliveries acted on after the last read.

    Attributes
    ----------
    read : dict
        Table -> ids of the records that came from the API.
    """

    def __init__(self, store: Store, client: AsyncClient, state: dict[str, Any], acted: Collection[str]) -> None:
        self._store = store
        self._client = client
        self._state = state
        self._acted = acted
        self._fetched = {"posts": 0, "deliveries": 0}
        self._files = 0
        self._shown: set[str] = set()  # the fields of ONLY_SINGLE that this API's lists have
        self.read: dict[str, set[str]] = {"posts": set(), "deliveries": set()}

    async def run(self, since: datetime | None, *, full: bool) -> Synced:
        """Read new and open records; `since` skips deliveries before it, `full` rereads settled records."""
        before = self._client.requests
        await self.posts(full=full)
        pages = self._client.webhooks.list()
        webhooks = [str(record["id"]) async for page in pages for record in page.records if record.get("id")]
        await self.deliveries(webhooks, since, full=full)
        self._state["synced_at"] = self._client.now().isoformat()
        self._store.save(self._state)
        return Synced(**self._fetched, files=self._files, requests=self._client.requests - before)

    async def posts(self, *, full: bool) -> None:
        """Read posts that are new or open, or all of them."""
        if full:
            self._state["posts"] = {}
        begun = self._client.now()
        await self._new_posts(self._reach())
        await self._open_posts(full=full)
        self._note_pass("posts", begun)

    async def deliveries(self, webhooks: Sequence[str], since: datetime | None, *, full: bool) -> None:
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
        """Record the start of a completed pass."""
        self._state.setdefault("read_at", {})[kind] = begun.isoformat()
        self._store.save(self._state)

    # Posts.

    def _reach(self) -> datetime:
        """Return how far back to read the list of all posts: to the new ones, or further if that saves other lists."""
        known = self._state["posts"].get("newest")
        if known is None:
            return BEGINNING
        new = datetime.fromisoformat(known) - LATE
        archived = archived_posts(self._store)
        opened = archived[open_posts(archived, self._last("posts"), self._acted)]
        further = cheapest_reach(archived, opened, pd.Timestamp(self._client.now()), PAGE_RECORDS)
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
            # A record out of order, such as an imported one, does not end the new ones.
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
            hidden: dict[str, Any] = dict.fromkeys(set(ONLY_SINGLE) - self._shown)
            cells = [cell and Targets.of(target._replace(**hidden) for target in cell) for cell in posts["targets"]]
            posts["targets"] = TargetsArray._from_sequence(cells)
        expanded = targets(posts)
        expanded["created_at"] = posts.set_index("post_id")["created_at"].loc[expanded["post_id"]].array
        self._fetched["posts"] += len(posts)
        self.read["posts"].update(posts["post_id"])
        self._files += await asyncio.to_thread(self._store.merge, {"posts": posts, "targets": expanded})

    async def _open_posts(self, *, full: bool) -> None:
        """Reread posts that may have changed, from the lists of their old statuses; after a full pass, those in no list."""
        archived = archived_posts(self._store)
        wanted = (archived["status"] != "deleted") if full else open_posts(archived, self._last("posts"), self._acted)
        archived = archived[wanted & ~archived["post_id"].isin(list(self.read["posts"]))]
        left, columns = set(archived["post_id"]), Columns("posts")
        oldest = archived["created_at"].min()
        for word in [] if full else [*archived["status"].dropna().unique(), "published"]:
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
        """Read posts from one list while a page costs less than one request for each remaining post."""
        fruitless = 0
        async for page in self._client.pages("/v1/posts", {"status": status, "limit": PAGE_RECORDS}):
            hits = [record for record in page.records if record.get("id") in left]
            columns.extend(hits)
            left -= {record["id"] for record in hits}
            fruitless = 0 if hits else fruitless + 1
            created = min(_created(page.records), default=None)
            if not left or fruitless >= len(left) or (created is not None and created < oldest):
                return

    async def _note_deleted(self, gone: Collection[str]) -> None:
        """Record that posts no longer exist, so that they are not requested again."""
        if not gone:
            return
        for kind, column in (("posts", "status"), ("targets", "post_status")):
            for path in self._store.files(kind).values():
                frame = to_frame(read(kind, [path]))
                lost = frame["post_id"].isin(list(gone))
                if lost.any():
                    frame.loc[lost, column] = "deleted"
                    self._files += await asyncio.to_thread(self._store.merge, {kind: frame[lost]})

    # Deliveries.

    async def _new_deliveries(self, webhook: str, since: datetime) -> None:
        """Read the gaps in what has been read of a webhook's history, the latest first; a block is noted as read when it is on disk."""
        now = self._client.now()
        for low, high in gaps(spans_read(self._state, webhook), since, now):
            end, until = (now - LATE, None) if high == now else (high, high)
            columns = Columns("deliveries")
            first = None if low == BEGINNING else low
            async for page in prefetch(self._client.webhooks.deliveries(webhook, since=first, until=until)):
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
        """Record what was read and written."""
        self._keep_spans(webhook, covered([*spans_read(self._state, webhook), span]))
        self._store.save(self._state)

    def _keep_spans(self, webhook: str, spans: Sequence[Span]) -> None:
        """Record the read spans of a webhook's history."""
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
        """Reread deliveries without success: the still failing ones by one list, the others by their times."""
        archived = archived_deliveries(self._store, self._last("deliveries"), self._acted)
        archived = archived[archived["created_at"].notna() & archived["webhook_id"].isin(list(webhooks))]
        archived = archived[~archived["delivery_id"].isin(list(self.read["deliveries"]))]
        columns = Columns("deliveries")
        for webhook, rows in archived.groupby("webhook_id"):
            created = dict(zip(rows["delivery_id"], rows["created_at"], strict=True))
            left = set(created)
            span = (min(created.values()), max(created.values()) + timedelta(seconds=1))
            await self._find(str(webhook), left, span, columns, success=False)
            for low, high in self._places(str(webhook), [created[item] for item in left]):
                await self._find(str(webhook), left, (low, high + timedelta(seconds=1)), columns)
        await self._take_deliveries(columns)

    def _places(self, webhook: str, instants: Sequence[datetime]) -> list[Span]:
        """Return the spans to search for deliveries created at these instants: around each, or one span if that takes fewer pages."""
        apart = near(instants, TOGETHER)
        if len(apart) < 2:
            return apart
        low, high = apart[0][0], apart[-1][1]
        inside = created(pd.Timestamp(low), pd.Timestamp(high)) & isin("webhook_id", [webhook])
        count = dataset("deliveries", self._store.files("deliveries").values()).count_rows(filter=inside)
        return [(low, high)] if count / PAGE_RECORDS <= len(apart) else apart

    async def _find(
        self,
        webhook: str,
        left: set[str],
        span: Span,
        columns: Columns,
        success: bool | None = None,
    ) -> None:
        """Read a part of the history until all deliveries are found or it ends."""
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
    """Return when records were created, without missing times."""
    times = parse_times([record.get("createdAt") or record.get("created_at") for record in records])
    return [when.to_pydatetime() for when in times.dropna()]


SETTLES_WITHIN = timedelta(days=1)  # how long after its send an act may still change its subject


@dataclass(eq=False)
class Loads:
    """Syncs that fill an archive, and the settled records that need no reread.

    Parameters
    ----------
    store : Store
        The files.
    client : AsyncClient or None
        The source.
    workspace : str
        Id of the workspace.
    acted : callable or None
        As for `Archive`.
    """

    _store: Store
    _client: AsyncClient | None
    _workspace: str
    _acted: Callable[[datetime], Collection[str]] | None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def sync(self, since: When, *, full: bool, tz: str) -> Synced:
        """As `Archive.sync`, `since` in a zone."""
        async with self._pass() as sync:
            start, _ = window(since, None, self._now(), tz)
            return await sync.run(None if start is None else start.to_pydatetime(), full=full)

    async def posts(self, *, full: bool) -> tuple[pd.DataFrame, set[str]] | None:
        """Update the posts.

        Parameters
        ----------
        full : bool
            Read all of them.

        Returns
        -------
        tuple of (DataFrame, set of str), or None
            All existing posts, in any order, and the ids of those read from the API in this call; None while another process writes.
        """
        try:
            async with self._pass() as sync:
                await sync.posts(full=full)
        except BusyError:
            return None
        return self._read("posts", _exists()), sync.read["posts"]

    async def deliveries(
        self, webhooks: Sequence[str], start: pd.Timestamp | None, *, full: bool
    ) -> tuple[pd.DataFrame, set[str]] | None:
        """Update the deliveries of these webhooks since an instant; as `posts`."""
        try:
            async with self._pass() as sync:
                await sync.deliveries(webhooks, None if start is None else start.to_pydatetime(), full=full)
        except BusyError:
            return None
        mine = isin("webhook_id", webhooks) if webhooks else pc.scalar(False)
        return self._read("deliveries", created(start, None) & mine), sync.read["deliveries"]

    def settled_posts(self, statuses: Sequence[str]) -> tuple[pd.DataFrame, pd.Timestamp | None]:
        """Return posts with one of these statuses that need no reread, and the instant from which on all do; None for all."""
        state = self.state()
        newest, last = state["posts"].get("newest"), last_read(state, "posts")
        if newest is None or last is None:
            return self._read("posts", pc.scalar(False)), None
        archived = archived_posts(self._store)
        opened = archived[open_posts(archived, last, self._acted_on(state))]["created_at"]
        if opened.isna().any():  # its place in the list is unknown
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
        archived = archived_deliveries(self._store, last, self._acted_on(state))
        opened = archived[archived["webhook_id"] == webhook]["created_at"].min()
        edge = pd.Timestamp(missing[-1][0]) - timedelta(seconds=1)  # to which an API may round a filter
        edge = edge if pd.isna(opened) else min(edge, opened)
        return self._read("deliveries", created(start, edge) & isin("webhook_id", [webhook])), edge

    def state(self) -> dict[str, Any]:
        """The state of this workspace's archive.

        Raises
        ------
        ConfigError
            If the archive is another workspace's.
        """
        state = self._store.state()
        if state.setdefault("workspace", self._workspace) != self._workspace:
            raise ConfigError(
                f"the archive {self._store.root} has workspace {state['workspace']}, not {self._workspace}; choose another folder "
                "(each sandbox is a workspace of its own, unless Sandbox(workspace=...) names it)"
            )
        return state

    @asynccontextmanager
    async def _pass(self) -> AsyncIterator[Sync]:
        """Lock out other writers for one pass over the API; loads of one kernel wait for each other."""
        client = self._source()
        async with self._turn:
            with self._store.writing():
                state = self.state()
                yield Sync(self._store, client, state, self._acted_on(state))

    def _acted_on(self, state: dict[str, Any]) -> Collection[str]:
        """Return ids of posts and deliveries acted on after their last read."""
        read = [when for kind in ("posts", "deliveries") if (when := last_read(state, kind)) is not None]
        if self._acted is None or not read:
            return frozenset()
        return self._acted(min(read).to_pydatetime() - SETTLES_WITHIN)

    def _now(self) -> datetime:
        """The server's time."""
        return self._source().now()

    def _source(self) -> AsyncClient:
        """Return the client that fills the archive; ConfigError if there is none."""
        if self._client is None:
            raise ConfigError("this archive has no client to read from; use ws.archive(path).sync()")
        return self._client

    def _read(self, kind: str, wanted: Any) -> pd.DataFrame:
        return to_frame(read(kind, self._store.files(kind).values(), wanted=wanted))


def _exists() -> Any:
    """Posts that were not deleted."""
    return pc.field("status").is_null() | (pc.field("status") != "deleted")
