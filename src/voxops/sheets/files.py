"""Read the files of campaign sheets, and name the cell of a row: ``D7``."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO, StringIO
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from voxops._support import safe
from voxops._support.files import unreadable
from voxops.errors import PlanError


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
        counts = Counter(filter(None, self.names))
        by_name = {name: number for name, number in zip(self.names, self.rows, strict=True) if counts[name] == 1}
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


@dataclass(frozen=True, slots=True)
class Layout:
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

    columns: dict[str, str] = field(default_factory=dict)
    tz: str | None = None
    dayfirst: bool | None = None
    run: str = ""

    def text(self) -> str:
        """Return it as JSON text, as of `Places`."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: object) -> Layout:
        """Inverse of `text`; empty for anything else, such as a cell that somebody has edited."""
        try:
            return msgspec.json.decode(str(text), type=cls)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return cls()

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Layout:
        """Return the layout of a frame's sheet; empty for a frame without a sheet."""
        return cls.read(frame.attrs.get("layout"))

    @property
    def in_two(self) -> bool:
        """Whether day and hour are two columns."""
        return "scheduled_for" not in self.columns and {"date", "time"} <= self.columns.keys()

    def names(self) -> list[str]:
        """Return the columns of the sheet's frame, in the order of the sheet."""
        return list(
            dict.fromkeys(
                "scheduled_for" if self.in_two and each in {"date", "time"} else each for each in self.columns
            )
        )


LAYOUTS = "voxops"  # the hidden sheet of a workbook with the name and the layout of each other sheet
_WORKBOOK = b"PK\x03\x04"  # the first bytes of files of Excel and OpenDocument
# Files that are not sheets, whatever their name: first bytes -> what they are.
_PAGE = "an HTML page, as some programs export tables; open it in Excel and save it as xlsx"
_OTHERS = {
    b"%pdf": "a PDF; ask for its source file",
    b"<!doctype html": _PAGE,
    b"<html": _PAGE,
    b"<table": _PAGE,
    b"<?xml": "XML; open it in Excel and save it as xlsx",
    b"\xd0\xcf\x11\xe0": "a workbook of before 2007, or one with a password; save it as xlsx without a password",
    b"{\\rtf": "a text document; save its table as CSV or xlsx",
}
_LARGEST = 500_000_000  # bytes of a sheet: over a million rows of a campaign
_CELLS = 20_000_000  # of a sheet, from A1 to its last one: the reader fills all of them, empty ones too
_TEXT = 60  # bytes of a text without characters
_DIGITS = 12  # of a number of a text, less
_PIECE = 1 << 20  # bytes unpacked and parsed at once
_PART = 20_000_000  # bytes of a part of a workbook that has no cells
_WITH_CELLS = ("xl/worksheets/", "xl/sharedstrings.xml", "content.xml")
_NEEDED = (
    "[content_types].xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml", "mimetype", "meta-inf/manifest.xml",
)  # fmt: skip
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_LINKS = (  # to the one workbook that is measured
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="r" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)
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
            lines.setdefault(line.decode(errors="ignore").encode() == line, number)
    if len(lines) == 2:
        raise PlanError(
            f"{path}: line {lines[True]} is in UTF-8 and line {lines[False]} is not, as if two files were joined; save all of it as CSV UTF-8."
        )


