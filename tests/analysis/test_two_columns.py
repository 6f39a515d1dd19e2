"""Sheets with day and hour in two columns."""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xlsxwriter
from tests.sheets.offline import findings

from voxops.api.reasons import Reason
from voxops.errors import PlanError
from voxops.sheets.campaign import CAMPAIGN_COLUMNS, read_campaign
from voxops.sheets.rules import joined_time

HEADS = ("row_id", "content", "accounts")
CHECKED = datetime.fromisoformat("2026-03-02T09:00:00+00:00")


def csv(folder: Path, *rows: tuple[str, str], heads: str = "date,time") -> Path:
    """A sheet of one row for each day and hour."""
    lines = [f"{','.join(HEADS)},{heads}"]
    lines += [f"r{number},Hello {number},twitter:@brand,{day},{hour}" for number, (day, hour) in enumerate(rows)]
    path = folder / "sheet.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def workbook(folder: Path, *rows: tuple[Any, Any], heads: tuple[str, str] = ("date", "time")) -> Path:
    """The same as a workbook, with cells that hold dates and times."""
    path = folder / "sheet.xlsx"
    forms = {date: "yyyy-mm-dd", time: "hh:mm", datetime: "yyyy-mm-dd hh:mm"}
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet("Plan")
        page.write_row(0, 0, [*HEADS, *heads])
        for number, cells in enumerate(rows, start=1):
            page.write_row(number, 0, [f"r{number}", f"Hello {number}", "twitter:@brand"])
            for column, cell in enumerate(cells, start=3):
                if type(cell) in forms:
                    page.write_datetime(number, column, cell, book.add_format({"num_format": forms[type(cell)]}))
                elif cell is not None:
                    page.write(number, column, cell)
    return path


def times(frame: pd.DataFrame) -> list[str]:
    return frame["scheduled_for"].to_list()


GOOD = [
    ("2026-03-04", "9:00", "2026-03-04T09:00:00+01:00"), ("2026-03-04", "09:00:30", "2026-03-04T09:00:30+01:00"),
    ("04.03.2026", "9:30 Uhr", "2026-03-04T09:30:00+01:00"), ("4/3/2026", "12:05 a.m.", "2026-03-04T00:05:00+01:00"),
    (" 2026-07-04 ", " 9 PM ", "2026-07-04T21:00:00+02:00"),
]  # fmt: skip


def test_day_and_hour_are_one_time_in_every_form(tmp_path):
    path = csv(tmp_path, *[(day, hour) for day, hour, _ in GOOD])
    found = read_campaign(path, tz="Europe/Berlin", dayfirst=True)
    assert times(found) == [expected for *_, expected in GOOD]
    assert list(found.columns) == [*CAMPAIGN_COLUMNS], "one time in one place, for whoever corrects it"
    assert findings(found, now=CHECKED).empty
    assert found.attrs["tz"] == "Europe/Berlin"


@pytest.mark.parametrize("tz", [None, "America/New_York"])
@pytest.mark.parametrize("heads", [("Tag (Europe/Berlin)", "Uhrzeit"), ("Tag", "Uhrzeit (Europe/Berlin)")], ids=str)
def test_cells_of_a_workbook_and_the_zone_of_either_head(tmp_path, heads, tz):
    rows = [
        (date(2026, 3, 14), time(9)),
        (date(2026, 3, 14), "9:30"),
        (datetime(2026, 7, 4), time(9, 15)),
        ("2026-07-04", time(10)),
    ]
    found = read_campaign(workbook(tmp_path, *rows, heads=heads), tz=tz, columns={"Tag": "date", "Uhrzeit": "time"})
    expected = ["2026-03-14T09:00:00+01:00", "2026-03-14T09:30:00+01:00"]
    assert times(found) == [*expected, "2026-07-04T09:15:00+02:00", "2026-07-04T10:00:00+02:00"]
    assert found.attrs["tz"] == "Europe/Berlin"


