"""A second or replacement ledger, while both send or before the API shows what the first one sent. Posted
twice: creates: never, if both plans request the same for a row and pass `one_by_one=True`, and the API still
remembers the idempotency key. Otherwise possible; the next run, attach or `ws.reconcile()` reports the duplicate. Retries and redeliveries:
never for the same targets under the same API key, otherwise possible.
"""

from __future__ import annotations

import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes, planned, wait_for
from tests.engine.steps import BULK

import voxops as vx
from voxops.acts.retry import plan_retry
from voxops.api.limits import PROOF_AFTER


@pytest.mark.parametrize(("count", "one_by_one"), [(6, True), (60, False)])
def test_rule_08_two_laptops_at_once_create_no_row_twice(rig, count, one_by_one):
    """The same sheet sorted otherwise, in the same batches; one by one also a part of it."""
    frame, works = rig.campaign(count), []
    for name, rows in (("one", frame), ("two", frame.iloc[2 if one_by_one else 0 :].iloc[::-1])):
        kernel = rig.kernel(name)
        works.append((kernel, kernel.bind(planned(rows, one_by_one=one_by_one)), {"succeeded": len(rows)}))
    for work in [kernel.start(run) for kernel, run, _ in works]:
        work.result(60)
    rig.each_once(count)
    for kernel, run, wanted in works:
        assert outcomes(kernel.results(run)) == wanted


def test_rule_08_the_same_failure_has_one_key_whoever_plans_it(rig):
    """A colleague loads the failure afresh, I plan the rows of run.failed(): one request."""
    rig.sandbox.set_switches(recovery_rate=0.0)
    world.plant_posts(rig.sandbox, 3, targets=1)
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    run = mine.done(plan_retry(mine.triaged()))
    assert outcomes(mine.results(run)) == {"failed": 3}
    again, fresh = plan_retry(mine.execution(run).failed()), plan_retry(theirs.triaged())
    assert set(again.frame["idempotency_key"]) == set(fresh.frame["idempotency_key"])
    mine.run(again)
    before = rig.effects("post.retry")
    theirs.run(fresh)
    assert rig.effects("post.retry") == before, "the server knows the key"


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_19_two_ledgers_number_the_same_attempt_where_one_has_bound_an_earlier_one(rig, one_by_one):
    first, second = (
        planned(rig.campaign(1 if one_by_one else 2).assign(attempt=attempt), one_by_one=one_by_one)
        for attempt in (1, 2)
    )
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    mine.bind(first)
    runs = mine.bind(second), theirs.bind(second)
    held = mine.caught(runs[0], "/v1/posts" if one_by_one else BULK)
    other = theirs.start(runs[1])
    wait_for(lambda: len(rig.acts()) == 2)  # it is answered that the first is under way
    rig.let_go()
    for work in (held, other):
        work.result(60)
    rig.sandbox.advance(PROOF_AFTER + 400)  # an act that hangs may be abandoned, and absence is proved
    for kernel, run in zip((mine, theirs), runs, strict=True):
        kernel.go(run)
        assert outcomes(kernel.results(run)) == {"succeeded": len(second.items)}
    assert rig.effects("post.create") == len(second.items)


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


@pytest.mark.parametrize("empty", [True, False])
def test_rule_19_reconcile_reads_on_and_reports_duplicates_of_settled_rows(rig, empty):
    """Rule 19: also in a workspace that was empty when the ledger saw it first; settled rows are no open ones."""
    if not empty:
        rig.sandbox.plant_post("another", [next(iter(rig.accounts.values()))], status="published", daysOld=1)
    kernel, run, duplicates = left_at_once(rig)
    for table in (kernel.reconcile(), kernel.results(run)):
        text = table.to_csv()
        assert all(post in text for post in duplicates)


def test_rule_19_the_report_of_a_run_names_its_duplicates(rig, tmp_path):
    """What `run.copies()` lists to withdraw is in ``vx.report(run)``."""
    kernel, run, duplicates = left_at_once(rig)
    assert set(kernel.copies(run)["post_id"]) == duplicates
    vx.report(kernel.execution(run)).to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text().replace("<wbr>", "")
    assert all(post in page for post in duplicates)
