"""Shapes of bodies and answers as JSON Schema, in the default readings; every limit comes from the code that applies it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from voxburst_sandbox.accounts import MOST_OPERATIONS
from voxburst_sandbox.bodies import CONTENT_TYPES, MOST_CHARACTERS
from voxburst_sandbox.http import Answer, Call, Route
from voxburst_sandbox.media import MOST_FILES, SIZES
from voxburst_sandbox.posts import MOST_ITEMS, MOST_VIDEOS
from voxburst_sandbox.publishing import LIMITS
from voxburst_sandbox.webhooks import EVENTS

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


# Paths that are served and not described: the page of a tunnel that is not there, and the description itself.
_UNDESCRIBED = frozenset({"/v1/webhooks/tunnel", "/v1/openapi.json"})
_LIST = "limit cursor"
_SPAN = "startDate endDate since granularity"
_QUERY: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    "success": {"type": "string", "enum": ["true", "false"]},
    "includeArchived": {"type": "string", "enum": ["true", "false"]},
    "granularity": {"type": "string", "enum": ["HOURLY", "DAILY", "WEEKLY", "MONTHLY"]},
    "since": {"type": "string", "pattern": "^[1-9][0-9]{0,2}d$"},
    **{name: {"type": "string", "format": "date-time"} for name in ("from", "to", "startDate", "endDate")},
}
_REFUSALS = {
    400: "The request is wrong.", 401: "The API key is missing or not valid.", 402: "The plan's quota is used up.",
    403: "The API key may only read.", 404: "Not in this workspace.", 409: "The state, or the idempotency key, does not permit it.",
    422: "A limit of the metadata or the batch is broken.", 429: "Too many requests: retry after a pause.",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Operation:
    """What is said of one route: its answer's shape and statuses, its body and its query."""

    answer: str
    statuses: tuple[int, ...] = (200,)
    body: str = ""
    query: str = ""
    listed: str = ""


def _records(name: str, query: str = "", other: str = "") -> _Operation:
    """Return the description of a list."""
    return _Operation(name, query=f"{_LIST} {query}".strip(), listed=other or "data")


_POST = _Operation("Post")
_OPERATIONS: dict[str, _Operation] = {
    "GET /v1/health": _Operation("Object"),
    "GET /v1/auth/me": _Operation("Object"),
    "POST /v1/auth/login": _Operation("Object", body="Login"),
    "POST /v1/batch": _Operation("BatchResult", (200, 207), "Batch"),
    "GET /v1/posts": _records("Post", "status platform accountId from to"),
    "GET /v1/posts/{id}": _POST,
    "POST /v1/posts": _Operation("Post", (201,), "NewPost"),
    "PATCH /v1/posts/{id}": _Operation("Post", body="PostChange"),
    "DELETE /v1/posts/{id}": _Operation("Success"),
    "POST /v1/posts/{id}/clone": _Operation("Post", (201,)),
    "POST /v1/posts/{id}/duplicate": _Operation("Post", (201,)),
    "POST /v1/posts/validate": _Operation("Verdicts", body="Validation"),
    "POST /v1/posts/{id}/publish": _Operation("Post", (202,)),
    "POST /v1/posts/{id}/retry": _Operation("Retried", (202,)),
    "POST /v1/posts/{id}/cancel": _POST,
    "POST /v1/posts/{id}/unpublish": _POST,
    "POST /v1/posts/{id}/platforms/{target}/fix": _Operation("Fixed", (202,), "Fix"),
    "POST /v1/posts/{id}/start-approval": _POST,
    "POST /v1/posts/{id}/approve": _POST,
    "POST /v1/posts/{id}/reject": _POST,
    "POST /v1/posts/{id}/archive": _POST,
    "POST /v1/posts/{id}/unarchive": _POST,
    "POST /v1/posts/{id}/recurrence": _Operation("Post", (201,), "Recurrence"),
    "PATCH /v1/posts/{id}/recurrence": _Operation("Post", body="Recurrence"),
    "DELETE /v1/posts/{id}/recurrence": _POST,
    "POST /v1/posts/bulk": _Operation("BulkResult", (200, 201, 207), "BulkPosts"),
    "POST /v1/posts/bulk-video": _Operation("BulkResult", (200, 201, 207), "BulkVideos"),
    "GET /v1/accounts": _records("Account", "status platform includeArchived"),
    "GET /v1/accounts/{id}": _Operation("Account"),
    "GET /v1/accounts/{id}/pages": _Operation("Object"),
    "POST /v1/accounts/connect": _Operation("Connection", body="Connect"),
    "POST /v1/accounts/connect/{platform}": _Operation("Connection", body="Connect"),
    "POST /v1/accounts/callback/{platform}": _Operation("Object", body="Agreed"),
    "DELETE /v1/accounts/{id}": _Operation("Success"),
    "POST /v1/accounts/{id}/refresh": _Operation("Success"),
    "POST /v1/accounts/{id}/test": _Operation("Success"),
    "POST /v1/accounts/{id}/select-page": _Operation("Success", body="Page"),
    "POST /v1/accounts/{id}/backfill": _Operation("Queued", (202,)),
    "GET /v1/media": _records("Media", "status from to"),
    "GET /v1/media/{id}": _Operation("Media"),
    "POST /v1/media/upload": _Operation("Upload", (201,), "NewFile"),
    "POST /v1/media/{id}/refresh-presign": _Operation("Upload"),
    "DELETE /v1/media/{id}": _Operation("Success"),
    "POST /v1/media/{id}/validate": _Operation("Queued", (202,)),
    "POST /v1/media/register": _Operation("Media", (201,), "Remote"),
    "POST /v1/media/bulk-presign": _Operation("BulkResult", (201, 207), "Files"),
    "POST /v1/media/bulk-video-upload-urls": _Operation("BulkResult", (201, 207), "Videos"),
    "POST /v1/media/bulk-validate": _Operation("BulkResult", (202,), "MediaIds"),
    "POST /v1/media/import-from-url": _Operation("Media", (202,), "Remote"),
    "POST /v1/media/import-from-drive": _Operation("Media", (202,), "DriveFile"),
    "GET /v1/webhooks": _records("Webhook", other="webhooks"),
    "GET /v1/webhooks/{id}": _Operation("Webhook"),
    "POST /v1/webhooks": _Operation("Webhook", (201,), "NewWebhook"),
    "POST /v1/webhooks/test": _Operation("Object", body="WebhookId"),
    "PATCH /v1/webhooks/{id}": _Operation("Webhook", body="WebhookChange"),
    "DELETE /v1/webhooks/{id}": _Operation("Success"),
    "POST /v1/webhooks/{id}/rotate-secret": _Operation("Webhook"),
    "GET /v1/webhooks/{id}/deliveries": _records("Delivery", "eventType success from to"),
    "POST /v1/webhooks/{id}/deliveries/{delivery}/retry": _Operation("Queued", (202,)),
    "GET /v1/analytics/posts/{id}": _Operation("Figures", query=f"{_SPAN} metrics"),
    "POST /v1/analytics/posts/{id}/refresh": _Operation("Figures", (202,)),
    "GET /v1/analytics/accounts/{id}": _Operation("Figures", query=_SPAN),
    "POST /v1/analytics/accounts/{id}/refresh": _Operation("Figures", (202,)),
    "GET /v1/analytics/overview": _Operation("Tally", query=_SPAN),
    "GET /v1/analytics/aggregate": _Operation("Tally", query=f"{_SPAN} limit accountIds platforms"),
}


