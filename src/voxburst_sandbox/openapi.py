"""The OpenAPI 3.1 document of the routes, in the default readings: bodies from their structs, answers as written here."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from voxburst_sandbox import bodies
from voxburst_sandbox.http import Route

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
ANY: Schema = {"type": "object"}


def nested(required: str = "", optional: str = "", /, **typed: Schema) -> Schema:
    """Return an object with these properties, texts where no type is named; others may be there."""
    properties = dict.fromkeys(f"{required} {optional}".split(), TEXT) | typed
    return {"type": "object", "properties": properties, "required": required.split()}


def array(items: Schema) -> Schema:
    """Return a list."""
    return {"type": "array", "items": items}


def maybe(shape: Schema) -> Schema:
    """Return the same or null."""
    return {"anyOf": [shape, {"type": "null"}]}


def ref(name: str) -> Schema:
    """Return a reference to a named shape."""
    return {"$ref": f"#/components/schemas/{name}"}


_FIGURES = "impressions reach engagements likes comments shares clicks saves"
_PERIOD = {"periodStart": TIME, "periodEnd": TIME}
_GRANULARITY = TEXT | {"enum": ["HOURLY", "DAILY", "WEEKLY", "MONTHLY"]}
_ACCOUNT = "followers following totalPosts totalImpressions totalReach totalEngagements engagementRate"
_TOTALS = f"totalPosts {' '.join(f'total{name.capitalize()}' for name in _FIGURES.split())} averageEngagementRate"
_SUMS = dict.fromkeys(_TOTALS.split(), COUNT) | {"averageEngagementRate": NUMBER}
_FAILURE = nested("code message", details=ANY)
_CHOSEN = nested(**dict.fromkeys(_FIGURES.split(), COUNT))  # the query `metrics` leaves out the others


def _figures(more: str, /, **typed: Schema) -> Schema:
    """Return an object with all figures, and more."""
    return nested(f"{_FIGURES} {more}", **_CHOSEN["properties"] | typed)


_ANSWERS: dict[str, Schema] = {
    "Object": ANY,
    "Error": nested("error", error=_FAILURE),
    "Pagination": nested(
        "limit", limit=COUNT, hasMore=FLAG, has_more=FLAG, nextCursor=maybe(TEXT), next_cursor=maybe(TEXT)
    ),
    "Post": nested(
        "id content status createdAt updatedAt platforms", "contentType", scheduledFor=maybe(TIME), publishedAt=maybe(TIME),
        createdAt=TIME, updatedAt=TIME, platforms=array(ref("Target")), accounts=array(ANY), mediaUrls=array(TEXT), tags=array(TEXT),
        media=array(nested("id", "type", url=maybe(TEXT))), metadata=ANY, firstComment=maybe(TEXT), firstCommentDelay=COUNT,
        recurrence=maybe(ANY),
    ),
    "Target": nested(
        "platform accountId status", "accountAvatarUrl postPlatformId", accountName=maybe(TEXT), accountStatus=maybe(TEXT),
        platformPostId=maybe(TEXT), platformPostUrl=maybe(TEXT), publishedAt=maybe(TIME), error=maybe(_FAILURE), retryCount=COUNT,
    ),
    "Retried": nested(
        "id status retriedPlatforms skippedPlatforms", retriedPlatforms=array(ANY), skippedPlatforms=array(ANY)
    ),
    "Fixed": nested("success platformId status", success=FLAG),
    "Verdicts": nested("valid platforms", valid=FLAG, platforms=ANY),
    "BulkResult": nested(
        "total results", dry_run=FLAG, total=COUNT, created=COUNT, failed=COUNT,
        results=array(nested("index status", "postId mediaId", index=COUNT, errors=array(ANY))),
    ),
    "BatchResult": nested("results summary", results=array(nested("id status", status=COUNT)), summary=ANY),
    "Account": nested(
        "id platform username status", "displayName avatarUrl accountType pageId", connectedAt=TIME, followers=COUNT,
        scopeHealth=ANY, pageName=maybe(TEXT), backfill=ANY,
    ),
    "Connection": nested("url authUrl authorizationUrl state", redirectUri=maybe(TEXT)),
    "Success": nested("success", "message id", success=FLAG, deleted=FLAG, details=ANY),
    "Queued": nested("id status"),
    "Media": nested(
        "id filename contentType sizeBytes status createdAt", "url publicUrl thumbnailUrl", sizeBytes=COUNT, createdAt=TIME,
        dimensions=ANY, validationResults=array(ANY), metadata=ANY,
    ),
    "Upload": nested("mediaId uploadUrl uploadHeaders expiresAt", uploadHeaders=ANY, expiresAt=TIME),
    "Webhook": nested(
        "id url events enabled active createdAt", "secret", events=array(TEXT), enabled=FLAG, active=FLAG,
        lastDeliveryAt=maybe(TIME), failureCount=COUNT, createdAt=TIME,
    ),
    "Delivery": nested(
        "id webhookId eventType url success createdAt", statusCode=maybe(COUNT), latencyMs=maybe(COUNT), responseBody=maybe(TEXT),
        retryCount=COUNT, success=FLAG, error=maybe(TEXT), createdAt=TIME, deliveredAt=maybe(TIME),
    ),
    "Figures": nested(
        "postId metrics data dataAvailable collectedAt periodStart periodEnd", metrics=_CHOSEN, dataAvailable=FLAG, collectedAt=TIME,
        data=array(_figures("postId postPlatformId platform metrics collectedAt granularity", metrics=_CHOSEN, collectedAt=TIME)),
        **_PERIOD,
    ),
    "AccountFigures": nested(
        "accountId platform username metrics collectedAt periodStart periodEnd granularity", collectedAt=TIME, granularity=_GRANULARITY,
        metrics=_figures(_ACCOUNT, **dict.fromkeys(_ACCOUNT.split(), COUNT) | {"engagementRate": NUMBER}), **_PERIOD,
    ),
    "Tally": nested(
        f"{_TOTALS} summary topPosts byPlatform periodStart periodEnd", summary=nested(_TOTALS, **_SUMS),
        topPosts=array(_figures("postId platform")), byPlatform=array(_figures("platform posts", posts=COUNT)), **_SUMS, **_PERIOD,
    ),
    "Personas": nested("personas", personas=array(ref("Persona"))),
    "Persona": nested(
        "id name primaryPlatform platforms linkedAccountIds isWorkspaceDefault createdAt updatedAt", "description", avatarUrl=maybe(TEXT),
        platforms=array(TEXT), linkedAccountIds=array(TEXT), isWorkspaceDefault=FLAG, createdAt=TIME, updatedAt=TIME,
    ),
    "HashtagSet": nested("id name tags createdAt updatedAt", tags=array(TEXT), createdAt=TIME, updatedAt=TIME),
    "OneHashtagSet": nested("data", data=ref("HashtagSet")),
    "Contacts": nested("contacts page limit", contacts=array(ref("Contact")), page=COUNT, limit=COUNT),
    "Contact": nested(
        "id workspaceId platform platformId tags createdAt updatedAt", "displayName username avatarUrl", tags=array(TEXT),
        customFields=ANY, lastSeenAt=maybe(TIME), createdAt=TIME, updatedAt=TIME,
    ),
    "ImageJobStatus": nested(
        "jobId status totalItems completedItems items createdAt", totalItems=COUNT, completedItems=COUNT, createdAt=TIME,
        status=TEXT | {"enum": ["PENDING", "PROCESSING", "COMPLETED", "PARTIAL", "FAILED", "CANCELLING", "CANCELLED"]},
        items=array(nested("postId status", mediaId=maybe(TEXT), imageUrl=maybe(TEXT), errorCode=maybe(TEXT))),
    ),
}  # fmt: skip
_QUERY: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    "page": {"type": "integer", "minimum": 1},
    "since": TEXT | {"pattern": "^[1-9][0-9]{0,2}d$"},
    "granularity": _GRANULARITY,
    **dict.fromkeys(("success", "includeArchived"), TEXT | {"enum": ["true", "false"]}),
    **dict.fromkeys(("from", "to", "startDate", "endDate"), TIME),
}
_REFUSALS = {
    400: "The request is wrong.", 401: "The API key is missing or not valid.", 402: "The plan's quota is used up.",
    403: "The API key may only read.", 404: "Not in this workspace.", 409: "The state, or the idempotency key, does not permit it.",
    422: "A limit of the metadata or the batch is broken.", 429: "Too many requests: retry after a pause.",
}  # fmt: skip


@cache
def described(routes: tuple[Route, ...]) -> dict[str, Any]:
    """Return the document; routes without an answer are left out."""
    kinds = [bodies.NewVideo, bodies.NewFile, *(route.body for route in routes if route.body)]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    components |= _ANSWERS
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes, key=lambda route: (route.path, route.method)):
        if route.answer:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "VoxBurst API, as the voxops sandbox serves it", "version": "1"},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(route: Route, components: dict[str, Schema]) -> dict[str, Any]:
    name = route.answer.strip("[]")
    listed = name != route.answer
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": TEXT} for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    query = [*(("limit", "cursor") if listed else ()), *route.query]
    parameters += [{"name": name, "in": "query", "schema": _QUERY.get(name, TEXT)} for name in query]
    if route.keyed and not route.reads:
        key = TEXT | {"pattern": "^[A-Za-z0-9_-]{8,255}$"}
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": key})
    shape = nested("data", data=array(ref(name)), pagination=ref("Pagination")) if listed else ref(name)
    answers = {status: _answer("Done, or queued.", shape) for status in route.statuses}
    answers |= {str(status): _answer(text, ref("Error")) for status, text in _REFUSALS.items()}
    shown: dict[str, Any] = {
        "summary": (route.handler.__doc__ or route.path).splitlines()[0],
        "parameters": parameters,
        "responses": answers,
    }
    if route.public:
        shown["security"] = []
    if route.body is not None:
        whole = components[route.body.__name__]
        body = whole | {"required": []} if route.method == "PATCH" else ref(route.body.__name__)
        shown["requestBody"] = {"required": bool(whole["required"]), "content": {"application/json": {"schema": body}}}
    return shown


def _answer(text: str, shape: Schema) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": shape}}}
