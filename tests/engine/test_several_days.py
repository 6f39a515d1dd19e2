"""What people do over days, with the runs of before: each counted at the server (rules 1, 2, 5, 11, 13, 18, 26 and 30)."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.days import DAY, codes, done, planted, restored, send_first, sent_back, stopped
from tests.engine.steps import REDELIVER, RETRY, edit, live, others_post, planned, scheduled
from tests.engine.verbs import copies, made, undo

from voxburst_sandbox import Fault
from voxops.acts.cancel import plan_cancel
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.timing import PROOF_AFTER

ERROR = {"code": "RATE_LIMITED", "message": "rate limit reached, 30 seconds until reset"}  # as planted


def others_since(rig: Rig, kernel: Kernel, number: int = 50, days: float = 1.0) -> None:
    """Days go by, others post, and the list is read for another row: what came before is not listed again."""
    rig.sandbox.advance(days * DAY)
    others_post(rig)
    kernel.run(planned(rig.campaign(1, start=number)))


# What is planned is what is sent.


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_01_rows_that_were_struck_from_the_sheet_are_not_sent(rig: Rig, one_by_one: bool) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(12)
    first = kernel.bind(planned(sheet, one_by_one=one_by_one))
    left = sheet.drop(index=[2, 3, 11])
    assert outcomes(kernel.run(planned(left, one_by_one=one_by_one))) == {"succeeded": 9}
    assert set(rig.created()) == set(left["content"])
    kernel.go(first)
    assert outcomes(kernel.results(first)) == {"succeeded": 12}, "the first run is still about all of its rows"
    assert set(rig.created().values()) == {1}


def test_only_what_a_run_has_created_is_withdrawn_when_it_is_undone(rig: Rig) -> None:
    """On Tuesday the sheet has new rows, of which one is mended later; the same sheet again is the same request."""
    kernel, sheet = rig.kernel(), rig.campaign(10)
    kernel.run(planned(sheet.head(6)))
    rig.sandbox.advance(DAY)
    stopped(rig, kernel, kernel.bind(planned(sheet)))
    bad = sheet.assign(accounts=[*sheet["accounts"][:9], "facebook:@nobody"])
    table = kernel.run(planned(bad))
    assert (outcomes(table), codes(table)) == ({"succeeded": 9, "blocked": 1}, {"no_account"})
    for _ in range(2):
        rig.sandbox.advance(600)
        run = done(kernel, planned(sheet))
        found = made(kernel, run).set_index("row")["created_by_run"].sort_index()
        assert found.to_list() == [False] * 6 + [True] * 4
    table = kernel.run(undo(kernel, run))
    assert (outcomes(table), rig.effects("post.cancel")) == ({"succeeded": 4}, 4)


def test_a_notebook_that_creates_withdraws_and_creates_again_is_run_all_over(rig: Rig) -> None:
    """The cell that undoes the first attempt finds what the second one has created, which is none of its own."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    for again in (False, True):
        first = done(kernel, planned(sheet))
        rig.sandbox.advance(600)
        plan = undo(kernel, first)
        assert plan.eligible == (0 if again else 3)
        kernel.run(plan)
        rig.sandbox.advance(600)
        assert outcomes(kernel.run(planned(sheet.assign(attempt=2)))) == {"succeeded": 3}
        rig.sandbox.advance(DAY)
    assert (rig.effects("post.create"), rig.effects("post.cancel")) == (6, 3)
    assert live(rig) == dict.fromkeys(sheet["content"], 1)


@pytest.mark.parametrize("meant", [False, True])
def test_rule_05_what_somebody_has_restored_is_not_withdrawn_again_with_its_run(rig: Rig, meant: bool) -> None:
    kernel = rig.kernel()
    run = done(kernel, planned(rig.campaign(1)))
    assert outcomes(kernel.run(undo(kernel, run))) == {"succeeded": 1}
    rig.sandbox.advance(DAY)
    restored(rig, *rig.sandbox.world.posts)
    rig.sandbox.advance(DAY)
    table = kernel.run(undo(kernel, run, **({"again": True} if meant else {})))
    assert (outcomes(table), codes(table)) == (({"succeeded": 1}, set()) if meant else ({"blocked": 1}, {"put_back"}))
    assert rig.effects("post.cancel") == 1 + meant


