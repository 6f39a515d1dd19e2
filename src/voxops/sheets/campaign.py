"""Read the column headers, cells and times of a campaign sheet without guessing, and write rows back in the sheet's own form."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from voxops._support.arguments import file_path, near, whole_number
from voxops._support.safe import INEXACT_FROM, unguard
from voxops.errors import ConfigError, PlanError
from voxops.frames.cells import is_missing
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.times import zone
from voxops.model import PLATFORMS
from voxops.sheets.files import Layout, Places, Sheet, letters, places, read_sheet
from voxops.sheets.media import UPLOAD_COLUMNS, keep_folder
from voxops.sheets.rules import depends_on_dayfirst, hour_of, iso_time, joined_time, platforms_with_texts, readable_time

CAMPAIGN_COLUMNS = ("row_id", "content", "accounts", "scheduled_for", "media", "first_comment", "tags")
NEEDED = CAMPAIGN_COLUMNS[:4]
IN_PARTS = ("date", "time")  # together replace an absent scheduled_for
_FURTHER = ("content_type", "twin", "force", "attempt", "owner", *UPLOAD_COLUMNS)  # which plans and views read
OWN_TEXTS = tuple(f"content:{platform}" for platform in PLATFORMS)  # texts for one platform
OPTIONAL = (*CAMPAIGN_COLUMNS[4:], *_FURTHER, *OWN_TEXTS)
_OURS = (*CAMPAIGN_COLUMNS, *IN_PARTS, "campaign", *_FURTHER)
_ZONED = re.compile(r"(.*\S)\s+\(([A-Za-z][\w+-]*(?:/[\w+-]+)*)\)", re.DOTALL)  # the times' heads in our own files


def names_of(read: Sheet, path: str | Path, columns: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return column names in lower case with underscores, and the time zones in some of them, as ``scheduled_for (UTC)``.

    A PlanError names unfit ones.
    """
    platforms_with_texts(_tidy(ours) for ours in columns.values())
    for ours in map(str, columns.values()):
        meant = None if _tidy(ours) in _OURS else near(_tidy(ours), _OURS)
        if meant:  # any other name is a further column
            raise PlanError(
                f"columns= names {ours!r}, which is not a column of voxops; did you mean {meant!r}? voxops reads {', '.join(_OURS)}."
            )
    wanted = {_tidy(theirs): _tidy(ours) for theirs, ours in columns.items()}
    # Column headers of our own workbook that were not renamed; a renamed column is read by its new name.
    stored = {_tidy(theirs): ours for ours, theirs in read.layout.columns.items() if ours not in wanted.values()}
    wanted = {**stored, **wanted}
    names, zones = _named(read.header, wanted)
    while names and not names[-1]:
        names.pop()
    platforms_with_texts(names)
    found_names = ", ".join(dict.fromkeys(filter(None, map(_shown, read.header))))[:200] or "none"
    heads = {_tidy(head) for head in read.header} | {_parted(head)[0] for head in read.header}
    absent = [theirs for theirs in columns if _tidy(theirs) not in heads]
    if absent:
        said = f"columns= names {', '.join(map(str, absent))}, which {path} does not have. It has: {found_names}."
        raise PlanError(said + _elsewhere(read, wanted))
    missing = [name for name in NEEDED if name not in _needed_in(read.header, wanted)]
    if missing:
        said = f"{path} has no column {', '.join(missing)}. It has: {found_names}."
        raise PlanError(said + (_elsewhere(read, wanted) or _renamed(read, wanted, missing)))
    duplicate = [name or "without a name" for name, count in Counter(names).items() if count > 1]
    if duplicate:
        raise PlanError(f"{path} has the column {', '.join(duplicate)} more than once; rename one of them.")
    return names, zones


def _elsewhere(read: Sheet, wanted: Mapping[str, str]) -> str:
    """Return a hint for the error: which of the first rows may be the heads."""
    known = {number: len(_needed_in(row, wanted)) for number, row in read.top}
    here = len(_needed_in(read.header, wanted))
    best = max(known, key=lambda number: known[number], default=0)
    if best and known[best] > max(here, 1):
        return f" The column headers seem to be in row {best}: read_campaign(path, header={best})."
    # A title merged over several cells is the same text in each of them.
    if read.rows and len(set(filter(None, map(_tidy, read.header)))) < 2:
        return " If the column headers are in another row, pass its number in the spreadsheet, such as read_campaign(path, header=3)."
    return ""


