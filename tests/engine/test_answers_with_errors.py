"""An answer of 2xx that bears an error is no success, and a 4xx whose items can't be read is no refusal (rules 14, 15 and 17)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, plan_rows

from voxburst_sandbox import Fault
from voxops.acts.create import plan_create
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.client import Reply
from voxops.client._transport import Transport

SEND = Transport.send
NO_LIST = {
    "errors and no data": {"data": None, "errors": [{"code": "UPSTREAM_TIMEOUT", "message": "took too long"}]},
    "an error beside an empty list": {"data": [], "error": {"code": "UPSTREAM_TIMEOUT", "message": "took too long"}},
    "no success": {"success": False, "data": [], "message": "one shard is down"},
    "a stack": {"message": "boom", "stack": []},
    "records that are no posts": {"data": [{"code": "UPSTREAM_TIMEOUT"}]},
}


def answers(monkeypatch: pytest.MonkeyPatch, answer: Callable[[Any], dict[str, Any] | None]) -> None:
    """Answer calls for which `answer` gives a body with it and a 200; they don't reach the server."""

    async def send(self: Transport, call: Any) -> Reply:
        body = answer(call)
        if body is None:
            return await SEND(self, call)
        return Reply(f"{call.method} {call.path}", 200, {}, json.dumps(body).encode())

    monkeypatch.setattr(Transport, "send", send)


def first(path: str, method: str, body: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any] | None]:
    """An answer to the first such call alone."""
    left = [1]

    def answer(call: Any) -> dict[str, Any] | None:
        if call.method == method and call.path.endswith(path) and left:
            left.clear()
            return body(call)
        return None

    return answer


@pytest.mark.parametrize("name", NO_LIST)
def test_rule_14_a_list_with_an_error_proves_no_absence(rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="status", when="after", method="POST", path=BULK, status=500))

    def answer(call: Any) -> dict[str, Any] | None:
        lists = call.method == "GET" and call.path == "/v1/posts"
        return NO_LIST[name] if lists and rig.created() else None

    answers(monkeypatch, answer)
    run = kernel.bind(plan_rows(rig, 3))
    kernel.go(run)
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize("status", [400, 409, 422])
@pytest.mark.parametrize("rows", [1, 4])
def test_rule_15_a_4xx_whose_items_can_not_be_read_refuses_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, status: int, rows: int
) -> None:
    """All rows were created; the answer has a 4xx and an item for each, in a word that nobody knows."""

    async def send(self: Transport, call: Any) -> Reply:
        reply = await SEND(self, call)
        if not call.path.endswith("/bulk"):
            return reply
        data = json.loads(reply.body)
        data["results"] = [{**item, "status": "queued"} for item in data["results"]]
        return Reply(reply.endpoint, status, reply.headers, json.dumps(data).encode())

    monkeypatch.setattr(Transport, "send", send)
    table = rig.kernel().run(plan_rows(rig, rows))
    assert set(rig.created().values()) == {1}
    assert outcomes(table) == {"succeeded": rows}


@pytest.mark.parametrize("rows", [1, 2])
def test_rule_15_a_4xx_whose_items_can_never_be_read_has_refused_what_is_proved_absent(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    async def send(self: Transport, call: Any) -> Reply:
        if not call.path.endswith("/bulk"):
            return await SEND(self, call)
        posts = json.loads(call.body)["posts"]
        results = [{"index": index, "status": "rejected"} for index, _ in enumerate(posts)]
        return Reply(f"{call.method} {call.path}", 422, {}, json.dumps({"results": results}).encode())

    monkeypatch.setattr(Transport, "send", send)
    table = rig.kernel().run(plan_rows(rig, rows))
    assert outcomes(table) == {"failed": rows}
    assert rig.created() == {}


def test_rule_15_the_only_item_without_its_index_is_not_failed(rig: Rig) -> None:
    """The same with what the sandbox has: a 422 whatever the items say, and an item without an index."""
    rig.sandbox.set_switches(bulk_status="422")
    rig.sandbox.add_fault(Fault(action="bulk_missing_index", method="POST", path=BULK))
    table = rig.kernel().run(plan_rows(rig, 1))
    assert outcomes(table) == {"succeeded": 1}


ERRORS = [{"error": {"code": "LOCKED", "message": "try later"}}, {"success": False}, {"errors": [{"code": "LOCKED"}]}]


@pytest.mark.parametrize("said", ERRORS)
def test_rule_15_a_2xx_with_an_error_makes_no_post(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    answers(monkeypatch, first("/posts", "POST", lambda _: {"id": "req_77", **said}))
    table = rig.kernel().run(plan_create(rig.campaign(2), key="row_id", one_by_one=True))
    assert set(table["result_id"].dropna()) <= set(rig.sandbox.world.posts)
    assert len(rig.created()) == outcomes(table)["succeeded"] == 2


@pytest.mark.parametrize("said", ERRORS)
def test_rule_15_a_2xx_with_an_error_changes_no_post(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 1))
    posts = kernel.posts()
    (post_id,) = posts["post_id"]
    answers(monkeypatch, first(post_id, "PATCH", lambda _: {"id": post_id, **said}))
    table = kernel.run(plan_update(posts.assign(new_content="other")))
    shows = kernel.posts()["content"].iloc[0]
    assert (outcomes(table), shows) == ({"succeeded": 1}, "other")


@pytest.mark.parametrize("said", [{"id": "req_77", **ERRORS[0]}, {"status": "error", "error": {"code": "LOCKED"}}])
def test_rule_15_a_2xx_with_an_error_queues_no_retry(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
) -> None:
    """It is taken for accepted now, is never sent, and stays pending for ever."""
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    answers(monkeypatch, first("/retry", "POST", lambda _: said))
    assert set(outcomes(kernel.run(plan))) == {"succeeded"}
