"""Frames that went through other tools before they were planned: what happened is counted at the server (rules 3, 4, 5, 19 and 29)."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import planned

from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.update import plan_update
from voxops.frames.arrow import from_arrow

Change = Callable[[pd.DataFrame], pd.DataFrame]


def through_json(frame: pd.DataFrame) -> pd.DataFrame:
    file = BytesIO(frame.to_json(date_format="iso", orient="records").encode())
    return pd.read_json(file, orient="records", dtype=False)


def through_csv(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(BytesIO(frame.to_csv(index=False).encode()))


def through_parquet(frame: pd.DataFrame) -> pd.DataFrame:
    file = BytesIO()
    frame.to_parquet(file)
    file.seek(0)
    return from_arrow(pd.read_parquet(file))


@pytest.mark.parametrize("change", [through_csv, through_json, through_parquet])
@pytest.mark.parametrize("times", [["2027-03-01", "2027-03-02"], ["2027-03-01T09:00", "2027-03-02T10:30:00.5"]])
def test_rule_05_a_mended_row_whose_key_is_a_time_without_a_zone_is_not_posted_again(
    rig: Rig, change: Change, times: list[str]
) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(2).assign(slot=pd.to_datetime(times, format="ISO8601"))
    assert outcomes(kernel.run(plan_create(sheet, key="slot", campaign="spring"))) == {"succeeded": 2}
    rig.sandbox.advance(600)
    mended = change(sheet.assign(content=sheet["content"] + ", mended"))
    assert outcomes(kernel.run(plan_create(mended, key="slot", campaign="spring"))) == {"blocked": 2}
    assert len(rig.created()) == 2


# -- what a cell says ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nothing", [None, float("nan"), "", "  ", ["", None], [float("nan")], []], ids=repr)
def test_tags_stay_where_a_file_has_made_something_else_of_a_missing_cell(rig: Rig, nothing: Any) -> None:
    """An empty list takes all tags away."""
    kernel = rig.kernel()
    kernel.run(planned(rig.campaign(1).assign(tags="spring;sale")))
    [post] = rig.sandbox.world.posts.values()
    frame = kernel.posts("scheduled").assign(new_content="other words", new_tags=pd.Series([nothing], dtype=object))
    assert outcomes(kernel.run(plan_update(frame))) == {"succeeded": 1}
    assert (post.tags, post.content) == ([] if nothing == [] else ["spring", "sale"], "other words")


# -- what a run has created ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "created"), [("sent", [False, False, True]), ("bound", [True] * 3), ("the same", [True] * 3)]
)
def test_a_run_has_created_what_it_sent_or_what_the_run_sent_that_it_repeats(
    rig: Rig, before: str, created: list[bool]
) -> None:
    """A moment after another run of two of its rows, within the seconds by which clocks may differ, too."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    first = kernel.bind(planned(sheet if before == "the same" else sheet.head(2)))
    if before != "bound":
        kernel.go(first)
    run = kernel.bind(planned(sheet))
    kernel.go(run)
    made = eventloop.run(kernel.execution(run).made()).set_index("row")["created_by_run"].sort_index()
    assert made.to_list() == created


@pytest.mark.parametrize("kind", ["str", "int64", "float64", "category"])
def test_what_an_earlier_run_has_created_stays_however_a_file_spells_it(rig: Rig, kind: str) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(3)
    kernel.run(planned(sheet.head(2)))
    run = kernel.bind(planned(sheet))
    kernel.go(run)
    made = eventloop.run(kernel.execution(run).made())
    undo = plan_cancel(made.assign(created_by_run=made["created_by_run"].astype(bool).astype(kind)))
    assert undo.eligible == 1
    assert outcomes(kernel.run(undo)) == {"succeeded": 1}
    assert rig.effects("post.cancel") == 1


# -- times --------------------------------------------------------------------------------------------------------------------------

TIMES: dict[str, Change] = {
    "lost its zone": lambda log: log.assign(
        created_at=log["created_at"].dt.tz_convert("America/New_York").dt.tz_localize(None)
    ),
    "cut to days": lambda log: log.assign(created_at=log["created_at"].dt.strftime("%Y-%m-%d")),
    "a day early": lambda log: log.assign(created_at=log["created_at"] - pd.Timedelta("1D")),
}


def aged(rig: Rig, seconds: int) -> pd.DataFrame:
    """Two deliveries that failed so many seconds ago, as they are loaded."""
    world.plant_deliveries(rig.sandbox, 2)
    for delivery in rig.sandbox.world.deliveries.values():
        delivery.created_at = rig.sandbox.world.now() - seconds * 1_000
        rig.sandbox.world.deliveries.save(delivery)
    return rig.kernel("reader").deliveries()


@pytest.mark.parametrize("change", TIMES)
def test_rule_19_a_young_delivery_is_left_to_the_api_whatever_became_of_its_time(rig: Rig, change: str) -> None:
    kernel, log = rig.kernel(), TIMES[change](aged(rig, 600))
    plan = plan_redeliver(log)
    assert plan.eligible == 2, "the frame alone says that they are old"
    assert kernel.run(plan)["reason_code"].tolist() == ["delivery_young"] * 2
    assert rig.effects("delivery.resend") == 0
    assert outcomes(kernel.run(plan_redeliver(log, force=True))) == {"succeeded": 2}
    assert rig.effects("delivery.resend") == 2


def test_rule_19_a_delivery_is_as_old_as_it_is_read(rig: Rig) -> None:
    kernel, log = rig.kernel(), aged(rig, 3_700)
    assert plan_redeliver(log).items[0].seen["loaded"] == log.attrs["fetched_at"]
    assert outcomes(kernel.run(plan_redeliver(log))) == {"succeeded": 2}
