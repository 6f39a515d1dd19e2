"""People at work in the web page: they edit, delete, withdraw, copy and approve while a client runs.

Their acts are no requests of the API. The record of effects shows them as ``person.…``, so that counts of what the API's
clients caused stay clean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voxburst_sandbox.clock import parse_time
from voxburst_sandbox.draw import identifier
from voxburst_sandbox.posts import copy_post
from voxburst_sandbox.queue import await_time, publish_post
from voxburst_sandbox.records import Post, Target
from voxburst_sandbox.world import World

__all__ = ["act", "plant_post"]

_DAY = 86_400_000
Act = Callable[[World, Post, Mapping[str, Any]], Post]


def act(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """Let a person do something to a post.

    Parameters
    ----------
    world : World
        Where it happens.
    body : mapping
        `act` (a name of the table below), `post`, and what the act needs.

    Returns
    -------
    dict
        `post` (the post acted on, or the new copy) and its `status`.

    Raises
    ------
    ValueError
        No such act or post, or the post's status does not allow it.
    """
    name, key = str(body.get("act", "")), str(body.get("post", ""))
    if name not in _ACTS:
        raise ValueError(f"no such act: {name!r}; one of {', '.join(sorted(_ACTS))}")
    post = world.posts.get(key)
    if post is None:
        raise ValueError(f"no such post: {key}")
    result = _ACTS[name](world, post, body)
    source = None if result is post else post.id
    world.effect(f"person.{name}", post=result.id, status=result.status, source=source)
    return {"post": result.id, "status": result.status}


def _require(post: Post, *statuses: str) -> None:
    """Raise ValueError for a post in another status."""
    if post.status not in statuses:
        raise ValueError(f"the post is {post.status}, not {' or '.join(statuses)}")


def _enter(world: World, post: Post, status: str) -> Post:
    """Put a post into another status."""
    post.status = status
    world.touch(post, world.now())
    return post


def _edit(world: World, post: Post, body: Mapping[str, Any]) -> Post:
    """Change tags, text or time; what the body does not name stays."""
    post.tags = [str(tag) for tag in body.get("tags") or post.tags]
    post.content = str(body.get("content") or post.content)
    if body.get("scheduledFor"):
        _require(post, "draft", "scheduled")
        post.scheduled_for = parse_time(str(body["scheduledFor"]))
        post.status = "scheduled"
        await_time(world, post)
    world.touch(post, world.now())
    return post


def _delete(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Remove a post, whatever its status."""
    world.remove_post(post)
    return post


def _withdraw(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Cancel a post that has not gone out."""
    _require(post, "draft", "scheduled", "pending_approval", "approved")
    return _enter(world, post, "cancelled")


def _unpublish(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Take a published post down."""
    _require(post, "published", "partial")
    for target in post.targets:
        if target.status == "published":
            target.status, target.since = "unpublished", world.now()
    return _enter(world, post, "unpublished")


def _duplicate(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Make a draft of the post, its metadata (and so its mark) copied."""
    return copy_post(world, post, identifier("post_", world.seed, "person", post.id, len(world.effects)))


def _post_copy(world: World, post: Post, body: Mapping[str, Any]) -> Post:
    """Post a copy: for the time in the body or the post's own if that is to come, else at once."""
    copy = _duplicate(world, post, body)
    planned = parse_time(str(body["scheduledFor"])) if body.get("scheduledFor") else post.scheduled_for
    if planned is not None and planned > world.now():
        copy.scheduled_for = planned
        _enter(world, copy, "scheduled")
        await_time(world, copy)
    else:
        publish_post(world, copy, world.now(), key=None)
    return copy


def _submit(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Send a post for approval."""
    _require(post, "draft", "scheduled")
    return _enter(world, post, "pending_approval")


def _approve(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Approve a post: scheduled if it has a time, else it waits to be published (contract: APR)."""
    _require(post, "pending_approval")
    _enter(world, post, "approved" if post.scheduled_for is None else "scheduled")
    await_time(world, post)
    return post


def _reject(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Send a post back to its author as a draft."""
    _require(post, "pending_approval")
    return _enter(world, post, "draft")


def _backdate(world: World, post: Post, body: Mapping[str, Any]) -> Post:
    """Let a post be older than it is, by days: the workspace as it would be if it had been made then."""
    days = float(body.get("days", 0))
    if days < 0:
        raise ValueError("days must not be negative")
    world.remove_post(post)
    post.created_at -= round(days * _DAY)
    post.updated_at -= round(days * _DAY)
    return world.add_post(post)


_ACTS: dict[str, Act] = {
    "edit": _edit,
    "delete": _delete,
    "withdraw": _withdraw,
    "unpublish": _unpublish,
    "duplicate": _duplicate,
    "post_copy": _post_copy,
    "submit": _submit,
    "approve": _approve,
    "reject": _reject,
    "backdate": _backdate,
}


def plant_post(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """Put a post into the workspace as if it had always been there; no effect, no event.

    Parameters
    ----------
    world : World
        The world that it is put into.
    body : mapping
        `content`, `accountIds`, and optionally `status` (default ``draft``), `daysOld`, `scheduledFor`, `tags`, `metadata`.

    Returns
    -------
    dict
        `post` and its `status`.
    """
    known = {"content", "accountIds", "status", "daysOld", "scheduledFor", "tags", "metadata"}
    if unknown := sorted(set(body) - known):
        raise ValueError(f"no such field of a planted post: {', '.join(unknown)}")
    accounts = [world.accounts[key] for key in body.get("accountIds") or [] if key in world.accounts]
    if not accounts or len(accounts) != len(body["accountIds"]):
        raise ValueError("accountIds must name accounts of this workspace")
    created = world.now() - round(float(body.get("daysOld", 0)) * _DAY)
    number = world.ordinal()
    key = identifier("post_", world.seed, "planted", number)
    status = str(body.get("status", "draft")).lower()
    shown = status if status in ("published", "failed") else "pending"
    post = Post(
        key, number, str(body["content"]), "text", status, created, created,
        [Target(identifier("pp_", key, a.id), a.platform, a.id, shown, created) for a in accounts],
        scheduled_for=parse_time(str(body["scheduledFor"])) if body.get("scheduledFor") else None,
        tags=[str(tag) for tag in body.get("tags") or []], metadata=dict(body.get("metadata") or {}),
    )  # fmt: skip
    world.add_post(post)
    await_time(world, post)
    return {"post": key, "status": status}
