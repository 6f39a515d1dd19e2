"""Settling: what each reading settles, lets be sent again, or leaves waiting, to the second; a real ledger, and what a server shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.engine.shown import Bench, campaign, fix, made_post, move, redeliver, retry, run_now, scheduled, state

from voxops.acts.create import CREATE
from voxops.acts.operation import settled
from voxops.api.states import PostState
from voxops.api.windows import CLOCKS_DIFFER, NO_EVIDENCE_AFTER, PROOF_AFTER, RESEND_ANSWERED, RESEND_UNANSWERED, SKEW
from voxops.engine.settler import AT_ONCE, LIKELY, LOOKS_AS_BEFORE
from voxops.ledger import Ledger
from voxops.model import Outcome


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    time = [0.0]
    ledger = Ledger(tmp_path / "ledger.sqlite", clock=lambda: time[0])
    bench = Bench(ledger, lambda now: time.__setitem__(0, now))
    bench.at(0)
    yield bench
    ledger.close()


def after(seconds: float) -> str:
    """Server time so long after the beginning, as the API writes it."""
    return (datetime(2026, 3, 2, 9, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat()


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
    assert (reading.resend, reading.formed, reading.waiting, bench.state(op)) == ([], [], {}, "unknown")


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


def test_many_are_settled_and_every_one_is_told(bench):
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


def test_rule_18_what_an_accepted_try_was_told_to_be_skipped_has_failed_and_an_unknown_one_was_told_nothing(bench):
    post = replace(FAILED, post_id="post_2")
    told, unknown = bench.bind(retry(FAILED, post), FAILED, post)
    said = reply("skippedPlatforms", reason="not now")
    bench.accept(told, reply=said)
    bench.doubt(unknown)
    bench.ledger.query("UPDATE operations SET reply = ?, http_status = 500 WHERE id = ?", (said, unknown))
    bench.server.states = {"post_1": FAILED, "post_2": replace(post, updated_at=after(5))}
    bench.at(PROOF_AFTER)
    bench.look(told, unknown)
    assert (bench.state(told), bench.outcomes(told)) == ("settled", ["failed"])
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


# -- deliveries --------------------------------------------------------------------------------------------------------------


def delivered(bench: Bench, *names: str) -> tuple[list[int], dict[str, dict[str, Any]]]:
    """Operations on failed deliveries, and these as they were."""
    plan = redeliver(*names)
    seen = {item.subject.id: dict(item.seen) for item in plan.items}
    return bench.bind(plan, deliveries=seen), seen


def test_rule_19_a_delivery_that_was_tried_again_is_settled_by_its_result(bench):
    (one, two, three), seen = delivered(bench, "d", "e", "f")
    bench.doubt(one, two, three)
    bench.server.sent = {
        "d": {**seen["d"], "success": True, "status_code": 200, "error": None, "retry_count": 6},
        "e": {**seen["e"], "status_code": 500, "retry_count": 6},
    }
    bench.at(3)
    reading = bench.look(one, two, three)
    assert bench.server.read == ["deliveries w d e f"]
    assert [bench.outcomes(op) for op in (one, two, three)] == [["succeeded"], ["failed"], ["unknown"]]
    assert bench.get(one).sighted is None, "a delivery does not show that it is queued"
    assert reading.waiting == {three: "the delivery is no longer listed; look at the dashboard"}
    assert [(each.now, each.detail) for each in reading.transitions] == [("succeeded", ""), ("failed", "x")]


def test_rule_19_a_delivery_without_a_trace_is_formed_again_when_that_is_proved(bench):
    (op,), seen = delivered(bench, "d")
    bench.doubt(op)
    bench.server.sent = seen
    bench.at(PROOF_AFTER - 0.001)
    reading = bench.look(op)
    assert (reading.resend, reading.formed, reading.waiting) == ([], [], {}), (
        "a delivery does not show that it is queued"
    )
    bench.at(PROOF_AFTER)
    assert bench.look(op).formed == [op]
    assert bench.state(op) == "planned"


def test_rule_19_a_count_that_rose_alone_is_an_end_of_ours_or_nobody_knows_whose(bench):
    (ours, whose), seen = delivered(bench, "d", "e")
    bench.accept(ours)
    bench.doubt(whose)
    bench.server.sent = {name: {**before, "retry_count": 6} for name, before in seen.items()}
    bench.at(PROOF_AFTER - 0.001)
    reading = bench.look(ours, whose)
    assert (bench.state(ours), bench.state(whose), reading.waiting) == ("accepted", "unknown", {})
    bench.at(PROOF_AFTER)
    reading = bench.look(ours, whose)
    assert (bench.state(ours), bench.outcomes(ours)) == ("settled", ["failed"])
    assert bench.state(whose) == "unknown"
    assert reading.waiting == {
        whose: "it was tried again with the same result, by whom is not known; look at the dashboard"
    }
    assert not reading.formed


def test_rule_19_an_accepted_delivery_that_shows_no_trace_stays_accepted(bench):
    (op,), seen = delivered(bench, "d")
    bench.accept(op)
    bench.server.sent = seen
    bench.at(PROOF_AFTER + 1)
    reading = bench.look(op)
    assert (bench.state(op), reading.waiting, reading.formed, reading.resend) == ("accepted", {}, [], [])


# -- creates -----------------------------------------------------------------------------------------------------------------


def batch(bench: Bench, *names: str, **doubt: Any) -> tuple[int, list[dict[str, Any]]]:
    """A batch of creates of which nobody knows, and the bodies of its rows."""
    (op,) = bench.bind(campaign(*names))
    bench.doubt(op, **doubt)
    return op, CREATE.bodies(bench.get(op).body)


def test_rule_13_rows_are_found_by_their_marks_and_the_rest_get_a_batch_of_their_own(bench):
    op, bodies = batch(bench, "a", "b", "c", answered=True, status=500)
    bench.server.listed = [made_post(bodies[1], "post_9", after(1))]
    bench.at(3)
    reading = bench.look(op)
    assert bench.server.since == [datetime(2026, 3, 2, 9, tzinfo=UTC) - timedelta(seconds=SKEW)]
    assert bench.outcomes(op) == ["unknown", "succeeded", "unknown"]
    assert [each.now for each in reading.transitions] == ["succeeded"]
    assert bench.ledger.operations.members(op)[1].result_id == "post_9"
    assert (reading.formed, reading.resend, reading.duplicates, reading.waiting) == ([], [], [], {})
    (made,) = bench.ledger.marks.of_posts(["post_9"]).values()
    assert made.op_mark == bench.ledger.operations.members(op)[1].item.mark
    bench.at(PROOF_AFTER - 0.001)
    assert not bench.look(op).formed
    bench.at(PROOF_AFTER)
    (fresh,) = bench.look(op).formed
    assert bench.state(op) == "settled"
    assert (bench.state(fresh), bench.outcomes(fresh)) == ("planned", ["pending", "pending"])
    assert CREATE.bodies(bench.get(fresh).body) == [bodies[0], bodies[2]], "bytes unchanged"


def test_rule_11_a_batch_without_a_trace_is_sent_again_and_later_planned_again(bench):
    op, _ = batch(bench, "a", "b", answered=True, status=500)
    other = made_post({"content": "x", "accountIds": ["o"], "metadata": {"team": "x"}}, "post_0", after(-900))
    bench.server.listed = [other]
    bench.at(RESEND_ANSWERED - 0.001)
    assert not bench.look(op).resend
    bench.at(RESEND_ANSWERED)
    (clearance,) = bench.look(op).resend
    assert clearance.read == bench.now.timestamp()
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert (reading.formed, reading.resend, bench.state(op)) == ([op], [], "planned")


@pytest.mark.parametrize("shows", ["metadata", "content", "remembered", "nothing"])
def test_rule_11_a_list_that_shows_nothing_of_a_post_clears_no_batch(bench, shows):
    op, _ = batch(bench, "a", answered=True, status=500)
    bare = PostState("post_0", "published", after(-900), after(-900))
    bench.server.listed = [bare]
    if shows == "metadata":
        bench.server.listed = [replace(bare, metadata={"team": "x"})]
    elif shows == "content":
        bench.server.listed = [replace(bare, content="words")]
    elif shows == "remembered":
        bench.ledger.marks.learn([], shown=True)
    bench.at(RESEND_ANSWERED)
    assert bool(bench.look(op).resend) is (shows != "nothing")


def test_rule_06_a_batch_whose_time_has_passed_is_not_sent_again(bench):
    frame_time = after(RESEND_ANSWERED - 1)
    (op,) = bench.bind(campaign("a", scheduled_for=frame_time))
    bench.doubt(op, answered=True, status=500)
    bench.server.listed = [
        made_post({"content": "x", "accountIds": ["o"], "metadata": {"team": "x"}}, "post_0", after(-9))
    ]
    bench.at(RESEND_ANSWERED)
    assert not bench.look(op).resend


def test_rule_14_a_row_that_we_made_twice_stops_the_run_and_a_later_copy_does_not(bench):
    op, (a, b) = batch(bench, "a", "b", answered=True, status=500)
    bench.server.listed = [
        made_post(a, "post_2", after(2)),
        made_post(a, "post_1", after(1)),
        made_post(b, "post_3", after(1)),
        made_post(b, "post_4", after(SKEW + 0.001)),  # somebody's copy
    ]
    bench.at(SKEW + 1)
    reading = bench.look(op)
    first = bench.ledger.operations.members(op)[0].item.label
    assert reading.duplicates == [f"{first} was created twice: post_1, post_2"]
    assert [member.result_id for member in bench.ledger.operations.members(op)] == ["post_1", "post_3"]
    assert bench.state(op) == "settled"


def test_rule_14_a_copy_at_the_very_end_of_what_clocks_may_differ_is_ours(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    bench.server.listed = [made_post(a, "post_1", after(1)), made_post(a, "post_2", after(SKEW))]
    bench.at(SKEW + 1)
    assert bench.look(op).duplicates == ["a was created twice: post_1, post_2"]


def test_rule_14_a_post_that_shows_no_metadata_is_read_by_itself_and_paired(bench):
    op, (a, b) = batch(bench, "a", "b", answered=True, status=500)
    bare = made_post(a, "post_1", after(1), marked=False)
    older = made_post(b, "post_0", after(-SKEW - 1), marked=False)  # was there before
    bench.server.listed, bench.server.states = [bare, older], {"post_1": replace(bare, source="single")}
    bench.at(3)
    bench.look(op)
    assert bench.server.read == ["post post_1"]
    assert bench.outcomes(op) == ["succeeded", "unknown"]
    assert bench.ledger.operations.members(op)[0].result_id == "post_1"


def test_rule_14_a_post_that_a_single_read_shows_to_be_marked_is_somebody_s(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    bare = made_post(a, "post_1", after(1), marked=False)
    bench.server.listed = [bare]
    bench.server.states = {"post_1": replace(bare, metadata={"team": "x"}, source="single")}
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert (reading.formed, reading.waiting) == ([op], {})


def test_rule_14_an_edited_post_without_metadata_may_be_any_row_and_nobody_can_tell(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    edited = made_post(a, "post_1", after(1), marked=False, updated_at=after(60), content="other words")
    bench.server.listed = [edited]
    bench.at(RESEND_ANSWERED)
    assert not bench.look(op).resend
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert not reading.formed
    assert reading.waiting == {
        op: "a post that shows no metadata may be it, and nobody can tell; look at the dashboard"
    }
    assert bench.server.read == [], "a single read would show no more"


def test_rule_14_a_post_without_metadata_that_is_known_to_be_made_for_another_is_none_of_these(bench):
    mine, (a,) = batch(bench, "a", answered=True, status=500)
    bench.server.listed = [made_post(a, "post_1", after(1))]
    bench.at(2)
    bench.look(mine)
    (op,) = bench.bind(campaign("b", content="a", twin=True))
    bench.doubt(op, answered=True, status=500)
    bench.server.listed = [made_post(a, "post_1", after(1), marked=False)]
    bench.server.read.clear()
    bench.at(3 + PROOF_AFTER)
    reading = bench.look(op)
    assert (bench.server.read, reading.formed) == ([], [op])


def test_rule_14_one_single_read_serves_all_batches_of_a_look(bench):
    first, (a,) = batch(bench, "a", answered=True, status=500)
    (second,) = bench.bind(campaign("b", content="a"))
    bench.doubt(second, answered=True, status=500)
    bare = made_post(a, "post_1", after(1), marked=False)
    bench.server.listed, bench.server.states = [bare], {"post_1": replace(bare, content="something else")}
    bench.at(3)
    bench.look(first, second)
    assert bench.server.read == ["post post_1"]


def test_rule_13_a_create_that_exists_counts_whatever_was_sent_since(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    looked_up = bench.get(op)
    bench.doubt(op, answered=True, status=500)
    bench.server.listed = [made_post(a, "post_1", after(1))]
    bench.at(3)
    reading = run_now(bench.settler.look([looked_up]))
    assert (bench.state(op), len(reading.transitions)) == ("settled", 1)


def test_rule_14_rows_of_a_batch_that_was_sent_meanwhile_do_not_leave_it(bench):
    op, (a, _) = batch(bench, "a", "b", answered=True, status=500)
    bench.server.listed = [made_post(a, "post_1", after(1))]
    bench.at(PROOF_AFTER)
    looked_up = bench.get(op)
    ended = looked_up.ended
    bench.doubt(op, answered=True, status=500)
    bench.ledger.query("UPDATE operations SET ended = ? WHERE id = ?", (ended, op))
    reading = run_now(bench.settler.look([looked_up]))
    assert reading.formed == []
    assert bench.outcomes(op) == ["succeeded", "unknown"]


def test_rule_14_what_was_there_is_measured_from_the_first_try(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    bench.at(2 * SKEW)
    bench.doubt(op, answered=True, status=500)
    bare = made_post(a, "post_1", after(1), marked=False)
    bench.server.listed, bench.server.states = [bare], {"post_1": replace(bare, source="single")}
    bench.look(op)
    assert bench.server.since == [datetime(2026, 3, 2, 9, tzinfo=UTC) - timedelta(seconds=SKEW)]
    assert bench.ledger.operations.members(op)[0].result_id == "post_1"
    assert bench.ledger.marks.listed == after(1)
    (made,) = bench.ledger.marks.of_posts(["post_1"]).values()
    assert made.op_mark == bench.ledger.operations.members(op)[0].item.mark, "known though lists do not show it"


def test_a_row_that_has_ended_is_looked_for_no_more(bench):
    op, (a, b) = batch(bench, "a", "b", answered=True, status=500)
    first, _ = bench.ledger.operations.members(op)
    bench.ledger.outcomes.settle(op, [settled(first, Outcome.FAILED, error_code="NO")], bench.now.timestamp())
    bench.server.listed = [
        made_post(a, "post_1", after(1)),
        made_post(a, "post_2", after(2)),
        made_post(b, "post_3", after(1)),
    ]
    bench.at(3)
    reading = bench.look(op)
    assert bench.outcomes(op) == ["failed", "succeeded"]
    assert [each.item for each in reading.transitions] == [bench.ledger.operations.members(op)[1].item.label]
    assert reading.duplicates == []


def test_a_row_that_was_found_by_its_mark_is_not_looked_for_among_the_others(bench):
    op, (a, _) = batch(bench, "a", "b", answered=True, status=500)
    bare = made_post(a, "post_1", after(1), marked=False)
    bench.server.listed, bench.server.states = [made_post(a, "post_9", after(2)), bare], {"post_1": bare}
    bench.at(3)
    bench.look(op)
    assert (bench.server.read, bench.ledger.operations.members(op)[0].result_id) == ([], "post_9")


def test_rule_14_rows_found_and_rows_proved_absent_in_one_look_part(bench):
    op, bodies = batch(bench, "a", "b", "c", answered=True, status=500)
    bench.server.listed = [made_post(bodies[1], "post_9", after(1))]
    bench.at(PROOF_AFTER)
    (fresh,) = bench.look(op).formed
    assert CREATE.bodies(bench.get(fresh).body) == [bodies[0], bodies[2]]
    assert (bench.state(op), bench.outcomes(op)) == ("settled", ["succeeded"])


def test_rule_14_a_post_of_other_accounts_is_none_of_these(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    bench.server.listed = [made_post({**a, "accountIds": ["other"]}, "post_1", after(1), marked=False)]
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert (reading.formed, reading.waiting, bench.server.read) == ([op], {}, [])


def test_rule_14_what_a_single_read_shows_counts_where_a_list_shows_nothing(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    bare = made_post(a, "post_1", after(1), marked=False)
    bench.server.listed = [replace(bare, content=None)]
    bench.server.states = {"post_1": replace(bare, content="something else", source="single")}
    bench.at(RESEND_ANSWERED)
    assert [each.op for each in bench.look(op).resend] == [op]


def test_rule_14_one_single_read_that_shows_too_little_leaves_the_row_in_doubt_whatever_others_show(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    dim, clear = (made_post(a, name, after(1), marked=False) for name in ("post_1", "post_2"))
    bench.server.listed = [dim, clear]
    bench.server.states = {
        "post_1": replace(dim, content=None, source="single"),
        "post_2": replace(clear, content="something else", source="single"),
    }
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert reading.formed == []
    assert list(reading.waiting) == [op]


def test_rule_14_posts_that_do_not_say_when_they_were_made_count_as_ours(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    bench.server.listed = [replace(made_post(a, name, after(1)), created_at=None) for name in ("post_1", "post_2")]
    bench.at(3)
    assert bench.look(op).duplicates == ["a was created twice: post_1, post_2"]


def test_what_only_waits_is_no_change_that_a_monitor_shows(bench):
    (op,) = bench.bind(retry(FAILED), FAILED)
    bench.accept(op)
    bench.server.states = {"post_1": state("publishing", updated=after(2), status="publishing")}
    bench.at(3)
    assert bench.look(op).transitions == []
    assert bench.ledger.operations.members(op)[0].waiting_for == "publishing"
