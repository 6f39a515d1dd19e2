"""The part of a client that typed methods use, and how their paths are built."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

from voxops.api.assumptions import BULK_READ_STATUSES
from voxops.client._checks import check_id
from voxops.client._pages import Page
from voxops.client._reply import Reply
from voxops.model import Clock

__all__ = ["Caller", "path", "present", "send_many"]


class Caller(Protocol):
    """Sends requests; `AsyncClient` is one."""

    clock: Clock

    def now(self) -> datetime:
        """The server's time."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotency_key: str | None = None,
        version: str | None = None,
        accept: Collection[int] = (),
    ) -> Reply:
        """Send a request, with retries where its row allows."""

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotency_key: str | None = None,
    ) -> Reply:
        """Send a request once."""

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Page]:
        """Read a list."""


def path(group: str, *parts: str) -> str:
    """Return a path under ``/v1``; each part is escaped into one segment."""
    return "/".join(["/v1", group, *(quote(check_id("id", part), safe="") for part in parts)])


def present(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


async def send_many(caller: Caller, where: str, body: Mapping[str, Any], key: str | None) -> Reply:
    """Send many items in one request; the answer has an outcome per item, whatever its HTTP status."""
    return await caller.request("POST", where, json=body, idempotency_key=key, accept=BULK_READ_STATUSES)
