"""Request bodies: each struct decodes and validates one (contract: POST-2, POST-3, SCH, GS, MED, WH-3, BATCH-n).

The functions below the structs are the rules for posts that a type can't express.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from voxburst_sandbox.http import Body, RefusedError, decoded
from voxburst_sandbox.store import Account
from voxburst_sandbox.world import World

# Characters of a post on each platform.
LIMITS = {
    "twitter": 280, "linkedin": 3000, "instagram": 2200, "facebook": 63206, "bluesky": 300, "threads": 500,
    "pinterest": 500, "reddit": 40000, "tiktok": 2200, "youtube": 5000, "mastodon": 500,
    "snapchat": 160, "telegram": 4096, "google_business": 1500, "whatsapp": 4096,
}  # fmt: skip
MOST_CHARACTERS = 10_000
MOST_COMMENT = 2_200

# In either casing: the documents write them in upper case, clients send them in lower case, too.
_PLATFORMS = [name for each in LIMITS for name in (each.upper(), each)]
Platform = Annotated[str, Meta(pattern=f"^({'|'.join(_PLATFORMS)})$")]
Text = Annotated[str, Meta(pattern=r"\S")]
_PORT = r"([0-5]?\d{1,4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"
_HOST = rf"([\w.-]+|\[::1\])(:{_PORT})?([/?#]|$)"
Web = Annotated[str, Meta(pattern=f"^https?://{_HOST}")]
Https = Annotated[str, Meta(pattern=f"^https://{_HOST}")]
Time = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=1)]
Identifiers = Annotated[list[str], Meta(min_length=1)]
ContentType = Literal["TEXT", "IMAGE", "VIDEO", "CAROUSEL", "THREAD", "STORY", "REEL"]
FileType = Literal[
    "image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "video/quicktime", "video/x-msvideo", "video/webm",
    "application/pdf", "text/srt", "text/vtt", "text/plain",
]  # fmt: skip
EventType = Literal[
    "post.created", "post.scheduled", "post.published", "post.failed", "post.draft.approved", "account.connected",
    "account.disconnected", "account.error", "media.uploaded", "post.partial", "*",
]  # fmt: skip


def _items(most: int) -> Meta:
    """Describe a list of at least one item, each of which is decoded, and refused, separately."""
    return Meta(min_length=1, max_length=most)


class ThreadPost(Body):
    """One more post of a thread."""

    sequence: int
    content: str


class NewPost(Body):
    """A post to create; a change is merged into the post and read as one."""

    content: Text
    account_ids: Identifiers
    scheduled_for: Time | None = None
    content_type: ContentType | None = None
    save_as_draft: bool = False
    queue: bool = False
    media: list[str] | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    platform_overrides: dict[str, Any] | None = None
    thread_posts: Annotated[list[ThreadPost], Meta(max_length=25)] | None = None
    first_comment: Annotated[str, Meta(max_length=MOST_COMMENT)] | None = None
    first_comment_delay: Annotated[int, Meta(ge=0, le=60)] | None = None


class NewVideo(NewPost):
    """A post of one video."""

    content_type: ContentType | None = "VIDEO"
    media_id: str | None = None

    def __post_init__(self) -> None:
        if self.media_id and not self.media:
            self.media = [self.media_id]


class Fix(Body):
    """A fix of a failed platform; an empty one queues it again unchanged."""

    content: Text | None = None
    media_url: Https | None = None
    refresh_media: bool = False


class Validation(Body):
    """A text to check for some platforms."""

    content: str
    platforms: Annotated[list[Platform], Meta(min_length=1)]
    media_ids: list[Any] | None = None
    media: list[Any] | None = None
    first_comment: str | None = None


class BulkPosts(Body):
    """Posts to create, each with its own result."""

    posts: Annotated[list[Any], _items(50)]
    dry_run: bool = False


class BulkVideos(Body):
    """Video posts to create, each with its own result."""

    videos: Annotated[list[Any], _items(20)]
    dry_run: bool = False


class Recurrence(Body):
    """The recurrence of a post; more fields pass through."""

    frequency: Literal["DAILY", "WEEKLY", "MONTHLY"]


class Return(Body):
    """The address to return to from a connection."""

    callback_url: Web | None = None
    redirect_uri: Web | None = None


class Connect(Return, kw_only=True):
    """A platform to connect, and the address to return to."""

    platform: Platform


class Agreed(Body):
    """The code of a granted connection."""

    code: str
    state: str


class Page(Body):
    """The page to post to; an empty id clears it."""

    page_id: str
    page_name: str | None = None


class NewFile(Body):
    """A file to upload."""

    filename: Annotated[str, Meta(min_length=1)]
    content_type: FileType
    size_bytes: Count


class Files(Body):
    """Files to upload, each with its own result."""

    files: Annotated[list[Any], _items(100)]


class Videos(Body):
    """Videos to upload, each with its own result."""

    videos: Annotated[list[Any], _items(20)]


class RemoteFile(Body):
    """A file on the web to import."""

    url: Https
    content_type: FileType = "image/jpeg"
    filename: str = ""


class RegisteredFile(RemoteFile):
    """A file on the web that stays there."""

    content_type: FileType


class DriveFile(Body):
    """A file to import from a cloud drive."""

    file_id: Text
    content_type: FileType = "image/jpeg"
    filename: str = ""


class MediaIds(Body):
    """Media to check."""

    media_ids: Annotated[list[str], Meta(min_length=1, max_length=100)]


class NewWebhook(Body):
    """A subscription; ``active`` is another name of ``enabled``."""

    url: Web
    events: Annotated[list[EventType], Meta(min_length=1)]
    enabled: bool = True
    active: bool = True


class WebhookId(Body):
    """The webhook to test."""

    webhook_id: str


class Operation(Body):
    """One request of a batch."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    method: Literal["POST", "PATCH", "DELETE"]
    path: Annotated[str, Meta(max_length=500, pattern="^/v1/(posts|accounts|media|webhooks)")]
    body: Any = None
    headers: dict[str, Any] | None = None


