"""Requests and calls: their states, leases and answers; each write changes the cells that it is about, and no other."""

from dataclasses import replace

import pytest
from tests.ledger.filled import NOW, add, change, of, row, send

from voxops.acts.act import blocked, settled
from voxops.api.reasons import Reason
from voxops.errors import LedgerError
from voxops.ledger.ledger import Ledger
from voxops.model import Outcome

WHY = Reason("paused")


@pytest.fixture
def one(ledger):
    """An unsent row."""
    return add(ledger, row("one"))[0]


@pytest.fixture
def call(ledger, one):
    """Its call, which is in flight."""
    return send(ledger, [one])


def now(ledger, one):
    return ledger.requests.get([one.id])[one.id]


def ended(ledger, call, state="unknown", **options):
    end = {"ended": NOW, "http_status": 500, "reply": b"{}", **options}
    return ledger.calls.end(replace(call, state=state, **end))


# -- the line of a call ------------------------------------------------------------------------------------------------


def test_a_later_try_forgets_what_was_seen_since_the_one_before(ledger, call):
    ended(ledger, call, answered=True, reason=WHY)
    call = ledger.calls.get(call.id)
    ledger.calls.note(replace(call, state="accepted", sighted=NOW, reason=WHY))
    noted = ledger.calls.get(call.id)
    assert (noted.state, noted.sighted, noted.reason) == ("accepted", NOW, WHY)
    changed = change(ledger, lambda: ledger.calls.send_again(noted, now=NOW))
    assert changed == of(
        "calls", call.id, state="sent", tries=2, last_sent=NOW, ended=None, answered=0, resent=1,
        sighted=None, reason="",
    )  # fmt: skip


def test_what_a_reading_has_shown_is_noted_of_the_try_that_it_was_about(ledger, call):
    said = replace(call, state="accepted", sighted=NOW)
    assert change(ledger, lambda: ledger.calls.note(said)) == {}, "in flight, it has not ended"
    ended(ledger, call)
    ledger.calls.send_again(ledger.calls.get(call.id), now=NOW)
    ended(ledger, ledger.calls.get(call.id))
    assert change(ledger, lambda: ledger.calls.note(said)) == {}, "another try was made since"


def test_a_first_try_that_never_was_leaves_nothing(ledger, one, call):
    changed = change(ledger, lambda: ledger.calls.unsend(call))
    assert {place[:2] for place in changed} == {("calls", call.id), ("call_rows", call.id), ("requests", one.id)}
    assert ledger.query("SELECT * FROM calls") == ledger.query("SELECT * FROM call_rows") == []
    again = send(ledger, [one])
    assert change(ledger, lambda: ledger.calls.unsend(replace(again, tries=2))) == {}
    ledger.query("UPDATE calls SET state = 'unknown'")
    ledger.calls.unsend(again)
    assert ledger.calls.open() == [], "another kernel was in doubt by then, and still nothing had left"
    accepted = send(ledger, add(ledger, row("two")))
    ended(ledger, accepted, "accepted")
    assert change(ledger, lambda: ledger.calls.unsend(accepted)) == {}, "it has ended"


def test_a_later_try_that_never_was_leaves_the_call_as_unknown(ledger, call):
    ended(ledger, call)
    again = ledger.calls.send_again(ledger.calls.get(call.id), now=NOW)
    changed = change(ledger, lambda: ledger.calls.unsend(again))
    assert changed == of("calls", call.id, state="unknown", tries=1)


def test_a_call_whose_rows_have_all_left_is_closed_when_it_ends_and_not_before(ledger, one, call):
    ledger.requests.settle([settled(one, Outcome.SUCCEEDED, result_id="p")], NOW)
    ledger.calls.close(call.id)
    assert ledger.calls.get(call.id).state == "sent", "a sender is at work on it"
    assert ended(ledger, call)
    assert ledger.calls.get(call.id).state == "closed"


