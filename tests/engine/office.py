"""An execution at work on a ledger, whose sender and readings a test gives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.engine.shown import NOW, Bench, retry, state

from voxops.acts.plan import Plan
from voxops.api.states import PostState
from voxops.engine.execution import Execution
from voxops.engine.reading import Reading
from voxops.ledger import Clearance, Ledger
from voxops.model import Transition

FAILED = Transition(at=NOW, item="x", platform="twitter", was="pending", now="failed", detail="")


class Turning:
    """A clock that a sleep moves on at once."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def monotonic(self) -> float:
        return self._bench.seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self._bench.at(self._bench.seconds + max(seconds, 0.001))


class Office(Bench):
    """A bench with an execution, whose sender and settler do what a test says."""

    def __init__(self, ledger: Ledger, clock: Callable[[float], None]) -> None:
        super().__init__(ledger, clock)
        self.sends: list[Clearance] = []
        self.looks: list[list[int]] = []
        self.readings: list[Reading] = []
        self.taken_back: list[str] = []
        self.on_send: Callable[[Any, Clearance], Any] = lambda current, clearance: self._accept(clearance)
        self.client = SimpleNamespace(
            now=lambda: self.now, clock=Turning(self), pace=SimpleNamespace(limit=None), requests=0
        )
        self.server.pages = 0  # type: ignore[attr-defined]
        self.engine = SimpleNamespace(
            client=self.client, ledger=ledger, reader=self.server, commit=self._commit, rng=random.Random(7), settler=self,
            sender=self, withdraw=self._withdraw,
        )  # fmt: skip

    def _accept(self, clearance: Clearance) -> None:
        self.accept(clearance.op)

    async def _withdraw(self, run: str) -> None:
        self.taken_back.append(run)

    async def send(self, current: Any, clearance: Clearance) -> None:
        self.sends.append(clearance)
        said = self.on_send(current, clearance)
        if asyncio.iscoroutine(said):
            await said

    async def look_once(self, operations: Any) -> Reading:
        self.looks.append([operation.id for operation in operations])
        return self.readings.pop(0) if self.readings else Reading()

    def begin(self, plan: Plan, *posts: PostState, **options: Any) -> Execution:
        """Bind a plan and make its execution ready."""
        self.ops = self.bind(plan, *posts)
        engine: Any = self.engine
        engine.settler = SimpleNamespace(look=self.look_once)
        return Execution(engine, f"run_{self._runs}", SimpleNamespace(notice=lambda _: None), **options)  # type: ignore[arg-type]


def posts(count: int) -> list[PostState]:
    return [state("failed", post_id=f"post_{number}") for number in range(count)]


def retries(office: Office, count: int = 1, **options: Any) -> Execution:
    shown = posts(count)
    office.server.states = {each.post_id: each for each in shown}
    return office.begin(retry(*shown), *shown, **options)


def queued(execution: Execution) -> list[int]:
    return sorted(execution.current.queue._queued)


def offer(execution: Execution) -> int:
    """Queue what may be sent now; returns how many are still to be sent."""
    return execution._offer(execution.current, execution._unsent(execution.current))
