"""Settling creates: by their marks, by what posts show, and to the second when a row may be sent again or is planned again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine.shown import Bench, after, campaign, made_post, run_now

from voxops.acts import keys
from voxops.acts.create import CREATE
from voxops.acts.operation import settled
from voxops.api.states import PostState
from voxops.api.timing import PROOF_AFTER, RESEND_ANSWERED, SKEW
from voxops.model import Outcome


def batch(bench: Bench, *names: str, accounts: Any = "acc", **doubt: Any) -> tuple[int, list[dict[str, Any]]]:
    """A batch of creates of which nobody knows, and the bodies of its rows."""
    (op,) = bench.bind(campaign(*names, accounts=accounts))
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
    reading = bench.look(op)
    assert (reading.formed, reading.resend) == ([], []), "with what is there already it is sent no more"
    bench.at(PROOF_AFTER)
    (fresh,) = bench.look(op).formed
    assert bench.state(op) == "settled"
    assert (bench.state(fresh), bench.outcomes(fresh)) == ("planned", ["pending", "pending"])
    assert CREATE.bodies(bench.get(fresh).body) == [bodies[0], bodies[2]], "bytes unchanged"
    assert bench.get(fresh).read == 0.0, "it is judged once more before it is sent"


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


@pytest.mark.parametrize("shows", ["mark", "metadata", "content", "remembered", "nothing"])
def test_rule_11_a_list_that_shows_nothing_of_a_post_clears_no_batch(bench, shows):
    op, _ = batch(bench, "a", answered=True, status=500)
    bare = PostState("post_0", "published", after(-900), after(-900))
    bench.server.listed = [bare]
    if shows in {"mark", "metadata"}:
        bench.server.listed = [replace(bare, metadata={"voxopsOp": "a" * 32} if shows == "mark" else {"team": "x"})]
    elif shows == "content":
        bench.server.listed = [replace(bare, content="words")]
    elif shows == "remembered":
        bench.ledger.marks.learn([], shown=True)
    bench.at(RESEND_ANSWERED)
    assert bool(bench.look(op).resend) is (shows not in {"metadata", "nothing"})


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
    bench.server.states = {"post_1": replace(bare, metadata={"voxopsOp": "a" * 32}, source="single")}
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert (reading.formed, reading.waiting) == ([op], {})


@pytest.mark.parametrize("marked", [True, False])
def test_rule_14_metadata_that_are_not_ours_rule_a_post_out_only_where_our_marks_were_seen(bench, marked):
    """An API may keep metadata of its own alone."""
    op, (a,) = batch(bench, "a", answered=True, status=500)
    bench.ledger.marks.learn([], shown=marked)
    theirs = replace(made_post(a, "post_1", after(1), marked=False), metadata={"source": "api"})
    bench.server.listed, bench.server.states = [theirs], {"post_1": replace(theirs, source="single")}
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert (reading.formed, reading.waiting) == ([op] if marked else [], {})
    assert bench.outcomes(op) == (["pending"] if marked else ["succeeded"])


@pytest.mark.parametrize("ours", [True, False])
def test_rule_14_where_a_single_read_shows_our_mark_one_that_shows_none_is_not_ours(bench, ours):
    """Lists show no metadata; a colleague's post is for the same account and minute, and says something else."""
    op, (a, b) = batch(bench, "a", "b", answered=True, status=500)
    mine = made_post(a, "post_1", after(1), marked=False)
    theirs = made_post(b, "post_2", after(1), marked=False, content="something else")
    marks = a["metadata"] if ours else None
    bench.server.listed = [mine, theirs]
    bench.server.states = {
        "post_1": replace(mine, metadata=marks, source="single"),
        "post_2": replace(theirs, metadata={"by": "hand"}, source="single"),
    }
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert bench.ledger.operations.members(op)[0].result_id == "post_1"
    assert bool(reading.formed) is ours
    assert bool(reading.waiting) is not ours


def test_rule_14_a_single_read_shows_the_mark_that_a_list_leaves_out(bench):
    """Whatever the post shows besides, and if it was made twice, that is said."""
    op, (a,) = batch(bench, "a", answered=True, status=500)
    bare = [made_post(a, name, after(1), marked=False, content="cut …") for name in ("post_1", "post_2")]
    bench.server.listed = bare
    bench.server.states = {
        each.post_id: replace(each, metadata=a["metadata"], content="other", source="single") for each in bare
    }
    bench.at(3)
    reading = bench.look(op)
    assert bench.ledger.operations.members(op)[0].result_id == "post_1"
    assert reading.duplicates == ["a was created twice: post_1, post_2"]


