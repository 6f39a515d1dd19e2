"""Thirty days of webhook deliveries: a steady stream, a bad hour, a lost day, rejected and doubled ones."""

from __future__ import annotations

from random import Random

from voxburst_sandbox.draw import identifier
from voxburst_sandbox.hooks import BACKOFF, TIMEOUT_MS, queue_attempt
from voxburst_sandbox.receiver import latency_ms
from voxburst_sandbox.records import Delivery, Webhook
from voxburst_sandbox.world import World

__all__ = ["plant_deliveries"]

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
_FIRST_DAY = -9 * _HOUR - 30 * _DAY
_TYPES = {
    "post.created": 40, "post.scheduled": 22, "post.published": 31, "post.failed": 4, "media.uploaded": 3, "account.error": 1,
}  # fmt: skip
_PER_EVENT = 1.385  # deliveries that an event makes, on average over the three webhooks
# Host, from, until (both from the start of the world), share of failing attempts. The first is the bad hour, which retries
# outlast; the last is a working day, whose morning no retry outlasts.
_OUTAGES = (
    ("ingest.northpeak.example", -6 * _DAY + 5 * _HOUR, -6 * _DAY + 6 * _HOUR + 10 * _MINUTE, 0.93),
    ("hooks.aldercoffee.example", -17 * _DAY - 6 * _HOUR, -17 * _DAY - 6 * _HOUR + 20 * _MINUTE, 0.6),
    ("hooks.aldercoffee.example", -12 * _DAY - _HOUR, -12 * _DAY + 11 * _HOUR, 0.98),
)
_SLOWNESS = {"hooks.aldercoffee.example": 1.0, "ingest.northpeak.example": 2.4, "alerts.aldercoffee.example": 0.6}
_REJECTED, _DOUBLED, _TROUBLED = 0.003, 0.004, 0.012


def plant_deliveries(world: World, count: int) -> None:
    """Make about `count` delivery records."""
    events = max(1, round(count / _PER_EVENT))
    names, weights = list(_TYPES), list(_TYPES.values())
    for number in range(events):
        rng = Random(f"{world.seed}:event:{number}")
        place = (number + rng.random()) / events * 30
        # A bell over the working day: most events near 13:00 UTC.
        hour = 7 + 12 * (rng.random() + rng.random() + rng.random()) / 3 if rng.random() < 0.85 else rng.uniform(0, 24)
        at = world.start + _FIRST_DAY + int(place) * _DAY + int(hour * _HOUR)
        kind = rng.choices(names, weights)[0]
        event_id = identifier("evt_", world.seed, "seeded", number)
        for webhook in world.webhooks.values():
            if kind in webhook.events or "*" in webhook.events:
                _deliver(world, webhook, kind, at, event_id, "")
                if rng.random() < _DOUBLED:
                    _deliver(world, webhook, kind, at, event_id, "again")


def _deliver(world: World, webhook: Webhook, kind: str, at: int, event_id: str, copy: str) -> None:
    """One record with everything that happened to it before the start."""
    key = identifier("del_", world.seed, webhook.id, event_id, copy)
    rng = Random(f"{world.seed}:{key}")
    record = Delivery(key, world.ordinal(), webhook.id, event_id, kind, webhook.url, at)
    host = webhook.url.split("/")[2]
    rejected = rng.random() < _REJECTED
    moment = at
    for number in range(len(BACKOFF) + 1):
        if moment > world.start - 5_000:
            queue_attempt(world, record, moment)
            break
        _attempt(record, rng, host, moment, _share(host, moment - world.start), number, rejected)
        webhook.last_delivery_at = max(webhook.last_delivery_at or 0, moment)
        if record.success or number == len(BACKOFF):
            break
        moment += BACKOFF[number] * 1000
    world.add_delivery(record)


def _share(host: str, at: int) -> float | None:
    """Return the share of failing attempts in an outage, None outside of one."""
    return next((share for name, start, end, share in _OUTAGES if name == host and start <= at < end), None)


def _attempt(
    record: Delivery, rng: Random, host: str, at: int, share: float | None, number: int, rejected: bool
) -> None:
    """One attempt and its result."""
    took = int(latency_ms(record.id, number) * _SLOWNESS.get(host, 1.0))
    record.retry_count, record.success, record.error, record.delivered_at = number, False, None, None
    record.status_code, record.response_body, record.latency_ms = None, None, took
    if rejected:
        record.status_code, record.response_body = 422, '{"error":"unknown campaign"}'
    elif share is not None and rng.random() < share:
        if rng.random() < 0.55:
            record.latency_ms, record.error = TIMEOUT_MS, f"no answer within {TIMEOUT_MS // 1000} s"
            return
        record.status_code, record.response_body = 503, "upstream connect error or disconnect/reset before headers"
        record.latency_ms = rng.randrange(2_500, 9_800)
    elif rng.random() < _TROUBLED:
        record.status_code = rng.choice((500, 502, 503, 429))
        record.response_body = '{"error":"try again later"}'
    else:
        record.latency_ms = took * 8 if share is not None else took
        record.status_code, record.success, record.delivered_at = 200, True, at + record.latency_ms
        record.response_body = "OK" if host.startswith("ingest") else f'{{"received":"{record.event_id}"}}'
        return
    record.error = f"receiver answered {record.status_code}"
