"""Arrow tables as frames of this package, with fixed dtypes.

pyarrow is optional and takes longer to load than voxops, so it is imported only on use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from voxops._support.canonical import decode
from voxops.errors import ConfigError
from voxops.frames.nested import JsonArray, ListArray, Target, Targets, TargetsArray
from voxops.frames.schemas import SCHEMAS, STRING_DTYPE

if TYPE_CHECKING:
    import pyarrow as pa

# Columns of JSON, which are text in Arrow.
_JSON = frozenset(
    {"data", *(column.name for table in SCHEMAS.values() for column in table if column.kind.name == "json")}
)
_MOST = np.iinfo(np.int64).max


def duplicate_name(names: Iterable[str]) -> str | None:
    """Return the first name that several columns have."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _is_text(kind: Any) -> bool:
    """Whether all cells are texts or missing."""
    from pyarrow import types

    return any(is_(kind) for is_ in (types.is_string, types.is_large_string, types.is_string_view, types.is_null))


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Convert a table to the dtypes of this package; Arrow converts columns of other names."""
    columns = {name: _column_in(name, table.column(name)) for name in table.column_names}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))


def _column_in(name: str, column: Any) -> Any:
    """Convert one column by its type and its name."""
    from pyarrow import types

    kind = column.type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_list_view(kind):
        if name == "targets" and (types.is_struct(kind.value_type) or not column.length()):
            return _targets_in(column)
        if _is_text(kind.value_type):
            return ListArray._from_sequence([value or [] for value in column.to_pylist()])
    if types.is_dictionary(kind):
        if _is_text(kind.value_type):
            return _words_in(column)
        return _column_in(name, column.cast(kind.value_type))
    if types.is_timestamp(kind):
        return _times_in(name, column)
    if _is_text(kind):
        if name in _JSON:
            with suppress(ValueError):  # another column with this name, such as the errors of a campaign's rows
                return _json_in(column.to_pylist())
        return pd.array(column.cast("string").to_numpy(), dtype=STRING_DTYPE)
    missing = column.is_null().to_numpy()
    if types.is_boolean(kind):
        return pd.arrays.BooleanArray(column.fill_null(False).to_numpy().copy(), missing)
    if types.is_integer(kind):
        values = column.fill_null(0).to_numpy()
        if values.dtype == np.uint64 and values.max(initial=0) > _MOST:
            raise ConfigError(
                f"{name} contains whole numbers beyond {_MOST:,}; make it text or a floating number first"
            )
        return pd.arrays.IntegerArray(values.astype(np.int64), missing)
    if types.is_floating(kind):
        return pd.arrays.FloatingArray(column.fill_null(0.0).to_numpy().astype(np.float64), missing)
    return pd.Series(column.to_pylist(), dtype=object)  # only an analyst's own query returns these


def _times_in(name: str, column: Any) -> Any:
    """Convert times to UTC, cut to microseconds; without a zone in Arrow they get none."""
    stamps = column.cast("int64").fill_null(np.iinfo(np.int64).min).to_numpy()
    try:
        times = pd.DatetimeIndex(stamps.view(f"M8[{column.type.unit}]")).as_unit("us")
    except pd.errors.OutOfBoundsDatetime as error:
        raise ConfigError(f"{name} contains times outside the range of microseconds") from error
    return (times if column.type.tz is None else times.tz_localize("UTC")).array


def _words_in(column: Any) -> Any:
    """Convert repeated texts, each once."""
    if not column.num_chunks:  # pyarrow 18 can't combine no chunks of a dictionary
        return pd.array([], dtype=STRING_DTYPE)
    column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    words = pd.array(np.array([*column.dictionary.to_pylist(), None], object), dtype=STRING_DTYPE)
    codes = column.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return words.take(codes)


def _json_in(texts: Any) -> JsonArray:
    """Read JSON values from their texts."""
    return JsonArray._from_sequence([decode(text) if isinstance(text, str) else text for text in texts])


def _targets_in(column: Any) -> TargetsArray:
    """Convert lists of structs to targets with shared columns; absent fields are missing."""
    if not column.length():
        return TargetsArray._from_sequence(())
    array = column.combine_chunks()
    structs = array.flatten()
    nothing = [None] * len(structs)
    has = {field.name for field in array.type.value_type}
    values = [structs.field(name).to_pylist() if name in has else nothing for name in Target._fields]
    fields = tuple(np.fromiter(each, object, len(structs)) for each in values)
    lengths = array.value_lengths().fill_null(0).to_pylist()
    return TargetsArray._from_sequence(Targets(fields, 0, len(structs)).split(lengths))
