"""Webhooks: subscriptions, signed deliveries over real HTTP, their retries and log, and the built-in receiver (contract: 8.6)."""

from __future__ import annotations

import hmac
import ssl
import time
from collections import Counter
from collections.abc import Awaitable
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response

from voxburst_sandbox import wire
from voxburst_sandbox.bodies import NewWebhook, WebhookId
from voxburst_sandbox.gates import LOOPBACK
from voxburst_sandbox.http import (
    Answer,
    Call,
    Route,
    decoded,
    deleted,
    envelope,
    invalid,
    new_id,
    not_found,
    page,
    refuse,
    refuse_quota,
    single,
)
from voxburst_sandbox.store import Delivery, Event, Post, Webhook, fraction, identifier
from voxburst_sandbox.world import World, iso

# Seconds after a failed attempt until the next; after the last one a delivery is abandoned (assumed).
BACKOFF = (30, 120, 600, 3600, 21600)
TIMEOUT_MS = 10_000
# The built-in receiver claims a latency, so that latencies are virtual too.
CLAIMED_LATENCY = "x-sandbox-latency-ms"


def emit(world: World, event_type: str, data: dict[str, Any], at: int, event_id: str) -> None:
    """Queue one delivery per webhook that subscribes to the event (contract: WH-3)."""
    if world.switches.silent_webhooks:
        return
    payload = wire.payload(world, event_type, data, at, event_id)
    for webhook in world.webhooks.values():
        if webhook.enabled and (event_type in webhook.events or "*" in webhook.events):
            deliver(world, webhook, event_type, payload, at, event_id)


def deliver(world: World, webhook: Webhook, event_type: str, payload: str, at: int, event_id: str) -> Delivery:
    """Create one delivery, and queue its first attempt."""
    delivery = Delivery(
        id=identifier("del_", world.seed, webhook.id, event_id),
        ordinal=world.ordinal(),
        webhook_id=webhook.id,
        event_id=event_id,
        event_type=event_type,
        url=webhook.url,
        created_at=at,
        payload=payload,
    )
    world.add_delivery(delivery)
    queue_attempt(world, delivery, at)
    return delivery


def queue_attempt(world: World, delivery: Delivery, at: int, *, key: str | None = None, manual: bool = False) -> None:
    """Schedule an attempt."""
    delivery.queued += 1
    world.deliveries.save(delivery)
    world.schedule(at, "delivery.attempt", delivery.id, key=key, manual=manual)


def emit_post(world: World, event_type: str, post: Post, at: int) -> None:
    """Send that a post was created or scheduled (contract: EVT)."""
    data = wire.created_data(world, post)
    emit(world, event_type, data, at, identifier("evt_", world.seed, post.id, event_type, post.updated_at))


def emit_result(world: World, post: Post, at: int, event_id: str) -> None:
    """Send the result of publishing a post."""
    for number, (kind, data) in enumerate(wire.result_events(world, post)):
        emit(world, kind, data, at, identifier("evt_", event_id, number) if number else event_id)


