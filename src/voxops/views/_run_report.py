"""The report of a run that created, changed or cancelled posts: what went, what did not, who must do what, and what goes out when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from voxops._support import safe
from voxops.acts.plan import Plan, with_times
from voxops.analysis.causes import names_of
from voxops.analysis.triage import judge
from voxops.frames.cells import is_missing, texts_of
from voxops.frames.palette import OTHER
from voxops.frames.records import targets_in
from voxops.frames.table import shown_columns
from voxops.frames.times import absolute, shown_zone
from voxops.model import Outcome, Verdict
from voxops.views import _report_sections, _summary, plots
from voxops.views._protocols import RunLike
from voxops.views._report import Report, most_rows, roles, shown_in
from voxops.views._report_sections import ACTIONS, ALL_ROWS, OWNERS, Fact, Figure, Section

__all__ = ["run_report"]

_SINCE = ("row_id", "content", "result_id", "withdrawn", "notice")
_NOT_ELIGIBLE = "not eligible"
_MEND = "whoever keeps the sheet"  # who acts on a row that the run did not send


def run_report(
    run: RunLike,
    *,
    title: str | None,
    now: datetime | None,
    tz: str | None,
    owners: Mapping[str, str] | None,
    rows: int,
) -> Report:
    """Make the report of a run from its results and its plan; see `voxops.report`."""
    rows, plan, results = most_rows(rows), run.plan, run.results()
    assert plan is not None
    tz = shown_zone(results, tz)
    owners = {**OWNERS, **roles(OWNERS if owners is None else owners, OWNERS)}
    left, due = _left(plan.frame, results), _due(plan, results)
    blocked = len(plan.frame) - len(results)
    parts = [
        Section(ACTIONS, "", _actions(left, owners)),
        _calendar(due, tz),
        _rows_left(left, rows),
        _since(results, rows),
        _report_sections.happened(results, run, results, None),
    ]
    said = _summary.headline(left.head(0), results) if len(results) else "Nothing was sent."
    said += f" {safe.many(blocked, 'row of the plan was', 'rows of the plan were')} not eligible." if blocked else ""
    named = f"Campaign {plan.campaign}" if plan.campaign else f"Run: {plan.act.verb}"
    return Report(
        title=safe.plain(named if title is None else title, 120),
        headline=said,
        about=tuple(_report_sections.about(results, run, None if now is None else absolute(now))),
        facts=(*_summary.outcome_facts(results), Fact(blocked, _NOT_ELIGIBLE, OTHER.colour)),
        sections=tuple(part for part in parts if part.text or len(part.table)),
        tz=tz,
        frames={
            name: shown_in(frame, tz)
            for name, frame in {"plan": plan.frame, "results": results, "left": left, "schedule": due}.items()
        },
    )


def _left(planned: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that did not go, with outcome, reason and what to do: those of the run, then those not eligible."""
    short = results[results["outcome"] != Outcome.SUCCEEDED]
    error = (short["error_code"] + ": " + short["error_message"]).fillna(short["error_code"])
    short = short.assign(why=error.fillna(short["waiting_for"]))
    blocked = planned[~planned["eligible"].astype(bool) & (planned["reason_code"] != "sync_as_is")]
    none = pd.array([pd.NA] * len(blocked), dtype="string")
    blocked = blocked.assign(outcome=_NOT_ELIGIBLE, why=blocked["reason"], error_code=none, error_message=none)
    return pd.concat([short, blocked])


