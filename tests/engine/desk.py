"""A sender at work on a ledger, whose answers a test gives."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from tests.engine.shown import Bench, campaign, retry, run_now, state

from voxops.client import Reply
from voxops.engine.control import Control, Pass
from voxops.engine.sender import Sender
from voxops.errors import TransportError
from voxops.ledger import Ledger
from voxops.model import Transition

RETENTION = 86_400.0
QUEUED = {"id": "post_1", "status": "publishing"}


class Post:
    """A client whose answers a test gives, and a writer that lets a test do something between two commits."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.clock = SimpleNamespace(monotonic=lambda: bench.seconds)
        self.requests: list[dict[str, Any]] = []
        self.answers: list[Reply | BaseException] = []
        self.before_note: Callable[[], None] = lambda: None
        self.after_commit: Callable[[], None] = lambda: None
        self.before_permit: Callable[[], None] = lambda: None
        self.before_send: Callable[[], None] = lambda: None

    def now(self) -> Any:
        return self._bench.now

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[Post]:
        self.before_permit()
        yield self

    async def send(
        self, method: str, path: str, *, body: bytes | None, key: str, may_go: Callable[[], bool], **token: Any
    ) -> Reply:
        self.before_send()
        if not may_go():
            raise TransportError("its time was over", sent=False)
        self.requests.append({"method": method, "path": path, "body": body, "key": key, **token})
        said = self.answers.pop(0)
        if isinstance(said, BaseException):
            raise said
        return said

    async def commit(self, work: Callable[[], Any]) -> Any:
        with self._bench.ledger.atomic():
            done = work()
        self.after_commit()
        return done

    async def note(self, work: Callable[[], Any]) -> Any:
        self.before_note()
        with self._bench.ledger.atomic():
            return work()


class Desk(Bench):
    """A bench with a sender, and one pass in which it works."""

    def __init__(self, ledger: Ledger, clock: Callable[[float], None]) -> None:
        super().__init__(ledger, clock)
        self.post = Post(self)
        self.sender = Sender(
            self.post, ledger, writer=self.post, reader=self.server, credential="c", retention=RETENTION, rng=random.Random(7)  # type: ignore[arg-type]
        )  # fmt: skip
        self.rng = random.Random(7)  # the same jitter
        self.current = Pass("run_1", Control())

    def send(self, op: int, *answers: Reply | BaseException) -> None:
        """Send an operation upon a reading of just now, and let it be answered so."""
        self.post.answers = list(answers)
        read = self.ledger.now() if self.state(op) == "unknown" else None
        run_now(self.sender.send(self.current, self.ledger.claims.clear(self.get(op), read=read)))

    @property
    def changed(self) -> list[Transition]:
        return list(self.current.tally.take_transitions())


def says(status: int, data: Any = None) -> Reply:
    return Reply(
        "POST /v1", status, {}, data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
    )


def error(status: int, code: str = "", message: str = "no") -> Reply:
    return says(status, {"error": {"code": code, "message": message}} if code else None)


def retried(desk: Desk) -> int:
    (op,) = desk.bind(retry(state("failed")), state("failed"))
    return op


def created(desk: Desk, *names: str, **columns: Any) -> int:
    (op,) = desk.bind(campaign(*names, **columns))
    return op
