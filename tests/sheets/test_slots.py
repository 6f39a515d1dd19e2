"""Slots become times by the arguments alone: the first that no other post of an account holds, whatever clocks do."""

from __future__ import annotations

import pandas as pd
import pytest

import voxops as vx

A, B = "twitter:@a", "facebook:@b"
SLOTS = {"Morning": "9:00", "noon": "12:30"}


def sheet_of(*rows: tuple[str, ...]) -> pd.DataFrame:
    """Rows of accounts, slot and time, each with a text of its own."""
    frame = pd.DataFrame(
        [(*row, None)[:3] for row in rows], columns=["accounts", "slot", "scheduled_for"], dtype="string"
    )
    names = [f"r{number}" for number in range(len(frame))]
    frame = frame.assign(row_id=names, content=names)
    frame.attrs["tz"] = "Europe/Berlin"
    return frame


def filled(*rows: tuple[str, ...], start: str = "2026-12-01", **more: object) -> list[str | None]:
    """The times as ``day hour`` in December, in Berlin."""
    times = vx.fill_slots(sheet_of(*rows), SLOTS, start=start, **more)["scheduled_for"]
    return [None if pd.isna(each) else f"{pd.Timestamp(each).tz_convert('Europe/Berlin'):%d %H:%M}" for each in times]


@pytest.mark.parametrize(("rows", "more", "expected"), [
    ([(A, "next"), (A, "Next "), (A, "next")], {}, ["01 09:00", "01 12:30", "02 09:00"]),
    ([(A, "next"), (B, "next"), (f"{B}; {A}", "next")], {}, ["01 09:00", "01 09:00", "01 12:30"]),
    ([(A, "noon"), (A, "next"), (A, "morning"), (A, "MORNING"), (A, "next")], {}, ["01 12:30", "01 09:00", "02 09:00", "03 09:00", "02 12:30"]),
    ([(A, "next"), (A, None, "2026-12-01T08:55:00+01:00"), (A, "noon", "2026-12-24T10:00:00Z"), (A, None)], {}, ["01 12:30", "01 08:55", "24 11:00", None]),
    ([(A, "next"), (A, None, "2026-12-01T08:55:00+01:00")], {"gap": "5min"}, ["01 09:00", "01 08:55"]),
    ([(A, "next"), (A, None, "2026-12-01T08:00:00Z")], {"gap": "0min"}, ["01 12:30", "01 09:00"]),
    ([(A, "morning"), (A, "next")], {"start": "2026-12-01T10:00"}, ["02 09:00", "01 12:30"]),
    ([(A, "next")], {"start": "2026-12-01T08:00:01Z"}, ["01 12:30"]),
    ([(A, "morning")] * 3, {"days": "Mon-Tue, Fri"}, ["01 09:00", "04 09:00", "07 09:00"]),
    ([(A, "morning")] * 3, {"days": "sat-mon"}, ["05 09:00", "06 09:00", "07 09:00"]),
    ([("", "next"), ("", "next")], {}, ["01 09:00", "01 12:30"]),
])  # fmt: skip
def test_a_row_takes_the_first_slot_that_no_other_row_holds_on_any_of_its_accounts(rows, more, expected):
    assert filled(*rows, **more) == expected


def test_the_result_is_a_copy_that_stays_as_it_is_and_shows_its_slots_in_a_plan_and_collides_with_nothing(tmp_path):
    rows = sheet_of(*[(A, "next")] * 5, (A, "noon"))
    before = rows.copy()
    once = vx.fill_slots(rows, SLOTS, start="2026-12-01")
    pd.testing.assert_frame_equal(rows, before)
    pd.testing.assert_frame_equal(once, vx.fill_slots(rows, SLOTS, start="2026-12-01"))
    pd.testing.assert_frame_equal(once, vx.fill_slots(once, SLOTS, start="2027-01-01"))
    assert once.loc[0, "scheduled_for"] == "2026-12-01T09:00:00+01:00"
    plan = vx.plan_create(once, key="row_id")
    assert (plan.eligible, plan.frame["slot"].to_list()) == (6, ["next"] * 5 + ["noon"])
    assert "slot" in repr(plan)
    with vx.connect(sandbox=True) as ws:
        assert ws.check(once, ask=False).empty


