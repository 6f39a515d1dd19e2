"""The publishing queue: how a publication ends on each platform, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voxburst_sandbox.bodies import LIMITS, MOST_CHARACTERS
from voxburst_sandbox.store import Account, Event, Post, Target, fraction, identifier, pick, uniform
from voxburst_sandbox.switches import Switches
from voxburst_sandbox.webhooks import emit_result
from voxburst_sandbox.world import Handler, World, iso

PLATFORMS = ("twitter", "linkedin", "instagram", "facebook", "bluesky", "threads")
NAMES = {"twitter": "X", "linkedin": "LinkedIn", "instagram": "Instagram", "facebook": "Facebook", "bluesky": "Bluesky"}
# A target that is publishing for longer counts as stuck (contract: PLAY).
STUCK_MS = 10 * 60 * 1000

# Code and text of every failure; the texts have variable parts.
_TEXTS: dict[str, tuple[str, str]] = {
    "rate": ("RATE_LIMITED", "{name} rate limit reached for this account, {seconds} seconds until reset"),
    "unavailable": ("SERVICE_UNAVAILABLE", "{name} answered 503 Service Unavailable (request {request})"),
    "internal": ("INTERNAL_ERROR", "{name} answered 500: an unexpected error has occurred, trace {request}"),
    "expired": ("TOKEN_EXPIRED", "The access token of @{username} expired on {expired}. Reconnect the account."),
    "disconnected": ("ACCOUNT_DISCONNECTED", "The account @{username} is not connected"),
    "long": ("CONTENT_TOO_LONG", "The text has {length} characters, {name} allows {limit}"),
    "aspect": ("MEDIA_ASPECT_RATIO", "Aspect ratio {ratio} is outside the range 4:5 to 1.91:1 (media {media})"),
    "format": ("MEDIA_FORMAT_NOT_SUPPORTED", "{name} does not accept image/webp (media {media})"),
    "size": ("MEDIA_TOO_LARGE", "The image is {size} bytes, {name} allows 1000000 (media {media})"),
    "rejected": ("PUBLISH_ERROR", "{name} refused the post: policy check {request} did not pass"),
    "odd": ("E_4711", "Unexpected upstream state 4711/{number}"),
    "odder": ("GRAPH_368_NODE", "(#368) node {request} is in an unknown state"),
    "hostile": (
        "PUBLISH_ERROR",
        "<script>alert(\"voxops\")</script><img src=x onerror=alert(1)> =cmd|' /C calc'!A0 & $x$",
    ),
}
_PASSING = ("rate", "unavailable", "internal", "unavailable")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One publication: which post and target on which account; `job` counts the publications of the target from 1."""

    post: Post
    target: Target
    account: Account | None
    job: int


def text_of(post: Post, target: Target) -> str:
    """Return the text for the target's platform."""
    return post.content if target.content is None else target.content


def outcome(seed: int, attempt: Attempt, switches: Switches, at: int) -> dict[str, Any] | None:
    """Return the error that a publication ends in, None if it succeeds. Depends on nothing but its arguments."""
    cause = _lasting(attempt)
    if cause is None and switches.failure_rates:
        return _as_known(seed, attempt, switches)
    if cause is None:
        rate = switches.failure_rate if attempt.job <= 1 else 1 - switches.recovery_rate
        if fraction(seed, "outcome", attempt.target.id, attempt.job) < rate:
            cause = pick(_PASSING, seed, "cause", attempt.target.id, attempt.job)
    return None if cause is None else failure(seed, attempt, cause, at)


def _as_known(seed: int, attempt: Attempt, switches: Switches) -> dict[str, Any] | None:
    """Return the error that the platform's known rates give, None if the publication succeeds."""
    share = 1.0 if attempt.job <= 1 else 1 - switches.recovery_rate
    draw = fraction(seed, "known", attempt.target.id, attempt.job)
    for code, rate in sorted(switches.failure_rates.get(attempt.target.platform, {}).items()):
        draw -= rate * share
        if draw < 0:
            return {"code": code, "message": "as often before"}
    return None


def _lasting(attempt: Attempt) -> str | None:
    """Return why every publication fails until a fix."""
    account, target = attempt.account, attempt.target
    if account is None or account.status == "disconnected":
        return "disconnected"
    if account.status != "active":
        return "expired"
    if len(text_of(attempt.post, target)) > LIMITS.get(target.platform, MOST_CHARACTERS):
        return "long"
    return target.flaw or None


