"""The seeded campaign: ten days of posts, and the failures that real campaigns have.

Causes are handed out in fixed numbers per 500 posts to the targets that fit them, so that every seed shows each of them;
outages hit neighbours in time, an expired token everything of its account from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from voxburst_sandbox.draw import fraction, identifier
from voxburst_sandbox.platforms import LIMITS, PLATFORMS, Attempt, failure, post_url
from voxburst_sandbox.queue import summary_status
from voxburst_sandbox.records import Account, Post, Target
from voxburst_sandbox.sample_posts import CAMPAIGNS, OWNERS, long_text, post_text, tags
from voxburst_sandbox.world import World

__all__ = ["plant_posts"]

_MINUTE, _QUARTER, _HOUR, _DAY = 60_000, 900_000, 3_600_000, 86_400_000
_FIRST_DAY = -9 * _HOUR - 10 * _DAY  # from the start of the world
_WEIGHTS = {"twitter": 26, "linkedin": 16, "instagram": 24, "facebook": 20, "bluesky": 14, "threads": 14}
# Outages: cause, platform, targets in a row per 500 posts.
_BURSTS = (("rate", "twitter", 9), ("rate", "threads", 5), ("unavailable", "facebook", 8))
# Scattered causes: cause, platforms it fits, targets per 500 posts.
_SCATTERED = (
    ("long", ("twitter", "bluesky", "threads"), 8),
    ("aspect", ("instagram",), 6),
    ("format", ("bluesky", "threads"), 4),
    ("size", ("bluesky",), 4),
    ("internal", PLATFORMS, 4),
    ("unavailable", PLATFORMS, 3),
    ("rejected", ("linkedin", "facebook"), 2),
    ("odd", PLATFORMS, 1),
    ("odder", ("facebook",), 1),
    ("hostile", PLATFORMS, 1),
)
_NEEDS_MEDIA = ("aspect", "format", "size")
_EXPIRED, _STUCK, _CAPPED = 20, 4, 3
Spot = tuple[Post, Target]


def plant_posts(world: World, count: int) -> None:
    """Make `count` posts and let some of them fail."""
    ready = [
        media.id for media in world.media.values() if media.status == "ready" and media.content_type == "image/jpeg"
    ]
    made = [_post(world, number, count, ready) for number in range(count)]
    sent = [post for post in made if post.status == "published"]
    _Failures(world, sent, count / 500).hand_out()
    for post in made:
        _finish(world, post)
        world.add_post(post)


def _post(world: World, number: int, count: int, media: list[str]) -> Post:
    """One post as it would be if nothing ever failed."""
    rng = Random(f"{world.seed}:post:{number}")
    place = (number + rng.random()) / count * 10
    created = world.start + _FIRST_DAY + int(place) * _DAY + int((6.5 + 14 * (place % 1)) * _HOUR)
    planned = (created + int(rng.uniform(1, 40) * _HOUR)) // _QUARTER * _QUARTER if rng.random() < 0.6 else None
    kind = rng.random()
    status = "draft" if kind < 0.04 else "cancelled" if kind < 0.06 else "published"
    if kind > 0.95:
        planned = (world.start + int(rng.uniform(1, 220) * _HOUR)) // _QUARTER * _QUARTER
    if status == "published" and planned is not None and planned > world.start - 5 * _MINUTE:
        status, planned = "scheduled", max(planned, world.start + 10 * _MINUTE)
    accounts = _audience(world, rng)
    pictured = any(account.platform == "instagram" for account in accounts) or rng.random() < 0.4
    post_id = identifier("post_", world.seed, "seeded", number)
    post = Post(
        id=post_id,
        ordinal=world.ordinal(),
        content=post_text(rng),
        content_type="image" if pictured else "text",
        status=status,
        created_at=created,
        updated_at=created,
        targets=[Target(identifier("pp_", post_id, a.id), a.platform, a.id, since=created) for a in accounts],
        scheduled_for=planned,
        media=[rng.choice(media)] if pictured else [],
        tags=tags(rng),
        metadata={"campaign": rng.choice(CAMPAIGNS), "owner": rng.choice(OWNERS), "sheetRow": number + 2},
    )
    if rng.random() < 0.15:
        post.first_comment = "Full details in our bio."
    return post


def _audience(world: World, rng: Random) -> list[Account]:
    """One to four accounts of one brand."""
    brand = "Alder Coffee" if rng.random() < 0.65 else "Alder Berlin"
    names = list(_WEIGHTS)
    wanted: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 2, 2, 3, 4))):
        wanted += rng.choices(names, [0 if name in wanted else _WEIGHTS[name] for name in names])
    return [a for a in world.accounts.values() if a.display_name == brand and a.platform in wanted]


def _sent_at(post: Post) -> int:
    """When publishing began."""
    return post.scheduled_for if post.scheduled_for is not None else post.created_at + 20_000


class _Failures:
    """Hands causes out to targets; each target gets at most one."""

    def __init__(self, world: World, posts: list[Post], scale: float) -> None:
        self._world = world
        self._posts = posts
        self._scale = scale
        self._free: list[Spot] = sorted(
            ((post, target) for post in posts for target in post.targets),
            key=lambda spot: (_sent_at(spot[0]), spot[1].id),
        )

    def hand_out(self) -> None:
        """Choose who fails and why."""
        self._expire()
        for cause, platform, count in _BURSTS:
            fitting = [spot for spot in self._free if spot[1].platform == platform]
            wanted = self._count(count)
            start = int(fraction(self._world.seed, "burst", cause, platform) * max(1, len(fitting) - wanted))
            self._fail(cause, fitting[start : start + wanted])
        for cause, platforms, count in _SCATTERED:
            fitting = [spot for spot in self._shuffled(cause) if spot[1].platform in platforms]
            fitting = [spot for spot in fitting if spot[0].media or cause not in _NEEDS_MEDIA]
            self._fail(cause, fitting[: self._count(count)])
        self._stick()
        self._cap()

    def _count(self, per_500: int) -> int:
        """Return a number for this campaign's size."""
        return max(1, round(per_500 * self._scale))

    def _shuffled(self, name: str) -> list[Spot]:
        """Targets that are still free, in an order of their own."""
        return sorted(self._free, key=lambda spot: fraction(self._world.seed, name, spot[1].id))

    def _take(self, spots: Iterable[Spot]) -> Iterator[Spot]:
        """Free targets that are no longer free then."""
        taken = list(spots)
        gone = {target.id for _, target in taken}
        self._free = [spot for spot in self._free if spot[1].id not in gone]
        yield from taken

    def _fail(self, cause: str, spots: Iterable[Spot]) -> None:
        """Let targets fail."""
        for post, target in self._take(spots):
            rng = Random(f"{self._world.seed}:failure:{target.id}")
            at = _sent_at(post) + rng.randrange(5_000, 60_000)
            if cause == "long":
                target.content = long_text(rng, post.content, LIMITS[target.platform])
            if cause in (*_NEEDS_MEDIA, "rejected", "odder"):
                target.flaw = cause
            target.retry_count = rng.choice((0, 0, 0, 0, 1, 1, 2))
            target.jobs = 1 + target.retry_count
            attempt = Attempt(post, target, self._world.accounts.get(target.account_id), target.jobs)
            target.error = failure(self._world.seed, attempt, cause, self._expired_at if cause == "expired" else at)
            target.status, target.since = "failed", at + target.retry_count * 20 * _MINUTE

    def _expire(self) -> None:
        """Let one account's token expire, so that everything it should have published since failed."""
        account = next(
            a for a in self._world.accounts.values() if a.platform == "instagram" and a.display_name == "Alder Berlin"
        )
        own = [spot for spot in self._free if spot[1].account_id == account.id][-self._count(_EXPIRED) :]
        self._expired_at = _sent_at(own[0][0]) - 20 * _MINUTE if own else self._world.start - 3 * _DAY
        account.status, account.refreshable = "expired", False
        self._fail("expired", own)

    def _stick(self) -> None:
        """Let a few of the latest targets hang in publishing for more than an hour."""
        late = [
            spot
            for spot in self._free
            if _sent_at(spot[0]) > self._world.start - 3 * _DAY and spot[1].platform != "bluesky"
        ]
        late.sort(key=lambda spot: fraction(self._world.seed, "stuck", spot[1].id))
        for number, (post, target) in enumerate(self._take(late[: self._count(_STUCK)])):
            target.status, target.jobs = "publishing", 1
            target.since = min(_sent_at(post) + 12_000, self._world.start - (70 + 25 * (number % 6)) * _MINUTE)

    def _cap(self) -> None:
        """Let a few failures have used up their retries."""
        failed = list(self._passing())
        failed.sort(key=lambda target: fraction(self._world.seed, "capped", target.id))
        for target in failed[: self._count(_CAPPED)]:
            target.retry_count, target.jobs = 3, 4

    def _passing(self) -> Iterator[Target]:
        """Targets that failed for a passing reason."""
        for target in (target for post in self._posts for target in post.targets):
            if target.error is not None and target.error["code"] in ("RATE_LIMITED", "SERVICE_UNAVAILABLE"):
                yield target


