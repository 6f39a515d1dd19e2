"""The seeded campaign with its delivery history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from random import Random
from typing import Any

import msgspec

from voxburst_sandbox.bodies import LIMITS
from voxburst_sandbox.publishing import PLATFORMS, Attempt, failure, mark_published, summary_status
from voxburst_sandbox.store import Account, Delivery, Media, Post, Target, Webhook, fraction, identifier
from voxburst_sandbox.switches import Switches
from voxburst_sandbox.webhooks import BACKOFF, TIMEOUT_MS, latency_ms, queue_attempt
from voxburst_sandbox.world import VirtualClock, World, iso

_MINUTE, _QUARTER, _HOUR, _DAY = 60_000, 900_000, 3_600_000, 86_400_000
_MEDIA = 40
_BRANDS = (("aldercoffee", "Alder Coffee"), ("alder.berlin", "Alder Berlin"))
_ACCOUNT_TYPES = {"linkedin": "organization", "facebook": "page", "instagram": "business"}
_WEBHOOKS = (
    ("content", "https://hooks.aldercoffee.example/voxburst", ("post.published", "post.failed")),
    ("crm", "https://ingest.northpeak.example/v2/social", ("*",)),
    ("alerts", "https://alerts.aldercoffee.example/on-call", ("post.failed", "account.error", "account.disconnected")),
)


def plant(world: World, *, posts: int, deliveries: int) -> None:
    """Fill an empty world. Everything follows from the seed and from when the world began.

    Parameters
    ----------
    world : World
        Where they are planted.
    posts, deliveries : int
        How many posts and delivery records; 0 for none.
    """
    planted = _planted(world.seed, world.start, posts, deliveries)
    for name, table in world.tables():
        for record in msgspec.msgpack.decode(planted[name], type=list[table.kind]):  # type: ignore[name-defined]
            table.save(record)


@lru_cache(2)
def _planted(seed: int, start: int, posts: int, deliveries: int) -> dict[str, bytes]:
    """The records of a seeded world by table, encoded: a reset reads them, which takes a twentieth of the time."""
    world = World(seed, VirtualClock(start, 0), Switches(), workspace_id="", disk=None, handlers={}, plant=plant)
    _plant_accounts(world)
    _plant_media(world)
    _plant_webhooks(world)
    if posts:
        plant_posts(world, posts)
    if deliveries:
        plant_deliveries(world, deliveries)
    return {name: msgspec.msgpack.encode(list(table.values())) for name, table in world.tables()}


def _plant_accounts(world: World) -> None:
    """Plant two brands on six platforms."""
    for number, (handle, name) in enumerate(_BRANDS):
        for platform in PLATFORMS:
            rng = Random(f"{world.seed}:account:{handle}:{platform}")
            account = Account(
                id=identifier("acc_", world.seed, handle, platform),
                platform=platform,
                username=handle if platform not in ("twitter", "bluesky") else handle.replace(".", "_"),
                display_name=name,
                account_type=_ACCOUNT_TYPES.get(platform, "profile"),
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
    """Plant images and a few videos that are ready, one that was never uploaded, one that can't be decoded."""
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
    """Plant three endpoints with different events."""
    for name, url, events in _WEBHOOKS:
        key = identifier("wh_", world.seed, name)
        secret = identifier("whsec_", world.seed, name, "secret")
        world.webhooks.save(Webhook(key, url, list(events), secret, world.start - 200 * _DAY))


# -- posts -------------------------------------------------------------------------------------------------------------

_FIRST_POST = -9 * _HOUR - 10 * _DAY  # from the start of the world
_WEIGHTS = {"twitter": 26, "linkedin": 16, "instagram": 24, "facebook": 20, "bluesky": 14, "threads": 14}
# Outages: cause, platform, consecutive targets per 500 posts.
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
    """Plant posts, some of which fail."""
    ready = [
        media.id for media in world.media.values() if media.status == "ready" and media.content_type == "image/jpeg"
    ]
    planted = [_post(world, number, count, ready) for number in range(count)]
    sent = [post for post in planted if post.status == "published"]
    _Failures(world, sent, count / 500).assign()
    for post in planted:
        _finish(world, post)
        world.add_post(post)


