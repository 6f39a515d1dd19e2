"""``/v1/openapi.json``: the API as it is served, from the table of routes and the shapes in `schemas`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from voxburst_sandbox.http import Answer, Call, Route
from voxburst_sandbox.schemas import COMPONENTS, Schema, array, nested, ref

__all__ = ["describe", "route"]

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
