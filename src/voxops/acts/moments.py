"""Times of posts, as people write them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

__all__ = ["minute"]


def minute(text: str | None, tz: str = "UTC") -> str:
    """A time as people write it, in a zone."""
    return "no time" if text is None else f"{datetime.fromisoformat(text).astimezone(ZoneInfo(tz)):%Y-%m-%d %H:%M %Z}"
