"""The report that people forward: what failed, who must do what, what the retry did, and the evidence.

A `Report` is a list of sections, each a sentence, figures and a table, drawn alike as HTML, Markdown and for a notebook.
The same frames give the same bytes: nothing in it is read from a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from voxops import _html
from voxops.plan import need_columns
from voxops.triage import causes
from voxops.views import _findings, _report_html, _report_text, _tables
from voxops.views._findings import OWNERS, Fact, Figure, Findings, Section

__all__ = ["OWNERS", "Fact", "Figure", "Findings", "Report", "Section", "report"]

_NEEDED = ("post_id", "platform", "status", "cause", "verdict", "remedy", "retryable")


@dataclass(frozen=True, eq=False)
class Report(Findings):
    """A finished report; made by `report`. Its title, headline, facts and sections are those of `Findings`.

    Attributes
    ----------
    frames : mapping of str to pandas.DataFrame
        The data in full: ``causes``, ``failures`` and, where there are any, ``plan`` and ``results``.
    """

    frames: Mapping[str, pd.DataFrame]

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained HTML file: figures inside, readable offline, in mail previews and on paper."""
        return _write(path, _report_html.page(self))

    def to_markdown(self, path: str | Path) -> Path:
        """Write Markdown for a ticket: the same without figures."""
        return _write(path, _report_text.markdown(self))

    def to_csv(self, folder: str | Path) -> list[Path]:
        """Write each of `frames` as CSV for a spreadsheet: times in UTC, formulas guarded."""
        return [_tables.write_csv(frame, Path(folder) / f"{name}.csv") for name, frame in self.frames.items()]

    def to_parquet(self, folder: str | Path) -> list[Path]:
        """Write each of `frames` as Parquet; needs ``voxops[archive]``."""
        return [_tables.write_parquet(frame, Path(folder) / f"{name}.parquet") for name, frame in self.frames.items()]

    def _repr_html_(self) -> str:
        return _report_html.fragment(self)

    def __repr__(self) -> str:
        return _report_text.plain(self)


def report(
    triaged: pd.DataFrame,
    run: Any = None,
    *,
    plan: Any = None,
    before: pd.DataFrame | None = None,
    after: pd.DataFrame | None = None,
    title: str = "Failure triage",
    now: datetime | None = None,
    owners: Mapping[str, str] = OWNERS,
    rows: int = 50,
) -> Report:
    """Make the report of a triage and, if there was one, of the retry that followed.

    Parameters
    ----------
    triaged : pandas.DataFrame
        What `triage` returned: the columns of targets and ``cause``, ``verdict``, ``remedy``, ``retryable``.
    run : Run, optional
        The run of the retry; its results are read now.
    plan : Plan, optional
        The plan; by default the run's.
    before, after : pandas.DataFrame, optional
        Targets before and after the run, each with a ``status``; by default `triaged` and the run's results.
    title : str
        Headline of the file.
    now : datetime, optional
        When the report is made; left out, the report says only when its data were read.
    owners : mapping of str to str, optional
        Verdict -> who acts on it; what is not in it is taken from `OWNERS`.
    rows : int
        Most rows of evidence in HTML and Markdown; CSV and Parquet hold all.

    Raises
    ------
    PlanError
        If `triaged` lacks columns.
    """
    need_columns(triaged, _NEEDED, "pass what vx.triage(frame) returns")
    plan = plan if plan is not None else getattr(run, "plan", None)
    failures = triaged[triaged["cause"].notna()]
    results = run.results() if run is not None else None
    owners = {**OWNERS, **owners}
    parts = [
        Section(_findings.ACTIONS, "", _findings.actions(failures, owners)),
        _findings.why(failures, owners),
        _findings.planned(plan, sent=run is not None),
        _findings.happened(results, run, triaged if before is None else before, after),
        _findings.evidence(failures, results, rows),
    ]
    frames = {"causes": causes(triaged), "failures": failures, "plan": getattr(plan, "frame", None), "results": results}
    return Report(
        title=_html.plain(title, 120),
        headline=_findings.headline(failures, results),
        about=tuple(_findings.about(triaged, run, now)),
        facts=_findings.facts(failures, results),
        sections=tuple(part for part in parts if part.text or len(part.table)),
        frames={name: frame for name, frame in frames.items() if frame is not None},
    )


def _write(path: str | Path, text: str) -> Path:
    """Write a file, its folder included."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="\n")
    return target
