"""Rows that ask for what an open change makes of a post: what such a change will show, and of which changes that is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.engine.shown import NOW, STAMP, Bench, after, campaign, frame_of, move, scheduled

from voxops.acts import keys
from voxops.acts.made import Made
from voxops.acts.update import plan_update
from voxops.api.states import PostState
from voxops.engine.doubles import Doubles
from voxops.ledger import Stored

AT = "2026-06-01T09:00:00+00:00"


def why(
    bench: Bench, *, content: str = "words", when: str = AT, accounts: list[str] | None = None, **columns: Any
) -> str:
    """Why a row that asks for this would go out twice."""
    plan = campaign("r", content=content, scheduled_for=when, **columns)
    (item,) = plan.items
    body = {"content": content, "scheduledFor": when, "accountIds": accounts or ["acc"]}
    return Doubles(bench.ledger, plan, {}, NOW).why_double(item, body)


def changed(bench: Bench, post: PostState | None = None, **new: Any) -> Stored:
    """An open change of a post that shows ``words`` at `AT` to ``acc``."""
    post = scheduled() if post is None else post
    frame = frame_of(post).assign(**new)
    (op,) = bench.bind(plan_update(frame), post)
    return bench.get(op)


def test_a_change_of_the_text_makes_it_with_its_accounts_at_its_time(bench):
    stored = changed(bench, new_content="mended")
    said = f"a change of post_1 to the same waits to be sent, as {bench.ledger.runs.of_operation(stored.id)[0]}; send or cancel that; "
    assert why(bench, content="mended").startswith(said)
    assert why(bench, content="mended", when="2026-06-01T10:00:00+00:00") == ""
    assert why(bench, content="mended", accounts=["other"]) == ""
    assert why(bench) == "", "what it shows by now is known of the post"
    assert why(bench, content="mended", twin=True) == ""
    bench.doubt(stored.id)
    assert why(bench, content="mended").startswith(
        "a change of post_1 to the same is under way; wait for its outcome; "
    )


def test_a_change_of_the_time_or_of_the_accounts_makes_it_with_its_text(bench):
    changed(bench, new_scheduled_for="2027-03-04T09:00:00+00:00")
    assert why(bench, when="2027-03-04T09:00:00+00:00")
    assert why(bench) == ""


def test_a_change_of_a_draft_without_a_time_makes_what_no_row_asks_for(bench):
    changed(bench, replace(scheduled(), status="draft", scheduled_for=None), new_content="mended")
    assert why(bench, content="mended") == ""


def test_a_change_of_the_accounts_makes_it_for_these(bench):
    changed(bench, new_account_ids="other; acc2")
    assert why(bench, accounts=["acc2", "other"])
    assert why(bench, accounts=["acc"]) == why(bench, accounts=["other"]) == ""


def test_a_change_of_tags_alone_makes_nothing_the_same(bench):
    changed(bench, new_tags="x")
    assert why(bench) == ""


@pytest.mark.parametrize(
    ("campaign_of", "named", "held"),
    [("", False, True), ("other", False, True), ("other", True, False), ("c", True, True), (None, True, True)],
)
def test_a_change_of_a_post_of_another_campaign_counts_only_where_none_was_named(bench, campaign_of, named, held):
    changed(bench, new_content="mended")
    if campaign_of is not None:
        mark = keys.campaign_mark(campaign_of)
        bench.ledger.marks.learn([Made("post_1", AT, "scheduled", "o", "r", mark)])
    plan = campaign("r", content="mended", scheduled_for=AT)
    (item,) = plan.items
    item.seen["named"] = named  # type: ignore[index]
    item.seen["campaign"] = "c"  # type: ignore[index]
    body = {"content": "mended", "scheduledFor": AT, "accountIds": ["acc"]}
    assert bool(Doubles(bench.ledger, plan, {}, NOW).why_double(item, body)) is held


def test_a_change_that_is_blocked_or_of_a_post_that_was_taken_back_holds_nothing(bench):
    stored = changed(bench, new_content="mended")
    for status, updated, held in (
        ("cancelled", None, True),
        ("cancelled", after(1), False),
        ("cancelled", STAMP, True),  # it was put back since
        ("deleted", STAMP, False),
        ("draft", after(1), True),  # it may get its time by the change
        ("scheduled", after(1), True),
    ):
        bench.ledger.marks.learn([Made("post_1", AT, status, "o", "r", updated=updated)])
        assert bool(why(bench, content="mended")) is held
    stamped = bench.get(stored.id).baseline_text
    bench.ledger.marks.learn([Made("post_1", AT, "cancelled", "o", "r", updated=after(1))])
    for baseline in ("json_set(baseline, '$.updated_at', NULL)", "NULL"):
        bench.ledger.query(f"UPDATE operations SET baseline = {baseline} WHERE id = ?", (stored.id,))
        assert why(bench, content="mended") == ""
    bench.ledger.query("UPDATE operations SET baseline = ? WHERE id = ?", (stamped, stored.id))
    bench.ledger.marks.learn([Made("post_1", AT, "scheduled", "o", "r", updated=after(1))])
    assert why(bench, content="mended")
    bench.ledger.outcomes.block(stored.id, "changed since loaded")
    assert why(bench, content="mended") == ""


def test_what_is_not_known_of_a_change_makes_nothing_the_same(bench):
    stored = changed(bench, new_content="mended")
    bench.ledger.query("UPDATE operations SET baseline = NULL WHERE id = ?", (stored.id,))
    assert why(bench, content="mended") == "", "its accounts"
    moved = move(scheduled("post_2"))
    bench.bind(moved, scheduled("post_2"))
    bench.ledger.query("UPDATE members SET item = json_remove(item, '$.seen.bound') WHERE label = 'post_2'")
    assert why(bench, when="2027-03-04T09:00:00+00:00") == "", "its text"
