"""Posts: list, read, create, change, delete, validate (contract: 8.1; rows 1, 2, 3, 7, 8, 13 of the matrix)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from voxburst_sandbox import wire
from voxburst_sandbox.bodies import MOST_COMMENT, effective_text, first_refusal, is_comment, problems, scheduled_time
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
    translated,
)
from voxburst_sandbox.publishing import LIMITS, await_time, is_stuck, publish_post, requeue
from voxburst_sandbox.store import Post, Target, identifier
from voxburst_sandbox.webhooks import emit_post
from voxburst_sandbox.world import World, iso

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


MOST_ITEMS = 50
MOST_VIDEOS = 20


def _bulk(call: Call) -> Answer:
    """POST /posts/bulk: items are created one by one, in order; one bad item does not stop the others."""
    body = call.json(required=True)
    items = body.get("posts")
    if not isinstance(items, list) or not items:
        invalid("posts must hold at least one post", field="posts")
    if len(items) > MOST_ITEMS:
        invalid(
            f"at most {MOST_ITEMS} posts in one request", field="posts", maxLength=MOST_ITEMS, actualLength=len(items)
        )
    return _run(call, items, dry=body.get("dryRun") is True)


def _bulk_video(call: Call) -> Answer:
    """POST /posts/bulk-video: as bulk, of at most 20 videos; `videos` or `posts`, each with its `mediaId`."""
    body = call.json(required=True)
    items = body.get("videos", body.get("posts"))
    if not isinstance(items, list) or not items:
        invalid("videos must hold at least one video", field="videos")
    if len(items) > MOST_VIDEOS:
        invalid(
            f"at most {MOST_VIDEOS} videos in one request",
            field="videos",
            maxLength=MOST_VIDEOS,
            actualLength=len(items),
        )
    return _run(call, [_as_post(item) for item in items], dry=body.get("dryRun") is True)


def _as_post(item: Any) -> Any:
    """Return a video item as a post item."""
    if not isinstance(item, dict):
        return item
    media = item.get("media") or ([item["mediaId"]] if item.get("mediaId") else [])
    return {"contentType": "VIDEO", **item, "media": media}


def _run(call: Call, items: list[Any], *, dry: bool) -> Answer:
    """Create or only check each item, and report by index."""
    refuse_quota(call)
    if call.world.switches.bulk_refuses_whole:
        _refuse_whole(call, items)
    results = []
    for index, item in enumerate(items):
        if call.cut_short is not None and index >= call.cut_short.items:
            return call.cut_short.answer
        results.append(_item(call, index, item, dry=dry))
    failed = sum(result["status"] == "failed" for result in results)
    created = 0 if dry else len(results) - failed
    name = "dryRun" if call.world.switches.bulk_camel else "dry_run"
    data = {name: dry, "total": len(results), "created": created, "failed": failed, "results": results}
    if failed == len(results) and call.world.switches.bulk_status == "refuses":
        error = {"code": "VALIDATION_ERROR", "message": "no post was created"}
        return Answer(422, {"error": error, **data})
    return Answer(_status(call, failed, dry=dry), data)


def _refuse_whole(call: Call, items: list[Any]) -> None:
    """Refuse everything for the first bad item, naming it."""
    for index, item in enumerate(items):
        for problem in problems(call.world, translated(call.world, item)) if isinstance(item, dict) else ():
            invalid(problem.message, problem.code, field=f"posts[{index}].{problem.field}", index=index)


def _item(call: Call, index: int, item: Any, *, dry: bool) -> dict[str, Any]:
    """Return the result of one item; what does not apply is absent (contract: SCH)."""
    if not isinstance(item, dict):
        errors = [{"field": "", "issue": "VALIDATION_ERROR", "detail": "an item must be an object"}]
    else:
        item = translated(call.world, item)
        errors = [problem.item() for problem in problems(call.world, item)]
    if errors:
        return {"index": index, "status": "failed", "errors": errors}
    if dry:
        return {"index": index, "status": "valid"}
    return {"index": index, "status": "created", "postId": create_post(call, item, index).id}


def _status(call: Call, failed: int, *, dry: bool) -> int:
    """Return the status of the whole, which the contract leaves open."""
    fixed = call.world.switches.bulk_status
    if fixed not in ("by_result", "refuses"):
        return int(fixed)
    return 207 if failed else (200 if dry else 201)


# A target is retried at most so often (contract: PLAY).
RETRY_CAP = 3
_RETRIABLE = ("failed", "partial")
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY")


def _publish(call: Call) -> Answer:
    """POST /posts/:id/publish: queues a draft or scheduled post now."""
    world, post = call.world, find_post(call)
    if post.status not in ("draft", "scheduled", "approved"):
        refuse(409, "CONFLICT", f"a post that is {post.status} can't be published", status=post.status)
    call.effect("post.publish", post=post.id)
    publish_post(world, post, world.now(), key=call.key, holds=True)
    return single(world, wire.post(world, post), 202)


def _retry(call: Call) -> Answer:
    """POST /posts/:id/retry: re-queues every failed, pending and stuck target below the cap (contract: K1-2)."""
    world, post, at = call.world, find_post(call), call.world.now()
    allowed = _RETRIABLE if world.switches.strict_retry else (*_RETRIABLE, "publishing")
    if post.status not in allowed:
        refuse(409, "CONFLICT", f"a post that is {post.status} can't be retried", status=post.status)
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
    if world.switches.retry_returns_post:
        answer = wire.post(world, post)
    return single(world, answer | {"retriedPlatforms": retried, "skippedPlatforms": skipped}, 202)


def _skip_reason(target: Target, at: int) -> str | None:
    """Why a retry leaves a target alone; None if it does not."""
    if target.status == "published":
        return "already published"
    if target.status == "publishing" and not is_stuck(target, at):
        return "publishing"
    if target.retry_count >= RETRY_CAP:
        return "retry limit reached"
    return None


def _fix(call: Call) -> Answer:
    """POST /posts/:id/platforms/:id/fix: mends one target and re-queues it; ``{}`` only re-queues it (contract: PLAY)."""
    world, post, body = call.world, find_post(call), call.json()
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


def _mend(world: World, post: Post, target: Target, body: dict[str, Any]) -> set[str]:
    """Apply what a fix brings; the names of the fields that it brought."""
    content, url, refresh = body.get("content"), body.get("mediaUrl"), body.get("refreshMedia")
    if url is not None and refresh:
        invalid("refreshMedia can't be used with mediaUrl", field="refreshMedia")
    if url is not None and not str(url).startswith("https://"):
        invalid("mediaUrl must be https", field="mediaUrl")
    if content is not None:
        most = LIMITS.get(target.platform, 10_000)
        if not isinstance(content, str) or not content.strip():
            invalid("content must be a text", field="content")
        if len(content) > most:
            details = {
                "field": "content",
                "platform": target.platform.upper(),
                "maxLength": most,
                "actualLength": len(content),
            }
            invalid(f"{len(content)} characters, {most} allowed", "CONTENT_TOO_LONG", **details)
        target.content = content
        if target.flaw == "rejected":
            target.flaw = ""
    if url is not None and target.flaw in ("aspect", "format", "size"):
        target.flaw = ""
    if refresh and target.flaw in ("format", "size"):
        target.flaw = ""  # encoding the image anew as JPEG mends these, not its shape
    world.keep(post)
    return {name for name in ("content", "mediaUrl", "refreshMedia") if body.get(name)}


def _cancel(call: Call) -> Answer:
    """POST /posts/:id/cancel: withdraws a draft or scheduled post."""
    world, post = call.world, find_post(call)
    if post.status not in ("draft", "scheduled"):
        refuse(409, "CONFLICT", f"a post that is {post.status} can't be cancelled", status=post.status)
    post.status = "cancelled"
    world.touch(post, world.now())
    call.effect("post.cancel", post=post.id)
    return single(world, wire.post(world, post))


def _unpublish(call: Call) -> Answer:
    """POST /posts/:id/unpublish: takes a post down where its account is still active (contract: K1-2)."""
    world, post = call.world, find_post(call)
    if post.status not in ("published", "partial"):
        refuse(409, "CONFLICT", f"a post that is {post.status} can't be unpublished", status=post.status)
    for target in post.targets:
        owner = world.accounts.get(target.account_id)
        if target.status == "published" and (owner is None or owner.status != "active"):
            refuse(409, "CONFLICT", "the account is not active", accountId=target.account_id)
    for target in post.targets:
        if target.status == "published":
            target.status, target.since = "unpublished", world.now()
    post.status = "unpublished"
    world.touch(post, world.now())
    call.effect("post.unpublish", post=post.id)
    return single(world, wire.post(world, post))


def _recur(call: Call) -> Answer:
    """POST and PATCH /posts/:id/recurrence: the body passes through under a known frequency."""
    world, post, body = call.world, find_post(call), call.json(required=True)
    if call.method == "PATCH" and post.recurrence is None:
        refuse(404, "NOT_FOUND", "the post has no recurrence")
    merged = {**(post.recurrence or {}), **body} if call.method == "PATCH" else body
    if str(merged.get("frequency", "")).upper() not in _FREQUENCIES:
        invalid(f"frequency must be one of {', '.join(_FREQUENCIES)}", field="frequency")
    post.recurrence = merged
    world.touch(post, world.now())
    call.effect("recurrence.update" if call.method == "PATCH" else "recurrence.create", post=post.id)
    return single(world, wire.post(world, post), 200 if call.method == "PATCH" else 201)


def _stop_recurring(call: Call) -> Answer:
    """DELETE /posts/:id/recurrence."""
    world, post = call.world, find_post(call)
    if post.recurrence is None:
        refuse(404, "NOT_FOUND", "the post has no recurrence")
    post.recurrence = None
    world.touch(post, world.now())
    call.effect("recurrence.delete", post=post.id)
    return single(world, wire.post(world, post))


def _submit(call: Call) -> Answer:
    """POST /posts/:id/start-approval: a draft or scheduled post waits for somebody's approval (contract: APR)."""
    return _moved(call, "post.submit", "pending_approval", "draft", "scheduled")


