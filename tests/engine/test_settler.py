"""Settling: what each reading settles, lets be sent again, or leaves waiting, to the second; a real ledger, and what a server shows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.shown import after, fix, move, retry, run_now, scheduled, state

from voxops.acts.made import Made, shown_of_state
from voxops.acts.operation import settled
from voxops.api.states import PostState
from voxops.api.timing import CLOCKS_DIFFER, NO_EVIDENCE_AFTER, PROOF_AFTER, RESEND_ANSWERED, RESEND_UNANSWERED
from voxops.engine.reading import transitions
from voxops.engine.settler import AT_ONCE, LIKELY, LOOKS_AS_BEFORE, TOUCHED
from voxops.model import Outcome

FAILED = state("failed")


# -- posts: who is read how ------------------------------------------------------------------------------------------------


def test_posts_are_read_by_what_is_known_of_the_act_on_them(bench):
    """Doubtful ones at once, those under a version whole, and only what was accepted is followed; one that is gone is said to be."""
    posts = [replace(state("failed"), post_id=name) for name in ("a", "b", "c", "d")]
    doubtful, gone, followed, lost = bench.bind(retry(*posts), *posts)
    (versioned, vanished) = bench.bind(move(scheduled("e"), scheduled("f")), scheduled("e"), scheduled("f"))
    bench.doubt(doubtful, gone, versioned, vanished)
    bench.accept(followed, lost)
    bench.server.states = {"a": posts[0], "c": posts[2], "e": scheduled("e")}
    bench.at(10)
    reading = bench.look(doubtful, gone, followed, lost, versioned, vanished)
    assert bench.server.read == ["posts a b", "post e", "post f", "follow c d"]
    said = "the post no longer exists; look at the dashboard"
    assert reading.waiting == dict.fromkeys((gone, lost, vanished), said)
    assert LIKELY == ("publishing", "pending", "published", "failed", "partial"), "lists in the order of what is likely"
    bench.server.read.clear()
    bench.look(versioned)
    assert bench.server.read == ["post e"], "no list is read for none"


def test_what_has_ended_of_an_act_stays_so_when_its_post_is_gone(bench):
    post = state("failed", "failed")
    (op,) = bench.bind(retry(post), post)
    bench.doubt(op)
    first, _ = bench.ledger.operations.members(op)
    bench.ledger.outcomes.settle(op, [settled(first, Outcome.SUCCEEDED)], bench.now.timestamp())
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert bench.outcomes(op) == ["succeeded", "blocked"]
    assert [each.now for each in reading.transitions] == ["blocked"], "of the other nothing is said anew"


def test_rule_21_a_clock_that_slept_asks_for_the_time_before_it_judges(bench):
    post = replace(FAILED, post_id="b")
    old, young = bench.bind(retry(FAILED, post), FAILED, post)
    bench.doubt(old)
    bench.at(100)
    bench.doubt(young)
    bench.at(100 - CLOCKS_DIFFER)
    bench.look(old, young)
    assert "time" not in bench.server.read
    bench.at(100 - CLOCKS_DIFFER - 0.001)
    reading = bench.look(old, young)
    assert bench.server.read.count("time") == 1
    assert reading.began == bench.now.timestamp()


# -- posts: doubt ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answered", "status", "seen", "wait"),
    [
        (True, 500, True, RESEND_ANSWERED),
        (False, None, True, RESEND_UNANSWERED),
        (False, None, False, RESEND_UNANSWERED),
    ],
)
def test_rule_11_what_shows_no_trace_is_sent_again_not_a_moment_too_early(bench, answered, status, seen, wait):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.doubt(op, answered=answered, status=status, seen=seen)
    bench.server.states = {"post_1": FAILED}
    bench.at(wait - 0.001)
    assert not bench.look(op).resend
    bench.at(wait)
    (clearance,) = bench.look(op).resend
    assert (clearance.op, clearance.read) == (op, bench.now.timestamp())
    bench.at(PROOF_AFTER - 0.001)
    reading = bench.look(op)
    assert [each.op for each in reading.resend] == [op]
    assert not reading.formed
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert (reading.resend, reading.formed, bench.state(op)) == ([], [op], "planned")


def test_rule_11_a_wait_counts_from_the_end_of_a_try_and_not_from_its_beginning(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    claim = bench.claim(op)
    ended = bench.now.timestamp() + 60
    bench.ledger.claims.record(claim, state="unknown", status=500, reply=b"{}", server_now=ended, answered=True)
    bench.server.states = {"post_1": FAILED}
    bench.at(60 + RESEND_ANSWERED - 0.001)
    assert not bench.look(op).resend
    bench.at(60 + RESEND_ANSWERED)
    assert bench.look(op).resend


def test_rule_16_a_refused_key_is_not_sent_again_before_absence_is_proved(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.doubt(op, answered=True, status=404)
    bench.server.states = {"post_1": FAILED}
    bench.at(PROOF_AFTER - 1)
    assert not bench.look(op).resend
    bench.at(PROOF_AFTER)
    assert bench.look(op).formed == [op]


def test_rule_11_absence_that_somebody_outran_forms_nothing(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.doubt(op, answered=True, status=500)
    bench.server.states = {"post_1": FAILED}
    bench.at(PROOF_AFTER)
    looked_up = bench.get(op)
    bench.doubt(op, answered=True, status=500)  # another sender tried again meanwhile
    bench.at(2 * PROOF_AFTER)
    bench.ledger.query("UPDATE operations SET ended = ? WHERE id = ?", (looked_up.ended, op))
    reading = run_now(bench.settler.look([looked_up]))
    assert not reading.formed
    assert bench.state(op) == "unknown"


def test_rule_11_a_doubtful_act_whose_baseline_nobody_has_is_never_called_absent(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.doubt(op)
    bench.ledger.query("UPDATE operations SET baseline = NULL WHERE id = ?", (op,))
    bench.server.states = {"post_1": FAILED}
    bench.at(PROOF_AFTER + 1)
    reading = bench.look(op)
    assert (reading.resend, reading.formed, bench.state(op)) == ([], [], "unknown")


def test_rule_11_an_edited_post_neither_proves_nor_clears_a_doubtful_act(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.doubt(op)
    bench.server.states = {"post_1": replace(FAILED, updated_at=after(5))}
    bench.at(PROOF_AFTER + 1)
    reading = bench.look(op)
    assert (reading.resend, reading.formed, bench.state(op)) == ([], [], "unknown")
    assert reading.waiting == {op: TOUCHED}


# -- posts: what was accepted, and what shows ----------------------------------------------------------------------------------


def test_rule_18_a_post_on_its_way_is_accepted_and_remembered_as_seen(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.doubt(op)
    bench.server.states = {"post_1": state("publishing", updated=after(2), status="publishing")}
    bench.at(3)
    reading = bench.look(op)
    assert (bench.state(op), bench.get(op).sighted) == ("accepted", bench.now.timestamp())
    assert (reading.waiting, reading.resend) == ({}, [])
    bench.server.states = {"post_1": state("failed", updated=after(4))}
    bench.at(5)
    reading = bench.look(op)
    assert bench.state(op) == "settled", "the same failure again is an end, since it was seen on its way"
    assert [(each.was, each.now, each.item) for each in reading.transitions] == [("pending", "failed", "post_1")]


def test_rule_18_a_try_that_has_succeeded_settles_what_nobody_knew(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.doubt(op)
    bench.server.states = {"post_1": state("published", updated=after(2), status="published")}
    bench.at(3)
    reading = bench.look(op)
    assert (bench.state(op), bench.outcomes(op)) == ("settled", ["succeeded"])
    assert bench.get(op).sighted is None
    (change,) = reading.transitions
    assert (change.now, change.platform, change.at) == ("succeeded", "twitter", bench.now)


def test_rule_18_an_accepted_act_that_looks_as_before_is_said_to_after_a_while(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.accept(op)
    bench.server.states = {"post_1": FAILED}
    bench.at(NO_EVIDENCE_AFTER - 0.001)
    assert not bench.look(op).waiting
    bench.at(NO_EVIDENCE_AFTER)
    assert bench.look(op).waiting == {op: LOOKS_AS_BEFORE}
    assert bench.state(op) == "accepted"


def test_rule_18_a_post_that_was_put_aside_waits_and_says_how_it_is(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.accept(op)
    bench.server.states = {"post_1": state("failed", updated=after(2), status="scheduled")}
    bench.at(NO_EVIDENCE_AFTER + 1)
    reading = bench.look(op)
    assert (reading.waiting, bench.state(op)) == ({op: "the post is scheduled"}, "accepted")


@pytest.mark.parametrize(("reply", "status"), [(b"not JSON", 202), (None, 202), (b"{}", None)])
def test_rule_18_an_answer_that_says_nothing_leaves_the_reading_to_tell(bench, reply, status):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.accept(op, reply=reply, status=status)
    bench.server.states = {"post_1": state("published", updated=after(2), status="published")}
    bench.at(3)
    bench.look(op)
    assert bench.state(op) == "settled"


def test_rule_02_a_version_conflict_of_a_lost_change_is_settled_by_the_fields(bench):
    before = scheduled()
    (op,) = bench.bind(move(before), before)
    bench.doubt(op)
    bench.server.states = {"post_1": scheduled(at="2027-03-04T09:00:00+00:00", updated=after(1))}
    bench.at(2)
    bench.look(op)
    assert (bench.state(op), bench.outcomes(op)) == ("settled", ["succeeded"])


def test_rule_26_what_a_reading_settles_by_is_known_of_the_post_from_then_on(bench):
    before, moved = scheduled(), scheduled(at="2027-03-04T09:00:00+00:00", updated=after(1))
    (op,) = bench.bind(move(before), before)
    bench.ledger.marks.learn(
        [Made("post_1", before.created_at, "scheduled", "op", "row", shown=shown_of_state(before))]
    )
    bench.doubt(op)
    bench.server.states = {"post_1": moved}
    bench.at(2)
    bench.look(op)
    known = bench.ledger.marks.of_posts(["post_1"])["post_1"]
    assert (known.shown, known.updated) == (shown_of_state(moved), moved.updated_at)
    assert known.shown != shown_of_state(before)


def test_rule_02_what_somebody_changed_otherwise_blocks_a_lost_change_after_a_while(bench):
    before = scheduled()
    (op,) = bench.bind(move(before), before)
    bench.doubt(op)
    bench.server.states = {"post_1": scheduled(at="2026-07-01T09:00:00+00:00", updated=after(1))}
    bench.at(RESEND_UNANSWERED - 1)
    assert not bench.look(op).transitions
    assert bench.state(op) == "unknown"
    bench.at(RESEND_UNANSWERED)
    bench.look(op)
    assert (bench.state(op), bench.outcomes(op)) == ("settled", ["blocked"])


def test_rule_21_an_end_that_was_read_before_another_try_is_not_its_end(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.doubt(op)
    looked_up = bench.get(op)
    bench.doubt(op)
    bench.server.states = {"post_1": state("published", updated=after(2), status="published")}
    bench.at(3)
    reading = run_now(bench.settler.look([looked_up]))
    assert (reading.transitions, bench.state(op), bench.outcomes(op)) == ([], "unknown", ["unknown"])


def test_many_are_settled_and_every_one_is_reported(bench):
    count = AT_ONCE + 1
    posts = [replace(state("failed"), post_id=f"p{number:03}") for number in range(count)]
    ops = bench.bind(retry(*posts), *posts)
    for op in ops:
        bench.ledger.query(
            "UPDATE operations SET state = 'unknown', tries = 1, last_sent = ?, ended = ?, first_sent = ? WHERE id = ?",
            (bench.now.timestamp(),) * 3 + (op,),
        )
    bench.server.states = {
        each.post_id: replace(state("published", updated=after(2), status="published"), post_id=each.post_id)
        for each in posts
    }
    bench.at(3)
    reading = bench.look(*ops)
    assert len(reading.transitions) == count
    assert {bench.state(op) for op in ops} == {"settled"}


def test_rule_02_a_post_on_its_way_is_no_sign_of_a_change_to_it(bench):
    before = scheduled()
    (op,) = bench.bind(move(before), before)
    bench.doubt(op)
    bench.server.states = {"post_1": replace(scheduled(updated=after(2)), status="publishing")}
    bench.at(3)
    reading = bench.look(op)
    assert (bench.state(op), bench.get(op).sighted, reading.waiting) == ("unknown", None, {})


def test_rule_02_an_accepted_change_that_does_not_show_yet_waits_for_nothing_in_particular(bench):
    before = scheduled()
    (op,) = bench.bind(move(before), before)
    bench.accept(op)
    bench.server.states = {"post_1": before}
    bench.at(10)
    reading = bench.look(op)
    assert (bench.state(op), reading.waiting) == ("accepted", {})


def test_rule_18_what_has_ended_late_waits_for_nothing(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.accept(op)
    bench.server.states = {"post_1": state("published", updated=after(2), status="published")}
    bench.at(NO_EVIDENCE_AFTER + 1)
    reading = bench.look(op)
    assert (bench.state(op), reading.waiting) == ("settled", {})


def reply(name: str, **entry: Any) -> bytes:
    """An answer to a retry that says something of its target."""
    return json.dumps({"id": "post_1", name: [{"platform": "twitter", "accountId": "acc", **entry}]}).encode()


def test_rule_18_what_was_said_to_be_skipped_of_an_accepted_try_has_failed_and_of_an_unknown_one_nothing_was_said(
    bench,
):
    post = replace(FAILED, post_id="post_2")
    answered, unknown = bench.bind(retry(FAILED, post), FAILED, post)
    said = reply("skippedPlatforms", reason="not now")
    bench.accept(answered, reply=said)
    bench.doubt(unknown)
    bench.ledger.query("UPDATE operations SET reply = ?, http_status = 500 WHERE id = ?", (said, unknown))
    bench.server.states = {"post_1": FAILED, "post_2": replace(post, updated_at=after(5))}
    bench.at(PROOF_AFTER)
    bench.look(answered, unknown)
    assert (bench.state(answered), bench.outcomes(answered)) == ("settled", ["failed"])
    assert (bench.state(unknown), bench.outcomes(unknown)) == ("unknown", ["unknown"])


def beside(post: PostState) -> PostState:
    """The post, which has a second target that was published and is on its way again."""
    return replace(post, targets=(post.targets[0], state("failed", "publishing").targets[1]))


def test_rule_18_another_target_on_its_way_is_a_sign_that_the_try_has_begun(bench):
    post = replace(FAILED, targets=(replace(FAILED.targets[0], retry_count=1), state("failed", "published").targets[1]))
    (op,) = bench.bind(fix(post), post)
    bench.accept(op, reply=reply("retriedPlatforms", retryCount=2))
    bench.server.states = {"post_1": beside(post)}
    bench.at(3)
    bench.look(op)
    assert (bench.state(op), bench.get(op).sighted) == ("accepted", bench.now.timestamp()), "its count is not there yet"


def test_rule_18_of_a_try_that_has_begun_any_end_is_a_new_one(bench):
    post = state("failed", "published")
    (op,) = bench.bind(fix(post), post)
    bench.doubt(op)
    bench.server.states = {"post_1": beside(post)}
    bench.at(3)
    bench.look(op)
    assert (bench.state(op), bench.outcomes(op)) == ("settled", ["failed"])


def test_rule_18_a_count_that_was_seen_below_the_promised_one_and_has_reached_it_is_an_end(bench):
    before = replace(FAILED, targets=(replace(FAILED.targets[0], retry_count=1),))
    (op,) = bench.bind(retry(before), before)
    bench.accept(op, reply=reply("retriedPlatforms", retryCount=2))
    bench.server.states = {"post_1": before}
    bench.at(10)
    bench.look(op)
    risen = replace(before, updated_at=after(40), targets=(replace(before.targets[0], retry_count=2),))
    bench.server.states = {"post_1": risen}
    bench.at(41)
    bench.look(op)
    assert (bench.state(op), bench.outcomes(op)) == ("settled", ["failed"])


def test_what_only_waits_is_no_change_that_a_monitor_shows(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.accept(op)
    bench.server.states = {"post_1": state("publishing", updated=after(2), status="publishing")}
    bench.at(3)
    assert bench.look(op).transitions == []
    assert bench.ledger.operations.members(op)[0].waiting_for == "publishing"


@pytest.mark.parametrize(
    ("code", "message", "detail"), [("NO", "it failed", "it failed"), ("NO", None, "NO"), (None, None, "")]
)
def test_a_change_says_why_as_far_as_that_is_known(bench, code, message, detail):
    post = state("failed")
    (op,) = bench.bind(retry(post), post)
    (member,) = bench.ledger.operations.members(op)
    ended = settled(member, Outcome.FAILED, error_code=code, error_message=message)
    (change,) = transitions([member], [ended], bench.now)
    assert (change.was, change.now, change.detail) == ("pending", "failed", detail)
