"""The section of a report besides its failures: this week against last."""

from __future__ import annotations

import pandas as pd

from voxops._support import safe
from voxops.views._report_sections import ALL_ROWS, Section

__all__ = ["WEEKS", "against_last_week"]

WEEKS = ("change", "cause", "verdict", "rows", "last_week", "before", "last_seen")  # columns shown
_ROWS = 25


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
