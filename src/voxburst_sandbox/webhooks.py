"""Webhooks and their deliveries (contract: 8.6; rows 34-39)."""

from __future__ import annotations

from typing import Any

import msgspec

from voxburst_sandbox import events, wire
from voxburst_sandbox.draw import fraction, identifier
from voxburst_sandbox.hooks import deliver, queue_attempt
from voxburst_sandbox.http import (
    Answer,
    Call,
    Route,
    deleted,
    envelope,
    invalid,
    is_web_address,
    new_id,
    not_found,
    page,
    refuse,
    refuse_quota,
    single,
)
from voxburst_sandbox.records import Webhook

__all__ = ["EVENTS", "ROUTES"]

EVENTS = frozenset(
    {
        "post.created", "post.scheduled", "post.published", "post.failed", "post.draft.approved", "account.connected",
        "account.disconnected", "account.error", "media.uploaded", "post.partial", "*",
    }
)  # fmt: skip


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


def _check(body: dict[str, Any], *, partial: bool) -> None:
    """Refuse a wrong address or unknown events."""
    url, events = body.get("url"), body.get("events")
    if not (partial and "url" not in body) and not is_web_address(url, "http", "https"):
        invalid("url must be an http or https address", field="url")
    if not (partial and "events" not in body):
        if not isinstance(events, list) or not events:
            invalid("events must name at least one event", field="events")
        unknown = [str(event)[:100] for event in events if not isinstance(event, str) or event not in EVENTS]
        if unknown:
            invalid(f"unknown events: {', '.join(unknown)}", field="events")
    if "active" in body:
        body.setdefault("enabled", body["active"])
    if "enabled" in body and not isinstance(body["enabled"], bool):
        invalid("enabled must be true or false", field="enabled")


def _create(call: Call) -> Answer:
    """POST /webhooks: the only answer that shows the secret."""
    refuse_quota(call)
    world, body = call.world, call.json(required=True)
    _check(body, partial=False)
    key = new_id(call, "wh_", world.webhooks)
    secret = identifier("whsec_", world.seed, key, "secret")
    webhook = Webhook(key, body["url"], list(body["events"]), secret, world.now(), enabled=body.get("enabled", True))
    world.webhooks.save(webhook)
    call.effect("webhook.create", webhook=key)
    return single(world, wire.webhook(world, webhook, secret=True), 201)


def _update(call: Call) -> Answer:
    """PATCH /webhooks/:id."""
    world, webhook, body = call.world, _find(call), call.json(required=True)
    _check(body, partial=True)
    webhook.url = body.get("url", webhook.url)
    webhook.events = list(body.get("events", webhook.events))
    webhook.enabled = body.get("enabled", webhook.enabled)
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


def _test(call: Call) -> Answer:
    """POST /webhooks/test: sends a delivery and waits for its result, 2xx even if it is rejected."""
    world, body = call.world, call.json(required=True)
    key = str(body.get("webhookId", ""))
    webhook = world.webhooks.get(key) or not_found("webhook", key)
    if not webhook.enabled:
        refuse(409, "CONFLICT", "the webhook is not enabled")
    number = sum(1 for _, _, item in world.delivery_order if world.deliveries[item].webhook_id == key)
    event_id = identifier("evt_", world.seed, "test", key, number)
    kind = next((event for event in webhook.events if event != "*"), "post.published")
    data = events.test_data(world.switches, world.workspace_id, event_id)
    said = events.payload(world.switches, kind, data, world.now(), event_id)
    delivery = deliver(world, webhook, kind, msgspec.json.encode(said).decode(), world.now(), event_id)
    call.effect("webhook.test", webhook=key, delivery=delivery.id)
    shown = {"data": wire.delivery(world, delivery)}
    return Answer(200, shown, settled=lambda: {"data": wire.delivery(world, delivery)})


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
    records = [wire.delivery(world, world.deliveries[key]) for key in keys]
    return envelope(world, world.switches.deliveries_envelope, records, limit, following, "deliveries")


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
    Route("GET", "/v1/webhooks", _list),
    Route("GET", "/v1/webhooks/{id}", _get),
    Route("POST", "/v1/webhooks", _create),
    Route("POST", "/v1/webhooks/test", _test),
    Route("GET", "/v1/webhooks/tunnel", _tunnel),
    Route("PATCH", "/v1/webhooks/{id}", _update),
    Route("DELETE", "/v1/webhooks/{id}", _delete),
    Route("POST", "/v1/webhooks/{id}/rotate-secret", _rotate, keyed=False),
    Route("GET", "/v1/webhooks/{id}/deliveries", _deliveries),
    Route("POST", "/v1/webhooks/{id}/deliveries/{delivery}/retry", _retry),
)
