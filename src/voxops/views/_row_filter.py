"""The row filters of a panel, and the code that selects the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pandas as pd

from voxops.errors import ConfigError
from voxops.frames.times import day_start, window

__all__ = ["RowFilter", "changes_code", "load_code", "only_code", "quoted", "rows_code"]

_WIDTH = 100  # characters of a code line; a longer list takes one line a value


@dataclass(frozen=True)
class RowFilter:
    """Filters over a frame.

    Attributes
    ----------
    values : mapping of str to tuple of str
        Column -> the values wanted; an empty tuple means all.
    when : str
        Column of times that `days` applies to.
    days : tuple of (date, date) or None
        First and last day wanted, in the zone `tz`; None means all, also rows without a time.
    tz : str
        The time zone in which days begin.
    """

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    when: str = "updated_at"
    days: tuple[date, date] | None = None
    tz: str = "UTC"

    def mask(self, frame: pd.DataFrame) -> pd.Series:
        """Return which rows of the frame are wanted (bool, on its index)."""
        keep = pd.Series(True, index=frame.index)
        for column, wanted in self.values.items():
            if wanted:
                keep &= frame[column].isin(list(wanted))
        if self.days is not None:
            start, end = _span(self.days, self.tz)
            keep &= frame[self.when].ge(start).fillna(False) & frame[self.when].lt(end).fillna(False)
        return keep.astype(bool)

    def covering(self, frame: pd.DataFrame, rows: pd.Series) -> RowFilter:
        """Return these filters, or none if they leave out some of the rows: a plan may arrive before the page's filters."""
        return self if bool(self.mask(frame)[rows].all()) else RowFilter()

    def code(self, name: str) -> list[str]:
        """Return code that keeps the same rows of the frame called `name`."""
        lines = []
        for column, wanted in self.values.items():
            if wanted:
                lines.append(f"{name} = {name}[{name}[{quoted(column)}].isin({_listed(wanted)})]")
        if self.days is not None:
            start, end = _span(self.days, self.tz)
            lines.append(f'{name} = {name}[{name}["{self.when}"] >= "{start.isoformat()}"]')
            lines.append(f'{name} = {name}[{name}["{self.when}"] < "{end.isoformat()}"]')
        return lines


def load_code(attrs: Mapping[str, Any], method: str, latest: pd.Timestamp | None = None) -> str | None:
    """Return the call that loads a frame again, with absolute times; None if its attrs do not say how it was loaded.

    An open span ends when the frame was loaded, or just after its `latest` row, so that later rows do not join. A limit is left
    out, since the newest rows of another day are others.
    """
    filters = attrs.get("filters")
    if attrs.get("kind") not in {method, "targets"} or not isinstance(filters, Mapping) or "complete" not in attrs:
        return None
    # A file may have attrs that are no filters, and this code is meant to be run.
    said = {name: value for name, value in filters.items() if name != "limit" and str(name).isidentifier()}
    try:
        read = pd.Timestamp(attrs["fetched_at"])
        since, until = window(said.pop("since", None), said.pop("until", None), read, attrs.get("tz") or "UTC")
    except (KeyError, ValueError, ConfigError):
        return None
    if until is None:
        until = read if latest is None or pd.isna(latest) else max(read, latest + pd.Timedelta(1, "us"))
    parts = [f"{name}={quoted(_plain(value))}" for name, value in said.items() if value not in (None, ())]
    parts += [f'{name}="{at.isoformat()}"' for name, at in (("since", since), ("until", until)) if at is not None]
    return f"ws.{method}({', '.join(parts)})"


def rows_code(name: str, columns: tuple[str, ...], kept: pd.DataFrame, left_out: pd.DataFrame) -> list[str]:
    """Return code that keeps the rows chosen by hand; it names the rows left out, or those kept if they are fewer."""
    if left_out.empty:
        return []
    out = len(left_out) < len(kept)
    return only_code(name, name, columns, left_out if out else kept, but="~" if out else "")


def only_code(name: str, of: str, columns: tuple[str, ...], rows: pd.DataFrame, but: str = "") -> list[str]:
    """Return code that keeps `rows` of the frame `of`, by key; with `but` as ``~`` all rows but these."""
    return [f"rows = {_listed(_names(rows, columns))}", f"{name} = {of}[{but}{_named(of, columns)}.isin(rows)]"]


def changes_code(name: str, columns: tuple[str, ...], wanted: pd.DataFrame, derived: pd.DataFrame) -> list[str]:
    """Return code that sets the cells in which `wanted` differs from `derived`; both have the same rows in the same order.

    `columns` are the row key; only the columns of `derived` are compared.
    """
    lines = []
    for column in derived.columns:
        cells = list(zip(_values(wanted[column]), _values(derived[column]), strict=True))
        for value in dict.fromkeys(now for now, was in cells if now != was):
            rows = _names(wanted[[now != was and now == value for now, was in cells]], columns)
            lines.append(f"rows = {_listed(rows)}")
            lines.append(f"{name}.loc[{_named(name, columns)}.isin(rows), {quoted(column)}] = {quoted(value)}")
    return lines


def _values(column: pd.Series) -> list[Any]:
    """Return the cells of a column as plain values, None for missing ones."""
    cells = column.astype(object).where(column.notna(), None)
    return [cell.item() if hasattr(cell, "item") else cell for cell in cells]


def _names(frame: pd.DataFrame, columns: tuple[str, ...]) -> list[Any]:
    """Return the key of each row: a value, or a tuple of several."""
    rows = list(frame[list(columns)].fillna("").astype(str).itertuples(index=False, name=None))
    return [row[0] for row in rows] if len(columns) == 1 else rows


def _named(name: str, columns: tuple[str, ...]) -> str:
    """Return code for the row keys of the frame called `name`."""
    if len(columns) == 1:
        return f"{name}[{quoted(columns[0])}]"
    return f'{name}[{quoted(list(columns))}].fillna("").apply(tuple, axis=1)'


def quoted(value: Any) -> str:
    """Return a value as ASCII code, text in double quotes unless it contains one."""
    if isinstance(value, list | tuple):
        inside = ", ".join(map(quoted, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    said = ascii(value)
    return f'"{said[1:-1]}"' if said.startswith("'") and '"' not in said else said


def _plain(value: Any) -> Any:
    """Return the value of a list of one, any other list as a list."""
    values = list(value) if isinstance(value, tuple | list) else [value]
    return values[0] if len(values) == 1 else values


def _span(days: tuple[date, date], tz: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the instants at which the days begin and end."""
    begin, end = (day_start(pd.Timestamp(day), tz).tz_convert("UTC") for day in (days[0], days[1] + timedelta(days=1)))
    return begin, end


def _listed(values: Iterable[Any]) -> str:
    """Return a list as code, one value a line if it is long."""
    shown = [quoted(value) for value in values]
    line = f"[{', '.join(shown)}]"
    if len(line) <= _WIDTH:
        return line
    return "[\n" + "".join(f"    {value},\n" for value in shown) + "]"
