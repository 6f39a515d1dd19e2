"""Read the files of campaign sheets, and name the cell of a row: ``D7``."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support.files import unreadable
from voxops.errors import PlanError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a sheet, stored in ``attrs["places"]`` of its frame.

    Attributes
    ----------
    columns : dict of str to str
        Column -> its letters.
    rows : list of int
        Row numbers, in the original order of the frame.
    names : list of str or None
        Their row ids, which identify a row after the frame was filtered, sorted or renumbered.
    """

    columns: dict[str, str] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    names: list[Any] = field(default_factory=list)

    def text(self) -> str:
        """Return it as JSON text: pandas deep-copies attrs at every step, but not text."""
        names = [None if pd.isna(name) else str(name) for name in self.names]
        return json.dumps({"columns": self.columns, "rows": self.rows, "names": names})

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Places:
        """Return the places of a frame; empty for a frame without a sheet."""
        said = frame.attrs.get("places")
        return cls(**json.loads(said)) if isinstance(said, str) else cls()

    def numbers(self, frame: pd.DataFrame) -> list[int | None]:
        """Return the sheet's row for each row of a frame; None if uncertain."""
        if not self.rows or "row_id" not in frame.columns:
            return [None] * len(frame)
        once = {name for name, count in Counter(self.names).items() if count == 1 and name is not None}
        by_name = {name: number for name, number in zip(self.names, self.rows, strict=True) if name in once}
        names = [None if pd.isna(value) else str(value) for value in frame["row_id"]]
        pairs = list(zip(frame.index, names, strict=True))
        # Rows with equal names are identified by label, unless a label shows that the rows were renumbered.
        kept = all(
            isinstance(label, int) and 0 <= label < len(self.rows) and self.names[label] == name
            for label, name in pairs
        )
        return [by_name.get(name) if name in by_name else self.rows[label] if kept else None for label, name in pairs]

    def cell(self, number: int | None, column: str) -> str | None:
        """Return a cell such as ``D7``, or ``row 7`` if the sheet has no such column; None without a row."""
        if number is None:
            return None
        return f"{self.columns[column]}{number}" if column in self.columns else f"row {number}"


_WORKBOOKS = (
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
)  # the first bytes of files of Excel and OpenDocument, and of old ones of Excel
# Files that are not sheets, whatever their name: first bytes -> what they are.
_PAGE = "an HTML page, as some programs export tables; open it in Excel and save it as xlsx"
_OTHERS = {
    b"%pdf": "a PDF; ask for its source file",
    b"<!doctype html": _PAGE,
    b"<html": _PAGE,
    b"<table": _PAGE,
    b"<?xml": "XML; open it in Excel and save it as xlsx",
    b"{\\rtf": "a text document; save its table as CSV or xlsx",
}
_LARGEST = 500_000_000  # bytes of a sheet: over a million rows of a campaign
_DOUBTFUL = re.compile(rb"""<(?:[\w.-]+:)?f[\s/>]|\bt\s*=\s*["']e["']|value-type\s*=\s*["']error["']""")
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_ERROR_IN_ODS = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
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
    """

    header: list[str]
    rows: list[tuple[int, list[Any]]]
    about: dict[str, str] = field(default_factory=dict)
    top: list[tuple[int, list[str]]] = field(default_factory=list)


def read_sheet(path: Path, sheet: str | None, header: int | None = None, encoding: str | None = None) -> Sheet:
    """Read a file with its heads in the row `header`; a PlanError says what is wrong, and where."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlanError(unreadable(path, error)) from error
    if data.startswith(_WORKBOOKS):
        return _workbook(path, sheet, header)
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
    text, encoding = _text(path, data) if named is None else _text_in(path, data, named)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.splitlines()
    delimiter = lines[0][4:5] if lines and lines[0].lower().startswith("sep=") else ""
    if delimiter:
        text = text.split("\n", 1)[1] if "\n" in text else ""
    read = {mark: _top(text, mark, max(_TOP, wanted or 1)) for mark in delimiter or _DELIMITERS}
    top = [(number, max(rows, key=_filled)) for number, rows in enumerate(zip_longest(*read.values(), fillvalue=[]), 1)]
    at = wanted or next((number for number, row in top if _filled(row)), 1)
    # A title above the heads has no delimiters, or others, so the heads decide.
    delimiter = max(read, key=lambda mark: len(read[mark][at - 1]) if at <= len(read[mark]) else 0)
    rows = _parted(path, text, delimiter, at)
    kept: list[tuple[int, list[Any]]] = [(number, list(row)) for number, row in enumerate(rows, 1) if _filled(row)]
    broken = [
        f"{letters(at)}{number}"
        for number, row in kept
        for at, cell in enumerate(row)
        if _ERROR.fullmatch(cell.strip())
    ]
    if broken:
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
            f"row {wanted} of {path} is empty; header= is the spreadsheet's number of the row with the heads."
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
        where = f"{path}: row {len(rows) + 1}"
        if str(error) == "unexpected end of data":
            raise PlanError(
                f"{where}: a quotation mark opens a text that never ends, so that it would include all later rows; "
                "close it, or double it if it belongs to the text."
            ) from error
        if "expected after" in str(error):
            raise PlanError(
                f"{where}: a cell continues after its closing quotation mark; quote the whole cell and double the quotation marks "
                'inside, such as """Yes"" is a word".'
            ) from error
        raise PlanError(f"{path} is not a CSV file: {error}.") from error
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


