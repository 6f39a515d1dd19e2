"""Each row of `decide`, `fit`, `reduce` and `place` by examples, and the laws that hold whatever the facts."""

from dataclasses import fields, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests import rules_doc
from tests.engine.tables import ASKED, DONE, FAILED, NOW, TABLES, a_call, row_of

from voxops.acts.act import blocked
from voxops.api.error_bodies import says_absent
from voxops.api.limits import PROOF_AFTER, is_ambiguous
from voxops.api.reasons import Reason
from voxops.engine import answers, bind, rules
from voxops.engine.answers import Event
from voxops.engine.rules import Block, CallFacts, Facts, Read, Release, Send, Settle, Wait, decide, fit, resend_after
from voxops.errors import NotFoundError
from voxops.model import Outcome

# -- examples ----------------------------------------------------------------------------------------------------------


EVERY = [
    pytest.param(table, example, id=f"{table}-{number}-{example.row or 'nothing to say'}")
    for table, (_, examples, *_) in TABLES.items()
    for number, example in enumerate(examples)
]


@pytest.mark.parametrize(("table", "example"), EVERY)
def test_the_row_that_is_named_speaks_and_says_so(table, example):
    row, says = row_of(table, example), TABLES[table][-1]
    assert (row and row.name, says(example)) == (example.row, example.says)


HOMES = {"decide": (rules, "RULES"), "fit": (rules, "FITS"), "reduce": (answers, "CASES"), "place": (bind, "CASES")}
ROWS = [pytest.param(table, row, id=f"{table}-{row.name}") for table, (rows, *_) in TABLES.items() for row in rows]


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_without_a_row_one_of_its_examples_is_decided_otherwise(table, row, monkeypatch):
    rows, examples, _, says = TABLES[table]
    monkeypatch.setattr(*HOMES[table], tuple(other for other in rows if other is not row))
    monkeypatch.setattr(rules, "_PLACES", rules._by_place(rules.RULES))

    def decided(example):
        try:
            return says(example)
        except StopIteration:  # no other row holds
            return None

    assert [one for one in examples if row_of(table, one) is row and decided(one) != one.says] != []


def test_the_document_says_what_the_tables_say():
    said = rules_doc.DOCUMENT.read_text("utf-8")
    assert said == rules_doc.document(said), "run python -m tests.rules_doc"


# -- laws --------------------------------------------------------------------------------------------------------------

SECONDS = st.sampled_from(
    [0.0, 9.0, 10.0, 11.0, 15.0, 16.0, 60.0, 61.0, 74.0, 75.0, 120.0, 121.0, 135.0, 299.0, 300.0, 601.0, 1801.0]
)
AGO = st.none() | SECONDS.map(lambda seconds: NOW - seconds)
BOOL = st.booleans()
ABOUT = st.sampled_from(["create", "post", "delivery"])


def maybe(*values):
    return st.sampled_from([None, *values])


def flags(kind):
    """A strategy for each field of a class that is true or false."""
    return {field.name: BOOL for field in fields(kind) if field.type == "bool"}


REASONS = (Reason("publishing", status="pending"), Reason("post_waits", status="draft"), Reason("rate_limited"))
CALLS = st.builds(
    lambda state, ago, answered, reason: a_call(state, ago=ago, answered=answered, reason=reason),
    st.sampled_from(["sent", "accepted", "unknown", "limited"]), SECONDS, BOOL, maybe(*REASONS),
)  # fmt: skip
FOUND = (DONE, FAILED, blocked(ASKED, Reason("post_gone")), *(replace(ASKED, reason=why) for why in REASONS))
SAID = maybe(DONE, Reason("other_content", post="p"))
DOUBTS = maybe(Reason("unmarked_post"))
UNSENT = {
    **flags(Facts), "now": st.just(NOW), "stopped": maybe(Reason("paused")), "busy": st.none() | CALLS, "read": AGO, "listed": AGO,
    "forbidden": maybe(Reason("post_gone")), "done": SAID, "judged": SAID,
    "alike": maybe(Reason("looks_like", post="p"), Reason("alike_in_flight", row="r")), "hidden": maybe(Reason("lists_hide_metadata")),
    "first_tells": maybe(NOW - 1, NOW + 1), "kept": maybe(True, False), "unusable": maybe(Reason("account_unknown", said="s")),
}  # fmt: skip
OPEN = {"call": CALLS, "looked": st.none() | SECONDS, "became": maybe(*FOUND), "doubtful": DOUBTS}


@given(ABOUT, st.builds(Facts, **OPEN, **UNSENT))
def test_of_what_is_open_evidence_comes_first_and_nothing_is_sent_again_before_it_is_due(about, known):
    """A `Wait` that does not hold ends the polling of its call; what may be sent again is read for all the same (rule 9)."""
    said, found, call, looked = decide(ASKED, about, known), known.became, known.call, known.looked or 0.0
    proved = found is not None and (found.outcome.final or found.outcome is Outcome.BLOCKED)
    if found is not None and found.outcome.final:
        assert said == Settle(found)
    assert isinstance(said, Settle | Block) == proved
    assert isinstance(said, Release) == (known.absent and not proved)
    assert not isinstance(said, Read)
    in_doubt = call.state in {"unknown", "limited"}
    if isinstance(said, Wait) and in_doubt and found is None:
        assert said.holds == (looked < PROOF_AFTER or known.resends) == (said.until is not None)
    if isinstance(said, Send):
        assert known.resends
        assert in_doubt
        assert looked >= resend_after(call)


