"""What broke the first edition, each counted at the server: laptops, people, spreadsheets and slow servers (rules 5 to 30)."""

from __future__ import annotations

import asyncio
import unicodedata
from io import StringIO

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, RETRY, edit, killed, plan_rows, post, send_once

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.api.reasons import Reason
from voxops.engine import outcome


def sheet(rig: Rig, count: int = 4, **columns: object) -> pd.DataFrame:
    return rig.campaign(count).assign(**columns)


def test_rule_13_another_sheet_with_the_same_row_names_is_not_taken_for_made(rig):
    """Last week's posts have this week's row ids: a fresh ledger must not call this week's rows created."""
    rig.kernel().run(plan_create(sheet(rig), key="row_id"))
    this_week = sheet(rig)
    this_week["content"] = "this week: " + this_week["content"]
    table = rig.kernel().run(plan_create(this_week, key="row_id"))
    assert outcomes(table) == {"blocked": 4}
    assert table["waiting_for"].str.contains("already posted as post_").fillna(False).all()
    assert len(rig.created()) == 4
    table = rig.kernel().run(plan_create(this_week, key="row_id", campaign="this week"))
    assert outcomes(table) == {"succeeded": 4}


@pytest.mark.parametrize("made", [0, 12, 20])
@pytest.mark.parametrize("lag", [0.0, 5.0, 20.0, 60.0])
def test_rule_11_a_coded_500_while_lists_lag_makes_no_row_twice(rig, made, lag):
    rig.sandbox.set_switches(list_lag_seconds=lag, forget_key_on_5xx=True)
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="bulk_partial", method="POST", path=BULK, items=made))
    table = kernel.run(plan_rows(rig, 20))
    assert outcomes(table) == {"succeeded": 20}
    assert set(rig.created().values()) == {1}
    assert len(rig.created()) == 20


