"""Steps that the tests of the engine share: faults, kernels killed while the server holds a request, edits by people."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future
from typing import Any

import pandas as pd
from tests.chaos.rig import Kernel, Rig

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan

RETRY, BULK, REDELIVER = "/v1/posts/*/retry", "/v1/posts/bulk", "/v1/webhooks/*/deliveries/*/retry"
HOUR = 3600.0
HELD = 60.0  # real seconds for which the server would hold a request up if nobody let it go


def post(*actions: Any, path: str = "/v1/**", **where: Any) -> list[Fault]:
    """Faults that hit the same acting requests."""
    return [Fault(method="POST", path=path, **{**where, **action}) for action in actions]


def caught(rig: Rig, kernel: Kernel, run: str, path: str, when: str = "before", method: str = "POST") -> Future[Any]:
    """Drive a run until the server holds one of its requests, and return while it does; `let_go` ends that."""
    rig.sandbox.add_fault(Fault(action="delay", method=method, path=path, when=when, seconds=HELD))
    work = kernel.start(run)
    wait_for(lambda: rig.sandbox.faults()[-1]["struck"])
    return work


def killed(rig: Rig, kernel: Kernel, run: str, path: str, method: str = "POST") -> None:
    """Kill a kernel while the server holds one of its requests; the server completes the request all the same."""
    kernel.kill(caught(rig, kernel, run, path, method=method))
    let_go(rig)


def let_go(rig: Rig) -> None:
    """Let the server go on with what it holds, without any fault from now on, and return when it has carried that out."""
    rig.sandbox.clear_faults()
    wait_for(lambda: all(entry["status"] for entry in rig.acts() if "delay" in entry["fault"]))
    rig.clock.speed = None


def wait_for(ready: Any, seconds: float = 20.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def edit(rig: Rig, post_id: str) -> None:
    """Somebody edits the post's tags: only its time stamp moves."""
    rig.sandbox.advance(2)
    rig.sandbox.touch(post_id)


def plan_rows(rig: Rig, count: int, **options: Any) -> Any:
    return plan_create(rig.campaign(count), key="row_id", **options)


def others_post(rig: Rig) -> None:
    """Others post meanwhile, three full pages in 75 minutes: what is older is not read again."""
    account = next(iter(rig.accounts.values()))
    for number in range(300):
        rig.sandbox.plant_post(f"other {number}", [account], status="published", daysOld=number * 15 / 86_400)


def scheduled(rig: Rig, content: str) -> int:
    """How many posts will go out with this text."""
    return sum(post.content == content and post.status == "scheduled" for post in rig.sandbox.world.posts.values())


def left_unknown(rig: Rig, sheet: pd.DataFrame, *, one_by_one: bool = False) -> tuple[Kernel, str]:
    """A kernel whose creates were answered 500, nothing made, and whose run was stopped by a refusal before they could be sent again."""
    rig.kernel("theirs").run(
        plan_create(rig.campaign(1, start=50), key="row_id", campaign="c")
    )  # lists are known to show marks
    path = "/v1/posts" if one_by_one else BULK
    rig.sandbox.add_fault(
        Fault(action="status", status=500, method="POST", path=path, times=len(sheet) if one_by_one else 1),
        Fault(action="status", status=401, code="UNAUTHORIZED", method="POST", path=path, times=None),
    )
    kernel = rig.kernel("mine")
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="c", one_by_one=one_by_one))
    kernel.go(run)
    rig.sandbox.clear_faults()
    assert set(kernel.results(run)["outcome"]) == {"unknown"}
    return kernel, run


def by_a_tool(rig: Rig, row: dict[str, Any]) -> str:
    """Post a row with a tool that writes metadata of its own; the post's id."""
    post = rig.sandbox.plant_post(
        row["content"],
        [row["accounts"]],
        status="scheduled",
        scheduledFor=row["scheduled_for"],
        metadata={"by": "a tool"},
    )
    return str(post)


def live(rig: Rig) -> Counter[str]:
    """How many live posts show each text."""
    return Counter(post.content for post in rig.sandbox.world.posts.values() if post.status == "scheduled")


def planned(sheet: pd.DataFrame, **options: bool) -> Plan:
    """The sheet as a plan of one campaign."""
    return plan_create(sheet, key="row_id", campaign="c", **options)


def send_once(kernel: Kernel, run: str) -> None:
    """Send what a run may send at once and look no further, as a kernel that is left right after; no time passes."""
    rig, execution = kernel.rig, kernel.execution(run)
    busy, rig.clock.busy = rig.clock.busy, lambda: True
    work = eventloop.submit(execution.go())
    try:
        wait_for(lambda: work.done() or (execution.current.acts and not execution.current.under_way))

        async def leave() -> None:
            execution.close()

        eventloop.run(leave())
        work.result(30)
    finally:
        rig.clock.busy = busy


def each_once(rig: Rig, rows: int) -> None:
    """Each of so many rows was created once."""
    assert list(rig.created().values()) == [1] * rows
