"""Reading a list of the API into columns, and what a frame says of where it came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops.client import prefetch
from voxops.frames import Columns, build
from voxops.loading.filters import said

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Lists"]


class Lists:
    """Reads lists.

    Parameters
    ----------
    client : AsyncClient
        The one client.
    source : str
        What ``df.attrs`` names as the origin.
    """

    def __init__(self, client: AsyncClient, source: str) -> None:
        self._client = client
        self._source = source
        self._checks: dict[str, dict[str, Any]] = {}  # the last check of each account

    async def _take(
        self,
        columns: Columns,
        path: str,
        query: dict[str, Any],
        *,
        enough: int | None = None,
        counts: Callable[[pd.DataFrame], pd.Series] | None = None,
        oldest: pd.Timestamp | None = None,
        **fill: Any,
    ) -> bool:
        """Read a list into columns, page by page, until enough rows that count or the oldest instant are reached.

        True if there were enough before the list has ended.
        """
        taken, pages = 0, self._client.pages(path, query)
        async for page in pages if enough is not None else prefetch(pages):
            columns.extend(page.records, **fill)
            if enough is not None:
                taken += len(page.records) if counts is None else int(counts(build("posts", page.records)).sum())
                if taken >= enough:
                    return page.cursor is not None
            if oldest is not None and page.records:
                last = build("deliveries", page.records[-1:])["created_at"].iloc[0]
                if last is not pd.NaT and last < oldest:
                    return False
        return False

    def _described(
        self, frame: pd.DataFrame, kind: str, read: dict[Any, Any], filters: dict[str, Any], *, cut: bool = False
    ) -> pd.DataFrame:
        """The frame with what it should say of itself."""
        frame.attrs = {
            "kind": kind,
            "source": self._source,
            "fetched_at": self._client.now().isoformat(),
            "filters": {name: said(value) for name, value in filters.items() if value not in (None, [])},
            "complete": not cut,
            "rows": len(frame),  # a filter in pandas keeps attrs, so this alone tells that rows are missing
            "rate_limit": self._client.pace.limit,
            "unread": read.get("unread", {}),
        }
        return frame
