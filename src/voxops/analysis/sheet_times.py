"""Times of a sheet: in the zone, and in the order of day and month, that the analyst named; else left as they stand."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from voxops._core.isotime import in_calendar, typed_time

__all__ = ["depends_on_dayfirst", "in_figures", "is_day", "iso_time", "joined_time", "readable_time"]

_DAY = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[./-]\d{1,2}[./-]\d{4}")
_HOUR = r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<seconds>\d\d))?)?\s*(?P<word>uhr|[ap]\.?m\.?)?"
_NUMERIC = re.compile(
    r"(?P<first>\d{1,2})[./-](?P<second>\d{1,2})[./-](?P<year>\d{4}),?\s+(?:um\s+|at\s+)?" + _HOUR, re.IGNORECASE
)
_CLOCK = re.compile(_HOUR, re.IGNORECASE)


def readable_time(value: Any) -> datetime | None:
    """Return a time that names its offset from UTC: the one way to read it, for every check and every plan.

    Parameters
    ----------
    value : object
        ISO text, a datetime or a Timestamp.

    Returns
    -------
    datetime or None
        None for what can't be read, lies at an end of the calendar, or has no offset.
    """
    try:
        when = value if isinstance(value, datetime) else typed_time(str(value).strip())
        return when if when.tzinfo is not None and in_calendar(when) else None
    except ValueError:
        return None


def iso_time(value: Any, zone: str | None, dayfirst: bool | None) -> str:
    """Return a cell that should hold a time as text.

    Parameters
    ----------
    value : str, date, time, datetime or number
        As the file has it.
    zone : str or None
        The zone of times that name none.
    dayfirst : bool or None
        Whether ``03.11.2026`` is the third of November; None if that is not known.

    Returns
    -------
    str
        ISO 8601 with an offset where all is known; else the value as it stands, with what is wrong where that can't be seen, so
        that a check can show it.
    """
    if isinstance(value, datetime):
        return value.isoformat() if zone is None else _placed(value, zone)
    if isinstance(value, date):
        return f"{value.isoformat()} (a day without an hour)"
    if isinstance(value, time):
        return f"{value.isoformat()} (an hour without a day)"
    text = str(value)
    when = _naive(text.strip(), dayfirst)
    return text if when is None or zone is None else _placed(when, zone)


def joined_time(day: Any, clock: Any) -> Any:
    """Return a day and an hour that stand in two cells as one cell that holds both.

    Parameters
    ----------
    day, clock : str, date, time, datetime or number
        As the file has them; text where a cell is empty.

    Returns
    -------
    str, date or datetime
        For `iso_time`; where one of the two can't be read, both as they stand, so that a check can show them.
    """
    if type(day) is datetime and day.time() == time():
        day = day.date()  # how some programs write a day
    if not isinstance(clock, date | time) and not str(clock).strip():
        return day
    hour = _hour(clock)
    if type(day) is date:
        return f"{day.isoformat()} {clock}" if hour is None else datetime.combine(day, hour)
    if not isinstance(day, date | time) and not str(day).strip():
        return f"{clock} (an hour without a day)"
    return f"{str(day).strip()} {clock if hour is None else hour.isoformat()}"


def _hour(cell: Any) -> time | None:
    """A cell as a time of the day; None if it is none, or more than that."""
    if isinstance(cell, time):
        return cell
    found = _CLOCK.fullmatch(cell.strip()) if isinstance(cell, str) else None
    try:
        return None if found is None else _clock(found)
    except ValueError:
        return None


def in_figures(text: str) -> bool:
    """Whether text can be read as a day and an hour, such as ``03.11.2026 9:00``, once it is known which figure is the day."""
    return any(_naive(text.strip(), dayfirst) is not None for dayfirst in (True, False))


def is_day(text: str) -> bool:
    """Whether text is a day without an hour, such as ``2026-03-20`` or ``20.03.2026``."""
    if _DAY.fullmatch(text.strip()) is None:
        return False
    return in_figures(f"{text.strip()} 00:00")


def depends_on_dayfirst(text: str) -> bool:
    """Whether it matters for text such as ``13/11/2026 9:00`` which figure is the day."""
    return _naive(text.strip(), dayfirst=True) != _naive(text.strip(), dayfirst=False)


def _naive(text: str, dayfirst: bool | None) -> datetime | None:
    """Text as a time without a zone; None if it is none, names its offset itself, or has no hour."""
    found = _NUMERIC.fullmatch(text)
    try:
        if found is None:
            when = typed_time(text)
            return None if when.tzinfo is not None or len(text) <= len("2026-11-03") else when
        if dayfirst is None:
            return None
        return _numeric(found, dayfirst)
    except ValueError:
        return None


def _numeric(found: re.Match[str], dayfirst: bool) -> datetime | None:
    """Such as ``03.11.2026 9:00``."""
    clock = _clock(found)
    day, month = (found["first"], found["second"]) if dayfirst else (found["second"], found["first"])
    return None if clock is None else datetime.combine(date(int(found["year"]), int(month), int(day)), clock)


def _clock(found: re.Match[str]) -> time | None:
    """Such as ``9:00`` or ``9 am``; an hour alone counts with its word only."""
    word = (found["word"] or "").lower().replace(".", "")
    if found["minute"] is None and not word:
        return None
    hour = int(found["hour"])
    if word in {"am", "pm"}:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if word == "pm" else 0)
    return time(hour, int(found["minute"] or 0), int(found["seconds"] or 0))


def _placed(when: datetime, zone: str) -> str:
    """A time in its zone, unless there it is twice, or never, as where summer time begins and ends."""
    place = ZoneInfo(zone)
    first, second = when.replace(tzinfo=place), when.replace(tzinfo=place, fold=1)
    if first.utcoffset() != second.utcoffset():
        gap = (second.utcoffset() or timedelta()) > (first.utcoffset() or timedelta())
        return f"{when.isoformat()} ({'does not exist' if gap else 'is there twice'} in {zone})"
    return first.isoformat()
