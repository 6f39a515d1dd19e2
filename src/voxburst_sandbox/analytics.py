"""Analytics, in one answer that every known client can read (contract: 8.7).

Figures follow from the seed. They grow with the age of a publication, quickly at first, and differ by platform. Those of a
period are what was gained in it. They are collected once an hour, or at a refresh of the post or the account. Totals are sums of
what the posts show, and rates are engagements per impression.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import exp
from typing import Any

from voxburst_sandbox import wire
from voxburst_sandbox.accounts import find_account
from voxburst_sandbox.http import Answer, Call, Route, invalid, not_found
from voxburst_sandbox.posts import find_post
from voxburst_sandbox.store import Account, Post, Target, uniform
from voxburst_sandbox.world import World, iso

_HOUR, _DAY = 3_600_000, 86_400_000
_MOST_DAYS = 365  # of the plan PRO
_STEPS = {"HOURLY": _HOUR, "DAILY": _DAY, "WEEKLY": 7 * _DAY, "MONTHLY": 30 * _DAY}
# Share of the followers that sees a post, share of these that engages, and hours until it has two thirds of its figures, by platform.
_PLATFORMS = {
    "twitter": (0.06, 0.018, 6.0), "bluesky": (0.2, 0.04, 8.0), "threads": (0.14, 0.03, 12.0),
    "facebook": (0.05, 0.012, 20.0), "instagram": (0.16, 0.047, 30.0), "linkedin": (0.12, 0.034, 40.0),
}  # fmt: skip
_OTHER = (0.08, 0.02, 16.0)
# Shares of the engagements.
_SHARES = {"likes": 0.68, "comments": 0.09, "shares": 0.08, "clicks": 0.11, "saves": 0.04}
_TOTALS = ("impressions", "reach", "engagements", *_SHARES)


@dataclass(frozen=True, slots=True)
class _Period:
    """The period of the requested figures, and its steps."""

    start: int
    end: int
    granularity: str
    label: str

    def shown(self) -> dict[str, str]:
        """Return the period as answers show it."""
        return {"periodStart": iso(self.start), "periodEnd": iso(self.end)}


def _period(call: Call) -> _Period:
    """Return the period of a request: `startDate` and `endDate`, or `since` such as ``7d``; 30 days by default."""
    now = call.world.now()
    end = min(call.time("endDate") or now, now)
    since = call.query.get("since", "")
    days = int(since[:-1]) if since[:-1].isdecimal() and len(since) < 6 and since.endswith("d") else 0
    if since and not days:
        invalid("since must be a number of days such as 7d", field="since")
    start = call.time("startDate")
    start = end - (days or 30) * _DAY if start is None else start
    if start > end:
        invalid("startDate lies after endDate", field="startDate")
    granularity = call.query.get("granularity", "DAILY").upper()
    if granularity not in _STEPS:
        invalid(f"granularity must be one of {', '.join(_STEPS)}", field="granularity")
    start = max(start, min(end, now - _MOST_DAYS * _DAY))
    return _Period(start, end, granularity, since or f"{round((end - start) / _DAY)}d")


def _metrics(world: World, post: Post, target: Target, period: _Period) -> dict[str, int]:
    """Return what a publication gained in a period, as of its latest collection."""
    final, collected = _final(world, target), _collected(world, post, target)
    before, after = (_grown(target, min(at, collected)) for at in (period.start, period.end))
    shown = {name: int(value * after) - int(value * before) for name, value in final.items()}
    shown["engagements"] = sum(shown[name] for name in _SHARES)
    return shown


def _final(world: World, target: Target) -> dict[str, float]:
    """Return what a publication will have gained in the end."""
    owner = world.accounts.get(target.account_id)
    followers = max(200, owner.followers if owner else 0)
    seen, engaged, _ = _PLATFORMS.get(target.platform, _OTHER)
    reach = followers * seen * uniform(0.4, 2.5, world.seed, "reach", target.id)
    rate = engaged * uniform(0.5, 1.8, world.seed, "engaged", target.id)
    impressions = reach * uniform(1.1, 1.9, world.seed, "seen", target.id)
    final = {"impressions": impressions, "reach": reach}
    return final | {name: impressions * rate * share for name, share in _SHARES.items()}


def _grown(target: Target, at: int) -> float:
    """Return the share of its final figures that a publication has reached at an instant."""
    if target.published_at is None or at <= target.published_at:
        return 0.0
    hours = (at - target.published_at) / _HOUR
    return 1 - exp(-hours / _PLATFORMS.get(target.platform, _OTHER)[2])


def _collected(world: World, post: Post, target: Target) -> int:
    """Return when figures of a publication were last collected: on the hour, or at a later refresh."""
    owner = world.accounts.get(target.account_id)
    return max(world.now() // _HOUR * _HOUR, post.analytics_at, owner.analytics_at if owner else 0)


def _published(post: Post) -> list[Target]:
    """Return the targets that are still published."""
    return [target for target in post.targets if target.status == "published"]


def _sum(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter(dict.fromkeys(_TOTALS, 0))
    for part in parts:
        total.update(part)
    return dict(total)


def _rate(metrics: dict[str, int]) -> float:
    return round(metrics["engagements"] / metrics["impressions"], 4) if metrics["impressions"] else 0.0


def _record(world: World, post: Post, target: Target, period: _Period) -> dict[str, Any]:
    """Return the figures of one platform of a post, flat and under ``metrics``."""
    metrics = _metrics(world, post, target, period)
    return {
        "postId": post.id,
        "postPlatformId": target.id,
        "platform": wire.word(world, target.platform),
        "platformPostId": target.platform_post_id,
        "platformPostUrl": target.platform_post_url,
        **metrics,
        "metrics": metrics,
        "collectedAt": iso(_collected(world, post, target)),
        **period.shown(),
        "granularity": period.granularity,
    }


def _post_answer(call: Call, post: Post) -> dict[str, Any]:
    """Return a post's figures: a record per platform, and their sum at the top."""
    world, period = call.world, _period(call)
    records = [_record(world, post, target, period) for target in _published(post)]
    wanted = _words(call, "metrics") or set(_TOTALS)
    metrics = {name: value for name, value in _sum(record["metrics"] for record in records).items() if name in wanted}
    for record in records:
        record["metrics"] = {name: record["metrics"][name] for name in metrics}
    first = records[0] if records else {}
    return {
        "postId": post.id,
        "platform": first.get("platform"),
        "platformPostUrl": first.get("platformPostUrl"),
        "dataAvailable": bool(records),
        "collectedAt": iso(max(_collected(world, post, target) for target in post.targets)),
        "period": period.label,
        **period.shown(),
        "metrics": metrics,
        "data": records,
    }


