"""Frames as JSON bytes and back, exactly: dtypes, time zones, categories, NA, nested values, labels and attrs.

No pickle: bytes of a ledger or an archive are untrusted and must never run code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pandas as pd

from voxops.errors import PlanError
from voxops.frames.nested import JsonArray, ListArray, NestedDtype, Target, Targets, TargetsArray

_VERSION = 1
_NAT = np.iinfo(np.int64).min
_CELLS = {"targets": Targets, "list": list}
_NESTED = {array._kind.name: array for array in (TargetsArray, ListArray, JsonArray)}
# The dtypes that replace pyarrow's, by kind; explicit, since an empty column has no values to infer them from.
_OF_ARROW: dict[str, Any] = {
    "b": "boolean",
    "i": "Int64",
    "u": "UInt64",
    "f": "Float64",
    "U": pd.StringDtype(na_value=pd.NA),
}
# Of any other dtype, such as ``U100000000``, a single value may fill memory.
_DTYPES = re.compile(
    r"object|bool|boolean|str|string|(?:u?int|U?Int|[fF]loat)(?:8|16|32|64)|[<>][iuf][1248]"
    r"|(?:datetime64|timedelta64)\[(?:s|ms|us|ns)\]|datetime64\[(?:s|ms|us|ns), .+\]"
)
_BARE = 1_000_000  # most rows of a frame without columns, whose bytes do not limit them


class _Array(msgspec.Struct):
    """The shape of a packed column."""

    dtype: str
    values: list[Any]
    storage: str | None = None
    categories: _Array | None = None
    ordered: bool = False


class _Labels(msgspec.Struct):
    """The shape of packed labels: one of `range`, `array` and `levels`."""

    name: Any = None
    range: tuple[int, int, int] | None = None
    array: _Array | None = None
    levels: list[_Labels] | None = None


class _Frame(msgspec.Struct):
    """The shape of a packed frame."""

    index: _Labels
    columns: _Labels
    arrays: list[_Array]
    attrs: Any


def pack(frame: pd.DataFrame) -> bytes:
    """Write a frame as JSON.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any frame of this package. Further columns may have numbers, booleans, text, categories, times, time differences, and objects
        that contain nested JSON values, times, decimals, UUIDs, bytes, tuples or sets.

    Returns
    -------
    bytes
        UTF-8. `unpack` returns the same frame, with these exceptions. NumPy scalars and arrays inside objects become Python values
        or Timestamps, and members of an Enum of texts or numbers their values. An index of times loses its ``freq``, sparse columns
        become dense, and columns of pyarrow's types become pandas' own, since the reader may lack pyarrow. Times keep their
        instants; a zone without a portable name (``PST``, ``tzlocal()``) becomes its offset, or UTC if that is not fixed.

    Raises
    ------
    PlanError
        If a column contains a value without a JSON form.
    """
    try:
        return msgspec.json.encode(
            {
                "version": _VERSION,
                "index": _labels_out(frame.index),
                "columns": _labels_out(frame.columns),
                "arrays": [_column_out(frame.iloc[:, at]) for at in range(frame.shape[1])],
                "attrs": _value_out(dict(frame.attrs)),
            }
        )
    except RecursionError:
        raise PlanError(
            "This frame can't be stored: it contains lists or objects that are nested too deeply."
        ) from None


def unpack(data: bytes) -> pd.DataFrame:
    """Read a frame that `pack` wrote.

    Parameters
    ----------
    data : bytes
        As returned by `pack`.

    Returns
    -------
    pandas.DataFrame
        Equal to the frame that was packed.

    Raises
    ------
    PlanError
        If the bytes are not a packed frame, or one of another version.
    """
    try:
        content = msgspec.json.decode(data)
        if content["version"] == _VERSION:
            packed = msgspec.convert(content, _Frame)
            lengths = {len(array.values) for array in packed.arrays} or {min(_length(packed.index), _BARE)}
            (rows,) = lengths  # pandas would repeat the value of a shorter column
            index, columns = _labels_in(packed.index, rows), _labels_in(packed.columns, len(packed.arrays))
            frame = pd.DataFrame(dict(enumerate(map(_array_in, packed.arrays))), index=pd.RangeIndex(rows))
            frame.index, frame.columns = index, columns
            frame.attrs = _value_in(packed.attrs)
            return frame
    except (ValueError, RecursionError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise PlanError("These bytes are not a packed frame.") from error
    raise PlanError(f"This frame was packed by another version of voxops: format {content['version']}, not {_VERSION}.")


def _labels_out(labels: pd.Index) -> dict[str, Any]:
    """Write labels of rows or columns: their range, or each of them."""
    name = _value_out(labels.name)
    if isinstance(labels, pd.RangeIndex):
        return {"name": name, "range": [labels.start, labels.stop, labels.step]}
    if isinstance(labels, pd.MultiIndex):
        return {"levels": [_labels_out(labels.get_level_values(level)) for level in range(labels.nlevels)]}
    return {"name": name, "array": _array_out(pd.Series(labels))}


def _length(packed: _Labels) -> int:
    """Return the number of labels, without building them."""
    if packed.levels:
        return _length(packed.levels[0])
    return len(packed.array.values) if packed.array else len(range(*packed.range or (0, 0, 1)))


def _labels_in(packed: _Labels, count: int) -> pd.Index:
    """Inverse of `_labels_out`, for so many labels."""
    if _length(packed) != count:
        raise ValueError("labels without values, or values without labels")
    if packed.levels:
        return pd.MultiIndex.from_arrays([_labels_in(level, count) for level in packed.levels])
    name = _value_in(packed.name)
    if packed.array is None:
        return pd.RangeIndex(*packed.range or (0, 0, 1)).rename(name)
    array = _array_in(packed.array)
    labels: pd.Index = pd.Index(array, name=name, dtype=array.dtype)
    return labels


def _column_out(column: pd.Series) -> dict[str, Any]:
    """Write one column by `_array_out`; an error names it."""
    try:
        return _array_out(column)
    except PlanError as error:
        raise PlanError(f"Column {column.name!r}: {error}") from None


def _array_out(column: pd.Series) -> dict[str, Any]:
    """Write one column: its dtype as text, and its values as JSON; a missing value of a typed column is null."""
    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = _array_out(pd.Series(dtype.categories))
        return {
            "dtype": "category",
            "values": column.cat.codes.tolist(),
            "categories": categories,
            "ordered": dtype.ordered,
        }
    if isinstance(dtype, pd.ArrowDtype):
        return _array_out(_own(column, dtype))
    if isinstance(dtype, pd.SparseDtype):
        return _array_out(pd.Series(column.array.to_dense()))
    packed = {"dtype": _dtype_name(dtype)}
    if isinstance(dtype, pd.StringDtype):
        packed["storage"] = dtype.storage
    if isinstance(dtype, NestedDtype) or dtype == np.dtype(object):
        return {**packed, "values": _values_out(column)}
    if dtype.kind in "mM":
        return {**packed, "values": [None if value == _NAT else value for value in column.array.asi8.tolist()]}
    if not isinstance(dtype, pd.StringDtype) and (dtype.kind not in "biuf" or dtype.itemsize > 8):
        raise PlanError(f"A column of dtype {dtype} can't be stored; convert it to text, numbers or times first.")
    values = column.tolist() if isinstance(dtype, np.dtype) else column.array.to_numpy(object, na_value=None)
    if dtype.kind == "f":  # floats without a JSON form are text
        return {**packed, "values": [each if each is None or math.isfinite(each) else repr(each) for each in values]}
    return {**packed, "values": _values_out(values)}


def _own(column: pd.Series, dtype: Any) -> pd.Series:
    """Convert a column of pyarrow's types to pandas' own."""
    values = list(column.array.to_numpy(object, na_value=None))
    if dtype.kind in _OF_ARROW:
        return pd.Series(pd.array(values, dtype=_OF_ARROW[dtype.kind]))
    if dtype.kind == "O" or dtype.type is date:  # as objects: pandas would read lists of equal length as a table
        return pd.Series(np.fromiter(values, object, len(values)), dtype=object)
    zone = getattr(dtype.pyarrow_dtype, "tz", None)
    unit: Any = np.datetime_data(dtype.numpy_dtype)[0]
    own: Any = pd.DatetimeTZDtype(unit, zone) if zone else dtype.numpy_dtype
    return pd.Series(pd.array(values, dtype=own))


def _dtype_name(dtype: Any) -> str:
    """Return a portable name of a dtype."""
    if isinstance(dtype, NestedDtype):
        return dtype.name
    return f"datetime64[{dtype.unit}, {_zone(dtype.tz)}]" if isinstance(dtype, pd.DatetimeTZDtype) else str(dtype)


def _dtype_in(name: str) -> Any:
    """Inverse of `_dtype_name`."""
    unit: Any
    unit, comma, zone = name.removeprefix("datetime64[").removesuffix("]").partition(", ")
    return pd.DatetimeTZDtype(unit, _known(zone)) if comma else pd.api.types.pandas_dtype(name)


def _array_in(packed: _Array) -> Any:
    """Inverse of `_array_out`."""
    name, values = packed.dtype, packed.values
    if name == "category" and packed.categories is not None:
        return pd.Categorical.from_codes(values, pd.Index(_array_in(packed.categories)), ordered=packed.ordered)
    if name in _NESTED or name == "object":
        cells = np.fromiter(map(_value_in, values), object, len(values))
        if not all(cell is None or isinstance(cell, _CELLS.get(name, object)) for cell in cells):
            raise TypeError(name)
        # as a Series: pandas reads a bare array of texts as ``str``, and one of datetimes as times
        return _NESTED[name](cells) if name in _NESTED else pd.Series(cells, dtype=object)
    if _DTYPES.fullmatch(name) is None:
        raise TypeError(name)
    dtype = _dtype_in(name)
    if dtype.kind in "mM":
        return _times_in(dtype, values)
    if dtype.kind == "f":
        values = [None if value is None else float(value) for value in values]
        if not isinstance(dtype, np.dtype):
            return _masked_floats(dtype, values)
    elif isinstance(dtype, pd.StringDtype):
        values = [_value_in(value) for value in values]
        dtype = _string_dtype(dtype, packed.storage)
    return np.array(values, dtype) if isinstance(dtype, np.dtype) else pd.array(values, dtype=dtype)


def _times_in(dtype: Any, values: Sequence[int | None]) -> Any:
    """Read times and time differences from whole numbers of their unit."""
    stamps = np.array([_NAT if value is None else value for value in values], np.int64)
    if isinstance(dtype, np.dtype):
        return stamps.view(dtype)
    return pd.DatetimeIndex(stamps.view(f"M8[{dtype.unit}]")).tz_localize("UTC").tz_convert(dtype.tz).array


def _masked_floats(dtype: Any, values: Sequence[float | None]) -> Any:
    """Read ``Float64`` and the like, in which NaN and NA differ."""
    missing = np.array([value is None for value in values], bool)
    data = np.array([0.0 if value is None else value for value in values], dtype.numpy_dtype)
    return pd.arrays.FloatingArray(data, missing)


def _string_dtype(dtype: Any, storage: Any) -> Any:
    """Return the text dtype with its original storage, if this installation has it."""
    try:
        return pd.StringDtype(storage, na_value=dtype.na_value)
    except ImportError:
        return dtype


def _target_out(target: Target) -> dict[str, Any]:
    """Write the fields of a target that have a value, by name."""
    return {name: _value_out(value) for name, value in target._asdict().items() if value is not None}


def _target_in(packed: Mapping[str, Any]) -> Target:
    """Inverse of `_target_out`."""
    return msgspec.convert(tuple(Target(**{name: _value_in(value) for name, value in packed.items()})), Target)


def _values_out(values: Iterable[Any]) -> list[Any]:
    return [_value_out(each) for each in values]


# type -> (tag, writer, reader); the first match counts, so subclasses come before their bases.
_TAGGED: tuple[tuple[Any, str, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    (Targets, "$targets", lambda v: list(map(_target_out, v)), lambda v: Targets.of(map(_target_in, v))),
    (Target, "$target", _target_out, _target_in),
    (type(pd.NaT), "$nat", lambda _: 0, lambda _: pd.NaT),
    (type(pd.NA), "$na", lambda _: 0, lambda _: pd.NA),
    (pd.Timestamp, "$timestamp", lambda t: [int(t.asm8.view("i8")), t.unit, _zone(t.tzinfo)], lambda v: _timestamp(*v)),
    (pd.Timedelta, "$delta", lambda t: [int(t.asm8.view("i8")), t.unit], lambda v: pd.Timedelta(np.timedelta64(*v))),
    (datetime, "$datetime", datetime.isoformat, datetime.fromisoformat),
    (date, "$date", date.isoformat, date.fromisoformat),
    (time, "$time", time.isoformat, time.fromisoformat),
    (timedelta, "$timedelta", lambda d: [d.days, d.seconds, d.microseconds], lambda v: timedelta(*v)),
    (Decimal, "$decimal", str, Decimal),
    (UUID, "$uuid", str, UUID),
    (bytes, "$bytes", bytes.hex, bytes.fromhex),
    (tuple, "$tuple", _values_out, lambda v: tuple(map(_value_in, v))),
    (frozenset, "$frozenset", _values_out, lambda v: frozenset(map(_value_in, v))),
    (set, "$set", _values_out, lambda v: set(map(_value_in, v))),
)
_READ: dict[str, Callable[[Any], Any]] = {
    **{tag: read for _, tag, _, read in _TAGGED},
    "$float": float,
    "$int": int,
    "$text": lambda v: bytes.fromhex(v).decode("utf-8", "surrogatepass"),
    "$dict": lambda v: {_value_in(name): _value_in(value) for name, value in v},
}


def _value_out(value: Any) -> Any:
    """Write one value as JSON; a type that JSON lacks becomes an object with a single key that begins with ``$``."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text_out(str.__str__(value))
    if isinstance(value, np.generic | np.ndarray):
        return _numpy_out(value)
    if isinstance(value, int):
        whole = int(value)
        return whole if -(2**63) <= whole < 2**64 else {"$int": str(whole)}
    if isinstance(value, float):
        real = float(value)
        return real if math.isfinite(real) else {"$float": repr(real)}
    if isinstance(value, list):
        return _values_out(value)
    if isinstance(value, Mapping):
        if all(isinstance(name, str) and not name.startswith("$") and name.isprintable() for name in value):
            return {name: _value_out(each) for name, each in value.items()}
        return {"$dict": [_values_out(pair) for pair in value.items()]}
    for kind, tag, write, _ in _TAGGED:
        if isinstance(value, kind):
            return {tag: write(value)}
    raise _unkept(value)


