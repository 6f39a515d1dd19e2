"""Where rows are tried: a sandbox, clients on its clock, a webhook of our own, and the record of what happened."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from voxburst_sandbox import Fault, Remote
from voxops.api.matrix import Endpoint, find
from voxops.client import AsyncClient, PostFields, SteppedClock
from voxops.errors import ConfigError

__all__ = ["HOST", "LONG", "Bench", "Mark"]

HOST = "matrix-check.example"  # leads to the sandbox's own receiver
# Real seconds: how long the hasty client waits, how long the server would take if the faults were not cleared before, a moment,
# and how long a request may be on its way to the server's record.
SHORT, LONG, MOMENT, PATIENCE = 0.4, 60.0, 0.02, 10.0
UPLOAD_PATH = "/upload/*"
_CALM = {"failure_rate": 0.0, "recovery_rate": 1.0, "silent_webhooks": False}


class _PausingClock(SteppedClock):
    """Waiting moves the server's clock, and lets the server end what it holds up: whoever waits no longer needs it held."""

    def __init__(self, sandbox: Remote) -> None:
        super().__init__(sandbox.advance)
        self._sandbox = sandbox

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds pass at the server, and a moment here."""
        await asyncio.to_thread(self._let_go)
        await super().sleep(seconds)
        await asyncio.sleep(MOMENT)

    def _let_go(self) -> None:
        """Drop the fault that has struck, which ends a delay."""
        if any(fault["struck"] for fault in self._sandbox.faults()):
            self._sandbox.clear_faults()


class Mark:
    """A position in the sandbox's records, to select what came after it."""

    def __init__(self, sandbox: Remote) -> None:
        counts = sandbox.state()["counts"]
        self._sandbox = sandbox
        self._effects, self._requests, self._received = (
            int(counts[log]) for log in ("effects", "requests", "received")
        )

    def effects(self, kind: str) -> list[dict[str, Any]]:
        """Side effects of a kind that happened since; of an upload only those that brought something new."""
        found = self._sandbox.effects(kind, since=self._effects) if kind else []
        return [effect for effect in found if effect.get("first", True)]

    def requests(self, row: Endpoint) -> list[dict[str, Any]]:
        """Requests of a row since; an upload goes to the storage, which no path of the API names."""
        sent = self._sandbox.requests(since=self._requests)
        if row.method == "PUT":
            return [entry for entry in sent if entry["method"] == "PUT"]
        return [entry for entry in sent if find(entry["method"], entry["path"]) is row]

    def reads(self) -> list[str]:
        """Paths that were read since."""
        return [entry["path"] for entry in self._sandbox.requests(since=self._requests) if entry["method"] == "GET"]

    def received(self) -> list[dict[str, Any]]:
        """Webhooks that came to our own address since."""
        return [entry for entry in self._sandbox.received(since=self._received) if entry["host"] == HOST]


class Bench:
    """A sandbox made ready to try every row; an async context manager.

    Parameters
    ----------
    sandbox : Remote
        A running sandbox. What is tried stays done in it; its switches and faults are put back at the end.

    Attributes
    ----------
    client : AsyncClient
        On the sandbox's own clock, so that waiting takes no time.
    stranger : AsyncClient
        The same API key in another client, which does not know what the first has sent.
    hasty : AsyncClient
        Waits only a moment for an answer.
    secret : str
        Of the webhook that gets every event.
    account : str
        An active account without peculiarities.
    folder : Path
        Where files may be put; removed at the end.
    """

    def __init__(self, sandbox: Remote) -> None:
        self.sandbox = sandbox
        self._rng = random.Random(39)
        self._serial = 0
        self._folder = tempfile.TemporaryDirectory(prefix="voxops-")
        self.folder = Path(self._folder.name)
        self.client = self._new_client()
        self.stranger = self._new_client()
        self.hasty = self._new_client(timeout=SHORT, clock=_PausingClock(sandbox))
        self.secret = self.account = self.hook = ""

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
        for client in (self.client, self.stranger, self.hasty):
            await client.aclose()
        self._folder.cleanup()

    async def _active(self, platform: str) -> str:
        """An active account of a platform."""
        async for page in self.client.accounts.list(status="active", platform=platform):
            for record in page.records:
                return str(record["id"])
        raise ConfigError(f"the sandbox has no active account of {platform}; start it anew")

    def mark(self) -> Mark:
        """The present place in the records."""
        return Mark(self.sandbox)

    async def answered(self, mark: Mark, row: Endpoint) -> None:
        """Wait until the server has answered what it received of a row, also what nobody waits for any more."""
        end = time.monotonic() + PATIENCE
        while not (sent := mark.requests(row)) or not all(entry["status"] for entry in sent):
            if time.monotonic() > end:
                return
            await asyncio.sleep(MOMENT)

    def delivered(self) -> set[str]:
        """Deliveries that came to our own address so far."""
        return {str(entry["delivery"]) for entry in self.sandbox.received() if entry["host"] == HOST}

    def serial(self) -> int:
        """A number that was not used before."""
        self._serial += 1
        return self._serial

    def key(self) -> str:
        """A fresh idempotency key."""
        return f"matrix-check-{self._rng.getrandbits(96):024x}"

    @contextlib.contextmanager
    def fault(self, row: Endpoint, action: str, *, when: str = "after", **more: Any) -> Iterator[None]:
        """Let the next request of a row go wrong."""
        path = (
            UPLOAD_PATH
            if row.method == "PUT"
            else "/".join("*" if part.startswith(":") else part for part in row.path.split("/"))
        )
        self.sandbox.add_fault(Fault(action, method=row.method, path=path, when=when, times=1, **more))
        try:
            yield
        finally:
            self.sandbox.clear_faults()

    def fields(self, **more: Any) -> PostFields:
        """Return a post that no platform minds."""
        return PostFields(content=f"Row check {self.serial()}", account_ids=[self.account], **more)
