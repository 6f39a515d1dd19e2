"""After a try of which nobody knows: reading first, retention, the mark, and proof of absence (rules 11 to 14)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import outcomes
from tests.engine.steps import (
    BULK,
    HELD,
    HOUR,
    RETRY,
    edit,
    let_go,
    plan_rows,
    post,
    send_once,
    wait_for,
)

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts import keys
from voxops.acts.create import plan_create
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry


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


def test_rule_11_after_six_tries_the_row_says_what_came_of_them(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "status", "times": None}, path=RETRY))
    (row,) = kernel.run(plan_retry(kernel.triaged())).to_dict("records")
    assert len(rig.acts()) == 6
    assert row["outcome"] == "unknown"
    assert row["waiting_for"].startswith("the API answered 500 INTERNAL_ERROR six times; ")
    assert (row["error_code"], row["http_status"]) == ("INTERNAL_ERROR", 500)


def test_rule_11_tries_that_ended_otherwise_are_counted_each(rig):
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    faults = [{"action": "drop", "times": 2}, {"action": "status", "times": None}]
    rig.sandbox.add_fault(*post(*faults, path=RETRY))
    (row,) = kernel.run(plan_retry(kernel.triaged())).to_dict("records")
    assert row["waiting_for"].startswith("the API answered 500 INTERNAL_ERROR four times, no answer came twice; ")


def test_rule_11_a_request_that_outlives_its_caller_is_waited_for(rig):
    """The reply is slower than the time-out, the server then fails after the work and keeps no key: a quick resend acts twice."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1, targets=1)
    rig.clock.speed = 50
    kernel = rig.kernel(timeout=0.2)
    run = kernel.bind(plan_retry(kernel.triaged()))
    rig.sandbox.add_fault(
        Fault(action="delay", method="POST", path=RETRY, seconds=HELD),
        Fault(action="status", method="POST", path=RETRY, when="after"),
    )
    work = kernel.start(run)
    wait_for(lambda: kernel.ledger.operations.of_run(run, ("unknown",)))
    let_go(rig)
    work.result(60)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


def test_rule_11_two_senders_never_send_upon_one_reading(rig):
    """Both have read "not shown"; one resends, is answered 500 after the work, and no key is kept; the other must read again."""
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1, targets=1)
    one, two = rig.kernel(), rig.kernel()
    run = one.bind(plan_retry(one.triaged()))
    cleared = two.ledger.claims.clear(two.ledger.operations.of_run(run)[0])
    rig.sandbox.add_fault(*post({"action": "status", "when": "after"}, path=RETRY))
    current = two.execution(run).current
    one.go(run, stop_after_failures=1)
    eventloop.run(two.engine.sender.send(current, cleared))
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
    claim = ledger.claims.claim(
        ledger.claims.clear(ledger.operations.of_run(run)[0]), owner="a", credential="c", server_now=now, deadline=HOUR
    )
    ledger.claims.record(claim, state="unknown", status=None, reply=None, server_now=now, answered=False)
    again = ledger.claims.clear(ledger.operations.of_run(run)[0], read=ledger.now())
    refusal = ledger.claims.claim(again, owner="a", credential="c", server_now=now - 60, deadline=HOUR)
    assert refusal.why == "the clock is behind the ledger"
    late = ledger.claims.claim(again, owner="a", credential="c", server_now=now + HOUR + 1, deadline=HOUR)
    assert late.why == "the server may have forgotten its key; look at the dashboard whether it took effect"


def test_rule_13_a_ledger_that_was_lost_finds_its_creates_by_their_mark(rig):
    """Colab lost its disk. First ten rows are run, then all: the search must not be spent on the ten."""
    first = rig.kernel("lost")
    plan = plan_rows(rig, 60)
    wanted = expected(plan)
    assert outcomes(first.run(plan)) == {"succeeded": 60}
    rig.sandbox.advance(30 * HOUR)
    second = rig.kernel("new")
    ten = plan_create(rig.campaign(10), key="row_id")
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


