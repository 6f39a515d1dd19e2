"""Posts: every endpoint under /posts (contract: 8.1 to 8.3; rows 1 to 16)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from voxburst_sandbox import wire
from voxburst_sandbox.bodies import (
    LIMITS,
    MOST_CHARACTERS,
    MOST_COMMENT,
    BulkPosts,
    BulkVideos,
    Fix,
    NewPost,
    NewVideo,
    Recurrence,
    Validation,
    checked_post,
    effective_text,
    post_fields,
    problem,
    problems,
    too_long,
)
from voxburst_sandbox.http import (
    Answer,
    Call,
    RefusedError,
    Route,
    decoded,
    deleted,
    envelope,
    new_id,
    not_found,
    page,
    refuse,
    refuse_quota,
    single,
)
from voxburst_sandbox.publishing import await_time, is_stuck, publish_post, requeue
from voxburst_sandbox.store import Post, Target, identifier
from voxburst_sandbox.webhooks import emit_post
from voxburst_sandbox.world import World, instant, iso

_EDITABLE = ("draft", "scheduled")


def find_post(call: Call) -> Post:
    """Return the post that the path names."""
    key = call.params["id"]
    return call.world.posts.get(key) or not_found("post", key)


def _shown(call: Call, post: Post, status: int = 200) -> Answer:
    return single(call.world, wire.post(call.world, post), status)


def require(post: Post, *allowed: str) -> None:
    """Refuse a post in another status."""
    if post.status not in allowed:
        refuse(409, "CONFLICT", f"the post is {post.status}, not {' or '.join(allowed)}", status=post.status)


def move(world: World, post: Post, status: str, *allowed: str) -> Post:
    """Change a post's status, if the present one allows it."""
    require(post, *allowed)
    post.status = status
    world.touch(post, world.now())
    return post


def _seen(world: World, key: str, *, listed: bool) -> Post | None:
    """Return a post as a list or a single read shows it: as it is, or as it was where such reads lag."""
    switches = world.switches
    if not switches.list_lag_seconds or not (listed or switches.single_reads_lag):
        return world.posts.get(key)
    return world.past.seen(key, _instant(world))


def _instant(world: World) -> int:
    """Return the instant that lists show."""
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
    return _shown(call, post)


def scheduled_time(body: NewPost) -> int | None:
    """Return the instant of `scheduledFor`."""
    return None if body.scheduled_for is None else instant(body.scheduled_for)


def _fields(body: NewPost) -> dict[str, Any]:
    """Return what a body gives a post."""
    return {
        "content": body.content,
        "content_type": (body.content_type or ("IMAGE" if body.media else "TEXT")).lower(),
        "media": body.media or [],
        "tags": body.tags or [],
        "metadata": body.metadata or {},
        "overrides": body.platform_overrides or {},
        "first_comment": body.first_comment,
        "first_comment_delay": body.first_comment_delay or 0,
    }


def _targets(world: World, post_id: str, body: NewPost, before: Iterable[Target] = ()) -> list[Target]:
    """Return a target per account, with the override of its platform; one that was there before stays itself."""
    kept = {target.account_id: target for target in before}
    targets = []
    for number, account_id in enumerate(dict.fromkeys(body.account_ids)):
        platform = world.accounts[account_id].platform
        key = identifier("pp_", world.seed, post_id, account_id, number)
        target = kept.get(account_id) or Target(key, platform, account_id, since=world.now())
        text = effective_text(body, platform)
        target.content = None if text == body.content else text
        targets.append(target)
    return targets


