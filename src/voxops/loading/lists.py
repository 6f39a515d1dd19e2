"""Reading one list into columns, no further than is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops.client import prefetch
from voxops.frames import Columns, build

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["read_list"]


async def read_list(
    client: AsyncClient,
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
    taken, pages = 0, client.pages(path, query)
    early = enough is not None or (oldest is not None and "from" not in query)  # one page too many would cost a request
    async for page in pages if early else prefetch(pages):
        columns.extend(page.records, **fill)
        if enough is not None:
            taken += len(page.records) if counts is None else int(counts(build("posts", page.records)).sum())
            if taken >= enough:
                return page.cursor is not None
        if oldest is not None and page.records:
            times = build("deliveries", page.records)["created_at"].dropna()
            if len(times) and times.is_monotonic_decreasing and times.iloc[-1] < min(oldest, times.iloc[0]):
                return False
    return False
