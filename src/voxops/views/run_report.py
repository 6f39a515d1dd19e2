"""The report of a run that created, changed or cancelled posts: what went, what did not, who must do what, and what goes out when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pandas as pd

from voxops._support import safe
from voxops.acts.plan import Plan
from voxops.analysis.causes import names_of
from voxops.analysis.triage import judge
from voxops.api.reasons import FOR_READERS
from voxops.frames.columns import texts_of
from voxops.frames.palette import OTHER
from voxops.frames.records import targets_in
from voxops.frames.times import shown_zone
from voxops.model import Outcome
from voxops.views._protocols import RunLike
from voxops.views.report_file import Fact, Options, Report, about, outcome_facts, outcomes, outcomes_in_words
from voxops.views.triage_report import OWNERS

__all__ = ["run_report"]


def run_report(run: RunLike, plan: Plan, options: Options) -> Report:
    """Make the report of a run from its results and its plan; see `voxops.report`."""
    results, planned = run.results(), plan.frame
    short = results[results["outcome"] != Outcome.SUCCEEDED]
    blocked = planned[~planned["eligible"].astype(bool) & (planned["reason_code"] != "sync_as_is")]
    blocked = blocked.assign(outcome="not eligible").reindex(columns=[*dict.fromkeys([*short, *blocked])])
    left = pd.concat([short, blocked]) if len(blocked) else short
    why = (
        left["error_message"]
        .fillna(left["reason_code"].map(FOR_READERS))
        .fillna(left["waiting_for"])
        .fillna(left["reason"])
    )
    left, due = left.assign(why=why), _due(plan, results)
    notes = f" {safe.many(len(blocked), 'row')} of the plan not eligible." if len(blocked) else ""
    names = [name for name in ("row_id", "content", "result_id", "withdrawn", "notice") if name in results]
    by_account = (
        due.assign(account=due["accounts"].str.split("; ")).explode("account").groupby("account", as_index=False)
    )
    return Report(
        subject="run",
        title=safe.plain(
            options.title or (f"Campaign {plan.campaign}" if plan.campaign else f"Run: {plan.act.verb}"), 120
        ),
        headline=outcomes_in_words(results) + notes,
        about=about(results, run, options),
        facts=(*outcome_facts(results), Fact(len(blocked), "not eligible", OTHER.colour)),
        tables={
            "actions": _actions(left, options.roles(OWNERS)),
            "schedule": by_account.agg(
                posts=("post_id", "size"), first_at=("scheduled_for", "min"), last_at=("scheduled_for", "max")
            ),
            "left": left,
            "changed": results.loc[results["withdrawn"].notna() | results["notice"].notna(), names],
            "outcomes": outcomes(results),
        },
        frames={"plan": planned, "results": results, "left": left, "schedule": due},
        tz=shown_zone(results, options.tz),
        _rows=options.rows,
    )


def _actions(left: pd.DataFrame, roles: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per kind of failure: what it needs, who acts, on how many rows, and how."""
    found: list[dict[str, Any]] = []
    codes = left["error_code"].fillna(left["reason_code"])
    for (code, outcome), part in cast("Any", left.groupby([codes, "outcome"], sort=False)):
        what, how = str(outcome), str(part["why"].iloc[0])
        if part["error_code"].notna().all():
            rule = judge(code, None, how)
            what, how = str(rule.verdict), f"{rule.remedy} ({how})"
        owners = names_of(part["owner"]) if "owner" in part else ""
        found.append(
            {"what": what, "who": owners or roles.get(what, "whoever keeps the sheet"), "rows": len(part), "how": how}
        )
    found.sort(key=lambda row: -row["rows"])
    return pd.DataFrame(found)


def _due(plan: Plan, results: pd.DataFrame) -> pd.DataFrame:
    """Return what goes out when, as far as this run decides: ``post_id scheduled_for accounts content``, the earliest first."""
    goes = (
        (results["outcome"] == Outcome.SUCCEEDED)
        & results["withdrawn"].isna()
        & ~results["act"].isin(["withdraw", "cancel"])
    )
    went = results[goes]
    ids = went["post_id"].fillna(went["result_id"]) if "post_id" in went and not plan.act.parts else went["result_id"]
    due = pd.DataFrame({"post_id": ids, "scheduled_for": pd.NaT, "accounts": "", "content": pd.NA})
    for name in ("scheduled_for", "new_scheduled_for", "content", "new_content"):
        if name in went:
            due[name.removeprefix("new_")] = went[name].fillna(due[name.removeprefix("new_")])
    named = went["accounts" if "accounts" in went else "targets"]
    due["accounts"] = pd.array([_accounts(value) for value in named], "string")
    due = due.assign(
        scheduled_for=pd.to_datetime(due["scheduled_for"], utc=True), content=due["content"].astype("string")
    )
    return due.dropna(subset=["scheduled_for"]).sort_values("scheduled_for", kind="stable", ignore_index=True)


def _accounts(value: object) -> str:
    """Name the accounts of a row of a sheet, or of a post."""
    if isinstance(value, str):
        return "; ".join(texts_of(value))
    return "; ".join(f"{target.platform}: {target.account_name or target.account_id}" for target in targets_in(value))
