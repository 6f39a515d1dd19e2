"""Posts that were withdrawn, deleted, sent back or restored since, and rows that are created again as a next attempt (rules 10 and 14)."""

import pytest
from tests.chaos.rig import codes, outcomes, planned
from tests.engine.steps import BULK

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.create import plan_create
from voxops.api.limits import PROOF_AFTER
from voxops.errors import DecodeError

FIRST = "row 0 of the campaign"


@pytest.mark.parametrize("one_by_one", [False, pytest.param(True, marks=pytest.mark.release)])
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


@pytest.mark.parametrize(("body", "status"), [("html", 404), ("empty", 404), ("json", 200)])
def test_rule_14_an_answer_that_can_not_be_read_deletes_no_post(rig, body, status):
    kernel = rig.kernel()
    run = kernel.done(rig.plan_rows(2))
    rig.sandbox.advance(PROOF_AFTER + 60)
    rig.sandbox.add_fault(Fault("garbage", "GET", "/v1/posts/*", times=None, body=body, status=status))
    with pytest.raises(DecodeError, match=r"404 came without the API's own words|whether it exists is not known"):
        eventloop.run(kernel.engine.reads.posts(set(kernel.results(run)["result_id"])))
    assert kernel.withdrawn(run) == 0


@pytest.mark.parametrize("answered", [True, False])
def test_rule_14_a_post_deleted_within_five_minutes_is_not_told_succeeded_for_good(rig, answered):
    """Its row stays succeeded (rule 14), unless an answer alone has named it: that post does not exist (rule 12)."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    run = kernel.bind(planned(sheet))
    work = kernel.caught(run, BULK, when="after")
    if answered:
        rig.let_go()
        work.result(60)
        kernel.run(planned(sheet))  # Run All: the list shows its mark
    rig.sandbox.person.delete(next(iter(rig.sandbox.world.posts)))
    rig.let_go()
    work.result(60)
    rig.sandbox.advance(30)
    kernel.made(run)  # the API's own 404, when a reading that lags could show it, too
    rig.sandbox.advance(600)
    kernel = rig.kernel()
    kernel.reconcile()
    kernel.run(planned(sheet))
    told = {"succeeded": 3} if answered else {"succeeded": 2, "blocked": 1}
    assert (outcomes(kernel.results(run)), kernel.withdrawn(run)) == (told, int(answered))
    assert kernel.blocked(run) == ({} if answered else {"not_found": 1})
    assert rig.effects("post.create") == 3
