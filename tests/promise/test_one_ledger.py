"""Promised: with one ledger, whatever crashes, and with colleagues one after the other, no post goes out twice and none is lost."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.count import expected
from tests.chaos.rig import Rig, outcomes
from tests.engine.steps import BULK, FAR, HOUR, each_once, failing, killed, plan_rows, planned, planted

from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_retry
from voxops.acts.update import plan_update


def test_a_cell_that_is_run_again_posts_nothing_again(rig):
    kernel = rig.kernel()
    sheet = rig.campaign(120)
    assert outcomes(kernel.run(planned(sheet))) == {"succeeded": 120}
    assert rig.created() == dict.fromkeys(sheet["content"], 1)
    assert outcomes(kernel.run(planned(sheet))) == {"succeeded": 120}
    assert rig.effects("post.create") == 120


def test_rule_05_a_row_is_created_once_however_often_it_is_planned(rig):
    """Run All, twice; the failed row as its next attempt; then the sheet is mended."""
    kernel, frame = rig.kernel(), rig.campaign(6)
    frame.loc[1, "content"] = "x" * 9000  # too long for its platform, which only the API knows
    for _ in range(2):
        table = kernel.run(plan_create(frame, key="row_id"))
        assert outcomes(table) == {"succeeded": 5, "failed": 1}
        assert table["attempt"].tolist() == [1] * 6
    failed = table[table["outcome"] == "failed"]
    again = kernel.run(plan_create(failed[frame.columns].assign(attempt=failed["attempt"] + 1), key="row_id"))
    assert again[["row_id", "outcome", "attempt"]].values.tolist() == [["r00001", "failed", 2]]
    assert len({entry["key"] for entry in rig.acts()}) == 2
    frame.loc[1, "content"] = "short enough"
    mended = kernel.run(plan_create(frame, key="row_id"))
    assert outcomes(mended) == {"succeeded": 6}
    assert mended["attempt"].tolist() == [1, 3, 1, 1, 1, 1]
    assert rig.created() == dict.fromkeys(frame["content"], 1)


def test_rule_01_a_rerun_joins_what_is_open_with_its_batch_and_its_bytes(rig):
    """120 rows, the kernel dies while the server holds the first batches; the sheet is sorted otherwise by then."""
    first = rig.kernel()
    plan = plan_rows(rig, 120)
    killed(rig, first, first.bind(plan), BULK)
    before = {(entry["key"], entry["body"]) for entry in rig.acts()}
    assert outcomes(rig.kernel().run(plan_create(rig.campaign(120).iloc[::-1], key="row_id"))) == {"succeeded": 120}
    assert rig.count(expected(plan)).holds
    after = {(entry["key"], entry["body"]) for entry in rig.acts()}
    assert before
    assert before <= after
    assert len(after) == len({key for key, _ in after}) == 3, "three batches, whoever sent them"


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_01_rows_that_were_struck_from_the_sheet_are_not_sent(rig, one_by_one):
    kernel, sheet = rig.kernel(), rig.campaign(12)
    first = kernel.bind(planned(sheet, one_by_one=one_by_one))
    left = sheet.drop(index=[2, 3, 11])
    assert outcomes(kernel.run(planned(left, one_by_one=one_by_one))) == {"succeeded": 9}
    assert set(rig.created()) == set(left["content"])
    kernel.go(first)
    assert outcomes(kernel.results(first)) == {"succeeded": 12}, "the first run is still about all of its rows"
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize(
    "reading", [{}, {"forget_key_on_5xx": True}, {"ignore_keys": True}], ids=["", "forgets", "ignores"]
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
    rig.sandbox.add_fault(*failing({"action": action, "when": when, "times": 5}))
    for plan in plans:
        assert set(outcomes(kernel.run(plan))) == {"succeeded"}
    result = rig.count(wanted)
    assert result.holds
    assert result.effects == result.expected


def changed(rig: Rig) -> list[str]:
    """Posts in the order in which the server changed them; one that was changed twice stands there twice."""
    return [effect["post"] for effect in rig.sandbox.effects("post.update")]


def moved(posts: pd.DataFrame) -> Plan:
    return plan_update(posts, by="3D", change="strike")


def times(rig: Rig) -> set[pd.Timestamp]:
    return {pd.Timestamp(post.scheduled_for, unit="ms", tz="UTC") for post in rig.sandbox.world.posts.values()}


READINGS = {
    "default": {},
    "forgets": {"forget_key_on_5xx": True},
    "ignores": {"ignore_keys": True},
    "lags": {"list_lag_seconds": 60.0, "single_reads_lag": True},
}


@pytest.mark.parametrize("reading", ["default", "ignores", "lags"])
def test_a_kernel_killed_between_receipt_and_commit_has_moved_once(rig, reading):
    """Run All comes upon a frame that shows the move, or does not yet."""
    ids = planted(rig, 2)
    kernel = rig.kernel()
    run = kernel.bind(moved(kernel.posts("scheduled")))
    rig.sandbox.set_switches(**READINGS[reading])
    killed(rig, kernel, run, "/v1/posts/*", method="PATCH")
    assert changed(rig), "the server carried out what it had received"
    rig.sandbox.advance(200)
    second = rig.kernel()
    assert outcomes(second.run(moved(second.posts("scheduled")))) == {"succeeded": 2}
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 2}
    assert sorted(changed(rig)) == sorted(ids)
    assert times(rig) == {pd.Timestamp(FAR) + pd.Timedelta("3D")}


def test_rule_21_two_senders_on_one_ledger_do_everything_once(rig):
    """Both follow each run to its end, whoever sent what."""
    world.plant_posts(rig.sandbox, 40)
    one, two = rig.kernel(), rig.kernel()
    plans = [plan_retry(one.triaged()), plan_rows(rig, 200)]
    works = [(kernel, run, kernel.start(run)) for plan in plans for kernel in (one, two) for run in [kernel.bind(plan)]]
    for _, _, work in works:
        work.result(60)
    wanted = set().union(*map(expected, plans))
    assert rig.count(wanted).holds
    assert rig.count(wanted).effects == len(wanted)
    for kernel, run, _ in works:
        assert set(outcomes(kernel.results(run))) == {"succeeded"}
    assert max(Counter(entry["key"] for entry in rig.acts()).values()) == 1, "nobody repeated the other"


def test_rule_13_a_row_mended_and_sent_by_a_colleague_is_not_sent_again(rig):
    frame = rig.campaign(2)
    frame.loc[1, "content"] = "x" * 9000
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    for kernel in (mine, theirs):
        assert outcomes(kernel.run(plan_create(frame, key="row_id"))) == {"succeeded": 1, "failed": 1}
    mended = frame.assign(content=[frame["content"][0], "short"])
    for kernel in (theirs, mine):
        assert outcomes(kernel.run(plan_create(mended, key="row_id"))) == {"succeeded": 2}
    otherwise = mended.assign(content=[frame["content"][0], "mended otherwise"])
    assert outcomes(mine.run(plan_create(otherwise, key="row_id"))) == {"succeeded": 1, "blocked": 1}
    each_once(rig, 2)


@pytest.mark.parametrize("paused", [False, True])
def test_rule_13_a_colleague_s_rows_are_found_at_every_run(rig, paused):
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
