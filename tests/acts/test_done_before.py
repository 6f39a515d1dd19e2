"""What must not be done once more: changes have names, a restored post is not withdrawn again, what has arrived is not sent again."""

import json
from dataclasses import replace

import pytest
from tests.acts.support import item, request

from voxops.acts import keys
from voxops.acts.act import Request, Subject
from voxops.acts.cancel import CANCEL
from voxops.acts.retry import FIX
from voxops.acts.update import NOT_AS_ASKED, UPDATE
from voxops.api.reasons import Reason
from voxops.api.states import PostState, TargetState
from voxops.model import Outcome

NOON, TWO, FOUR = (f"2026-03-05T{hour}:00:00Z" for hour in (12, 14, 16))
POST = Subject("post", "p")
DONE = "done"


def post(when=NOON, content="A", **options):
    known = {"source": "single", "version": "7"} | options
    return PostState("p", known.pop("status", "scheduled"), scheduled_for=when, content=content, **known)


def change(body, name="", number=9, *, by=False, attempt=1, **details):
    seen = {"change": name, "by": by} if name else {}
    return request(replace(item("update", POST, "/v1/posts/p", body, **seen), attempt=attempt), number, **details)


def done(body, name="", number=1, **details):
    return change(body, name, number, **{"outcome": Outcome.SUCCEEDED} | details)


def marked(name, **values):
    changes = {keys.change_mark(name, field, "p"): keys.value_mark(value) for field, value in values.items()}
    return changes | keys.field_marks(values)


A, B, AT_TWO, AT_FOUR = {"content": "A"}, {"content": "B"}, {"scheduledFor": TWO}, {"scheduledFor": FOUR}
# Each run loads afresh, and so asks for another time.
AGAIN, MOVED = (change(AT_FOUR, "strike", by=True), done(AT_TWO, "strike"))
BOTH, BLOCKED = change(AT_TWO | B, "strike"), change(A, outcome=Outcome.BLOCKED)
UNSURE = done(AT_TWO, "strike", outcome=Outcome.UNKNOWN)
REFUSED, TAKEN = (done(AT_TWO, "strike", outcome=Outcome.FAILED, error_code=code) for code in ("NO", NOT_AS_ASKED))
LONG, CUT = {"content": "A long text"}, post(content="A long…", source="list")
THEIRS = post(TWO, metadata={"voxopsChanges": marked("strike", scheduledFor=TWO)})
MASKED = post(TWO, metadata={"voxopsChanges": dict.fromkeys(marked("strike", scheduledFor=TWO), "cut…")})


@pytest.mark.parametrize(("wanted", "state", "past", "says"), [
    # under one name posts are moved once, however often the cell runs; unless it succeeded, somebody may have moved
    # it back
    (AGAIN, post(TWO), [], ""), (AGAIN, post(TWO), [MOVED], DONE), (AGAIN, post(), [MOVED], DONE),
    (AGAIN, post(TWO), [UNSURE], DONE), (AGAIN, post(), [UNSURE], "changed_before"),
    (change(AT_FOUR, "strike two", by=True), post(TWO), [MOVED], ""),
    # a value is set once, and another is blocked; what was not set under this name is set
    (change(AT_FOUR, "strike"), post(TWO), [MOVED], "changed_before"),
    (BOTH, post(TWO), [MOVED], ""), (BOTH, post(TWO, "B"), [MOVED], DONE),
    # what was refused has used no name; a deliberate attempt is free
    (AGAIN, post(), [REFUSED], ""), (AGAIN, post(), [TAKEN], DONE),
    (replace(AGAIN, item=replace(AGAIN.item, attempt=2)), post(), [TAKEN], ""),
    # without a name a field is changed once by a ledger: one cell sets A, a later one B, and Run All undoes nothing
    (change(A), post(content="A"), [], DONE),
    (change(A), post(content="B"), [done(A), done(B)], "changed_before"),
    (change(B), post(content="A"), [done(A, "strike")], "changed_before"), (change({"tags": ["x"]}), post(content="B"), [done(A)], ""),
    (change(A, "anew"), post(content="B"), [done(A), done(B)], ""),
    (BLOCKED, post(content="B"), [BLOCKED], "changed_before"),  # itself may have left, and somebody has changed it since
    # a list that has cut a text decides nothing
    (change(LONG), CUT, [done(LONG)], ""),
    (change(LONG), replace(CUT, source="single"), [done(LONG)], "changed_before"),
    # a name is known by the marks of another laptop; clones carry metadata, and a cut mark does not say which value
    # it was
    (change(AT_TWO, "strike"), THEIRS, [], DONE),
    (change(AT_FOUR, "strike"), THEIRS, [], "changed_before"),
    (AGAIN, replace(THEIRS, post_id="q"), [], ""),
    (change(AT_TWO, "strike"), MASKED, [], "changed_before"),
])  # fmt: skip
def test_rule_05_what_was_done_before_is_done_once(wanted, state, past, says):
    said = UPDATE.done_before(wanted, state, past)
    if isinstance(said, Request):
        assert (said.outcome, said.result_id, says) == (Outcome.SUCCEEDED, "p", DONE)
    else:
        assert says == ("" if said is None else said.code)


