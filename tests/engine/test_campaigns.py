"""What names a campaign, and rows that stand under another name already (rules 5 and 17), counted at the server."""

from __future__ import annotations

import pytest
from tests.chaos.rig import DAY, codes, outcomes

from voxops.acts.create import plan_create


def of(sheet, campaign, **options):
    return plan_create(sheet, key="row_id", campaign=campaign, **options)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("ledger", ["ledger", "another"])
def test_rule_05_a_sheet_under_a_name_with_other_quotation_marks_posts_nothing_again(rig, ledger, one_by_one):
    sheet = rig.campaign(3)
    assert outcomes(rig.kernel().run(of(sheet, 'KW 10 "spring"', one_by_one=one_by_one))) == {"succeeded": 3}
    rig.sandbox.advance(DAY)
    kernel = rig.kernel(ledger)
    for name in ("KW 10 “spring”", "kw\u00a010 „Spring‟ "):
        table = kernel.run(of(sheet.assign(content=sheet["content"]), name, one_by_one=one_by_one))
        assert outcomes(table) == {"succeeded": 3}
        assert set(table["campaign"]) == {" ".join(name.split())}, "shown as this sheet writes it"
    rig.each_once(3)


@pytest.mark.parametrize("ledger", ["ledger", "another"])
@pytest.mark.parametrize("name", ["KW 1O", "KW 10!", ""])
def test_rule_17_a_misspelt_campaign_posts_no_row_twice_and_each_row_names_the_other(rig, name, ledger):
    sheet = rig.campaign(3)
    assert outcomes(rig.kernel().run(of(sheet, "KW 10"))) == {"succeeded": 3}
    rig.sandbox.advance(DAY)
    table = rig.kernel(ledger).run(of(sheet, name))
    assert (outcomes(table), codes(table)) == ({"blocked": 3}, {"looks_like_row"})
    rig.each_once(3)
    posts = {post.content: post.id for post in rig.sandbox.world.posts.values()}
    for _, row in table.iterrows():
        assert posts[row["content"]] in row["waiting_for"]
        named = f"row {row['row_id']} of campaign 'KW 10'" in row["waiting_for"]
        assert named == (ledger == "ledger"), "another ledger finds the post by what it shows"