def test_rule_27_a_row_that_was_added_to_a_sheet_just_now_goes_out_at_once(rig: Rig) -> None:
    """Whoever else is at work on a campaign is waited for; this ledger's own posts of a moment ago are nobody else's."""
    kernel = rig.kernel()
    kernel.run(planned(rig.campaign(3)))
    before = rig.sandbox.now()
    assert outcomes(kernel.run(planned(rig.campaign(4)))) == {"succeeded": 4}
    assert (rig.sandbox.now() - before).total_seconds() < 30
    assert set(rig.created().values()) == {1}


# What was changed meanwhile, below the top of the list.


@pytest.mark.parametrize(
    ("how", "switches"),
    [
        ("moved here", {}),
        ("moved here", {"list_lag_seconds": 60.0}),
        ("moved by somebody", {}),
        ("mended by somebody", {}),
        ("mended by somebody", {"no_listed_metadata": True}),
    ],
)
def test_rule_26_a_row_is_not_created_again_that_equals_a_post_as_it_is_now(
    rig: Rig, how: str, switches: dict[str, object]
) -> None:
    """The post was changed, then the sheet, and Excel turned 001 into 1."""
    rig.sandbox.set_switches(**switches)
    kernel, sheet = rig.kernel(), rig.campaign(3).assign(row_id=["001", "002", "003"])
    kernel.run(planned(sheet))
    others_since(rig, kernel)
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
            kernel.run(plan_update(ours, to=later))
        else:
            for post, when in zip(ours["post_id"], later, strict=True):
                rig.sandbox.person.edit(post, scheduled_for=when.isoformat())
    rig.sandbox.advance(DAY)
    others_post(rig)
    table = kernel.run(planned(changed))
    assert (outcomes(table), codes(table)) == ({"blocked": 3}, {"looks_like_row"})
    assert [scheduled(rig, content) for content in changed["content"]] == [1, 1, 1]


@pytest.mark.parametrize("status", ["draft", "scheduled"])
@pytest.mark.parametrize("bound", ["before", "before, by a kernel that has died", "after"])
def test_rule_26_an_old_post_that_was_mended_into_a_row_blocks_it(rig: Rig, status: str, bound: str) -> None:
    kernel, sheet = rig.kernel(), rig.campaign(1)
    account = sheet["accounts"][0]
    for number in range(150):
        rig.sandbox.plant_post(f"filler {number}", [account], status="published", daysOld=3)
    (old,) = planted(rig, status=status, daysOld=5, scheduledFor=None if status == "draft" else "2027-03-01T09:00:00Z")
    kernel.run(planned(rig.campaign(1, start=9)))
    rig.sandbox.advance(DAY)
    run = "" if bound == "after" else stopped(rig, kernel, kernel.bind(planned(sheet)))
    rig.sandbox.world.posts[old].targets[0].account_id = account
    rig.sandbox.person.edit(old, content=sheet["content"][0], scheduled_for=sheet["scheduled_for"][0])
    rig.sandbox.world.posts[old].status = "scheduled"
    rig.sandbox.advance(DAY / 2)
    others_post(rig)
    kernel = rig.kernel() if "died" in bound else kernel
    if run:
        kernel.go(run)
    else:
        run = done(kernel, planned(sheet))
    assert outcomes(kernel.results(run)) == {"blocked": 1}
    assert scheduled(rig, sheet["content"][0]) == 1


# What was withdrawn since.


