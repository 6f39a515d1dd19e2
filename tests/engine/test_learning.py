"""What is remembered of posts as they are read (rules 13, 26 and 30)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.engine.shown import NOW, Bench, campaign, made_post

from voxops.acts.create import CREATE
from voxops.acts.made import Made
from voxops.acts.operation import settled
from voxops.api.states import PostState
from voxops.api.timing import PROOF_AFTER
from voxops.engine.created import Listed
from voxops.engine.learning import came_back, learn, note_posts
from voxops.model import Outcome

OURS = Made("post_1", "2026-03-02T08:00:00+00:00", "scheduled", "op", "row")
SHOWN = PostState("post_1", "scheduled", created_at=OURS.created, updated_at=OURS.created, source="single")


def became(bench: Bench, made: Made, state: PostState | None) -> tuple[str, str]:
    """What a succeeded row and its post are once the post was read."""
    (op,) = bench.bind(campaign("a"))
    (member,) = bench.ledger.operations.members(op)
    bench.ledger.outcomes.settle(op, [settled(member, Outcome.SUCCEEDED, result_id=made.post_id)], NOW.timestamp())
    bench.ledger.marks.learn([made])
    note_posts(bench.ledger, {made.post_id: state}, NOW)
    (member,) = bench.ledger.operations.members(op)
    return str(member.outcome), bench.ledger.marks.of_posts([made.post_id])[made.post_id].status


@pytest.mark.parametrize("status", ["cancelled", "unpublished", "archived"])
def test_what_was_taken_back_is_blocked(bench, status):
    assert became(bench, OURS, replace(SHOWN, status=status)) == ("blocked", status)


@pytest.mark.parametrize("status", ["scheduled", "published", "failed", "pending_approval"])
def test_what_is_there_is_not(bench, status):
    assert became(bench, OURS, replace(SHOWN, status=status)) == ("succeeded", status)


@pytest.mark.parametrize(
    ("age", "edited", "outcome"),
    [
        (0.0, False, "succeeded"),
        (PROOF_AFTER, False, "succeeded"),
        (PROOF_AFTER + 1, False, "blocked"),
        (0.0, True, "blocked"),
    ],
)
def test_a_draft_was_sent_back_where_it_was_changed_or_is_one_for_long(bench, age, edited, outcome):
    """A server might show what it is about to schedule as a draft for a moment."""
    created = (NOW - timedelta(seconds=age)).isoformat()
    updated = (NOW + timedelta(seconds=9)).isoformat() if edited else created
    state = replace(SHOWN, status="draft", created_at=created, updated_at=updated)
    assert became(bench, replace(OURS, created=created), state) == (outcome, "draft")


@pytest.mark.parametrize(("age", "outcome"), [(PROOF_AFTER, "succeeded"), (PROOF_AFTER + 1, "blocked")])
def test_what_does_not_exist_was_deleted_once_reads_show_all(bench, age, outcome):
    made = replace(OURS, created=(NOW - timedelta(seconds=age)).isoformat())
    assert became(bench, made, None) == (outcome, "deleted" if outcome == "blocked" else "scheduled")


def test_what_a_reading_does_not_show_stays_as_it_was_known(bench):
    known = replace(OURS, shown="shown", updated=OURS.created)
    bench.ledger.marks.learn([known])
    note_posts(bench.ledger, {"post_1": replace(SHOWN, status="published", updated_at=None)}, NOW)
    assert bench.ledger.marks.of_posts(["post_1"])["post_1"] == replace(known, status="published")


def test_only_a_row_s_post_that_was_taken_back_can_come_back():
    for gone in ("cancelled", "deleted", "draft"):
        assert came_back(replace(OURS, status=gone), SHOWN)
        assert not came_back(replace(OURS, status=gone, op_mark=None, row_mark=None), SHOWN), (
            "nobody's is as it is listed"
        )
        assert not came_back(replace(OURS, status=gone), replace(SHOWN, status="draft"))
    for there in ("failed", "scheduled", ""):
        assert not came_back(replace(OURS, status=there), SHOWN)


@pytest.mark.parametrize(("source", "status"), [("list", "cancelled"), ("single", "scheduled")])
def test_a_list_brings_nothing_back_and_the_post_itself_does(bench, source, status):
    plan = campaign("a")
    body = CREATE.bodies(CREATE.resolve(plan.operations[0], {}).body)[0]
    listed = Listed()
    listed.take([replace(made_post(body, "post_1", OURS.created), status="cancelled")])
    learn(bench.ledger, listed)
    again = Listed()
    again.take([replace(made_post(body, "post_1", OURS.created), source=source)])
    learn(bench.ledger, again)
    assert bench.ledger.marks.of_posts(["post_1"])["post_1"].status == status


def test_a_draft_of_nobody_that_is_scheduled_by_now_is_remembered_so(bench):
    body = CREATE.bodies(CREATE.resolve(campaign("a").operations[0], {}).body)[0]
    for status in ("draft", "scheduled"):
        listed = Listed()
        listed.take([replace(made_post(body, "post_1", OURS.created, marked=False), status=status)])
        learn(bench.ledger, listed)
        assert bench.ledger.marks.of_posts(["post_1"])["post_1"].status == status


@pytest.mark.parametrize(
    ("listed", "taken"),
    [
        ("2026-03-02T08:30:01.900000+00:00", True),
        ("2026-03-02T08:30:01+00:00", True),
        ("2026-03-02T08:30:00.900000+00:00", False),
        ("2026-03-02T08:30:00+00:00", False),
        ("2026-03-02T08:00:00+00:00", False),
        (None, True),
    ],
)
def test_rule_26_a_list_that_shows_a_post_as_it_was_before_says_nothing_of_it(bench, listed, taken):
    """Lists may cut times to the second."""
    known = replace(OURS, shown="new", status="scheduled", updated="2026-03-02T08:30:01.900000+00:00")
    bench.ledger.marks.learn([known])
    found = Listed()
    found.take([replace(SHOWN, source="list", status="failed", updated_at=listed)])
    learn(bench.ledger, found)
    status = bench.ledger.marks.of_posts(["post_1"])["post_1"].status
    assert status == ("failed" if taken else "scheduled")


def test_rule_26_a_post_whose_own_time_is_not_known_is_as_the_list_shows_it(bench):
    bench.ledger.marks.learn([replace(OURS, updated=None)])
    found = Listed()
    found.take([replace(SHOWN, source="list", status="failed")])
    learn(bench.ledger, found)
    assert bench.ledger.marks.of_posts(["post_1"])["post_1"].status == "failed"
