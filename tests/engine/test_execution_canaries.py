"""Canaries: a cause waits for its own, goes on, or is held (rule 7)."""

from __future__ import annotations

import pytest
from tests.engine.office import Office, offer, posts, queued, retries
from tests.engine.shown import retry, run_now

from voxops.api.reasons import Reason
from voxops.api.timing import WATCH_LOOKS
from voxops.engine.execution import Execution
from voxops.engine.sharing import WAITS_FOR_CANARIES, gate
from voxops.ledger import Clearance


def canaries(office: Office, count: int = 4, first: int = 2) -> Execution:
    shown = posts(count)
    office.server.states = {each.post_id: each for each in shown}
    return office.begin(retry(*shown).canary(first), *shown)


@pytest.mark.parametrize(
    ("outcomes", "why"),
    [
        (("pending", "succeeded"), WAITS_FOR_CANARIES),
        (("unknown", "succeeded"), WAITS_FOR_CANARIES),
        (("succeeded", "succeeded"), None),
        (("succeeded", "failed"), None),
        (("failed", "failed"), Reason("canaries_failed", succeeded=0, canaries=2)),
        (("blocked", "succeeded"), None),
    ],
)
def test_rule_07_a_cause_waits_goes_or_is_held_by_what_its_canaries_say(office, outcomes, why):
    execution = canaries(office)
    ahead = [op for op in office.ops if office.get(op).canary]
    behind = [op for op in office.ops if not office.get(op).canary]
    assert len(ahead) == len(behind) == 2
    for op, outcome in zip(ahead, outcomes, strict=True):
        office.ledger.query("UPDATE members SET outcome = ? WHERE op = ?", (outcome, op))
        if outcome in {"succeeded", "failed"}:
            office.ledger.query("UPDATE operations SET state = 'settled' WHERE id = ?", (op,))
    ahead = [op for op in ahead if office.get(op).state == "planned"]
    found = gate(execution._ledger, execution.current.run)
    assert [found(office.get(op)) for op in behind] == [why, why]
    left = offer(execution)
    assert set(ahead) <= set(queued(execution))
    assert set(behind) <= set(queued(execution)) if not why else not set(behind) & set(queued(execution))
    reasons = execution.current.reasons
    assert reasons.waiting == (dict.fromkeys(behind, why) if why else {})
    assert reasons.blocked == (set(behind) if why and why is not WAITS_FOR_CANARIES else set())
    assert left == len(ahead) + (0 if why else 2)


def test_rule_07_a_cause_waits_for_its_canaries_however_long(office):
    execution = canaries(office)
    execution.current.tally.looks = WATCH_LOOKS + 1
    offer(execution)
    assert queued(execution) == [op for op in office.ops if office.get(op).canary]


def test_rule_07_canaries_that_were_not_sent_hold_their_cause(office):
    execution = canaries(office, 3, 1)
    (ahead,) = (op for op in office.ops if office.get(op).canary)
    behind = [op for op in office.ops if op != ahead]
    office.ledger.query("UPDATE run_rows SET held = 'no' WHERE canary IS NOT NULL")
    said = gate(execution._ledger, execution.current.run)
    assert said(office.get(behind[0])) == Reason("canaries_failed", succeeded=0, canaries=1)


def test_rule_07_a_canary_that_was_held_does_not_count_among_those_that_were_sent(office):
    execution = canaries(office, 6, 5)
    ahead = [op for op in office.ops if office.get(op).canary]
    (behind,) = (op for op in office.ops if not office.get(op).canary)
    for op, outcome in zip(ahead, ("succeeded", "failed", "failed", "failed", "succeeded"), strict=True):
        office.ledger.query("UPDATE members SET outcome = ? WHERE op = ?", (outcome, op))
    said = gate(execution._ledger, execution.current.run)
    assert said(office.get(behind)) == Reason("canaries_failed", succeeded=2, canaries=5)
    office.ledger.query(
        "UPDATE run_rows SET held = 'no' WHERE row IN (SELECT row FROM run_rows WHERE canary IS NOT NULL LIMIT 1 OFFSET 1)"
    )
    assert gate(execution._ledger, execution.current.run)(office.get(behind)) is None, "two of four that were sent"


def test_rule_07_a_run_without_canaries_has_no_gate(office):
    execution = retries(office)
    assert gate(execution._ledger, execution.current.run)(office.get(office.ops[0])) is None


def test_rule_07_what_may_be_sent_again_but_waits_for_canaries_says_so(office):
    execution = canaries(office)
    behind = next(op for op in office.ops if not office.get(op).canary)
    office.doubt(behind, answered=True, status=500)
    clearance = Clearance(office.get(behind), 0.0)
    run_now(execution._resend(execution.current, [clearance]))
    assert queued(execution) == []
    assert office.get(behind).waiting_for == str(WAITS_FOR_CANARIES)
