"""Read the files of campaign sheets, and name the cell of a row: ``D7``."""

from __future__ import annotations

import csv
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from io import BytesIO, StringIO
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, Self

import msgspec
import pandas as pd

from voxops._support import safe
from voxops._support.files import unreadable
from voxops.errors import PlanError


class _Stored(msgspec.Struct, frozen=True):
    """What is stored as JSON text in attrs of a frame: pandas deep-copies attrs at every step, but not text."""

    def text(self) -> str:
        """Return it as text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: object) -> Self:
        """Inverse of `text`; empty for anything else, such as a cell that somebody has edited."""
        try:
            return msgspec.json.decode(str(text), type=cls)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return cls()

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """Return that of a frame's sheet; empty for a frame without a sheet."""
        return cls.read(frame.attrs.get(cls.__name__.lower()))


class Places(_Stored, frozen=True):
    """The places of a sheet, stored in ``attrs["places"]`` of its frame.

    Attributes
    ----------
    columns : dict of str to str
        Column -> its letters.
    rows : list of int
        Row numbers, in the original order of the frame.
    names : list of str or None
        Their row ids, which identify a row after the frame was filtered, sorted or renumbered.
    hours : list of int
        Row numbers whose hour is missing or can't be read, in a sheet with day and hour in two columns.
    """

    columns: dict[str, str] = {}
    rows: list[int] = []
    names: list[str | None] = []
    hours: list[int] = []

    def numbers(self, frame: pd.DataFrame) -> list[int | None]:
        """Return the sheet's row for each row of a frame; None if uncertain."""
        if "row_id" not in frame.columns:
            return [None] * len(frame)
        counts = Counter(self.names)
        by_name = {name: row for name, row in zip(self.names, self.rows, strict=False) if name and counts[name] == 1}
        by_label = dict(zip(enumerate(self.names), self.rows, strict=False))
        pairs: list[Any] = [(at, None if pd.isna(value) else str(value)) for at, value in frame["row_id"].items()]
        # Rows with equal names are identified by label, unless a label shows that the rows were renumbered.
        kept = all(pair in by_label for pair in pairs)
        return [by_name.get(pair[1] or "", by_label[pair] if kept else None) for pair in pairs]

    def cell(self, number: int | None, column: str) -> str | None:
        """Return a cell such as ``D7``, or ``row 7`` if the sheet has no such column; None without a row."""
        if number is None:
            return None
        column = "time" if column == "scheduled_for" and number in self.hours else column
        return f"{self.columns[column]}{number}" if column in self.columns else f"row {number}"

    def cells(self, numbers: Iterable[int | None], column: str) -> str | None:
        """Return the cells of rows, such as ``C3:C97, C99``; None if the place of a row is uncertain."""
        known, spans = list(numbers), list[list[int]]()
        for number in sorted(number for number in known if number is not None):
            if spans and number == spans[-1][-1] + 1:
                spans[-1].append(number)
            else:
                spans.append([number])
        ends = [[str(self.cell(end, column)) for end in (span[0], span[-1])] for span in spans]
        named = [first if first == last else f"{first}:{last}".replace(":row ", "-") for first, last in ends]
        return None if None in known else places(named)


class Layout(_Stored, frozen=True):
    """How a sheet writes its rows, stored in ``attrs["layout"]`` of its frame, and in a workbook of its rows (`LAYOUTS`).

    Attributes
    ----------
    columns : dict of str to str
        Column -> its head, in the order of the sheet; ``date`` and ``time`` where these are two columns.
    tz : str or None
        The zone of its times without one.
    dayfirst : bool or None
        The order of its dates in figures.
    run : str
        In a workbook, the run whose rows it has: they are a part of the sheet; ``""`` for none.
    """

    columns: dict[str, str] = {}
    tz: str | None = None
    dayfirst: bool | None = None
    run: str = ""

    @property
    def in_two(self) -> bool:
        """Whether day and hour are two columns."""
        return "scheduled_for" not in self.columns and {"date", "time"} <= self.columns.keys()

    def names(self) -> list[str]:
        """Return the columns of the sheet's frame, in the order of the sheet."""
        times = dict.fromkeys(("date", "time"), "scheduled_for") if self.in_two else {}
        return list(dict.fromkeys(times.get(name, name) for name in self.columns))


