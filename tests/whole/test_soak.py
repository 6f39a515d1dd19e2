"""A service that lives for weeks: memory stays flat, and descriptors and threads as many as they were; SHARE=0.1 does a tenth."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.processes import serving

import voxops as vx
from voxburst_sandbox import Sandbox

pytestmark = [pytest.mark.release, pytest.mark.timeout(1_800)]

SHARE = float(os.environ.get("SHARE", "1"))
HERE = Path("/proc/self")
AT_ONCE, PARTS = 10, 10


def held() -> dict[str, int]:
    """What this process holds."""
    gc.collect()
    pages = int((HERE / "statm").read_text().split()[1])
    return {
        "MiB": pages * os.sysconf("SC_PAGE_SIZE") // 2**20, "objects": len(gc.get_objects()),
        "descriptors": len(os.listdir(HERE / "fd")), "threads": threading.active_count(),
    }  # fmt: skip


@contextmanager
def standing() -> Iterator[tuple[str, str]]:
    """A sandbox whose clock stands still: what was accepted does not end, so its runs stay open."""
    with Sandbox(seed=7, speed=0, rate_limit=None, posts=6_000, deliveries=0) as sandbox:
        yield sandbox.url, sandbox.api_key


async def flat(what: str, times: int, work: Callable[[], Coroutine[Any, Any, object]], **more: int) -> None:
    """Do something so often, ten at once: at the end little more is held than was after a fifth, and the connections of ten at once."""
    found = []
    for _ in range(PARTS):
        for _ in range(max(1, int(times * SHARE) // PARTS // AT_ONCE)):
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        found.append(held())
    first, last = found[len(found) // 5], found[-1]
    figures = f"{what}: after a fifth {first}, after all {last}"
    print(figures)
    for name, most in {"MiB": 4, "objects": 1_000, "descriptors": AT_ONCE, "threads": 2, **more}.items():
        assert last[name] - first[name] <= most, figures


@pytest.mark.skipif(not HERE.is_dir(), reason="reads /proc")
def test_loads_attached_runs_and_open_runs_leave_nothing_behind(tmp_path):
    async def service(url: str, key: str) -> None:
        async with await vx.aconnect(key, url=url, ledger=tmp_path / "ledger.sqlite") as ws:
            triaged = vx.triage(await ws.aio.posts(status=["failed", "partial"]))
            ids = triaged.loc[triaged["retryable"], "post_id"].unique()
            first, *plans = [vx.plan_retry(triaged[triaged["post_id"] == id_]) for id_ in ids[:201]]
            waiting, runs = await ws.aio.run(first), []

            async def load() -> None:
                await ws.aio.posts(limit=1)

            async def attach() -> None:
                again = await ws.aio.attach(waiting.id)
                assert len(await again.aio.results()) > 0

            async def begin() -> None:
                runs.append(await ws.aio.run(plans.pop()))

            async def wait() -> None:
                await asyncio.gather(load(), asyncio.sleep(1))

            await flat("loads", 10_000, load)
            await flat("attached runs", 1_000, attach)
            await flat("open runs, as they are opened", 200, begin, MiB=100, objects=200_000)
            await flat("open runs, as they wait", 500, wait)
            assert sum(run.running for run in runs) >= 0.8 * len(runs), "the others' posts failed at once"

    with serving(standing) as place:
        asyncio.run(service(*place))
