"""How published posts do: reads that lie outside the 39 rows of the matrix, and whose answers have several shapes (contract: 8.7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from voxops.client._caller import Caller, path, present

__all__ = ["Analytics"]


class Analytics:
    """Figures of posts, accounts and the workspace, as the API sends them; `voxops.frames.records` reads those of posts.

    Every read takes `start` and `end` (datetime, optional): the API's own span, 30 days, by default. It may shorten a span.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def post(self, post_id: str, *, start: datetime | None = None, end: datetime | None = None) -> Any:
        """Read the figures of one post."""
        return await self._read(path("analytics", "posts", post_id), start, end)

    async def account(self, account_id: str, *, start: datetime | None = None, end: datetime | None = None) -> Any:
        """Read the figures of one account."""
        return await self._read(path("analytics", "accounts", account_id), start, end)

    async def overview(self, *, start: datetime | None = None, end: datetime | None = None) -> Any:
        """Read the figures of the whole workspace."""
        return await self._read(path("analytics", "overview"), start, end)

    async def _read(self, where: str, start: datetime | None, end: datetime | None) -> Any:
        """Read an answer of any shape."""
        return (await self._caller.request("GET", where, params=present(startDate=start, endDate=end))).data
