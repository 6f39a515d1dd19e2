"""How old a reading is, what names stand for now, and what is said where reading will tell nothing more (rules 1, 11, 14, 20 and 30)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.days import DAY, codes, done, planted, send_first
from tests.engine.steps import BULK, HOUR, edit, live, others_post, plan_rows, planned
from tests.engine.verbs import made, reconcile, verify, withdrawn

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.timing import CLEARED_FOR, PROOF_AFTER, SKEW
from voxops.errors import DecodeError


def lost(path: str, when: str = "before", **details: Any) -> Fault:
    return Fault(**{"action": "status", "status": 500, "method": "POST", "path": path, "when": when, **details})


# The age of readings.


@pytest.mark.parametrize("action", ["advance", "retry_after"], ids=["asleep", "a rate limit"])
def test_rule_11_acts_are_bound_upon_a_reading_that_is_as_old_as_its_first_page(rig: Rig, action: str) -> None:
    """Somebody changes a post of the first page while the second one is waited for."""
    planted(rig, 130)
    mine = rig.kernel("mine")
    plan = plan_cancel(mine.posts("scheduled"))
    top = plan.frame["post_id"].iloc[0]
    pages, seen = mine.client.pages, []

    async def watched(*args: Any, **options: Any) -> AsyncIterator[Any]:
        async for page in pages(*args, **options):
            yield page
            if not seen:
                seen.append(page)
                edit(rig, top)

    mine.client.pages = watched  # type: ignore[method-assign]
    seconds = {"advance": HOUR, "retry_after": 300.0}[action]
    rig.sandbox.add_fault(Fault(action=action, method="GET", path="/v1/posts", nth=2, seconds=seconds))
    assert outcomes(mine.run(plan)) == {"succeeded": 129, "blocked": 1}
    assert rig.sandbox.world.posts[top].status == "scheduled"


@pytest.mark.parametrize("what", ["posts", "deliveries"])
def test_rule_11_acts_go_out_where_lists_take_longer_than_a_reading_holds(rig: Rig, what: str) -> None:
    """What the list showed is too old when it ends: each post is read alone, right before it is sent."""
    mine = rig.kernel("mine")
    if what == "posts":
        planted(rig, 110)
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
    expected = {"succeeded": 109, "blocked": 1} if what == "posts" else {"succeeded": 3}
    assert outcomes(mine.results(run)) == expected


@pytest.mark.parametrize("again", [False, True])
def test_rule_11_nothing_is_redelivered_upon_a_reading_from_before_a_night(rig: Rig, again: bool) -> None:
    """A colleague sends the deliveries again after they were read, for the plan or once more before they go out."""
    world.plant_deliveries(rig.sandbox, 3)
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    plan, their_plan = plan_redeliver(mine.deliveries()), plan_redeliver(theirs.deliveries())
    run = mine.bind(plan) if again else ""
    rig.sandbox.advance(70)
    read, seen = mine.engine.eyes.reader.deliveries, []

    async def slow(*args: Any, **options: Any) -> Any:
        found = await read(*args, **options)
        if not seen:
            seen.append(found)
            await theirs._go(await theirs.engine.bind(their_plan, None))
            rig.sandbox.advance(26 * HOUR)
        return found

    mine.engine.eyes.reader.deliveries = slow  # type: ignore[method-assign]
    run = run or mine.bind(plan)
    mine.go(run)
    assert (len(seen), outcomes(mine.results(run))) == (1, {"blocked": 3})
    assert rig.effects("delivery.resend") == 3


# What names stand for.


@pytest.mark.parametrize("before", ["unsent", "a refused batch", "unknown"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_01_a_name_stands_for_the_account_that_bears_it_when_the_plan_is_run(
    rig: Rig, before: str, one_by_one: bool
) -> None:
    """The run has stopped before its posts were created; then the name moves to another account, and the cell is run again."""
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    rig.sandbox.advance(200)
    first, second = [one for one in rig.sandbox.world.accounts.values() if one.status == "active"][:2]
    sheet = rig.campaign(2).assign(accounts=f"{first.platform}:@{first.username.lstrip('@')}")
    plan = planned(sheet, one_by_one=one_by_one)
    mine = rig.kernel("mine")
    run = mine.bind(plan)
    if before != "unsent":
        refusal = {} if before == "unknown" else {"status": 402, "code": "LIMIT_EXCEEDED"}
        send_first(mine, run, lost("/v1/posts**", times=None, **refusal))
    second.platform, first.username, second.username = first.platform, f"was_{first.username}", first.username
    was_sent = before == "unknown" or (before == "a refused batch" and not one_by_one)
    table = mine.results(done(mine, plan))
    assert codes(table) == ({"open_otherwise"} if was_sent else set()), "what may be under way is asked for one account"
    for _ in range(2):
        rig.sandbox.advance(PROOF_AFTER + 1)
        table = mine.results(done(mine, plan))
    assert outcomes(table) == {"succeeded": 2}
    created = [post for post in rig.sandbox.world.posts.values() if post.content in set(sheet["content"])]
    assert [[target.account_id for target in post.targets] for post in created] == [[second.id], [second.id]]
    assert len({entry["key"] for entry in rig.acts()}) == len(rig.acts()), "other bytes have another key (rule 9)"


# What is said in the end.


def test_rule_14_a_row_of_which_nobody_can_tell_keeps_no_other(rig: Rig) -> None:
    """No post bears a mark, and a colleague's has the account and time of the first row."""
    rig.sandbox.set_switches(no_metadata=True)
    rig.kernel("theirs").run(planned(rig.campaign(1, start=50)))
    rig.sandbox.advance(200)
    sheet = rig.campaign(4)
    plan = planned(sheet)
    rig.sandbox.add_fault(lost(BULK, status=402, code="LIMIT_EXCEEDED"))
    for number in range(4):
        table = rig.kernel("mine").run(plan)
        rig.sandbox.advance(HOUR * number)
    assert table["outcome"].tolist() == ["unknown", "succeeded", "succeeded", "succeeded"]
    assert codes(table) == {"cannot_tell"}
    assert [live(rig)[text] for text in sheet["content"]] == [0, 1, 1, 1]
    (doubtful,) = (post.id for post in rig.sandbox.world.posts.values() if post.content not in set(sheet["content"]))
    rig.sandbox.person.delete(doubtful)
    assert outcomes(rig.kernel("mine").run(plan)) == {"succeeded": 4}
    assert [live(rig)[text] for text in sheet["content"]] == [1, 1, 1, 1], "alone, not with the batch that it was in"


