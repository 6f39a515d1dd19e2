"""What the ledger can tell of itself: the trail and the runs."""

from dataclasses import replace
from datetime import UTC, datetime

from tests.acts.support import item
from tests.ledger.filled import NOW, START, add, row, send, start

from voxops.acts.act import Subject, blocked, settled
from voxops.api.reasons import Reason
from voxops.ledger import audit
from voxops.model import Outcome


def fill(ledger):
    """A row of each outcome, of one run."""
    rows = add(ledger, *(row(name) for name in ("done", "failed", "unknown", "blocked", "unsent")))
    start(ledger, "run", rows)
    call = send(ledger, rows[:3])
    why = Reason("answered", status=500, said="")
    ledger.calls.end(replace(call, state="unknown", ended=NOW, http_status=500, reply=b"{}", reason=why))
    ledger.requests.settle([settled(rows[0], Outcome.SUCCEEDED, result_id="p")], NOW)
    ledger.requests.settle([settled(rows[1], Outcome.FAILED, error_code="NO", error_message="=cmd|' /C calc'!A0")], NOW)
    ledger.requests.say([blocked(rows[3], Reason("time_passed"))])


def test_the_trail_tells_every_row(ledger):
    fill(ledger)
    trail = audit.history(ledger)
    assert trail["outcome"].to_list() == ["succeeded", "failed", "unknown", "blocked", "pending"]
    assert trail["state"].to_list() == ["settled", "settled", "unknown", "unsent", "unsent"]
    assert trail["tries"].to_list() == [1, 1, 1, 0, 0]
    assert trail["waiting_for"].dropna().to_list() == ["the API answered 500", "its time has passed", "not sent yet"]
    assert str(trail["first_sent_at"].dtype) == "datetime64[us, UTC]"


def test_the_trail_does_not_call_sent_what_never_was(ledger):
    (one,) = add(ledger, item("retry", Subject("post", "p"), "/v1/posts/p/retry"))
    ledger.calls.unsend(send(ledger, [one]))
    assert audit.history(ledger)[["first_sent_at", "last_sent_at", "idempotency_key"]].isna().all(axis=None)
    assert audit.acted_on(ledger, datetime.fromtimestamp(START, UTC)) == set()
    send(ledger, [one])
    assert audit.acted_on(ledger, datetime.fromtimestamp(START, UTC)) == {"p"}


def test_rule_14_the_five_outcomes_sum_to_the_rows_of_a_run(ledger):
    fill(ledger)
    (run,) = audit.runs(ledger).to_dict("records")
    counts = [run[name] for name in ("succeeded", "failed", "pending", "unknown", "blocked", "withdrawn")]
    assert counts == [1, 1, 1, 1, 1, 0]
    waits = {str(reason): count for reason, count in audit.tally(ledger, "run").waits}
    assert waits == {"the API answered 500": 1, "its time has passed": 1, "not sent yet": 1}


def test_an_empty_ledger_has_the_columns_of_a_full_one(ledger):
    empty = [table(ledger).dtypes.to_dict() for table in (audit.history, audit.runs)]
    fill(ledger)
    assert [table(ledger).dtypes.to_dict() for table in (audit.history, audit.runs)] == empty
