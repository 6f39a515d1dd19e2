"""The next `reconcile` reads what an early exit has left unread, and reports duplicates; so does the run's report (rule 28)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.chaos.rig import Kernel, Rig
from tests.engine.verbs import at, copies, laptops, reconcile, report

ROWS = 3  # in both sheets


def left_at_once(rig: Rig) -> tuple[Kernel, str, set[str]]:
    """Two laptops created three rows twice while lists are 30 s behind, and died ten seconds after; the first one is opened again later.

    Returns its kernel, its run, and the posts of the other laptop, which are the duplicates.
    """
    rig.sandbox.set_switches(list_lag_seconds=30.0)
    (first, run, one), (second, again, two) = laptops(rig, 5, rig.campaign(ROWS), rig.campaign(ROWS + 1))
    with at(rig, 10):
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
def test_rule_28_reconcile_reads_on_and_reports_duplicates_of_settled_rows(rig: Rig, empty: bool) -> None:
    """Rule 28: also in a workspace that was empty when the ledger saw it first; settled rows are no open ones."""
    if not empty:
        rig.sandbox.plant_post("another", [next(iter(rig.accounts.values()))], status="published", daysOld=1)
    kernel, run, duplicates = left_at_once(rig)
    before = len(rig.sandbox.requests())
    table = reconcile(kernel)
    assert len(rig.sandbox.requests()) > before
    assert named(kernel.results(run), duplicates) == ROWS
    assert named(table, duplicates) == ROWS


def test_rule_28_the_report_of_a_run_names_its_duplicates(rig: Rig, tmp_path: Path) -> None:
    """Rule 28: what `run.copies()` lists to withdraw is in ``vx.report(run)``."""
    kernel, run, duplicates = left_at_once(rig)
    assert set(copies(kernel, run)["post_id"]) == duplicates
    page = report(kernel, run, tmp_path / "report.html")
    assert [post for post in duplicates if post in page] == list(duplicates)
