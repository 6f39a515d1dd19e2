"""What people do over days, with the runs of before: each counted at the server (rules 1, 2, 5, 11, 13, 18, 26 and 30)."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import BULK, REDELIVER, RETRY, edit, live, others_post, scheduled, send_once

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.analysis.digest import concerns
from voxops.api.reasons import Reason, beginning
from voxops.ledger import audit

DAY = 86_400.0


def run_again(kernel: Kernel, sheet: pd.DataFrame, **options: object) -> pd.DataFrame:
    return kernel.run(plan_create(sheet, key="row_id", campaign="spring", **options))


def refused(rig: Rig, times: int = 1, path: str = BULK, **where: object) -> None:
    """The key does not count for a while: a run stops before anything happens."""
    rig.sandbox.add_fault(
        Fault(
            "status",
            status=401,
            code="UNAUTHORIZED",
            path=path,
            when="before",
            times=times,
            **{"method": "POST", **where},
        )
    )


# -- what is planned is what is sent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_01_rows_that_were_struck_from_the_sheet_are_not_sent(rig, one_by_one):
    kernel, sheet = rig.kernel(), rig.campaign(12)
    first = kernel.bind(plan_create(sheet, key="row_id", campaign="spring", one_by_one=one_by_one))
    left = sheet.drop(index=[2, 3, 11])
    assert outcomes(run_again(kernel, left, one_by_one=one_by_one)) == {"succeeded": 9}
    assert set(rig.created()) == set(left["content"])
    kernel.go(first)
    assert outcomes(kernel.results(first)) == {"succeeded": 12}, "the first run is still about all of its rows"
    assert set(rig.created().values()) == {1}


def test_rule_07_one_row_planned_alone_after_failed_canaries_is_one_post(rig):
    kernel, sheet = rig.kernel(), rig.campaign(20)
    rig.sandbox.add_fault(Fault("bulk_partial", method="POST", path=BULK, items=0, times=1))
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
    refused(rig)
    kernel.go(run)
    rig.sandbox.clear_faults()
    assert outcomes(run_again(kernel, sheet.head(1))) == {"succeeded": 1}
    assert list(rig.created()) == [sheet["content"][0]]


def test_only_what_a_run_has_made_is_withdrawn_when_it_is_undone(rig):
    """On Tuesday the sheet has new rows; the same sheet again is the same request."""
    kernel, sheet = rig.kernel(), rig.campaign(10)
    run_again(kernel, sheet.head(6))
    rig.sandbox.advance(DAY)
    refused(rig)
    tuesday = plan_create(sheet, key="row_id", campaign="spring")
    kernel.run(tuesday)
    rig.sandbox.clear_faults()
    rig.sandbox.advance(600)
    run = kernel.bind(tuesday)
    kernel.go(run)
    made = eventloop.run(kernel.execution(run).made())
    assert made.set_index("row")["created_by_run"].sort_index().to_list() == [False] * 6 + [True] * 4
    rig.sandbox.advance(600)
    again = kernel.bind(tuesday)
    kernel.go(again)
    assert eventloop.run(kernel.execution(again).made())["created_by_run"].sum() == 4, (
        "a repetition made what the first has made"
    )
    undo = plan_cancel(_Run(eventloop.run(kernel.execution(again).made())))
    assert undo.eligible == 4
    kernel.run(undo)
    assert rig.effects("post.cancel") == 4


class _Run:
    def __init__(self, made: pd.DataFrame) -> None:
        self._made = made

    def made(self) -> pd.DataFrame:
        return self._made


def test_rule_27_a_row_that_was_added_to_a_sheet_just_now_goes_out_at_once(rig):
    """Whoever else is at work on a campaign is waited for; this ledger's own posts of a moment ago are nobody else's."""
    kernel = rig.kernel()
    run_again(kernel, rig.campaign(3))
    before = rig.sandbox.world.now()
    run = kernel.bind(plan_create(rig.campaign(4), key="row_id", campaign="spring"))
    kernel.go(run)
    assert rig.sandbox.world.now() - before < 30_000, "milliseconds"
    assert outcomes(kernel.results(run)) == {"succeeded": 4}
    assert set(rig.created().values()) == {1}


# -- what changed meanwhile, below the top of the list --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["moved here", "moved by somebody", "mended by somebody"])
@pytest.mark.parametrize("metadata", [True, False])
def test_rule_26_a_row_is_not_made_again_that_equals_a_post_as_it_is_by_now(rig, how, metadata):
    """The post was changed, then the sheet, and Excel turned 001 into 1."""
    rig.sandbox.set_switches(no_listed_metadata=not metadata)
    kernel, sheet = rig.kernel(), rig.campaign(3).assign(row_id=["001", "002", "003"])
    run_again(kernel, sheet)
    rig.sandbox.advance(DAY)
    others_post(rig)
    run_again(kernel, rig.campaign(1, start=50).assign(row_id="x"))
    posts = kernel.posts("scheduled")
    ours = posts[posts["content"].isin(sheet["content"])].set_index("content").loc[sheet["content"]].reset_index()
    changed = sheet.assign(row_id=["1", "2", "3"])
    if how == "mended by somebody":
        changed["content"] = "mended: " + changed["content"]
        for post, content in zip(ours["post_id"], changed["content"], strict=True):
            rig.sandbox.person.edit(post, content=content)
    else:
        later = ours["scheduled_for"] + pd.Timedelta(days=1)
        changed["scheduled_for"] = [when.isoformat() for when in later]
        if how == "moved here":
            kernel.run(plan_update(ours, by="1D"))
        else:
            for post, when in zip(ours["post_id"], later, strict=True):
                rig.sandbox.person.edit(post, scheduled_for=when.isoformat())
    rig.sandbox.advance(DAY)
    others_post(rig)
    table = run_again(kernel, changed)
    assert outcomes(table) == {"blocked": 3}
    assert table["waiting_for"].str.contains("looks like another row of this campaign").fillna(False).all()
    assert [scheduled(rig, content) for content in changed["content"]] == [1, 1, 1]


def test_rule_26_a_draft_by_hand_that_got_its_text_and_time_days_later_is_not_made_again(rig):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    account = next(iter(rig.accounts.values()))
    draft = rig.sandbox.plant_post("?", [account], status="draft", daysOld=0)
    run_again(kernel, rig.campaign(1, start=50).assign(row_id="x"))
    rig.sandbox.advance(2 * DAY)
    others_post(rig)
    run_again(kernel, rig.campaign(1, start=51).assign(row_id="y"))
    when = pd.Timestamp(sheet["scheduled_for"][0]).isoformat()
    rig.sandbox.person.edit(draft, content=sheet["content"][0], scheduled_for=when)
    rig.sandbox.world.posts[draft].status = "scheduled"
    sheet["accounts"] = account
    assert outcomes(run_again(kernel, sheet)) == {"blocked": 1}
    assert scheduled(rig, sheet["content"][0]) == 1


@pytest.mark.parametrize("who", ["this ledger", "somebody"])
def test_rule_30_a_run_whose_posts_were_withdrawn_since_asks_for_nobody_and_a_later_one_does(rig, who):
    kernel, sheet = rig.kernel(), rig.campaign(3)
    plan = plan_create(sheet, key="row_id", campaign="spring")
    run = kernel.bind(plan)
    kernel.go(run)
    repetition = kernel.bind(plan)
    kernel.go(repetition)
    rig.sandbox.advance(DAY)
    if who == "somebody":
        for post_id in kernel.results(run)["result_id"]:
            rig.sandbox.person.withdraw(post_id)
    else:
        kernel.run(plan_cancel(_Run(eventloop.run(kernel.execution(run).made()))))
    rig.sandbox.advance(DAY)
    later = kernel.bind(plan)
    kernel.go(later)
    table = audit.runs(kernel.ledger)
    assert [kernel.go(each).phase for each in (run, repetition, later)] == ["done", "done", "blocked"]
    assert table.loc[[run, repetition, later], "blocked"].to_list() == [3, 3, 3], "never succeeded, as it is now"
    assert table.loc[[run, repetition, later], "withdrawn"].to_list() == [3, 3, 0]
    found = concerns(runs=table)
    assert [(each.what, each.details["blocked"]) for each in found] == [(later, 3)]


def test_rule_30_a_run_that_was_withdrawn_while_the_clock_stood_still_asks_for_nobody(rig):
    """The sandbox's clock stands between calls: the run began at the very instant at which its posts were withdrawn."""
    kernel = rig.kernel()
    plan = plan_create(rig.campaign(3), key="row_id", campaign="spring")
    run = kernel.bind(plan)
    kernel.go(run)
    kernel.run(plan_cancel(_Run(eventloop.run(kernel.execution(run).made()))))
    later = kernel.bind(plan)
    kernel.go(later)
    begun = audit.runs(kernel.ledger)["created_at"]
    assert begun[run] == begun[later]
    assert [kernel.go(each).phase for each in (run, later)] == ["done", "blocked"]
    assert audit.runs(kernel.ledger).loc[[run, later], "withdrawn"].to_list() == [3, 0]


