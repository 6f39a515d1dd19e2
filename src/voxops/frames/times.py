"""Times as the wire writes them, many at once: any ISO 8601 text becomes ``datetime64[us, UTC]``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from voxops._core.isotime import END_YEAR, FIRST_YEAR

__all__ = ["NAT", "TIME_DTYPE", "Numbers", "parse_times", "stamps", "utc"]

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

TIME_DTYPE = pd.DatetimeTZDtype("us", "UTC")
NAT = np.iinfo(np.int64).min  # what stands for no time among microseconds since 1970

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = np.array([f"{FIRST_YEAR}-01-01", f"{END_YEAR}-01-01"], "M8[us]").view(np.int64)


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
        NaT for None and for what is not a time: words such as ``now``, numbers, garbage, and what lies at an end of the
        calendar, such as the years 1 and 9999, which programs write for never.
    """
    return utc(stamps(values))


def stamps(values: Sequence[Any]) -> Numbers:
    """Times as microseconds since 1970, `NAT` where there is none."""
    usual = _without_z(values)
    if usual is not None:
        try:
            return _in_calendar(np.array(usual, "M8[us]").view(np.int64))
        except ValueError:  # a day or an hour that does not exist: read one by one
            pass
    texts = [value if type(value) is str and value[:1].isdecimal() else None for value in values]
    index = pd.to_datetime(pd.Index(texts, dtype=object), format="ISO8601", utc=True, errors="coerce").as_unit("us")
    found: Numbers = index.asi8.copy()
    for at in np.flatnonzero(found == NAT).tolist():
        when = None if values[at] is None else _one_time(values[at])
        if when is not None:
            found[at] = (when - _EPOCH) // timedelta(microseconds=1)
    return _in_calendar(found)


def _in_calendar(found: Numbers) -> Numbers:
    """The same without what lies at an end of the calendar, by the rule of `isotime.in_calendar`."""
    return np.where((found >= _EARLIEST) & (found < _LATEST), found, NAT)


def _without_z(values: Sequence[Any]) -> list[str] | None:
    """Texts of the API's own form, ``2026-03-02T09:00:00Z``, without the Z, ready for NumPy; None if one has another form."""
    if not set(map(type, values)) <= {str, type(None)}:
        return None
    texts = [
        "NaT" if value is None else value[:-1] for value in values if value is None or value[10:11] + value[-1:] == "TZ"
    ]
    joined = "".join(texts)
    offset = "+" in joined or "Z" in joined or joined.count("-") != 2 * (len(values) - values.count(None))
    return None if offset or len(texts) != len(values) else texts


def utc(microseconds: Numbers) -> pd.DatetimeIndex:
    """Microseconds since 1970 as times."""
    return pd.DatetimeIndex(microseconds.view("M8[us]")).tz_localize("UTC")


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
