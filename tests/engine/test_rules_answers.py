"""What an answer proves: items by index, refusals, and what stops a run (rules 15 to 17)."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes
from tests.engine.steps import (
    BULK,
    RETRY,
    caught,
    killed,
    let_go,
    plan_rows,
    post,
    send_once,
    wait_for,
)

from voxburst_sandbox import Fault, posts
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry


@pytest.mark.parametrize("spoilt", ["bulk_double_index", "bulk_missing_index", "bulk_unknown_index"])
def test_rule_15_items_are_read_by_index_and_unreadable_ones_are_unknown(rig, spoilt):
    kernel = rig.kernel()
    frame = rig.campaign(6)
    frame.loc[1, "accounts"] = "acc_unknown"
    plan = plan_create(frame, key="row_id")
    rig.sandbox.add_fault(Fault(action=spoilt, method="POST", path=BULK))
    run = kernel.bind(plan)
    table = kernel.results(run)
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"succeeded": 5, "failed": 1}
    assert table["outcome"].tolist()[1] == "failed"
    by_text = {effect["content"]: effect["post"] for effect in rig.sandbox.effects("post.create")}
    assert [by_text.get(text) for text in table["content"]] == [
        None if pd.isna(one) else one for one in table["result_id"]
    ]
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize("body", ["html", "json", "empty"])
def test_rule_15_a_2xx_of_another_shape_proves_nothing(rig, body):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "garbage", "body": body, "nth": 1}, path=RETRY))
    rig.sandbox.add_fault(
        *post({"action": "garbage", "body": body, "when": "before", "status": 200, "nth": 1}, path=BULK)
    )
    assert outcomes(kernel.run(plan_retry(kernel.triaged()))) == {"succeeded": 1}
    assert outcomes(kernel.run(plan_rows(rig, 3))) == {"succeeded": 3}
    assert rig.effects("post.retry") == 1
    assert set(rig.created().values()) == {1}


def test_rule_15_a_refused_batch_that_shows_items_is_read_and_not_sent_anew(rig):
    """422, five items say created and one is missing: what happened is looked up, nothing leaves under another key."""
    rig.sandbox.set_switches(bulk_status="422")
    kernel = rig.kernel()
    plan = plan_rows(rig, 6)
    wanted = expected(plan)
    rig.sandbox.add_fault(Fault(action="bulk_missing_index", method="POST", path=BULK))
    assert outcomes(kernel.run(plan)) == {"succeeded": 6}
    assert rig.effects("post.create") == 6
    assert rig.count(wanted).holds


def test_rule_16_a_4xx_on_the_first_try_proves_failure(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT"}, path=RETRY))
    table = kernel.run(plan_retry(frame))
    assert outcomes(table) == {"failed": 1}
    assert table["error_code"].tolist() == ["CONFLICT"]
    again = frame.assign(attempt=2)
    again.attrs = frame.attrs
    assert outcomes(kernel.run(plan_retry(again))) == {"succeeded": 1}
    assert len({entry["key"] for entry in rig.acts()}) == 2


def test_rule_16_a_4xx_after_an_ambiguous_try_proves_nothing(rig):
    """The first try took effect and its answer was lost; the second is refused, as the post can't be retried any more."""
    rig.sandbox.set_switches(ignore_keys=True, linger_failed_seconds=250.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after", "nth": 1}, path=RETRY))
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT", "nth": 2}, path=RETRY))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1
    assert len(rig.acts()) == 2, "whoever was refused does not ask again, but reads"


def test_rule_16_a_refusal_whose_answer_was_lost_is_failed_in_the_end(rig):
    """The sender was killed with a 400 on its way, which the server keeps under the key: every resend gets the same."""
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    frame = rig.campaign(1)
    frame.loc[0, "accounts"] = "acc_unknown"
    killed(rig, kernel, kernel.bind(plan_create(frame, key="row_id")), BULK)
    table = rig.kernel().run(plan_create(frame, key="row_id"))
    assert outcomes(table) == {"failed": 1}
    assert len(rig.acts()) <= 3


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_16_a_page_with_a_4xx_that_is_not_the_api_s_makes_no_row_twice(rig, when, one_by_one):
    """A proxy withholds the answer and gives a page of its own: halved, or planned again, the rows would be made twice."""
    path = "/v1/posts" if one_by_one else BULK
    rig.sandbox.add_fault(*post({"action": "garbage", "body": "html", "status": 404, "when": when}, path=path))
    plan = plan_rows(rig, 4, one_by_one=one_by_one)
    assert outcomes(rig.kernel().run(plan)) == {"succeeded": 4}
    assert list(rig.created().values()) == [1] * 4


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_16_a_page_after_a_lost_try_refuses_no_more_than_one_after_none(rig, one_by_one):
    """What reading has found absent was lost, and not refused by a page: the first page says as little as ever."""
    path = "/v1/posts" if one_by_one else BULK
    rig.sandbox.add_fault(*post({"action": "drop", "when": "before", "nth": 1}, path=path))
    rig.sandbox.add_fault(
        *post({"action": "garbage", "body": "html", "status": 404, "when": "after", "nth": 2}, path=path)
    )
    assert outcomes(rig.kernel().run(plan_rows(rig, 1, one_by_one=one_by_one))) == {"succeeded": 1}
    assert list(rig.created().values()) == [1]


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("when", ["before", "after"])
def test_rule_17_a_page_that_stops_the_run_is_no_word_of_what_it_stood_in_for(rig, status, when):
    """A proxy that inspects answers withholds the API's own, and says that nobody may: whoever goes on posts nothing twice."""
    rig.sandbox.set_switches(ignore_keys=True)
    rig.sandbox.add_fault(*post({"action": "garbage", "body": "html", "status": status, "when": when}, path=BULK))
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 3))
    assert kernel.go(run).note.startswith(f"{status} came without the API's own words")
    # What was sent is looked at all the same: it is there, or proved absent and left for whoever goes on.
    assert outcomes(kernel.results(run)) == {"pending" if when == "before" else "succeeded": 3}
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 3}
    assert list(rig.created().values()) == [1] * 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_rule_17_a_page_that_asks_to_slow_down_is_no_word_of_what_it_stood_in_for(rig, when):
    """The API's own 429 has words or says how long to wait; a page without either may withhold what became of the rows."""
    rig.sandbox.set_switches(ignore_keys=True)
    rig.sandbox.add_fault(*post({"action": "garbage", "body": "html", "status": 429, "when": when}, path=BULK))
    assert outcomes(rig.kernel().run(plan_rows(rig, 3))) == {"succeeded": 3}
    assert list(rig.created().values()) == [1] * 3


