"""The records that the API sends, as types for editors and mypy; at runtime they are dicts, under the API's own names.

Only an id is certain: a server may leave any other field out, spell its values in either case, and send fields that are not here.
`voxops.frames.records` reads them leniently.
"""

from __future__ import annotations

from typing import Any, NotRequired, Required, TypedDict


class Error(TypedDict, total=False):
    """Why something failed (contract: section 5)."""

    code: str
    message: str
    field: str
    details: Any


class Target(TypedDict, total=False):
    """A post on one platform."""

    postPlatformId: str
    platform: str
    accountId: str
    accountName: str
    status: str
    retryCount: int
    error: Error | str | None
    platformPostId: str | None
    platformPostUrl: str | None
    publishedAt: str | None


class Post(TypedDict, total=False):
    """A post (contract: 8.1)."""

    id: Required[str]
    status: str
    content: str
    contentType: str | None
    scheduledFor: str | None
    publishedAt: str | None
    createdAt: str
    updatedAt: str
    platforms: list[Target]
    media: list[MediaFile]
    tags: list[str]
    metadata: dict[str, Any] | None
    workspaceId: str


class Account(TypedDict, total=False):
    """A connected account (contract: 8.4)."""

    id: Required[str]
    platform: str
    username: str
    displayName: str | None
    avatarUrl: str | None
    accountType: str | None
    status: str
    followers: int
    connectedAt: str | None
    scopeHealth: dict[str, Any]
    backfill: dict[str, Any] | None
    workspaceId: str


class MediaFile(TypedDict, total=False):
    """A media file (contract: 8.5)."""

    id: Required[str]
    filename: str
    contentType: str
    sizeBytes: int
    status: str
    url: str | None
    thumbnailUrl: str | None
    createdAt: str
    metadata: dict[str, Any] | None
    validationResults: list[Error]


class Webhook(TypedDict, total=False):
    """A webhook (contract: 8.6); its `secret` comes only when it is created."""

    id: Required[str]
    url: str
    events: list[str]
    enabled: bool
    failureCount: int
    lastDeliveryAt: str | None
    createdAt: str
    secret: str


class Delivery(TypedDict, total=False):
    """A delivery of an event to a webhook (contract: 8.6)."""

    id: Required[str]
    webhookId: str
    eventType: str
    url: str
    success: bool
    statusCode: int | None
    latencyMs: int | None
    retryCount: int
    error: str | None
    responseBody: str | None
    createdAt: str
    deliveredAt: str | None


class PlatformValidation(TypedDict, total=False):
    """The validation of a post for one platform."""

    valid: bool
    errors: list[Error]
    warnings: list[Error]


class Validation(TypedDict, total=False):
    """The validation of a post; names of platforms may be in upper or lower case, or both."""

    valid: bool
    platforms: dict[str, PlatformValidation]


class BulkItem(TypedDict, total=False):
    """The outcome of one item of a bulk request, which `index` identifies."""

    index: int
    status: str
    postId: str
    errors: list[Error]


class BulkResult(TypedDict):
    """The outcomes of a bulk request (contract: 8.2)."""

    results: list[BulkItem]
    total: NotRequired[int]
    created: NotRequired[int]
    failed: NotRequired[int]


class Address(TypedDict, total=False):
    """The upload address of one file, which `index` identifies."""

    index: int
    mediaId: str
    uploadUrl: str
    uploadHeaders: dict[str, str]
    expiresAt: str
    error: Error


class BulkAddresses(TypedDict):
    """The upload addresses of many files."""

    results: list[Address]


class Consent(TypedDict, total=False):
    """Where the owner of an account consents."""

    state: str
    authUrl: str
    authorizationUrl: str
    url: str


class Connected(TypedDict, total=False):
    """An account that was connected."""

    account: Account


class Deleted(TypedDict, total=False):
    """What was deleted; empty if the answer has no body."""

    id: str
    status: str


class NewSecret(TypedDict, total=False):
    """The new secret of a webhook."""

    id: str
    secret: str


class Success(TypedDict, total=False):
    """Whether an act on an account worked."""

    success: bool
    message: str
    details: Any


class BatchItem(TypedDict, total=False):
    """The outcome of one operation of a batch (contract: 8.2)."""

    id: str
    status: int
    body: dict[str, Any] | None
    error: Error


class BatchResult(TypedDict, total=False):
    """The outcomes of a batch."""

    results: list[BatchItem]
    summary: dict[str, int]


class Identity(TypedDict, total=False):
    """The owner of an API key."""

    workspaceId: str
    workspaceName: str
    plan: str


class Health(TypedDict, total=False):
    """The API's own health report."""

    status: str
