"""Frames as files for spreadsheets: workbooks and CSV in which text is text, times are in the analyst's zone, and nothing runs.

`voxops.read_campaign` reads such a sheet back to the same rows, and a plan of them has the same keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd

from voxops._support import files, safe
from voxops._support.arguments import file_path
from voxops.errors import ConfigError, PlanError
from voxops.frames.checks import restored
from voxops.frames.times import shown_zone, zone
from voxops.sheets.campaign import in_its_form
from voxops.sheets.files import LAYOUTS, Layout
from voxops.views.table import redacted
from voxops.views.view import frame_of

if TYPE_CHECKING:
    from voxops.acts.plan import Plan, RunLike

ROWS = 1_048_575  # of a sheet, without its head
_CHARACTERS = 32_767  # of a cell
_WIDEST = 440  # pixels of a column
_CUT = "… (cut: a cell of Excel holds no more)"
_LISTS = frozenset({"accounts", "account_ids", "media", "tags"})  # joined by semicolons, as in a campaign sheet
_NESTED = (list, tuple, dict, set)
_NO_TEXT = {0xFFFE: None, 0xFFFF: None}  # no characters in Unicode and XML
_MADE = datetime(2026, 1, 1)  # noqa: DTZ001  the same frames give the same bytes
_TEXT_ONLY = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}


def to_excel(
    path: str | Path, *unnamed: object, tz: str | None = None, **sheets: pd.DataFrame | Plan | RunLike
) -> Path:
    """Write frames as an Excel workbook, a sheet for each.

    Parameters
    ----------
    path : str or Path
        The file; one that exists is replaced.
    *unnamed : object
        Refused, because each sheet needs a name.
    tz : str, optional
        Time zone of the times, named in the headers of their columns, because Excel knows no zones. Default: that of the
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
    Text is written as text and never as a formula or a link. If a spreadsheet would run it once the sheet is saved as CSV, it begins with an
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
    if unnamed or not sheets:
        raise PlanError("to_excel() needs a name and a frame for each sheet: to_excel(path, plan=plan, results=run)")
    frames = {name: frame_of(frame) for name, frame in sheets.items()}
    return write_workbook(frames, file_path("path", path), tz)


def write_workbook(frames: Mapping[str, pd.DataFrame], path: Path, tz: str | None = None) -> Path:
    """Write frames as a workbook; see `to_excel`."""
    if path.suffix.lower() != ".xlsx":
        raise ConfigError(f"{path.name} is not the name of a workbook; it must end with .xlsx")
    from xlsxwriter.exceptions import XlsxWriterException

    tz, made, layouts = None if tz is None else zone(tz), BytesIO(), {}
    with pd.ExcelWriter(made, engine="xlsxwriter", engine_kwargs={"options": _TEXT_ONLY}) as writer:
        writer.book.set_properties({"created": _MADE})
        clock = writer.book.add_format({"num_format": "hh:mm"})
        text = writer.book.add_format({"num_format": "@"})  # what is typed into a column of text stays what it is: 007
        for name, frame in frames.items():
            if len(frame) > ROWS:
                raise ConfigError(f"{name} has {len(frame):,} rows; a sheet of Excel holds {ROWS:,}. Write CSV.")
            if name.lower() == LAYOUTS or safe.guard(name) != name:
                raise ConfigError(
                    f"no sheet can be called {name!r}: a hidden sheet has that name, or a spreadsheet would run it"
                )
            layout, cells = Layout.of(frame), _cells(frame, tz)
            try:
                cells.to_excel(writer, sheet_name=name, index=False, freeze_panes=(1, 0), autofilter=True)
            except XlsxWriterException as error:
                raise ConfigError(f"no sheet can be called {name!r}: {error}") from error
            sheet = writer.sheets[name]
            for at, (head, values) in enumerate(cells.items()):
                if head in layout.columns.values() and values.map(type).isin([str, type(None)]).all():
                    sheet.set_column(at, at, None, text)
                for row, value in enumerate(values, start=1):
                    if isinstance(value, time):  # pandas would make text of it
                        sheet.write_datetime(row, at, value, clock)
            sheet.autofit(_WIDEST)
            if layout.columns:
                layouts[name] = msgspec.structs.replace(layout, run=str(frame.attrs.get("run", ""))).text()
        if layouts:
            pd.Series(layouts).map(_text).to_excel(writer, sheet_name=LAYOUTS, header=False)
            writer.sheets[LAYOUTS].hide()
    return files.export(path, made.getvalue())


def write_csv(frame: pd.DataFrame, path: Path, tz: str | None = None) -> Path:
    """Write a frame for a spreadsheet, with the byte order mark that Excel needs to recognise UTF-8."""
    cells = _cells(frame, tz).map(lambda value: str(value)[:19] if isinstance(value, datetime) else value)
    return files.export(path, cells.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig", "replace"))


def _cells(frame: pd.DataFrame, tz: str | None) -> pd.DataFrame:
    """Return a frame as cells of a spreadsheet, under heads that name the zone of their times."""
    tz, heads, columns = tz or shown_zone(frame), list[str](), list[Any]()
    for theirs, name, column in in_its_form(restored(redacted(frame, sheet=bool(Layout.of(frame).columns)))):
        timed = isinstance(column.dtype, pd.DatetimeTZDtype)
        values = map(_bare, column.dt.tz_convert(tz)) if timed else column
        heads.append(_text(safe.zoned(theirs, tz) if timed else theirs))
        columns.append(pd.Series([_written(name, value) for value in values], dtype=object))
    return pd.DataFrame(dict(enumerate(columns))).set_axis(heads, axis=1)


def _bare(value: pd.Timestamp) -> Any:
    """Return a time without its zone, which the head names; with it if that would lose anything."""
    if pd.isna(value) or value.replace(fold=0).utcoffset() != value.replace(fold=1).utcoffset():
        return value
    return value.to_pydatetime().replace(tzinfo=None) if value.year >= 1901 else value


def _written(name: str, value: Any) -> Any:
    """Return a value as its cell has it; text if a cell would change the value, None if it is missing."""
    if isinstance(value, bytes):  # JSON of the API, also as Parquet returns it
        return _text(value.decode(errors="replace"))
    if isinstance(value, _NESTED):
        rows: Any = sorted(value) if isinstance(value, set) else value
        if name in _LISTS and all(isinstance(text, str) and ";" not in text for text in rows):
            return _text("; ".join(rows))
        return _text(json.dumps(rows, ensure_ascii=False, default=str))
    if pd.isna(value):
        return None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    number = isinstance(value, int | float | np.number) and abs(float(value)) < safe.INEXACT_FROM
    return value if number or isinstance(value, bool | date | time) else _text(str(value))


def _text(text: str) -> str:
    """Return text for a cell: guarded against formulas, and cut if it is too long."""
    guarded = str(safe.cell(text.translate(_NO_TEXT)))
    return guarded if len(guarded) <= _CHARACTERS else guarded[: _CHARACTERS - len(_CUT)] + _CUT
