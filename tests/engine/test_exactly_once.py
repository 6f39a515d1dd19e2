"""The rules of exactly once, a test each: against a real server over a socket, by what the server's own record says happened."""

from __future__ import annotations

import ast
import re
import sqlite3
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Kernel, Rig, outcomes

import voxops as vx
from voxops._core import eventloop
from voxops.acts import keys
from voxops.acts.creates import plan_bulk
from voxops.acts.retries import plan_cancel, plan_fix, plan_redeliver, plan_retry
from voxops.engine.jobs import PlanJob
from voxops.errors import LedgerError, PlanError
from voxops.ledger import audit
from voxops.ledger import file as ledger_file
from voxops.run import Run
from voxops.sandbox import Fault, Sandbox, Switches

RETRY, BULK, REDELIVER = "/v1/posts/*/retry", "/v1/posts/bulk", "/v1/webhooks/*/deliveries/*/retry"
HOUR = 3600.0
HELD = 0.4  # real seconds that the server holds a request up


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(seed=11, empty=True, rate_limit=None) as sandbox:
        yield sandbox


@pytest.fixture
def rig(server: Sandbox, tmp_path: Path) -> Iterator[Rig]:
    server.set_switches(**{**asdict(Switches()), "recovery_rate": 1.0, "silent_webhooks": True})
    server.receiver()
    server.receiver(status=200)
    server.reset(empty=True)
    rig = Rig(server, tmp_path)
    yield rig
    rig.close()


def post(*actions: Any, path: str = "/v1/**", **where: Any) -> list[Fault]:
    """Faults that hit the same acting requests."""
    return [Fault(method="POST", path=path, **{**where, **action}) for action in actions]


def caught(rig: Rig, kernel: Kernel, run: str, path: str, when: str = "before") -> Future[Any]:
    """Drive a run until the server holds one of its requests, and return while it does."""
    rig.clock.speed = 50
    rig.sandbox.add_fault(Fault(action="delay", method="POST", path=path, when=when, seconds=HELD))
    work = kernel.start(run)
    wait_for(lambda: rig.sandbox.faults()[-1]["struck"])
    return work


def killed(rig: Rig, kernel: Kernel, run: str, path: str) -> None:
    """Kill a kernel while the server holds one of its requests; the server carries the request out all the same."""
    kernel.kill(caught(rig, kernel, run, path))
    time.sleep(HELD)
    rig.sandbox.clear_faults()
    rig.clock.speed = None


def let_go(rig: Rig) -> None:
    """Wait until the held request has been carried out, then let time run; before, looks would outrun the server's real seconds."""
    time.sleep(HELD)
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


# -- planning ----------------------------------------------------------------------------------------------------------


def test_rule_01_a_rerun_joins_what_is_open_with_its_batch_and_its_bytes(rig):
    """120 rows, the kernel dies while the server holds the first batches; the re-run forms nothing anew."""
    first = rig.kernel()
    plan = plan_rows(rig, 120)
    wanted = expected(plan)
    killed(rig, first, first.bind(plan), BULK)
    before = {(entry["key"], entry["body"]) for entry in rig.acts()}
    assert before
    shorter = plan_bulk(rig.campaign(120).iloc[::-1], key="row_id")  # other batches, if they were formed from the frame
    second = rig.kernel()
    assert outcomes(second.run(shorter)) == {"succeeded": 120}
    assert rig.count(wanted).holds
    after = {(entry["key"], entry["body"]) for entry in rig.acts()}
    assert before <= after
    assert len(after) == len({key for key, _ in after}) == 3, "three batches, whoever sent them"


