"""Posts that were withdrawn, deleted, sent back or restored since, and rows that are created again as a next attempt (rules 10 and 14)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.chaos.rig import DAY, Kernel, Rig, codes, outcomes, planned
from tests.engine.steps import BATCH_OR_NOT, BULK

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.cancel import plan_cancel
from voxops.acts.create import plan_create
from voxops.api.timing import PROOF_AFTER
from voxops.errors import DecodeError


def others_since(rig: Rig, kernel: Kernel, number: int = 50, days: float = 1.0) -> None:
    """Days go by, others post, and the list is read for another row: what came before is not listed again."""
    rig.sandbox.advance(days * DAY)
    rig.others_post()
    kernel.run(planned(rig.campaign(1, start=number)))


@pytest.mark.parametrize(("who", "content", "long_ago"), [
    ("this ledger", ["a\r\nb", "c\r\nd"], False), ("this ledger", ["a\nb", "c\nd"], True),
    ("withdraw", ["a\nB", "c\nD"], False),
    ("delete", ["a\nB", "c\nD"], True),
], ids=["line ends", "as it was", "another word", "another word, deleted"])  # fmt: skip
def test_rule_14_a_row_whose_post_was_withdrawn_is_blocked_until_its_next_attempt(rig, who, content, long_ago):
    """However long the list has moved on, and although the sheet was saved anew."""
    kernel, sheet = rig.kernel(), rig.campaign(2).assign(content=["a\nb", "c\nd"])
    ids = kernel.run(planned(sheet))["result_id"]
    if long_ago:
        others_since(rig, kernel, days=2)
    if who == "this ledger":
        posts = kernel.posts("scheduled")
        kernel.run(plan_cancel(posts[posts["post_id"].isin(ids)]))
    else:
        rig.sandbox.advance(301)
        for post in ids:
            getattr(rig.sandbox.person, who)(post)
    again = sheet.assign(content=content)
    for seconds in (0.0, 3600.0):
        rig.sandbox.advance(seconds)
        table = kernel.run(planned(again))
        assert (outcomes(table), codes(table)) == ({"blocked": 2}, {"withdrawn_since"})
        assert table["waiting_for"].str.endswith("attempt to 2").all()
    before = rig.effects("post.create")
    for _ in range(2):
        assert outcomes(kernel.run(planned(again.assign(attempt=2)))) == {"succeeded": 2}
    assert rig.effects("post.create") == before + 2


FIRST = "row 0 of the campaign"


@BATCH_OR_NOT
def test_rule_14_an_answer_that_is_repeated_for_what_was_deleted_since_is_no_success(rig, one_by_one):
    """The posts looked wrong, were deleted, and the sheet is run from a fresh ledger: the server remembers the keys, and answers as before."""
    rig.kernel("old").run(rig.plan_rows(2, one_by_one=one_by_one))
    for post in list(rig.sandbox.world.posts):
        rig.sandbox.person.delete(post)
    rig.sandbox.advance(1800)
    new = rig.kernel("new")
    run = new.done(rig.plan_rows(2, one_by_one=one_by_one))
    rig.sandbox.advance(PROOF_AFTER + 60)
    new.reconcile()
    for table in (new.results(run), new.run(rig.plan_rows(2, one_by_one=one_by_one))):
        assert (outcomes(table), codes(table)) == ({"blocked": 2}, {"not_found"})
    again = plan_create(rig.campaign(2).assign(attempt=2), key="row_id", one_by_one=one_by_one)
    assert outcomes(new.run(again)) == {"succeeded": 2}
    assert rig.scheduled(FIRST) == 1


def two(rig: Rig) -> tuple[Kernel, str]:
    """Two posts, and their run."""
    kernel = rig.kernel()
    return kernel, kernel.done(rig.plan_rows(2))


@pytest.mark.parametrize("became", ["failed", "cancelled", "gone"])
def test_rule_14_what_became_of_a_post_later_leaves_its_row_succeeded(rig, became):
    """The sheet was made from last week's posts, whose ids are still in it; its run stays as it was (rule 14)."""
    kernel = rig.kernel()
    old = rig.planted(2, status="published", daysOld=7)
    run = kernel.done(planned(rig.campaign(2).assign(post_id=old)))
    post = kernel.results(run)["result_id"][0]
    rig.sandbox.advance(PROOF_AFTER + 60)
    if became == "gone":
        rig.sandbox.person.delete(post)
    elif became == "cancelled":
        rig.sandbox.person.withdraw(post)
    else:
        rig.sandbox.world.posts[post].status = became
    kernel.made(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 2}
    assert kernel.withdrawn(run) == (became in {"cancelled", "gone"})


