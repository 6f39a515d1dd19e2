"""One value of a frame as text: short, for a line of a table, and in full."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from typing import Any

import pandas as pd

from voxops._support import safe
from voxops._support.safe import short_address
from voxops.frames.nested import is_missing
from voxops.frames.times import parse_times
from voxops.sheets.rules import readable_time
from voxops.views._frame_kinds import Shape

__all__ = ["TEXT", "WHOLE", "as_instants", "full_text", "in_other_years", "short_time", "text_of"]

TEXT = 160  # characters of a text sent to a page, which cuts the line by its width
WHOLE = 1000  # characters of a text that is shown in full
_ID = 12  # characters shown of an id
_ADDRESS = 36  # characters shown of an address, without its scheme


def text_of(value: Any, shape: Shape, tz: str) -> str:
    """Return one value as one short line."""
    if shape.shortened and isinstance(value, str):
        return safe.middle(value, _ID)
    if shape.address and isinstance(value, str):
        return safe.middle(short_address(value), _ADDRESS)
    if isinstance(value, pd.Timestamp) and value.tzinfo is not None and not pd.isna(value):
        if shape.days:
            return value.strftime("%d %b %Y")
        return short_time(value, tz, years=shape.years) if shape.width else f"{value.tz_convert(tz):%Y-%m-%d %H:%M}"
    if shape.share and isinstance(value, float) and not pd.isna(value):
        return safe.percent(value)
    return safe.plain(full_text(value, tz), WHOLE if shape.whole else TEXT)


def short_time(value: pd.Timestamp, tz: str, *, years: bool) -> str:
    """Return a time as a column of a table shows it; one without a zone is left as it is."""
    local = value.tz_convert(tz) if value.tzinfo else value
    return f"{local:%d %b %Y %H:%M}" if years else f"{local:%d %b %H:%M}"


def as_instants(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return texts of a sheet as instants if each has its offset, else the column unchanged."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values
    read = pd.Series(parse_times([readable_time(value) for value in values]), index=values.index)
    return read if bool((read.notna() | values.isna()).all()) else values


def in_other_years(times: pd.Series[Any], tz: str | tzinfo, read: object) -> bool:
    """Whether a column has times outside the year in which it was read: a wrong year must show.

    `read` is the instant of reading (``attrs["fetched_at"]``); None, as for a sheet, means now.
    """
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        return False
    year = (pd.Timestamp.now("UTC") if read is None else pd.Timestamp(str(read))).tz_convert(tz).year
    return bool((times.dropna().dt.tz_convert(tz).dt.year != year).any())


def full_text(value: Any, tz: str) -> str:
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
    """Return the platform of a target, else the entry itself."""
    found = entry.get("platform") if isinstance(entry, Mapping) else getattr(entry, "platform", None)
    return entry if found is None else found
