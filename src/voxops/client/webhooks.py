"""Webhooks and their deliveries (rows 34-39 of the matrix)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from voxops.api import limits
from voxops.api.assumptions import DELIVERIES_QUERY, deliveries_path
from voxops.client import _checks as checks
from voxops.client._caller import Caller, path, present
from voxops.client._handles import Handle, before_act, read_delivery
from voxops.client._pages import Page
from voxops.client._reply import single

__all__ = ["Webhooks"]


class Webhooks:
    """Webhooks of the workspace, and their delivery history."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, page_size: int = limits.PAGE_RECORDS) -> AsyncIterator[Page]:
        """Read webhooks page by page."""
        return self._caller.pages("/v1/webhooks", {"limit": page_size})

    async def get(self, webhook_id: str) -> dict[str, Any]:
        """Read one webhook."""
        return single(await self._caller.request("GET", path("webhooks", webhook_id)))

    async def create(self, url: str, events: Sequence[str], *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Create a webhook (row 34).

        Parameters
        ----------
        url : str
            Address that receives the events.
        events : sequence of str
            Such as ``post.failed``; ``*`` for all.
        idempotency_key : str, optional
            Pass the same key to repeat the same request.

        Returns
        -------
        dict
            The webhook with its ``secret``, which no later read returns: store it, and don't print it.
        """
        body = {"url": _address(url), "events": _events(events)}
        return single(await self._caller.request("POST", "/v1/webhooks", json=body, idempotency_key=idempotency_key))

    async def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        enabled: bool | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Update a webhook (row 35) and return it; None leaves a field unchanged."""
        body = present(
            url=None if url is None else _address(url),
            events=None if events is None else _events(events),
            enabled=enabled,
        )
        if not body:
            checks.refuse("webhook", "nothing to change")
        where = path("webhooks", webhook_id)
        return single(await self._caller.request("PATCH", where, json=body, idempotency_key=idempotency_key))

    async def delete(self, webhook_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Delete a webhook (row 36); ``{}`` if the answer has no body."""
        where = path("webhooks", webhook_id)
        return single(await self._caller.request("DELETE", where, idempotency_key=idempotency_key))

    async def rotate_secret(self, webhook_id: str) -> dict[str, Any]:
        """Replace a webhook's secret (row 37): never sent again, because each call changes it.

        After a TransportError or ServerError the valid secret is unknown: rotate it once more by hand.
        """
        return single(await self._caller.request("POST", path("webhooks", webhook_id, "rotate-secret")))

    async def test(self, webhook_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Send a test event to an enabled webhook (row 38); the delivery's ``success`` says whether it was accepted."""
        body = {"webhookId": checks.check_id("webhookId", webhook_id)}
        where = "/v1/webhooks/test"
        return single(await self._caller.request("POST", where, json=body, idempotency_key=idempotency_key))

    def deliveries(
        self,
        webhook_id: str,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        event_type: str | None = None,
        success: bool | None = None,
        page_size: int = limits.PAGE_RECORDS,
    ) -> AsyncIterator[Page]:
        """Read a webhook's delivery history page by page, newest first (assumed).

        Parameters
        ----------
        webhook_id : str
            Id of the webhook.
        since, until : datetime or ISO text, optional
            With an offset.
        event_type : str, optional
            Such as ``post.failed``.
        success : bool, optional
            Only delivered, or only failed ones.
        page_size : int
            Deliveries per page, 1 to 100.

        Returns
        -------
        async iterator of Page
        """
        filters = present(
            since=None if since is None else checks.instant("since", since),
            until=None if until is None else checks.instant("until", until),
            event_type=event_type,
            success=success,
            limit=page_size,
        )
        query = {DELIVERIES_QUERY[name]: value for name, value in filters.items()}
        return self._caller.pages(deliveries_path(checks.check_id("id", webhook_id)), query)

    async def retry_delivery(self, webhook_id: str, delivery_id: str, *, idempotency_key: str | None = None) -> Handle:
        """Queue a delivery again (row 39, asynchronous). Only ``ws.run`` prevents duplicates.

        The delivery is read first, in a search from the newest one: only a change shows that it was tried again.
        """
        before = await before_act(read_delivery(self._caller, webhook_id, delivery_id))
        where = path("webhooks", webhook_id, "deliveries", delivery_id, "retry")
        reply = await self._caller.request("POST", where, idempotency_key=idempotency_key)
        return Handle(
            delivery_id,
            "delivery",
            single(reply),
            webhook_id,
            accepted_at=reply.date,
            before=before,
            caller=self._caller,
        )


def _address(url: str) -> str:
    """Require an http or https address; the API decides whether it accepts plain http."""
    if not isinstance(url, str) or not url.lower().startswith(("https://", "http://")):
        checks.refuse("url", "must be an http or https address")
    return url


def _events(events: Sequence[str]) -> list[str]:
    checks.check_event_names(events)
    return [*events]
