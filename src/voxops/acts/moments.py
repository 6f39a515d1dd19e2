"""Times of posts: in the one form in which they are compared, and as people write them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

__all__ = ["instant", "minute"]


def instant(text: str) -> str:
    """A time in the one form in which times are compared."""
    return datetime.fromisoformat(text).isoformat()


def minute(text: str | None, tz: str = "UTC") -> str:
    """A time as people write it, in a zone."""
    return "no time" if text is None else f"{datetime.fromisoformat(text).astimezone(ZoneInfo(tz)):%Y-%m-%d %H:%M %Z}"
