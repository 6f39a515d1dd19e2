"""The part of a client that methods use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from voxops.client._pages import Page
from voxops.client._reply import Reply
from voxops.client._upload import Storage
from voxops.model import Clock


class Caller(Protocol):
    """Sends requests; `AsyncClient` is one."""

    clock: Clock
    storage: Storage

    def now(self) -> datetime:
        """Return the server's time."""

    @property
    def request(self) -> Callable[..., Awaitable[Reply]]:
        """Send a request, with retries where its row allows."""

    async def raw(self, method: str, path: str) -> Reply:
        """Send a request once."""

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> AsyncIterator[Page[dict[str, Any]]]:
        """Read a list."""