LAYOUTS = "voxops"  # the hidden sheet of a workbook with the name and the layout of each other sheet
_WORKBOOK = b"PK\x03\x04"  # the first bytes of an archive
# Files that are not sheets, whatever their name: first bytes -> what they are.
_PAGE = "an HTML page, as some programs export tables; open it in Excel and save it as xlsx"
_OTHERS = {
    b"%pdf": "a PDF; ask for its source file",
    b"<!doctype html": _PAGE,
    b"<html": _PAGE,
    b"<table": _PAGE,
    b"<?xml": "XML; open it in Excel and save it as xlsx",
    b"\xd0\xcf\x11\xe0": "a workbook of before 2007 (.xls), or one with a password; save it as .xlsx, without a password",
    b"{\\rtf": "a text document; save its table as CSV or xlsx",
}
_LARGEST = 20_000_000  # bytes of a workbook's parts that are read, unpacked
_MARKS = (
    1_500_000  # their elements and attributes, some seven for each cell: each takes up to 500 bytes while it is read
)
_CELLS = 2_000_000  # of a sheet, from A1 to its last one
_PIECE = 1 << 20  # bytes unpacked together
_PARTS = re.compile(
    r"\[content_types\]\.xml|xl/(_rels/)?workbook\w*\.xml(\.rels)?|xl/(styles|sharedstrings)\w*\.xml|xl/worksheets/[^/]+\.xml",
    re.IGNORECASE,
)
_OTHER_WORKBOOKS = {"xl/workbook.bin": "a binary workbook (.xlsb)", "content.xml": "an OpenDocument file (.ods)"}
_CONTROL = re.compile("_x00([01][0-9A-Fa-f])_")  # a character that XML can't have, such as a carriage return
_ERROR_SAID = "the cell has an error of the spreadsheet, such as #N/A or ####; correct it."
# Errors in a CSV file, in the languages of Excel, and the signs of a column that is too narrow for a date.
_ERROR = re.compile(
    r"#(?:N/A|N/D|NV|[¡¿]?(?:NAME|NOM|NOMBRE|NOME|NAAM)\?|¡?(?:REF|BEZUG|RIF|VERW|VALUE|WERT|VALEUR|VALOR|VALORE|WAARDE|DIV/0|DEEL/0"
    r"|NUM|ZAHL|NOMBRE|GETAL|NÚM|NULL|NUL|NULO|NULLO|LEEG|SPILL|ÜBERLAUF|CALC|FIELD|BLOCKED|CONNECT)!|##+)|Err:\d{3}"
)
_GUESSED = "cp1252"  # the guess for a file that is neither UTF-8 nor UTF-16; it decodes nearly any bytes
_NAMED = 5  # cells named in one error
_DELIMITERS = ",;\t|"  # the one that splits the heads into most cells wins, the first of equals
_TOP = 10  # rows in which heads are searched for


@dataclass(frozen=True, slots=True)
class Sheet:
    """Cells of a file.

    Attributes
    ----------
    header : list of str
        The row of the heads as written: the requested one, else the first that is not empty.
    rows : list of (int, list)
        The number of each further row, from 1, and its cells: text, and in a workbook also numbers, bools, dates and times; empty
        rows are left out.
    about : dict
        The origin: ``encoding`` and ``delimiter``, and ``guessed`` for a guessed encoding, or ``sheet``.
    top : list of (int, list of str)
        The first rows with their numbers, to search for misplaced heads.
    layout : Layout
        Of the sheet whose rows `voxops.to_excel` has written; empty for any other file.
    """

    header: list[str]
    rows: list[tuple[int, list[Any]]]
    about: dict[str, str]
    top: list[tuple[int, list[str]]]
    layout: Layout = field(default_factory=Layout)


def read_sheet(path: Path, sheet: str | None, header: int | None, encoding: str | None) -> Sheet:
    """Read a file with its heads in the row `header`; a PlanError says what is wrong, and where."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlanError(unreadable(path, error)) from error
    if data.startswith(_WORKBOOK):
        return _workbook(path, data, sheet, header)
    begin = data[:200].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, kind in _OTHERS.items():
        if begin.startswith(mark):
            raise PlanError(f"{path} is {kind}.")
    if sheet is not None:
        raise PlanError(f"{path} is not an Excel workbook, so it has no sheet {sheet!r}; omit sheet=.")
    return _csv(path, data, header, encoding)


def letters(number: int) -> str:
    """Return a column's letters, counted from 0: A, Z, AA."""
    name = ""
    while number >= 0:
        number, rest = divmod(number, 26)
        name, number = chr(65 + rest) + name, number - 1
    return name


