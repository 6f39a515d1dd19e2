"""Posts at risk: what is about to go out on an account that can't publish, or hardly; and the board of accounts it is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.arguments import list_of_text
from voxops._support.eventloop import all_or_none
from voxops.analysis.triage import triage
from voxops.api.limits import PAGE_RECORDS
from voxops.api.reasons import Reason
from voxops.errors import ApiError, AuthError, DecodeError, PlanError, TransportError, WaitTooLong
from voxops.frames.columns import need_columns, plain_values, table_of
from voxops.frames.records import Columns, read_posts, targets
from voxops.frames.schemas import FLAG, STRING_DTYPE, TEXT, to_bool
from voxops.frames.times import TIME_DTYPE, length, moment, within
from voxops.loading.filters import Words
from voxops.loading.loader import Loader, Settings, first_of_each
from voxops.model import Verdict

if TYPE_CHECKING:
    from voxops.client import AsyncClient


# From which share of failures, of at least how many targets of the last days, an account counts as failing.
SHARE_FAILING, FEWEST_TRIED = 0.5, 3
# What is wrong with the post and not with the account.
_THE_POSTS_OWN = frozenset({Verdict.FIX_CONTENT, Verdict.FIX_MEDIA})
_BOARD = {
    "account_id": STRING_DTYPE, "platform": STRING_DTYPE, "username": STRING_DTYPE, "status": STRING_DTYPE, "scope_status": STRING_DTYPE,
    "scope_message": STRING_DTYPE, "checked_at": TIME_DTYPE, "works": "boolean", "check_message": STRING_DTYPE, "tried": "Int64",
    "failed": "Int64", "failure_share": "Float64", "commonest_cause": STRING_DTYPE, "last_failed_at": TIME_DTYPE, "scheduled": "Int64",
    "next_at": TIME_DTYPE, "risk": STRING_DTYPE, "why": STRING_DTYPE, "remedy": STRING_DTYPE,
}  # fmt: skip
_RISK = {
    "post_id": STRING_DTYPE, "platform": STRING_DTYPE, "account_id": STRING_DTYPE, "account_name": STRING_DTYPE, "scheduled_for": TIME_DTYPE,
    "risk": STRING_DTYPE, "why": STRING_DTYPE, "remedy": STRING_DTYPE, "account_status": STRING_DTYPE, "failure_share": "Float64",
    "content": STRING_DTYPE, "post_status": STRING_DTYPE, "updated_at": TIME_DTYPE,
}  # fmt: skip
_RECONNECT = Reason("reconnect_account")  # for any other risk, which is the account's status
_REMEDIES = {
    "degraded": Reason("grant_permissions"),
    "failing": Reason("look_at_failures"),
    "not_listed": Reason("choose_another_account"),
}


def account_board(
    accounts: pd.DataFrame, recent: pd.DataFrame, waiting: pd.DataFrame, checks: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Put together what is known of each account.

    Parameters
    ----------
    accounts : pandas.DataFrame
        From ``ws.accounts()``.
    recent, waiting : pandas.DataFrame
        Targets of the last days that ended, and targets that are about to go out, from ``vx.targets``.
    checks : mapping
        Account id -> ``checked_at works message`` of its last check.

    Returns
    -------
    pandas.DataFrame
        As ``ws.account_board`` describes it.
    """
    ended = recent[recent["status"].isin(["published", "failed"])]
    judged = triage(ended[ended["status"] == "failed"])
    tried, failed = ended["account_id"].value_counts(), judged["account_id"].value_counts()
    blamed = judged.loc[~judged["verdict"].isin(list(_THE_POSTS_OWN)), "account_id"].value_counts()
    last = judged.groupby("account_id")["updated_at"].max()
    common = {
        name: causes.value_counts().index[0]
        for name, causes in judged.groupby("account_id")["cause"]
        if len(causes.dropna())
    }
    coming, soonest = waiting["account_id"].value_counts(), waiting.groupby("account_id")["scheduled_for"].min()
    rows = []
    for row in accounts.to_dict("records"):
        account = str(row["account_id"])
        check = checks.get(account, {})
        count, bad = int(tried.get(account, 0)), int(failed.get(account, 0))
        line = {
            **{name: row.get(name) for name in ("account_id", "platform", "username", "status", "scope_status", "scope_message")},
            "checked_at": check.get("checked_at"), "works": check.get("works"), "check_message": check.get("message"),
            "tried": count, "failed": bad, "failure_share": bad / count if count else None, "commonest_cause": common.get(account),
            "last_failed_at": last.get(account), "scheduled": int(coming.get(account, 0)), "next_at": soonest.get(account),
        }  # fmt: skip
        risk, why = _risk(line, int(blamed.get(account, 0)))
        rows.append({**line, **_said(risk, why)})
    return table_of(rows, _BOARD)


