"""An answer of 2xx that bears an error is no success, and a 4xx whose items can't be read is no refusal (rules 14, 15 and 17)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, each_once, plan_rows

from voxburst_sandbox import Fault
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
ERRORS = [{"error": {"code": "LOCKED", "message": "try later"}}, {"success": False}, {"errors": [{"code": "LOCKED"}]}]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Answer calls for which `answer` gives a body with it; they don't reach the server."""

    def give(answer: Callable[[Any], Any], status: int = 200) -> None:
        async def send(self: Transport, call: Any) -> Reply:
            if (body := answer(call)) is None:
                return await SEND(self, call)
            return Reply(f"{call.method} {call.path}", status, {}, json.dumps(body).encode())

        monkeypatch.setattr(Transport, "send", send)

    return give


def first(method: str, path: str, body: Any) -> Callable[[Any], Any]:
    """An answer to the first such call alone."""
    left = [body]
    return lambda call: left.pop() if left and call.method == method and call.path.endswith(path) else None


@pytest.mark.parametrize("name", NO_LIST)
def test_rule_14_a_list_with_an_error_proves_no_absence(rig: Rig, answers: Callable[..., None], name: str) -> None:
    """The run ends, and says so; nothing is created again."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="status", when="after", method="POST", path=BULK, status=500))
    answers(lambda call: NO_LIST[name] if (call.method, call.path) == ("GET", "/v1/posts") and rig.created() else None)
    run = kernel.bind(plan_rows(rig, 3))
    assert kernel.go(run).phase in {"stopped", "done"}
    assert outcomes(kernel.results(run)) == {"unknown": 3}
    each_once(rig, 3)


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
    assert outcomes(rig.kernel().run(plan_rows(rig, rows))) == {"succeeded": rows}
    each_once(rig, rows)


@pytest.mark.parametrize("rows", [1, 2])
def test_rule_15_a_4xx_whose_items_can_never_be_read_has_refused_what_is_proved_absent(
    rig: Rig, answers: Callable[..., None], rows: int
) -> None:
    def reject(call: Any) -> Any:
        posts = json.loads(call.body)["posts"] if call.path.endswith("/bulk") else None
        return posts and {"results": [{"index": index, "status": "rejected"} for index, _ in enumerate(posts)]}

    answers(reject, 422)
    assert outcomes(rig.kernel().run(plan_rows(rig, rows))) == {"failed": rows}
    assert rig.created() == {}


@pytest.mark.parametrize("said", ERRORS)
def test_rule_15_a_2xx_with_an_error_creates_and_changes_nothing(
    rig: Rig, answers: Callable[..., None], said: dict[str, Any]
) -> None:
    answers(first("POST", "/posts", {"id": "req_77", **said}))
    kernel = rig.kernel()
    table = kernel.run(plan_rows(rig, 2, one_by_one=True))
    assert outcomes(table) == {"succeeded": 2}
    assert set(table["result_id"]) == set(rig.sandbox.world.posts)
    each_once(rig, 2)
    posts = kernel.posts().head(1)
    (post,) = posts["post_id"]
    answers(first("PATCH", post, {"id": post, **said}))
    assert outcomes(kernel.run(plan_update(posts.assign(new_content="other")))) == {"succeeded": 1}
    assert rig.sandbox.world.posts[post].content == "other"


@pytest.mark.parametrize("said", [{"id": "req_77", **ERRORS[0]}, {"status": "error", "error": {"code": "LOCKED"}}])
def test_rule_15_a_2xx_with_an_error_queues_no_retry(
    rig: Rig, answers: Callable[..., None], said: dict[str, Any]
) -> None:
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    answers(first("POST", "/retry", said))
    assert set(outcomes(kernel.run(plan))) == {"succeeded"}
    assert rig.effects("post.retry") == 1
