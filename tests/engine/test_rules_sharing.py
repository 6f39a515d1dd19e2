"""Living with it: two senders, stopping, other API keys, forgetting (rules 21 to 24)."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import HELD, HOUR, RETRY, each_once, killed, let_go, plan_rows, post, send_once, wait_for
from tests.engine.verbs import attach

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.retry import plan_retry
from voxops.ledger import audit


def test_rule_21_two_senders_on_one_ledger_do_everything_once(rig: Rig) -> None:
    """Both follow each run to its end, whoever sent what."""
    world.plant_posts(rig.sandbox, 40)
    one, two = rig.kernel(), rig.kernel()
    plans = [plan_retry(one.triaged()), plan_rows(rig, 200)]
    works = [(kernel, run, kernel.start(run)) for plan in plans for kernel in (one, two) for run in [kernel.bind(plan)]]
    for _, _, work in works:
        work.result(60)
    wanted = set().union(*map(expected, plans))
    assert rig.count(wanted).holds
    assert rig.count(wanted).effects == len(wanted)
    for kernel, run, _ in works:
        assert set(outcomes(kernel.results(run))) == {"succeeded"}
    assert max(Counter(entry["key"] for entry in rig.acts()).values()) == 1, "nobody repeated the other"


def test_rule_21_a_lease_outlives_its_sender_and_no_longer(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 1, targets=1)
    first, second = rig.kernel(), rig.kernel()
    run = first.bind(plan_retry(first.triaged()))
    killed(rig, first, run, RETRY)
    assert not second.ledger.calls.expire(), "the lease still holds"
    rig.sandbox.advance(91)
    assert second.ledger.calls.expire() == 1
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


def test_rule_21_whoever_wakes_late_writes_nothing_over(rig: Rig) -> None:
    """A sender is suspended with the answer in hand; meanwhile another has settled the call by reading."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    sleeper, other = rig.kernel(), rig.kernel()
    run = sleeper.bind(plan_retry(sleeper.triaged()))
    answered = sleeper.engine.sender._answered

    async def late(call: Any, reply: Any) -> Any:
        await asyncio.to_thread(lambda: rig.sandbox.advance(200))
        sleeper.asleep = True
        await other._go(run)
        sleeper.asleep = False
        return await answered(call, reply)

    sleeper.engine.sender._answered = late  # type: ignore[method-assign]
    sleeper.go(run)
    assert outcomes(sleeper.results(run)) == {"succeeded": 1}
    assert not sleeper.ledger.calls.open()
    assert rig.effects("post.retry") == 1


def test_rule_21_what_was_read_ages(rig: Rig) -> None:
    """Bound today; a colleague retries the posts, which fail again with the same error; resumed tomorrow, the keys forgotten."""
    world.plant_posts(rig.sandbox, 4, targets=1)
    rig.sandbox.set_switches(recovery_rate=0.0)
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    plan = plan_retry(mine.triaged())
    run = mine.bind(plan)
    theirs.run(plan)
    rig.sandbox.advance(26 * HOUR)
    mine.go(run)
    assert rig.effects("post.retry") == 4
    assert set(mine.results(run)["reason_code"]) == {"changed_since_loaded"}


def test_rule_22_a_paused_run_sends_nothing_more_and_attaching_sends_nothing(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 30, targets=1)
    first = rig.kernel()
    plan = plan_retry(first.triaged())
    run = first.bind(plan)
    execution = first.execution(run)
    rig.sandbox.add_fault(*(Fault("delay", "POST", RETRY, seconds=HELD, nth=number) for number in range(6, 31)))
    work = eventloop.submit(execution.go())
    wait_for(lambda: len(rig.acts()) >= 10)
    pausing = eventloop.submit(execution.pause())
    let_go(rig)
    pausing.result(30)
    sent = len(rig.acts())
    assert 10 <= sent < 30
    work.result(60)
    second = rig.kernel()
    attach(second, run)
    second.go(run)
    assert len(rig.acts()) == sent, "the pause stands in the ledger"
    assert outcomes(second.results(run)) == {"succeeded": sent, "pending": 30 - sent}
    eventloop.run(second.execution(run).allow())
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 30}
    assert rig.count(expected(plan)).holds


@pytest.mark.parametrize("what", ["retry", "create"])
def test_rule_23_under_another_key_an_unknown_is_never_resent_but_read(rig: Rig, what: str) -> None:
    """Keys belong to an API key: what another one sent is unknown to the server, so a resend would act twice."""
    world.plant_posts(rig.sandbox, 2, targets=1)
    first, path = rig.kernel(), RETRY if what == "retry" else "/v1/posts"
    plan = plan_retry(first.triaged()) if what == "retry" else plan_rows(rig, 2, one_by_one=True)
    run = first.bind(plan)
    faults = {"action": "drop", "when": "after", "nth": 1}, {"action": "drop", "when": "before", "nth": 2}
    rig.sandbox.add_fault(*post(*faults, path=path))
    send_once(first, run)
    first.kill()
    rig.sandbox.advance(100)
    second = rig.kernel(api_key="vb_test_second")
    second.go(run)
    again = [datetime.fromisoformat(entry["at"]) for entry in rig.acts() if entry["api_key"] == "vb_test_second"]
    if what == "retry":
        assert outcomes(second.results(run)) == {"succeeded": 1, "unknown": 1}
        assert set(second.results(run)["reason_code"].dropna()) == {"resend_other_key"}
        assert not again
        return
    assert outcomes(second.results(run)) == {"succeeded": 2}
    assert all(at - datetime.fromisoformat(rig.acts()[1]["at"]) >= timedelta(minutes=5) for at in again)
    each_once(rig, 2)


def test_rule_23_the_key_is_kept_as_a_salted_fingerprint_only(rig: Rig) -> None:
    one, two = rig.kernel("one"), rig.kernel("two")
    prints = [
        one.ledger.fingerprint("vb_live_x"),
        one.ledger.fingerprint("vb_live_y"),
        two.ledger.fingerprint("vb_live_x"),
    ]
    assert len(set(prints)) == 3
    assert prints[0] == one.ledger.fingerprint("vb_live_x")
    one.run(plan_rows(rig, 2))
    one.close()
    assert rig.sandbox.api_key.encode() not in b"".join(path.read_bytes() for path in rig.folder.glob("one.sqlite*"))


def test_rule_24_forgetting_keeps_identity_and_outcome(rig: Rig) -> None:
    kernel, plan = rig.kernel(), plan_rows(rig, 3)
    kernel.run(plan)
    assert audit.prune(kernel.ledger, datetime.now(UTC) + timedelta(days=400)) == 1
    assert kernel.ledger.query("SELECT count(*) FROM calls WHERE body IS NOT NULL OR reply IS NOT NULL")[0][0] == 0
    rig.sandbox.advance(30 * HOUR)
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": 3}
    assert table["result_id"].notna().all()
    each_once(rig, 3)
