"""The server of a chaos run: a sandbox with what there is to act on."""

from __future__ import annotations

from contextlib import contextmanager

from tests.chaos import world

from voxburst_sandbox import Sandbox, Switches


@contextmanager
def chaos(wanted):
    """Serve; `wanted` are seed, speed, posts, deliveries, scheduled and switches. Yields url, accounts, and owners of targets."""
    calm = {"silent_webhooks": True, "recovery_rate": 0.9, **wanted["switches"]}
    sandbox = Sandbox(
        seed=wanted["seed"], speed=wanted["speed"], empty=True, rate_limit=None, switches=Switches().changed(calm)
    )
    world.plant_posts(sandbox, wanted["posts"])
    world.plant_deliveries(sandbox, wanted["deliveries"])
    with sandbox:
        world.plant_scheduled(sandbox, wanted["scheduled"])
        sandbox.receiver(status=200)
        owners = {target.id: target.account_id for post in sandbox.world.posts.values() for target in post.targets}
        yield {"url": sandbox.url, "accounts": world.accounts(sandbox), "owners": owners}
