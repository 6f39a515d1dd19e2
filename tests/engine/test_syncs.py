"""Plans of creates, changes and withdrawals under kills, lagging lists and two laptops at once (rule 18), counted at the server."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, wait_for

from voxburst_sandbox import Fault
from voxops.acts.plan import Plan
from voxops.acts.sync import plan_sync
from voxops.frames.records import with_rows
from voxops.ledger.audit import rows_of


def planned(kernel: Kernel, sheet: pd.DataFrame, *, withdraw: bool = True) -> Plan:
    return plan_sync(sheet, kernel.posts(), key="row_id", campaign="c", withdraw=withdraw)


def changed(rig: Rig, kernel: Kernel) -> pd.DataFrame:
    """A campaign of twelve rows was created; its sheet now has three rows less, two more, three edited, and two with another key."""
    kernel.run(planned(kernel, rig.campaign(12)))
    rig.sandbox.advance(400)
    sheet = rig.campaign(14).iloc[3:].reset_index(drop=True)
    sheet.loc[0:2, "content"] += " edited"
    sheet.loc[3:4, "row_id"] = ["x1", "x2"]
    return sheet


def as_the_sheet(rig: Rig, sheet: pd.DataFrame) -> None:
    assert rig.live() == Counter(sheet["content"])
    assert [rig.effects(f"post.{kind}") for kind in ("create", "update", "cancel")] == [12 + 2 + 2, 3, 3 + 2]


@pytest.mark.parametrize("lag", [0, 20, 60])
def test_rule_18_two_laptops_that_sync_at_once_do_it_once(rig, lag):
    rig.sandbox.set_switches(list_lag_seconds=lag, workspace_keys=True)
    kernels = [rig.kernel("one"), rig.kernel("two")]
    sheet = changed(rig, kernels[0])
    plan = planned(kernels[0], sheet)
    for work in [kernel.start(run) for kernel, run in [(kernel, kernel.bind(plan)) for kernel in kernels]]:
        work.result(60)
    rig.sandbox.advance(400)
    for kernel in kernels:
        assert planned(kernel, sheet).eligible == 0
    as_the_sheet(rig, sheet)


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


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_18_two_laptops_sync_one_sheet_while_half_of_a_batch_shows(rig, one_by_one):
    """A list that lags shows some rows of the other laptop only: a text that is there twice is reported, or there is none, one by one."""
    rig.sandbox.set_switches(list_lag_seconds=20, workspace_keys=True)
    sheet = rig.campaign(60)
    one, two = rig.kernel("one"), rig.kernel("two")

    def plan(kernel: Kernel, part: pd.DataFrame) -> Plan:
        return plan_sync(part, kernel.posts(), key="row_id", campaign="c", one_by_one=one_by_one)

    one.run(plan(one, sheet.iloc[:30]))
    rig.sandbox.advance(400)
    kernels = [one, two]
    runs = [kernel.bind(plan(kernel, sheet)) for kernel in kernels]
    for work in [kernel.start(run) for kernel, run in zip(kernels, runs, strict=True)]:
        work.result(60)
    rig.sandbox.advance(400)
    labels = dict(zip(sheet["content"], sheet["row_id"], strict=True))
    twice = {labels[text] for text, count in rig.live().items() if count > 1}
    copies = [kernel.copies(run) for kernel, run in zip(kernels, runs, strict=True)]
    assert {row for each in copies for row in each["row"]} == twice
    assert not (twice and one_by_one)
    assert rig.live().keys() == labels.keys()


def test_rule_18_a_withdrawal_in_doubt_whose_row_returns(rig):
    """It is named, and withdrawn or not, the row is there in the end."""
    kernel = rig.kernel()
    sheet, without = gone(rig)
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


# A row that is gone while its create has not ended: `sheet` has six rows, of which the new one does not have the first.


def gone(rig: Rig) -> tuple[pd.DataFrame, pd.DataFrame]:
    sheet = rig.campaign(6)
    return sheet, sheet.iloc[1:].reset_index(drop=True)


def test_rule_18_a_filtered_sheet_without_withdraw_stops_nothing(rig, caplog):
    kernel = rig.kernel()
    sheet, without = gone(rig)
    old = kernel.bind(planned(kernel, sheet))
    kernel.run(plan_sync(without, kernel.posts(), key="row_id", campaign="c"))
    assert f"run {old} has unsent rows that are not in this sheet" in caplog.text
    kernel.resume(old)
    rig.each_once(6)
