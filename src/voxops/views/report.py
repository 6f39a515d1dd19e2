"""The report that people forward: what failed, who must do what, what the retry did, and the evidence.

A `Report` is a list of sections, each a sentence, figures and a table, drawn alike as HTML, Markdown and for a notebook.
The same frames give the same bytes: nothing in it is read from a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, overload

import pandas as pd

from voxops._support import files, safe
from voxops._support.arguments import did_you_mean, file_path, new_file, refuse_form, whole_number
from voxops.acts.plan import PLAN_COLUMNS, Plan
from voxops.analysis.causes import causes
from voxops.analysis.triage import triage
from voxops.errors import ConfigError, PlanError
from voxops.frames.columns import flags, need_frame, restored
from voxops.frames.records import TARGET_KEY, latest_targets, targets
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.times import absolute, shown_zone
from voxops.views import _findings, _history, _left, _report_html, _report_text, _summary, _tables, _tickets, excel
from voxops.views._findings import OWNERS, Fact, Figure, Findings, Section
from voxops.views._handed import HandedRun

__all__ = ["OWNERS", "Fact", "Figure", "Findings", "Report", "Section", "most_rows", "report", "roles"]

_NEEDED = (
    *TARGET_KEY,
    *("status", "error_message", "updated_at"),
    *("cause", "verdict", "remedy", "retryable"),
)
_Content = TypeVar("_Content", str, pd.DataFrame)
# What the rows of a run are, where they are no posts that existed before -> what shows it.
_ABOUT_OTHERS = {
    "create": "this run makes posts. Use run.results(), or vx.to_excel(path, results=run) for a file; once they are out, "
    "vx.report(vx.triage(vx.targets(run.made()))) reports those that failed",
    "delivery": "this run is about webhook deliveries. Use run.results(), or vx.delivery_report(ws.deliveries()) for a file",
}
_TITLE = "Failure triage"
_RESULTS = ("platform", "outcome", "waiting_for", "error_code")


@dataclass(frozen=True, eq=False)
class Report(Findings):
    """A finished report; made by `report`. Its title, headline, facts and sections are those of `Findings`.

    Attributes
    ----------
    frames : mapping of str to pandas.DataFrame
        The data in full: ``causes``, ``failures`` and, where there are any, ``weeks``, ``at_risk``, ``plan`` and ``results``;
        after a run also ``left``: the failures without what succeeded, and what failed again triaged anew. Of deliveries:
        ``endpoints``, ``levels``, ``hours``, ``attempts``, ``outages``, ``duplicates`` and ``lost``.
    """

    frames: Mapping[str, pd.DataFrame]

    @overload
    def to_html(self, path: None = None) -> str: ...
    @overload
    def to_html(self, path: str | Path) -> Path: ...
    def to_html(self, path: str | Path | None = None) -> str | Path:
        """Write one self-contained HTML file: figures inside, readable offline, in mail previews and on paper.

        Without a path, return its text.

        Raises
        ------
        ConfigError
            If it is no path, bears the name of another form, or can't be written there; the other forms raise it, too.
        """
        page = _report_html.page(self)
        return page if path is None else _written(_write, page, _place(path, ".html", ".htm"))

    @overload
    def to_markdown(self, path: None = None) -> str: ...
    @overload
    def to_markdown(self, path: str | Path) -> Path: ...
    def to_markdown(self, path: str | Path | None = None) -> str | Path:
        """Write Markdown for a ticket: the same without figures. Without a path, return its text."""
        text = _report_text.markdown(self)
        return text if path is None else _written(_write, text, _place(path, ".md"))

    def to_csv(self, folder: str | Path) -> list[Path]:
        """Write each of `frames` as CSV for a spreadsheet: times in the zone of the workspace, formulas guarded."""
        place = refuse_form("folder", file_path("folder", folder))
        return [_written(_tables.write_csv, frame, place / f"{name}.csv") for name, frame in self.frames.items()]

    def to_excel(self, path: str | Path) -> Path:
        """Write `frames` as one Excel workbook, a sheet for each; see ``vx.to_excel``."""
        return excel.write_workbook(self.frames, new_file("path", path, "report.xlsx"))

    def tickets(self, by: str = "owner") -> dict[str, str]:
        """Return what is to be done as one Markdown text for each person, and one for support.

        Parameters
        ----------
        by : str
            Column of the failures that names the person, or what else a ticket is for, such as ``campaign`` or ``tags``: a post with
            several tags stands in the ticket of each.

        Returns
        -------
        dict of str to str
            Person -> Markdown, in the order of their names; ``nobody`` for what belongs to nobody, and last ``support`` where
            something is for support. Ids are code spans, so that they can be copied and found. In a cell it shows the texts themselves.

        Raises
        ------
        PlanError
            If the failures have no such column, or the report is about deliveries.
        """
        failures = self.frames.get("left", self.frames.get("failures"))
        if failures is None:
            raise PlanError(
                "tickets() are for the report of a triage, vx.report(triaged); this one is about deliveries"
            )
        return _tickets.tickets(self, failures, by)

    def to_parquet(self, folder: str | Path) -> list[Path]:
        """Write each of `frames` as Parquet; needs ``voxops[archive]``."""
        place = refuse_form("folder", file_path("folder", folder))
        return [
            _written(_tables.write_parquet, frame, place / f"{name}.parquet") for name, frame in self.frames.items()
        ]

    def _repr_html_(self) -> str:
        return _report_html.fragment(self)

    def __repr__(self) -> str:
        return _report_text.plain(self)


def report(
    triaged: pd.DataFrame | None = None,
    run: HandedRun | None = None,
    *,
    plan: Plan | None = None,
    before: pd.DataFrame | None = None,
    after: pd.DataFrame | None = None,
    weeks: pd.DataFrame | None = None,
    at_risk: pd.DataFrame | None = None,
    title: str | None = None,
    now: datetime | None = None,
    tz: str | None = None,
    owners: Mapping[str, str] | None = None,
    rows: int = 50,
) -> Report:
    """Make the report of a triage and, if there was one, of the retry that followed.

    Parameters
    ----------
    triaged : pandas.DataFrame, optional
        What `triage` returned: the columns of targets and ``cause``, ``verdict``, ``remedy``, ``retryable``; by default what the
        plan of `run` was made of, so that a run of yesterday needs nothing else.
    run : Run, optional
        The run of the retry, or of another act on posts that exist; its results are read now. What is to be done is then about what
        it has left, the causes and the evidence about `triaged`.
    plan : Plan, optional
        The plan; by default the run's.
    before, after : pandas.DataFrame, optional
        Targets before and after the run, each with a ``status``; by default `triaged` and the run's results.
    weeks : pandas.DataFrame, optional
        This week against last, from ``vx.causes(triaged, against="7D")``.
    at_risk : pandas.DataFrame, optional
        What is about to go out on an account that can't publish, from ``ws.at_risk()``.
    title : str, optional
        Headline of the file; by default ``Failure triage``, and ``Run: `` and the act for a run of posts none of which had failed.
    now : datetime, optional
        When the report is made; left out, the report says only when its data were read.
    tz : str, optional
        Time zone of what it shows, that of the workspace (``triaged.attrs["tz"]``) by default, else UTC.
    owners : mapping of str to str, optional
        Verdict -> who acts on it; what is not in it is taken from `OWNERS`.
    rows : int
        Most rows of evidence in HTML and Markdown; CSV and Parquet hold all.

    Returns
    -------
    Report
        With ``frames``: ``causes failures``, and where there are any ``weeks at_risk left plan results``.

    Raises
    ------
    PlanError
        If a frame lacks columns, has one twice, or has text where times should be; or `run` is not the run of a plan about posts that exist.
    ConfigError
        If `now` has no offset, `tz` is not a time zone, `rows` is no whole number, or `owners` names what is no verdict.

    Examples
    --------
    >>> made = vx.report(triaged)
    >>> made.to_markdown(folder / "triage.md").name
    'triage.md'
    """
    for subject in (triaged, run):
        _refuse_others(subject)
    rows = most_rows(rows)
    if triaged is None and isinstance(planned := getattr(getattr(run, "plan", None), "frame", None), pd.DataFrame):
        triaged = planned.drop(columns=[*PLAN_COLUMNS], errors="ignore")
        if "targets" in triaged and "cause" not in triaged:
            triaged = triage(targets(triaged))  # of an act on whole posts
    maker = "Use vx.triage(vx.targets(posts))."
    triaged = need_frame(triaged, _NEEDED, "report() needs a triaged frame", maker, times=["updated_at"])
    for name, frame in (("before", before), ("after", after)):
        if frame is not None:
            need_frame(frame, ("status",), f"report({name}=) needs a targets frame", "Use vx.targets(posts).")
    if weeks is not None:
        weeks = need_frame(
            weeks,
            _history.WEEKS,
            "report(weeks=) needs weeks",
            "Use vx.causes(triaged, against='7D').",
            times=["last_seen"],
        )
    if at_risk is not None:
        what = "report(at_risk=) needs posts at risk"
        at_risk = need_frame(
            at_risk, (*_history.AT_RISK, "account_id"), what, "Use ws.at_risk().", times=["scheduled_for"]
        )
    assert triaged is not None
    triaged = latest_targets(restored(triaged))
    tz = shown_zone(triaged, tz)
    triaged.attrs = {**triaged.attrs, "tz": tz}
    triaged = triaged.assign(retryable=flags(triaged, "retryable"))  # a file may have made text of it
    results = None if run is None else _results(run)
    plan = plan if plan is not None else getattr(run, "plan", None)
    if plan is not None:
        planned = getattr(plan, "frame", None)
        need_frame(planned, ("eligible", "reason"), "report(plan=) needs a plan", "Use vx.plan_retry(triaged).")
    failures = triaged[triaged["cause"].notna()]
    owners = {
        **OWNERS,
        **roles(OWNERS if owners is None else owners, {*OWNERS, *map(str, triaged["verdict"].dropna())}),
    }
    had_failed = not failures.empty
    left = failures if run is None or results is None else _left.left(failures, results, run.failed())
    parts = [
        Section(_findings.ACTIONS, "", _findings.actions(left, owners)),
        _findings.why(failures, owners, results),
        _history.about_to_fail(at_risk, tz),
        _history.against_last_week(weeks, tz),
        _findings.planned(plan, results),
        _findings.happened(results, run, triaged if before is None else before, after),
        _findings.evidence(failures, results, rows),
    ]
    frames = {
        "causes": causes(triaged),
        "weeks": weeks,
        "at_risk": at_risk,
        "failures": failures,
        "left": None if run is None else left,
        "plan": getattr(plan, "frame", None),
        "results": results,
    }
    return Report(
        title=safe.plain(_title(plan, results, failed_before=had_failed) if title is None else title, 120),
        headline=_summary.headline(left, results, _summary.none_failed(triaged)),
        about=tuple(_findings.about(triaged, run, None if now is None else absolute("now", now))),
        facts=_summary.facts(left, results, failed_before=had_failed),
        sections=tuple(part for part in parts if part.text or len(part.table)),
        frames={name: _shown_in(frame, tz) for name, frame in frames.items() if frame is not None},
    )


def _title(plan: Plan | None, results: pd.DataFrame | None, *, failed_before: bool) -> str:
    """What a report is about: failures, or a run of posts none of which had failed."""
    act = getattr(plan, "act", None)
    return _TITLE if results is None or act is None or failed_before else f"Run: {act.verb}"


def _shown_in(frame: pd.DataFrame, tz: str) -> pd.DataFrame:
    """A frame whose files show its times in a zone; its data stay as they are."""
    shown = frame.copy(deep=False)
    shown.attrs = {**frame.attrs, "tz": tz}
    return shown


def most_rows(rows: object) -> int:
    """The argument `rows` of a report."""
    return whole_number(
        rows, ConfigError(f"rows={rows!r} must be a whole number of rows of evidence, 0 for none"), least=0
    )


def roles(owners: object, known: Collection[str]) -> Mapping[str, str]:
    """The argument `owners` of a report: who acts on what; a name that is not `known` would be left aside without a word."""
    if not isinstance(owners, Mapping):
        raise ConfigError(f"owners= takes a mapping such as {{'retry': 'Ada'}}, not {type(owners).__name__}")
    for name in owners:
        if name not in known:
            raise ConfigError(f"owners= names {name!r}; {did_you_mean(str(name), map(str, known))}")
    return owners


def _refuse_others(subject: Any) -> None:
    """Refuse a run whose rows are no posts that had failed, and name what shows it."""
    instead = _ABOUT_OTHERS.get(getattr(getattr(getattr(subject, "plan", None), "act", None), "about", ""))
    if instead is not None:
        raise PlanError(f"report() is of posts that failed, and of the run that acted on them; {instead}")


def _results(run: Any) -> pd.DataFrame:
    """What became of the rows of a run, which must be one that acted."""
    if callable(getattr(run, "results", None)) and getattr(run, "plan", run) is None:
        raise PlanError("report(run=) needs the run of a plan, not a watch. Pass what ws.run(plan) returned.")
    results: pd.DataFrame | None = run.results() if callable(getattr(run, "results", None)) else None
    if isinstance(results, pd.DataFrame) and "platform" not in results.columns and "targets" in results.columns:
        results = results.assign(platform=_platforms(results["targets"]))  # what was done to whole posts
    if not isinstance(results, pd.DataFrame):
        what = f"report(run=) needs the run of a plan, not {type(run).__name__}"
        advice = "Pass it as plan=" if hasattr(run, "eligible") else "Pass what ws.run(plan) returned"
        raise PlanError(f"{what}. {advice}.")
    need_frame(results, _RESULTS, "report(run=) needs the run of a plan", "Pass what ws.run(plan) returned.")
    return results


def _platforms(cells: pd.Series) -> Any:
    """The platforms of each post, joined."""
    names = ["+".join(sorted({target.platform for target in cell or () if target.platform})) or None for cell in cells]
    return pd.array(names, dtype=STRING_DTYPE)


def _place(path: str | Path, *own: str) -> Path:
    """Where a file whose name ends with one of `own` is to be written."""
    return refuse_form("path", new_file("path", path, f"report{own[0]}"), *own)


def _write(text: str, path: Path) -> Path:
    """Write a file, its folder included, for its owner's eyes."""
    files.make_folder(path.parent)
    files.write_file(path, text)
    return path


def _written(write: Callable[[_Content, Path], Path], content: _Content, path: Path) -> Path:
    """Write a file in one of the forms; a ConfigError says where it can't be."""
    try:
        return write(content, path)
    except OSError as error:
        raise files.unwritable(path, error) from error
