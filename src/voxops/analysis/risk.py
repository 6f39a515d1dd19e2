"""Posts at risk: what is about to go out on an account that can't publish, or hardly; and the board of accounts it is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from voxops.analysis.verdicts import triage
from voxops.frames.columns import table_of
from voxops.frames.values import STRING_DTYPE, TIME_DTYPE
from voxops.model import Verdict

__all__ = ["FEWEST_TRIED", "SHARE_FAILING", "account_board", "at_risk"]

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
_RECONNECT = "connect the account again in the dashboard before the post goes out, or move the post: vx.plan_reschedule"
_REMEDIES = {
    "degraded": "connect the account again and allow what it asks for",
    "failing": "look at its failures with ws.check_accounts(), and at vx.causes(triaged)",
    "not listed": "the account is no longer among the workspace's; choose another one for the post",
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
        rows.append(
            {**line, "risk": risk, "why": why, "remedy": None if risk is None else _REMEDIES.get(risk, _RECONNECT)}
        )
    return table_of(rows, _BOARD)


def _risk(line: Mapping[str, Any], blamed: int) -> tuple[str | None, str | None]:
    """What may keep an account from publishing; None where nothing shows."""
    status = "" if pd.isna(line["status"]) else str(line["status"])
    if status and status != "active":
        return status, f"the account is {status}: only active ones publish"
    if line["works"] is False:
        return "failing", f"its last check failed: {line['check_message'] or 'no reason'}"
    if not pd.isna(line["scope_status"]) and str(line["scope_status"]) == "degraded":
        message = line["scope_message"]
        return "degraded", "it lacks permissions" + ("" if pd.isna(message) else f": {message}")
    if line["tried"] >= FEWEST_TRIED and blamed >= SHARE_FAILING * line["tried"]:
        return "failing", f"{blamed} of {line['tried']} targets of the last days failed, for no fault of the post"
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
            said = {
                "risk": "not listed",
                "why": "the workspace lists no such account",
                "remedy": _REMEDIES["not listed"],
            }
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
