"""The reports that people forward: of a triage, of webhook deliveries, and of a run that created or changed posts.

Each is made of frames, and its template draws it. The same frames give the same bytes: no clock is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, cast

import pandas as pd

from voxops import deliveries
from voxops._support import safe
from voxops._support.arguments import whole_number
from voxops.acts.plan import PLAN_TYPES, Plan
from voxops.analysis.causes import causes, names_of
from voxops.analysis.statistics import deduplicate, need_both_results
from voxops.analysis.triage import judge, triage
from voxops.api.reasons import FOR_READERS, NEED_NOBODY
from voxops.errors import ConfigError, PlanError
from voxops.frames.checks import flags, need, restored
from voxops.frames.palette import OTHER, OUTCOME, VERDICT
from voxops.frames.records import TARGET_KEY, latest_targets, targets
from voxops.frames.registry import is_deliveries
from voxops.frames.times import shown_zone
from voxops.model import ASKS_NOBODY, Outcome, Verdict
from voxops.sheets.rules import as_instants
from voxops.views import plots
from voxops.views._protocols import RunLike
from voxops.views.report import Fact, Options, Report, outcome_facts, outcomes, outcomes_in_words
from voxops.views.table import redacted
from voxops.views.tickets import account_of

__all__ = ["Report", "report"]

# Verdict, or kind of loss -> who acts, unless `report(owners=...)` says otherwise; of a loss also what to do.
_OWNERS: Mapping[str, str] = {
    Verdict.RETRY: "operations: run the retry plan",
    Verdict.WAIT: "nobody: it resolves by itself",
    Verdict.FIX_CONTENT: "the author of the post",
    Verdict.FIX_MEDIA: "the author of the post",
    Verdict.RECONNECT: "whoever owns the account",
    Verdict.UPGRADE: "the owner of the workspace",
    Verdict.SUPPORT: "operations, with support",
    Verdict.NOTHING: "nobody",
}
_PERSONAL = {
    Verdict.FIX_CONTENT,
    Verdict.FIX_MEDIA,
    Verdict.RECONNECT,
}  # what only the owner of a post or account can do
_RECEIVERS: Mapping[str, str] = {
    "down_now": "whoever runs the receiver",
    "receiver_failed": "operations: redeliver",
    "no_answer": "operations: redeliver",
    "rejected": "the developers of the receiver",
}
_LOSSES = {
    "down_now": "First attempts fail and have not recovered: look at the receiver before anything else.",
    "receiver_failed": "Make sure that the receiver works, then redeliver.",
    "no_answer": "Make sure that the receiver can be reached, then redeliver.",
    "rejected": "The receiver refused these deliveries. Find out why before you redeliver: it would refuse them again.",
}
_KEYS = list(TARGET_KEY)
_WHEN = ["new_scheduled_for", "scheduled_for"]
_TRIAGED = (*TARGET_KEY, "status", "error_message", "updated_at", "cause", "verdict", "remedy", "retryable")
_DELIVERIES = (
    *("delivery_id", "webhook_id", "event_type", "url", "success", "status_code", "latency_ms", "retry_count"),
    *("error", "response_body", "created_at", "delivered_at"),
)


def report(
    subject: pd.DataFrame | RunLike | None = None,
    run: RunLike | None = None,
    *,
    after: pd.DataFrame | None = None,
    title: str | None = None,
    now: datetime | None = None,
    tz: str | None = None,
    owners: Mapping[str, str] | None = None,
    rows: int = 50,
) -> Report:
    """Make the report of a triage, of webhook deliveries, or of a run.

    Parameters
    ----------
    subject : pandas.DataFrame or Run, optional
        A triaged frame, deliveries from ``ws.deliveries``, or a run. The report of a run of an act on existing posts uses the rows of its
        plan, so that a run of yesterday needs nothing else. The report of a run that created or changed posts says what went, what did
        not and why, who must do what, and what goes out when.
    run : Run, optional
        The run that acted on the rows of `subject`: a retry, another act on existing posts, or a redelivery. Its results are
        read now. The tasks are then those that it has left; the rest of the report is about `subject`.
    after : pandas.DataFrame, optional
        For a triage: targets after the run, each with a ``status``; those that are published now are listed with their links.
    title : str, optional
        Title of the report; by default its subject.
    now : datetime, optional
        The instant of the report; without it, the report says only when its data were read. For deliveries, the server's time, which
        decides what is lost; by default when the log was fetched.
    tz : str, optional
        Time zone of what it shows, that of the workspace (``attrs["tz"]``) by default, else UTC.
    owners : mapping of str to str, optional
        Who acts, by verdict or by kind of loss (``down_now``, ``receiver_failed``, ``no_answer``, ``rejected``).
    rows : int
        Most rows of evidence in HTML; CSV has all.

    Returns
    -------
    Report
        With ``frames``: for a triage ``causes failures`` and, after a run, ``left results``; for deliveries
        ``endpoints hours outages duplicates lost``, after a run ``redelivered``; for a run of creates or changes ``plan results left
        schedule``.
        Addresses of webhooks are shown without their query, which may contain a secret.

    Raises
    ------
    PlanError
        If a frame lacks columns, has one twice, or has text instead of times. Also if the log was loaded with ``success=``, or `run`
        did not act on the rows of `subject`.
    ConfigError
        If an argument has no valid value, such as a `now` without an offset, an unknown `tz` or an unknown name in `owners`.
        Also if an argument is for the report of another subject.

    Examples
    --------
    >>> made = vx.report(triaged)
    >>> made.to_html(folder / "triage.html").name
    'triage.html'
    >>> vx.report(log).title
    'Webhook deliveries'
    """
    refusal = ConfigError(f"rows={rows!r} must be a whole number of rows of evidence, 0 for none")
    options = Options(title, now, tz, owners, whole_number(rows, refusal, 0))
    if run is None and callable(getattr(subject, "results", None)):
        subject, run = None, cast("RunLike", subject)
    plan = getattr(run, "plan", None)
    about = plan.act.about if isinstance(plan, Plan) else ""
    if isinstance(subject, pd.DataFrame) and is_deliveries(subject):
        return _of_deliveries(subject, run, options)
    if about == "delivery":
        raise PlanError(
            "this run is about webhook deliveries: report it with them, vx.report(ws.deliveries(), run=run)"
        )
    if (
        isinstance(plan, Plan)
        and subject is None
        and (about == "create" or plan.act.parts or ("targets" in plan.table and "cause" not in plan.table))
    ):
        return _of_run(cast("RunLike", run), plan, options)
    if about == "create":
        raise PlanError("this run creates posts, so it is reported by itself: vx.report(run)")
    return _of_triage(cast("pd.DataFrame | None", subject), run, after, options)


# A triage


def _of_triage(
    triaged: pd.DataFrame | None, run: RunLike | None, after: pd.DataFrame | None, options: Options
) -> Report:
    """Make the report of a triage and of the run that followed, if any."""
    if run is not None and not isinstance(getattr(run, "plan", None), Plan):
        raise PlanError("report(run=) needs the run of a plan. Pass what ws.run(plan) returned.")
    if triaged is None and run is not None:
        planned = cast("Plan", run.plan).frame.drop(columns=[*PLAN_TYPES])
        triaged = planned if "cause" in planned else triage(targets(planned))  # an act on whole posts
    maker = "Use vx.triage(posts), or pass deliveries, ws.deliveries(...), or the run of a plan."
    triaged = latest_targets(
        restored(need(triaged, _TRIAGED, "report() needs a triaged frame", maker, times=["updated_at"]))
    )
    triaged = triaged.assign(retryable=flags(triaged, "retryable"))  # may be text if read from a file
    failures = left = triaged[triaged["cause"].notna()]
    results, published = pd.DataFrame(), pd.DataFrame()
    frames = {"causes": causes(triaged), "failures": failures}
    if run is not None:
        results = run.results()
        left = _left(failures, run, results)
        frames |= {"left": left, "results": results}
    if after is not None:
        after = need(after, [*_KEYS, "status"], "report(after=) needs a targets frame", "Use vx.targets(posts).")
        published = after[after["status"] == "published"].merge(failures[_KEYS].drop_duplicates())
    facts, shared = _needs(left), causes(failures.assign(cause=plots.common_causes(failures)))
    commonest = failures["cause"].map(failures["cause"].value_counts())
    return Report(
        subject="triage",
        headline=_headline(triaged, left, facts) + ("" if run is None else f" {outcomes_in_words(results)}"),
        facts=(*facts, *outcome_facts(results)),
        tables={
            "actions": _failed_actions(left, options.roles(_OWNERS, {*triaged["verdict"].dropna()})),
            "causes": shared.drop(columns=["accounts", "retryable", "example"]),
            "outcomes": outcomes(results),
            "published": published,
            "failures": failures.loc[commonest.sort_values(ascending=False, kind="stable").index],
        },
        frames=frames,
        figures={"causes": partial(plots.causes_by_platform, failures)} if len(failures) else {},
        **options.common(triaged, run, "Failure triage"),
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
    again = triage(run.failed().drop(columns="outcome", errors="ignore"))
    again = (
        failures.loc[outcome == Outcome.FAILED, _KEYS].drop_duplicates().merge(again).reindex(columns=failures.columns)
    )
    table = pd.concat([left, again]) if len(again) else left
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
    if left.empty:
        loaded = triaged.attrs.get("rows") if triaged.empty else 0
        filtered = f"No rows: the frame is empty, though {loaded:,} posts were loaded." if loaded else ""
        return filtered or ("Nothing is left to do." if triaged["cause"].notna().any() else "Nothing failed.")
    counts = "; ".join(f"{fact.count:,} {fact.label}" for fact in needs[1:] if fact.count)
    return (
        f"{safe.many(len(left), 'target')} of {safe.many(left['post_id'].nunique(), 'post')} failed or hang: {counts}."
    )


def _failed_actions(left: pd.DataFrame, roles: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per verdict, and of reconnects one per account: who acts, on how much, and how."""
    verdict = left["verdict"].astype(object).fillna("–")
    account = account_of(left).where(verdict == Verdict.RECONNECT, "")
    found: list[dict[str, Any]] = []
    for (what, where), part in cast("Any", left.groupby([verdict, account], sort=False)):
        who, owners = roles.get(what, "operations"), names_of(part["owner"]) if "owner" in part else ""
        if owners and what in _PERSONAL and who == _OWNERS[what]:
            who = f"{who}; the posts are of {owners}" if where else owners
        counts = {"targets": len(part), "posts": part["post_id"].nunique()}
        how = " ".join(part["remedy"].value_counts().index)
        found.append(
            {
                "what": what,
                "who": who,
                **counts,
                "how": how,
                "accounts": where or f"{part['account_id'].nunique()} accounts",
            }
        )
    found.sort(key=lambda row: -row["targets"])
    return pd.DataFrame(found)