def create_post(call: Call, body: NewPost, *parts: object) -> Post:
    """Create a checked post; `parts` distinguish the items of one request."""
    world, at = call.world, call.world.now()
    post_id = new_id(call, "post_", world.posts, *parts)
    scheduled = scheduled_time(body)
    if body.queue and not body.save_as_draft:
        scheduled = (at // 3_600_000 + 1) * 3_600_000  # the next full hour is the next slot
    post = Post(
        id=post_id,
        ordinal=world.ordinal(),
        status="draft" if body.save_as_draft or scheduled is None else "scheduled",
        created_at=at,
        updated_at=at,
        targets=_targets(world, post_id, body),
        scheduled_for=scheduled,
        **_fields(body),
    )
    world.add_post(post)
    call.effect(
        "post.create", post=post_id, mark=post.metadata.get("voxopsOp"), status=post.status, content=post.content,
        accounts=[target.account_id for target in post.targets], scheduled_for=None if scheduled is None else iso(scheduled),
    )  # fmt: skip
    emit_post(world, "post.created", post, at)
    if post.status == "scheduled" and not parts:  # rows 11 and 12 name post.created alone
        emit_post(world, "post.scheduled", post, at)
    _start(call, post, explicit=body.save_as_draft)
    return post


def _start(call: Call, post: Post, *, explicit: bool = True) -> None:
    """Schedule a post, or publish one without a time where that is the reading."""
    world = call.world
    if post.status == "scheduled":
        await_time(world, post, call.key)
    elif post.status == "draft" and not explicit and world.switches.publish_on_create:
        publish_post(world, post, world.now(), key=call.key)


def _create(call: Call) -> Answer:
    """POST /posts."""
    refuse_quota(call)
    world = call.world
    body = checked_post(world, post_fields(world, call.json(required=True)))
    platforms = [world.accounts[key].platform for key in body.account_ids]
    if "instagram" in platforms and not (body.content_type or body.save_as_draft):  # contract: GS
        refuse(400, "CONTENT_TYPE_REQUIRED", "instagram needs a contentType", field="contentType", platform="INSTAGRAM")
    return _shown(call, create_post(call, body), 201)


def _update(call: Call) -> Answer:
    """PATCH /posts/:id: drafts and scheduled posts, under the version token if one is sent."""
    world, post, changes = call.world, find_post(call), call.json(required=True)
    token = call.headers.get("if-match", "").strip().removeprefix("W/").strip('"')
    if token and token not in ("*", iso(post.updated_at)):
        refuse(409, "CONFLICT", "the post has changed since it was read", updatedAt=iso(post.updated_at))
    require(post, *_EDITABLE)
    changes = post_fields(world, changes)
    timed, before = "scheduledFor" in changes, post.status
    kept = {
        "content": post.content,
        "accountIds": [target.account_id for target in post.targets],
        "contentType": post.content_type.upper(),
        "saveAsDraft": changes["scheduledFor"] is None if timed else before == "draft",
        "media": post.media,
        "tags": post.tags,
        "metadata": post.metadata,
        "platformOverrides": post.overrides,
        "firstComment": post.first_comment,
        "firstCommentDelay": post.first_comment_delay,
    }
    body = checked_post(world, kept | changes)
    for name, value in _fields(body).items():
        setattr(post, name, value)
    post.targets = _targets(world, post.id, body, post.targets)
    if timed:
        post.scheduled_for = scheduled_time(body)
        post.status = "draft" if post.scheduled_for is None else "scheduled"
    world.touch(post, world.now())
    call.effect("post.update", post=post.id)
    if post.status == "scheduled" and timed:
        if before == "draft":
            emit_post(world, "post.scheduled", post, world.now())
        _start(call, post)
    return _shown(call, post)


def _delete(call: Call) -> Answer:
    """DELETE /posts/:id: drafts and scheduled posts."""
    post = find_post(call)
    require(post, *_EDITABLE)
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
    return _shown(call, copy, 201)


def _validate(call: Call, body: Validation) -> Answer:
    """POST /posts/validate: what each platform would say; changes nothing."""
    verdicts: dict[str, Any] = {}
    for name in body.platforms:
        verdict = verdicts[name] = _verdict(name.lower(), body)
        if call.world.switches.validate_both_cases:
            verdicts[name.lower()] = verdicts[name.upper()] = verdict
    return Answer(200, {"valid": all(verdict["valid"] for verdict in verdicts.values()), "platforms": verdicts})


def _verdict(platform: str, body: Validation) -> dict[str, Any]:
    """Return errors and warnings of one platform."""
    found, warnings, length = [], [], len(body.content)
    most = LIMITS[platform]
    if length > most:
        found.append(too_long(length, most, platform))
    elif length > 0.9 * most:
        message = f"{length} of {most} characters"
        warnings.append({"code": "CONTENT_NEAR_LIMIT", "message": message, "suggestion": "leave room for edits"})
    if platform == "instagram" and not (body.media_ids or body.media):
        found.append(problem("media", "instagram needs media", "MEDIA_REQUIRED"))
    if len(body.first_comment or "") > MOST_COMMENT:
        found.append(problem("firstComment", f"a first comment has at most {MOST_COMMENT} characters"))
    errors = [{"code": error.code, "message": error.message, "field": error.details["field"]} for error in found]
    return {"valid": not errors, "errors": errors, "warnings": warnings}


def _bulk(call: Call, body: BulkPosts) -> Answer:
    """POST /posts/bulk: items are created one by one, in order; one bad item does not stop the others."""
    return _create_each(call, body.posts, NewPost, dry=body.dry_run)


def _bulk_video(call: Call, body: BulkVideos) -> Answer:
    """POST /posts/bulk-video: as bulk, of at most 20 videos, each with its `mediaId`."""
    return _create_each(call, body.videos, NewVideo, dry=body.dry_run)


def _create_each(call: Call, items: list[Any], kind: type[NewPost], *, dry: bool) -> Answer:
    """Create or only check each item, and report by index."""
    refuse_quota(call)
    read = [_read_item(call.world, item, kind) for item in items]
    for index, (_, wrong) in enumerate(read if call.world.switches.bulk_refuses_whole else ()):
        for found in wrong:
            field = f"posts[{index}].{found.details['field']}"
            raise RefusedError(0, found.code, found.message, {"field": field, "index": index})
    results = []
    for index, item in enumerate(read):
        if call.cut_short is not None and index >= call.cut_short.items:
            return call.cut_short.answer
        results.append(_item(call, index, item, dry=dry))
    failed = sum(result["status"] == "failed" for result in results)
    created = 0 if dry else len(results) - failed
    data = {"dry_run": dry, "total": len(results), "created": created, "failed": failed, "results": results}
    if failed == len(results) and call.world.switches.bulk_status == "refuses":
        error = {"code": "VALIDATION_ERROR", "message": "no post was created"}
        return Answer(422, {"error": error, **data})
    return Answer(_status(call, failed, dry=dry), data)


_Item = tuple[NewPost | None, list[RefusedError]]


def _read_item(world: World, item: Any, kind: type[NewPost]) -> _Item:
    """Return an item as a post, and everything that is wrong with it."""
    if not isinstance(item, dict):
        return None, [problem("", "an item must be an object")]
    try:
        post = decoded(kind, post_fields(world, item))
    except RefusedError as error:
        return None, [error]
    return post, list(problems(world, post))


def _item(call: Call, index: int, item: _Item, *, dry: bool) -> dict[str, Any]:
    """Return the result of one item; what does not apply is absent (contract: SCH)."""
    post, found = item
    if found or post is None:
        return {"index": index, "status": "failed", "errors": [error.item() for error in found]}
    if dry:
        return {"index": index, "status": "valid"}
    return {"index": index, "status": "created", "postId": create_post(call, post, index).id}


def _status(call: Call, failed: int, *, dry: bool) -> int:
    """Return the status of the whole, which the contract leaves open."""
    fixed = call.world.switches.bulk_status
    if fixed not in ("by_result", "refuses"):
        return int(fixed)
    return 207 if failed else (200 if dry else 201)


# A target is retried at most so often (contract: PLAY).
RETRY_CAP = 3


def _publish(call: Call) -> Answer:
    """POST /posts/:id/publish: queues a draft or scheduled post now."""
    world, post = call.world, find_post(call)
    require(post, *_EDITABLE, "approved")
    call.effect("post.publish", post=post.id)
    publish_post(world, post, world.now(), key=call.key, holds=True)
    return _shown(call, post, 202)


def _retry(call: Call) -> Answer:
    """POST /posts/:id/retry: re-queues every failed, pending and stuck target below the cap (contract: K1-2)."""
    world, post, at = call.world, find_post(call), call.world.now()
    require(post, "failed", "partial", "publishing")
    retried: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    call.effect("post.retry", post=post.id)
    for target in post.targets:
        shown = {"platform": wire.word(world, target.platform), "accountId": target.account_id}
        reason = _skip_reason(target, at)
        if reason is None:
            count = target.retry_count + 1
            due = requeue(world, post, target, at, cause="retry", count=count, key=call.key, request=call.request)
            retried.append(shown | {"retryCount": target.retry_count, "nextRetryAt": iso(due)})
        else:
            skipped.append(shown | {"retryCount": target.retry_count, "reason": reason})
    world.keep(post)
    answer = {"id": post.id, "status": wire.word(world, post.status)}
    return single(world, answer | {"retriedPlatforms": retried, "skippedPlatforms": skipped}, 202)


def _skip_reason(target: Target, at: int) -> str | None:
    """Return why a retry skips a target; None if it does not."""
    if target.status == "published":
        return "already published"
    if target.status == "publishing" and not is_stuck(target, at):
        return "publishing"
    if target.retry_count >= RETRY_CAP:
        return "retry limit reached"
    return None


def _fix(call: Call, body: Fix) -> Answer:
    """POST /posts/:id/platforms/:id/fix: mends one target and re-queues it; ``{}`` only re-queues it (contract: PLAY)."""
    world, post = call.world, find_post(call)
    wanted = call.params["target"]
    target = next((target for target in post.targets if target.id == wanted), None) or not_found("platform", wanted)
    if target.status == "published" or post.status in ("draft", "scheduled", "cancelled", "unpublished", "archived"):
        refuse(409, "CONFLICT", f"a platform that is {target.status} can't be fixed", status=target.status)
    mended = _mend(world, post, target, body)
    count = 0 if mended else target.retry_count + 1
    call.effect("target.fix", post=post.id, target=target.id, changed=sorted(mended))
    requeue(world, post, target, world.now(), cause="fix", count=count, key=call.key, request=call.request)
    world.keep(post)
    answer = {"success": True, "platformId": target.id, "status": wire.word(world, target.status)}
    return single(world, answer, 202)


def _mend(world: World, post: Post, target: Target, body: Fix) -> set[str]:
    """Apply a fix, and return the names of the fields that it brings."""
    most = LIMITS.get(target.platform, MOST_CHARACTERS)
    if body.media_url and body.refresh_media:
        raise problem("refreshMedia", "refreshMedia can't be used with mediaUrl")
    if body.content is not None:
        if len(body.content) > most:
            raise too_long(len(body.content), most, target.platform)
        target.content = body.content
    mended = {
        "rejected": body.content is not None,
        "aspect": body.media_url is not None,
        # Encoding the image anew as JPEG mends its format and size, not its shape.
        "format": body.media_url is not None or body.refresh_media,
        "size": body.media_url is not None or body.refresh_media,
    }
    if mended.get(target.flaw):
        target.flaw = ""
    world.keep(post)
    brought = {"content": body.content, "mediaUrl": body.media_url, "refreshMedia": body.refresh_media}
    return {name for name, value in brought.items() if value}


def _cancel(call: Call) -> Answer:
    """POST /posts/:id/cancel: withdraws a draft or scheduled post."""
    return _moved(call, "post.cancel", "cancelled", *_EDITABLE)


def _unpublish(call: Call) -> Answer:
    """POST /posts/:id/unpublish: takes a post down where its account is still active (contract: K1-2)."""
    world, post = call.world, find_post(call)
    require(post, "published", "partial")
    published = [target for target in post.targets if target.status == "published"]
    for target in published:
        owner = world.accounts.get(target.account_id)
        if owner is None or owner.status != "active":
            refuse(409, "CONFLICT", "the account is not active", accountId=target.account_id)
    for target in published:
        target.status, target.since = "unpublished", world.now()
    return _moved(call, "post.unpublish", "unpublished", "published", "partial")


def _recur(call: Call) -> Answer:
    """POST and PATCH /posts/:id/recurrence: the body passes through under a known frequency."""
    post, body, created = find_post(call), call.json(required=True), call.method == "POST"
    if not created:
        body = _recurrence(post) | body
    decoded(Recurrence, {"frequency": str(body.get("frequency")).upper()})
    return _set_recurrence(call, "recurrence.create" if created else "recurrence.update", body, 201 if created else 200)


def _stop_recurring(call: Call) -> Answer:
    """DELETE /posts/:id/recurrence."""
    _recurrence(find_post(call))
    return _set_recurrence(call, "recurrence.delete", None)


def _recurrence(post: Post) -> dict[str, Any]:
    return post.recurrence or refuse(404, "NOT_FOUND", "the post has no recurrence")


def _set_recurrence(call: Call, kind: str, recurrence: dict[str, Any] | None, status: int = 200) -> Answer:
    post = find_post(call)
    post.recurrence = recurrence
    call.world.touch(post, call.world.now())
    call.effect(kind, post=post.id)
    return _shown(call, post, status)


def approve(world: World, post: Post) -> Post:
    """Approve a post: ``scheduled`` if it has a time, else ``approved``, which waits to be published."""
    move(world, post, "approved" if post.scheduled_for is None else "scheduled", "pending_approval")
    await_time(world, post)
    return post


def _moved(call: Call, kind: str, status: str, *allowed: str) -> Answer:
    post = move(call.world, find_post(call), status, *allowed)
    call.effect(kind, post=post.id)
    return _shown(call, post)


ROUTES = (
    Route("GET /v1/posts", _list),
    Route("GET /v1/posts/{id}", _get),
    Route("POST /v1/posts", _create),
    Route("PATCH /v1/posts/{id}", _update),
    Route("DELETE /v1/posts/{id}", _delete),
    Route("POST /v1/posts/{id}/clone", lambda call: _copy(call, "post.clone")),
    Route("POST /v1/posts/{id}/duplicate", lambda call: _copy(call, "post.duplicate")),
    Route("POST /v1/posts/validate", _validate, Validation, keyed=False, reads=True),
    Route("POST /v1/posts/bulk", _bulk, BulkPosts),
    Route("POST /v1/posts/bulk-video", _bulk_video, BulkVideos),
    Route("POST /v1/posts/{id}/publish", _publish),
    Route("POST /v1/posts/{id}/retry", _retry),
    Route("POST /v1/posts/{id}/cancel", _cancel),
    Route("POST /v1/posts/{id}/unpublish", _unpublish),
    Route("POST /v1/posts/{id}/platforms/{target}/fix", _fix, Fix),
    Route("POST /v1/posts/{id}/recurrence", _recur),
    Route("PATCH /v1/posts/{id}/recurrence", _recur),
    Route("DELETE /v1/posts/{id}/recurrence", _stop_recurring),
)
