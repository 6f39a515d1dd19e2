"""Excel both ways: text stays text, times keep their instant, nothing runs, and a plan of what comes back has the same keys."""

from __future__ import annotations

import re
import zipfile
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook
from tests.security.workbooks import tables
from tests.sheets.offline import findings, workbook

import voxops as vx
from voxops import read_campaign, to_excel
from voxops.errors import ConfigError, PlanError

HEADS = ["row_id", "content", "accounts", "scheduled_for"]


def plan_book(folder, *rows):
    return workbook(folder / "x.xlsx", {"Plan": [HEADS, *rows]})


# --- reading ------------------------------------------------------------------------------------------------------------------


def test_cells_of_excel_become_text_and_times_in_the_zone_that_was_said(tmp_path):
    rows = [
        [*HEADS, "N", "Yes", "half", "made", "day"],
        ["007", "  text ", None, datetime(2026, 7, 4, 9), 7, True, 0.5, datetime(2026, 1, 2, 3, 4), date(2026, 1, 2)],
        [12, "'=1+1", None, datetime(2026, 12, 4, 9, 30), 1e6, False],
        [],
        ["x", "t", None, "2026-07-04T09:00Z"],
    ]
    path = workbook(tmp_path / "x.xlsx", {"Plan": rows}, merged=[("C2:C3", "x;y")])
    frame = read_campaign(path, tz="Europe/Berlin")
    assert frame[HEADS].astype(object).where(frame[HEADS].notna(), None).to_numpy().tolist() == [
        ["007", "  text ", "x;y", "2026-07-04T09:00:00+02:00"], ["12", "=1+1", "x;y", "2026-12-04T09:30:00+01:00"],
        ["x", "t", None, "2026-07-04T09:00Z"],
    ]  # fmt: skip
    assert frame.iloc[0, -5:].tolist() == ["7", "TRUE", "0.5", "2026-01-02 03:04:00", "2026-01-02"]
    assert frame.iloc[1, -5:].dropna().tolist() == ["1000000", "FALSE"]
    assert {str(dtype) for dtype in frame.dtypes} == {"string"}
    assert frame.attrs["sheet"] == "Plan"


@pytest.mark.parametrize(
    ("row", "said", "words"),
    [
        (["a", "t", "x", datetime(2026, 7, 4, 9)], {}, r"D2: times of Excel have no time zone.*tz='Europe/Berlin'"),
        (["a", "t", "x", date(2026, 7, 4)], {}, "D2: times of Excel"),
        (["a", "t", 1234567890123456789, "z"], {}, "C2: a number of which Excel stores only 15 digits"),
        (["a", "FORMULA =NA() -> #N/A", "x", "z"], {}, "B2: the cell has an error of the spreadsheet"),
        (["a", "t", "x", "z"], {"sheet": "Plam"}, "has no sheet 'Plam'; it has: Plan"),
    ],
)
def test_what_can_not_be_read_without_a_guess_is_refused_with_its_cell(tmp_path, row, said, words):
    with pytest.raises(PlanError, match=words):
        read_campaign(plan_book(tmp_path, row), **said)


def test_dates_that_a_program_may_have_turned_round_are_refused(tmp_path):
    """A day-first sheet opened where months come first: 03/11 became 11 March, and 13/11 stayed text."""
    turned, text = ["a", "t", "x", datetime(2027, 3, 11, 9)], ["b", "t", "x", "13/11/2027 9:00"]

    def read(*rows):
        return len(read_campaign(plan_book(tmp_path, *rows), tz="Europe/Berlin", dayfirst=True))

    clear = ["a", "t", "x", datetime(2027, 3, 13, 9)]
    for rows in ([turned], [text], [clear, text], [turned, ["b", "t", "x", "2027-11-13 9:00"]]):
        assert read(*rows) == len(rows)
    with pytest.raises(PlanError, match=r"D2, D3, D4, D5, D6 and 2 more are dates, none .* D9 numeric texts"):
        read(*[turned] * 7, text)


def test_a_formula_is_its_result_and_without_one_is_refused(tmp_path):
    path = plan_book(tmp_path, ["a", "FORMULA =1+1 -> 2", "x", "z"], ["b", "FORMULA =T(1) -> q", "x", "z"])
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name).replace(b"<v>q</v>", b"<v></v>") for name in book.namelist()}  # an empty text
    with zipfile.ZipFile(path, "w") as book:
        for name, data in parts.items():
            book.writestr(name, data)
    assert read_campaign(path)["content"].fillna("none").tolist() == ["2", "none"]
    load_workbook(path).save(path)  # as a program that computes nothing
    with pytest.raises(PlanError, match="B2, B3: a formula without a result"):
        read_campaign(path)


