"""What a row names: accounts, as ``platform:@username`` instead of their ids, and media."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.arguments import near
from voxops._support.eventloop import all_or_none
from voxops.api.error_bodies import says_absent
from voxops.api.reasons import Reason
from voxops.api.states import account_spelling
from voxops.errors import AuthError, NotFoundError, ValidationError
from voxops.frames.records import Columns

if TYPE_CHECKING:
    from voxops.client import AsyncClient


class AccountNames(dict[str, str]):
    """``platform:@username`` and ``platform:@id`` -> account id, as `account_spelling` spells them.

    A name that several accounts of a platform share is not a key; ``platform:id`` names each of them. A disconnected account yields to
    a connected one of the same name.

    Parameters
    ----------
    accounts : pandas.DataFrame, optional
        From `list_accounts`. No id is called unknown unless these are all.
    checks : mapping, optional
        Account id -> ``works check_message`` of its last check.

    Attributes
    ----------
    listed : dict
        Id -> the row of an account: ``platform username status scope_status scope_message``, ``""`` for what the API left out.
    bearers : dict
        Name -> the ids of all accounts with this name, also disconnected ones.
    """

    def __init__(
        self, accounts: pd.DataFrame | None = None, checks: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.listed: dict[str, Any] = {}
        self.bearers: dict[str, list[str]] = {}
        self._whole, self._checks = accounts is not None and accounts.attrs["whole"], checks or {}
        if accounts is not None:
            rows = accounts[["account_id", "platform", "username", "status", "scope_status", "scope_message"]]
            self.listed = {str(row.account_id): row for row in rows.fillna("").itertuples()}
        for account, row in sorted(self.listed.items()):
            for name in {account_spelling(f"{row.platform}:{name}") for name in (row.username, account)}:
                self.bearers.setdefault(name, []).append(account)
        super().__init__((name, ids[0]) for name in self.bearers if len(ids := self._meant(name)) == 1)

    def _meant(self, name: str) -> list[str]:
        """Return the accounts that a name may mean."""
        ids = self.bearers.get(account_spelling(name), [])
        return [account for account in ids if self.listed[account].status != "disconnected"] or ids

    def lacking(self, accounts: Iterable[str]) -> list[str]:
        """Return the ids of no account of the workspace, as far as all are known."""
        return [account for account in accounts if self._whole and account not in self.listed]

    def platform(self, account: str) -> str:
        """Return the platform of an account by its id; ``""`` for one that is not listed."""
        return str(self.listed[account].platform) if account in self.listed else ""

    def why_not(self, account: str) -> Reason | None:
        """Return why an account, by its id, can't publish; None if nothing is known against it."""
        status = self.listed[account].status if account in self.listed else ""
        shown, last = self.called(account), self._checks.get(account, {})
        if status not in {"active", ""}:
            return Reason("account_not_active", account=shown, status=status)
        if last.get("works") is False:
            return Reason("account_check_failed", account=shown, message=last["check_message"] or "no reason")
        return None

    def called(self, account: str) -> str:
        """Return the name of an account by its id; the id of one that is not listed."""
        username = self.listed[account].username if account in self.listed else ""
        return f"{self.platform(account)}:@{username.lstrip('@')}" if username else account

    def unknown(self, accounts: Sequence[str]) -> str:
        """Return the error for names or ids of no single account, with a suggestion for the first one."""
        first, shared = accounts[0], self._meant(accounts[0])
        if shared:
            named = (f"{self.platform(id_)}:{id_} ({self.listed[id_].status or 'of unknown status'})" for id_ in shared)
            return f"{len(shared)} accounts are called {first}; write which is meant: {', '.join(named)}"
        meant = near(first, [*self, *self.listed])
        hint = f"; did you mean {meant}?" if meant else ""
        return f"no account {', '.join(accounts)} in this workspace{hint}"


async def list_accounts(client: AsyncClient) -> pd.DataFrame:
    """Load the accounts of the API, also disconnected ones; ``attrs["whole"]`` tells whether it said that these are all."""
    columns, whole = Columns("accounts"), False
    async for page in client.accounts.list(status="all").pages():  # else the API leaves disconnected ones out
        columns.extend(page.records)
        whole = page.says_more
    return columns.frame(whole=whole)


async def media_statuses(client: AsyncClient, media: Iterable[str]) -> dict[str, str | None] | None:
    """Return the status of each media, None for one that does not exist; None if this key may not read media."""

    async def status(media_id: str) -> str | None:
        try:
            return str((await client.media.get(media_id)).get("status") or "").lower()
        except NotFoundError as error:
            return None if says_absent(error) else ""
        except ValidationError:  # a malformed id is refused before it is looked up
            return None

    names = list(media)
    try:
        return dict(zip(names, await all_or_none(map(status, names)), strict=True))
    except AuthError:
        return None


def why_not_attached(media: str, status: str | None) -> Reason | None:
    """Return why a media of this status can't be attached; None if nothing is known against it."""
    if status is None:
        return Reason("media_unknown", value=media[:60])
    return None if status in {"ready", ""} else Reason("media_not_ready", value=media[:60], status=status)
