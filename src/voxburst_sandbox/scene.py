"""A world that stands in for a real workspace: its accounts, its media and its time, instead of the seeded campaign."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from voxburst_sandbox.records import Account, Media
from voxburst_sandbox.world import World

__all__ = ["Scene", "SceneAccount"]

_YEAR = 365 * 86_400_000


@dataclass(frozen=True, slots=True)
class SceneAccount:
    """An account as it is known elsewhere; it can publish."""

    id: str
    platform: str
    username: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What a sandbox begins with instead of its campaign.

    Attributes
    ----------
    start : datetime
        The first instant of its clock, with an offset.
    accounts : iterable of SceneAccount
        All accounts.
    media : iterable of str
        Ids of images that are ready.
    """

    start: datetime
    accounts: Iterable[SceneAccount]
    media: Iterable[str] = ()

    def began(self) -> int:
        """Return the first instant in milliseconds since 1970."""
        return round(self.start.timestamp() * 1000)

    def plant(self, world: World) -> None:
        """Fill an empty world."""
        before = world.start - _YEAR
        for known in self.accounts:
            name = known.username
            account = Account(known.id, known.platform, name, name, "business", "active", before, followers=5_000)
            if known.platform == "facebook":
                account.page_id, account.page_name = "page_1", name
            world.accounts.save(account)
        for key in self.media:
            world.media.save(
                Media(
                    key, f"{key}.jpg", "image/jpeg", 500_000, "ready", before, url=f"https://cdn.voxburst.example/{key}"
                )
            )
