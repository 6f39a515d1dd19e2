"""Two laptops run the same rows while lists are a minute behind: no row is created twice (rule 27, `fit` whole)."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from tests.chaos.rig import Rig
from tests.engine.steps import BULK
from tests.engine.verbs import laptops

from voxburst_sandbox import Fault


def both_run(rig: Rig, sheet: pd.DataFrame, later: float) -> list[dict[str, str]]:
    """Run a sheet on two laptops, on the second so many seconds later; returns for both the outcome of each text."""
    rig.sandbox.set_switches(list_lag_seconds=60.0)
    begun = laptops(rig, later, sheet, sheet)
    for _, _, work in begun:
        work.result(60)
    return [kernel.results(run).set_index("content")["outcome"].to_dict() for kernel, run, _ in begun]


@pytest.mark.parametrize("later", [20, 45, 70])
def test_rule_27_the_halves_of_a_refused_batch_wait_for_the_whole_one_of_another_laptop(rig: Rig, later: float) -> None:
    """Rule 27: a call that is less than its chunk waits until no other laptop can be sending the whole of it.

    The first batch is refused without items after 12 s, when nothing was done and no key is kept; the second laptop is not refused.
    """
    refused = {"method": "POST", "path": BULK}
    rig.sandbox.add_fault(
        Fault(action="advance", seconds=12, **refused),
        Fault(action="status", status=400, code="BAD_REQUEST", **refused),
    )
    sheet = rig.campaign(2)
    reported = both_run(rig, sheet, later)
    assert rig.acts()[0]["status"] == 400
    assert rig.created() == dict.fromkeys(sheet["content"], 1)
    assert reported == [dict.fromkeys(sheet["content"], "succeeded")] * 2


def test_rule_27_a_batch_that_lost_a_row_to_the_clock_waits_for_the_whole_one_of_another_laptop(rig: Rig) -> None:
    """Rule 27: it waits whatever the reason; here one row's time came at 20 s, and the second laptop starts at 40 s."""
    sheet = rig.campaign(2)
    sheet.loc[0, "scheduled_for"] = (rig.sandbox.now() + timedelta(seconds=20)).isoformat()
    first, second = both_run(rig, sheet, 40)
    assert rig.created() == dict.fromkeys(sheet["content"], 1)
    assert first == dict.fromkeys(sheet["content"], "succeeded")
    assert second[sheet["content"][1]] == "succeeded"