class Sender:
    """Sends due deliveries over HTTP, to this machine only.

    Parameters
    ----------
    verify : SSLContext or bool
        Which authority to trust where the receiver speaks https.
    """

    def __init__(self, verify: ssl.SSLContext | bool = True) -> None:
        self._verify = verify
        self._http: httpx.AsyncClient | None = None

    def attempt(self, world: World, event: Event) -> Awaitable[None] | None:
        """Attempt one delivery: now if it goes to the built-in receiver, else in the background.

        A receiver elsewhere on this machine may be slow, or ask the API about the event before it answers.
        """
        delivery = world.deliveries.get(event.subject)
        work = self._attempt(world, event)
        if delivery is None or is_example_host(urlsplit(delivery.url).hostname or ""):
            return work
        world.detach(event, work)
        return None

    async def _attempt(self, world: World, event: Event) -> None:
        """Attempt a delivery and, if it failed, schedule the next attempt."""
        delivery = world.deliveries.get(event.subject)
        webhook = None if delivery is None else world.webhooks.get(delivery.webhook_id)
        if delivery is None or webhook is None:
            return
        manual = bool(event.data.get("manual"))
        first = delivery.status_code is None and delivery.error is None
        delivery.queued -= 1
        if not first:
            delivery.retry_count += 1
        await self._send(world, webhook, delivery, event.at)
        world.effect(
            "delivery.attempt", at=event.at, key=event.data.get("key"), delivery=delivery.id, webhook=webhook.id,
            manual=manual, success=delivery.success,
        )  # fmt: skip
        webhook.last_delivery_at = event.at
        webhook.failure_count = 0 if delivery.success else webhook.failure_count + 1
        if manual:
            delivery.resent = "succeeded" if delivery.success else "failed"
        elif not delivery.success and delivery.retry_count < len(BACKOFF) and not delivery.queued:
            queue_attempt(world, delivery, event.at + BACKOFF[delivery.retry_count] * 1000)
        world.webhooks.save(webhook)
        world.deliveries.save(delivery)

    async def _send(self, world: World, webhook: Webhook, delivery: Delivery, at: int) -> None:
        """Send one POST, and record its result."""
        body = (delivery.payload or _old_payload(world, delivery)).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "VoxBurst-Webhooks/1.0",
            "X-VoxBurst-Signature": "sha256=" + hmac.new(webhook.secret.encode(), body, sha256).hexdigest(),
            "X-VoxBurst-Event": delivery.event_type,
            "X-VoxBurst-Delivery-Id": delivery.id,
            "X-VoxBurst-Timestamp": iso(at),
        }
        address = _address(world, delivery.url, headers)
        delivery.status_code = delivery.response_body = delivery.latency_ms = None
        delivery.success = False
        if address is None:
            delivery.error = "the sandbox delivers to loopback and *.example hosts only"
            return
        if self._http is None:
            self._http = httpx.AsyncClient(
                verify=self._verify, trust_env=False, timeout=TIMEOUT_MS / 1000, follow_redirects=False
            )
        began = time.monotonic()
        try:
            answer = await self._http.post(address, content=body, headers=headers)
        except httpx.TimeoutException:
            delivery.error, delivery.latency_ms = f"no answer within {TIMEOUT_MS // 1000} s", TIMEOUT_MS
            return
        except (httpx.HTTPError, httpx.InvalidURL):
            delivery.error = "connection failed"
            return
        claimed = answer.headers.get(CLAIMED_LATENCY)
        took = int(claimed) if claimed else round((time.monotonic() - began) * 1000)
        _record(delivery, answer, took, at)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None


def _record(delivery: Delivery, answer: httpx.Response, took: int, at: int) -> None:
    """Record a receiver's answer."""
    delivery.latency_ms = min(took, TIMEOUT_MS)
    if took >= TIMEOUT_MS:
        delivery.error = f"no answer within {TIMEOUT_MS // 1000} s"
        return
    delivery.status_code = answer.status_code
    delivery.response_body = answer.text[:1000]
    delivery.success = 200 <= answer.status_code < 300
    delivery.error = None if delivery.success else f"receiver answered {answer.status_code}"
    if delivery.success:
        delivery.delivered_at = at + took


def _address(world: World, url: str, headers: dict[str, str]) -> str | None:
    """Return where a URL leads: loopback as it is, example hosts to the built-in receiver, None for anything else."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in LOOPBACK:
        return url
    if is_example_host(host):
        headers["Host"] = host
        return world.hosts["receiver"] + (parts.path or "/")
    return None


def is_example_host(host: str) -> bool:
    """Whether a host is the built-in receiver's; its ending is reserved for examples, so no real host has it."""
    return host.partition(":")[0].endswith(".example")


def _old_payload(world: World, delivery: Delivery) -> str:
    """Return the payload of a seeded delivery; its post is older than the seeded posts."""
    data = {"id": identifier("post_", delivery.event_id), "workspaceId": world.workspace_id}
    return wire.payload(world, delivery.event_type, data, delivery.created_at, delivery.event_id)


_TROUBLE_RATE = 0.015


def latency_ms(*parts: object) -> int:
    """Return a receiver's latency: mostly 40 to 200 ms, with a long tail."""
    draw = fraction("latency", *parts)
    return int(38 + 90 * draw + 400 * draw**8 + 2600 * draw**60)