def _post(world: World, number: int, count: int, media: list[str]) -> Post:
    """Return a post as it would be if nothing ever failed."""
    rng = Random(f"{world.seed}:post:{number}")
    place = (number + rng.random()) / count * 10
    created = world.start + _FIRST_POST + int(place) * _DAY + int((6.5 + 14 * (place % 1)) * _HOUR)
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
    """Return one to four accounts of one brand."""
    brand = "Alder Coffee" if rng.random() < 0.65 else "Alder Berlin"
    names = list(_WEIGHTS)
    wanted: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 2, 2, 3, 4))):
        wanted += rng.choices(names, [0 if name in wanted else _WEIGHTS[name] for name in names])
    return [a for a in world.accounts.values() if a.display_name == brand and a.platform in wanted]


def _sent_at(post: Post) -> int:
    return post.scheduled_for if post.scheduled_for is not None else post.created_at + 20_000


class _Failures:
    """Gives some targets a cause to fail; each target gets at most one."""

    def __init__(self, world: World, posts: list[Post], scale: float) -> None:
        self._world = world
        self._posts = posts
        self._scale = scale
        self._free: list[Spot] = sorted(
            ((post, target) for post in posts for target in post.targets),
            key=lambda spot: (_sent_at(spot[0]), spot[1].id),
        )

    def assign(self) -> None:
        """Choose which targets fail, and why."""
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
        """Scale a number to this campaign's size."""
        return max(1, round(per_500 * self._scale))

    def _shuffled(self, name: str) -> list[Spot]:
        """Return the free targets in an order of their own."""
        return sorted(self._free, key=lambda spot: fraction(self._world.seed, name, spot[1].id))

    def _take(self, spots: Iterable[Spot]) -> Iterator[Spot]:
        """Yield free targets, which are free no longer."""
        taken = list(spots)
        gone = {target.id for _, target in taken}
        self._free = [spot for spot in self._free if spot[1].id not in gone]
        yield from taken

    def _fail(self, cause: str, spots: Iterable[Spot]) -> None:
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
        """Expire one account's token, and fail everything that it should have published since."""
        account = next(
            a for a in self._world.accounts.values() if a.platform == "instagram" and a.display_name == "Alder Berlin"
        )
        own = [spot for spot in self._free if spot[1].account_id == account.id][-self._count(_EXPIRED) :]
        self._expired_at = _sent_at(own[0][0]) - 20 * _MINUTE if own else self._world.start - 3 * _DAY
        account.status, account.refreshable = "expired", False
        self._fail("expired", own)

    def _stick(self) -> None:
        """Leave a few of the latest targets in publishing for more than an hour."""
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
        """Use up the retries of a few failures."""
        failed = list(self._passing())
        failed.sort(key=lambda target: fraction(self._world.seed, "capped", target.id))
        for target in failed[: self._count(_CAPPED)]:
            target.retry_count, target.jobs = 3, 4

    def _passing(self) -> Iterator[Target]:
        """Yield the targets that failed for a passing reason."""
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
        # Some servers no longer count the stuck target.
        post.status = "partial" if published else "failed"


def _publish(world: World, post: Post, target: Target) -> None:
    at = _sent_at(post) + 5_000 + int(fraction(world.seed, "took", target.id) * 40_000)
    number = str(10**17 + int(fraction(world.seed, "number", target.id) * 9 * 10**17))
    mark_published(target, world.accounts[target.account_id].username, number, at)
    target.jobs = 1


# -- their texts -------------------------------------------------------------------------------------------------------

