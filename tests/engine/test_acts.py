"""Acts for the verdicts that no retry helps, fix and cancel: each target once, counted at the server."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.chaos import world
from tests.chaos.rig import Kernel, Rig, outcomes
from tests.engine.days import codes, done, planted
from tests.engine.steps import edit

from voxburst_sandbox import Fault
from voxops.acts.cancel import plan_cancel
from voxops.acts.retry import plan_fix, plan_retry
from voxops.frames.records import targets

FIX = "/v1/posts/*/platforms/*/fix"


def failed(rig: Rig, posts: int) -> tuple[Kernel, pd.DataFrame]:
    """A kernel, and the failed targets of so many posts, two each for two of three."""
    world.plant_posts(rig.sandbox, posts)
    kernel = rig.kernel()
    return kernel, kernel.triaged()


def fixes(rig: Rig) -> list[list[str]]:
    """What each fix changed."""
    return [effect["changed"] for effect in rig.sandbox.effects("target.fix")]


# Fix.


@pytest.mark.parametrize("fault", ["none", "drop", "status"])
def test_a_fix_reaches_each_target_once_and_mends_it(rig: Rig, fault: str) -> None:
    """Also where answers are lost; run again, it fixes nothing again."""
    kernel, rows = failed(rig, 6)
    if fault != "none":
        rig.sandbox.add_fault(Fault(fault, method="POST", path=FIX, when="after", times=3))
    plan = plan_fix(rows.assign(new_content="Shorter."))
    for _ in range(2):
        assert outcomes(kernel.run(plan)) == {"succeeded": len(rows)}
    assert fixes(rig) == [["content"]] * len(rows)
    assert rig.effects("target.publish") == len(rows)
    assert rig.sandbox.duplicates() == []
    assert {entry["path"].rsplit("/", 1)[1] for entry in rig.acts()} == {"fix"}
    assert set(targets(kernel.posts())["status"]) == {"published"}


def test_a_fix_sends_what_it_has_and_not_over_somebody_s_head(rig: Rig) -> None:
    kernel, rows = failed(rig, 3)
    rows = rows.drop_duplicates("post_id").assign(
        new_content=["Shorter.", None, "Shorter."], new_media_url=[None, "https://cdn.example/right.jpg", None]
    )
    run = kernel.bind(plan_fix(rows))
    edit(rig, rows["post_id"].iloc[2])
    rig.sandbox.advance(100)
    kernel.go(run)
    table = kernel.results(run)
    assert table["outcome"].to_list() == ["succeeded", "succeeded", "blocked"]
    assert codes(table) == {"changed_since_loaded"}
    assert sorted(fixes(rig)) == [["content"], ["mediaUrl"]]


def test_a_fix_that_the_api_refuses_has_failed_for_its_reason_and_another_content_is_another_request(rig: Rig) -> None:
    kernel, rows = failed(rig, 1)
    run = done(kernel, plan_fix(rows[rows["platform"] == "twitter"].assign(new_content="y" * 5_000)))
    (result,) = kernel.results(run).to_dict("records")
    assert (result["outcome"], result["http_status"], result["error_code"]) == ("failed", 400, "CONTENT_TOO_LONG")
    left = kernel.execution(run).failed()
    assert outcomes(kernel.run(plan_fix(left.assign(new_content="Shorter.")))) == {"succeeded": 1}
    assert len({entry["key"] for entry in rig.acts()}) == len(rig.acts()) == 2


def test_what_a_refused_act_leaves_is_the_target_s_own_error(rig: Rig) -> None:
    """Planned again it is retried; the API's word of a skipped target counts instead, and it can be mended once it is loaded again."""
    kernel, rows = failed(rig, 1)
    conflict = Fault("status", method="POST", path="/v1/posts/**", status=409, code="CONFLICT", when="before")
    rig.sandbox.add_fault(conflict)
    run = done(kernel, plan_retry(rows))
    assert set(kernel.results(run)["error_code"]) == {"CONFLICT"}
    left = kernel.execution(run).failed()
    assert left["error_code"].to_list() == rows["error_code"].to_list()
    for target in rig.sandbox.world.posts[rows["post_id"].iloc[0]].targets:
        target.retry_count = 3
    run = done(kernel, plan_retry(left))
    assert set(kernel.results(run)["error_code"]) == {"SKIPPED"}
    left = kernel.execution(run).failed()
    assert left[["error_code", "error_message"]].drop_duplicates().to_numpy().tolist() == [
        ["SKIPPED", "retry limit reached"]
    ]
    assert plan_retry(left).eligible == 0
    assert codes(kernel.run(plan_fix(left.assign(new_content="Shorter.")))) <= {"changed_since_loaded"}
    fresh = kernel.triaged()
    mended = kernel.run(plan_fix(fresh.assign(new_content="Shorter.")))
    assert (set(mended["outcome"]), rig.effects("target.publish")) == ({"succeeded"}, len(rows))


# Cancel.


@pytest.mark.parametrize("fault", ["none", "drop", "status"])
def test_a_wrong_campaign_is_withdrawn_once(rig: Rig, fault: str) -> None:
    """Also where answers are lost; what is out is not withdrawn, and nothing of the rest goes out."""
    planted(rig, 1, status="published")
    planted(rig, 3)
    planted(rig, 2, status="draft", scheduledFor=None)
    kernel = rig.kernel()
    if fault != "none":
        rig.sandbox.add_fault(Fault(fault, method="POST", path="/v1/posts/*/cancel", when="after", times=2))
    plan = plan_cancel(kernel.posts())
    assert sorted(plan.frame.loc[~plan.frame["eligible"], "reason_code"]) == ["not_cancellable"]
    for _ in range(2):
        assert outcomes(kernel.run(plan)) == {"succeeded": 5}
    assert rig.effects("post.cancel") == 5
    rig.sandbox.advance(400 * 86_400)
    assert rig.effects("target.publish") == 0


def test_a_post_that_went_out_meanwhile_is_not_withdrawn(rig: Rig) -> None:
    planted(rig, scheduledFor=(rig.sandbox.now() + pd.Timedelta("1h")).isoformat())
    kernel = rig.kernel()
    plan = plan_cancel(kernel.posts("scheduled"))
    rig.sandbox.advance(7200)
    table = kernel.run(plan)
    assert (table["outcome"].to_list() != ["succeeded"], rig.effects("post.cancel")) == (True, 0)
