"""The test case of each row of the matrix, and the harness: a sandbox, clients on its clock, a webhook, the log."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass, replace
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from voxburst_sandbox import Fault, Remote
from voxops.api.matrix import Endpoint, find
from voxops.client import AsyncClient, Handle, PostFields, SteppedClock
from voxops.errors import ConfigError, DecodeError
from voxops.frames.records import build, targets

HOST = "matrix-check.example"  # leads to the sandbox's own receiver
# Real seconds: the timeout of the hasty client, the server's delay unless the fault is cleared before, a short pause, and how long a
# request may take to reach the server's log.
SHORT, LONG, MOMENT, PATIENCE = 0.4, 60.0, 0.02, 10.0
_CALM = {"failure_rate": 0.0, "recovery_rate": 1.0, "silent_webhooks": False}


class _PausingClock(SteppedClock):
    """A clock that moves the server's clock and ends delays at the server, which a waiting client no longer needs."""

    def __init__(self, sandbox: Remote) -> None:
        super().__init__(sandbox.advance)
        self._sandbox = sandbox

    async def sleep(self, seconds: float) -> None:
        """Advance the server's clock by that many seconds, and pause briefly."""
        await asyncio.to_thread(self._let_go)
        await super().sleep(seconds)
        await asyncio.sleep(MOMENT)

    def _let_go(self) -> None:
        """Clear the triggered fault, which ends a delay."""
        if any(fault["struck"] for fault in self._sandbox.faults()):
            self._sandbox.clear_faults()


class Mark:
    """A position in the sandbox's log, to select later entries."""

    def __init__(self, sandbox: Remote) -> None:
        counts = sandbox.state()["counts"]
        self._sandbox = sandbox
        self._effects, self._requests, self._received = (
            int(counts[log]) for log in ("effects", "requests", "received")
        )

    def effects(self, kind: str) -> list[dict[str, Any]]:
        """Return later side effects of a kind; for an upload only those with new contents."""
        found = self._sandbox.effects(kind, since=self._effects) if kind else []
        return [effect for effect in found if effect.get("first", True)]

    def requests(self, row: Endpoint) -> list[dict[str, Any]]:
        """Return later requests of a row; an upload goes to the storage host."""
        sent = self._sandbox.requests(since=self._requests)
        if row.method == "PUT":
            return [entry for entry in sent if entry["method"] == "PUT"]
        return [entry for entry in sent if find(entry["method"], entry["path"]) is row]

    def reads(self) -> list[str]:
        """Return the paths read later."""
        return [entry["path"] for entry in self._sandbox.requests(since=self._requests) if entry["method"] == "GET"]

    def received(self) -> list[dict[str, Any]]:
        """Return later webhooks to our own address."""
        return [entry for entry in self._sandbox.received(since=self._received) if entry["host"] == HOST]


