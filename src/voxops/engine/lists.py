"""Reading the server's state with as few requests as possible: the list of posts, and the pace of polling.

A separate read of a post costs a request; a page of a list shows a hundred. So posts that are followed are looked for among those in flight,
and only those that have left this list are looked for in the lists where posts end. The list of all posts, newest first, is walked now and
then, and in between only what has come on top of it is read.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from voxops.api.error_bodies import says_absent
from voxops.api.limits import (
    CREATES_FRESH_FOR,
    LIST_DISORDER,
    LONGEST_LOOK,
    LONGEST_REST,
    LOOKBACK_WAITING,
    PAGE_RECORDS,
    PER_PAGE,
    WAITING_HOLDS_FOR,
    WAITING_SHARE,
    WALK_HOLDS_FOR,
    WALK_SHARE,
)
from voxops.api.states import PostState
from voxops.errors import DecodeError, NotFoundError
from voxops.frames.records import read_deliveries, read_post, read_posts
from voxops.frames.schemas import records_of
from voxops.model import IN_FLIGHT_STATUSES

if TYPE_CHECKING:
    from voxops.client import Answer, AsyncClient

SINGLES = 3  # so few posts are read one by one without a thought
WORTH = 20  # posts that may be in a list for each of its pages, so that it is read first
IN_FLIGHT = "publishing"
# Where a post that has left those in flight may be, the shorter lists first.
ENDS = ("pending", "partial", "failed", "published")


@dataclass
class _Listing:
    """What is known of one list: its pages, when it was read last, and which posts it did not hold since they left the flight."""

    pages: int = 1
    read_at: float = -math.inf
    absent: set[str] = field(default_factory=set)

    def is_worth_reading(self, asked: int, now: float, *, last: bool) -> bool:
        """Whether to read it now, for so many posts that may be in it.

        `last` says that nothing is in flight any more, so that no post will join these.
        """
        if last:  # one request for each is the alternative
            return asked > min(self.pages, SINGLES) and asked >= self.pages
        longest_rest = min(LONGEST_REST, max(LONGEST_LOOK, 4 * PER_PAGE * self.pages))
        return asked > 0 and (asked >= WORTH * self.pages or now - self.read_at >= longest_rest)


# In the order in which posts move: what moves on between two of these lists is in the later one.
_ON_THE_WAY = ("draft", "pending_approval", "approved", "scheduled")
_WITHDRAWN = ("cancelled",)


@dataclass(frozen=True)
class Walk:
    """A walk through the list of all posts, and what was read of its top since.

    It `began` then and `took` so long, in elapsed seconds, and went back to `since`. `newest` was created last of what stood on top
    when that was read last; `seen` are the ids of all.
    """

    began: float
    took: float
    since: datetime
    newest: datetime
    seen: frozenset[str]

    def missed(self, posts: Iterable[PostState]) -> bool:
        """Whether any of these should have been seen: it stands below what was on top, and was not there."""
        span = self.since, self.newest - LIST_DISORDER
        return any(
            span[0] <= created < span[1]
            for state in posts
            if state.post_id not in self.seen and (created := _created(state)) is not None
        )


@dataclass
class Listed:
    """Posts created lately, whatever their status; what a search for creates has found (rules 10 and 11).

    `read` is when the first page of all posts came, in server time: what was made after it may be on none of them, however long the
    others took. `whole` says that all of the list was read back to the instant, and not only its top. `walk` and `waiting` are what
    `CreatedList.learnt` keeps, the latter when the lists of what waits to go out were read, in server time, and how long that took.
    """

    posts: dict[str, PostState] = field(default_factory=dict)
    read: float | None = None
    whole: bool = False
    walk: Walk | None = field(default=None, repr=False)
    waiting: tuple[float, float] | None = field(default=None, repr=False)

    @property
    def latest(self) -> str | None:
        """The newest ``created_at`` among the posts."""
        return max((state.created_at for state in self.posts.values() if state.created_at), default=None)

    @property
    def marked(self) -> bool:
        """Whether a list has shown a mark of ours; of lists a single read says nothing."""
        return any(state.source == "list" and state.mark is not None for state in self.posts.values())

    def take(self, states: Iterable[PostState]) -> None:
        """Note these posts."""
        self.posts |= {state.post_id: state for state in states}


class CreatedList:
    """The list of all posts, newest first.

    A run that creates thousands of posts has them all in the last minutes of this list. Rereading these before every send would
    take longer than a reading holds. So a walk is repeated only now and then, and in between what has come on top of it is read.
    This ends once posts come into the list below its top, as where the clocks of two servers differ.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._walk: Walk | None = None
        self._waiting: tuple[float, float] | None = None
        self._comes_late = False

    async def read(
        self, since: datetime, *, waiting: bool = False, on_top: bool = False, first: bool = False
    ) -> Listed:
        """Read all posts created since an instant.

        Absence is proved by having passed the instant only where nothing newer can follow; else by the end of the list.

        Parameters
        ----------
        since : datetime
            The instant.
        waiting : bool
            Whether to read older posts, too, that wait to go out.
        on_top : bool
            Whether it is enough to read what is new since a walk that was made and `learnt` a short time ago. Then what is returned
            was read just now, however long a walk takes.
        first : bool
            Whether the workspace is seen for the first time: what waits is read, and what was withdrawn as far back.
        """
        listed = Listed()
        if waiting or first:
            now = self._client.now()
            for status in (*_ON_THE_WAY, *(_WITHDRAWN if first else ())):
                await self._list(listed, status, now - timedelta(seconds=LOOKBACK_WAITING))
            listed.waiting = now.timestamp(), (self._client.now() - now).total_seconds()
        walk = self._walk
        if on_top and walk is not None and self._holds(walk, since):
            top = await self._read_top(walk)
            if not self._comes_late:
                return _with_top(listed, top)
        walk = await self._go(listed, since)
        listed.whole = True
        if on_top and walk is not None and walk.took > CREATES_FRESH_FOR / 2 and not self._comes_late:
            return _with_top(listed, await self._read_top(walk))
        return listed

    @property
    def knows_what_waits(self) -> bool:
        """Whether the lists of what waits to go out were read and `learnt` a short time ago: any old post may be mended into a row."""
        if self._waiting is None:
            return False
        read, took = self._waiting
        return 0 <= self._client.now().timestamp() - read <= max(WAITING_HOLDS_FOR, WAITING_SHARE * took)

    def learnt(self, listed: Listed) -> None:
        """Read only what is new on top from now on: what was read is in the ledger, and not only in a task that may be cancelled."""
        self._walk = listed.walk
        self._waiting = listed.waiting or self._waiting

    def _holds(self, walk: Walk, since: datetime) -> bool:
        """Whether a walk still says what stands below the top."""
        age = self._client._clock.monotonic() - walk.began
        return not self._comes_late and walk.since <= since and age <= max(WALK_HOLDS_FOR, WALK_SHARE * walk.took)

    async def _go(self, listed: Listed, since: datetime) -> Walk | None:
        """Walk through the list; None if its posts don't say when they were created."""
        clock, before = self._client._clock, self._walk
        began = clock.monotonic()
        newest = await self._list(listed, "all", since)
        if before is not None and before.missed(listed.posts.values()):
            self._comes_late = True
        took = clock.monotonic() - began
        listed.walk = None if newest is None else Walk(began, took, since, newest, frozenset(listed.posts))
        return listed.walk

    async def _read_top(self, walk: Walk) -> Listed:
        """Read what has come since a walk, or since its top was read last."""
        listed = Listed()
        newest = await self._list(listed, "all", walk.newest - LIST_DISORDER, walk.seen)
        if walk.missed(listed.posts.values()):
            self._comes_late = True
        listed.walk = replace(walk, newest=max(walk.newest, newest or walk.newest), seen=walk.seen.union(listed.posts))
        return listed

    async def _list(
        self, listed: Listed, status: str, since: datetime, seen: AbstractSet[str] = frozenset()
    ) -> datetime | None:
        """Read one list back to an instant, or to a page of posts that were seen before; returns when the newest one was created."""
        newest: datetime | None = None
        bounds: tuple[datetime, datetime] | None = None
        in_order = True
        async for page in self._client.posts.list(status=status).pages():
            if status == "all" and listed.read is None:  # the other lists are read for what is old
                listed.read = self._client.now().timestamp()
            states = read_posts(page.records)
            if page.records and not states:
                raise _unreadable(page.raw, "answered with records that have no id")
            listed.take(states.values())
            times = [created for state in states.values() if (created := _created(state)) is not None]
            if bounds is None:
                newest = min(max(times), self._client.now()) if times else None
            for created in times:
                oldest, top = bounds or (created, created)
                in_order = in_order and created <= oldest + LIST_DISORDER
                bounds = min(oldest, created), max(top, created)
            # Posts of one instant show no order, be they a whole page; and an empty page in the middle of a list ends nothing.
            passed = bounds is not None and bounds[0] < min(since, bounds[1] - LIST_DISORDER)
            if in_order and (passed or (states and states.keys() <= seen)):
                break
            if not page.says_more and len(page.records) >= PAGE_RECORDS:
                raise _unreadable(page.raw, "ends at a full page without saying so; whether there is more is not known")
        return newest