OWNERS = ("maria.k", "jonas.w", "aisha.r", "tom.b")
CAMPAIGNS = ("spring-2026", "barista-week", "origin-stories", "always-on", "berlin-opening")
_PRODUCTS = (
    "Sidama Washed", "Huila Honey", "House Espresso No. 4", "Decaf Cauca", "Yirgacheffe Natural", "the oat flat white",
    "Cold Brew Concentrate", "the travel press", "Kenya Peaberry", "Brew Kit Two", "Sumatra Ketambe", "the pistachio cruffin",
)  # fmt: skip
_OPENERS = (
    "New on the bar: {product}.",
    "We cupped {product} three times this week, and it kept getting better.",
    "Slow mornings call for {product} ☕",
    "Ask us anything about {product}: our roaster answers until noon.",
    "Back by popular demand: {product}!",
    "{product} is {percent} % off until {day}.",
    "Behind the scenes: how {product} gets from the farm to your cup.",
    "Wir rösten heute {product} – frisch ab {hour} Uhr.",
    "{count} bags of {product} left. When they are gone, they are gone.",
    "Our barista {barista} pours {product} like nobody else.",
    "Sunday reading: why {product} tastes of {note}.",
    "You voted, we listened: {product} stays on the menu 🎉",
)
_CLOSERS = (
    "Come by before {hour}.", "Link in bio.", "Order by {day}, drink it fresh on Saturday.", "Tell us how you brew it.",
    "Tasting notes: {note}, {other}, a long finish.", "Free shipping over 35 €.", "Tag someone who owes you a coffee.",
    "Bis gleich in der Kastanienallee!", "Full story on the blog: https://alder.example/s/{code}", "",
)  # fmt: skip
_NOTES = ("bergamot", "stone fruit", "cocoa nibs", "jasmine", "brown sugar", "red apple", "toasted almond", "plum")
_DAYS = ("Thursday", "Friday", "Sunday", "the end of the month")
_BARISTAS = ("Inés", "Malik", "Søren", "Yuki", "Zoë")
_TAGS = ("#coffee", "#specialtycoffee", "#slowmornings", "#berlincoffee", "#singleorigin", "#latteart", "#aldercoffee")
_LABELS = ("product", "event", "education", "offer", "community", "ugc", "launch")
_FILLER = (
    " We taste every batch blind, write down what we find, and only then look at the label.",
    " The farm has worked with us since 2019; this lot comes from the two highest plots, picked in the last week of the harvest.",
    " If you brew it at home, start with 16 g to 250 g of water at 93 degrees and go a little finer than you would think.",
)


def post_text(rng: Random) -> str:
    """Return a post that fits every platform."""
    values = {
        "product": rng.choice(_PRODUCTS),
        "percent": rng.choice((10, 15, 20, 25)),
        "day": rng.choice(_DAYS),
        "hour": rng.randint(8, 18),
        "count": rng.randint(9, 180),
        "barista": rng.choice(_BARISTAS),
        "note": rng.choice(_NOTES),
        "other": rng.choice(_NOTES),
        "code": f"{rng.randrange(16**5):05x}",
    }
    text = rng.choice(_OPENERS).format(**values)
    closer = rng.choice(_CLOSERS).format(**values)
    marks = " ".join(rng.sample(_TAGS, rng.randint(0, 3)))
    return "\n".join(part for part in (f"{text} {closer}".strip(), marks) if part)


def long_text(rng: Random, text: str, more_than: int) -> str:
    """Return a text made too long for a platform."""
    while len(text) <= more_than:
        text += rng.choice(_FILLER)
    return text


def tags(rng: Random) -> list[str]:
    """Return one to three labels."""
    return sorted(rng.sample(_LABELS, rng.randint(1, 3)))


# -- deliveries --------------------------------------------------------------------------------------------------------

_FIRST_DELIVERY = -9 * _HOUR - 30 * _DAY
_EVENTS = {
    "post.created": 40, "post.scheduled": 22, "post.published": 31, "post.failed": 4, "media.uploaded": 3, "account.error": 1,
}  # fmt: skip
_PER_EVENT = 1.385  # deliveries that an event makes, on average over the three webhooks
# Host, from, until (both from the start of the world), share of failing attempts. Retries outlast the first; no retry
# outlasts the last, a working day.
_OUTAGES = (
    ("ingest.northpeak.example", -6 * _DAY + 5 * _HOUR, -6 * _DAY + 6 * _HOUR + 10 * _MINUTE, 0.93),
    ("hooks.aldercoffee.example", -17 * _DAY - 6 * _HOUR, -17 * _DAY - 6 * _HOUR + 20 * _MINUTE, 0.6),
    ("hooks.aldercoffee.example", -12 * _DAY - _HOUR, -12 * _DAY + 11 * _HOUR, 0.98),
)
_SLOWNESS = {"hooks.aldercoffee.example": 1.0, "ingest.northpeak.example": 2.4, "alerts.aldercoffee.example": 0.6}
_REJECTED, _DOUBLED, _TROUBLED = 0.003, 0.004, 0.012


