"""Who a row is, when it is created, and what blocks it: mended sheets, passed times, campaigns and accounts (rules 5, 6 and 8)."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pandas as pd
import pytest
from tests.chaos.rig import DAY, codes, outcomes, planned
from tests.engine.steps import BATCH_OR_NOT

import voxops as vx
from voxburst_sandbox import Fault
from voxops.acts.create import plan_create
from voxops.acts.plan import Plan
from voxops.acts.update import plan_update
from voxops.api.timing import PROOF_AFTER

LATER = "2027-03-05T09:00:00Z"


PATCH = {"path": "/v1/posts/*", "method": "PATCH"}


@pytest.mark.parametrize(("mended", "asked", "outcome"), [
    ({"tags": "sale;spring"}, {"new_tags": "spring;sale"}, "succeeded"),
    ({"tags": "x", "content": "b"}, {"new_tags": "x", "new_content": "b"}, "succeeded"),
    ({"tags": "x", "content": "b"}, {"new_tags": "x"}, "blocked"),
    ({"tags": None}, {"new_tags": "y"}, "blocked"),
    ({"content": "b"}, {"new_tags": "y", "new_content": "b"}, "succeeded"),
    ({"first_comment": "c"}, {"new_content": "b"}, "blocked"), ({"scheduled_for": LATER}, {"new_scheduled_for": LATER}, "succeeded"),
    ({"accounts": "other"}, {"new_account_ids": "other"}, "succeeded"),
    ({"tags": "x"}, {"new_tags": "x", "by hand": "somebody's words"}, "succeeded"),
])  # fmt: skip
def test_rule_05_only_a_post_that_was_mended_as_the_sheet_was_is_as_it_asks(rig, mended, asked, outcome):
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(tags="first")
    other = next(account for account in rig.accounts.values() if account != sheet["accounts"][0])
    mended, asked = ({k: other if v == "other" else v for k, v in each.items()} for each in (mended, asked))
    words = asked.pop("by hand", None)
    kernel.run(planned(sheet))
    table = kernel.run(planned(sheet.assign(**mended)))
    assert codes(table) <= {"created_otherwise", "created_otherwise_update"} and outcomes(table) == {"blocked": 1}
    rig.sandbox.advance(DAY)
    kernel.run(plan_update(kernel.posts("scheduled").assign(**asked)))
    if words:
        rig.sandbox.person.edit(*rig.sandbox.world.posts, content=words)
    rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(planned(sheet.assign(**mended)))) == {outcome: 1}
    assert len(rig.sandbox.world.posts) == 1


@pytest.mark.parametrize("fault", [{"action": "status", "status": 409, "code": "CONFLICT"}, {"action": "drop"}])
def test_rule_05_a_change_of_tags_that_was_not_made_gives_none(rig, fault):
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(tags="old")
    kernel.run(planned(sheet))
    rig.sandbox.advance(DAY)
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_tags="new")))
    kernel.send_first(run, Fault(**fault, when="before", **PATCH))
    rig.sandbox.advance(5)
    assert codes(kernel.run(planned(sheet.assign(tags="new")))) == {"created_otherwise_update"}


def test_rule_05_failed_rows_keep_their_campaign_also_through_a_file(rig):
    frame, kernel = rig.campaign(3).assign(force=True), rig.kernel()
    frame.loc[1, "accounts"] = "acc_unknown"
    run = kernel.done(of(frame, "Spring"))
    failed = kernel.execution(run).failed()
    for rows in (failed, pd.read_csv(StringIO(failed.to_csv(index=False)), dtype="string")):
        plan = of(rows)
        assert (plan.campaign, plan.items[0].attempt) == ("Spring", 2)
    table = kernel.run(of(pd.DataFrame(frame.to_dict("list"))))
    assert set(table["reason_code"].dropna()) == {"looks_like_row"}, "under no campaign, nothing goes out again"
    rig.each_once(2)


@pytest.mark.parametrize("name", ["2026.10", "007", "0", "1e3", "TRUE"])
def test_rule_05_a_campaign_that_a_file_has_turned_into_a_number_creates_no_row_twice(rig, name):
    kernel = rig.kernel()
    text = kernel.run(of(rig.campaign(4), name)).to_csv(index=False)
    with pytest.raises(vx.errors.PlanError, match=r"column 'campaign' holds .* that a file has made of a name"):
        of(pd.read_csv(StringIO(text)))
    assert outcomes(kernel.run(of(pd.read_csv(StringIO(text), dtype="string")))) == {"succeeded": 4}
    spoiled = of(pd.read_csv(StringIO(text)).astype({"campaign": "string"}))
    assert set(outcomes(kernel.run(spoiled))) <= {"succeeded", "blocked"}
    rig.each_once(4)
    assert outcomes(kernel.run(of(pd.read_csv(StringIO(text)), name))) == {"succeeded": 4}


def of(frame: pd.DataFrame, campaign: str | None = None) -> Plan:
    return plan_create(frame, key="row_id", campaign=campaign)


def lost(path: str, when: str = "before", **details: Any) -> Fault:
    return Fault(**{"action": "status", "status": 500, "method": "POST", "path": path, "when": when, **details})


@pytest.mark.parametrize("before", ["unsent", "a refused batch", "unknown"])
@BATCH_OR_NOT
def test_rule_01_a_name_stands_for_the_account_that_bears_it_when_the_plan_is_run(rig, before, one_by_one):
    """The run has stopped before its posts were created; then the name moves to another account, and the cell is run again."""
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    rig.sandbox.advance(200)
    first, second = [one for one in rig.sandbox.world.accounts.values() if one.status == "active"][:2]
    sheet = rig.campaign(2).assign(accounts=f"{first.platform}:@{first.username.lstrip('@')}")
    plan = planned(sheet, one_by_one=one_by_one)
    mine = rig.kernel("mine")
    run = mine.bind(plan)
    if before != "unsent":
        refusal = {} if before == "unknown" else {"status": 402, "code": "LIMIT_EXCEEDED"}
        mine.send_first(run, lost("/v1/posts**", times=None, **refusal))
    second.platform, first.username, second.username = first.platform, f"was_{first.username}", first.username
    was_sent = before == "unknown" or (before == "a refused batch" and not one_by_one)
    table = mine.results(mine.done(plan))
    assert codes(table) == ({"open_otherwise"} if was_sent else set()), "what may be under way is asked for one account"
    for _ in range(2):
        rig.sandbox.advance(PROOF_AFTER + 1)
        table = mine.results(mine.done(plan))
    assert outcomes(table) == {"succeeded": 2}
    created = [post for post in rig.sandbox.world.posts.values() if post.content in set(sheet["content"])]
    assert [[target.account_id for target in post.targets] for post in created] == [[second.id], [second.id]]
    assert len({entry["key"] for entry in rig.acts()}) == len(rig.acts()), "other bytes have another key (rule 8)"


def test_rule_14_blocked_rows_are_a_state_of_their_own(rig):
    frame = rig.campaign(2)
    frame.loc[0, "accounts"] = "twitter:@aldercofee"
    kernel = rig.kernel()
    run = kernel.bind(plan_create(frame, key="row_id"))
    assert kernel.go(run).phase == "blocked"
    table = kernel.results(run)
    assert table["outcome"].tolist() == ["blocked", "succeeded"]
    assert table["waiting_for"][0].endswith(
        "no account twitter:@aldercofee in this workspace; did you mean twitter:@aldercoffee?"
    )
    assert kernel.execution(run).failed().empty