def _with_top(listed: Listed, top: Listed) -> Listed:
    """What was read, with what has come on top of it since."""
    listed.take(top.posts.values())
    listed.read, listed.walk = top.read, top.walk
    return listed


def _unreadable(raw: Answer, what: str) -> DecodeError:
    """The error of a list that proves nothing."""
    return DecodeError(f"{raw.endpoint} {what}", endpoint=raw.endpoint, status=raw.status, body=raw.body)


def _created(state: PostState) -> datetime | None:
    """When a post was created."""
    return datetime.fromisoformat(state.created_at) if state.created_at else None


class Reader:
    """Reads posts and deliveries through the client.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.

    Attributes
    ----------
    created : CreatedList
        The list of all posts, newest first.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self.created: CreatedList = CreatedList(client)
        self._listings: defaultdict[str, _Listing] = defaultdict(_Listing)
        self._last: dict[str, PostState] = {}

    @property
    def pages(self) -> int:
        """Pages that the last look at the posts in flight has taken."""
        return self._listings[IN_FLIGHT].pages

    async def follow(self, ids: Iterable[str]) -> dict[str, PostState | None]:
        """Look at posts that are on their way, as far as it is worth its requests; look again for the others.

        Parameters
        ----------
        ids : iterable of str
            The posts. None of them is left unread for good: when nothing is in flight any more, all are read.

        Returns
        -------
        dict
            Those that were read, None for one that does not exist.
        """
        left, seen = set(ids), dict[str, PostState | None]()
        if len(left) > SINGLES:
            await self._take(IN_FLIGHT, left, seen)
            for status in self._places(left):
                listing, now = self._listings[status], self._client._clock.monotonic()
                if listing.is_worth_reading(len(left - listing.absent), now, last=not _any_in_flight(seen)):
                    await self._take(status, left, seen)
            if _any_in_flight(seen):
                left = {item for item in left if all(item in self._listings[end].absent for end in ENDS)}
        return await self._singly(left, seen)

    def _places(self, left: Collection[str]) -> list[str]:
        """Lists in which these posts may be: where posts end, and where several of them were seen last."""
        last = Counter(self._last[item].status for item in left if item in self._last)
        return [
            *ENDS,
            *(status for status, count in last.items() if count > SINGLES and status not in {IN_FLIGHT, *ENDS}),
        ]

    async def _take(self, status: str, left: set[str], seen: dict[str, PostState | None]) -> None:
        """Take what one list shows, and note what it does not hold."""
        listing = self._listings[status]
        listing.pages, whole = await self._from_list(status, left, seen)
        listing.read_at = self._client._clock.monotonic()
        if whole and status != IN_FLIGHT:
            listing.absent |= left

    async def posts(self, ids: Iterable[str], expect: Sequence[str]) -> dict[str, PostState | None]:
        """Read posts, None for one that does not exist.

        Parameters
        ----------
        ids : iterable of str
            The posts.
        expect : sequence of str
            Statuses that they are likely to have, the likeliest first.
        """
        left, seen = set(ids), dict[str, PostState | None]()
        for status in expect:
            if len(left) <= SINGLES:
                break
            await self._from_list(status, left, seen)
        return await self._singly(left, seen)

    async def _singly(self, left: Iterable[str], seen: dict[str, PostState | None]) -> dict[str, PostState | None]:
        """Read these posts by themselves, and note where all are; wherever they were not, they may be from now on."""
        for post_id in sorted(left):
            seen[post_id] = await self.post(post_id)
        there = {post_id: state for post_id, state in seen.items() if state is not None}
        self._last |= there
        for listing in self._listings.values():
            listing.absent -= there.keys()
        return seen

    async def _from_list(self, status: str, left: set[str], seen: dict[str, PostState | None]) -> tuple[int, bool]:
        """Take posts from one list while its pages are worth their cost: one page against one request for each post left.

        Returns how many pages were read, and whether the list holds no more of these posts.
        """
        pages = fruitless = 0
        states = (self._last.get(item) for item in left)
        oldest = min(((before and before.created_at) or "" for before in states), default="")
        async for page in self._client.posts.list(status=status).pages():
            pages += 1
            # Thousands of rows are followed by pages of a hundred, of which a few are theirs.
            hits = read_posts([*records_of("posts", left, page.records).values()])
            seen |= hits
            left.difference_update(hits)
            fruitless = 0 if hits else fruitless + 1
            # newest created first, so nothing older than the oldest post can follow
            last = read_posts(page.records[-1:]) if oldest else {}
            passed = any((state.created_at or "~") < oldest for state in last.values())
            if not left or passed:
                return pages, True
            if fruitless >= len(left):
                return pages, page.cursor is None
        return pages, True

    async def learn_time(self) -> None:
        """Make a small request, whose answer tells the client the server's time."""
        await self._client.request("GET", "/v1/posts", params={"limit": 1})

    async def post(self, post_id: str) -> PostState | None:
        """Read one post, with the target ids that lists leave out; None if it does not exist."""
        single = await self.single(post_id)
        return None if single is None else single[1]

    async def single(self, post_id: str) -> tuple[Any, PostState] | None:
        """Read one post: its record as the API shows it, and its state; None if it does not exist.

        An answer that is no such post proves nothing, least of all that there is none: it raises a DecodeError.
        """
        try:
            answer = await self._client.request("GET", f"/v1/posts/{quote(post_id, safe='')}")
        except NotFoundError as error:
            if says_absent(error):
                return None
            raise DecodeError(
                f"GET /v1/posts/{post_id}: {error.status} came without the API's own words, as from a proxy; whether it exists is not known",
                endpoint=f"GET /v1/posts/{post_id}",
                status=error.status,
                body=error.body,
            ) from None
        state = read_post(answer.json)
        if state is None or state.post_id != post_id:
            raise _unreadable(answer, f"answered {answer.status} without that post; whether it exists is not known")
        return answer.json, state

    async def deliveries(self, webhook_id: str, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Read deliveries of one webhook as their episodes; the list is read, newest first, until all have been seen."""
        left = set(ids)
        episodes: dict[str, dict[str, Any]] = {}
        try:
            async for page in self._client.webhooks.deliveries(webhook_id).pages():
                states = read_deliveries(page.records)
                hits = left.intersection(states)
                episodes.update((delivery_id, states[delivery_id]) for delivery_id in hits)
                left -= hits
                if not left:
                    break
        except NotFoundError as error:  # the webhook was deleted, and its log with it
            if not says_absent(error):
                raise
        return episodes


def _any_in_flight(seen: Mapping[str, PostState | None]) -> bool:
    return any(state is not None and state.status in IN_FLIGHT_STATUSES for state in seen.values())