class Bench:
    """A sandbox prepared to test every row; an async context manager.

    Parameters
    ----------
    sandbox : Remote
        A running sandbox. The effects of the tests stay in it; its switches and faults are restored at the end.

    Attributes
    ----------
    client : AsyncClient
        On the sandbox's own clock, so that waiting takes no time.
    second : AsyncClient
        Another client with the same API key, and no knowledge of the first one's requests.
    hasty : AsyncClient
        A client with a very short timeout.
    secret : str
        The secret of the webhook for all events.
    account : str
        An ordinary active account.
    folder : Path
        A folder for files, removed at the end.
    """

    def __init__(self, sandbox: Remote) -> None:
        self.sandbox = sandbox
        self._rng = random.Random(39)
        self._serial = 0
        self._folder = tempfile.TemporaryDirectory(prefix="voxops-")
        self.folder: Path = Path(self._folder.name)
        self.client: AsyncClient = self._new_client()
        self.second: AsyncClient = self._new_client()
        self.hasty: AsyncClient = self._new_client(timeout=SHORT, clock=_PausingClock(sandbox))
        self.secret: str = ""
        self.account: str = ""
        self.hook: str = ""

    def _new_client(self, **options: Any) -> AsyncClient:
        """Return a client that waits in virtual time only, unless the options say otherwise."""
        options = {"clock": SteppedClock(self.sandbox.advance), **options}
        return AsyncClient(self.sandbox.api_key, url=self.sandbox.url, rng=random.Random(self._rng.random()), **options)

    async def __aenter__(self) -> Self:
        was = self.sandbox.switches
        self._switches = {name: getattr(was, name) for name in _CALM}
        self.sandbox.set_switches(**_CALM)
        self.account = await self._active("facebook")
        webhook = await self.client.webhooks.create(f"https://{HOST}/hook", ["*"])
        self.hook, self.secret = str(webhook["id"]), str(webhook["secret"])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sandbox.clear_faults()
        self.sandbox.set_switches(**self._switches)
        await self.client.webhooks.delete(self.hook)
        for client in (self.client, self.second, self.hasty):
            await client.aclose()
        self._folder.cleanup()

    async def _active(self, platform: str) -> str:
        """Return an active account of a platform."""
        async for account in self.client.accounts.list(status="active", platform=platform):
            return str(account["id"])
        raise ConfigError(f"the sandbox has no active account of {platform}; restart it")

    def mark(self) -> Mark:
        """Return the current position in the log."""
        return Mark(self.sandbox)

    async def answered(self, mark: Mark, row: Endpoint) -> None:
        """Wait until the server has answered all requests of a row, also abandoned ones."""
        end = time.monotonic() + PATIENCE
        while not (sent := mark.requests(row)) or not all(entry["status"] for entry in sent):
            if time.monotonic() > end:
                return
            await asyncio.sleep(MOMENT)

    def delivered(self) -> set[str]:
        """Return the deliveries to our own address so far."""
        return {str(entry["delivery"]) for entry in self.sandbox.received() if entry["host"] == HOST}

    def serial(self) -> int:
        """Return an unused number."""
        self._serial += 1
        return self._serial

    def key(self) -> str:
        """Return a fresh idempotency key."""
        return f"matrix-check-{self._rng.getrandbits(96):024x}"

    @contextlib.contextmanager
    def fault(self, row: Endpoint, action: str, *, when: str = "after", **more: Any) -> Iterator[None]:
        """Inject a fault into the next request of a row."""
        path = "/upload/*" if row.method == "PUT" else re.sub(r":\w+", "*", row.path)
        self.sandbox.add_fault(Fault(action, method=row.method, path=path, when=when, times=1, **more))
        try:
            yield
        finally:
            self.sandbox.clear_faults()

    def fields(self, **more: Any) -> PostFields:
        """Return a post that every platform accepts."""
        return PostFields(content=f"Row check {self.serial()}", account_ids=[self.account], **more)


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
        raise DecodeError("a post lists no target ids, which a fix needs", endpoint="GET /v1/posts/:id")
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