def _said(risk: str | None, why: Reason | None) -> dict[str, str | None]:
    """The code of a risk, and in words why it is one and what to do."""
    if risk is None:
        return {"risk": None, "why": None, "remedy": None}
    return {"risk": risk, "why": str(why), "remedy": str(_REMEDIES.get(risk, _RECONNECT))}


def _risk(line: Mapping[str, Any], blamed: int) -> tuple[str | None, Reason | None]:
    """What may keep an account from publishing; None where nothing shows."""
    status = "" if pd.isna(line["status"]) else str(line["status"])
    if status and status != "active":
        return status, Reason("account_not_active", status=status)
    if line["works"] is False:
        return "failing", Reason("check_failed", message=line["check_message"] or "no reason")
    if not pd.isna(line["scope_status"]) and str(line["scope_status"]) == "degraded":
        message = line["scope_message"]
        if pd.isna(message):
            return "degraded", Reason("account_lacks_permissions")
        return "degraded", Reason("account_lacks_permissions_as_told", message=message)
    if line["tried"] >= FEWEST_TRIED and blamed >= SHARE_FAILING * line["tried"]:
        return "failing", Reason("targets_failed", failed=blamed, tried=line["tried"])
    return None, None


def at_risk(waiting: pd.DataFrame, board: pd.DataFrame) -> pd.DataFrame:
    """Targets that are about to go out on an account at risk, the next one first.

    Parameters
    ----------
    waiting : pandas.DataFrame
        Targets that are about to go out, from ``vx.targets``.
    board : pandas.DataFrame
        From `account_board`.

    Returns
    -------
    pandas.DataFrame
        As ``ws.at_risk`` describes it.
    """
    known = {str(row["account_id"]): row for row in board.to_dict("records")}
    rows = []
    for row in waiting.to_dict("records"):
        if pd.isna(row["account_id"]):
            continue
        account = known.get(str(row["account_id"]))
        if account is None:
            said: dict[str, Any] = _said("not_listed", Reason("account_not_listed"))
        elif pd.isna(account["risk"]):
            continue
        else:
            said = {name: account[name] for name in ("risk", "why", "remedy", "failure_share")}
            said["account_status"] = account["status"]
        names = (
            "post_id",
            "platform",
            "account_id",
            "account_name",
            "scheduled_for",
            "content",
            "post_status",
            "updated_at",
        )
        rows.append({**{name: row.get(name) for name in names}, **said})
    return table_of(rows, _RISK).sort_values(["scheduled_for", "post_id", "platform"], kind="stable", ignore_index=True)


_SHOWN = ("account_id", "platform", "username", "status")
_CHECKUP_REMEDIES = {
    Verdict.NOTHING: "",
    Verdict.RECONNECT: "connect the account again in the dashboard, then retry its posts",
    Verdict.SUPPORT: "try again later; if it stays so, ask support",
}


def chosen_accounts(known: pd.DataFrame, accounts: pd.DataFrame | Words) -> pd.DataFrame:
    """The accounts that are asked for, out of all; by default all that are connected."""
    if accounts is None:
        return known[known["status"] != "disconnected"]
    if isinstance(accounts, pd.DataFrame):
        need_columns(accounts, ["account_id"], "use ws.accounts() or vx.targets(posts)")
        wanted = [str(value) for value in plain_values(accounts, "account_id") if value is not None]
    else:
        wanted = list_of_text("accounts", accounts)
    strangers = sorted(set(wanted) - set(known["account_id"]))
    if strangers:
        raise PlanError(f"no account {', '.join(strangers[:3])} in this workspace; ws.accounts() lists them")
    return known[known["account_id"].isin(wanted)]


