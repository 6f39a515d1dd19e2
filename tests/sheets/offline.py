"""Workbooks as programs write them, and the findings of the sheet rules without a workspace."""

from __future__ import annotations

import xlsxwriter

from voxops.frames.records import build
from voxops.loading.check import by_rules, findings_table
from voxops.loading.upload import Outcome, upload_cells
from voxops.sheets.media import UPLOAD_COLUMNS, MediaFile
from voxops.sheets.rules import sheet_rows

AS_THEY_ARE = {"strings_to_formulas": False, "strings_to_urls": False, "default_date_format": "dd.mm.yyyy hh:mm:ss"}


def workbook(path, sheets, *, hidden="", merged=()):
    """A workbook; ``FORMULA =1+1 -> 2`` is a formula with its result, and areas of the first sheet are merged."""
    with xlsxwriter.Workbook(str(path), AS_THEY_ARE) as book:
        for name, rows in sheets.items():
            page = book.add_worksheet(name)
            if name == hidden:
                page.hide()
            for number, row in enumerate(rows):
                for at, value in enumerate(row):
                    if str(value).startswith("FORMULA "):
                        formula, _, result = value.removeprefix("FORMULA ").partition(" -> ")
                        page.write_formula(number, at, formula, None, result)
                    else:
                        page.write(number, at, value)
        for area, text in merged:
            book.worksheets()[0].merge_range(area, text)
    return path


def findings(sheet, now=None, folder=None):
    """As ``ws.check(sheet, ask=False)``, by a clock of one's own or by none."""
    return findings_table(sheet, by_rules(sheet, sheet_rows(sheet, reads=True, folder=folder), now))


def uploaded(sheet):
    """As ``ws.upload(sheet)`` where no upload fails; the id of a medium tells its source."""
    rows = sheet_rows(sheet, reads=True)
    found = [one.source if isinstance(one, MediaFile) else one for row in rows for one in row["found"].values()]
    outcomes = {one: Outcome(f"media_{one[-9:]}") for one in found if isinstance(one, str)}
    cells = [upload_cells(row, outcomes) for row in rows]
    return sheet.assign(**{name: [cell[at] for cell in cells] for at, name in enumerate(UPLOAD_COLUMNS)})


def listed(*accounts):
    """Platform, username, id and status of accounts, as the API lists them."""
    records = [dict(zip(("platform", "username", "id", "status"), account, strict=True)) for account in accounts]
    return build("accounts", records, whole=True)
