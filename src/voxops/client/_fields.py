"""The fields of a post, checked against the documented limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal

from voxops.api import limits
from voxops.api.assumptions import DRAFT_FLAG_SENT
from voxops.client import _checks as checks
from voxops.model import CONTENT_TYPES

__all__ = ["UNSET", "PostFields"]


class _Unset(Enum):
    """The type of `UNSET`, which tells absent from null."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset.UNSET
Absent = Literal[_Unset.UNSET]

_WIRE = {
    "content": "content",
    "account_ids": "accountIds",
    "scheduled_for": "scheduledFor",
    "content_type": "contentType",
    "save_as_draft": "saveAsDraft",
    "platform_overrides": "platformOverrides",
    "platform_metadata": "platformMetadata",
    "media": "media",
    "tags": "tags",
    "persona_id": "personaId",
    "queue": "queue",
    "thread_posts": "threadPosts",
    "first_comment": "firstComment",
    "first_comment_delay": "firstCommentDelay",
    "metadata": "metadata",
}


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

    content: str | Absent = UNSET
    account_ids: Sequence[str] | Absent = UNSET
    scheduled_for: datetime | str | None | Absent = UNSET
    content_type: str | None | Absent = UNSET
    save_as_draft: bool | Absent = UNSET
    platform_overrides: Mapping[str, Mapping[str, Any]] | None | Absent = UNSET
    platform_metadata: Mapping[str, Mapping[str, Any]] | None | Absent = UNSET
    media: Sequence[str] | None | Absent = UNSET
    tags: Sequence[str] | None | Absent = UNSET
    persona_id: str | None | Absent = UNSET
    queue: bool | Absent = UNSET
    thread_posts: Sequence[Mapping[str, Any]] | None | Absent = UNSET
    first_comment: str | None | Absent = UNSET
    first_comment_delay: int | None | Absent = UNSET
    metadata: Mapping[str, Any] | None | Absent = UNSET

    def changes(self) -> dict[str, Any]:
        """Return the body of an update: the fields that are set, by their names in the API.

        Raises
        ------
        ValidationError
            If a field exceeds a documented limit; ``details["field"]`` names it.
        """
        body = {wire: value for name, wire in _WIRE.items() if (value := getattr(self, name)) is not UNSET}
        if "content" in body:
            checks.check_content("content", body["content"])
        if "accountIds" in body:
            checks.check_count("accountIds", body["accountIds"], limits.POST_ACCOUNTS)
        for name in ("media", "tags", "accountIds"):
            if body.get(name) is not None:
                body[name] = checks.texts(name, body[name])
        if body.get("scheduledFor") is not None:
            body["scheduledFor"] = checks.instant("scheduledFor", body["scheduledFor"])
            if body.get("queue"):
                checks.refuse("queue", "excludes scheduledFor")
        if body.get("contentType") is not None:
            body["contentType"] = _content_type(body["contentType"])
        for name in ("platformOverrides", "platformMetadata"):
            if body.get(name) is not None:
                body[name] = _by_platform(name, body[name])
        if body.get("threadPosts") is not None:
            checks.check_thread(body["threadPosts"])
        checks.check_comment(body.get("firstComment"), body.get("firstCommentDelay"))
        if body.get("metadata") is not None:
            checks.check_metadata(body["metadata"])
        return body

    def new(self) -> dict[str, Any]:
        """Return the body of a create; without a time it is sent as a draft, since sources differ on the default.

        Raises
        ------
        ValidationError
            If a field is missing or exceeds a documented limit.
        """
        body = self.changes()
        for name in ("content", "accountIds"):
            if name not in body:
                checks.refuse(name, "is required")
        if DRAFT_FLAG_SENT and body.get("scheduledFor") is None and not body.get("queue"):
            body.setdefault("saveAsDraft", True)
        return body

    def item(self, number: int, *, dry_run: bool) -> dict[str, Any]:
        """Return one item of a bulk body; a time is required, since an item without one might be published at once.

        Raises
        ------
        ValidationError
            As for `new`.
        """
        body = self.changes()
        for name in ("content", "accountIds"):
            if name not in body:
                checks.refuse(f"posts[{number}].{name}", "is required")
        if body.get("scheduledFor") is None and not dry_run:
            checks.refuse(f"posts[{number}].scheduledFor", "a time is required in a bulk request")
        return body


def _by_platform(field: str, overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return fields by platform in upper case; content there has the same maximum length."""
    checks.check_mapping(field, overrides)
    for platform, fields in overrides.items():
        checks.check_mapping(f"{field}.{platform}", fields)
        if fields.get("content") is not None:
            checks.check_length(f"{field}.{platform}.content", fields["content"])
    return {platform.upper(): dict(fields) for platform, fields in overrides.items()}


def _content_type(value: str) -> str:
    if not isinstance(value, str) or value.upper() not in CONTENT_TYPES:
        checks.refuse(
            "contentType",
            f"{checks.shown(value)} is not a valid content type; one of {', '.join(sorted(CONTENT_TYPES)).lower()} allowed",
        )
    return value.upper()
