"""After a try of which nobody knows: reading first, retention, the mark, and proof of absence (rules 11 to 14)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import (
    BULK,
    HELD,
    HOUR,
    RETRY,
    each_once,
    edit,
    let_go,
    plan_rows,
    post,
    send_once,
    wait_for,
)

from voxburst_sandbox import Fault
from voxops.acts import keys
from voxops.acts.create import plan_create
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry


def partly(rig: Rig, items: int) -> None:
    """The next batch creates so many rows, and is answered 500."""
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=items))


@pytest.mark.parametrize(
    "reading", [{}, {"forget_key_on_5xx": True}, {"ignore_keys": True}], ids=["", "forgets", "ignores"]
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["drop", "status", "truncate"])
def test_rule_11_whatever_breaks_everything_happens_once(
    rig: Rig, reading: dict[str, bool], when: str, action: str
) -> None:
    rig.sandbox.set_switches(**reading)
    world.plant_posts(rig.sandbox, 3)
    world.plant_deliveries(rig.sandbox, 2)
    kernel = rig.kernel()
    plans = [plan_retry(kernel.triaged()), plan_redeliver(kernel.deliveries()), plan_rows(rig, 3)]
    wanted = set().union(*map(expected, plans))
    rig.sandbox.add_fault(*post({"action": action, "when": when, "times": 5}))
    for plan in plans:
        assert set(outcomes(kernel.run(plan))) == {"succeeded"}
    result = rig.count(wanted)
    assert result.holds
    assert result.effects == result.expected


@pytest.mark.parametrize("made", [0, 12, 20])
@pytest.mark.parametrize("lag", [0.0, 5.0, 20.0, 60.0])
def test_rule_11_a_500_in_the_middle_of_a_batch_creates_no_row_twice(rig: Rig, made: int, lag: float) -> None:
    """12 of 20 are created, 500, lists lag, and no key is kept: a blind resend makes 12 duplicates."""
    rig.sandbox.set_switches(list_lag_seconds=lag, forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1)
    partly(rig, made)
    assert outcomes(rig.kernel().run(plan_rows(rig, 20))) == {"succeeded": 20}
    each_once(rig, 20)
    sent = [datetime.fromisoformat(entry["at"]) for entry in rig.acts()]
    assert made in {0, 20} or sent[1] - sent[0] >= timedelta(minutes=5), "no row of the rest can be in flight any more"


def test_rule_11_after_six_tries_the_row_says_what_came_of_them(rig: Rig) -> None:
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "times": 2}, {"action": "status", "times": None}, path=RETRY))
    (row,) = kernel.run(plan_retry(kernel.triaged())).to_dict("records")
    assert len(rig.acts()) == 6
    assert (row["outcome"], row["reason_code"], row["tries"]) == ("unknown", "tried_often", 6)
    assert (row["error_code"], row["http_status"]) == ("INTERNAL_ERROR", 500)


def test_rule_11_a_request_that_outlives_its_caller_is_waited_for(rig: Rig) -> None:
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
    wait_for(lambda: kernel.results(run)["outcome"].eq("unknown").all())
    let_go(rig)
    work.result(60)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert rig.effects("post.retry") == 1


def test_rule_11_a_retry_sent_again_without_proof_says_so(rig: Rig) -> None:
    rig.sandbox.set_switches(queue_hold_seconds=400.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}, path=RETRY))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert table["notice"].str.contains("may have gone out twice").all()
    assert rig.effects("post.retry") == 1, "the server knew the key"


@pytest.mark.parametrize("jump", [0.0, 26 * HOUR])
@pytest.mark.parametrize("what", ["retry", "create"])
def test_rule_12_past_the_retention_nothing_is_resent_that_is_not_proved_absent(
    rig: Rig, jump: float, what: str
) -> None:
    """What took effect is found. Of what did not, creates are proved absent; a retry stays unknown until its next attempt."""
    rig.sandbox.set_switches(key_retention_seconds=3600)
    world.plant_posts(rig.sandbox, 4)
    kernel, path = rig.kernel(retention=HOUR), RETRY if what == "retry" else "/v1/posts"
    plan = plan_retry(kernel.triaged()) if what == "retry" else plan_rows(rig, 4, one_by_one=True)
    faults = [{"action": "drop", "when": "after", "nth": 1}, {"action": "drop", "when": "before", "nth": 2}]
    rig.sandbox.add_fault(
        *post(*faults, *([{"action": "advance", "seconds": jump, "nth": 3}] if jump else []), path=path)
    )
    table = kernel.run(plan)
    left = table[table["outcome"] != "succeeded"]
    assert len(rig.acts()) == (4 if what == "retry" else 5)
    if what == "retry":
        assert set(left["reason_code"]) == {"resend_key_forgotten"}
        rig.sandbox.advance(601)
        assert outcomes(kernel.run(plan_retry(kernel.triaged().assign(attempt=2)))) == {"succeeded": len(left)}
        assert rig.count(expected(plan)).holds
    else:
        assert left.empty
        each_once(rig, 4)


@pytest.mark.parametrize("rows", [10, 60])
def test_rule_13_a_ledger_that_was_lost_finds_its_creates_by_their_mark(rig: Rig, rows: int) -> None:
    """Colab lost its disk. First some rows are run, then all: the search must not be spent on the first."""
    plan = plan_rows(rig, 60)
    assert outcomes(rig.kernel("lost").run(plan)) == {"succeeded": 60}
    for number, later in enumerate((12 * HOUR, 31 * 24 * HOUR)):  # what waits to go out is found however old it is
        rig.sandbox.advance(later)
        world.plant_posts(rig.sandbox, 150, targets=1, name=f"other{number}")
    second = rig.kernel("new")
    for wanted in (plan_rows(rig, rows), plan):
        assert outcomes(second.run(wanted)) == {"succeeded": len(wanted.items)}
    assert rig.count(expected(plan)).holds
    each_once(rig, 60)


@pytest.mark.parametrize("paused", [False, True])
def test_rule_13_a_colleague_s_rows_are_found_at_every_run(rig: Rig, paused: bool) -> None:
    """Also those that she created while the run was paused."""
    mine, hers = rig.kernel("mine"), rig.kernel("hers", api_key="vb_test_second")
    plan = plan_rows(rig, 5)
    run = mine.bind(plan) if paused else ""
    assert outcomes(mine.run(plan_rows(rig, 2))) == {"succeeded": 2}
    assert outcomes(hers.run(plan_rows(rig, 4))) == {"succeeded": 4}
    rig.sandbox.advance(30 * HOUR)
    run = run or mine.bind(plan)
    mine.go(run)
    assert outcomes(mine.results(run)) == {"succeeded": 5}
    each_once(rig, 5)


def test_rule_13_another_campaign_is_another_post(rig: Rig) -> None:
    kernel = rig.kernel()
    kernel.run(plan_rows(rig, 2))
    assert outcomes(kernel.run(plan_rows(rig, 2, campaign="again"))) == {"succeeded": 2}
    marks = {effect["mark"] for effect in rig.sandbox.effects("post.create")}
    assert len(marks) == 4
    assert keys.mark("again", "r00000", 1) in marks


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("switch", ["no_metadata", "no_listed_metadata"])
def test_rule_14_without_metadata_equal_posts_are_found_and_the_rest_is_created_once(
    rig: Rig, switch: str, edited: bool
) -> None:
    """Three of five were created before a 500; tags were edited since: a single read shows the mark, or what was requested."""
    rig.sandbox.set_switches(**{switch: True})
    kernel = rig.kernel()
    partly(rig, 3)
    run = kernel.bind(plan_rows(rig, 5))
    send_once(kernel, run)
    if edited:
        edit(rig, kernel.posts()["post_id"].iloc[0])
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 5}
    each_once(rig, 5)


def test_rule_14_equal_rows_are_matched_by_number(rig: Rig) -> None:
    """Twins: one of the two was created before a 500, and posts show no metadata. It stands for one of them, at each reading."""
    rig.sandbox.set_switches(no_metadata=True)
    kernel, sheet = rig.kernel(), rig.campaign(2)
    sheet = sheet.assign(content="twins", accounts=sheet["accounts"][0], twin=True)
    partly(rig, 1)
    run = kernel.bind(plan_create(sheet, key="row_id"))
    send_once(kernel, run)
    kernel.go(run)
    table = kernel.results(run)
    assert table["result_id"].dropna().is_unique
    assert rig.created()["twins"] == outcomes(table)["succeeded"]


@pytest.mark.parametrize("old", [False, True])
def test_rule_14_what_others_have_posted_keeps_no_row_waiting(rig: Rig, old: bool) -> None:
    """Older than what was sent, and edited; or of another text, on another account, gone out since it was created."""
    if old:
        known = {"status": "scheduled", "scheduledFor": str(world.FAR), "daysOld": 1}
        rig.sandbox.person.edit(rig.sandbox.plant_post("older", [rig.accounts["twitter"]], **known), tags=["later"])
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="status", method="POST", path=BULK, status=500))
    run = kernel.bind(plan_rows(rig, 4))
    if not old:
        theirs = rig.sandbox.plant_post("Lunch is ready", [rig.accounts["threads"]], status="published")
        rig.sandbox.advance(30)
        rig.sandbox.touch(theirs)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 4}
    each_once(rig, 4)


def test_rule_14_a_post_that_was_edited_since_may_be_any_row(rig: Rig) -> None:
    """Nothing shows metadata, and lists lag, so that nobody has seen it before it was edited."""
    rig.sandbox.set_switches(no_metadata=True, list_lag_seconds=20.0)
    kernel = rig.kernel()
    partly(rig, 3)
    run = kernel.bind(plan_rows(rig, 5))
    send_once(kernel, run)
    rig.sandbox.advance(30)
    rig.sandbox.person.edit(kernel.posts()["post_id"].iloc[0], content="other words")
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"succeeded": 2, "unknown": 3}
    assert set(table["reason_code"].dropna()) == {"cannot_tell"}
    each_once(rig, 3)


@pytest.mark.parametrize("hidden", [False, True])
def test_rule_14_an_empty_workspace_and_a_first_batch_that_failed(rig: Rig, hidden: bool) -> None:
    """A 500 without effect on the very first batch: an empty window is proof, so all rows are created, once, without a person."""
    rig.sandbox.set_switches(no_metadata=hidden)
    rig.sandbox.add_fault(*post({"action": "status", "status": 500, "when": "before"}, path=BULK))
    assert outcomes(rig.kernel().run(plan_rows(rig, 4))) == {"succeeded": 4}
    each_once(rig, 4)


@pytest.mark.parametrize("ours", [True, False])
def test_rule_14_a_row_created_twice_stops_the_run_and_a_later_copy_does_not(rig: Rig, ours: bool) -> None:
    """A second post with a row's mark, within the time in which our own sending can have created it, or of next year."""
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}, path=BULK))
    seen = kernel.engine.eyes.reader.created.read

    async def doubled(since: datetime, **options: Any) -> Any:
        listed = await seen(since, **options)
        later = {} if ours else {"created_at": "2027-01-01T00:00:00+00:00"}
        listed.take([replace(one, post_id=f"{one.post_id}_twin", **later) for one in tuple(listed.posts.values())])
        return listed

    kernel.engine.eyes.reader.created.read = doubled  # type: ignore[method-assign]
    run = kernel.bind(plan_rows(rig, 2))
    snapshot = kernel.go(run)
    assert (snapshot.phase, "have duplicates" in snapshot.note) == (("stopped", True) if ours else ("done", False))
    each_once(rig, 2)
