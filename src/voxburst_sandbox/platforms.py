"""What the social platforms allow and how they fail: limits, error texts, and the outcome of one publication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voxburst_sandbox.clock import iso
from voxburst_sandbox.draw import fraction, identifier, pick
from voxburst_sandbox.records import Account, Post, Target
from voxburst_sandbox.switches import Switches

__all__ = ["LIMITS", "PLATFORMS", "STUCK_MS", "Attempt", "failure", "outcome", "post_url", "text_of"]

# Characters a post may have on each platform.
LIMITS = {
    "twitter": 280, "linkedin": 3000, "instagram": 2200, "facebook": 63206, "bluesky": 300, "threads": 500,
    "pinterest": 500, "reddit": 40000, "tiktok": 2200, "youtube": 5000, "mastodon": 500,
    "snapchat": 160, "telegram": 4096, "google_business": 1500, "whatsapp": 4096,
}  # fmt: skip
PLATFORMS = ("twitter", "linkedin", "instagram", "facebook", "bluesky", "threads")
NAMES = {"twitter": "X", "linkedin": "LinkedIn", "instagram": "Instagram", "facebook": "Facebook", "bluesky": "Bluesky"}
# A target that is publishing for longer counts as stuck (contract: PLAY).
STUCK_MS = 10 * 60 * 1000

# Code and text of every failure; texts have variable parts, as real ones do.
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
    """Say what would be published on the target's platform."""
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
    """Why every publication fails until somebody mends it."""
    account, target = attempt.account, attempt.target
    if account is None or account.status == "disconnected":
        return "disconnected"
    if account.status != "active":
        return "expired"
    if len(text_of(attempt.post, target)) > LIMITS.get(target.platform, 10_000):
        return "long"
    return target.flaw or None


def failure(seed: int, attempt: Attempt, cause: str, at: int) -> dict[str, Any]:
    """Return the error object of a failed publication (contract: K1, WH-3)."""
    target, account = attempt.target, attempt.account
    draw = (seed, target.id, attempt.job)
    length, limit = len(text_of(attempt.post, target)), LIMITS.get(target.platform, 10_000)
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
    """Where a published post can be seen."""
    paths = {
        "twitter": f"https://x.com/{username}/status/{number}",
        "linkedin": f"https://www.linkedin.com/feed/update/urn:li:share:{number}",
        "instagram": f"https://www.instagram.com/p/{number}/",
        "facebook": f"https://www.facebook.com/{username}/posts/{number}",
        "bluesky": f"https://bsky.app/profile/{username}.bsky.social/post/{number}",
        "threads": f"https://www.threads.net/@{username}/post/{number}",
    }
    return paths.get(platform, f"https://{platform}.example/{username}/{number}")
