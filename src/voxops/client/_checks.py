"""Documented limits, checked before anything is sent; each refusal names the field and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from voxops._support import safe
from voxops._support.canonical import is_well_formed, typed_time
from voxops.api import limits
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
    "check_method",
    "check_operations",
    "check_thread",
    "check_token",
    "instant",
    "refuse",
    "shown",
    "texts",
]

_LONGEST_METHOD = 20  # characters
_GROUPS = ("posts", "accounts", "media", "webhooks")


def refuse(field: str, why: str, *, code: str = "VALIDATION_ERROR", **details: Any) -> NoReturn:
    """Raise the ValidationError of a request that was never sent; its `status` is 0."""
    raise ValidationError(f"{field}: {why}; nothing was sent", status=0, code=code, details={"field": field, **details})


def _too_long(field: str, actual: int, most: int, unit: str = "characters", code: str = "VALIDATION_ERROR") -> NoReturn:
    """Refuse what is longer than allowed."""
    refuse(field, f"{actual:,} {unit}, {most:,} allowed", code=code, maxLength=most, actualLength=actual)


def check_count(field: str, items: Sequence[Any], most: int) -> None:
    """1 to `most` items, in a list and not in one text."""
    if isinstance(items, str | bytes) or not isinstance(items, Sequence):
        refuse(field, f"takes a list, not {type(items).__name__}")
    if not 1 <= len(items) <= most:
        refuse(field, f"{len(items)} entries, 1 to {most} allowed", maxLength=most, actualLength=len(items))


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
    if not isinstance(value, str) or not value or not is_well_formed(value):
        refuse(field, f"{shown(value)} is not a valid id")
    return value


def shown(value: Any) -> str:
    """What was passed, as a message repeats it: without characters that can't be seen, and not at length."""
    try:
        return safe.plain(repr(value), 100)
    except ValueError:  # a number of thousands of digits
        return f"a {type(value).__name__}"


def check_method(method: str) -> str:
    """An HTTP method, in upper case."""
    if not (isinstance(method, str) and method.isascii() and method.isalpha() and len(method) <= _LONGEST_METHOD):
        refuse("method", f"{shown(method)} is not a valid method")
    return method.upper()


def check_key(key: str) -> str:
    """An idempotency key."""
    return check_token("idempotency_key", key, code="IDEMPOTENCY_INVALID_KEY")


def check_token(field: str, token: str, *, code: str = "VALIDATION_ERROR") -> str:
    """A token that fits into a header."""
    if not (
        isinstance(token, str)
        and 1 <= len(token) <= limits.KEY_CHARACTERS
        and token.isascii()
        and token.isprintable()
        and " " not in token
    ):
        refuse(field, f"takes 1 to {limits.KEY_CHARACTERS} ASCII characters without spaces", code=code)
    return token


def check_content(field: str, text: Any) -> None:
    """A text of at most 10,000 characters (contract: POST-3)."""
    if not isinstance(text, str) or not text.strip():
        refuse(field, "a text is required")
    check_length(field, text)


def check_length(field: str, text: Any) -> None:
    """A text, which may be empty, of at most 10,000 characters."""
    if not isinstance(text, str):
        refuse(field, f"takes a text, not {type(text).__name__}")
    if len(text) > limits.CONTENT_CHARACTERS:
        _too_long(field, len(text), limits.CONTENT_CHARACTERS, code="CONTENT_TOO_LONG")


def check_comment(text: str | None, delay: int | None) -> None:
    """The first comment and its delay."""
    if text is not None and not isinstance(text, str):
        refuse("firstComment", f"takes a text, not {type(text).__name__}")
    if text is not None and len(text) > limits.COMMENT_CHARACTERS:
        _too_long("firstComment", len(text), limits.COMMENT_CHARACTERS)
    if delay is not None and not (type(delay) is int and 0 <= delay <= limits.COMMENT_DELAY_SECONDS):
        refuse(
            "firstCommentDelay",
            f"{shown(delay)} is not a valid delay; 0 to {limits.COMMENT_DELAY_SECONDS} whole seconds allowed",
        )


