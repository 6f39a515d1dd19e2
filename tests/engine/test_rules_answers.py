"""What an answer proves: items by index, refusals, and what stops a run (rules 15 to 17)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, RETRY, caught, each_once, killed, let_go, plan_rows, post, send_once, wait_for

from voxburst_sandbox import Fault, posts
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry

PATHS = [BULK, "/v1/posts"]  # in batches, and one by one


def page(path: str, status: int, **where: Any) -> list[Fault]:
    """A proxy answers with a page of its own, without a word of the API's."""
    return post({"action": "garbage", "body": "html", "status": status, **where}, path=path)


@pytest.mark.parametrize("spoilt", ["bulk_double_index", "bulk_missing_index", "bulk_unknown_index"])
@pytest.mark.parametrize("refused", [False, True])
def test_rule_15_items_are_read_by_index_and_unreadable_ones_are_unknown(rig: Rig, spoilt: str, refused: bool) -> None:
    """Also where the whole is answered 422: what happened is looked up, nothing of it leaves under another key."""
    rig.sandbox.set_switches(bulk_status="422" if refused else "207")
    kernel, frame = rig.kernel(), rig.campaign(6)
    frame.loc[1, "accounts"] = "acc_unknown"
    rig.sandbox.add_fault(Fault(action=spoilt, method="POST", path=BULK))
    table = kernel.run(plan_create(frame, key="row_id"))
    assert table["outcome"].tolist() == ["succeeded", "failed", *["succeeded"] * 4]
    created = {effect["content"]: effect["post"] for effect in rig.sandbox.effects("post.create")}
    assert [created.get(text, "") for text in table["content"]] == table["result_id"].fillna("").to_list()
    each_once(rig, 5)


@pytest.mark.parametrize("body", ["html", "json", "empty"])
def test_rule_15_a_2xx_of_another_shape_proves_nothing(rig: Rig, body: str) -> None:
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel, garbage = rig.kernel(), {"action": "garbage", "body": body, "nth": 1}
    rig.sandbox.add_fault(*post(garbage, path=RETRY), *post({**garbage, "when": "before", "status": 200}, path=BULK))
    assert outcomes(kernel.run(plan_retry(kernel.triaged()))) == {"succeeded": 1}
    assert outcomes(kernel.run(plan_rows(rig, 3))) == {"succeeded": 3}
    assert rig.effects("post.retry") == 1
    each_once(rig, 3)


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "VALIDATION_ERROR"])
def test_rule_15_an_item_that_the_server_could_not_finish_may_be_there(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """It was created, and its item says failed; lists lag. By the server's own fault its end is unknown, else it has failed."""
    rig.sandbox.set_switches(list_lag_seconds=45.0)
    whole, broken = posts._item, []

    def item(call: Any, index: int, body: Any, *, dry: bool) -> Any:
        made = whole(call, index, body, dry=dry)
        if index == 1 and not broken and not dry:
            broken.append(made)
            return {"index": 1, "status": "failed", "errors": [{"field": "", "issue": code, "detail": "not finished"}]}
        return made

    monkeypatch.setattr(posts, "_item", item)
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 3))
    send_once(kernel, run)
    said = "failed" if code == "VALIDATION_ERROR" else "unknown"
    assert sorted(kernel.results(run)["outcome"]) == sorted([said, "succeeded", "succeeded"])
    assert len(kernel.execution(run).failed()) == (said == "failed")
    kernel.go(run)
    assert outcomes(kernel.results(run)).get("succeeded") == (2 if said == "failed" else 3)
    each_once(rig, 3)


