"""Personas, hashtag sets, contacts and image jobs (contract: 8.8), read from the accounts, posts and media that are there.

Writes whose bodies are unknown are not served.
"""

from __future__ import annotations

import re
from typing import Any

from voxburst_sandbox.bodies import ImageJob, ImagePrompt
from voxburst_sandbox.http import (
    Answer,
    Call,
    Route,
    envelope,
    invalid,
    new_id,
    not_found,
    page,
    refuse_quota,
)
from voxburst_sandbox.media import start_processing
from voxburst_sandbox.store import Account, Job, Media, Post, identifier, uniform
from voxburst_sandbox.wire import avatar_url
from voxburst_sandbox.world import World, iso, iso_or_none


def _personas(call: Call) -> Answer:
    """GET /personas: one for each brand, the first is the default (contract: PER)."""
    world = call.world
    brands: dict[str, list[Account]] = {}
    for account in world.accounts.values():
        brands.setdefault(account.display_name, []).append(account)
    shown = [_persona(world, name, accounts, not number) for number, (name, accounts) in enumerate(brands.items())]
    return Answer(200, {"personas": shown})


def _persona(world: World, name: str, accounts: list[Account], default: bool) -> dict[str, Any]:
    platforms = ["x" if account.platform == "twitter" else account.platform for account in accounts]
    created = iso(min(account.connected_at for account in accounts))
    return {
        "id": identifier("pp_", world.seed, "persona", name),
        "name": name,
        "description": f"The voice of {name}",
        "primaryPlatform": platforms[0],
        "platforms": platforms,
        "avatarUrl": None,
        "linkedAccountIds": [account.id for account in accounts],
        "isWorkspaceDefault": default,
        "createdAt": created,
        "updatedAt": created,
    }


def _sets(world: World) -> dict[str, tuple[int, dict[str, Any]]]:
    """Return the hashtags of each campaign's posts, by id, with the instant of the latest update (contract: HT)."""
    campaigns: dict[str, list[Post]] = {}
    for post in world.posts.values():
        if name := str(post.metadata.get("campaign") or "")[:100]:
            campaigns.setdefault(name, []).append(post)
    found = {}
    for name, posts in campaigns.items():
        key, at = identifier("c", world.seed, "hashtags", name), max(post.updated_at for post in posts)
        found[key] = (
            at,
            {
                "id": key,
                "name": name,
                "tags": sorted({tag.lower() for post in posts for tag in re.findall(r"#(\w+)", post.content)}),
                "createdAt": iso(min(post.created_at for post in posts)),
                "updatedAt": iso(at),
            },
        )
    return found


def _list_sets(call: Call) -> Answer:
    """GET /hashtag-sets: the most recently updated first."""
    sets = _sets(call.world)
    ordered = sorted((at, key) for key, (at, _) in sets.items())
    order = [(at, number, key) for number, (at, key) in enumerate(ordered)]
    keys, limit, following = page(call, order, lambda _: True, 50)
    return envelope(call.world, "data", [sets[key][1] for key in keys], limit, following)


def _get_set(call: Call) -> Answer:
    """GET /hashtag-sets/:id: wrapped, unlike other single objects (contract: HT)."""
    key = call.params["id"]
    found = _sets(call.world).get(key) or not_found("hashtag set", key)
    return Answer(200, {"data": found[1]})


_PEOPLE = (("Ada Brand", "customer"), ("Emil Sand", "vip"))


def _contacts(call: Call) -> Answer:
    """GET /contacts: in pages by number (contract: CON)."""
    world, query, platform = call.world, call.query, call.word("platform")
    limit, number = call.limit(), query.get("page") or "1"
    if not number.isdecimal() or len(number) > 9 or int(number) < 1:
        invalid("page must be a number from 1", field="page")
    search, tags = query.get("search", "").lower(), {tag for tag in query.get("tags", "").split(",") if tag}
    seen: dict[str, int] = {}
    for target in (target for post in world.posts.values() for target in post.targets if target.published_at):
        seen[target.account_id] = max(seen.get(target.account_id, 0), target.published_at or 0)
    everybody = [
        _person(world, account, name, tag, seen.get(account.id))
        for account in world.accounts.values()
        for name, tag in _PEOPLE
        if platform in (None, account.platform)
    ]
    found = [
        contact
        for contact in everybody
        if search in f"{contact['displayName']}\n{contact['username']}".lower() and tags <= set(contact["tags"])
    ]
    start = (int(number) - 1) * limit
    return Answer(200, {"contacts": found[start : start + limit], "page": int(number), "limit": limit})