def places(cells: Sequence[str]) -> str:
    """Name some cells, and count the rest: ``D7, D8 and 4 more``."""
    shown = ", ".join(cells[:_NAMED])
    return shown + (f" and {len(cells) - _NAMED:,} more" if len(cells) > _NAMED else "")


def _csv(path: Path, data: bytes, wanted: int | None, named: str | None) -> Sheet:
    """Read a CSV file in any form that spreadsheets export."""
    text, encoding = _text(path, data, named)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    stated = re.match(r"sep=(.)[^\n]*\n?", text, re.IGNORECASE)
    text = text[stated.end() :] if stated else text
    read = {mark: _top(text, mark, max(_TOP, wanted or 1)) for mark in (stated[1] if stated else _DELIMITERS)}
    top = [(number, max(rows, key=_filled)) for number, rows in enumerate(zip_longest(*read.values(), fillvalue=[]), 1)]
    at = wanted or next((number for number, row in top if _filled(row)), 1)
    # A title above the heads has no delimiters, or others, so the heads decide.
    delimiter = max(read, key=lambda mark: len(read[mark][at - 1]) if at <= len(read[mark]) else 0)
    rows = _parted(path, text, delimiter, at)
    kept: list[tuple[int, list[Any]]] = [(number, list(row)) for number, row in enumerate(rows, 1) if _filled(row)]
    cells = ((f"{letters(at)}{number}", cell) for number, row in kept for at, cell in enumerate(row))
    if broken := [place for place, cell in cells if _ERROR.fullmatch(cell.strip())]:
        raise PlanError(f"{path}: {places(broken)}: {_ERROR_SAID}")
    about = {"encoding": encoding, "delimiter": delimiter}
    if named is None and encoding == _GUESSED:
        about["guessed"] = encoding  # all other encodings are recognizable
    return _with_heads(path, kept, wanted, about, top)


def _with_heads(
    path: Path,
    filled: list[tuple[int, list[Any]]],
    wanted: int | None,
    about: dict[str, str],
    top: list[tuple[int, list[str]]],
) -> Sheet:
    """Return a file with its heads in the requested row, else in the first that is not empty; rows above them are skipped."""
    at = wanted if wanted is not None else filled[0][0] if filled else 1
    heads = next((row for number, row in filled if number == at), None)
    if wanted is not None and heads is None:
        raise PlanError(
            f"row {wanted} of {path} is empty; header= is the spreadsheet's number of the row with the column headers."
        )
    return Sheet(list(map(str, heads or [])), [each for each in filled if each[0] > at], about, top[:_TOP])


def _parted(path: Path, text: str, delimiter: str, heads: int) -> list[list[str]]:
    """Read all rows; a PlanError names a row below the heads whose quotation marks would change a text, or swallow later rows."""
    lines = StringIO(text, newline="")
    rows: list[list[str]] = []
    try:
        rows += islice(csv.reader(lines, delimiter=delimiter), heads)
        for row in csv.reader(lines, delimiter=delimiter, strict=True):
            rows.append(row)  # one by one: the error is about the row after the last good one
    except csv.Error as error:
        raise PlanError(
            f"{path} is not a CSV file: row {len(rows) + 1}: {error}. Close each quotation mark, quote whole cells, and double the "
            'quotation marks inside, such as """Yes"" is a word".'
        ) from error
    return rows


def _top(text: str, delimiter: str, most: int) -> list[list[str]]:
    """Return the first rows of a text, split at a delimiter; none if that fails."""
    try:
        return list(islice(csv.reader(StringIO(text, newline=""), delimiter=delimiter), most))
    except csv.Error:
        return []


def _filled(row: Sequence[Any]) -> int:
    """Count the cells of a row that are not empty."""
    return sum(bool(cell.strip()) if isinstance(cell, str) else cell is not None for cell in row)


def _text(path: Path, data: bytes, named: str | None) -> tuple[str, str]:
    """Return the contents of a file as text, and their encoding."""
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in [named] if named is not None else ["utf-16"] if marked else ["utf-8-sig", _GUESSED]:
        try:
            text = data.decode(encoding).removeprefix("\ufeff")
        except LookupError:
            raise PlanError(
                f"encoding={named!r} is unknown; write one such as 'cp1250', 'mac_roman' or 'utf-8'."
            ) from None
        except UnicodeError:
            continue
        if named is None and encoding == _GUESSED:
            _refuse_two_encodings(path, data)
        return text, encoding.removesuffix("-sig")
    kinds = "UTF-8, UTF-16 or Windows-1252" if named is None else named
    raise PlanError(f"{path} is not text in {kinds}; name its encoding=, or export it as CSV UTF-8.")


