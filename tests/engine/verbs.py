"""Verbs that the tests of the new engine need beside the rig's; each has one body, for whichever engine the rig drives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tests.chaos.rig import Kernel, Rig
from tests.engine.steps import planned

import voxops as vx
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.plan import Plan
from voxops.ledger import audit


@contextmanager
def at(rig: Rig, seconds: float) -> Iterator[None]:
    """Let so many seconds pass for all kernels, then hold time while the block runs; it may bind, start and look."""
    clock, busy = rig.clock, rig.clock.busy

    async def arrive() -> None:
        await clock.sleep(seconds)
        clock.busy = lambda: True

    eventloop.run(arrive())
    try:
        yield
    finally:
        clock.busy = busy


def laptops(rig: Rig, later: float, *sheets: pd.DataFrame) -> list[tuple[Kernel, str, Future[Any]]]:
    """Run each sheet on a laptop of its own, so many seconds after the one before; returns kernels, runs, and the work on them."""
    begun: list[tuple[Kernel, str, Future[Any]]] = []
    for number, sheet in enumerate(sheets):
        with at(rig, later if number else 0):
            kernel = rig.kernel(f"laptop {number + 1}")
            run = kernel.bind(planned(sheet))
            begun.append((kernel, run, kernel.start(run)))
    return begun


def reconcile(kernel: Kernel) -> pd.DataFrame:
    """Reconcile as ``ws.reconcile`` does, and return its table."""
    eventloop.run(kernel.engine.reconcile())
    table = audit.history(kernel.ledger)
    return table[table["outcome"].isin(["pending", "unknown"]) | table["notice"].notna()]


def copies(kernel: Kernel, run: str) -> pd.DataFrame:
    """Read the copies as ``run.copies`` does."""
    return eventloop.run(kernel.execution(run).made(copies=True))


class _Run:
    """A run as `plan_cancel` takes it."""

    def __init__(self, kernel: Kernel, run: str, columns: dict[str, Any]) -> None:
        self._kernel, self.id, self._columns = kernel, run, columns

    def made(self) -> Any:
        return made(self._kernel, self.id).assign(**self._columns)


def made(kernel: Kernel, run: str) -> pd.DataFrame:
    """Read what a run has created as ``run.made`` does."""
    return eventloop.run(kernel.execution(run).made())


def undo(kernel: Kernel, run: str, **columns: Any) -> Plan:
    """Plan as ``vx.plan_cancel(run)`` does, with columns added to its posts."""
    return plan_cancel(_Run(kernel, run, columns))


def report(kernel: Kernel, run: str, path: Path) -> str:
    """Write ``vx.report(run)`` as a page, and return its text."""
    vx.report(kernel.execution(run)).to_html(path)
    return path.read_text().replace("<wbr>", "")


def attach(kernel: Kernel, run: str) -> None:
    """Look at a run as ``ws.attach`` does: nothing is sent."""
    eventloop.run(kernel.execution(run, paused=True).go())


def resume(kernel: Kernel, run: str) -> None:
    """Resume a run as ``voxops resume`` does: attach to it, send what was never sent, and follow it to its end."""
    execution = kernel.execution(run, paused=True)
    execution.resume()
    eventloop.run(execution.go())


def verify(kernel: Kernel, run: str) -> None:
    """Reread the posts of a run as ``run.verify`` does."""
    eventloop.run(kernel.execution(run).verify())


def withdrawn(kernel: Kernel, run: str) -> int:
    """How many rows of a run are told as withdrawn or deleted since, in the column of that name."""
    results = kernel.results(run)
    return int(results["withdrawn"].notna().sum()) if "withdrawn" in results else 0


def blocked(kernel: Kernel, run: str) -> Counter[str]:
    """The codes of why rows of a run are blocked."""
    results = kernel.results(run)
    return (
        Counter(results.loc[results["outcome"] == "blocked", "reason_code"]) if "reason_code" in results else Counter()
    )
