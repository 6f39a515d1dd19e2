"""Promised: where two laptops run overlapping sheets at the same moment, what goes out twice is reported."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig, outcomes

import voxops as vx
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel

ROWS = 3  # in both sheets


def left_at_once(rig: Rig) -> tuple[Kernel, str, set[str]]:
    """Two laptops created three rows twice while lists are 30 s behind, and died ten seconds after; the first one is opened again later.

    Returns its kernel, its run, and the posts of the other laptop, which are the duplicates.
    """
    rig.sandbox.set_switches(list_lag_seconds=30.0)
    (first, run, one), (second, again, two) = rig.laptops(5, rig.campaign(ROWS), rig.campaign(ROWS + 1))
    with rig.at(10):
        shared = set(rig.campaign(ROWS)["content"])
        theirs = second.results(again)
        duplicates = set(theirs[theirs["content"].isin(shared)]["result_id"])
        first.kill(one)
        second.kill(two)
    assert rig.effects("post.create") == 2 * ROWS + 1
    rig.sandbox.advance(600)
    return rig.kernel("laptop 1"), run, duplicates


def named(table: pd.DataFrame, posts: set[str]) -> int:
    """How many of these posts a table names, in whatever column."""
    text = table.to_csv()
    return sum(post in text for post in posts)


@pytest.mark.parametrize("empty", [True, False])
def test_rule_19_reconcile_reads_on_and_reports_duplicates_of_settled_rows(rig, empty):
    """Rule 19: also in a workspace that was empty when the ledger saw it first; settled rows are no open ones."""
    if not empty:
        rig.sandbox.plant_post("another", [next(iter(rig.accounts.values()))], status="published", daysOld=1)
    kernel, run, duplicates = left_at_once(rig)
    before = len(rig.sandbox.requests())
    table = kernel.reconcile()
    assert len(rig.sandbox.requests()) > before
    assert named(kernel.results(run), duplicates) == ROWS
    assert named(table, duplicates) == ROWS


def test_rule_19_the_report_of_a_run_names_its_duplicates(rig, tmp_path):
    """What `run.copies()` lists to withdraw is in ``vx.report(run)``."""
    kernel, run, duplicates = left_at_once(rig)
    assert set(kernel.copies(run)["post_id"]) == duplicates
    vx.report(kernel.execution(run)).to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text().replace("<wbr>", "")
    assert [post for post in duplicates if post in page] == list(duplicates)


def test_rule_19_copies_are_found_whoever_made_them_and_one_is_kept(rig):
    kernel = rig.kernel()
    run = kernel.done(rig.plan_rows(2))
    first = kernel.results(run)["result_id"].iloc[0]
    record = eventloop.run(kernel.client.posts.get(first))
    body = {name: record[name] for name in ("content", "scheduledFor", "metadata")}
    body["accountIds"] = [target["accountId"] for target in record["platforms"]]
    rig.sandbox.advance(1)  # of two posts of one moment nobody can tell which is the copy
    eventloop.run(kernel.client.raw("POST", "/v1/posts", json=body))
    found = kernel.copies(run)
    assert found["copy_of"].tolist() == [first]
    assert kernel.results(run)["notice"].dropna().str.contains("duplicates exist").sum() == 1
    assert outcomes(kernel.run(plan_cancel(found))) == {"succeeded": 1}
    assert kernel.copies(run).empty
