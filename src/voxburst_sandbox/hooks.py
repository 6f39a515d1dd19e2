"""Webhooks as they are sent: which event goes where, signed payloads, real HTTP attempts, the retry schedule, the log."""

from __future__ import annotations

import hmac
import ssl
import time
from collections.abc import Awaitable
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from voxburst_sandbox import events
from voxburst_sandbox.clock import iso
from voxburst_sandbox.draw import identifier
from voxburst_sandbox.guard import LOOPBACK
from voxburst_sandbox.records import Delivery, Event, Post, Webhook
from voxburst_sandbox.world import Handler, World

__all__ = [
    "BACKOFF",
    "CLAIMED_LATENCY",
    "TIMEOUT_MS",
    "Sender",
    "deliver",
    "emit",
    "emit_post",
    "emit_result",
    "handlers",
    "is_example_host",
    "queue_attempt",
]

# Seconds after a failed attempt until the next; after the last one a delivery is abandoned (ours: the contract is silent).
BACKOFF = (30, 120, 600, 3600, 21600)
TIMEOUT_MS = 10_000
# The built-in receiver says how long it pretends to have taken, so that latencies belong to the virtual world.
CLAIMED_LATENCY = "x-sandbox-latency-ms"


def emit(world: World, event_type: str, data: dict[str, Any], at: int, event_id: str) -> None:
    """Make one delivery per webhook that wants the event, due at once (contract: WH-3)."""
    if world.switches.silent_webhooks:
        return
    payload = msgspec.json.encode(events.payload(world.switches, event_type, data, at, event_id)).decode()
    for webhook in world.webhooks.values():
        if webhook.enabled and (event_type in webhook.events or "*" in webhook.events):
            deliver(world, webhook, event_type, payload, at, event_id)


def deliver(world: World, webhook: Webhook, event_type: str, payload: str, at: int, event_id: str) -> Delivery:
    """Put one delivery on its way."""
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
    """Let a delivery be attempted at an instant."""
    delivery.queued += 1
    world.deliveries.save(delivery)
    world.schedule(at, "delivery.attempt", delivery.id, key=key, manual=manual)


def emit_post(world: World, event_type: str, post: Post, at: int) -> None:
    """Send that a post was created or scheduled (contract: EVT)."""
    data = events.created_data(world.switches, world.workspace_id, post)
    emit(world, event_type, data, at, identifier("evt_", world.seed, post.id, event_type, post.updated_at))


def emit_result(world: World, post: Post, at: int, event_id: str) -> None:
    """Send how publishing a post ended."""
    said = events.result_events(world.switches, world.workspace_id, post)
    for number, (kind, data) in enumerate(said):
        emit(world, kind, data, at, identifier("evt_", event_id, number) if number else event_id)


class Sender:
    """Sends due deliveries over HTTP, to this machine only.

    Parameters
    ----------
    verify : SSLContext or bool
        Whom to trust where the receiver speaks https.
    """

    def __init__(self, verify: ssl.SSLContext | bool = True) -> None:
        self._verify = verify
        self._http: httpx.AsyncClient | None = None

    def attempt(self, world: World, event: Event) -> Awaitable[None] | None:
        """Attempt one delivery: now if it goes to the built-in receiver, else beside the requests.

        A receiver elsewhere on this machine may be slow, or ask the API about the event before it answers.
        """
        webhook = (
            world.webhooks.get(world.deliveries[event.subject].webhook_id)
            if event.subject in world.deliveries
            else None
        )
        if webhook is None:
            return None
        if _is_example(webhook.url):
            return self._attempt(world, event)
        world.detach(event, self._attempt(world, event))
        return None

    async def _attempt(self, world: World, event: Event) -> None:
        """One attempt and, if it failed, the next one's time."""
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
        """One POST; its result goes into the record."""
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
        except httpx.HTTPError:
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
    """Put a receiver's answer on record."""
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
    """Where a URL leads on this machine: loopback as it is, example hosts to the built-in receiver, nowhere else."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in LOOPBACK:
        return url
    if _is_example(url):
        headers["Host"] = host
        return world.hosts["receiver"] + (parts.path or "/")
    return None


def _is_example(url: str) -> bool:
    """Whether the address leads to the built-in receiver."""
    return is_example_host(urlsplit(url).hostname or "")


def is_example_host(host: str) -> bool:
    """Whether a host is the built-in receiver's: the ending is reserved for examples, so it can be nobody else's."""
    return host.partition(":")[0].endswith(".example")


def _old_payload(world: World, delivery: Delivery) -> str:
    """Return the payload of a delivery of the seeded history; its post is older than the posts that are kept."""
    data = {"id": identifier("post_", delivery.event_id), "workspaceId": world.workspace_id}
    said = events.payload(world.switches, delivery.event_type, data, delivery.created_at, delivery.event_id)
    return msgspec.json.encode(said).decode()


def handlers(sender: Sender) -> dict[str, Handler]:
    """Say what the world does when a delivery is due."""
    return {"delivery.attempt": sender.attempt}