def test_rule_16_a_4xx_on_the_first_try_proves_failure(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT"}, path=RETRY))
    table = kernel.run(plan_retry(frame))
    assert table[["outcome", "error_code"]].values.tolist() == [["failed", "CONFLICT"]]
    again = frame.assign(attempt=2)
    again.attrs = frame.attrs
    assert outcomes(kernel.run(plan_retry(again))) == {"succeeded": 1}
    assert len({entry["key"] for entry in rig.acts()}) == 2


def test_rule_16_a_4xx_after_an_ambiguous_try_proves_nothing(rig: Rig) -> None:
    """The first try took effect and its answer was lost; the second is refused, as the post can't be retried any more."""
    rig.sandbox.set_switches(ignore_keys=True, linger_failed_seconds=250.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after", "nth": 1}, path=RETRY))
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT", "nth": 2}, path=RETRY))
    assert outcomes(kernel.run(plan_retry(kernel.triaged()))) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1
    assert len(rig.acts()) == 2, "whoever was refused does not ask again, but reads"


def test_rule_16_a_refusal_whose_answer_was_lost_is_failed_in_the_end(rig: Rig) -> None:
    """The sender was killed with a 400 in flight, which the server keeps under the key: every resend gets the same."""
    world.plant_posts(rig.sandbox, 1)
    kernel, frame = rig.kernel(), rig.campaign(1).assign(accounts="acc_unknown")
    killed(rig, kernel, kernel.bind(plan_create(frame, key="row_id")), BULK)
    assert outcomes(rig.kernel().run(plan_create(frame, key="row_id"))) == {"failed": 1}
    assert len(rig.acts()) <= 3


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("first", ["page before", "page after", "lost"])
def test_rule_16_a_page_with_a_4xx_that_is_not_the_api_s_creates_no_row_twice(rig: Rig, first: str, path: str) -> None:
    """A proxy withholds the answer: halved, or planned again, rows were created twice. After a lost try it says as little."""
    if first == "lost":
        rig.sandbox.add_fault(*post({"action": "drop", "when": "before", "nth": 1}, path=path))
        rig.sandbox.add_fault(*page(path, 404, when="after", nth=2))
    else:
        rig.sandbox.add_fault(*page(path, 404, when=first.removeprefix("page ")))
    assert outcomes(rig.kernel().run(plan_rows(rig, 4, one_by_one=path != BULK))) == {"succeeded": 4}
    each_once(rig, 4)


def test_rule_16_whoever_keeps_a_row_out_with_a_page_has_refused_it_in_the_end(rig: Rig) -> None:
    rig.sandbox.add_fault(*page("/v1/posts", 406, when="before", times=None))
    table = rig.kernel().run(plan_rows(rig, 2, one_by_one=True))
    assert table["error_code"].tolist() == ["HTTP_406"] * 2
    assert len(rig.acts()) == 4, "once each, and once more when it was proved that nothing had come of it"


@pytest.mark.parametrize("status", [401, 402, 403, 429])
@pytest.mark.parametrize("when", ["before", "after"])
def test_rule_17_a_page_that_stops_or_slows_the_run_is_no_word_of_what_it_stood_in_for(
    rig: Rig, status: int, when: str
) -> None:
    """A proxy withholds the API's answer and says that nobody may: what was sent is there, or proved absent and left."""
    rig.sandbox.set_switches(ignore_keys=True)
    rig.sandbox.add_fault(*page(BULK, status, when=when))
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 3))
    snapshot = kernel.go(run)
    if status != 429:
        assert snapshot.note.startswith(f"{status} came without the API's own words")
        assert outcomes(kernel.results(run)) == {"pending" if when == "before" else "succeeded": 3}
        kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 3}
    each_once(rig, 3)


@pytest.mark.parametrize("code", ["IDEMPOTENCY_CONFLICT", ""])
def test_rule_16_a_conflict_of_keys_is_unknown_and_no_reason_for_another_key(rig: Rig, code: str) -> None:
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": code, "times": None}, path=RETRY))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"unknown": 1}
    assert len({entry["key"] for entry in rig.acts()}) == 1
    assert "dashboard" in table["waiting_for"][0]


def test_rule_16_a_request_still_in_progress_is_waited_for(rig: Rig) -> None:
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
def test_rule_17_a_key_that_is_refused_stops_the_run_and_fails_nobody(rig: Rig, status: int, code: str) -> None:
    world.plant_posts(rig.sandbox, 40, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    refused = {"action": "status", "status": status, "code": code}
    rig.sandbox.add_fault(*post(*({**refused, "nth": number} for number in range(5, 60)), path=RETRY))
    run = kernel.bind(plan)
    snapshot = kernel.go(run)
    assert (snapshot.phase, code in snapshot.note, snapshot.count("failed")) == ("stopped", True, 0)
    assert kernel.results(run)["waiting_for"].dropna().str.contains(f"stopped: the API answered {status} {code}").all()
    assert len(rig.acts()) < 20
    rig.sandbox.clear_faults()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 40}
    assert rig.count(expected(plan)).holds


def test_rule_17_a_key_that_is_refused_at_a_resend_stops_the_run_too(rig: Rig) -> None:
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


def test_rule_17_a_batch_refused_as_a_whole_fails_the_row_it_names_or_is_halved(rig: Rig) -> None:
    rig.sandbox.set_switches(record_bodies=True)
    kernel, refused = rig.kernel(), {"action": "status", "status": 400, "code": "VALIDATION_ERROR", "nth": 1}
    rig.sandbox.add_fault(*post({**refused, "details": {"index": 3}}, path=BULK))
    table = kernel.run(plan_rows(rig, 8))
    assert outcomes(table) == {"succeeded": 7, "failed": 1}
    fourth = json.loads(rig.acts()[0]["sent"])["posts"][3]["content"]
    assert table.loc[table["outcome"] == "failed", "content"].tolist() == [fourth]
    rig.sandbox.add_fault(*post(refused, {**refused, "status": 422, "code": "", "nth": 2}, path=BULK))
    other = kernel.run(plan_create(rig.campaign(8, start=20), key="row_id"))
    assert outcomes(other) == {"succeeded": 8}
    assert other["idempotency_key"].nunique() == 3, "a half, and two quarters"
    each_once(rig, 15)


@pytest.mark.parametrize("switch", ["no_metadata", "no_listed_metadata"])
def test_rule_17_a_limit_in_the_middle_of_a_batch_creates_nothing_twice_where_lists_show_no_marks(
    rig: Rig, switch: str
) -> None:
    """Three of five posts are created, then the limit is reached, and the answer to the whole is a refusal."""
    rig.sandbox.set_switches(**{switch: True})
    kernel, how = rig.kernel(), {"status": 402, "code": "LIMIT_EXCEEDED", "forget_key": True}
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=3, **how))
    run = kernel.bind(plan_rows(rig, 5))
    kernel.go(run)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 5}
    each_once(rig, 5)
