"""What the sandbox keeps: one plain record per thing. Times are milliseconds since 1970, None where there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Account", "Delivery", "Event", "Media", "Post", "StoredAnswer", "Target", "Webhook"]


@dataclass(slots=True)
class Target:
    """One platform of a post.

    `status` is what the API shows; `flaw` is why publishing fails until somebody mends it (``aspect format size
    rejected``), empty if nothing is wrong with it. `jobs` counts publications ever queued, `running` those that have not
    ended; `since` says when the status was entered. `shown_retry_count` is what answers show while a held queue shows nothing yet.
    """

    id: str
    platform: str
    account_id: str
    status: str = "pending"
    since: int = 0
    content: str | None = None
    platform_post_id: str | None = None
    platform_post_url: str | None = None
    published_at: int | None = None
    error: dict[str, Any] | None = None
    retry_count: int = 0
    jobs: int = 0
    flaw: str = ""
    running: int = 0
    shown_retry_count: int | None = None


@dataclass(slots=True)
class Post:
    """One post with its targets; `ordinal` breaks ties of `created_at`.

    `archived_from` is the status before archiving, `analytics_at` when somebody last asked for fresh figures.
    """

    id: str
    ordinal: int
    content: str
    content_type: str
    status: str
    created_at: int
    updated_at: int
    targets: list[Target]
    scheduled_for: int | None = None
    published_at: int | None = None
    media: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)
    first_comment: str | None = None
    first_comment_delay: int = 0
    recurrence: dict[str, Any] | None = None
    archived_from: str = ""
    analytics_at: int = 0


@dataclass(slots=True)
class Account:
    """One connected account; only an ``active`` one can publish. `scope_health` is None where it was never verified."""

    id: str
    platform: str
    username: str
    display_name: str
    account_type: str
    status: str
    connected_at: int
    followers: int = 0
    refreshable: bool = True
    page_id: str | None = None
    page_name: str | None = None
    backfill: dict[str, Any] | None = None
    scope_health: dict[str, Any] | None = None
    analytics_at: int = 0


@dataclass(slots=True)
class Media:
    """One media file; `status` is ``pending processing ready failed``."""

    id: str
    filename: str
    content_type: str
    size: int
    status: str
    created_at: int
    url: str | None = None
    expires_at: int | None = None
    upload_token: str | None = None
    upload_type: str | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    import_status: str | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None


@dataclass(slots=True)
class Webhook:
    """One subscription; an event goes to it if it is enabled and lists the event or ``*``."""

    id: str
    url: str
    events: list[str]
    secret: str
    created_at: int
    enabled: bool = True
    last_delivery_at: int | None = None
    failure_count: int = 0


@dataclass(slots=True)
class Delivery:
    """One event on its way to one webhook, with the result of its latest attempt."""

    id: str
    ordinal: int
    webhook_id: str
    event_id: str
    event_type: str
    url: str
    created_at: int
    status_code: int | None = None
    latency_ms: int | None = None
    response_body: str | None = None
    retry_count: int = 0
    success: bool = False
    error: str | None = None
    delivered_at: int | None = None
    payload: str | None = None
    queued: int = 0
    resent: str = ""


@dataclass(slots=True)
class Event:
    """Something that happens by itself at a virtual instant."""

    id: int
    at: int
    kind: str
    subject: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class StoredAnswer:
    """What is remembered under an idempotency key."""

    id: str
    fingerprint: str
    at: int
    status: int
    body: str
