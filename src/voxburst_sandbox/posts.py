"""Posts: list, read, create, change, delete, validate (contract: 8.1; rows 1, 2, 3, 7, 8, 13 of the matrix)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from voxburst_sandbox import wire
from voxburst_sandbox.checks import MOST_COMMENT, effective_text, first_refusal, is_comment, scheduled_time
from voxburst_sandbox.clock import iso
from voxburst_sandbox.draw import identifier
from voxburst_sandbox.hooks import emit_post
from voxburst_sandbox.http import (
    Answer,
    Call,
    Route,
    deleted,
    envelope,
    invalid,
    new_id,
    not_found,
    page,
    refuse,
    refuse_quota,
    single,
)
from voxburst_sandbox.legacy import translated
from voxburst_sandbox.platforms import LIMITS
from voxburst_sandbox.queue import await_time, publish_post
from voxburst_sandbox.records import Post, Target
from voxburst_sandbox.world import World

__all__ = ["ROUTES", "copy_post", "create_post", "find_post"]

_EDITABLE = ("draft", "scheduled")


def find_post(call: Call) -> Post:
    """Return the post that the path names."""
    key = call.params["id"]
    return call.world.posts.get(key) or not_found("post", key)


def _seen(world: World, key: str, *, listed: bool) -> Post | None:
    """Return a post as a list or a single read shows it: as it is, or as it was where such reads lag."""
    switches = world.switches
    if not switches.list_lag_seconds or not (listed or switches.single_reads_lag):
        return world.posts.get(key)
    return world.past.seen(key, _instant(world))


def _instant(world: World) -> int:
    """Return the instant whose posts the lists show."""
    return world.now() - round(world.switches.list_lag_seconds * 1000)


def _list(call: Call) -> Answer:
    """GET /posts: newest created first."""
    world = call.world
    status, platform, account = call.word("status"), call.word("platform"), call.query.get("accountId")
    order = world.post_order
    if world.switches.list_lag_seconds:
        order = world.past.order(order, _instant(world))

    def accept(key: str) -> bool:
        item = shown(key)
        if status is not None and item.status != status:
            return False
        return (platform is None or any(target.platform == platform for target in item.targets)) and (
            not account or any(target.account_id == account for target in item.targets)
        )

    def shown(key: str) -> Post:
        found = _seen(world, key, listed=True)
        assert found is not None, "the order names only what lists show"
        return found

    keys, limit, following = page(call, order, accept)
    records = [msgspec.Raw(wire.listed_post(world, shown(key))) for key in keys]
    return envelope(world, "data", records, limit, following)


def _get(call: Call) -> Answer:
    """GET /posts/:id."""
    key = call.params["id"]
    post = _seen(call.world, key, listed=False) or not_found("post", key)
    return single(call.world, wire.post(call.world, post))


def create_post(call: Call, body: Mapping[str, Any], *parts: object) -> Post:
    """Make a checked post; `parts` distinguish the items of one request."""
    world, at = call.world, call.world.now()
    post_id = new_id(call, "post_", world.posts, *parts)
    scheduled, draft = scheduled_time(body), body.get("saveAsDraft") is True
    if body.get("queue") and not draft:
        scheduled = (at // 3_600_000 + 1) * 3_600_000  # the next full hour is the next slot
    status = "draft" if draft or scheduled is None else "scheduled"
    media = list(body.get("media") or [])
    kind = str(body.get("contentType") or ("IMAGE" if media else "TEXT")).upper()
    post = Post(
        id=post_id,
        ordinal=world.ordinal(),
        content=str(body["content"]),
        content_type=kind.lower(),
        status=status,
        created_at=at,
        updated_at=at,
        targets=_targets(world, post_id, body),
        scheduled_for=scheduled,
        media=media,
        tags=[str(tag) for tag in body.get("tags") or []],
        metadata=dict(body.get("metadata") or {}),
        overrides=dict(body.get("platformOverrides") or {}),
        first_comment=body.get("firstComment"),
        first_comment_delay=int(body.get("firstCommentDelay") or 0),
    )
    world.add_post(post)
    mark = post.metadata.get("voxopsOp")
    call.effect(
        "post.create", post=post_id, mark=mark, status=status, content=post.content,
        accounts=[target.account_id for target in post.targets], scheduled_for=None if scheduled is None else iso(scheduled),
    )  # fmt: skip
    emit_post(world, "post.created", post, at)
    if status == "scheduled" and not parts:  # rows 11 and 12 name post.created alone
        emit_post(world, "post.scheduled", post, at)
    _start(call, post, explicit=draft)
    return post


def _targets(world: World, post_id: str, body: Mapping[str, Any]) -> list[Target]:
    """One target per account, with the override of its platform."""
    made = []
    for number, account_id in enumerate(dict.fromkeys(body["accountIds"])):
        platform = world.accounts[account_id].platform
        text = effective_text(body, platform)
        made.append(
            Target(
                id=identifier("pp_", world.seed, post_id, account_id, number),
                platform=platform,
                account_id=account_id,
                since=world.now(),
                content=None if text == body["content"] else text,
            )
        )
    return made


def _start(call: Call, post: Post, *, explicit: bool = True) -> None:
    """Let a scheduled post wait for its time, or a post without one go out where that is the reading."""
    world = call.world
    if post.status == "scheduled":
        await_time(world, post, call.key)
    elif post.status == "draft" and not explicit and world.switches.publish_on_create:
        publish_post(world, post, world.now(), key=call.key)


def _create(call: Call) -> Answer:
    """POST /posts."""
    refuse_quota(call)
    body = translated(call.world, call.json(required=True))
    first_refusal(call.world, body)
    _require_content_type(call.world, body)
    return single(call.world, wire.post(call.world, create_post(call, body)), 201)


def _require_content_type(world: World, body: Mapping[str, Any]) -> None:
    """Instagram needs to know what kind of post it is (contract: GS)."""
    platforms = [world.accounts[key].platform for key in body["accountIds"]]
    if "instagram" in platforms and not body.get("contentType") and body.get("saveAsDraft") is not True:
        refuse(400, "CONTENT_TYPE_REQUIRED", "instagram needs a contentType", field="contentType", platform="INSTAGRAM")


def _update(call: Call) -> Answer:
    """PATCH /posts/:id: drafts and scheduled posts, under the version token if one is sent."""
    world, post, body = call.world, find_post(call), translated(call.world, call.json(required=True))
    token = call.headers.get("if-match", "").strip().removeprefix("W/").strip('"')
    if token and token not in ("*", iso(post.updated_at)):
        refuse(409, "CONFLICT", "the post has changed since it was read", updatedAt=iso(post.updated_at))
    if post.status not in _EDITABLE:
        refuse(409, "CONFLICT", f"a post that is {post.status} can't be changed", status=post.status)
    accounts = body.get("accountIds", [target.account_id for target in post.targets])
    kept = {"content": post.content, "media": post.media, "platformOverrides": post.overrides}
    draft = body.get("scheduledFor") is None if "scheduledFor" in body else post.status == "draft"
    first_refusal(world, {"saveAsDraft": draft, **kept, **body, "accountIds": accounts})
    _apply(world, post, body)
    before = post.status
    if "scheduledFor" in body:
        post.scheduled_for = scheduled_time(body)
        post.status = "draft" if post.scheduled_for is None else "scheduled"
    world.touch(post, world.now())
    call.effect("post.update", post=post.id)
    if post.status == "scheduled" and "scheduledFor" in body:
        if before == "draft":
            emit_post(world, "post.scheduled", post, world.now())
        _start(call, post)
    return single(world, wire.post(world, post))


def _apply(world: World, post: Post, body: Mapping[str, Any]) -> None:
    """Take over the fields of an update."""
    post.content = body.get("content", post.content)
    post.content_type = str(body.get("contentType") or post.content_type).lower()
    post.media = list(body.get("media", post.media) or [])
    post.tags = [str(tag) for tag in body.get("tags", post.tags) or []]
    post.metadata = dict(body.get("metadata", post.metadata) or {})
    post.overrides = dict(body.get("platformOverrides", post.overrides) or {})
    post.first_comment = body.get("firstComment", post.first_comment)
    post.first_comment_delay = int(body.get("firstCommentDelay", post.first_comment_delay) or 0)
    if {"accountIds", "platformOverrides", "content"} & set(body):
        accounts = body.get("accountIds", [target.account_id for target in post.targets])
        merged = {"content": post.content, "platformOverrides": post.overrides, "accountIds": accounts}
        kept = {target.account_id: target for target in post.targets}
        post.targets = _targets(world, post.id, merged)
        for target in post.targets:
            if target.account_id in kept:
                before = kept[target.account_id]
                target.id, target.jobs, target.running = before.id, before.jobs, before.running


def _delete(call: Call) -> Answer:
    """DELETE /posts/:id: drafts and scheduled posts."""
    post = find_post(call)
    if post.status not in _EDITABLE:
        refuse(409, "CONFLICT", f"a post that is {post.status} can't be deleted", status=post.status)
    call.world.remove_post(post)
    call.effect("post.delete", post=post.id)
    return deleted(call.world, post.id)


def copy_post(world: World, source: Post, copy_id: str) -> Post:
    """Keep a new draft with content, accounts, media and metadata of a post (contract: K1-2)."""
    at = world.now()
    targets = [
        Target(
            identifier("pp_", world.seed, copy_id, t.account_id, n),
            t.platform,
            t.account_id,
            since=at,
            content=t.content,
        )
        for n, t in enumerate(source.targets)
    ]
    copy = Post(
        copy_id, world.ordinal(), source.content, source.content_type, "draft", at, at, targets,
        media=list(source.media), tags=list(source.tags), metadata=dict(source.metadata), overrides=dict(source.overrides),
        first_comment=source.first_comment, first_comment_delay=source.first_comment_delay,
    )  # fmt: skip
    world.add_post(copy)
    emit_post(world, "post.created", copy, at)
    return copy


def _copy(call: Call, kind: str) -> Answer:
    """POST /posts/:id/clone and /duplicate."""
    world, source = call.world, find_post(call)
    refuse_quota(call)
    copy = copy_post(world, source, new_id(call, "post_", world.posts))
    call.effect(kind, post=copy.id, source=source.id)
    return single(world, wire.post(world, copy), 201)


def _validate(call: Call) -> Answer:
    """POST /posts/validate: what each platform would say; changes nothing."""
    body = call.json(required=True)
    content, platforms = body.get("content"), body.get("platforms")
    if not isinstance(content, str):
        invalid("content is required", field="content")
    if not isinstance(platforms, list) or not platforms:
        invalid("platforms must name at least one platform", field="platforms")
    media = body.get("mediaIds") or body.get("media") or []
    verdicts: dict[str, Any] = {}
    for name in platforms:
        verdict = _verdict(str(name).lower(), content, media, body.get("firstComment"))
        verdicts[str(name)] = verdict
        if call.world.switches.validate_both_cases:
            verdicts[str(name).lower()] = verdicts[str(name).upper()] = verdict
    return Answer(200, {"valid": all(verdict["valid"] for verdict in verdicts.values()), "platforms": verdicts})


def _verdict(platform: str, content: str, media: list[Any], comment: Any) -> dict[str, Any]:
    """Errors and warnings of one platform."""
    errors, warnings = [], []
    most = LIMITS.get(platform)
    if most is None:
        errors.append({"code": "VALIDATION_ERROR", "message": "no such platform", "field": "platforms"})
    elif len(content) > most:
        message = f"{len(content)} characters, {most} allowed"
        errors.append({"code": "CONTENT_TOO_LONG", "message": message, "field": "content"})
    elif len(content) > 0.9 * most:
        message = f"{len(content)} of {most} characters"
        warnings.append({"code": "CONTENT_NEAR_LIMIT", "message": message, "suggestion": "leave room for edits"})
    if platform == "instagram" and not media:
        errors.append({"code": "MEDIA_REQUIRED", "message": "instagram needs media", "field": "media"})
    if not is_comment(comment):
        message = f"a first comment has at most {MOST_COMMENT} characters"
        errors.append({"code": "VALIDATION_ERROR", "message": message, "field": "firstComment"})
    return {"valid": not errors, "errors": errors, "warnings": warnings}


ROUTES = (
    Route("GET", "/v1/posts", _list),
    Route("GET", "/v1/posts/{id}", _get),
    Route("POST", "/v1/posts", _create),
    Route("PATCH", "/v1/posts/{id}", _update),
    Route("DELETE", "/v1/posts/{id}", _delete),
    Route("POST", "/v1/posts/{id}/clone", lambda call: _copy(call, "post.clone")),
    Route("POST", "/v1/posts/{id}/duplicate", lambda call: _copy(call, "post.duplicate")),
    Route("POST", "/v1/posts/validate", _validate, keyed=False, reads=True),
)
