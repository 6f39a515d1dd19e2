"""Point 9: no text of ours is run by a spreadsheet, whatever it parts cells at, and our own reader gets the text back."""

from __future__ import annotations

import csv
import re
import unicodedata
from io import StringIO

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import voxops as vx
from voxops._support import safe
from voxops._support.safe import guard, unguard

# What is not seen in front of a sign, by Unicode's own categories.
UNSEEN = {"Cc", "Cf", "Zs", "Zl", "Zp"}
SIGNS = tuple("=+-@＝＋－＠﹦﹢﹣﹫−")
FORMULAS = [
    "=1+1", "+49 30", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "\ufeff=cmd|' /C calc'!A0", "＝1+1", "＋1", "－1", "＠SUM(A1)",
    "\u200b=1", "\u00ad=1", "\u2060\u202e =1", "\u3164=1", "\u180e=1", "\ufe0f=1", "\x00=1", "text;=1", "text;\u200b =1",
    "text\t=1", "text|=1", "text\n=1", "text\r\n@x", "'=1", "''=1", "a;b|c\t-d",
]  # fmt: skip
PARTS = st.lists(
    st.sampled_from([*"=+-@;|\t\r\n'\" ,ab", "＝", "\u200b", "\u00a0", "\ufe0f", "\U000e0041"]), max_size=12
)
TEXTS = st.text() | PARTS.map("".join)


def runs(cell: str) -> bool:
    """Whether a spreadsheet would take a cell for a formula."""
    seen = next((char for char in cell if unicodedata.category(char) not in UNSEEN and char not in "\u3164\ufe0f"), "")
    return seen in SIGNS if seen else False


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_run_is_guarded_and_comes_back(text):
    assert guard(text) != text
    assert unguard(guard(text)) == text


@given(TEXTS)
@example("';=")
def test_every_text_comes_back(text):
    assert unguard(guard(text)) == text
    assert unguard(guard(guard(text))) == guard(text)


@given(TEXTS, st.sampled_from(";\t|,"))
def test_no_cell_runs_whatever_a_program_parts_cells_at(text, delimiter):
    file = StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerow([safe.cell(text), "next"])
    written = file.getvalue()
    if delimiter == ",":
        cells = next(csv.reader(StringIO(written, newline="")), [])
    else:  # quotes that do not stand at both ends of a cell are text to such a program
        cells = [cell.removeprefix('"') for cell in re.split(f"[{delimiter}\r\n]", written)]
    assert not any(map(runs, cells))


@pytest.mark.parametrize("text", ["plain", "a=b", "a - b", "it's", "'quoted'", "x; y | z", "Tom & Ana, -20 %", ""])
def test_what_does_not_run_stays_as_it_is(text):
    assert guard(text) == text == unguard(text)


def test_our_own_reader_takes_the_guard_off(tmp_path):
    texts = ["=1+1", "text;=1", "＠brand says hello", "'=kept", "plain"]
    rows = pd.DataFrame(
        {"row_id": list("abcde"), "content": texts, "accounts": "acc_1", "scheduled_for": "2026-03-05T09:00Z"}
    )
    rows.map(safe.cell).to_csv(tmp_path / "sheet.csv", index=False, encoding="utf-8-sig")
    assert "'=1+1" in (tmp_path / "sheet.csv").read_text("utf-8-sig")
    assert vx.read_campaign(tmp_path / "sheet.csv")["content"].tolist() == texts