@pytest.mark.parametrize("who", ["this ledger", "somebody"])
@pytest.mark.parametrize("long_ago", [True, False])
def test_rule_30_a_row_whose_post_was_withdrawn_is_blocked_however_long_the_list_has_moved_on(rig, who, long_ago):
    kernel, sheet = rig.kernel(), rig.campaign(3)
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
    kernel.go(run)
    if long_ago:
        rig.sandbox.advance(2 * DAY)
        others_post(rig)
        run_again(kernel, rig.campaign(1, start=50).assign(row_id="x"))
    posts = kernel.posts("scheduled")
    ours = posts[posts["content"].isin(sheet["content"])]
    if who == "somebody":
        rig.sandbox.advance(301)
        for post in ours["post_id"]:
            rig.sandbox.person.withdraw(post)
    else:
        kernel.run(plan_cancel(ours))
        assert outcomes(kernel.results(run)) == {"blocked": 3}, "known at once"
    table = run_again(kernel, sheet)
    assert outcomes(table) == {"blocked": 3}
    assert table["waiting_for"].str.endswith("cancelled since; to make it again, set a column attempt to 2").all()
    assert outcomes(run_again(kernel, sheet.assign(attempt=2))) == {"succeeded": 3}
    assert set(rig.created()[content] for content in sheet["content"]) == {2}


