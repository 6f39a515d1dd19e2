"""The report of a triage: what failed, who must do what, what the retry did, and the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from voxops._support import safe
from voxops.acts.plan import PLAN_TYPES, Plan
from voxops.analysis.causes import causes
from voxops.analysis.triage import triage
from voxops.errors import PlanError
from voxops.frames.checks import flags, need, restored
from voxops.frames.records import TARGET_KEY, latest_targets, platforms_in, targets
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.times import absolute, shown_zone
from voxops.views import _remaining, _report_context, _report_sections, _summary
from voxops.views._protocols import RunLike
from voxops.views._report import Report, most_rows, roles, shown_in
from voxops.views._report_sections import OWNERS, Section

__all__ = ["triage_report"]

_NEEDED = (
    *TARGET_KEY,
    *("status", "error_message", "updated_at"),
    *("cause", "verdict", "remedy", "retryable"),
)
_TITLE = "Failure triage"
_RESULTS = ("platform", "outcome", "waiting_for", "error_code")


def triage_report(
    triaged: pd.DataFrame | None = None,
    run: RunLike | None = None,
    *,
    plan: Plan | None = None,
    before: pd.DataFrame | None = None,
    after: pd.DataFrame | None = None,
    weeks: pd.DataFrame | None = None,
    title: str | None = None,
    now: datetime | None = None,
    tz: str | None = None,
    owners: Mapping[str, str] | None = None,
    rows: int = 50,
) -> Report:
    """Make the report of a triage and of the retry that followed, if any; see `voxops.report`."""
    rows = most_rows(rows)
    if triaged is None and isinstance(planned := getattr(getattr(run, "plan", None), "frame", None), pd.DataFrame):
        triaged = planned.drop(columns=[*PLAN_TYPES], errors="ignore")
        if "targets" in triaged and "cause" not in triaged:
            triaged = triage(targets(triaged))  # an act on whole posts
    maker = "Use vx.triage(posts), or pass deliveries, ws.deliveries(...), or the run of a plan."
    triaged = need(triaged, _NEEDED, "report() needs a triaged frame", maker, times=["updated_at"])
    for name, frame in (("before", before), ("after", after)):
        if frame is not None:
            need(frame, ("status",), f"report({name}=) needs a targets frame", "Use vx.targets(posts).")
    if weeks is not None:
        weeks = need(
            weeks,
            _report_context.WEEKS,
            "report(weeks=) needs weeks",
            "Use vx.causes(triaged, against='7D').",
            times=["last_seen"],
        )
    assert triaged is not None
    triaged = latest_targets(restored(triaged))
    tz = shown_zone(triaged, tz)
    triaged.attrs = {**triaged.attrs, "tz": tz}
    triaged = triaged.assign(retryable=flags(triaged, "retryable"))  # may be text if read from a file
    results = None if run is None else _results(run)
    plan = plan if plan is not None else getattr(run, "plan", None)
    if plan is not None:
        planned = getattr(plan, "frame", None)
        need(planned, ("eligible", "reason"), "report(plan=) needs a plan", "Use vx.plan_retry(triaged).")
    failures = triaged[triaged["cause"].notna()]
    owners = {
        **OWNERS,
        **roles(OWNERS if owners is None else owners, {*OWNERS, *map(str, triaged["verdict"].dropna())}),
    }
    had_failed = not failures.empty
    left = (
        failures if run is None or results is None else _remaining.remaining_failures(failures, results, run.failed())
    )
    parts = [
        Section(_report_sections.ACTIONS, "", _report_sections.actions(left, owners)),
        _report_sections.why(failures, owners, results),
        _report_context.against_last_week(weeks),
        _report_sections.planned(plan, results),
        _report_sections.happened(results, run, triaged if before is None else before, after),
        _report_sections.evidence(failures, results, rows),
    ]
    frames = {
        "causes": causes(triaged),
        "weeks": weeks,
        "failures": failures,
        "left": None if run is None else left,
        "plan": getattr(plan, "frame", None),
        "results": results,
    }
    return Report(
        title=safe.plain(_title(plan, results, failed_before=had_failed) if title is None else title, 120),
        headline=_summary.headline(left, results, _summary.none_failed(triaged)),
        about=tuple(_report_sections.about(triaged, run, None if now is None else absolute(now))),
        facts=_summary.facts(left, results, failed_before=had_failed),
        sections=tuple(part for part in parts if part.text or len(part.table)),
        tz=tz,
        frames={name: shown_in(frame, tz) for name, frame in frames.items() if frame is not None},
    )


def _title(plan: Plan | None, results: pd.DataFrame | None, *, failed_before: bool) -> str:
    """Return the title: a failure triage, or a run of posts of which none had failed."""
    act = getattr(plan, "act", None)
    return _TITLE if results is None or act is None or failed_before else f"Run: {act.verb}"


def _results(run: Any) -> pd.DataFrame:
    """Return the results of a run, which must be one that acted."""
    if callable(getattr(run, "results", None)) and getattr(run, "plan", run) is None:
        raise PlanError("report(run=) needs the run of a plan, not a watch. Pass what ws.run(plan) returned.")
    results: pd.DataFrame | None = run.results() if callable(getattr(run, "results", None)) else None
    if isinstance(results, pd.DataFrame) and "platform" not in results.columns and "targets" in results.columns:
        results = results.assign(
            platform=results["targets"].map(platforms_in).astype(STRING_DTYPE)
        )  # an act on whole posts
    if not isinstance(results, pd.DataFrame):
        what = f"report(run=) needs the run of a plan, not {type(run).__name__}"
        advice = "Pass it as plan=" if hasattr(run, "eligible") else "Pass what ws.run(plan) returned"
        raise PlanError(f"{what}. {advice}.")
    need(results, _RESULTS, "report(run=) needs the run of a plan", "Pass what ws.run(plan) returned.")
    return results