def _needed_in(heads: Sequence[str], wanted: Mapping[str, str]) -> set[str]:
    """Return the needed columns of a row of heads, also one that is computed from others."""
    names = set(_named(heads, wanted)[0])
    return set(NEEDED) & (names | {"scheduled_for"} if names.issuperset(IN_PARTS) else names)


def _renamed(read: Sheet, wanted: Mapping[str, str], missing: Sequence[str]) -> str:
    """Return a hint for the error: how to map a head to the missing column."""
    names = dict(zip(_named(read.header, wanted)[0], map(_shown, read.header), strict=True))
    left = [head[:60] for name, head in names.items() if name and name not in _OURS]
    # What our own workbook had not is renamed.
    left.sort(key=set(map(_shown, read.layout.columns.values())).__contains__)
    absent = [name for name in missing if name != "row_id"]
    said = ""
    if left and absent:
        said = f" If a column has another name, map it, such as columns={dict(zip(left[:1], absent, strict=False))}."
    if "scheduled_for" in missing and (left or names.keys() & set(IN_PARTS)):
        said += " If day and hour are in two columns, call them date and time."
    if "row_id" in missing and any(names):
        said += " row_id identifies each row, also after rows are sorted or added: add such a column, or map one: columns={'No.': 'row_id'}."
    return said


