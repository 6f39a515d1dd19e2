"""The frame of a plan as JSON and back, for a ledger; no pickle, whose bytes would run code."""

from __future__ import annotations

from typing import Any

import pandas as pd

from voxops._support.canonical import decode, json_text
from voxops.errors import LedgerError
from voxops.frames.cells import Json, Targets
from voxops.frames.checks import plain_values
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.times import TIME_DTYPE

_DTYPES: dict[str, Any] = {
    "bool": "bool",
    "boolean": "boolean",
    "Int64": "Int64",
    "float64": "float64",
    "text": STRING_DTYPE,
    "str": "str",
    "time": TIME_DTYPE,
}
_CELLS = {"json": Json, "targets": Targets}


def store(frame: pd.DataFrame) -> bytes:
    """Write a frame as JSON.

    Parameters
    ----------
    frame : pandas.DataFrame
        A plan's. Columns of numbers, booleans, times and text keep that; other values become JSON, or text.

    Returns
    -------
    bytes
        `restore` returns the frame with the index from 0 and the dtypes of voxops: times in UTC, categories as text.
    """
    columns = [[str(name), _kind(frame[name]), plain_values(frame, name)] for name in frame.columns]
    for column in columns:
        if column[1] in _CELLS:
            column[2] = [None if value is None else str(value) for value in column[2]]
    return (json_text({"rows": len(frame), "columns": columns, "attrs": frame.attrs}) or "").encode()


def restore(data: bytes) -> pd.DataFrame:
    """Read a frame that `store` wrote; LedgerError for other bytes."""
    try:
        content = decode(data)
        columns = {name: _column(kind, values) for name, kind, values in content["columns"]}
        if {content["rows"], *map(len, columns.values())} != {content["rows"]}:
            raise ValueError("columns of several lengths")
        frame = pd.DataFrame(columns, index=pd.RangeIndex(content["rows"]))
        frame.attrs = dict(content["attrs"])
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise LedgerError(
            "the ledger holds bytes that are not the frame of a plan; somebody has changed it by hand"
        ) from error
    return frame


def _kind(column: pd.Series[Any]) -> str:
    """Return the kind by which a column is read back."""
    dtype: Any = column.cat.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "time"
    if isinstance(dtype, pd.StringDtype):
        return "text" if dtype.na_value is pd.NA else "str"
    if pd.api.types.is_numeric_dtype(dtype) and str(dtype) not in {"bool", "boolean"}:
        return "Int64" if pd.api.types.is_integer_dtype(dtype) else "float64"
    kinds = {type(value) for value in column.dropna()} if str(dtype) == "object" else {dtype}
    return "targets" if kinds == {Targets} else "json" if kinds & {Json, Targets} else str(dtype)


def _column(kind: str, values: list[Any]) -> Any:
    """Return values as a column of this kind; a dtype that is not one of voxops is ``object``."""
    if kind in _CELLS:
        values = [None if value is None else _CELLS[kind](value.encode()) for value in values]
    else:
        values = [tuple(value) if isinstance(value, list) else value for value in values]
    return pd.Series(values, dtype=_DTYPES.get(kind, object))
