"""Webhooks of the sandbox: delivered over HTTP, signed, retried, redelivered, and on record."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

SANDBOX, SWITCHES = {"posts": 40, "deliveries": 200}, {"failure_rate": 0.0}


def publish(api: httpx.Client, **more) -> dict:
    """A new post on its way out."""
    account = next(a["id"] for a in api.get("/accounts").json()["data"] if a["platform"] == "facebook")
    post = api.post("/posts", json={"content": "News", "accountIds": [account], "saveAsDraft": True, **more}).json()
    api.post(f"/posts/{post['id']}/publish")
    return post


def subscribe(api: httpx.Client, url: str, *events: str) -> dict:
    answer = api.post("/webhooks", json={"url": url, "events": list(events)})
    assert answer.status_code == 201, answer.text
    return answer.json()


def deliveries(api: httpx.Client, webhook: str, **params) -> list[dict]:
    return api.get(f"/webhooks/{webhook}/deliveries", params={"limit": 100, **params}).json()["data"]


def test_events_arrive_signed_and_are_on_record(sandbox, api):
    webhook = subscribe(api, "https://mine.example/hook", "post.published")
    post = publish(api)
    sandbox.advance(70)
    (event,) = [entry for entry in sandbox.received() if entry["host"] == "mine.example"]
    signature = hmac.new(webhook["secret"].encode(), event["body"].encode(), hashlib.sha256).hexdigest()
    assert event["headers"]["x-voxburst-signature"] == f"sha256={signature}"
    assert event["headers"]["x-voxburst-event"] == "post.published"
    payload = json.loads(event["body"])
    assert set(payload) == {"id", "type", "createdAt", "data"}
    assert (payload["type"], payload["data"]["id"], payload["data"]["status"]) == (
        "post.published",
        post["id"],
        "PUBLISHED",
    )
    assert payload["data"]["platforms"][0]["platform"] == "FACEBOOK"
    (record,) = deliveries(api, webhook["id"])
    assert record["id"] == event["headers"]["x-voxburst-delivery-id"]
    assert (record["success"], record["statusCode"], record["retryCount"], record["error"]) == (True, 200, 0, None)
    assert record["deliveredAt"] > record["createdAt"]
    assert json.loads(record["responseBody"]) == {"received": payload["id"]}


@pytest.mark.parametrize(("shape", "envelope", "keys"), [
    ("newest", "docs", {"id", "workspaceId", "content", "status", "publishedAt", "platforms"}),
    ("middle", "docs", {"postId", "status", "publishedAt", "platforms"}),
    ("oldest", "sdk", {"postId", "platform", "platformPostId", "platformPostUrl"}),
])  # fmt: skip
def test_each_reading_has_its_payload(sandbox, api, shape, envelope, keys):
    sandbox.set_switches(event_shape=shape, event_envelope=envelope)
    subscribe(api, "https://mine.example/hook", "post.published")
    publish(api)
    sandbox.advance(70)
    payload = next(json.loads(entry["body"]) for entry in sandbox.received() if entry["host"] == "mine.example")
    assert set(payload["data"]) == keys
    assert ("event" in payload) is (envelope == "sdk")


def test_creating_and_scheduling_emit_events(sandbox, api):
    subscribe(api, "https://mine.example/hook", "*")
    account = next(a["id"] for a in api.get("/accounts").json()["data"] if a["platform"] == "facebook")
    api.post("/posts", json={"content": "x", "accountIds": [account], "scheduledFor": "2026-04-01T09:00:00Z"})
    sandbox.advance(0)
    events = [json.loads(entry["body"]) for entry in sandbox.received() if entry["host"] == "mine.example"]
    assert [event["type"] for event in events] == ["post.created", "post.scheduled"]
    assert {event["data"]["status"] for event in events} == {"SCHEDULED"}


def test_a_failing_receiver_is_tried_again_on_schedule_and_given_up(sandbox, api):
    webhook = subscribe(api, "https://mine.example/hook", "post.published")
    sandbox.receiver(host="mine.example", status=503, body="down")
    publish(api)
    sandbox.advance(60)
    counts = []
    for seconds in (0, 30, 120, 600, 3600, 21600, 86400):
        sandbox.advance(seconds)
        counts.append(deliveries(api, webhook["id"])[0]["retryCount"])
    assert counts == [0, 1, 2, 3, 4, 5, 5]
    (record,) = deliveries(api, webhook["id"], success="false")
    assert (record["statusCode"], record["responseBody"], record["deliveredAt"]) == (503, "down", None)
    assert record["error"] == "receiver answered 503"
    assert api.get(f"/webhooks/{webhook['id']}").json()["failureCount"] == 6


def test_a_receiver_that_takes_too_long_is_a_timeout(sandbox, api):
    webhook = subscribe(api, "https://mine.example/hook", "post.published")
    sandbox.receiver(host="mine.example", latency_ms=12_000, times=1)
    publish(api)
    sandbox.advance(60)
    (record,) = deliveries(api, webhook["id"])
    assert (record["statusCode"], record["latencyMs"], record["error"]) == (None, 10_000, "no answer within 10 s")
    sandbox.advance(30)
    assert deliveries(api, webhook["id"])[0]["success"] is True


def test_a_redelivery_is_one_more_attempt(sandbox, api):
    webhook = subscribe(api, "https://mine.example/hook", "post.published")
    sandbox.receiver(host="mine.example", status=500)
    publish(api)
    sandbox.advance(90_000)
    sandbox.receiver()
    (before,) = deliveries(api, webhook["id"])
    path = f"/webhooks/{webhook['id']}/deliveries/{before['id']}/retry"
    answer = api.post(path, headers={"Idempotency-Key": "resend-0001"})
    assert (answer.status_code, answer.json()) == (202, {"id": before["id"], "status": "queued"})
    assert deliveries(api, webhook["id"]) == [before]
    sandbox.advance(5)
    (after,) = deliveries(api, webhook["id"])
    assert (after["retryCount"], after["success"]) == (before["retryCount"] + 1, True)
    assert [e["key"] for e in sandbox.effects("delivery.attempt") if e["manual"]] == ["resend-0001"]
    assert sandbox.duplicates() == []
    assert api.post(f"/webhooks/{webhook['id']}/deliveries/del_none/retry").status_code == 404


@pytest.mark.parametrize("between", [0, 10])
def test_two_redeliveries_for_one_intention_are_a_duplicate(sandbox, api, between):
    webhook = api.get("/webhooks").json()["data"][1]["id"]
    record = deliveries(api, webhook, success="true")[0]["id"]
    for key in ("resend-first", "resend-again"):
        api.post(f"/webhooks/{webhook}/deliveries/{record}/retry", headers={"Idempotency-Key": key})
        sandbox.advance(between)
    assert [(entry["kind"], entry["subject"]) for entry in sandbox.duplicates()] == [("delivery.resend", record)]


def test_the_history_is_filtered(sandbox, api):
    webhook = api.get("/webhooks").json()["data"][1]["id"]
    everything = deliveries(api, webhook)
    assert [r["createdAt"] for r in everything] == sorted((r["createdAt"] for r in everything), reverse=True)
    assert {r["eventType"] for r in deliveries(api, webhook, eventType="POST.CREATED")} == {"post.created"}
    since = everything[20]["createdAt"]
    assert len(deliveries(api, webhook, **{"from": since})) == 21
    assert api.get(f"/webhooks/{webhook}/deliveries", params={"success": "maybe"}).status_code == 400


def test_a_disabled_webhook_gets_nothing_and_can_not_be_tested(sandbox, api):
    webhook = subscribe(api, "https://mine.example/hook", "*")
    api.patch(f"/webhooks/{webhook['id']}", json={"enabled": False})
    publish(api)
    sandbox.advance(70)
    assert deliveries(api, webhook["id"]) == []
    assert api.post("/webhooks/test", json={"webhookId": webhook["id"]}).status_code == 409


def test_a_test_call_waits_for_the_result_and_is_fine_with_a_rejection(sandbox, api):
    webhook = subscribe(api, "https://mine.example/hook", "post.failed")
    assert api.post("/webhooks/test", json={"webhookId": webhook["id"]}).json()["data"]["success"] is True
    sandbox.receiver(host="mine.example", status=410)
    answer = api.post("/webhooks/test", json={"webhookId": webhook["id"]})
    assert answer.status_code == 200
    assert (answer.json()["data"]["success"], answer.json()["data"]["statusCode"]) == (False, 410)


def test_a_secret_is_shown_once_and_rotated_on_each_call(api):
    webhook = subscribe(api, "https://mine.example/hook", "*")
    assert "secret" not in api.get(f"/webhooks/{webhook['id']}").json()
    path, key = f"/webhooks/{webhook['id']}/rotate-secret", {"Idempotency-Key": "rotate-0001"}
    assert len({webhook["secret"], *(api.post(path, headers=key).json()["secret"] for _ in range(2))}) == 3


@pytest.mark.parametrize(
    ("url", "error"), [("https://198.51.100.7/hook", "loopback"), ("http://127.0.0.1:9/hook", "connection failed")]
)
def test_only_this_machine_is_called(api, url, error):
    webhook = subscribe(api, url, "*")
    record = api.post("/webhooks/test", json={"webhookId": webhook["id"]}).json()["data"]
    assert (record["success"], record["statusCode"], error in record["error"]) == (False, None, True)


def test_a_receiver_of_ones_own_may_ask_the_api_before_it_answers(sandbox, api):
    asked: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {"Authorization": "Bearer vb_test_sandbox"}
            url = f"{sandbox.url}/v1/posts/{event['data']['id']}"
            asked.append(httpx.get(url, headers=headers, trust_env=False).status_code)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    own = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=own.serve_forever)
    thread.start()
    try:
        webhook = subscribe(api, f"http://127.0.0.1:{own.server_port}/hook", "post.published")
        publish(api)
        sandbox.advance(60)
        (record,) = deliveries(api, webhook["id"])
    finally:
        own.shutdown()
        own.server_close()
        thread.join()
    assert asked == [200]
    assert (record["success"], record["statusCode"]) == (True, 204)
    assert record["latencyMs"] < 10_000


@pytest.mark.parametrize("wrong", [
    {"url": "ftp://x.example", "events": ["*"]}, {"url": "https://x.example", "events": []},
    {"url": "https://x.example", "events": ["post.exploded"]}, {"events": ["*"]},
])  # fmt: skip
def test_a_wrong_webhook_is_refused(api, wrong):
    assert api.post("/webhooks", json=wrong).status_code == 400
