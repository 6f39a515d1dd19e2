"""A post as read, and canonical names of fields, platforms and accounts (contract: SCH)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voxops.model import IN_FLIGHT_STATUSES


def field_name(name: str) -> str:
    """Return the canonical name of a field: ``has_more``, ``hasMore`` and ``HASMORE`` are equal."""
    return name.replace("_", "").replace("-", "").lower()


def account_spelling(name: str) -> str:
    """Return the canonical name of an account: ``Twitter:@Brand``, ``twitter:brand`` and ``X:@brand`` are equal; ids stay as they are."""
    platform, colon, username = name.partition(":")
    return f"{platform_spelling(platform)}:@{username.strip().lstrip('@').lower()}" if colon else name


def platform_spelling(name: str) -> str:
    """Return the API's name of a platform."""
    word = name.strip().lower()
    return {"x": "twitter", "google business": "google_business"}.get(word, word)


Source = Literal["list", "single"]

_MARK = re.compile("[0-9a-f]{32}")


def as_mark(value: Any) -> str | None:
    """Return a mark, in any case or wrapping; None if it is missing, cut or masked.

    An altered mark must not count as another row's, which would prove that this row was not created.
    """
    if value is None:
        return None
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    text = str(value).strip(' "').lower()
    return text if _MARK.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class TargetState:
    """One platform of one post; statuses and platforms in lower case, codes in upper case, None for fields that the API left out."""

    platform: str
    account_id: str | None = None
    status: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    retry_count: int | None = None
    target_id: str | None = None
    platform_post_id: str | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Platform and account, the key of a target in lists without target ids."""
        return self.platform, self.account_id or ""


@dataclass(frozen=True, slots=True)
class PostState:
    """A post as read; times are ISO text in UTC, None where the API shows none.

    `source` is the kind of read: lists may omit target ids and retry counts, and cut texts that single reads return whole.
    `metadata` and `tags` are None if the response has none; `version` is `updatedAt` as sent, the token of an update.
    """

    post_id: str
    status: str
    updated_at: str | None = None
    created_at: str | None = None
    scheduled_for: str | None = None
    content: str | None = None
    metadata: Mapping[str, Any] | None = None
    targets: tuple[TargetState, ...] = ()
    source: Source = field(default="list", compare=False)
    tags: tuple[str, ...] | None = None
    version: str | None = field(default=None, compare=False)

    @property
    def mark(self) -> str | None:
        """The mark of the create by voxops (rule 10)."""
        return as_mark((self.metadata or {}).get("voxopsOp"))

    @property
    def marks(self) -> tuple[str | None, ...]:
        """The marks of attempt, row, campaign and what is requested; None for one that is missing or malformed."""
        shown = self.metadata or {}
        return tuple(as_mark(shown.get(name)) for name in ("voxopsOp", "voxopsRow", "voxopsCampaign", "voxopsAsked"))

    def target(self, platform: str, account: str | None) -> TargetState | None:
        """The target on a platform and account."""
        place = (platform, account or "")
        return next((target for target in self.targets if target.place == place), None)

    @property
    def accounts(self) -> list[str]:
        """The accounts of the post, as far as it shows them."""
        return [target.account_id for target in self.targets if target.account_id]

    @property
    def failed_targets(self) -> int:
        """How many targets failed."""
        return sum(target.status == "failed" for target in self.targets)

    @property
    def open_targets(self) -> int:
        """How many targets a retry of the whole post would resend."""
        return self.failed_targets + sum(target.status in IN_FLIGHT_STATUSES for target in self.targets)
