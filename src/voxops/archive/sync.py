"""Update an archive: read new records and *open* ones, which may have changed; the rest is *settled*.

Posts are read from the head of their list back to a page that is on disk and older than the last pass, less `LATE`; deliveries back to
that instant. A record's own time is no mark of how far was read, since clocks are set back and ahead. Records that come in deeper, such
as imported posts with old dates, are found by a check: once a week the lists are read to their ends.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.compute as pc

from voxops._support.safe import many
from voxops.api.limits import PAGE_RECORDS
from voxops.archive.store import BEGINNING, ORDER, BusyError, Span, State, Store, created, isin, read
from voxops.client import prefetch
from voxops.errors import ConfigError, NotFoundError
from voxops.frames.arrow import to_frame
from voxops.frames.nested import Targets, TargetsArray, gather
from voxops.frames.records import Columns, build, targets
from voxops.frames.times import When, parse_times, window

if TYPE_CHECKING:
    from voxops.client import AsyncClient


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
# In the order in which posts move: a post that moves on between two reads is in the later list.
WAITING = ("draft", "pending_approval", "approved", "scheduled", "pending", "publishing")
REOPENED_WITHIN = timedelta(days=30)  # how long a failed post is open: somebody may retry it
DELIVERED_WITHIN = timedelta(days=7)  # how long a failed delivery is open


def last_read(state: State, kind: str) -> pd.Timestamp | None:
    """When the last pass over these began."""
    found = state["read_at"].get(kind)
    return None if found is None else pd.Timestamp(found)


def latest(state: State) -> datetime | None:
    """When anything was read last."""
    return max([*state["read_at"].values(), *filter(None, [state.get("synced_at")])], default=None)


def open_posts(archived: pd.DataFrame, last: pd.Timestamp, acted: Collection[str]) -> pd.Series[bool]:
    """Which posts may have changed since they were read last."""
    status = archived["status"].fillna("")
    old = archived["updated_at"].fillna(archived["created_at"]) < last - REOPENED_WITHIN
    mine = archived["post_id"].isin(list(acted)) & (status != "deleted")
    return ~status.isin(FINAL) & ~(status.isin(ENDED) & old) | mine


def archived_posts(store: Store) -> pd.DataFrame:
    """Return ids, statuses and times of the archived posts."""
    names = ("post_id", "status", "updated_at", "created_at")
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
# How far below the last pass a record may come in: an hour by which a clock was wrong, and five minutes of lists that lag.
LATE = timedelta(minutes=65)
CHECK_AFTER = timedelta(days=7)  # when the lists are read to their ends again
CHECK_SOONER = timedelta(days=1)  # the same after a check that found late records
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

    Attributes
    ----------
    read : dict
        Table -> ids of the records that came from the API.
    """

    def __init__(self, store: Store, client: AsyncClient, state: State, acted: Collection[str]) -> None:
        self._store = store
        self._client = client
        self._state = state
        self._acted = acted
        self._fetched = {"posts": 0, "deliveries": 0}
        self._files = 0
        self._late = 0
        self._late_days: Counter[str] = Counter()  # of the check that is being made
        self._shown: set[str] = set()  # the fields of ONLY_SINGLE that this API's lists have
        self.read: dict[str, set[str]] = {"posts": set(), "deliveries": set()}

    async def run(self, since: datetime | None, *, full: bool) -> Synced:
        """Read new and open records; `since` skips deliveries before it, `full` rereads settled records."""
        before = self._client.requests
        listed = self._client.webhooks.list()  # whose answer also tells the server's time
        webhooks = [str(record["id"]) async for record in listed if record.get("id")]
        await self.posts(full=full)
        await self.deliveries(webhooks, since, full=full or self.due("deliveries"))
        self._state["synced_at"] = self._client.now()
        self._store.save(self._state)
        return Synced(**self._fetched, files=self._files, requests=self._client.requests - before, late=self._late)

    async def posts(self, *, full: bool) -> None:
        """Read posts that are new or open, or all of them."""
        known, begun = len(read("posts", self._store.files("posts").values(), ["post_id"])), self._client.now()
        few = known <= len(WAITING) * PAGE_RECORDS  # to read all takes no more requests than the lists of what waits
        full = full or few or self.due("posts")
        await self._new_posts(full=full)
        await self._open_posts(full=full)
        self._note_pass("posts", begun, full=full)

    async def deliveries(
        self, webhooks: Sequence[str], since: datetime | None, *, full: bool, check: bool = True
    ) -> None:
        """Read deliveries of these webhooks that are new or open, or all since an instant, which counts as a `check` or not."""
        begun = self._client.now()
        for webhook in webhooks:
            await self._new_deliveries(webhook, since or BEGINNING, full=full)
        await self._open_deliveries(webhooks)
        self._note_pass("deliveries", begun, full=full and check)

    def due(self, kind: str) -> bool:
        """Whether these must be checked: for the first time, after a week, or since the server's clock went back far."""
        last, check_at = self._state["read_at"].get(kind), self._state["check_at"].get(kind)
        return last is None or check_at is None or not last - LATE <= self._client.now() < check_at

    def _met(self, records: Sequence[Mapping[str, Any]], low: datetime) -> bool:
        """Whether a page of posts, newest first, has passed an instant and holds nothing that is not on disk."""
        frame = build("posts", records)
        times = frame["created_at"].dropna()
        passed = len(times) > 0 and times.iloc[-1] < low and times.iloc[-1] <= times.iloc[0]
        return passed and not self._unknown("posts", frame).any()

    def _unknown(self, kind: str, frame: pd.DataFrame) -> pd.Series[bool]:
        """Which records, of which at least one shows its time, are not on disk."""
        key, times = ORDER[kind][0], frame["created_at"]
        there = isin(key, list(frame[key].dropna())) & created(times.min(), times.max() + timedelta(microseconds=1))
        known = read(kind, self._store.files(kind).values(), [key], there)[key].to_pylist()
        return frame[key].notna() & ~frame[key].isin(known)

    def _count_late(self, kind: str, frame: pd.DataFrame, seen: Sequence[Span]) -> None:
        """Count, by day, records that are not on disk although earlier passes have read these spans."""
        for low, high in seen:
            there = frame[frame["created_at"].between(low, high, inclusive="left")]
            if not there.empty:
                late = there[self._unknown(kind, there)]
                self._late_days.update(late["created_at"].dt.strftime("%Y-%m-%d"))

    def _note_pass(self, kind: str, begun: datetime, *, full: bool) -> None:
        """Record the start of a completed pass; of a check also when the next one is due, and warn of late records."""
        self._state["read_at"][kind] = begun
        if full:
            days, self._late_days = self._late_days, Counter()
            self._late += days.total()
            self._state["check_at"][kind] = begun + (CHECK_SOONER if days else CHECK_AFTER)
            if days:
                said = ", ".join(f"{count:,} of {day}" for day, count in sorted(days.items())[-5:])
                warnings.warn(
                    f"the check of the archive added {days.total():,} {kind} that earlier syncs had not seen: {said}"
                    + (" and of earlier days" if len(days) > 5 else ""),
                    stacklevel=2,
                )
        self._store.save(self._state)

    # Posts.

    async def _new_posts(self, *, full: bool) -> None:
        """Read the list of all posts from its head back to what is on disk and older than the last pass, or to its end."""
        last = self._state["read_at"].get("posts")
        low = None if full or last is None else min(last, self._client.now()) - LATE
        seen = [(BEGINNING, last - LATE)] if full and last is not None else []
        columns = Columns("posts")
        async for page in self._client.posts.list(status="all").pages():
            columns.extend(page.records)
            if low is not None and self._met(page.records, low):
                break
            if len(columns) >= BLOCK:
                await self._take_posts(columns, seen=seen)
                columns = Columns("posts")
        await self._take_posts(columns, seen=seen)

    async def _take_posts(self, columns: Columns, *, listed: bool = True, seen: Sequence[Span] = ()) -> None:
        """Write posts and their targets."""
        posts = columns.frame()
        posts = posts[posts["post_id"].notna()].drop_duplicates("post_id", keep="last")  # as it was read last
        if posts.empty:
            return
        self._count_late("posts", posts, seen)
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
        """Reread posts that may have changed, from the lists of what waits and of old statuses; after a full pass, those in no list."""
        archived = archived_posts(self._store)
        wanted = (archived["status"] != "deleted") if full else open_posts(archived, self._last("posts"), self._acted)
        archived = archived[wanted & ~archived["post_id"].isin(list(self.read["posts"]))]
        left, columns = set(archived["post_id"]), Columns("posts")
        oldest = archived["created_at"].min()
        others = [str(word) for word in archived["status"].dropna().unique() if word not in WAITING]
        for word in () if full else [*WAITING, *others, "published"]:
            if word in WAITING or (left and (len(left) > SINGLES or word != "published")):
                await self._from_list(word, left, oldest, columns)
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
        """Read a list of what waits as a whole; of others while a page costs less than one request for each remaining post."""
        fruitless = 0
        async for page in self._client.posts.list(status=status).pages():
            columns.extend(page.records)
            before = len(left)
            left -= {record.get("id") for record in page.records}
            fruitless = 0 if len(left) < before else fruitless + 1
            created = min(_created(page.records), default=None)
            passed = created is not None and created < oldest
            if status not in WAITING and (not left or fruitless >= len(left) or passed):
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

    async def _new_deliveries(self, webhook: str, since: datetime, *, full: bool) -> None:
        """Read the gaps in what has been read of a webhook's history, the latest first; a block is noted as read when it is on disk."""
        now = self._client.now()
        before, cut = self._state["deliveries"].get(webhook, []), since if full else now - LATE
        seen, spans = before if full else [], [(first, min(last, cut)) for first, last in before if first < cut]
        self._state["deliveries"][webhook] = spans
        for low, high in gaps(spans, since, now):
            end, until = (now - LATE, None) if high == now else (high, high)
            columns = Columns("deliveries")
            first = None if low == BEGINNING else low
            async for page in prefetch(self._client.webhooks.deliveries(webhook, since=first, until=until).pages()):
                columns.extend(page.records, webhookId=webhook)
                oldest = min(_created(page.records), default=None)
                if oldest is not None and oldest < low:  # a server that does not know the filter
                    break
                if len(columns) >= BLOCK and oldest is not None:
                    await self._take_deliveries(columns, seen)
                    columns = Columns("deliveries")
                    self._note_read(webhook, (oldest + timedelta(seconds=1), end))
            await self._take_deliveries(columns, seen)
            self._note_read(webhook, (low, end))

    def _note_read(self, webhook: str, span: Span) -> None:
        """Record what was read and written."""
        self._state["deliveries"][webhook] = covered([*self._state["deliveries"][webhook], span])
        self._store.save(self._state)

    async def _take_deliveries(self, columns: Columns, seen: Sequence[Span] = ()) -> None:
        """Write deliveries."""
        frame = columns.frame()
        frame = frame[frame["delivery_id"].notna()].drop_duplicates("delivery_id")
        self._count_late("deliveries", frame, seen)
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
        count = len(read("deliveries", self._store.files("deliveries").values(), ["delivery_id"], inside))
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
        listing = self._client.webhooks.deliveries(webhook, since=span[0], until=span[1], success=success)
        async for page in listing.pages():
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
                if start is None:
                    await sync.deliveries(webhooks, None, full=full or sync.due("deliveries"))
                else:
                    await sync.deliveries(webhooks, start.to_pydatetime(), full=full, check=False)
        except BusyError:
            return None
        mine = isin("webhook_id", webhooks) if webhooks else pc.scalar(False)
        return self._read("deliveries", created(start, None) & mine), sync.read["deliveries"]

    def settled_posts(self, statuses: Sequence[str]) -> tuple[pd.DataFrame, pd.Timestamp | None]:
        """Return posts with one of these statuses that need no reread, and the instant from which on all do; None for all.

        Other statuses than final ones are listed anew, archive or not: their posts may still be withdrawn, changed or retried.
        """
        state = self.state()
        last = last_read(state, "posts")
        if last is not None and statuses and {*statuses} <= {*FINAL}:
            archived = archived_posts(self._store)
            opened = archived[open_posts(archived, last, self._acted_on(state))]["created_at"]
            if not opened.isna().any():  # else its place in the list is unknown
                edge = min([min(last, pd.Timestamp(self._now())) - LATE, *opened])
                return self._read("posts", created(None, edge) & _exists() & isin("status", statuses)), edge
        return self._read("posts", pc.scalar(False)), None

    def settled_deliveries(self, webhook: str, start: pd.Timestamp | None) -> tuple[pd.DataFrame, pd.Timestamp | None]:
        """As `settled_posts`, of one webhook since an instant."""
        state = self.state()
        last = last_read(state, "deliveries")
        low = BEGINNING if start is None else start.to_pydatetime()
        missing = gaps(state["deliveries"].get(webhook, ()), low, self._now())
        if last is None or not missing or missing[-1][0] <= low:
            return self._read("deliveries", pc.scalar(False)), None
        archived = archived_deliveries(self._store, last, self._acted_on(state))
        opened = archived[archived["webhook_id"] == webhook]["created_at"].min()
        edge = pd.Timestamp(missing[-1][0]) - timedelta(seconds=1)  # to which an API may round a filter
        edge = edge if pd.isna(opened) else min(edge, opened)
        return self._read("deliveries", created(start, edge) & isin("webhook_id", [webhook])), edge

    def state(self) -> State:
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

    def _acted_on(self, state: State) -> Collection[str]:
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
