"""Frames as an Excel workbook: a sheet each, text as text, times in the analyst's zone, and nothing that runs.

`voxops.read_campaign` reads such a sheet back to the same rows, and a plan of them has the same keys.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support import document, files, safe
from voxops._support.arguments import new_file
from voxops._support.safe import INEXACT_FROM
from voxops.errors import ConfigError, PlanError
from voxops.frames.checks import restored
from voxops.frames.registry import column_named, kind_of
from voxops.frames.times import shown_zone, zone
from voxops.sheets.campaign import IN_PARTS, in_its_form
from voxops.sheets.files import LAYOUTS, Layout
from voxops.views._tables import NESTED, as_json
from voxops.views.view import frame_of

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from voxops.acts.plan import Plan
    from voxops.views._protocols import RunLike

__all__ = ["to_excel", "write_workbook"]

ROWS = 1_048_575  # of a sheet, without its head
_CHARACTERS = 32_767  # of a cell
_CUT = "… (cut: a cell of Excel holds no more)"
_LINKS, _ADDRESS = 65_000, 2_000  # links of a sheet, and characters of one
_LINKED = frozenset({"platform_post_url"})
_LISTS = frozenset({"accounts", "account_ids", "media", "tags"})  # joined by semicolons, as in a campaign sheet
_NO_SHEET = str.maketrans(dict.fromkeys("[]:*?/\\;|", "-"))  # forbidden, or may part cells
_NO_TEXT = {0xFFFE: None, 0xFFFF: None}  # no characters in Unicode and XML
_TIMES = frozenset({"scheduled_for", *IN_PARTS})
# What people type into a column of a sheet; none is for texts that are longer than some programs show in a cell of text.
_USUAL: dict[str, Any] = {"scheduled_for": datetime, "date": date, "time": time, "content": None, "first_comment": None}
_WIDTHS = (8, 60)  # minimum and maximum characters of a column
_MEASURED = 200  # rows that decide on the width
_MADE = datetime(2026, 1, 1)  # noqa: DTZ001  the same frames give the same bytes


def to_excel(
    path: str | Path, *unnamed: object, tz: str | None = None, **sheets: pd.DataFrame | Plan | RunLike
) -> Path:
    """Write frames as an Excel workbook, a sheet for each.

    Parameters
    ----------
    path : str or Path
        The file; one that exists is replaced.
    *unnamed : object
        Refused, since each sheet needs a name.
    tz : str, optional
        Time zone of the times, named in the headers of their columns, since Excel knows no zones. Default: that of the
        workspace each frame was loaded from, else UTC. Times of a campaign sheet stay in the sheet's zone.
    **sheets : DataFrame, Plan or Run
        Name of a sheet -> its content: a frame, the frame of a plan, or the results of a run.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    PlanError
        If there is no sheet, or one has no name or is no frame.
    ConfigError
        If the file can't be written, a frame has more rows than a sheet, or the time zone is unknown.

    Notes
    -----
    Text is written as text and never as a formula. If a spreadsheet would run it once the sheet is saved as CSV, it begins with an
    apostrophe, which ``vx.read_campaign`` removes. Whole numbers of more than 15 digits are text. Times that a zone has twice are
    ISO text. A text that is longer than a cell is cut and says so.

    Rows of a campaign sheet (from ``vx.read_campaign``, or ``run.to_mend()``) are written as the sheet had them, under its column headers
    and in its order. Times are date cells of its zone, in two columns if it had two. ``vx.read_campaign`` finds headers, zone and date
    order in a hidden sheet, which spreadsheets keep when they save the workbook.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import pandas as pd
    >>> import voxops as vx
    >>> vx.to_excel(Path(mkdtemp()) / "figures.xlsx", figures=pd.DataFrame({"a": [1]})).name
    'figures.xlsx'
    """
    if unnamed:
        raise PlanError("to_excel() needs a name for each sheet, such as to_excel('fix.xlsx', rows=failed)")
    if not sheets:
        raise PlanError("to_excel() needs a frame for each sheet, such as to_excel(path, plan=plan, results=run)")
    frames = {name: frame_of(frame) for name, frame in sheets.items()}
    return write_workbook(frames, new_file("path", path, "frames.xlsx"), tz)


def write_workbook(frames: Mapping[str, pd.DataFrame], path: Path, tz: str | None = None) -> Path:
    """Write frames as a workbook; see `to_excel`."""
    import xlsxwriter  # needed only here

    if path.suffix.lower() != ".xlsx":
        raise ConfigError(f"{path.name} is not the name of a workbook; it must end with .xlsx")
    for name, frame in frames.items():
        if len(frame) > ROWS:
            raise ConfigError(f"{name} has {len(frame):,} rows; a sheet of Excel holds {ROWS:,}. Write CSV or Parquet.")
    named = None if tz is None else zone(tz)
    made = BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        book.set_properties({"created": _MADE})
        head = book.add_format({"bold": True, "bottom": 1, "valign": "top"})
        formats = {
            datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            date: book.add_format({"num_format": "yyyy-mm-dd"}),
            time: book.add_format({"num_format": "hh:mm"}),
            str: book.add_format({"num_format": "@"}),
        }
        taken, layouts = {LAYOUTS}, {}
        for name, frame in frames.items():
            sheet = book.add_worksheet(_sheet_name(name, taken))
            _fill(sheet, restored(frame), named or shown_zone(frame), head, formats)
            if (layout := Layout.of(frame)).columns:
                layouts[sheet.get_name()] = replace(layout, run=str(frame.attrs.get("run", ""))).text()
        if layouts:
            hidden = book.add_worksheet(LAYOUTS)
            hidden.hide()
            for row, said in enumerate(layouts.items()):
                for at, text in enumerate(said):
                    hidden.write_string(row, at, _cell_text(text))
    try:
        files.make_folder(path.parent)
        files.write_file(path, made.getvalue())
    except OSError as error:
        raise files.unwritable(path, error) from error
    return path


def _sheet_name(name: str, taken: set[str]) -> str:
    """Return a name that Excel accepts: at most 31 characters, none that it forbids, unique, and no formula."""
    wanted = safe.plain(name, 31).translate(_NO_SHEET).strip("'") or "sheet"
    wanted = f"_{wanted[:30]}" if safe.guard(wanted) != wanted else wanted
    found, number = wanted, 1
    while found.lower() in taken or found.lower() == "history":
        number += 1
        found = f"{wanted[:27]} {number}"
    taken.add(found.lower())
    return found


def _fill(sheet: Worksheet, frame: pd.DataFrame, tz: str, head: Format, formats: Mapping[type, Format]) -> None:
    """Write one sheet: a frozen head, filters, widths by content."""
    links, kind, own, columns = 0, kind_of(frame), Layout.of(frame), in_its_form(frame)
    for at, (theirs, name, values) in enumerate(columns):
        is_time = isinstance(values.dtype, pd.DatetimeTZDtype)
        title = safe.zoned(theirs, tz) if is_time else theirs
        sheet.write_string(0, at, _cell_text(title), head)
        meaning, usual = column_named(name, kind.name).meaning, None
        if name in own.columns or (own.tz and name in _TIMES):
            # What is typed into a column stays what it is: 007, and a time.
            usual = None if own.tz is None and name in _TIMES else formats.get(_USUAL.get(name, str))
            meaning = f"{meaning} Times are in {own.tz}.".strip() if own.tz and name in _TIMES else meaning
        if meaning:
            sheet.write_comment(0, at, meaning)
        shown = values.dt.tz_convert(tz) if is_time else values
        widths = [len(title) + 4]
        for row, value in enumerate(shown, start=1):
            if not isinstance(value, NESTED) and pd.isna(value):
                continue
            zoned = isinstance(value, datetime) and value.tzinfo is not None and not is_time
            written = value.isoformat() if zoned else _written(name, value)  # the head can't name several zones
            if row <= _MEASURED:
                widths.append(19 if isinstance(written, date) else len(str(written).partition("\n")[0]))
            if isinstance(written, date | time):
                sheet.write_datetime(row, at, written, formats[type(written)])
            elif isinstance(written, bool):
                sheet.write_boolean(row, at, written)
            elif isinstance(written, int | float):
                sheet.write_number(row, at, written)
            elif name in _LINKED and links < _LINKS and len(written) < _ADDRESS and document.link(written, ""):
                links += 1
                sheet.write_url(row, at, written, string=written)
            else:
                sheet.write_string(row, at, written, usual)
        widths.sort()
        width = min(max(widths[int(0.95 * (len(widths) - 1))] + 2, len(title) + 4, _WIDTHS[0]), _WIDTHS[1])
        sheet.set_column(at, at, width, usual)
    sheet.freeze_panes(1, 0)
    if columns:
        sheet.autofilter(0, 0, len(frame), len(columns) - 1)


def _written(name: str, value: Any) -> str | float | bool | date | time:
    """Return a value as its cell has it; text if a cell would change the value."""
    if isinstance(value, datetime):
        return _time(pd.Timestamp(value))
    if (type(value) is date and value.year >= 1901) or (isinstance(value, time) and value.tzinfo is None):
        return value
    if isinstance(value, Decimal) and value.is_finite() and len(value.as_tuple().digits) <= sys.float_info.dig:
        return float(value)
    if pd.api.types.is_bool(value):
        return bool(value)
    if pd.api.types.is_number(value) and not isinstance(value, complex):
        number = value.item() if hasattr(value, "item") else value
        whole = isinstance(number, int)
        return (  # text if a cell would lose digits or can't have the number
            number
            if isinstance(number, int | float) and abs(number) < (INEXACT_FROM if whole else float("inf"))
            else str(number)
        )
    if isinstance(value, list | tuple | set) and name in _LISTS and _plain(value):
        return _cell_text("; ".join(map(str, value)))
    if isinstance(value, NESTED):
        value = as_json(value)
    return _cell_text(str(value))


def _time(value: pd.Timestamp) -> datetime | str:
    """Return a time as Excel has it, without a zone and to the millisecond; ISO text if that would lose anything."""
    bare = value.tz_localize(None) if value.tzinfo is not None else value
    if value.tzinfo is not None:
        twice = value.replace(fold=0).utcoffset() != value.replace(fold=1).utcoffset()
        if twice or value.microsecond % 1000 or value.nanosecond or bare.year < 1901:
            return value.isoformat()
    return bare.to_pydatetime() if 1901 <= bare.year <= 9999 else value.isoformat()


def _plain(values: Sequence[Any] | set[Any]) -> bool:
    """Whether values joined by semicolons can be split again into the same values."""
    return all(isinstance(each, str) and each.strip() == each and each and ";" not in each for each in values)


def _cell_text(text: str) -> str:
    """Return text for a cell: guarded against formulas, and cut if it is too long."""
    guarded = str(safe.cell(text.translate(_NO_TEXT)))
    return guarded if len(guarded) <= _CHARACTERS else guarded[: _CHARACTERS - len(_CUT)] + _CUT
