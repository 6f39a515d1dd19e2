"""One case per row: a thing to act on, the typed call that the row governs, and the side effect that it has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from datetime import timedelta
from typing import Any, TypeAlias

from voxops.client import AsyncClient, Handle, PostFields
from voxops.conformance import subjects
from voxops.conformance.bench import Bench

__all__ = ["CASES", "Case", "ids_in"]

# Client, thing, idempotency key (None lets the client make one up) -> answer.
Call: TypeAlias = Callable[[AsyncClient, Any, str | None], Awaitable[Any]]
Make: TypeAlias = Callable[[Bench], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """How a row is tried.

    Attributes
    ----------
    effect : str
        Kind of its side effect, as the sandbox writes it down; empty where it has none.
    make : callable
        Makes something to act on, before anything is counted.
    call : callable
        The typed call.
    mixed : callable or None
        For rows of many items: the call with a first item that is right and a second that the API refuses.
    wrong : callable or None
        The same with wrong items only.
    """

    effect: str
    make: Make
    call: Call
    mixed: Call | None = None
    wrong: Call | None = None


async def _nothing(bench: Bench) -> None:
    """The row needs nothing to act on."""


async def _number(bench: Bench) -> int:
    """Something new to name a thing by."""
    return bench.serial()


async def _later(bench: Bench) -> Any:
    """Fields of a post for next month."""
    return bench.fields(scheduled_for=bench.client.now() + timedelta(days=30))


async def _posts(bench: Bench) -> tuple[Any, Any]:
    """Fields of a post for next month, and of one whose account does not exist."""
    good = await _later(bench)
    return good, replace(bench.fields(scheduled_for=good.scheduled_for), account_ids=["acc_of_nobody"])


async def _videos(bench: Bench) -> tuple[Any, Any]:
    """Two video posts, the second with media that does not exist."""
    good = {
        "content": f"Video {bench.serial()}",
        "accountIds": [bench.account],
        "mediaId": await subjects.media_file(bench),
    }
    return good, {**good, "mediaId": "media_of_nobody"}


async def _versioned(bench: Bench) -> tuple[str, str]:
    """A draft and its version."""
    post = await bench.client.posts.create(bench.fields())
    return str(post["id"]), str(post["updatedAt"])


async def _recurring(bench: Bench) -> str:
    """A draft that repeats."""
    post = await subjects.draft(bench)
    await bench.client.posts.set_recurrence(post, {"frequency": "DAILY"})
    return post


async def _account(bench: Bench) -> str:
    """The account that stays."""
    return bench.account


async def _files(bench: Bench) -> tuple[Any, Any]:
    """Two images, the second with a name that only a server refuses."""
    good = {"filename": f"{bench.serial()}.jpg", "contentType": "image/jpeg", "sizeBytes": 5}
    return good, {**good, "filename": "  "}


async def _clips(bench: Bench) -> tuple[Any, Any]:
    """A video, and one that is larger than a single file may be, which is the API's to say."""
    good = {"filename": f"{bench.serial()}.mp4", "contentType": "video/mp4", "sizeBytes": 500}
    return good, {**good, "sizeBytes": 600 * 1024**2}


def _edited(versioned: tuple[str, str]) -> PostFields:
    """Return what an update changes."""
    return PostFields(content=f"Edited {versioned[0]}")


