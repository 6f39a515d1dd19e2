"""Two Mondays of one workspace: how many requests a sync of its archive takes, counted at the server.

The first Monday reads everything. In the week after it new records come, and what was open goes on: posts are published, deliveries
that were being tried again arrive, and the failures of one outage are sent again. Nothing that was settled is edited.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from unittest.mock import patch

import pandas as pd

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.archive import sync

_MINUTE, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
SHARE = 0.05  # of all records on the second Monday, those that are new or were open
_FINAL = {"published", "cancelled", "unpublished", "archived"}


def mondays(posts, deliveries):
    """Requests of a sync, the first and the second time, and of the weekly check; frames are compared with those of loads."""
    rng, new_posts, new_deliveries = Random(7), round(posts * SHARE / 2), round(deliveries * SHARE / 2)
    with tempfile.TemporaryDirectory() as folder, Sandbox(seed=7, speed=0, rate_limit=None, posts=posts, deliveries=deliveries) as sandbox:  # fmt: skip
        _settle(sandbox, new_posts, new_deliveries, rng)
        with (
            vx.connect(sandbox=sandbox, ledger=Path(folder) / "ledger.sqlite") as ws,
            patch.object(sync, "CHECK_AFTER", timedelta(days=8)),  # so that the weekly check is measured by itself
        ):
            archive = ws.archive(f"{folder}/history")
            found = {"first": _counted(sandbox, archive.sync)}
            _week(sandbox, ws, new_posts, new_deliveries, rng)
            found["second"] = _counted(sandbox, archive.sync)
            for stored, loaded in ((archive.posts(), ws.posts()), (archive.deliveries(), ws.deliveries())):
                pd.testing.assert_frame_equal(stored, loaded[stored.columns])
            found["check"] = _counted(sandbox, lambda: archive.sync(full=True))
    return found


def _counted(sandbox, call):
    """The requests of a call."""
    before = len(sandbox.requests())
    call()
    return len(sandbox.requests()) - before


def _settle(sandbox, open_posts, open_deliveries, rng):
    """Let all posts but so many have been published, and so many deliveries of the last week have failed."""
    world = sandbox.world
    ranked = sorted(world.posts.values(), key=lambda post: (-post.created_at, -post.ordinal))
    opened = [post.id for post in ranked if post.status not in _FINAL]
    ended = set(opened[open_posts:])  # what is open is among the newest
    step = 40 * 7 * _DAY // len(ranked)  # forty weeks: then a week brings as much as it does here
    for rank, post in enumerate(ranked):
        post.created_at = world.now() - (rank + 1) * step
        world.posts.save(post)
    subjects = ended | {target.id for key in ended for target in world.posts[key].targets}
    for event in list(world.events.values()):
        if event.subject in subjects:
            world.events.drop(str(event.id))
    for key in ended:
        post = world.posts[key]
        post.status, post.published_at = "published", post.scheduled_for or post.created_at
        for target in post.targets:
            target.status, target.error, target.running = "published", None, 0
        world.posts.save(post)
    recent = [each for each in world.deliveries.values() if each.created_at > world.now() - 7 * _DAY]
    failing = [each for each in recent if not each.success]
    # one outage of six hours, two days ago, and what is just being tried again
    down = world.now() - 2 * _DAY
    hit = [each for each in recent if each.success and (down <= each.created_at < down + 6 * _HOUR or each.created_at > world.now() - 4 * _HOUR)]  # fmt: skip
    for delivery in rng.sample(hit, min(max(open_deliveries - len(failing), 0), len(hit))):
        delivery.success, delivery.delivered_at, delivery.status_code, delivery.error = (
            False, None, 503, "receiver answered 503",
        )  # fmt: skip
        world.deliveries.save(delivery)
    world.reindex()


def _week(sandbox, ws, new_posts, new_deliveries, rng):
    """A week goes by."""
    world = sandbox.world
    accounts = ws.accounts()
    active = list(accounts[(accounts["status"] == "active") & (accounts["platform"] != "instagram")]["account_id"])
    before = {
        each.id for each in world.deliveries.values() if not each.success and each.created_at > world.now() - 3 * _DAY
    }
    frame = pd.DataFrame({"row_id": [f"r{number}" for number in range(new_posts)], "content": [f"post {number}" for number in range(new_posts)]})  # fmt: skip
    frame["accounts"] = [active[number % len(active)] for number in range(new_posts)]
    frame["scheduled_for"] = (pd.Timestamp(sandbox.now()) + pd.Timedelta("10D")).isoformat()
    ws.run(vx.plan_create(frame, key="row_id")).wait()
    sandbox.advance(7 * 86_400)
    for key in sorted(before):  # the outage's deliveries were sent again, what was being tried has arrived
        delivery = world.deliveries[key]
        delivery.success, delivery.delivered_at, delivery.status_code, delivery.error = (
            True, delivery.created_at + _MINUTE, 200, None,
        )  # fmt: skip
        world.deliveries.save(delivery)
    came = sum(each.created_at >= world.now() - 7 * _DAY for each in world.deliveries.values())
    models = rng.sample(list(world.deliveries.values()), max(new_deliveries - came, 0))
    for number, model in enumerate(models):
        at = world.now() - rng.randrange(_MINUTE, 7 * _DAY)
        world.add_delivery(replace(model, id=f"del_new{number:06d}", ordinal=world.ordinal(), created_at=at))
