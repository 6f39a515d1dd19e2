"""Reading the server's state with as few requests as possible, and the pace of looking again.

One post read by itself costs a request; a page of a list shows a hundred. So posts are looked for in the lists of the
statuses that they are likely to have, as long as a page is expected to show more of them than a request each would.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voxops.errors import NotFoundError
from voxops.settle import PostState, read_deliveries, read_posts

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Marks", "Reader", "interval"]

PAGE = 100  # records per page, the most the API gives (contract: section 3)
FIRST_LOOK = 2.0  # seconds; the API publishes within seconds when all is well
LONGEST_LOOK = 30.0  # seconds between two looks at the most
SINGLES = 3  # so few posts are read one by one without a thought


def interval(look: int, rng: random.Random) -> float:
    """Seconds until the next look: 2, 3, 4.5, … up to 30, each ±20 %; `look` counts from 0."""
    bound = min(LONGEST_LOOK, FIRST_LOOK * 1.5 ** min(look, 30))
    return bound * rng.uniform(0.8, 1.2)


@dataclass
class Marks:
    """Posts created lately, by their mark; what a search for lost creates has found (rules 13 and 14).

    `found` holds ``(created_at, post_id)`` per mark, earliest first. `complete` says that the list was read back to the wished
    instant, `metadata` that at least one post showed metadata: without both, absence proves nothing.
    """

    found: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    complete: bool = False
    metadata: bool = False

    def take(self, states: Iterable[PostState]) -> None:
        """Note the marks of these posts."""
        for state in states:
            self.metadata = self.metadata or state.has_metadata
            if state.mark is not None:
                self.found.setdefault(state.mark, []).append((state.created_at or "", state.post_id))
                self.found[state.mark].sort()


class Reader:
    """Reads posts, deliveries and marks through the client.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

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
        return found

    async def _from_list(self, status: str, left: set[str], found: dict[str, PostState]) -> None:
        """Take posts from one list while its pages are worth their cost: one page against one request for each post left."""
        fruitless = 0
        async for page in self._client.pages("/v1/posts", {"status": status, "limit": PAGE}):
            states = read_posts(page.records)
            hits = left.intersection(states)
            found.update((post_id, states[post_id]) for post_id in hits)
            left -= hits
            fruitless = 0 if hits else fruitless + 1
            if not left or fruitless >= len(left):
                return

    async def post(self, post_id: str) -> PostState | None:
        """Read one post, with the target ids that lists leave out; None if it does not exist."""
        try:
            reply = await self._client.request("GET", f"/v1/posts/{post_id}")
        except NotFoundError:
            return None
        record = reply.data
        if isinstance(record, Mapping) and isinstance(record.get("data"), Mapping):
            record = record["data"]
        return read_posts([record]).get(post_id)

    async def marks(self, since: datetime) -> Marks:
        """Read marks of all posts created since an instant, newest first, whatever their status."""
        marks = Marks()
        async for page in self._client.pages("/v1/posts", {"status": "all", "limit": PAGE}):
            states = read_posts(page.records)
            marks.take(states.values())
            if any(state.created_at and datetime.fromisoformat(state.created_at) < since for state in states.values()):
                marks.complete = True
                return marks
        marks.complete = True  # the list was read to its end
        return marks

    async def deliveries(self, webhook_id: str, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Read deliveries of one webhook as their episodes; the list is read, newest first, until all have been seen."""
        left = set(ids)
        found: dict[str, dict[str, Any]] = {}
        async for page in self._client.pages(f"/v1/webhooks/{webhook_id}/deliveries", {"limit": PAGE}):
            states = read_deliveries(page.records)
            hits = left.intersection(states)
            found.update((delivery_id, states[delivery_id]) for delivery_id in hits)
            left -= hits
            if not left:
                break
        return found
