"""Runs that are undone: what they created is withdrawn, and what they never sent is never sent (rules 14 and 16)."""

from tests.chaos.rig import HELD, outcomes, planned, wait_for

from voxburst_sandbox import Fault

SINGLE = "/v1/posts"


def test_a_run_that_is_undone_while_it_sends_leaves_nothing_live(rig):
    """Rule 16: the bind of an undo pauses the run, in whatever process; what comes of its calls in flight is withdrawn.

    17 of 100 rows are created, and as many calls are under way as the client sends at once.
    """
    sender, undoer = rig.kernel(timeout=HELD), rig.kernel()
    run = sender.bind(planned(rig.campaign(100), one_by_one=True))
    rig.sandbox.add_fault(*(Fault("delay", "POST", SINGLE, nth=nth, seconds=HELD) for nth in range(18, 101)))
    sending = sender.start(run)
    wait_for(lambda: outcomes(undoer.results(run)).get("succeeded") == 17 and rig.sandbox.faults()[0]["struck"])
    undone = undoer.start(undoer.bind(undoer.undo(run)))
    wait_for(lambda: rig.effects("post.cancel") == 17)
    left = sum(entry["path"] == SINGLE for entry in rig.acts())
    assert 17 < left < 100
    rig.let_go()
    for work in (sending, undone):
        work.result(120)
    undoer.done(undoer.undo(run))  # the cell once more: what was in doubt is known by now
    assert not rig.live()
    assert rig.effects("post.create") == rig.effects("post.cancel") == left
    assert outcomes(undoer.results(run)) == {"succeeded": left, "blocked": 100 - left}


def test_a_run_that_stopped_after_5_failures_stays_stopped_when_another_process_resumes_it(rig):
    """Rule 16: `stop_after_failures` stands in the ledger and binds every later resume."""
    rig.sandbox.add_fault(Fault("status", "POST", SINGLE, status=422, code="VALIDATION_ERROR", times=None))
    kernel = rig.kernel()
    run = kernel.done(planned(rig.campaign(100), one_by_one=True), failures=5)
    refused = len(rig.acts())
    assert 5 <= refused < 50
    kernel.close()
    rig.sandbox.advance(3600)
    rig.kernel().resume(run)
    assert len(rig.acts()) == refused


def reasons(plan):
    """Why each row of an undo goes or does not."""
    return plan.frame.assign(code=[each.code for each in plan.why]).set_index("row")["code"].to_dict()


def test_a_create_run_is_undone(rig):
    """What is still scheduled is withdrawn; what was withdrawn or never sent, and what others had created, is not.

    A run of the same rows repeats it; one that has a row more has only found the others.
    """
    kernel, other = rig.kernel(), rig.kernel("other")
    sheet = rig.campaign(4)
    other.run(planned(sheet.head(1)))
    run = kernel.bind(planned(sheet))
    assert reasons(kernel.undo(run))["r00003"] == "never_sent"
    kernel.go(run)
    created = kernel.results(run)["result_id"].to_list()
    rig.sandbox.person.withdraw(created[1])
    plan, found = kernel.undo(run), dict.fromkeys(("r00002", "r00003"), "not_out_yet")
    assert reasons(plan) == {"r00000": "created_elsewhere", "r00001": "not_cancellable", **found}
    more = kernel.done(planned(rig.campaign(5)))
    assert reasons(kernel.undo(more)) == dict.fromkeys(reasons(plan), "created_elsewhere") | {"r00004": "not_out_yet"}
    assert reasons(kernel.undo(kernel.bind(planned(sheet)))) == reasons(plan)
    assert outcomes(kernel.run(plan)) == {"succeeded": 2}
    assert {effect["post"] for effect in rig.sandbox.effects("post.cancel")} == set(created[2:])
