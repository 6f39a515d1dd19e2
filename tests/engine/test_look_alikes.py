"""A row that looks like a post, or like what an open call makes, is blocked or waits, whoever created that and under which name (rule 17)."""

import pytest
from tests.chaos.rig import DAY, codes, outcomes, planned

from voxburst_sandbox import Fault
from voxops.acts.create import plan_create
from voxops.acts.update import plan_update

LATER = "2027-03-05T09:00:00Z"


PATCH = {"path": "/v1/posts/*", "method": "PATCH"}


@pytest.mark.parametrize("field", ["content", "scheduled_for", "account_ids"])
def test_rule_17_a_row_that_asks_for_what_an_open_change_makes_of_a_post_waits(rig, field):
    kernel, sheet = rig.kernel(), rig.campaign(2).assign(row_id="001")
    asks = {"content": "mended", "scheduled_for": LATER, "account_ids": sheet["accounts"][1]}[field]
    sheet = sheet.head(1)
    kernel.run(planned(sheet))
    rig.sandbox.advance(DAY)
    rig.sandbox.set_switches(list_lag_seconds=60.0, single_reads_lag=True)
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(**{f"new_{field}": asks})))
    kernel.send_first(run, Fault("status", status=500, when="after", **PATCH))
    kernel.kill()
    kernel = rig.kernel()
    rig.sandbox.advance(5)
    same = sheet.assign(row_id="1", **{field.replace("account_ids", "accounts"): asks})
    for row in (same.assign(row_id="2", content="something else"), same.assign(row_id="3", twin=True)):
        assert outcomes(kernel.run(planned(row))) == {"succeeded": 1}
    table = kernel.run(planned(same))
    assert (outcomes(table), codes(table)) == ({"blocked": 1}, {"looks_like_row"})
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert len(rig.sandbox.world.posts) == 3


@pytest.mark.parametrize("gone", ["delete", "withdraw", "edit"])
def test_rule_17_a_change_that_can_not_be_made_any_more_blocks_no_row(rig, gone):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    kernel.run(planned(sheet))
    rig.sandbox.advance(DAY)
    (post,) = list(rig.sandbox.world.posts)
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_content="mended")))
    kernel.send_first(run, Fault("status", status=500, when="before", **PATCH))
    getattr(rig.sandbox.person, gone)(post, **({"content": "something else"} if gone == "edit" else {}))
    rig.sandbox.advance(DAY)
    kernel.go(run)
    assert set(kernel.results(run)["outcome"]) == {"blocked"}
    assert outcomes(kernel.run(planned(sheet.assign(row_id="x", content="mended")))) == {"succeeded": 1}


@pytest.mark.parametrize("ledger", ["ledger", "another"])
@pytest.mark.parametrize("name", ["KW 1O", "KW 10!", ""])
def test_rule_17_a_misspelt_campaign_posts_no_row_twice_and_each_row_names_the_other(rig, name, ledger):
    sheet = rig.campaign(3)
    created = rig.kernel().run(plan_create(sheet, key="row_id", campaign="KW 10"))
    rig.sandbox.advance(DAY)
    table = rig.kernel(ledger).run(plan_create(sheet, key="row_id", campaign=name))
    assert (outcomes(table), codes(table)) == ({"blocked": 3}, {"looks_like_row"})
    assert set(table["campaign"].fillna("")) == {name}, "shown as this sheet writes it"
    rig.each_once(3)
    for post, row, why in zip(created["result_id"], created["row_id"], table["waiting_for"], strict=True):
        assert post in why
        assert (f"row {row} of campaign 'KW 10'" in why) == (ledger == "ledger"), "another ledger finds the post alone"


@pytest.mark.parametrize("what", ["stays", "delete", "withdraw", "back to a draft", "moved"])
def test_a_row_that_was_blocked_is_posted_once_its_look_alike_is_gone_or_moved(rig, what):
    """The list has moved on by then."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    post = rig.by_a_tool(sheet.iloc[0].to_dict())
    rig.sandbox.advance(1800)
    table = kernel.run(planned(sheet))
    assert (outcomes(table), codes(table)) == ({"blocked": 1, "succeeded": 2}, {"looks_like"})
    rig.sandbox.advance(3600)
    rig.others_post()
    if what == "back to a draft":
        rig.sent_back(post)
    elif what == "moved":
        rig.sandbox.person.edit(post, scheduled_for=LATER)
    elif what != "stays":
        getattr(rig.sandbox.person, what)(post)
    told = {"blocked": 1, "succeeded": 2} if what == "stays" else {"succeeded": 3}
    for _ in range(2):
        assert outcomes(kernel.run(planned(sheet))) == told
        rig.sandbox.advance(3600)
    assert rig.created()[sheet["content"][0]] == (what != "stays")
