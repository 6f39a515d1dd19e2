"""What a post must fulfil before it is accepted (contract: POST-3, POST-2, SCH, GS)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from voxburst_sandbox.http import RefusedError, old_field
from voxburst_sandbox.publishing import LIMITS
from voxburst_sandbox.store import Account
from voxburst_sandbox.world import World, parse_time

CONTENT_TYPES = frozenset({"TEXT", "IMAGE", "VIDEO", "CAROUSEL", "THREAD", "STORY", "REEL"})
MOST_CHARACTERS = 10_000
MOST_COMMENT = 2_200


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the API's code, the field, and what is the matter."""

    code: str
    field: str
    message: str
    details: Mapping[str, Any] | None = None

    def item(self) -> dict[str, Any]:
        """As an error of a bulk item (contract: K1-2)."""
        shown: dict[str, Any] = {"field": self.field, "issue": self.code, "detail": self.message}
        return shown

    def refusal(self) -> RefusedError:
        """As the error of a whole request."""
        status = 422 if self.code == "METADATA_LIMIT" else 400 if self.code in _ALWAYS_400 else 0
        return RefusedError(status, self.code, self.message, {"field": self.field, **(self.details or {})})


_ALWAYS_400 = frozenset({"INVALID_DATE", "BAD_REQUEST"})


def first_refusal(world: World, body: Mapping[str, Any], *, partial: bool = False) -> None:
    """Raise the first problem, if there is one."""
    for problem in problems(world, body, partial=partial):
        raise problem.refusal()


def problems(world: World, body: Mapping[str, Any], *, partial: bool = False) -> Iterator[Problem]:
    """Everything that is wrong with a create body; `partial` for an update, where absent fields stay as they are."""
    content = body.get("content")
    if not (partial and "content" not in body):
        if not isinstance(content, str) or not content.strip():
            yield Problem("VALIDATION_ERROR", "content", "content is required")
        elif len(content) > MOST_CHARACTERS:
            yield _too_long("content", None, MOST_CHARACTERS, len(content))
    yield from _shape_problems(body)
    yield from metadata_problems(body.get("metadata"))
    if not (partial and "accountIds" not in body):
        yield from _account_problems(world, body)


def _shape_problems(body: Mapping[str, Any]) -> Iterator[Problem]:
    """Wrong types, times and values of single fields, and names that are no longer read."""
    if (old := old_field(body)) is not None:
        yield Problem("VALIDATION_ERROR", old[0], f"{old[0]} is not read: send {old[1]} (the switch `legacy` reads it)")
    try:
        scheduled_time(body)
    except ValueError:
        yield Problem("INVALID_DATE", "scheduledFor", "scheduledFor must be ISO 8601 with an offset or Z")
    kind = body.get("contentType")
    if kind is not None and str(kind).upper() not in CONTENT_TYPES:
        yield Problem(
            "CONTENT_TYPE_NOT_SUPPORTED",
            "contentType",
            f"contentType must be one of {', '.join(sorted(CONTENT_TYPES))}",
        )
    for name in ("media", "tags", "threadPosts"):
        if body.get(name) is not None and not isinstance(body[name], list):
            yield Problem("VALIDATION_ERROR", name, f"{name} must be a list")
    for name in ("platformOverrides", "platformMetadata"):
        if body.get(name) is not None and not isinstance(body[name], dict):
            yield Problem("VALIDATION_ERROR", name, f"{name} must be an object")
    delay = body.get("firstCommentDelay")
    if delay is not None and not (isinstance(delay, int) and 0 <= delay <= 60):
        yield Problem("VALIDATION_ERROR", "firstCommentDelay", "firstCommentDelay must be from 0 to 60 seconds")
    if not is_comment(body.get("firstComment")):
        yield Problem("VALIDATION_ERROR", "firstComment", f"firstComment has at most {MOST_COMMENT} characters")
    if body.get("queue") and body.get("scheduledFor"):
        yield Problem("VALIDATION_ERROR", "queue", "queue excludes scheduledFor")
    thread = body.get("threadPosts")
    if isinstance(thread, list):
        numbers = [part.get("sequence") if isinstance(part, dict) else None for part in thread]
        if len(thread) > 25 or numbers != list(range(1, len(thread) + 1)):
            yield Problem("VALIDATION_ERROR", "threadPosts", "at most 25 posts, sequence counted from 1 without gaps")