def test_which_of_several_sheets_is_not_guessed(tmp_path):
    path = workbook(tmp_path / "x.xlsx", {"Plan": [HEADS, ["a", "t", "x", "z"]], "Notes": [HEADS]})
    with pytest.raises(PlanError, match=r"2 sheets: Plan, Notes\. Name one: sheet='Plan'"):
        read_campaign(path)
    assert len(read_campaign(path, sheet="Plan")) == 1
    assert len(read_campaign(path, sheet="Notes")) == 0
    (tmp_path / "x.csv").write_text(",".join(HEADS))
    with pytest.raises(PlanError, match="not an Excel workbook"):
        read_campaign(tmp_path / "x.csv", sheet="Plan")
    (tmp_path / "bad.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    with pytest.raises(PlanError, match=r"bad\.xlsx is not a workbook"):
        read_campaign(tmp_path / "bad.xlsx")


@pytest.mark.parametrize(
    ("text", "dayfirst", "read"),
    [
        ("4.3.2026 9:00", True, "2026-03-04T09:00:00+01:00"),
        ("04.03.2026, 09:00:30", True, "2026-03-04T09:00:30+01:00"),
        ("4.3.2026 um 9 Uhr", True, "2026-03-04T09:00:00+01:00"),
        ("3/4/2026 9:15 pm", False, "2026-03-04T21:15:00+01:00"),
        ("2026-07-04 09:00", None, "2026-07-04T09:00:00+02:00"),
        ("2026-07-04T09:00:00Z", True, "2026-07-04T09:00:00Z"),
        # left as they are, or said to be nothing, and refused by the check
        ("4.3.2026 9:00", None, "4.3.2026 9:00"),
        ("4.3.26 9:00", True, "4.3.26 9:00"),
        ("4.3.2026 9", True, "4.3.2026 9"),
        ("31.2.2026 9:00", True, "31.2.2026 9:00"),
        ("2026-03-04", None, "2026-03-04"),
        ("29.03.2026 02:30", True, "2026-03-29T02:30:00 (does not exist in Europe/Berlin)"),
        ("25.10.2026 02:30", True, "2026-10-25T02:30:00 (exists twice in Europe/Berlin)"),
    ],
)
def test_times_as_people_write_them(tmp_path, text, dayfirst, read):
    (tmp_path / "x.csv").write_text(f'row_id;content;accounts;scheduled_for\na;b;twitter:@c;"{text}"\n')
    frame = read_campaign(tmp_path / "x.csv", tz="Europe/Berlin", dayfirst=dayfirst)
    assert frame["scheduled_for"].tolist() == [read]
    fit = bool(re.search(r"(Z|\+0\d:00)$", read))
    assert findings(frame).empty == fit == bool(vx.plan_create(frame, key="row_id").eligible)


# --- writing ------------------------------------------------------------------------------------------------------------------


def test_frames_of_every_kind_are_sheets_with_local_times(tmp_path, sandbox):
    with vx.connect(sandbox=sandbox, tz="Europe/Berlin") as ws:
        triaged = vx.triage(ws.posts(status=["failed", "partial"], since="7D"))
        run = ws.run(vx.plan_retry(triaged).canary(1)).wait()
        path = to_excel(tmp_path / "new" / "all.xlsx", triaged=triaged, run=run, plan=run.plan, ledger=ws.ledger())
        report = vx.report(triaged, run=run).to_excel(tmp_path / "report.xlsx")
    book = tables(path)
    assert [*book] == ["triaged", "run", "plan", "ledger"]
    assert set(tables(report)) == {"causes", "failures", "left", "results"}
    row = dict(zip(*book["triaged"][:2], strict=True))
    local = triaged["updated_at"][0].tz_convert("Europe/Berlin").tz_localize(None)
    assert row["updated_at (Europe/Berlin)"].replace(microsecond=0) == local.replace(microsecond=0)
    with zipfile.ZipFile(path) as parts:
        page = parts.read("xl/worksheets/sheet1.xml").decode()
    assert '<pane ySplit="1"' in page
    assert "<autoFilter" in page


def test_values_that_a_cell_would_change_are_text(tmp_path):
    frame = pd.DataFrame({
        "id": pd.array([9007199254740993, None], dtype="Int64"), "share": [0.25, np.inf], "nested": [{"a": [1]}, ["a;b"]],
        "yes": [True, False], "cost": [Decimal("12.50"), date(2026, 3, 1)], "long": ["x" * 40_000, "\x07bell"],
        "when": pd.to_datetime(["2026-10-25T00:30:00Z", "1700-01-01T00:00:00Z"]),
        "platform_post_url": ["javascript:alert(1)", "https://x.example/" + "a" * 3000],
    })  # fmt: skip
    path = to_excel(tmp_path / "x.xlsx", tz="Europe/Berlin", rows=frame)
    _, first, second = tables(path)["rows"]
    assert first[:5] == ["9007199254740993", 0.25, '{"a": [1]}', True, "12.50"]
    assert second[:6] == ["", "inf", '["a;b"]', False, datetime(2026, 3, 1), "bell"]
    assert len(first[5]) == 32_767
    assert first[5].endswith("holds no more)")
    assert first[6] == "2026-10-25T02:30:00+02:00"
    with zipfile.ZipFile(path) as parts:
        assert not any(b"hyperlink" in parts.read(name) for name in parts.namelist() if "_rels/sheet" in name)


def test_the_same_frames_give_the_same_bytes_and_what_is_unfit_is_refused(tmp_path):
    frame = pd.DataFrame({"a": ["x"]})
    one, two = (to_excel(tmp_path / name, a=frame).read_bytes() for name in ("1.xlsx", "2.xlsx"))
    assert one == two
    for error, words, place, sheets in (
        (PlanError, "a name and a frame for each sheet", "x.xlsx", {}),
        (PlanError, "a frame, a plan or a run", "x.xlsx", {"a": [1]}),
        (ConfigError, "not a time zone", "x.xlsx", {"tz": "Mars", "a": frame}),
        (ConfigError, "can't be written", "1.xlsx/x.xlsx", {"a": frame}),
        (ConfigError, r"no sheet can be called 'a/b'", "x.xlsx", {"a/b": frame}),
        (ConfigError, "1,048,576 rows", "x.xlsx", {"a": pd.DataFrame({"a": range(1_048_576)})}),
        (ConfigError, "a.csv is not the name of a workbook; it must end with .xlsx", "a.csv", {"a": frame}),
        (ConfigError, "a is not the name of a workbook; it must end with .xlsx", "a", {"a": frame}),
    ):
        with pytest.raises(error, match=words):
            to_excel(tmp_path / place, **sheets)
    assert {path.name for path in tmp_path.iterdir()} == {"1.xlsx", "2.xlsx"}
