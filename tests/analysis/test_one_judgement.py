"""One judgement of a sheet: an error of the check is not eligible in the plan, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from tests.sheets.offline import findings

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.api.reasons import Reason

GOOD = {
    "row_id": "r1", "content": "Hello", "accounts": "twitter:@aldercoffee", "scheduled_for": "2026-03-04T10:00:00+01:00",
    "media": None, "first_comment": None, "tags": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def ws() -> Iterator[vx.Workspace]:
    with Sandbox(seed=7, speed=0, rate_limit=None) as server, vx.connect(sandbox=server) as workspace:
        yield workspace


def judged(ws: vx.Workspace, frame: pd.DataFrame) -> tuple[list[bool], list[bool], list[bool]]:
    """Which rows are fit: by the check alone, by the plan, and where the API is asked, too."""

    def fit(found: pd.DataFrame) -> list[bool]:
        wrong = set(found.loc[found["level"] == "error", "rows"].explode())
        return [number not in wrong for number in range(len(frame))]

    plan = vx.plan_create(frame, key="row_id").frame["eligible"].tolist()
    return fit(ws.check(frame, ask=False)), plan, fit(ws.check(frame))


@pytest.mark.parametrize("cells", [
    {}, {"content": " "}, {"tags": "['spring', 'offer']"}, {"accounts": "@aldercoffee"}, {"accounts": "instagram:@aldercoffee"},
    {"scheduled_for": "2026-03-04T10:00:00 (does not exist in Europe/Berlin)"},
], ids=str)  # fmt: skip
def test_all_three_agree_on_each_row(ws, cells):
    """What the check and the plan say of every mistake is in the sheets' own tests."""
    check, plan, valid = judged(ws, pd.DataFrame([GOOD | cells], dtype="string"))
    assert check == plan == valid == [not cells]


@pytest.mark.parametrize("dtype", ["times", "objects", "text"])
def test_times_made_by_pandas_are_read_by_all_three(ws, dtype):
    frame = pd.DataFrame([GOOD, GOOD | {"row_id": "r2"}])
    times = pd.Series(pd.to_datetime(["2026-03-04 10:00", "2026-03-05 10:00"])).dt.tz_localize("Europe/Berlin")
    frame["scheduled_for"] = times if dtype == "times" else times.astype(object if dtype == "objects" else str)
    assert judged(ws, frame) == ([True, True],) * 3
    naive = frame.assign(scheduled_for=pd.to_datetime(["2026-03-04 10:00", None]))
    assert judged(ws, naive) == ([False, False],) * 3


def test_a_time_that_has_passed_is_no_error_of_the_plan_which_knows_no_clock_but_is_blocked(ws):
    check, plan, valid = judged(ws, pd.DataFrame([GOOD | {"scheduled_for": "2026-01-01T10:00:00Z"}], dtype="string"))
    assert (check, plan, valid) == ([False], [True], [False])


def test_nothing_that_the_check_refuses_is_sent(sandbox):
    with vx.connect(sandbox=sandbox) as mine:
        sheet = vx.read_campaign(Path(__file__).parents[2] / "data" / "campaign.csv").drop_duplicates()
        before = len(sandbox.requests())
        found = mine.check(sheet, ask=False)
        assert len(sandbox.requests()) == before
        wrong = set(found.loc[found["level"] == "error", "row_id"])
        results = mine.run(vx.plan_create(sheet, key="row_id")).wait().results()
        assert wrong.isdisjoint(results.loc[results["outcome"] != "blocked", "row_id"])
        made = [effect for effect in sandbox.effects() if effect["kind"] == "post.create"]
        assert len(made) == int((results["outcome"] == "succeeded").sum()) > 90


def test_findings_name_the_cell_as_people_see_it(ws, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "sep=;\nscheduled_for;content;row_id;accounts\n2026-03-04T10:00Z;a;r1;twitter:@aldercoffee\n\n"
        "morgen;b;r2;twitter:@aldercoffee\n2026-03-04T10:00Z;c;r3;instagram:@aldercoffee\n"
    )
    frame = vx.read_campaign(path)
    checked = ws.check(frame, ask=False)
    assert checked[["cell", "sheet_row", "code"]].to_numpy().tolist() == [
        ["A4", 4, "time_unreadable"], ["row 5", 5, "media_required"],
    ]  # fmt: skip
    # the places follow the rows: filtered, sorted, numbered anew
    for other in (frame[1:], frame[::-1], frame[1:].reset_index(drop=True)):
        assert set(ws.check(other, ask=False)["cell"]) == {"A4", "row 5"}
    plan = vx.plan_create(frame[1:], key="row_id")
    assert plan.why == (Reason("time_unreadable", value="morgen").at("A4"), Reason("media_required").at("row 5"))
    assert ws.check(pd.DataFrame([GOOD | {"content": None}]), ask=False)[["cell", "sheet_row"]].isna().all(axis=None)


def test_rows_of_one_name_are_distinguished_by_their_place(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("row_id,content,accounts,scheduled_for\na,x,y,z\na,x,y,z\nb,w,y,q\n")
    found = findings(vx.read_campaign(path))
    assert found["cell"].tolist() == ["A2:A3", "D2:D3", "D4"]
    moved = vx.read_campaign(path)[1:].reset_index(drop=True)
    assert findings(moved)["cell"].tolist() == [pd.NA, "D4"]