def _actions(left: pd.DataFrame, owners: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per kind of failure: what it needs, who acts, on how many rows, and how."""
    found: list[dict[str, Any]] = []
    kind = left["error_code"].astype(object).fillna(left["reason_code"].astype(object))
    for _, part in left.groupby([left["outcome"].astype(object), kind], sort=False):
        first = part.iloc[0]
        what, who, how = str(first["outcome"]), _MEND, str(first["why"])
        if not is_missing(first["error_code"]):
            message = None if is_missing(first["error_message"]) else str(first["error_message"])
            judged = judge(str(first["error_code"]), None, message)
            what, who, how = str(judged.verdict), owners.get(judged.verdict, _MEND), f"{judged.remedy} ({first['why']})"
        elif what in {Outcome.PENDING, Outcome.UNKNOWN}:
            who = owners[Verdict.WAIT] if what == Outcome.PENDING else owners[Verdict.SUPPORT]
        named = names_of(part["owner"]) if "owner" in part.columns else ""
        found.append({"what": what, "who": named or who, "rows": len(part), "how": how})
    found.sort(key=lambda row: -row["rows"])
    return pd.DataFrame(found)


def _due(plan: Plan, results: pd.DataFrame) -> pd.DataFrame:
    """Return what goes out when, as far as this run decides: ``post_id scheduled_for accounts content``, the earliest first."""
    went = results[(results["outcome"] == Outcome.SUCCEEDED) & results["withdrawn"].isna()]
    if "scheduled_for" not in went.columns or plan.act.name == "cancel":
        went = went.head(0).assign(scheduled_for=None)
    went = with_times(went[went["act"] != "withdraw"])
    when, content = went["scheduled_for"], went.get("content")
    if "new_scheduled_for" in went.columns:
        when = went["new_scheduled_for"].fillna(when)
    if "new_content" in went.columns:
        content = went["new_content"].fillna(content)
    accounts = went.get("accounts", went.get("targets"))
    named = ["" for _ in went.index] if accounts is None else [_accounts(value) for value in accounts]
    due = pd.DataFrame(
        {
            "post_id": (
                went["result_id"]
                if plan.act.parts or "row_id" in went.columns or "post_id" not in went.columns
                else went["post_id"]
            ).array,
            "scheduled_for": pd.to_datetime(when.array, utc=True),
            "accounts": pd.array(named, dtype="string"),
            "content": pd.array([pd.NA] * len(went) if content is None else content.array, dtype="string"),
        }
    )
    return due.dropna(subset=["scheduled_for"]).sort_values("scheduled_for", kind="stable", ignore_index=True)


def _accounts(value: object) -> str:
    """Name the accounts of a row of a sheet, or of a post."""
    if isinstance(value, str):
        return "; ".join(texts_of(value))
    return "; ".join(f"{target.platform}: {target.account_name or target.account_id}" for target in targets_in(value))


def _calendar(due: pd.DataFrame, tz: str) -> Section:
    """Show what goes out when, and by account."""
    if due.empty:
        return Section("What goes out when")
    each = due.assign(account=due["accounts"].str.split(";")).explode("account")
    each["account"] = each["account"].str.strip()
    table = each.groupby("account", as_index=False).agg(
        posts=("post_id", "size"), first_at=("scheduled_for", "min"), last_at=("scheduled_for", "max")
    )
    days = (due["scheduled_for"].max() - due["scheduled_for"].min()).days
    height = 1.3 + 0.3 * max(3, min(days // 7 + 1 if days > 35 else days + 1, 53))
    figure = Figure("Scheduled posts", height, lambda ax: plots.schedule_calendar(due, ax, tz=tz))
    first = safe.instant(due["scheduled_for"].iloc[0].to_pydatetime(), tz=tz)
    text = f"{safe.many(len(due), 'post')} on {safe.many(len(table), 'account')}, the first on {first}."
    return Section("What goes out when", text, table, (figure,))


def _rows_left(left: pd.DataFrame, rows: int) -> Section:
    """Show the rows that did not go."""
    table = left[shown_columns(left)].head(rows)
    more = len(left) - len(table)
    text = f"{safe.many(len(table), 'row')}; {more:,} more: {ALL_ROWS}." if more else ""
    return Section("Rows that did not go", text, table)


def _since(results: pd.DataFrame, rows: int) -> Section:
    """Show the rows whose posts were withdrawn or deleted since, or exist more than once."""
    found = results[results["withdrawn"].notna() | results["notice"].notna()]
    table = found[[name for name in _SINCE if name in found.columns and found[name].notna().any()]].head(rows)
    more = len(found) - len(table)
    text = f"{safe.many(len(table), 'row')}; {more:,} more: {ALL_ROWS}." if more else ""
    return Section("Withdrawn since, or there twice", text, table)
