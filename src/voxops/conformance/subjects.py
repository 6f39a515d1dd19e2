"""What rows act on: each function makes a new one in the sandbox of a bench."""

from __future__ import annotations

import asyncio
from pathlib import Path

from voxops.conformance.bench import Bench
from voxops.errors import DecodeError
from voxops.frames import build, targets

__all__ = [
    "agreed",
    "connected",
    "delivery",
    "draft",
    "failed",
    "failed_target",
    "file",
    "media_file",
    "published",
    "webhook",
]


async def draft(bench: Bench) -> str:
    """Return a new draft."""
    return str((await bench.client.posts.create(bench.fields()))["id"])


async def published(bench: Bench) -> str:
    """Return a post that has gone out."""
    handle = await bench.client.posts.publish(await draft(bench))
    await handle
    return handle.id


async def failed(bench: Bench) -> str:
    """Return a post that has failed for a passing reason."""
    bench.sandbox.set_switches(failure_rate=1.0)
    post = await published(bench)
    bench.sandbox.set_switches(failure_rate=0.0)
    return post


async def failed_target(bench: Bench) -> tuple[str, str]:
    """Return a failed post and the id of its failed target."""
    post = await failed(bench)
    target = targets(build("posts", [await bench.client.posts.get(post)]))["target_id"].iloc[0]
    if not isinstance(target, str):
        raise DecodeError(
            "a post shows no ids of its targets, without which none can be fixed", endpoint="GET /v1/posts/:id"
        )
    return post, target


async def media_file(bench: Bench) -> str:
    """Return a media file that is ready."""
    return str((await bench.client.media.register(f"https://cdn.example/{bench.serial()}.jpg", "image/jpeg"))["id"])


async def agreed(bench: Bench) -> tuple[str, str]:
    """Return code and state of a person who agreed to connect an account."""
    begun = await bench.client.accounts.connect("threads")
    answer = bench.sandbox.authorize(str(begun["state"]))
    return answer["code"], answer["state"]


async def connected(bench: Bench) -> str:
    """Return a new account, which may be lost."""
    return str((await bench.client.accounts.callback("threads", *await agreed(bench)))["account"]["id"])


async def webhook(bench: Bench) -> str:
    """Return a new webhook."""
    made = await bench.client.webhooks.create(f"https://other.example/{bench.serial()}", ["media.uploaded"])
    return str(made["id"])


async def delivery(bench: Bench) -> tuple[str, str]:
    """Return a webhook and a delivery of it."""
    hook = await webhook(bench)
    return hook, str((await bench.client.webhooks.test(hook))["id"])


async def file(bench: Bench) -> Path:
    """Return a small image on disk."""
    path = bench.folder / f"{bench.serial()}.jpg"
    await asyncio.to_thread(path.write_bytes, b"a few bytes")
    return path
