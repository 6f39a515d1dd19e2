"""Creates: who a row is, when its time has passed, and who goes first (rules 5 to 7)."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes
from tests.engine.steps import (
    BULK,
    HOUR,
    RETRY,
    caught,
    edit,
    let_go,
    look_once,
    plan_rows,
    post,
    send_once,
)

from voxops._support import eventloop
from voxops.acts import keys
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.api.reasons import Reason
from voxops.errors import PlanError


def test_rule_05_a_row_is_created_once_however_often_it_is_planned(rig):
    """Run All over: fix the failed rows, run again."""
    kernel = rig.kernel()
    frame = rig.campaign(6)
    frame.loc[1, "content"] = "x" * 9000  # too long for its platform, which only the API knows
    first = kernel.run(plan_create(frame, key="row_id"))
    assert outcomes(first) == {"succeeded": 5, "failed": 1}
    again = kernel.run(plan_create(frame, key="row_id"))
    assert outcomes(again) == {"succeeded": 5, "failed": 1}
    assert again["attempt"].tolist() == [1] * 6
    frame.loc[1, "content"] = "short enough"
    mended = kernel.run(plan_create(frame, key="row_id"))
    assert outcomes(mended) == {"succeeded": 6}
    assert mended["attempt"].tolist() == [1, 2, 1, 1, 1, 1]
    assert set(rig.created().values()) == {1}
    assert len(rig.created()) == 6


def test_rule_05_the_failed_rows_of_a_run_are_its_next_attempt(rig):
    kernel = rig.kernel()
    frame = rig.campaign(3)
    frame.loc[1, "accounts"] = "acc_unknown"
    run = kernel.bind(plan_create(frame, key="row_id"))
    kernel.go(run)
    failed = kernel.results(run)
    failed = failed[failed["outcome"] == "failed"]
    assert failed["row_id"].tolist() == ["r00001"]
    second = plan_create(failed[frame.columns].assign(attempt=failed["attempt"] + 1), key="row_id")
    table = kernel.run(second)
    assert outcomes(table) == {"failed": 1}
    assert table["attempt"].tolist() == [2]
    assert len({entry["key"] for entry in rig.acts()}) == 2


def test_rule_05_a_used_row_with_another_text_is_held_and_holds_nobody_else(rig):
    kernel = rig.kernel()
    frame = rig.campaign(3)
    kernel.run(plan_create(frame, key="row_id"))
    frame.loc[0, "content"] = "something else"
    table = kernel.run(plan_create(frame, key="row_id"))
    assert outcomes(table) == {"succeeded": 2, "blocked": 1}
    assert table["waiting_for"][0].startswith("already posted as post_")
    assert "new campaign name would post" in table["waiting_for"][0]
    other = kernel.run(plan_create(frame, key="row_id", campaign="spring"))
    assert outcomes(other) == {"succeeded": 3}
    assert rig.created()["something else"] == 1


def test_rule_05_an_open_row_with_another_text_is_held_with_what_differs(rig):
    kernel = rig.kernel()
    frame = rig.campaign(2)
    rig.sandbox.add_fault(*post({"action": "drop", "when": "before"}, path=BULK))
    send_once(kernel, kernel.bind(plan_create(frame, key="row_id")))
    frame.loc[0, "content"] = "something else"
    frame.loc[0, "scheduled_for"] = (world.FAR + timedelta(days=1)).isoformat()
    table = kernel.results(kernel.bind(plan_create(frame, key="row_id")))
    assert table["outcome"][0] == "blocked"
    assert (
        table["waiting_for"][0]
        == "an attempt with other values of content, scheduled_for is still open; wait for its outcome"
    )
    assert "something else" not in rig.created()


def test_rule_05_numbers_and_texts_name_the_same_row_and_bad_names_raise():
    assert len({keys.row_key(value) for value in (1, "1", 1.0, pd.Series([1.0])[0])}) == 1
    frame = world.campaign(dict.fromkeys(world.PLATFORMS, "acc_1"), 3)
    with pytest.raises(PlanError, match="more than once"):
        plan_create(frame.assign(row_id=[1, "1", 2]), key="row_id")
    with pytest.raises(PlanError, match="no value"):
        plan_create(frame.assign(row_id=["a", None, "b"]), key="row_id")


def test_rule_06_a_create_whose_time_has_passed_is_held(rig):
    kernel = rig.kernel()
    now = rig.sandbox.now()
    frame = rig.campaign(3)
    frame["scheduled_for"] = [(now + timedelta(hours=h)).isoformat() for h in (-1, 1, 48)]
    run = kernel.bind(plan_create(frame, key="row_id"))
    rig.sandbox.advance(2 * HOUR)
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"blocked": 2, "succeeded": 1}
    assert table["waiting_for"].dropna().unique().tolist() == ["its time has passed"]
    assert len(rig.created()) == 1


def test_rule_06_an_unknown_batch_proved_absent_drops_what_is_late_by_then(rig):
    """The connection broke before the server had it; when that is proved, one row's time is over."""
    world.plant_posts(rig.sandbox, 1)  # so that the list shows that posts have metadata
    kernel = rig.kernel(retention=HOUR)  # the key is not trusted, so absence must be proved first
    frame = rig.campaign(2)
    frame.loc[0, "scheduled_for"] = (rig.sandbox.now() + timedelta(minutes=4)).isoformat()
    rig.sandbox.add_fault(*post({"action": "drop"}, path=BULK))
    table = kernel.run(plan_create(frame, key="row_id"))
    assert outcomes(table) == {"blocked": 1, "succeeded": 1}
    assert table["waiting_for"][0] == "its time has passed"
    assert list(rig.created()) == ["row 1 of the campaign"]


