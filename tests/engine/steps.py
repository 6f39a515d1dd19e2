"""Steps of histories: faults, kernels killed while the server holds a request, what people do, and what a run is read to say."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tests.chaos.rig import Kernel, Rig, outcomes

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.api.reasons import Reason
from voxops.engine.rules import Wait
from voxops.engine.send import Sent
from voxops.ledger import audit

RETRY, BULK, REDELIVER = "/v1/posts/*/retry", "/v1/posts/bulk", "/v1/webhooks/*/deliveries/*/retry"
HOUR = 3600.0
HELD = 60.0  # real seconds for which the server would hold a request up if nobody let it go


def failing(*actions: Any, path: str = "/v1/**", **where: Any) -> list[Fault]:
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


DAY = 86_400.0
FAR = "2027-03-01T09:00:00Z"


def done(kernel: Kernel, plan: Plan) -> str:
    """Bind a plan and drive it; returns the run."""
    run = kernel.bind(plan)
    kernel.go(run)
    return run


def stopped(rig: Rig, kernel: Kernel, run: str, path: str = "/v1/**") -> str:
    """Drive a run while the API refuses the key: it stops before anything happens."""
    rig.sandbox.add_fault(Fault("status", status=401, code="UNAUTHORIZED", path=path, when="before", times=None))
    kernel.go(run)
    rig.sandbox.clear_faults()
    return run


def send_first(kernel: Kernel, run: str, *faults: Fault, calls: int = 1) -> str:
    """Send the first calls of a run, upon which these faults act, and look no further, as a kernel that is left right after."""
    sender, driver, execution = kernel.engine.sender, kernel.engine.driver, kernel.execution(run)
    send, left = sender.send, [None] * calls

    async def first(*args: Any) -> Sent:
        if not left:
            return Sent(decision=Wait(Reason("paused")))
        left.pop()
        sent = await send(*args)
        if not left:
            execution.close()
            driver._next_poll = math.inf
        return sent

    kernel.rig.sandbox.add_fault(*faults)
    sender.send = first  # type: ignore[method-assign]
    eventloop.run(execution.go())
    sender.send, driver._next_poll = send, 0.0  # type: ignore[method-assign]
    if faults:
        kernel.rig.sandbox.clear_faults()
    return run


def left_unknown(rig: Rig, sheet: pd.DataFrame, *, one_by_one: bool = False) -> tuple[Kernel, str]:
    """A kernel whose creates were answered 500, nothing done, and that is left then; lists are known to show marks."""
    rig.kernel("theirs").run(planned(rig.campaign(1, start=50)))
    kernel = rig.kernel("mine")
    run = kernel.bind(planned(sheet, one_by_one=one_by_one))
    lost = Fault("status", status=500, method="POST", path="/v1/posts**", times=None)
    send_first(kernel, run, lost, calls=len(sheet) if one_by_one else 1)
    assert outcomes(kernel.results(run)) == {"unknown": len(sheet)}
    return kernel, run


def codes(table: pd.DataFrame) -> set[str]:
    """Why rows wait or are blocked."""
    return set(table["reason_code"].dropna())


def restored(rig: Rig, post: str) -> None:
    """Somebody lets a withdrawn post go out after all."""
    rig.sandbox.world.posts[post].status = "scheduled"
    edit(rig, post)


def sent_back(rig: Rig, post: str, *, approved: bool = False) -> None:
    """Somebody submits a post, and an approver sends it back; later it is approved after all."""
    rig.sandbox.advance(5)
    rig.sandbox.person.submit(post)
    (rig.sandbox.person.approve if approved else rig.sandbox.person.reject)(post)


def planted(rig: Rig, count: int = 1, **fields: Any) -> list[str]:
    """Posts that wait to go out, created by hand yesterday."""
    account = next(iter(rig.accounts.values()))
    body = {"status": "scheduled", "scheduledFor": FAR, "daysOld": 1, **fields}
    return [rig.sandbox.plant_post(f"post {number}", [account], **body) for number in range(count)]
