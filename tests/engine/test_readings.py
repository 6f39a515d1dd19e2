"""How old readings are, what others do while they last, clocks that are wrong, and few requests a minute (rules 1, 7, 9, 10 and 14)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chaos import world
from tests.chaos.rig import DAY, Kernel, Rig, outcomes, planned
from tests.engine.steps import BULK, HOUR, failing

from voxburst_sandbox import Fault, Sandbox, Switches
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.api.timing import CLEARED_FOR, CREATES_CLEARED_FOR, PROOF_AFTER, SKEW
from voxops.engine.facts import Moment, Readings


@pytest.mark.parametrize("action", ["advance", "retry_after"], ids=["asleep", "a rate limit"])
def test_rule_09_acts_are_bound_upon_a_reading_that_is_as_old_as_its_first_page(rig, action):
    """Somebody changes a post of the first page while the second one is waited for."""
    rig.planted(130)
    mine = rig.kernel("mine")
    plan = plan_cancel(mine.posts("scheduled"))
    top = plan.frame["post_id"].iloc[0]
    pages, seen = mine.client.pages, []

    async def watched(*args: Any, **options: Any) -> AsyncIterator[Any]:
        async for page in pages(*args, **options):
            yield page
            if not seen:
                seen.append(page)
                rig.edit(top)

    mine.client.pages = watched  # type: ignore[method-assign]
    seconds = {"advance": HOUR, "retry_after": 300.0}[action]
    rig.sandbox.add_fault(Fault(action=action, method="GET", path="/v1/posts", nth=2, seconds=seconds))
    assert outcomes(mine.run(plan)) == {"succeeded": 129, "blocked": 1}
    assert rig.sandbox.world.posts[top].status == "scheduled"


@pytest.mark.parametrize("what", ["posts", "deliveries"])
def test_rule_09_acts_go_out_where_lists_take_longer_than_a_reading_holds(rig, what):
    """What the list showed is too old when it ends: each post is read alone, right before it is sent."""
    mine = rig.kernel("mine")
    if what == "posts":
        rig.planted(110)
        plan = plan_cancel(mine.posts("scheduled"))
        changed = plan.frame["post_id"].iloc[7]
    else:
        world.plant_deliveries(rig.sandbox, 3)
        plan = plan_redeliver(mine.deliveries())
    rig.sandbox.add_fault(Fault(action="advance", method="GET", path="/v1/posts", times=None, seconds=CLEARED_FOR))
    run = mine.bind(plan)
    if what == "posts":
        rig.edit(changed)
    mine.go(run)
    expected = {"succeeded": 109, "blocked": 1} if what == "posts" else {"succeeded": 3}
    assert outcomes(mine.results(run)) == expected


HELD_UP = {
    "a rate limit": Fault(action="retry_after", method="GET", path="/v1/posts", nth=2, seconds=300),
    "a nap": Fault(action="advance", method="GET", path="/v1/posts", nth=2, seconds=320),
    "a night": Fault(action="advance", method="GET", path="/v1/posts", nth=2, seconds=26 * HOUR),
}


@pytest.mark.parametrize("held_up", HELD_UP)
def test_rows_are_not_created_again_upon_a_list_that_was_begun_too_early(rig, held_up):
    rig.sandbox.set_switches(list_lag_seconds=20.0, forget_key_on_5xx=True)
    kernel = rig.kernel()
    kernel.run(rig.plan_rows(120))  # more than one page
    rig.sandbox.advance(60)
    run = kernel.bind(plan_create(rig.campaign(5, start=500), key="row_id"))
    rig.sandbox.add_fault(*failing({"action": "status", "status": 500, "when": "after"}, path=BULK), HELD_UP[held_up])
    kernel.go(run)
    rig.each_once(125)
    assert outcomes(kernel.results(run)) == {"succeeded": 5}
    assert any(fault["struck"] for fault in rig.sandbox.faults() if fault["action"] == HELD_UP[held_up].action)


def test_a_colleague_who_posts_while_the_list_is_read_is_seen_before_anything_is_sent(rig):
    """The laptop sleeps for a night after the first page of its first reading; the same rows are created elsewhere meanwhile."""
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    mine.run(rig.plan_rows(120))
    rig.sandbox.advance(60)
    plan = plan_create(rig.campaign(5, start=500), key="row_id")
    theirs.run(plan)
    rig.sandbox.set_switches(list_lag_seconds=20.0)  # so that the first page does not show them yet
    rig.sandbox.add_fault(Fault("advance", "GET", "/v1/posts", nth=1, when="after", seconds=26 * HOUR))
    assert outcomes(mine.run(plan)) == {"succeeded": 5}
    rig.each_once(125)


def test_rule_10_a_post_of_the_future_hides_no_others(rig):
    """Somebody has imported a post of the day after tomorrow, which stands on top of the list; then a colleague runs the sheet."""
    world, post = rig.sandbox.world, rig.sandbox.plant_post("imported", [rig.accounts["twitter"]], status="draft")
    imported = world.posts[post]
    world.remove_post(imported)
    imported.created_at += 2 * 86_400_000
    world.add_post(imported)
    mine = rig.kernel("mine")
    mine.run(plan_create(rig.campaign(1).assign(content="older"), key="row_id", campaign="another"))
    rig.kernel("theirs").run(rig.plan_rows(150))
    rig.sandbox.advance(26 * HOUR)
    assert outcomes(mine.run(rig.plan_rows(150))) == {"succeeded": 150}
    rig.each_once(151)


def test_rule_08_a_row_that_was_added_to_a_sheet_just_now_goes_out_at_once(rig):
    """Whoever else is at work on a campaign is waited for; this ledger's own posts of a moment ago are nobody else's."""
    kernel = rig.kernel()
    kernel.run(planned(rig.campaign(3)))
    before = rig.sandbox.now()
    assert outcomes(kernel.run(planned(rig.campaign(4)))) == {"succeeded": 4}
    assert (rig.sandbox.now() - before).total_seconds() < 30
    assert set(rig.created().values()) == {1}


BOTH = pytest.mark.parametrize("what", ["create", "retry"])


def warm(rig: Rig, what: str) -> tuple[Kernel, Plan]:
    """A kernel that knows that lists show marks, and what it is about to send."""
    kernel = rig.kernel()
    if what == "retry":
        world.plant_posts(rig.sandbox, 1)
        return kernel, plan_retry(kernel.triaged())
    kernel.run(rig.plan_rows(1, campaign="before"))
    rig.sandbox.advance(300)
    return kernel, plan_create(rig.campaign(2, start=10), key="row_id", campaign="c")


def all_done(rig: Rig, what: str, kernel: Kernel, run: str) -> None:
    """One retry of two targets, or two creates beside the first."""
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert len(rig.sandbox.effects("post.retry" if what == "retry" else "post.create")) == (1 if what == "retry" else 3)


@BOTH
@pytest.mark.parametrize("ahead", [290.0, pytest.param(70.0, marks=pytest.mark.release), -100.0])
@pytest.mark.parametrize("fresh", [False, True], ids=["the same kernel", "another kernel"])
def test_rule_11_where_clocks_of_the_server_differ_nothing_is_sent_early(rig, what, ahead, fresh):
    """What answers reads is ahead of what was sent to, which keeps no key after a 500; lists lag, and a queue shows nothing at first."""
    kernel, plan = warm(rig, what)
    rig.sandbox.set_switches(list_lag_seconds=60.0, queue_hold_seconds=30.0)
    rig.sandbox.add_fault(*failing({"action": "status", "status": 500, "when": "after", "forget_key": True}))
    run = kernel.bind(plan)
    kernel.send_once(run)
    rig.sandbox.set_switches(date_ahead_seconds=ahead)
    if fresh:
        kernel.kill()
        kernel = rig.kernel()
    kernel.go(run)
    all_done(rig, what, kernel, run)


@BOTH
def test_rule_14_a_time_far_ahead_on_one_answer_leaves_nothing_unknown_for_ever(rig, what):
    """How old its key is, nobody knows (rule 9): creates are proved absent, a retry is tried as its next attempt."""
    kernel, plan = warm(rig, what)
    rig.sandbox.add_fault(*failing({"action": "status", "status": 500}))
    run = kernel.bind(plan)
    rig.sandbox.set_switches(date_ahead_seconds=200 * DAY)
    kernel.send_once(run)
    rig.sandbox.set_switches(date_ahead_seconds=0.0)
    kernel = rig.kernel()
    kernel.go(run)
    if what == "retry":
        assert set(kernel.results(run)["reason_code"]) == {"resend_key_forgotten"}
        rig.sandbox.advance(601)
        run = kernel.done(plan_retry(kernel.triaged().assign(attempt=2)))
    all_done(rig, what, kernel, run)


INSTANTS, WRONG = st.floats(0, 1e6, allow_nan=False), st.floats(-SKEW / 2, SKEW / 2)


def tried(end: float) -> Any:
    """A call of which nobody knows, as far as its age goes."""
    return SimpleNamespace(id=1, end=end, last_sent=end)


@given(ended=INSTANTS, until_seen=INSTANTS, watched=INSTANTS, then=WRONG, now=WRONG)
def test_an_age_is_never_more_than_the_true_one_and_grows_with_what_was_seen(ended, until_seen, watched, then, now):
    """Whichever clocks the server named the two times by, as long as they differ by no more than they may."""
    at, readings, call = 1e9 + ended + until_seen + now, Readings(), tried(1e9 + ended + then)
    readings.looked(call, Moment(at, 0.0))
    age = readings.looked(call, Moment(at + watched, watched)) or 0.0
    assert age <= until_seen + watched + 1e-3
    assert age >= min(watched, until_seen + watched - SKEW) - 1e-3, "or it would never be old enough"


@pytest.mark.parametrize(
    ("end", "at", "seen", "age"),
    [(0.0, 50.0, 10.0, 10.0), (0.0, 50.0 + SKEW, 10.0, 50.0), (60.0, 60.5, 10.0, 0.5), (60.0, 59.0, 10.0, 10.0),
     (60.0, 59.0, 0.0, None), (60.0, 100.0 + SKEW, 10.0, 40.0), (200 * DAY, 0.0, PROOF_AFTER, PROOF_AFTER)],
)  # fmt: skip
def test_an_age_counts_from_the_end_of_a_try_or_from_when_this_kernel_saw_it_over(end, at, seen, age):
    """Looked at first here, and again so many seconds later, in what the server calls the same instant."""
    readings, call = Readings(), tried(1e9 + end)
    readings.looked(call, Moment(1e9 + at, 0.0))
    found = readings.looked(call, Moment(1e9 + at, seen))
    assert found == (None if age is None else pytest.approx(age))


@pytest.fixture(
    params=[2, *(pytest.param(pace, marks=pytest.mark.release) for pace in (3, 6, 20))], ids="{}-a-minute".format
)
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    with Sandbox(seed=11, empty=True, rate_limit=request.param) as sandbox:
        sandbox.set_switches(**{**asdict(Switches()), "recovery_rate": 1.0, "silent_webhooks": True})
        world.plant_posts(sandbox, 42)
        world.plant_deliveries(sandbox, 24)
        rig = Rig(sandbox, tmp_path)
        yield rig
        rig.close()


def rows(kernel: Kernel) -> Plan:
    """More than there are senders, each a request of its own."""
    return plan_create(kernel.rig.campaign(30), key="row_id", one_by_one=True)


def targets(kernel: Kernel) -> Plan:
    """Of posts that have others, so that each is read by itself just before it is sent."""
    failed = kernel.triaged("failed")
    return plan_retry(failed[failed["platform"] == failed["platform"].min()])


def deliveries(kernel: Kernel) -> Plan:
    return plan_redeliver(kernel.deliveries())


@pytest.mark.parametrize(("plans", "reads"), [(rows, 2), (targets, 3), (deliveries, 3)])
def test_everything_goes_out_once_right_behind_what_was_read(slow, plans, reads):
    kernel = slow.kernel()
    plan, before = plans(kernel), len(slow.sandbox.requests())
    found = kernel.run(plan)
    assert set(found["outcome"]) == {"succeeded"}, found["waiting_for"].unique()
    record = slow.sandbox.requests()[before:]
    sent = [datetime.fromisoformat(entry["at"]) for entry in record if entry["acting"]]
    assert len(sent) == len(plan.items) >= 14
    assert sum(not entry["acting"] for entry in record) <= reads * len(plan.items) + 12
    if plans is rows:
        lists = [
            datetime.fromisoformat(entry["at"])
            for entry in record
            if (entry["path"], entry["method"], entry["status"]) == ("/v1/posts", "GET", 200)
        ]
        ages = [(at - max(read for read in lists if read <= at)).total_seconds() for at in sent]
        assert max(ages) <= CREATES_CLEARED_FOR


@pytest.mark.parametrize("pace", [2, pytest.param(3, marks=pytest.mark.release)])
def test_an_empty_workspace_is_looked_through_once_and_not_before_every_send(pace, tmp_path):
    """Three lists before each create would take all that a window lets through, and each create would come too late."""
    with Sandbox(seed=11, empty=True, rate_limit=pace) as sandbox:
        rig = Rig(sandbox, tmp_path)
        rig.kernel().run(plan_create(rig.campaign(120), key="row_id"))
        record = sandbox.requests()
        rig.close()
        assert len(sandbox.effects("post.create")) == 120
    asked = [f"{entry['at']} {entry['query'].get('status', entry['path'])}" for entry in record]
    assert sum(entry["acting"] for entry in record) == 3
    assert sum(" draft" in one for one in asked) < 3, "\n".join(asked)  # once more where time seemed to step back
    assert sum(not entry["acting"] for entry in record) <= 15, "\n".join(asked)


def test_one_request_a_minute_sends_nothing_upon_an_old_list_and_says_why(tmp_path):
    with Sandbox(seed=11, empty=True, rate_limit=1) as sandbox:
        world.plant_posts(sandbox, 1)
        rig = Rig(sandbox, tmp_path)
        found = rig.kernel().run(plan_create(rig.campaign(30), key="row_id", one_by_one=True))
        rig.close()
        assert not sandbox.requests(acting=True)
    assert set(found["outcome"]) == {"pending"}
    assert found["waiting_for"].str.contains("too few requests are let through").any()