def _named(heads: Sequence[str], wanted: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return heads as our names, and the time zones in some of them."""
    names, zones = [], {}
    for head in heads:
        bare, place = _parted(head)
        # An analyst may name the column with or without its zone; the zone applies either way.
        names.append(wanted.get(_tidy(head), wanted.get(bare, bare)))
        if place:
            zones[names[-1]] = place
    return names, zones


def _parted(head: str) -> tuple[str, str]:
    """Return a head as our name, and its time zone, as in ``scheduled_for (Europe/Berlin)``; ``""`` for none."""
    if found := _ZONED.fullmatch(head.strip()):
        with suppress(ConfigError):
            return _tidy(found[1]), zone(found[2])
    return _tidy(head), ""


def _tidy(name: str) -> str:
    """Return a column's name in our spelling."""
    return re.sub("^content_?:_?", "content:", _shown(name).lower().replace(" ", "_"), count=1)


def _shown(name: str) -> str:
    """Return a column's name as in the sheet, in one line."""
    return " ".join(unguard(str(name)).split())


_MONTHS = 12


def read_campaign(
    path: str | Path,
    *,
    sheet: str | None = None,
    tz: str | None = None,
    dayfirst: bool | None = None,
    columns: Mapping[str, str] | None = None,
    header: int | None = None,
    encoding: str | None = None,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    r"""Read a campaign sheet, from a CSV file or an Excel workbook.

    A workbook that `voxops.to_excel` has written of a sheet's rows is read as that sheet was, without further arguments. It has the
    sheet's zone, column headers and date order in a hidden sheet. A renamed header is read by its new name.

    Parameters
    ----------
    path : str or Path
        A CSV file, also as spreadsheets export it: with a byte order mark, in UTF-16 or Windows-1252, with commas, semicolons,
        tabs or bars. It may have a first line ``sep=;``, and empty lines at the end. Or a workbook, xlsx or xlsm.
    sheet : str, optional
        Which sheet of the workbook; required if it has several visible ones.
    tz : str, optional
        The zone of times without one, such as ``"Europe/Berlin"``. Date cells of Excel have none: they are refused without `tz`.
        Times with an offset keep it.
    dayfirst : bool, optional
        Whether ``03.11.2026 9:00`` is in November (True) or in March (False). If omitted, such a time stays as it is, and
        ``ws.check`` refuses it.
    columns : mapping of str to str, optional
        The sheet's name of a column -> ours, such as ``{"Beitrag": "content", "Kanal": "accounts"}``. If day and hour are in two
        columns: ``{"Tag": "date", "Uhrzeit": "time"}``.
    header : int, optional
        The row of the column heads, as a spreadsheet numbers rows, from 1: ``header=3`` below a title. Rows above it are skipped.
        Default: the first row that is not empty.
    encoding : str, optional
        The encoding of a CSV file, such as ``"cp1250"`` or ``"mac_roman"``. If omitted, a file that is neither UTF-8 nor UTF-16 is
        read as Windows-1252, which is a guess: ``ws.check`` shows a text by which to judge it.
    folder : str or Path, optional
        Where the files are that the column ``media`` names; default: where the sheet is. Files outside of it are refused, because a sheet
        may come from anybody, and what it names is posted. This process keeps the folder; in another one, pass it to ``ws.upload``.

    Returns
    -------
    pandas.DataFrame
        ``row_id content accounts scheduled_for media first_comment tags`` and every further column of the sheet, such as
        ``content:twitter`` (the text for one platform, in any spelling) and ``owner campaign``, all ``string``,
        index from 0. An empty cell is NA, and so are ``media``, ``first_comment`` and ``tags`` if the sheet has no such column;
        ``date`` and ``time`` become ``scheduled_for``. Text stays as it is, also ``007``; a whole number has no decimal point; a
        merged cell counts for each of its rows, and a heading merged over a whole row is skipped. Our own files put an apostrophe before a text that a spreadsheet would run as a
        formula; it is removed. ``attrs`` has ``kind`` and ``source``, and ``encoding`` and ``delimiter`` (with ``guessed`` for a
        guessed encoding) or ``sheet``, and ``skipped`` for headings. From ``places`` checks name a cell; ``reading`` stands for the
        folder. ``hidden`` is what a hidden layout renames or zones, of which ``ws.check`` warns.
        By ``layout`` `voxops.to_excel` writes rows as the sheet had them. ``run`` is there for a workbook of the rows of a run, and
        ``tz`` if the sheet or `tz` names a zone, in which plans then show its times.

    Raises
    ------
    PlanError
        If the file can't be read, `columns` names an unknown column, or a column is missing, duplicate, or for an unknown platform. If one of the first ten rows
        has the heads, the error says which `header` to pass. Also if a cell can't be read without a guess: a date without a
        zone, a number that has lost digits, an error of Excel. The error names the cell, such as ``D7``.
    ConfigError
        If there is no such time zone.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import voxops as vx
    >>> path = Path(mkdtemp()) / "sheet.csv"
    >>> size = path.write_text("row_id,Text,accounts,scheduled_for\n007,Hi,twitter:@a,4.3.2026 9:00\n")
    >>> campaign = vx.read_campaign(path, tz="Europe/Berlin", dayfirst=True, columns={"Text": "content"})
    >>> campaign.loc[0, ["row_id", "scheduled_for"]].to_list()
    ['007', '2026-03-04T09:00:00+01:00']
    """
    place = file_path("path", path)
    named = None if tz is None else zone(tz)
    for name, value, kind, form in (
        ("dayfirst", dayfirst, bool, "True, False or omitted"),
        ("columns", columns, Mapping, "a mapping of the sheet's names to ours, such as {'Beitrag': 'content'}"),
        ("encoding", encoding, str, "the name of an encoding, such as 'cp1250'"),
    ):
        if value is not None and not isinstance(value, kind):
            raise PlanError(f"{name}={value!r} must be {form}")
    if header is not None:
        refusal = PlanError(f"header={header!r} must be a row number of the spreadsheet, from 1")
        header = whole_number(header, refusal)
    read = read_sheet(place, sheet, header, encoding)
    stored = read.layout
    dayfirst = stored.dayfirst if dayfirst is None else dayfirst
    names, zones = names_of(read, path, columns or {})
    # One time in one place: else somebody may correct the column that does not count.
    in_two = set(IN_PARTS) <= set(names)
    parts = IN_PARTS if in_two and "scheduled_for" not in names else ()
    if in_two and not parts:
        warnings.warn(f"{path} has scheduled_for as well as date and time: only scheduled_for is read", stacklevel=2)
    found = {zones[name] for name in parts or ["scheduled_for"] if name in zones}
    if len(found) > 1:
        raise PlanError(
            f"{path}: the column headers of date and time name two zones, {' and '.join(sorted(found))}; name one."
        )
    # As a zone in a head, that of our own workbook is the zone of its times.
    stored_tz = None if stored.tz is None else zone(stored.tz)
    in_head = next(iter(found), stored_tz)
    columns_of_time = [names.index(name) for name in parts]
    # In our own sheet, and in one whose head has a zone, a day without an hour is its midnight.
    reader = _Reader(path, names, columns_of_time, in_head or named, dayfirst, in_head is not None and not parts)
    cells = [reader.row(number, row) for number, row in read.rows]
    reader.complain()
    at = {name: letters(number) for number, name in enumerate(names)}
    if parts:
        at["scheduled_for"] = at[parts[0]]
    frame = pd.DataFrame(cells, columns=[*at], dtype=STRING_DTYPE)
    for name in CAMPAIGN_COLUMNS:
        if name not in frame.columns:
            frame[name] = pd.array([None] * len(frame), dtype=STRING_DTYPE)
    frame = frame[[*CAMPAIGN_COLUMNS, *(name for name in names if name not in {*CAMPAIGN_COLUMNS, *parts})]]
    row_ids = [None if is_missing(name) else str(name) for name in frame["row_id"]]
    known = Places(at, [number for number, _ in read.rows], row_ids, reader.hours)
    shown = in_head or named
    heads = {name: unguard(head) for name, head in zip(names, read.header, strict=False)}
    layout = Layout(heads, shown, dayfirst)
    frame.attrs = {"kind": "campaign", "source": place.name, "places": known.text(), "layout": layout.text()}
    frame.attrs["reading"] = keep_folder(place.parent if folder is None else file_path("folder", folder))
    frame.attrs |= {"tz": shown} if shown else {}
    frame.attrs |= {"run": stored.run} if stored.run else {}
    hidden = [
        f"{theirs!r} as {ours}"
        for ours, theirs in stored.columns.items()
        if heads.get(ours) == theirs and _tidy(theirs) != ours
    ]
    hidden += [f"times in {stored.tz}"] if stored_tz and shown == stored_tz != named else []
    frame.attrs |= {"hidden": ", ".join(hidden)[:300]} if hidden else {}
    frame.attrs.update(**read.about)
    return frame


@dataclass(slots=True)
class _Reader:
    """Converts cells to text, and collects the places of those that can't be read without a guess.

    `parts` are the columns of day and hour, if two, and `zone` is that of times without one. `ours` says that the sheet has times in
    one column whose zone is stored: there a day without an hour is its midnight.
    """

    path: str | Path
    names: Sequence[str]
    parts: Sequence[int]
    zone: str | None
    dayfirst: bool | None
    ours: bool
    hours: list[int] = field(default_factory=list)  # rows with a day whose hour is missing or can't be read
    dates: list[str] = field(default_factory=list)  # date cells of Excel
    sure: bool = False  # whether one has a day above 12, and so can't have been swapped
    figures: list[str] = field(default_factory=list)  # texts such as 13/11/2027, read by `dayfirst`
    cut: list[str] = field(default_factory=list)

    def row(self, number: int, row: Sequence[Any]) -> list[str | None]:
        """Return the cells of a row, None for empty ones, with a time from two cells merged; a PlanError if it has too many."""
        width = len(self.names)
        if any(str(cell).strip() for cell in row[width:]):
            raise PlanError(
                f"{self.path}: row {number} has more cells than there are columns; put texts that contain a delimiter in quotation marks."
            )
        cells = [*row[:width], *[""] * (width - len(row))]
        named = [*zip(self.names, range(width), cells, strict=True)]
        if self.parts:
            day, clock = self.parts
            named.append(("scheduled_for", day, joined_time(cells[day], cells[clock])))
            # Some programs write an hour as a time of some day.
            no_hour = not isinstance(cells[clock], datetime) and hour_of(cells[clock]) is None
            self.hours += [number] * (no_hour and bool(str(cells[day]).strip()))
        return [self._text(f"{letters(at)}{number}", name, cell) for name, at, cell in named]

    def complain(self) -> None:
        """Raise a PlanError for the collected places."""
        if self.dates and self.zone is None:
            raise PlanError(
                f"{self.path}: {places(self.dates)}: times of Excel have no time zone; pass it, such as tz='Europe/Berlin'."
            )
        if self.dates and self.figures and not self.sure:
            raise PlanError(
                f"{self.path}: {places(self.dates)} are dates, none after the 12th of a month, and {places(self.figures)} numeric "
                "texts. A program with another date order may have swapped day and month in the dates; convert the whole column to "
                "dates, or to texts."
            )
        if self.cut:
            raise PlanError(
                f"{self.path}: {places(self.cut)}: a number of which Excel stores only 15 digits; format the column as text "
                "and enter it again."
            )

    def _text(self, where: str, name: str, cell: Any) -> str | None:
        """Return one cell as text."""
        if isinstance(cell, str):
            text = unguard(cell)
            if name != "scheduled_for" or not cell.strip():
                return text if cell.strip() else None
            self.figures += [where] * depends_on_dayfirst(text)
            return iso_time(text, self.zone, self.dayfirst)
        if isinstance(cell, bool):
            return str(cell).upper()
        if isinstance(cell, int | float):
            self.cut += [where] * (abs(cell) >= INEXACT_FROM)
            return str(int(cell)) if float(cell).is_integer() else repr(cell)
        if name != "scheduled_for":
            return cell.isoformat(*[" "] * isinstance(cell, datetime)) if isinstance(cell, date | time) else str(cell)
        if isinstance(cell, date):
            self.sure |= cell.day > _MONTHS
            self.dates.append(where)
        if self.ours and type(cell) is date:
            cell = datetime.combine(cell, time())
        return iso_time(cell, self.zone, self.dayfirst)


def in_its_form(frame: pd.DataFrame) -> list[tuple[str, str, pd.Series[Any]]]:
    """Return the columns of a frame as its sheet had them: head, name, and values.

    The sheet's columns are in its order and under its heads, without those that it lacked and nobody has filled. A time of its zone is a
    datetime without one, or a day and an hour in two columns; any other time stays text. The columns of a frame without a sheet are as
    they are.
    """
    layout = Layout.of(frame)
    columns: list[tuple[str, pd.Series[Any]]] = []
    for at, name in enumerate(map(str, frame.columns)):
        values = frame.iloc[:, at]
        is_time = name == "scheduled_for"
        if is_time and layout.tz is not None:
            values = pd.Series([_without_zone(value, layout.tz) for value in values], dtype=object)
        if is_time and layout.in_two:
            columns += zip(IN_PARTS, _in_two(values), strict=True)
        elif not layout.columns or name in layout.columns or name not in CAMPAIGN_COLUMNS or values.notna().any():
            columns.append((name, values))
    place = {name: at for at, name in enumerate(layout.columns)}
    first = next((at for at, (name, _) in enumerate(columns) if name in place), 0)
    after = len(place) + 1
    columns[first:] = sorted(columns[first:], key=lambda column: place.get(column[0], after))
    return [(layout.columns.get(name, name), name, values) for name, values in columns]


def _without_zone(value: Any, tz: str) -> Any:
    """Return a time without its zone if it is read in it as the same text, else as text."""
    if is_missing(value):
        return None
    zoned = isinstance(value, pd.Timestamp) and value.tzinfo is not None
    text = value.tz_convert(tz).isoformat() if zoned else str(value)
    if (when := readable_time(text)) is None:
        return text
    bare = when.astimezone(ZoneInfo(tz)).replace(tzinfo=None, fold=0)
    exact = bare.year > 1900 and bare.microsecond % 1000 == 0
    return bare if exact and iso_time(bare, tz, None) == text else text


def _in_two(values: pd.Series[Any]) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Return times as days and hours; one that is text is all in its day."""
    days = [value.date() if isinstance(value, datetime) else value for value in values]
    hours = [value.time() if isinstance(value, datetime) else None for value in values]
    return pd.Series(days, dtype=object), pd.Series(hours, dtype=object)
