"""The digest: concerns that need action, as plain values, and which are new or worse since the last one.

The functions take frames and the memory of the last digest, and return a digest and its memory; they read no clock and no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from voxops._support.canonical import fingerprint
from voxops._support.safe import redact_address
from voxops.analysis.causes import names_of
from voxops.model import ASKS_NOBODY, OUTCOMES, Verdict

EDITION = 1  # of the digest's form and of its memory
SHOWN = 20  # maximum number of ids in a finding


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that needs action.

    `kind` and `what` identify it across digests; more `ids` (the affected things) make it worse; `details` are plain values.
    """

    kind: str
    what: str
    ids: tuple[str, ...]
    details: Mapping[str, Any]


def concerns(
    triaged: pd.DataFrame | None = None,
    lost: pd.DataFrame | None = None,
    outages: pd.DataFrame | None = None,
    runs: pd.DataFrame | None = None,
    risk: pd.DataFrame | None = None,
) -> list[Concern]:
    """Find concerns that need action, the most urgent first.

    They are receivers that are down, runs with failed or open rows, posts at risk, lost deliveries, and causes of failures (by number
    of targets).

    Parameters
    ----------
    triaged : pandas.DataFrame, optional
        From ``vx.triage``.
    lost : pandas.DataFrame, optional
        From ``vx.deliveries.lost``.
    outages : pandas.DataFrame, optional
        From ``vx.deliveries.outages``; those that are over are left out.
    runs : pandas.DataFrame, optional
        From ``ws.runs()``.
    risk : pandas.DataFrame, optional
        From ``ws.at_risk()``.
    """
    found: list[Concern] = []
    if outages is not None:
        down = outages[outages["recovered_at"].isna()]
        for row in down.to_dict("records"):
            since = pd.Timestamp(row["start"]).isoformat()
            # Named by its address only: the start of an outage that began before the log differs in each log.
            details: dict[str, Any] = {"since": since, "next": "voxops deliveries"}
            found.append(Concern("receiver down", redact_address(row["url"]), ("down",), details))
    if runs is not None:
        found += _runs(runs)
    if risk is not None:
        for names, part in risk.groupby(["account_id", "risk"], sort=True):
            account, kind = map(str, names)
            first = part["scheduled_for"].min()
            details = {
                "account": account,
                "why": str(part["why"].iloc[0]),
                "remedy": str(part["remedy"].iloc[0]),
                "next_at": None if pd.isna(first) else first.isoformat(),
                "platform": str(part["platform"].iloc[0]),
                "name": str(part["account_name"].iloc[0]),
                "whose": _whose(part),
            }
            found.append(Concern("at risk", f"{account}: {kind}", tuple(part["post_id"].astype(str)), details))
    if lost is not None:
        for (hook, code), part in lost.groupby(["webhook_id", "reason_code"], sort=True):
            ids = tuple(part["delivery_id"].dropna().astype(str))
            details = {
                "why": str(part["why"].iloc[0]),
                "webhook": str(hook),
                "url": redact_address(part["url"].iloc[0]),
                "next": "ws.run(vx.plan_redeliver(vx.deliveries.lost(log)))",
            }
            found.append(Concern("lost deliveries", f"{hook}: {code}", ids, details))
    if triaged is not None:
        found += sorted(_causes(triaged), key=lambda each: -len(each.ids))
    return found


def _whose(rows: pd.DataFrame) -> str:
    """The owners of the posts, those with most first; empty where the workspace knows none."""
    return names_of(rows["owner"]) if "owner" in rows.columns else ""


def _causes(triaged: pd.DataFrame) -> list[Concern]:
    """One concern per cause and verdict that needs action."""
    rows = triaged[triaged["cause"].notna() & ~triaged["verdict"].isin(list(ASKS_NOBODY))]
    found = []
    for names, part in rows.groupby(["cause", "verdict", "remedy"], sort=True, dropna=False):
        cause, verdict, remedy = map(str, names)
        ids = tuple(
            f"{post}/{platform}/{account}"
            for post, platform, account in zip(part["post_id"], part["platform"], part["account_id"], strict=True)
        )
        details = {
            "verdict": verdict,
            "remedy": remedy,
            "posts": int(part["post_id"].nunique()),
            "whose": _whose(part),
            "next": "ws.run(vx.plan_retry(triaged))" if verdict == Verdict.RETRY else "",
            "last_seen": None if part["updated_at"].isna().all() else part["updated_at"].max().isoformat(),
        }
        found.append(Concern("cause", cause, ids, details))
    return found


