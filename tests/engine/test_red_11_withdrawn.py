"""Withdrawing what a run created says so beside its outcomes, which stay (rule 20)."""

from __future__ import annotations

from tests.chaos.rig import Rig, outcomes
from tests.engine import verbs
from tests.engine.steps import by_a_tool, live, planned


def test_withdrawing_what_a_run_created_leaves_its_outcomes(rig: Rig) -> None:
    """Rule 20: succeeded and failed are final; what was withdrawn since stands in the column `withdrawn`, and is nothing to mend.

    A tool has posted the eighth row, so that it is blocked.
    """
    sheet, kernel = rig.campaign(8), rig.kernel()
    by_a_tool(rig, sheet.iloc[7].to_dict())
    run = kernel.bind(planned(sheet))
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 7, "blocked": 1}
    undone = kernel.run(verbs.undo(kernel, run))
    assert (outcomes(undone), rig.effects("post.cancel")) == ({"succeeded": 7}, 7)
    assert sum(live(rig).values()) == 1  # the tool's

    for _ in range(2):  # at once, and told by another process the day after
        assert outcomes(kernel.results(run)) == {"succeeded": 7, "blocked": 1}
        assert verbs.withdrawn(kernel, run) == 7
        assert kernel.execution(run).failed().empty
        rig.sandbox.advance(86_400)
        kernel = rig.kernel()
        verbs.attach(kernel, run)
        verbs.verify(kernel, run)


def test_what_a_person_withdraws_leaves_the_outcomes_too(rig: Rig) -> None:
    """The same where somebody withdraws two posts in the web page and deletes a third: a new plan of these rows is blocked."""
    sheet, kernel = rig.campaign(8), rig.kernel()
    run = kernel.bind(planned(sheet))
    kernel.go(run)
    kernel.run(planned(sheet))
    rig.sandbox.advance(600)
    first, second, third, *_ = rig.sandbox.world.posts
    rig.sandbox.person.withdraw(first)
    rig.sandbox.person.withdraw(second)
    rig.sandbox.person.delete(third)
    verbs.verify(kernel, run)
    again = kernel.bind(planned(sheet))
    kernel.go(again)
    assert outcomes(kernel.results(again)) == {"succeeded": 5, "blocked": 3}
    assert outcomes(kernel.results(run)) == {"succeeded": 8}
    assert verbs.withdrawn(kernel, run) == 3
    assert rig.effects("post.create") == 8
