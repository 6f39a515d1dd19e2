"""A frame as the table of a document: which columns matter, how each value is written, and what a cell opens to.

Every display of rows is drawn from here: views, plans, reports, panels' static copies, and what the commands print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, tzinfo
from typing import Any

import numpy as np
import pandas as pd

from voxops._support import document, safe
from voxops._support.document import Block
from voxops.frames.cells import Json, is_missing
from voxops.frames.palette import look
from voxops.frames.registry import LOOKS, Column, Kind, column_of, kind_of
from voxops.frames.times import shown_zone
from voxops.model import Outcome, Verdict

NONE = "–"
_ROOM, _LEAST = 1320, 110  # pixels of a row on a laptop, and of a column without a width
_TEXT, _WHOLE = 160, 1000  # characters of a text in a row, and where the cell is opened
_ID, _ADDRESS = 12, 36  # characters of an id and of an address that are cut
_RUN_ID = 14  # characters of a run's id, which is whole, since it is pasted into ws.attach
_YEAR = 34  # pixels of a year
_LOOKED_AT = 1000  # rows checked first: a column that is not empty nearly always shows it there
_OUTCOMES = {Outcome.FAILED: 0, Outcome.UNKNOWN: 1, Outcome.BLOCKED: 2, Outcome.PENDING: 3}  # order of reading


_REDACT: dict[str, Callable[[object], str]] = {
    "url": safe.redact_address, "endpoint": safe.redact_address, "error": safe.redact_addresses, "response_body": safe.redact_addresses,
    "symptom": safe.redact_addresses, "error_message": safe.redact_addresses,
}  # fmt: skip


def frame_table(
    frame: pd.DataFrame,
    names: Sequence[str] | None = None,
    *,
    tz: str | tzinfo | None = None,
    wraps: bool = False,
    most: int | None = None,
    words: Mapping[str, pd.Series[Any]] | None = None,
    titles: Mapping[str, str] | None = None,
) -> Block:
    """Return rows of a frame as the table of a document.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows in the order shown.
    names : sequence of str, optional
        The columns, by default those that matter for this kind of frame.
    tz : str or tzinfo, optional
        Time zone of the times, by default the frame's.
    wraps : bool
        Whether texts take several lines, as on paper; else a row is one line high, and what was cut opens.
    most : int, optional
        Most rows.
    words : mapping of str to Series, optional
        Column -> the texts to show instead of its values.
    titles : mapping of str to str, optional
        Column -> another title than the registry's.
    """
    frame = flat(frame)
    tz, kind, words = tz or shown_zone(frame), kind_of(frame), words or {}
    names = shown_columns(frame, kind) if names is None else list(dict.fromkeys(names))
    part = frame if most is None else frame.head(most)
    links = part["platform_post_url"] if "platform_post_url" in part.columns else None
    read, clean = frame.attrs.get("fetched_at"), without_addresses(part[[name for name in names if name not in words]])
    heads, cells = [], []
    for name in names:
        values = words[name].loc[part.index] if name in words else clean[name]
        column = column_of(name, values, kind)
        column = replace(column, kind="word") if name in words else column
        column = replace(column, title=titles[name]) if titles and name in titles else column
        years = in_other_years(values, tz, read)
        addresses = links.tolist() if links is not None and name == "post_id" else [None] * len(values)
        heads.append(column_head(column, wraps=wraps, years=years))
        cells.append(
            [
                cell_of(value, column, tz, years=years, wraps=wraps, address=each)
                for value, each in zip(values, addresses, strict=True)
            ]
        )
    return document.table(heads, zip(*cells, strict=True))


def flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with each column once, the first of those with one name."""
    return frame if frame.columns.is_unique else frame.loc[:, ~frame.columns.duplicated()]


def column_head(column: Column, *, wraps: bool = False, years: bool = False) -> Block:
    """Return the head of a column."""
    return document.column(
        column.title,
        right=column.right,
        width=0 if wraps or not column.width else column.width + (_YEAR if years else 0),
        wraps=wraps,
        hint=column.meaning,
    )


def cell_of(
    value: Any, column: Column, tz: str | tzinfo, *, years: bool = False, wraps: bool = False, address: Any = None
) -> Block:
    """Return one cell: short in its row, in full where it is opened."""
    if is_missing(value):
        return document.cell(NONE)
    full = safe.redact_address(value) if column.kind == "address" else full_text(value, tz)
    looks = LOOKS.get(column.look)
    known = None if looks is None else look(looks, value)
    link = value if column.kind == "link" else address
    return document.cell(
        text_of(value, column, tz, years=years),
        full,
        limit=_WHOLE if wraps else _TEXT,
        colour="" if known is None else known.colour,
        address="" if is_missing(link) else str(link),
    )


def text_of(value: Any, column: Column, tz: str | tzinfo, *, years: bool = False) -> str:
    """Return one value as its row shows it: long ids and addresses without their middle, times to the minute."""
    if is_missing(value):
        return ""
    if column.kind == "id":
        return safe.middle(value, _ID if len(str(value)) > _RUN_ID else _RUN_ID)
    if column.kind == "address" and isinstance(value, str):
        return safe.middle(safe.short_address(value), _ADDRESS)
    if isinstance(value, pd.Timestamp) and column.kind == "day":
        return f"{value:%d %b %Y}"
    if isinstance(value, pd.Timestamp | datetime) and value.tzinfo is not None:
        return short_time(value, tz, years=years)
    if column.kind == "share" and isinstance(value, float | np.floating):
        return safe.percent(float(value))
    return full_text(value, tz)