def _refuse_two_encodings(path: Path, data: bytes) -> None:
    """Refuse a file with only some lines in UTF-8, which Windows-1252 would garble."""
    lines: dict[bool, int] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.isascii():
            lines.setdefault(line.decode(errors="ignore").encode() == line, number)
    if len(lines) == 2:
        raise PlanError(
            f"{path}: line {lines[True]} is in UTF-8 and line {lines[False]} is not, as if two files were joined; save all of it as CSV UTF-8."
        )


def _workbook(path: Path, data: bytes, wanted: str | None, header: int | None) -> Sheet:
    """Read one sheet of a workbook whose parts were bounded before."""
    from openpyxl import load_workbook  # imported for workbooks only

    layouts: dict[str, str] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which are not read
            book = load_workbook(_bounded(path, data), read_only=True, data_only=True, keep_links=False)
            visible = [sheet.title for sheet in book if sheet.sheet_state == "visible"]
            name = _chosen(path, wanted, book.sheetnames, visible)
            if book.sheetnames.count(name) > 1:
                raise ValueError(f"two sheets are named {name!r}")
            cells, areas = _cells(path, book, name)
            if LAYOUTS in set(book.sheetnames) - {name, *visible}:
                lines = _cells(path, book, LAYOUTS)[0].values()
                layouts = {str(row[1]): str(row[2]) for row in lines if row.keys() >= {1, 2}}
    except PlanError:
        raise
    except Exception as error:
        said = safe.plain(error.__cause__ or error) or type(error).__name__
        raise PlanError(f"{path} is not a workbook that can be read: {said}. Save it again as xlsx.") from error
    if not cells:
        raise PlanError(f"{path}: the sheet {name!r} is empty.")
    rows, skipped = _rows(cells, areas, header)
    filled = [(number, row) for number, row in sorted(rows.items()) if _filled(row)]
    if sum(len(cell) for _, row in filled for cell in row if isinstance(cell, str)) > _LARGEST:
        raise PlanError(
            f"{path}, sheet {name!r}: the texts of its cells take over {_LARGEST / 1e6:,.0f} MB, because they repeat; save the rows as CSV."
        )
    about = {"sheet": name} | ({"skipped": ", ".join(skipped)} if skipped else {})
    first = [(number, list(map(str, row))) for number, row in filled if number <= _TOP]
    # Somebody may have renamed the sheet.
    stored = {layouts[name]} if name in layouts else set(layouts.values())
    layout = Layout.read(stored.pop()) if len(stored) == 1 else Layout()
    return replace(_with_heads(path, filled, header, about, first), layout=layout)


def _chosen(path: Path, wanted: str | None, names: Sequence[str], visible: Sequence[str]) -> str:
    """Return the name of the requested sheet, or of the only visible one; never a guess."""
    if wanted is not None:
        if wanted not in names:
            raise PlanError(f"{path} has no sheet {wanted!r}; it has: {', '.join(names)}.")
        return wanted
    if len(visible) != 1:
        raise PlanError(
            f"{path} has {len(visible)} sheets: {', '.join(visible)}. Name one: sheet={(visible or ['…'])[0]!r}."
        )
    return visible[0]


def _bounded(path: Path, data: bytes) -> BytesIO:
    """Return the parts of a workbook that are read as an archive of its own, after they were unpacked within the limits."""
    copy, size, marks = BytesIO(), 0, 0
    with zipfile.ZipFile(BytesIO(data)) as packed, zipfile.ZipFile(copy, "w") as parts:
        names = [name.lower() for name in packed.namelist()]
        for sign, kind in _OTHER_WORKBOOKS.items():
            if sign in names:
                raise PlanError(f"{path} is {kind}; save it as .xlsx.")
        if len(set(names)) < len(names):
            raise ValueError("two of its parts have one name")
        for part in packed.infolist():
            if _PARTS.fullmatch(part.filename) is None:
                continue
            if part.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise ValueError("it is packed in an unusual way")  # such as LZMA, which Python unpacks without a limit
            with packed.open(part) as source, parts.open(part.filename, "w") as target:
                while piece := source.read(_PIECE):  # it may be longer than it says
                    size, marks = size + len(piece), marks + piece.count(b"<") + piece.count(b"=")
                    if size > _LARGEST or marks > _MARKS:
                        raise PlanError(
                            f"{path} is too large: its sheets have over {_LARGEST / 1e6:,.0f} MB unpacked, or over {_MARKS:,} elements and "
                            "attributes; save the rows as CSV."
                        )
                    target.write(piece)
    return copy


