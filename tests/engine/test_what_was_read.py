"""How old a reading is, what names stand for by now, and what is said where reading will tell nothing more (rules 1, 11, 14 and 20)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, HOUR, RETRY, edit, live, send_once

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.timing import CLEARED_FOR, PROOF_AFTER, SKEW

FAR = "2027-03-01T09:00:00Z"


def waiting_posts(rig: Rig, count: int) -> list[str]:
    """Scheduled posts that can be withdrawn."""
    (account, *_) = rig.accounts.values()
    return [
        rig.sandbox.plant_post(f"text {number}", [account], status="scheduled", scheduledFor=FAR, daysOld=1)
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "held_up",
    [
        Fault(action="advance", method="GET", path="/v1/posts", nth=2, seconds=HOUR),
        Fault(action="retry_after", method="GET", path="/v1/posts", nth=2, seconds=300.0),
    ],
    ids=["asleep", "a rate limit"],
)
def test_rule_11_acts_are_bound_upon_a_reading_that_is_as_old_as_its_first_page(rig: Rig, held_up: Fault) -> None:
    """Somebody changes a post of the first page while the second one is waited for."""
    waiting_posts(rig, 130)
    mine = rig.kernel("mine")
    plan = plan_cancel(mine.posts("scheduled"))
    top = plan.frame["post_id"].iloc[0]
    pages, seen = mine.client.pages, []

    async def watched(*args: Any, **options: Any):
        async for page in pages(*args, **options):
            yield page
            if not seen:
                seen.append(page)
                edit(rig, top)

    mine.client.pages = watched
    rig.sandbox.add_fault(held_up)
    assert outcomes(mine.run(plan)) == {"succeeded": 129, "blocked": 1}
    assert rig.sandbox.world.posts[top].status == "scheduled"


@pytest.mark.parametrize("what", ["posts", "deliveries"])
def test_rule_11_acts_go_out_where_lists_take_longer_than_a_reading_holds(rig: Rig, what: str) -> None:
    """What the list showed is too old when it ends: each post is read alone, right before it is sent."""
    mine = rig.kernel("mine")
    if what == "posts":
        waiting_posts(rig, 250)
        plan = plan_cancel(mine.posts("scheduled"))
        changed = plan.frame["post_id"].iloc[7]
    else:
        world.plant_deliveries(rig.sandbox, 3)
        plan = plan_redeliver(mine.deliveries())
    rig.sandbox.add_fault(Fault(action="advance", method="GET", path="/v1/posts", times=None, seconds=CLEARED_FOR))
    run = mine.bind(plan)
    if what == "posts":
        edit(rig, changed)
    mine.go(run)
    expected = {"succeeded": 249, "blocked": 1} if what == "posts" else {"succeeded": 3}
    assert outcomes(mine.results(run)) == expected


@pytest.mark.parametrize("again", [False, True])
def test_rule_11_nothing_is_redelivered_upon_a_reading_from_before_a_night(rig: Rig, again: bool) -> None:
    """A colleague sends the deliveries again after they were read, for the plan or once more before they go out."""
    world.plant_deliveries(rig.sandbox, 3)
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    plan, their_plan = plan_redeliver(mine.deliveries()), plan_redeliver(theirs.deliveries())
    if again:
        run = mine.bind(plan)
        rig.sandbox.advance(70)
    read, seen = mine.engine.reader.deliveries, []

    async def slow(*args: Any, **options: Any):
        found = await read(*args, **options)
        if not seen:
            seen.append(found)
            await theirs._go(await theirs.engine.bind(their_plan, None))
            rig.sandbox.advance(26 * HOUR)
        return found

    mine.engine.reader.deliveries = slow
    if not again:
        run = mine.bind(plan)
    mine.go(run)
    assert seen
    assert outcomes(mine.results(run)) == {"blocked": 3}
    assert rig.effects("delivery.resend") == 3


@pytest.mark.parametrize("before", ["unsent", "a refused batch", "unknown"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_01_a_name_stands_for_the_account_that_bears_it_when_the_plan_is_run(
    rig: Rig, before: str, one_by_one: bool
) -> None:
    """The run has stopped before its posts were made; then the name moves to another account, and the cell is run again."""
    rig.kernel("teach").run(plan_create(rig.campaign(1, start=50), key="row_id", campaign="c"))
    rig.sandbox.advance(200)
    first, second = [one for one in rig.sandbox.world.accounts.values() if one.status == "active"][:2]
    sheet = rig.campaign(2).assign(accounts=f"{first.platform}:@{first.username.lstrip('@')}")
    plan = plan_create(sheet, key="row_id", campaign="c", one_by_one=one_by_one)
    mine = rig.kernel("mine")
    run = mine.bind(plan)
    if before != "unsent":
        status, code = (402, "LIMIT_EXCEEDED") if before == "a refused batch" else (500, "INTERNAL_ERROR")
        rig.sandbox.add_fault(Fault(action="status", status=status, code=code, method="POST", times=None))
        send_once(mine, run)
        rig.sandbox.clear_faults()
    second.platform, first.username, second.username = first.platform, f"was_{first.username}", first.username
    again = mine.bind(plan)
    mine.go(again)
    if before == "unknown" or (before == "a refused batch" and not one_by_one):
        assert "blocked" in outcomes(mine.results(again)), (
            "what may be under way is not asked for of another account, too"
        )
    rig.sandbox.advance(PROOF_AFTER + 1)
    again = mine.bind(plan)
    mine.go(again)
    rig.sandbox.advance(PROOF_AFTER + 1)
    again = mine.bind(plan)
    mine.go(again)
    table = mine.results(again)
    assert outcomes(table) == {"succeeded": 2}
    was_sent = before == "unknown" or (before == "a refused batch" and not one_by_one)
    assert table["attempt"].max() == 1 + was_sent, "a key that was sent is not sent with other bytes"
    made = [post for post in rig.sandbox.world.posts.values() if post.content in set(sheet["content"])]
    assert [[target.account_id for target in post.targets] for post in made] == [[second.id], [second.id]]


def test_rule_14_a_row_of_which_nobody_can_tell_keeps_no_other(rig: Rig) -> None:
    """No post bears a mark, and a colleague's has the account and time of the first row."""
    rig.sandbox.set_switches(no_metadata=True)
    rig.kernel("theirs").run(plan_create(rig.campaign(1, start=50), key="row_id", campaign="c"))
    rig.sandbox.advance(200)
    sheet = rig.campaign(4)
    plan = plan_create(sheet, key="row_id", campaign="c")
    rig.sandbox.add_fault(Fault(action="status", status=402, code="LIMIT_EXCEEDED", method="POST", path=BULK))
    for number in range(3):
        table = rig.kernel("mine").run(plan)
        rig.sandbox.advance(HOUR * number)
    assert table["outcome"].tolist() == ["unknown", "succeeded", "succeeded", "succeeded"]
    assert table["waiting_for"][0] == "a post that bears no mark may be it, and nobody can tell; look at the dashboard"
    assert [live(rig)[text] for text in sheet["content"]] == [0, 1, 1, 1]
    assert outcomes(rig.kernel("mine").run(plan)) == {"unknown": 1, "succeeded": 3}
    assert [live(rig)[text] for text in sheet["content"]] == [0, 1, 1, 1]
    (doubtful,) = (post.id for post in rig.sandbox.world.posts.values() if post.content not in set(sheet["content"]))
    rig.sandbox.person.delete(doubtful)
    assert outcomes(rig.kernel("mine").run(plan)) == {"succeeded": 4}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1, 1, 1], "alone, not with the batch that it was in"


