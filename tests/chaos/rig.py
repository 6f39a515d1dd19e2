"""Kernels on one machine: engines with their own ledgers and clients against one sandbox over its socket, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pandas as pd
from tests.chaos import world
from tests.chaos.count import Count, Thing, count
from tests.virtual import VirtualTime

from voxburst_sandbox import Sandbox
from voxops._support import eventloop
from voxops.acts.plan import Plan
from voxops.analysis.triage import triage
from voxops.client import AsyncClient
from voxops.engine.engine import Engine
from voxops.engine.execution import Execution
from voxops.frames.records import Columns, targets
from voxops.ledger import audit
from voxops.ledger.ledger import Ledger
from voxops.model import Observer, Snapshot

RETENTION = 86_400.0


class RigClock(VirtualTime):
    """The sandbox's clock, shared by every kernel: it moves on when all of them wait, and takes no time.

    A test in which time must pass while a request is under way sets `speed`: a sleep then takes its length in real time at that speed.
    """

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.sandbox.advance)
        self._rig = rig
        self.speed: float | None = None
        self.busy = lambda: any(kernel.busy for kernel in rig.kernels)

    def passed(self) -> int:
        return self._rig.sandbox.world.clock.now()

    async def sleep(self, seconds: float) -> None:
        seconds = max(0.05, seconds)
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0 and (speed := self.speed) is not None:
            step = max(0.001, min(left, speed * 0.01))  # the clock counts in milliseconds
            await asyncio.sleep(step / speed)
            await asyncio.to_thread(self._rig.sandbox.advance, step)
        await super().sleep(left)


class Rig:
    """A sandbox, and the kernels that work on it.

    Parameters
    ----------
    sandbox : Sandbox
        Freshly reset.
    folder : Path
        Where ledgers live.
    """

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.kernels: list[Kernel] = []
        self.clock = RigClock(self)
        self.accounts = world.accounts(sandbox)

    def kernel(self, ledger: str = "ledger", **options: Any) -> Kernel:
        """Start a kernel on a ledger; two kernels may share one."""
        kernel = Kernel(self, self.folder / f"{ledger}.sqlite", **options)
        self.kernels.append(kernel)
        return kernel

    def close(self) -> None:
        """End all kernels."""
        for kernel in self.kernels:
            kernel.close()

    # -- what is planned from ---------------------------------------------------------------------------------------

    def campaign(self, count: int, **options: Any) -> pd.DataFrame:
        """Rows to create."""
        return world.campaign(self.accounts, count, **options)

    def owners(self) -> dict[str, str]:
        """Target id -> account id."""
        return {target.id: target.account_id for post in self.sandbox.world.posts.values() for target in post.targets}

    # -- what happened ----------------------------------------------------------------------------------------------

    def count(self, wanted: set[Thing], **options: Any) -> Count:
        """Compare what was wanted with the server's record."""
        return count(wanted, self.sandbox.effects(), self.owners(), **options)

    def effects(self, kind: str) -> int:
        """How many effects of a kind there were."""
        return len(self.sandbox.effects(kind))

    def created(self) -> Counter[str]:
        """How often each text was posted."""
        return Counter(effect["content"] for effect in self.sandbox.effects("post.create"))

    def acts(self) -> list[dict[str, Any]]:
        """Acting requests that the server received."""
        return self.sandbox.requests(acting=True)


class Silent:
    """An observer that shows nothing."""

    def notice(self, snapshot: Snapshot) -> None:
        """Nothing is shown."""


