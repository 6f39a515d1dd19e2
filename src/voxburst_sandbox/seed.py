"""The seeded beginning: accounts, media, webhooks, then the campaign and the delivery history."""

from __future__ import annotations

from random import Random
from typing import Any

from voxburst_sandbox.campaign import plant_posts
from voxburst_sandbox.clock import iso
from voxburst_sandbox.draw import identifier
from voxburst_sandbox.history import plant_deliveries
from voxburst_sandbox.platforms import PLATFORMS
from voxburst_sandbox.records import Account, Media, Webhook
from voxburst_sandbox.world import World

__all__ = ["plant"]

_DAY = 86_400_000
_MEDIA = 40
_BRANDS = (("aldercoffee", "Alder Coffee"), ("alder.berlin", "Alder Berlin"))
_TYPES = {"linkedin": "organization", "facebook": "page", "instagram": "business"}
_WEBHOOKS = (
    ("content", "https://hooks.aldercoffee.example/voxburst", ("post.published", "post.failed")),
    ("crm", "https://ingest.northpeak.example/v2/social", ("*",)),
    ("alerts", "https://alerts.aldercoffee.example/on-call", ("post.failed", "account.error", "account.disconnected")),
)


def plant(world: World, *, posts: int, deliveries: int) -> None:
    """Fill an empty world. Everything follows from the seed.

    Parameters
    ----------
    world : World
        The world that it is put into.
    posts, deliveries : int
        How many posts and delivery records; 0 for none.
    """
    _plant_accounts(world)
    _plant_media(world)
    _plant_webhooks(world)
    if posts:
        plant_posts(world, posts)
    if deliveries:
        plant_deliveries(world, deliveries)


def _plant_accounts(world: World) -> None:
    """Two brands on six platforms."""
    for number, (handle, name) in enumerate(_BRANDS):
        for platform in PLATFORMS:
            rng = Random(f"{world.seed}:account:{handle}:{platform}")
            account = Account(
                id=identifier("acc_", world.seed, handle, platform),
                platform=platform,
                username=handle if platform not in ("twitter", "bluesky") else handle.replace(".", "_"),
                display_name=name,
                account_type=_TYPES.get(platform, "profile"),
                status="active",
                connected_at=world.start - rng.randrange(90 * _DAY, 600 * _DAY),
                followers=rng.randrange(800, 60_000) // (1 + 3 * number),
            )
            if platform == "facebook":
                account.page_id, account.page_name = f"page_{rng.randrange(10**9, 10**10)}", name
            account.scope_health = _scope_health(handle, platform, iso(world.start - 2 * _DAY))
            world.accounts.save(account)


def _scope_health(handle: str, platform: str, verified: str) -> dict[str, Any] | None:
    """Return what was last verified of an account's permissions, which need not agree with its status (contract: K2)."""
    if (handle, platform) == ("alder.berlin", "threads"):
        return None
    if platform == "bluesky":
        return {"status": "NOT_APPLICABLE", "degradedCapabilities": []}
    if (handle, platform) == ("alder.berlin", "linkedin"):
        lost = {"capability": "analytics", "label": "Read analytics"}
        message = "Reconnect the account to read analytics again."
        return {"status": "DEGRADED", "degradedCapabilities": [lost], "message": message, "verifiedAt": verified}
    return {"status": "OK", "degradedCapabilities": [], "verifiedAt": verified}


def _plant_media(world: World) -> None:
    """Images and a few videos that are ready, one that was never uploaded, one that can't be read."""
    for number in range(_MEDIA):
        rng = Random(f"{world.seed}:media:{number}")
        video = number % 10 == 9
        name = f"alder-{number:03d}.{'mp4' if video else 'jpg'}"
        media = Media(
            id=identifier("media_", world.seed, "seeded", number),
            filename=name,
            content_type="video/mp4" if video else "image/jpeg",
            size=rng.randrange(4_000_000, 60_000_000) if video else rng.randrange(180_000, 900_000),
            status="ready",
            created_at=world.start - rng.randrange(11 * _DAY, 60 * _DAY),
            width=1080,
            height=1920 if video else rng.choice((1080, 1350)),
        )
        media.url = f"https://cdn.voxburst.example/{media.id}/{name}"
        if number == _MEDIA - 2:
            media.status, media.url, media.width, media.height = "pending", None, None, None
        if number == _MEDIA - 3:
            media.status, media.url = "failed", None
            media.results = [
                {"code": "MEDIA_PROCESSING_FAILED", "message": "the file can't be decoded", "severity": "error"}
            ]
        world.media.save(media)


def _plant_webhooks(world: World) -> None:
    """Three endpoints with different event lists."""
    for name, url, events in _WEBHOOKS:
        key = identifier("wh_", world.seed, name)
        secret = identifier("whsec_", world.seed, name, "secret")
        world.webhooks.save(Webhook(key, url, list(events), secret, world.start - 200 * _DAY))
