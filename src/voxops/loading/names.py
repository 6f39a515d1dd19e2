"""What a row names: accounts, as ``platform:@username`` instead of their ids, and media."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voxops._support.arguments import near
from voxops._support.eventloop import all_or_none
from voxops.api.error_bodies import says_absent
from voxops.api.reasons import Reason
from voxops.api.states import account_spelling
from voxops.errors import AuthError, NotFoundError, ValidationError

if TYPE_CHECKING:
    from voxops.client import AsyncClient


UNKNOWN = "of unknown status"


class AccountNames(Mapping[str, str]):
    """``platform:@username`` -> account id, ignoring case, with or without the ``@``.

    A name that several accounts of a platform share is not a key; ``platform:id`` names each of them. A disconnected account yields to
    a connected one of the same name.

    Parameters
    ----------
    accounts : iterable of (str, str, str, str)
        Platform, username, id and status of each account.
    whole : bool
        Whether the API said that these are all; else no id is called unknown.
    checks : mapping, optional
        Account id -> ``works check_message`` of its last check.

    Attributes
    ----------
    shared : dict
        Name -> id and status of the accounts that share it.
    listed : dict
        Id -> platform, username and status of each account.
    """

    def __init__(
        self,
        accounts: Iterable[tuple[str, str, str, str]],
        *,
        whole: bool = False,
        checks: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        every: dict[str, dict[str, str]] = {}
        self.listed: dict[str, tuple[str, str, str]] = {}
        for platform, username, account, status in accounts:
            self.listed[account] = platform.lower(), username, status
            for name in (username, account):
                every.setdefault(account_spelling(f"{platform}:{name}"), {})[account] = status
        found = {
            name: {id_: status for id_, status in ids.items() if status != "disconnected"} or ids
            for name, ids in every.items()
        }
        self._every, self._whole, self._checks = every, whole, checks or {}
        self._ids = {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}
        self.shared: dict[str, list[tuple[str, str]]] = {
            name: sorted(ids.items()) for name, ids in found.items() if len(ids) > 1
        }

    def __getitem__(self, name: str) -> str:
        return self._ids[account_spelling(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def bearing(self, name: str) -> list[str]:
        """Return the ids of all accounts with this name, also disconnected ones."""
        return sorted(self._every.get(account_spelling(name), ()))

    def lacking(self, accounts: Iterable[str]) -> list[str]:
        """Return the ids of no account of the workspace, as far as all are known."""
        return [account for account in accounts if self._whole and account not in self.listed]

    def why_not(self, account: str, name: str = "") -> Reason | None:
        """Return why an account, by its id, can't publish, under the name that the reason shows; None if nothing is known against it."""
        *_, status = self.listed.get(account, ("", "", UNKNOWN))
        shown, last = name or self.called(account), self._checks.get(account, {})
        if status not in {"active", UNKNOWN}:
            return Reason("account_not_active", account=shown, status=status)
        if last.get("works") is False:
            return Reason("account_check_failed", account=shown, message=last["check_message"] or "no reason")
        return None

    def called(self, account: str) -> str:
        """Return the name of an account by its id; the id of one that is not listed."""
        platform, username, _ = self.listed.get(account, ("", "", ""))
        return f"{platform}:@{username.lstrip('@')}" if username else account


def no_account(names: Sequence[str], known: Iterable[str]) -> str:
    """Return the error for unknown account names, with a suggestion for the first one."""
    shared = known.shared.get(account_spelling(names[0])) if isinstance(known, AccountNames) else None
    if shared:
        platform = names[0].partition(":")[0]
        ids = ", ".join(f"{platform}:{account} ({status})" for account, status in shared)
        return f"{len(shared)} accounts are called {names[0]}; write which is meant: {ids}"
    meant = near(names[0], known)
    hint = f"; did you mean {meant}?" if meant else ""
    return f"no account {', '.join(names)} in this workspace{hint}"


async def account_names(client: AsyncClient, checks: Mapping[str, Mapping[str, Any]] | None = None) -> AccountNames:
    """Read platform, username, id and status of each account, also of disconnected ones."""
    accounts, whole = [], False
    async for page in client.accounts.list(status="all").pages():  # else the API leaves disconnected ones out
        whole = page.says_more
        accounts += [
            (
                str(record.get("platform") or "").lower(),
                str(record.get("username") or ""),
                str(record.get("id")),
                str(record.get("status") or UNKNOWN).lower(),
            )
            for record in page.records
        ]
    return AccountNames(accounts, whole=whole, checks=checks)


async def media_statuses(client: AsyncClient, media: Iterable[str]) -> dict[str, str | None] | None:
    """Return the status of each media, None for one that does not exist; None if this key may not read media."""

    async def status(one: str) -> str | None:
        try:
            return str((await client.media.get(one)).get("status") or "").lower()
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
