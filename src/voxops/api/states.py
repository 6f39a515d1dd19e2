"""A post and its targets as read from the server: the values that evidence is found in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voxops.model import IN_FLIGHT_STATUSES

__all__ = ["PostState", "Source", "TargetState"]

Source = Literal["list", "single"]


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
        mark = (self.metadata or {}).get("voxopsOp")
        return None if mark is None else str(mark)

    @property
    def has_metadata(self) -> bool:
        """Whether the post shows any metadata; without it absence of a mark proves nothing (rule 14)."""
        return bool(self.metadata)

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
