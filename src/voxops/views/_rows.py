"""The rows of a panel as compact columns, which the page filters, counts and sorts; long texts stay in the kernel.

Repeated words are indices into a list, times are seconds, ids are one text: 50,000 rows take about 3 MB.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

import numpy as np
import pandas as pd

from voxops._support import document, safe
from voxops._support.document import Block
from voxops.frames.registry import column_of, kind_of
from voxops.frames.table import frame_table, in_other_years, without_addresses
from voxops.frames.times import shown_zone

__all__ = ["COPIED", "PageColumn", "RowTable", "grid_columns", "pack"]

COPIED = 200  # most rows of the static copy
MISSING = "–"
_NO_TIME = 0xFFFFFFFF
_versions = itertools.count(1)


@dataclass(frozen=True, slots=True)
class PageColumn:
    """How the page shows one column of a frame.

    Attributes
    ----------
    name, title : str
        Name in the frame, and title for people.
    kind : str
        ``code`` (repeated words), ``id``, ``time``, ``number`` or ``text`` (fetched when shown).
    facet, hidden : bool
        Whether its values are a filter; whether it is left out until somebody turns it on.
    days : bool
        Whether times are days, in the zone in which they were counted.
    share : float
        Width relative to the other columns.
    """

    name: str
    title: str
    kind: str = "code"
    facet: bool = False
    hidden: bool = False
    days: bool = False
    share: float = 1.0


_WIDTH, _SHARE = 110, 1.8  # pixels of a share of 1; the share of a column without a width
_GRID = {"time": "time", "day": "time", "number": "number", "share": "number", "id": "id"}


def grid_columns(
    frame: pd.DataFrame,
    names: Sequence[str],
    words: Mapping[str, pd.Series[Any]],
    *,
    hidden: Sequence[str] = (),
    titles: Mapping[str, str] | None = None,
) -> list[PageColumn]:
    """Return how the page shows columns, from their entries in the registry; those that the frame lacks are left out."""
    kind, made = kind_of(frame), []
    for name in dict.fromkeys([*names, *hidden]):
        if name not in frame.columns and name not in words:
            continue
        column = column_of(name, frame.get(name), kind)
        facet = column.facet and (column.kind != "id" or name in words)  # each id by itself would be a filter
        drawn = _GRID.get(column.kind, "text" if column.kind == "text" else "code")
        drawn = "code" if facet or (drawn == "id" and name in words) else drawn  # only a code has values to choose from
        share = column.width / _WIDTH if column.width else _SHARE
        title = (titles or {}).get(name, column.title)
        made.append(PageColumn(name, title, drawn, facet, name in hidden, column.kind == "day", share))
    return made


@dataclass(frozen=True, eq=False)
class RowTable:
    """A frame in the form for the page.

    Attributes
    ----------
    frame : pandas.DataFrame
        The rows in the order shown.
    columns : sequence of PageColumn
        The columns shown. Times and numbers are sorted by value, also if `words` has other texts for them.
    words : mapping of str to Series
        Column -> the shown texts, if they are not the values.
    plans : Series or None
        Which rows can be planned (bool); None for all.
    version : int
        Number of the table: a message about another one is refused.
    """

    frame: pd.DataFrame
    columns: Sequence[PageColumn]
    words: Mapping[str, pd.Series[Any]] = field(default_factory=dict)
    plans: pd.Series[Any] | None = None
    version: int = field(default_factory=lambda: next(_versions))

    def model(self) -> dict[str, Any]:
        """Return the table for the widget's model."""
        return {
            "version": self.version,
            "length": len(self.frame),
            "columns": [self._compact(column) for column in self.columns],
            "plans": None if self.plans is None else pack(self.plans.fillna(False).to_numpy(bool)),
        }

    def shown(self, name: str) -> pd.Series[Any]:
        """Return the shown texts of a column, an en dash for missing ones."""
        values = self.words.get(name, self.frame.get(name))
        if values is None:
            return pd.Series(MISSING, index=self.frame.index, dtype=object)
        said = values.astype(object).where(values.notna(), MISSING).astype(str).astype(object)
        return said.where(said != "", MISSING)

    def rows(self, bits: object, version: object) -> np.ndarray[Any, Any] | None:
        """Return which rows a page names by bits (bool); None if it means another table."""
        if version != self.version or not isinstance(bits, str):
            return None
        try:
            flags = np.unpackbits(np.frombuffer(base64.b64decode(bits, validate=True), np.uint8))
        except (binascii.Error, ValueError):
            return None
        count = len(self.frame)
        return None if len(flags) < count or flags[count:].any() else flags[:count].astype(bool)

    def fits(self, name: str, wanted: Sequence[str]) -> np.ndarray[Any, Any]:
        """Return which rows show one of these words in a column (bool)."""
        shown = self.shown(name).map(lambda text: safe.plain(text, 120))
        return shown.isin(list(wanted)).to_numpy(bool)

    def raw(self, name: str, wanted: Sequence[str]) -> list[Any] | None:
        """Return the values of a column that are shown as these words; None if one of them is missing."""
        found = self.frame.loc[self.fits(name, wanted), name]
        return None if found.isna().any() else sorted(found.unique(), key=str)

    def texts(self, rows: Sequence[object]) -> dict[str, dict[str, str]]:
        """Return the long texts of some rows, by row number."""
        names = [column.name for column in self.columns if column.kind == "text"]
        known = [row for row in rows if isinstance(row, int) and 0 <= row < len(self.frame)][:500]
        part = {
            name: self.shown(name).iloc[known] if name not in self.frame else self._part(name, known) for name in names
        }
        return {
            str(row): {name: safe.plain(part[name].iloc[at], 240) for name in names} for at, row in enumerate(known)
        }

    def search(self, text: str) -> str:
        """Return the rows whose texts contain all words of `text`, as bits."""
        found = np.zeros(len(self.frame), bool)
        words = text.lower().split()[:8]
        for column in self.columns:
            if column.kind == "text" and column.name in self.frame and words:
                said = self.words.get(column.name, self.frame[column.name])  # only what is shown is searched
                lower = said.astype("string").fillna("").str.lower()
                hit = np.ones(len(self.frame), bool)
                for word in words:
                    hit &= lower.str.contains(word, regex=False).to_numpy(bool)
                found |= hit
        return pack(found)

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the ``texts``, the ``search`` result or the ``csv`` that a page requests; None for another message or table."""
        match message:
            case {"do": "texts", "rows": list(rows), "version": self.version}:
                said: dict[str, Any] = {"texts": self.texts(rows)}
            case {"do": "search", "text": str(text)}:
                said = {"found": self.search(text[:200]), "text": text}
            case {"do": "csv", "rows": bits, "version": self.version}:
                wanted = self.rows(bits, self.version)
                if wanted is None:
                    return None
                asked = spreadsheet(without_addresses(self.frame[wanted]))
                tabs = bool(message.get("tabs"))
                said = {
                    "csv": asked.to_csv(index=False, sep="\t" if tabs else ",", lineterminator="\n" if tabs else "\r\n")
                }
            case _:
                return None
        return {**said, "version": self.version, "page": message.get("page")}

    def copy(self) -> list[Block]:
        """Return the rows of the static copy, those that can be planned first if not all have room, and how many there are."""
        columns = [column for column in self.columns if not column.hidden]
        names, titles = [column.name for column in columns], {column.name: column.title for column in columns}
        cut = len(self.frame) > COPIED
        first = self.plans if cut else None
        rows = (
            self.frame
            if first is None
            else self.frame.iloc[np.argsort(~first.fillna(False).to_numpy(bool), kind="stable")]
        )
        table = frame_table(rows, names, most=COPIED, words=self.words, titles=titles)
        said = "" if first is None else " Those that can be planned come first."
        return [table, document.line(f"The first {COPIED} of {len(rows):,} rows.{said}")] if cut else [table]

    def _part(self, name: str, rows: Sequence[int], frame: pd.DataFrame | None = None) -> pd.Series[Any]:
        """Return the shown values of some rows of a column."""
        frame = self.frame if frame is None else frame
        values = self.words[name].loc[frame.index] if name in self.words else frame.get(name)
        if values is None:
            values = pd.Series(pd.NA, index=frame.index, dtype=object)
        return values.iloc[list(rows)]

    def _lines(self, name: str) -> bytes:
        """Return the shown texts of a column, one line a row."""
        return "\n".join(safe.plain(value, 80) for value in self.shown(name)).encode("utf-8", "replace")

    def _compact(self, column: PageColumn) -> dict[str, Any]:
        """Return one column in the form for the page."""
        known = {name: getattr(column, name) for name in ("name", "title", "kind", "facet", "hidden", "share")}
        if column.kind == "text":
            return known
        if column.kind == "id":
            return {**known, "ids": self._lines(column.name)}
        if column.kind in {"time", "number"} and column.name in self.words:
            known["words"] = self._lines(column.name)
        if column.kind == "time":
            times = self.frame[column.name]
            tz = times.dt.tz if column.days else shown_zone(self.frame)
            years = not column.days and in_other_years(times, tz, self.frame.attrs.get("fetched_at"))
            return {**known, "years": years, "seconds": _seconds(times, tz).tobytes()}
        if column.kind == "number":
            numbers = self.frame.get(column.name, pd.Series(pd.NA, index=self.frame.index, dtype="Float64"))
            return {**known, "numbers": numbers.astype("Float64").to_numpy("<f8", na_value=np.nan).tobytes()}
        raw, uniques = pd.factorize(self.shown(column.name))
        values = [safe.plain(value, 120) or MISSING for value in uniques]
        known_values = {value: at for at, value in enumerate(dict.fromkeys(values))}
        codes = np.array([known_values[value] for value in values], np.uint32)[raw] if len(raw) else raw
        width = 1 if len(known_values) <= 0xFF else 2 if len(known_values) <= 0xFFFF else 4
        return {**known, "values": [*known_values], "width": width, "codes": codes.astype(f"<u{width}").tobytes()}


def pack(flags: np.ndarray[Any, Any]) -> str:
    """Return one bit a row, as base64."""
    return base64.b64encode(np.packbits(flags).tobytes()).decode("ascii")


def _seconds(times: pd.Series[Any], tz: str | tzinfo) -> np.ndarray[Any, Any]:
    """Return times as seconds since 1970 on the zone's clock (uint32), the highest number for missing ones.

    The page knows no time zones and so shows and filters the days of this zone.
    """
    known = times.notna().to_numpy(bool)
    seconds = np.full(len(times), _NO_TIME, "<u4")
    local = times[known].dt.tz_convert(tz).dt.tz_localize(None).to_numpy("datetime64[s]").astype("int64")
    seconds[known] = np.clip(local, 0, _NO_TIME - 1)
    return seconds