# A run


def _of_run(run: RunLike, plan: Plan, options: Options) -> Report:
    """Make the report of a run from its results and its plan."""
    results, planned = run.results(), plan.frame
    short = results[results["outcome"] != Outcome.SUCCEEDED]
    blocked = planned[~planned["eligible"].astype(bool) & ~planned["reason_code"].isin(NEED_NOBODY)].assign(
        outcome="not eligible"
    )
    left = pd.concat([short, blocked.reindex(columns=[*dict.fromkeys([*short, *blocked])])]) if len(blocked) else short
    why = (
        left["error_message"]
        .fillna(left["reason_code"].map(FOR_READERS))
        .fillna(left["waiting_for"])
        .fillna(left["reason"])
    )
    left, due = left.assign(why=why), _due(results)
    changed = results[results["withdrawn"].notna() | results["notice"].notna()]
    notes = f" {safe.many(len(blocked), 'row')} of the plan not eligible." if len(blocked) else ""
    return Report(
        subject="run",
        headline=outcomes_in_words(results) + notes,
        facts=(*outcome_facts(results), Fact(len(blocked), "not eligible", OTHER.colour)),
        tables={
            "actions": _run_actions(left, options.roles(_OWNERS)),
            "schedule": due,
            "left": left,
            "changed": changed[
                [name for name in ("row_id", "content", "result_id", "withdrawn", "notice") if name in changed]
            ],
            "outcomes": outcomes(results),
        },
        frames={"plan": planned, "results": results, "left": left, "schedule": due},
        **options.common(results, run, f"Campaign {plan.campaign}" if plan.campaign else f"Run: {plan.act.verb}"),
    )


