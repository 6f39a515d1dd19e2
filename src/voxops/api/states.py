"""A post as it was read, and names of fields, platforms and accounts in one spelling (contract: SCH)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voxops.model import IN_FLIGHT_STATUSES


def field_name(name: str) -> str:
    """Return the name of a field without its spelling: ``has_more``, ``hasMore`` and ``HASMORE`` are one."""
    return name.replace("_", "").replace("-", "").lower()


def account_spelling(name: str) -> str:
    """Return an account in one spelling: ``Twitter:@Brand``, ``twitter:brand`` and ``X:@brand`` are one; ids stay as they are."""
    platform, colon, username = name.partition(":")
    return f"{platform_spelling(platform)}:@{username.strip().lstrip('@').lower()}" if colon else name


def platform_spelling(name: str) -> str:
    """Return a platform as the API calls it, whatever people call it."""
    word = name.strip().lower()
    return {"x": "twitter", "google business": "google_business"}.get(word, word)


Source = Literal["list", "single"]

_MARK = re.compile("[0-9a-f]{32}")


def as_mark(value: Any) -> str | None:
    """A mark, in whatever case or wrapping the API shows it; None where it was cut, masked or is missing.

    An altered mark must not be taken for that of another row, which would prove that this row was not created.
    """
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    text = str(value).strip(' "').lower()
    return text if _MARK.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class TargetState:
    """One platform of one post; statuses and platforms in lower case, codes in upper case, None for what the API left out."""

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
        """Platform and account, which name a target of a post where lists show no target ids."""
        return self.platform, self.account_id or ""


@dataclass(frozen=True, slots=True)
class PostState:
    """A post as read; times are ISO text in UTC, None where the API shows none.

    `source` says how it was read: lists may leave out target ids and retry counts and cut what single reads show whole.
    `metadata` and `tags` are None where the post shows none; `version` is its `updatedAt` as the API wrote it, the token of an update.
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
        """The mark of a create of ours (rule 13)."""
        return self.marks[0]

    @property
    def marks(self) -> tuple[str | None, ...]:
        """The marks of operation, row, campaign and request; None for what is missing or does not have the form of a mark."""
        shown = self.metadata or {}
        return tuple(as_mark(shown.get(name)) for name in ("voxopsOp", "voxopsRow", "voxopsCampaign", "voxopsAsked"))

    @property
    def has_metadata(self) -> bool:
        """Whether the post shows its metadata as they were sent; else absence of a mark proves nothing (rule 14)."""
        shown = self.metadata or {}
        return bool(shown) and not ("voxopsOp" in shown and self.mark is None)

    def target(self, platform: str, account: str | None) -> TargetState | None:
        """The target on a platform and account."""
        place = (platform, account or "")
        return next((target for target in self.targets if target.place == place), None)

    @property
    def failed_targets(self) -> int:
        """How many targets failed."""
        return sum(target.status == "failed" for target in self.targets)

    @property
    def open_targets(self) -> int:
        """How many targets a retry of the whole post would send again."""
        return self.failed_targets + sum(target.status in IN_FLIGHT_STATUSES for target in self.targets)