CASES: Mapping[int, Case] = {
    1: Case("post.create", _later, lambda c, t, k: c.posts.create(t, idempotency_key=k)),
    2: Case("post.update", _versioned, lambda c, t, k: c.posts.update(t[0], _edited(t), version=t[1], idempotency_key=k)),
    3: Case("post.delete", subjects.draft, lambda c, t, k: c.posts.delete(t, idempotency_key=k)),
    4: Case("post.publish", subjects.draft, lambda c, t, k: c.posts.publish(t, idempotency_key=k)),
    5: Case("post.retry", subjects.failed, lambda c, t, k: c.posts.retry(t, idempotency_key=k)),
    6: Case("post.cancel", subjects.draft, lambda c, t, k: c.posts.cancel(t, idempotency_key=k)),
    7: Case("post.clone", subjects.draft, lambda c, t, k: c.posts.clone(t, idempotency_key=k)),
    8: Case("post.duplicate", subjects.draft, lambda c, t, k: c.posts.duplicate(t, idempotency_key=k)),
    9: Case("post.unpublish", subjects.published, lambda c, t, k: c.posts.unpublish(t, idempotency_key=k)),
    10: Case("target.fix", subjects.failed_target, lambda c, t, k: c.posts.fix(*t, content="Mended", idempotency_key=k)),
    11: Case(
        "post.create", _posts,
        lambda c, t, k: c.posts.bulk(t[:1], idempotency_key=k),
        lambda c, t, k: c.posts.bulk(t, idempotency_key=k),
        lambda c, t, k: c.posts.bulk(t[1:], idempotency_key=k),
    ),
    12: Case(
        "post.create", _videos,
        lambda c, t, k: c.posts.bulk_video(t[:1], idempotency_key=k),
        lambda c, t, k: c.posts.bulk_video(t, idempotency_key=k),
        lambda c, t, k: c.posts.bulk_video(t[1:], idempotency_key=k),
    ),
    13: Case("", _nothing, lambda c, _, __: c.posts.validate(content="A text", platforms=["facebook"])),
    14: Case("recurrence.create", subjects.draft, lambda c, t, k: c.posts.set_recurrence(t, {"frequency": "WEEKLY"}, idempotency_key=k)),
    15: Case("recurrence.update", _recurring, lambda c, t, k: c.posts.update_recurrence(t, {"frequency": "MONTHLY"}, idempotency_key=k)),
    16: Case("recurrence.delete", _recurring, lambda c, t, k: c.posts.delete_recurrence(t, idempotency_key=k)),
    17: Case("account.connect", _nothing, lambda c, _, k: c.accounts.connect("threads", idempotency_key=k)),
    18: Case("account.connected", subjects.agreed, lambda c, t, _: c.accounts.callback("threads", *t)),
    19: Case("account.disconnect", subjects.connected, lambda c, t, k: c.accounts.delete(t, idempotency_key=k)),
    20: Case("account.refresh", _account, lambda c, t, k: c.accounts.refresh(t, idempotency_key=k)),
    21: Case("account.test", _account, lambda c, t, k: c.accounts.test(t, idempotency_key=k)),
    22: Case("account.page", _account, lambda c, t, k: c.accounts.select_page(t, "page_1", idempotency_key=k)),
    23: Case("account.backfill", _account, lambda c, t, k: c.accounts.backfill(t, idempotency_key=k)),
    24: Case("media.create", _number, lambda c, t, k: c.uploads.presign(f"{t}.jpg", "image/jpeg", 5, idempotency_key=k)),
    25: Case("media.delete", subjects.media_file, lambda c, t, k: c.media.delete(t, idempotency_key=k)),
    26: Case("media.validate", subjects.media_file, lambda c, t, k: c.media.validate(t, idempotency_key=k)),
    27: Case("media.register", _number, lambda c, t, k: c.media.register(f"https://cdn.example/r{t}.jpg", "image/jpeg", idempotency_key=k)),
    28: Case(
        "media.create", _files,
        lambda c, t, k: c.uploads.bulk_presign(t[:1], idempotency_key=k),
        lambda c, t, k: c.uploads.bulk_presign(t, idempotency_key=k),
        lambda c, t, k: c.uploads.bulk_presign(t[1:], idempotency_key=k),
    ),
    29: Case(
        "media.create", _clips,
        lambda c, t, k: c.uploads.bulk_video_urls(t[:1], idempotency_key=k),
        lambda c, t, k: c.uploads.bulk_video_urls(t, idempotency_key=k),
        lambda c, t, k: c.uploads.bulk_video_urls(t[1:], idempotency_key=k),
    ),
    30: Case("media.validate", subjects.media_file, lambda c, t, k: c.media.bulk_validate([t], idempotency_key=k)),
    31: Case("media.import", _number, lambda c, t, k: c.media.import_from_url(f"https://cdn.example/i{t}.jpg", idempotency_key=k)),
    32: Case("media.import", _number, lambda c, t, k: c.media.import_from_drive(f"file-{t}", idempotency_key=k)),
    33: Case("media.upload", subjects.file, lambda c, t, _: c.uploads.send(t)),
    34: Case("webhook.create", _number, lambda c, t, k: c.webhooks.create(f"https://other.example/{t}", ["post.failed"], idempotency_key=k)),
    35: Case("webhook.update", subjects.webhook, lambda c, t, k: c.webhooks.update(t, enabled=False, idempotency_key=k)),
    36: Case("webhook.delete", subjects.webhook, lambda c, t, k: c.webhooks.delete(t, idempotency_key=k)),
    37: Case("webhook.rotate", subjects.webhook, lambda c, t, _: c.webhooks.rotate_secret(t)),
    38: Case("webhook.test", subjects.webhook, lambda c, t, k: c.webhooks.test(t, idempotency_key=k)),
    39: Case("delivery.resend", subjects.delivery, lambda c, t, k: c.webhooks.retry_delivery(*t, idempotency_key=k)),
}  # fmt: skip


def ids_in(*values: Any) -> set[str]:
    """Ids of posts, accounts and media that a thing or an answer names."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, Handle):
            found.add(value.id)
        elif isinstance(value, Mapping):
            found |= {str(value[name]) for name in ("id", "postId", "mediaId") if value.get(name)}
            found |= ids_in(value.get("account") or (), *(value.get("results") or ()))
        elif isinstance(value, list | tuple):
            found |= ids_in(*value)
        elif is_dataclass(value) and hasattr(value, "media_id"):
            found.add(str(value.media_id))
    return found