def _run_actions(left: pd.DataFrame, roles: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per kind of failure: what it needs, who acts, on how many rows, and how."""
    found: list[dict[str, Any]] = []
    codes = left["error_code"].fillna(left["reason_code"])
    for (code, outcome), part in cast("Any", left.groupby([codes, "outcome"], sort=False, dropna=False)):
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


def _due(results: pd.DataFrame) -> pd.DataFrame:
    """Return what goes out when, as far as this run decides, the earliest first."""
    goes = (
        (results["outcome"] == Outcome.SUCCEEDED)
        & results["withdrawn"].isna()
        & ~results["act"].isin(["withdraw", "cancel"])
    )
    due = results[goes].filter([*_WHEN, "accounts", "targets", "new_content", "content", "post_id", "result_id"])
    times = [as_instants(due[name]) for name in _WHEN if name in due] or [pd.Series(pd.NaT, due.index)]
    due = due.drop(columns=_WHEN, errors="ignore").assign(scheduled_for=times[0].fillna(times[-1]))
    return due.dropna(subset=["scheduled_for"]).sort_values("scheduled_for", kind="stable", ignore_index=True)


# Deliveries


def _of_deliveries(log: pd.DataFrame, run: RunLike | None, options: Options) -> Report:
    """Make the report of a delivery history."""
    log = need(
        log,
        _DELIVERIES,
        "report() needs a deliveries frame",
        "Use ws.deliveries(...).",
        times=["created_at", "delivered_at"],
    )
    need_both_results(log, "report()")
    tz, attrs = shown_zone(log, options.tz), log.attrs
    log = deduplicate(log).reset_index(drop=True)
    log.attrs = {**attrs, "tz": tz}
    endpoints, outages, lost = (
        deliveries.stats(log, by="endpoint"),
        deliveries.outages(log),
        deliveries.lost(log, now=options.now),
    )
    results = pd.DataFrame()
    if run is not None:
        if not isinstance(plan := getattr(run, "plan", None), Plan) or plan.act.about != "delivery":
            raise PlanError(
                "report(run=) of deliveries needs the run of a redelivery; pass what ws.run(vx.plan_redeliver(log)) returned"
            )
        results = run.results()
        arriving = results["outcome"].isin([Outcome.SUCCEEDED, Outcome.PENDING])
        lost = lost[~lost["delivery_id"].isin(results.loc[arriving, "delivery_id"])]
    ended = (attrs.get("filters") or {}).get("until") is not None  # then nothing is known of the present
    down = outages[outages["recovered_at"].isna() & (not ended)]
    duplicates, hours = deliveries.duplicates(log, possible=False), deliveries.stats(log, by="hour", tz=tz)
    frames = {"endpoints": endpoints, "hours": hours, "outages": outages, "duplicates": duplicates, "lost": lost}
    counts = {name: int(endpoints[name].sum()) for name in ("succeeded", "failed", "in_flight")}
    good, bad, flying = (OUTCOME[name].colour for name in ("succeeded", "failed", "pending"))
    drawn = {"volume": plots.delivery_volume, "latency": plots.latency_bands, "hours": plots.endpoint_heatmap}
    return Report(
        subject="deliveries",
        headline=_delivered(counts, outages, down, lost) + ("" if run is None else f" {outcomes_in_words(results)}"),
        facts=(
            Fact(counts["failed"], "failed", bad),
            Fact(len(lost), "never arrived", bad),
            Fact(len(outages), "outages", bad),
            Fact(counts["succeeded"], "arrived", good),
            Fact(counts["in_flight"], "in flight", flying),
        ),
        tables={
            "actions": _lost_actions(down, lost, options),
            "endpoints": endpoints.drop(columns=["in_flight", "attempts"]),
            "outcomes": outcomes(results),
            "outages": outages,
            "duplicates": duplicates,
            "lost": lost.sort_values("created_at", ascending=False, kind="stable"),
        },
        frames={
            name: redacted(frame)
            for name, frame in (frames if run is None else {**frames, "redelivered": results}).items()
        },
        figures={name: partial(draw, log, tz=tz) for name, draw in drawn.items()}
        | {"outages": partial(plots.outage_bands, outages, log, tz=tz)},
        **options.common(log, run, "Webhook deliveries"),
    )


def _delivered(counts: dict[str, int], outages: pd.DataFrame, down: pd.DataFrame, lost: pd.DataFrame) -> str:
    """Summarise in a few words what happened."""
    arrived, settled = counts["succeeded"], counts["succeeded"] + counts["failed"]
    if not settled:
        return f"Nothing was delivered, and nothing failed; {counts['in_flight']:,} in flight."
    text = f"{arrived:,} of {settled:,} deliveries succeeded ({safe.percent(arrived / settled)}), {len(lost):,} never arrived."
    if len(outages):
        lengths = outages["end"] - outages["start"]
        length, where = lengths.max().total_seconds(), outages["url"].iloc[lengths.argmax()]
        text += f" {safe.many(len(outages), 'outage')}; the longest took {safe.duration(length)} at {safe.short_address(where)}."
    return text + (f" Not recovered: {', '.join(map(safe.short_address, down['url']))}." if len(down) else "")


def _lost_actions(down: pd.DataFrame, lost: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Return one row per kind of loss: who acts, on how many deliveries, how, and where."""
    roles, found = options.roles(_RECEIVERS), []
    for code, how in _LOSSES.items():
        urls = lost.loc[lost["reason_code"] == code, "url"]
        if code == "down_now":
            urls = down["url"].repeat(down["failed_first"].to_list())  # counts deliveries, as the other kinds do
        places = urls.map(safe.short_address).value_counts()
        where = ", ".join(f"{place} ({count:,})" for place, count in places.items())
        if len(urls):
            kind = code.replace("_", " ")
            found.append({"kind": kind, "who": roles[code], "deliveries": len(urls), "how": how, "endpoints": where})
    return pd.DataFrame(found)