def test_rule_14_a_post_that_was_there_before_holds_no_row(rig):
    """It shows no metadata and was edited, so it could be anything; but it is older than what was sent."""
    old = rig.sandbox.plant_post(
        "older", [next(iter(rig.accounts.values()))], status="scheduled", scheduledFor=str(world.FAR), daysOld=1
    )
    rig.sandbox.person.edit(old, tags=["later"])
    world.plant_posts(rig.sandbox, 1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(Fault(action="status", status=500, method="POST", path=BULK, times=1))
    rig.sandbox.set_switches(forget_key_on_5xx=True)
    table = kernel.run(plan_rows(rig, 4))
    assert outcomes(table) == {"succeeded": 4}
    assert set(rig.created().values()) == {1}


def test_rule_18_seven_minutes_in_the_queue_and_an_edited_tag(rig):
    """What waits in the queue looks as before; an edit of somebody is no failure, and no second retry leaves."""
    rig.sandbox.set_switches(queue_hold_seconds=420.0, recovery_rate=1.0)
    world.plant_posts(rig.sandbox, 3, targets=1)
    kernel = rig.kernel()
    run = kernel.bind(plan_retry(kernel.triaged()))
    send_once(kernel, run)
    edit(rig, kernel.ledger.operations.of_run(run)[0].subject.id)
    kernel.go(run)
    kernel.run(plan_retry(kernel.triaged()))
    rig.sandbox.advance(900)
    kernel.go(run)
    assert rig.effects("post.retry") == 3
    assert outcomes(kernel.results(run)) == {"succeeded": 3}


def test_rule_18_the_same_failure_again_is_known_soon_after_it_was_seen_publishing(rig):
    rig.sandbox.set_switches(recovery_rate=0.0, publish_seconds=(20.0, 20.0))
    world.plant_posts(rig.sandbox, 2, targets=1)
    kernel = rig.kernel()
    began = rig.sandbox.now()
    table = kernel.run(plan_retry(kernel.triaged()))
    assert outcomes(table) == {"failed": 2}
    took = (pd.Timestamp(table["settled_at"].max()) - pd.Timestamp(began)).total_seconds()
    assert took < 90, "two polling intervals after the end, and not five minutes"


NAMES = {
    "as numbers": [1, 2, 3, 4],
    "as floats": [1.0, 2.0, 3.0, 4.0],
    "as text of floats": ["1.0", "2.0", "3.0", "4.0"],
    "with invisible characters": ["\ufeff1", "2\u200b", " 3 ", "4"],
}


@pytest.mark.parametrize("names", NAMES)
def test_rule_05_row_names_through_files_are_the_same_rows(rig, names):
    frame = sheet(rig, row_id=["1", "2", "3", "4"])
    rig.kernel().run(plan_create(frame, key="row_id"))
    again = frame.assign(row_id=pd.Series(NAMES[names], dtype=object))
    assert outcomes(rig.kernel().run(plan_create(again, key="row_id"))) == {"succeeded": 4}
    assert set(rig.created().values()) == {1}


def test_rule_26_a_sheet_whose_row_names_moved_is_not_made_again(rig):
    """Excel turned 001 into 1, or a row was inserted on top of numbered rows: the same posts under other names."""
    frame = sheet(rig, row_id=["001", "002", "003", "004"])
    kernel = rig.kernel()
    kernel.run(plan_create(frame, key="row_id"))
    moved = frame.assign(row_id=["1", "2", "3", "4"])
    table = rig.kernel().run(plan_create(moved, key="row_id"))
    assert outcomes(table) == {"blocked": 4}
    assert table["waiting_for"].str.contains("looks like another row").fillna(False).all()
    assert set(rig.created().values()) == {1}
    meant = kernel.run(plan_create(moved.assign(twin=True), key="row_id"))
    assert outcomes(meant) == {"succeeded": 4}


@pytest.mark.parametrize("known", ["bound", "sent and its kernel dead"])
def test_rule_26_a_sheet_that_is_run_again_under_other_names_at_once_is_not_made_again(rig, known):
    """Nothing shows yet what the first run makes: it was only bound, or its kernel died while lists lag."""
    rig.sandbox.set_switches(list_lag_seconds=50, forget_key_on_5xx=True)
    frame = sheet(rig, row_id=["001", "002", "003", "004"])
    first = rig.kernel()
    run = first.bind(plan_create(frame, key="row_id"))
    if known != "bound":
        killed(rig, first, run, BULK)
        rig.sandbox.advance(20)
    second = rig.kernel()
    again = second.bind(plan_create(frame.assign(row_id=["1", "2", "3", "4"]), key="row_id"))
    second.go(again)
    second.go(run)
    table = second.results(again)
    assert outcomes(table) == {"blocked": 4}
    assert (
        table["waiting_for"]
        .str.contains("the same post (?:is under way|waits to be sent) as row 00")
        .fillna(False)
        .all()
    )
    assert outcomes(second.results(run)) == {"succeeded": 4}
    assert list(rig.created().values()) == [1] * 4


@pytest.mark.parametrize("ledger", ["ledger", "another"])
def test_rule_26_a_post_that_was_moved_mended_or_withdrawn_since_is_not_made_again_under_another_name(rig, ledger):
    frame = sheet(rig, row_id=["001", "002", "003", "004"])
    kernel = rig.kernel()
    kernel.run(plan_create(frame, key="row_id"))
    posts = kernel.posts("scheduled")
    posts = [posts[posts["content"] == text] for text in frame["content"]]
    for plan in (
        plan_update(posts[0], by="1D"),
        plan_update(posts[1].assign(new_content="mended")),
        plan_cancel(posts[2]),
    ):
        assert outcomes(kernel.run(plan)) == {"succeeded": 1}
    rig.sandbox.advance(600)
    table = rig.kernel(ledger).run(plan_create(frame.assign(row_id=["1", "2", "3", "4"]), key="row_id"))
    assert outcomes(table) == {"blocked": 4}
    assert table["waiting_for"].str.contains("looks like another row of this campaign").fillna(False).all()
    assert table["waiting_for"].str.contains("cancelled since").tolist() == [False, False, True, False]
    assert rig.effects("post.create") == 4


@pytest.mark.parametrize(
    "spelled",
    [lambda text: f"{text} ", lambda text: text.replace("\n", "\r\n"), lambda text: unicodedata.normalize("NFD", text),
     lambda text: text.replace(" ", "\u00a0"), lambda text: f"\ufeff{text}"],
    ids=["a blank", "line ends", "composed", "hard blanks", "invisible"],
)  # fmt: skip
def test_rule_26_texts_that_read_the_same_are_the_same_post_under_other_names(rig, spelled):
    """A sheet that went through another program: its rows were numbered anew, and its texts are spelled in other characters."""
    frame = sheet(rig, row_id=["1", "2", "3", "4"])
    frame["content"] = [f"Déjà vu {number}\nNew today" for number in range(4)]
    rig.kernel().run(plan_create(frame, key="row_id"))
    again = frame.assign(row_id=["2", "3", "4", "5"], content=frame["content"].map(spelled))
    assert (again["content"] != frame["content"]).all()
    for ledger in ("ledger", "another"):
        table = rig.kernel(ledger).run(plan_create(again.tail(1), key="row_id"))
        assert outcomes(table) == {"blocked": 1}
        assert table["waiting_for"].str.contains("looks like another row").fillna(False).all()
    assert rig.effects("post.create") == 4


def test_rule_29_failed_rows_keep_their_campaign_also_through_a_file(rig):
    frame = sheet(rig, 3)
    frame.loc[1, "accounts"] = "acc_unknown"
    kernel = rig.kernel()
    run = kernel.bind(plan_create(frame, key="row_id", campaign="Spring"))
    kernel.go(run)
    failed = outcome.failed_rows(kernel.ledger, run)
    read = pd.read_csv(StringIO(failed.to_csv(index=False)), dtype="string")
    for rows in (failed, read):
        plan = plan_create(rows, key="row_id")
        assert plan.campaign == "spring"
        assert plan.items[0].attempt == 2
    bare = plan_create(kernel.results(run)[frame.columns].reset_index(drop=True), key="row_id", campaign=None)
    bare.table.attrs.clear()
    nameless = plan_create(pd.DataFrame(frame.to_dict("list")), key="row_id")
    table = kernel.run(nameless)
    assert table["waiting_for"].str.contains("in another campaign").sum() >= 1
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize("name", ["2026.10", "007", "0", "1e3", "TRUE"])
def test_rule_29_a_campaign_that_a_file_has_turned_into_a_number_makes_no_row_twice(rig, name):
    kernel = rig.kernel()
    table = kernel.run(plan_create(sheet(rig), key="row_id", campaign=name))
    text = table.to_csv(index=False)
    with pytest.raises(vx.errors.PlanError, match=r"column 'campaign' holds .* that a file has made of a name"):
        plan_create(pd.read_csv(StringIO(text)), key="row_id")
    same = plan_create(pd.read_csv(StringIO(text), dtype="string"), key="row_id")
    assert outcomes(kernel.run(same)) == {"succeeded": 4}
    spoiled = plan_create(pd.read_csv(StringIO(text)).astype({"campaign": "string"}), key="row_id")
    assert set(outcomes(kernel.run(spoiled))) <= {"succeeded", "blocked"}
    assert list(rig.created().values()) == [1] * 4
    named = plan_create(pd.read_csv(StringIO(text)), key="row_id", campaign=name)
    assert outcomes(kernel.run(named)) == {"succeeded": 4}


@pytest.mark.parametrize("ledger", ["ledger", "another"])
def test_rule_29_a_sheet_that_lost_the_names_of_its_rows_and_its_campaign_is_not_made_again(rig, ledger):
    """Opened in Excel and saved: 001 is 1, and 2026.10 is 2026.1."""
    frame = sheet(rig, row_id=["001", "002", "003", "004"], campaign="2026.10")
    rig.kernel().run(plan_create(frame, key="row_id"))
    saved = frame.assign(row_id=["1", "2", "3", "4"], campaign="2026.1")
    table = rig.kernel(ledger).run(plan_create(saved, key="row_id"))
    assert outcomes(table) == {"blocked": 4}
    assert table["waiting_for"].str.contains("looks like a row of another campaign").fillna(False).all()
    assert rig.effects("post.create") == 4
    table = rig.kernel(ledger).run(plan_create(saved, key="row_id", campaign="2026.1"))
    assert outcomes(table) == {"succeeded": 4}, "an explicit name is taken as said"


def test_rule_29_an_empty_column_names_no_campaign(rig):
    frame = sheet(rig)
    kernel = rig.kernel()
    kernel.run(plan_create(frame, key="row_id", campaign="Spring"))
    table = kernel.run(plan_create(frame.assign(campaign=None, content="others"), key="row_id"))
    assert outcomes(table) == {"blocked": 4}
    assert table["waiting_for"].str.contains("in another campaign").fillna(False).all()


def test_rule_29_ids_that_a_file_has_turned_into_numbers_are_refused(rig):
    for spoiled in (1.2345678901234568e16, "1.23457E+16", "123.0"):
        with pytest.raises(vx.errors.PlanError, match="a number that a file has made of an id"):
            plan_create(sheet(rig, accounts=spoiled), key="row_id")


def test_rule_13_a_row_mended_and_sent_by_a_colleague_is_not_sent_again(rig):
    frame = sheet(rig, 2)
    frame.loc[1, "content"] = "x" * 9000
    mine, theirs = rig.kernel(), rig.kernel()
    assert outcomes(mine.run(plan_create(frame, key="row_id"))) == {"succeeded": 1, "failed": 1}
    assert outcomes(theirs.run(plan_create(frame, key="row_id"))) == {"succeeded": 1, "failed": 1}
    mended = frame.assign(content=[frame["content"][0], "short"])
    assert outcomes(theirs.run(plan_create(mended, key="row_id"))) == {"succeeded": 2}
    assert outcomes(mine.run(plan_create(mended, key="row_id"))) == {"succeeded": 2}
    other = mended.assign(content=[frame["content"][0], "mended otherwise"])
    assert outcomes(mine.run(plan_create(other, key="row_id"))) == {"succeeded": 1, "blocked": 1}
    assert set(rig.created().values()) == {1}
    assert len(rig.created()) == 2


def test_rule_09_the_same_failure_has_one_key_whoever_plans_it(rig):
    """A colleague loads the failure afresh, I plan the rows of run.failed(): one request."""
    rig.sandbox.set_switches(recovery_rate=0.0)
    world.plant_posts(rig.sandbox, 3, targets=1)
    mine, theirs = rig.kernel(), rig.kernel()
    run = mine.bind(plan_retry(mine.triaged()))
    mine.go(run)
    assert outcomes(mine.results(run)) == {"failed": 3}
    again, fresh = plan_retry(outcome.failed_rows(mine.ledger, run)), plan_retry(theirs.triaged())
    assert {each.key for each in again.operations} == {each.key for each in fresh.operations}
    mine.run(again)
    before = rig.effects("post.retry")
    theirs.run(fresh)
    assert rig.effects("post.retry") == before, "the server knows the key"


def test_rule_13_a_fresh_ledger_finds_what_waits_since_forty_days(rig):
    frame = sheet(rig)
    rig.kernel().run(plan_create(frame, key="row_id"))
    rig.sandbox.advance(40 * 86_400)
    table = rig.kernel().run(plan_create(frame, key="row_id"))
    assert outcomes(table) == {"succeeded": 4}
    assert set(rig.created().values()) == {1}


def test_rule_30_a_withdrawn_post_is_never_called_succeeded(rig):
    kernel = rig.kernel()
    plan = plan_rows(rig, 2)
    run = kernel.bind(plan)
    kernel.go(run)
    gone = kernel.results(run)["result_id"].iloc[0]
    eventloop.run(kernel.client.posts.cancel(gone))
    again = kernel.run(plan)
    assert outcomes(again) == {"succeeded": 1, "blocked": 1}
    assert again["waiting_for"].dropna().str.contains(f"made as {gone}, cancelled since").all()
    made = kernel.run(plan_create(rig.campaign(2).assign(attempt=2), key="row_id"))
    assert outcomes(made) == {"succeeded": 2}
    assert rig.effects("post.create") == 3, "the withdrawn one, as its next attempt"


def test_rule_28_copies_are_found_whoever_made_them_and_one_is_kept(rig):
    with vx.connect(sandbox=rig.sandbox, ledger=rig.folder / "copies.sqlite") as ws:
        run = ws.run(plan_rows(rig, 2)).wait()
        first = run.results()["result_id"].iloc[0]
        record = eventloop.run(ws.client.posts.get(first))
        body = {
            "content": record["content"],
            "accountIds": [target["accountId"] for target in record["platforms"]],
            "scheduledFor": record["scheduledFor"],
            "metadata": record["metadata"],
        }
        rig.sandbox.advance(1)  # of two posts of one moment nobody can tell which is the copy
        eventloop.run(ws.client.raw("POST", "/v1/posts", json=body))
        copies = run.copies()
        assert copies["copy_of"].tolist() == [first]
        assert run.results()["notice"].dropna().str.contains("copies exist").sum() == 1
        withdrawn = ws.run(vx.plan_cancel(copies)).wait().results()
        assert outcomes(withdrawn) == {"succeeded": 1}
        assert run.copies().empty


@pytest.mark.parametrize("answered", [True, False])
def test_rule_31_what_two_people_retry_at_the_same_moment_is_reported(rig, answered):
    """Where keys are ignored nobody can prevent it: both have read the post before either has sent."""
    rig.sandbox.set_switches(ignore_keys=True)
    world.plant_posts(rig.sandbox, 2, targets=1)
    kernels = [rig.kernel("one"), rig.kernel("two")]
    plan = plan_retry(kernels[0].triaged())
    runs = [kernel.bind(plan) for kernel in kernels]
    if not answered:
        rig.sandbox.add_fault(Fault(action="drop", when="after", method="POST", path=RETRY, times=1))
    for kernel, run in zip(kernels, runs, strict=True):
        send_once(kernel, run)
    assert rig.effects("post.retry") == 2
    followed = [kernel.execution(run, look_back=True) for kernel, run in zip(kernels, runs, strict=True)]
    for each in followed:
        eventloop.run(each.go())
    for each in followed:
        eventloop.run(asyncio.wait_for(each._after, 30))
    assert rig.effects("post.retry") == 3, "the second post went out once"
    notices = pd.concat([kernel.results(run) for kernel, run in zip(kernels, runs, strict=True)])
    said = notices[notices["notice"].notna()]
    assert said["notice"].str.startswith("may have gone out twice: somebody else").all()
    assert set(said["post_id"]) == {kernels[0].ledger.operations.of_run(runs[0], ("settled",))[0].subject.id}


def test_rule_31_a_later_attempt_of_our_own_is_nobody_else_s(rig):
    """Before, the first cell, run again after the second had retried what was left, said that somebody else did the same."""
    world.plant_posts(rig.sandbox, 3, targets=1)
    rig.sandbox.set_switches(recovery_rate=0.0)
    with vx.connect(sandbox=rig.sandbox, ledger=rig.folder / "again.sqlite") as ws:
        plan = plan_retry(vx.triage(vx.targets(ws.posts(status="failed"))))
        first = ws.run(plan).wait()
        assert outcomes(first.results()) == {"failed": 3}
        rig.sandbox.set_switches(recovery_rate=1.0)
        second = ws.run(plan_retry(first.failed())).wait()
        assert outcomes(second.results()) == {"succeeded": 3}
        again = ws.run(plan).wait()
        eventloop.run(asyncio.wait_for(again._job._after, 30))
        assert "gone out twice" not in repr(again)
        assert again.results()["notice"].isna().all()
    assert rig.effects("post.retry") == 6


def test_rule_31_a_delivery_that_two_people_send_again_is_reported(rig):
    rig.sandbox.set_switches(ignore_keys=True)
    world.plant_deliveries(rig.sandbox, 1)
    kernels = [rig.kernel("one"), rig.kernel("two")]
    plan = plan_redeliver(kernels[0].deliveries())
    runs = [kernel.bind(plan) for kernel in kernels]
    for kernel, run in zip(kernels, runs, strict=True):
        send_once(kernel, run)
    assert rig.effects("delivery.resend") == 2
    reported = []
    for kernel, run in zip(kernels, runs, strict=True):
        execution = kernel.execution(run, look_back=True)
        eventloop.run(execution.go())
        eventloop.run(asyncio.wait_for(execution._after, 30))
        reported += kernel.results(run)["notice"].dropna().to_list()
    assert reported
    assert all(text.startswith("may have gone out twice") for text in reported)


def test_rule_27_one_by_one_two_laptops_at_once_make_no_row_twice(rig):
    frame = sheet(rig, 6)
    one, two = rig.kernel(), rig.kernel()
    first = one.bind(plan_create(frame, key="row_id", one_by_one=True))
    second = two.bind(plan_create(frame.iloc[2:].iloc[::-1], key="row_id", one_by_one=True))
    works = [one.start(first), two.start(second)]
    for work in works:
        work.result(60)
    assert set(rig.created().values()) == {1}
    assert len(rig.created()) == 6
    assert outcomes(one.results(first)) == {"succeeded": 6}
    assert outcomes(two.results(second)) == {"succeeded": 4}


def test_rule_27_the_same_sheet_sorted_otherwise_at_once_is_one_request(rig):
    frame = sheet(rig, 60)
    one, two = rig.kernel(), rig.kernel()
    first = one.bind(plan_create(frame, key="row_id"))
    second = two.bind(plan_create(frame.iloc[::-1], key="row_id"))
    works = [one.start(first), two.start(second)]
    for work in works:
        work.result(60)
    assert set(rig.created().values()) == {1}
    assert len(rig.created()) == 60


def test_rule_20_blocked_rows_are_a_state_of_their_own(rig):
    frame = sheet(rig, 2, accounts=["twitter:@aldercofee", sheet(rig)["accounts"][0]])
    with vx.connect(sandbox=rig.sandbox, ledger=rig.folder / "blocked.sqlite") as ws:
        run = ws.run(plan_create(frame, key="row_id")).wait()
        assert outcomes(run.results()) == {"succeeded": 1, "blocked": 1}
        assert run.snapshot.phase == "blocked"
        assert run.blocked()["waiting_for"].tolist() == [
            "no account twitter:@aldercofee in this workspace; did you mean twitter:@aldercoffee?"
        ]
        assert run.failed().empty
        assert ws.attach(run.id).id == run.id


def test_rule_19_what_a_receiver_rejected_is_held_unless_it_is_meant():
    row = {
        "delivery_id": "d", "webhook_id": "w", "event_type": "post.failed", "success": False, "status_code": 410, "latency_ms": 5,
        "retry_count": 5, "error": "gone", "delivered_at": pd.NaT, "created_at": pd.Timestamp("2026-03-01", tz="UTC"),
    }  # fmt: skip
    frame = pd.DataFrame([row, row | {"delivery_id": "e", "status_code": 429}, row | {"delivery_id": "f"}])
    frame["again"] = [False, False, True]
    frame.attrs["fetched_at"] = "2026-03-02T09:00:00+00:00"
    plan = vx.plan_redeliver(frame)
    assert plan.frame["eligible"].tolist() == [False, True, True]
    assert plan.frame["reason"][0] == str(Reason("receiver_rejected", status=410))


def test_rule_11_a_retry_sent_again_without_proof_says_so(rig):
    rig.sandbox.set_switches(queue_hold_seconds=400.0, recovery_rate=1.0)
    world.plant_posts(rig.sandbox, 1, targets=1)
    kernel = rig.kernel()
    rig.sandbox.add_fault(*post({"action": "drop", "when": "after"}, path=RETRY))
    table = kernel.run(plan_retry(kernel.triaged()))
    assert table["notice"].str.contains("may have gone out twice").all()
    assert rig.effects("post.retry") == 1, "the server knew the key"


def test_rule_31_a_ledger_of_another_version_is_refused_and_stays_as_it_is(tmp_path):
    from voxops.ledger import Ledger

    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    schema = ledger.query("PRAGMA user_version")[0][0]
    with ledger.atomic() as db:
        db.execute(f"PRAGMA user_version={schema + 1}")
    ledger.close()
    before = path.read_bytes()
    with pytest.raises(vx.errors.LedgerError, match="finish its runs with the version that made it"):
        Ledger(path)
    assert path.read_bytes() == before
