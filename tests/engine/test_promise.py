"""What broke the first edition, each counted at the server: laptops, people and spreadsheets (rules 5 to 31)."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from io import StringIO

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.steps import BULK, RETRY, each_once, killed, plan_rows, planned, post, send_once
from tests.engine.verbs import blocked, copies, withdrawn

import voxops as vx
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update
from voxops.engine.lookback import FEW

MINE = ["001", "002", "003", "004"]
NUMBERED = ["1", "2", "3", "4"]  # as Excel writes them


def sheet(rig: Rig, count: int = 4, **columns: object) -> pd.DataFrame:
    return rig.campaign(count).assign(**columns)


def of(frame: pd.DataFrame, campaign: str | None = None) -> Plan:
    return plan_create(frame, key="row_id", campaign=campaign)


def all_blocked(kernel: Kernel, plan: Plan, code: str) -> None:
    run = kernel.bind(plan)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"blocked": len(plan.items)}
    assert blocked(kernel, run) == {code: len(plan.items)}


# -- who a row is -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [[1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0], ["1.0", "2.0", "3.0", "4.0"], ["\ufeff1", "2\u200b", " 3 ", "4"]],
    ids=["as numbers", "as floats", "as text of floats", "with invisible characters"],
)
def test_rule_05_row_names_through_files_are_the_same_rows(rig: Rig, names: list[object]) -> None:
    frame = sheet(rig, row_id=NUMBERED)
    rig.kernel().run(of(frame))
    again = frame.assign(row_id=pd.Series(names, dtype=object))
    assert outcomes(rig.kernel().run(of(again))) == {"succeeded": 4}
    each_once(rig, 4)


@pytest.mark.parametrize("waits", [0.0, 40 * 86_400.0])
def test_rule_13_a_ledger_that_sees_the_workspace_first_finds_its_rows_and_no_others(rig: Rig, waits: float) -> None:
    """After forty days, too. Another sheet with the same row names, without a campaign, is not taken for created."""
    frame = sheet(rig)
    rig.kernel("theirs").run(of(frame))
    rig.sandbox.advance(waits)
    assert outcomes(rig.kernel("mine").run(of(frame))) == {"succeeded": 4}
    this_week = frame.assign(content="this week: " + frame["content"])
    all_blocked(rig.kernel("another"), of(this_week), "other_content")
    each_once(rig, 4)
    assert outcomes(rig.kernel("another").run(of(this_week, "this week"))) == {"succeeded": 4}


def test_rule_13_a_row_mended_and_sent_by_a_colleague_is_not_sent_again(rig: Rig) -> None:
    frame = sheet(rig, 2)
    frame.loc[1, "content"] = "x" * 9000
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    for kernel in (mine, theirs):
        assert outcomes(kernel.run(of(frame))) == {"succeeded": 1, "failed": 1}
    mended = frame.assign(content=[frame["content"][0], "short"])
    for kernel in (theirs, mine):
        assert outcomes(kernel.run(of(mended))) == {"succeeded": 2}
    otherwise = mended.assign(content=[frame["content"][0], "mended otherwise"])
    assert outcomes(mine.run(of(otherwise))) == {"succeeded": 1, "blocked": 1}
    each_once(rig, 2)


def test_rule_30_a_withdrawn_post_is_created_again_as_a_next_attempt_only(rig: Rig) -> None:
    """Its run told it succeeded, for ever, and says beside it that it was withdrawn; a new plan of the row is blocked."""
    kernel, plan = rig.kernel(), plan_rows(rig, 2)
    run = kernel.bind(plan)
    kernel.go(run)
    gone = kernel.results(run)["result_id"].iloc[0]
    rig.sandbox.advance(80)  # until then an answer counts for more than a list
    eventloop.run(kernel.client.posts.cancel(gone))
    again = kernel.bind(plan)
    kernel.go(again)
    assert outcomes(kernel.results(again)) == {"succeeded": 1, "blocked": 1}
    assert blocked(kernel, again) == {"withdrawn_since": 1}
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert withdrawn(kernel, run) == 1
    assert outcomes(kernel.run(of(rig.campaign(2).assign(attempt=2)))) == {"succeeded": 2}
    assert rig.effects("post.create") == 3


# -- the same posts under other names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", ["created", "bound", "sent and its kernel dead"])
def test_rule_26_a_sheet_whose_row_names_moved_is_not_created_again(rig: Rig, known: str) -> None:
    """Excel turned 001 into 1: the same posts under other names, whether they show yet or not. Of unsent rows the first goes."""
    rig.sandbox.set_switches(list_lag_seconds=50, forget_key_on_5xx=True)
    frame, first = sheet(rig, row_id=MINE), rig.kernel()
    run = first.bind(of(frame))
    if known == "created":
        first.go(run)
    elif known != "bound":
        killed(rig, first, run, BULK)
        rig.sandbox.advance(20)
    second = rig.kernel()
    again = second.bind(of(frame.assign(row_id=NUMBERED)))
    second.go(again)
    second.go(run)
    won, lost = (again, run) if known == "bound" else (run, again)
    assert outcomes(second.results(won)) == {"succeeded": 4}
    assert outcomes(second.results(lost)) == {"blocked": 4}
    assert set(blocked(second, lost)) <= {"looks_like_row", "alike_in_flight"}
    each_once(rig, 4)
    if known == "created":
        meant = second.run(of(frame.assign(row_id=NUMBERED, twin=True)))
        assert outcomes(meant) == {"succeeded": 4}


@pytest.mark.parametrize("ledger", ["ledger", "another"])
def test_rule_26_nor_a_post_that_was_moved_mended_or_withdrawn_since(rig: Rig, ledger: str) -> None:
    frame, kernel = sheet(rig, row_id=MINE), rig.kernel()
    kernel.run(of(frame))
    posts = kernel.posts("scheduled")
    posts = [posts[posts["content"] == text] for text in frame["content"]]
    for plan in (
        plan_update(posts[0], by="1D", change="moved"),
        plan_update(posts[1].assign(new_content="mended")),
        plan_cancel(posts[2]),
    ):
        assert outcomes(kernel.run(plan)) == {"succeeded": 1}
    rig.sandbox.advance(600)
    other = rig.kernel(ledger)
    all_blocked(other, of(frame.assign(row_id=NUMBERED)), "looks_like_row")
    assert rig.effects("post.create") == 4


@pytest.mark.parametrize(
    "spelled",
    [lambda text: f"{text} ", lambda text: text.replace("\n", "\r\n"), lambda text: unicodedata.normalize("NFD", text),
     lambda text: text.replace(" ", "\u00a0"), lambda text: f"\ufeff{text}"],
    ids=["a blank", "line ends", "composed", "hard blanks", "invisible"],
)  # fmt: skip
def test_rule_26_texts_that_read_the_same_are_the_same_post_under_other_names(
    rig: Rig, spelled: Callable[[str], str]
) -> None:
    """A sheet that went through another program: its rows were numbered anew, and its texts are spelled in other characters."""
    frame = sheet(rig, row_id=NUMBERED)
    frame["content"] = [f"Déjà vu {number}\nNew today" for number in range(4)]
    rig.kernel().run(of(frame))
    again = frame.assign(row_id=["2", "3", "4", "5"], content=frame["content"].map(spelled))
    assert (again["content"] != frame["content"]).all()
    for ledger in ("ledger", "another"):
        all_blocked(rig.kernel(ledger), of(again.tail(1)), "looks_like_row")
    assert rig.effects("post.create") == 4


# -- campaigns through files --------------------------------------------------------------------------------------------------------


def test_rule_29_failed_rows_keep_their_campaign_also_through_a_file(rig: Rig) -> None:
    frame, kernel = sheet(rig, 3), rig.kernel()
    frame.loc[1, "accounts"] = "acc_unknown"
    run = kernel.bind(of(frame, "Spring"))
    kernel.go(run)
    failed = kernel.execution(run).failed()
    for rows in (failed, pd.read_csv(StringIO(failed.to_csv(index=False)), dtype="string")):
        plan = of(rows)
        assert (plan.campaign, plan.items[0].attempt) == ("spring", 2)
    for nameless in (frame, frame.assign(campaign=None, content="others")):
        table = kernel.run(of(pd.DataFrame(nameless.to_dict("list"))))
        assert set(table["reason_code"].dropna()) == {"other_campaign"}
    each_once(rig, 2)


@pytest.mark.parametrize("name", ["2026.10", "007", "0", "1e3", "TRUE"])
def test_rule_29_a_campaign_that_a_file_has_turned_into_a_number_creates_no_row_twice(rig: Rig, name: str) -> None:
    kernel = rig.kernel()
    text = kernel.run(of(sheet(rig), name)).to_csv(index=False)
    with pytest.raises(vx.errors.PlanError, match=r"column 'campaign' holds .* that a file has made of a name"):
        of(pd.read_csv(StringIO(text)))
    assert outcomes(kernel.run(of(pd.read_csv(StringIO(text), dtype="string")))) == {"succeeded": 4}
    spoiled = of(pd.read_csv(StringIO(text)).astype({"campaign": "string"}))
    assert set(outcomes(kernel.run(spoiled))) <= {"succeeded", "blocked"}
    each_once(rig, 4)
    assert outcomes(kernel.run(of(pd.read_csv(StringIO(text)), name))) == {"succeeded": 4}


@pytest.mark.parametrize("ledger", ["ledger", "another"])
def test_rule_29_a_sheet_that_lost_the_names_of_its_rows_and_its_campaign_is_not_created_again(
    rig: Rig, ledger: str
) -> None:
    """Opened in Excel and saved: 001 is 1, and 2026.10 is 2026.1. An explicit name is taken as said."""
    frame = sheet(rig, row_id=MINE, campaign="2026.10")
    rig.kernel().run(of(frame))
    saved = frame.assign(row_id=NUMBERED, campaign="2026.1")
    all_blocked(rig.kernel(ledger), of(saved), "looks_like_campaign")
    assert rig.effects("post.create") == 4
    assert outcomes(rig.kernel(ledger).run(of(saved, "2026.1"))) == {"succeeded": 4}


# -- colleagues ---------------------------------------------------------------------------------------------------------------------


def test_rule_09_the_same_failure_has_one_key_whoever_plans_it(rig: Rig) -> None:
    """A colleague loads the failure afresh, I plan the rows of run.failed(): one request."""
    rig.sandbox.set_switches(recovery_rate=0.0)
    world.plant_posts(rig.sandbox, 3, targets=1)
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    run = mine.bind(plan_retry(mine.triaged()))
    mine.go(run)
    assert outcomes(mine.results(run)) == {"failed": 3}
    again, fresh = plan_retry(mine.execution(run).failed()), plan_retry(theirs.triaged())
    assert set(again.frame["idempotency_key"]) == set(fresh.frame["idempotency_key"])
    mine.run(again)
    before = rig.effects("post.retry")
    theirs.run(fresh)
    assert rig.effects("post.retry") == before, "the server knows the key"


@pytest.mark.parametrize(("count", "one_by_one"), [(6, True), (60, False)])
def test_rule_27_two_laptops_at_once_create_no_row_twice(rig: Rig, count: int, one_by_one: bool) -> None:
    """The same sheet sorted otherwise, in the same batches; one by one also a part of it."""
    frame, one, two = sheet(rig, count), rig.kernel("one"), rig.kernel("two")
    part = frame.iloc[2 if one_by_one else 0 :].iloc[::-1]
    works = [
        (kernel, kernel.bind(planned(rows, one_by_one=one_by_one))) for kernel, rows in ((one, frame), (two, part))
    ]
    for work in [kernel.start(run) for kernel, run in works]:
        work.result(60)
    each_once(rig, count)
    assert [outcomes(kernel.results(run)) for kernel, run in works] == [{"succeeded": count}, {"succeeded": len(part)}]


def test_rule_28_copies_are_found_whoever_made_them_and_one_is_kept(rig: Rig) -> None:
    kernel = rig.kernel()
    run = kernel.bind(plan_rows(rig, 2))
    kernel.go(run)
    first = kernel.results(run)["result_id"].iloc[0]
    record = eventloop.run(kernel.client.posts.get(first))
    body = {name: record[name] for name in ("content", "scheduledFor", "metadata")}
    body["accountIds"] = [target["accountId"] for target in record["platforms"]]
    rig.sandbox.advance(1)  # of two posts of one moment nobody can tell which is the copy
    eventloop.run(kernel.client.raw("POST", "/v1/posts", json=body))
    found = copies(kernel, run)
    assert found["copy_of"].tolist() == [first]
    assert kernel.results(run)["notice"].dropna().str.contains("duplicates exist").sum() == 1
    assert outcomes(kernel.run(plan_cancel(found))) == {"succeeded": 1}
    assert copies(kernel, run).empty


def looked_back(kernel: Kernel, run: str) -> pd.DataFrame:
    """What a run says in the end, after it has looked for what others did at the same moment."""
    execution = kernel.execution(run, look_back=True)
    eventloop.run(execution.go())
    eventloop.run(asyncio.wait_for(execution._after, 30))
    table = kernel.results(run)
    return table[table["notice"].notna()]


@pytest.mark.parametrize("what", ["answered", "not answered", "delivery", "more than are read"])
def test_rule_31_what_two_people_retry_at_the_same_moment_is_reported(rig: Rig, what: str) -> None:
    """Where keys are ignored nobody can prevent it: both have read the thing before either has sent."""
    rig.sandbox.set_switches(ignore_keys=True)
    kernels = [rig.kernel("one"), rig.kernel("two")]
    if what == "delivery":
        world.plant_deliveries(rig.sandbox, 1)
        plan = plan_redeliver(kernels[0].deliveries())
    else:
        world.plant_posts(rig.sandbox, FEW + 10 if what == "more than are read" else 2, targets=1)
        plan = plan_retry(kernels[0].triaged())
    runs = [kernel.bind(plan) for kernel in kernels]
    if what == "not answered":
        rig.sandbox.add_fault(*post({"action": "drop", "when": "after", "times": 1}, path=RETRY))
    for kernel, run in zip(kernels, runs, strict=True):
        send_once(kernel, run)
    said = pd.concat([looked_back(kernel, run) for kernel, run in zip(kernels, runs, strict=True)])
    assert len(rig.acts()) == 2 * len(plan.items)
    assert set(said["post_id" if "post_id" in said else "delivery_id"]) == {item.subject.id for item in plan.items}
    assert said["notice"].str.startswith("may have gone out twice: somebody else").all()


def test_rule_31_a_later_attempt_of_our_own_is_nobody_else_s(rig: Rig) -> None:
    """The first cell, run again after the second had retried what was left, said that somebody else did the same."""
    world.plant_posts(rig.sandbox, 3, targets=1)
    rig.sandbox.set_switches(recovery_rate=0.0)
    kernel = rig.kernel()
    plan = plan_retry(kernel.triaged())
    run = kernel.bind(plan)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"failed": 3}
    rig.sandbox.set_switches(recovery_rate=1.0)
    assert outcomes(kernel.run(plan_retry(kernel.execution(run).failed()))) == {"succeeded": 3}
    assert looked_back(kernel, kernel.bind(plan)).empty
    assert rig.effects("post.retry") == 6
