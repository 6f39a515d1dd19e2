"""No text, head or name is run by a spreadsheet, whatever it parts cells at and whatever quotes stand between, and all come back."""

from __future__ import annotations

import csv
import re
from io import StringIO
from itertools import chain

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openpyxl import load_workbook
from tests.security.workbooks import tables

import voxops as vx
from voxops._support.safe import cell, guard, unguard
from voxops.errors import ConfigError
from voxops.views.excel import write_csv

# What may stand in front of a sign and be no text there: all but letters and digits, of which fillers show nothing.
BLANK = "\u115f\u1160\u3164\uffa0\U00013441"
SIGNS = tuple("=+-@＝＋－＠﹦﹢﹣﹫−")
FORMULAS = [*(f"{sign}1+1" for sign in SIGNS), *(f"{before}=1" for before in (
    "\t", "\r", " ", "\u200b", *BLANK, "\ufe0f", "\x00", "text;", "text;\u200b ", "text\t", "text|", "text\n", "text\r\n", "'", "a;b|c\t", "(", "…-",
    "\U0001d159", "\u0301", "a;!", ",", "🎉 ", "_;—", "${", "\x1c\x85",
))]  # fmt: skip
ATTACKS = [
    """Sale;"=cmd|' /C calc'!A0;b""", """Sale\t"=cmd|' /C calc'!A0\tb""", """a|""=1|b""", 'a\n"+1', 'a; ""\u200b"@x;', '"=1',
    "＠brand says hello", "'=kept", "text;=1",
]  # fmt: skip
PARTS = st.lists(
    st.sampled_from([*"=+-@;|\t\r\n'\" ,ab", "＝", "\u200b", "\u00a0", "\ufe0f", "\U000e0041", "(", "…", "\U0001d159"]),
    max_size=12,
)
TEXTS = st.text() | PARTS.map("".join)


def runs(text):
    """Whether a spreadsheet would take a cell for a formula."""
    before = next((at for at, char in enumerate(text) if char in SIGNS), None)
    return before is not None and not any(
        char in "'_" or (char.isalnum() and char not in BLANK) for char in text[:before]
    )


def formulas(written):
    """Cells of a CSV text that would run, parted at each separator, with quotes that count and with quotes that don't."""
    cells = re.split("[;\t|\r\n]", written)
    for mark in ",;\t|":
        cells += chain.from_iterable(csv.reader(StringIO(written, newline=""), delimiter=mark))
    return [*filter(runs, cells)]


def written(*cells):
    file = StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerow(cells)
    return file.getvalue()


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_run_is_guarded(text):
    assert guard(text) != text


@given(TEXTS)
@example("';=")
@example(ATTACKS[0])
@example(ATTACKS[1])
def test_no_text_becomes_a_formula_and_each_comes_back(text):
    assert formulas(written("first", cell(text), "last")) == []
    assert unguard(guard(text)) == text
    assert unguard(guard(guard(text))) == guard(text)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "a=b",
        "a - b",
        "it's",
        "'quoted'",
        "x; y | z",
        "(a) - b",
        "🎉 20 % off - now",
        "_=1",
        "Tom & Ana, -20 %",
        "",
    ],
)
def test_what_does_not_run_stays_as_it_is(text):
    assert guard(text) == text == unguard(text)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_sheet_has_no_name_that_a_spreadsheet_would_run(attack, tmp_path):
    with pytest.raises(ConfigError, match="no sheet can be called"):
        vx.to_excel(tmp_path / "sheet.xlsx", **{attack: pd.DataFrame({"a": [1]})})


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_column_head_of_a_sheet_is_guarded_and_comes_back(attack, tmp_path):
    columns = ["row_id", "content", "accounts", "scheduled_for", '"=head']
    rows = pd.DataFrame([["a", attack, "acc_1", "2026-03-05T09:00Z", attack]], columns=columns)
    write_csv(rows, tmp_path / "sheet.csv")
    vx.to_excel(tmp_path / "sheet.xlsx", posts=rows)
    in_workbook = [value for row in tables(tmp_path / "sheet.xlsx")["posts"] for value in row]
    for text in ((tmp_path / "sheet.csv").read_text(), *map(written, in_workbook)):
        assert formulas(text) == []
    for path in (tmp_path / "sheet.csv", tmp_path / "sheet.xlsx"):
        assert [*vx.read_campaign(path).loc[0, ["content", '"=head']]] == [attack] * 2


@pytest.mark.parametrize("text", [
    "https://evil.example/a", "mailto:a@evil.example", "internal:Sheet1!A1", "external:c:\\x.xlsx", "007", "1e5", "12", "=1+1", "{=1+1}",
])  # fmt: skip
def test_a_cell_of_text_is_neither_link_nor_number_nor_formula(text, tmp_path):
    sheet = load_workbook(vx.to_excel(tmp_path / "sheet.xlsx", posts=pd.DataFrame({"a": [text]})))["posts"]
    assert (sheet["A2"].data_type, sheet["A2"].hyperlink) == ("s", None)
    assert unguard(sheet["A2"].value) == text
