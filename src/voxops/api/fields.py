"""The fields of requests: their limits, each with its source, and the checks they pass before anything is sent.

A check takes the field's name in the API and a value, and returns the value as it is sent. It raises a ValidationError of status 0
that names the field and what is allowed. `endpoints` says which call takes which field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Final, Literal, NoReturn, get_args, get_type_hints

from voxops._support import safe
from voxops._support.canonical import is_well_formed, typed_time
from voxops.api.assumptions import DRAFT_FLAG_SENT
from voxops.errors import ValidationError
from voxops.model import CONTENT_TYPES

Check = Callable[[str, Any], Any]

_MEGABYTE = 1024 * 1024
_INVALID, _TOO_LONG = "VALIDATION_ERROR", "CONTENT_TOO_LONG"

# Documented text limits of the platforms; a breach is only a warning, since the API decides. `ws.check` asks it.
PLATFORM_CHARACTERS: Mapping[str, int] = {
    "twitter": 280, "bluesky": 300, "threads": 500, "instagram": 2_200, "linkedin": 3_000,
}  # fmt: skip

# Content type -> most bytes of a file (contract: MED).
FILE_BYTES: Mapping[str, int] = {
    **dict.fromkeys(("image/jpeg", "image/png", "image/gif", "image/webp"), 20 * _MEGABYTE),
    **dict.fromkeys(("video/mp4", "video/quicktime", "video/x-msvideo", "video/webm"), 500 * _MEGABYTE),
    "application/pdf": 100 * _MEGABYTE,
    **dict.fromkeys(("text/srt", "text/vtt", "text/plain"), 5 * _MEGABYTE),
}
# The end of a file's name -> its content type.
FILE_TYPES: Mapping[str, str] = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp",
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".avi": "video/x-msvideo", ".webm": "video/webm",
    ".pdf": "application/pdf", ".srt": "text/srt", ".vtt": "text/vtt", ".txt": "text/plain",
}  # fmt: skip
BULK_VIDEO_BYTES = 20 * 1024**3  # of all videos of one request (contract: MED)


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What a platform takes of a picture in its feed: most bytes, least width in pixels, least and most width for each height."""

    most_bytes: int
    least_width: int = 0
    least_ratio: float = 0.0
    most_ratio: float = 1_000.0


# The platforms' own published limits; a breach is only a warning, since the API may convert a picture before it sends it on.
PLATFORM_PICTURES: Mapping[str, PictureLimits] = {
    "instagram": PictureLimits(8 * _MEGABYTE, 320, 4 / 5, 1.91),
    "threads": PictureLimits(8 * _MEGABYTE, 320, 1 / 10, 10),
    "twitter": PictureLimits(5 * _MEGABYTE),
    "bluesky": PictureLimits(1_000_000),
}


def refuse(name: str, why: str, *, code: str = _INVALID, **details: Any) -> NoReturn:
    """Raise a ValidationError of status 0: the request was not sent."""
    raise ValidationError(f"{name}: {why}; nothing was sent", status=0, code=code, details={"field": name, **details})


def shown(value: Any) -> str:
    """Return a value as messages quote it: shortened, without invisible characters."""
    try:
        return safe.plain(repr(value), 100)
    except ValueError:  # a number of thousands of digits
        return f"a {type(value).__name__}"


def _above(name: str, actual: int, most: int, unit: str = "characters", code: str = _INVALID) -> NoReturn:
    refuse(name, f"{actual:,} {unit}, {most:,} allowed", code=code, maxLength=most, actualLength=actual)


@dataclass(frozen=True, slots=True)
class Text:
    """A text of at most `most` characters."""

    most: int
    blank: bool = True
    code: str = _INVALID

    def __call__(self, name: str, value: Any) -> str:
        """Check a text."""
        if not self.blank and (not isinstance(value, str) or not value.strip()):
            refuse(name, "a text is required")
        if not isinstance(value, str):
            refuse(name, f"takes a text, not {type(value).__name__}")
        if len(value) > self.most:
            _above(name, len(value), self.most, code=self.code)
        return value


@dataclass(frozen=True, slots=True)
class Token:
    """A text that fits into a header."""

    most: int
    code: str = _INVALID

    def __call__(self, name: str, value: Any) -> str:
        """Check a token."""
        fits = isinstance(value, str) and 1 <= len(value) <= self.most and value.isascii() and value.isprintable()
        if not fits or " " in value:
            refuse(name, f"takes 1 to {self.most} ASCII characters without spaces", code=self.code)
        return str(value)