def _runs(runs: pd.DataFrame) -> list[Concern]:
    """Runs with rows that failed, are blocked or unsettled; what was withdrawn since, or mended later, needs no action."""
    found = []
    for run, row in runs.iterrows():
        counts = {name: int(row[name]) for name in ("failed", "blocked", "pending", "unknown") if row[name]}
        mended = int(row.get("mended") or 0)
        for name in ("failed", "blocked"):
            less = min(mended, counts.get(name, 0))
            counts, mended = {**counts, name: counts.get(name, 0) - less}, mended - less
        counts = {name: count for name, count in counts.items() if count}
        if counts:
            ids = tuple(f"{name} {number}" for name, count in counts.items() for number in range(count))
            waits = counts.keys() & {"pending", "unknown"}
            rows = "failed" if "failed" in counts else "blocked"
            details = {
                "action": str(row["action"]),
                "campaign": None if pd.isna(row["campaign"]) else str(row["campaign"]) or None,
                "reason": None if pd.isna(row["reason"]) else str(row["reason"]),
                "whose": str(row["who"]),
                "next": f"voxops resume {run}" if waits else f"ws.attach({str(run)!r}).{rows}()",
                **counts,
            }
            found.append(Concern("run", str(run), ids, details))
    return found


def digest(found: Iterable[Concern], memory: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Report concerns that need action; with a memory, only those that are new, worse or came back.

    Parameters
    ----------
    found : iterable of Concern
        From `concerns`.
    memory : mapping, optional
        The memory that the last digest returned.

    Returns
    -------
    tuple of dict
        The digest: ``edition`` (int), ``attention`` (bool), ``findings`` (each with ``kind what change rows more ids`` and its details; ``change`` is ``new``,
        ``worse``, ``came back`` or, without a memory, ``there``) and ``gone`` (concerns of the last digest that are over, by name). And
        the memory for the next one.
    """
    items: Mapping[str, list[str]] = (memory or {}).get("items") or {}
    gone_before = set((memory or {}).get("gone") or ())
    findings: list[dict[str, Any]] = []
    now: dict[str, list[str]] = {}
    for concern in found:
        key = f"{concern.kind}: {concern.what}"
        marks = {fingerprint(one)[:12]: one for one in concern.ids}
        seen = set(items.get(key, ()))
        fresh = [one for mark, one in marks.items() if mark not in seen]
        now[key] = sorted({*now.get(key, ()), *marks})
        if memory is not None and not fresh:
            continue
        if memory is None:
            change = "there"
        elif key in items:
            change = "worse"
        else:
            change = "came back" if key in gone_before else "new"
        findings.append(
            {
                "kind": concern.kind,
                "what": concern.what,
                "change": change,
                "rows": len(marks),
                "more": len(fresh),
                "ids": fresh[:SHOWN],
                **concern.details,
            }
        )
    gone = sorted(set(items) - set(now))
    found_now = {"edition": EDITION, "attention": bool(findings), "findings": findings, "gone": gone}
    kept = {"edition": EDITION, "items": now, "gone": sorted((gone_before | set(gone)) - set(now))}
    return found_now, kept


def subject_of(finding: Mapping[str, Any]) -> str:
    """Name what a finding is about, for people: a run by its campaign and reason, an account by its name, a cause in its own words."""
    kind = finding["kind"]
    if kind == "run":
        counts = ", ".join(f"{finding[name]:,} {name}" for name in OUTCOMES if finding.get(name))
        named = " ".join(
            filter(
                None,
                [finding["action"], finding.get("campaign"), f"({finding['reason']})" if finding.get("reason") else ""],
            )
        )
        return f"run {named}: {counts}"
    if kind == "at risk":
        return f"at risk: {finding['platform']} {finding['name']}: {finding['why']}"
    if kind == "lost deliveries":
        return f"lost deliveries: {finding['url']}: {finding['why']}"
    return str(finding["what"]) if kind == "cause" else f"{kind}: {finding['what']}"
