"""What there is to act on: failed posts, failed deliveries, a campaign to create; every piece differs from every other."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd

from voxburst_sandbox.store import Delivery, Post, Target

PLATFORMS = ("twitter", "linkedin", "facebook", "bluesky", "threads")
HOUR = 3_600_000
FAR = datetime(2027, 3, 1, 9, tzinfo=UTC)  # later than any jump of the clock


def accounts(sandbox):
    """An active account per platform."""
    return {a.platform: a.id for a in reversed(list(sandbox.world.accounts.values())) if a.status == "active"}


def plant_posts(sandbox, count, *, targets=2, name="f"):
    """Posts of which every target failed for a passing reason; every third has one target only."""
    world, owners, made = sandbox.world, accounts(sandbox), [f"post_{name}{number:05d}" for number in range(count)]
    for number, post in enumerate(made):
        at = world.now() - 5 * HOUR + number * 1000
        wanted = PLATFORMS[number % 3 : number % 3 + (1 if targets == 1 or number % 3 == 2 else targets)]
        error = {"code": "RATE_LIMITED", "message": f"rate limit reached, {30 + number % 60} seconds until reset"}
        failed = [
            Target(f"pp_{post[5:]}{each}", each, owners[each], "failed", since=at + 60_000, error=error, jobs=1)
            for each in wanted
        ]
        meta = {"campaign": "chaos"}
        world.add_post(
            Post(post, world.ordinal(), f"failed {number}", "text", "failed", at, at + 60_000, failed, metadata=meta)
        )
    return made


def plant_deliveries(sandbox, count, *, name="d"):
    """Deliveries that failed hours ago and are given up; retrying them reaches a receiver that is well again."""
    world, made = sandbox.world, [f"del_{name}{number:05d}" for number in range(count)]
    webhooks = list(world.webhooks.values())
    for number, delivery in enumerate(made):
        webhook, at = webhooks[number % 2], world.now() - 30 * HOUR + number * 100
        names = delivery, world.ordinal(), webhook.id, f"evt_{number}", "post.failed", webhook.url, at
        seen = {"status_code": 503, "latency_ms": 1200, "retry_count": 5, "error": "receiver answered 503"}
        world.add_delivery(Delivery(*names, **seen, payload='{"id":"evt","type":"post.failed"}'))
    return made


def plant_scheduled(sandbox, count):
    """Posts that wait to go out, later than any jump of the clock, and can be moved."""
    account = next(iter(accounts(sandbox).values()))
    for number in range(count):
        sandbox.plant_post(
            f"scheduled {number}", [account], status="scheduled", scheduledFor=FAR.isoformat(), daysOld=1
        )


def campaign(owners, count, *, start=0, when=FAR):
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
