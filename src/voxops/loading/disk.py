"""What a load takes from an archive, if the workspace stands on one: the rest it reads from the API."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import pandas as pd

__all__ = ["Disk", "archive_note", "first_of_each", "joined", "newest_first"]

_SETTLED = {
    "posts": "Posts that had ended when they were last read come from the archive; what was edited or deleted since is not seen",
    "deliveries": "Deliveries that had succeeded, or were older than a week, when they were last read come from the archive; a later "
    "attempt by somebody else is not seen",
}
_ALL = "refresh=True reads all"
_BUSY = "Another process was writing the archive: all was read from the API"


class Disk(Protocol):
    """What is settled, on disk; the archive has it."""

    async def posts(self, *, full: bool = False) -> tuple[pd.DataFrame, set[str]] | None:
        """All posts, brought up to date, and the ids of those read from the API; None while another process writes."""

    async def deliveries(
        self, webhooks: Sequence[str], start: pd.Timestamp | None, *, full: bool = False
    ) -> tuple[pd.DataFrame, set[str]] | None:
        """All deliveries of these webhooks since an instant; as `posts`."""

    def settled_posts(self, statuses: Sequence[str]) -> tuple[pd.DataFrame, pd.Timestamp | None]:
        """Posts with one of these statuses that need not be read, and the instant from which on all must be; None for all."""

    def settled_deliveries(self, webhook: str, start: pd.Timestamp | None) -> tuple[pd.DataFrame, pd.Timestamp | None]:
        """As `settled_posts`, of one webhook since an instant."""


def joined(live: pd.DataFrame, settled: Sequence[pd.DataFrame], key: str) -> pd.DataFrame:
    """What was read and what is on disk; of a record that is in both, what was read."""
    parts = [part for part in (live, *settled) if len(part)]
    if len(parts) < 2:
        return parts[0] if parts else live
    frame = pd.concat(parts, ignore_index=True)
    return frame[first_of_each(frame[key])].reset_index(drop=True)


def first_of_each(ids: pd.Series) -> pd.Series:
    """Which rows are the first of their id, where a list has shown a record twice; one without an id is no copy of another."""
    return ~ids.duplicated() | ids.isna()


def newest_first(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows by ``created_at``, the newest first; those of one instant by their id, so that the order does not depend on where they came from."""
    if not frame["created_at"].is_unique:
        frame = frame.sort_values(key, kind="stable")
    return frame.sort_values("created_at", ascending=False, kind="stable", ignore_index=True)


def archive_note(kind: str, ids: pd.Series[str], read: Collection[str], *, busy: bool) -> dict[str, Any]:
    """What ``attrs["archive"]`` says: how many rows came from where, and what may have been missed."""
    fresh = int(ids.isin(list(read)).sum())
    note = f"{_BUSY}." if busy else f"{_SETTLED[kind]}. {_ALL}." if fresh < len(ids) else "All was read from the API."
    return {"rows_from_archive": len(ids) - fresh, "rows_from_api": fresh, "note": note}
