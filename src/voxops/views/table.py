"""A frame as a table for people: which columns matter, how each value reads, and the table as text.

Every display of rows is made here: views, plans, reports, and what the commands print. Templates (Jinja2, in
``templates/``) draw the same table as HTML. Every value that a template writes becomes one line without control or reordering characters,
and is escaped. A name that the context lacks is an error. Templates have loops and conditions, no other logic.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from voxops._support import safe
from voxops.frames.cells import Json, is_missing
from voxops.frames.registry import LOOKS, Column, column_of, kind_of, look
from voxops.frames.times import shown_zone
from voxops.model import Outcome
from voxops.sheets.rules import as_instants

_MOST = 10  # columns
_LONG = 24  # characters; a column with a longer text wraps
_ID, _RUN_ID, _ADDRESS = 12, 14, 36  # characters of what is shortened; ids of runs are whole, because people paste them
_BODY = 100  # characters of a post's text or a response; causes, messages, remedies and reasons are whole
_BODIES = frozenset({"content", "first_comment", "response_body"})
_LONGEST = 4_000  # characters of a cell; no cause, message or remedy is longer
_TERMINAL = 200  # characters of a cell in text
_ORDER = [Outcome.FAILED, Outcome.UNKNOWN, Outcome.BLOCKED, Outcome.PENDING, Outcome.SUCCEEDED]  # of reading
_SHEET_TIMES = ("scheduled_for", "new_scheduled_for")  # text in a sheet
# Columns that may have addresses of webhooks and media, which may open them.
_SECRETS = ("url", "error", "response_body", "symptom", "media", "media_sha256", "media_uploaded", "new_media_url")
# Columns that may quote a platform or the API.
_MESSAGES = (
    "error_message",
    "example",
    "how",
    "message",
    "reason",
    "waiting_for",
    "why",
    "check_message",
    "scope_message",
)


def _plain_text(value: Any) -> Any:
    """Return a value as one safe line; markup, which only templates make, stays."""
    return value if hasattr(value, "__html__") else safe.plain(value, _LONGEST)


_ENVIRONMENT = Environment(
    loader=PackageLoader("voxops.views"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_plain_text,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["number"] = "{:,}".format


def draw(template: str, **context: Any) -> str:
    """Return a template of ``templates/`` filled with values, which it escapes."""
    return _ENVIRONMENT.get_template(template).render(context)


class Cell(NamedTuple):
    """One value: its text, its longer form for hovering, the colour of its dot and the address that it links to."""

    text: str
    title: str = ""
    colour: str = ""
    link: str = ""


class Head(NamedTuple):
    """The head of a column; its `shape` is a class of the style sheet: ``text`` wraps, ``number`` is aligned right."""

    title: str
    meaning: str = ""
    shape: str = ""


class Table(NamedTuple):
    """Heads and rows of cells, as templates draw them."""

    columns: Sequence[Head]
    rows: Sequence[Sequence[Cell]]
    total: int = 0  # rows of the frame

    def text(self) -> str:
        """Return the table as lines for a terminal."""
        texts = ([safe.plain(cell.text, _TERMINAL) for cell in row] for row in self.rows)
        lines = [[safe.plain(head.title) for head in self.columns], *texts]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines) if self.rows else ""


class Part(NamedTuple):
    """A part of a display: a heading, a line below it, a table, and a line below that."""

    title: str
    aside: str = ""
    line: str = ""
    table: Table = Table((), ())
    more: str = ""

    def text(self) -> str:
        """Return the part as lines for a terminal."""
        heading, line, more = (
            safe.plain(text, 400) for text in (" · ".join(filter(None, self[:2])), self.line, self.more)
        )
        return "\n".join(filter(None, [heading, line, self.table.text(), more]))


def table_of(
    frame: pd.DataFrame,
    names: Sequence[Hashable] | None = None,
    *,
    tz: str | tzinfo | None = None,
    most: int | None = None,
) -> Table:
    """Return the first `most` rows of a frame as a table; by default the columns that matter, in the frame's time zone."""
    part, kind, tz = frame.head(len(frame) if most is None else most), kind_of(frame), tz or shown_zone(frame)
    links = part.get("platform_post_url", pd.Series(None, part.index, dtype=object))
    part = redacted(part[shown_columns(frame) if names is None else list(dict.fromkeys(names))])
    heads, cells = [], []
    for name in part:
        column = column_of(name, part[name], kind)
        addresses = links if name == "post_id" else part[name] if column.kind == "link" else [None] * len(part)
        made = [cell_of(value, column, tz, link) for value, link in zip(part[name], addresses, strict=True)]
        wraps = column.kind in {"text", "list", "word"} and any(len(cell.text) > _LONG for cell in made)
        heads.append(Head(column.title, column.meaning, "number" if column.right else "text" if wraps else ""))
        cells.append(made)
    return Table(heads, list(zip(*cells, strict=True)), len(frame))


