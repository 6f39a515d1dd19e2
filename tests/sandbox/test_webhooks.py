"""Webhooks of the sandbox: delivered over HTTP, retried, redelivered, and on record.

That each row of the matrix has its signed event: `tests/conformance`; that ours read every shape: `tests/webhooks`.
"""

from __future__ import annotations

import json

import pytest
from tests.sandbox.support import Api, draft
from tests.security.raw import answer, serve

SANDBOX, SWITCHES = {"posts": 40, "deliveries": 200}, {"failure_rate": 0.0}


@pytest.fixture
def publish(sandbox, api):
    """Publish a new post."""

    def published():
        post = draft(api)
        api.post(f"/posts/{post['id']}/publish")
        sandbox.advance(60)
        return post

    return published


@pytest.fixture
def subscribe(api):
    """Make a webhook; its address leads to the sandbox's own receiver unless another one is given."""
    return lambda url="https://mine.example/hook": api.post(
        "/webhooks", json={"url": url, "events": ["post.published"]}
    ).json()


@pytest.fixture
def deliveries(api):
    return lambda webhook, **query: api.read(f"/webhooks/{webhook['id']}/deliveries", **query)["data"]


def test_a_delivery_is_on_record(sandbox, subscribe, publish, deliveries):
    webhook, post = subscribe(), publish()
    sandbox.advance(10)
    (event,), (record,) = (each for each in sandbox.received() if each["host"] == "mine.example"), deliveries(webhook)
    body = json.loads(event["body"])
    assert event["headers"]["x-voxburst-event"] == body["type"] == "post.published"
    assert event["headers"]["x-voxburst-delivery-id"] == record["id"]
    assert body["data"]["id"] == post["id"]
    assert (record["success"], record["statusCode"], record["retryCount"], record["error"]) == (True, 200, 0, None)
    assert record["deliveredAt"] > record["createdAt"]
    assert json.loads(record["responseBody"]) == {"received": body["id"]}


def test_a_failing_receiver_is_tried_again_on_schedule_and_given_up(sandbox, api, subscribe, publish, deliveries):
    webhook = subscribe()
    sandbox.receiver(host="mine.example", status=503, body="down")
    publish()
    counts = []
    for seconds in (0, 30, 120, 600, 3600, 21600, 86400):
        sandbox.advance(seconds)
        counts.append(deliveries(webhook)[0]["retryCount"])
    assert counts == [0, 1, 2, 3, 4, 5, 5]
    (record,) = deliveries(webhook, success="false")
    assert (record["statusCode"], record["responseBody"], record["deliveredAt"]) == (503, "down", None)
    assert "503" in record["error"]
    assert api.read(f"/webhooks/{webhook['id']}")["failureCount"] == 6


def test_a_receiver_that_takes_too_long_is_a_timeout(sandbox, subscribe, publish, deliveries):
    webhook = subscribe()
    sandbox.receiver(host="mine.example", latency_ms=12_000, times=1)
    publish()
    (record,) = deliveries(webhook)
    assert (record["statusCode"], record["latencyMs"], record["success"]) == (None, 10_000, False)
    sandbox.advance(30)
    assert deliveries(webhook)[0]["success"] is True


@pytest.mark.parametrize("between", [0, 10])
def test_two_redeliveries_for_one_intention_are_a_duplicate(sandbox, api, deliveries, between):
    webhook = api.read("/webhooks")["data"][1]
    record = deliveries(webhook, success="true")[0]["id"]
    for key in ("resend-first", "resend-again"):
        path = f"/webhooks/{webhook['id']}/deliveries/{record}/retry"
        api.post(path, headers={"Idempotency-Key": key})
        sandbox.advance(between)
    assert [(entry["kind"], entry["subject"]) for entry in sandbox.duplicates()] == [("delivery.resend", record)]


def test_a_disabled_webhook_gets_nothing_and_can_not_be_tested(sandbox, api, subscribe, publish, deliveries):
    webhook = subscribe()
    api.patch(f"/webhooks/{webhook['id']}", json={"enabled": False})
    publish()
    sandbox.advance(10)
    assert deliveries(webhook) == []
    assert api.post("/webhooks/test", json={"webhookId": webhook["id"]}).status_code == 409


def test_a_secret_is_shown_once_and_rotated_on_each_call(api, subscribe):
    webhook = subscribe()
    path, key = f"/webhooks/{webhook['id']}", {"Idempotency-Key": "rotate-0001"}
    assert "secret" not in api.read(path)
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
    sent = api.post("/webhooks/test", json={"webhookId": subscribe(url)["id"]})
    record = sent.json()["data"]
    assert (sent.status_code, record["success"], record["statusCode"]) == (200, success, status)
    assert error in (record["error"] or "")


def test_a_receiver_of_ones_own_may_ask_the_api_before_it_answers(sandbox, subscribe, publish, deliveries):
    asked = []

    def handler(_, body):
        with Api(sandbox) as own:
            asked.append(own.read(f"/posts/{json.loads(body)['data']['id']}")["status"])
        yield answer(b"", "204 No Content")

    with serve(handler) as receiver:
        webhook = subscribe(f"{receiver.url}/hook")
        publish()
        (record,) = deliveries(webhook)
    assert asked == ["published"]
    assert (record["success"], record["statusCode"], record["latencyMs"] < 10_000) == (True, 204, True)


@pytest.mark.parametrize("wrong", [
    {"url": "ftp://x.example", "events": ["*"]}, {"url": "https://x.example", "events": []},
    {"url": "https://x.example", "events": ["post.exploded"]}, {"events": ["*"]},
])  # fmt: skip
def test_a_wrong_webhook_is_refused(api, wrong):
    assert api.post("/webhooks", json=wrong).status_code == 400
