"""One webhook event: whether it is genuine, and what it says; recorded ones as a frame."""

from __future__ import annotations

from voxops.webhooks.event import Payload, WebhookEvent, parse_event, verify_signature
from voxops.webhooks.recorded import events, join_events

__all__ = ["Payload", "WebhookEvent", "events", "join_events", "parse_event", "verify_signature"]