def _numpy_out(value: Any) -> Any:
    """Convert a NumPy scalar or array to Python; times become Timestamps, since those in nanoseconds would become numbers."""
    if isinstance(value, np.ndarray) and value.ndim:
        return _values_out(value)
    scalar = value[()]
    if scalar.dtype.kind in "mM":
        return _value_out(pd.Timestamp(scalar) if scalar.dtype.kind == "M" else pd.Timedelta(scalar))
    plain = scalar.item()
    if isinstance(plain, np.generic):
        raise _unkept(plain)
    return _value_out(plain)


def _unkept(value: Any) -> PlanError:
    """The error for a value that has no JSON form."""
    return PlanError(f"A value of type {type(value).__name__} can't be stored; convert it to text or numbers first.")


def _value_in(value: Any) -> Any:
    """Inverse of `_value_out`."""
    if isinstance(value, list):
        return [_value_in(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((tag, content),) = value.items()
        if tag.startswith("$"):
            return _READ[tag](content)
    return {name: _value_in(each) for name, each in value.items()}


def _text_out(text: str) -> str | dict[str, str]:
    """Write text, as hex if it has a lone surrogate, which UTF-8 lacks."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"$text": text.encode("utf-8", "surrogatepass").hex()}
    return text


def _zone(zone: tzinfo | None) -> str | None:
    """Return the portable name of a time zone: its key or offset, else UTC; None for none."""
    if zone is None:
        return None
    if key := getattr(zone, "key", None) or getattr(zone, "zone", None):
        return str(key)
    offset = zone.utcoffset(None)  # None where it depends on the time
    return "UTC" if offset is None or offset % timedelta(minutes=1) else str(timezone(offset))


def _known(zone: str) -> tzinfo:
    """Return a time zone by name; UTC if this machine does not know it."""
    if zone.startswith("dateutil/"):  # would read any file
        return UTC
    try:
        return pd.DatetimeTZDtype("us", zone).tz
    except (TypeError, ValueError, LookupError, OSError):
        return UTC


def _timestamp(value: int, unit: str, zone: str | None) -> pd.Timestamp:
    """Inverse of a Timestamp's writing."""
    stamp = pd.Timestamp(np.datetime64(value, unit))  # type: ignore[call-overload]
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(_known(zone))
