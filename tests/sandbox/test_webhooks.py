"""Webhooks of the sandbox: delivered over HTTP, retried, redelivered, and on record.

That each row of the matrix has its signed event: `tests/conformance`; that ours read every shape: `tests/webhooks`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.sandbox.support import client, draft
from tests.security.raw import answer, serve

from voxburst_sandbox import Sandbox

SANDBOX, SWITCHES = {"posts": 40, "deliveries": 200}, {"failure_rate": 0.0}


def publish(api: httpx.Client) -> dict[str, Any]:
    """A new post on its way out."""
    post = draft(api)
    api.post(f"/posts/{post['id']}/publish")
    return post


@pytest.fixture
def subscribe(api: httpx.Client) -> Callable[..., dict[str, Any]]:
    """A new webhook; its address leads to the sandbox's own receiver unless another one is given."""

    def new(*events: str, url: str = "https://mine.example/hook") -> dict[str, Any]:
        return api.post("/webhooks", json={"url": url, "events": events}).json()

    return new


def deliveries(api: httpx.Client, webhook: str, **params: Any) -> list[dict[str, Any]]:
    return api.get(f"/webhooks/{webhook}/deliveries", params={"limit": 100, **params}).json()["data"]


def received(sandbox: Sandbox) -> list[dict[str, Any]]:
    """What came to our own webhook; its body as data."""
    return [
        entry | {"body": json.loads(entry["body"])} for entry in sandbox.received() if entry["host"] == "mine.example"
    ]


def test_a_delivery_is_on_record(sandbox, api, subscribe):
    webhook = subscribe("post.published")
    post = publish(api)
    sandbox.advance(70)
    (event,), (record,) = received(sandbox), deliveries(api, webhook["id"])
    assert event["headers"]["x-voxburst-event"] == event["body"]["type"] == "post.published"
    assert event["headers"]["x-voxburst-delivery-id"] == record["id"]
    assert event["body"]["data"]["id"] == post["id"]
    assert (record["success"], record["statusCode"], record["retryCount"], record["error"]) == (True, 200, 0, None)
    assert record["deliveredAt"] > record["createdAt"]
    assert json.loads(record["responseBody"]) == {"received": event["body"]["id"]}


def test_a_failing_receiver_is_tried_again_on_schedule_and_given_up(sandbox, api, subscribe):
    webhook = subscribe("post.published")["id"]
    sandbox.receiver(host="mine.example", status=503, body="down")
    publish(api)
    sandbox.advance(60)
    counts = []
    for seconds in (0, 30, 120, 600, 3600, 21600, 86400):
        sandbox.advance(seconds)
        counts.append(deliveries(api, webhook)[0]["retryCount"])
    assert counts == [0, 1, 2, 3, 4, 5, 5]
    (record,) = deliveries(api, webhook, success="false")
    assert (record["statusCode"], record["responseBody"], record["deliveredAt"]) == (503, "down", None)
    assert "503" in record["error"]
    assert api.get(f"/webhooks/{webhook}").json()["failureCount"] == 6


def test_a_receiver_that_takes_too_long_is_a_timeout(sandbox, api, subscribe):
    webhook = subscribe("post.published")["id"]
    sandbox.receiver(host="mine.example", latency_ms=12_000, times=1)
    publish(api)
    sandbox.advance(60)
    (record,) = deliveries(api, webhook)
    assert (record["statusCode"], record["latencyMs"], record["success"]) == (None, 10_000, False)
    sandbox.advance(30)
    assert deliveries(api, webhook)[0]["success"] is True


@pytest.mark.parametrize("between", [0, 10])
def test_two_redeliveries_for_one_intention_are_a_duplicate(sandbox, api, between):
    webhook = api.get("/webhooks").json()["data"][1]["id"]
    record = deliveries(api, webhook, success="true")[0]["id"]
    for key in ("resend-first", "resend-again"):
        api.post(f"/webhooks/{webhook}/deliveries/{record}/retry", headers={"Idempotency-Key": key})
        sandbox.advance(between)
    assert [(entry["kind"], entry["subject"]) for entry in sandbox.duplicates()] == [("delivery.resend", record)]


def test_a_disabled_webhook_gets_nothing_and_can_not_be_tested(sandbox, api, subscribe):
    webhook = subscribe("*")["id"]
    api.patch(f"/webhooks/{webhook}", json={"enabled": False})
    publish(api)
    sandbox.advance(70)
    assert deliveries(api, webhook) == []
    assert api.post("/webhooks/test", json={"webhookId": webhook}).status_code == 409


def test_a_secret_is_shown_once_and_rotated_on_each_call(api, subscribe):
    webhook = subscribe("*")
    path, key = f"/webhooks/{webhook['id']}", {"Idempotency-Key": "rotate-0001"}
    assert "secret" not in api.get(path).json()
    rotated = [api.post(f"{path}/rotate-secret", headers=key).json()["secret"] for _ in range(2)]
    assert len({webhook["secret"], *rotated}) == 3


@pytest.mark.parametrize(("url", "status", "success", "error"), [
    ("https://mine.example/hook", 200, True, ""), ("https://mine.example/hook", 410, False, "410"),
    ("https://198.51.100.7/hook", None, False, "loopback"), ("http://127.0.0.1:9/hook", None, False, "connection"),
])  # fmt: skip
def test_a_test_call_waits_for_the_result_and_leaves_this_machine_alone(
    sandbox, api, subscribe, url, status, success, error
):
    sandbox.receiver(host="mine.example", status=status or 200)
    sent = api.post("/webhooks/test", json={"webhookId": subscribe("*", url=url)["id"]})
    record = sent.json()["data"]
    assert (sent.status_code, record["success"], record["statusCode"]) == (200, success, status)
    assert error in (record["error"] or "")


def test_a_receiver_of_ones_own_may_ask_the_api_before_it_answers(sandbox, api, subscribe):
    asked: list[int] = []

    def handler(_: bytes, body: bytes) -> Iterator[bytes]:
        with client(sandbox) as own:
            asked.append(own.get(f"/posts/{json.loads(body)['data']['id']}").status_code)
        yield answer(b"", "204 No Content")

    with serve(handler) as receiver:
        webhook = subscribe("post.published", url=f"{receiver.url}/hook")["id"]
        publish(api)
        sandbox.advance(60)
        (record,) = deliveries(api, webhook)
    assert asked == [200]
    assert (record["success"], record["statusCode"], record["latencyMs"] < 10_000) == (True, 204, True)


@pytest.mark.parametrize("wrong", [
    {"url": "ftp://x.example", "events": ["*"]}, {"url": "https://x.example", "events": []},
    {"url": "https://x.example", "events": ["post.exploded"]}, {"events": ["*"]},
])  # fmt: skip
def test_a_wrong_webhook_is_refused(api, wrong):
    assert api.post("/webhooks", json=wrong).status_code == 400