@dataclass(frozen=True, slots=True)
class Many:
    """A list of `least` to `most` items, each of which passes a check; one text is not a list."""

    most: int
    each: Check
    least: int = 1

    def __call__(self, name: str, value: Any) -> list[Any]:
        """Check a list."""
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            refuse(name, f"takes a list, not {type(value).__name__}")
        if not self.least <= len(value) <= self.most:
            why = f"{len(value)} entries, {self.least} to {self.most} allowed"
            refuse(name, why, maxLength=self.most, actualLength=len(value))
        return [self.each(f"{name}[{number}]", item) for number, item in enumerate(value)]


@dataclass(frozen=True, slots=True)
class Fits:
    """A value that passes a test; `says` is what the field takes."""

    test: Callable[[Any], bool]
    says: str

    def __call__(self, name: str, value: Any) -> Any:
        """Check a value."""
        return value if self.test(value) else refuse(name, self.says)


@dataclass(frozen=True, slots=True)
class Shape:
    """A mapping of which some fields are checked where they have a value; the others pass through."""

    fields: Mapping[str, Check]

    def __call__(self, name: str, value: Any) -> dict[str, Any]:
        """Check a mapping."""
        found = mapping(name, value)
        checked = {
            key: check(f"{name}.{key}", found[key]) for key, check in self.fields.items() if found.get(key) is not None
        }
        return found | checked