def test_rule_02_one_open_operation_per_post_whatever_the_key(rig):
    """A tag edit while a retry is open changes the time stamp, so the same failure would get a second key."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.set_switches(linger_failed_seconds=30.0)
    frame = kernel.triaged()
    run = kernel.bind(plan_retry(frame))
    work = caught(rig, kernel, run, RETRY, when="after")
    edit(rig, "post_f00000")
    again = plan_retry(kernel.triaged())
    assert again.operations[0].key != plan_retry(frame).operations[0].key
    table = rig.kernel().run(again)
    work.result(30)
    assert len({entry["key"] for entry in rig.acts()}) == 1
    assert rig.effects("target.requeue") == 1
    assert outcomes(table) == {"succeeded": 1}, "the row stands for the retry that was open"


def test_rule_02_a_row_whose_post_has_changed_is_held(rig):
    world.plant_posts(rig.sandbox, 2, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    edit(rig, "post_f00000")
    table = kernel.run(plan)
    assert outcomes(table) == {"pending": 1, "succeeded": 1}
    assert "changed since loaded (updated_at)" in table.set_index("post_id").loc["post_f00000", "waiting_for"]
    assert [effect["post"] for effect in rig.sandbox.effects("target.requeue")] == ["post_f00001"]


def test_rule_02_a_post_that_changes_while_the_run_is_paused_is_held(rig):
    """Bound in the evening, resumed in the morning: what was read is not true any more."""
    world.plant_posts(rig.sandbox, 2, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    edit(rig, "post_f00001")
    rig.sandbox.advance(8 * HOUR)
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"pending": 1, "succeeded": 1}
    assert [effect["post"] for effect in rig.sandbox.effects("target.requeue")] == ["post_f00000"]


def test_rule_03_a_filtered_frame_never_sends_the_other_targets(rig):
    """Filter to one platform: the whole post must not be retried, each row gets a fix of its own target."""
    world.plant_posts(rig.sandbox, 3)
    kernel = rig.kernel()
    frame = kernel.triaged()
    chosen = frame[frame["platform"] == "linkedin"]
    plan = plan_retry(chosen)
    wanted = expected(plan)
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": len(chosen)}
    assert set(table["request"].str.rpartition("/")[2]) == {"fix"}
    assert rig.count(wanted).holds


def test_rule_03_a_filter_that_lost_its_attributes_is_caught_before_sending(rig):
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    chosen = kernel.triaged().head(1).copy()
    chosen.attrs = {}
    plan = plan_retry(chosen)
    assert plan.operations[0].path.endswith("/retry"), "the frame alone can't tell"
    table = kernel.run(plan)
    assert outcomes(table) == {"pending": 1}
    assert rig.acts() == []


def test_rule_03_a_row_that_stands_twice_does_not_stand_for_its_neighbour(rig):
    """Two targets failed, one was chosen, twice: two of two rows would look like the whole post."""
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    doubled = frame.iloc[[0, 0]].reset_index(drop=True)
    doubled.attrs = frame.attrs
    plan = plan_retry(doubled)
    wanted = expected(plan)
    assert plan.frame["eligible"].tolist() == [True, False]
    kernel.run(plan)
    assert len(wanted) == 1
    assert rig.count(wanted).holds


def test_rule_03_a_target_in_flight_is_held_until_it_is_old_and_the_analyst_says_so(rig):
    world.plant_posts(rig.sandbox, 1, targets=2)
    target = rig.sandbox.world.posts["post_f00000"].targets[1]
    target.status, target.error = "publishing", None
    kernel = rig.kernel()
    frame = kernel.triaged()
    assert not plan_retry(frame).frame["eligible"].any(), "nothing may touch a post of which a target is moving"
    insist = frame.assign(retryable=True)
    insist.attrs = {**frame.attrs, "fetched_at": (insist["updated_at"].max() + pd.Timedelta("3min")).isoformat()}
    assert not plan_retry(insist).frame["eligible"].any(), "three minutes old"
    insist.attrs["fetched_at"] = (insist["updated_at"].max() + pd.Timedelta("11min")).isoformat()
    assert plan_retry(insist).frame["eligible"].all()


def test_rule_03_a_target_without_an_id_is_held(rig):
    rig.sandbox.set_switches(no_target_ids=True)
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    table = kernel.run(plan_retry(frame[frame["platform"] == "twitter"]))
    assert outcomes(table) == {"pending": 1}
    assert table["waiting_for"].str.contains("no id for this target").all()
    assert rig.acts() == []


def test_rule_04_the_failure_alone_makes_the_key(rig):
    """Counts and ids may be missing on the wire; the same failure has the same key, the next failure another."""
    world.plant_posts(rig.sandbox, 2)
    kernel = rig.kernel()
    key = [operation.key for operation in plan_retry(kernel.triaged()).operations]
    rig.sandbox.set_switches(listed_retry_counts=True, listed_target_ids=True)
    assert [operation.key for operation in plan_retry(kernel.triaged()).operations] == key
    rig.sandbox.set_switches(no_retry_counts=True, no_target_ids=True, no_metadata=True, listed_retry_counts=False)
    assert [operation.key for operation in plan_retry(kernel.triaged()).operations] == key
    rig.sandbox.set_switches(recovery_rate=0.0)
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"failed": len(table)}
    later = [operation.key for operation in plan_retry(kernel.triaged()).operations]
    assert later
    assert not set(later) & set(key)


def test_rule_05_a_row_is_created_once_however_often_it_is_planned(rig):
    """Run All over: fix the failed rows, run again."""
    kernel = rig.kernel()
    frame = rig.campaign(6)
    frame.loc[1, "content"] = "x" * 9000  # too long for its platform, which only the API knows
    first = kernel.run(plan_bulk(frame, key="row_id"))
    assert outcomes(first) == {"succeeded": 5, "failed": 1}
    again = kernel.run(plan_bulk(frame, key="row_id"))
    assert outcomes(again) == {"succeeded": 5, "failed": 1}
    assert again["attempt"].tolist() == [1] * 6
    frame.loc[1, "content"] = "short enough"
    mended = kernel.run(plan_bulk(frame, key="row_id"))
    assert outcomes(mended) == {"succeeded": 6}
    assert mended["attempt"].tolist() == [1, 2, 1, 1, 1, 1]
    assert set(rig.created().values()) == {1}
    assert len(rig.created()) == 6


def test_rule_05_the_failed_rows_of_a_run_are_its_next_attempt(rig):
    kernel = rig.kernel()
    frame = rig.campaign(3)
    frame.loc[1, "accounts"] = "acc_unknown"
    run = kernel.bind(plan_bulk(frame, key="row_id"))
    kernel.go(run)
    failed = kernel.results(run)
    failed = failed[failed["outcome"] == "failed"]
    assert failed["row_id"].tolist() == ["r00001"]
    second = plan_bulk(failed[frame.columns].assign(attempt=failed["attempt"] + 1), key="row_id")
    table = kernel.run(second)
    assert outcomes(table) == {"failed": 1}
    assert table["attempt"].tolist() == [2]
    assert len({entry["key"] for entry in rig.acts()}) == 2


def test_rule_05_a_used_row_with_another_text_is_held_and_holds_nobody_else(rig):
    kernel = rig.kernel()
    frame = rig.campaign(3)
    kernel.run(plan_bulk(frame, key="row_id"))
    frame.loc[0, "content"] = "something else"
    table = kernel.run(plan_bulk(frame, key="row_id"))
    assert outcomes(table) == {"succeeded": 2, "pending": 1}
    assert table["waiting_for"][0].startswith("already posted as post_")
    assert "name a new campaign" in table["waiting_for"][0]
    other = kernel.run(plan_bulk(frame, key="row_id", campaign="spring"))
    assert outcomes(other) == {"succeeded": 3}
    assert rig.created()["something else"] == 1


def test_rule_05_an_open_row_with_another_text_is_held_with_what_differs(rig):
    kernel = rig.kernel()
    frame = rig.campaign(2)
    rig.sandbox.set_switches(no_metadata=True)
    rig.sandbox.add_fault(*post({"action": "garbage", "body": "html", "when": "after"}, path=BULK))
    assert outcomes(kernel.run(plan_bulk(frame, key="row_id"))) in ({"unknown": 2}, {"succeeded": 2})
    rig.sandbox.add_fault(*post({"action": "garbage", "body": "html", "when": "after", "times": None}, path=BULK))
    frame = rig.campaign(2, start=10)
    assert outcomes(kernel.run(plan_bulk(frame, key="row_id"))) == {"unknown": 2}
    frame.loc[0, "content"] = "something else"
    frame.loc[0, "scheduled_for"] = (world.FAR + timedelta(days=1)).isoformat()
    table = kernel.run(plan_bulk(frame, key="row_id"))
    assert (
        table["waiting_for"][0] == "an attempt with another content, scheduledFor is still open; wait for its outcome"
    )
    assert "something else" not in rig.created()


def test_rule_05_numbers_and_texts_name_the_same_row_and_bad_names_raise():
    assert len({keys.row_key(value) for value in (1, "1", 1.0, pd.Series([1.0])[0])}) == 1
    frame = world.campaign(dict.fromkeys(world.PLATFORMS, "acc_1"), 3)
    with pytest.raises(PlanError, match="more than once"):
        plan_bulk(frame.assign(row_id=[1, "1", 2]), key="row_id")
    with pytest.raises(PlanError, match="no value"):
        plan_bulk(frame.assign(row_id=["a", None, "b"]), key="row_id")


def test_rule_06_a_create_whose_time_has_passed_is_held(rig):
    kernel = rig.kernel()
    now = rig.sandbox.now()
    frame = rig.campaign(3)
    frame["scheduled_for"] = [(now + timedelta(hours=h)).isoformat() for h in (-1, 1, 48)]
    run = kernel.bind(plan_bulk(frame, key="row_id"))
    rig.sandbox.advance(2 * HOUR)
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"pending": 2, "succeeded": 1}
    assert table["waiting_for"].dropna().unique().tolist() == ["its time has passed"]
    assert len(rig.created()) == 1


def test_rule_06_an_unknown_batch_proved_absent_drops_what_is_late_by_then(rig):
    """The connection broke before the server had it; when that is proved, one row's time is over."""
    world.plant_posts(rig.sandbox, 1)  # so that the list shows that posts have metadata
    kernel = rig.kernel(retention=HOUR)  # the key is not trusted, so absence must be proved first
    frame = rig.campaign(2)
    frame.loc[0, "scheduled_for"] = (rig.sandbox.now() + timedelta(minutes=4)).isoformat()
    rig.sandbox.add_fault(*post({"action": "drop"}, path=BULK))
    table = kernel.run(plan_bulk(frame, key="row_id"))
    assert outcomes(table) == {"pending": 1, "succeeded": 1}
    assert table["waiting_for"][0] == "its time has passed"
    assert list(rig.created()) == ["row 1 of the campaign"]


def test_rule_06_rows_without_a_time_are_refused():
    frame = world.campaign(dict.fromkeys(world.PLATFORMS, "acc_1"), 3).assign(
        scheduled_for=[None, "", "2027-01-01T10:00"]
    )
    plan = plan_bulk(frame, key="row_id")
    assert not plan.frame["eligible"].any()
    assert plan.frame["reason"][:2].str.contains("no time").all()
    assert "no offset" in plan.frame["reason"][2]


def test_rule_07_a_cause_goes_on_when_half_of_its_canaries_succeed(rig):
    world.plant_posts(rig.sandbox, 9, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged().assign(cause="rate")).canary(2)
    run = kernel.bind(plan)
    work = caught(rig, kernel, run, RETRY)
    assert len(rig.acts()) <= 2, "the others wait"
    let_go(rig)
    work.result(60)
    assert outcomes(kernel.results(run)) == {"succeeded": 9}


