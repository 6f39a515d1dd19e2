"""No cell, head or name of a sheet becomes a formula where cells are parted by anything else, whatever quotes stand between."""

from __future__ import annotations

import csv
import re
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

import voxops as vx
from voxops._support import safe

ATTACKS = [
    """Sale;"=cmd|' /C calc'!A0;b""",
    """Sale\t"=cmd|' /C calc'!A0\tb""",
    """a|""=1|b""",
    'a\n"+1',
    'a; ""\u200b"@x;',
    '"=1',
]
PARTS = st.lists(st.sampled_from([*"=+-@;|\t\n'\" ,ab", "\u200b"]), max_size=12).map("".join)


def formulas(written: str) -> list[str]:
    """Cells that a spreadsheet would run, parted at each separator, with quotes that count and with quotes that don't."""
    cells = [
        cell
        for mark in ",;\t|"
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE)
        for row in csv.reader(StringIO(written, newline=""), delimiter=mark, quoting=quoting)
        for cell in row
        if not (mark == "," and quoting == csv.QUOTE_NONE)  # our own separator always has its quotes
    ]
    return [cell for cell in cells if re.match("[=+@-]", cell.lstrip('" \u200b'))]


@given(PARTS)
@example(ATTACKS[0])
@example(ATTACKS[1])
def test_no_text_becomes_a_formula_and_each_comes_back(text: str) -> None:
    file = StringIO(newline="")
    csv.writer(file).writerow(["first", safe.cell(text), "last"])
    assert formulas(file.getvalue()) == []
    assert safe.unguard(safe.guard(text)) == text


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_column_head_and_name_of_a_sheet_is_guarded_and_comes_back(attack: str, tmp_path: Path) -> None:
    columns = ["row_id", "content", "accounts", "scheduled_for", "first_comment", '"=head']
    rows = pd.DataFrame([["a", attack, "acc_1", "2026-03-05T09:00Z", attack, attack]], columns=columns)
    safe_rows = rows.map(safe.cell).set_axis([safe.cell(name) for name in rows.columns], axis=1)
    safe_rows.to_csv(tmp_path / "sheet.csv", index=False)
    vx.to_excel(tmp_path / "sheet.xlsx", **{attack: rows})
    assert formulas((tmp_path / "sheet.csv").read_text()) == []
    book = CalamineWorkbook.from_path(tmp_path / "sheet.xlsx")
    (name,) = book.sheet_names
    cells = [str(cell) for row in book.get_sheet_by_name(name).to_python() for cell in row]
    for text in (name, *cells):
        file = StringIO(newline="")
        csv.writer(file).writerow([text])
        assert formulas(file.getvalue()) == []
    for path in (tmp_path / "sheet.csv", tmp_path / "sheet.xlsx"):
        read = vx.read_campaign(path)
        assert read["content"].tolist() == read["first_comment"].tolist() == [attack]
        assert read.iloc[0, -1] == attack
        assert '"=head' in read.columns
