"""A service that lives for weeks: its memory stays flat, and its descriptors, threads and tasks as many as they were."""

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

pytestmark = [pytest.mark.release, pytest.mark.timeout(900)]

HERE = Path("/proc/self")
AT_ONCE = 10
PARTS = 10


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
def seeded() -> Iterator[tuple[str, str]]:
    with Sandbox(seed=7, speed=20, rate_limit=None) as sandbox:
        yield sandbox.url, sandbox.api_key


async def repeated(times: int, work: Callable[[], Coroutine[Any, Any, object]]) -> list[Held]:
    """Do something so often, ten at once; what is held after each tenth of it."""
    found = []
    for _ in range(PARTS):
        for _ in range(times // PARTS // AT_ONCE):
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        found.append(held())
    return found


@pytest.mark.skipif(not HERE.is_dir(), reason="reads /proc")
def test_ten_thousand_loads_and_a_thousand_attached_runs_leave_nothing_behind(tmp_path):
    async def service(url: str, key: str) -> dict[str, list[Held]]:
        async with await vx.aconnect(key, url=url, ledger=tmp_path / "ledger.sqlite") as ws:
            plan = vx.plan_retry(vx.triage(await ws.aio.posts(status=["failed", "partial"])))
            ended = await (await ws.aio.run(plan.canary(10), reason="ended"))

            async def load() -> None:
                await ws.aio.posts(limit=1)

            async def attach() -> None:
                again = await ws.aio.attach(ended.id)
                assert len([event async for event in again.aio.events()]) == len(await again.aio.results()) > 0

            return {"loads": await repeated(10_000, load), "attached runs": await repeated(1_000, attach)}

    with serving(seeded) as place:
        found = asyncio.run(service(*place))
    for what, seen in found.items():
        figures = f"{what}: after a fifth of them {seen[1]}, after all {seen[-1]}"
        print(figures)
        first, last = seen[1], seen[-1]
        assert last.memory - first.memory <= 4, figures
        assert last.objects - first.objects <= 1_000, figures
        assert last.descriptors <= first.descriptors + 2, figures  # a connection or two that came back later
        assert last.threads <= first.threads + 2, figures
