"""What there is to act on: failed posts, failed deliveries, a campaign to create; every piece differs from every other."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd

from voxburst_sandbox import Sandbox
from voxburst_sandbox.store import Delivery, Post, Target

PLATFORMS = ("twitter", "linkedin", "facebook", "bluesky", "threads")
HOUR = 3_600_000
FAR = datetime(2027, 3, 1, 9, tzinfo=UTC)  # later than any jump of the clock


def accounts(sandbox: Sandbox) -> dict[str, str]:
    """An active account per platform."""
    return {a.platform: a.id for a in reversed(list(sandbox.world.accounts.values())) if a.status == "active"}


def plant_posts(sandbox: Sandbox, count: int, *, targets: int = 2, name: str = "f") -> list[str]:
    """Posts of which every target failed for a passing reason; every third has one target only."""
    world, owners = sandbox.world, accounts(sandbox)
    made = []
    for number in range(count):
        at = world.now() - 5 * HOUR + number * 1000
        wanted = PLATFORMS[number % 3 : number % 3 + (1 if targets == 1 or number % 3 == 2 else targets)]
        post_id = f"post_{name}{number:05d}"
        error = {"code": "RATE_LIMITED", "message": f"rate limit reached, {30 + number % 60} seconds until reset"}
        world.add_post(
            Post(
                id=post_id,
                ordinal=world.ordinal(),
                content=f"failed {number}",
                content_type="text",
                status="failed",
                created_at=at,
                updated_at=at + 60_000,
                targets=[
                    Target(
                        id=f"pp_{name}{number:05d}{platform}",
                        platform=platform,
                        account_id=owners[platform],
                        status="failed",
                        since=at + 60_000,
                        error=error,
                        jobs=1,
                    )
                    for platform in wanted
                ],
                metadata={"campaign": "chaos"},
            )
        )
        made.append(post_id)
    return made


def plant_deliveries(sandbox: Sandbox, count: int, *, name: str = "d") -> list[str]:
    """Deliveries that failed hours ago and are given up; retrying them reaches a receiver that is well again."""
    world = sandbox.world
    webhooks = list(world.webhooks.values())
    made = []
    for number in range(count):
        webhook = webhooks[number % 2]
        at = world.now() - 30 * HOUR + number * 100
        delivery = Delivery(
            id=f"del_{name}{number:05d}",
            ordinal=world.ordinal(),
            webhook_id=webhook.id,
            event_id=f"evt_{name}{number:05d}",
            event_type="post.failed",
            url=webhook.url,
            created_at=at,
            status_code=503,
            latency_ms=1200,
            retry_count=5,
            error="receiver answered 503",
            payload='{"id":"evt","type":"post.failed"}',
        )
        world.add_delivery(delivery)
        made.append(delivery.id)
    return made


def plant_scheduled(sandbox: Sandbox, count: int) -> None:
    """Posts that wait to go out, later than any jump of the clock, and can be moved."""
    world, (platform, account) = sandbox.world, next(iter(accounts(sandbox).items()))
    at, when = world.now() - 24 * HOUR, int(FAR.timestamp() * 1000)
    for number in range(count):
        name = f"s{number:05d}"
        target = Target(id=f"pp_{name}", platform=platform, account_id=account, status="pending", since=at)
        world.add_post(
            Post(
                f"post_{name}", world.ordinal(), f"scheduled {number}", "text", "scheduled", at, at, [target],
                scheduled_for=when, tags=[], metadata={},
            )
        )  # fmt: skip


def campaign(owners: dict[str, str], count: int, *, start: int = 0, when: datetime = FAR) -> pd.DataFrame:
    """Rows to create, each with a text of its own."""
    platforms = list(PLATFORMS)
    rows = range(start, start + count)
    return pd.DataFrame(
        {
            "row_id": [f"r{number:05d}" for number in rows],
            "content": [f"row {number} of the campaign" for number in rows],
            "accounts": [owners[platforms[number % len(platforms)]] for number in rows],
            "scheduled_for": [when.isoformat()] * count,
        }
    )