@pytest.mark.parametrize("change", ["line ends", "another word", "account order"])
def test_rule_30_a_withdrawn_row_is_not_made_again_since_its_sheet_was_saved_anew(rig, change):
    names = ";".join(list(rig.accounts.values())[:2])
    kernel, sheet = rig.kernel(), rig.campaign(2).assign(content=["a\nb", "c\nd"], accounts=names)
    run_again(kernel, sheet)
    kernel.run(plan_cancel(kernel.posts("scheduled")))
    again = {
        "line ends": sheet.assign(content=["a\r\nb", "c\r\nd"]),
        "another word": sheet.assign(content=["a\nB", "c\nD"]),
        "account order": sheet.assign(accounts=";".join(reversed(names.split(";")))),
    }[change]
    for seconds in (0.0, 3600.0):
        rig.sandbox.advance(seconds)
        assert outcomes(run_again(kernel, again)) == {"blocked": 2}
    assert rig.created().total() == 2


def test_rule_13_a_row_that_was_made_again_is_found_by_a_colleague_and_the_next_attempt_is_named(rig):
    kernel, sheet = rig.kernel(), rig.campaign(2)
    run_again(kernel, sheet)
    kernel.run(plan_cancel(kernel.posts("scheduled")))
    rig.sandbox.advance(600)
    run_again(kernel, sheet.assign(attempt=2))
    rig.sandbox.advance(600)
    assert outcomes(run_again(rig.kernel("colleague"), sheet)) == {"succeeded": 2}
    kernel.run(plan_cancel(kernel.posts("scheduled")))
    rig.sandbox.advance(600)
    third = rig.kernel("third")
    table = run_again(third, sheet)
    assert table["waiting_for"].str.endswith("set a column attempt to 3").all()
    assert outcomes(run_again(third, sheet.assign(attempt=3))) == {"succeeded": 2}
    assert set(rig.created().values()) == {3}


# -- acts that wait, and acts of which nobody knows -----------------------------------------------------------------------------


def test_rule_02_a_later_act_on_the_same_posts_loses_nothing_of_an_unsent_one(rig):
    kernel = rig.kernel()
    run_again(kernel, rig.campaign(6))
    posts = kernel.posts("scheduled")
    rig.sandbox.add_fault(
        Fault(
            "status", status=401, code="UNAUTHORIZED", method="POST", path="/v1/posts/*/cancel", when="before", times=1
        )
    )
    run = kernel.bind(plan_cancel(posts))
    kernel.go(run)
    rig.sandbox.clear_faults()
    withdrawn = rig.effects("post.cancel")
    table = kernel.run(plan_update(kernel.posts("scheduled").assign(new_tags="late")))
    assert outcomes(table) == {"blocked": 6 - withdrawn}
    assert table["waiting_for"].str.endswith(f"let its run go on, or cancel it, with ws.attach('{run}')").all()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 6}
    assert rig.effects("post.cancel") == 6


def test_rule_02_the_same_change_with_other_values_takes_the_place_of_an_unsent_one(rig):
    kernel = rig.kernel()
    run_again(kernel, rig.campaign(2))
    posts = kernel.posts("scheduled")
    run = kernel.bind(plan_update(posts.assign(new_content="first words")))
    other = kernel.bind(plan_update(posts.assign(new_tags="a")))
    assert outcomes(kernel.results(other)) == {"blocked": 2}, "other fields are another change"
    assert outcomes(kernel.run(plan_update(posts.assign(new_content="better words", new_tags="a")))) == {"succeeded": 2}
    kernel.go(run)
    table = kernel.results(run)
    assert outcomes(table) == {"blocked": 2}
    assert set(table["waiting_for"]) == {"never sent; a later plan took its place"}
    assert rig.effects("post.update") == 2


def test_rule_02_a_plan_that_is_held_itself_takes_no_other_s_place(rig):
    kernel = rig.kernel()
    run_again(kernel, rig.campaign(1))
    stale = kernel.posts("scheduled")
    edit(rig, stale["post_id"].iloc[0])
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_content="first words")))
    held = kernel.run(plan_update(stale.assign(new_content="better words")))
    assert held["waiting_for"].str.startswith(beginning("changed_since_loaded")).fillna(False).all()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}


def planted(rig: Rig, kernel: Kernel, when: str, **switches: object) -> tuple[str, str]:
    """A retry whose only answer is a 500, before or after its effect, by a kernel that died then: its run and its post."""
    rig.sandbox.set_switches(**switches)
    world.plant_posts(rig.sandbox, 1, targets=1)
    rig.sandbox.add_fault(Fault("status", status=500, method="POST", path=RETRY, when=when, times=1))
    run = kernel.bind(plan_retry(kernel.triaged()))
    send_once(kernel, run)
    rig.sandbox.clear_faults()
    return run, next(iter(rig.sandbox.world.posts))


def cancelled(rig: Rig, when: str) -> tuple[Kernel, str]:
    """A cancel whose only answer is a 500, before or after its effect: who sent it, and its run."""
    kernel = rig.kernel()
    run_again(kernel, rig.campaign(1))
    rig.sandbox.advance(600)
    rig.sandbox.add_fault(Fault("status", status=500, method="POST", path="/v1/posts/*/cancel", when=when, times=1))
    run = kernel.bind(plan_cancel(kernel.posts("scheduled")))
    send_once(kernel, run)
    rig.sandbox.clear_faults()
    return kernel, run


