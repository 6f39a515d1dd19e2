"""Arrow tables as frames of this package: no dtype is left to inference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from voxops._support.canonical import decode
from voxops.errors import ConfigError
from voxops.frames.arrow_out import TARGETS_TYPE
from voxops.frames.nested import JsonArray, JsonDtype, ListArray, TargetsArray
from voxops.frames.schemas import SCHEMAS, STRING_DTYPE
from voxops.frames.target import Target, Targets

# Columns that hold JSON, which Arrow has as text.
_JSON = frozenset(
    {"data", "extra", *(column.name for table in SCHEMAS.values() for column in table if column.kind.name == "json")}
)
_INDEX = re.compile(r"__index_level_\d+__")
_YES_NO = frozenset({"eligible", "retryable"})  # never missing
_MOST = np.iinfo(np.int64).max


def read_arrow(data: Any, like: pd.DataFrame | None) -> pd.DataFrame:
    """The frame of ``vx.from_arrow``."""
    if not hasattr(data, "__arrow_c_stream__"):
        raise ConfigError(
            f"a {type(data).__name__} can't be read as Arrow; pass a polars.DataFrame, a relation of DuckDB, a pyarrow.Table or a pandas.DataFrame"
        )
    nested = {} if like is None else {name: isinstance(like[name].dtype, JsonDtype) for name in like.columns}
    frame = to_frame(_usual(_table(data)), nested)
    if isinstance(data, pd.DataFrame):
        frame.attrs = dict(data.attrs)
    if like is not None:
        for name in frame.columns.intersection(like.columns):
            if frame[name].dtype != like[name].dtype:
                frame[name] = _as(frame[name], like[name].dtype)
        frame.attrs = dict(like.attrs)
    return frame


def _table(data: Any) -> pa.Table:
    """What was passed as a table of Arrow; a column of pandas may hold values that no type of Arrow has together."""
    if isinstance(data, pd.DataFrame):
        _refuse_doubled(map(str, data.columns))
    try:
        return pa.table(data)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ConfigError(
            f"this can't be read as Arrow: {'; '.join(map(str, error.args))}. Give the column one type, such as astype('string')"
        ) from error


def _as(column: pd.Series[Any], dtype: Any) -> Any:
    """A column in the dtype that it had."""
    if isinstance(dtype, JsonDtype):
        return _json_in(column.array.to_numpy(object, na_value=None))
    if isinstance(dtype, pd.DatetimeTZDtype) and pd.api.types.is_datetime64_dtype(column.dtype):
        raise ConfigError(
            f"the times of {column.name} have lost their zone on the way; say which it is, in DuckDB as {column.name} AT TIME ZONE 'UTC'"
        )
    return column.astype(dtype)


def _usual(table: pa.Table) -> pa.Table:
    """The types that this package writes, in place of the large and viewed ones of other tools; without pandas' own index columns."""
    names = [name for name in table.column_names if not _INDEX.fullmatch(name)]
    _refuse_doubled(names)
    columns = {}
    for name in names:
        column, kind = table.column(name), _usual_type(table.schema.field(name).type)
        columns[name] = column if column.type == kind else column.cast(kind)
    return pa.table(columns)


def _refuse_doubled(names: Iterable[str]) -> None:
    """Refuse two columns of one name."""
    if doubled := doubled_name(names):
        raise ConfigError(f"two columns are named {doubled!r}; rename one of them")


def doubled_name(names: Iterable[str]) -> str | None:
    """The first name that several columns have."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _usual_type(kind: Any) -> Any:
    """One type; lists of structs are read whatever their types are."""
    is_ = pa.types
    if is_.is_large_string(kind) or is_.is_string_view(kind):
        return pa.string()
    if _is_list(kind) and not is_.is_struct(kind.value_type):
        return pa.list_(_usual_type(kind.value_type))
    return kind


def _is_text(kind: Any) -> bool:
    """Whether cells are texts, or all missing."""
    is_ = pa.types
    return bool(is_.is_string(kind) or is_.is_large_string(kind) or is_.is_string_view(kind) or is_.is_null(kind))


def _is_list(kind: Any) -> bool:
    """Whether cells are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind))