def failure(seed: int, attempt: Attempt, cause: str, at: int) -> dict[str, Any]:
    """Return the error object of a failed publication (contract: K1, WH-3)."""
    target, account = attempt.target, attempt.account
    draw = (seed, target.id, attempt.job)
    length, limit = len(text_of(attempt.post, target)), LIMITS.get(target.platform, MOST_CHARACTERS)
    seconds = 60 + int(fraction("seconds", *draw) * 840)
    values = {
        "name": NAMES.get(target.platform, target.platform.title()),
        "username": account.username if account else "unknown",
        "expired": iso(at)[:10],
        "request": identifier("", "request", *draw)[:12],
        "seconds": seconds,
        "length": length,
        "limit": limit,
        "ratio": f"{0.4 + fraction('ratio', *draw) * 0.3:.2f}:1",
        "size": 1_000_001 + int(fraction("size", *draw) * 4_000_000),
        "number": int(fraction("number", *draw) * 90_000) + 10_000,
        "media": attempt.post.media[0] if attempt.post.media else "none",
    }
    code, text = _TEXTS[cause]
    error: dict[str, Any] = {"code": code, "message": text if cause == "hostile" else text.format(**values)}
    if cause == "long":
        error["details"] = {"platform": target.platform, "maxLength": limit, "actualLength": length}
    if cause == "rate":
        error["details"] = {"retryAfter": seconds}
    return error


def post_url(platform: str, username: str, number: str) -> str:
    """Return the address of a published post."""
    paths = {
        "twitter": f"https://x.com/{username}/status/{number}",
        "linkedin": f"https://www.linkedin.com/feed/update/urn:li:share:{number}",
        "instagram": f"https://www.instagram.com/p/{number}/",
        "facebook": f"https://www.facebook.com/{username}/posts/{number}",
        "bluesky": f"https://bsky.app/profile/{username}.bsky.social/post/{number}",
        "threads": f"https://www.threads.net/@{username}/post/{number}",
    }
    return paths.get(platform, f"https://{platform}.example/{username}/{number}")


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
    """Queue every target of a post for the first time; `holds` if the queue may hide it for a while."""
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
    """Queue a target once more, and return when its publication will end.

    `cause` is ``retry`` or ``fix``, `count` the new retry count. The effect is ``target.requeue``, with `again` where an
    earlier publication of the target has not ended. The old status may linger.
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
    """Give a target a new job, hidden for its first milliseconds, and return when it will end."""
    target.jobs += 1
    target.running += 1
    took = int(uniform(*world.switches.publish_seconds, world.seed, "queue", target.id, target.jobs) * 1000)
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
    """Return the post and target of an event; None if either is gone or the post was withdrawn."""
    post = world.posts.get(event.data["post"])
    if post is None or post.status == "cancelled":
        return None
    target = next((target for target in post.targets if target.id == event.subject), None)
    return None if target is None else (post, target)


def _on_entered(world: World, event: Event) -> None:
    """Show that a job waits in the queue, or has left it."""
    if (found := _find(world, event)) is not None:
        _enter(world, *found, event.kind.removeprefix("target."), event.at)


def _on_result(world: World, event: Event) -> None:
    """End a job."""
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
            mark_published(target, account.username if account else "", number, event.at)
    else:
        world.effect("target.fail", code=error["code"], **ids)
        if target.status != "published" and job == target.jobs:
            target.status, target.since, target.error = "failed", event.at, error
    _conclude(world, post, event.at)


def mark_published(target: Target, username: str, number: str, at: int) -> None:
    """Show a target as published."""
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
    """Publish a scheduled post at its time; `key` is that of the request."""
    if post.status == "scheduled" and post.scheduled_for is not None:
        due = max(post.scheduled_for, world.now())
        world.schedule(due, "post.due", post.id, key=key, **{"for": post.scheduled_for})


def _on_due(world: World, event: Event) -> None:
    """Publish a scheduled post whose time has come."""
    post = world.posts.get(event.subject)
    # Deleted, or already published in a queue that holds.
    if post is None or any(target.running for target in post.targets):
        return
    if post.status == "scheduled" and post.scheduled_for == event.data["for"]:
        publish_post(world, post, event.at, key=event.data.get("key"))


HANDLERS: dict[str, Handler] = {
    "target.pending": _on_entered,
    "target.publishing": _on_entered,
    "target.result": _on_result,
    "post.due": _on_due,
}