def cell_of(value: Any, column: Column, tz: str | tzinfo, link: object = None) -> Cell:
    """Return one cell: short in its row, in full on hovering; only an address of the web is a link."""
    text, full = safe.plain(text_of(value, column, tz) or "–", _LONGEST), safe.plain(_full(value, tz), 1000)
    colour = look(LOOKS[column.name], value).colour if column.name in LOOKS and full else ""
    address = str(link) if str(link).startswith(("https://", "http://")) else ""
    return Cell(text, "" if full == text or column.kind == "address" else full, colour, address)


def text_of(value: Any, column: Column, tz: str | tzinfo) -> str:
    """Return one value as its row shows it: ids and addresses without their middle, times to the minute."""
    if is_missing(value):
        return ""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return f"{pd.Timestamp(value).tz_convert(tz):{'%Y-%m-%d' if column.kind == 'day' else '%Y-%m-%d %H:%M'}}"
    if column.kind == "share" and pd.api.types.is_float(value):
        return safe.percent(float(value))
    if column.name == "rows" and isinstance(value, list):  # a finding's positions: how many, as a plan counts them
        return f"{len(value):,}"
    text = _full(value, tz)
    if column.kind == "id" and len(text) > _RUN_ID:
        return safe.middle(text, _ID)
    if column.kind == "address":
        return safe.middle(safe.redact_address(text), _ADDRESS)
    return safe.clip(text, _BODY) if column.name.partition(":")[0] in _BODIES else text


def _full(value: Any, tz: str | tzinfo) -> str:
    """Return one value in full: times in the zone, yes and no, platforms of targets, lists with commas."""
    if is_missing(value):
        return ""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return safe.instant(pd.Timestamp(value).to_pydatetime(warn=False), tz=tz)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    value = value.value if isinstance(value, Json) else value
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items())
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return ", ".join(str(getattr(each, "platform", each)) for each in value)
    if isinstance(value, float | int | np.integer | np.floating):
        return f"{value:,.4g}" if abs(float(value)) < 1000 and float(value) % 1 else f"{value:,.0f}"
    return str(value)


def shown_columns(frame: pd.DataFrame, most: int = _MOST) -> list[Any]:
    """Return the columns that matter for this kind of frame and are not empty; of an empty frame all that matter."""
    names: list[Any] = [name for name in kind_of(frame).columns if name in frame] or list(frame.columns)
    if "content" in names:  # beside it, texts for one platform
        names += [name for name in frame if str(name).startswith("content:")]
    filled = [name for name in names if any(_full(value, "UTC") for value in frame[name])]
    return (filled or names)[:most]


def in_reading_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that need no action last, so that the others are on the first page; times of a sheet as times."""
    order = kind_of(frame).order
    if order in {"outcome", "eligible"}:
        frame = frame.assign(**{name: as_instants(frame[name]) for name in _SHEET_TIMES if name in frame})
    if not order:
        return frame
    values = frame[order].astype(object)
    if order == "outcome":
        rank = values.map(_ORDER.index)
    else:
        rank = ~values.astype(bool) if order == "eligible" else values.isna()
    return frame.iloc[np.argsort(rank.to_numpy(int), kind="stable")]


def redacted(frame: pd.DataFrame, *, sheet: bool = False) -> pd.DataFrame:
    """Return the frame without the secret parts of addresses of webhooks and media; in a `sheet`, which is read again, its own stay.

    Messages lose queries only, because what a platform says of the links in a post is for the reader; those of deliveries lose more.
    """
    made, deliveries = frame.copy(deep=False), {"delivery_id", "url"} & {*frame}
    for name in {*_MESSAGES, *(() if sheet else _SECRETS)} & {*frame}:
        clean = safe.redact_address if name == "url" else safe.redact_addresses
        if name in _MESSAGES and not deliveries:
            clean = safe.without_queries
        made[name] = frame[name].map(clean, na_action="ignore")
    return made
