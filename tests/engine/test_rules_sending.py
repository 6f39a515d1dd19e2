"""Sending: what is on disk before the bytes leave, keys, and who may send again (rules 8 to 10)."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import Any
from uuid import UUID

import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import BULK, HOUR, RETRY, caught, let_go, plan_rows, planned, post

from voxops._support import eventloop
from voxops.acts.retry import plan_retry


def test_rule_08_all_is_on_disk_before_the_bytes_leave(rig: Rig) -> None:
    """While the server holds the request, another process reads key, baseline and state from the file."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    work = caught(rig, kernel, kernel.bind(plan_retry(kernel.triaged())), RETRY)
    with closing(sqlite3.connect(kernel.ledger.path)) as db, db:
        row = db.execute("SELECT key, state, tries, first_sent > 0, baseline FROM calls").fetchone()
    assert row[:4] == (rig.acts()[0]["key"], "sent", 1, 1)
    assert '"updated_at"' in row[4]
    let_go(rig)
    work.result(30)


def held_up(kernel: Kernel, meanwhile: Any, nth: int = 1) -> None:
    """Before its nth acting request this kernel waits for its permit, or sleeps, while something else happens."""
    permit, times = kernel.client.permit, []

    @asynccontextmanager
    async def late() -> Any:
        async with permit() as granted:
            times.append(granted)
            if len(times) == nth:
                kernel.asleep = True
                await meanwhile()
                kernel.asleep = False
            yield granted

    kernel.client.permit = late  # type: ignore[method-assign]


@pytest.mark.parametrize("committed", [True, False])
def test_rule_08_a_laptop_that_slept_before_it_sent_does_not_send_upon_what_it_knew(rig: Rig, committed: bool) -> None:
    """26 hours pass, before the call was committed or after; the server has forgotten the key, and another has done the work."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    sleeper, other = rig.kernel(), rig.kernel()
    run = sleeper.bind(plan_retry(sleeper.triaged()))
    slept = []

    async def sleep() -> None:
        slept.append(await asyncio.to_thread(lambda: rig.sandbox.advance(26 * HOUR)))
        await other._go(run)

    if committed:
        commit = sleeper.engine.sender._commit

        async def slow(work: Any) -> Any:
            done = await commit(work)
            if not slept and type(done).__name__ == "Call":
                sleeper.asleep = True
                await sleep()
                sleeper.asleep = False
            return done

        sleeper.engine.sender._commit = slow
    else:
        held_up(sleeper, sleep)
    sleeper.go(run)
    assert slept
    assert outcomes(sleeper.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == rig.effects("target.requeue") == 1


@pytest.mark.parametrize("what", ["retry", "create"])
@pytest.mark.parametrize("again", [False, True])
def test_rule_11_two_senders_never_send_upon_one_reading(rig: Rig, what: str, again: bool) -> None:
    """Both have read "not there"; one sends, and is broken off after the work, without a key; the other must read again."""
    rig.sandbox.set_switches(forget_key_on_5xx=True, list_lag_seconds=30.0)
    path = RETRY if what == "retry" else BULK
    world.plant_posts(rig.sandbox, 1, targets=1)
    rig.kernel("teach").run(plan_rows(rig, 1, campaign="before"))
    rig.sandbox.advance(300)
    one, two = rig.kernel(), rig.kernel()
    plan = plan_retry(one.triaged()) if what == "retry" else planned(rig.campaign(4, start=10))
    run = one.bind(plan)
    if again:
        rig.sandbox.add_fault(*post({"action": "drop", "when": "before", "nth": 1}, path=path))
    after = {"action": "status", "when": "after", "nth": 2 if again else 1}
    rig.sandbox.add_fault(*post(after, path=path))

    execution, works = two.execution(run), []

    async def sends() -> None:
        works.append(asyncio.create_task(execution.go()))
        while not execution.current.acts or execution.current.under_way:
            await asyncio.sleep(0.02)

    held_up(one, sends, 2 if again else 1)
    one.go(run)
    eventloop.run(asyncio.wait_for(works[0], 30))
    assert outcomes(one.results(run)) == {"succeeded": 1 if what == "retry" else 4}
    assert rig.effects("post.retry") == (what == "retry")
    assert set(rig.created().values()) == {1}


def test_rule_09_keys_are_stable_uuids_that_know_nothing_of_this_machine(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernels = rig.kernel("one"), rig.kernel("two", api_key="vb_test_second")
    (key,) = {plan_retry(kernel.triaged()).frame["idempotency_key"][0] for kernel in kernels}
    assert (UUID(key).version, str(UUID(key))) == (4, key)


def test_rule_10_only_the_engine_resends_planned_acts(rig: Rig) -> None:
    """The client resends reads by itself; a planned act that is answered 503 leaves exactly once, until it has been read."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(
        *post({"action": "status", "status": 503, "when": "before", "code": "SERVICE_UNAVAILABLE"}, path=RETRY)
    )
    kernel.run(plan_retry(kernel.triaged()))
    record = rig.sandbox.requests()
    first, second = (entry["seq"] for entry in record if entry["acting"])
    assert any(first < entry["seq"] < second and entry["method"] == "GET" for entry in record)
    assert rig.effects("post.retry") == 1
