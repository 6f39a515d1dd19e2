"""The accounts with their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.arguments import list_of_text, true_or_false
from voxops._support.eventloop import all_or_none
from voxops.analysis.triage import triage
from voxops.api.reasons import Reason
from voxops.errors import ApiError, AuthError, DecodeError, PlanError, TransportError, WaitTooLong
from voxops.frames.checks import need, plain_values, table_of
from voxops.frames.schemas import STRING_DTYPE, to_bool
from voxops.frames.times import TIME_DTYPE
from voxops.loading.filters import Words
from voxops.loading.loader import WAITING, Loader, load_targets
from voxops.model import Verdict

if TYPE_CHECKING:
    from voxops.client import AsyncClient


# The share of failures, and the least number of recent targets, from which an account is failing.
SHARE_FAILING, FEWEST_TRIED = 0.5, 3
# Verdicts about the post, not the account.
_THE_POSTS_OWN = frozenset({Verdict.FIX_CONTENT, Verdict.FIX_MEDIA})
_LISTED = (
    "account_id",
    "platform",
    "username",
    "status",
    "scope_status",
    "scope_message",
)  # columns of the API's list of accounts
_DTYPES = {
    **dict.fromkeys(("tried", "failed", "scheduled"), "Int64"), **dict.fromkeys(("works", "refreshed"), "boolean"), "failure_share": "Float64",
    **dict.fromkeys(("checked_at", "last_failed_at", "next_at"), TIME_DTYPE),
}  # fmt: skip


def _dtypes(columns: str) -> dict[str, Any]:
    return {name: _DTYPES.get(name, STRING_DTYPE) for name in columns.split()}


_CHECKED = ("refreshed", "verdict")  # further columns of tried accounts
_BOARD = _dtypes(
    f"{' '.join(_LISTED)} checked_at works check_message tried failed failure_share commonest_cause last_failed_at scheduled next_at "
    f"risk why remedy {' '.join(_CHECKED)}"
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
    blamed = judged[~judged["verdict"].isin(list(_THE_POSTS_OWN))]["account_id"].value_counts()
    counts = {"tried": ended, "failed": judged, "scheduled": waiting}
    figures = {
        "commonest_cause": judged.dropna(subset="cause")
        .groupby("account_id")["cause"]
        .agg(lambda each: each.mode()[0]),
        "last_failed_at": judged.groupby("account_id")["updated_at"].max(),
        "next_at": waiting.groupby("account_id")["scheduled_for"].min(),
    }
    rows = []
    for row in accounts.to_dict("records"):
        account = str(row["account_id"])
        line = {name: row.get(name) for name in _LISTED} | dict(checks.get(account, {}))
        line |= {name: int((frame["account_id"] == account).sum()) for name, frame in counts.items()}
        line |= {name: series.get(account) for name, series in figures.items()}
        line["failure_share"] = line["failed"] / line["tried"] if line["tried"] else None
        risk, why, remedy = _risk(line, int(blamed.get(account, 0)))
        rows.append(line | {"risk": risk, "why": why and str(why), "remedy": remedy and str(remedy)})
    return table_of(rows, _BOARD)


def _risk(line: Mapping[str, Any], blamed: int) -> tuple[str | None, Reason | None, Reason | None]:
    """Return the risk of an account, why, and the remedy; None for no sign of one."""
    status = "" if pd.isna(line["status"]) else str(line["status"])
    if status and status != "active":
        why = Reason("account_status", status=status)
        return status, why, Reason("reconnect_account")
    if line.get("works") is False:
        why = Reason("check_failed", message=line["check_message"] or "no reason")
        return "failing", why, Reason("reconnect_and_retry")
    if not pd.isna(line["scope_status"]) and str(line["scope_status"]) == "degraded":
        message = line["scope_message"]
        if pd.isna(message):
            return "degraded", Reason("account_lacks_permissions"), Reason("grant_permissions")
        return "degraded", Reason("account_lacks_permissions_as_told", message=message), Reason("grant_permissions")
    if line["tried"] >= FEWEST_TRIED and blamed >= SHARE_FAILING * line["tried"]:
        why = Reason("targets_failed", failed=blamed, tried=line["tried"])
        return "failing", why, Reason("look_at_failures")
    return None, None, Reason("try_later") if line.get("verdict") == Verdict.SUPPORT else None


def chosen_accounts(known: pd.DataFrame, account: pd.DataFrame | Words) -> pd.DataFrame:
    """Return the accounts with these ids, all without ids."""
    if account is None:
        return known
    if isinstance(account, pd.DataFrame):
        need(account, ["account_id"], "account= needs account_id", "Use ws.accounts() or vx.targets(posts).")
        wanted = [str(value) for value in plain_values(account, "account_id") if value is not None]
    else:
        wanted = list_of_text("account", account)
    unknown = sorted(set(wanted) - set(known["account_id"]))
    if unknown:
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
        Account id -> ``checked_at refreshed works check_message verdict``.
    """
    lines = await all_or_none(_check(client, account, refresh=refresh) for account in accounts)
    return dict(zip(accounts, lines, strict=True))


