"""The publishing queue: pending, publishing, then published or failed, over hash-drawn virtual seconds.

Every time that a target is queued it gets a new job, and no job is ever cancelled by a later one. So a target that is
about to succeed and is queued again is published twice, as on the real platforms; the record of effects shows both.
"""

from __future__ import annotations

from typing import Any

from voxburst_sandbox.draw import fraction, identifier, uniform
from voxburst_sandbox.hooks import emit_result
from voxburst_sandbox.platforms import STUCK_MS, Attempt, outcome, post_url
from voxburst_sandbox.records import Event, Post, Target
from voxburst_sandbox.world import Handler, World

__all__ = ["HANDLERS", "await_time", "is_stuck", "publish_post", "requeue", "summary_status"]


def is_stuck(target: Target, at: int) -> bool:
    """Whether a target has been publishing for too long."""
    return target.status == "publishing" and at - target.since > STUCK_MS


def summary_status(post: Post) -> str:
    """Return a post's status as it follows from its targets (contract: WH-2, PLAY)."""
    states = {target.status for target in post.targets}
    if states & {"pending", "publishing"}:
        return "publishing"
    if states == {"published"}:
        return "published"
    return "partial" if "published" in states else "failed"


def publish_post(world: World, post: Post, at: int, *, key: str | None, holds: bool = False) -> None:
    """Queue every target of a post for the first time; `holds` where the queue may show nothing of it for a while."""
    held = round(world.switches.queue_hold_seconds * 1000) if holds else 0
    if not held:
        post.status = "publishing"
    for target in post.targets:
        _queue(world, post, target, at, held, key=key)
    if not held:
        world.touch(post, at)


def requeue(
    world: World, post: Post, target: Target, at: int, *, cause: str, count: int, key: str | None, request: int | None
) -> int:
    """Queue a target once more and say when its publication will end.

    `cause` is ``retry`` or ``fix``, `count` the retry count from now on. The effect is on record as ``target.requeue``,
    with `again` where an earlier publication of the target has not ended. The old status may linger.
    """
    switches = world.switches
    about: dict[str, Any] = {"post": post.id, "target": target.id, "job": target.jobs + 1, "key": key}
    world.effect("target.requeue", at=at, request=request, cause=cause, again=target.running > 0, **about)
    if switches.queue_hold_seconds and target.shown_retry_count is None:
        target.shown_retry_count = target.retry_count
    target.retry_count = count
    lingers = round(max(switches.linger_failed_seconds, switches.queue_hold_seconds) * 1000)
    return _queue(world, post, target, at, lingers, key=key)


def _queue(world: World, post: Post, target: Target, at: int, hidden: int, *, key: str | None) -> int:
    """Give a target a new job, whose first `hidden` milliseconds don't show, and say when it will end."""
    target.jobs += 1
    target.running += 1
    shortest, longest = world.switches.publish_seconds_by.get(target.platform, world.switches.publish_seconds)
    took = int(uniform(shortest, longest, world.seed, "queue", target.id, target.jobs) * 1000)
    waits = int(took * uniform(0.2, 0.6, world.seed, "wait", target.id, target.jobs))
    about: dict[str, Any] = {"post": post.id, "target": target.id, "job": target.jobs, "key": key}
    if hidden:
        world.schedule(at + hidden, "target.pending", target.id, **about)
    else:
        _enter(world, post, target, "pending", at)
    world.schedule(at + hidden + waits, "target.publishing", target.id, **about)
    world.schedule(at + hidden + took, "target.result", target.id, **about)
    return at + hidden + took


def _enter(world: World, post: Post, target: Target, status: str, at: int) -> None:
    """Show a target in another status, unless it is published for good."""
    target.shown_retry_count = None
    if target.status != "published":
        target.status, target.since, target.error = status, at, None
        post.status = summary_status(post)
        world.touch(post, at)


def _find(world: World, event: Event) -> tuple[Post, Target] | None:
    """Return the post and target of an event, None if the post or its target is gone or the post was withdrawn."""
    post = world.posts.get(event.data["post"])
    if post is None or post.status == "cancelled":
        return None
    target = next((target for target in post.targets if target.id == event.subject), None)
    return None if target is None else (post, target)


def _on_pending(world: World, event: Event) -> None:
    """Let a lingering status give way."""
    if (found := _find(world, event)) is not None:
        _enter(world, *found, "pending", event.at)


def _on_publishing(world: World, event: Event) -> None:
    """Let a job leave the queue."""
    if (found := _find(world, event)) is not None:
        _enter(world, *found, "publishing", event.at)


def _on_result(world: World, event: Event) -> None:
    """Let a job end."""
    found = _find(world, event)
    if found is None:
        return
    post, target = found
    target.running = max(0, target.running - 1)
    target.shown_retry_count = None
    job, key = event.data["job"], event.data["key"]
    account = world.accounts.get(target.account_id)
    error = outcome(world.seed, Attempt(post, target, account, job), world.switches, event.at)
    ids = {"at": event.at, "key": key, "post": post.id, "target": target.id, "job": job, "platform": target.platform}
    ids["mark"] = post.metadata.get("voxopsOp")
    if error is None:
        number = str(10**17 + int(fraction(world.seed, "number", target.id, job) * 9 * 10**17))
        world.effect("target.publish", platform_post=number, **ids)
        if target.status != "published":
            _publish(target, account.username if account else "", number, event.at)
    else:
        world.effect("target.fail", code=error["code"], **ids)
        if target.status != "published" and job == target.jobs:
            target.status, target.since, target.error = "failed", event.at, error
    _conclude(world, post, event.at)


def _publish(target: Target, username: str, number: str, at: int) -> None:
    """Mark a target as published."""
    target.status, target.since, target.published_at, target.error = "published", at, at, None
    target.platform_post_id = number
    target.platform_post_url = post_url(target.platform, username, number)


def _conclude(world: World, post: Post, at: int) -> None:
    """Bring a post's status up to date and notify the webhooks when it is terminal."""
    before = post.status
    post.status = summary_status(post)
    if post.status in ("published", "partial") and post.published_at is None:
        post.published_at = at
    world.touch(post, at)
    if post.status not in (before, "publishing"):
        emit_result(world, post, at, identifier("evt_", world.seed, post.id, post.updated_at))


def await_time(world: World, post: Post, key: str | None = None) -> None:
    """Let a scheduled post go out at its time; `key` is that of the request which asked for it."""
    if post.status == "scheduled" and post.scheduled_for is not None:
        due = max(post.scheduled_for, world.now())
        world.schedule(due, "post.due", post.id, key=key, **{"for": post.scheduled_for})


def _on_due(world: World, event: Event) -> None:
    """Publish a scheduled post whose time has come."""
    post = world.posts.get(event.subject)
    # Gone, or published by hand in a queue that holds.
    if post is None or any(target.running for target in post.targets):
        return
    if post.status == "scheduled" and post.scheduled_for == event.data["for"]:
        publish_post(world, post, event.at, key=event.data.get("key"))


HANDLERS: dict[str, Handler] = {
    "target.pending": _on_pending,
    "target.publishing": _on_publishing,
    "target.result": _on_result,
    "post.due": _on_due,
}