@pytest.mark.parametrize("when", ["answered", "before", "after"])
@pytest.mark.parametrize("what", ["retry", "cancel", "update"])
def test_rule_20_an_act_whose_post_was_deleted_is_blocked_in_the_end(rig: Rig, what: str, when: str) -> None:
    """Not before five minutes have passed, since readings may lag."""
    if what == "retry":
        (post,) = world.plant_posts(rig.sandbox, 1)
    else:
        (post,) = planted(rig)
    rig.sandbox.set_switches(publish_seconds=(100.0, 100.0))
    mine = rig.kernel("mine")
    plan = {
        "retry": lambda: plan_retry(mine.triaged("failed")),
        "cancel": lambda: plan_cancel(mine.posts("scheduled")),
        "update": lambda: plan_update(mine.posts("scheduled"), by="3D", change="strike"),
    }[what]()
    method = "PATCH" if what == "update" else "POST"
    faults = [] if when == "answered" else [lost("/v1/**", when, method=method)]
    run = send_first(mine, mine.bind(plan), *faults)
    rig.sandbox.person.delete(post)
    sent = rig.sandbox.now()
    phase = mine.go(run).phase
    table = mine.results(run)
    if what != "retry" and when != "before":
        assert outcomes(table) == {"succeeded": 1}, "by its answer, which the server repeats under its key"
        return
    assert (set(table["outcome"]), codes(table), phase) == ({"blocked"}, {"post_gone"}, "blocked")
    assert (rig.sandbox.now() - sent).total_seconds() >= PROOF_AFTER


@pytest.mark.parametrize("names", [["a", "b"], [1, 2], [1.0, 2.0]], ids=["texts", "numbers", "floats"])
def test_rule_20_rows_that_are_proved_absent_are_not_open(rig: Rig, names: list[Any]) -> None:
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    rig.sandbox.advance(200)
    mine = rig.kernel("mine")
    run = mine.bind(planned(rig.campaign(2).assign(row_id=names)))
    send_first(mine, run, lost(BULK, status=402, code="LIMIT_EXCEEDED"))
    labels = sorted(str(name).removesuffix(".0") for name in names)
    attrs = made(mine, run).attrs
    assert (sorted(label for label, _, _ in attrs["open_rows"]), attrs["unsent_rows"]) == (labels, [])
    rig.sandbox.advance(PROOF_AFTER + SKEW + 1)
    reconcile(mine)
    attrs = made(mine, run).attrs
    assert (attrs["open_rows"], sorted(attrs["unsent_rows"])) == ([], labels)


# Posts that are deleted, and answers that can't be read.


def two(rig: Rig) -> tuple[Kernel, str]:
    """Two posts, and their run."""
    kernel = rig.kernel()
    return kernel, done(kernel, plan_rows(rig, 2))


