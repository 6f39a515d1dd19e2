"""Frames as Arrow tables and back, by the same schemas as everything else: no dtype is left to inference."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from voxops._core.jsontext import sound
from voxops.frames import TARGET_COLUMNS
from voxops.frames.schemas import SCHEMAS, TARGET
from voxops.frames.target import Target, Targets, gather
from voxops.frames.values import STRING_DTYPE

__all__ = ["REPEATING", "SCHEMA", "read_part", "to_frame", "to_table"]

_TIME = pa.timestamp("us", tz="UTC")
_SIMPLE = {
    "text": pa.string(),
    "label": pa.string(),
    "word": pa.string(),
    "code": pa.string(),
    "count": pa.int64(),
    "flag": pa.bool_(),
    "time": _TIME,
    "list": pa.list_(pa.string()),
    "json": pa.string(),
}
_TARGETS = pa.list_(
    pa.struct([(field, pa.int64() if field == "retry_count" else pa.string()) for field in Target._fields])
)
_TARGET_KINDS = {column.name: column.kind.name for column in TARGET}


def _schema(kinds: dict[str, str]) -> pa.Schema:
    """Arrow's types of these columns."""
    return pa.schema([(name, _TARGETS if name == "targets" else _SIMPLE[kind]) for name, kind in kinds.items()])


_OF_POSTS = {column.name: column.kind.name for column in SCHEMAS["posts"] if column.shown}
_KINDS = {
    "posts": _OF_POSTS,
    # created_at is the post's: it decides on the day, for posts and targets alike
    "targets": {
        **{name: _TARGET_KINDS.get(name) or _OF_POSTS.get(name, "word") for name in TARGET_COLUMNS},
        "post_id": "text",
        "created_at": "time",
    },
    "deliveries": {column.name: column.kind.name for column in SCHEMAS["deliveries"] if column.shown},
}
SCHEMA = {table: _schema(kinds) for table, kinds in _KINDS.items()}
# Columns whose values repeat: read as codes and a dictionary, which costs a tenth.
REPEATING = {
    table: [name for name, kind in kinds.items() if kind in {"label", "word", "code"}]
    for table, kinds in _KINDS.items()
}


def to_table(kind: str, frame: pd.DataFrame) -> pa.Table:
    """A frame of ``posts``, ``targets`` or ``deliveries`` as a table of the archive's schema."""
    schema = SCHEMA[kind]
    return pa.table({field.name: _column_out(frame[field.name], field.type) for field in schema}, schema=schema)


def _column_out(column: pd.Series[Any], kind: Any) -> Any:
    """One column."""
    if kind == _TARGETS:
        return _targets_out(column)
    if kind == _TIME:
        stamps = column.dt.as_unit("us").array.asi8
        return pa.array(stamps, mask=column.isna().to_numpy(), type=pa.int64()).cast(_TIME)
    if kind == pa.list_(pa.string()):
        return pa.array([[_text(each) for each in value] for value in column], type=kind)
    values = column.array.to_numpy(object, na_value=None) if column.dtype != object else column.to_numpy()
    if kind == pa.string():
        return _strings([None if value is None else _text(value) for value in values])
    return pa.array(values, type=kind)


def _text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()


def _strings(values: Sequence[str | None]) -> Any:
    """Texts; half a surrogate pair, which UTF-8 does not have, becomes a question mark."""
    try:
        return pa.array(values, type=pa.string())
    except UnicodeEncodeError:
        clean = [None if value is None else sound(value) for value in values]
        return pa.array(clean, type=pa.string())


def _targets_out(cells: pd.Series[Any]) -> Any:
    """Targets of each post as lists of structs."""
    groups = [cell if isinstance(cell, Targets) else Targets.of(cell or ()) for cell in cells]
    fields = gather(groups)
    kinds = [pa.int64() if name == "retry_count" else pa.string() for name in Target._fields]
    columns = [
        pa.array(fields[name], type=kind) if kind == pa.int64() else _strings(fields[name])
        for name, kind in zip(Target._fields, kinds, strict=True)
    ]
    ends = np.cumsum([0, *map(len, groups)])
    structs = pa.StructArray.from_arrays(columns, names=list(Target._fields))
    return pa.ListArray.from_arrays(pa.array(ends, type=pa.int32()), structs)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A table of the archive as a frame with the dtypes of this package; columns of other names are left to Arrow."""
    columns = {name: _column_in(name, table.column(name)) for name in table.column_names}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))


def _column_in(name: str, column: Any) -> Any:
    """One column, by its type and, for objects, its name."""
    kind = column.type
    if name == "targets" and pa.types.is_list(kind):
        return _targets_in(column)
    if pa.types.is_dictionary(kind):
        return _words_in(column)
    if pa.types.is_timestamp(kind):
        stamps = column.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
        return pd.DatetimeIndex(stamps.view("M8[us]")).tz_localize("UTC").array
    if pa.types.is_list(kind):
        return pd.Series([() if value is None else tuple(value) for value in column.to_pylist()], dtype=object)
    if name == "metadata":
        return pd.Series(
            [None if text is None else msgspec.json.decode(text) for text in column.to_pylist()], dtype=object
        )
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        missing = column.is_null().to_numpy()
        values = column.fill_null(0 if pa.types.is_integer(kind) else False).to_numpy()
        whole = pa.types.is_integer(kind)
        return (pd.arrays.IntegerArray if whole else pd.arrays.BooleanArray)(values.copy(), missing)
    if pa.types.is_floating(kind):
        missing = column.is_null().to_numpy()
        return pd.arrays.FloatingArray(column.fill_null(0.0).to_numpy().astype(np.float64), missing)
    if pa.types.is_string(kind):
        return pd.array(column.to_numpy(), dtype=STRING_DTYPE)
    return pd.Series(column.to_pylist(), dtype=object)  # what only a query of the analyst's makes


def _words_in(column: Any) -> Any:
    """Texts that repeat: each is made once."""
    column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    words = pd.array(np.array([*column.dictionary.to_pylist(), None], object), dtype=STRING_DTYPE)
    codes = column.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return words.take(codes)


def _targets_in(column: Any) -> Any:
    """Lists of structs as the targets of each post, which share their columns."""
    array = column.combine_chunks()
    structs = array.flatten()
    fields = tuple(np.array([*structs.field(name).to_pylist(), None], object)[:-1] for name in Target._fields)
    lengths = array.value_lengths().fill_null(0).to_pylist()
    return pd.Series(Targets(fields, 0, len(structs)).split(lengths), dtype=object)


def read_part(path: str | PathLike[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read one file of an archive; what a cluster's workers call.

    Parameters
    ----------
    path : path
        One of ``archive.files(kind)``.
    columns : sequence of str, optional
        Only these.

    Returns
    -------
    pandas.DataFrame
        The rows of one day, with the dtypes of the frame that they come from.
    """
    file = pq.ParquetFile(path)
    words = {name for names in REPEATING.values() for name in names}
    table = pq.ParquetFile(path, read_dictionary=sorted(words & set(file.schema_arrow.names))).read(columns)
    return to_frame(table)
