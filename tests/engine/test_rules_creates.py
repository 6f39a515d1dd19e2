"""Creates: who a row is, when its time has passed, and who goes first (rules 5 to 7)."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, HOUR, RETRY, caught, edit, let_go, post, send_once
from tests.engine.verbs import blocked

from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry


def test_rule_05_a_row_is_created_once_however_often_it_is_planned(rig: Rig) -> None:
    """Run All, twice; the failed row as its next attempt; then the sheet is mended."""
    kernel, frame = rig.kernel(), rig.campaign(6)
    frame.loc[1, "content"] = "x" * 9000  # too long for its platform, which only the API knows
    for _ in range(2):
        table = kernel.run(plan_create(frame, key="row_id"))
        assert outcomes(table) == {"succeeded": 5, "failed": 1}
        assert table["attempt"].tolist() == [1] * 6
    failed = table[table["outcome"] == "failed"]
    again = kernel.run(plan_create(failed[frame.columns].assign(attempt=failed["attempt"] + 1), key="row_id"))
    assert again[["row_id", "outcome", "attempt"]].values.tolist() == [["r00001", "failed", 2]]
    assert len({entry["key"] for entry in rig.acts()}) == 2
    frame.loc[1, "content"] = "short enough"
    mended = kernel.run(plan_create(frame, key="row_id"))
    assert outcomes(mended) == {"succeeded": 6}
    assert mended["attempt"].tolist() == [1, 3, 1, 1, 1, 1]
    assert rig.created() == dict.fromkeys(frame["content"], 1)


def test_rule_05_a_used_row_with_another_text_is_blocked_and_blocks_nobody_else(rig: Rig) -> None:
    kernel, frame = rig.kernel(), rig.campaign(3)
    kernel.run(plan_create(frame, key="row_id"))
    frame.loc[0, "content"] = "something else"
    table = kernel.run(plan_create(frame, key="row_id"))
    assert outcomes(table) == {"succeeded": 2, "blocked": 1}
    assert table["reason_code"][0] == "created_otherwise_update"
    assert outcomes(kernel.run(plan_create(frame, key="row_id", campaign="spring"))) == {"succeeded": 3}
    assert rig.created()["something else"] == 1


def test_rule_05_an_open_row_with_another_text_is_blocked_with_what_differs(rig: Rig) -> None:
    kernel, frame = rig.kernel(), rig.campaign(2)
    rig.sandbox.add_fault(*post({"action": "drop", "when": "before"}, path=BULK))
    send_once(kernel, kernel.bind(plan_create(frame, key="row_id")))
    frame.loc[0, "content"] = "something else"
    frame.loc[0, "scheduled_for"] = (world.FAR + timedelta(days=1)).isoformat()
    table = kernel.results(kernel.bind(plan_create(frame, key="row_id")))
    assert table[["outcome", "reason_code"]].values.tolist()[0] == ["blocked", "open_otherwise"]
    assert "content, scheduled_for" in table["waiting_for"][0]
    assert "something else" not in rig.created()


def test_rule_06_a_create_whose_time_has_passed_is_blocked(rig: Rig) -> None:
    """When it is bound, or before it is sent."""
    kernel, frame = rig.kernel(), rig.campaign(3)
    frame["scheduled_for"] = [(rig.sandbox.now() + timedelta(hours=hours)).isoformat() for hours in (-1, 1, 48)]
    run = kernel.bind(plan_create(frame, key="row_id"))
    assert blocked(kernel, run) == {"time_passed": 1}
    rig.sandbox.advance(2 * HOUR)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"blocked": 2, "succeeded": 1}
    assert blocked(kernel, run) == {"time_passed": 2}
    assert len(rig.created()) == 1


@pytest.mark.parametrize(("retention", "seconds"), [(HOUR, 240), (24 * HOUR, 40)], ids=["absent", "not resent"])
def test_rule_06_a_lost_batch_is_not_sent_again_after_its_time(rig: Rig, retention: float, seconds: float) -> None:
    """The connection broke before the server had it; one row's time passes, and the other goes in a call of its own."""
    world.plant_posts(rig.sandbox, 1)  # so that the list shows that posts have metadata
    kernel, frame = rig.kernel(retention=retention), rig.campaign(2)
    frame.loc[0, "scheduled_for"] = (rig.sandbox.now() + timedelta(seconds=seconds)).isoformat()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "before"}, path=BULK))
    table = kernel.run(plan_create(frame, key="row_id"))
    assert table[["outcome", "reason_code"]].fillna("").values.tolist() == [
        ["blocked", "time_passed"],
        ["succeeded", ""],
    ]
    assert list(rig.created()) == ["row 1 of the campaign"]


def test_rule_07_a_cause_goes_on_when_half_of_its_canaries_succeed(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 9, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged().assign(cause="rate")).canary(2))
    work = caught(rig, kernel, run, RETRY)
    assert len(rig.acts()) <= 2, "the others wait"
    let_go(rig)
    work.result(60)
    assert outcomes(kernel.results(run)) == {"succeeded": 9}


@pytest.mark.parametrize("changed", [False, True])
def test_rule_07_a_cause_whose_canaries_fail_or_are_blocked_is_blocked(rig: Rig, changed: bool) -> None:
    """Where all canaries are blocked, since their posts have changed, nobody has tried the cause."""
    world.plant_posts(rig.sandbox, 6, targets=1)
    rig.sandbox.set_switches(recovery_rate=0.0)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged().assign(cause="rate")).canary(2)
    first = plan.frame[[row in plan.first for row in range(6)]]
    assert sorted(first["idempotency_key"]) == sorted(plan.frame["idempotency_key"])[:2], "members are fixed"
    for name in first["post_id"] if changed else ():
        edit(rig, name)
    table = kernel.run(plan)
    assert outcomes(table) == ({"blocked": 6} if changed else {"failed": 2, "blocked": 4})
    assert Counter(table["reason_code"].dropna())["canaries_failed"] == 4
    assert rig.effects("post.retry") == (0 if changed else 2)


def test_rule_07_the_first_rows_of_a_campaign_are_its_canaries(rig: Rig) -> None:
    kernel, frame = rig.kernel(), rig.campaign(60)
    frame.loc[0, "accounts"] = frame.loc[1, "accounts"] = "acc_unknown"
    table = kernel.run(plan_create(frame, key="row_id").canary(3))
    assert outcomes(table) == {"failed": 2, "succeeded": 1, "blocked": 57}
    assert len(rig.created()) == 1


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("cell", ["{id}; {id}", "{id}; {name}", "{name}; {name}"])
def test_an_account_that_stands_twice_in_a_row_is_sent_once(rig: Rig, cell: str, one_by_one: bool) -> None:
    """By its id and by its name: an API that makes a target of each would publish the text there twice."""
    rig.sandbox.set_switches(record_bodies=True)
    account = rig.accounts["twitter"]
    name = f"twitter:@{rig.sandbox.world.accounts[account].username.lstrip('@')}"
    sheet = rig.campaign(1).assign(accounts=cell.format(id=account, name=name))
    assert outcomes(rig.kernel().run(plan_create(sheet, key="row_id", one_by_one=one_by_one))) == {"succeeded": 1}
    (sent,) = rig.acts()
    body = json.loads(sent["sent"])
    assert [one["accountIds"] for one in body.get("posts", [body])] == [[account]]
