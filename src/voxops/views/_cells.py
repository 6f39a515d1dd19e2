"""One value of a frame as text: short, for a line of a table, and in full."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pandas as pd

from voxops._core import safe
from voxops._core.addresses import short_address
from voxops.frames.columns import is_missing
from voxops.views._kinds import Shape

__all__ = ["TEXT", "text_of", "whole"]

TEXT = 160  # characters of a text that a page gets; the line is cut by its width
_ID = 12  # characters shown of an id
_ADDRESS = 36  # and of an address, without its scheme


def text_of(value: Any, shape: Shape, tz: str) -> str:
    """Return one value as one short line."""
    if shape.shortened and isinstance(value, str):
        return safe.middle(value, _ID)
    if shape.address and isinstance(value, str):
        return safe.middle(short_address(value), _ADDRESS)
    if isinstance(value, pd.Timestamp) and value.tzinfo is not None and not pd.isna(value):
        if shape.days:
            return value.strftime("%d %b %Y")
        return value.tz_convert(tz).strftime("%d %b %H:%M" if shape.width else "%Y-%m-%d %H:%M")
    if shape.share and isinstance(value, float) and not pd.isna(value):
        return safe.percent(value)
    return safe.plain(whole(value, tz), TEXT)


def whole(value: Any, tz: str) -> str:
    """Return one value in full: times in the zone, yes and no, platforms of targets, lists with commas."""
    if is_missing(value):
        return ""
    if isinstance(value, pd.Timestamp) and value.tzinfo is not None:
        return safe.instant(value.to_pydatetime(warn=False), tz=tz)
    if isinstance(value, datetime | date):
        return str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    if hasattr(value, "__iter__"):
        return ", ".join(str(_platform(each)) for each in value)
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if pd.api.types.is_number(value) else str(value)


def _platform(entry: Any) -> Any:
    """What names an entry of a list: a target's platform, else the entry itself."""
    found = entry.get("platform") if isinstance(entry, Mapping) else getattr(entry, "platform", None)
    return entry if found is None else found
