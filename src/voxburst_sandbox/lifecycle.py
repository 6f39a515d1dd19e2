"""What is done to a post: publish, retry, fix, cancel, unpublish, repeat (contract: 8.1; rows 4-6, 9, 10, 14-16)."""

from __future__ import annotations

from typing import Any

from voxburst_sandbox import wire
from voxburst_sandbox.clock import iso
from voxburst_sandbox.hooks import emit_post
from voxburst_sandbox.http import Answer, Call, Route, invalid, not_found, refuse, single
from voxburst_sandbox.platforms import LIMITS
from voxburst_sandbox.posts import find_post
from voxburst_sandbox.queue import await_time, is_stuck, publish_post, requeue
from voxburst_sandbox.records import Post, Target
from voxburst_sandbox.world import World

__all__ = ["RETRY_CAP", "ROUTES"]

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