def test_rule_07_a_cause_whose_canaries_fail_is_held(rig):
    world.plant_posts(rig.sandbox, 6, targets=1)
    rig.sandbox.set_switches(recovery_rate=0.0)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged().assign(cause="rate")).canary(2)
    assert [operation.canary for operation in plan.operations] == [True] * 2 + [False] * 4
    assert [o.key for o in plan.operations if o.canary] == sorted(o.key for o in plan.operations)[:2], (
        "members are fixed"
    )
    table = kernel.run(plan)
    assert outcomes(table) == {"failed": 2, "pending": 4}
    assert table["waiting_for"].dropna().unique().tolist() == ["held: 0 of 2 canaries of its cause succeeded"]
    assert rig.effects("post.retry") == 2


def test_rule_07_without_a_canary_that_could_be_sent_nothing_goes(rig):
    """All canaries are held because their posts changed: nobody has tried the cause, so the others wait."""
    world.plant_posts(rig.sandbox, 5, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged().assign(cause="rate")).canary(2)
    for operation in plan.operations:
        if operation.canary:
            edit(rig, operation.items[0].label)
    table = kernel.run(plan)
    assert outcomes(table) == {"pending": 5}
    assert rig.acts() == []


def test_rule_07_the_first_rows_of_a_campaign_are_its_canaries(rig):
    kernel = rig.kernel()
    frame = rig.campaign(60)
    frame.loc[0, "accounts"] = frame.loc[1, "accounts"] = "acc_unknown"
    table = kernel.run(plan_bulk(frame, key="row_id").canary(3))
    assert outcomes(table) == {"failed": 2, "succeeded": 1, "pending": 57}
    assert len(rig.created()) == 1


# -- sending -----------------------------------------------------------------------------------------------------------


def test_rule_08_all_is_on_disk_before_the_bytes_leave(rig):
    """While the server holds the request, another process reads key, bytes, baseline and state from the file."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    work = caught(rig, kernel, run, RETRY)
    with sqlite3.connect(kernel.ledger.path) as db:
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
    commit, woken = sleeper.engine._sender.commit, []

    async def slow(work: Any) -> Any:
        done = await commit(work)
        if not woken and type(done).__name__ == "Claim":
            woken.append(done)
            await _loop_thread(lambda: rig.sandbox.advance(26 * HOUR))
            await _loop_thread(lambda: other_does_it.append(True))
            await wait_done(other, run)
        return done

    other_does_it: list[bool] = []
    sleeper.engine._sender.commit = slow
    sleeper.go(run)
    assert woken
    assert outcomes(sleeper.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1
    assert rig.effects("target.requeue") == 1


async def _loop_thread(work: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(work)


async def wait_done(kernel: Kernel, run: str) -> None:
    """Let another kernel drive a run to its end."""
    await kernel._go(run)


def test_rule_08_a_reading_from_before_a_long_sleep_clears_nothing(rig):
    """The look said "not shown, send it again"; then the laptop slept for 26 hours, and the clock of the client with it."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    stored = kernel.ledger.operations_of(run)[0]
    clearance = kernel.ledger.clearance(stored)
    stale = kernel.client.now().timestamp()
    rig.sandbox.advance(26 * HOUR)
    refusal = kernel.ledger.claim(clearance, owner="a", credential="c", server_now=stale, deadline=HOUR)
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


# -- after an ambiguous try ----------------------------------------------------------------------------------------------


def test_rule_11_after_an_ambiguous_try_it_is_read_first(rig):
    """Bulk of 50: 30 are created, 500, and a server that keeps no key for a 5xx: a blind resend makes 30 duplicates."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    kernel = rig.kernel()
    plan = plan_rows(rig, 50)
    wanted = expected(plan)
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=30))
    assert outcomes(kernel.run(plan)) == {"succeeded": 50}
    assert rig.count(wanted).holds


@pytest.mark.parametrize(
    "reading", [{}, {"forget_key_on_5xx": True}, {"ignore_keys": True}], ids=["default", "forgets", "ignores"]
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["drop", "status", "truncate"])
def test_rule_11_whatever_breaks_everything_happens_once(rig, reading, when, action):
    rig.sandbox.set_switches(**reading)
    world.plant_posts(rig.sandbox, 3)
    world.plant_deliveries(rig.sandbox, 2)
    kernel = rig.kernel()
    plans = [plan_retry(kernel.triaged()), plan_redeliver(kernel.deliveries()), plan_rows(rig, 3)]
    wanted = set().union(*map(expected, plans))
    rig.sandbox.add_fault(*post({"action": action, "when": when, "times": 5}))
    for plan in plans:
        table = kernel.run(plan)
        assert outcomes(table) == {"succeeded": len(table)}
    result = rig.count(wanted)
    assert result.holds
    assert result.effects == result.expected


def test_rule_11_a_request_that_outlives_its_caller_is_waited_for(rig):
    """The reply is slower than the time-out, the server then fails after the work and keeps no key: a quick resend acts twice."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1, targets=1)
    rig.clock.speed = 50
    kernel = rig.kernel(timeout=0.2)
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(
        Fault(action="delay", method="POST", path=RETRY, seconds=0.9),
        Fault(action="status", method="POST", path=RETRY, when="after"),
    )
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