def test_rule_11_a_cancel_of_which_nobody_knows_is_known_by_the_status_though_somebody_edited_the_post(rig):
    kernel, run = cancelled(rig, "before")
    edit(rig, next(iter(rig.sandbox.world.posts)))
    kernel.go(run)
    rig.sandbox.advance(600)
    kernel.run(plan_cancel(kernel.posts("scheduled")))
    assert [post.status for post in rig.sandbox.world.posts.values()] == ["cancelled"]
    assert rig.effects("post.cancel") == 1


@pytest.mark.parametrize("through", ["failed", "attempt"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_rule_18_a_retry_of_which_nobody_knows_is_given_up_for_a_next_attempt(rig, when, through):
    """It failed again with the same error before anybody looked, or somebody edited the post: nothing tells whether it was tried."""
    kernel = rig.kernel()
    run, post = planted(rig, kernel, when, recovery_rate=0.0)
    kernel.kill()
    rig.sandbox.advance(DAY / 2)
    error = {"code": "RATE_LIMITED", "message": "rate limit reached, 30 seconds until reset"}
    rig.sandbox.world.posts[post].targets[0].error = error
    edit(rig, post)
    rig.sandbox.set_switches(recovery_rate=1.0)
    later = rig.kernel()
    later.go(run)
    assert outcomes(later.results(run)) == {"unknown": 1}
    assert set(later.run(plan_retry(later.triaged()))["outcome"]) <= {"unknown", "blocked"}
    tried = rig.effects("post.retry")
    rows = later.triaged().assign(attempt=2)
    if through == "failed":
        rows = later.execution(run).failed(stuck=True)
        assert rows["attempt"].to_list() == [2]
        rows = later.triaged().assign(attempt=rows["attempt"].to_list())
    assert outcomes(later.run(plan_retry(rows))) == {"succeeded": 1}
    assert rig.effects("post.retry") == tried + 1
    assert outcomes(later.results(run)) == {"failed": 1}


def test_rule_18_an_act_on_a_whole_post_may_give_up_a_retry_of_which_nobody_knows(rig):
    kernel = rig.kernel()
    _, post = planted(rig, kernel, "before")
    edit(rig, post)
    rig.sandbox.world.posts[post].status = "scheduled"
    rig.sandbox.advance(3600)
    posts = kernel.posts("scheduled")
    held = kernel.run(plan_cancel(posts))
    assert held["waiting_for"].str.endswith("in a column attempt, to give that one up").all()
    assert outcomes(kernel.run(plan_cancel(posts.assign(attempt=2)))) == {"succeeded": 1}


def test_rule_18_a_retry_whose_target_is_listed_no_more_is_given_up_for_a_next_attempt(rig):
    """The account was connected anew, and has another id."""
    rig.sandbox.set_switches(recovery_rate=0.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    send_once(kernel, run)
    rig.sandbox.advance(300)
    post = next(iter(rig.sandbox.world.posts.values()))
    post.targets[0].account_id = next(each for each in rig.accounts.values() if each != post.targets[0].account_id)
    edit(rig, post.id)
    kernel.go(run)
    assert kernel.results(run)["waiting_for"].to_list() == ["the target is no longer listed"]
    rig.sandbox.advance(DAY)
    rig.sandbox.set_switches(recovery_rate=1.0)
    rows = kernel.triaged().assign(retryable=True)
    held = kernel.run(plan_retry(rows))
    assert held["waiting_for"].str.endswith("in a column attempt, to give that one up").all()
    assert outcomes(kernel.run(plan_retry(rows.assign(attempt=2)))) == {"succeeded": 1}
    assert rig.effects("post.retry") == 2


@pytest.mark.parametrize("said", [{"attempt": 2}, {"again": True}])
def test_rule_19_a_redelivery_of_which_nobody_knows_is_given_up_for_a_next_attempt(rig, said):
    """The receiver refuses connections before and after: the record is the same but for its count."""
    world.plant_deliveries(rig.sandbox, 1)
    kernel = rig.kernel()
    (delivery,) = (each for each in rig.sandbox.world.deliveries.values() if each.id == "del_d00000")
    refused_before = {
        "success": False,
        "status_code": None,
        "latency_ms": None,
        "error": "refused",
        "delivered_at": None,
    }
    for name, value in refused_before.items():
        setattr(delivery, name, value)
    log = kernel.deliveries()
    log = log[log["delivery_id"] == delivery.id]
    rig.sandbox.add_fault(Fault("status", status=500, method="POST", path=REDELIVER, when="after", times=1))
    run = kernel.bind(plan_redeliver(log))
    send_once(kernel, run)
    rig.sandbox.advance(600)
    for name, value in refused_before.items():
        setattr(delivery, name, value)
    kernel.kill()
    later = rig.kernel()
    later.go(run)
    assert outcomes(later.results(run)) == {"unknown": 1}
    rig.sandbox.advance(DAY)
    log = later.deliveries()
    log = log[log["delivery_id"] == delivery.id]
    assert outcomes(later.run(plan_redeliver(log))) == {"unknown": 1}
    assert outcomes(later.run(plan_redeliver(log.assign(**said), force=True))) == {"succeeded": 1}
    assert rig.effects("delivery.resend") == 2


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_09_a_key_under_which_a_colleague_has_sent_other_account_ids_is_left_for_a_next_attempt(rig, one_by_one):
    """The account was connected anew under its old name: the same key, other bytes."""
    accounts = rig.sandbox.world.accounts
    old = next(each for each in accounts.values() if each.platform == "facebook")
    sheet = rig.campaign(2).assign(accounts=f"facebook:@{old.username}")
    old.status = "expired"
    assert outcomes(run_again(rig.kernel(), sheet, one_by_one=one_by_one)) == {"failed": 2}
    old.status = "disconnected"
    accounts["acc_anew"] = replace(old, id="acc_anew", status="active")
    rig.sandbox.advance(3600)
    colleague = rig.kernel("colleague")
    table = run_again(colleague, sheet, one_by_one=one_by_one)
    assert (
        table["waiting_for"].str.contains("has sent something else under its key; a next attempt").fillna(False).all()
    )
    rig.sandbox.advance(600)
    assert outcomes(run_again(colleague, sheet.assign(attempt=2), one_by_one=one_by_one)) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize("one_by_one", [False, True])
def test_an_account_that_was_connected_anew_keeps_its_rows(rig, one_by_one):
    accounts = rig.sandbox.world.accounts
    old = next(each for each in accounts.values() if each.platform == "facebook")
    kernel, sheet = rig.kernel(), rig.campaign(2).assign(accounts=f"facebook:@{old.username}")
    run_again(kernel, sheet.head(1), one_by_one=one_by_one)
    old.status = "disconnected"
    accounts["acc_anew"] = replace(old, id="acc_anew", status="active")
    assert outcomes(run_again(kernel, sheet, one_by_one=one_by_one)) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}
    old.status = "expired"
    table = run_again(kernel, rig.campaign(1, start=5).assign(accounts=f"facebook:@{old.username}"))
    assert table["waiting_for"][0].startswith(f"2 accounts are called facebook:@{old.username}; write which is meant: ")


def test_pictures_of_instagram_go_out_one_by_one(rig):
    instagram = next(each for each in rig.sandbox.world.accounts.values() if each.platform == "instagram")
    media = next(iter(rig.sandbox.world.media), None) or rig.sandbox.plant_media()
    sheet = rig.campaign(3).assign(
        accounts=f"instagram:@{instagram.username}",
        media=[media, f"{media};{media}", "https://films.example/a.MP4?x=1"],
    )
    run = plan_create(sheet, key="row_id", one_by_one=True)
    kinds = {item.label: item.body["contentType"] for item in run.items}
    assert kinds == {"r00000": "IMAGE", "r00001": "CAROUSEL", "r00002": "VIDEO"}
    assert outcomes(run_again(rig.kernel(), sheet.head(1), one_by_one=True)) == {"succeeded": 1}
    assert "contentType" not in plan_create(sheet, key="row_id").items[0].body
    said = plan_create(sheet.assign(content_type="Reel"), key="row_id").items
    assert {item.body["contentType"] for item in said} == {"REEL"}


# -- what the first mending of these broke, or left ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["struck", "mended", "only bound"])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_13_rows_of_an_unsent_batch_that_is_parted_are_compared_with_what_others_have_made(rig, how, one_by_one):
    kernel, sheet = rig.kernel(), rig.campaign(12)
    refused(rig, path="/v1/posts" if one_by_one else BULK)
    first = kernel.bind(plan_create(sheet, key="row_id", campaign="spring", one_by_one=one_by_one))
    kernel.go(first)
    rig.sandbox.clear_faults()
    rig.sandbox.advance(2 * DAY)
    run_again(rig.kernel("colleague"), sheet)
    changed = sheet.head(11) if how == "struck" else sheet.assign(content=["mended", *sheet["content"][1:]])
    if how == "only bound":
        kernel.bind(plan_create(sheet.head(4), key="row_id", campaign="spring", one_by_one=one_by_one))
        kernel.go(first)
    else:
        run_again(kernel, changed, one_by_one=one_by_one)
    assert set(rig.created().values()) == {1}
    assert len(rig.created()) == 12


def test_rule_18_the_same_cell_with_a_column_attempt_is_the_same_attempt(rig):
    """A new episode is stored as its first attempt, whatever the column says; run again after a crash it is what it was."""
    kernel = rig.kernel()
    _, post = planted(rig, kernel, "after", recovery_rate=0.0)
    for _ in range(2):
        rig.sandbox.advance(3600)
        edit(rig, post)
    rig.sandbox.set_switches(queue_hold_seconds=7200.0)
    rows = kernel.triaged().assign(attempt=2, retryable=True)
    rig.sandbox.add_fault(Fault("status", status=500, method="POST", path=RETRY, when="after", times=1))
    send_once(kernel, kernel.bind(plan_retry(rows)))
    rig.sandbox.clear_faults()
    kernel.kill()
    meant = rig.effects("post.retry")
    later = rig.kernel()
    for _ in range(2):
        rig.sandbox.advance(900)
        later.run(plan_retry(rows))
    assert rig.effects("post.retry") == meant == 2


@pytest.mark.parametrize("later", [600.0, 2 * DAY])
def test_rule_11_a_cancel_whose_post_somebody_has_put_back_is_looked_at_by_a_person(rig, later):
    kernel, run = cancelled(rig, "after")
    (post,) = rig.sandbox.world.posts.values()
    rig.sandbox.advance(60)
    post.status = "scheduled"
    edit(rig, post.id)
    rig.sandbox.advance(later)
    kernel.go(run)
    table = kernel.results(run)
    assert (post.status, rig.effects("post.cancel"), outcomes(table)) == ("scheduled", 1, {"blocked": 1})
    assert table["waiting_for"].to_list() == ["it is scheduled, and was changed since it was sent; load it again"]
    assert outcomes(kernel.run(plan_cancel(kernel.posts("scheduled")))) == {"succeeded": 1}


@pytest.mark.parametrize("lag", [0.0, 60.0])
def test_rule_26_a_list_that_lags_takes_nothing_back_of_what_an_answer_has_shown(rig, lag):
    rig.sandbox.set_switches(list_lag_seconds=lag)
    kernel, sheet = rig.kernel(), rig.campaign(3).assign(row_id=["001", "002", "003"])
    run_again(kernel, sheet)
    rig.sandbox.advance(DAY)
    posts = kernel.posts("scheduled").set_index("content").loc[sheet["content"]].reset_index()
    kernel.run(plan_update(posts, by="1D"))
    later = [when.isoformat() for when in posts["scheduled_for"] + pd.Timedelta(days=1)]
    assert outcomes(run_again(kernel, sheet.assign(row_id=["1", "2", "3"], scheduled_for=later))) == {"blocked": 3}
    assert set(rig.created().values()) == {1}


def test_rule_30_a_row_whose_attempt_skips_numbers_is_made_once_by_each(rig):
    kernel, sheet = rig.kernel(), rig.campaign(2)
    run_again(kernel, sheet)
    for attempt in (4, 4, 4, 9):
        kernel.run(plan_cancel(kernel.posts("scheduled")))
        rig.sandbox.advance(600)
        run_again(kernel, sheet.assign(attempt=attempt))
    assert set(rig.created().values()) == {3}


def test_rule_30_a_ledger_that_has_only_found_a_row_makes_it_again_as_the_attempt_that_it_names(rig):
    kernel, finder, sheet = rig.kernel(), rig.kernel("colleague"), rig.campaign(2)
    run_again(kernel, sheet)
    rig.sandbox.advance(600)
    assert outcomes(run_again(finder, sheet)) == {"succeeded": 2}
    kernel.run(plan_cancel(kernel.posts("scheduled")))
    rig.sandbox.advance(600)
    table = run_again(finder, sheet)
    assert table["waiting_for"].str.endswith("set a column attempt to 2").all()
    assert outcomes(run_again(finder, sheet.assign(attempt=2))) == {"succeeded": 2}
    assert set(rig.created().values()) == {2}


def test_rule_05_a_content_type_makes_no_other_row(rig):
    instagram = next(each for each in rig.sandbox.world.accounts.values() if each.platform == "instagram")
    media = next(iter(rig.sandbox.world.media), None) or rig.sandbox.plant_media()
    sheet = rig.campaign(2).assign(accounts=f"instagram:@{instagram.username}", media=media)
    kernel = rig.kernel()
    run_again(kernel, sheet)
    rig.sandbox.advance(600)
    for ledger in (kernel, rig.kernel("colleague")):
        assert outcomes(run_again(ledger, sheet, one_by_one=True)) == {"succeeded": 2}
        assert outcomes(run_again(ledger, sheet.assign(content_type="image"))) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}


def test_a_run_that_mends_a_held_row_has_made_what_the_first_one_did(rig):
    kernel, sheet = rig.kernel(), rig.campaign(10)
    bad = sheet.assign(accounts=[*sheet["accounts"][:9], "facebook:@nobody"])
    assert outcomes(run_again(kernel, bad)) == {"succeeded": 9, "blocked": 1}
    rig.sandbox.advance(600)
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
    kernel.go(run)
    assert eventloop.run(kernel.execution(run).made())["created_by_run"].sum() == 10


def test_what_looks_like_a_row_is_read_by_itself_once(rig):
    """Nothing has shown yet that lists show metadata."""
    kernel, sheet = rig.kernel(), rig.campaign(20)
    for content, account, when in zip(sheet["content"], sheet["accounts"], sheet["scheduled_for"], strict=True):
        rig.sandbox.plant_post(content, [account], status="scheduled", scheduledFor=when, daysOld=0.1)
    counts = []
    for _ in range(3):
        before = len(rig.sandbox.requests())
        assert outcomes(run_again(kernel, sheet)) == {"blocked": 20}
        counts.append(len(rig.sandbox.requests()) - before)
        rig.sandbox.advance(600)
    assert counts[0] > 20
    assert max(counts[1:]) < 10


@pytest.mark.parametrize("lists_show", [True, False])
def test_only_what_looks_like_a_row_and_may_be_ours_is_read_by_itself(rig, lists_show):
    """No other post, none that shows metadata of somebody, and none that this ledger has made."""
    rig.sandbox.set_switches(no_listed_metadata=not lists_show)
    kernel, sheet = rig.kernel(), rig.campaign(20)
    if not lists_show:
        run_again(kernel, sheet.head(10))
        rig.sandbox.advance(600)
    for number, row in enumerate(sheet.tail(10).to_dict("records")):
        theirs = {"metadata": {"source": "another tool"}} if number < 5 else {}
        when = row["scheduled_for"]
        rig.sandbox.plant_post(
            row["content"], [row["accounts"]], status="scheduled", scheduledFor=when, daysOld=0.001, **theirs
        )
        rig.sandbox.plant_post(
            f"other {number}", [row["accounts"]], status="scheduled", scheduledFor=when, daysOld=0.001
        )
    before = len(rig.sandbox.requests())
    kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
    alone = [each for each in rig.sandbox.requests()[before:] if each["path"] != "/v1/posts"]
    assert len(alone) == (5 if lists_show else 10)


def test_posts_that_are_just_going_out_are_found_in_their_list(rig):
    rig.sandbox.set_switches(publish_seconds=(1e6, 1e6))
    soon = (rig.sandbox.now() + pd.Timedelta("1h")).isoformat()
    kernel, sheet = rig.kernel(), rig.campaign(60).assign(scheduled_for=soon)
    run_again(kernel, sheet)
    rig.sandbox.advance(7200)
    others_post(rig)
    run_again(kernel, rig.campaign(1, start=90).assign(row_id="x"))
    rig.sandbox.advance(600)
    counts = []
    for _ in range(2):
        before = len(rig.sandbox.requests())
        assert outcomes(run_again(kernel, sheet)) == {"succeeded": 60}
        counts.append(len(rig.sandbox.requests()) - before)
    assert counts[0] < 15
    assert counts[1] == 5, "the lists of what waits, and of what is new: that they have gone out is known"


@pytest.mark.parametrize("known", [True, False])
def test_what_bears_no_mark_is_not_read_by_itself_where_lists_show_marks(rig, known):
    """Known from before, or from this very list."""
    kernel, sheet = rig.kernel(), rig.campaign(20)
    run_again(kernel, rig.campaign(1, start=50).assign(row_id="x"))
    if known:
        kernel.run(plan_cancel(kernel.posts("scheduled")))
        rig.sandbox.advance(DAY)
        others_post(rig)
        run_again(kernel, rig.campaign(1, start=50).assign(row_id="x"))
    for content, account, when in zip(sheet["content"], sheet["accounts"], sheet["scheduled_for"], strict=True):
        rig.sandbox.plant_post(content, [account], status="scheduled", scheduledFor=when, daysOld=0.001)
    ledger = kernel if known else rig.kernel("fresh")
    before = len(rig.sandbox.requests())
    assert outcomes(run_again(ledger, sheet)) == {"blocked": 20}
    assert len(rig.sandbox.requests()) - before < 12


@pytest.mark.parametrize("how", ["approved after all", "put back"])
@pytest.mark.parametrize("same_kernel", [True, False])
def test_rule_30_a_next_attempt_that_waits_is_not_sent_where_the_first_post_is_live_again(rig, how, same_kernel):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    run_again(kernel, sheet)
    rig.sandbox.advance(600)
    (post,) = rig.sandbox.world.posts.values()
    if how == "put back":
        rig.sandbox.person.withdraw(post.id)
    else:
        rig.sandbox.person.submit(post.id)
        rig.sandbox.person.reject(post.id)
    rig.sandbox.advance(DAY)
    assert outcomes(run_again(kernel, sheet)) == {"blocked": 1}
    run = kernel.bind(plan_create(sheet.assign(attempt=2), key="row_id", campaign="spring"))
    refused(rig)
    kernel.go(run)
    rig.sandbox.clear_faults()
    _put_back(rig, post, how)
    rig.sandbox.advance(DAY / 2)
    kernel = kernel if same_kernel else rig.kernel()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert set(kernel.results(run)["result_id"]) == {post.id}
    assert scheduled(rig, sheet["content"][0]) == 1


def _put_back(rig: Rig, post, how: str) -> None:
    if how == "put back":
        post.status = "scheduled"
        edit(rig, post.id)
    else:
        rig.sandbox.person.submit(post.id)
        rig.sandbox.person.approve(post.id)


def test_rule_28_a_post_that_was_put_back_after_its_next_attempt_is_among_the_copies(rig):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    run_again(kernel, sheet)
    rig.sandbox.advance(600)
    (post,) = rig.sandbox.world.posts.values()
    rig.sandbox.person.withdraw(post.id)
    rig.sandbox.advance(DAY)
    run = kernel.bind(plan_create(sheet.assign(attempt=2), key="row_id", campaign="spring"))
    kernel.go(run)
    assert scheduled(rig, sheet["content"][0]) == 1
    _put_back(rig, post, "put back")
    rig.sandbox.advance(DAY)
    copies = eventloop.run(kernel.execution(run).made(copies=True))
    assert copies["copy_of"].to_list() == [post.id], "the earliest is kept"


@pytest.mark.parametrize("status", ["draft", "scheduled"])
@pytest.mark.parametrize("same_kernel", [True, False])
def test_rule_26_an_old_post_that_was_mended_into_a_row_while_it_waited_holds_it(rig, status, same_kernel):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    account = sheet["accounts"][0]
    for number in range(150):
        rig.sandbox.plant_post(f"filler {number}", [account], status="published", daysOld=3)
    when = {"scheduledFor": "2027-03-01T09:00:00Z"} if status == "scheduled" else {}
    old = rig.sandbox.plant_post("another text", [account], status=status, daysOld=5, **when)
    run_again(kernel, rig.campaign(1, start=9))
    rig.sandbox.advance(DAY)
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
    refused(rig)
    kernel.go(run)
    rig.sandbox.clear_faults()
    rig.sandbox.person.edit(old, content=sheet["content"][0], scheduled_for=sheet["scheduled_for"][0])
    rig.sandbox.world.posts[old].status = "scheduled"
    rig.sandbox.advance(DAY / 2)
    others_post(rig)
    kernel = kernel if same_kernel else rig.kernel()
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"blocked": 1}
    assert scheduled(rig, sheet["content"][0]) == 1


