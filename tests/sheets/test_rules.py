"""The rules of a row: its time in one column or two, one judgement of check and plan, and the cell that it names."""

from __future__ import annotations

from datetime import date, datetime, time

import pandas as pd
import pytest
from tests.sheets.offline import findings, workbook

from voxops import plan_create, read_campaign
from voxops.api.reasons import Reason
from voxops.errors import PlanError
from voxops.sheets.campaign import CAMPAIGN_COLUMNS
from voxops.sheets.rules import joined_time

HEADS = ("row_id", "content", "accounts")
CHECKED = datetime.fromisoformat("2026-03-02T09:00:00+00:00")


def csv(folder, *rows, heads="date,time"):
    """A sheet of one row for each day and hour."""
    lines = [f"{','.join(HEADS)},{heads}"]
    lines += [f'r{number},Hello {number},twitter:@brand,{day},"{hour}"' for number, (day, hour) in enumerate(rows)]
    path = folder / "sheet.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def times(frame):
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
    march, july = date(2026, 3, 14), datetime(2026, 7, 4)
    rows = [(march, time(9)), (march, "9:30"), (july, time(9, 15)), ("2026-07-04", time(10))]
    lines = [[*HEADS, *heads], *(["r", "Hello", "twitter:@brand", *cells] for cells in rows)]
    path = workbook(tmp_path / "sheet.xlsx", {"Plan": lines})
    found = read_campaign(path, tz=tz, columns={"Tag": "date", "Uhrzeit": "time"})
    expected = ["2026-03-14T09:00:00+01:00", "2026-03-14T09:30:00+01:00"]
    assert times(found) == [*expected, "2026-07-04T09:15:00+02:00", "2026-07-04T10:00:00+02:00"]
    assert found.attrs["tz"] == "Europe/Berlin"


@pytest.mark.parametrize(("day", "hour", "code", "words"), [
    ("", "9:00", "time_unreadable", "9:00 (an hour without a day)"), ("2026-03-05", "", "time_without_hour", "2026-03-05"), ("", "", "time_missing", None),
    *(("2026-03-05", hour, "time_unreadable", f"2026-03-05 {hour}") for hour in ("noon", "25:00", "9", "17.45", "10,30", "10:30.5")),
    ("2026-03-29", "2:30", "time_unreadable", "2026-03-29T02:30:00 (does not exist in Europe/Berlin)"),
])  # fmt: skip
def test_what_is_not_one_time_is_an_error_with_its_cell(tmp_path, day, hour, code, words):
    found = read_campaign(csv(tmp_path, ("2026-03-04", "9:00"), (day, hour)), tz="Europe/Berlin")
    (finding,) = findings(found, now=CHECKED).to_dict("records")
    assert finding["message"] == Reason(code, **({} if words is None else {"value": words})).sentence()
    cell = "D3" if hour == "2:30" or not day else "E3"
    assert [finding[name] for name in ("code", "column", "cell")] == [code, "scheduled_for", cell]


@pytest.mark.parametrize(("day", "clock", "expected"), [
    (datetime(2026, 3, 4, 8), time(9), "2026-03-04 08:00:00 09:00:00"), (date(2026, 3, 4), 0.375, "2026-03-04 0.375"),
    ("", time(9), "09:00:00 (an hour without a day)"), (datetime(2026, 3, 4), "", date(2026, 3, 4)),
    (datetime(2026, 3, 4, 8), "", datetime(2026, 3, 4, 8)), ("", " ", ""),
], ids=str)  # fmt: skip
def test_two_hours_or_bare_numbers_are_shown_and_not_guessed(day, clock, expected):
    assert joined_time(day, clock) == expected


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
    path = csv(tmp_path, ("2026-03-04T10:00:00Z,2027-01-01", "7:00"), heads="scheduled_for,date (Asia/Tokyo),time")
    with pytest.warns(UserWarning, match="only scheduled_for is read"):
        found = read_campaign(path)
    assert found.loc[0, ["scheduled_for", "date", "time"]].to_list() == ["2026-03-04T10:00:00Z", "2027-01-01", "7:00"]
    assert "tz" not in found.attrs


HELLO = {"row_id": "r1", "content": "Hello", "accounts": "twitter:@a", "scheduled_for": "2026-03-04T10:00:00+01:00"}


def judged(frame):
    """Which rows are fit, by the check and by the plan."""
    found = findings(frame)
    wrong = {row for rows in found.loc[found["level"] == "error", "rows"] for row in rows}
    eligible = plan_create(frame, key="row_id").frame["eligible"].tolist()
    return [number not in wrong for number in range(len(frame))], eligible


@pytest.mark.parametrize("dtype", ["times", "objects", "text"])
def test_times_made_by_pandas_are_read_by_check_and_plan(dtype):
    frame = pd.DataFrame([HELLO, HELLO | {"row_id": "r2"}])
    times = pd.Series(pd.to_datetime(["2026-03-04 10:00", "2026-03-05 10:00"])).dt.tz_localize("Europe/Berlin")
    frame["scheduled_for"] = times if dtype == "times" else times.astype(object if dtype == "objects" else str)
    assert judged(frame) == ([True, True],) * 2
    naive = frame.assign(scheduled_for=pd.to_datetime(["2026-03-04 10:00", None]))
    assert judged(naive) == ([False, False],) * 2


def test_findings_name_the_cell_as_people_see_it(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "sep=;\nscheduled_for;content;row_id;accounts\n2026-03-04T10:00Z;a;r1;twitter:@aldercoffee\n\n"
        "morgen;b;r2;twitter:@aldercoffee\n2026-03-04T10:00Z;c;r3;instagram:@aldercoffee\n"
    )
    frame = read_campaign(path)
    checked = findings(frame)
    assert checked[["cell", "sheet_row", "code"]].to_numpy().tolist() == [
        ["A4", 4, "time_unreadable"], ["row 5", 5, "media_required"],
    ]  # fmt: skip
    # the places follow the rows: filtered, sorted, numbered anew
    for other in (frame[1:], frame[::-1], frame[1:].reset_index(drop=True)):
        assert set(findings(other)["cell"]) == {"A4", "row 5"}
    plan = plan_create(frame[1:], key="row_id")
    assert plan.why == (Reason("time_unreadable", value="morgen").at("A4"), Reason("media_required").at("row 5"))
    assert findings(pd.DataFrame([HELLO | {"content": None}]))[["cell", "sheet_row"]].isna().all(axis=None)


def test_rows_of_one_name_are_distinguished_by_their_place(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("row_id,content,accounts,scheduled_for\na,x,y,z\na,x,y,z\nb,w,y,q\n")
    found = findings(read_campaign(path))
    assert found["cell"].tolist() == ["A2:A3", "D2:D3", "D4"]
    moved = read_campaign(path)[1:].reset_index(drop=True)
    assert findings(moved)["cell"].tolist() == [pd.NA, "D4"]
