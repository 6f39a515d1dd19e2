"""The bench that the rows are tried on: a sandbox, three clients on its clock, a webhook for every event, and the server's log."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from voxburst_sandbox import Fault, Sandbox, Switches
from voxops._support import eventloop
from voxops.api.matrix import MATRIX, Endpoint, find
from voxops.client import Answer, AsyncClient, SteppedClock

HOST = "matrix.example"  # leads to the sandbox's own receiver
SHORT, LONG = 0.4, 60.0  # real seconds: the hasty client's patience, and how long the server keeps it waiting at most
ROWS = {row.row: row for row in MATRIX}


@dataclass(frozen=True)
class Act:
    """What one request acts on: the ids in its path, its body, its version token."""

    ids: tuple[str, ...] = ()
    body: Any = None
    version: str | None = None

    def path(self, row: Endpoint) -> str:
        """The path of a row with these ids."""
        ids = iter(self.ids)
        return "/".join(next(ids) if part.startswith(":") else part for part in row.path.split("/"))


class Mark:
    """A position in the server's log, to read what came later."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._counts = sandbox, sandbox.state()["counts"]

    def effects(self, kind: str) -> int:
        """How many effects of a kind there were; of uploads only those with new contents."""
        return sum(each.get("first", True) for each in self._sandbox.effects(kind, since=self._counts["effects"]))

    def requests(self, row: Endpoint) -> list[dict[str, Any]]:
        """The requests of a row; an upload goes to the storage host."""
        sent = self._sandbox.requests(since=self._counts["requests"])
        if row.method == "PUT":
            return [each for each in sent if each["method"] == "PUT"]
        return [each for each in sent if find(each["method"], each["path"]) is row]

    def reads(self) -> list[str]:
        """The paths that were read."""
        return [each["path"] for each in self._sandbox.requests(since=self._counts["requests"], acting=False)]

    def received(self) -> list[dict[str, Any]]:
        """The webhooks that came to the bench."""
        return [each for each in self._sandbox.received(since=self._counts["received"]) if each["host"] == HOST]


class Bench:
    """Sends acts and follows jobs, in the sandbox's virtual time.

    `second` knows nothing of what `client` has sent under the same API key, and `hasty` waits `SHORT` seconds for an answer.
    """

    def __init__(self, sandbox: Sandbox, folder: str) -> None:
        self.sandbox, self.folder, self._rng = sandbox, Path(folder), random.Random(39)
        self.client, self.second, self.hasty = map(self._client, (30.0, 30.0, SHORT))
        accounts = sandbox.world.accounts.values()
        self.account = next(each.id for each in accounts if (each.platform, each.status) == ("facebook", "active"))
        self.secret = self.made(34, url=f"https://{HOST}/hook", events=["*"])["secret"]

    def _client(self, timeout: float) -> AsyncClient:
        clock, rng = SteppedClock(self._advance), random.Random(self._rng.random())
        return AsyncClient(self.sandbox.api_key, url=self.sandbox.url, timeout=timeout, _clock=clock, _rng=rng)

    def _advance(self, seconds: float) -> None:
        """Let time pass. A delay ends with it, since the client that sleeps no longer waits for that answer."""
        if any(fault["struck"] for fault in self.sandbox.faults()):
            self.sandbox.clear_faults()
        self.sandbox.advance(seconds)

    def new(self) -> str:
        """A word that was not used yet, which may be an idempotency key."""
        return f"new-{self._rng.getrandbits(64):016x}"

    def mark(self) -> Mark:
        """The current position in the log."""
        return Mark(self.sandbox)

    def post(self, **fields: Any) -> dict[str, Any]:
        """The fields of a new post for next month."""
        later = (self.client.now() + timedelta(days=30)).isoformat()
        return {"content": f"Row {self.new()}", "accountIds": [self.account], "scheduledFor": later, **fields}

    def planted(self, status: str = "draft") -> str:
        """A post that lies there, of which the log says nothing."""
        return self.sandbox.plant_post(f"Planted {self.new()}", [self.account], status=status)

    def made(self, row: int, *ids: str, **body: Any) -> Any:
        """The answer to an act that makes what another one needs."""
        return self.send(ROWS[row], Act(ids, body)).record

    def send(self, row: Endpoint, act: Act, key: str | None = None, client: AsyncClient | None = None) -> Answer:
        """Send an act through `AsyncClient.request`; a file is put to the storage host, for which the client presigns."""
        client = client or self.client
        if row.method == "PUT":
            made = {"id": eventloop.run(client.upload(act.body))}
            return Answer("PUT", 200, {}, json.dumps(made).encode())
        return eventloop.run(
            client.request(row.method, act.path(row), json=act.body, idempotency_key=key, version=act.version)
        )

    @contextmanager
    def fault(self, row: Endpoint, action: str, **more: Any) -> Iterator[None]:
        """A fault in the next request of a row."""
        path = "/upload/*" if row.method == "PUT" else re.sub(r":\w+", "*", row.path)
        self.sandbox.add_fault(Fault(action, method=row.method, path=path, **more))
        yield
        self.sandbox.clear_faults()


@contextmanager
def bench(**switches: Any) -> Iterator[Bench]:
    """A bench on a sandbox of its own, where a retry always helps and nothing else fails."""
    calm = Switches(**{"failure_rate": 0.0, "recovery_rate": 1.0, **switches})
    with Sandbox(posts=20, deliveries=20, rate_limit=None, switches=calm) as sandbox, TemporaryDirectory() as folder:
        opened = Bench(sandbox, folder)
        yield opened
        for client in (opened.client, opened.second, opened.hasty):
            eventloop.run(client.aclose())


def ids_in(data: Any) -> set[str]:
    """The ids of posts, media files and accounts anywhere in an answer."""
    if isinstance(data, list):
        return set().union(*map(ids_in, data))
    if not isinstance(data, dict):
        return set()
    return {data[name] for name in ("id", "postId", "mediaId") if data.get(name)} | ids_in(list(data.values()))