# -- different acts on the same posts -------------------------------------------------------------------------------------------------


def undo(kernel: Kernel, run: str, **columns: object) -> Plan:
    """What ``vx.plan_cancel(run)`` plans."""
    return plan_cancel(_Run(eventloop.run(kernel.execution(run).made()).assign(**columns)))


def test_a_notebook_that_makes_withdraws_and_makes_again_is_run_all_over(rig):
    """The cell that undoes the first attempt finds what the second one has made, which is none of its."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    for again in (False, True):
        first = kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
        kernel.go(first)
        rig.sandbox.advance(600)
        withdrawn = undo(kernel, first)
        assert withdrawn.eligible == (0 if again else 3)
        kernel.run(withdrawn)
        rig.sandbox.advance(600)
        assert outcomes(run_again(kernel, sheet.assign(attempt=2))) == {"succeeded": 3}
        rig.sandbox.advance(DAY)
    assert (rig.effects("post.create"), rig.effects("post.cancel")) == (6, 3)
    assert live(rig) == dict.fromkeys(sheet["content"], 1)


@pytest.mark.parametrize("meant", [False, True])
def test_rule_05_what_somebody_has_put_back_is_not_withdrawn_again_with_its_run(rig, meant):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    run = kernel.bind(plan_create(sheet, key="row_id", campaign="spring"))
    kernel.go(run)
    assert outcomes(kernel.run(undo(kernel, run))) == {"succeeded": 1}
    rig.sandbox.advance(DAY)
    (post,) = rig.sandbox.world.posts.values()
    post.status = "scheduled"
    edit(rig, post.id)
    rig.sandbox.advance(DAY)
    kernel.go(run)
    table = kernel.run(undo(kernel, run, **({"again": True} if meant else {})))
    assert outcomes(table) == ({"succeeded": 1} if meant else {"blocked": 1})
    assert rig.effects("post.cancel") == 1 + meant
    if not meant:
        assert table["waiting_for"][0] == str(Reason("put_back"))


ADDITIONS = {
    "behind": lambda text: text + " #spring",
    "before": lambda text: "New: " + text,
    "put in": lambda text: text.replace("fair", "fair (free)"),
    "cut first word": lambda text: text.partition(" ")[2],
    "cut last word": lambda text: text.rpartition(" ")[0],
}
CORRECTIONS = {
    "behind": lambda text: text + " Book now!",
    "before": lambda text: "Hello! " + text,
    "a full stop": lambda text: text + ".",
    "within": lambda text: text.replace("Saturday", "Sunday"),
}


@pytest.mark.parametrize("change", ADDITIONS)
@pytest.mark.parametrize("correct", CORRECTIONS)
def test_rule_01_what_was_added_or_cut_off_is_not_again_where_somebody_has_corrected_the_text(rig, change, correct):
    account = next(iter(rig.accounts.values()))
    post = rig.sandbox.plant_post(
        "Coffee fair on Saturday at noon", [account], status="scheduled", scheduledFor=str(world.FAR), daysOld=1
    )
    kernel = rig.kernel()
    for day in range(3):
        posts = kernel.posts("scheduled")
        table = kernel.run(plan_update(posts.assign(new_content=posts["content"].map(ADDITIONS[change]))))
        assert outcomes(table) == ({"blocked": 1} if day else {"succeeded": 1})
        rig.sandbox.advance(DAY)
        if day == 0:
            text = rig.sandbox.world.posts[post].content
            rig.sandbox.person.edit(post, content=CORRECTIONS[correct](text))
            rig.sandbox.advance(DAY)
    assert rig.effects("post.update") == 1


def test_rule_01_two_additions_are_not_made_again_where_somebody_has_corrected_the_text(rig):
    account = next(iter(rig.accounts.values()))
    post = rig.sandbox.plant_post("Coffee fair", [account], status="scheduled", scheduledFor=str(world.FAR), daysOld=1)
    kernel = rig.kernel()
    for day in range(2):
        for word in (" #spring", " #coffee"):
            posts = kernel.posts("scheduled")
            table = kernel.run(plan_update(posts.assign(new_content=posts["content"] + word)))
            assert outcomes(table) == ({"blocked": 1} if day else {"succeeded": 1})
            rig.sandbox.advance(600)
        if day == 0:
            rig.sandbox.person.edit(post, content="Coffee show #spring #coffee")
            rig.sandbox.advance(DAY)
    assert rig.sandbox.world.posts[post].content == "Coffee show #spring #coffee"
