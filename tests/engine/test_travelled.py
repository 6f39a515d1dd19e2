"""Frames that went through other tools before they were planned: what happened is counted at the server (rules 3, 4, 5, 19 and 29)."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes

from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.update import plan_update
from voxops.api.reasons import Reason
from voxops.errors import PlanError
from voxops.frames.arrow import from_arrow

Change = Callable[[pd.DataFrame], pd.DataFrame]


def through_json(frame: pd.DataFrame) -> pd.DataFrame:
    file = BytesIO()
    frame.to_json(file, date_format="iso", orient="records")
    file.seek(0)
    return pd.read_json(file, orient="records", dtype=False)


def through_csv(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(BytesIO(frame.to_csv(index=False).encode()))


def through_parquet(frame: pd.DataFrame) -> pd.DataFrame:
    file = BytesIO()
    frame.to_parquet(file)
    file.seek(0)
    return from_arrow(pd.read_parquet(file))


# -- names of rows ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [through_csv, through_json, through_parquet])
@pytest.mark.parametrize("times", [["2027-03-01", "2027-03-02"], ["2027-03-01T09:00", "2027-03-02T10:30:00.5"]])
def test_rule_05_a_mended_row_whose_key_is_a_time_without_a_zone_is_not_posted_again(rig, change: Change, times):
    kernel, sheet = rig.kernel(), rig.campaign(2).assign(slot=pd.to_datetime(times, format="ISO8601"))
    assert outcomes(kernel.run(plan_create(sheet, key="slot", campaign="spring"))) == {"succeeded": 2}
    rig.sandbox.advance(600)
    mended = change(sheet.assign(content=sheet["content"] + ", mended"))
    assert outcomes(kernel.run(plan_create(mended, key="slot", campaign="spring"))) == {"blocked": 2}
    assert len(rig.created()) == 2


def test_rule_05_a_key_that_excel_has_made_a_number_of_names_no_row(rig):
    sheet = rig.campaign(2).assign(brand=[17841405793187218, 17841405793187219])
    with pytest.raises(PlanError, match="may have lost digits in a file; read the column as text"):
        plan_create(sheet, key="brand", campaign="spring")


def test_no_zone_is_guessed_on_the_way_through_arrow(rig):
    sheet = rig.campaign(2).assign(scheduled_for=pd.to_datetime(["2027-07-01T09:00", "2027-07-02T09:00"]))
    plan = plan_create(from_arrow(sheet), key="row_id", campaign="spring")
    assert plan.eligible == 0
    assert plan.frame["reason_code"].isin(["time_without_offset", "time_without_zone"]).all()


# -- what a cell says ---------------------------------------------------------------------------------------------------------------


def tagged(rig: Rig) -> Any:
    """A scheduled post with two tags."""
    rig.kernel("hands").run(
        plan_create(rig.campaign(1, start=70).assign(tags="spring;sale"), key="row_id", campaign="c")
    )
    [post] = rig.sandbox.world.posts.values()
    return post


@pytest.mark.parametrize("nothing", [None, float("nan"), "", "  ", ["", None], [float("nan")]], ids=repr)
def test_tags_stay_where_a_file_has_made_something_else_of_a_missing_cell(rig, nothing):
    kernel = rig.kernel()
    post = tagged(rig)
    frame = kernel.posts("scheduled")
    frame = frame.assign(new_content="other words", new_tags=pd.Series([nothing] * len(frame), dtype=object))
    assert outcomes(kernel.run(plan_update(frame))) == {"succeeded": 1}
    assert post.tags == ["spring", "sale"]
    assert post.content == "other words"


def test_an_empty_list_takes_all_tags_away(rig):
    kernel = rig.kernel()
    post = tagged(rig)
    frame = kernel.posts("scheduled")
    assert outcomes(kernel.run(plan_update(frame.assign(new_tags=[[]] * len(frame))))) == {"succeeded": 1}
    assert post.tags == []


@pytest.mark.parametrize("kind", ["str", "int64", "float64", "category"])
def test_what_an_earlier_run_has_made_stays_however_a_file_spells_it(rig, kind):
    kernel, sheet = rig.kernel(), rig.campaign(3)
    kernel.run(plan_create(sheet.head(2), key="row_id", campaign="spring"))
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
    kernel.go(run)
    made = eventloop.run(kernel.execution(run).made())
    undo = plan_cancel(made.assign(created_by_run=made["created_by_run"].astype(bool).astype(kind)))
    assert undo.eligible == 1
    assert outcomes(kernel.run(undo)) == {"succeeded": 1}
    assert rig.effects("post.cancel") == 1


def test_a_run_a_moment_later_has_not_made_what_the_one_before_it_has(rig):
    """Within the seconds by which clocks may differ, too."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    kernel.run(plan_create(sheet.head(2), key="row_id", campaign="spring"))
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
    kernel.go(run)
    made = eventloop.run(kernel.execution(run).made()).set_index("row")["created_by_run"].sort_index()
    assert made.to_list() == [False, False, True]


