"""One ledger (one user on one computer): any crash, kill, lost answer, 5xx or 429, Run All, any number of kernels. Posted twice: never.
Lost: never.
"""

from __future__ import annotations

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import FAR, Kernel, outcomes, planned
from tests.engine.steps import BULK

from voxburst_sandbox import Fault
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.redeliver import plan_redeliver
from voxops.acts.retry import plan_fix, plan_retry
from voxops.acts.update import plan_update


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
    plan = rig.plan_rows(120)
    first.killed(first.bind(plan), BULK)
    before = {(entry["key"], entry["body"]) for entry in rig.acts()}
    assert outcomes(rig.kernel().run(plan_create(rig.campaign(120).iloc[::-1], key="row_id"))) == {"succeeded": 120}
    rig.each_once(120)
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
    "reading",
    [{}, *(pytest.param({switch: True}, marks=pytest.mark.release) for switch in ("forget_key_on_5xx", "ignore_keys"))],
    ids=["", "forgets", "ignores"],
)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["drop", "status", "truncate"])
def test_rule_09_whatever_breaks_everything_happens_once(rig, reading, when, action):
    """Each act in turn: two of its requests are lost before they take effect, or their answers after. Then all is run again."""
    rig.sandbox.set_switches(**reading)
    failed = [world.plant_posts(rig.sandbox, 3, name=name) for name in "rf"]
    world.plant_deliveries(rig.sandbox, 2)
    moved, cancelled = rig.planted(3), rig.planted(3)
    kernel = rig.kernel()
    targets, posts = kernel.triaged(), kernel.posts("scheduled")
    plans = {
        "target.requeue": plan_retry(targets[targets["post_id"].isin(failed[0])]),
        "target.fix": plan_fix(targets[targets["post_id"].isin(failed[1])].assign(new_content="Shorter.")),
        "delivery.resend": plan_redeliver(kernel.deliveries()),
        "post.create": rig.plan_rows(3),
        "post.update": plan_update(posts[posts["post_id"].isin(moved)], by="3D", change="strike"),
        "post.cancel": plan_cancel(posts[posts["post_id"].isin(cancelled)]),
    }
    for again in (False, True):
        for plan in plans.values():
            for method in ("POST", "PATCH") if not again else ():
                rig.sandbox.add_fault(Fault(action=action, method=method, path="/v1/**", when=when, times=2))
            assert outcomes(kernel.run(plan)) == {"succeeded": plan.eligible}
            rig.sandbox.clear_faults()
    fixed, counted = plans["target.fix"].eligible, {kind: rig.effects(kind) for kind in plans}
    assert counted == {kind: plan.eligible + fixed * (kind == "target.requeue") for kind, plan in plans.items()}
    assert rig.sandbox.duplicates() == []
    times = {pd.Timestamp(rig.sandbox.world.posts[post].scheduled_for, unit="ms", tz="UTC") for post in moved}
    assert times == {pd.Timestamp(FAR) + pd.Timedelta("3D")}
    shown = [target.status for name in (*failed[0], *failed[1]) for target in rig.sandbox.world.posts[name].targets]
    assert set(shown) == {"published"}


@pytest.mark.parametrize(
    "reading",
    [{}, {"ignore_keys": True}, {"list_lag_seconds": 60.0, "single_reads_lag": True}],
    ids=["default", "ignores", "lags"],
)
def test_a_kernel_killed_between_receipt_and_commit_has_moved_once(rig, reading):
    """Run All comes upon a frame that shows the move, or does not yet."""

    def plan(kernel: Kernel) -> Plan:
        return plan_update(kernel.posts("scheduled"), by="3D", change="strike")

    ids = rig.planted(2)
    kernel = rig.kernel()
    run = kernel.bind(plan(kernel))
    rig.sandbox.set_switches(**reading)
    kernel.killed(run, "/v1/posts/*", method="PATCH")
    assert rig.effects("post.update"), "the server carried out what it had received"
    rig.sandbox.advance(200)
    second = rig.kernel()
    assert outcomes(second.run(plan(second))) == {"succeeded": 2}
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 2}
    assert sorted(effect["post"] for effect in rig.sandbox.effects("post.update")) == sorted(ids)


def test_rule_15_a_killed_kernel_is_followed_up_without_a_lease_to_wait_for(rig):
    """What it had not marked as sent is there within ten seconds of the server's time."""
    kernel = rig.kernel()
    run = kernel.bind(planned(rig.campaign(150), one_by_one=True))
    kernel.killed(run, "/v1/posts")
    begun, second = rig.sandbox.world.now(), rig.kernel()
    unsent = set(second.results(run).query("tries == 0")["content"])
    second.go(run)
    assert outcomes(second.results(run)) == {"succeeded": 150}
    rig.each_once(150)
    created = {post.content: post.created_at for post in rig.sandbox.world.posts.values()}
    assert len(unsent) >= 130
    assert max(created[content] for content in unsent) - begun <= 10_000