class Batch(Body):
    """Requests to serve in order."""

    operations: Annotated[list[Operation], Meta(min_length=1, max_length=100)]
    continue_on_error: bool = True


class Login(Body):
    """Credentials."""

    email: str
    password: str


# Old name -> present one.
_RENAMED = {
    "platforms": "accountIds",
    "scheduledAt": "scheduledFor",
    "draft": "saveAsDraft",
    "mediaIds": "media",
    "overrides": "platformOverrides",
}


def post_fields(world: World, raw: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a post; names of earlier versions are translated under the switch `legacy`, else refused.

    ``platforms`` become the first active account of each; a platform without one is refused as an unknown account.
    """
    fields = {name: value for name, value in raw.items() if name not in _RENAMED}
    for old, new in _RENAMED.items():
        if old in raw and not world.switches.legacy:
            raise problem(old, f"{old} is not read: send {new} (the switch `legacy` reads it)")
        if old in raw:
            fields.setdefault(new, _first_accounts(world, raw[old]) if old == "platforms" else raw[old])
    if isinstance(kind := fields.get("contentType"), str):
        fields["contentType"] = kind.upper()
    return fields


def _first_accounts(world: World, platforms: Any) -> Any:
    if not isinstance(platforms, list):
        return platforms
    active = [account for account in world.accounts.values() if account.status == "active"]
    first = {account.platform: account.id for account in reversed(active)}
    return [first.get(str(name).lower(), str(name)) for name in platforms]


def checked_post(world: World, fields: dict[str, Any], kind: type[NewPost] = NewPost) -> NewPost:
    """Return a post from its fields; refuse it for the first problem."""
    post = decoded(kind, fields)
    for found in problems(world, post):
        raise found
    return post


def problem(
    field: str, message: str, code: str = "VALIDATION_ERROR", status: int = 0, /, **details: Any
) -> RefusedError:
    """Return what is wrong with a field."""
    return RefusedError(status, code, message, {"field": field, **details})


def too_long(length: int, most: int, platform: str = "") -> RefusedError:
    """Return the problem of a text with too many characters."""
    where = {"platform": platform.upper()} if platform else {}
    message = f"{length} characters, {most} allowed"
    return problem("content", message, "CONTENT_TOO_LONG", 0, maxLength=most, actualLength=length, **where)


def problems(world: World, post: NewPost) -> Iterator[RefusedError]:
    """Yield everything that is wrong with a post."""
    if len(post.content) > MOST_CHARACTERS:
        yield too_long(len(post.content), MOST_CHARACTERS)
    if post.queue and post.scheduled_for:
        yield problem("queue", "queue excludes scheduledFor")
    thread = post.thread_posts or []
    if [part.sequence for part in thread] != list(range(1, len(thread) + 1)):
        yield problem("threadPosts", "sequence is counted from 1 without gaps")
    for name, value in (post.metadata or {}).items():
        lengthy = isinstance(value, str) and len(value) > 1_000
        crowded = isinstance(value, list) and (len(value) > 100 or any(len(str(part)) > 200 for part in value))
        if len(name) > 100 or lengthy or crowded:
            message = "keys have 100, texts 1000 characters, lists 100 items of 200"
            yield problem(f"metadata.{name[:100]}", message, "METADATA_LIMIT", 422)
    for number, key in enumerate(post.account_ids):
        account = world.accounts.get(key)
        if account is None:
            yield problem(f"accountIds[{number}]", f"no account {key[:100]} in this workspace", "ACCOUNT_NOT_FOUND")
        elif account.status != "active":
            yield problem(f"accountIds[{number}]", f"the account is {account.status}", "ACCOUNT_NOT_ACTIVE")
        elif not post.save_as_draft:
            yield from _platform_problems(account, post)
    for number, key in enumerate(post.media or []):
        file = world.media.get(key)
        if file is None or file.status != "ready":
            yield problem(f"media[{number}]", f"the media is {file.status if file else 'not in this workspace'}")


def _platform_problems(account: Account, post: NewPost) -> Iterator[RefusedError]:
    length, most = len(effective_text(post, account.platform)), LIMITS.get(account.platform, MOST_CHARACTERS)
    if length > most:
        yield too_long(length, most, account.platform)
    if account.platform == "instagram" and not post.media:
        yield problem("media", "instagram needs media", "MEDIA_REQUIRED", 0, platform="INSTAGRAM")


def effective_text(post: NewPost, platform: str) -> str:
    """Return the content for one platform: its override in either casing, else the common one."""
    for name, override in (post.platform_overrides or {}).items():
        if name.lower() == platform and isinstance(override, dict) and isinstance(override.get("content"), str):
            return str(override["content"])
    return post.content
