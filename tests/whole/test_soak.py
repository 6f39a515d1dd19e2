"""A service that lives for weeks: memory stays flat, and descriptors and threads as many as they were; SHARE=0.1 does a tenth."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.processes import serving

import voxops as vx
from voxburst_sandbox import Sandbox

pytestmark = [pytest.mark.release, pytest.mark.timeout(1_800)]

SHARE = float(os.environ.get("SHARE", "1"))
HERE = Path("/proc/self")
AT_ONCE, PARTS = 10, 10
MEASURES = 5  # of runs that are open


class Held(NamedTuple):
    """What this process holds."""

    memory: int  # MiB
    objects: int
    descriptors: int
    threads: int


def held() -> Held:
    gc.collect()
    memory = int((HERE / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Held(round(memory), len(gc.get_objects()), len(os.listdir(HERE / "fd")), threading.active_count())


@contextmanager
def standing() -> Iterator[tuple[str, str]]:
    """A sandbox whose clock stands still: what was accepted does not end, so its runs stay open."""
    with Sandbox(seed=7, speed=0, rate_limit=None, posts=6_000, deliveries=0) as sandbox:
        yield sandbox.url, sandbox.api_key


async def repeated(times: float, work: Callable[[], Coroutine[Any, Any, object]]) -> list[Held]:
    """Do something so often, ten at once; what is held after each tenth of it."""
    found = []
    for _ in range(PARTS):
        for _ in range(int(times * SHARE) // PARTS // AT_ONCE):
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        found.append(held())
    return found


async def opened(ws: vx.Workspace, plans: list[vx.Plan]) -> tuple[list[Held], list[Held]]:
    """Open a run of each plan; what is held after each tenth of them, and then while all are open and loads go on."""
    runs, begun, later = list[vx.Run](), list[Held](), list[Held]()
    for at in range(PARTS):
        runs += await asyncio.gather(*(ws.aio.run(plan) for plan in plans[at::PARTS]))
        begun.append(held())
    for _ in range(MEASURES):
        await asyncio.gather(*(ws.aio.posts(limit=1) for _ in range(AT_ONCE)), asyncio.sleep(10 * SHARE))
        later.append(held())
    assert sum(run.running for run in runs) >= 200 * SHARE, "the others' posts failed at once"
    return begun, later


def flat(what: str, found: list[Held], *, memory: int = 4, objects: int = 1_000) -> None:
    """What is held at the end is what was held after a fifth, but for so many MiB and objects, and the connections that ten at once may need."""
    first, last = found[len(found) // 5], found[-1]
    figures = f"{what}: after a fifth {first}, after all {last}"
    print(figures)
    assert last.memory - first.memory <= memory, figures
    assert last.objects - first.objects <= objects, figures
    assert last.descriptors <= first.descriptors + AT_ONCE, figures
    assert last.threads <= first.threads + 2, figures


@pytest.mark.skipif(not HERE.is_dir(), reason="reads /proc")
def test_loads_attached_runs_and_open_runs_leave_nothing_behind(tmp_path):
    async def service(url: str, key: str) -> None:
        async with await vx.aconnect(key, url=url, ledger=tmp_path / "ledger.sqlite") as ws:
            triaged = vx.triage(await ws.aio.posts(status=["failed", "partial"]))
            ids = triaged.loc[triaged["retryable"], "post_id"].unique()[: int(250 * SHARE) + 1]
            first, *plans = [vx.plan_retry(triaged[triaged["post_id"] == id_]) for id_ in ids]
            waiting = await ws.aio.run(first)

            async def load() -> None:
                await ws.aio.posts(limit=1)

            async def attach() -> None:
                again = await ws.aio.attach(waiting.id)
                assert len(await again.aio.results()) > 0

            flat("loads", await repeated(10_000, load))
            flat("attached runs", await repeated(1_000, attach))
            begun, later = await opened(ws, plans)
            flat("open runs, as they are opened", begun, memory=100, objects=1_000 * len(plans))
            flat("open runs, as they wait", later)

    with serving(standing) as place:
        asyncio.run(service(*place))