def test_a_run_has_made_what_an_earlier_one_had_bound_and_not_sent(rig):
    kernel, sheet = rig.kernel(), rig.campaign(3)
    kernel.bind(plan_create(sheet.head(2), key="row_id", campaign="spring"))
    rig.sandbox.advance(600)
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
    rig.sandbox.advance(1)
    kernel.go(run)
    assert eventloop.run(kernel.execution(run).made())["created_by_run"].to_list() == [True] * 3


def test_a_column_created_by_run_of_other_words_is_refused():
    made = pd.DataFrame(
        {"post_id": ["post_1"], "status": ["scheduled"], "updated_at": [pd.NaT], "created_by_run": ["maybe"]}
    )
    with pytest.raises(PlanError, match="row 0: created_by_run is 'maybe'; it must be True or False"):
        plan_cancel(made)


# -- times --------------------------------------------------------------------------------------------------------------------------


def lost_zone(log: pd.DataFrame) -> pd.DataFrame:
    return log.assign(created_at=log["created_at"].dt.tz_convert("America/New_York").dt.tz_localize(None))


def cut_to_days(log: pd.DataFrame) -> pd.DataFrame:
    return log.assign(created_at=log["created_at"].dt.strftime("%Y-%m-%d"))


def a_day_early(log: pd.DataFrame) -> pd.DataFrame:
    return log.assign(created_at=log["created_at"] - pd.Timedelta("1D"))


def young(rig: Rig, seconds: int) -> pd.DataFrame:
    """Two deliveries that failed so many seconds ago, as they are loaded."""
    world.plant_deliveries(rig.sandbox, 2)
    for delivery in rig.sandbox.world.deliveries.values():
        delivery.created_at = rig.sandbox.world.now() - seconds * 1_000
        rig.sandbox.world.deliveries.save(delivery)
    return rig.kernel("reader").deliveries()


@pytest.mark.parametrize("change", [lost_zone, cut_to_days, a_day_early])
def test_rule_19_a_young_delivery_is_left_to_the_api_whatever_became_of_its_time(rig, change: Change):
    kernel, log = rig.kernel(), young(rig, 600)
    plan = plan_redeliver(change(log))
    assert plan.eligible == 2, "the frame alone says that they are old"
    found = kernel.run(plan)
    assert outcomes(found) == {"blocked": 2}
    assert found["waiting_for"].eq(str(Reason("delivery_young"))).all()
    assert rig.effects("delivery.resend") == 0
    assert outcomes(kernel.run(plan_redeliver(change(log), force=True))) == {"succeeded": 2}
    assert rig.effects("delivery.resend") == 2


def test_rule_19_a_delivery_is_as_old_as_it_is_read(rig):
    kernel, log = rig.kernel(), young(rig, 3_700)
    assert plan_redeliver(log).items[0].seen["loaded"] == log.attrs["fetched_at"]
    assert outcomes(kernel.run(plan_redeliver(log))) == {"succeeded": 2}
