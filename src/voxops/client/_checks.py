"""Documented limits, checked before anything is sent; each refusal names the field and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from voxops.errors import ValidationError

__all__ = [
    "check_comment",
    "check_content",
    "check_count",
    "check_event_names",
    "check_file",
    "check_https",
    "check_id",
    "check_items",
    "check_key",
    "check_length",
    "check_mapping",
    "check_metadata",
    "check_operations",
    "check_thread",
    "instant",
    "refuse",
    "texts",
]

MOST_CHARACTERS = 10_000
MOST_COMMENT = 2_200
MOST_COMMENT_DELAY = 60  # seconds; one client allows 3600, the API's own page 60
MOST_THREAD = 25
_MEGABYTE = 1024 * 1024
# Content type -> most bytes (contract: MED).
FILE_SIZES: Mapping[str, int] = {
    **dict.fromkeys(("image/jpeg", "image/png", "image/gif", "image/webp"), 20 * _MEGABYTE),
    **dict.fromkeys(("video/mp4", "video/quicktime", "video/x-msvideo", "video/webm"), 500 * _MEGABYTE),
    "application/pdf": 100 * _MEGABYTE,
    **dict.fromkeys(("text/srt", "text/vtt", "text/plain"), 5 * _MEGABYTE),
}
_GROUPS = ("posts", "accounts", "media", "webhooks")
_MOST_OPERATIONS = 100


def refuse(field: str, why: str, *, code: str = "VALIDATION_ERROR", **details: Any) -> NoReturn:
    """Raise the ValidationError of a request that was never sent; its `status` is 0."""
    raise ValidationError(f"{field}: {why}; nothing was sent", status=0, code=code, details={"field": field, **details})


def check_count(field: str, items: Sequence[Any], most: int) -> None:
    """1 to `most` items, in a list and not in one text."""
    if isinstance(items, str | bytes) or not isinstance(items, Sequence):
        refuse(field, f"takes a list, not {type(items).__name__}")
    if not 1 <= len(items) <= most:
        refuse(field, f"{len(items)} given, 1 to {most} allowed", maxLength=most, actualLength=len(items))


def check_items(field: str, items: Sequence[Any], most: int) -> None:
    """1 to `most` mappings."""
    check_count(field, items, most)
    for number, item in enumerate(items):
        check_mapping(f"{field}[{number}]", item)


def check_mapping(field: str, value: Any) -> None:
    """A mapping whose names are texts."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        refuse(field, f"takes a mapping of names to values, not {type(value).__name__}")


def texts(field: str, values: Any) -> list[str]:
    """A list of texts, and not one text taken for a list of letters."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        refuse(field, f"takes a list of texts, not {type(values).__name__}")
    found = list(values)
    if not all(isinstance(value, str) and value for value in found):
        refuse(field, "takes a list of texts that are not empty")
    return found


def check_id(field: str, value: str) -> str:
    """An identifier: any text that is not empty; prefixes are never looked at (contract: SCH)."""
    if not isinstance(value, str) or not value:
        refuse(field, f"{value!r} is no id")
    return value


def check_key(key: str, field: str = "idempotency_key") -> str:
    """An idempotency key, or another token, that a header can carry."""
    if not (isinstance(key, str) and 1 <= len(key) <= 255 and key.isascii() and key.isprintable() and " " not in key):
        refuse(field, "takes 1 to 255 ASCII characters without spaces", code="IDEMPOTENCY_INVALID_KEY")
    return key


def check_content(field: str, text: Any) -> None:
    """A text of at most 10,000 characters (contract: POST-3)."""
    if not isinstance(text, str) or not text.strip():
        refuse(field, "a text is required")
    check_length(field, text)


def check_length(field: str, text: Any) -> None:
    """A text, which may be empty, of at most 10,000 characters."""
    if not isinstance(text, str):
        refuse(field, f"takes a text, not {type(text).__name__}")
    if len(text) > MOST_CHARACTERS:
        refuse(
            field,
            f"{len(text):,} characters, {MOST_CHARACTERS:,} allowed",
            code="CONTENT_TOO_LONG",
            maxLength=MOST_CHARACTERS,
            actualLength=len(text),
        )


def check_comment(text: str | None, delay: int | None) -> None:
    """The first comment and its delay."""
    if text is not None and not isinstance(text, str):
        refuse("firstComment", f"takes a text, not {type(text).__name__}")
    if text is not None and len(text) > MOST_COMMENT:
        refuse(
            "firstComment",
            f"{len(text):,} characters, {MOST_COMMENT:,} allowed",
            maxLength=MOST_COMMENT,
            actualLength=len(text),
        )
    if delay is not None and not (type(delay) is int and 0 <= delay <= MOST_COMMENT_DELAY):
        refuse("firstCommentDelay", f"{delay!r} given, 0 to {MOST_COMMENT_DELAY} whole seconds allowed")


def check_thread(parts: Sequence[Mapping[str, Any]]) -> None:
    """At most 25 posts, numbered from 1 without gaps."""
    check_items("threadPosts", parts, MOST_THREAD)
    if [part.get("sequence") for part in parts] != list(range(1, len(parts) + 1)):
        refuse("threadPosts", "sequence must count 1, 2, 3, … without gaps")
    for number, part in enumerate(parts, 1):
        check_content(f"threadPosts[{number}].content", part.get("content"))


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Names of 100, texts of 1,000 characters, lists of 100 texts of 200 (contract: POST-2)."""
    if not isinstance(metadata, Mapping):
        refuse("metadata", f"takes a mapping, not {type(metadata).__name__}")
    for name, value in metadata.items():
        field = f"metadata.{str(name)[:100]}"
        if not isinstance(name, str) or not 1 <= len(name) <= 100:
            refuse(field, "a name is a text of 1 to 100 characters")
        if isinstance(value, str) and len(value) > 1_000:
            refuse(field, f"{len(value):,} characters, 1,000 allowed", maxLength=1_000, actualLength=len(value))
        if isinstance(value, list | tuple):
            if len(value) > 100:
                refuse(field, f"{len(value)} items, 100 allowed", maxLength=100, actualLength=len(value))
            if any(isinstance(item, str) and len(item) > 200 for item in value):
                refuse(field, "an item has more than 200 characters", maxLength=200)


