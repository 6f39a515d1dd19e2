"""Steps of histories that take days: a run that is stopped before it sends, or left right after its first call; what it reports."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import edit, planned

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.plan import Plan
from voxops.api.reasons import Reason
from voxops.engine.rules import Wait
from voxops.engine.send import Sent

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
