"""Plans of creates, changes and withdrawals under kills, lagging lists and two laptops at once (rule 18), counted at the server."""

from collections import Counter

import pytest
from tests.chaos.rig import wait_for

from voxburst_sandbox import Fault
from voxops.acts.sync import plan_sync
from voxops.frames.records import with_rows
from voxops.ledger.audit import rows_of


def planned(kernel, sheet, *, withdraw=True):
    return plan_sync(sheet, kernel.posts(), key="row_id", campaign="c", withdraw=withdraw)


@pytest.mark.parametrize("lag", [0, 20, 60])
def test_rule_18_two_laptops_that_sync_at_once_do_it_once(rig, lag):
    """The sheet of twelve created rows has three less now, two more, three edited, and two with another key."""
    rig.sandbox.set_switches(list_lag_seconds=lag, workspace_keys=True)
    kernels = [rig.kernel("one"), rig.kernel("two")]
    kernels[0].run(planned(kernels[0], rig.campaign(12)))
    rig.sandbox.advance(400)
    sheet = rig.campaign(14).iloc[3:].reset_index(drop=True)
    sheet.loc[0:2, "content"] += " edited"
    sheet.loc[3:4, "row_id"] = ["x1", "x2"]
    plan = planned(kernels[0], sheet)
    for work in [kernel.start(run) for kernel, run in [(kernel, kernel.bind(plan)) for kernel in kernels]]:
        work.result(60)
    rig.sandbox.advance(400)
    for kernel in kernels:
        assert planned(kernel, sheet).eligible == 0
    assert rig.live() == Counter(sheet["content"])
    assert [rig.effects(f"post.{kind}") for kind in ("create", "update", "cancel")] == [12 + 2 + 2, 3, 3 + 2]


@pytest.mark.parametrize("withdraw", [True, False])
@pytest.mark.parametrize("calls", [1, 4])
def test_rule_18_rows_by_number_killed_on_the_way_show_no_text_twice(rig, calls, withdraw):
    """The first of eight rows is deleted, and the others move up; three runs end it, whenever the first was killed. Else all are held."""
    kernel = rig.kernel()
    rows = rig.campaign(8)
    kernel.run(planned(kernel, rows))
    rig.sandbox.advance(400)
    sheet = rows.iloc[1:].assign(row_id=list(rows["row_id"].iloc[:-1])).reset_index(drop=True)
    before = len(rig.acts())
    work = kernel.start(kernel.bind(planned(kernel, sheet, withdraw=withdraw)))
    wait_for(lambda: len(rig.acts()) - before >= calls or work.done())
    kernel.kill(work)
    again = rig.kernel()
    for _ in range(2):
        assert max(rig.live().values()) == 1
        rig.sandbox.advance(700)
        again.run(planned(again, sheet, withdraw=withdraw))
    assert rig.live() == Counter((sheet if withdraw else rows)["content"])
    assert planned(again, sheet, withdraw=withdraw).eligible == 0


def test_rule_18_a_withdrawal_in_doubt_whose_row_returns(rig):
    """It is named, and withdrawn or not, the row is there in the end."""
    kernel = rig.kernel()
    sheet = rig.campaign(6)
    without = sheet.iloc[1:].reset_index(drop=True)
    kernel.run(planned(kernel, sheet))
    rig.sandbox.advance(400)
    plan = planned(kernel, without)
    run = kernel.bind(plan)
    old = kernel.posts()
    kernel.send_first(run, Fault("drop", "POST", "/v1/posts/*/cancel", when="after", times=None))
    back = plan_sync(sheet, old, key="row_id", campaign="c")
    assert back.eligible == 0
    results = kernel.results(kernel.bind(back))
    assert results["reason_code"].to_list() in (["sync_stale"], ["sync_open"])
    rig.sandbox.clear_faults()
    for _ in range(2):
        rig.sandbox.advance(700)
        posts = kernel.posts()
        posts = with_rows(posts, rows_of(kernel.ledger, list(map(str, posts["post_id"]))))
        kernel.resume(run)
        kernel.run(plan_sync(sheet, posts, key="row_id", campaign="c"))
    assert rig.live() == Counter(sheet["content"])


def test_rule_18_a_filtered_sheet_without_withdraw_stops_nothing(rig, caplog):
    kernel = rig.kernel()
    sheet = rig.campaign(6)
    without = sheet.iloc[1:].reset_index(drop=True)
    old = kernel.bind(planned(kernel, sheet))
    kernel.run(plan_sync(without, kernel.posts(), key="row_id", campaign="c"))
    assert f"run {old} has unsent rows that are not in this sheet" in caplog.text
    kernel.resume(old)
    rig.each_once(6)
