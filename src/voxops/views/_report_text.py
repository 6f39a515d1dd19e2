"""A report as Markdown for tickets and as plain text for terminals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from voxops._support import safe
from voxops.views._report_sections import ACTIONS, ReportContent
from voxops.views._tables import markdown_table

__all__ = ["cells", "heads", "limit_of", "markdown", "plain", "shown"]

_LIMITS = {"how": 1000}  # characters shown, if more than usual: several remedies, none of them cut


def markdown(report: ReportContent) -> str:
    """Return the report as Markdown, without figures."""
    lines = [f"# {safe.markdown(report.title)}", safe.markdown(" · ".join(report.about), 400)]
    lines.append(f"**{safe.markdown(report.headline, 600)}**")
    lines += ["\n".join(f"- {fact.count:,} {fact.label}" for fact in facts) for facts in report.facts]
    for section in report.sections:
        lines.append(f"## {safe.markdown(section.title)}")
        lines.append(safe.markdown(section.text, 600))
        if len(section.table):
            codes = frozenset(at for at, name in enumerate(section.table.columns) if str(name).endswith("_id"))
            limits = [limit_of(name) for name in section.table.columns]
            lines.append(markdown_table(heads(section.table), cells(section.table), codes, limits))
    return "\n\n".join(line for line in lines if line) + "\n"


def plain(report: ReportContent) -> str:
    """Return the summary as text: title, headline, and who must do what."""
    lines = [safe.plain(report.title), safe.plain(report.headline, 600)]
    for section in report.sections:
        if section.title == ACTIONS:
            lines += [f"{row[2]:>8}  {safe.plain(f'{row[0]}: {row[1]}')}" for row in cells(section.table)]
    return "\n".join(lines)


def heads(table: pd.DataFrame) -> list[str]:
    """Return column names for a reader, with the time zone of times."""
    return [
        safe.zoned(head, table[name].dt.tz) if isinstance(table[name].dtype, pd.DatetimeTZDtype) else head
        for name, head in ((name, name.replace("_", " ")) for name in map(str, table.columns))
    ]


def limit_of(column: object) -> int:
    """Return how many characters of a column are shown, in any form."""
    return _LIMITS.get(str(column), 300)


def cells(table: pd.DataFrame) -> Iterable[list[str]]:
    """Yield rows of shown values; not yet escaped."""
    for row in table.itertuples(index=False):
        yield [shown(value) for value in row]


def shown(value: Any) -> str:
    """Return one value for a reader: times to the minute, numbers with grouped digits."""
    if isinstance(value, list | tuple | set):
        return ", ".join(map(str, value))
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M")
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    return f"{value:,}" if pd.api.types.is_number(value) else str(value)