def _post(call: Call) -> Answer:
    """GET /analytics/posts/:id."""
    return Answer(200, _post_answer(call, find_post(call)))


def _refresh_post(call: Call) -> Answer:
    """POST /analytics/posts/:id/refresh: collected now."""
    post = find_post(call)
    post.analytics_at = call.world.now()
    call.world.posts.save(post)
    call.effect("analytics.refresh", post=post.id)
    return Answer(202, {"status": "queued", **_post_answer(call, post)})


def _account_answer(call: Call, account: Account) -> dict[str, Any]:
    """Return an account's figures, under every name that was seen."""
    world, period = call.world, _period(call)
    spots = _spots(world, period, accounts={account.id})
    metrics = _sum(_metrics(world, *spot, period) for spot in spots)
    totals = _totals(spots, metrics)
    grown = int(account.followers * 0.0006 * (period.end - period.start) / _DAY)
    history = [
        {"date": iso(at)[: None if period.granularity == "HOURLY" else 10], "followers": account.followers - grown + round(grown * (at - period.start) / max(1, period.end - period.start))}
        for at in range(period.start, period.end, _STEPS[period.granularity])
    ]  # fmt: skip
    shown = {
        "followers": account.followers,
        "following": int(uniform(50, 900, world.seed, "following", account.id)),
        "totalPosts": totals["totalPosts"],
    }
    more = {name: totals[name] for name in ("totalImpressions", "totalReach", "totalEngagements")}
    return {
        "accountId": account.id,
        "platform": wire.word(world, account.platform),
        "username": account.username,
        "displayName": account.display_name,
        "accountStatus": wire.word(world, account.status),
        **shown,
        "totalFollowers": account.followers,
        "followerGrowth": grown,
        "avgEngagementRate": totals["averageEngagementRate"],
        "metrics": {**metrics, **shown, **more, "engagementRate": totals["averageEngagementRate"]},
        "followerHistory": history,
        "timeseries": history,
        "period": period.label,
        "collectedAt": iso(max(world.now() // _HOUR * _HOUR, account.analytics_at)),
        **period.shown(),
        "granularity": period.granularity,
    }


def _account(call: Call) -> Answer:
    """GET /analytics/accounts/:id."""
    return Answer(200, _account_answer(call, find_account(call)))


def _refresh_account(call: Call) -> Answer:
    """POST /analytics/accounts/:id/refresh: collected now."""
    account = find_account(call)
    account.analytics_at = call.world.now()
    call.world.accounts.save(account)
    call.effect("analytics.refresh", account=account.id)
    return Answer(202, {"status": "queued", **_account_answer(call, account)})


def _spots(
    world: World, period: _Period, *, accounts: set[str] | None = None, platforms: set[str] | None = None
) -> list[tuple[Post, Target]]:
    """Return what was published by the end of a period, newest post first."""
    return [
        (world.posts[key], target)
        for _, _, key in reversed(world.post_order)
        for target in _published(world.posts[key])
        if (target.published_at or 0) < period.end
        and (accounts is None or target.account_id in accounts)
        and (platforms is None or target.platform in platforms)
    ]


def _totals(spots: Iterable[tuple[Post, Target]], metrics: dict[str, int]) -> dict[str, Any]:
    """Return the number of posts and the sums of their figures, under the names of totals (contract: K1)."""
    return {
        "totalPosts": len({post.id for post, _ in spots}),
        **{f"total{name.capitalize()}": metrics[name] for name in _TOTALS},
        "averageEngagementRate": _rate(metrics),
    }


def _tally(call: Call, period: _Period, spots: list[tuple[Post, Target]], most: int) -> dict[str, Any]:
    """Return sums of publications, over all and by platform, and the best of them, each with its platform."""
    world = call.world
    figures = [(post, target, _metrics(world, post, target, period)) for post, target in spots]
    best = sorted(figures, key=lambda each: (-each[2]["engagements"], each[1].id))[:most]
    platforms = []
    for name in sorted({target.platform for _, target in spots}):
        own = [(post.id, metrics) for post, target, metrics in figures if target.platform == name]
        posts, metrics = len({key for key, _ in own}), _sum(metrics for _, metrics in own)
        platforms.append({"platform": wire.word(world, name), "posts": posts, **metrics})
    totals = _totals(spots, _sum(metrics for _, _, metrics in figures))
    return {
        **totals,
        "summary": totals,
        "topPosts": [
            {"postId": post.id, "platform": wire.word(world, target.platform), "content": post.content[:100], **metrics}
            for post, target, metrics in best
        ],
        "byPlatform": platforms,
        **period.shown(),
    }


def _overview(call: Call) -> Answer:
    """GET /analytics/overview: the whole workspace."""
    period = _period(call)
    tally = _tally(call, period, _spots(call.world, period), 5)
    span = {"start": tally["periodStart"], "end": tally["periodEnd"]}
    return Answer(200, {**tally, "bestPostingTime": {"weekday": "TUESDAY", "hour": 9}, "period": span})


def _aggregate(call: Call) -> Answer:
    """GET /analytics/aggregate: chosen accounts and platforms."""
    accounts, period = _words(call, "accountIds"), _period(call)
    if unknown := sorted((accounts or set()) - set(call.world.accounts)):
        not_found("account", unknown[0])
    platforms = _words(call, "platforms")
    spots = _spots(call.world, period, accounts=accounts, platforms=platforms and {name.lower() for name in platforms})
    tally = _tally(call, period, spots, call.limit(10))
    return Answer(200, {**tally, "topPerformingPosts": tally["topPosts"]})


def _words(call: Call, name: str) -> set[str] | None:
    """Return the words of a comma-separated list in the query; None for none."""
    return {word.strip() for word in call.query.get(name, "").split(",") if word.strip()} or None


ROUTES = (
    Route("GET /v1/analytics/posts/{id}", _post),
    Route("POST /v1/analytics/posts/{id}/refresh", _refresh_post),
    Route("GET /v1/analytics/accounts/{id}", _account),
    Route("POST /v1/analytics/accounts/{id}/refresh", _refresh_account),
    Route("GET /v1/analytics/overview", _overview),
    Route("GET /v1/analytics/aggregate", _aggregate),
)