@pytest.mark.parametrize("when", ["", "before", "after"])
@pytest.mark.parametrize("what", ["retry", "cancel", "update"])
def test_rule_20_an_act_whose_post_was_deleted_is_blocked_in_the_end(rig: Rig, what: str, when: str) -> None:
    if what == "retry":
        world.plant_posts(rig.sandbox, 1)
    else:
        waiting_posts(rig, 1)
    rig.sandbox.set_switches(publish_seconds=(100.0, 100.0))
    mine = rig.kernel("mine")
    plan = {
        "retry": lambda: plan_retry(mine.triaged("failed")),
        "cancel": lambda: plan_cancel(mine.posts("scheduled")),
        "update": lambda: plan_update(mine.posts("scheduled"), by="3D"),
    }[what]()
    run = mine.bind(plan)
    if when:
        method = "PATCH" if what == "update" else "POST"
        rig.sandbox.add_fault(Fault(action="status", status=500, method=method, path="/v1/**", when=when))
    send_once(mine, run)
    if what != "retry" and not when:
        assert outcomes(mine.results(run)) == {"succeeded": 1}
        return
    (post,) = rig.sandbox.world.posts
    rig.sandbox.person.delete(post)
    mine.go(run)
    assert set(mine.results(run)["outcome"]) <= {"pending", "unknown"}, "readings may lag"
    rig.sandbox.advance(PROOF_AFTER + 1)
    snapshot = mine.go(run)
    table = mine.results(run)
    assert set(table["outcome"]) == {"blocked"}
    assert set(table["waiting_for"]) == {"the post no longer exists; look at the dashboard"}
    assert snapshot.phase == "blocked"


def test_rule_20_an_unknown_act_on_a_post_that_was_changed_since_says_how_to_go_on(rig: Rig) -> None:
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1)
    mine = rig.kernel("mine")
    triaged = mine.triaged("failed")
    run = mine.bind(plan_retry(triaged))
    rig.sandbox.add_fault(Fault(action="status", status=500, method="POST", path=RETRY))
    send_once(mine, run)
    (post,) = rig.sandbox.world.posts
    edit(rig, post)
    mine.go(run)
    table = mine.results(run)
    assert set(table["outcome"]) == {"unknown"}
    assert table["waiting_for"].str.contains("the post was changed since").all()
    begun = rig.sandbox.now()
    mine.go(run)
    assert (rig.sandbox.now() - begun).total_seconds() < PROOF_AFTER, "looking again tells nothing"
    rig.sandbox.advance(HOUR)
    assert set(mine.run(plan_retry(mine.triaged("failed").assign(attempt=2)))["outcome"]) == {"succeeded"}


@pytest.mark.parametrize("names", [["a", "b"], [1, 2], [1.0, 2.0]], ids=["texts", "numbers", "floats"])
def test_rule_20_rows_that_are_proved_absent_are_not_open(rig: Rig, names: list[Any]) -> None:
    rig.kernel("teach").run(plan_create(rig.campaign(1, start=50), key="row_id", campaign="c"))
    rig.sandbox.advance(200)
    mine = rig.kernel("mine")
    run = mine.bind(plan_create(rig.campaign(2).assign(row_id=names), key="row_id", campaign="c"))
    rig.sandbox.add_fault(
        Fault(action="status", status=402, code="LIMIT_EXCEEDED", method="POST", path=BULK, times=None)
    )
    send_once(mine, run)
    attrs = eventloop.run(mine.execution(run, paused=True).made()).attrs
    assert (attrs["open_rows"], attrs["unsent_rows"]) == ([str(name) for name in names], [])
    rig.sandbox.advance(PROOF_AFTER + SKEW + 1)
    eventloop.run(mine.engine.reconcile())
    attrs = eventloop.run(mine.execution(run, paused=True).made()).attrs
    assert (attrs["open_rows"], attrs["unsent_rows"]) == ([], [str(name) for name in names])