def texts(name: str, value: Any) -> list[str]:
    """Check texts; one text is refused, since it would be a list of letters."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        refuse(name, f"takes a list of texts, not {type(value).__name__}")
    found = list(value)
    if not all(isinstance(item, str) and item for item in found):
        refuse(name, "takes a list of non-empty texts")
    return found


def as_is(_: str, value: Any) -> Any:
    """Return a value that the API alone checks."""
    return value


def if_true(_: str, value: Any) -> Any:
    """Return True, or None, which is not sent."""
    return value or None


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Check a mapping whose names are texts."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        refuse(name, f"takes a mapping of names to values, not {type(value).__name__}")
    return dict(value)


def ident(name: str, value: Any) -> str:
    """Check an id: any non-empty text; prefixes are ignored (contract: SCH)."""
    if not isinstance(value, str) or not value or not is_well_formed(value):
        refuse(name, f"{shown(value)} is not a valid id")
    return value


https: Fits = Fits(lambda value: _begins(value, "https://"), "must be an https address")
# The API decides whether it accepts plain http, and which events exist.
web_address: Fits = Fits(lambda value: _begins(value, "https://", "http://"), "must be an http or https address")
page_id: Fits = Fits(lambda value: isinstance(value, str), 'takes a text; "" clears the selection')
event_names: Fits = Fits(
    lambda value: _are_texts(value) and len(value) > 0, 'takes a list such as ["post.failed"], or ["*"] for all'
)


def _begins(value: Any, *schemes: str) -> bool:
    return isinstance(value, str) and value.lower().startswith(schemes)


def _are_texts(values: Any) -> bool:
    listed = isinstance(values, Sequence) and not isinstance(values, str)
    return listed and all(isinstance(value, str) and value for value in values)


def instant(name: str, value: Any) -> str:
    """Return a time in UTC, as the API expects it; one without an offset is refused, not guessed (contract: SCH)."""
    moment = value
    if isinstance(moment, str):
        try:
            moment = typed_time(moment)
        except ValueError:
            refuse(name, f"{shown(moment)} is not a valid ISO 8601 time", code="INVALID_DATE")
    if not isinstance(moment, datetime):
        refuse(name, f"takes a datetime or ISO text, not {type(moment).__name__}", code="INVALID_DATE")
    if moment.tzinfo is None or moment.utcoffset() is None:
        why = f"{shown(value)} has no offset; add one, such as 2026-03-02T09:00:00+01:00"
        refuse(name, why, code="INVALID_DATE")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check_file(filename: Any, content_type: Any, size: Any, *, most: int | None = None, kind: str = "") -> None:
    """Check a file: the API must accept its type, which begins with `kind` (contract: MED), and its size."""
    if not isinstance(filename, str) or not filename or "/" in filename or "\\" in filename:
        refuse("filename", f"{shown(filename)} is not a valid file name")
    types = sorted(name for name in FILE_BYTES if name.startswith(kind))
    if content_type not in types:
        refuse("contentType", f"{shown(content_type)} is not a valid content type; one of {', '.join(types)} allowed")
    allowed = FILE_BYTES[content_type] if most is None else most
    named = safe.plain(filename, 100)
    if type(size) is not int:
        refuse("sizeBytes", f"{named}: {shown(size)} is not a whole number of bytes")
    if not 1 <= size <= allowed:
        why = f"{named}: {size:,} bytes, 1 to {allowed:,} allowed"
        refuse("sizeBytes", why, maxLength=allowed, actualLength=size)


def file_item(name: str, value: Any, **limits: Any) -> dict[str, Any]:
    """Check a file as ``{filename, contentType, sizeBytes}``."""
    item = mapping(name, value)
    check_file(item.get("filename"), item.get("contentType"), item.get("sizeBytes"), **limits)
    return item


def _video_file(name: str, value: Any) -> dict[str, Any]:
    return file_item(name, value, most=BULK_VIDEO_BYTES, kind="video/")


# -- the fields of a post (contract: POST-3); the platforms' limits are lower

CONTENT = Text(10_000, blank=False, code=_TOO_LONG)
CONTENT_OR_NONE = Text(CONTENT.most, code=_TOO_LONG)  # of a platform, or of a video
COMMENT = Text(2_200)
COMMENT_DELAY_SECONDS = 60  # the API's own page allows 60, one client 3,600; the lower one is safe
THREAD_POSTS = 25
POST_ACCOUNTS = 1_000  # undocumented; a guard against a whole column in one cell
# Metadata of a post (contract: POST-2); a breach is answered by 422.
METADATA_NAME_CHARACTERS, METADATA_TEXT_CHARACTERS = 100, 1_000
METADATA_LIST_ITEMS, METADATA_ITEM_CHARACTERS = 100, 200


def _account_ids(name: str, value: Any) -> list[str]:
    return texts(name, Many(POST_ACCOUNTS, as_is)(name, value))


def _content_type(name: str, value: Any) -> str:
    if not isinstance(value, str) or value.upper() not in CONTENT_TYPES:
        names = ", ".join(sorted(CONTENT_TYPES)).lower()
        refuse(name, f"{shown(value)} is not a valid content type; one of {names} allowed")
    return value.upper()


def by_platform(name: str, value: Any) -> dict[str, Any]:
    """Return fields by platform in upper case; content there has the same maximum length."""
    inner = Shape({"content": CONTENT_OR_NONE})
    return {platform.upper(): inner(f"{name}.{platform}", one) for platform, one in mapping(name, value).items()}


def _thread(name: str, value: Any) -> list[dict[str, Any]]:
    """Check the posts of a thread, which are numbered from 1 without gaps."""
    parts = Many(THREAD_POSTS, mapping)(name, value)
    if [part.get("sequence") for part in parts] != list(range(1, len(parts) + 1)):
        refuse(name, "sequence must count 1, 2, 3, … without gaps")
    for number, part in enumerate(parts, 1):
        CONTENT(f"{name}[{number}].content", part.get("content"))
    return parts


def _delay(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= COMMENT_DELAY_SECONDS:
        why = f"{shown(value)} is not a valid delay; 0 to {COMMENT_DELAY_SECONDS} whole seconds allowed"
        refuse(name, why)
    return value


def _metadata(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        refuse(name, f"takes a mapping, not {type(value).__name__}")
    for key, inner in value.items():
        where = f"{name}.{str(key)[:METADATA_NAME_CHARACTERS]}"
        if not isinstance(key, str) or not 1 <= len(key) <= METADATA_NAME_CHARACTERS:
            refuse(where, f"a name must have 1 to {METADATA_NAME_CHARACTERS} characters")
        if isinstance(inner, str) and len(inner) > METADATA_TEXT_CHARACTERS:
            _above(where, len(inner), METADATA_TEXT_CHARACTERS)
        if isinstance(inner, list | tuple):
            if len(inner) > METADATA_LIST_ITEMS:
                _above(where, len(inner), METADATA_LIST_ITEMS, "items")
            if any(isinstance(item, str) and len(item) > METADATA_ITEM_CHARACTERS for item in inner):
                refuse(
                    where,
                    f"an item has more than {METADATA_ITEM_CHARACTERS} characters",
                    maxLength=METADATA_ITEM_CHARACTERS,
                )
    return value


class _Unset(Enum):
    """The type of `UNSET`, which tells absent from null."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset.UNSET
Absent = Literal[_Unset.UNSET]