def counts(kernel: Kernel, run: str, *names: str) -> list[int]:
    """What ``run.verify`` counts."""
    return eventloop.run(kernel.execution(run).verify())[["tried", *names]].to_numpy().tolist()[0]


@pytest.mark.parametrize(
    ("became", "counted"),
    [("failed", "failed_other"), ("partial", "failed_other"), ("cancelled", "pending"), ("gone", "pending")],
)
def test_rule_30_what_failed_or_is_not_there_any_more_is_not_recovered(rig: Rig, became: str, counted: str) -> None:
    """The sheet was made from last week's posts, whose ids are still in it; its run stays as it was (rule 20)."""
    kernel = rig.kernel()
    old = planted(rig, 2, status="published", daysOld=7)
    run = done(kernel, planned(rig.campaign(2).assign(post_id=old)))
    post = kernel.results(run)["result_id"][0]
    rig.sandbox.advance(PROOF_AFTER + 60)
    if became == "gone":
        rig.sandbox.person.delete(post)
    elif became == "cancelled":
        rig.sandbox.person.withdraw(post)
    else:
        rig.sandbox.world.posts[post].status = became
    assert counts(kernel, run, "recovered", counted) == [2, 1, 1]
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert withdrawn(kernel, run) == (became in {"cancelled", "gone"})


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"body": "html", "status": 404}, "404 came without the API's own words"),
        ({"body": "empty", "status": 404}, "404 came without the API's own words"),
        ({"body": "json", "status": 200}, "whether it exists is not known"),
    ],
)
def test_rule_30_an_answer_that_can_not_be_read_deletes_no_post(rig: Rig, fault: dict[str, Any], said: str) -> None:
    kernel, run = two(rig)
    rig.sandbox.advance(PROOF_AFTER + 60)
    rig.sandbox.add_fault(Fault(action="garbage", method="GET", path="/v1/posts/*", times=None, **fault))
    with pytest.raises(DecodeError, match=said):
        verify(kernel, run)
    assert withdrawn(kernel, run) == 0
    rig.sandbox.clear_faults()
    assert outcomes(kernel.run(plan_create(rig.campaign(2).assign(attempt=2), key="row_id"))) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize("lag", [45.0, PROOF_AFTER + 600])
def test_rule_30_what_reads_do_not_show_yet_is_not_created_again(rig: Rig, lag: float) -> None:
    """Reads lag, even for longer than anybody thinks: verified at once the posts seem to be deleted; the next look puts it right."""
    rig.sandbox.set_switches(list_lag_seconds=lag, single_reads_lag=True)
    kernel, run = two(rig)
    verify(kernel, run)
    assert withdrawn(kernel, run) == 0
    if lag > PROOF_AFTER:
        rig.sandbox.advance(PROOF_AFTER + 60)
        verify(kernel, run)
        assert withdrawn(kernel, run) == 2
        rig.sandbox.advance(600)
        verify(kernel, run)
        assert withdrawn(kernel, run) == 0
    kernel.run(plan_create(rig.campaign(2).assign(attempt=2), key="row_id"))
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"succeeded": 2}


def test_rule_14_a_post_that_could_not_be_read_rules_no_row_out(rig: Rig) -> None:
    """Three of five were created before a 500, and posts show no metadata: only single reads could tell, and they are garbled."""
    rig.sandbox.set_switches(no_metadata=True, forget_key_on_5xx=True)
    kernel = rig.kernel()
    misread = Fault(action="garbage", method="GET", path="/v1/posts/*", body="json", status=200, times=None)
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=3), misread)
    run = done(kernel, plan_rows(rig, 5))
    assert set(rig.created().values()) == {1}
    rig.sandbox.clear_faults()
    kernel.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"succeeded": 5}


@pytest.mark.parametrize("far_enough", [False, True])
def test_rule_14_a_list_that_ends_at_a_full_page_without_a_word_proves_nothing(rig: Rig, far_enough: bool) -> None:
    """No pagination object, as where a gateway drops it: a hundred posts are there, and the rows may stand behind them."""
    if far_enough:
        others_post(rig)
    lost_ledger = rig.kernel("lost")
    lost_ledger.run(plan_rows(rig, 3))
    rig.sandbox.advance(HOUR)
    if not far_enough:
        others_post(rig)
    rig.sandbox.set_switches(pagination="none")
    if far_enough:
        rig.sandbox.advance(DAY)
        assert outcomes(lost_ledger.run(planned(rig.campaign(2)))) == {"succeeded": 2}
        return
    with pytest.raises(DecodeError, match="ends at a full page without saying so; whether there is more is not known"):
        rig.kernel("new").run(plan_rows(rig, 3))
    assert set(rig.created().values()) == {1}
