"""Which records of an archive may have changed since they were read: what is *open*; the rest is *settled*."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from voxops.archive._spans import Span
from voxops.archive._store import Store
from voxops.archive._table import SCHEMA, readable, to_frame
from voxops.frames import Columns
from voxops.model import IN_FLIGHT_STATUSES

__all__ = [
    "cheapest_reach",
    "count_deliveries",
    "held_deliveries",
    "held_posts",
    "last_read",
    "latest",
    "open_posts",
    "spans_read",
]

FINAL = ("published", "cancelled", "unpublished", "archived", "deleted")
ENDED = ("failed", "partial")
REOPENED_WITHIN = timedelta(days=30)  # how long a failed post counts as open: somebody may retry it
DELIVERED_WITHIN = timedelta(days=7)  # how long a delivery that failed counts as open


def last_read(state: Mapping[str, Any], kind: str) -> pd.Timestamp | None:
    """When the last pass over these began, as the state keeps it."""
    found = state.get("read_at", {}).get(kind) or state.get("synced_at")
    return None if found is None else pd.Timestamp(found)


def latest(state: Mapping[str, Any]) -> datetime | None:
    """When anything was read last."""
    times = [*state.get("read_at", {}).values(), *filter(None, [state.get("synced_at")])]
    return max(map(datetime.fromisoformat, times), default=None)


def spans_read(state: Mapping[str, Any], webhook: str) -> list[Span]:
    """What has been read of a webhook's history, as the state keeps it."""
    return [
        (datetime.fromisoformat(low), datetime.fromisoformat(high))
        for low, high in state["deliveries"].get(webhook, [])
    ]


def open_posts(held: pd.DataFrame, last: pd.Timestamp, acted: Collection[str]) -> pd.Series[bool]:
    """Which posts may have changed since they were read last."""
    status = held["status"].fillna("")
    old = held["updated_at"].fillna(held["created_at"]) < last - REOPENED_WITHIN
    mine = held["post_id"].isin(list(acted)) & (status != "deleted")
    return ~status.isin(FINAL) & ~(status.isin(ENDED) & old) | mine


def cheapest_reach(held: pd.DataFrame, opened: pd.DataFrame, now: pd.Timestamp, page: int) -> pd.Timestamp | None:
    """How far back a list of all posts is read for the fewest pages in all; None for what is new alone.

    Most open posts are still in the list of their status, which is short. Those whose time has come are not: they are looked for
    among all that were published, page by page, unless the list of all is read as far.
    """
    if opened.empty or opened["created_at"].isna().any():
        return None
    come = (opened["scheduled_for"] <= now) & ~opened["status"].isin(ENDED)
    due = opened[come | opened["status"].isin(IN_FLIGHT_STATUSES)]

    def pages(instant: pd.Timestamp) -> float:
        return float((held["created_at"] >= instant).sum()) / page

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


def held_posts(store: Store) -> pd.DataFrame:
    """Ids, states and times of the posts that an archive holds."""
    names = ["post_id", "status", "updated_at", "created_at", "scheduled_for"]
    with readable():
        parts = [pq.ParquetFile(path).read(names) for path in store.files("posts").values()]
    return _joined("posts", names, parts)


def held_deliveries(store: Store, last: pd.Timestamp, acted: Collection[str]) -> pd.DataFrame:
    """Which deliveries of an archive may have changed since they were read last; older days are looked through for ids only."""
    names, since = ["delivery_id", "webhook_id", "success", "created_at"], last - DELIVERED_WITHIN
    mine = pc.field("delivery_id").isin(pa.array(sorted(acted), pa.string()))
    failed = ~pc.coalesce(pc.field("success"), pc.scalar(False))
    young = pc.field("created_at") >= pa.scalar(since.to_pydatetime(), pa.timestamp("us", "UTC"))
    files = store.files("deliveries").items()
    parts = []
    for condition, paths in (
        ((failed & young) | mine, [str(path) for day, path in files if day >= f"{since:%Y-%m-%d}"]),
        (mine, [str(path) for day, path in files if day < f"{since:%Y-%m-%d}"] if acted else []),
    ):
        if paths:
            data = ds.dataset(paths, schema=SCHEMA["deliveries"], format="parquet")
            with readable():
                parts.append(data.to_table(columns=names, filter=condition))
    return _joined("deliveries", names, parts)


def count_deliveries(store: Store, webhook: str, span: Span) -> int:
    """How many deliveries of a webhook an archive holds that were created within a span."""
    low, high = (pa.scalar(when, pa.timestamp("us", "UTC")) for when in span)
    inside = (pc.field("created_at") >= low) & (pc.field("created_at") <= high) & (pc.field("webhook_id") == webhook)
    files = store.files("deliveries").items()
    paths = [str(path) for day, path in files if f"{span[0]:%Y-%m-%d}" <= day <= f"{span[1]:%Y-%m-%d}"]
    return (
        int(ds.dataset(paths, schema=SCHEMA["deliveries"], format="parquet").count_rows(filter=inside)) if paths else 0
    )


def _joined(kind: str, names: list[str], parts: Sequence[pa.Table]) -> pd.DataFrame:
    """Parts of a table as one frame."""
    return pd.concat(map(to_frame, parts), ignore_index=True) if parts else Columns(kind).frame()[names]