def wire_name(name: str) -> str:
    """Return a name as the API spells it: ``account_ids`` is ``accountIds`` (contract: SCH)."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class PostFields:
    """The fields of a post, for `create`, `update` and `bulk` (contract: POST-3).

    `UNSET` fields are not sent; None is sent as null, which clears the field in an update.

    Attributes
    ----------
    content : str
        At most 10,000 characters.
    account_ids : sequence of str
        Accounts to post to; they determine the platforms.
    scheduled_for : datetime or str or None
        A time with an offset.
    content_type : str or None
        ``text image video carousel thread story reel``, in any case.
    save_as_draft : bool
        Save it as a draft; overrides `scheduled_for`.
    platform_overrides, platform_metadata : mapping
        Platform -> fields that differ on it.
    media : sequence of str
        Media ids.
    tags : sequence of str
        Free words.
    persona_id : str or None
        Persona id.
    queue : bool
        Use the next free slot; excludes `scheduled_for`.
    thread_posts : sequence of mapping
        ``{sequence, content, mediaIds?}``, at most 25, numbered from 1.
    first_comment : str or None
        At most 2,200 characters.
    first_comment_delay : int
        Seconds, 0 to 60.
    metadata : mapping
        Names of at most 100 characters, texts of at most 1,000, lists of at most 100 texts of 200 characters.
    """

    content: Annotated[str | Absent, CONTENT] = UNSET
    account_ids: Annotated[Sequence[str] | Absent, _account_ids] = UNSET
    scheduled_for: Annotated[datetime | str | None | Absent, instant] = UNSET
    content_type: Annotated[str | None | Absent, _content_type] = UNSET
    save_as_draft: Annotated[bool | Absent, as_is] = UNSET
    platform_overrides: Annotated[Mapping[str, Mapping[str, Any]] | None | Absent, by_platform] = UNSET
    platform_metadata: Annotated[Mapping[str, Mapping[str, Any]] | None | Absent, by_platform] = UNSET
    media: Annotated[Sequence[str] | None | Absent, texts] = UNSET
    tags: Annotated[Sequence[str] | None | Absent, texts] = UNSET
    persona_id: Annotated[str | None | Absent, as_is] = UNSET
    queue: Annotated[bool | Absent, as_is] = UNSET
    thread_posts: Annotated[Sequence[Mapping[str, Any]] | None | Absent, _thread] = UNSET
    first_comment: Annotated[str | None | Absent, COMMENT] = UNSET
    first_comment_delay: Annotated[int | None | Absent, _delay] = UNSET
    metadata: Annotated[Mapping[str, Any] | None | Absent, _metadata] = UNSET

    def changes(self) -> dict[str, Any]:
        """Return the body of an update: the fields that are set, by their names in the API.

        Raises
        ------
        ValidationError
            If a field exceeds a documented limit; ``details["field"]`` names it.
        """
        body: dict[str, Any] = {}
        for name, hint in _hints().items():
            value, wire = getattr(self, name), wire_name(name)
            if value is not UNSET:
                null = value is None and type(None) in get_args(hint.__origin__)
                body[wire] = None if null else hint.__metadata__[0](wire, value)
        if body.get("scheduledFor") is not None and body.get("queue"):
            refuse("queue", "excludes scheduledFor")
        return body

    def new(self) -> dict[str, Any]:
        """Return the body of a create; without a time it is sent as a draft, since sources differ on the default.

        Raises
        ------
        ValidationError
            If a field is missing or exceeds a documented limit.
        """
        body = self._complete()
        if DRAFT_FLAG_SENT and body.get("scheduledFor") is None and not body.get("queue"):
            body.setdefault("saveAsDraft", True)
        return body

    def _complete(self, prefix: str = "") -> dict[str, Any]:
        body = self.changes()
        for name in ("content", "accountIds"):
            if name not in body:
                refuse(f"{prefix}{name}", "is required")
        return body


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(PostFields, include_extras=True)


def _post_fields(name: str, value: Any) -> PostFields:
    """Require `PostFields`, which checks itself."""
    if not isinstance(value, PostFields):
        refuse(name, f"takes vx.PostFields(content=..., account_ids=[...]), not {type(value).__name__}")
    return value


def new_post(name: str, value: Any) -> dict[str, Any]:
    """Return the body of a new post."""
    return _post_fields(name, value).new()


def changed_post(name: str, value: Any) -> dict[str, Any]:
    """Return the body of an update, which must change something."""
    return _post_fields(name, value).changes() or refuse(name, "nothing to change")


def _bulk_post(name: str, value: Any) -> dict[str, Any]:
    return _post_fields(name, value)._complete(f"{name}.")


def each_has_a_time(body: Mapping[str, Any]) -> None:
    """Require a time of each post, unless it is a dry run: one without might be published at once."""
    for number, item in enumerate(body["posts"]):
        if item.get("scheduledFor") is None and not body["dryRun"]:
            refuse(f"posts[{number}].scheduledFor", "a time is required in a bulk request")


# -- many in one request

BULK_POSTS = 50  # (contract: K1-2); the retired endpoint took 100
BULK_VIDEOS = 20  # (contract: MED)
BULK_MEDIA = 100  # media presigned or validated at once; assumed, since nothing is documented
VALIDATED = 100  # platforms or media of one validation; undocumented, there are 15 platforms

bulk_posts: Many = Many(BULK_POSTS, _bulk_post)
bulk_videos: Many = Many(BULK_VIDEOS, Shape({"content": CONTENT_OR_NONE, "scheduledFor": instant}))
bulk_files: Many = Many(BULK_MEDIA, file_item)
validated_media: Many = Many(VALIDATED, mapping, least=0)


def bulk_video_files(name: str, value: Any) -> list[dict[str, Any]]:
    """Check the files of several videos, and their total size."""
    items = Many(BULK_VIDEOS, _video_file)(name, value)
    total = sum(item["sizeBytes"] for item in items)
    if total > BULK_VIDEO_BYTES:
        refuse(name, f"{total:,} bytes in all, {BULK_VIDEO_BYTES:,} allowed")
    return items


def media_ids(name: str, value: Any) -> list[str]:
    """Check ids of media."""
    return [ident(name, item) for item in Many(BULK_MEDIA, as_is)(name, value)]


def platforms_to_validate(name: str, value: Any) -> list[str]:
    """Return names of platforms in upper case."""
    return [platform.upper() for platform in texts(name, Many(VALIDATED, as_is)(name, value))]


# -- headers and paths

# Undocumented; every published client sends 36 characters, and other services allow 255.
KEY = Token(255, code="IDEMPOTENCY_INVALID_KEY")
VERSION = Token(255)
_LONGEST_METHOD = 20  # characters


def http_method(value: str) -> str:
    """Return an HTTP method in upper case."""
    if not (isinstance(value, str) and value.isascii() and value.isalpha() and len(value) <= _LONGEST_METHOD):
        refuse("method", f"{shown(value)} is not a valid method")
    return value.upper()


# -- the batch endpoint (contract: BATCH-n)

BATCH_OPERATIONS = Many(100, mapping)
BATCH_ID_CHARACTERS, BATCH_PATH_CHARACTERS = 64, 500
BATCH_BODY_BYTES, BATCH_BYTES = 100 * 1024, 5 * _MEGABYTE  # of one body, of all bodies
_BATCH_GROUPS = ("posts", "accounts", "media", "webhooks")


def batch_operations(value: Any, size: Callable[[Any], int]) -> list[dict[str, Any]]:
    """Check the operations of a batch; `size` returns the bytes of an encoded body."""
    operations = BATCH_OPERATIONS("operations", value)
    ids = [operation.get("id") for operation in operations]
    if len(set(map(str, ids))) != len(ids):
        refuse("operations", "two have the same id")
    total = 0
    for number, operation in enumerate(operations):
        where, key, path = f"operations[{number}]", operation.get("id"), operation.get("path")
        if not isinstance(key, str) or not 1 <= len(key) <= BATCH_ID_CHARACTERS:
            refuse(f"{where}.id", f"takes 1 to {BATCH_ID_CHARACTERS} characters")
        if operation.get("method") not in ("POST", "PATCH", "DELETE"):
            refuse(f"{where}.method", "must be POST, PATCH or DELETE")
        known = isinstance(path, str) and path.startswith(tuple(f"/v1/{group}" for group in _BATCH_GROUPS))
        if not known or len(str(path)) > BATCH_PATH_CHARACTERS:
            groups = ", ".join(_BATCH_GROUPS)
            why = f"must begin with /v1/ and one of {groups}, at most {BATCH_PATH_CHARACTERS} characters"
            refuse(f"{where}.path", why)
        weight = size(operation.get("body"))
        total += weight
        if weight > BATCH_BODY_BYTES:
            _above(f"{where}.body", weight, BATCH_BODY_BYTES, "bytes")
    if total > BATCH_BYTES:
        refuse("operations", f"{total:,} bytes in all, {BATCH_BYTES:,} allowed")
    return operations