MARKS = {
    name: letter * 32
    for name, letter in zip(("voxopsOp", "voxopsRow", "voxopsCampaign", "voxopsAsked"), "abcd", strict=True)
}


@pytest.mark.parametrize(("metadata", "written"), [
    ({"owner": "me"} | MARKS, True), ({"voxopsChanges": marked("first", content="A")}, True), (None, False),
    ({}, False), (MARKS | {"voxopsRow": "b" * 12 + "…"}, False), (MARKS | {"voxopsChanges": "…"}, False), ({"voxopsOp": "a" * 32}, False),
])  # fmt: skip
def test_a_named_change_writes_its_marks_only_where_it_wipes_none(metadata, written):
    named = change({"content": "B"}, "strike").item
    state = post(metadata=metadata)
    body = json.loads(UPDATE.form([named], state).body)
    changes = {**(metadata or {}).get("voxopsChanges", {}), **marked("strike", content="B")} if written else None
    assert body == {"content": "B"} | ({"metadata": {**metadata, "voxopsChanges": changes}} if written else {})
    assert UPDATE.form([named], state).key == UPDATE.form([named]).key, "marks are in no key"
    assert "metadata" not in json.loads(UPDATE.form([change({"content": "B"}).item], state).body)


# -- cancel


def withdrawal(number=9, **details):
    return request(item("cancel", POST, "/v1/posts/p/cancel", of_run=True), number, **details)


def test_a_post_that_somebody_restored_is_not_withdrawn_with_its_run_again():
    before = withdrawal(1, outcome=Outcome.SUCCEEDED)
    assert CANCEL.done_before(withdrawal(), post(), [before]) == Reason("put_back")
    assert CANCEL.done_before(withdrawal(), post(), []) is None
    meant = request(item("cancel", POST, "/v1/posts/p/cancel"), 9)
    assert CANCEL.done_before(meant, post(), [before]) is None
    assert CANCEL.done_before(withdrawal(), post(), [withdrawal(1, outcome=Outcome.FAILED)]) is None


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("cancelled", Outcome.SUCCEEDED), ("published", Outcome.FAILED), ("publishing", Outcome.FAILED), ("draft", None)],
)
def test_what_is_withdrawn_already_is_done_and_what_is_out_is_too_late(status, outcome):
    said = CANCEL.done_before(withdrawal(), post(status=status), [])
    assert (None if said is None else said.outcome) is outcome
    if outcome is Outcome.FAILED:
        assert (said.error_code, said.error_message) == ("TOO_LATE", str(Reason("too_late", status=status)))


# -- redeliver, retry and fix


def targets(*statuses, target_id="pp", updated=NOON):
    found = tuple(
        TargetState(platform, "acc", status, "E", target_id=target_id)
        for platform, status in zip(("twitter", "facebook"), statuses, strict=True)
    )
    return PostState("p", "failed", updated, targets=found, source="single")


SEEN = {
    "platform": "twitter", "account_id": "acc", "status": "failed", "error_code": "E", "post_status": "failed", "updated_at": NOON,
}  # fmt: skip


def test_a_fix_allows_for_fixes_of_the_same_load():
    one = item("fix", POST, "/v1/posts/p/platforms/twitter~acc/fix", {}, **SEEN)
    both, moved = targets("failed", "failed"), targets("failed", "published", updated=TWO)
    assert FIX.form([one], both).path == "/v1/posts/p/platforms/pp/fix"
    assert FIX.form([one], both).key == FIX.form([one]).key
    changed = Reason("changed_since_loaded", fields="updated_at")
    other = request(item("fix", POST, "/v1/posts/p/platforms/facebook~acc/fix", {}, **SEEN | {"platform": "facebook"}))
    earlier = replace(other, item=replace(other.item, seen={**other.item.seen, "updated_at": "2026-03-01T09:00:00Z"}))
    assert FIX.forbids(one, both, []) is FIX.forbids(one, moved, [other]) is None
    assert [FIX.forbids(one, moved, past) for past in ([], [earlier], [request(one)])] == [changed] * 3
    assert FIX.forbids(one, None, []) == Reason("post_gone")