class Receiver:
    """Answers webhooks, now and then with an error, and records them.

    Rules (control call ``receiver``) change the answer: ``{host, status, latency_ms, body, times}``, the latest first.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._tries: Counter[str] = Counter()
        self._counted = 0

    async def endpoint(self, request: Request) -> Response:
        """Receive one event."""
        world, body = self._world, await request.body()
        host = request.headers.get("host", "").partition(":")[0]
        delivery = request.headers.get("x-voxburst-delivery-id", "")
        tries = self._tries_before(delivery)
        status, claimed, text = self._answer(host, delivery, tries)
        headers = {name: value for name, value in request.headers.items() if name.startswith("x-voxburst")}
        world.received.note(
            host=host, path=request.url.path, delivery=delivery, headers=headers, body=body.decode(), status=status,
            at=iso(world.now()),
        )  # fmt: skip
        return Response(
            text or self._receipt(body), status, {CLAIMED_LATENCY: str(claimed)}, media_type="application/json"
        )

    def _tries_before(self, delivery: str) -> int:
        """Return how often this delivery came before; the count follows the record, which a reset empties."""
        if self._counted > len(self._world.received):
            self._tries.clear()
            self._counted = 0
        for entry in self._world.received[self._counted :]:
            self._tries[entry["delivery"]] += 1
        self._counted = len(self._world.received)
        return self._tries[delivery]

    def _answer(self, host: str, delivery: str, tries: int) -> tuple[int, int, str]:
        """Return status, claimed latency and body, by the first rule that fits, else by draw."""
        claimed = latency_ms(self._world.seed, delivery, tries)
        for rule in self._world.receiver_rules:
            if rule.get("host") in (None, host) and rule.get("times", 1) != 0:
                if "times" in rule:
                    rule["times"] -= 1
                return int(rule.get("status", 200)), int(rule.get("latency_ms", claimed)), str(rule.get("body", ""))
        if fraction(self._world.seed, "receiver", delivery, tries) < _TROUBLE_RATE:
            return 503, claimed * 4, '{"error":"try again later"}'
        return 200, claimed, ""

    @staticmethod
    def _receipt(body: bytes) -> str:
        """Return the body of a receiver that took the event: the event's id."""
        try:
            event = msgspec.json.decode(body).get("id")
        except (ValueError, RecursionError, AttributeError):
            event = None
        return msgspec.json.encode({"received": event}).decode()


def _find(call: Call) -> Webhook:
    """Return the webhook that the path names."""
    key = call.params["id"]
    return call.world.webhooks.get(key) or not_found("webhook", key)


def _list(call: Call) -> Answer:
    """GET /webhooks."""
    world, limit = call.world, call.limit(100)
    records = [wire.webhook(world, item) for item in world.webhooks.values()]
    return envelope(world, world.switches.webhooks_envelope, records, limit, None, "webhooks")


def _get(call: Call) -> Answer:
    """GET /webhooks/:id."""
    return single(call.world, wire.webhook(call.world, _find(call)))


def _read(call: Call, kept: dict[str, Any]) -> NewWebhook:
    """Return the body merged into the kept fields; ``active`` is another name of ``enabled``."""
    fields = call.json(required=True)
    if "active" in fields:
        fields.setdefault("enabled", fields["active"])
    return decoded(NewWebhook, kept | fields)


def _create(call: Call) -> Answer:
    """POST /webhooks: the only answer that shows the secret."""
    refuse_quota(call)
    world, body = call.world, _read(call, {})
    key = new_id(call, "wh_", world.webhooks)
    secret = identifier("whsec_", world.seed, key, "secret")
    webhook = world.webhooks.save(Webhook(key, body.url, list(body.events), secret, world.now(), enabled=body.enabled))
    call.effect("webhook.create", webhook=key)
    return single(world, wire.webhook(world, webhook, secret=True), 201)


def _update(call: Call) -> Answer:
    """PATCH /webhooks/:id."""
    world, webhook = call.world, _find(call)
    body = _read(call, {"url": webhook.url, "events": webhook.events, "enabled": webhook.enabled})
    webhook.url, webhook.events, webhook.enabled = body.url, list(body.events), body.enabled
    world.webhooks.save(webhook)
    call.effect("webhook.update", webhook=webhook.id)
    return single(world, wire.webhook(world, webhook))


