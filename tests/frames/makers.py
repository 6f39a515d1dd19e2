"""Shared by the tests of frames: the promised dtypes, and posts for frames."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd

from voxops.frames.records import build

UTC_US = "datetime64[us, UTC]"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)

PROMISED = {
    "posts": {
        "post_id": "string", "status": "string", "content": "string", "content_type": "string", "scheduled_for": UTC_US,
        "published_at": UTC_US, "created_at": UTC_US, "updated_at": UTC_US, "targets": "object", "failed_targets": "Int64",
        "tags": "object", "metadata": "object", "workspace_id": "string",
    },
    "deliveries": {
        "delivery_id": "string", "webhook_id": "string", "event_type": "string", "url": "string", "success": "boolean",
        "status_code": "Int64", "latency_ms": "Int64", "retry_count": "Int64", "error": "string", "response_body": "string",
        "created_at": UTC_US, "delivered_at": UTC_US,
    },
    "accounts": {
        "account_id": "string", "platform": "string", "username": "string", "status": "string", "scope_status": "string",
        "scope_message": "string",
    },
    "webhooks": {
        "webhook_id": "string", "url": "string", "events": "object", "enabled": "boolean", "failure_count": "Int64",
        "last_delivery_at": UTC_US, "created_at": UTC_US,
    },
    "bulk_results": {
        "index": "Int64", "status": "string", "post_id": "string", "error_code": "string", "error_message": "string",
        "errors": "object",
    },
}  # fmt: skip
TARGETS = {
    "post_id": "string", "target_id": "string", "platform": "string", "account_id": "string", "account_name": "string",
    "status": "string", "error_code": "string", "error_message": "string", "retry_count": "Int64", "platform_post_id": "string",
    "platform_post_url": "string", "published_at": UTC_US, "post_status": "string", "updated_at": UTC_US,
    "scheduled_for": UTC_US, "content": "string", "workspace_id": "string",
}  # fmt: skip

# Values that a server, a proxy or a test double may send instead of any other.
ODD = [
    None, True, 0, 1.5, -1, 2**70, "", " ", "ünï", "now", [], [None], ["x"], {}, {"a": 1}, [{"id": 1}], [[]], "\u202e",
]  # fmt: skip


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def some_posts(count: int = 700) -> pd.DataFrame:
    """Posts with none to three targets, of which some have failed and some are under way."""
    names, states = ("twitter", "threads", "bluesky"), ("published", "failed", "publishing")
    return build("posts", [
        {"id": f"p{number}", "status": "partial", "platforms": [
            {"platform": name, "accountId": f"a{number}", "status": states[(number + place) % 3]}
            for place, name in enumerate(names[: number % 4])
        ]}
        for number in range(count)
    ])  # fmt: skip
