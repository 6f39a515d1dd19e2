"""Steps that the tests of the engine share: faults, kernels killed while the server holds a request, edits by people."""

from __future__ import annotations

import time
from concurrent.futures import Future
from typing import Any

from tests.chaos.rig import Kernel, Rig

from voxops._core import eventloop
from voxops.acts.create import plan_bulk
from voxops.sandbox import Fault

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
    return plan_bulk(rig.campaign(count), key="row_id", **options)


def send_once(kernel: Kernel, run: str) -> None:
    """Send the first operation of a run and look no further, as a kernel that dies right after."""
    execution = kernel.execution(run)
    execution.current.control.closed = True
    cleared = kernel.ledger.claims.clear(kernel.ledger.operations.of_run(run)[0])
    eventloop.run(kernel.engine.sender.send(execution.current, cleared))


def others_post(rig: Rig) -> None:
    """Others post meanwhile, three full pages in 75 minutes: what is older is not read again."""
    account = next(iter(rig.accounts.values()))
    for number in range(300):
        rig.sandbox.plant_post(f"other {number}", [account], status="published", daysOld=number * 15 / 86_400)


def scheduled(rig: Rig, content: str) -> int:
    """How many posts will go out with this text."""
    return sum(post.content == content and post.status == "scheduled" for post in rig.sandbox.world.posts.values())
