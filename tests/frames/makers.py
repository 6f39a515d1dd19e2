"""Shared by the tests of frames: the promised dtypes, and posts for frames."""

from __future__ import annotations

from datetime import UTC, datetime

from voxops.frames.records import build

UTC_US = "datetime64[us, UTC]"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def columns(*texts, **others):
    """The dtypes of columns of text, and of others."""
    return dict.fromkeys(texts, "string") | others


PROMISED = {
    "posts": columns(
        "post_id", "status", "content", "content_type", "workspace_id", failed_targets="Int64", targets="object", tags="object",
        metadata="object", scheduled_for=UTC_US, published_at=UTC_US, created_at=UTC_US, updated_at=UTC_US,
    ),
    "deliveries": columns(
        "delivery_id", "webhook_id", "event_type", "url", "error", "response_body", success="boolean", status_code="Int64",
        latency_ms="Int64", retry_count="Int64", created_at=UTC_US, delivered_at=UTC_US,
    ),
    "accounts": columns("account_id", "platform", "username", "status", "scope_status", "scope_message"),
    "webhooks": columns(
        "webhook_id", "url", events="object", enabled="boolean", failure_count="Int64", last_delivery_at=UTC_US, created_at=UTC_US,
    ),
    "bulk_results": columns("status", "post_id", "error_code", "error_message", index="Int64", errors="object"),
}  # fmt: skip
TARGETS = columns(
    "post_id", "target_id", "platform", "account_id", "account_name", "status", "error_code", "error_message", "platform_post_id",
    "platform_post_url", "post_status", "content", "workspace_id", retry_count="Int64", published_at=UTC_US, updated_at=UTC_US,
    scheduled_for=UTC_US,
)  # fmt: skip

# Values that a server, a proxy or a test double may send instead of any other.
ODD = [
    None, True, 0, 1.5, -1, 2**70, "", " ", "ünï", "now", [], [None], ["x"], {}, {"a": 1}, [{"id": 1}], [[]], "\u202e",
]  # fmt: skip


def dtypes(frame):
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def some_posts(count=700):
    """Posts with none to three targets, of which some have failed and some are under way."""
    names, states = ("twitter", "threads", "bluesky"), ("published", "failed", "publishing")
    return build("posts", [
        {"id": f"p{number}", "status": "partial", "updatedAt": NOW.isoformat(), "platforms": [
            {"platform": name, "accountId": f"a{number}", "status": states[(number + place) % 3]}
            for place, name in enumerate(names[: number % 4])
        ]}
        for number in range(count)
    ])  # fmt: skip