def plant_deliveries(world: World, count: int) -> None:
    """Plant about so many delivery records."""
    events = max(1, round(count / _PER_EVENT))
    names, weights = list(_EVENTS), list(_EVENTS.values())
    for number in range(events):
        rng = Random(f"{world.seed}:event:{number}")
        place = (number + rng.random()) / events * 30
        # A bell over the working day: most events near 13:00 UTC.
        hour = 7 + 12 * (rng.random() + rng.random() + rng.random()) / 3 if rng.random() < 0.85 else rng.uniform(0, 24)
        at = world.start + _FIRST_DELIVERY + int(place) * _DAY + int(hour * _HOUR)
        kind = rng.choices(names, weights)[0]
        event_id = identifier("evt_", world.seed, "seeded", number)
        for webhook in world.webhooks.values():
            if kind in webhook.events or "*" in webhook.events:
                _deliver(world, webhook, kind, at, event_id, "")
                if rng.random() < _DOUBLED:
                    _deliver(world, webhook, kind, at, event_id, "again")


def _deliver(world: World, webhook: Webhook, kind: str, at: int, event_id: str, copy: str) -> None:
    """Plant one record, with every attempt before the start."""
    key = identifier("del_", world.seed, webhook.id, event_id, copy)
    rng = Random(f"{world.seed}:{key}")
    record = Delivery(key, world.ordinal(), webhook.id, event_id, kind, webhook.url, at)
    host = webhook.url.split("/")[2]
    rejected = rng.random() < _REJECTED
    moment = at
    for number in range(len(BACKOFF) + 1):
        if moment > world.start - 5_000:
            queue_attempt(world, record, moment)
            break
        _attempt(record, rng, host, moment, _share(host, moment - world.start), number, rejected)
        webhook.last_delivery_at = max(webhook.last_delivery_at or 0, moment)
        if record.success or number == len(BACKOFF):
            break
        moment += BACKOFF[number] * 1000
    world.add_delivery(record)


def _share(host: str, at: int) -> float | None:
    """Return the share of failing attempts in an outage, None outside of one."""
    return next((share for name, start, end, share in _OUTAGES if name == host and start <= at < end), None)


def _attempt(
    record: Delivery, rng: Random, host: str, at: int, share: float | None, number: int, rejected: bool
) -> None:
    """Put the result of one attempt on record."""
    took = int(latency_ms(record.id, number) * _SLOWNESS.get(host, 1.0))
    record.retry_count, record.success, record.error, record.delivered_at = number, False, None, None
    record.status_code, record.response_body, record.latency_ms = None, None, took
    if rejected:
        record.status_code, record.response_body = 422, '{"error":"unknown campaign"}'
    elif share is not None and rng.random() < share:
        if rng.random() < 0.55:
            record.latency_ms, record.error = TIMEOUT_MS, f"no answer within {TIMEOUT_MS // 1000} s"
            return
        record.status_code, record.response_body = 503, "upstream connect error or disconnect/reset before headers"
        record.latency_ms = rng.randrange(2_500, 9_800)
    elif rng.random() < _TROUBLED:
        record.status_code = rng.choice((500, 502, 503, 429))
        record.response_body = '{"error":"try again later"}'
    else:
        record.latency_ms = took * 8 if share is not None else took
        record.status_code, record.success, record.delivered_at = 200, True, at + record.latency_ms
        record.response_body = "OK" if host.startswith("ingest") else f'{{"received":"{record.event_id}"}}'
        return
    record.error = f"receiver answered {record.status_code}"