def test_rule_06_rows_without_a_time_are_refused():
    frame = world.campaign(dict.fromkeys(world.PLATFORMS, "acc_1"), 3).assign(
        scheduled_for=[None, "", "2027-01-01T10:00"]
    )
    plan = plan_create(frame, key="row_id")
    assert not plan.frame["eligible"].any()
    assert plan.frame["reason_code"].to_list() == ["time_missing", "time_missing", "time_without_offset"]


def test_rule_06_a_create_is_not_sent_again_after_its_time(rig):
    """The first try was lost on its way; when it could be sent again, the time of its rows has passed."""
    kernel = rig.kernel()
    frame = rig.campaign(2)
    frame["scheduled_for"] = (rig.sandbox.now() + timedelta(seconds=40)).isoformat()
    world.plant_posts(rig.sandbox, 1)  # shows that posts have metadata, so that absence can be proved
    rig.sandbox.add_fault(*post({"action": "drop", "when": "before"}, path=BULK))
    table = kernel.run(plan_create(frame, key="row_id"))
    assert rig.effects("post.create") == 0
    assert table["waiting_for"].str.contains("its time has passed").fillna(False).all()


def test_rule_06_time_that_passes_between_a_reading_and_its_resend_counts(rig):
    """A batch of which nobody knows is cleared in time, and its turn comes too late; and too late it is not cleared either."""
    kernel = rig.kernel()
    world.plant_posts(rig.sandbox, 1)  # shows that posts have metadata
    frame = rig.campaign(2)
    frame["scheduled_for"] = (rig.sandbox.now() + timedelta(seconds=200)).isoformat()
    run = kernel.bind(plan_create(frame, key="row_id"))
    rig.sandbox.add_fault(*post({"action": "drop", "when": "before"}, path=BULK))
    send_once(kernel, run)
    look_once(kernel, run)
    rig.sandbox.advance(140)
    (unknown,) = kernel.ledger.operations.of_run(run)
    (cleared,) = look_once(kernel, run).resend
    rig.sandbox.advance(70)
    current = kernel.execution(run).current
    eventloop.run(kernel.engine.sender.send(current, cleared))
    assert "its time has passed" in current.reasons.refused[unknown.id]
    assert look_once(kernel, run).resend == []
    assert rig.effects("post.create") == 0