def _cells(path: Path, book: Any, name: str) -> tuple[dict[int, dict[int, Any]], list[Any]]:
    """Return the values of a sheet by row and column, both from 1, and its merged areas; a PlanError names broken cells.

    This is openpyxl's own parser. Its read-only sheets don't show merged cells, and its others make an object of 500 bytes for each
    cell, empty ones too.
    """
    from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

    with book[name]._get_source() as source:
        formats = book._date_formats, book._timedelta_formats
        parser = WorkSheetParser(source, book[name]._shared_strings, True, book.epoch, *formats)
        parse = parser.parse_cell

        def parse_cell(element: Any) -> dict[str, Any]:
            """Tell a formula without a result from an empty cell."""
            cell: dict[str, Any] = parse(element)
            # Some programs write an empty value; that of a text formula is a result.
            unknown = not element.findtext(VALUE_TAG) and element.get("t") != "str"
            if element.find(FORMULA_TAG) is not None and unknown:
                cell["data_type"] = "f"
            return cell

        parser.parse_cell = parse_cell
        cells: dict[int, dict[int, Any]] = {}
        faults: dict[str, list[str]] = {"e": [], "f": []}
        height = width = 0
        for cell in chain.from_iterable(row for _, row in parser.parse()):
            row, column, value = cell["row"], cell["column"], _value(cell["value"])
            if cell["data_type"] in faults:
                faults[cell["data_type"]].append(f"{letters(column - 1)}{row}")
            elif _filled([value]):
                height, width = max(height, row), max(width, column)
                if height * width > _CELLS:
                    raise PlanError(
                        f"{path}, sheet {name!r}: its cells reach {letters(width - 1)}{height}, and {_CELLS:,} cells are the limit; delete "
                        "what lies far from the rows, or save the rows as CSV."
                    )
                cells.setdefault(row, {})[column] = value
    for kind, said in (("e", _ERROR_SAID), ("f", "a formula without a result; open the file in Excel and save it.")):
        if faults[kind]:
            raise PlanError(f"{path}, sheet {name!r}: {places(faults[kind])}: {said}")
    areas = parser.merged_cells.mergeCell if parser.merged_cells else []
    inside = (
        max(min(a.max_row, height) - a.min_row + 1, 0) * max(min(a.max_col, width) - a.min_col + 1, 0) for a in areas
    )
    if sum(inside) > _CELLS:
        raise PlanError(f"{path}, sheet {name!r}: over {_CELLS:,} cells are merged; unmerge them.")
    return cells, areas


def _value(value: Any) -> Any:
    """Return a value of openpyxl's as its cell shows it: a day without an hour, an hour without a day."""
    if isinstance(value, str):
        return _CONTROL.sub(lambda found: chr(int(found[1], 16)), value)
    if isinstance(value, datetime) and value.time() == time():
        return value.date()
    if isinstance(value, timedelta) and timedelta() <= value < timedelta(days=1):
        return (datetime.min + value).time()  # noqa: DTZ901  a span, not an instant
    return value


def _rows(
    cells: dict[int, dict[int, Any]], areas: Sequence[Any], header: int | None
) -> tuple[dict[int, list[Any]], list[str]]:
    """Return the rows of a sheet with merged cells in each of theirs, as a reader sees them, and the headings that were left out."""
    height, width = max(cells), max(map(max, cells.values()))
    rows = {number: [row.get(at, "") for at in range(1, width + 1)] for number, row in cells.items()}
    spans = {number: (min(row), max(row)) for number, row in cells.items()}
    alone: dict[int, range] = {}  # rows with nothing but one merged cell, and its columns
    for area in areas:
        value = cells.get(area.min_row, {}).get(area.min_col, "")
        columns = range(area.min_col, min(area.max_col, width) + 1)
        for number in range(area.min_row, min(area.max_row, height) + 1) if columns else ():
            if len(columns) > 1 and all(at in columns for at in spans.get(number, ())):
                alone[number] = columns
            rows.setdefault(number, [""] * width)[columns.start - 1 : columns.stop - 1] = [value] * len(columns)
    heads = rows.get(header or min(rows.keys() - alone, default=0), [])
    filled = [at for at, head in enumerate(heads, 1) if _filled([head])]
    skipped = [
        number
        for number, columns in sorted(alone.items())
        if filled and rows[number] is not heads and set(filled) <= set(columns)
    ]
    return rows, [f"row {number} ({str(rows.pop(number)[filled[0] - 1])[:40]!r})" for number in skipped]