@pytest.mark.parametrize(("day", "clock", "expected"), [
    ("2027-03-28", "2:30", ["2027-03-29T02:30:00+02:00", "2027-03-30T02:30:00+02:00"]),  # there is no such time on the 28th
    ("2026-10-25", "2:30", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),  # it is there twice
    ("2026-10-25T00:45Z", "2:30", ["2026-10-26T02:30:00+01:00", "2026-10-27T02:30:00+01:00"]),  # between the two
])  # fmt: skip
def test_a_time_that_clocks_skip_or_repeat_is_no_other_time(day, clock, expected):
    rows = sheet_of((A, "night"), (A, "next"))
    assert vx.fill_slots(rows, {"night": clock}, start=day)["scheduled_for"].to_list() == expected


@pytest.mark.parametrize(("change", "error", "said"), [
    ({"slots": {"mornings": "9:00"}}, vx.errors.PlanError, r"no slot 'morning' \(the row at position 1\); did you mean 'mornings'"),
    ({"slots": {}}, vx.errors.ConfigError, "slots="), ({"slots": {"next": "9:00"}}, vx.errors.ConfigError, "name of its own"),
    ({"slots": {"morning": "9 o'clock"}}, vx.errors.ConfigError, "like '9:00'"), ({"slots": {"morning": "25:00"}}, vx.errors.ConfigError, "like"),
    ({"start": "7D"}, vx.errors.ConfigError, "start='7D'"), ({"start": "today"}, vx.errors.ConfigError, "start='today'"), ({"start": None}, vx.errors.ConfigError, "start="),
    ({"days": "weekdays"}, vx.errors.ConfigError, "days="), ({"gap": "soon"}, vx.errors.ConfigError, "gap="), ({"tz": "Berlin"}, vx.errors.ConfigError, "Berlin"),
])  # fmt: skip
def test_what_can_not_be_read_is_refused(change, error, said):
    with pytest.raises(error, match=said):
        vx.fill_slots(sheet_of((A, "next"), (A, "morning")), **{"slots": SLOTS, "start": "2026-12-01", **change})


def test_a_sheet_needs_slots_and_a_zone_and_names_the_cell_of_an_unknown_slot(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text("row_id,content,accounts,slot\n1,Hi,twitter:@a,next\n2,Ho,twitter:@a,nooon\n")
    sheet = vx.read_campaign(path)
    with pytest.raises(vx.errors.PlanError, match=r"no slot 'nooon' \(D3\); did you mean 'noon'"):
        vx.fill_slots(sheet, SLOTS, start="2026-12-01", tz="Europe/Berlin")
    with pytest.raises(vx.errors.ConfigError, match="no time zone"):
        vx.fill_slots(sheet, SLOTS, start="2026-12-01")
    with pytest.raises(vx.errors.PlanError, match="slot"):
        vx.fill_slots(sheet.drop(columns="slot"), SLOTS, start="2026-12-01", tz="UTC")
    times = vx.fill_slots(sheet.replace("nooon", "noon"), SLOTS, start="2026-12-01", tz="UTC")
    assert times["scheduled_for"].to_list() == ["2026-12-01T09:00:00+00:00", "2026-12-01T12:30:00+00:00"]


def test_ten_thousand_rows_of_one_account_are_filled_in_seconds():
    rows = pd.concat([sheet_of((A, "next"), (A, "noon"))] * 5_000, ignore_index=True)
    times = vx.fill_slots(rows, SLOTS, start="2026-12-01")["scheduled_for"]
    assert times.is_unique
