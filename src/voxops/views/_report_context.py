"""Sections of a report besides its failures: this week against last, and posts at risk."""

from __future__ import annotations

import pandas as pd

from voxops._support import safe
from voxops.frames.table import shown_columns
from voxops.views._report_sections import ALL_ROWS, Section

__all__ = ["AT_RISK", "WEEKS", "about_to_fail", "against_last_week"]

WEEKS = ("change", "cause", "verdict", "rows", "last_week", "before", "last_seen")  # columns shown
AT_RISK = (
    "scheduled_for",
    "platform",
    "account_name",
    "risk",
    "why",
    "remedy",
    "post_id",
)  # account_id is counted, not shown
_ROWS = 25
_COLUMNS = 9


def against_last_week(weeks: pd.DataFrame | None) -> Section:
    """Return the causes that are new, worse, back or gone."""
    title = "This week against last"
    if weeks is None:
        return Section(title)
    counts = weeks["change"].value_counts()
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    text = f"{safe.many(len(weeks), 'cause')}: {said}." if len(weeks) else "Neither week has a failure."
    table = weeks[list(WEEKS)].head(_ROWS).rename(columns={"rows": "this week", "last_week": "last week"})
    if len(weeks) > _ROWS:
        text += f" {len(weeks) - _ROWS} more: {ALL_ROWS}."
    return Section(title, text, table)


def about_to_fail(risk: pd.DataFrame | None, tz: str) -> Section:
    """Return what is about to go out on an account that can't publish, or often fails."""
    title = "At risk: about to go out"
    if risk is None:
        return Section(title)
    if not len(risk):
        return Section(title, "Nothing that is scheduled is on an account at risk.")
    accounts, first = risk["account_id"].nunique(), risk["scheduled_for"].min()
    when = "" if pd.isna(first) else f", the first at {safe.instant(first.to_pydatetime(), tz=tz)}"
    text = f"{safe.many(len(risk), 'target')} on {safe.many(accounts, 'account')}{when}."
    if len(risk) > _ROWS:
        text += f" {len(risk) - _ROWS} more: {ALL_ROWS}."
    return Section(title, text, risk[shown_columns(risk, most=_COLUMNS)].head(_ROWS))