def _approve(call: Call) -> Answer:
    """POST /posts/:id/approve: scheduled if it has a time, else it waits to be published (contract: APR)."""
    world, post = call.world, find_post(call)
    answer = _moved(call, "post.approve", "approved" if post.scheduled_for is None else "scheduled", "pending_approval")
    await_time(world, post)
    emit_post(world, "post.draft.approved", post, world.now())
    return answer


def _reject(call: Call) -> Answer:
    """POST /posts/:id/reject: a draft again (contract: APR)."""
    return _moved(call, "post.reject", "draft", "pending_approval")


def _archive(call: Call) -> Answer:
    """POST /posts/:id/archive: puts away what will not change any more (contract: LIFE)."""
    post = find_post(call)
    before = post.status
    answer = _moved(call, "post.archive", "archived", "published", "partial", "failed", "cancelled", "unpublished")
    post.archived_from = before
    return answer


def _unarchive(call: Call) -> Answer:
    """POST /posts/:id/unarchive: as it was before."""
    post = find_post(call)
    return _moved(call, "post.unarchive", post.archived_from or "draft", "archived")


def _moved(call: Call, kind: str, status: str, *allowed: str) -> Answer:
    """Put a post into another status, if the present one allows it."""
    world, post = call.world, find_post(call)
    if post.status not in allowed:
        refuse(409, "CONFLICT", f"the post is {post.status}, not {' or '.join(allowed)}", status=post.status)
    post.status = status
    world.touch(post, world.now())
    call.effect(kind, post=post.id)
    return single(world, wire.post(world, post))


