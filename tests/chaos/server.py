"""The server of a chaos run, in a process of its own: a sandbox with what there is to act on. Ends when its input is closed."""

from __future__ import annotations

import json
import sys

from tests.chaos import world

from voxburst_sandbox import Sandbox, Switches


def main(arguments: str) -> None:
    """Serve until nobody listens any more; `arguments` are JSON: seed, speed, posts, deliveries, scheduled, switches."""
    wanted = json.loads(arguments)
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
        facts = {"url": sandbox.url, "accounts": world.accounts(sandbox), "owners": owners}
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
