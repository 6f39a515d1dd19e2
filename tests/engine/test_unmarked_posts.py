"""Posts whose marks, texts or times are shown otherwise than they were sent, or not at all, are found all the same, or block (rules 11, 13 and 14)."""

from __future__ import annotations

import pytest
from tests.chaos.rig import Kernel, Rig, codes, outcomes, planned
from tests.engine.steps import BATCH_OR_NOT

from voxops.acts.create import plan_create


@pytest.mark.parametrize(("shown", "expected"), [
    pytest.param("nothing", 30, id="lists show no metadata: every post that is not ours, once, whether or not it looks alike"),
    pytest.param("others", 1, id="lists show metadata, of others: one post is compared"),
    pytest.param("ours", 0, id="lists show our marks"),
])  # fmt: skip
def test_rule_13_posts_are_read_by_themselves_once_and_only_where_lists_show_no_marks(rig, shown, expected):
    rig.sandbox.set_switches(no_listed_metadata=shown == "nothing")
    kernel, sheet = rig.kernel(), rig.campaign(20)
    if shown != "others":
        kernel.run(planned(rig.campaign(5, start=50)))
        rig.sandbox.advance(600)
    for number, row in enumerate(sheet.head(15).to_dict("records")):
        for content in (row["content"], f"other {number}"):
            rig.sandbox.plant_post(
                content, [row["accounts"]], status="scheduled", scheduledFor=row["scheduled_for"], daysOld=0.001
            )
    counts = []
    for _ in range(3):
        before = len(rig.sandbox.requests())
        assert outcomes(kernel.run(planned(sheet.head(15)))) == {"blocked": 15}
        read = rig.sandbox.requests()[before:]
        counts.append(sum(each["path"] != "/v1/posts" for each in read))
        assert len(read) - counts[-1] < 12
        rig.sandbox.advance(600)
    assert counts == [expected, 0, 0]


def another(rig: Rig, kernel: Kernel, number: int, **options: str) -> None:
    """Another campaign is run, so that the list is read."""
    kernel.run(plan_create(rig.campaign(1, start=number), key="row_id", campaign=f"other {number}", **options))


@pytest.mark.parametrize(("switch", "became"), [("no_metadata", "blocked"), ("no_listed_metadata", "succeeded")])
@pytest.mark.parametrize("sheets", [False, True], ids=["at once", "after other sheets"])
def test_a_lost_ledger_posts_nothing_twice_where_lists_show_no_metadata(rig, switch, became, sheets):
    """Single reads tell whose the posts are; where they don't, their looks block the rows. A twin is meant."""
    rig.sandbox.set_switches(**{switch: True})
    lost, new, sheet = rig.kernel("lost"), rig.kernel("new"), rig.campaign(3, start=10)
    another(rig, lost, 0)
    lost.run(planned(sheet))
    rig.sandbox.advance(26 * 3600)
    for number in (30, 31) if sheets else ():
        another(rig, new, number)
        rig.sandbox.advance(3600)
        for each in range(30):
            rig.sandbox.plant_post(
                f"other {number} {each}", list(rig.accounts.values())[:1], status="published", daysOld=0
            )
    table = new.run(planned(sheet))
    assert (outcomes(table), codes(table)) == ({became: 3}, {"looks_like"} if became == "blocked" else set())
    assert set(rig.created().values()) == {1}
    assert outcomes(new.run(planned(sheet.head(1).assign(row_id="x", twin=True)))) == {"succeeded": 1}


@BATCH_OR_NOT
def test_two_ledgers_one_after_the_other_where_nothing_shows_metadata(rig, one_by_one):
    """One binds and is paused before it sends; another runs an overlapping sheet; the next day the first is resumed."""
    rig.sandbox.set_switches(no_metadata=True)
    theirs, mine = rig.kernel("a"), rig.kernel("b")
    run = mine.bind(planned(rig.campaign(4), one_by_one=one_by_one))
    theirs.run(planned(rig.campaign(3), one_by_one=one_by_one))
    rig.sandbox.advance(26 * 3600)
    mine.go(run)
    assert set(rig.created().values()) == {1}
    assert outcomes(mine.results(run)) == {"blocked": 3, "succeeded": 1}