@pytest.mark.parametrize(
    ("who", "change", "long_ago"),
    [
        ("this ledger", "none", False),
        ("this ledger", "line ends", False),
        ("this ledger", "account order", True),
        ("somebody withdraws", "none", True),
        ("somebody withdraws", "another word", False),
        ("somebody deletes", "none", True),
        ("somebody deletes", "another word", True),
    ],
)
def test_rule_30_a_row_whose_post_was_withdrawn_is_blocked_until_its_next_attempt(
    rig: Rig, who: str, change: str, long_ago: bool
) -> None:
    """However long the list has moved on, and although the sheet was saved anew."""
    names = ";".join(list(rig.accounts.values())[:2])
    kernel, sheet = rig.kernel(), rig.campaign(2).assign(content=["a\nb", "c\nd"], accounts=names)
    ids = kernel.run(planned(sheet))["result_id"]
    if long_ago:
        others_since(rig, kernel, days=2)
    if who.startswith("somebody"):
        rig.sandbox.advance(301)
        for post in ids:
            getattr(rig.sandbox.person, who.split()[1].removesuffix("s"))(post)
    else:
        posts = kernel.posts("scheduled")
        kernel.run(plan_cancel(posts[posts["post_id"].isin(ids)]))
    again = {
        "none": sheet,
        "line ends": sheet.assign(content=["a\r\nb", "c\r\nd"]),
        "another word": sheet.assign(content=["a\nB", "c\nD"]),
        "account order": sheet.assign(accounts=";".join(reversed(names.split(";")))),
    }[change]
    for seconds in (0.0, 3600.0):
        rig.sandbox.advance(seconds)
        table = kernel.run(planned(again))
        assert (outcomes(table), codes(table)) == ({"blocked": 2}, {"withdrawn_since"})
        assert table["waiting_for"].str.endswith("set a column attempt to 2").all()
    before = rig.effects("post.create")
    for _ in range(2):
        assert outcomes(kernel.run(planned(again.assign(attempt=2)))) == {"succeeded": 2}
    assert rig.effects("post.create") == before + 2


def test_rule_30_attempts_are_found_and_named_by_every_ledger(rig: Rig) -> None:
    """One has created the row again, one has only found it, one is fresh; an attempt may skip numbers."""
    mine, finder, sheet = rig.kernel(), rig.kernel("finder"), rig.campaign(2)

    def withdraw() -> None:
        mine.run(plan_cancel(mine.posts("scheduled")))
        rig.sandbox.advance(600)

    for kernel in (mine, finder):
        assert outcomes(kernel.run(planned(sheet))) == {"succeeded": 2}
        rig.sandbox.advance(600)
    withdraw()
    assert finder.run(planned(sheet))["waiting_for"].str.endswith("set a column attempt to 2").all()
    assert outcomes(finder.run(planned(sheet.assign(attempt=2)))) == {"succeeded": 2}
    rig.sandbox.advance(600)
    assert outcomes(rig.kernel("colleague").run(planned(sheet))) == {"succeeded": 2}
    withdraw()
    assert rig.kernel("fresh").run(planned(sheet))["waiting_for"].str.endswith("set a column attempt to 3").all()
    for attempt in (4, 4, 4, 9):
        mine.run(planned(sheet.assign(attempt=attempt)))
        withdraw()
    assert set(rig.created().values()) == {4}


@pytest.mark.parametrize("how", ["approved after all", "restored"])
@pytest.mark.parametrize("when", ["while it waits", "while it waits, and its kernel has died", "after it was sent"])
def test_rule_30_a_next_attempt_whose_first_post_is_live_again(rig: Rig, how: str, when: str) -> None:
    """What waits stands for the first post; what was created already is reported as its duplicate."""
    kernel, sheet = rig.kernel(), rig.campaign(1)
    kernel.run(planned(sheet))
    rig.sandbox.advance(600)
    (post,) = list(rig.sandbox.world.posts)
    if how == "restored":
        rig.sandbox.person.withdraw(post)
    else:
        sent_back(rig, post)
    rig.sandbox.advance(DAY)
    table = kernel.run(planned(sheet))
    assert (outcomes(table), codes(table)) == ({"blocked": 1}, {"withdrawn_since"})
    run = kernel.bind(planned(sheet.assign(attempt=2)))
    if when == "after it was sent":
        kernel.go(run)
    else:
        stopped(rig, kernel, run)
    if how == "restored":
        restored(rig, post)
    else:
        sent_back(rig, post, approved=True)
    rig.sandbox.advance(DAY / 2)
    kernel = rig.kernel() if "died" in when else kernel
    kernel.go(run)
    if when == "after it was sent":
        assert copies(kernel, run)["copy_of"].to_list() == [post], "the earliest is kept"
    else:
        assert kernel.results(run)["result_id"].to_list() == [post]
    assert scheduled(rig, sheet["content"][0]) == 1 + (when == "after it was sent")


# Acts that wait, and acts of which nobody knows.