def short_time(value: datetime, tz: str | tzinfo, *, years: bool = False) -> str:
    """Return a time as every table shows it; the head of the display names the zone."""
    local = pd.Timestamp(value).tz_convert(tz)
    return f"{local:%a %d %b %Y %H:%M}" if years else f"{local:%a %d %b %H:%M}"


def full_text(value: Any, tz: str | tzinfo) -> str:
    """Return one value in full: times in the zone, yes and no, platforms of targets, lists with commas."""
    if is_missing(value):
        return ""
    if isinstance(value, pd.Timestamp) and value.tzinfo is not None:
        return safe.instant(value.to_pydatetime(warn=False), tz=tz)
    if isinstance(value, datetime | date):
        return str(value)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    value = value.value if isinstance(value, Json) else value
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    if hasattr(value, "__iter__"):
        return ", ".join(str(_platform(each)) for each in value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"
    return f"{value:,}" if pd.api.types.is_number(value) else str(value)


def _platform(entry: Any) -> Any:
    """Return the platform of a target and its account, else the entry itself."""
    found = entry.get("platform") if isinstance(entry, Mapping) else getattr(entry, "platform", None)
    return entry if found is None else found


def in_other_years(times: pd.Series[Any], tz: str | tzinfo, read: object) -> bool:
    """Whether a column has times outside the year in which it was read: a wrong year must show.

    `read` is the instant of reading (``attrs["fetched_at"]``); None, as for a sheet, means now.
    """
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        return False
    year = (pd.Timestamp.now("UTC") if read is None else pd.Timestamp(str(read))).tz_convert(tz).year
    return bool((times.dropna().dt.tz_convert(tz).dt.year != year).any())


def shown_columns(frame: pd.DataFrame, kind: Kind | None = None, most: int | None = None) -> list[str]:
    """Return the columns that matter for this kind of frame and are not empty, as many as a row has room for.

    Counts stay, also where all are 0: who reads a run must see that nothing failed. Of an empty frame all that matter are shown.
    """
    frame = flat(frame)
    kind = kind_of(frame) if kind is None else kind
    own = [
        name for name in frame.columns if str(name).startswith("content:")
    ]  # texts for one platform, beside the text
    known = [name for name in kind.columns if name in frame.columns]
    names = [each for name in known for each in (name, *(own if name == "content" else ()))] or [*frame.columns]
    filled = [name for name in names if frame.empty or _holds_anything(frame[name])] or names
    widths = np.cumsum([column_of(name, frame[name], kind).width or _LEAST for name in filled])
    return filled[: max(1, int((widths <= _ROOM).sum()))][:most]


def _holds_anything(values: pd.Series[Any]) -> bool:
    """Whether a column has a value that is not missing and not an empty text or list."""
    if isinstance(values.dtype, pd.StringDtype):
        return bool((values.head(_LOOKED_AT) != "").any()) or bool((values != "").any())
    if values.dtype != object and not isinstance(values.dtype, pd.api.extensions.ExtensionDtype):
        return bool(values.notna().any())
    if pd.api.types.is_numeric_dtype(values) or isinstance(values.dtype, pd.DatetimeTZDtype):
        return bool(values.notna().any())
    return any(not is_missing(value) and (not hasattr(value, "__len__") or len(value) > 0) for value in values)


def order_of(frame: pd.DataFrame, kind: Kind) -> np.ndarray[Any, Any] | None:
    """Return the row positions in the order of reading; None for the frame's own order.

    Rows that need no action come last: they would push the others off the page.
    """
    if kind.order == "cause":
        tried = frame["last_outcome"].eq(Outcome.FAILED).fillna(False) if "last_outcome" in frame else False
        again = frame["verdict"].eq(Verdict.RETRY).fillna(False).astype(bool) & tried
        rank: pd.Series[Any] = 2 * frame["cause"].isna().astype("int64") + again.astype(bool)
    elif kind.order == "eligible":
        rank = ~frame["eligible"].astype(bool)
    elif kind.order == "outcome":
        rank = frame["outcome"].astype(object).map(_OUTCOMES).fillna(len(_OUTCOMES))
    else:
        return None
    return np.argsort(rank.to_numpy("int64"), kind="stable")


def without_addresses(frame: pd.DataFrame, columns: Iterable[str] = tuple(_REDACT)) -> pd.DataFrame:
    """Return the frame with these columns redacted, if it has them; values that are no texts stay the same.

    An error message is redacted only in deliveries: a platform's message about the links in a post stays.
    """
    shown: dict[str, Any] = {}
    for name in columns:
        if name in frame.columns and (name != "error_message" or "delivery_id" in frame.columns):
            values = frame[name]
            known = {value: _REDACT[name](value) for value in {each for each in values if isinstance(each, str)}}
            clean = [known[value] if isinstance(value, str) else value for value in values]
            kept = values.dtype if isinstance(values.dtype, pd.StringDtype) else object
            shown[name] = pd.Series(clean, index=frame.index, dtype=kept)
    redacted = frame.assign(**shown)
    redacted.attrs = frame.attrs
    return redacted