def _finish(world: World, post: Post) -> None:
    """Publish what did not fail, and bring times and status of the post in line."""
    if post.status == "scheduled":
        world.schedule(post.scheduled_for or world.start, "post.due", post.id, **{"for": post.scheduled_for})
    if post.status != "published":
        post.updated_at = post.created_at + int(fraction(world.seed, "edited", post.id) * 3 * _HOUR)
        post.updated_at = min(post.updated_at, world.start - _MINUTE)
        return
    for target in post.targets:
        if target.status == "pending":
            _publish(world, post, target)
    published = [target.published_at for target in post.targets if target.published_at is not None]
    post.published_at = min(published, default=None)
    post.updated_at = min(max(target.since for target in post.targets), world.start - 30_000)
    post.status = summary_status(post)
    if post.status == "publishing" and any(target.status == "failed" for target in post.targets):
        post.status = (
            "partial" if published else "failed"
        )  # as a server reports it that no longer counts the stuck target


def _publish(world: World, post: Post, target: Target) -> None:
    """Let a target go out."""
    at = _sent_at(post) + 5_000 + int(fraction(world.seed, "took", target.id) * 40_000)
    account = world.accounts[target.account_id]
    number = str(10**17 + int(fraction(world.seed, "number", target.id) * 9 * 10**17))
    target.status, target.since, target.published_at, target.jobs = "published", at, at, 1
    target.platform_post_id, target.platform_post_url = number, post_url(target.platform, account.username, number)