def test_rule_02_what_was_never_sent_binds_no_other_plan_and_yields_to_what_was_done_since(rig: Rig) -> None:
    """What is not sent is in no call (core.md, 1): a later act on the same posts goes out, and the one that waits is blocked."""
    kernel = rig.kernel()
    kernel.run(planned(rig.campaign(4)))
    posts = kernel.posts("scheduled")
    cancels = stopped(rig, kernel, kernel.bind(plan_cancel(posts.head(2))))
    words = kernel.bind(plan_update(posts.tail(2).assign(new_content=["first", "words"])))
    rig.sandbox.advance(5)
    later = plan_update(posts.assign(new_tags="late", new_content=["a", "b", "c", "d"]))
    assert outcomes(kernel.run(later)) == {"succeeded": 4}
    for run, code in ((cancels, "changed_since_loaded"), (words, "changed_before")):
        kernel.go(run)
        table = kernel.results(run)
        assert (outcomes(table), codes(table)) == ({"blocked": 2}, {code})
    assert (rig.effects("post.cancel"), rig.effects("post.update")) == (0, 4)


@pytest.mark.parametrize("late", [0.0, 600.0, 2 * DAY])
@pytest.mark.parametrize("when", ["before", "after"])
def test_rule_11_a_cancel_of_which_nobody_knows_is_looked_at_by_a_person_where_the_post_was_changed(
    rig: Rig, when: str, late: float
) -> None:
    kernel = rig.kernel()
    kernel.run(planned(rig.campaign(1)))
    rig.sandbox.advance(600)
    lost = Fault("status", status=500, method="POST", path="/v1/posts/*/cancel", when=when)
    run = send_first(kernel, kernel.bind(plan_cancel(kernel.posts("scheduled"))), lost)
    (post,) = rig.sandbox.world.posts.values()
    rig.sandbox.advance(60)
    restored(rig, post.id)
    rig.sandbox.advance(late)
    kernel.go(run)
    table = kernel.results(run)
    assert (outcomes(table), codes(table)) == ({"blocked": 1}, {"changed_since_cancel"})
    assert (post.status, rig.effects("post.cancel")) == ("scheduled", int(when == "after"))
    assert outcomes(kernel.run(plan_cancel(kernel.posts("scheduled")))) == {"succeeded": 1}


def unknown_retry(rig: Rig, kernel: Kernel, when: str, **switches: object) -> tuple[str, str]:
    """A retry whose only answer is a 500, before or after its effect, by a kernel that is left then: its run and its post."""
    rig.sandbox.set_switches(**switches)
    (post,) = world.plant_posts(rig.sandbox, 1, targets=1)
    lost = Fault("status", status=500, method="POST", path=RETRY, when=when)
    return send_first(kernel, kernel.bind(plan_retry(kernel.triaged())), lost), post


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("forgets", [False, True])
def test_rule_18_a_retry_of_which_nobody_knows_is_abandoned_for_a_next_attempt(
    rig: Rig, when: str, forgets: bool
) -> None:
    """Somebody edited the post, or it failed again with the same error before anybody looked: nothing tells whether it was tried.

    Sent again under its key, it would go out twice where the server has forgotten that.
    """
    kernel = rig.kernel()
    run, post = unknown_retry(rig, kernel, when, recovery_rate=0.0, forget_key_on_5xx=forgets)
    kernel.kill()
    rig.sandbox.advance(DAY / 2)
    rig.sandbox.world.posts[post].targets[0].error = ERROR
    edit(rig, post)
    rig.sandbox.set_switches(recovery_rate=1.0)
    kernel, tried = rig.kernel(), rig.effects("post.retry")
    kernel.go(run)
    table = kernel.results(run)
    assert (outcomes(table), codes(table)) == ({"unknown": 1}, {"changed_in_doubt"})
    begun = rig.sandbox.now()
    kernel.go(run)
    assert (rig.sandbox.now() - begun).total_seconds() < PROOF_AFTER, "looking again tells nothing"
    assert codes(kernel.run(plan_retry(kernel.triaged()))) == {"subject_unknown"}
    assert rig.effects("post.retry") == tried
    assert kernel.execution(run).failed(stuck=True)["attempt"].to_list() == [2]
    rows = kernel.triaged().assign(attempt=2)
    for _ in range(2):
        assert outcomes(kernel.run(plan_retry(rows))) == {"succeeded": 1}
    assert rig.effects("post.retry") == tried + 1
    assert outcomes(kernel.results(run)) == {"failed": 1}


