"""Times of a sheet: in the zone, and in the order of day and month, that the analyst named; else left as they stand."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

__all__ = ["depends_on_dayfirst", "in_figures", "is_day", "iso_time", "readable_time"]

_DAY = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[./-]\d{1,2}[./-]\d{4}")
_NUMERIC = re.compile(
    r"(?P<first>\d{1,2})[./-](?P<second>\d{1,2})[./-](?P<year>\d{4}),?\s+(?:um\s+|at\s+)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<seconds>\d\d))?)?\s*(?P<word>uhr|[ap]\.?m\.?)?",
    re.IGNORECASE,
)


def readable_time(value: Any) -> datetime | None:
    """Return a time that names its offset from UTC: the one way to read it, for every check and every plan.

    Parameters
    ----------
    value : object
        ISO text, a datetime or a Timestamp.

    Returns
    -------
    datetime or None
        None for what can't be read, and for what has no offset.
    """
    try:
        when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        return when if when.tzinfo is not None else None
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
            when = datetime.fromisoformat(text)
            return None if when.tzinfo is not None or len(text) <= len("2026-11-03") else when
        if dayfirst is None:
            return None
        return _numeric(found, dayfirst)
    except ValueError:
        return None


def _numeric(found: re.Match[str], dayfirst: bool) -> datetime | None:
    """Such as ``03.11.2026 9:00``; an hour alone counts with its word only."""
    word = (found["word"] or "").lower().replace(".", "")
    if found["minute"] is None and not word:
        return None
    hour = int(found["hour"])
    if word in {"am", "pm"}:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if word == "pm" else 0)
    day, month = (found["first"], found["second"]) if dayfirst else (found["second"], found["first"])
    return datetime(  # noqa: DTZ001  `_placed` adds its zone
        int(found["year"]), int(month), int(day), hour, int(found["minute"] or 0), int(found["seconds"] or 0)
    )


def _placed(when: datetime, zone: str) -> str:
    """A time in its zone, unless there it is twice, or never, as where summer time begins and ends."""
    place = ZoneInfo(zone)
    first, second = when.replace(tzinfo=place), when.replace(tzinfo=place, fold=1)
    if first.utcoffset() != second.utcoffset():
        gap = (second.utcoffset() or timedelta()) > (first.utcoffset() or timedelta())
        return f"{when.isoformat()} ({'does not exist' if gap else 'is there twice'} in {zone})"
    return first.isoformat()