def check_thread(parts: Sequence[Mapping[str, Any]]) -> None:
    """At most 25 posts, numbered from 1 without gaps."""
    check_items("threadPosts", parts, limits.THREAD_POSTS)
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
        if not isinstance(name, str) or not 1 <= len(name) <= limits.METADATA_NAME_CHARACTERS:
            refuse(field, f"a name is a text of 1 to {limits.METADATA_NAME_CHARACTERS} characters")
        if isinstance(value, str) and len(value) > limits.METADATA_TEXT_CHARACTERS:
            _too_long(field, len(value), limits.METADATA_TEXT_CHARACTERS)
        if isinstance(value, list | tuple):
            if len(value) > limits.METADATA_LIST_ITEMS:
                _too_long(field, len(value), limits.METADATA_LIST_ITEMS, "items")
            most = limits.METADATA_ITEM_CHARACTERS
            if any(isinstance(item, str) and len(item) > most for item in value):
                refuse(field, f"an item has more than {most} characters", maxLength=most)


def instant(field: str, value: datetime | str) -> str:
    """Return a time as the API takes it, in UTC; one without an offset is refused, not guessed (contract: SCH)."""
    moment = value
    if isinstance(moment, str):
        try:
            moment = typed_time(moment)
        except ValueError:
            refuse(field, f"{shown(moment)} is not a valid ISO 8601 time", code="INVALID_DATE")
    if not isinstance(moment, datetime):
        refuse(field, f"takes a datetime or ISO text, not {type(moment).__name__}", code="INVALID_DATE")
    if moment.tzinfo is None or moment.utcoffset() is None:
        refuse(
            field,
            f"{shown(value)} has no offset; write it with a time zone, such as 2026-03-02T09:00:00+01:00",
            code="INVALID_DATE",
        )
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check_file(filename: Any, content_type: Any, size: Any, *, most: int | None = None, kind: str = "") -> None:
    """A file that may be uploaded, of a content type that begins with `kind` (contract: MED)."""
    if not isinstance(filename, str) or not filename or "/" in filename or "\\" in filename:
        refuse("filename", f"{shown(filename)} is not a valid file name")
    types = sorted(name for name in limits.FILE_BYTES if name.startswith(kind))
    if content_type not in types:
        refuse("contentType", f"{shown(content_type)} is not a valid content type; one of {', '.join(types)} allowed")
    allowed = limits.FILE_BYTES[content_type] if most is None else most
    if type(size) is not int:
        refuse("sizeBytes", f"{safe.plain(filename, 100)}: {shown(size)} is not a whole number of bytes")
    if not 1 <= size <= allowed:
        refuse(
            "sizeBytes",
            f"{safe.plain(filename, 100)}: {size:,} bytes, 1 to {allowed:,} allowed",
            maxLength=allowed,
            actualLength=size,
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
    check_items("operations", operations, limits.BATCH_OPERATIONS)
    ids = [operation.get("id") for operation in operations]
    if len(set(map(str, ids))) != len(ids):
        refuse("operations", "two have the same id")
    total = 0
    for number, operation in enumerate(operations):
        field = f"operations[{number}]"
        name, path = operation.get("id"), operation.get("path")
        if not isinstance(name, str) or not 1 <= len(name) <= limits.BATCH_ID_CHARACTERS:
            refuse(f"{field}.id", f"takes 1 to {limits.BATCH_ID_CHARACTERS} characters")
        if operation.get("method") not in ("POST", "PATCH", "DELETE"):
            refuse(f"{field}.method", "is POST, PATCH or DELETE")
        if (
            not isinstance(path, str)
            or len(path) > limits.BATCH_PATH_CHARACTERS
            or not path.startswith(tuple(f"/v1/{group}" for group in _GROUPS))
        ):
            refuse(
                f"{field}.path",
                f"lies under /v1/ and {', '.join(_GROUPS)}, and has at most {limits.BATCH_PATH_CHARACTERS} characters",
            )
        weight = size(operation.get("body"))
        total += weight
        if weight > limits.BATCH_BODY_BYTES:
            _too_long(f"{field}.body", weight, limits.BATCH_BODY_BYTES, "bytes")
    if total > limits.BATCH_BYTES:
        refuse("operations", f"{total:,} bytes in all, {limits.BATCH_BYTES:,} allowed")