def test_rule_18_an_act_on_the_whole_post_abandons_a_retry_of_which_nobody_knows(rig: Rig) -> None:
    kernel = rig.kernel()
    _, post = unknown_retry(rig, kernel, "before")
    restored(rig, post)
    rig.sandbox.advance(3600)
    posts = kernel.posts("scheduled")
    assert codes(kernel.run(plan_cancel(posts))) == {"subject_unknown"}
    assert outcomes(kernel.run(plan_cancel(posts.assign(attempt=2)))) == {"succeeded": 1}


def test_rule_18_a_retry_whose_target_is_listed_no_more_is_abandoned_for_a_next_attempt(rig: Rig) -> None:
    """The account was connected anew, and has another id."""
    rig.sandbox.set_switches(recovery_rate=0.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    run = send_first(kernel, kernel.bind(plan_retry(kernel.triaged())))
    rig.sandbox.advance(300)
    (post,) = rig.sandbox.world.posts.values()
    post.targets[0].account_id = next(each for each in rig.accounts.values() if each != post.targets[0].account_id)
    edit(rig, post.id)
    kernel.go(run)
    assert codes(kernel.results(run)) == {"never_ended"}
    rig.sandbox.advance(DAY)
    rig.sandbox.set_switches(recovery_rate=1.0)
    rows = kernel.triaged().assign(retryable=True)
    assert codes(kernel.run(plan_retry(rows))) == {"subject_unknown"}
    assert outcomes(kernel.run(plan_retry(rows.assign(attempt=2)))) == {"succeeded": 1}
    assert outcomes(kernel.results(run)) == {"failed": 1}
    assert rig.effects("post.retry") == 2


def test_rule_18_the_same_cell_with_a_column_attempt_is_the_same_attempt(rig: Rig) -> None:
    """A new episode is stored as its first attempt, whatever the column says; run again after a crash it is what it was."""
    kernel = rig.kernel()
    _, post = unknown_retry(rig, kernel, "after", recovery_rate=0.0)
    for _ in range(2):
        rig.sandbox.advance(3600)
        edit(rig, post)
    rig.sandbox.set_switches(queue_hold_seconds=7200.0)
    rows = kernel.triaged().assign(attempt=2, retryable=True)
    send_first(
        kernel, kernel.bind(plan_retry(rows)), Fault("status", status=500, method="POST", path=RETRY, when="after")
    )
    kernel.kill()
    kernel = rig.kernel()
    for _ in range(2):
        rig.sandbox.advance(900)
        kernel.run(plan_retry(rows))
    assert rig.effects("post.retry") == 2


@pytest.mark.parametrize("meant", [{"attempt": 2}, {"again": True}])
def test_rule_19_a_redelivery_of_which_nobody_knows_is_abandoned_for_a_next_attempt(
    rig: Rig, meant: dict[str, object]
) -> None:
    """The receiver refuses connections before and after: the record is the same but for its count."""
    world.plant_deliveries(rig.sandbox, 1)
    kernel = rig.kernel()
    delivery = rig.sandbox.world.deliveries["del_d00000"]

    def refuse() -> None:
        for name in ("status_code", "latency_ms", "delivered_at"):
            setattr(delivery, name, None)
        delivery.success, delivery.error = False, "refused"

    def log() -> pd.DataFrame:
        table = kernel.deliveries()
        return table[table["delivery_id"] == delivery.id]

    refuse()
    lost = Fault("status", status=500, method="POST", path=REDELIVER, when="after")
    run = send_first(kernel, kernel.bind(plan_redeliver(log())), lost)
    rig.sandbox.advance(100)
    refuse()
    kernel.kill()
    kernel = rig.kernel()
    kernel.go(run)
    table = kernel.results(run)
    assert (outcomes(table), codes(table)) == ({"unknown": 1}, {"changed_in_doubt"})
    rig.sandbox.advance(DAY)
    assert codes(kernel.run(plan_redeliver(log()))) == {"subject_unknown"}
    rows = log().assign(**meant)
    for _ in range(2):
        assert outcomes(kernel.run(plan_redeliver(rows, force=True))) == {"succeeded": 1}
    assert rig.effects("delivery.resend") == 2


# Accounts and media.


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_09_an_account_that_was_connected_anew_under_its_name_is_another_request(
    rig: Rig, one_by_one: bool
) -> None:
    """Its id stands in key and mark (rule 9): what failed under the old one is created by a colleague under the new one, once."""
    accounts = rig.sandbox.world.accounts
    old = next(each for each in accounts.values() if each.platform == "facebook")
    sheet = rig.campaign(2).assign(accounts=f"facebook:@{old.username}")
    kernel, colleague = rig.kernel(), rig.kernel("colleague")
    kernel.run(planned(rig.campaign(1, start=5).assign(accounts=old.id)))
    old.status = "expired"
    assert outcomes(kernel.run(planned(sheet, one_by_one=one_by_one))) == {"failed": 2}
    old.status = "disconnected"
    accounts["acc_anew"] = replace(old, id="acc_anew", status="active")
    rig.sandbox.advance(3600)
    for each in (colleague, colleague, kernel):
        assert outcomes(each.run(planned(sheet, one_by_one=one_by_one))) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}
    old.status = "expired"
    table = kernel.run(planned(rig.campaign(1, start=9).assign(accounts=f"facebook:@{old.username}")))
    assert codes(table) == {"no_account"}
    assert table["waiting_for"][0].startswith(f"2 accounts are called facebook:@{old.username}; write which is meant: ")