@pytest.mark.parametrize(("fault", "said"), [
    ({"body": "html", "status": 404}, "404 came without the API's own words"),
    ({"body": "empty", "status": 404}, "404 came without the API's own words"),
    ({"body": "json", "status": 200}, "whether it exists is not known"),
])  # fmt: skip
def test_rule_14_an_answer_that_can_not_be_read_deletes_no_post(rig, fault, said):
    kernel, run = two(rig)
    rig.sandbox.advance(PROOF_AFTER + 60)
    rig.sandbox.add_fault(Fault(action="garbage", method="GET", path="/v1/posts/*", times=None, **fault))
    with pytest.raises(DecodeError, match=said):
        eventloop.run(kernel.engine.eyes.posts(set(kernel.results(run)["result_id"])))
    assert kernel.withdrawn(run) == 0
    rig.sandbox.clear_faults()
    assert outcomes(kernel.run(plan_create(rig.campaign(2).assign(attempt=2), key="row_id"))) == {"succeeded": 2}
    assert set(rig.created().values()) == {1}


@pytest.mark.parametrize("lag", [45.0, PROOF_AFTER + 600])
def test_rule_14_what_reads_do_not_show_yet_is_not_created_again(rig, lag):
    """Reads lag, even for longer than anybody thinks: verified at once the posts seem to be deleted; the next look puts it right."""
    rig.sandbox.set_switches(list_lag_seconds=lag, single_reads_lag=True)
    kernel, run = two(rig)
    kernel.made(run)
    assert kernel.withdrawn(run) == 0
    if lag > PROOF_AFTER:
        rig.sandbox.advance(PROOF_AFTER + 60)
        kernel.made(run)
        assert kernel.withdrawn(run) == 2
        rig.sandbox.advance(600)
        kernel.made(run)
        assert kernel.withdrawn(run) == 0
    kernel.run(plan_create(rig.campaign(2).assign(attempt=2), key="row_id"))
    assert set(rig.created().values()) == {1}
    assert outcomes(kernel.results(run)) == {"succeeded": 2}


@pytest.mark.parametrize(("deleted", "told", "gone"), [
    ("while it waits", {"succeeded": 3}, 1), ("when it has gone out", {"succeeded": 3}, 1),
    ("before its answer", {"succeeded": 2, "blocked": 1}, 0),
])  # fmt: skip
def test_rule_14_a_post_deleted_within_five_minutes_is_not_told_succeeded_for_good(rig, deleted, told, gone):
    """Its row stays succeeded (rule 14), unless an answer alone has named it: that post does not exist (rule 12)."""
    rig.sandbox.set_switches(failure_rate=0.0, publish_seconds=[1.0, 2.0])
    soon = {"when": rig.sandbox.now() + timedelta(seconds=30)} if deleted == "when it has gone out" else {}
    kernel, sheet, work = rig.kernel(), rig.campaign(3, **soon), None
    run = kernel.bind(planned(sheet))
    if deleted == "before its answer":
        work = kernel.caught(run, BULK, when="after")
    else:
        kernel.go(run)
        rig.sandbox.advance(60)
        kernel.run(planned(sheet))  # Run All: the list shows its mark
        rig.sandbox.advance(60)
    rig.sandbox.person.delete(next(iter(rig.sandbox.world.posts)))
    if work:
        rig.let_go()
        work.result(60)
    rig.sandbox.advance(30)
    kernel.made(run)  # the API's own 404, when a reading that lags could show it, too
    rig.sandbox.advance(600)
    for _ in range(2):
        kernel = rig.kernel()
        kernel.reconcile()
        kernel.run(planned(sheet))
        rig.sandbox.advance(DAY)
    assert (outcomes(kernel.results(run)), kernel.withdrawn(run)) == (told, gone)
    assert kernel.blocked(run) == ({} if gone else {"not_found": 1})
    assert rig.effects("post.create") == 3
