"""Sending: what is on disk before the bytes leave, keys, and who may send again (rules 8 to 10)."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any
from uuid import UUID

from tests.chaos import world
from tests.chaos.rig import outcomes
from tests.engine.steps import (
    HOUR,
    RETRY,
    caught,
    let_go,
    post,
)

from voxops.acts import keys
from voxops.acts.retry import plan_retry


def test_rule_08_all_is_on_disk_before_the_bytes_leave(rig):
    """While the server holds the request, another process reads key, bytes, baseline and state from the file."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    work = caught(rig, kernel, run, RETRY)
    with closing(sqlite3.connect(kernel.ledger.path)) as db, db:
        row = db.execute("SELECT key, state, baseline, tries, first_sent FROM operations").fetchone()
    assert row[0] == rig.acts()[0]["key"]
    assert row[1] == "sent"
    assert '"updated_at"' in row[2]
    assert row[3] == 1
    assert row[4] is not None
    let_go(rig)
    work.result(30)


def test_rule_08_a_laptop_that_slept_between_commit_and_send_does_not_send(rig):
    """26 hours pass after the claim was committed; the server has long forgotten the key, and another has done the work."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    sleeper, other = rig.kernel(), rig.kernel()
    run = sleeper.bind(plan_retry(sleeper.triaged()))
    commit, woken = sleeper.engine.sender.commit, []

    async def slow(work: Any) -> Any:
        done = await commit(work)
        if not woken and type(done).__name__ == "Claim":
            woken.append(done)
            await asyncio.to_thread(lambda: rig.sandbox.advance(26 * HOUR))
            sleeper.asleep = True
            await other._go(run)
            sleeper.asleep = False
        return done

    sleeper.engine.sender.commit = slow
    sleeper.go(run)
    assert woken
    assert outcomes(sleeper.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1
    assert rig.effects("target.requeue") == 1


def test_rule_08_a_reading_from_before_a_long_sleep_clears_nothing(rig):
    """The look said "not shown, send it again"; then the laptop slept for 26 hours, and the clock of the client with it."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    stored = kernel.ledger.operations.of_run(run)[0]
    clearance = kernel.ledger.claims.clear(stored)
    stale = kernel.client.now().timestamp()
    rig.sandbox.advance(26 * HOUR)
    refusal = kernel.ledger.claims.claim(clearance, owner="a", credential="c", server_now=stale, deadline=HOUR)
    assert "too old" in refusal.why


def test_rule_09_keys_are_stable_uuids_that_know_nothing_of_this_machine(rig, tmp_path):
    world.plant_posts(rig.sandbox, 1, targets=1)
    one, two = rig.kernel("one"), rig.kernel("two", api_key="vb_test_second")
    first, second = plan_retry(one.triaged()).operations[0].key, plan_retry(two.triaged()).operations[0].key
    assert first == second
    assert UUID(first).version == 4
    assert str(UUID(first)) == first
    assert keys.stable_key("post", "/v1/posts/p/retry", None, ["e"], 1) == "717e9ea0-73f5-46fe-a85a-8ccd2ca15a2e"


def test_rule_10_only_the_engine_resends_planned_acts(rig):
    """The client resends reads by itself; a planned act that is answered 503 leaves exactly once, until it has been read."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(
        *post({"action": "status", "status": 503, "when": "before", "code": "SERVICE_UNAVAILABLE"}, path=RETRY)
    )
    kernel.go(run)
    record = rig.sandbox.requests()
    tries = [entry["seq"] for entry in record if entry["acting"]]
    assert len(tries) == 2
    between = [entry for entry in record if tries[0] < entry["seq"] < tries[1]]
    assert any(entry["method"] == "GET" and entry["path"].startswith("/v1/posts") for entry in between)
    assert rig.effects("post.retry") == 1