def route(served: list[Route]) -> Route:
    """Return the endpoint that describes the routes, itself left out; readable without an API key."""
    document: dict[str, Any] = {}

    def answer(_: Call) -> Answer:
        """GET /openapi.json."""
        if not document:
            document.update(describe(served))
        return Answer(200, document)

    return Route("GET", "/v1/openapi.json", answer, public=True)


def describe(served: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of routes, in the default readings; KeyError for a route that nobody described."""
    paths: dict[str, dict[str, Any]] = {}
    for each in sorted(served, key=lambda each: (each.path, each.method)):
        if each.path not in _UNDESCRIBED:
            said = _OPERATIONS[f"{each.method} {each.path}"]
            paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, said)
    return {
        "openapi": "3.1.0",
        "info": {"title": "VoxBurst API, as the voxops sandbox serves it", "version": "1"},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {"schemas": COMPONENTS, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(each: Route, said: _Operation) -> dict[str, Any]:
    """Return one operation."""
    writes = each.method != "GET" and not each.reads
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", each.path)
    ]
    parameters += [
        {"name": name, "in": "query", "schema": _QUERY.get(name, {"type": "string"})} for name in said.query.split()
    ]
    if writes and each.keyed:
        key = {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,255}$"}
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": key})
    shape = ref(said.answer)
    if said.listed:
        shape = nested("data", data=array(shape), **({said.listed: array(shape)} if said.listed != "data" else {}))
        shape["properties"]["pagination"] = ref("Pagination")
    content = {"application/json": {"schema": shape}}
    refused = {"application/json": {"schema": ref("Error")}}
    answers = {str(status): {"description": "Done, or queued.", "content": content} for status in said.statuses}
    answers |= {str(status): {"description": text, "content": refused} for status, text in _REFUSALS.items()}
    shown: dict[str, Any] = {"summary": (each.handler.__doc__ or each.path).splitlines()[0], "responses": answers}
    if each.public:
        shown["security"] = []
    if parameters:
        shown["parameters"] = parameters
    if said.body:
        required = "required" in COMPONENTS[said.body]
        shown["requestBody"] = {"required": required, "content": {"application/json": {"schema": ref(said.body)}}}
    return shown