def test_rule_11_two_senders_never_send_upon_one_reading(rig):
    """Both have read "not shown"; one resends, is answered 500 after the work, and no key is kept; the other must read again."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1, targets=1)
    one, two = rig.kernel(), rig.kernel()
    run = one.bind(plan_retry(one.triaged()))
    cleared = two.ledger.clearance(two.ledger.operations_of(run)[0])
    rig.sandbox.add_fault(*post({"action": "status", "when": "after"}, path=RETRY))
    drive = two.engine.drive(run)
    one.go(run, stop_after_failures=1)
    eventloop.run(two.engine._sender.send(drive, cleared))
    assert rig.effects("post.retry") == 1


@pytest.mark.parametrize("jump", [0.0, 26 * HOUR])
def test_rule_12_past_the_retention_nothing_is_resent_that_is_not_proved_absent(rig, jump):
    world.plant_posts(rig.sandbox, 4)
    kernel = rig.kernel(retention=HOUR)
    plan = plan_retry(kernel.triaged())
    wanted = expected(plan)
    run = kernel.bind(plan)
    rig.sandbox.set_switches(key_retention_seconds=3600)
    rig.sandbox.add_fault(
        *post({"action": "drop", "when": "after", "nth": 1}, {"action": "drop", "when": "before", "nth": 2}, path=RETRY)
    )
    if jump:
        rig.sandbox.add_fault(*post({"action": "advance", "seconds": jump, "nth": 3}, path=RETRY))
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"succeeded": len(table)}
    assert rig.count(wanted).holds
    assert rig.count(wanted).effects == len(wanted)


def test_rule_12_a_clock_behind_the_ledger_counts_as_expired(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    ledger, now = kernel.ledger, kernel.client.now().timestamp()
    claim = ledger.claim(
        ledger.clearance(ledger.operations_of(run)[0]), owner="a", credential="c", server_now=now, deadline=HOUR
    )
    ledger.answer(claim, state="unknown", status=None, reply=None, server_now=now, answered=False)
    again = ledger.clearance(ledger.operations_of(run)[0], read=ledger.now())
    refusal = ledger.claim(again, owner="a", credential="c", server_now=now - 60, deadline=HOUR)
    assert refusal.why == "the clock is behind the ledger"
    late = ledger.claim(again, owner="a", credential="c", server_now=now + HOUR + 1, deadline=HOUR)
    assert late.why == "the server may have forgotten its key; look at the dashboard whether it took effect"


def test_rule_13_a_ledger_that_was_lost_finds_its_creates_by_their_mark(rig):
    """Colab lost its disk. First ten rows are run, then all: the search must not be spent on the ten."""
    first = rig.kernel("lost")
    plan = plan_rows(rig, 60)
    wanted = expected(plan)
    assert outcomes(first.run(plan)) == {"succeeded": 60}
    rig.sandbox.advance(30 * HOUR)
    second = rig.kernel("new")
    ten = plan_bulk(rig.campaign(10), key="row_id")
    assert outcomes(second.run(ten)) == {"succeeded": 10}
    assert outcomes(second.run(plan_rows(rig, 60))) == {"succeeded": 60}
    assert rig.count(wanted).holds


def test_rule_13_a_colleague_s_rows_are_found_at_every_run(rig):
    mine, hers = rig.kernel("mine"), rig.kernel("hers", api_key="vb_test_second")
    assert outcomes(mine.run(plan_rows(rig, 2))) == {"succeeded": 2}
    assert outcomes(hers.run(plan_rows(rig, 5))) == {"succeeded": 5}
    rig.sandbox.advance(30 * HOUR)
    assert outcomes(mine.run(plan_rows(rig, 5))) == {"succeeded": 5}
    assert set(rig.created().values()) == {1}


def test_rule_13_rows_that_a_colleague_created_while_the_run_was_paused_are_found(rig):
    mine, hers = rig.kernel("mine"), rig.kernel("hers", api_key="vb_test_second")
    plan = plan_rows(rig, 4)
    run = mine.bind(plan)
    hers.run(plan_rows(rig, 2))
    rig.sandbox.advance(30 * HOUR)
    mine.go(run)
    assert outcomes(mine.results(run)) == {"succeeded": 4}
    assert set(rig.created().values()) == {1}


def test_rule_13_another_campaign_is_another_post(rig):
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 2))
    assert outcomes(kernel.run(plan_rows(rig, 2, campaign="again"))) == {"succeeded": 2}
    marks = {effect["mark"] for effect in rig.sandbox.effects("post.create")}
    assert len(marks) == 4
    assert keys.mark("again", "r00000", 1) in marks


def test_rule_14_without_metadata_absence_is_no_proof(rig):
    rig.sandbox.set_switches(no_metadata=True)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=3))
    table = kernel.run(plan_rows(rig, 5))
    assert outcomes(table) == {"unknown": 5}
    assert table["waiting_for"].str.contains("look at the dashboard").all()
    assert set(rig.created().values()) == {1}


def test_rule_14_reconciling_says_what_a_person_should_look_at(rig):
    rig.sandbox.set_switches(no_metadata=True)
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=1))
    drive = kernel.engine.drive(run)
    drive.closed = True
    operation = kernel.ledger.operations_of(run)[0]
    eventloop.run(kernel.engine._sender.send(drive, kernel.ledger.clearance(operation)))
    rig.sandbox.advance(400)
    sent = len(rig.acts())
    assert eventloop.run(kernel.engine.reconcile()) == 0
    assert len(rig.acts()) == sent, "nothing is sent"
    trail = audit.history(kernel.ledger)
    assert trail["waiting_for"].str.contains("nobody can tell whether it was created; look at the dashboard").all()


def test_rule_14_five_minutes_must_have_passed(rig):
    """A partly created batch: the rest is sent anew, under a new key, only when it can't be on its way any more."""
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=3))
    kernel.run(plan_rows(rig, 5))
    first, second = (datetime.fromisoformat(entry["at"]) for entry in rig.acts())
    assert second - first >= timedelta(minutes=5)
    assert len({entry["key"] for entry in rig.acts()}) == 2


def test_rule_14_a_row_created_twice_stops_the_run_and_a_later_copy_does_not(rig):
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}, path=BULK))
    run = kernel.bind(plan_rows(rig, 2))
    seen = kernel.engine._settler._reader.marks

    async def doubled(since: datetime) -> Any:
        marks = await seen(since)
        for hits in marks.found.values():
            hits.append((hits[0][0], "post_twin"))
        return marks

    kernel.engine._settler._reader.marks = doubled
    snapshot = kernel.go(run)
    assert snapshot.phase == "stopped"
    assert "was created twice" in snapshot.note

    async def copied(since: datetime) -> Any:
        marks = await seen(since)
        for hits in marks.found.values():
            hits.append(("2027-01-01T00:00:00+00:00", "post_copy"))
        return marks

    other = rig.kernel()
    other.engine._settler._reader.marks = copied
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}, path=BULK))
    run = other.bind(plan_bulk(rig.campaign(2, start=10), key="row_id"))
    assert other.go(run).phase == "done"
    assert set(rig.created().values()) == {1}


# -- settling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoilt", ["bulk_double_index", "bulk_missing_index", "bulk_unknown_index"])
def test_rule_15_items_are_read_by_index_and_unreadable_ones_are_unknown(rig, spoilt):
    kernel = rig.kernel()
    frame = rig.campaign(6)
    frame.loc[1, "accounts"] = "acc_unknown"
    plan = plan_bulk(frame, key="row_id")
    rig.sandbox.add_fault(Fault(action=spoilt, method="POST", path=BULK))
    run = kernel.bind(plan)
    table = kernel.results(run)
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"succeeded": 5, "failed": 1}
    assert table["outcome"].tolist()[1] == "failed"
    by_text = {effect["content"]: effect["post"] for effect in rig.sandbox.effects("post.create")}
    assert [by_text.get(text) for text in table["content"]] == [
        None if pd.isna(one) else one for one in table["result_id"]
    ]
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize("body", ["html", "json", "empty"])
def test_rule_15_a_2xx_of_another_shape_proves_nothing(rig, body):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "garbage", "body": body, "nth": 1}, path=RETRY))
    rig.sandbox.add_fault(
        *post({"action": "garbage", "body": body, "when": "before", "status": 200, "nth": 1}, path=BULK)
    )
    assert outcomes(kernel.run(plan_retry(kernel.triaged()))) == {"succeeded": 1}
    assert outcomes(kernel.run(plan_rows(rig, 3))) == {"succeeded": 3}
    assert rig.effects("post.retry") == 1
    assert set(rig.created().values()) == {1}


