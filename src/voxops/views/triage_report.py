"""The report of a triage: what failed, who must do what, what the run did, and the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import pandas as pd

from voxops._support import safe
from voxops.acts.plan import PLAN_TYPES
from voxops.analysis.causes import causes, names_of
from voxops.analysis.triage import triage
from voxops.errors import PlanError
from voxops.frames.columns import flags, need_frame, restored
from voxops.frames.palette import OUTCOME, VERDICT
from voxops.frames.records import TARGET_KEY, latest_targets, targets
from voxops.frames.times import shown_zone
from voxops.model import ASKS_NOBODY, Outcome, Verdict
from voxops.views import plots
from voxops.views._protocols import RunLike
from voxops.views.report_file import Fact, Options, Report, about, outcome_facts, outcomes, outcomes_in_words
from voxops.views.tickets import account_of

__all__ = ["OWNERS", "triage_report"]

# Who acts on a verdict, unless `report(owners=...)` says otherwise.
OWNERS: Mapping[str, str] = {
    Verdict.RETRY: "operations: run the retry plan",
    Verdict.WAIT: "nobody: it resolves by itself",
    Verdict.FIX_CONTENT: "the author of the post",
    Verdict.FIX_MEDIA: "the author of the post",
    Verdict.RECONNECT: "whoever owns the account",
    Verdict.UPGRADE: "the owner of the workspace",
    Verdict.SUPPORT: "operations, with support",
    Verdict.NOTHING: "nobody",
}
_KEYS = list(TARGET_KEY)
_NEEDED = (*TARGET_KEY, "status", "error_message", "updated_at", "cause", "verdict", "remedy", "retryable")
_CAUSE = {"cause": "cause", "verdict": "verdict", "remedy": "remedy", "count": "targets", "posts": "posts", "platforms": "platforms",
          "first_seen": "first_seen", "last_seen": "last_seen"}  # fmt: skip


def triage_report(
    triaged: pd.DataFrame | None, run: RunLike | None, after: pd.DataFrame | None, options: Options
) -> Report:
    """Make the report of a triage and of the run that followed, if any; see `voxops.report`."""
    if run is not None and (getattr(run, "plan", None) is None or not hasattr(run, "results")):
        raise PlanError("report(run=) needs the run of a plan. Pass what ws.run(plan) returned.")
    if triaged is None and run is not None and run.plan is not None:
        triaged = run.plan.frame.drop(columns=[*PLAN_TYPES])
        triaged = triaged if "cause" in triaged else triage(targets(triaged))  # an act on whole posts
    maker = "Use vx.triage(posts), or pass deliveries, ws.deliveries(...), or the run of a plan."
    triaged = need_frame(triaged, _NEEDED, "report() needs a triaged frame", maker, times=["updated_at"])
    triaged = latest_targets(restored(triaged))
    triaged = triaged.assign(retryable=flags(triaged, "retryable"))  # may be text if read from a file
    failures = triaged[triaged["cause"].notna()]
    roles = options.roles(OWNERS, [str(verdict) for verdict in triaged["verdict"].dropna()])
    left, frames, facts, text = failures, {"causes": causes(triaged), "failures": failures}, [], ""
    if run is not None:
        results = run.results()
        left = _left(failures, run, results)
        frames |= {"left": left, "results": results}
        facts, text = outcome_facts(results), f" {outcomes_in_words(results)}"
    needs = _needs(left)
    found = failures.assign(cause=plots.common_causes(failures))
    published = pd.DataFrame()
    if after is not None:
        after = need_frame(after, [*_KEYS, "status"], "report(after=) needs a targets frame", "Use vx.targets(posts).")
        published = after[after["status"] == "published"].merge(failures[_KEYS].drop_duplicates())
    return Report(
        subject="triage",
        title=safe.plain(options.title or "Failure triage", 120),
        headline=_headline(triaged, left, needs) + text,
        about=about(triaged, run, options),
        facts=(*needs, *facts),
        tables={
            "actions": _actions(left, roles),
            "causes": causes(found)[[*_CAUSE]].rename(columns=_CAUSE),
            "outcomes": outcomes(frames["results"]) if "results" in frames else pd.DataFrame(),
            "published": published,
            "failures": failures.assign(_hits=failures.groupby("cause")["cause"].transform("size")).sort_values(
                "_hits", ascending=False
            ),
        },
        frames=frames,
        tz=shown_zone(triaged, options.tz),
        _rows=options.rows,
        _figures={
            "causes": partial(plots.causes_by_platform, failures) if len(failures) else None,
            "before_after": None if after is None else partial(plots.before_after, triaged, after),
        },
    )


def _left(failures: pd.DataFrame, run: RunLike, results: pd.DataFrame) -> pd.DataFrame:
    """Return the failures after a run: without those that succeeded, and with the new error of those that failed again.

    Rows that settled before the frame was read stay as they are in the frame.
    """
    if not {*_KEYS} <= {*results}:
        return failures
    old = results["settled_at"] < pd.Timestamp(failures.attrs.get("fetched_at") or 0, tz="UTC")
    tried = results[(results["tries"].fillna(0) > 0) & ~old.fillna(False)].drop_duplicates(_KEYS)
    outcome = failures[_KEYS].merge(tried[[*_KEYS, "outcome"]], how="left")["outcome"].set_axis(failures.index)
    left = failures[~outcome.isin([Outcome.SUCCEEDED, Outcome.FAILED])].copy()
    for name, verdict, remedy in (
        (Outcome.PENDING, Verdict.WAIT, "It was sent and has not ended."),
        (Outcome.UNKNOWN, Verdict.SUPPORT, "It was sent and its outcome is unknown: look at the post."),
    ):
        left.loc[(outcome[left.index] == name).fillna(False), ["verdict", "remedy", "retryable"]] = (
            verdict,
            remedy,
            False,
        )
    again = (
        failures.loc[outcome == Outcome.FAILED, _KEYS]
        .drop_duplicates()
        .merge(triage(run.failed().drop(columns="outcome", errors="ignore")))
    )
    table = pd.concat([left, again.reindex(columns=failures.columns)]) if len(again) else left
    table.attrs = failures.attrs
    return table


def _needs(left: pd.DataFrame) -> list[Fact]:
    """Count failures by what they need: a retry, a person, or time."""
    retry, idle = left["retryable"].astype(bool), left["verdict"].isin(list(ASKS_NOBODY)).astype(bool)
    return [
        Fact(len(left), "failed or hang", OUTCOME["failed"].colour),
        Fact(int(retry.sum()), "can be retried", VERDICT[Verdict.RETRY].colour),
        Fact(int((~retry & ~idle).sum()), "need a person to act first", VERDICT[Verdict.FIX_CONTENT].colour),
        Fact(int((~retry & idle).sum()), "resolve by waiting", VERDICT[Verdict.WAIT].colour),
    ]


def _headline(triaged: pd.DataFrame, left: pd.DataFrame, needs: list[Fact]) -> str:
    """Summarise in a few words what happened and what to do."""
    if triaged.empty and triaged.attrs.get("rows"):
        return f"No rows: the frame is empty, though {safe.many(triaged.attrs['rows'], 'post')} were loaded."
    if left.empty:
        return "Nothing is left to do." if triaged["cause"].notna().any() else "Nothing failed."
    said = "; ".join(f"{fact.count:,} {fact.label}" for fact in needs[1:] if fact.count)
    return f"{safe.many(len(left), 'target')} of {safe.many(left['post_id'].nunique(), 'post')} failed or hang: {said}."


def _actions(left: pd.DataFrame, roles: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per verdict, and of reconnects one per account: who acts, on how much, and how."""
    verdict = left["verdict"].astype(object).fillna("–")
    account = account_of(left).where(verdict == Verdict.RECONNECT, "")
    found: list[dict[str, Any]] = []
    for (what, where), part in cast("Any", left.groupby([verdict, account], sort=False)):
        who, owners = roles.get(what, "operations"), names_of(part["owner"]) if "owner" in part else ""
        if owners and who == OWNERS.get(what) and what in {Verdict.FIX_CONTENT, Verdict.FIX_MEDIA, Verdict.RECONNECT}:
            who = f"{who}; the posts are of {owners}" if where else owners
        rows, posts = len(part), part["post_id"].nunique()
        how = " ".join(part["remedy"].value_counts().index)
        accounts = where or safe.many(part["account_id"].nunique(), "account")
        found.append({"what": what, "who": who, "targets": rows, "posts": posts, "how": how, "accounts": accounts})
    found.sort(key=lambda row: -row["targets"])
    return pd.DataFrame(found)
