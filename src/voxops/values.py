"""What one value on the wire means: lists of raw JSON values in, clean lists and typed arrays out.

The API is read leniently (contract: SCH, VER): either casing, numbers as text, times with or without fractions, errors as
object, string or null. A value that can't be read becomes NA and is counted by the caller; nothing here raises because of
what the server sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from sys import intern
from typing import Any

import numpy as np
import orjson
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype

__all__ = [
    "CODE",
    "COUNT",
    "FLAG",
    "JSON",
    "LABEL",
    "STRING_DTYPE",
    "TEXT",
    "TIME",
    "TIME_DTYPE",
    "WORD",
    "Kind",
    "canonical",
    "error_parts",
    "parse_times",
    "to_bool",
]

STRING_DTYPE = pd.StringDtype("python")
TIME_DTYPE = pd.DatetimeTZDtype("us", "UTC")

_NONE = type(None)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BARE_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})
_INT64 = range(-(2**63), 2**63)


def canonical(name: str) -> str:
    """Name of a field without its spelling: ``has_more``, ``hasMore`` and ``HASMORE`` are one."""
    return name.replace("_", "").replace("-", "").lower()


def to_bool(value: Any) -> bool | None:
    """True or False as JSON, number or text says it; None where it says neither."""
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def error_parts(error: Any) -> tuple[str | None, str | None]:
    """Code and message of an error in any of its shapes: object, text, list of them, null (contract: 8.1).

    A text that is nothing but a code (``MEDIA_INVALID``) is the code; any other text is a message, and no code is read out of it.
    """
    if isinstance(error, list):
        error = next((entry for entry in error if entry), None)
    if isinstance(error, Mapping):
        fields = {canonical(str(name)): value for name, value in error.items()}
        code, message = fields.get("code"), fields.get("message")
        if code is None and message is None:
            code, message = fields.get("issue"), fields.get("detail") or fields.get("issue")
            code = code if isinstance(code, str) and _BARE_CODE.fullmatch(code) else None
        if message is None and code is None and fields:
            message = fields
        return (_text(code) or "").upper() or None, _text(message) or None
    text = _text(error)
    if text and _BARE_CODE.fullmatch(text):
        return text, None
    return None, text or None


def parse_times(values: Sequence[Any]) -> pd.DatetimeIndex:
    """Parse times into ``datetime64[us, UTC]``.

    Parameters
    ----------
    values : sequence of str, datetime or None
        ISO 8601 with ``Z`` or an offset, with or without fractions, in any mixture. A time without an offset is UTC, as every
        time that the API sends is (contract: SCH). Digits beyond the microsecond are cut.

    Returns
    -------
    pandas.DatetimeIndex
        NaT for None and for what is no time: words such as ``now``, numbers, garbage.
    """
    values = list(values)
    texts = [value if type(value) is str and "0" <= value[:1] <= "9" else None for value in values]
    index = pd.to_datetime(pd.Index(texts, dtype=object), format="ISO8601", utc=True, errors="coerce").as_unit("us")
    missed = [at for at in np.flatnonzero(index.isna()) if values[at] is not None]
    if not missed:
        return index
    stamps = index.asi8.copy()
    for at in missed:
        when = _one_time(values[at])
        if when is not None:
            stamps[at] = (when - _EPOCH) // timedelta(microseconds=1)
    return pd.DatetimeIndex(stamps.view("M8[us]")).tz_localize("UTC")


def _one_time(value: Any) -> datetime | None:
    """One time that the fast path did not take: a datetime, or text that only Python's own parser reads."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime) or pd.isna(value):
        return None
    try:
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None


