"""Whether the connected accounts can still publish: tokens renewed where that works, each account tried (rows 20 and 21)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._core.arguments import list_of_text
from voxops._core.eventloop import all_or_none
from voxops.errors import ApiError, AuthError, DecodeError, PlanError, TransportError, WaitTooLong
from voxops.frames.columns import need_columns, plain_values
from voxops.frames.values import FLAG, TEXT, to_bool
from voxops.loading.filters import Words
from voxops.model import Verdict

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["check_up", "chosen_accounts"]

_SHOWN = ("account_id", "platform", "username", "status")
_REMEDIES = {
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
            "remedy": TEXT.array([_REMEDIES[_verdict(line[1])] for line in lines]),
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
