"""Reading the server's state with as few requests as possible, and the pace of looking again.

One post read by itself costs a request; a page of a list shows a hundred. So posts that are followed are looked for among
those in flight, and only those that have left this list are looked for in the lists where posts end. Each list is read when
it is worth its pages: when enough posts may have come to it, when nothing is in flight any more, or now and then, so that who
watches sees something move. What a list took last time is what it is expected to take next time.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voxops.api.assumptions import deliveries_path
from voxops.api.limits import PAGE_RECORDS
from voxops.api.states import PostState
from voxops.api.timing import FIRST_LOOK, LONGEST_LOOK, LONGEST_REST, PER_PAGE
from voxops.engine.answer import from_a_proxy, says_absent
from voxops.engine.created import CreatedList, Listed
from voxops.errors import DecodeError, NotFoundError
from voxops.frames.records import read_deliveries, read_post, read_posts
from voxops.model import IN_FLIGHT_STATUSES

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Reader", "Seen", "interval", "worth_reading"]

SINGLES = 3  # so few posts are read one by one without a thought
WORTH = 20  # posts that may be in a list for each of its pages, so that it is read at once
IN_FLIGHT = "publishing"
# Where a post that has left those in flight may be, the shorter lists first.
ENDS = ("pending", "partial", "failed", "published")


def interval(look: int, rng: random.Random, pages: int = 0) -> float:
    """Seconds until the next look: 2, 3, 4.5, … up to 30, each ±20 %; `look` counts from 0.

    At least two seconds for each page that the last look at those in flight has taken: a job that fills fifty pages is looked
    at every 30 seconds, and the last hundred posts of it every two.
    """
    bound = min(LONGEST_LOOK, max(FIRST_LOOK * 1.5 ** min(look, 30), PER_PAGE * pages))
    return bound * rng.uniform(0.8, 1.2)


def worth_reading(asked: int, pages: int, rested: float, *, last: bool) -> bool:
    """Whether a list is to be read now.

    Parameters
    ----------
    asked : int
        Posts that may be in it.
    pages : int
        Pages that it is expected to take.
    rested : float
        Seconds since it was read last.
    last : bool
        Whether nothing is in flight any more, so that no post will join those asked for.
    """
    if last:  # one request for each is the alternative
        return asked > min(pages, SINGLES) and asked >= pages
    return asked >= WORTH * pages or rested >= min(LONGEST_REST, max(LONGEST_LOOK, 4 * PER_PAGE * pages))


@dataclass(frozen=True)
class Seen:
    """What a look at posts has shown: those that were found, and those that do not exist. Of the others nothing is known now."""

    found: dict[str, PostState] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


@dataclass
class _Listing:
    """What is known of one list: its pages, when it was read last, and which posts it did not hold since they left the flight."""

    pages: int = 1
    read_at: float = -math.inf
    absent: set[str] = field(default_factory=set)


class Reader:
    """Reads posts and deliveries through the client.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._list = CreatedList(client)
        self._listings: dict[str, _Listing] = {}
        self._last: dict[str, tuple[str, str | None]] = {}
        self._bare: dict[str, str | None] = {}  # posts that bear no mark, read by themselves -> their time stamp then

    @property
    def pages(self) -> int:
        """Pages that the last look at the posts in flight has taken."""
        return self._listing(IN_FLIGHT).pages

    async def follow(self, ids: Collection[str]) -> Seen:
        """Look at posts that are on their way, as far as it is worth its requests; look again for the others.

        Parameters
        ----------
        ids : collection of str
            The posts. None of them is left unread for good: when nothing is in flight any more, all are read.
        """
        seen, left = Seen(), set(ids)
        if len(left) > SINGLES:
            await self._take(IN_FLIGHT, left, seen)
            for status in self._places(left):
                asked = left - self._listing(status).absent
                last = not any(state.status in IN_FLIGHT_STATUSES for state in seen.found.values())
                if self._is_worth(status, len(asked), last=last):
                    await self._take(status, left, seen)
            if any(state.status in IN_FLIGHT_STATUSES for state in seen.found.values()):
                left = {item for item in left if all(item in self._listing(end).absent for end in ENDS)}
        for post_id in sorted(left):
            state = await self.post(post_id)
            if state is None:
                seen.missing.add(post_id)
            else:
                self._found(seen, {post_id: state})
        return seen

    def _listing(self, status: str) -> _Listing:
        """What is known of a list."""
        return self._listings.setdefault(status, _Listing())

    def _places(self, left: Collection[str]) -> list[str]:
        """Lists in which these posts may be: where posts end, and where several of them were seen last."""
        last = Counter(self._last[item][0] for item in left if item in self._last)
        return [
            *ENDS,
            *(status for status, count in last.items() if count > SINGLES and status not in {IN_FLIGHT, *ENDS}),
        ]

    def _is_worth(self, status: str, asked: int, *, last: bool) -> bool:
        """Whether to read a list for so many posts."""
        listing = self._listing(status)
        rested = self._client.clock.monotonic() - listing.read_at
        return asked > 0 and worth_reading(asked, listing.pages, rested, last=last)

    async def _take(self, status: str, left: set[str], seen: Seen) -> None:
        """Take what one list shows, and note what it does not hold."""
        listing = self._listing(status)
        found: dict[str, PostState] = {}
        listing.pages, whole = await self._from_list(status, left, found)
        listing.read_at = self._client.clock.monotonic()
        self._found(seen, found)
        if whole and status != IN_FLIGHT:
            listing.absent |= left

    def _found(self, seen: Seen, found: Mapping[str, PostState]) -> None:
        """Note where posts are; wherever they were not, they may be from now on."""
        seen.found.update(found)
        for post_id, state in found.items():
            self._last[post_id] = (state.status, state.created_at)
        for listing in self._listings.values():
            listing.absent -= found.keys()

    async def posts(self, ids: Collection[str], expect: Sequence[str]) -> dict[str, PostState]:
        """Read posts; one that does not exist is missing from the answer.

        Parameters
        ----------
        ids : collection of str
            The posts.
        expect : sequence of str
            Statuses that they are likely to have, the likeliest first.
        """
        left = set(ids)
        found: dict[str, PostState] = {}
        for status in expect:
            if len(left) <= SINGLES:
                break
            await self._from_list(status, left, found)
        for post_id in sorted(left):
            state = await self.post(post_id)
            if state is not None:
                found[post_id] = state
        self._found(Seen(), found)
        return found

    async def _from_list(self, status: str, left: set[str], found: dict[str, PostState]) -> tuple[int, bool]:
        """Take posts from one list while its pages are worth their cost: one page against one request for each post left.

        Returns how many pages were read, and whether the list holds no more of these posts.
        """
        pages = fruitless = 0
        oldest = min((self._last.get(item, ("", None))[1] or "" for item in left), default="")
        async for page in self._client.pages("/v1/posts", {"status": status, "limit": PAGE_RECORDS}):
            pages += 1
            states = read_posts(page.records)
            hits = left.intersection(states)
            found.update((post_id, states[post_id]) for post_id in hits)
            left -= hits
            fruitless = 0 if hits else fruitless + 1
            # newest created first, so nothing older than the oldest post can follow
            passed = bool(states) and min(state.created_at or "~" for state in states.values()) < oldest
            if not left or passed:
                return pages, True
            if fruitless >= len(left):
                return pages, page.cursor is None
        return pages, True

    async def learn_time(self) -> None:
        """Make a small request, whose answer tells the client the server's time."""
        await self._client.request("GET", "/v1/posts", params={"limit": 1})

    async def post(self, post_id: str) -> PostState | None:
        """Read one post, with the target ids that lists leave out; None if it does not exist.

        An answer that is no such post proves nothing, least of all that there is none: it raises a DecodeError.
        """
        try:
            reply = await self._client.request("GET", f"/v1/posts/{post_id}")
        except NotFoundError as error:
            if says_absent(error):
                return None
            raise DecodeError(
                f"GET /v1/posts/{post_id}: {from_a_proxy(error.status)}; whether it exists is not known",
                endpoint=f"GET /v1/posts/{post_id}",
                status=error.status,
                body=error.body,
            ) from None
        state = read_post(reply.data)
        if state is None or state.post_id != post_id:
            raise DecodeError(
                f"{reply.endpoint} answered {reply.status} without that post; whether it exists is not known",
                endpoint=reply.endpoint,
                status=reply.status,
                body=reply.body,
            )
        return state

    async def unmarked(self, listed: PostState) -> PostState | None:
        """Read a post by itself that bears no mark in a list, once as long as it is not changed; None if it does not exist."""
        if listed.post_id in self._bare and self._bare[listed.post_id] == listed.updated_at:
            return listed
        state = await self.post(listed.post_id)
        if state is not None and state.mark is None:
            self._bare[listed.post_id] = listed.updated_at
        return state

    async def created(self, since: datetime, *, waiting_since: datetime | None = None, on_top: bool = False) -> Listed:
        """Read all posts created since an instant, newest first: see `CreatedList.read`."""
        return await self._list.read(since, waiting_since=waiting_since, on_top=on_top)

    @property
    def knows_what_waits(self) -> bool:
        """Whether what waits to go out was read a short time ago: see `CreatedList.knows_what_waits`."""
        return self._list.knows_what_waits

    def learnt(self, listed: Listed) -> None:
        """What was read is in the ledger: see `CreatedList.learnt`."""
        self._list.learnt(listed)

    def learnt_waiting(self, listed: Listed) -> None:
        """What waits to go out is in the ledger as it was read: see `CreatedList.learnt_waiting`."""
        self._list.learnt_waiting(listed)

    async def deliveries(self, webhook_id: str, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Read deliveries of one webhook as their episodes; the list is read, newest first, until all have been seen."""
        left = set(ids)
        found: dict[str, dict[str, Any]] = {}
        try:
            async for page in self._client.pages(deliveries_path(webhook_id), {"limit": PAGE_RECORDS}):
                states = read_deliveries(page.records)
                hits = left.intersection(states)
                found.update((delivery_id, states[delivery_id]) for delivery_id in hits)
                left -= hits
                if not left:
                    break
        except NotFoundError as error:  # the webhook was deleted, and its log with it
            if not says_absent(error):
                raise
        return found