class Kernel:
    """One Python kernel: a client, an engine, a ledger that it may share with another.

    Parameters
    ----------
    rig : Rig
        Where it belongs.
    path : Path
        Its ledger.
    api_key : str, optional
        Another API key than the sandbox's first.
    retention : float
        What it takes the server's memory for keys to be, in seconds.
    lease : float
        Seconds a sender keeps an operation to itself.
    timeout : float
        Real seconds until a request is given up.

    Attributes
    ----------
    asleep : bool
        Set while its laptop sleeps: time passes for the others, whatever it has under way.
    """

    def __init__(
        self,
        rig: Rig,
        path: Path,
        *,
        api_key: str | None = None,
        retention: float = RETENTION,
        lease: float = 90.0,
        timeout: float = 5.0,
    ) -> None:
        self.rig = rig
        self.client = AsyncClient(
            api_key or rig.sandbox.api_key,
            url=rig.sandbox.url,
            clock=rig.clock,
            timeout=timeout,
            rng=random.Random(7),
        )
        self.ledger = Ledger(path, clock=rig.clock.monotonic, lease=lease)
        self.engine = Engine(
            self.client,
            self.ledger,
            credential=self.client.fingerprint(self.ledger.fingerprint),
            retention=retention,
            rng=random.Random(7),
        )
        self.asleep = False
        self._alive = True
        self._executions: list[Execution] = []
        eventloop.run(self.client.identity())  # as connecting does; the client learns the server's time

    def close(self) -> None:
        """End the kernel in order."""
        if self._alive:
            self._alive = False
            self.engine.close()
            eventloop.run(self.client.aclose())
            self.ledger.close()

    @property
    def busy(self) -> bool:
        """Whether something is under way that moves on without time passing."""
        if self.asleep or not self._alive:
            return False
        return self.client._pace.busy or self.engine._writer.unwritten > 0

    # -- loading ----------------------------------------------------------------------------------------------------

    def posts(self, *statuses: str) -> pd.DataFrame:
        """Posts of these statuses as the analyst loads them."""
        return eventloop.run(
            self._load("posts", [("/v1/posts", {"status": status}) for status in statuses or ("all",)])
        )

    def triaged(self, *statuses: str) -> pd.DataFrame:
        """Their targets, triaged."""
        return triage(targets(self.posts(*statuses or ("failed", "partial"))))

    def deliveries(self) -> pd.DataFrame:
        """All deliveries of all webhooks."""
        hooks = list(self.rig.sandbox.world.webhooks)
        return eventloop.run(self._load("deliveries", [(f"/v1/webhooks/{hook}/deliveries", {}) for hook in hooks]))

    async def _load(self, kind: str, lists: list[tuple[str, dict[str, str]]]) -> pd.DataFrame:
        columns = Columns(kind)
        for path, query in lists:
            async for page in self.client.pages(path, {**query, "limit": 100}):
                columns.extend(page.records)
        frame = columns.frame()
        frame.attrs["fetched_at"] = self.client.now().isoformat()
        return frame

    # -- acting -----------------------------------------------------------------------------------------------------

    def bind(self, plan: Plan, **options: Any) -> str:
        """Bind a plan; returns the run."""
        return eventloop.run(self.engine.bind(plan, None, **options))

    def go(self, run: str, **options: Any) -> Snapshot:
        """Drive a run until nothing moves any more."""
        return eventloop.run(self._go(run, **options))

    async def _go(self, run: str, **options: Any) -> Snapshot:
        return await self.execution(run, **options).go()

    def execution(self, run: str, *, observer: Observer | None = None, **options: Any) -> Execution:
        """A run about to be executed; `go` works on it, `current` is its pass."""
        self._executions.append(Execution(self.engine, run, observer or Silent(), **options))
        return self._executions[-1]

    def run(self, plan: Plan, **options: Any) -> pd.DataFrame:
        """Bind a plan and drive it; returns what became of each row."""
        run = self.bind(plan)
        self.go(run, **options)
        return self.results(run)

    def start(self, run: str) -> Future[Snapshot]:
        """Drive a run beside the test."""
        return eventloop.submit(self._go(run))

    def results(self, run: str) -> pd.DataFrame:
        """What became of each row."""
        return audit.results(self.ledger, run)

    def kill(self, work: Future[Any] | None = None) -> None:
        """End as SIGKILL does: nothing more is written or sent, whatever was about to be."""

        async def dead(_: Any) -> Any:
            raise asyncio.CancelledError

        async def end() -> None:
            engine: Any = self.engine
            for part in (engine, engine._writer, engine.sender, engine.eyes):
                for name in ("commit", "note", "_commit", "_note"):
                    if hasattr(part, name) and (part, name) != (engine.eyes, "note"):
                        setattr(part, name, dead)
            for execution in self._executions:
                execution._reporter.finish = lambda _, one=execution: one.snapshot  # type: ignore[method-assign, misc]
            tasks = [*engine.driver._senders, *engine.driver._readers.values(), engine.driver._task]
            mine = [task for task in tasks if task is not None]
            while mine := [task for task in mine if not task.done()]:
                for task in mine:
                    task.cancel()
                await asyncio.sleep(0)
            for current in engine.driver._passes.values():
                current.done.set()
            await self.client.aclose()

        self._alive = False
        eventloop.run(end())
        self.engine._writer.close()
        self.ledger.close()
        if work is not None:
            work.cancel()


def outcomes(table: pd.DataFrame) -> dict[str, int]:
    """How many rows had which outcome."""
    return {str(name): int(number) for name, number in table["outcome"].value_counts().items()}
