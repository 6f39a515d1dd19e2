"""Connected accounts (rows 17-23 of the matrix)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from voxops.api import limits
from voxops.api.assumptions import CONNECT_RETURN
from voxops.client import _checks as checks
from voxops.client._caller import Caller, path, present
from voxops.client._handles import Handle
from voxops.client._pages import Page
from voxops.client._reply import single

__all__ = ["Accounts"]


class Accounts:
    """Social accounts that the workspace may post to."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(
        self,
        *,
        status: str | None = None,
        platform: str | None = None,
        include_archived: bool = False,
        page_size: int = limits.PAGE_RECORDS,
    ) -> AsyncIterator[Page]:
        """Read accounts page by page.

        Parameters
        ----------
        status : str, optional
            ``active inactive error disconnected all``; by default the API omits disconnected ones.
        platform : str, optional
            One platform.
        include_archived : bool
            Include archived ones; the API ignores it if `status` is given.
        page_size : int
            Accounts per page.

        Returns
        -------
        async iterator of Page
        """
        query = present(
            status=status, platform=platform, limit=page_size, includeArchived=True if include_archived else None
        )
        return self._caller.pages("/v1/accounts", query)

    async def get(self, account_id: str) -> dict[str, Any]:
        """Read one account."""
        return single(await self._caller.request("GET", path("accounts", account_id)))

    async def pages(self, account_id: str) -> Any:
        """Read the pages that an account may post to, as the API sends them."""
        return (await self._caller.request("GET", path("accounts", account_id, "pages"))).data

    async def connect(
        self, platform: str, return_url: str | None = None, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Start to connect an account (row 17).

        Parameters
        ----------
        platform : str
            Such as ``linkedin``.
        return_url : str, optional
            Address that the browser returns to.
        idempotency_key : str, optional
            Pass the same key to repeat the same request.

        Returns
        -------
        dict
            ``state``, and the address at which the account's owner consents: ``authUrl``, ``authorizationUrl`` or ``url``.
        """
        body = None if return_url is None else {CONNECT_RETURN: return_url}
        where = path("accounts", "connect", checks.check_id("platform", platform).lower())
        return single(await self._caller.request("POST", where, json=body, idempotency_key=idempotency_key))

    async def callback(self, platform: str, code: str, state: str) -> dict[str, Any]:
        """Finish connecting an account (row 18): never sent again, because a code can't be replayed.

        After a TransportError or ServerError, check `list` before you connect again.
        """
        where = path("accounts", "callback", checks.check_id("platform", platform).lower())
        return single(await self._caller.request("POST", where, json={"code": code, "state": state}))

    async def delete(self, account_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Disconnect an account (row 19); ``{}`` if the answer has no body."""
        where = path("accounts", account_id)
        return single(await self._caller.request("DELETE", where, idempotency_key=idempotency_key))

    async def refresh(self, account_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Refresh an account's token (row 20); ``success`` says whether it worked."""
        return await self._act(account_id, "refresh", None, idempotency_key)

    async def test(self, account_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Test an account (row 21); ``success`` reports its health, the HTTP status does not."""
        return await self._act(account_id, "test", None, idempotency_key)

    async def select_page(
        self, account_id: str, page_id: str, page_name: str | None = None, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Select the page that an account posts to (row 22); an empty `page_id` clears the selection."""
        if not isinstance(page_id, str):
            checks.refuse("pageId", 'takes a text; "" clears the selection')
        return await self._act(account_id, "select-page", present(pageId=page_id, pageName=page_name), idempotency_key)

    async def backfill(
        self, account_id: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Handle:
        """Backfill an account's analytics (row 23, asynchronous); the body passes through."""
        where = path("accounts", account_id, "backfill")
        reply = await self._caller.request("POST", where, json=body, idempotency_key=idempotency_key)
        return Handle(account_id, "account", single(reply), accepted_at=reply.date, caller=self._caller)

    async def _act(
        self, account_id: str, verb: str, body: Mapping[str, Any] | None, idempotency_key: str | None
    ) -> dict[str, Any]:
        where = path("accounts", account_id, verb)
        return single(await self._caller.request("POST", where, json=body, idempotency_key=idempotency_key))