def _text(value: Any) -> str | None:
    """Any JSON value as text: numbers in full, objects and lists as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _only(values: Sequence[Any], *types: type) -> bool:
    """Whether every value is of one of these exact types or None; decided without a look at the values."""
    return set(map(type, values)) <= {*types, _NONE}


def clean_texts(values: Sequence[Any]) -> Sequence[Any]:
    """Texts as they are; any other value as text."""
    return values if _only(values, str) else [_text(value) for value in values]


def clean_labels(values: Sequence[Any]) -> list[Any]:
    """Texts that repeat (accounts, addresses, events): equal ones share one object, whatever page they came from."""
    texts = clean_texts(values)
    shared = {text: intern(text) for text in set(texts) if text is not None}
    return [shared.get(text) for text in texts]


def clean_words(values: Sequence[Any]) -> list[Any]:
    """Statuses, platforms and other names of a vocabulary, in lower case; an empty one is None."""
    texts = clean_texts(values)
    lower = {text: intern(text.strip().lower()) or None for text in set(texts) if text is not None}
    return [lower.get(text) for text in texts]


def clean_codes(values: Sequence[Any]) -> list[Any]:
    """Error codes in upper case; an empty one is None."""
    texts = clean_texts(values)
    upper = {text: intern(text.strip().upper()) or None for text in set(texts) if text is not None}
    return [upper.get(text) for text in texts]


def clean_counts(values: Sequence[Any]) -> Sequence[Any]:
    """Whole numbers; text and fractions are read, what is none or exceeds 64 bits becomes None."""
    if _only(values, int) and all(value is None or value in _INT64 for value in values):
        return values
    return [_count(value) for value in values]


def _count(value: Any) -> int | None:
    """One whole number, rounded where the server sent a fraction; None where there is none."""
    if isinstance(value, str):
        try:
            value = int(value) if value.strip().lstrip("+-").isdecimal() else float(value)
        except ValueError:
            return None
    if isinstance(value, float):
        value = round(value) if np.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value in _INT64 else None


def clean_flags(values: Sequence[Any]) -> Sequence[Any]:
    """True, False or None."""
    return values if _only(values, bool) else [to_bool(value) for value in values]


def _string_array(values: Sequence[Any]) -> ExtensionArray:
    """Texts as ``string``."""
    return pd.array(list(values), dtype=STRING_DTYPE)


def _count_array(values: Sequence[Any]) -> ExtensionArray:
    """Whole numbers as ``Int64``; built from integers alone, so that 9007199254740993 next to a null stays itself."""
    missing = np.fromiter((value is None for value in values), bool, len(values))
    data = np.fromiter((0 if value is None else value for value in values), np.int64, len(values))
    return pd.arrays.IntegerArray(data, missing)


def _flag_array(values: Sequence[Any]) -> ExtensionArray:
    """True, False and None as ``boolean``."""
    missing = np.fromiter((value is None for value in values), bool, len(values))
    data = np.fromiter((value is True for value in values), bool, len(values))
    return pd.arrays.BooleanArray(data, missing)


def _time_array(values: Sequence[Any]) -> ExtensionArray:
    """Times as ``datetime64[us, UTC]``."""
    return parse_times(values).array


def _object_array(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Nested values as they are, one object per row, never spread over a second axis."""
    return np.fromiter(values, object, len(values))


@dataclass(frozen=True, slots=True)
class Kind:
    """How a column is read: `clean` makes raw JSON values uniform, `array` makes clean values a typed array of `dtype`.

    `lossy` says that a value may be unreadable, so that the loss has to be counted.
    """

    name: str
    dtype: ExtensionDtype | np.dtype[Any]
    clean: Callable[[Sequence[Any]], Sequence[Any]]
    array: Callable[[Sequence[Any]], Any]
    lossy: bool = False


def _same(values: Sequence[Any]) -> Sequence[Any]:
    """Values as they are."""
    return values


TEXT = Kind("text", STRING_DTYPE, clean_texts, _string_array)
LABEL = Kind("label", STRING_DTYPE, clean_labels, _string_array)
WORD = Kind("word", STRING_DTYPE, clean_words, _string_array)
CODE = Kind("code", STRING_DTYPE, clean_codes, _string_array)
COUNT = Kind("count", pd.Int64Dtype(), clean_counts, _count_array, lossy=True)
FLAG = Kind("flag", pd.BooleanDtype(), clean_flags, _flag_array, lossy=True)
TIME = Kind("time", TIME_DTYPE, _same, _time_array, lossy=True)
JSON = Kind("json", np.dtype(object), _same, _object_array)
