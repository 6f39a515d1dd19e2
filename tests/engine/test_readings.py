"""How old readings are, what others do while they last, clocks that are wrong, and few requests a minute (rules 1, 7, 9, 10 and 14)."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from tests.chaos import world
from tests.chaos.rig import DAY, Rig, outcomes, planned
from tests.engine.steps import BULK, HOUR

from voxburst_sandbox import Fault, Sandbox
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.sync import plan_sync
from voxops.api.limits import CLEARED_FOR, CREATES_CLEARED_FOR, PROOF_AFTER, SKEW
from voxops.engine.facts import Moment, Readings


@pytest.mark.parametrize("action", ["advance", "retry_after"], ids=["asleep", "a rate limit"])
def test_rule_09_acts_are_bound_upon_a_reading_that_is_as_old_as_its_first_page(rig, action):
    """Somebody changes a post of the first page while the second one is waited for."""
    rig.planted(130)
    mine = rig.kernel("mine")
    plan = plan_cancel(mine.posts("scheduled"))
    top = plan.frame["post_id"].iloc[0]
    pages, seen = mine.client.pages, []

    async def watched(*args, **options):
        async for page in pages(*args, **options):
            yield page
            if not seen:
                seen.append(page)
                rig.edit(top)

    mine.client.pages = watched
    seconds = {"advance": HOUR, "retry_after": 300.0}[action]
    rig.sandbox.add_fault(Fault(action, "GET", "/v1/posts", nth=2, seconds=seconds))
    assert outcomes(mine.run(plan)) == {"succeeded": 129, "blocked": 1}
    assert rig.sandbox.world.posts[top].status == "scheduled"


def test_rule_09_acts_go_out_where_lists_take_longer_than_a_reading_holds(rig):
    """What the list showed is too old when it ends: each post is read alone, right before it is sent."""
    mine = rig.kernel("mine")
    rig.planted(110)
    plan = plan_cancel(mine.posts("scheduled"))
    rig.sandbox.add_fault(Fault("advance", "GET", "/v1/posts", times=None, seconds=CLEARED_FOR))
    run = mine.bind(plan)
    rig.edit(plan.frame["post_id"].iloc[7])
    mine.go(run)
    assert outcomes(mine.results(run)) == {"succeeded": 109, "blocked": 1}


@pytest.mark.parametrize(("action", "seconds"), [("retry_after", 300), ("advance", 320), ("advance", 26 * HOUR)])
def test_rows_are_not_created_again_upon_a_list_that_was_begun_too_early(rig, action, seconds):
    """A rate limit, a nap or a night falls between its pages."""
    rig.sandbox.set_switches(list_lag_seconds=20.0, forget_key_on_5xx=True)
    kernel = rig.kernel()
    kernel.run(rig.plan_rows(120))  # more than one page
    rig.sandbox.advance(60)
    run = kernel.bind(plan_create(rig.campaign(5, start=500), key="row_id"))
    held_up = Fault(action, "GET", "/v1/posts", nth=2, seconds=seconds)
    rig.sandbox.add_fault(Fault("status", "POST", BULK, status=500, when="after"), held_up)
    kernel.go(run)
    rig.each_once(125)
    assert outcomes(kernel.results(run)) == {"succeeded": 5}
    assert all(fault["struck"] for fault in rig.sandbox.faults())


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


BOTH = pytest.mark.parametrize("what", ["create", "retry"])


def about_to_send(rig, what):
    """A kernel, and what it is about to send: two creates, or a retry of two targets."""
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    return kernel, rig.plan_rows(2) if what == "create" else plan_retry(kernel.triaged())


def all_done(rig, what, kernel, run):
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert rig.effects("post.create" if what == "create" else "target.requeue") == 2


@BOTH
@pytest.mark.parametrize(("ahead", "fresh"), [(290.0, False), (290.0, True), (-100.0, False), (-100.0, True)])
def test_rule_11_where_clocks_of_the_server_differ_nothing_is_sent_early(rig, what, ahead, fresh):
    """What answers reads is ahead of what was sent to, which keeps no key after a 500; lists lag, and a queue shows nothing at first."""
    kernel, plan = about_to_send(rig, what)
    rig.sandbox.set_switches(list_lag_seconds=60.0, queue_hold_seconds=30.0)
    rig.sandbox.add_fault(Fault("status", "POST", "/v1/**", status=500, when="after", forget_key=True))
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
    kernel, plan = about_to_send(rig, what)
    rig.sandbox.add_fault(Fault("status", "POST", "/v1/**", status=500))
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


def test_rule_07_a_date_of_the_year_9999_does_no_harm(rig):
    """Some answers show it, as where a gateway's clock is broken: creates and a sync end as always."""

    def synced():
        return kernel.run(plan_sync(sheet, kernel.posts(), key="row_id", campaign="c"))

    kernel, sheet, begun = rig.kernel(), rig.campaign(3), rig.sandbox.now()
    ahead = (datetime(9999, 12, 31, tzinfo=UTC) - begun).total_seconds()
    rig.sandbox.set_switches(date_ahead_seconds=ahead)
    assert outcomes(kernel.run(planned(sheet))) == {"succeeded": 3}
    rig.sandbox.set_switches(date_ahead_seconds=0.0)
    rig.sandbox.advance(100)
    sheet.loc[0, "content"] = "edited"
    rig.sandbox.set_switches(date_ahead_seconds=ahead)
    assert outcomes(synced()) == {"succeeded": 1}
    assert synced().empty
    assert rig.live() == Counter(sheet["content"])
    assert rig.sandbox.now() - begun < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("end", "at", "seen", "age"),
    [(0.0, 50.0, 10.0, 10.0), (0.0, 50.0 + SKEW, 10.0, 50.0), (60.0, 60.5, 10.0, 0.5), (60.0, 59.0, 10.0, 10.0),
     (60.0, 59.0, 0.0, None), (60.0, 100.0 + SKEW, 10.0, 40.0), (200 * DAY, 0.0, PROOF_AFTER, PROOF_AFTER)],
)  # fmt: skip
def test_an_age_counts_from_the_end_of_a_try_or_from_when_this_kernel_saw_it_over(end, at, seen, age):
    """Looked at first here, and again so many seconds later, in what the server calls the same instant."""
    readings, call = Readings(), SimpleNamespace(id=1, end=1e9 + end, last_sent=1e9 + end)
    readings.looked(call, Moment(1e9 + at, 0.0))
    found = readings.looked(call, Moment(1e9 + at, seen))
    assert found == (None if age is None else pytest.approx(age))