def test_rule_16_a_4xx_on_the_first_try_proves_failure(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT"}, path=RETRY))
    table = kernel.run(plan_retry(frame))
    assert outcomes(table) == {"failed": 1}
    assert table["error_code"].tolist() == ["CONFLICT"]
    again = frame.assign(attempt=2)
    again.attrs = frame.attrs
    assert outcomes(kernel.run(plan_retry(again))) == {"succeeded": 1}
    assert len({entry["key"] for entry in rig.acts()}) == 2


def test_rule_16_a_4xx_after_an_ambiguous_try_proves_nothing(rig):
    """The first try took effect and its answer was lost; the second is told that the post can't be retried any more."""
    rig.sandbox.set_switches(ignore_keys=True, linger_failed_seconds=90.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after", "nth": 1}, path=RETRY))
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT", "nth": 2}, path=RETRY))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1
    assert len(rig.acts()) == 2, "whoever was refused does not ask again, but reads"


def test_rule_16_a_refusal_whose_answer_was_lost_is_failed_in_the_end(rig):
    """The sender was killed with a 400 on its way, which the server keeps under the key: every resend is told the same."""
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    frame = rig.campaign(1)
    frame.loc[0, "accounts"] = "acc_unknown"
    killed(rig, kernel, kernel.bind(plan_bulk(frame, key="row_id")), BULK)
    table = rig.kernel().run(plan_bulk(frame, key="row_id"))
    assert outcomes(table) == {"failed": 1}
    assert len(rig.acts()) <= 3


@pytest.mark.parametrize("code", ["IDEMPOTENCY_CONFLICT", ""])
def test_rule_16_a_conflict_of_keys_is_unknown_and_no_reason_for_another_key(rig, code):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": code, "times": None}, path=RETRY))
    run = kernel.bind(plan_retry(kernel.triaged()))
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"unknown": 1}
    assert len({entry["key"] for entry in rig.acts()}) == 1
    assert "dashboard" in kernel.results(run)["waiting_for"][0]


def test_rule_16_a_request_still_in_progress_is_waited_for(rig):
    """Two ledgers send the same key at the same moment: the second is told to wait, and learns how the first ended."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    one, two = rig.kernel("one"), rig.kernel("two")
    plan = plan_retry(one.triaged())
    mine, hers = one.bind(plan), two.bind(plan)
    work = caught(rig, one, mine, RETRY)
    wait_for(lambda: len(rig.acts()) == 1)
    two.go(hers)
    work.result(30)
    assert outcomes(one.results(mine)) == outcomes(two.results(hers)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1
    assert 409 in {entry["status"] for entry in rig.acts()}


@pytest.mark.parametrize(
    ("status", "code"), [(401, "UNAUTHORIZED"), (402, "LIMIT_EXCEEDED"), (403, "AUTHORIZATION_ERROR")]
)
def test_rule_17_a_key_that_is_refused_stops_the_run_and_fails_nobody(rig, status, code):
    world.plant_posts(rig.sandbox, 40, targets=1)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    rig.sandbox.add_fault(
        *[
            f
            for n in range(5, 60)
            for f in post({"action": "status", "status": status, "code": code, "nth": n}, path=RETRY)
        ]
    )
    run = kernel.bind(plan)
    snapshot = kernel.go(run)
    assert snapshot.phase == "stopped"
    assert code in snapshot.note
    assert snapshot.count("failed") == 0
    assert len(rig.acts()) < 20
    rig.sandbox.clear_faults()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 40}
    assert rig.count(expected(plan)).holds


def test_rule_17_a_key_that_is_refused_at_a_resend_stops_the_run_too(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "nth": 1}, path=RETRY))
    rig.sandbox.add_fault(*post({"action": "status", "status": 401, "code": "UNAUTHORIZED", "nth": 2}, path=RETRY))
    run = kernel.bind(plan_retry(kernel.triaged()))
    assert kernel.go(run).phase == "stopped"
    assert outcomes(kernel.results(run)) == {"unknown": 1}
    assert len(rig.acts()) == 2
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}


def test_a_storm_of_refusals_by_rate_limit_counts_as_no_try(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="retry_after", method="POST", path=RETRY, seconds=2, times=12))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"succeeded": 1}
    assert table["tries"].tolist() == [1]
    assert len(rig.acts()) == 13


def test_rule_17_a_batch_refused_as_a_whole_fails_the_row_it_names_or_is_halved(rig):
    kernel = rig.kernel()
    rig.sandbox.add_fault(
        Fault(
            action="status", method="POST", path=BULK, status=400, code="VALIDATION_ERROR", details={"index": 3}, nth=1
        )
    )
    table = kernel.run(plan_rows(rig, 8))
    assert outcomes(table) == {"succeeded": 7, "failed": 1}
    assert table["outcome"].tolist()[3] == "failed"
    rig.sandbox.add_fault(Fault(action="status", method="POST", path=BULK, status=400, code="VALIDATION_ERROR", nth=1))
    rig.sandbox.add_fault(Fault(action="status", method="POST", path=BULK, status=422, code="", nth=2))
    other = kernel.run(plan_bulk(rig.campaign(8, start=20), key="row_id"))
    assert outcomes(other) == {"succeeded": 8}
    assert set(other["batch"]) == {1}
    assert other["idempotency_key"].nunique() == 3, "a half, and two quarters"
    assert set(rig.created().values()) == {1}


def test_rule_18_a_terminal_status_settles_only_after_the_post_has_moved(rig):
    """202, and the first looks still say "failed"."""
    rig.sandbox.set_switches(linger_failed_seconds=3.0)
    world.plant_posts(rig.sandbox, 6)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": len(table)}
    assert rig.count(expected(plan)).holds


def test_rule_18_targets_that_the_answer_skips_fail_at_once(rig):
    world.plant_posts(rig.sandbox, 1)
    for target in rig.sandbox.world.posts["post_f00000"].targets[:1]:
        target.retry_count = 3
    kernel = rig.kernel()
    table = kernel.run(plan_retry(kernel.triaged()))
    assert table["outcome"].tolist() == ["failed", "succeeded"]
    assert table["error_message"][0] == "retry limit reached"


def test_rule_18_skipped_at_a_resend_may_be_what_the_first_try_queued(rig):
    """Keys are ignored: the resend is executed, and skips the target because the first try has it publishing."""
    rig.sandbox.set_switches(ignore_keys=True, publish_seconds=[400.0, 500.0])
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    operation = kernel.ledger.operations_of(run)[0]
    eventloop.run(kernel.client.raw("POST", operation.path))
    rig.sandbox.advance(350)
    with kernel.ledger.atomic() as db:
        db.execute(
            "UPDATE operations SET state = 'unknown', tries = 1, first_sent = 1e9, last_sent = 1e9, credential = ?",
            (kernel.engine._sender._credential,),
        )
    cleared = kernel.ledger.clearance(kernel.ledger.operation(operation.id), read=kernel.ledger.now())
    kernel.engine._sender._deadline = 1e12
    eventloop.run(kernel.engine._sender.send(kernel.engine.drive(run), cleared))
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}


def test_rule_18_skipped_at_a_resend_is_believed_when_nothing_has_moved(rig):
    """The first answer is lost, the second is its replay: both skipped the target, which stays as it was."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    rig.sandbox.world.posts["post_f00000"].targets[0].retry_count = 3
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"failed": 1}
    assert table[["error_code", "error_message", "tries"]].values.tolist() == [["SKIPPED", "retry limit reached", 2]]
    assert table["settled_at"][0] - pd.Timestamp(rig.sandbox.effects("post.retry")[0]["at"]) >= pd.Timedelta(
        seconds=300
    )


def test_rule_19_a_redelivery_is_done_when_its_count_and_its_result_moved(rig):
    world.plant_deliveries(rig.sandbox, 3)
    kernel = rig.kernel()
    plan = plan_redeliver(kernel.deliveries())
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": 3}
    assert rig.count(expected(plan)).holds


def test_rule_19_a_redelivery_in_a_slow_queue_is_not_sent_again(rig):
    """500 after the work, no key kept, and the delivery shows no sign of being queued: only time tells."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    world.plant_deliveries(rig.sandbox, 3)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "when": "after", "times": 3}, path=REDELIVER))
    table = kernel.run(plan_redeliver(kernel.deliveries()))
    assert outcomes(table) == {"succeeded": 3}
    assert rig.effects("delivery.resend") == 3


def test_rule_19_a_redelivery_that_fails_as_before_is_never_taken_for_absent(rig):
    """The receiver answers as it did, with the same latency; only the count says that it was tried."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    rig.sandbox.receiver(status=503, latency_ms=1200)
    world.plant_deliveries(rig.sandbox, 1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "when": "after"}, path=REDELIVER))
    table = kernel.run(plan_redeliver(kernel.deliveries()))
    assert rig.effects("delivery.resend") == 1
    assert outcomes(table) in ({"unknown": 1}, {"failed": 1})


def test_rule_19_young_deliveries_are_held_unless_forced(rig):
    world.plant_deliveries(rig.sandbox, 2)
    young = next(iter(rig.sandbox.world.deliveries.values()))
    young.created_at = rig.sandbox.world.now() - 60_000
    kernel = rig.kernel()
    frame = kernel.deliveries()
    assert plan_redeliver(frame).eligible == 1
    assert plan_redeliver(frame, force=True).eligible == 2