@given(ABOUT, st.builds(Facts, **UNSENT))
def test_only_what_every_row_lets_go_is_sent(about, known):
    creates = about == "create"
    known = replace(known, makes=known.makes or creates)

    def is_fresh(read, fresh):
        return read is not None and NOW - read <= fresh[known.taking]

    clear = (
        (not known.create_in_doubt or about != "post")
        and known.stopped is known.busy is known.done is known.forbidden is None
        and (creates or is_fresh(known.read, (60, 120)))
        and (not known.makes or is_fresh(known.listed, (10, 15)))
        and known.alike is None
        and not known.passed
        and ((known.judged is known.unusable is known.hidden is None and known.first_tells is None) or not creates)
        and (known.kept is True or about != "post")
    )
    assert isinstance(decide(ASKED, about, known), Send) == clear


CALL_FACTS = st.builds(
    CallFacts, kind=st.sampled_from(["create", "retry", "other", "resend"]), covers=maybe(Reason("other_target_open")), doubtful=DOUBTS,
    tries=st.integers(0, 9), **flags(CallFacts),
)  # fmt: skip


@given(CALL_FACTS)
def test_a_call_is_never_sent_again_of_which_a_row_may_not_be(known):
    again = replace(known, kind="resend")
    forbids = any(getattr(again, name) for name in (*flags(CallFacts), "doubtful"))
    assert isinstance(fit(again), Send) == (not forbids and again.tries < rules.RESENDS)


def api(code, message="m", **details):
    """An error in the API's own words."""
    return {"error": {"code": code, "message": message, **({"details": details} if details else {})}}


CODES = st.sampled_from(
    ["", "NO", "RATE_LIMITED", "IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_IN_PROGRESS", "IDEMPOTENCY_INVALID_KEY"]
)
ANSWERS = st.sampled_from([None, {}, [], "text"]) | CODES.map(api)
STATUSES = st.sampled_from(
    [100, 200, 201, 202, 207, 302, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 431, 500, 502, 504, 599]
)
EVENTS = st.builds(
    Event, st.none() | STATUSES | st.integers(100, 599), ANSWERS, **flags(Event) | {"sent": st.sampled_from([True, True, True, False])},
)  # fmt: skip


# A fault of the server, whatever its body says.
@example(Event(500, api("IDEMPOTENCY_CONFLICT"), creates=True, page=True))
@given(EVENTS)
def test_rule_12_only_a_2xx_that_decodes_counts_and_only_the_api_s_own_word_on_the_first_try_undoes(event):
    state, status = answers.reduce(event).state, event.status
    if state in {"unsent", "refused"} and event.sent:
        assert event.first
        assert 400 <= status < 500
        assert not is_ambiguous(status)
        assert event.data or event.page or event.asks_to_wait or status in answers.TOO_LARGE
        assert not (event.batch and status in {402, 403, 429})
        assert event.code not in answers.ABOUT_THE_KEY
    if state in {"accepted", "answered"}:
        assert 200 <= status < 300
        assert event.decodes
        assert not (event.creates and event.status == 202)


# -- what else an answer says ------------------------------------------------------------------------------------------


def test_what_an_answer_says_of_rows_and_to_people():
    event = Event(402, api("QUOTA_EXCEEDED", "x" * 501))
    assert (event.message, event.said) == ("x" * 500, Reason("answered", status=402, said=" QUOTA_EXCEEDED"))
    assert Event(403).said == Reason("answered_by_proxy", status=403)
    assert Event(409, {"error": "CONFLICT", "message": "not now"}).code == "CONFLICT", "in each of the client's shapes"
    named = [Event(400, api("NO", **details)).row for details in ({"field": "posts[7].content"}, {})]
    assert named == [7, None], "the row that is named counts from nought"


@pytest.mark.parametrize(("code", "runs", "may_be_there"), [
    ("", True, False), ("INTERNAL_ERROR", False, True), ("IDEMPOTENCY_CONFLICT", True, False), ("IDEMPOTENCY_IN_PROGRESS", True, False),
    *((code, False, True) for code in ("BAD_GATEWAY", "GATEWAY_TIMEOUT", "SERVICE_UNAVAILABLE", "TIMEOUT")), ("MEDIA_INVALID", False, False),
])  # fmt: skip
def test_whether_a_request_may_still_run_and_an_item_may_be_there(code, runs, may_be_there):
    """Only an error with a code of its own says that a request has ended; an item that failed by the server's own fault may be there."""
    assert answers.still_runs(Event(500, api(code) if code else None)) is runs
    assert answers.leaves_open(code or None) is may_be_there


@pytest.mark.parametrize(("body", "data", "absent"), [
    (b'{"error": {"code": "NOT_FOUND"}}', {"error": {"code": "NOT_FOUND"}}, True), (b"<html>", None, False), (b"{}", {}, False), (b"", None, False),
    (b'{"id": "p"}', {"id": "p"}, None), (b"[1]", [1], None), (b'"no"', "no", None), (b"7", None, None), (b"true", None, None),
])  # fmt: skip
def test_rule_12_only_the_api_s_own_word_says_that_a_thing_does_not_exist(body, data, absent):
    assert answers.decoded(body) == data
    assert absent is None or says_absent(NotFoundError("m", status=404, body=body)) is absent
