"""Shapes of bodies and answers as JSON Schema, in the default readings; every limit comes from the code that applies it."""

from __future__ import annotations

from typing import Any

from voxburst_sandbox.bulk import MOST_ITEMS, MOST_VIDEOS
from voxburst_sandbox.checks import CONTENT_TYPES, MOST_CHARACTERS
from voxburst_sandbox.media import MOST_FILES, SIZES
from voxburst_sandbox.platforms import LIMITS
from voxburst_sandbox.session import MOST_OPERATIONS
from voxburst_sandbox.webhooks import EVENTS

__all__ = ["COMPONENTS", "Schema", "array", "maybe", "nested", "ref"]

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
WEB: Schema = {"type": "string", "format": "uri", "pattern": "^https?://"}
HTTPS: Schema = {"type": "string", "format": "uri", "pattern": "^https://"}
ANY: Schema = {"type": "object"}


def nested(required: str = "", /, **properties: Schema) -> Schema:
    """Return an object with these properties, of which the named ones are required; others may be there."""
    shape: Schema = {"type": "object", "properties": properties}
    return shape | ({"required": required.split()} if required else {})


def array(items: Schema, most: int | None = None, least: int = 0) -> Schema:
    """Return a list."""
    shape: Schema = {"type": "array", "items": items}
    return shape | ({"maxItems": most} if most else {}) | ({"minItems": least} if least else {})


def maybe(shape: Schema) -> Schema:
    """Return the same or null."""
    return {"anyOf": [shape, {"type": "null"}]}


def ref(name: str) -> Schema:
    """Return a reference to a named shape."""
    return {"$ref": f"#/components/schemas/{name}"}


def _words(*words: str) -> Schema:
    """Return one of these words."""
    return {"type": "string", "enum": sorted(words)}


_POST_FIELDS: dict[str, Schema] = {
    "content": TEXT | {"minLength": 1, "maxLength": MOST_CHARACTERS},
    "accountIds": array(TEXT, least=1),
    "scheduledFor": maybe(TIME),
    "contentType": _words(*CONTENT_TYPES),
    "saveAsDraft": FLAG,
    "queue": FLAG,
    "media": array(TEXT),
    "tags": array(TEXT),
    "metadata": ANY,
    "platformOverrides": ANY,
    "platformMetadata": ANY,
    "threadPosts": array(nested("sequence content", sequence=COUNT, content=TEXT), most=25),
    "firstComment": TEXT | {"maxLength": 2200},
    "firstCommentDelay": COUNT | {"minimum": 0, "maximum": 60},
}
_FIGURES = dict.fromkeys(
    ("impressions", "reach", "engagements", "likes", "comments", "shares", "clicks", "saves"), COUNT
)
_PERIOD = {"periodStart": TIME, "periodEnd": TIME}
_RESULT = nested("index status", index=COUNT, status=TEXT, postId=TEXT, mediaId=TEXT, errors=array(ANY))

