"""The pinned schemas: for each kind of record its columns, their kinds, and the fields they are read from.

=========  ======================  ====================================================================
kind       dtype                   reads
=========  ======================  ====================================================================
text       ``string``              text; numbers in full, objects as JSON
label      ``string``              the same, for values that repeat
word       ``string``              a status, platform or other word, in lower case
code       ``string``              an error code, in upper case
count      ``Int64``               a whole number
flag       ``boolean``             true, false, or NA
time       ``datetime64[us, UTC]`` ISO 8601
list       ``object``              lists, as tuples; nothing is an empty one
json       ``object``              objects and lists as they are (both of `nested`, so that Arrow can hold them)
=========  ======================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from voxops.frames.values import CODE, COUNT, FLAG, JSON, LABEL, LIST, TEXT, TIME, WORD, Kind, field_name

__all__ = ["SCHEMAS", "TARGET", "Column", "pull", "spellings", "unknown"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its kind, and the fields it is read from; the first that holds a value wins.

    A field is named as `field_name` spells it: any spelling of it on the wire fits. A dot reaches into an object: ``post.id``.
    A name with a leading underscore is read to make other columns from, and is not in the frame.
    """

    name: str
    kind: Kind
    fields: tuple[str, ...]

    @property
    def shown(self) -> bool:
        """Whether the frame has it."""
        return not self.name.startswith("_")


def _table(*rows: tuple[str, Kind, str]) -> tuple[Column, ...]:
    """Make a schema of rows ``(column, kind, "field otherField")``."""
    return tuple(Column(name, kind, tuple(map(field_name, fields.split()))) for name, kind, fields in rows)


# Columns without a field are made from others: see `typed`.
SCHEMAS: Mapping[str, tuple[Column, ...]] = {
    "posts": _table(
        ("post_id", TEXT, "id postId"),
        ("status", WORD, "status"),
        ("content", TEXT, "content text"),
        ("content_type", WORD, "contentType"),
        ("scheduled_for", TIME, "scheduledFor scheduledAt"),
        ("published_at", TIME, "publishedAt"),
        ("created_at", TIME, "createdAt"),
        ("updated_at", TIME, "updatedAt"),
        ("targets", JSON, "platforms targets"),
        ("failed_targets", COUNT, ""),
        ("tags", LIST, "tags"),
        ("metadata", JSON, "metadata"),
        ("workspace_id", LABEL, "workspaceId"),
    ),
    "deliveries": _table(
        ("delivery_id", TEXT, "id deliveryId"),
        ("webhook_id", LABEL, "webhookId"),
        ("event_type", LABEL, "eventType event type"),
        ("url", LABEL, "url"),
        ("success", FLAG, "success"),
        ("status_code", COUNT, "statusCode"),
        ("latency_ms", COUNT, "latencyMs"),
        ("retry_count", COUNT, "retryCount"),
        ("error", TEXT, ""),
        ("response_body", TEXT, "responseBody"),
        ("created_at", TIME, "createdAt"),
        ("delivered_at", TIME, "deliveredAt"),
        ("_error", JSON, "error"),
    ),
    "accounts": _table(
        ("account_id", TEXT, "id accountId"),
        ("platform", WORD, "platform"),
        ("username", TEXT, "username"),
        ("display_name", TEXT, "displayName"),
        ("account_type", WORD, "accountType"),
        ("status", WORD, "status"),
        ("followers", COUNT, "followers"),
        ("connected_at", TIME, "connectedAt"),
        ("scope_status", WORD, "scopeHealth.status"),
        ("scope_message", TEXT, "scopeHealth.message scopeHealth.reason"),
        ("avatar_url", TEXT, "avatarUrl"),
        ("workspace_id", LABEL, "workspaceId"),
    ),
    "webhooks": _table(
        ("webhook_id", TEXT, "id webhookId"),
        ("url", TEXT, "url"),
        ("events", LIST, "events"),
        ("enabled", FLAG, "enabled active"),
        ("failure_count", COUNT, "failureCount"),
        ("last_delivery_at", TIME, "lastDeliveryAt"),
        ("created_at", TIME, "createdAt"),
    ),
    "performance": _table(
        ("post_id", TEXT, "postId"),
        ("target_id", TEXT, "postPlatformId"),
        ("platform", WORD, "platform"),
        ("platform_post_url", TEXT, "platformPostUrl"),
        ("impressions", COUNT, "impressions metrics.impressions"),
        ("reach", COUNT, "reach metrics.reach"),
        ("engagements", COUNT, "engagements metrics.engagements"),
        ("likes", COUNT, "likes metrics.likes"),
        ("comments", COUNT, "comments metrics.comments"),
        ("shares", COUNT, "shares metrics.shares"),
        ("clicks", COUNT, "clicks metrics.clicks"),
        ("saves", COUNT, "saves metrics.saves"),
        ("video_views", COUNT, "videoViews metrics.videoViews"),
        ("as_of", TIME, "collectedAt"),
    ),
    "bulk_results": _table(
        ("index", COUNT, "index"),
        ("status", WORD, "status"),
        ("post_id", TEXT, "postId post.id"),
        ("error_code", CODE, ""),
        ("error_message", TEXT, ""),
        ("error_field", LABEL, ""),
        ("errors", JSON, "errors error"),
        ("_success", FLAG, "success"),
    ),
}
# One entry of a post's ``platforms``; retry counts and target ids may be absent in lists.
TARGET = _table(
    ("target_id", TEXT, "postPlatformId id targetId"),
    ("platform", WORD, "platform"),
    ("account_id", LABEL, "accountId account.id"),
    ("account_name", LABEL, "accountName account.username"),
    ("status", WORD, "status"),
    ("error_code", CODE, "errorCode"),
    ("error_message", TEXT, "errorMessage"),
    ("retry_count", COUNT, "retryCount"),
    ("platform_post_id", TEXT, "platformPostId"),
    ("platform_post_url", TEXT, "platformPostUrl"),
    ("published_at", TIME, "publishedAt"),
    ("_error", JSON, "error errors"),
)
_SECRET = frozenset({"secret", "signingsecret", "token", "accesstoken", "refreshtoken", "apikey"})


