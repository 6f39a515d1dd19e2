"""Times that people write: ISO 8601, without what only a machine would mean by it."""

from __future__ import annotations

import re
from datetime import datetime

__all__ = ["END_YEAR", "FIRST_YEAR", "in_calendar", "read_iso", "typed_time"]

FIRST_YEAR, END_YEAR = 1000, 9000

# ``datetime.fromisoformat`` takes 17.45 for 45 hundredths of a second after 17:00; who types it means a quarter to six.
_FRACTION_OF_NO_SECOND = re.compile(r"(?<!\d\d:\d\d:\d\d)(?<!\D\d{6})[.,]")


def in_calendar(when: datetime) -> bool:
    """Whether a time lies well within the calendar; programs write the years 1 and 9999 for never.

    Of those not every zone has all hours, and the margin of a plot from there to now would reach beyond them.
    """
    return FIRST_YEAR <= when.year < END_YEAR


def read_iso(text: str) -> datetime:
    """Return the time that ISO text names; seconds alone have fractions.

    Raises
    ------
    ValueError
        If it is no ISO text, or has a dot or a comma where minutes should be, such as ``2026-03-20 17.45``.
    """
    if _FRACTION_OF_NO_SECOND.search(text):
        raise ValueError(f"{text!r} has a dot or a comma for a colon")
    return datetime.fromisoformat(text)


def typed_time(text: str) -> datetime:
    """Return the time at which something is to happen, as `read_iso`; ValueError also where it lies at an end of the calendar."""
    when = read_iso(text)
    if not in_calendar(when):
        raise ValueError(f"{text!r} is at the end of the calendar")
    return when