def test_rule_14_an_edited_post_without_metadata_may_be_any_row_and_nobody_can_tell(bench):
    op, (a,) = batch(bench, "a", answered=True, status=500)
    edited = made_post(a, "post_1", after(1), marked=False, updated_at=after(60), content="other words")
    bench.server.listed = [edited]
    bench.server.states = {"post_1": replace(edited, source="single")}
    bench.at(RESEND_ANSWERED)
    assert not bench.look(op).resend
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    assert not reading.formed
    assert reading.waiting == {op: "a post that bears no mark may be it, and nobody can tell; look at the dashboard"}
    assert bench.server.read, "a single read might have shown its mark"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (None, "post_1 is there, made elsewhere"),
        ("d" * 32, "already posted as post_1, which shows this text"),
    ],
)
def test_rule_26_a_batch_waits_and_says_why_while_somebody_else_s_post_stands_for_one_of_its_rows(bench, asked, said):
    op, (_, b) = batch(bench, "a", "b", answered=True, status=500)
    item = next(one.item for one in bench.ledger.operations.members(op) if one.item.label == b["content"])
    metadata = {**b["metadata"], "voxopsOp": keys.mark(item.campaign, item.label, 2)}
    theirs = {**b, "metadata": metadata | ({} if asked is None else {"voxopsAsked": asked})}
    bench.server.listed = [made_post(theirs, "post_1", after(1))]
    bench.at(RESEND_ANSWERED)
    for _ in range(2):
        reading = bench.look(op)
        assert (reading.resend, reading.waiting) == ([], {}), "it is looked at again"
        why = bench.get(op).waiting_for
        assert why.startswith(f"nobody knows yet whether it was created; meanwhile: {said}")
    bench.at(PROOF_AFTER)
    assert bench.look(op).formed == [op]
    assert bench.get(op).read == 0.0, "it is judged once more before it is sent"


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
    (second,) = bench.bind(campaign("b", content="a", twin=True))
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


def test_a_row_that_was_found_by_its_mark_stays_that_post_whatever_others_show(bench):
    """Read for another row, whose text a list may have cut, it turns out to show the text of the first."""
    op, (a, b) = batch(bench, "hello", "hello there", answered=True, status=500)
    bare = made_post(b, "post_1", after(1), marked=False, content="hello…")
    bench.server.listed, bench.server.states = (
        [made_post(a, "post_9", after(2)), bare],
        {"post_1": replace(bare, content="hello", source="single")},
    )
    bench.at(PROOF_AFTER)
    (fresh,) = bench.look(op).formed
    assert bench.server.read == ["post post_1"]
    assert bench.ledger.operations.members(op)[0].result_id == "post_9"
    assert CREATE.bodies(bench.get(fresh).body) == [b]


def test_rule_14_a_post_that_may_be_a_row_that_was_found_leaves_no_other_in_doubt(bench):
    op, (a, b) = batch(bench, "a", "b", answered=True, status=500, accounts=["o", "p"])
    made = made_post(a, "post_1", after(1), marked=False)
    other = replace(made, post_id="post_2", content="with &amp;")
    bench.server.listed = [made, other]
    bench.server.states = {each.post_id: replace(each, source="single") for each in (made, other)}
    bench.at(PROOF_AFTER)
    reading = bench.look(op)
    (fresh,) = reading.formed
    assert reading.waiting == {}
    assert bench.ledger.operations.members(op)[0].result_id == "post_1"
    assert CREATE.bodies(bench.get(fresh).body) == [b]


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


@pytest.mark.parametrize("marked", [True, False])
def test_rule_14_what_a_single_read_shows_counts_where_a_list_shows_nothing(bench, marked):
    """Another text is another post where lists show marks; where they never did, an API may show texts as it likes."""
    op, (a,) = batch(bench, "a", answered=True, status=500)
    bench.ledger.marks.learn([], shown=marked)
    bare = made_post(a, "post_1", after(1), marked=False)
    bench.server.listed = [replace(bare, content=None)]
    bench.server.states = {"post_1": replace(bare, content="something else", source="single")}
    bench.at(RESEND_ANSWERED)
    assert [each.op for each in bench.look(op).resend] == [op] * marked
    bench.at(PROOF_AFTER)
    assert list(bench.look(op).waiting) == [op] * (not marked)


def test_rule_14_a_post_of_the_same_place_and_time_that_another_row_is_leaves_nobody_in_doubt(bench):
    op, (a, b) = batch(bench, "a", "b", answered=True, status=500)
    made = made_post(b, "post_1", after(1), marked=False)
    bench.server.listed, bench.server.states = [made], {"post_1": replace(made, source="single")}
    bench.at(PROOF_AFTER)
    (fresh,) = bench.look(op).formed
    assert CREATE.bodies(bench.get(fresh).body) == [a]
    assert bench.outcomes(op) == ["succeeded"]


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