async def _check(client: AsyncClient, account: str, *, refresh: bool) -> dict[str, Any]:
    """Return whether one account was refreshed and works, None if unknown, and the API's message."""
    refreshed = None
    if refresh:
        answer, why = await _answer(client.accounts.refresh(account))
        refreshed = None if why else to_bool(answer.get("success"))
    answer, why = await _answer(client.accounts.test(account))
    works = None if why else to_bool(answer.get("success"))
    verdict = Verdict.SUPPORT if works is None else Verdict.NOTHING if works else Verdict.RECONNECT
    message = why or str(answer.get("message") or "")
    return {
        "checked_at": client.now(), "refreshed": refreshed, "works": works, "check_message": message, "verdict": str(verdict),
    }  # fmt: skip


async def _answer(call: Any) -> tuple[dict[str, Any], str]:
    """Return the response to a call, or its error. A refused key or a too long pause affects every account and is raised."""
    try:
        return (await call).record, ""
    except (AuthError, WaitTooLong):
        raise
    except (ApiError, TransportError, DecodeError) as error:
        return {}, str(error)


RECENT = timedelta(days=7)  # the period in which failures of an account are counted
_CREATED = timedelta(days=30)  # older posts are not searched for: lists are in order of creation


class BoardLoader(Loader):
    """Loads the board of accounts; see `Loader`."""

    async def accounts(
        self, account: pd.DataFrame | Words = None, *, check: bool = False, refresh: bool = True
    ) -> pd.DataFrame:
        """Load the accounts, also disconnected ones, with their status, last check and failures.

        At least six requests: one for every 100 accounts, and for every 100 posts that are ``scheduled`` or ``approved``, or that
        were created within thirty days and are ``published``, ``partial`` or ``failed``.

        Parameters
        ----------
        account : DataFrame, str or list of str, optional
            Which accounts: ids, or a frame with ``account_id``, such as triaged rows whose verdict is to reconnect. By default all.
        check : bool
            True first tries each account, after its token was renewed (matrix rows 20 and 21): **these are writes**, two requests per
            account, though nothing is posted. By default only connected accounts are tried. Later boards of this
            workspace include the outcome.
        refresh : bool
            False tries accounts without renewing their tokens.

        Returns
        -------
        pandas.DataFrame
            One row per account: ``account_id platform username status scope_status scope_message`` (string), ``checked_at``
            (datetime64[us, UTC]), ``works`` (boolean, NA if it could not be tried) and ``check_message`` (string, the API's) of the last
            check, missing before it; ``tried failed`` (Int64, targets that ended within seven days, of posts created within
            thirty), ``failure_share`` (Float64, 0 to 1), ``commonest_cause`` (string), ``last_failed_at``, ``scheduled`` (Int64,
            waiting targets), ``next_at``, and ``risk why remedy`` (string; missing without a risk): ``risk`` is the status of an account
            that is not ``active``, such as ``expired``; ``degraded`` (it lacks permissions); or ``failing`` (its last check failed, or
            half of at least three targets of the last seven days did, for reasons other than the post). With `check` also ``refreshed`` (boolean) and ``verdict`` (string: ``nothing to do``, ``reconnect account`` or ``ask support``).

        Raises
        ------
        PlanError
            If the frame has no account ids, or an id is not in this workspace.
        AuthError
            If the key may not do this.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> accounts = ws.accounts()
        >>> accounts.loc[accounts["status"] == "expired", "risk"].to_list()
        ['expired']
        >>> ws.accounts(check=True, refresh=False)["verdict"].value_counts().to_dict()
        {'nothing to do': 11, 'reconnect account': 1}
        """
        listed = await self.listed_accounts()
        chosen = chosen_accounts(listed, account)
        if true_or_false("check", check):
            tried = chosen if account is not None else chosen[chosen["status"] != "disconnected"]
            self._checks |= await check_up(self.client, list(tried["account_id"]), refresh=refresh)
            listed = await self.listed_accounts()  # a renewed token may have changed a status
        board = await self._board(listed[listed["account_id"].isin(chosen["account_id"])])
        filters = {} if account is None else {"account": list(chosen["account_id"]) or ()}
        table = board if check else board.drop(columns=[*_CHECKED])
        return self._described(table, "accounts", listed.attrs, filters)

    async def _board(self, accounts: pd.DataFrame) -> pd.DataFrame:
        """Return the board of these accounts."""
        now = pd.Timestamp(self.client.now())
        waiting = await load_targets(self.client, WAITING, "scheduled_for")
        ended = ("published", "partial", "failed")
        recent = await load_targets(self.client, ended, "updated_at", now - RECENT, oldest=now - _CREATED)
        return account_board(accounts, recent, waiting, self._checks)
