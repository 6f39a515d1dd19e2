"""Claims: what each writes, to which second it is refused, and whose answers are recorded; no other cell changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.ledger.filled import NOW, START, change, claim, granted, ops, rows

from voxops.acts.operation import Subject
from voxops.api.timing import CLEARED_FOR, CLOCKS_DIFFER, CREATES_CLEARED_FOR
from voxops.ledger import Claim, Ledger, Refusal, Stored
from voxops.ledger.claims import TOO_OLD

# -- claims --------------------------------------------------------------------------------------------------------------


def test_a_claim_writes_the_first_try_and_is_what_is_stored(ledger):
    ledger.query("UPDATE members SET outcome = 'blocked' WHERE position = 1 AND op IN (1, 7)")
    held, changed = change(ledger, lambda: granted(ledger, 1))
    assert changed == {
        **ops(
            1, state="sent", tries=1, first_sent=NOW, last_sent=NOW, ended=None, answered=0, owner="me",
            lease_until=NOW + ledger.lease, credential="c", waiting_for="", sighted=None,
        ),
        **rows(1, 1, outcome="pending", waiting_for=""),
    }  # fmt: skip
    assert held.operation == ledger.operations.get(1)
    assert (held.owner, held.first, held.until) == ("me", True, NOW + ledger.lease)
    assert ledger.meta("latest_server") == repr(NOW)


def test_a_claim_of_a_later_try_keeps_the_first_and_says_that_it_was_sent_again(ledger):
    held, changed = change(ledger, lambda: granted(ledger, 3))
    assert changed == ops(
        3, state="sent", tries=2, last_sent=NOW, ended=None, answered=0, owner="me", lease_until=NOW + ledger.lease,
        waiting_for="", sighted=None, resent=1,
    )  # fmt: skip
    assert held.operation == ledger.operations.get(3)
    assert not held.first


def test_what_was_sent_again_once_stays_so_when_it_was_proved_absent_and_sent_anew(ledger):
    ledger.query("UPDATE operations SET resent = 1 WHERE id = 1")
    held = granted(ledger, 1)
    assert held.operation.resent
    assert ledger.operations.get(1).resent


def test_a_try_that_is_taken_back_never_was(ledger):
    first, later = granted(ledger, 1), granted(ledger, 3)
    _, changed = change(ledger, lambda: ledger.claims.take_back(first))
    back = {"state": "planned", "tries": 0, "first_sent": None, "credential": None, "owner": None, "lease_until": None}
    assert changed == ops(1, **back)
    _, changed = change(ledger, lambda: ledger.claims.take_back(later))
    assert changed == ops(3, state="unknown", tries=1, owner=None, lease_until=None)
    for strange in (replace(first, owner="you"), first):
        assert change(ledger, lambda strange=strange: ledger.claims.take_back(strange)) == (None, {})
    ledger.query("UPDATE operations SET subject = 'row:x' WHERE id = 1")
    _, changed = change(ledger, lambda: ledger.claims.take_back(granted(ledger, 1)))
    assert changed == {}
    again = granted(ledger, 1)
    other = replace(again, operation=replace(again.operation, tries=9))
    assert change(ledger, lambda: ledger.claims.take_back(other)) == (None, {})


@pytest.mark.parametrize(
    ("state", "outcomes", "after"),
    [
        ("unknown", ("pending", "succeeded"), ("unknown", "succeeded")),
        ("unknown", ("unknown", "blocked"), ("unknown", "blocked")),
        ("accepted", ("unknown", "failed"), ("pending", "failed")),
        ("accepted", ("pending", "unknown"), ("pending", "pending")),
    ],
)
def test_the_end_of_a_try_is_recorded_with_its_open_rows(ledger, state, outcomes, after):
    held = granted(ledger, 1)
    for position, outcome in enumerate(outcomes):
        ledger.query("UPDATE members SET outcome = ? WHERE op IN (1, 7) AND position = ?", (outcome, position))
    said, changed = change(
        ledger,
        lambda: ledger.claims.record(
            held, state=state, status=202, reply=b"said", server_now=NOW + 1, answered=True, waiting_for="why"
        ),
    )
    assert said is True
    moved = {
        ("row", 1, position, "outcome"): new
        for position, (old, new) in enumerate(zip(outcomes, after, strict=True))
        if old != new
    }
    assert changed == {
        **ops(
            1, state=state, http_status=202, reply=b"said", answered=1, ended=NOW + 1, waiting_for="why", owner=None,
            lease_until=None,
        ),
        **moved,
    }  # fmt: skip


def test_the_end_of_a_try_is_the_api_s_own_unless_it_is_said_not_to_be(ledger):
    ledger.claims.record(granted(ledger, 1), state="unknown", status=500, reply=b"", server_now=NOW)
    assert ledger.operations.get(1).answered
    ledger.claims.record(granted(ledger, 3), state="unknown", status=500, reply=b"", server_now=NOW, answered=False)
    assert not ledger.operations.get(3).answered


def test_a_stranger_s_answer_is_not_recorded(ledger):
    held = granted(ledger, 1)
    for strange in (replace(held, owner="you"), replace(held, operation=replace(held.operation, tries=2))):
        assert change(
            ledger,
            lambda strange=strange: ledger.claims.record(
                strange, state="accepted", status=1, reply=b"", server_now=NOW
            ),
        ) == (False, {})
    ledger.claims.take_back(held)
    said = change(ledger, lambda: ledger.claims.record(held, state="accepted", status=1, reply=b"", server_now=NOW))
    assert said == (False, {}), "it is no longer sent"


@pytest.mark.parametrize(
    ("until", "over"),
    [(-0.001, True), (0.0, True), (0.001, False), (90 + CLOCKS_DIFFER, False), (90 + CLOCKS_DIFFER + 0.001, True)],
)
def test_a_lease_is_over_at_its_end_and_where_none_could_end_so_late(ledger, until, over):
    assert ledger.lease == 90
    ledger.query("UPDATE operations SET lease_until = ? WHERE id = 2", (NOW + until,))
    ledger.query("UPDATE members SET outcome = 'blocked' WHERE position = 1 AND op IN (2, 7)")
    said, changed = change(ledger, ledger.claims.expire)
    assert said == over
    assert changed == (
        {**ops(2, state="unknown", owner=None, lease_until=None), **rows(2, 0, outcome="unknown")} if over else {}
    )


def test_all_leases_that_are_over_end_together(ledger):
    ledger.query("UPDATE operations SET lease_until = ? WHERE id = 2", (NOW,))
    ledger.query("UPDATE operations SET state = 'sent', owner = 'you', lease_until = ? WHERE id = 7", (NOW - 1,))
    assert ledger.claims.expire() == 2
    assert (ledger.operations.get(2).state, ledger.operations.get(7).state) == ("unknown", "unknown")


def test_a_claim_holds_from_its_beginning_to_its_end_and_not_after(ledger, clock):
    held = granted(ledger, 1)
    for moment, holds in (
        (NOW - CLOCKS_DIFFER - 0.001, False), (NOW - CLOCKS_DIFFER, True), (NOW, True), (held.until - 0.001, True),
        (held.until, False), (held.until + 1, False),
    ):  # fmt: skip
        clock.now = moment
        assert ledger.claims.holds(held) is holds, moment - NOW


def about_post(ledger: Ledger, op: int, kind: str = "post") -> Stored:
    """An operation on another kind of thing, which is only looked at for how long its reading lasts."""
    stored = replace(ledger.operations.get(op), subject=Subject(kind, "x"))
    ledger.query("UPDATE operations SET subject = ? WHERE id = ?", (str(stored.subject), op))
    return stored


@pytest.mark.parametrize(
    ("kind", "lasts"), [("batch", CREATES_CLEARED_FOR), ("row", CREATES_CLEARED_FOR), ("post", CLEARED_FOR)]
)
def test_a_reading_clears_for_a_while_to_the_second(ledger, clock, kind, lasts):
    stored = about_post(ledger, 1, kind)
    too_old = Refusal(TOO_OLD, stale=True)

    def refused(read: float) -> bool:
        held = ledger.claims.claim(
            ledger.claims.clear(stored, read=read), owner="me", credential="c", server_now=NOW, deadline=1.0
        )
        if isinstance(held, Claim):
            ledger.claims.take_back(held)
        return held == too_old

    assert [refused(NOW - lasts), refused(NOW - lasts - 0.001), refused(NOW), refused(NOW + 0.001)] == [
        False, True, False, True,
    ]  # fmt: skip


def test_a_clearance_is_of_what_was_read_before_the_first_try_unless_it_is_said_otherwise(ledger):
    stored = ledger.operations.get(1)
    assert ledger.claims.clear(stored).read == stored.read == START
    assert ledger.claims.clear(stored, read=NOW).read == NOW
    assert ledger.claims.clear(stored, read=0.0).read == 0.0


@pytest.mark.parametrize(("state", "busy"), [("planned", False), ("sent", True), ("accepted", True), ("unknown", True), ("settled", False), ("withdrawn", False)])  # fmt: skip
def test_rule_02_a_subject_is_busy_while_another_request_on_it_is_under_way(ledger, state, busy):
    subject = ledger.operations.get(1).subject
    ledger.query("UPDATE operations SET subject = ?, state = ? WHERE id = 4", (str(subject), state))
    held = claim(ledger, 1)
    assert held == Refusal("another request on this batch is open") if busy else isinstance(held, Claim)


def test_rule_23_a_second_try_is_made_with_the_first_one_s_key(ledger):
    said = "it was first sent with another API key; go on with that one, or look at the dashboard"
    assert claim(ledger, 3, credential="d") == Refusal(said)
    assert isinstance(claim(ledger, 1, credential="d"), Claim)


def test_rule_21_a_clock_that_is_behind_what_was_seen_is_refused_to_the_second(ledger):
    ledger.note_time(NOW)
    assert claim(ledger, 3, server_now=NOW - CLOCKS_DIFFER - 0.001) == Refusal("the clock is behind the ledger")
    assert isinstance(claim(ledger, 3, server_now=NOW - CLOCKS_DIFFER), Claim)


def test_rule_21_a_ledger_that_has_seen_no_time_refuses_none(ledger):
    ledger.query("DELETE FROM meta WHERE name = 'latest_server'")
    assert isinstance(claim(ledger, 3), Claim)


def test_rule_12_a_key_is_trusted_up_to_its_very_end(ledger):
    late = Refusal("the server may have forgotten its key; look at the dashboard whether it took effect")
    assert claim(ledger, 3, server_now=START + 60.001, deadline=60.0) == late
    assert isinstance(claim(ledger, 3, server_now=START + 60.0, deadline=60.0), Claim)


def test_what_somebody_has_changed_by_hand_is_never_sent(ledger):
    ledger.query("UPDATE operations SET key = 'mine' WHERE id = 1")
    held = claim(ledger, 1)
    assert isinstance(held, Refusal)
    assert held.final
    assert (
        held.why == "somebody has changed this ledger by hand: its key is not that of its parts. Nothing of it is sent"
    )
