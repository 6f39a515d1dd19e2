"""Records and webhook events as they are sent, in the reading that the switches choose (contract: 8, WH-1 to WH-3, EVT)."""

from __future__ import annotations

from typing import Any

import msgspec

from voxburst_sandbox.store import Account, Delivery, Media, Post, Target, Webhook
from voxburst_sandbox.world import World, iso, iso_or_none


def payload(world: World, event_type: str, data: dict[str, Any], at: int, event_id: str) -> str:
    """Return an event as JSON in either envelope: ``{id, type, createdAt, data}`` or ``{event, timestamp, data}``."""
    event: dict[str, Any] = {"id": event_id, "type": event_type, "createdAt": iso(at), "data": data}
    if world.switches.event_envelope == "sdk":
        event = {"event": event_type, "timestamp": iso(at), "data": data}
    return msgspec.json.encode(event).decode()


def _about(world: World, post: Post) -> dict[str, Any]:
    """Return how an event names its post."""
    if world.switches.event_shape == "newest":
        about = {"id": post.id, "workspaceId": world.workspace_id, "content": post.content}
        return about | {"status": post.status.upper()}
    return {"postId": post.id, "status": post.status}


def created_data(world: World, post: Post) -> dict[str, Any]:
    """Return the data of an event about a post that was created or scheduled."""
    return _about(world, post) | {"scheduledFor": iso_or_none(post.scheduled_for)}


def test_data(world: World, event_id: str) -> dict[str, Any]:
    """Return the data of a test event; older editions name a post that does not exist."""
    data: dict[str, Any] = {"test": True, "workspaceId": world.workspace_id}
    older = {"postId": f"post_{event_id.removeprefix('evt_')}"}
    return data if world.switches.event_shape == "newest" else data | older


def result_events(world: World, post: Post) -> list[tuple[str, dict[str, Any]]]:
    """Return type and data of each event about a post whose publishing ended.

    A partial result is ``post.published`` with that status, but ``post.partial`` in the first edition. The oldest structs of a
    client have one event per platform.
    """
    kind = "post.failed" if post.status == "failed" else "post.published"
    shape, published = world.switches.event_shape, iso_or_none(post.published_at)
    if shape == "oldest":
        return [(kind, _one_platform(post, target)) for target in post.targets]
    if shape == "first":
        kind = "post.partial" if post.status == "partial" else kind
        names = [target.platform for target in post.targets]
        return [(kind, {"postId": post.id, "platforms": names, "publishedAt": published})]
    results = [_result(target, shape) for target in post.targets]
    return [(kind, _about(world, post) | {"publishedAt": published, "platforms": results})]


def _one_platform(post: Post, target: Target) -> dict[str, Any]:
    """Return the data of an event about one platform (contract: K1)."""
    data: dict[str, Any] = {"postId": post.id, "platform": target.platform}
    return data | {"platformPostId": target.platform_post_id, "platformPostUrl": target.platform_post_url}


def _result(target: Target, shape: str) -> dict[str, Any]:
    """Return one platform inside a completion event."""
    if shape == "middle":
        shown: dict[str, Any] = {"postPlatformId": target.id, "accountId": target.account_id}
        shown |= {"platform": target.platform, "status": target.status}
        return shown | {"error": target.error and target.error["message"]}
    shown = {"platform": target.platform.upper(), "status": target.status.upper()}
    if target.error is not None:
        return shown | {"error": {"code": target.error["code"], "message": target.error["message"]}}
    shown |= {"platformPostId": target.platform_post_id, "platformPostUrl": target.platform_post_url}
    return shown | {"publishedAt": iso_or_none(target.published_at)}


def word(world: World, value: str) -> str:
    """Return an enum value in the casing of answers."""
    return value.upper() if world.switches.uppercase_status else value


def _target(world: World, target: Target, listed: bool) -> dict[str, Any]:
    """Return one entry of ``platforms[]``."""
    switches = world.switches
    owner = world.accounts.get(target.account_id)
    error: Any = target.error
    if error and switches.string_errors:
        error = f"{error['code']}: {error['message']}"
    shown: dict[str, Any] = {
        "platform": word(world, target.platform),
        "accountId": target.account_id,
        "accountName": owner.display_name if owner else None,
        "accountAvatarUrl": _avatar(target.account_id),
        "accountStatus": word(world, owner.status) if owner else None,
        "status": word(world, target.status),
        "platformPostId": target.platform_post_id,
        "platformPostUrl": target.platform_post_url,
        "publishedAt": iso_or_none(target.published_at),
        "error": error,
    }
    if not switches.no_target_ids and (not listed or switches.listed_target_ids):
        shown["postPlatformId"] = target.id
    if not switches.no_retry_counts and (not listed or switches.listed_retry_counts):
        held = target.shown_retry_count
        shown["retryCount"] = target.retry_count if held is None else held
    return shown


def _post_media(world: World, media_id: str) -> dict[str, Any]:
    """Return one entry of ``media[]``."""
    file = world.media.get(media_id)
    kind = file.content_type.partition("/")[0] if file else "image"
    return {"id": media_id, "url": file.url if file else None, "type": kind}