def to_frame(table: pa.Table, nested: Mapping[str, bool] | None = None) -> pd.DataFrame:
    """A table as a frame with the dtypes of this package; columns of other names are left to Arrow.

    `nested` says of columns whether their texts are JSON; of the others their name does.
    """
    known = nested or {}
    columns = {
        name: _column_in(name, table.column(name), nested=known.get(name, name in _JSON)) for name in table.column_names
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))


def _column_in(name: str, column: Any, *, nested: bool) -> Any:
    """One column, by its type and, for nested ones, its name."""
    kind = column.type
    if name == "targets" and _is_list(kind) and (pa.types.is_struct(kind.value_type) or not column.length()):
        return _targets_in(column)
    if pa.types.is_dictionary(kind):
        if _is_text(kind.value_type):
            return _words_in(column)
        return _column_in(name, column.cast(kind.value_type), nested=nested)
    if pa.types.is_timestamp(kind):
        return _times_in(name, column)
    if pa.types.is_list(kind) and (pa.types.is_string(kind.value_type) or pa.types.is_null(kind.value_type)):
        return ListArray._from_sequence([() if value is None else tuple(value) for value in column.to_pylist()])
    if nested and (pa.types.is_string(kind) or pa.types.is_null(kind)):
        texts = column.to_pylist()
        try:
            return _json_in(texts)
        except ValueError:  # another column of that name, such as the errors of a campaign's rows
            return pd.array(texts, dtype=STRING_DTYPE)
    if pa.types.is_boolean(kind) and name in _YES_NO and not column.null_count:
        return column.to_numpy()
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        missing = column.is_null().to_numpy()
        values = column.fill_null(0 if pa.types.is_integer(kind) else False).to_numpy()
        if pa.types.is_boolean(kind):
            return pd.arrays.BooleanArray(values.copy(), missing)
        if values.dtype == np.uint64 and values.max(initial=0) > _MOST:
            raise ConfigError(f"{name} holds whole numbers beyond {_MOST:,}; make it text or a floating number first")
        return pd.arrays.IntegerArray(values.astype(np.int64), missing)
    if pa.types.is_floating(kind):
        missing = column.is_null().to_numpy()
        return pd.arrays.FloatingArray(column.fill_null(0.0).to_numpy().astype(np.float64), missing)
    if pa.types.is_string(kind) or pa.types.is_null(kind):
        return pd.array(column.cast(pa.string()).to_numpy(), dtype=STRING_DTYPE)
    return pd.Series(column.to_pylist(), dtype=object)  # what only a query of the analyst's makes


def _times_in(name: str, column: Any) -> Any:
    """Times in UTC, cut to microseconds; without a zone where Arrow knows none, since none is guessed."""
    stamps = column.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
    try:
        times = pd.DatetimeIndex(stamps.view(f"M8[{column.type.unit}]")).as_unit("us")
    except pd.errors.OutOfBoundsDatetime as error:
        raise ConfigError(f"{name} holds times that are too far off for microseconds") from error
    return (times if column.type.tz is None else times.tz_localize("UTC")).array


def _words_in(column: Any) -> Any:
    """Texts that repeat: each is made once."""
    column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    words = pd.array(np.array([*column.dictionary.to_pylist(), None], object), dtype=STRING_DTYPE)
    codes = column.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return words.take(codes)


def _json_in(texts: Any) -> JsonArray:
    """JSON values out of their texts."""
    return JsonArray._from_sequence([decode(text) if isinstance(text, str) else text for text in texts])


def _targets_in(column: Any) -> TargetsArray:
    """Lists of structs as the targets of each post, which share their columns; fields that are not there are missing."""
    array = column.combine_chunks() if column.length() else pa.array([], TARGETS_TYPE)
    structs = array.flatten()
    nothing = [None] * len(structs)
    has = {field.name for field in array.type.value_type}
    values = [structs.field(name).to_pylist() if name in has else nothing for name in Target._fields]
    fields = tuple(np.fromiter(each, object, len(structs)) for each in values)
    lengths = array.value_lengths().fill_null(0).to_pylist()
    return TargetsArray._from_sequence(Targets(fields, 0, len(structs)).split(lengths))