async def check_up(client: AsyncClient, accounts: pd.DataFrame, *, refresh: bool) -> pd.DataFrame:
    """Check accounts; one that can't be checked says why and does not stop the others.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    accounts : pandas.DataFrame
        From ``ws.accounts()``.
    refresh : bool
        Let the API renew each token before the account is tried.

    Returns
    -------
    pandas.DataFrame
        See ``ws.check_accounts``.
    """
    columns = {name: plain_values(accounts, name) for name in _SHOWN}
    lines = await all_or_none(_check(client, str(account), refresh=refresh) for account in columns["account_id"])
    table = {name: TEXT.array(values) for name, values in columns.items()}
    return pd.DataFrame(
        {
            **table,
            "refreshed": FLAG.array([line[0] for line in lines]),
            "works": FLAG.array([line[1] for line in lines]),
            "message": TEXT.array([line[2] for line in lines]),
            "verdict": TEXT.array([str(_verdict(line[1])) for line in lines]),
            "remedy": TEXT.array([_CHECKUP_REMEDIES[_verdict(line[1])] for line in lines]),
        }
    )


async def _check(client: AsyncClient, account: str, *, refresh: bool) -> tuple[bool | None, bool | None, str]:
    """Whether one account was refreshed and whether it works, None where nobody knows, and what the API says."""
    refreshed: bool | None = None
    if refresh:
        answer, why = await _asked(client.accounts.refresh(account))
        refreshed = None if why else to_bool(answer.get("success"))
    answer, why = await _asked(client.accounts.test(account))
    return refreshed, None if why else to_bool(answer.get("success")), why or str(answer.get("message") or "")


async def _asked(call: Any) -> tuple[dict[str, Any], str]:
    """The answer to a call, or why there is none; a key that is refused, and a pause that is too long, would be so for every account."""
    try:
        return await call, ""
    except (AuthError, WaitTooLong):
        raise
    except (ApiError, TransportError, DecodeError) as error:
        return {}, str(error)


def _verdict(works: bool | None) -> Verdict:
    """What an account calls for."""
    if works is None:
        return Verdict.SUPPORT
    return Verdict.NOTHING if works else Verdict.RECONNECT


RECENT = timedelta(days=7)  # over which failures of an account are counted
_CREATED = timedelta(days=30)  # posts that were created before are not looked for: lists stand in that order
_WAITING = ("scheduled", "approved")


async def recent_targets(client: AsyncClient, now: datetime) -> pd.DataFrame:
    """Targets of posts that ended within the last seven days, of those created within the last thirty."""
    columns = Columns("posts")
    for status in ("published", "partial", "failed"):
        async for page in client.pages("/v1/posts", {"status": status, "limit": PAGE_RECORDS}):
            columns.extend(page.records)
            created = [state.created_at for state in read_posts(page.records).values() if state.created_at]
            if created and datetime.fromisoformat(max(created)) < now - _CREATED:
                break
    posts = columns.frame()
    recent = within(posts["updated_at"], pd.Timestamp(now - RECENT), None)
    return targets(posts[recent & first_of_each(posts["post_id"])])


async def waiting_targets(client: AsyncClient, until: pd.Timestamp | None) -> pd.DataFrame:
    """Targets of posts that are about to go out, up to an instant."""
    columns = Columns("posts")
    for status in _WAITING:
        async for page in client.pages("/v1/posts", {"status": status, "limit": PAGE_RECORDS}):
            columns.extend(page.records)
    posts = columns.frame()
    keep = within(moment(posts[["scheduled_for"]]), None, until)
    return targets(posts[keep & first_of_each(posts["post_id"])])