def _text(path: Path, data: bytes) -> tuple[str, str]:
    """Return the contents of a file as text, and their encoding."""
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", _GUESSED):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == _GUESSED:
            _refuse_two_encodings(path, data)
        return text, encoding.removesuffix("-sig")
    raise PlanError(f"{path} is not text in UTF-8, UTF-16 or Windows-1252; export it as CSV UTF-8.")


def _text_in(path: Path, data: bytes, encoding: str) -> tuple[str, str]:
    """Return the contents of a file in the given encoding."""
    try:
        return data.decode(encoding).removeprefix("\ufeff"), encoding
    except LookupError:
        raise PlanError(
            f"encoding={encoding!r} is unknown; write one such as 'cp1250', 'mac_roman' or 'utf-8'."
        ) from None
    except UnicodeError as error:
        raise PlanError(f"{path} is not text in {encoding}; omit encoding=, or name another one.") from error


def _refuse_two_encodings(path: Path, data: bytes) -> None:
    """Refuse a file with only some lines in UTF-8, which Windows-1252 would garble."""
    lines: dict[bool, int] = {}
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.isascii():
            lines.setdefault(_is_utf8(line), number)
    if len(lines) == 2:
        raise PlanError(
            f"{path}: line {lines[True]} is in UTF-8 and line {lines[False]} is not, as if two files were joined; save all of it as CSV UTF-8."
        )


def _is_utf8(line: bytes) -> bool:
    """Whether a line is valid UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _workbook(path: Path, wanted: str | None, header: int | None) -> Sheet:
    """Read one sheet of a workbook."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum  # imported for workbooks only

    try:
        book = CalamineWorkbook.from_path(str(path))
        visible = [one.name for one in book.sheets_metadata if one.visible == SheetVisibleEnum.Visible]
        name = _chosen(path, wanted, book.sheet_names, visible)
        sheet = book.get_sheet_by_name(name)
        cells = [list(row) for row in sheet.to_python(skip_empty_area=False)]
        merged = sheet.merged_cell_ranges or []
    except (CalamineError, OSError, ValueError) as error:
        raise PlanError(f"{path} is not a workbook that can be read: {error}.") from error
    _refuse_broken(path, name)
    # A merged cell counts for each of its rows, as a reader of the sheet sees it.
    for (top, left), (bottom, right) in merged:
        for row in range(top, min(bottom + 1, len(cells))):
            for column in range(left, min(right + 1, len(cells[row]))):
                cells[row][column] = cells[top][left]
    filled = [(number, row) for number, row in enumerate(cells, 1) if _filled(row)]
    if not filled:
        raise PlanError(f"{path}: the sheet {name!r} is empty.")
    first = [(number, list(map(str, row))) for number, row in enumerate(cells[:_TOP], start=1)]
    return _with_heads(path, filled, header, {"sheet": name}, first)


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


def _refuse_broken(path: Path, name: str) -> None:
    """Refuse errors such as #N/A, and formulas without a result, which the reader would return as empty."""
    broken, uncalculated = [], []
    for where, cell in _cells_of(path, name):
        if cell.get("t") == "e" or cell.get(_ERROR_IN_ODS) == "error":
            broken.append(where)
        elif cell.find("{*}f") is not None and cell.find("{*}v") is None:
            uncalculated.append(where)
    if broken:
        raise PlanError(f"{path}, sheet {name!r}: {places(broken)}: {_ERROR_SAID}")
    if uncalculated:
        raise PlanError(
            f"{path}, sheet {name!r}: {places(uncalculated)}: a formula without a result; open the file in Excel and save it."
        )


def _cells_of(path: Path, name: str) -> Iterator[tuple[str, Element]]:
    """Return the raw cells of a sheet of an xlsx or ods file with their places, if any has a formula or an error."""
    from xml.etree import ElementTree as ET

    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        is_ods = "content.xml" in archive.namelist()
        part = "content.xml" if is_ods else _part_of(archive, name)
        if part not in archive.namelist():
            return
        size = archive.getinfo(part).file_size
        if size > _LARGEST:
            raise PlanError(
                f"{path}, sheet {name!r} takes {size / 1e6:,.0f} MB unpacked, and {_LARGEST / 1e6:,.0f} MB is the limit; save its rows as a separate file."
            )
        data = archive.read(part)
    if _DOUBTFUL.search(data) is None:
        return
    number, inside = 0, not is_ods
    try:
        for event, element in ET.iterparse(BytesIO(data), ("start", "end")):  # noqa: S314 - see _part_of
            tag = element.tag.rpartition("}")[2]
            if tag == "table":
                number, inside = 0, event == "start" and element.get(f"{_TABLE}name") == name
            elif event == "end" and tag in {"row", "table-row"}:
                column = 0
                for cell in element if inside else ():
                    yield cell.get("r") or f"{letters(column)}{number + 1}", cell
                    column += int(cell.get(f"{_TABLE}number-columns-repeated", 1))
                number += int(element.get(f"{_TABLE}number-rows-repeated", 1))
                element.clear()
    except ET.ParseError as error:
        raise PlanError(f"{path} is not a workbook that can be read: {error}.") from error


def _part_of(archive: zipfile.ZipFile, name: str) -> str:
    """Return the path of a sheet inside an xlsx file; empty for another kind of file."""
    from xml.etree import ElementTree as ET

    if "xl/workbook.xml" not in archive.namelist():
        return ""
    book = ET.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 - expat from 2.4.1 refuses what expands without end
    links = ET.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    targets = {link.get("Id"): link.get("Target", "") for link in links}
    for sheet in book.iter():
        if sheet.tag.endswith("}sheet") and sheet.get("name") == name:
            link = next((value for key, value in sheet.attrib.items() if key.endswith("}id")), None)
            target = targets.get(link, "")
            return target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
    return ""
