"""A second or replacement ledger, once the API shows what the first one sent (creates: within a minute; retries:
when the post's status changes).
Posted twice: never. Lost: never.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.chaos import world
from tests.chaos.rig import DAY, codes, outcomes, planned
from tests.engine.steps import HOUR

from voxops._support import eventloop
from voxops.acts.create import plan_create


def test_rule_10_a_row_mended_and_sent_by_a_colleague_is_not_sent_again(rig):
    frame = rig.campaign(2)
    frame.loc[1, "content"] = "x" * 9000
    mine, theirs = rig.kernel("mine"), rig.kernel("theirs")
    for kernel in (mine, theirs):
        assert outcomes(kernel.run(plan_create(frame, key="row_id"))) == {"succeeded": 1, "failed": 1}
    mended = frame.assign(content=[frame["content"][0], "short"])
    for kernel in (theirs, mine):
        assert outcomes(kernel.run(plan_create(mended, key="row_id"))) == {"succeeded": 2}
    otherwise = mended.assign(content=[frame["content"][0], "mended otherwise"])
    assert outcomes(mine.run(plan_create(otherwise, key="row_id"))) == {"succeeded": 1, "blocked": 1}
    rig.each_once(2)


def test_rule_10_a_ledger_that_sees_the_workspace_first_finds_its_rows_and_no_others(rig):
    """Another sheet with the same row names, without a campaign, is not taken for created."""
    frame = rig.campaign(4)
    rig.kernel("theirs").run(plan_create(frame, key="row_id"))
    rig.sandbox.advance(40 * DAY)
    assert outcomes(rig.kernel("mine").run(plan_create(frame, key="row_id"))) == {"succeeded": 4}
    this_week, another = frame.assign(content="this week: " + frame["content"]), rig.kernel("another")
    assert another.blocked(another.done(plan_create(this_week, key="row_id"))) == {"other_content": 4}
    rig.each_once(4)
    table = rig.kernel("another").run(plan_create(this_week, key="row_id", campaign="this week"))
    assert outcomes(table) == {"succeeded": 4}


@pytest.mark.parametrize("rows", [10, 60])
def test_rule_10_a_ledger_that_was_lost_finds_its_creates_by_their_mark(rig, rows):
    """Colab lost its disk. First some rows are run, then all: the search must not be spent on the first."""
    plan = rig.plan_rows(60)
    assert outcomes(rig.kernel("lost").run(plan)) == {"succeeded": 60}
    for number, later in enumerate((12 * HOUR, 31 * 24 * HOUR)):  # what waits to go out is found however old it is
        rig.sandbox.advance(later)
        world.plant_posts(rig.sandbox, 150, targets=1, name=f"other{number}")
    second = rig.kernel("new")
    for wanted in (rig.plan_rows(rows), plan):
        assert outcomes(second.run(wanted)) == {"succeeded": len(wanted.items)}
    rig.each_once(60)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_rule_10_what_was_cancelled_40_days_ago_is_not_created_again_by_a_fresh_ledger(rig, one_by_one):
    """Rule 10: at first sight of a workspace the list is read 400 days back for whatever has not gone out, cancelled included.

    The server has forgotten the keys, and others have posted ever since.
    """
    sheet = rig.campaign(3)
    rig.kernel("lost").run(planned(sheet, one_by_one=one_by_one))
    rig.sandbox.advance(600)
    for post in list(rig.sandbox.world.posts):
        rig.sandbox.person.withdraw(post)
    rig.sandbox.advance(40 * DAY)
    rig.others_post()
    kernel = rig.kernel("fresh")
    assert kernel.blocked(kernel.done(planned(sheet, one_by_one=one_by_one))) == {"withdrawn_since": 3}
    rig.each_once(3)


@pytest.mark.parametrize("clone", ["", "also cloned", "only the clone is left"])
def test_rule_10_a_fresh_ledger_finds_a_post_for_next_week_that_was_created_35_days_ago(rig, clone):
    """Its clone is a draft without a time, which bears all its marks, and is nobody's."""
    sheet = rig.campaign(2, when=rig.sandbox.now() + timedelta(days=42))
    ids = rig.kernel("lost").run(planned(sheet))["result_id"]
    rig.sandbox.advance(35 * DAY)
    if clone:
        eventloop.run(rig.kernel("theirs").client.request("POST", f"/v1/posts/{ids[0]}/clone"))
    if clone == "only the clone is left":
        rig.sandbox.person.delete(ids[0])
    rig.others_post()
    assert outcomes(rig.kernel("fresh").run(planned(sheet))) == {"succeeded": 2}
    assert set(rig.live()[text] for text in sheet["content"]) == {1}
    assert rig.effects("post.create") == 2 + (clone == "only the clone is left")


@pytest.mark.parametrize("hidden", ["no_listed_metadata", "empty_listed_metadata"])
@pytest.mark.parametrize("how", ["moved", "mended"])
def test_rule_11_where_lists_hide_metadata_no_second_ledger_creates_anything(rig, hidden, how):
    """Two hours later on another laptop: its rows are blocked, and a person who says `alone=True` is told of the first one's post."""
    rig.sandbox.set_switches(**{hidden: True})
    sheet = rig.campaign(6)
    first = rig.kernel("mine", alone=True, told=False)
    assert outcomes(first.run(planned(sheet.head(5)))) == {"succeeded": 5}
    for post in list(rig.sandbox.world.posts.values()):
        moved, mended = {"scheduled_for": "2027-03-01T09:01:00+00:00"}, {"content": f"mended: {post.content}"}
        rig.sandbox.person.edit(post.id, **(moved if how == "moved" else mended))
    rig.sandbox.advance(2 * HOUR)
    for alone in (False, True):
        table = rig.kernel(f"theirs {alone}", alone=alone, told=False).run(planned(sheet))
        assert (outcomes(table), codes(table)) == ({"blocked": 6}, {"marks_of_another_ledger"})
    assert outcomes(rig.kernel("mine", alone=True, told=False).run(planned(sheet))) == {"succeeded": 6}
    assert rig.effects("post.create") == 6
