"""Times on the wire, and the meaning of ``since`` and ``until``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from voxops._support.canonical import END_YEAR, FIRST_YEAR, read_iso
from voxops.errors import ConfigError
from voxops.frames.cells import is_missing

Numbers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

TIME_DTYPE = pd.DatetimeTZDtype("us", "UTC")
NAT = np.iinfo(np.int64).min  # the missing time among microseconds since 1970

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST, _LATEST = np.array([f"{FIRST_YEAR}-01-01", f"{END_YEAR}-01-01"], "M8[us]").view(np.int64)


def parse_times(values: Sequence[Any]) -> pd.DatetimeIndex:
    """Parse times into ``datetime64[us, UTC]``.

    Parameters
    ----------
    values : sequence of str, datetime or None
        ISO 8601 with ``Z`` or an offset, with or without fractions, in any mixture. A time without an offset is UTC, like every time
        of the API (contract: SCH). Digits beyond the microsecond are cut.

    Returns
    -------
    pandas.DatetimeIndex
        NaT for None and for anything but a time: words such as ``now``, numbers, garbage. Also for the ends of the calendar, such
        as the years 1 and 9999, which programs write for never.
    """
    return pd.DatetimeIndex(stamps(values).view("M8[us]")).tz_localize("UTC")


def stamps(values: Sequence[Any]) -> Numbers:
    """Return times as microseconds since 1970, `NAT` for none."""
    found = np.full(len(values), NAT)
    try:
        found[[value is not None for value in values]] = np.array(_without_z(values), "M8[us]").view(np.int64)
    except ValueError:  # another form, an invalid day or hour: read one by one
        instants = (_one_time(value) for value in values)
        numbers = (NAT if when is None else (when - EPOCH) // timedelta(microseconds=1) for when in instants)
        found = np.fromiter(numbers, np.int64, len(values))
    # Times at an end of the calendar are none, by the rule of `canonical.in_calendar`.
    return np.where((found >= _EARLIEST) & (found < _LATEST), found, NAT)


def _without_z(values: Sequence[Any]) -> list[str]:
    """Return times without their Z, for NumPy, without None; ValueError if any is not of the API's form, ``2026-03-02T09:00:00Z``."""
    texts = [value for value in values if value is not None]
    joined = "\n".join([*texts, ""]) if {str}.issuperset(map(type, texts)) else ""
    if not joined.isascii() or joined.encode().translate(None, b"0123456789:.") != b"--TZ\n" * len(texts):
        raise ValueError("other forms of times")
    return joined.split("Z\n")[:-1]


def _one_time(value: Any) -> datetime | None:
    """Read one time of another form; None for none."""
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


When: TypeAlias = str | datetime | timedelta | None

_LENGTH = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]+)")
_SPAN = re.compile(r"(?:\+\s*)?" + _LENGTH.pattern)
_NUMBER = re.compile(r"\d{1,4}(\.\d+)?")
_DAY = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)(?P<offset>Z|[+-]\d\d:?\d\d)")  # a day in a time zone, without an hour
_FIRST, _END = (pd.Timestamp(f"{year}-01-01", tz="UTC").as_unit("us") for year in (FIRST_YEAR, END_YEAR))
_DAYS_AGO = {"today": 0, "yesterday": 1, "tomorrow": -1}
# A post is as recent as the latest of these.
MOMENTS = ("scheduled_for", "published_at", "updated_at", "created_at")


def window(since: When, until: When, now: datetime, tz: str = "UTC") -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
    """Read a span of time.

    Parameters
    ----------
    since, until : str, datetime, timedelta or None
        A time with an offset (``"2026-03-02T09:00Z"``, a Timestamp; ``"2026-03-02Z"`` is its midnight), or the beginning of
        ``"today"``, ``"yesterday"`` or ``"tomorrow"``. Or how long before `now` (``"7D"``, ``"12h"``, a timedelta; the unit in
        either case), or with a plus after it (``"+3D"``). None leaves the side open.
    now : datetime
        The server's time, with an offset.
    tz : str
        The time zone of days, and of times without an offset; the default UTC does not count as named for the latter.

    Returns
    -------
    tuple of (Timestamp or None, Timestamp or None)
        Start and end in UTC, to the microsecond.

    Raises
    ------
    ConfigError
        If a time is missing (NaT), has no offset and no zone is named, can't be read, or the span ends before it begins.
    """
    start, end = _instant("since", since, now, tz), _instant("until", until, now, tz)
    if start is not None and end is not None and end < start:
        raise ConfigError(f"until ({end.isoformat()}) is before since ({start.isoformat()}); swap them.")
    return start, end