@pytest.fixture(params=[2, pytest.param(6, marks=pytest.mark.release)], ids="{}-a-minute".format)
def slow(request, tmp_path):
    with Sandbox(seed=11, empty=True, rate_limit=request.param) as sandbox:
        sandbox.set_switches(recovery_rate=1.0, silent_webhooks=True)
        world.plant_posts(sandbox, 42)
        world.plant_deliveries(sandbox, 24)
        rig = Rig(sandbox, tmp_path)
        yield rig
        rig.close()


PLANS = {
    "rows": lambda kernel: kernel.rig.plan_rows(30, one_by_one=True),  # more than there are senders
    # Of posts that have others, so that each is read by itself just before it is sent.
    "targets": lambda kernel: plan_retry(kernel.triaged("failed").query("platform == platform.min()")),
    "deliveries": lambda kernel: plan_redeliver(kernel.deliveries()),
}


@pytest.mark.parametrize("what", PLANS)
def test_everything_goes_out_once_right_behind_what_was_read(slow, what):
    kernel = slow.kernel()
    plan, before = PLANS[what](kernel), len(slow.sandbox.requests())
    found = kernel.run(plan)
    assert set(found["outcome"]) == {"succeeded"}, found["waiting_for"].unique()
    record = slow.sandbox.requests()[before:]
    sent = [datetime.fromisoformat(entry["at"]) for entry in record if entry["acting"]]
    assert len(sent) == len(plan.items) >= 14
    assert len(record) - len(sent) <= (2 if what == "rows" else 3) * len(sent) + 12
    shown = [entry for entry in record if (entry["path"], entry["status"]) == ("/v1/posts", 200)]
    lists = [datetime.fromisoformat(entry["at"]) for entry in shown]
    for at in sent if what == "rows" else ():
        assert (at - max(read for read in lists if read <= at)).total_seconds() <= CREATES_CLEARED_FOR


@pytest.mark.parametrize("pace", [1, 2, pytest.param(3, marks=pytest.mark.release)])
def test_an_empty_workspace_is_looked_through_once_and_not_before_every_send(pace, tmp_path):
    """Three lists before each create would take all that a window lets through; one request a minute sends nothing, and says why."""
    with Sandbox(seed=11, empty=True, rate_limit=pace) as sandbox:
        rig = Rig(sandbox, tmp_path)
        found = rig.kernel().run(rig.plan_rows(120))
        record = sandbox.requests()
        rig.close()
    acts, reads = ([entry for entry in record if entry["acting"] == each] for each in (True, False))
    if pace == 1:
        assert (set(found["outcome"]), acts) == ({"pending"}, [])
        assert found["waiting_for"].str.contains("too few requests are let through").any()
        return
    assert (set(found["outcome"]), len(acts)) == ({"succeeded"}, 3)
    # Once more where time seemed to step back.
    assert sum(entry["query"].get("status") == "draft" for entry in reads) < 3
    assert len(reads) <= 15


def test_rule_10_a_post_that_is_stamped_minutes_late_is_found_by_who_has_read_the_list_since(rig):
    """Another ledger's, which is out; it stands behind a page of posts, and before what was listed last."""
    sheet = rig.campaign(2)
    rig.kernel("theirs").run(planned(sheet.tail(1)))
    (late,) = rig.sandbox.world.posts.values()
    rig.sandbox.person.delete(late.id)
    account, ago = late.targets[0].account_id, 1 / DAY
    for seconds in [150] * 110 + [100]:
        rig.sandbox.plant_post("another", [account], status="published", daysOld=seconds * ago)
    rig.kernel("mine").run(planned(sheet.head(1)))
    fields = {"status": "published", "scheduledFor": sheet["scheduled_for"][1], "metadata": late.metadata}
    there = rig.sandbox.plant_post(late.content, [account], daysOld=250 * ago, **fields)
    rig.sandbox.advance(1000)
    rig.sandbox.plant_post("the newest", [account], status="published")
    assert rig.kernel("mine").run(planned(sheet.tail(1)))["result_id"].to_list() == [there]
    rig.each_once(2)
