"""What binding a plan looks at first, and what reading its posts costs."""

from tests.chaos.rig import outcomes, planned
from tests.engine.steps import BULK

from voxburst_sandbox import Fault


def test_a_bind_looks_at_the_open_call_of_a_row_that_is_not_its_first(rig):
    """A batch that never arrived was lost with its kernel, and is named by its first row; the sheet has its second alone."""
    sheet = rig.campaign(2)
    _, second = planned(sheet).items  # in the order of their identities
    kernel = rig.kernel()
    kernel.send_first(kernel.bind(planned(sheet)), Fault("drop", "POST", BULK, when="before"))
    kernel.kill()
    rig.sandbox.advance(1000)
    kernel = rig.kernel()
    run = kernel.bind(planned(sheet.iloc[[second.row]]))
    assert outcomes(kernel.results(run)) == {"pending": 1}, (
        "nothing was driven: the bind itself has read that it is absent"
    )
    kernel.go(run)
    rig.each_once(1)


def test_the_posts_of_a_run_are_read_from_one_page_of_the_list_and_none_by_itself(rig):
    kernel = rig.kernel()
    run = kernel.bind(rig.plan_rows(20))
    kernel.go(run)
    before = len(rig.sandbox.requests())
    assert len(kernel.made(run)) == 20
    assert [entry["path"] for entry in rig.sandbox.requests()[before:]] == ["/v1/posts"]
