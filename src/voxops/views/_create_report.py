"""The report of a run that created posts: what went, what did not, and why."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from voxops._support import safe
from voxops.frames.palette import OTHER
from voxops.frames.table import shown_columns
from voxops.frames.times import absolute, shown_zone
from voxops.views import _report_sections, _summary
from voxops.views._protocols import RunLike
from voxops.views._report import Report, most_rows, shown_in
from voxops.views._report_sections import ALL_ROWS, Fact, Section

__all__ = ["create_report"]

_SINCE = ("row_id", "content", "result_id", "withdrawn", "notice")


def create_report(run: RunLike, *, title: str | None, now: datetime | None, tz: str | None, rows: int) -> Report:
    """Make the report of a run of creates from its results and its plan; see `voxops.report`."""
    rows, plan, results = most_rows(rows), run.plan, run.results()
    assert plan is not None
    tz = shown_zone(results, tz)
    left = _left(plan.frame, results)
    held = len(plan.frame) - len(results)
    parts = [
        _report_sections.happened(results, run, results, None),
        _report_sections.planned(plan, results),
        _evidence(left, rows),
        _since(results, rows),
    ]
    frames = {"plan": plan.frame, "results": results, "left": left}
    said = _summary.headline(left.head(0), results) if len(results) else "Nothing was sent."
    said += f" {safe.many(held, 'row of the plan was', 'rows of the plan were')} not eligible." if held else ""
    named = f"Campaign {plan.campaign}" if plan.campaign else "Run: create"
    facts = (*_summary.outcome_facts(results), Fact(held, "not eligible", OTHER.colour))
    return Report(
        title=safe.plain(named if title is None else title, 120),
        headline=said,
        about=tuple(_report_sections.about(results, run, None if now is None else absolute(now))),
        facts=facts,
        sections=tuple(part for part in parts if part.text or len(part.table)),
        tz=tz,
        frames={name: shown_in(frame, tz) for name, frame in frames.items()},
    )


def _left(planned: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that did not go, with outcome and reason: those of the run, then those not eligible."""
    short = results[results["outcome"] != "succeeded"]
    error = (short["error_code"] + ": " + short["error_message"]).fillna(short["error_code"])
    short = short.assign(why=error.fillna(short["waiting_for"]))
    held = planned[~planned["eligible"].astype(bool)]
    return pd.concat([short, held.assign(outcome="not eligible", why=held["reason"])])


def _evidence(left: pd.DataFrame, rows: int) -> Section:
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
