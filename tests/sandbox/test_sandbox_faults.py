"""Faults as data: what each does to the wire, to the effect and to the key."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import pytest
from tests.sandbox.support import Gate, send_and_leave
from tests.virtual import PATIENCE, until

from voxburst_sandbox import Fault, Remote, Sandbox

KEY = {"Idempotency-Key": "0f8fad5b-d9cb-469f-a165-70867728950e"}


SANDBOX, SWITCHES = {"posts": 30, "deliveries": 0}, {"silent_webhooks": True}


@pytest.fixture
def gate(monkeypatch):
    return Gate(monkeypatch)


@pytest.fixture
def body(sandbox):
    account = next(a.id for a in sandbox.world.accounts.values() if a.platform == "facebook")
    return {"content": "A post", "accountIds": [account], "metadata": {"voxopsOp": "mark-1"}}


def created(sandbox: Sandbox) -> int:
    return len(sandbox.effects("post.create"))


@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("action", ["drop", "status"])
def test_a_broken_answer_says_nothing_about_the_effect(sandbox, api, body, action, when, effects):
    fault = Fault(action, method="POST", path="/v1/posts", when=when, status=503, code="SERVICE_UNAVAILABLE")
    sandbox.add_fault(fault)
    if action == "drop":
        with pytest.raises(httpx.RemoteProtocolError):
            api.post("/posts", json=body, headers=KEY)
    else:
        answer = api.post("/posts", json=body, headers=KEY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert (created(sandbox), sandbox.requests()[-1]["effect"]) == (effects, bool(effects))
    assert sandbox.requests()[-1]["status"] == (0 if action == "drop" else 503)
    assert api.post("/posts", json=body, headers=KEY).status_code == 201
    assert created(sandbox) == 1


def test_a_server_that_replays_what_it_sent_repeats_the_5xx(sandbox, api, body):
    sandbox.set_switches(replay_sent_status=True)
    sandbox.add_fault(Fault("status", method="POST", path="/v1/posts", when="after"))
    assert [api.post("/posts", json=body, headers=KEY).status_code for _ in range(2)] == [500, 500]
    assert created(sandbox) == 1


def test_a_truncated_answer_breaks_off_after_the_effect(sandbox, api, body):
    sandbox.add_fault(Fault("truncate", method="POST", path="/v1/posts"))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        api.post("/posts", json=body, headers=KEY)
    assert created(sandbox) == 1


@pytest.mark.parametrize(
    ("kind", "content"), [("html", b"<!DOCTYPE html>"), ("json", b'{"unexpected"'), ("empty", b"")]
)
def test_garbage_comes_with_the_true_status(sandbox, api, body, kind, content):
    sandbox.add_fault(Fault("garbage", method="POST", path="/v1/posts", body=kind))
    answer = api.post("/posts", json=body, headers=KEY)
    assert answer.status_code == 201
    assert answer.content.startswith(content)
    assert answer.headers.get("Content-Type", "").startswith("text/html") is (kind == "html")
    assert created(sandbox) == 1


def test_an_injected_refusal_may_name_what_it_refuses(sandbox, api, body):
    details = {"field": "posts[3]"}
    sandbox.add_fault(Fault("status", path="/v1/posts/bulk", status=400, code="VALIDATION_ERROR", details=details))
    answer = api.post("/posts/bulk", json={"posts": [body]}, headers=KEY)
    assert answer.json()["error"] == {"code": "VALIDATION_ERROR", "message": "injected by a fault", "details": details}


def test_a_jump_of_the_clock_forgets_the_key(sandbox, api, body):
    api.post("/posts", json=body, headers=KEY)
    sandbox.add_fault(Fault("advance", method="POST", path="/v1/posts", seconds=90_000))
    api.post("/posts", json=body, headers=KEY)
    assert created(sandbox) == 2


def test_a_slow_request_is_in_progress_for_whoever_repeats_it(sandbox, api, body, gate):
    sandbox.add_fault(Fault("delay", method="POST", path="/v1/posts"))
    first: list[httpx.Response] = []
    sender = threading.Thread(target=lambda: first.append(api.post("/posts", json=body, headers=KEY, timeout=PATIENCE)))
    sender.start()
    until(lambda: sandbox.requests(acting=True))
    headers = {"Authorization": "Bearer vb_test_sandbox", **KEY}
    again = httpx.post(sandbox.url + "/v1/posts", json=body, headers=headers, trust_env=False)
    other = httpx.post(sandbox.url + "/v1/posts", json=body | {"content": "x"}, headers=headers, trust_env=False)
    gate.open()
    sender.join()
    assert (again.status_code, again.json()["error"]["code"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert other.json()["error"]["code"] == "IDEMPOTENCY_CONFLICT"
    assert first[0].status_code == 201
    assert api.post("/posts", json=body, headers=KEY).content == first[0].content
    assert created(sandbox) == 1


def test_a_request_whose_client_gave_up_still_takes_effect(sandbox, api, body, gate):
    sandbox.add_fault(Fault("delay", method="POST", path="/v1/posts"))
    send_and_leave(sandbox, api.build_request("POST", "/posts", json=body, headers=KEY))
    assert created(sandbox) == 0
    gate.open()
    until(lambda: created(sandbox))
    assert api.post("/posts", json=body, headers=KEY).status_code == 201
    assert created(sandbox) == 1


def test_a_request_that_was_running_at_a_reset_comes_to_nothing(sandbox, api, body, gate):
    sandbox.add_fault(Fault("delay", method="POST", path="/v1/posts"))
    send_and_leave(sandbox, api.build_request("POST", "/posts", json=body, headers=KEY))
    sandbox.reset()
    assert api.post("/posts", json=body | {"content": "new"}, headers=KEY).status_code == 201
    gate.open()
    until(lambda: gate.passed)
    api.get("/health")  # what had passed the gate has ended by now
    assert [effect["content"] for effect in sandbox.effects("post.create")] == ["new"]


def test_a_cursor_repeats(sandbox, api):
    sandbox.add_fault(Fault("repeat_cursor", method="GET", path="/v1/posts", times=None))
    first = api.get("/posts", params={"limit": 5}).json()["pagination"]
    second = api.get("/posts", params={"limit": 5, "cursor": first["next_cursor"]}).json()["pagination"]
    assert second["next_cursor"] == second["nextCursor"] == first["next_cursor"]
    assert second["has_more"] is True


@pytest.mark.parametrize(("action", "indexes"), [
    ("bulk_double_index", [0, 1, 0]), ("bulk_missing_index", [0, 1]), ("bulk_unknown_index", [0, 1, 10_000]),
])  # fmt: skip
def test_bulk_items_are_corrupted_on_the_wire_only(sandbox, api, body, action, indexes):
    items = [{**body, "metadata": {"voxopsOp": f"m{number}"}} for number in range(3)]
    sandbox.add_fault(Fault(action, path="/v1/posts/bulk"))
    corrupted = api.post("/posts/bulk", json={"posts": items}, headers=KEY).json()
    assert [item["index"] for item in corrupted["results"]] == indexes
    assert created(sandbox) == 3
    whole = api.post("/posts/bulk", json={"posts": items}, headers=KEY).json()
    assert [item["index"] for item in whole["results"]] == [0, 1, 2]


def test_which_request_is_hit(sandbox, api):
    sandbox.add_fault(
        Fault("status", path="/v1/accounts", nth=2), Fault("status", path="/v1/webhooks", every=3, times=2)
    )
    assert [api.get("/accounts").status_code for _ in range(4)] == [200, 500, 200, 200]
    assert [api.get("/webhooks").status_code for _ in range(9)] == [200, 200, 500, 200, 200, 500, 200, 200, 200]
    assert [(fault["matched"], fault["struck"]) for fault in sandbox.faults()] == [(4, 1), (9, 2)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delay_ends_when_the_faults_are_cleared(sandbox, api, body, when):
    sandbox.add_fault(Fault("delay", method="POST", path="/v1/posts", when=when, seconds=300))
    with ThreadPoolExecutor() as beside:
        answer = beside.submit(api.post, "/posts", json=body)
        while not sandbox.faults()[0]["struck"]:
            pass
        sandbox.clear_faults()
        assert answer.result(60).status_code == 201
    assert created(sandbox) == 1


def test_a_star_is_one_segment_and_two_are_any(sandbox, api):
    one, many = Fault("status", path="/v1/posts/*"), Fault("status", path="/v1/posts/**")
    assert (one.matches("GET", "/v1/posts/a"), one.matches("GET", "/v1/posts/a/retry")) == (True, False)
    assert many.matches("GET", "/v1/posts/a/retry") is True


def test_chance_depends_on_the_seed_and_the_try_not_on_order(sandbox, api):
    def hits(keys: list[str]) -> dict[str, int]:
        sandbox.clear_faults()
        sandbox.add_fault(Fault("status", path="/v1/webhooks/test", chance=0.4, times=None, seed=5))
        body = msgspec.json.encode({"webhookId": "none"})
        return {
            key: api.post("/webhooks/test", content=body, headers={"Idempotency-Key": key}).status_code for key in keys
        }

    keys = [f"chance-key-{number}" for number in range(40)]
    struck = hits(keys)
    assert struck == hits(keys[::-1])
    assert 5 < list(struck.values()).count(500) < 35


@pytest.mark.parametrize("wrong", [{"action": "explode"}, {"action": "drop", "when": "later"}])
def test_a_fault_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="fault"):
        Fault(**wrong)


def test_another_process_uses_the_same_verbs(sandbox, api):
    remote = Remote(sandbox.url)
    remote.add_fault(Fault("status", path="/v1/accounts", status=418, code="TEAPOT"))
    assert api.get("/accounts").status_code == 418
    assert remote.advance(30) == sandbox.now()
    assert [entry["path"] for entry in remote.requests()] == ["/v1/accounts"]
    assert remote.storage_url == sandbox.storage_url
    remote.close()
