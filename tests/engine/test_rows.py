"""Who a row is, when it is created, and what blocks it: mended sheets, passed times, campaigns and accounts (rules 5, 6 and 8)."""

import pytest
from tests.chaos.rig import DAY, codes, outcomes, planned

from voxburst_sandbox import Fault
from voxops.acts.update import plan_update
from voxops.api.limits import PROOF_AFTER

LATER = "2027-03-05T09:00:00Z"


@pytest.mark.parametrize(("mended", "asked", "outcome"), [
    ({"tags": "sale;spring"}, {"new_tags": "spring;sale"}, "succeeded"), ({"tags": None}, {"new_tags": "y"}, "blocked"),
    ({"tags": "x", "content": "b"}, {"new_tags": "x"}, "blocked"), ({"content": "b"}, {"new_tags": "y", "new_content": "b"}, "succeeded"),
    ({"first_comment": "c"}, {"new_content": "b"}, "blocked"), ({"scheduled_for": LATER}, {"new_scheduled_for": LATER}, "succeeded"),
])  # fmt: skip
def test_rule_05_only_a_post_that_was_mended_as_the_sheet_was_is_as_it_asks(rig, mended, asked, outcome):
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(tags="first")
    kernel.run(planned(sheet))
    table = kernel.run(planned(sheet.assign(**mended)))
    assert codes(table) <= {"created_otherwise", "created_otherwise_update"} and outcomes(table) == {"blocked": 1}
    rig.sandbox.advance(DAY)
    kernel.run(plan_update(kernel.posts("scheduled").assign(**asked)))
    rig.sandbox.advance(DAY)
    assert outcomes(kernel.run(planned(sheet.assign(**mended)))) == {outcome: 1}
    assert len(rig.sandbox.world.posts) == 1


@pytest.mark.parametrize("was_sent", [False, True])
def test_rule_01_a_name_stands_for_the_account_that_bears_it_when_the_plan_is_run(rig, was_sent):
    """The run has stopped before its posts were created; then the name moves to another account, and the cell is run again."""
    rig.kernel("teach").run(planned(rig.campaign(1, start=50)))
    rig.sandbox.advance(200)
    first, second = [one for one in rig.sandbox.world.accounts.values() if one.status == "active"][:2]
    sheet = rig.campaign(2).assign(accounts=f"{first.platform}:@{first.username.lstrip('@')}")
    plan, mine = planned(sheet), rig.kernel("mine")
    run = mine.bind(plan)
    if was_sent:
        mine.send_first(run, Fault("status", "POST", "/v1/posts**", status=500, times=None))
    second.platform, first.username, second.username = first.platform, f"was_{first.username}", first.username
    table = mine.results(mine.done(plan))
    assert codes(table) == ({"open_otherwise"} if was_sent else set()), "what may be under way is asked for one account"
    for _ in range(2):
        rig.sandbox.advance(PROOF_AFTER + 1)
        table = mine.results(mine.done(plan))
    assert outcomes(table) == {"succeeded": 2}
    created = [post for post in rig.sandbox.world.posts.values() if post.content in set(sheet["content"])]
    assert [[target.account_id for target in post.targets] for post in created] == [[second.id], [second.id]]
    assert len({entry["key"] for entry in rig.acts()}) == len(rig.acts()), "other bytes have another key (rule 8)"


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
def test_rule_12_a_key_under_which_another_laptop_was_refused_leaves_no_row_pending(rig, rows, one_by_one):
    """The API remembers the refusal under the key, and so answers a conflict; rows of a batch meet it under other keys."""
    medium = next(each.id for each in rig.sandbox.world.media.values() if each.status == "ready")
    sheet = rig.campaign(rows).assign(owner="Ada", media=medium)
    first, second = rig.kernel("first", people={"owner": "owner"}), rig.kernel("second")
    bound = [(kernel, kernel.bind(planned(sheet, one_by_one=one_by_one))) for kernel in (first, second)]
    rig.sandbox.world.media.drop(medium)
    first_table, table = [kernel.go(run) and kernel.results(run) for kernel, run in bound]
    assert outcomes(first_table) == outcomes(table) == {"failed": rows}
    alone = one_by_one or rows == 1
    assert set(table["error_code"]) == {"IDEMPOTENCY_CONFLICT" if alone else "VALIDATION_ERROR"}
    mended = planned(sheet.drop(columns="media").assign(attempt=2), one_by_one=one_by_one)
    assert outcomes(second.run(mended)) == {"succeeded": rows}
    rig.each_once(rows)