def test_rule_07_a_cause_goes_on_when_half_of_its_canaries_succeed(rig):
    world.plant_posts(rig.sandbox, 9, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged().assign(cause="rate")).canary(2)
    run = kernel.bind(plan)
    work = caught(rig, kernel, run, RETRY)
    assert len(rig.acts()) <= 2, "the others wait"
    let_go(rig)
    work.result(60)
    assert outcomes(kernel.results(run)) == {"succeeded": 9}


def test_rule_07_a_cause_whose_canaries_fail_is_held(rig):
    world.plant_posts(rig.sandbox, 6, targets=1)
    rig.sandbox.set_switches(recovery_rate=0.0)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged().assign(cause="rate")).canary(2)
    assert [operation.canary for operation in plan.operations] == [True] * 2 + [False] * 4
    assert sorted(o.key for o in plan.operations if o.canary) == sorted(o.key for o in plan.operations)[:2], (
        "members are fixed"
    )
    table = kernel.run(plan)
    assert outcomes(table) == {"failed": 2, "blocked": 4}
    assert table["waiting_for"].dropna().unique().tolist() == [str(Reason("canaries_failed", succeeded=0, canaries=2))]
    assert rig.effects("post.retry") == 2


def test_rule_07_without_a_canary_that_could_be_sent_nothing_goes(rig):
    """All canaries are held because their posts changed: nobody has tried the cause, so the others wait."""
    world.plant_posts(rig.sandbox, 5, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged().assign(cause="rate")).canary(2)
    for operation in plan.operations:
        if operation.canary:
            edit(rig, operation.items[0].label)
    table = kernel.run(plan)
    assert outcomes(table) == {"blocked": 5}
    assert rig.acts() == []


def test_rule_07_the_first_rows_of_a_campaign_are_its_canaries(rig):
    kernel = rig.kernel()
    frame = rig.campaign(60)
    frame.loc[0, "accounts"] = frame.loc[1, "accounts"] = "acc_unknown"
    table = kernel.run(plan_create(frame, key="row_id").canary(3))
    assert outcomes(table) == {"failed": 2, "succeeded": 1, "blocked": 57}
    assert len(rig.created()) == 1


@pytest.mark.parametrize("refused", [402, 403])
def test_rule_07_canaries_chosen_after_a_plain_run_was_stopped_go_first(rig, refused):
    kernel = rig.kernel()
    plan = plan_rows(rig, 60)
    rig.sandbox.add_fault(
        *post({"action": "status", "status": refused, "code": "LIMIT_EXCEEDED", "times": 2}, path=BULK)
    )
    kernel.go(kernel.bind(plan))
    assert rig.effects("post.create") == 0
    assert outcomes(kernel.run(plan.canary(3))) == {"succeeded": 60}
    sizes = [effect["request"] for effect in rig.sandbox.effects("post.create")]
    assert Counter(sizes).most_common()[-1][1] == 3, "the canaries went alone"
    assert rig.count(expected(plan)).holds


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("cell", ["{id}; {id}", "{id}; {name}", "{name}; {name}"])
def test_an_account_that_stands_twice_in_a_row_is_sent_once(rig, cell, one_by_one):
    """By its id and by its name: an API that makes a target of each would publish the text there twice."""
    rig.sandbox.set_switches(record_bodies=True)
    account = rig.accounts["twitter"]
    name = f"twitter:@{rig.sandbox.world.accounts[account].username.lstrip('@')}"
    sheet = rig.campaign(1).assign(accounts=cell.format(id=account, name=name))
    table = rig.kernel().run(plan_create(sheet, key="row_id", one_by_one=one_by_one))
    assert outcomes(table) == {"succeeded": 1}
    (sent,) = rig.acts()
    body = json.loads(sent["sent"])
    assert [post["accountIds"] for post in body.get("posts", [body])] == [[account]]