def _workbook(path: Path, data: bytes, wanted: str | None, header: int | None) -> Sheet:
    """Read one sheet of a workbook, after its size was measured: its reader ends the process if memory does not suffice."""
    from python_calamine import CalamineWorkbook, SheetVisibleEnum  # imported for workbooks only

    try:
        parts = _unpacked(path, data)
        size = _Measure(path, parts)
        size.measure_texts()
        book = CalamineWorkbook.from_filelike(BytesIO(parts.getbuffer()))
        visible = [one.name for one in book.sheets_metadata if one.visible == SheetVisibleEnum.Visible]
        name = _chosen(path, wanted, book.sheet_names, visible)
        if book.sheet_names.count(name) > 1:
            raise ValueError(f"two sheets are named {name!r}")
        size.measure_sheet(name)
        sheet = book.get_sheet_by_name(name)
        cells = sheet.to_python(skip_empty_area=False)
        merged = sheet.merged_cell_ranges or []
        layouts: dict[str, str] = {}
        if LAYOUTS in set(book.sheet_names) - {name, *visible}:
            size.measure_sheet(LAYOUTS)
            rows = book.get_sheet_by_name(LAYOUTS).to_python()
            layouts = {str(row[0]): str(row[-1]) for row in rows if len(row) > 1}
    except PlanError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # of the reader
            raise
        raise PlanError(
            f"{path} is not a workbook that can be read: {safe.plain(error) or type(error).__name__}. Save it anew as xlsx."
        ) from error
    height, width = len(cells), len(cells[0]) if cells else 0
    areas = (
        max(min(low + 1, height) - top, 0) * max(min(right + 1, width) - left, 0)
        for (top, left), (low, right) in merged
    )
    if sum(areas) > _CELLS:
        raise PlanError(f"{path}, sheet {name!r}: over {_CELLS:,} cells are merged; unmerge them.")
    # A merged cell counts for each of its rows, as a reader of the sheet sees it.
    for (top, left), (bottom, right) in merged:
        for row in range(top, min(bottom + 1, len(cells))):
            for column in range(left, min(right + 1, len(cells[row]))):
                cells[row][column] = cells[top][left]
    filled = [(number, row) for number, row in enumerate(cells, 1) if _filled(row)]
    if not filled:
        raise PlanError(f"{path}: the sheet {name!r} is empty.")
    first = [(number, list(map(str, row))) for number, row in enumerate(cells[:_TOP], start=1)]
    # Somebody may have renamed the sheet.
    found = {layouts[name]} if name in layouts else set(layouts.values())
    layout = Layout.read(found.pop()) if len(found) == 1 else Layout()
    return replace(_with_heads(path, filled, header, {"sheet": name}, first), layout=layout)


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


def _unpacked(path: Path, data: bytes) -> BytesIO:
    """Return the texts of a workbook as an archive that is not packed, so that its reader reads what was measured."""
    made = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as packed, zipfile.ZipFile(made, "w") as parts:
        names = packed.namelist()
        if "xl/workbook.bin" in names:
            raise PlanError(f"{path} is a binary workbook (xlsb); save it as xlsx.")
        if len({name.lower() for name in names}) < len(names):
            raise ValueError("two of its parts have one name")
        needed = [part for part in packed.infolist() if part.filename.lower().startswith((*_NEEDED, *_WITH_CELLS))]
        if (size := sum(part.file_size for part in needed)) > _LARGEST:
            raise PlanError(
                f"{path} takes {size / 1e6:,.0f} MB unpacked, and {_LARGEST / 1e6:,.0f} MB is the limit; save the rows of one sheet as CSV."
            )
        for part in needed:
            if part.file_size > _PART and not part.filename.lower().startswith(_WITH_CELLS):
                raise PlanError(
                    f"{path} has over {_PART / 1e6:,.0f} MB in {part.filename}; copy its rows into a new workbook."
                )
            if part.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise ValueError("it is packed in an unusual way")  # such as LZMA, which Python unpacks without a limit
            with packed.open(part) as source, parts.open(part.filename, "w") as target:
                shutil.copyfileobj(source, target, _PIECE)  # piece by piece: it may be longer than it says
        if "xl/workbook.xml" in names:
            parts.writestr("_rels/.rels", _LINKS)
    return made


