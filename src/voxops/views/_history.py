"""Sections of a report about what lies beside its failures: this week against last, and posts that are at risk."""

from __future__ import annotations

import pandas as pd

from voxops._core import safe
from voxops.views._findings import ALL_ROWS, Section

__all__ = ["against_last_week"]

_ROWS = 25


def against_last_week(weeks: pd.DataFrame | None) -> Section:
    """Say which causes are new, worse or back, and which are gone."""
    title = "This week against last"
    if weeks is None:
        return Section(title)
    counts = weeks["change"].value_counts()
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    text = f"{safe.many(len(weeks), 'cause')}: {said}." if len(weeks) else "Neither week has a failure."
    names = ["change", "cause", "verdict", "rows", "last_week", "before", "last_seen"]
    table = weeks[names].head(_ROWS).rename(columns={"rows": "this week", "last_week": "last week"})
    if len(weeks) > _ROWS:
        text += f" {len(weeks) - _ROWS} more: {ALL_ROWS}."
    return Section(title, text, table)