def is_comment(comment: Any) -> bool:
    """Whether something can be a first comment, or none."""
    return comment is None or (isinstance(comment, str) and len(comment) <= MOST_COMMENT)


def scheduled_time(body: Mapping[str, Any]) -> int | None:
    """Return the instant of `scheduledFor`; ValueError if it is no time or has no offset."""
    text = body.get("scheduledFor")
    if text is None:
        return None
    return parse_time(str(text))


def metadata_problems(metadata: Any) -> Iterator[Problem]:
    """Breaches of the metadata limits (contract: POST-2)."""
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield Problem("VALIDATION_ERROR", "metadata", "metadata must be an object")
        return
    for name, value in metadata.items():
        lengthy = isinstance(value, str) and len(value) > 1_000
        crowded = isinstance(value, list) and (len(value) > 100 or any(len(str(part)) > 200 for part in value))
        if len(name) > 100 or lengthy or crowded:
            yield Problem(
                "METADATA_LIMIT",
                f"metadata.{name[:100]}",
                "keys have 100, texts 1000 characters, lists 100 items of 200",
            )


def _account_problems(world: World, body: Mapping[str, Any]) -> Iterator[Problem]:
    """Say what is wrong with each account, and with the post on its platform."""
    ids = body.get("accountIds")
    if not isinstance(ids, list) or not ids or not all(isinstance(key, str) for key in ids):
        yield Problem("VALIDATION_ERROR", "accountIds", "accountIds must name at least one account")
        return
    for number, key in enumerate(ids):
        account = world.accounts.get(key)
        if account is None:
            yield Problem("ACCOUNT_NOT_FOUND", f"accountIds[{number}]", f"no account {key[:100]} in this workspace")
        elif account.status != "active":
            yield Problem("ACCOUNT_NOT_ACTIVE", f"accountIds[{number}]", f"the account is {account.status}")
        elif body.get("saveAsDraft") is not True:
            yield from _platform_problems(account, body)
    yield from _media_problems(world, body)


def _platform_problems(account: Account, body: Mapping[str, Any]) -> Iterator[Problem]:
    """Say what the account's platform does not take."""
    text = effective_text(body, account.platform)
    most = LIMITS.get(account.platform, MOST_CHARACTERS)
    if isinstance(text, str) and len(text) > most:
        yield _too_long("content", account.platform, most, len(text))
    if account.platform == "instagram" and not body.get("media"):
        yield Problem("MEDIA_REQUIRED", "media", "instagram needs media", {"platform": "INSTAGRAM"})


def _media_problems(world: World, body: Mapping[str, Any]) -> Iterator[Problem]:
    """Media that do not exist or are not ready."""
    media = body.get("media")
    for number, key in enumerate(media if isinstance(media, list) else []):
        file = world.media.get(key) if isinstance(key, str) else None
        if file is None:
            yield Problem("VALIDATION_ERROR", f"media[{number}]", "no such media in this workspace")
        elif file.status != "ready":
            yield Problem("VALIDATION_ERROR", f"media[{number}]", f"the media is {file.status}, not ready")


def effective_text(body: Mapping[str, Any], platform: str) -> Any:
    """Return the content for one platform: its override in either casing, else the common one."""
    overrides = body.get("platformOverrides")
    for name, override in (overrides if isinstance(overrides, dict) else {}).items():
        if name.lower() == platform and isinstance(override, dict) and isinstance(override.get("content"), str):
            return override["content"]
    return body.get("content")


def _too_long(field: str, platform: str | None, most: int, length: int) -> Problem:
    """Return the problem of a text with too many characters."""
    where = f" for {platform}" if platform else ""
    details: dict[str, Any] = {"maxLength": most, "actualLength": length}
    if platform:
        details["platform"] = platform.upper()
    return Problem("CONTENT_TOO_LONG", field, f"{length} characters, {most} allowed{where}", details)