def test_an_answer_belongs_to_its_own_try(ledger, one, call):
    other = Ledger(ledger.path)
    assert [each.state for each in other.calls.open()] == ["unknown"], "nobody waits for a kernel that may be dead"
    assert [each.state for each in ledger.calls.open()] == ["sent"]
    other.close()
    ended(ledger, call)
    second = ledger.calls.send_again(ledger.calls.get(call.id), now=NOW)
    assert change(ledger, lambda: ended(ledger, call, "accepted")) == {}
    assert not ended(ledger, call, "accepted")
    assert change(ledger, lambda: ledger.calls.unsend(call)) == {}, "another try has followed"
    said = {"http_status": 429, "reply": b"said", "answered": True, "refused": True, "reason": WHY}
    changed = change(ledger, lambda: ended(ledger, second, "limited", **said))
    assert changed == of(
        "calls", call.id, state="limited", http_status=429, reply=b"said", answered=1, refused=1, ended=NOW, reason=WHY.stored(),
    )  # fmt: skip
    assert now(ledger, one).outcome is Outcome.PENDING


# -- outcomes ----------------------------------------------------------------------------------------------------------


def test_rule_14_what_is_settled_is_final(ledger, one):
    (two,) = add(ledger, row("two"))
    call = send(ledger, [one, two])
    failed = settled(one, Outcome.FAILED, error_code="NO", error_message="why", seen={"is": 1})
    changed = change(ledger, lambda: ledger.requests.settle([failed], NOW))
    assert changed == of(
        "requests",
        one.id,
        outcome="failed",
        error_code="NO",
        error_message="why",
        seen='{"is":1}',
        settled=NOW,
        call=None,
    )
    works = (
        lambda: ledger.requests.settle([settled(one, Outcome.SUCCEEDED, result_id="late")], NOW),
        lambda: ledger.requests.say([blocked(one, WHY)]),
        lambda: ledger.requests.release([one.id]), lambda: ledger.requests.replace(one.id, row("else"), asked=3, alike=None),
        lambda: ledger.requests.confirm([("p", one.id)]), lambda: ledger.requests.not_there(one.id, WHY),
    )  # fmt: skip
    for work in works:
        assert change(ledger, work) == {}
    assert now(ledger, two).call == call.id


def test_what_is_proved_to_have_had_no_effect_is_unsent_again_and_never_left(ledger, one):
    (two,) = add(ledger, row("two"))
    call = send(ledger, [one, two])
    ended(ledger, call)
    assert [each.id for each in ledger.requests.past(one.item.subject)] == [one.id]
    changed = change(ledger, lambda: ledger.requests.release([one.id], alone=True, page=413))
    assert changed == of("requests", one.id, call=None, alone=1, page=413) | {("call_rows", call.id, 0, "void"): 1}
    assert ledger.requests.past(one.item.subject) == []
    ended(ledger, send(ledger, [one]))
    ledger.requests.release([one.id])
    assert (now(ledger, one).alone, now(ledger, one).page) == (True, 413), "for ever"
    ledger.requests.detach([two.id])
    assert [each.id for each in ledger.requests.past(two.item.subject)] == [two.id], "what left may have had an effect"


# -- finding requests --------------------------------------------------------------------------------------------------


def test_rule_05_a_row_has_one_request_for_each_attempt_and_the_latest_stands_for_it(ledger, one):
    (other,) = add(ledger, row("two"))
    with pytest.raises(LedgerError, match="UNIQUE"):
        add(ledger, row("one", content="mended"))
    (second,) = add(ledger, replace(row("one"), attempt=2))
    assert ledger.requests.latest([one.item.identity, "none"]) == {one.item.identity: second}
    assert other.item.mark != one.item.mark != second.item.mark


def test_what_an_unsent_request_asks_follows_the_newest_plan_until_it_is_sent(ledger, one):
    newer = row("one", content="mended")
    changed = change(ledger, lambda: ledger.requests.replace(one.id, newer, asked=2, alike="other"))
    assert {place[2] for place in changed} == {"asked", "alike", "item"}
    assert now(ledger, one).item == newer
    ended(ledger, send(ledger, [now(ledger, one)]))
    assert change(ledger, lambda: ledger.requests.replace(one.id, row("one"), asked=1, alike=None)) == {}
