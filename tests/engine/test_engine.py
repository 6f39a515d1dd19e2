"""What binding a plan looks at first."""

from __future__ import annotations

from tests.chaos.rig import outcomes, planned
from tests.engine.steps import BULK, failing


def test_a_bind_looks_at_the_open_call_of_a_row_that_is_not_its_first(rig):
    """A batch was lost with its kernel, and is named by its first row; the sheet has the second alone."""
    sheet = rig.campaign(2)
    kernel = rig.kernel()
    kernel.send_first(kernel.bind(planned(sheet)), *failing({"action": "drop", "when": "after"}, path=BULK))
    kernel.kill()
    rig.sandbox.advance(200)
    kernel = rig.kernel()
    assert outcomes(kernel.results(kernel.bind(planned(sheet.tail(1))))) == {"succeeded": 1}, "nothing was driven"
    rig.each_once(2)