ROUTES = (
    Route("GET", "/v1/posts", _list),
    Route("GET", "/v1/posts/{id}", _get),
    Route("POST", "/v1/posts", _create),
    Route("PATCH", "/v1/posts/{id}", _update),
    Route("DELETE", "/v1/posts/{id}", _delete),
    Route("POST", "/v1/posts/{id}/clone", lambda call: _copy(call, "post.clone")),
    Route("POST", "/v1/posts/{id}/duplicate", lambda call: _copy(call, "post.duplicate")),
    Route("POST", "/v1/posts/validate", _validate, keyed=False, reads=True),
    Route("POST", "/v1/posts/bulk", _bulk),
    Route("POST", "/v1/posts/bulk-video", _bulk_video),
    Route("POST", "/v1/posts/{id}/publish", _publish),
    Route("POST", "/v1/posts/{id}/retry", _retry),
    Route("POST", "/v1/posts/{id}/cancel", _cancel),
    Route("POST", "/v1/posts/{id}/unpublish", _unpublish),
    Route("POST", "/v1/posts/{id}/platforms/{target}/fix", _fix),
    Route("POST", "/v1/posts/{id}/start-approval", _submit),
    Route("POST", "/v1/posts/{id}/approve", _approve),
    Route("POST", "/v1/posts/{id}/reject", _reject),
    Route("POST", "/v1/posts/{id}/archive", _archive),
    Route("POST", "/v1/posts/{id}/unarchive", _unarchive),
    Route("POST", "/v1/posts/{id}/recurrence", _recur),
    Route("PATCH", "/v1/posts/{id}/recurrence", _recur),
    Route("DELETE", "/v1/posts/{id}/recurrence", _stop_recurring),
)