@pytest.mark.parametrize(("day", "hour", "code", "words"), [
    ("", "9:00", "time_unreadable", "9:00 (an hour without a day)"),
    ("2026-03-05", "", "time_without_hour", "2026-03-05"), ("2026-03-05", "noon", "time_unreadable", "2026-03-05 noon"),
    ("2026-03-05", "25:00", "time_unreadable", "2026-03-05 25:00"),
    ("2026-03-05", "9", "time_unreadable", "2026-03-05 9"),
    ("2026-03-05", "17.45", "time_unreadable", "2026-03-05 17.45"),
    ("2026-03-05", '"10,30"', "time_unreadable", "2026-03-05 10,30"),
    ("2026-03-05", "10:30.5", "time_unreadable", "2026-03-05 10:30.5"), ("", "", "time_missing", None),
    ("2026-03-29", "2:30", "time_unreadable", "2026-03-29T02:30:00 (does not exist in Europe/Berlin)"),
])  # fmt: skip
def test_what_is_not_one_time_is_an_error_with_its_cell(tmp_path, day, hour, code, words):
    found = read_campaign(csv(tmp_path, ("2026-03-04", "9:00"), (day, hour)), tz="Europe/Berlin")
    (finding,) = findings(found, now=CHECKED).to_dict("records")
    assert finding["code"] == code
    assert finding["message"] == Reason(code, **({} if words is None else {"value": words})).sentence()
    assert (finding["column"], finding["cell"]) == (
        "scheduled_for",
        "D3" if hour in {"9:00", "2:30"} or not day else "E3",
    )


@pytest.mark.parametrize(("day", "clock", "expected"), [
    (datetime(2026, 3, 4, 8), time(9), "2026-03-04 08:00:00 09:00:00"), (date(2026, 3, 4), 0.375, "2026-03-04 0.375"),
    (46085.0, time(9), "46085.0 09:00:00"), ("", time(9), "09:00:00 (an hour without a day)"),
    (date(2026, 3, 4), "", date(2026, 3, 4)), (datetime(2026, 3, 4), "", date(2026, 3, 4)),
    (datetime(2026, 3, 4, 8), "", datetime(2026, 3, 4, 8)), ("", " ", ""),
], ids=str)  # fmt: skip
def test_two_hours_or_bare_numbers_are_shown_and_not_guessed(day, clock, expected):
    assert joined_time(day, clock) == expected


def test_a_day_without_an_hour_is_no_midnight_where_a_head_names_the_zone(tmp_path):
    """As in our own files, with times in one column."""
    path = workbook(
        tmp_path, (date(2026, 3, 14), None), (date(2026, 3, 15), time(9)), heads=("date (Europe/Berlin)", "time")
    )
    assert times(read_campaign(path)) == ["2026-03-14 (a day without an hour)", "2026-03-15T09:00:00+01:00"]


@pytest.mark.parametrize(("rows", "arguments", "said"), [
    ([(date(2026, 3, 14), time(9)), (date(2026, 3, 15), time(9))], {}, r"D2, D3: .*tz='Europe/Berlin'"),
    # a program may have turned the first round
    ([(date(2027, 4, 3), time(9)), ("13/11/2027", "9:00")], {"tz": "Europe/Berlin", "dayfirst": True}, "D2 are dates, .* D3 numeric texts"),
])  # fmt: skip
def test_dates_of_excel_that_are_not_sure_are_refused_with_their_cells(tmp_path, rows, arguments, said):
    with pytest.raises(PlanError, match=said):
        read_campaign(workbook(tmp_path, *rows), **arguments)


def test_two_zones_are_one_too_many_and_heads_below_a_title_are_found(tmp_path):
    path = csv(tmp_path, ("2026-03-04", "9:00"), heads="date (Europe/Berlin),time (Asia/Tokyo)")
    with pytest.raises(PlanError, match="two zones, Asia/Tokyo and Europe/Berlin"):
        read_campaign(path)
    below = tmp_path / "below.csv"
    below.write_text("date;our plan\n\nrow_id;content;accounts;date;time\nr1;Hi;twitter:@brand;2026-03-04;9:00\n")
    with pytest.raises(PlanError, match=r"read_campaign\(path, header=3\)"):
        read_campaign(below)
    assert times(read_campaign(below, header=3, tz="UTC")) == ["2026-03-04T09:00:00+00:00"]


def test_a_time_of_its_own_comes_before_the_two(tmp_path):
    path = csv(tmp_path, ("2026-03-04T10:00:00Z", "2027-01-01,7:00"), heads="scheduled_for,date (Asia/Tokyo),time")
    with pytest.warns(UserWarning, match="only scheduled_for is read"):
        found = read_campaign(path)
    assert found.loc[0, ["scheduled_for", "date", "time"]].to_list() == ["2026-03-04T10:00:00Z", "2027-01-01", "7:00"]
    assert "tz" not in found.attrs