# Client, thing, idempotency key (None lets the client generate one) -> response.
Call: TypeAlias = Callable[[AsyncClient, Any, str | None], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """The test case of a row.

    Attributes
    ----------
    effect : str
        Kind of its side effect in the sandbox's log; empty for none.
    make : callable
        Creates a thing to act on, before anything is counted.
    call : callable
        The typed call.
    many : bool
        Whether it takes many items: then `make` returns a valid and an invalid one.
    """

    effect: str
    make: Callable[[Bench], Awaitable[Any]]
    call: Call
    many: bool = False

    async def right(self, bench: Bench) -> Any:
        """Create something that the API accepts."""
        made = await self.make(bench)
        return made[:1] if self.many else made


def _named(method: str) -> Call:
    """Return the typed call of this name, with only the thing and the key."""
    return lambda client, thing, key: attrgetter(method)(client)(thing, idempotency_key=key)


async def _nothing(bench: Bench) -> None:
    """Return None: the row needs nothing to act on."""


async def _number(bench: Bench) -> int:
    """Return a new name."""
    return bench.serial()


async def _later(bench: Bench) -> Any:
    """Return the fields of a post for next month."""
    return bench.fields(scheduled_for=bench.client.now() + timedelta(days=30))


async def _posts(bench: Bench) -> tuple[Any, Any]:
    """Return the fields of a post for next month, and of one with an unknown account."""
    good = await _later(bench)
    return good, replace(bench.fields(scheduled_for=good.scheduled_for), account_ids=["acc_of_nobody"])


async def _videos(bench: Bench) -> tuple[Any, Any]:
    """Two video posts, the second with media that does not exist."""
    good = {
        "content": f"Video {bench.serial()}",
        "accountIds": [bench.account],
        "mediaId": await media_file(bench),
    }
    return good, {**good, "mediaId": "media_of_nobody"}


async def _versioned(bench: Bench) -> tuple[str, str]:
    """A draft and its version."""
    post = await bench.client.posts.create(bench.fields())
    return str(post["id"]), str(post["updatedAt"])


async def _recurring(bench: Bench) -> str:
    """A draft that repeats."""
    post = await draft(bench)
    await bench.client.posts.set_recurrence(post, {"frequency": "DAILY"})
    return post


async def _account(bench: Bench) -> str:
    """The account that stays."""
    return bench.account


async def _files(bench: Bench) -> tuple[Any, Any]:
    """Return two images, the second with a name that only a server refuses."""
    good = {"filename": f"{bench.serial()}.jpg", "contentType": "image/jpeg", "sizeBytes": 5}
    return good, {**good, "filename": "  "}


async def _clips(bench: Bench) -> tuple[Any, Any]:
    """Return a video, and one above the API's size limit."""
    good = {"filename": f"{bench.serial()}.mp4", "contentType": "video/mp4", "sizeBytes": 500}
    return good, {**good, "sizeBytes": 600 * 1024**2}


CASES: Mapping[int, Case] = {
    1: Case("post.create", _later, _named("posts.create")),
    2: Case("post.update", _versioned, lambda c, t, k: c.posts.update(t[0], PostFields(content=f"Edited {t[0]}"), version=t[1], idempotency_key=k)),
    3: Case("post.delete", draft, _named("posts.delete")),
    4: Case("post.publish", draft, _named("posts.publish")),
    5: Case("post.retry", failed, _named("posts.retry")),
    6: Case("post.cancel", draft, _named("posts.cancel")),
    7: Case("post.clone", draft, _named("posts.clone")),
    8: Case("post.duplicate", draft, _named("posts.duplicate")),
    9: Case("post.unpublish", published, _named("posts.unpublish")),
    10: Case("target.fix", failed_target, lambda c, t, k: c.posts.fix(*t, content="Mended", idempotency_key=k)),
    11: Case("post.create", _posts, _named("posts.bulk"), many=True),
    12: Case("post.create", _videos, _named("posts.bulk_video"), many=True),
    13: Case("", _nothing, lambda c, _, __: c.posts.validate(content="A text", platforms=["facebook"])),
    14: Case("recurrence.create", draft, lambda c, t, k: c.posts.set_recurrence(t, {"frequency": "WEEKLY"}, idempotency_key=k)),
    15: Case("recurrence.update", _recurring, lambda c, t, k: c.posts.update_recurrence(t, {"frequency": "MONTHLY"}, idempotency_key=k)),
    16: Case("recurrence.delete", _recurring, _named("posts.delete_recurrence")),
    17: Case("account.connect", _nothing, lambda c, _, k: c.accounts.connect("threads", idempotency_key=k)),
    18: Case("account.connected", agreed, lambda c, t, _: c.accounts.callback("threads", *t)),
    19: Case("account.disconnect", connected, _named("accounts.delete")),
    20: Case("account.refresh", _account, _named("accounts.refresh")),
    21: Case("account.test", _account, _named("accounts.test")),
    22: Case("account.page", _account, lambda c, t, k: c.accounts.select_page(t, "page_1", idempotency_key=k)),
    23: Case("account.backfill", _account, _named("accounts.backfill")),
    24: Case("media.create", _number, lambda c, t, k: c.uploads.presign(f"{t}.jpg", "image/jpeg", 5, idempotency_key=k)),
    25: Case("media.delete", media_file, _named("media.delete")),
    26: Case("media.validate", media_file, _named("media.validate")),
    27: Case("media.register", _number, lambda c, t, k: c.media.register(f"https://cdn.example/r{t}.jpg", "image/jpeg", idempotency_key=k)),
    28: Case("media.create", _files, _named("uploads.bulk_presign"), many=True),
    29: Case("media.create", _clips, _named("uploads.bulk_video_urls"), many=True),
    30: Case("media.validate", media_file, lambda c, t, k: c.media.bulk_validate([t], idempotency_key=k)),
    31: Case("media.import", _number, lambda c, t, k: c.media.import_from_url(f"https://cdn.example/i{t}.jpg", idempotency_key=k)),
    32: Case("media.import", _number, lambda c, t, k: c.media.import_from_drive(f"file-{t}", idempotency_key=k)),
    33: Case("media.upload", file, lambda c, t, _: c.uploads.send(t)),
    34: Case("webhook.create", _number, lambda c, t, k: c.webhooks.create(f"https://other.example/{t}", ["post.failed"], idempotency_key=k)),
    35: Case("webhook.update", webhook, lambda c, t, k: c.webhooks.update(t, enabled=False, idempotency_key=k)),
    36: Case("webhook.delete", webhook, _named("webhooks.delete")),
    37: Case("webhook.rotate", webhook, lambda c, t, _: c.webhooks.rotate_secret(t)),
    38: Case("webhook.test", webhook, _named("webhooks.test")),
    39: Case("delivery.resend", delivery, lambda c, t, k: c.webhooks.retry_delivery(*t, idempotency_key=k)),
}  # fmt: skip


def ids_in(*values: Any) -> set[str]:
    """Return the ids of posts, accounts and media in a thing or a response."""
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
