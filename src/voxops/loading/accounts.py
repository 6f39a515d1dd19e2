"""The accounts with their state, and what a row names: accounts as ``platform:@username`` instead of their ids, and media."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.arguments import Words, list_of_text, near
from voxops._support.eventloop import all_or_none
from voxops.analysis.triage import triage
from voxops.api.error_bodies import says_absent
from voxops.api.reasons import Reason
from voxops.api.states import account_spelling
from voxops.errors import (
    ApiError,
    AuthError,
    DecodeError,
    NotFoundError,
    PlanError,
    TransportError,
    ValidationError,
    WaitTooLong,
)
from voxops.frames.checks import need, table_of
from voxops.frames.records import Columns
from voxops.frames.schemas import STRING_DTYPE, to_bool
from voxops.frames.times import TIME_DTYPE
from voxops.model import Verdict

if TYPE_CHECKING:
    from voxops.client import Answer, AsyncClient


# The share of failures, and the least number of recent targets, from which an account is failing.
SHARE_FAILING, FEWEST_TRIED = 0.5, 3
_OF_THE_POST = [Verdict.FIX_CONTENT, Verdict.FIX_MEDIA]  # verdicts about the post, not the account
CHECKED = ["refreshed", "verdict"]  # columns of accounts that were tried now
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("tried", "failed", "scheduled"), "Int64"), **dict.fromkeys(("works", "refreshed"), "boolean"),
    **dict.fromkeys(("checked_at", "last_failed_at", "next_at"), TIME_DTYPE), "failure_share": "Float64",
}  # fmt: skip
_BOARD = (
    "account_id platform username status scope_status scope_message checked_at works check_message tried failed failure_share "
    "commonest_cause last_failed_at scheduled next_at owners campaigns risk why remedy refreshed verdict"
)


def account_board(
    accounts: pd.DataFrame, recent: pd.DataFrame, waiting: pd.DataFrame, checks: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Build the board of accounts.

    Parameters
    ----------
    accounts : pandas.DataFrame
        As the API lists them.
    recent, waiting : pandas.DataFrame
        Recently ended targets, and waiting targets, from ``vx.targets``.
    checks : mapping
        Account id -> ``checked_at refreshed works check_message verdict`` of its last check.

    Returns
    -------
    pandas.DataFrame
        As in ``ws.accounts``, with the columns of tried accounts.
    """
    ended = recent[recent["status"].isin(["published", "failed"])]
    judged = triage(ended[ended["status"] == "failed"])
    blamed = judged[~judged["verdict"].isin(_OF_THE_POST)]
    tried, failed, faults, scheduled = (each["account_id"].value_counts() for each in (ended, judged, blamed, waiting))
    figures = {
        "commonest_cause": judged.dropna(subset="cause").groupby("account_id")["cause"].agg(lambda causes: causes.mode()[0]),
        "last_failed_at": judged.groupby("account_id")["updated_at"].max(),
        "next_at": waiting.groupby("account_id")["scheduled_for"].min(),
        **{f"{name}s": waiting.dropna(subset=name).groupby("account_id")[name].agg(lambda names: ", ".join(sorted(set(names))))
           for name in ("owner", "campaign") if name in waiting.columns},
    }  # fmt: skip
    rows = []
    for listed in accounts.astype(object).where(accounts.notna(), None).to_dict("records"):
        account = listed["account_id"]
        row: dict[Any, Any] = {**listed, **checks.get(account, {}), "scheduled": scheduled.get(account, 0)}
        row |= {name: series.get(account) for name, series in figures.items()}
        row |= {"tried": tried.get(account, 0), "failed": failed.get(account, 0)}
        row["failure_share"] = row["failed"] / row["tried"] if row["tried"] else None
        risk, why, remedy = _risk(row, faults.get(account, 0))
        rows.append(row | {"risk": risk, "why": why and str(why), "remedy": remedy and str(remedy)})
    return table_of(rows, dict.fromkeys(_BOARD.split(), STRING_DTYPE) | _TYPES)


def _risk(row: Mapping[str, Any], blamed: int) -> tuple[str | None, Reason | None, Reason | None]:
    """Return the risk of an account, why, and the remedy; None for no sign of one."""
    if row["status"] not in {"active", None}:
        return row["status"], Reason("account_status", status=row["status"]), Reason("reconnect_account")
    if row.get("works") is False:
        why = Reason("check_failed", message=row["check_message"] or "no reason")
        return "failing", why, Reason("reconnect_and_retry")
    if row["scope_status"] == "degraded":
        message = row["scope_message"]
        bare = Reason("account_lacks_permissions")
        why = Reason("account_lacks_permissions_as_told", message=message) if message else bare
        return "degraded", why, Reason("grant_permissions")
    if row["tried"] >= FEWEST_TRIED and blamed >= SHARE_FAILING * row["tried"]:
        return "failing", Reason("targets_failed", failed=blamed, tried=row["tried"]), Reason("look_at_failures")
    return None, None, Reason("try_later") if row.get("verdict") == Verdict.SUPPORT else None


def chosen_accounts(known: pd.DataFrame, account: pd.DataFrame | Words) -> pd.DataFrame:
    """Return the accounts with these ids, all without ids."""
    if account is None:
        return known
    if isinstance(account, pd.DataFrame):
        need(account, ["account_id"], "account= needs account_id", "Use ws.accounts() or vx.targets(posts).")
        account = account["account_id"].dropna().astype(str)
    wanted = list_of_text("account", account)
    if unknown := sorted(set(wanted).difference(known["account_id"])):
        raise PlanError(f"no account {', '.join(unknown[:3])} in this workspace; ws.accounts() lists them")
    return known[known["account_id"].isin(wanted)]


async def check_up(client: AsyncClient, accounts: Sequence[str], *, refresh: bool) -> dict[str, dict[str, Any]]:
    """Try accounts; an account that can't be tried does not stop the others.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    accounts : sequence of str
        Their ids.
    refresh : bool
        Let the API renew each token before the account is tried.

    Returns
    -------
    dict
        Account id -> ``checked_at refreshed works check_message verdict``: whether it was refreshed and works, None if unknown, and the
        API's message.
    """

    async def check(account: str) -> dict[str, Any]:
        refreshed = (await _succeeds(client.accounts.refresh(account)))[0] if refresh else None
        works, message = await _succeeds(client.accounts.test(account))
        verdict = Verdict.SUPPORT if works is None else Verdict.NOTHING if works else Verdict.RECONNECT
        return {
            "checked_at": client.now(), "refreshed": refreshed, "works": works, "check_message": message, "verdict": str(verdict),
        }  # fmt: skip

    return dict(zip(accounts, await all_or_none(map(check, accounts)), strict=True))


async def _succeeds(call: Awaitable[Answer]) -> tuple[bool | None, str]:
    """Return whether a call has succeeded, None for an error, and why. A refused key or a too long pause affects every account."""
    try:
        record = (await call).record
    except (AuthError, WaitTooLong):
        raise
    except (ApiError, TransportError, DecodeError) as error:
        return None, str(error)
    return to_bool(record.get("success")), str(record.get("message") or "")


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
