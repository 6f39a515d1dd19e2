"""Faults as data, and the idempotency keys that outlast them: what each does to the wire, to the effect and to the key.

That a key has one effect and one body on every row of the matrix: `tests/conformance`.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.sandbox.support import KEY, Api, draft, fields, refusal
from tests.virtual import PATIENCE, until

from voxburst_sandbox import Fault

SANDBOX, SWITCHES = {"posts": 30, "deliveries": 0}, {"silent_webhooks": True}
POSTS = {"method": "POST", "path": "/v1/posts"}
SLOW = Fault("delay", **POSTS, seconds=3600)


@pytest.fixture
def create(api):
    """Create a post, each time under the same key."""
    body = fields(api, metadata={"voxopsOp": "mark-1"})
    return lambda timeout=PATIENCE, **more: api.post("/posts", json=body | more, headers=KEY, timeout=timeout)


@pytest.fixture
def beside():
    with ThreadPoolExecutor() as threads:
        yield threads


def created(sandbox) -> int:
    return len(sandbox.effects("post.create"))


@pytest.mark.parametrize(("action", "more", "logged", "content", "effects"), [
    ("drop", {}, 0, None, 0), ("drop", {"when": "after"}, 0, None, 1), ("truncate", {}, 201, None, 1),
    ("status", {"status": 503, "code": "X"}, 503, '{"error":{"code":"X".*', 0),
    ("status", {"status": 503, "code": "X", "when": "after"}, 503, '{"error":{"code":"X".*', 1),
    ("status", {"details": {"field": "a"}}, 500, '.*"details":{"field":"a"}}}', 0),
    ("garbage", {"body": "html"}, 201, "<!DOCTYPE html>.*", 1),
    ("garbage", {"body": "json"}, 201, '{"unexpected".*', 1), ("garbage", {"body": "empty"}, 201, "", 1),
])  # fmt: skip
def test_a_broken_answer_says_nothing_about_the_effect(sandbox, create, action, more, logged, content, effects):
    sandbox.add_fault(Fault(action, **POSTS, **more))
    if content is None:
        with pytest.raises(httpx.RemoteProtocolError):
            create()
    else:
        answer = create()
        assert answer.status_code == logged
        assert re.fullmatch(content, answer.text)
        assert answer.headers.get("Content-Type", "").startswith("text/html") is content.startswith("<")
    entry = sandbox.requests()[-1]
    assert (entry["status"], entry["effect"], created(sandbox)) == (logged, bool(effects), effects)
    assert create().status_code == 201
    assert created(sandbox) == 1


@pytest.mark.parametrize(("switches", "fault", "seconds", "first", "effects"), [
    ({}, {}, 86_399, 201, 1), ({}, {}, 86_400, 201, 2), ({"ignore_keys": True}, {}, 0, 201, 2),
    ({}, {"action": "advance", "seconds": 90_000, "nth": 2}, 0, 201, 2),
    ({}, {"action": "status", "when": "after"}, 0, 500, 1),
    ({}, {"action": "status", "when": "after", "forget_key": True}, 0, 500, 2),
])  # fmt: skip
def test_a_key_protects_until_it_is_forgotten(sandbox, create, switches, fault, seconds, first, effects):
    sandbox.set_switches(**switches)
    if fault:
        sandbox.add_fault(Fault(**POSTS, **fault))
    assert create().status_code == first
    sandbox.advance(seconds)
    assert create().status_code == 201
    assert [(entry["effect"], entry["replay"]) for entry in sandbox.requests(acting=True)] == [
        (True, False), (effects == 2, effects == 1),
    ]  # fmt: skip
    doubled = [(entry["kind"], entry["subject"]) for entry in sandbox.duplicates()]
    assert doubled == [("post.create", "mark mark-1")] * (effects - 1)


@pytest.mark.parametrize("key", ["short", "x" * 256, "white space", "semi;colon"])
def test_a_malformed_key_is_refused_before_anything_happens(sandbox, api, key):
    answer = api.post("/posts", json=fields(api), headers={"Idempotency-Key": key})
    assert refusal(answer) == (400, "IDEMPOTENCY_INVALID_KEY")
    assert sandbox.effects() == []


def test_a_refusal_is_stored_too_and_a_key_is_good_for_one_path_and_the_same_bytes(sandbox, api):
    path = f"/posts/{draft(api)['id']}"
    api.post(f"{path}/cancel")
    assert [api.post(f"{path}/publish", headers=KEY).status_code for _ in range(2)] == [409, 409]
    assert sandbox.requests()[-1]["replay"] is True
    for other in (f"{path}/cancel", f"{path}/publish"):
        assert refusal(api.post(other, content=b" ", headers=KEY)) == (409, "IDEMPOTENCY_CONFLICT")


@pytest.mark.parametrize(("shared", "effects"), [(False, 2), (True, 1)])
def test_each_api_key_has_idempotency_keys_of_its_own_but_where_the_workspace_shares_them(
    sandbox, api, create, shared, effects
):
    sandbox.set_switches(workspace_keys=shared)
    body = create().request.content
    with Api(sandbox, "vb_test_second") as other:
        assert other.read("/auth/me") == api.read("/auth/me")
        assert other.post("/posts", content=body, headers=KEY).status_code == 201
    assert (created(sandbox), len(sandbox.duplicates())) == (effects, effects - 1)


def test_a_slow_request_is_in_progress_for_whoever_repeats_it(sandbox, create, beside):
    sandbox.add_fault(SLOW)
    slow = beside.submit(create)
    until(lambda: sandbox.requests(acting=True))
    assert refusal(create()) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert refusal(create(content="x")) == (409, "IDEMPOTENCY_CONFLICT")
    assert created(sandbox) == 0
    sandbox.clear_faults()
    assert slow.result(PATIENCE).status_code == 201
    assert create().content == slow.result().content
    assert created(sandbox) == 1


def test_an_answer_that_is_delayed_comes_after_its_effect(sandbox, create, beside):
    sandbox.add_fault(Fault("delay", **POSTS, when="after", seconds=3600))
    slow = beside.submit(create)
    until(lambda: created(sandbox))
    assert not slow.done()
    sandbox.clear_faults()
    assert slow.result(PATIENCE).status_code == 201


def test_a_request_whose_client_gave_up_still_takes_effect(sandbox, create):
    sandbox.add_fault(SLOW)
    with pytest.raises(httpx.ReadTimeout):
        create(httpx.Timeout(PATIENCE, read=0.1))
    until(lambda: sandbox.requests(acting=True))
    assert created(sandbox) == 0
    sandbox.clear_faults()
    until(lambda: created(sandbox))


def test_a_request_that_was_running_at_a_reset_comes_to_nothing(sandbox, create, beside):
    sandbox.add_fault(SLOW)
    slow = beside.submit(create)
    until(lambda: sandbox.requests(acting=True))  # not what is read before it, to make its body
    sandbox.reset()
    assert create(content="new").status_code == 201
    assert slow.result(PATIENCE).status_code == 503
    assert [effect["content"] for effect in sandbox.effects("post.create")] == ["new"]


@pytest.mark.parametrize(("how", "indexes"), [("double", [0, 1, 0]), ("missing", [0, 1]), ("unknown", [0, 1, 10_000])])
def test_items_of_a_bulk_are_corrupted_on_the_wire_only(sandbox, api, how, indexes):
    """That a bulk breaks off: `tests/engine/test_answers.py`."""
    sandbox.add_fault(Fault(f"bulk_{how}_index", path="/v1/posts/bulk"))
    body = {"posts": [fields(api)] * 3}
    for seen in (indexes, [0, 1, 2]):
        results = api.post("/posts/bulk", json=body, headers=KEY).json()["results"]
        assert [item["index"] for item in results] == seen
    assert created(sandbox) == 3


def test_which_request_is_hit(sandbox, api):
    sandbox.add_fault(
        Fault("status", path="/v1/accounts", nth=2), Fault("status", path="/v1/webhooks", every=3, times=2)
    )
    assert [api.get("/accounts").status_code for _ in range(4)] == [200, 500, 200, 200]
    assert [api.get("/webhooks").status_code for _ in range(9)] == [200, 200, 500, 200, 200, 500, 200, 200, 200]
    assert [(fault["matched"], fault["struck"]) for fault in sandbox.faults()] == [(4, 1), (9, 2)]


def test_a_star_is_one_segment_and_two_are_any():
    one, many = Fault("status", path="/v1/posts/*"), Fault("status", path="/v1/posts/**")
    assert [one.matches("GET", path) for path in ("/v1/posts/a", "/v1/posts/a/retry")] == [True, False]
    assert many.matches("GET", "/v1/posts/a/retry")


def test_chance_depends_on_the_seed_and_the_try_not_on_order(sandbox, api):
    def struck(keys: list[str]) -> set[str]:
        sandbox.clear_faults()
        sandbox.add_fault(Fault("status", chance=0.4, times=None, seed=5))
        sent = {key: api.post("/webhooks/test", headers={"Idempotency-Key": key}) for key in keys}
        return {key for key, answer in sent.items() if answer.status_code == 500}

    keys = [f"chance-key-{number}" for number in range(40)]
    assert struck(keys) == struck(keys[::-1])
    assert 5 < len(struck(keys)) < 35


@pytest.mark.parametrize("wrong", [{"action": "explode"}, {"action": "drop", "when": "later"}])
def test_a_fault_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="fault"):
        Fault(**wrong)