def test_rule_14_without_metadata_equal_posts_are_found_and_the_rest_is_made_once(rig):
    """Three of five were made before a 500, and posts show no metadata: what is there is known by what it shows."""
    rig.sandbox.set_switches(no_metadata=True)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=3))
    table = kernel.run(plan_rows(rig, 5))
    assert outcomes(table) == {"succeeded": 5}
    assert set(rig.created().values()) == {1}
    assert len(rig.created()) == 5


@pytest.mark.parametrize("switch", ["no_metadata", "no_listed_metadata"])
def test_rule_14_a_post_that_was_edited_since_is_known_by_what_it_shows_still(rig, switch):
    """Its tags are others; a single read shows its mark, or the text, the accounts and the time that were asked for."""
    rig.sandbox.set_switches(**{switch: True})
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=3))
    run = kernel.bind(plan_rows(rig, 5))
    send_once(kernel, run)
    edit(rig, kernel.posts()["post_id"].iloc[0])
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 5}
    assert set(rig.created().values()) == {1}


def test_rule_14_what_a_colleague_has_posted_meanwhile_is_no_row(rig):
    """Another text, on another account, that has gone out since it was created: it keeps no row waiting."""
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="status", method="POST", path=BULK, status=500))
    run = kernel.bind(plan_rows(rig, 2))
    post = rig.sandbox.plant_post("Lunch is ready", [rig.accounts["threads"]], status="published")
    rig.sandbox.advance(30)
    rig.sandbox.touch(post)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}


def test_rule_14_a_post_that_was_edited_since_may_be_any_row(rig):
    rig.sandbox.set_switches(no_metadata=True)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=3))
    run = kernel.bind(plan_rows(rig, 5))
    send_once(kernel, run)
    rig.sandbox.advance(30)
    rig.sandbox.person.edit(kernel.posts()["post_id"].iloc[0], content="other words")
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"succeeded": 2, "unknown": 3}
    assert table["waiting_for"].dropna().str.contains("nobody can tell; look at the dashboard").all()
    assert set(rig.created().values()) == {1}


def test_rule_14_an_empty_workspace_and_a_first_batch_that_failed(rig):
    """A 500 without effect on the very first batch: an empty window is proof, so all rows are made, once, without a person."""
    for hidden in (False, True):
        rig.sandbox.set_switches(no_metadata=hidden)
        kernel = rig.kernel()
        rig.sandbox.add_fault(*post({"action": "status", "status": 500, "when": "before"}, path=BULK))
        table = kernel.run(plan_create(rig.campaign(4, start=10 * hidden), key="row_id"))
        assert outcomes(table) == {"succeeded": 4}
    assert set(rig.created().values()) == {1}
    assert len(rig.created()) == 8


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
    seen = kernel.engine.settler._reader.created

    async def doubled(since: datetime, **options: Any) -> Any:
        listed = await seen(since, **options)
        listed.take([replace(state, post_id=f"{state.post_id}_twin") for state in tuple(listed.posts.values())])
        return listed

    kernel.engine.settler._reader.created = doubled
    snapshot = kernel.go(run)
    assert snapshot.phase == "stopped"
    assert "was created twice" in snapshot.note

    async def copied(since: datetime, **options: Any) -> Any:
        listed = await seen(since, **options)
        later = "2027-01-01T00:00:00+00:00"
        listed.take(
            [
                replace(state, post_id=f"{state.post_id}_copy", created_at=later)
                for state in tuple(listed.posts.values())
            ]
        )
        return listed

    other = rig.kernel()
    other.engine.settler._reader.created = copied
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}, path=BULK))
    run = other.bind(plan_create(rig.campaign(2, start=10), key="row_id"))
    assert other.go(run).phase == "done"
    assert set(rig.created().values()) == {1}
