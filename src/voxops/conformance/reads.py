"""What can be said of the rows by reading alone: whether the things that they act on can be listed, read and followed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from voxops.api.assumptions import polled_status
from voxops.api.matrix import MATRIX, Endpoint, polled
from voxops.client import AsyncClient, Page
from voxops.conformance.findings import Finding
from voxops.errors import VoxopsError
from voxops.frames import SCHEMAS, build

__all__ = ["read_rows"]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One thing of a kind, as listed and as read by itself."""

    listed: dict[str, Any] | None = None
    record: dict[str, Any] | None = None
    differs: tuple[str, ...] = ()


async def read_rows(client: AsyncClient) -> list[Finding]:
    """Look at every row by reads alone; nothing is sent that could change anything.

    Returns
    -------
    list of Finding
        A row is well if a thing of its group is listed, reads the same by itself, and, for an asynchronous row, has the status that
        tells how it ended. It is not looked at if the workspace has no such thing.
    """
    known = {
        "posts": await _reading(client.posts.list(status="all"), client.posts.get, "posts"),
        "accounts": await _reading(client.accounts.list(status="all"), client.accounts.get, "accounts"),
        "media": await _reading(client.media.list(), client.media.get, None),
        "webhooks": await _reading(client.webhooks.list(), client.webhooks.get, "webhooks"),
    }
    known["deliveries"] = await _deliveries(client, known["webhooks"])
    return [_finding(row, known["deliveries" if polled(row) == "delivery" else row.group]) for row in MATRIX]


async def _reading(
    pages: AsyncIterator[Page], get: Callable[[str], Awaitable[dict[str, Any]]], kind: str | None
) -> _Reading:
    """Read the first thing of a list, and that thing by itself."""
    try:
        listed = await _first(pages)
        if listed is None:
            return _Reading()
        record = await get(str(listed.get("id")))
    except VoxopsError as error:
        return _Reading(differs=(str(error),))
    differs = []
    if record.get("id") != listed.get("id"):
        differs.append(f"{listed.get('id')} reads as {record.get('id')}")
    if kind is not None:
        differs += _columns(kind, [listed, record])
    return _Reading(listed, record, tuple(differs))


async def _deliveries(client: AsyncClient, webhooks: _Reading) -> _Reading:
    """Read the newest delivery of the first webhook."""
    if webhooks.listed is None:
        return _Reading(differs=webhooks.differs)
    try:
        listed = await _first(client.webhooks.deliveries(str(webhooks.listed.get("id"))))
    except VoxopsError as error:
        return _Reading(differs=(str(error),))
    return _Reading(listed, listed, tuple(_columns("deliveries", [listed]))) if listed is not None else _Reading()


async def _first(pages: AsyncIterator[Page]) -> dict[str, Any] | None:
    """The first record of a list."""
    async for page in pages:
        if page.records:
            return page.records[0]
    return None


def _columns(kind: str, records: list[dict[str, Any]]) -> list[str]:
    """What the frame of these records lacks: its id, or a value that could not be read."""
    frame = build(kind, records)
    id_column = SCHEMAS[kind][0].name
    lacking = [f"no {id_column}"] if frame[id_column].isna().any() else []
    return lacking + [f"{count} values of {column} can't be read" for column, count in frame.attrs["unread"].items()]


def _finding(row: Endpoint, reading: _Reading) -> Finding:
    """What a reading says of a row."""
    if reading.differs:
        return Finding(row, reading.differs)
    if reading.record is None:
        return Finding(row, untried=f"the workspace has no {row.group} to read")
    kind = polled(row)
    if kind == "delivery":
        missing = [name for name in ("success", "retryCount") if name not in reading.record]
        return Finding(row, tuple(f"a delivery has no {name} to follow it by" for name in missing))
    # An account without a backfill has no status of one yet.
    if kind is not None and kind != "account" and not polled_status(kind, reading.record):
        return Finding(row, (f"a {kind} has no status to follow it by",))
    return Finding(row)