COMPONENTS: dict[str, Schema] = {
    "Error": nested("error", error=nested("code message", code=TEXT, message=TEXT, details=ANY)),
    "Pagination": nested("limit", limit=COUNT, hasMore=FLAG, has_more=FLAG, nextCursor=maybe(TEXT), next_cursor=maybe(TEXT)),
    "NewPost": nested("content accountIds", **_POST_FIELDS),
    "PostChange": nested(**_POST_FIELDS),
    "Target": nested(
        "platform accountId status", platform=TEXT, accountId=TEXT, accountName=maybe(TEXT), accountAvatarUrl=TEXT,
        accountStatus=maybe(TEXT), status=TEXT, platformPostId=maybe(TEXT), platformPostUrl=maybe(TEXT), publishedAt=maybe(TIME),
        error=maybe(nested("code message", code=TEXT, message=TEXT, details=ANY)), postPlatformId=TEXT, retryCount=COUNT,
    ),
    "Post": nested(
        "id content status createdAt updatedAt platforms", id=TEXT, content=TEXT, contentType=TEXT, status=TEXT,
        scheduledFor=maybe(TIME), publishedAt=maybe(TIME), createdAt=TIME, updatedAt=TIME, platforms=array(ref("Target")),
        accounts=array(ANY), media=array(nested("id", id=TEXT, url=maybe(TEXT), type=TEXT)), mediaUrls=array(TEXT),
        tags=array(TEXT), metadata=ANY, firstComment=maybe(TEXT), firstCommentDelay=COUNT, recurrence=maybe(ANY),
    ),
    "Retried": nested(
        "id status retriedPlatforms skippedPlatforms", id=TEXT, status=TEXT, retriedPlatforms=array(ANY), skippedPlatforms=array(ANY),
    ),
    "Fix": nested(content=TEXT | {"minLength": 1}, mediaUrl=HTTPS, refreshMedia=FLAG),
    "Fixed": nested("success platformId status", success=FLAG, platformId=TEXT, status=TEXT),
    "Validation": nested("content platforms", content=TEXT, platforms=array(_words(*LIMITS, *map(str.upper, LIMITS)), least=1), mediaIds=array(TEXT), media=array(ANY), firstComment=maybe(TEXT)),
    "Verdicts": nested("valid platforms", valid=FLAG, platforms=ANY),
    "BulkPosts": nested("posts", posts=array(ref("NewPost"), most=MOST_ITEMS, least=1), dryRun=FLAG),
    "BulkVideos": nested("videos", videos=array(nested(mediaId=TEXT, **_POST_FIELDS), most=MOST_VIDEOS, least=1), dryRun=FLAG),
    "BulkResult": nested("total results", dry_run=FLAG, total=COUNT, created=COUNT, failed=COUNT, results=array(_RESULT)),
    "Recurrence": nested("frequency", frequency=_words("DAILY", "WEEKLY", "MONTHLY")),
    "Account": nested(
        "id platform username status", id=TEXT, platform=TEXT, username=TEXT, displayName=TEXT, avatarUrl=TEXT, accountType=TEXT,
        status=TEXT, connectedAt=TIME, followers=COUNT, scopeHealth=ANY, pageId=TEXT, pageName=maybe(TEXT), backfill=ANY,
    ),
    "Connect": nested(platform=_words(*LIMITS, *map(str.upper, LIMITS)), callbackUrl=WEB, redirectUri=WEB),
    "Connection": nested("url authUrl authorizationUrl state", url=TEXT, authUrl=TEXT, authorizationUrl=TEXT, state=TEXT, redirectUri=maybe(TEXT)),
    "Agreed": nested("code state", code=TEXT, state=TEXT, redirectUri=TEXT),
    "Page": nested("pageId", pageId=TEXT, pageName=TEXT),
    "Success": nested("success", success=FLAG, message=TEXT, id=TEXT, deleted=FLAG, details=ANY),
    "NewFile": nested(
        "filename contentType sizeBytes", filename=TEXT | {"minLength": 1}, contentType=_words(*SIZES),
        sizeBytes=COUNT | {"minimum": 1, "maximum": max(SIZES.values())},
    ),
    "Upload": nested("mediaId uploadUrl uploadHeaders expiresAt", mediaId=TEXT, uploadUrl=TEXT, uploadHeaders=ANY, expiresAt=TIME),
    # Of many files each is answered by itself, also one that is too large.
    "OneOfMany": nested(
        "filename contentType sizeBytes", filename=TEXT | {"minLength": 1}, contentType=_words(*SIZES), sizeBytes=COUNT | {"minimum": 1},
    ),
    "Files": nested("files", files=array(ref("OneOfMany"), most=MOST_FILES, least=1)),
    "Videos": nested("videos", videos=array(ref("OneOfMany"), most=MOST_VIDEOS, least=1)),
    "Remote": nested("url", url=HTTPS, contentType=_words(*SIZES), filename=TEXT),
    "DriveFile": nested("fileId", fileId=TEXT | {"minLength": 1}, filename=TEXT, contentType=TEXT),
    "MediaIds": nested("mediaIds", mediaIds=array(TEXT, most=MOST_FILES, least=1)),
    "Media": nested(
        "id filename contentType sizeBytes status createdAt", id=TEXT, filename=TEXT, contentType=TEXT, sizeBytes=COUNT, status=TEXT,
        createdAt=TIME, url=TEXT, publicUrl=TEXT, thumbnailUrl=TEXT, dimensions=ANY, validationResults=array(ANY), metadata=ANY,
    ),
    "NewWebhook": nested("url events", url=WEB, events=array(_words(*EVENTS), least=1), enabled=FLAG, active=FLAG),
    "WebhookChange": nested(url=WEB, events=array(_words(*EVENTS), least=1), enabled=FLAG, active=FLAG),
    "Webhook": nested(
        "id url events enabled active createdAt", id=TEXT, url=TEXT, events=array(TEXT), enabled=FLAG, active=FLAG, secret=TEXT,
        lastDeliveryAt=maybe(TIME), failureCount=COUNT, createdAt=TIME,
    ),
    "WebhookId": nested("webhookId", webhookId=TEXT),
    "Delivery": nested(
        "id webhookId eventType url success createdAt", id=TEXT, webhookId=TEXT, eventType=TEXT, url=TEXT, statusCode=maybe(COUNT),
        latencyMs=maybe(COUNT), responseBody=maybe(TEXT), retryCount=COUNT, success=FLAG, error=maybe(TEXT), createdAt=TIME,
        deliveredAt=maybe(TIME),
    ),
    "Queued": nested("id status", id=TEXT, status=TEXT),
    "Figures": nested("metrics", metrics=nested(**_FIGURES), data=array(ANY), dataAvailable=FLAG, collectedAt=TIME, **_PERIOD),
    "Tally": nested("summary topPosts byPlatform", summary=ANY, topPosts=array(ANY), byPlatform=array(ANY), **_PERIOD),
    "Batch": nested(
        "operations",
        operations=array(
            nested(
                "id method path", id=TEXT | {"minLength": 1, "maxLength": 64}, method=_words("POST", "PATCH", "DELETE"),
                path=TEXT | {"maxLength": 500, "pattern": "^/v1/(posts|accounts|media|webhooks)"}, body=ANY, headers=ANY,
            ),
            most=MOST_OPERATIONS, least=1,
        ),
        continueOnError=FLAG, parallel=FLAG,
    ),
    "BatchResult": nested("results summary", results=array(nested("id status", id=TEXT, status=COUNT)), summary=ANY),
    "Login": nested("email password", email=TEXT, password=TEXT),
    "Object": ANY,
}  # fmt: skip
