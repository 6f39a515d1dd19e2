"""Reading which posts were created lately: the list of all posts, newest first, or only what has come on top of it since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from voxops.api.limits import PAGE_RECORDS
from voxops.api.states import PostState
from voxops.api.timing import (
    CREATES_FRESH_FOR,
    LIST_DISORDER,
    WAITING_HOLDS_FOR,
    WAITING_SHARE,
    WALK_HOLDS_FOR,
    WALK_SHARE,
)
from voxops.errors import DecodeError
from voxops.frames.records import read_posts

if TYPE_CHECKING:
    from voxops.client import AsyncClient, Reply

__all__ = ["CreatedList", "Listed", "Walk"]

# In the order in which posts move: what moves on between two of these lists is in the later one.
_ON_THE_WAY = ("draft", "pending_approval", "approved", "scheduled")


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
    """Posts created lately, whatever their status; what a search for creates has found (rules 13 and 14).

    `latest` is the newest ``created_at`` among them; `marked` says that at least one of them shows a mark of ours; `read` is when the
    first page of all posts came, in server time: what was made after it may be on none of them, however long the others took.
    `looked_through` is when a search of the whole workspace began, where it was one; `gone` are posts that are remembered and
    don't exist any more; `walk` and `waiting` are what `CreatedList.learnt` keeps, the latter when the lists of what waits to go out
    were read, in server time, and how long that took.
    """

    posts: dict[str, PostState] = field(default_factory=dict)
    latest: str | None = None
    marked: bool = False
    read: float | None = None
    looked_through: float | None = None
    gone: set[str] = field(default_factory=set)
    walk: Walk | None = field(default=None, repr=False)
    waiting: tuple[float, float] | None = field(default=None, repr=False)

    def take(self, states: Iterable[PostState]) -> None:
        """Note these posts."""
        for state in states:
            self.posts[state.post_id] = state
            self.marked = self.marked or state.mark is not None
            if state.created_at and state.created_at > (self.latest or ""):
                self.latest = state.created_at

    def note(self, alone: Mapping[str, PostState | None]) -> None:
        """Note what posts show that were read each by itself, None for one that does not exist; of lists it says nothing."""
        self.posts |= {post_id: state for post_id, state in alone.items() if state is not None}
        self.gone |= {post_id for post_id, state in alone.items() if state is None}


class CreatedList:
    """The list of all posts, newest first.

    A run that makes thousands of posts has them all in the last minutes of this list, and reading these again before every send
    would take longer than a reading holds. So a walk is repeated only now and then, and in between what has come on top of it is
    read; unless posts have ever come into the list below its top, as where the clocks of two servers differ.

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

    async def read(self, since: datetime, *, waiting_since: datetime | None = None, on_top: bool = False) -> Listed:
        """Read all posts created since an instant; of those that wait to go out, also the older ones since another.

        Absence is proved by having passed the instant only where nothing newer can follow; else by the end of the list.

        Parameters
        ----------
        since, waiting_since : datetime
            The instants.
        on_top : bool
            Whether it is enough to read what is new since a walk that was made and `learnt` a short time ago. Then what is returned
            was read just now, however long a walk takes.
        """
        listed = Listed()
        if waiting_since is not None:
            began = self._client.now().timestamp()
            for status in _ON_THE_WAY:
                await self._list(listed, status, waiting_since)
            listed.waiting = began, self._client.now().timestamp() - began
        walk = self._walk
        if on_top and walk is not None and self._holds(walk, since):
            top = await self._read_top(walk)
            if not self._comes_late:
                return _with_top(listed, top)
        walk = await self._go(listed, since)
        if not (on_top and walk is not None and walk.took > CREATES_FRESH_FOR / 2 and self._holds(walk, since)):
            return listed
        return _with_top(listed, await self._read_top(walk))

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
        self.learnt_waiting(listed)

    def learnt_waiting(self, listed: Listed) -> None:
        """What waits to go out is in the ledger as it was read."""
        self._waiting = listed.waiting or self._waiting

    def _holds(self, walk: Walk, since: datetime) -> bool:
        """Whether a walk still says what stands below the top."""
        age = self._client.clock.monotonic() - walk.began
        return not self._comes_late and walk.since <= since and age <= max(WALK_HOLDS_FOR, WALK_SHARE * walk.took)

    async def _go(self, listed: Listed, since: datetime) -> Walk | None:
        """Walk through the list; None if its posts don't say when they were created."""
        clock, before = self._client.clock, self._walk
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
        async for page in self._client.pages("/v1/posts", {"status": status, "limit": PAGE_RECORDS}):
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


def _unreadable(raw: Reply, what: str) -> DecodeError:
    """The error of a list that proves nothing."""
    return DecodeError(f"{raw.endpoint} {what}", endpoint=raw.endpoint, status=raw.status, body=raw.body)


def _created(state: PostState) -> datetime | None:
    """When a post was created."""
    return datetime.fromisoformat(state.created_at) if state.created_at else None