def spellings(records: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Canonical field -> the spellings of it that occur in these records."""
    spelled: dict[str, list[str]] = {}
    for name in sorted(set().union(*records), key=str):
        spelled.setdefault(field_name(str(name)), []).append(name)
    return spelled


def pull(
    records: Sequence[Mapping[str, Any]], spelled: Mapping[str, list[str]], schema: Sequence[Column]
) -> dict[str, Sequence[Any]]:
    """Raw values of each column: per record the first of its fields, in whatever spelling, that is not null."""
    wanted = {
        column.name: [
            (name, field.partition(".")[2])
            for field in column.fields
            for name in spelled.get(field.partition(".")[0], ())
        ]
        for column in schema
    }
    grid = _grid(records, sorted({name for names in wanted.values() for name, _ in names}, key=str))
    nothing = (None,) * len(records)
    return {column: _first_of(grid, names, nothing) for column, names in wanted.items()}


def _grid(records: Sequence[Mapping[str, Any]], names: list[str]) -> dict[str, Sequence[Any]]:
    """Each named field of all records; one pass where every record has every field, as is usual."""
    if len(names) > 1:
        try:
            return dict(zip(names, zip(*map(itemgetter(*names), records), strict=True), strict=True))
        except KeyError:
            pass
    return {name: [record.get(name) for record in records] for name in names}


def _first_of(grid: Mapping[str, Sequence[Any]], names: list[tuple[str, str]], nothing: Sequence[Any]) -> Sequence[Any]:
    """Merge the fields of one column, the first value that is there wins."""
    merged = nothing
    for name, inner in names:
        found = [_inside(value, inner) for value in grid[name]] if inner else grid[name]
        merged = (
            found
            if merged is nothing
            else [new if old is None else old for old, new in zip(merged, found, strict=True)]
        )
    return merged


def _inside(value: Any, field: str) -> Any:
    """A field of a nested object, in any spelling; None if there is no object."""
    if not isinstance(value, Mapping):
        return None
    return next((inner for name, inner in value.items() if field_name(str(name)) == field), None)


def unknown(records: Sequence[Mapping[str, Any]], schema: Sequence[Column]) -> list[dict[str, Any]]:
    """Per record what its schema does not read; never a secret."""
    known = {field.partition(".")[0] for column in schema for field in column.fields} | _SECRET
    return [{name: value for name, value in record.items() if field_name(str(name)) not in known} for record in records]