def _instant(name: str, value: When, now: datetime, tz: str) -> pd.Timestamp | None:
    """One side of a span."""
    if value is None:
        return None
    if is_missing(value):
        # Not an open side, which would load everything.
        raise ConfigError(
            f"{name}={value!r} is not a time; it may be the maximum of no rows. Omit {name}= to set no limit."
        )
    text = value.strip() if isinstance(value, str) else ""
    if text.lower() in _DAYS_AGO:
        # Calendar days, which may have 23 or 25 hours.
        day = pd.Timestamp(now).tz_convert(tz).tz_localize(None).normalize() - pd.Timedelta(
            _DAYS_AGO[text.lower()], "D"
        )
        return day.tz_localize(tz, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC").as_unit("us")
    if _NUMBER.fullmatch(str(value).strip()):
        raise ConfigError(f"{name}={value!r} has no unit; write '{value}D' for days or '{value}h' for hours.")
    try:
        if isinstance(value, timedelta) or _SPAN.fullmatch(text):
            span = abs(_length(value if isinstance(value, timedelta) else text.removeprefix("+")))
            time = pd.Timestamp(now) + (span if text.startswith("+") else -span)
        elif isinstance(value, str):
            time = pd.Timestamp(read_iso(_DAY.sub(r"\g<day>T00:00\g<offset>", text)))
        else:
            time = pd.Timestamp(value)
        if time.year < 1:
            raise ValueError("outside the calendar")
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(
            f"{name}={value!r} is not a time. Give ISO text with an offset such as '2026-03-02T09:00Z', a span before now such as "
            "'7D', '12h' or '30min', one after it such as '+3D', or 'today', 'yesterday' or 'tomorrow'."
        ) from error
    # All record times are within these years (`canonical.in_calendar`), so a wider span contains the same.
    return min(max(placed(name, value, time, tz).tz_convert("UTC").as_unit("us"), _FIRST), _END)


def day_starts(days: pd.Series[Any], tz: str) -> pd.Series[Any]:
    """Return the instants at which days begin in a zone; if clocks change at midnight, the first valid one, or the first of two."""
    return cast("pd.Series[Any]", days.dt.tz_localize(tz, ambiguous=True, nonexistent="shift_forward"))


def placed(name: str, value: object, time: pd.Timestamp, tz: str) -> pd.Timestamp:
    """Return a time with its own or the named zone; ConfigError if there is none, or if the time is skipped or repeated."""
    if time.tzinfo is not None:
        return time
    if tz == "UTC":
        raise ConfigError(
            f"{name}={value!r} has no time zone, and voxops does not guess one. Add an offset, or 'Z' for UTC; or set the zone of "
            "the workspace once, as in vx.connect(tz='Europe/Berlin'), or in VOXOPS_TZ for commands."
        )
    try:
        return time.tz_localize(tz)
    except ValueError as error:  # clocks change then: the time is skipped or repeated
        raise ConfigError(
            f"{name}={value!r} is skipped or repeated in {tz}, where clocks change then. Add an offset."
        ) from error


def present_of(frame: pd.DataFrame, now: datetime | str | None, times: pd.Series) -> pd.Timestamp:
    """Return the present of a frame.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any frame; ``attrs["fetched_at"]`` is when it was loaded.
    now : datetime, str or None
        The caller's present, with an offset from UTC.
    times : pandas.Series
        ``datetime64[us, UTC]``; the latest is the present of a frame without ``fetched_at``.

    Returns
    -------
    pandas.Timestamp
        `now`, else when the frame was loaded, else the latest of `times`; NaT if there is none.

    Raises
    ------
    ConfigError
        If `now` has no offset, or is not a time.
    """
    if now is None:
        return pd.Timestamp(frame.attrs.get("fetched_at") or times.max())
    try:
        time = pd.Timestamp(now).tz_convert("UTC")
        if pd.isna(time):
            raise ValueError("NaT")
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(
            f"now={now!r} is not a time, or has no time zone; pass one such as datetime.now(UTC)."
        ) from error
    return time


def length(name: str, value: str | timedelta) -> pd.Timedelta:
    """Read a length of time.

    Parameters
    ----------
    name : str
        The name of the argument, for the message.
    value : str or timedelta
        Such as ``"6h"``, ``"7D"`` or ``"30min"``; the unit in either case.

    Returns
    -------
    pandas.Timedelta

    Raises
    ------
    ConfigError
        If it is none.
    """
    try:
        return _length(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(
            f"{name}={value!r} is not a length of time; write one such as '6h', '7D' or '30min'."
        ) from error


def seconds(name: str, value: str | timedelta) -> float:
    """Return a length of time in seconds; a bare number has no unit and is refused.

    Raises
    ------
    ConfigError
        If it is none, or not more than 0.
    """
    found = length(name, value).total_seconds()
    if not found > 0:
        raise ConfigError(f"{name}={value!r} is not a duration; write it as '24h', '5min' or '30s'")
    return found


def _length(value: str | timedelta) -> pd.Timedelta:
    """Read a length of time, its unit in either case; ValueError or TypeError if it is none."""
    if isinstance(value, timedelta):
        return pd.Timedelta(value)
    if _LENGTH.fullmatch(str(value).strip()) is None:
        raise ValueError(f"{value!r} is not a number with a unit")
    return pd.Timedelta(plain_units(value))


def plain_units(text: str) -> str:
    """Return a length of time with its units in the case that pandas requires.

    D and W are capitals, and h, min, s and the rest small; a lone capital M is a month, which has no fixed length.
    """
    units = {"d": "D", "D": "D", "w": "W", "W": "W", "M": "M"}
    return _LENGTH.sub(lambda found: found["number"] + units.get(found["unit"], found["unit"].lower()), text.strip())


def zone(name: str) -> str:
    """Return the name of a time zone; ConfigError if it is unknown."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise ConfigError(f"tz={name!r} is not a time zone; write one such as 'UTC' or 'Europe/Berlin'.") from error
    return name


def shown_zone(frame: object, tz: str | None = None) -> str:
    """Return the zone in which a frame's times are shown: the passed one, its workspace's, that of its times, else UTC."""
    name = tz or getattr(frame, "attrs", {}).get("tz")
    if name is None and isinstance(frame, pd.DataFrame):  # counted by days, without the attrs of its source
        zones = {str(kind.tz) for kind in frame.dtypes if isinstance(kind, pd.DatetimeTZDtype) and "/" in str(kind.tz)}
        name = zones.pop() if len(zones) == 1 else None
    return zone(name or "UTC")


def say_zone(frame: pd.DataFrame, tz: str | None) -> pd.DataFrame:
    """Set the display zone of a frame that has none; return the frame."""
    if tz not in (None, "UTC"):  # the default is not stored
        frame.attrs.setdefault("tz", tz)
    return frame


def moment(posts: pd.DataFrame) -> pd.Series:
    """When something last happened to each post: the latest of scheduled, published, updated and created.

    Parameters
    ----------
    posts : pandas.DataFrame
        Has at least one of ``scheduled_for published_at updated_at created_at``.

    Returns
    -------
    pandas.Series
        ``datetime64[us, UTC]``, NaT for a post without any time.
    """
    return posts.filter(MOMENTS).max(axis=1)


def within(times: pd.Series, start: pd.Timestamp | None, end: pd.Timestamp | None) -> pd.Series:
    """Return which times fall into ``start <= time < end``; an unknown time does, because it may be inside.

    Parameters
    ----------
    times : pandas.Series
        ``datetime64[us, UTC]``.
    start, end : Timestamp or None
        None leaves the side open.

    Returns
    -------
    pandas.Series
        bool, with the index of `times`.
    """
    return ~((times < (start or _FIRST)) | (times >= (end or _END)))