def _person(world: World, account: Account, name: str, tag: str, seen: int | None) -> dict[str, Any]:
    """Return somebody who answered posts of an account, last when it published last."""
    key = identifier("contact_", world.seed, account.id, name)
    return {
        "id": key,
        "workspaceId": world.workspace_id,
        "platform": account.platform.upper(),
        "platformId": identifier("", key)[:12],
        "displayName": name,
        "username": f"{name.lower().replace(' ', '.')}.{key[8:12]}",
        "avatarUrl": avatar_url(key),
        "tags": [tag],
        "customFields": {},
        "lastSeenAt": iso_or_none(seen),
        "createdAt": iso(account.connected_at),
        "updatedAt": iso(seen or account.connected_at),
    }


def _submit(call: Call, body: ImageJob) -> Answer:
    """POST /ai/image-jobs: one image per item, generated asynchronously; prompts that begin with `broken` fail."""
    refuse_quota(call)
    world = call.world
    for index, item in enumerate(body.posts):
        if item.post_id not in world.posts:
            invalid(f"no post {item.post_id[:100]} in this workspace", field=f"posts[{index}].postId")
    files = [_generate(call, index, item) for index, item in enumerate(body.posts)]
    job = Job(
        new_id(call, "job_", world.jobs),
        world.now(),
        [[item.post_id, key] for item, key in zip(body.posts, files, strict=True)],
    )
    world.jobs.save(job)
    call.effect("image.job", job=job.id, media=files)
    return Answer(202, {**_job(world, job), "status": "PENDING"})


def _generate(call: Call, index: int, item: ImagePrompt) -> str:
    """Begin an image and return its id."""
    world, name = call.world, "-".join(re.findall(r"\w+", item.prompt.lower())[:4]) or "image"
    key = new_id(call, "media_", world.media, index)
    size = int(uniform(200_000, 2_000_000, world.seed, "size", key))
    start_processing(world, Media(key, f"{name[:60]}.jpg", "image/jpeg", size, "pending", world.now()), world.now())
    return key


def _job(world: World, job: Job) -> dict[str, Any]:
    """Return a job; its items are as far as their images are."""
    items = [_item(world, post, key) for post, key in job.items]
    statuses = {item["status"] for item in items}
    (status,) = statuses if len(statuses) == 1 else {"PROCESSING" if "PROCESSING" in statuses else "PARTIAL"}
    completed = sum(item["status"] == "COMPLETED" for item in items)
    shown = {"jobId": job.id, "status": status, "totalItems": len(items), "completedItems": completed, "items": items}
    return shown | {"createdAt": iso(job.created_at)}


def _item(world: World, post: str, key: str) -> dict[str, Any]:
    shown = {"postId": post, "mediaId": None, "imageUrl": None, "errorCode": None}
    file = world.media.get(key)
    if file is None:
        return shown | {"status": "FAILED", "errorCode": "MEDIA_DELETED"}
    if file.status == "ready":
        return shown | {"status": "COMPLETED", "mediaId": key, "imageUrl": file.url}
    if file.status == "failed":
        return shown | {"status": "FAILED", "errorCode": file.results[0]["code"]}
    return shown | {"status": "PROCESSING"}


def _get_job(call: Call) -> Answer:
    """GET /ai/image-jobs/:id."""
    key = call.params["id"]
    return Answer(200, _job(call.world, call.world.jobs.get(key) or not_found("image job", key)))


ROUTES = (
    Route("GET /v1/personas", _personas, "Personas"),
    Route("GET /v1/hashtag-sets", _list_sets, "[HashtagSet]"),
    Route("GET /v1/hashtag-sets/{id}", _get_set, "OneHashtagSet"),
    Route("GET /v1/contacts", _contacts, "Contacts", query="search platform tags page limit"),
    Route("POST /v1/ai/image-jobs", _submit, "ImageJobStatus", "202", ImageJob),
    Route("GET /v1/ai/image-jobs/{id}", _get_job, "ImageJobStatus"),
)