class BoardLoader(Loader):
    """Loads what is known of accounts beside what the API lists; see `Loader`."""

    def __init__(self, client: AsyncClient, source: str, settings: Settings | None = None) -> None:
        super().__init__(client, source, settings)
        self._checks: dict[str, dict[str, Any]] = {}  # the last check of each account

    async def check_accounts(self, accounts: pd.DataFrame | Words = None, *, refresh: bool = True) -> pd.DataFrame:
        """Try every account, after its token was renewed where that works (matrix rows 20 and 21); nothing is posted.

        The board remembers what came of it.

        Parameters
        ----------
        accounts : DataFrame, str or list of str, optional
            Which accounts: ids, or a frame with ``account_id``, such as triaged rows whose verdict is to reconnect. By default
            all that are connected.
        refresh : bool
            False only tries them.

        Returns
        -------
        pandas.DataFrame
            One row per account: ``account_id platform username status`` (string; the status before), ``refreshed works``
            (boolean, NA if it could not be asked), ``message`` (string, the API's), ``verdict remedy`` (string; ``nothing to do``,
            ``reconnect account`` or ``ask support``).

        Raises
        ------
        PlanError
            If the frame has no account ids, or an id is none of this workspace's.
        AuthError
            If the key may not do this.

        Examples
        --------
        >>> ws.check_accounts(refresh=False)["verdict"].value_counts().to_dict()
        {'nothing to do': 11, 'reconnect account': 1}
        """
        chosen = chosen_accounts(await self.accounts(), accounts)
        found = await check_up(self._client, chosen, refresh=refresh)
        table = self._described(found, "account_check", {}, {})
        at = self._client.now()
        for account, works, message in zip(
            table["account_id"], plain_values(table, "works"), table["message"], strict=True
        ):
            self._checks[str(account)] = {"checked_at": at, "works": works, "message": message}
        return table

    async def account_board(self) -> pd.DataFrame:
        """Load what is known of each account: its status, its last check, and its share of failures of the last seven days.

        Returns
        -------
        pandas.DataFrame
            One row per account: ``account_id platform username status scope_status scope_message`` (string), ``checked_at``
            (datetime64[us, UTC]), ``works`` (boolean) and ``check_message`` (string) of the last ``ws.check_accounts()`` of this
            workspace, missing before it; ``tried failed`` (Int64, targets that ended within seven days, of posts created within thirty),
            ``failure_share`` (Float64, 0 to 1), ``commonest_cause`` (string), ``last_failed_at``, ``scheduled`` (Int64, targets that are about
            to go out), ``next_at``, and ``risk why remedy`` (string, as in `at_risk`; missing where nothing is wrong).

        Raises
        ------
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> board = ws.account_board()
        >>> board.loc[board["status"] == "expired", "risk"].to_list()
        ['expired']
        """
        board, _ = await self._board(None)
        return self._described(board, "account_board", {}, {})

    async def at_risk(self, within: str | timedelta | None = None) -> pd.DataFrame:
        """Load what is about to go out on an account that is not active, degraded, or failing: before it fails.

        Parameters
        ----------
        within : str or timedelta, optional
            Only what goes out within so long, such as ``"48h"``.

        Returns
        -------
        pandas.DataFrame
            One row per post and platform, the next one first: ``post_id platform account_id account_name`` (string), ``scheduled_for``
            (datetime64[us, UTC]), ``risk`` (string: the account's status where it is not ``active``, such as ``expired``; ``degraded``, it lacks
            permissions; ``failing``, its last check failed, or half of at least three targets of the last seven days did, for no fault of
            the post; ``not_listed``), ``why remedy account_status`` (string), ``failure_share`` (Float64), ``content post_status`` (string),
            ``updated_at``. ``vx.plan_reschedule`` and ``vx.plan_cancel`` take ``ws.posts`` of these ids.

        Raises
        ------
        ConfigError
            If `within` is not a duration.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> risk = ws.at_risk(within="7D")
        >>> "expired" in set(risk["risk"])
        True
        """
        until = None if within is None else pd.Timestamp(self._client.now()) + length("within", within)
        board, waiting = await self._board(until)
        return self._described(at_risk(waiting, board), "at_risk", {}, {"within": within})

    async def _board(self, until: pd.Timestamp | None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The board, and the targets that are about to go out up to an instant."""
        accounts, now = await self.accounts(), self._client.now()
        waiting = await waiting_targets(self._client, until)
        return account_board(accounts, await recent_targets(self._client, now), waiting, self._checks), waiting
