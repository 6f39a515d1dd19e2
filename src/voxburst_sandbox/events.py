"""What webhook events say, in the reading that the switches choose (contract: WH-1 to WH-3, EVT, K1)."""

from __future__ import annotations

from typing import Any

from voxburst_sandbox.clock import iso, iso_or_none
from voxburst_sandbox.records import Post, Target
from voxburst_sandbox.switches import Switches

__all__ = ["created_data", "payload", "result_events", "test_data"]

Said = tuple[str, dict[str, Any]]  # event type and data


def payload(switches: Switches, event_type: str, data: dict[str, Any], at: int, event_id: str) -> dict[str, Any]:
    """Return an event in either envelope: ``{id, type, createdAt, data}`` or ``{event, timestamp, data}``."""
    if switches.event_envelope == "sdk":
        return {"event": event_type, "timestamp": iso(at), "data": data}
    return {"id": event_id, "type": event_type, "createdAt": iso(at), "data": data}


def created_data(switches: Switches, workspace_id: str, post: Post) -> dict[str, Any]:
    """Return what is said of a post that was created or scheduled."""
    if switches.event_shape == "newest":
        data = {"id": post.id, "workspaceId": workspace_id, "content": post.content, "status": post.status.upper()}
    else:
        data = {"postId": post.id, "status": post.status}
    return data | {"scheduledFor": iso_or_none(post.scheduled_for)}


def test_data(switches: Switches, workspace_id: str, event_id: str) -> dict[str, Any]:
    """Return what a test event says; older editions name a post that does not exist."""
    data: dict[str, Any] = {"test": True, "workspaceId": workspace_id}
    return data if switches.event_shape == "newest" else data | {"postId": f"post_{event_id.removeprefix('evt_')}"}


def result_events(switches: Switches, workspace_id: str, post: Post) -> list[Said]:
    """Return the events of a post whose publishing ended.

    A partial result is ``post.published`` with that status, but ``post.partial`` in the first edition. The oldest structs of a
    client have one event per platform.
    """
    kind = "post.failed" if post.status == "failed" else "post.published"
    shape = switches.event_shape
    if shape == "oldest":
        return [(kind, _one_platform(post, target)) for target in post.targets]
    if shape == "first":
        kind = "post.partial" if post.status == "partial" else kind
        names = [target.platform for target in post.targets]
        return [(kind, {"postId": post.id, "platforms": names, "publishedAt": iso_or_none(post.published_at)})]
    if shape == "middle":
        data: dict[str, Any] = {"postId": post.id, "status": post.status}
    else:
        data = {"id": post.id, "workspaceId": workspace_id, "content": post.content, "status": post.status.upper()}
    data["publishedAt"] = iso_or_none(post.published_at)
    data["platforms"] = [_result(target, shape) for target in post.targets]
    return [(kind, data)]


def _one_platform(post: Post, target: Target) -> dict[str, Any]:
    """Return the data of an event that speaks of one platform (contract: K1)."""
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