def test_rule_20_four_outcomes_sum_to_the_eligible_rows(rig):
    world.plant_posts(rig.sandbox, 12, targets=1)
    kernel = rig.kernel()
    frame = kernel.triaged()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT", "nth": 1}, path=RETRY))
    edit(rig, "post_f00003")
    plan = plan_retry(frame)
    run = kernel.bind(plan)
    sums = []

    class Watcher:
        def notice(self, snapshot: Any) -> None:
            sums.append(sum(cell.count for cell in snapshot.cells))

    kernel.go(run, observer=Watcher())
    assert set(sums) == {plan.eligible}
    table = kernel.results(run)
    assert len(table) == plan.eligible
    assert outcomes(table) == {"succeeded": 10, "failed": 1, "pending": 1}
    assert table.loc[table["outcome"] == "pending", "waiting_for"].notna().all()


def test_rule_20_what_only_a_person_moves_does_not_hold_the_wait(rig):
    """A retried post goes back to approval: the run ends and says so."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    work = caught(rig, kernel, run, RETRY, when="after")
    kept = rig.sandbox.world.posts["post_f00000"]
    rig.sandbox.world.events.clear()
    kept.status = "pending_approval"
    rig.sandbox.world.touch(kept, rig.sandbox.world.now())
    time.sleep(HELD)
    rig.clock.speed = None
    assert work.result(30).phase == "done"
    assert kernel.results(run)["waiting_for"].tolist() == ["the post is pending_approval"]


# -- living with it ----------------------------------------------------------------------------------------------------


def test_rule_21_two_senders_on_one_ledger_do_everything_once(rig):
    world.plant_posts(rig.sandbox, 40)
    one, two = rig.kernel(), rig.kernel()
    plans = [plan_retry(one.triaged()), plan_rows(rig, 200)]
    wanted = set().union(*map(expected, plans))
    rig.clock.speed = 200
    works = [(kernel, run, kernel.start(run)) for plan in plans for kernel in (one, two) for run in [kernel.bind(plan)]]
    for _, _, work in works:
        work.result(60)
    assert rig.count(wanted).holds
    assert rig.count(wanted).effects == len(wanted)
    for kernel, run, _ in works:
        assert set(outcomes(kernel.results(run))) == {"succeeded"}
    keys_sent = Counter(entry["key"] for entry in rig.acts())
    assert max(keys_sent.values()) == 1, "nobody repeated the other"


def test_rule_21_a_lease_outlives_its_sender_and_no_longer(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    first, second = rig.kernel(), rig.kernel()
    run = first.bind(plan_retry(first.triaged()))
    killed(rig, first, run, RETRY)
    assert second.ledger.abandon() == 0, "the lease still holds"
    rig.sandbox.advance(91)
    assert second.ledger.abandon() == 1
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


def test_rule_21_whoever_wakes_late_writes_nothing_over(rig):
    """A sender is suspended with the answer in hand; meanwhile another has settled the operation by reading."""
    world.plant_posts(rig.sandbox, 1, targets=1)
    sleeper, other = rig.kernel(), rig.kernel()
    run = sleeper.bind(plan_retry(sleeper.triaged()))
    answered = sleeper.engine._sender._answered

    async def late(drive: Any, claim: Any, reply: Any) -> None:
        await _loop_thread(lambda: rig.sandbox.advance(200))
        await other._go(run)
        await answered(drive, claim, reply)

    sleeper.engine._sender._answered = late
    sleeper.go(run)
    assert outcomes(sleeper.results(run)) == {"succeeded": 1}
    assert sleeper.ledger.operations_of(run, ("settled",))
    assert rig.effects("post.retry") == 1


def test_rule_21_a_batch_is_not_formed_anew_while_another_sends_it(rig):
    """One sender finds a row late and would re-form the batch; the other has it already under way, as it was."""
    kernel, other = rig.kernel(), rig.kernel()
    frame = rig.campaign(4)
    frame.loc[0, "scheduled_for"] = (rig.sandbox.now() + timedelta(minutes=30)).isoformat()
    run = kernel.bind(plan_bulk(frame, key="row_id"))
    stored = kernel.ledger.operations_of(run)[0]
    claim = other.ledger.claim(
        other.ledger.clearance(stored),
        owner="o",
        credential="c",
        server_now=other.client.now().timestamp(),
        deadline=HOUR,
    )
    rig.sandbox.advance(HOUR)
    eventloop.run(kernel.client.identity())
    assert eventloop.run(kernel.engine._sender._drop_past(kernel.ledger.clearance(stored))) is None
    assert kernel.ledger.operation(stored.id).state == "sent"
    assert len(kernel.ledger.members(claim.operation.id)) == 4
    assert len(kernel.ledger.operations_of(run)) == 1


def test_rule_22_a_paused_run_sends_nothing_more_and_attaching_sends_nothing(rig):
    world.plant_posts(rig.sandbox, 30, targets=1)
    first = rig.kernel()
    plan = plan_retry(first.triaged())
    run = first.bind(plan)
    drive = first.engine.drive(run)
    rig.clock.speed = 100
    rig.sandbox.add_fault(Fault(action="delay", method="POST", path=RETRY, seconds=0.05, times=None))
    work = eventloop.submit(first.engine.go(drive))
    wait_for(lambda: len(rig.acts()) >= 5)
    drive.paused = True
    drive.changed.set()
    eventloop.run(drive.quiet())
    sent = len(rig.acts())
    assert 5 <= sent < 30
    work.result(60)
    assert len(rig.acts()) == sent
    rig.sandbox.clear_faults()
    rig.clock.speed = None
    second = rig.kernel()
    attached = second.engine.drive(run)
    attached.paused = True
    eventloop.run(second.engine.go(attached))
    assert len(rig.acts()) == sent
    assert outcomes(second.results(run)) == {"succeeded": sent, "pending": 30 - sent}
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 30}
    assert rig.count(expected(plan)).holds


def test_rule_22_leaving_the_workspace_stops_sending_settles_and_says_how_to_go_on(rig, tmp_path, capsys):
    world.plant_posts(rig.sandbox, 30, targets=1)
    rig.sandbox.add_fault(Fault(action="delay", method="POST", path=RETRY, seconds=0.05, times=None))
    with vx.connect(rig.sandbox.api_key, url=rig.sandbox.url, ledger=tmp_path / "left.sqlite") as ws:
        plan = vx.plan_retry(vx.triage(vx.targets(ws.posts(status="failed"))))
        run = ws.run(plan)
        wait_for(lambda: len(rig.acts()) >= 5)
    sent = len(rig.acts())
    assert sent < 30
    time.sleep(0.2)
    assert len(rig.acts()) == sent
    assert f"ws.attach('{run.id}')" in capsys.readouterr().out
    with sqlite3.connect(tmp_path / "left.sqlite") as db:
        assert db.execute("SELECT count(*) FROM operations WHERE state = 'sent'").fetchone() == (0,)
    rig.sandbox.clear_faults()
    rig.sandbox.set_speed(500)
    with vx.connect(rig.sandbox.api_key, url=rig.sandbox.url, ledger=tmp_path / "left.sqlite") as ws:
        again = ws.attach(run.id)
        again.wait(30)
        assert len(rig.acts()) == sent
        again.resume().wait(60)
        assert outcomes(again.results()) == {"succeeded": 30}
    rig.sandbox.set_speed(0)
    assert rig.count(expected(plan)).holds


def test_rule_23_under_another_key_an_unknown_is_never_resent_but_read(rig):
    """Keys belong to an API key: what another one sent is unknown to the server, so a resend would act twice."""
    world.plant_posts(rig.sandbox, 2)
    first = rig.kernel()
    plan = plan_retry(first.triaged())
    run = first.bind(plan)
    rig.sandbox.add_fault(
        *post({"action": "drop", "when": "after", "nth": 1}, {"action": "drop", "when": "before", "nth": 2}, path=RETRY)
    )
    drive = first.engine.drive(run)
    work = eventloop.submit(first.engine.go(drive))
    wait_for(lambda: len(rig.acts()) == 2)
    first.kill(work)
    rig.sandbox.advance(100)
    second = rig.kernel(api_key="vb_test_second")
    second.go(run)
    table = second.results(run)
    assert outcomes(table) == {"succeeded": len(table)}
    assert rig.count(expected(plan)).holds
    again = [datetime.fromisoformat(entry["at"]) for entry in rig.acts() if entry["api_key"] == "vb_test_second"]
    assert all(at - datetime.fromisoformat(rig.acts()[1]["at"]) >= timedelta(minutes=5) for at in again)


def test_rule_23_the_key_is_kept_as_a_salted_fingerprint_only(rig):
    one, two = rig.kernel("one"), rig.kernel("two")
    assert one.ledger.credential("vb_live_x") != two.ledger.credential("vb_live_x")
    assert (
        one.ledger.credential("vb_live_x") == one.ledger.credential("vb_live_x") != one.ledger.credential("vb_live_y")
    )
    one.run(plan_rows(rig, 2))
    one.close()
    assert rig.sandbox.api_key.encode() not in b"".join(path.read_bytes() for path in rig.folder.glob("one.sqlite*"))


def test_rule_23_without_an_identity_planning_works_and_running_refuses(rig, monkeypatch, tmp_path):
    rig.sandbox.set_switches(no_identity=True)
    world.plant_posts(rig.sandbox, 1)
    with vx.connect(rig.sandbox.api_key, url=rig.sandbox.url) as ws:
        plan = vx.plan_retry(vx.triage(vx.targets(ws.posts(status="failed"))))
        assert plan.eligible == 2
        with pytest.raises(LedgerError, match="identity"):
            ws.run(plan)
    assert rig.acts() == []
    path = ledger_file.default_path("api.voxburst.io", "ws_1")
    assert path.name == "api.voxburst.io-ws_1.sqlite"


def test_rule_24_forgetting_keeps_identity_and_outcome(rig):
    kernel = rig.kernel()
    plan = plan_rows(rig, 3)
    kernel.run(plan)
    dropped = audit.prune(kernel.ledger, datetime.now(UTC) + timedelta(days=400))
    assert dropped == 1
    assert kernel.ledger.query("SELECT count(*) FROM operations WHERE body IS NOT NULL OR reply IS NOT NULL")[0][0] == 0
    rig.sandbox.advance(30 * HOUR)
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": 3}
    assert table["result_id"].notna().all()
    assert set(rig.created().values()) == {1}


def test_rule_25_the_ledger_is_private_and_lives_in_the_data_folder(tmp_path):
    path = tmp_path / "deep" / "l.sqlite"
    ledger_file.open_database(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    import platformdirs

    assert str(ledger_file.default_path("h", "w")).startswith(platformdirs.user_data_dir("voxops", appauthor=False))


def test_rule_25_a_network_file_system_is_warned_of_and_refused_if_its_locks_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_file, "_file_system", lambda path: "nfs4")
    with pytest.warns(UserWarning, match="network file system"):
        db = ledger_file.open_database(tmp_path / "net.sqlite")
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    db.close()
    monkeypatch.setattr(ledger_file, "locks_hold", lambda path: False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(LedgerError, match="ledger="):
            ledger_file.open_database(tmp_path / "other.sqlite")


# -- the whole ---------------------------------------------------------------------------------------------------------


def test_cancelling_a_post_happens_once_and_is_read_back(rig):
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 3))
    rig.sandbox.add_fault(
        *post({"action": "drop", "when": "after", "nth": 1}, {"action": "status", "when": "after", "nth": 2})
    )
    table = kernel.run(plan_cancel(kernel.posts("scheduled")))
    assert outcomes(table) == {"succeeded": 3}
    assert rig.effects("post.cancel") == 3


def test_a_fix_with_new_content_happens_once(rig):
    world.plant_posts(rig.sandbox, 2)
    kernel = rig.kernel()
    frame = kernel.triaged().assign(new_content="better words")
    rig.sandbox.add_fault(
        *post({"action": "drop", "when": "after", "nth": 1}, {"action": "status", "when": "before", "nth": 2})
    )
    plan = plan_fix(frame)
    table = kernel.run(plan)
    assert outcomes(table) == {"succeeded": len(frame)}
    assert rig.count(expected(plan)).holds


def test_every_rule_has_a_test():
    """All 25 numbers stand in the names of tests."""
    names = [
        node.name
        for node in ast.walk(ast.parse(Path(__file__).read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    numbers = {int(found.group(1)) for name in names if (found := re.match(r"test_rule_(\d\d)_", name))}
    assert numbers == set(range(1, 26))


# -- what was planned before, and what the analyst wants now --------------------------------------------------------------


def test_rule_03_an_unsent_retry_of_the_post_gives_way_to_one_of_its_target(rig):
    """The whole post was planned and stopped by a 403; then one platform is chosen: only that one may go out."""
    world.plant_posts(rig.sandbox, 1, targets=2)
    kernel = rig.kernel()
    triaged = kernel.triaged()
    rig.sandbox.add_fault(*post({"action": "status", "status": 403, "code": "AUTHORIZATION_ERROR"}))
    kernel.go(kernel.bind(plan_retry(triaged)))
    chosen = triaged[triaged["platform"] == triaged["platform"].iloc[0]]
    assert outcomes(kernel.run(plan_retry(chosen))) == {"succeeded": 1}
    assert rig.effects("target.requeue") == 1


def test_rule_03_what_hangs_is_given_up_only_for_what_is_tried_in_its_place(rig):
    """A retry hangs; the analyst says so, but the post was edited since: the new row is held, and the old act is still watched."""
    rig.sandbox.set_switches(
        **{**asdict(Switches()), "silent_webhooks": True, "recovery_rate": 1.0, "publish_seconds": (2400.0, 2400.0)}
    )
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    first = kernel.bind(plan_retry(kernel.triaged()))
    _send_once(kernel, first)
    rig.sandbox.advance(1000)
    hanging = kernel.triaged("publishing", "pending", "failed", "partial").assign(retryable=True)
    edit(rig, hanging["post_id"].iloc[0])
    second = kernel.bind(plan_retry(hanging))
    assert kernel.results(second)["waiting_for"].str.contains("changed since loaded").all()
    rig.sandbox.advance(5000)
    kernel.go(first)
    assert outcomes(kernel.results(first)) == {"succeeded": 1}


def _send_once(kernel: Kernel, run: str) -> None:
    """Send the first operation of a run and look no further, as a kernel that dies right after."""
    drive = kernel.engine.drive(run)
    drive.closed = True
    eventloop.run(kernel.engine._sender.send(drive, kernel.ledger.clearance(kernel.ledger.operations_of(run)[0])))


@pytest.mark.parametrize("refused", [402, 403])
def test_rule_07_canaries_chosen_after_a_plain_run_was_stopped_go_first(rig, refused):
    kernel = rig.kernel()
    plan = plan_rows(rig, 60)
    rig.sandbox.add_fault(
        *post({"action": "status", "status": refused, "code": "LIMIT_EXCEEDED", "times": 2}, path=BULK)
    )
    kernel.go(kernel.bind(plan))
    assert rig.effects("post.create") == 0
    assert outcomes(kernel.run(plan.canary(3))) == {"succeeded": 60}
    sizes = [effect["request"] for effect in rig.sandbox.effects("post.create")]
    assert Counter(sizes).most_common()[-1][1] == 3, "the canaries went alone"
    assert rig.count(expected(plan)).holds


def test_rule_06_a_create_is_not_sent_again_after_its_time(rig):
    """The first try was lost on its way; when it could be sent again, the time of its rows has passed."""
    kernel = rig.kernel()
    frame = rig.campaign(2)
    frame["scheduled_for"] = (rig.sandbox.now() + timedelta(seconds=40)).isoformat()
    world.plant_posts(rig.sandbox, 1)  # shows that posts have metadata, so that absence can be proved
    rig.sandbox.add_fault(*post({"action": "drop", "when": "before"}, path=BULK))
    table = kernel.run(plan_bulk(frame, key="row_id"))
    assert rig.effects("post.create") == 0
    assert table["waiting_for"].str.contains("its time has passed").all()


def test_rule_06_time_that_passes_between_a_reading_and_its_resend_counts(rig):
    """A batch of which nobody knows is cleared in time, and its turn comes too late; and too late it is not cleared either."""
    kernel = rig.kernel()
    world.plant_posts(rig.sandbox, 1)  # shows that posts have metadata
    frame = rig.campaign(2)
    frame["scheduled_for"] = (rig.sandbox.now() + timedelta(seconds=100)).isoformat()
    run = kernel.bind(plan_bulk(frame, key="row_id"))
    rig.sandbox.add_fault(*post({"action": "drop", "when": "before"}, path=BULK))
    _send_once(kernel, run)
    rig.sandbox.advance(70)
    (unknown,) = kernel.ledger.operations_of(run)
    (cleared,) = eventloop.run(kernel.engine._settler.look([unknown])).resend
    rig.sandbox.advance(60)
    drive = kernel.engine.drive(run)
    eventloop.run(kernel.engine._sender.send(drive, cleared))
    assert "its time has passed" in drive.refused[unknown.id]
    assert eventloop.run(kernel.engine._settler.look([unknown])).resend == []
    assert rig.effects("post.create") == 0


def test_rule_13_a_new_ledger_finds_creates_that_wait_to_go_out_however_old(rig):
    kernel = rig.kernel("a")
    plan = plan_rows(rig, 5)
    wanted = expected(plan)
    kernel.run(plan)
    for number, later in enumerate((12 * HOUR, 31 * 24 * HOUR)):
        rig.sandbox.advance(later)
        world.plant_posts(rig.sandbox, 150, targets=1, name=f"other{number}")
    assert outcomes(rig.kernel("b").run(plan)) == {"succeeded": 5}
    assert rig.count(wanted).holds
    assert rig.effects("post.create") == 5


def test_rule_15_a_refused_batch_that_shows_items_is_read_and_not_sent_anew(rig):
    """422, five items say created and one is missing: what happened is looked up, nothing leaves under another key."""
    rig.sandbox.set_switches(bulk_status="422")
    kernel = rig.kernel()
    plan = plan_rows(rig, 6)
    wanted = expected(plan)
    rig.sandbox.add_fault(Fault(action="bulk_missing_index", method="POST", path=BULK))
    assert outcomes(kernel.run(plan)) == {"succeeded": 6}
    assert rig.effects("post.create") == 6
    assert rig.count(wanted).holds


def test_rule_18_a_stamp_alone_is_no_outcome_while_the_queue_may_be_slow(rig):
    """The post is edited while its retry waits in a slow queue; to call that a failure would be to retry it twice."""
    rig.sandbox.set_switches(linger_failed_seconds=180.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    _send_once(kernel, run)
    edit(rig, kernel.triaged()["post_id"].iloc[0])
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("target.publish") == 1


def test_rule_18_an_unknown_act_on_a_post_with_a_new_stamp_is_not_sent_again(rig):
    """No answer came, the server keeps no keys, and all that shows is a new stamp: it may be ours, so nothing is sent upon it."""
    rig.sandbox.set_switches(linger_failed_seconds=180.0, ignore_keys=True)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}, path=RETRY))
    _send_once(kernel, run)
    edit(rig, kernel.triaged()["post_id"].iloc[0])
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


def test_rule_19_a_redelivery_that_fails_exactly_as_before_ends_as_failed(rig):
    """The receiver is still away: the same error, no latency; only the count of tries shows that there was one."""
    world.plant_deliveries(rig.sandbox, 1)
    kernel = rig.kernel()
    rig.sandbox.receiver(status=503, latency_ms=1200)
    assert outcomes(kernel.run(plan_redeliver(kernel.deliveries()))) == {"failed": 1}
    again = kernel.run(plan_redeliver(kernel.deliveries().assign(attempt=2)))
    assert outcomes(again) == {"failed": 1}
    assert rig.effects("delivery.resend") == 2


def test_an_accepted_act_whose_job_was_lost_gives_way_to_a_next_attempt(rig):
    """A 202 after which nothing moves for a quarter of an hour; the analyst plans it as attempt 2."""
    rig.sandbox.set_switches(linger_failed_seconds=1e6)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    first = kernel.bind(plan_retry(kernel.triaged()))
    _send_once(kernel, first)
    rig.sandbox.advance(900)
    joined = kernel.bind(plan_retry(kernel.triaged()))
    assert outcomes(kernel.results(joined)) == {"pending": 1}, "the same attempt joins it"
    second = kernel.bind(plan_retry(kernel.triaged().assign(attempt=2)))
    assert [stored.state for stored in kernel.ledger.operations_of(second)] == ["planned"]
    assert kernel.results(first)["error_code"].tolist() == ["STUCK"]


def test_stop_after_failures_counts_what_is_refused_at_once(rig):
    world.plant_posts(rig.sandbox, 120, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "status": 409, "code": "CONFLICT", "times": None}, path=RETRY))
    run = kernel.bind(plan_retry(kernel.triaged()))
    snapshot = kernel.go(run, stop_after_failures=5)
    assert "stopped after" in snapshot.note
    assert 5 <= outcomes(kernel.results(run))["failed"] < 60


def test_a_deleted_webhook_holds_its_own_rows_alone(rig):
    world.plant_deliveries(rig.sandbox, 4)
    kernel = rig.kernel()
    frame = kernel.deliveries()
    gone = frame["webhook_id"].iloc[0]
    with vx.connect(sandbox=rig.sandbox, ledger=rig.folder / "other.sqlite") as ws:
        eventloop.run(ws.client.webhooks.delete(gone))
    table = kernel.run(plan_redeliver(frame))
    away = table["webhook_id"] == gone
    assert table.loc[away, "waiting_for"].str.contains("no longer exists").all()
    assert (table.loc[~away, "outcome"] == "succeeded").all()


def test_pause_returns_when_reading_breaks_while_a_request_is_under_way(rig):
    world.plant_posts(rig.sandbox, 3, targets=1)
    kernel = rig.kernel(timeout=20.0)
    rig.clock.speed = 50
    run_id = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(
        Fault(action="delay", method="POST", path=RETRY, seconds=3 * HELD, nth=3),
        Fault(action="status", method="GET", path="/v1/posts**", status=400, code="BAD_REQUEST", times=None),
    )
    run = Run(PlanJob(kernel.engine, run_id))
    wait_for(lambda: "BAD_REQUEST" in run._drive.halted or "400" in run._drive.halted)
    run.pause()
    assert run._drive.in_flight == 0
    rig.sandbox.clear_faults()
    rig.clock.speed = None
    assert run.resume().wait().snapshot.phase == "done"
    assert outcomes(run.results()) == {"succeeded": 3}