def _post_account(world: World, target: Target) -> dict[str, Any]:
    """Return one entry of ``accounts[]`` (contract: K2)."""
    owner = world.accounts.get(target.account_id)
    shown = {"id": target.account_id, "platform": word(world, target.platform)}
    return shown | {"username": owner.username if owner else None, "displayName": owner.display_name if owner else None}


def _avatar(account_id: str) -> str:
    """Return the address of an account's picture."""
    return f"https://cdn.voxburst.example/avatars/{account_id}.jpg"


def post(world: World, item: Post, *, listed: bool = False) -> dict[str, Any]:
    """Return a post; listed posts show less than single ones."""
    switches = world.switches
    files = [_post_media(world, media_id) for media_id in item.media]
    shown = {
        "id": item.id,
        "content": item.content,
        "contentType": item.content_type,
        "status": word(world, item.status),
        "scheduledFor": iso_or_none(item.scheduled_for),
        "publishedAt": iso_or_none(item.published_at),
        "createdAt": iso(item.created_at),
        "updatedAt": iso(item.updated_at),
        "platforms": [_target(world, target, listed) for target in item.targets],
        "accounts": [_post_account(world, target) for target in item.targets],
        "media": files,
        "mediaUrls": [file["url"] for file in files if file["url"]],
        "tags": item.tags,
        "metadata": item.metadata,
        "firstComment": item.first_comment,
        "firstCommentDelay": item.first_comment_delay,
        "recurrence": item.recurrence,
    }
    if switches.no_metadata or (listed and switches.no_listed_metadata):
        del shown["metadata"]
    elif listed and switches.empty_listed_metadata:
        shown["metadata"] = {}
    return shown


def listed_post(world: World, item: Post) -> bytes:
    """Return a listed post as JSON, encoded once per version of the post."""
    if world.posts.get(item.id) is not item:  # an earlier state of it
        return msgspec.json.encode(post(world, item, listed=True))
    encoded = world.listed.get(item.id)
    if encoded is None:
        encoded = world.listed[item.id] = msgspec.json.encode(post(world, item, listed=True))
    return encoded


def account(world: World, item: Account) -> dict[str, Any]:
    """Return an account (contract: K2)."""
    shown: dict[str, Any] = {
        "id": item.id,
        "platform": word(world, item.platform),
        "username": item.username,
        "displayName": item.display_name,
        "avatarUrl": _avatar(item.id),
        "accountType": item.account_type,
        "status": word(world, item.status),
        "connectedAt": iso(item.connected_at),
        "followers": item.followers,
    }
    if item.scope_health is not None:
        shown["scopeHealth"] = item.scope_health
    if item.page_id is not None:
        shown["pageId"], shown["pageName"] = item.page_id, item.page_name
    if item.backfill is not None:
        shown["backfill"] = item.backfill
    return shown


def media(world: World, item: Media) -> dict[str, Any]:
    """Return a media file (contract: MED)."""
    status = item.status if world.switches.media_lowercase else item.status.upper()
    shown: dict[str, Any] = {
        "id": item.id,
        "filename": item.filename,
        "contentType": item.content_type,
        "sizeBytes": item.size,
        "status": status,
        "createdAt": iso(item.created_at),
    }
    if item.url is not None and item.status == "ready":
        shown["url"] = item.url
        shown["publicUrl"] = item.url
        shown["thumbnailUrl"] = f"{item.url}?w=320"
        if item.width is not None:
            shown["dimensions"] = {"width": item.width, "height": item.height}
    if item.results:
        shown["validationResults"] = item.results
    if item.import_status is not None:
        shown["metadata"] = {"importStatus": item.import_status}
    return shown


def webhook(world: World, item: Webhook, *, secret: bool = False) -> dict[str, Any]:
    """Return a webhook; its secret is shown when it is created or rotated."""
    shown: dict[str, Any] = {
        "id": item.id,
        "url": item.url,
        "events": item.events,
        **({"enabled": item.enabled} if world.switches.webhook_flag != "active" else {}),
        **({"active": item.enabled} if world.switches.webhook_flag != "enabled" else {}),
        "lastDeliveryAt": iso_or_none(item.last_delivery_at),
        "failureCount": item.failure_count,
        "createdAt": iso(item.created_at),
    }
    if secret:
        shown["secret"] = item.secret
    return shown


def delivery(item: Delivery) -> dict[str, Any]:
    """Return a delivery record (contract: K1-2)."""
    return {
        "id": item.id,
        "webhookId": item.webhook_id,
        "eventType": item.event_type,
        "url": item.url,
        "statusCode": item.status_code,
        "latencyMs": item.latency_ms,
        "responseBody": item.response_body,
        "retryCount": item.retry_count,
        "success": item.success,
        "error": item.error,
        "createdAt": iso(item.created_at),
        "deliveredAt": iso_or_none(item.delivered_at),
    }
