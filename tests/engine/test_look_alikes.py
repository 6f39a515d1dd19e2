"""A row that looks like a post, or like what an open call makes, is blocked or waits, whoever created that and under which name (rule 17)."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from tests.chaos.rig import DAY, Rig, codes, outcomes, planned

from voxburst_sandbox import Fault
from voxops.acts.update import plan_update


@pytest.mark.parametrize("status", ["draft", "scheduled"])
@pytest.mark.parametrize("bound", ["before", "before, by a kernel that has died", "after"])
def test_rule_17_an_old_post_that_was_mended_into_a_row_blocks_it(rig, status, bound):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    account = sheet["accounts"][0]
    for number in range(150):
        rig.sandbox.plant_post(f"filler {number}", [account], status="published", daysOld=3)
    (old,) = rig.planted(status=status, daysOld=5, scheduledFor=None if status == "draft" else "2027-03-01T09:00:00Z")
    kernel.run(planned(rig.campaign(1, start=9)))
    rig.sandbox.advance(DAY)
    run = "" if bound == "after" else kernel.stopped(kernel.bind(planned(sheet)))
    rig.sandbox.world.posts[old].targets[0].account_id = account
    rig.sandbox.person.edit(old, content=sheet["content"][0], scheduled_for=sheet["scheduled_for"][0])
    rig.sandbox.world.posts[old].status = "scheduled"
    rig.sandbox.advance(DAY / 2)
    rig.others_post()
    kernel = rig.kernel() if "died" in bound else kernel
    if run:
        kernel.go(run)
    else:
        run = kernel.done(planned(sheet))
    assert outcomes(kernel.results(run)) == {"blocked": 1}
    assert rig.scheduled(sheet["content"][0]) == 1


LATER = "2027-03-05T09:00:00Z"


PATCH = {"path": "/v1/posts/*", "method": "PATCH"}


@pytest.mark.parametrize("lag", [0.0, 60.0])
@pytest.mark.parametrize(("change", "asks"), [
    ({"new_content": "mended"}, {"content": "mended"}), ({"new_scheduled_for": LATER}, {"scheduled_for": LATER}),
    ({"new_account_ids": "other"}, {"accounts": "other"}),
], ids=["text", "time", "accounts"])  # fmt: skip
def test_rule_17_a_row_that_asks_for_what_an_open_change_makes_of_a_post_waits(rig, change, asks, lag):
    kernel, sheet = rig.kernel(), rig.campaign(1).assign(row_id="001")
    other = next(account for account in rig.accounts.values() if account != sheet["accounts"][0])
    change, asks = ({k: other if v == "other" else v for k, v in each.items()} for each in (change, asks))
    kernel.run(planned(sheet))
    rig.sandbox.advance(DAY)
    rig.sandbox.set_switches(list_lag_seconds=lag, single_reads_lag=bool(lag))
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(**change)))
    kernel.send_first(run, Fault("status", status=500, when="after", **PATCH))
    kernel.kill()
    kernel = rig.kernel()
    rig.sandbox.advance(5)
    same = sheet.assign(row_id="1", **asks)
    for row in (same.assign(row_id="2", content="something else"), same.assign(row_id="3", twin=True)):
        assert outcomes(kernel.run(planned(row))) == {"succeeded": 1}
    table = kernel.run(planned(same))
    assert (outcomes(table), codes(table)) == ({"blocked": 1}, {"looks_like_row"})
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert len(rig.sandbox.world.posts) == 3


@pytest.mark.parametrize("gone", ["deleted", "withdrawn", "changed"])
def test_rule_17_a_change_that_can_not_be_made_any_more_blocks_no_row(rig, gone):
    kernel, sheet = rig.kernel(), rig.campaign(1)
    kernel.run(planned(sheet))
    rig.sandbox.advance(DAY)
    (post,) = list(rig.sandbox.world.posts)
    run = kernel.bind(plan_update(kernel.posts("scheduled").assign(new_content="mended")))
    kernel.send_first(run, Fault("status", status=500, when="before", **PATCH))
    if gone == "changed":
        rig.sandbox.person.edit(post, content="something else")
    else:
        getattr(rig.sandbox.person, "delete" if gone == "deleted" else "withdraw")(post)
    rig.sandbox.advance(DAY)
    kernel.go(run)
    assert set(kernel.results(run)["outcome"]) == {"blocked"}
    assert outcomes(kernel.run(planned(sheet.assign(row_id="x", content="mended")))) == {"succeeded": 1}


def by_hand(rig: Rig, sheet: pd.DataFrame, number: int = 0, status: str = "scheduled") -> str:
    """Post a row by hand; the post's id."""
    row = sheet.to_dict("records")[number]
    post = rig.sandbox.plant_post(
        row["content"], [row["accounts"]], scheduledFor=row["scheduled_for"], status=status, daysOld=0
    )
    return str(post)


@pytest.mark.parametrize("what", ["stays", "deleted", "withdrawn", "back to a draft", "moved", "moved, and gone out"])
def test_a_row_that_was_blocked_is_posted_once_its_look_alike_is_gone_or_moved(rig, what):
    """The list has moved on by then."""
    kernel, sheet = rig.kernel(), rig.campaign(3)
    post = by_hand(rig, sheet)
    rig.sandbox.advance(1800)
    table = kernel.run(planned(sheet))
    assert (outcomes(table), codes(table)) == ({"blocked": 1, "succeeded": 2}, {"looks_like"})
    rig.sandbox.advance(3600)
    rig.others_post()
    person = rig.sandbox.person
    if what == "deleted":
        person.delete(post)
    elif what == "withdrawn":
        person.withdraw(post)
    elif what == "back to a draft":
        rig.sent_back(post)
    elif what.startswith("moved"):
        when = rig.sandbox.now() + timedelta(days=30 if what == "moved" else 1 / 24)
        person.edit(post, scheduled_for=when.isoformat())
        rig.sandbox.advance(7200)
    for _ in range(2):
        assert outcomes(kernel.run(planned(sheet))) == (
            {"blocked": 1, "succeeded": 2} if what == "stays" else {"succeeded": 3}
        )
        rig.sandbox.advance(3600)
    assert rig.created()[sheet["content"][0]] == (what != "stays")