class _Measure:
    """The size of a workbook before it is read, and cells that the reader would return as empty: errors, formulas without results.

    Parameters
    ----------
    path : Path
        The file, for errors.
    parts : BytesIO
        Its parts, as from `_unpacked`.
    """

    def __init__(self, path: Path, parts: BytesIO) -> None:
        self._path = path
        self._archive = zipfile.ZipFile(parts)
        self._parts = {name.lower(): name for name in self._archive.namelist()}
        self._name = ""  # of the sheet
        self._shared = array("q")  # bytes of each shared text
        self._row = self._column = -1  # of the present cell, from 0
        self._letters: dict[str, int] = {}  # column -> its number
        self._kind, self._inside = "", ""  # of an xlsx file's present cell: its type, and the names of its elements
        self._height, self._times = 1, 0  # of an ods file's present row and cell: how often they are repeated
        self._rows = self._columns = self._earlier = self._bytes = 0
        self._broken: defaultdict[str, list[str]] = defaultdict(list)  # sheet -> cells
        self._uncalculated: list[str] = []

    def measure_texts(self) -> None:
        """Measure all that a reader reads when it opens the file: the texts of an xlsx file, all of an ods file."""
        for part, start, text in (
            ("content.xml", self._start_ods, self._text_ods),
            ("xl/sharedstrings.xml", self._start_shared, self._text_shared),
        ):
            if part in self._parts:
                self._walk(part, start, text)

    def measure_sheet(self, name: str) -> None:
        """Measure a sheet; a PlanError says what is too large, or which cells are broken."""
        self._name = name
        if "content.xml" not in self._parts:
            for part in _parts_of(self._archive, name):
                self._walk(part, self._start_xlsx, self._text_xlsx)
                self._settle()
        if name in self._broken:
            raise PlanError(f"{self._where}: {places(self._broken[name])}: {_ERROR_SAID}")
        if self._uncalculated:
            raise PlanError(
                f"{self._where}: {places(self._uncalculated)}: a formula without a result; open the file in Excel and save it."
            )

    @property
    def _where(self) -> str:
        return f"{self._path}, sheet {self._name!r}" if self._name else str(self._path)

    def _walk(self, part: str, start: Callable[[str, dict[str, str]], None], text: Callable[[str], None]) -> None:
        """Read a part: `start` gets each element, `text` each text."""
        from xml.parsers import expat

        if part.lower() not in self._parts:
            raise ValueError(f"its part {part} is missing")
        data = self._archive.read(self._parts[part.lower()])
        parser = expat.ParserCreate()
        parser.StartElementHandler = start
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = _refuse_doctype
        at = 0
        while at < len(data):  # cut behind an element, so that no number comes in two pieces
            end = data.rfind(b">", at, at + _PIECE) + 1 or at + _PIECE
            parser.Parse(data[at:end])
            at = end
        parser.Parse(b"", True)

    def _start_shared(self, tag: str, _: dict[str, str]) -> None:
        if tag.endswith("si"):
            self._shared.append(_TEXT)
            if len(self._shared) > _CELLS:
                raise PlanError(f"{self._where}: its file has over {_CELLS:,} texts; save the rows as CSV.")

    def _text_shared(self, text: str) -> None:
        if self._shared:
            self._shared[-1] += _size(text)

    def _start_xlsx(self, tag: str, attributes: dict[str, str]) -> None:
        if ":" in tag:
            tag = tag.rpartition(":")[2]
        if tag == "c":
            self._settle()
            self._column += 1
            if place := attributes.get("r"):
                named = place.rstrip("0123456789")
                if named not in self._letters:
                    self._letters[named] = _column(named)
                self._row, self._column = int(place[len(named) :]) - 1, self._letters[named]
            self._kind = attributes.get("t", "")
            if self._kind == "e":
                self._broken[self._name].append(f"{letters(self._column)}{self._row + 1}")
        elif tag in {"v", "is"}:  # a cell without either only has a style
            self._inside += tag
            if self._row >= self._rows or self._column >= self._columns:
                self._fill(_CELLS)
        elif tag == "f":
            self._inside += tag
        elif tag == "row":
            self._settle()
            self._row, self._column = int(attributes.get("r") or self._row + 2) - 1, -1

    def _text_xlsx(self, text: str) -> None:
        if self._kind == "s":
            number = text.strip().lstrip("+0") or "0"
            if number.isdecimal() and len(number) < _DIGITS and int(number) < len(self._shared):
                self._weigh(self._shared[int(number)])

    def _settle(self) -> None:
        """Note the last cell, if it has a formula without a result."""
        if "f" in self._inside and "v" not in self._inside:
            self._uncalculated.append(f"{letters(self._column)}{self._row + 1}")
        self._inside = ""

    def _start_ods(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if tag == "table":  # all are read
            self._earlier += self._rows * self._columns
            self._row, self._rows, self._columns = -1, 0, 0
            self._name = attributes.get("table:name", "")
        elif tag == "table-row":
            self._height = int(attributes.get("table:number-rows-repeated", 1))
            self._row, self._column, self._times = self._row + self._height, -1, 0
        elif tag in {"table-cell", "covered-table-cell"}:
            width = int(attributes.get("table:number-columns-repeated", 1))
            if attributes.get("calcext:value-type") == "error":
                self._broken[self._name].append(f"{letters(self._column + 1)}{self._row - self._height + 2}")
            self._column, self._times = self._column + width, 0
            if any(name.startswith("office:") or name == "table:formula" for name in attributes):
                self._times = width * self._height
                self._fill(_CELLS // 4)  # four values for each: the reader keeps formulas, too, and copies both
                self._text_ods("".join(attributes.values()))
        elif tag == "s":  # blanks
            self._weigh(int(attributes.get("text:c", 1)) * self._times)

    def _text_ods(self, text: str) -> None:
        self._weigh(_size(text) * self._times)

    def _fill(self, most: int) -> None:
        """Count the cells up to the present one, which has a value."""
        self._rows, self._columns = max(self._rows, self._row + 1), max(self._columns, self._column + 1)
        if self._earlier + self._rows * self._columns > most:
            raise PlanError(
                f"{self._where}: its cells reach {letters(self._columns - 1)}{self._rows}, and {most:,} cells are the limit; delete what "
                "lies far from the rows, or save the rows as CSV."
            )

    def _weigh(self, size: int) -> None:
        """Count the bytes of a text."""
        self._bytes += size
        if self._bytes > _LARGEST:
            raise PlanError(
                f"{self._where}: the texts of its cells take over {_LARGEST / 1e6:,.0f} MB, since they repeat; save the rows as CSV."
            )


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it declares a type of document")


def _size(text: str) -> int:
    """Return the bytes of a text in memory, at most."""
    return len(text) * (1 if text.isascii() else 4)


def _column(name: str) -> int:
    """Return the number of a column such as ``AA``, counted from 0."""
    if re.fullmatch("[A-Za-z]{1,7}", name) is None:
        raise ValueError(f"it has a cell in a column {name[:20]!r}")
    number = 0
    for letter in name.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def _parts_of(archive: zipfile.ZipFile, name: str) -> set[str]:
    """Return the path of a sheet inside an xlsx file; each one if it names several."""
    from xml.etree import ElementTree as ET

    book = ET.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 - expat from 2.4.1 refuses what expands without end
    links = ET.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    ids = {
        value
        for sheet in book.iter()
        if sheet.tag.endswith("}sheet") and sheet.get("name") == name
        for value in sheet.attrib.values()
    }
    found = {link.get("Target", "").removeprefix("/"): link for link in links}
    paths = {target if target.startswith("xl/") else f"xl/{target}": link for target, link in found.items()}
    for path, link in paths.items():
        if link.get("Type", "").endswith("/sharedStrings") and path.lower() != "xl/sharedstrings.xml":
            raise ValueError(f"its texts are in {path}")
    return {path for path, link in paths.items() if link.get("Id") in ids}
