"""Every write of outcomes and of operations changes the cells that it is about, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.ledger.filled import NOW, batch, change, ops, rows

from voxops.acts.operation import blocked, settled
from voxops.errors import LedgerError
from voxops.ledger.forming import CANCELLED
from voxops.ledger.records import COLLIDED
from voxops.model import Outcome

# -- outcomes ------------------------------------------------------------------------------------------------------------


def test_one_settled_row_leaves_the_operation_open(ledger):
    one, two = ledger.operations.members(3)
    done = settled(one, Outcome.FAILED, error_code="NO", error_message="why", result_id="p", seen={"is": 1})
    _, changed = change(ledger, lambda: ledger.outcomes.settle(3, [done], NOW))
    assert changed == rows(
        3, 0, outcome="failed", waiting_for="", error_code="NO", error_message="why", result_id="p", seen='{"is":1}', settled=NOW
    )  # fmt: skip
    still = replace(two, outcome=Outcome.PENDING, waiting_for="queued")
    _, changed = change(ledger, lambda: ledger.outcomes.settle(3, [still], NOW))
    assert changed == rows(3, 1, outcome="pending", waiting_for="queued"), "a row that waits is not settled"
    assert ledger.meta("latest_server") == repr(NOW)


@pytest.mark.parametrize("last", [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.BLOCKED])
def test_the_last_settled_row_settles_the_operation(ledger, last):
    one, two = ledger.operations.members(2)
    ledger.outcomes.settle(2, [settled(one, Outcome.SUCCEEDED)], NOW)
    _, changed = change(ledger, lambda: ledger.outcomes.settle(2, [replace(two, outcome=last)], NOW))
    final = {"settled": NOW} if last.final else {}
    assert changed == {
        **rows(2, 1, outcome=str(last), **final),
        **ops(2, state="settled", settled=NOW, waiting_for="", owner=None),
    }


def test_nothing_that_is_settled_is_settled_again(ledger):
    one, two = ledger.operations.members(5)
    ledger.query("UPDATE members SET outcome = 'failed' WHERE op = 5 AND position = 1")
    ledger.query("UPDATE operations SET settled = ?, waiting_for = '' WHERE id = 5", (NOW,))
    others = [settled(one, Outcome.FAILED, error_code="NO"), settled(two, Outcome.SUCCEEDED, result_id="p")]
    assert change(ledger, lambda: ledger.outcomes.settle(5, others, NOW)) == (None, {})


@pytest.mark.parametrize(("first", "last"), [(NOW + 5, NOW + 2), (NOW + 2, NOW + 5), (None, NOW + 5), (NOW + 5, None)])
def test_nothing_is_settled_before_any_of_its_tries(ledger, first, last):
    ledger.query("UPDATE operations SET first_sent = ?, last_sent = ? WHERE id = 3", (first, last))
    ledger.outcomes.settle(3, [settled(one, Outcome.SUCCEEDED) for one in ledger.operations.members(3)], NOW)
    assert ledger.query("SELECT settled FROM operations WHERE id = 3")[0][0] == NOW + 5


def test_what_was_never_sent_is_settled_when_it_is(ledger):
    ledger.outcomes.settle(1, [settled(one, Outcome.SUCCEEDED) for one in ledger.operations.members(1)], NOW)
    assert ledger.query("SELECT settled FROM operations WHERE id = 1")[0][0] == NOW
    ledger.outcomes.settle(99, [], 0.5)  # of which there is none


@pytest.mark.parametrize(
    ("op", "before", "sighted", "after"),
    [
        (3, None, 7.0, {"state": "accepted", "waiting_for": "", "sighted": 7.0}),
        (3, None, None, {"state": "accepted", "waiting_for": ""}),
        (3, 5.0, 7.0, {"state": "accepted", "waiting_for": ""}),
        (4, None, 7.0, {"waiting_for": "", "sighted": 7.0}),
        (4, 5.0, 7.0, {}),
        (4, None, None, {}),
        (2, None, 7.0, {}),
        (5, None, 7.0, {}),
    ],
)
def test_an_act_that_took_effect_is_accepted_and_seen_first_when_it_was(ledger, op, before, sighted, after):
    ledger.query("UPDATE operations SET sighted = ?", (before,))
    _, changed = change(ledger, lambda: ledger.outcomes.accept(op, sighted=sighted))
    assert changed == ops(op, **after)


def test_collisions_reasons_and_blocks_are_noted_where_they_belong(ledger):
    outcomes = ledger.outcomes
    assert change(ledger, lambda: outcomes.note_collisions([3, 5]))[1] == {
        **ops(3, resent=COLLIDED),
        **ops(5, resent=COLLIDED),
    }
    assert change(ledger, lambda: outcomes.wait_for(3, "why"))[1] == ops(3, waiting_for="why")
    assert change(ledger, lambda: outcomes.wait_for(5, "why"))[1] == {}
    assert change(ledger, lambda: outcomes.wait_for(6, "why"))[1] == {}
    ledger.query("UPDATE members SET outcome = 'failed' WHERE op = 1 AND position = 1")
    assert change(ledger, lambda: outcomes.block(1, "why"))[1] == rows(1, 0, outcome="blocked", waiting_for="why")
    assert change(ledger, lambda: outcomes.block(1, "other"))[1] == rows(1, 0, waiting_for="other")
    for op in (2, 3, 4, 5, 6):
        assert change(ledger, lambda op=op: outcomes.block(op, "why"))[1] == {}


def test_rule_30_creates_whose_post_was_taken_back_are_blocked_and_other_acts_are_not(ledger):
    ledger.query("UPDATE members SET result_id = 'p' WHERE op IN (1, 4, 5) AND position = 0")
    ledger.query("UPDATE members SET outcome = 'succeeded', result_id = 'p' WHERE op = 8")
    ledger.query("UPDATE operations SET action = 'cancel' WHERE id = 8")
    _, changed = change(ledger, lambda: ledger.outcomes.withdrawn({"p": "cancelled", "q": "deleted"}, 7.0))
    assert changed == rows(
        5,
        0,
        outcome="blocked",
        settled=7.0,
        waiting_for="made as p, cancelled since; to make it again, set a column attempt to 2",
    )
    ledger.query("UPDATE operations SET action = 'create_one' WHERE id = 8")
    _, changed = change(ledger, lambda: ledger.outcomes.withdrawn({"p": "deleted"}, 8.0))
    assert changed == rows(
        8,
        0,
        1,
        outcome="blocked",
        settled=8.0,
        waiting_for="made as p, deleted since; to make it again, set a column attempt to 2",
    )


def test_creates_whose_posts_are_there_after_all_have_succeeded(ledger):
    ledger.query("UPDATE members SET outcome = 'blocked', result_id = 'p', waiting_for = 'deleted' WHERE op IN (5, 8)")
    ledger.query("UPDATE members SET result_id = 'q' WHERE op IN (5, 8) AND position = 1")
    ledger.query("UPDATE operations SET action = 'create_one' WHERE id = 5")
    ledger.query("UPDATE operations SET action = 'cancel' WHERE id = 8")
    _, changed = change(ledger, lambda: ledger.outcomes.restored(["p"]))
    assert changed == rows(5, 0, outcome="succeeded", waiting_for="")
    ledger.query("UPDATE operations SET action = 'create' WHERE id = 8")
    _, changed = change(ledger, lambda: ledger.outcomes.restored(["p", "r"]))
    assert changed == rows(8, 0, outcome="succeeded", waiting_for="")
    for outcome in ("failed", "unknown", "pending"):
        ledger.query("UPDATE members SET outcome = ? WHERE op = 8", (outcome,))
        assert change(ledger, lambda: ledger.outcomes.restored(["p"]))[1] == {}


@pytest.mark.parametrize(("code", "found"), [("NOT_AS_ASKED", True), ("CONFLICT", False), (None, False)])
@pytest.mark.parametrize(
    ("reply", "answer"), [(b'{"id": "p"}', {"id": "p"}), (b"<html>", None), (b"\xff", None), (None, None)]
)
def test_what_the_api_took_and_kept_in_its_own_way_counts_as_done_with_its_answer(ledger, code, found, reply, answer):
    subject = ledger.operations.get(5).subject
    ledger.query("UPDATE members SET outcome = 'failed', error_code = ? WHERE op = 5", (code,))
    ledger.query("UPDATE operations SET tries = 1, reply = ? WHERE id = 5", (reply,))
    done = ledger.outcomes.done_before(subject)
    assert [past.answer for past in done] == ([answer] * len(done) if found else [])
    assert bool(done) is found


@pytest.mark.parametrize(
    ("op", "outcome", "tries", "when", "found"),
    [
        (3, "unknown", 1, "2027", True),
        (3, "pending", 1, "2027", True),
        (3, "blocked", 1, "2027", True),
        (5, "succeeded", 1, "2027", True),
        (5, "failed", 1, "2027", False),
        (3, "unknown", 0, "2027", False),
        (1, "pending", 1, "2027", False),
        (3, "unknown", 1, None, True),
    ],
)
def test_what_was_done_to_a_subject_or_may_have_been_is_known(ledger, op, outcome, tries, when, found):
    subject = ledger.operations.get(op).subject
    ledger.query("UPDATE members SET outcome = ? WHERE op = ?", (outcome, op))
    ledger.query("UPDATE operations SET tries = ? WHERE id = ?", (tries, op))
    ledger.query("UPDATE members SET item = json_set(item, '$.body.scheduledFor', ?) WHERE op = ?", (when, op))
    done = ledger.outcomes.done_before(subject)
    assert [(past.item.body or {}).get("scheduledFor") for past in done] == ([when] * len(done) if found else [])
    assert bool(done) is found


# -- forming -------------------------------------------------------------------------------------------------------------


def test_an_operation_is_added_with_its_rows_and_names(ledger):
    operation = replace(batch("x", "y"), canary=True, batch=3)
    op, changed = change(ledger, lambda: ledger.forming.add(operation, baseline=None, shrunk=True))
    assert op == 9
    assert {place[:2] for place in changed if place[0] != "item"} == {("op", 9), ("row", 9)}
    assert {place: value for place, value in changed.items() if place[0] == "item"} == {
        ("item", item.identity, item.attempt): (9, position) for position, item in enumerate(operation.items)
    }
    stored = ledger.operations.get(9)
    assert (stored.key, stored.state, stored.canary, stored.batch, stored.shrunk) == (
        operation.key,
        "planned",
        True,
        3,
        True,
    )
    assert (stored.read, stored.baseline, stored.tries) == (NOW, None, 0)
    assert [member.item for member in ledger.operations.members(9)] == list(operation.items)
    assert not ledger.operations.get(1).shrunk


def test_a_name_stands_for_a_member(ledger):
    _, changed = change(ledger, lambda: ledger.forming.point("i", 4, 3, 1))
    assert changed == {("item", "i", 4): (3, 1)}
    assert change(ledger, lambda: ledger.forming.point("i", 4, 8, 0))[1] == {("item", "i", 4): (8, 0)}


def test_what_was_given_up_is_recorded_in_the_word_of_ledgers_that_there_are(ledger):
    _, changed = change(ledger, lambda: ledger.forming.withdraw(1, CANCELLED))
    assert changed.items() >= rows(1, waiting_for="cancelled").items()


@pytest.mark.parametrize(("options", "outcome"), [({}, "pending"), ({"blocked": True}, "blocked")])
def test_an_unsent_operation_is_taken_back_and_makes_room_for_its_key(ledger, options, outcome):
    ledger.query("UPDATE members SET outcome = 'unknown' WHERE op IN (1, 7)")
    key = ledger.operations.get(1).key
    said, changed = change(ledger, lambda: ledger.forming.withdraw(1, "why", **options))
    assert said is True
    assert changed == {**ops(1, state="withdrawn", key=f"{key}#1"), **rows(1, waiting_for="why", outcome=outcome)}
    for op in (1, 2, 3, 4, 5, 6):
        assert change(ledger, lambda op=op: ledger.forming.withdraw(op, "why")) == (False, {})


def test_what_was_blocked_before_it_was_ever_sent_makes_room_for_its_key(ledger):
    key = ledger.operations.get(1).key
    again = replace(batch("x", "y"), key=key)
    with pytest.raises(LedgerError, match=r"UNIQUE constraint failed: operations\.key"):
        ledger.forming.add(again, baseline=None)  # it may still be sent
    ledger.outcomes.settle(1, [blocked(one, "why") for one in ledger.operations.members(1)], NOW)
    _, changed = change(ledger, lambda: ledger.forming.add(again, baseline=None))
    before = {place: value for place, value in changed.items() if place[:2] == ("op", 1)}
    assert before == ops(1, key=f"{key}#1")


@pytest.mark.parametrize("done", ["UPDATE operations SET tries = 1", "UPDATE members SET result_id = 'p'"])
def test_what_was_sent_or_made_keeps_its_key(ledger, done):
    ledger.outcomes.settle(1, [blocked(one, "why") for one in ledger.operations.members(1)], NOW)
    ledger.query(done)
    with pytest.raises(LedgerError, match=r"UNIQUE constraint failed: operations\.key"):
        ledger.forming.add(replace(batch("x", "y"), key=ledger.operations.get(1).key), baseline=None)


def test_rows_leave_an_operation_and_the_last_one_ends_it(ledger):
    key = ledger.operations.get(2).key
    _, changed = change(ledger, lambda: ledger.forming.detach(2, [1]))
    assert set(changed) == {place for place in changed if place[:3] == ("row", 2, 1)}
    assert set(changed.values()) == {None}
    assert len(ledger.operations.members(2)) == 1
    _, changed = change(ledger, lambda: ledger.forming.detach(2, [0]))
    assert {place: value for place, value in changed.items() if place[0] == "op"} == ops(
        2, state="withdrawn", key=f"{key}#2", owner=None
    )
    assert ledger.operations.members(2) == []
    assert len(ledger.operations.members(3)) == 2


def test_what_was_read_again_is_noted_of_planned_operations_alone(ledger):
    forming = ledger.forming
    _, changed = change(ledger, lambda: forming.renew(1, baseline={"y": 1}))
    assert changed == ops(1, baseline='{"y":1}', read=NOW)
    _, changed = change(ledger, lambda: forming.renew(7, baseline=None, path="/v1/x"))
    assert changed == ops(7, path="/v1/x", baseline=None, read=NOW)
    for op in (2, 3, 4, 5, 6):
        assert change(ledger, lambda op=op: forming.renew(op, baseline=None, path="/v1/x"))[1] == {}


def test_what_is_proved_absent_is_planned_again(ledger):
    ledger.query("UPDATE members SET outcome = 'succeeded' WHERE position = 1 AND op IN (3, 8)")
    said, changed = change(ledger, lambda: ledger.forming.revive(3, 1, read=4.5))
    assert said is True
    assert changed == {
        **ops(3, state="planned", first_sent=None, credential=None, waiting_for="", read=4.5),
        **rows(3, 0, outcome="pending", waiting_for=""),
    }
    assert change(ledger, lambda: ledger.forming.revive(8, 2, read=4.5)) == (False, {})
    for op in (1, 2, 4, 5, 6):
        assert change(ledger, lambda op=op: ledger.forming.revive(op, ledger.operations.get(op).tries, read=4.5)) == (
            False,
            {},
        )
