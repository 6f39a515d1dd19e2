"""Frames as files for people: CSV that is safe in a spreadsheet."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from voxops._support import files, safe
from voxops.frames.cells import Json
from voxops.frames.checks import restored
from voxops.frames.times import shown_zone

__all__ = ["NESTED", "as_json", "spreadsheet", "write_csv"]

# Types of cells that have several values.
NESTED = (list, tuple, dict, set, Json)


def spreadsheet(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a copy that a spreadsheet reads as meant.

    Times become ``YYYY-MM-DD HH:MM:SS`` in the frame's zone. The column's name has the zone, such as ``(UTC)``, since spreadsheets know
    no time zones; an hour that the zone has twice has its offset. Lists and objects become JSON. Text that would run as a formula
    gets a leading apostrophe, in names of columns too.
    """
    columns: dict[str, Any] = {}
    frame, tz = _distinct(restored(frame)), shown_zone(frame)
    for name in frame.columns:
        column, head = frame[name], str(safe.cell(str(name)))
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            columns[safe.zoned(head, tz)] = _times(column.dt.tz_convert(tz))
        elif pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            columns[head] = column
        else:
            columns[head] = pd.Series([_cell(value) for value in column], index=frame.index, dtype=object)
    return pd.DataFrame(columns, index=frame.index)


def _distinct(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with unique column names: the second ``note`` is ``note.1``, as pandas reads such a file."""
    if frame.columns.is_unique:
        return frame
    seen: Counter[Any] = Counter()
    names = []
    for name in frame.columns:
        names.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return frame.set_axis(names, axis=1)


def _times(local: pd.Series[Any]) -> pd.Series[Any]:
    """Return times as text, with the offset only where the local time is ambiguous."""
    bare: pd.Series[Any] = local.dt.tz_localize(None)
    twice = bare.dt.tz_localize(local.dt.tz, ambiguous="NaT", nonexistent="NaT").isna() & local.notna()
    text: pd.Series[Any] = bare.dt.strftime("%Y-%m-%d %H:%M:%S")
    offsets = [at.isoformat() if late else shown for at, late, shown in zip(local, twice, text, strict=True)]
    return pd.Series(offsets, index=local.index, dtype=text.dtype) if twice.any() else text


def write_csv(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame for a spreadsheet, with the byte order mark that Excel needs to recognise UTF-8."""
    files.make_folder(path.parent)
    with files.replacing(path) as file:
        spreadsheet(frame).to_csv(file, index=False, encoding="utf-8-sig", lineterminator="\r\n")
    return path


def _cell(value: Any) -> Any:
    """Return one value as text guarded against formulas; None if missing."""
    if isinstance(value, NESTED):
        value = as_json(value)
    return None if pd.isna(value) else safe.cell(str(value))


def as_json(value: Any) -> str | None:
    """Return any value as JSON text, text as it is, None if missing; targets become objects.

    A value that JSON does not know, such as a day, becomes its text.
    """
    if not isinstance(value, NESTED) and pd.isna(value):
        return None
    if not isinstance(value, (*NESTED, int, float)):
        return str(value)
    if isinstance(value, Json):
        return str(value)
    return json.dumps(sorted(value, key=str) if isinstance(value, set) else value, ensure_ascii=False, default=str)
