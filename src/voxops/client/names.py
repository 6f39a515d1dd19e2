"""Names of accounts: ``platform:@username`` for an account's id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from voxops._support.arguments import near
from voxops.api.limits import PAGE_RECORDS
from voxops.api.states import account_spelling

if TYPE_CHECKING:
    from voxops.client._client import AsyncClient

__all__ = ["AccountNames", "account_names", "no_account", "read_accounts"]


class AccountNames(Mapping[str, str]):
    """``platform:@username`` -> account id, in any case and with or without the ``@``.

    A name that several accounts of a platform share stands for none of them; each also goes by ``platform:id``.

    Parameters
    ----------
    accounts : iterable of (str, str, str, str)
        Platform, username, id and status of each account.

    Attributes
    ----------
    shared : dict
        Name -> the accounts that share it, as id and status.
    """

    def __init__(self, accounts: Iterable[tuple[str, str, str, str]]) -> None:
        found: dict[str, dict[str, str]] = {}
        for platform, username, account, status in accounts:
            for name in (username, account):
                found.setdefault(account_spelling(f"{platform}:{name}"), {})[account] = status
        self._ids = {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}
        self.shared = {name: sorted(ids.items()) for name, ids in found.items() if len(ids) > 1}

    def __getitem__(self, name: str) -> str:
        return self._ids[account_spelling(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def bearing(self, name: str) -> list[str]:
        """All accounts that a name may mean: one, none, or those that share it."""
        found = self._ids.get(account_spelling(name))
        return [found] if found else [account for account, _ in self.shared.get(account_spelling(name), ())]


def no_account(names: Sequence[str], known: Iterable[str]) -> str:
    """Say that accounts are none of the workspace, with what the first of them was likely to mean."""
    shared = known.shared.get(account_spelling(names[0])) if isinstance(known, AccountNames) else None
    if shared:
        platform = names[0].partition(":")[0]
        ids = ", ".join(f"{platform}:{account} ({status})" for account, status in shared)
        return f"{len(shared)} accounts are called {names[0]}; write which is meant: {ids}"
    meant = near(names[0], known)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"no account {', '.join(names)} in this workspace{hint}"


async def read_accounts(client: AsyncClient, *, disconnected: bool = False) -> list[tuple[str, str, str, str]]:
    """Read platform, username, id and status of each account.

    The API lists `disconnected` ones only where every status is asked for.
    """
    query = {"limit": PAGE_RECORDS} | ({"status": "all"} if disconnected else {})
    return [
        (
            str(record.get("platform") or "").lower(),
            str(record.get("username") or ""),
            str(record.get("id")),
            str(record.get("status") or "of unknown status").lower(),
        )
        async for page in client.pages("/v1/accounts", query)
        for record in page.records
    ]


async def account_names(client: AsyncClient, *, disconnected: bool = False) -> AccountNames:
    """Read the names of the workspace's accounts."""
    return AccountNames(await read_accounts(client, disconnected=disconnected))