def test_rule_05_a_content_type_makes_no_other_row(rig: Rig) -> None:
    instagram = next(each for each in rig.sandbox.world.accounts.values() if each.platform == "instagram")
    media = next(iter(rig.sandbox.world.media), None) or rig.sandbox.plant_media()
    sheet = rig.campaign(2).assign(accounts=f"instagram:@{instagram.username}", media=media)
    kernel = rig.kernel()
    kernel.run(planned(sheet))
    rig.sandbox.advance(600)
    for ledger in (kernel, rig.kernel("colleague")):
        assert outcomes(ledger.run(planned(sheet, one_by_one=True))) == {"succeeded": 2}
        assert outcomes(ledger.run(planned(sheet.assign(content_type="image")))) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}


# What is read, and how often.


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param(
            "nothing", 30, id="lists show no metadata: every post that is not ours, once, whether or not it looks alike"
        ),
        pytest.param("others", 1, id="lists show metadata, of others: one post is compared"),
        pytest.param("ours", 0, id="lists show our marks"),
    ],
)
def test_rule_13_posts_are_read_by_themselves_once_and_only_where_lists_show_no_marks(
    rig: Rig, shown: str, expected: int
) -> None:
    rig.sandbox.set_switches(no_listed_metadata=shown == "nothing")
    kernel, sheet = rig.kernel(), rig.campaign(20)
    if shown != "others":
        kernel.run(planned(rig.campaign(5, start=50)))
        rig.sandbox.advance(600)
    for number, row in enumerate(sheet.head(15).to_dict("records")):
        for content in (row["content"], f"other {number}"):
            rig.sandbox.plant_post(
                content, [row["accounts"]], status="scheduled", scheduledFor=row["scheduled_for"], daysOld=0.001
            )
    counts = []
    for _ in range(3):
        before = len(rig.sandbox.requests())
        assert outcomes(kernel.run(planned(sheet.head(15)))) == {"blocked": 15}
        read = rig.sandbox.requests()[before:]
        counts.append(sum(each["path"] != "/v1/posts" for each in read))
        assert len(read) - counts[-1] < 12
        rig.sandbox.advance(600)
    assert counts == [expected, 0, 0]


def test_posts_that_are_just_going_out_are_found_in_their_list(rig: Rig) -> None:
    rig.sandbox.set_switches(publish_seconds=(1e6, 1e6))
    soon = (rig.sandbox.now() + pd.Timedelta("1h")).isoformat()
    kernel, sheet = rig.kernel(), rig.campaign(60).assign(scheduled_for=soon)
    kernel.run(planned(sheet))
    others_since(rig, kernel, days=1 / 12)
    rig.sandbox.advance(600)
    counts = []
    for _ in range(2):
        before = len(rig.sandbox.requests())
        assert outcomes(kernel.run(planned(sheet))) == {"succeeded": 60}
        counts.append(len(rig.sandbox.requests()) - before)
    assert counts[0] < 15
    assert counts[1] == 5, "the lists of what waits, and of what is new: that they have gone out is known"