def _delete(call: Call) -> Answer:
    """DELETE /webhooks/:id; its history stays out of reach."""
    webhook = _find(call)
    call.world.webhooks.drop(webhook.id)
    call.effect("webhook.delete", webhook=webhook.id)
    return deleted(call.world, webhook.id)


def _rotate(call: Call) -> Answer:
    """POST /webhooks/:id/rotate-secret: another secret on each call."""
    world, webhook = call.world, _find(call)
    webhook.secret = identifier("whsec_", world.seed, webhook.id, webhook.secret)
    world.webhooks.save(webhook)
    call.effect("webhook.rotate", webhook=webhook.id)
    return single(world, wire.webhook(world, webhook, secret=True))


def _test(call: Call, body: WebhookId) -> Answer:
    """POST /webhooks/test: sends a delivery and waits for its result, 2xx even if it is rejected."""
    world, key = call.world, body.webhook_id
    webhook = world.webhooks.get(key) or not_found("webhook", key)
    if not webhook.enabled:
        refuse(409, "CONFLICT", "the webhook is not enabled")
    number = sum(1 for _, _, item in world.delivery_order if world.deliveries[item].webhook_id == key)
    event_id = identifier("evt_", world.seed, "test", key, number)
    kind = next((event for event in webhook.events if event != "*"), "post.published")
    payload = wire.payload(world, kind, wire.test_data(world, event_id), world.now(), event_id)
    delivery = deliver(world, webhook, kind, payload, world.now(), event_id)
    call.effect("webhook.test", webhook=key, delivery=delivery.id)
    return Answer(200, settled=lambda: {"data": wire.delivery(delivery)})


def _deliveries(call: Call) -> Answer:
    """GET /webhooks/:id/deliveries: newest first (assumed; the contract only implies it)."""
    world, webhook = call.world, _find(call)
    kind, success = call.query.get("eventType"), call.word("success")
    if success not in (None, "true", "false"):
        invalid("success must be true or false", field="success")

    def accept(key: str) -> bool:
        item = world.deliveries[key]
        return (
            item.webhook_id == webhook.id
            and (not kind or item.event_type == kind.lower())
            and (success is None or item.success == (success == "true"))
        )

    keys, limit, following = page(call, world.delivery_order, accept)
    records = [wire.delivery(world.deliveries[key]) for key in keys]
    return envelope(world, "data", records, limit, following)


def _retry(call: Call) -> Answer:
    """POST /webhooks/:id/deliveries/:id/retry: one more attempt, within seconds."""
    world, webhook = call.world, _find(call)
    key = call.params["delivery"]
    delivery = world.deliveries.get(key)
    if delivery is None or delivery.webhook_id != webhook.id:
        not_found("delivery", key)
    again = delivery.resent in ("queued", "succeeded")
    call.effect("delivery.resend", delivery=key, webhook=webhook.id, again=again)
    delivery.resent = "queued"
    wait = 1000 + int(fraction(world.seed, "resend", key, delivery.retry_count) * 4000)
    queue_attempt(world, delivery, world.now() + wait, key=call.key, manual=True)
    return single(world, {"id": key, "status": "queued"}, 202)


def _tunnel(_: Call) -> Answer:
    """WS /webhooks/tunnel: not part of the sandbox, which sends its events to addresses on this machine."""
    refuse(
        501, "NOT_IMPLEMENTED", "there is no tunnel here: register a webhook on 127.0.0.1, the sandbox delivers to it"
    )


ROUTES = (
    Route("GET /v1/webhooks", _list),
    Route("GET /v1/webhooks/{id}", _get),
    Route("POST /v1/webhooks", _create),
    Route("POST /v1/webhooks/test", _test, WebhookId),
    Route("GET /v1/webhooks/tunnel", _tunnel),
    Route("PATCH /v1/webhooks/{id}", _update),
    Route("DELETE /v1/webhooks/{id}", _delete),
    Route("POST /v1/webhooks/{id}/rotate-secret", _rotate, keyed=False),
    Route("GET /v1/webhooks/{id}/deliveries", _deliveries),
    Route("POST /v1/webhooks/{id}/deliveries/{delivery}/retry", _retry),
)