def test_rule_16_whoever_keeps_a_row_out_with_a_page_has_refused_it_in_the_end(rig):
    rig.sandbox.add_fault(
        *post({"action": "garbage", "body": "html", "status": 406, "when": "before", "times": None}, path="/v1/posts")
    )
    table = rig.kernel().run(plan_rows(rig, 2, one_by_one=True))
    assert table["error_code"].tolist() == ["HTTP_406"] * 2
    assert len(rig.acts()) == 4, "once each, and once more when it was proved that nothing had come of it"


@pytest.mark.parametrize("code", ["IDEMPOTENCY_CONFLICT", ""])
def test_rule_16_a_conflict_of_keys_is_unknown_and_no_reason_for_another_key(rig, code):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": code, "times": None}, path=RETRY))
    run = kernel.bind(plan_retry(kernel.triaged()))
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"unknown": 1}
    assert len({entry["key"] for entry in rig.acts()}) == 1
    assert "dashboard" in kernel.results(run)["waiting_for"][0]


def test_rule_16_a_request_still_in_progress_is_waited_for(rig):
    """Two ledgers send the same key at the same moment: the second is asked to wait, and learns how the first ended."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    one, two = rig.kernel("one"), rig.kernel("two")
    plan = plan_retry(one.triaged())
    mine, hers = one.bind(plan), two.bind(plan)
    work = caught(rig, one, mine, RETRY)
    other = two.start(hers)
    wait_for(lambda: 409 in {entry["status"] for entry in rig.acts()})
    let_go(rig)
    work.result(30)
    other.result(30)
    assert outcomes(one.results(mine)) == outcomes(two.results(hers)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


@pytest.mark.parametrize(
    ("status", "code"), [(401, "UNAUTHORIZED"), (402, "LIMIT_EXCEEDED"), (403, "AUTHORIZATION_ERROR")]
)
def test_rule_17_a_key_that_is_refused_stops_the_run_and_fails_nobody(rig, status, code):
    world.plant_posts(rig.sandbox, 40, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    rig.sandbox.add_fault(
        *[
            f
            for n in range(5, 60)
            for f in post({"action": "status", "status": status, "code": code, "nth": n}, path=RETRY)
        ]
    )
    run = kernel.bind(plan)
    snapshot = kernel.go(run)
    assert snapshot.phase == "stopped"
    assert code in snapshot.note
    assert snapshot.count("failed") == 0
    assert len(rig.acts()) < 20
    rig.sandbox.clear_faults()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 40}
    assert rig.count(expected(plan)).holds


def test_rule_17_a_key_that_is_refused_at_a_resend_stops_the_run_too(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "nth": 1}, path=RETRY))
    rig.sandbox.add_fault(*post({"action": "status", "status": 401, "code": "UNAUTHORIZED", "nth": 2}, path=RETRY))
    run = kernel.bind(plan_retry(kernel.triaged()))
    assert kernel.go(run).phase == "stopped"
    assert outcomes(kernel.results(run)) == {"unknown": 1}
    assert len(rig.acts()) == 2
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}


def test_rule_17_a_batch_refused_as_a_whole_fails_the_row_it_names_or_is_halved(rig):
    kernel = rig.kernel()
    rig.sandbox.add_fault(
        Fault(
            action="status", method="POST", path=BULK, status=400, code="VALIDATION_ERROR", details={"index": 3}, nth=1
        )
    )
    plan = plan_rows(rig, 8)
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": 7, "failed": 1}
    assert table.loc[table["outcome"] == "failed", "row_id"].tolist() == [plan.operations[0].items[3].label]
    rig.sandbox.add_fault(Fault(action="status", method="POST", path=BULK, status=400, code="VALIDATION_ERROR", nth=1))
    rig.sandbox.add_fault(Fault(action="status", method="POST", path=BULK, status=422, code="", nth=2))
    other = kernel.run(plan_create(rig.campaign(8, start=20), key="row_id"))
    assert outcomes(other) == {"succeeded": 8}
    assert set(other["batch"]) == {1}
    assert other["idempotency_key"].nunique() == 3, "a half, and two quarters"
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize(
    ("status", "code"), [(402, "LIMIT_EXCEEDED"), (403, "AUTHORIZATION_ERROR"), (429, "RATE_LIMITED")]
)
@pytest.mark.parametrize("switch", [None, "no_metadata", "no_listed_metadata"])
def test_rule_17_a_limit_in_the_middle_of_a_batch_makes_nothing_twice(rig, status, code, switch):
    """Three of five posts are made, then the limit is reached, and the answer to the whole is a refusal."""
    if switch:
        rig.sandbox.set_switches(**{switch: True})
    kernel = rig.kernel()
    rig.sandbox.add_fault(
        Fault(action="bulk_partial", method="POST", path=BULK, items=3, status=status, code=code, forget_key=True)
    )
    run = kernel.bind(plan_rows(rig, 5))
    kernel.go(run)
    kernel.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"succeeded": 5}


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "VALIDATION_ERROR"])
def test_rule_15_an_item_that_the_server_could_not_finish_may_be_there(rig, monkeypatch, code):
    """It was made, and its item says failed; lists lag, and the analyst plans what has failed at once."""
    rig.sandbox.set_switches(list_lag_seconds=45.0)
    whole = posts._item
    broken = []

    def item(call, index, body, *, dry):
        made = whole(call, index, body, dry=dry)
        if index == 1 and not broken and not dry:
            broken.append(made)
            return {"index": 1, "status": "failed", "errors": [{"field": "", "issue": code, "detail": "not finished"}]}
        return made

    monkeypatch.setattr(posts, "_item", item)
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 3))
    execution = kernel.execution(run)
    send_once(kernel, run)
    failed = plan_create(execution.failed(), key="row_id")
    assert failed.eligible == 1
    table = kernel.run(failed)
    if code == "VALIDATION_ERROR":  # its own word, that nothing was made
        assert outcomes(table) == {"succeeded": 1}
        return
    assert set(rig.created().values()) == {1}
    assert table["waiting_for"].str.contains(f"ended a moment ago with {code}").fillna(False).all()
    rig.sandbox.advance(300)
    assert outcomes(kernel.run(failed)) == {"succeeded": 1}
    assert set(rig.created().values()) == {1}