def instant(field: str, value: datetime | str) -> str:
    """Return a time as the API takes it, in UTC; one without an offset is refused, not guessed (contract: SCH)."""
    moment = value
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            refuse(field, f"{moment!r} is no ISO 8601 time", code="INVALID_DATE")
    if not isinstance(moment, datetime):
        refuse(field, f"takes a datetime or ISO text, not {type(moment).__name__}", code="INVALID_DATE")
    if moment.tzinfo is None or moment.utcoffset() is None:
        refuse(
            field,
            f"{value} has no offset; write it with a time zone, such as 2026-03-02T09:00:00+01:00",
            code="INVALID_DATE",
        )
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check_file(filename: Any, content_type: Any, size: Any, *, most: int | None = None, kind: str = "") -> None:
    """A file that may be uploaded, of a content type that begins with `kind` (contract: MED)."""
    if not isinstance(filename, str) or not filename or "/" in filename or "\\" in filename:
        refuse("filename", f"{filename!r} is no file name")
    types = sorted(name for name in FILE_SIZES if name.startswith(kind))
    if content_type not in types:
        refuse("contentType", f"{content_type!r} given; one of {', '.join(types)} allowed")
    allowed = FILE_SIZES[content_type] if most is None else most
    if type(size) is not int:
        refuse("sizeBytes", f"{filename}: {size!r} is no whole number of bytes")
    if not 1 <= size <= allowed:
        refuse(
            "sizeBytes", f"{filename}: {size:,} bytes, 1 to {allowed:,} allowed", maxLength=allowed, actualLength=size
        )


def check_https(field: str, url: str) -> None:
    """An https address."""
    if not isinstance(url, str) or not url.lower().startswith("https://"):
        refuse(field, "must be an https address")


def check_event_names(events: Sequence[str]) -> None:
    """At least one event; which ones exist is the API's to say, since new ones come."""
    if (
        isinstance(events, str)
        or not isinstance(events, Sequence)
        or not events
        or not all(isinstance(event, str) and event for event in events)
    ):
        refuse("events", 'takes a list such as ["post.failed"], or ["*"] for all')


def check_operations(operations: Sequence[Mapping[str, Any]], size: Any) -> None:
    """The operations of a batch (contract: BATCH-n); `size` gives a body's bytes on the wire."""
    check_items("operations", operations, _MOST_OPERATIONS)
    ids = [operation.get("id") for operation in operations]
    if len(set(map(str, ids))) != len(ids):
        refuse("operations", "each needs an id of its own")
    total = 0
    for number, operation in enumerate(operations):
        field = f"operations[{number}]"
        name, path = operation.get("id"), operation.get("path")
        if not isinstance(name, str) or not 1 <= len(name) <= 64:
            refuse(f"{field}.id", "takes 1 to 64 characters")
        if operation.get("method") not in ("POST", "PATCH", "DELETE"):
            refuse(f"{field}.method", "is POST, PATCH or DELETE")
        if (
            not isinstance(path, str)
            or len(path) > 500
            or not path.startswith(tuple(f"/v1/{group}" for group in _GROUPS))
        ):
            refuse(f"{field}.path", f"lies under /v1/ and {', '.join(_GROUPS)}, and has at most 500 characters")
        weight = size(operation.get("body"))
        total += weight
        if weight > 100 * 1024:
            refuse(f"{field}.body", f"{weight:,} bytes, 102,400 allowed", maxLength=102_400, actualLength=weight)
    if total > 5 * _MEGABYTE:
        refuse("operations", f"{total:,} bytes in all, {5 * _MEGABYTE:,} allowed")
