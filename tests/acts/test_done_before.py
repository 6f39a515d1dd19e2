"""What must not be done once more: changes have names, a restored post is not withdrawn again, what has arrived is not sent again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from tests.acts.support import item, request

from voxops.acts import keys
from voxops.acts.act import Request, Subject
from voxops.acts.cancel import CANCEL, plan_cancel
from voxops.acts.create import CREATE
from voxops.acts.redeliver import REDELIVER
from voxops.acts.retry import FIX, RETRY
from voxops.acts.update import NOT_AS_ASKED, UPDATE, plan_update
from voxops.api.evidence import Attempted
from voxops.api.reasons import Reason
from voxops.api.states import PostState, TargetState
from voxops.model import Outcome

NOON, TWO, FOUR = (f"2026-03-05T{hour}:00:00Z" for hour in (12, 14, 16))
POST = Subject("post", "p")
DONE = "done"


def post(when: str = NOON, content: str = "A", **options: Any) -> PostState:
    known = {"source": "single", "version": "7"} | options
    return PostState("p", known.pop("status", "scheduled"), scheduled_for=when, content=content, **known)


def change(
    body: dict[str, Any], name: str = "", number: int = 9, *, by: bool = False, attempt: int = 1, **details: Any
) -> Request:
    seen = {"change": name, "by": by} if name else {}
    return request(replace(item("update", POST, "/v1/posts/p", body, **seen), attempt=attempt), number, **details)


def judged(wanted: Request, state: PostState | None, *past: Request) -> str:
    said = UPDATE.done_before(wanted, state, past)
    if isinstance(said, Request):
        assert (said.outcome, said.result_id) == (Outcome.SUCCEEDED, "p")
        return DONE
    return "" if said is None else said.code


def done(body: dict[str, Any], name: str = "", number: int = 1, **details: Any) -> Request:
    return change(body, name, number, **{"outcome": Outcome.SUCCEEDED} | details)


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.BLOCKED, Outcome.UNKNOWN, Outcome.PENDING])
def test_under_one_name_posts_are_moved_once_however_often_the_cell_runs(outcome):
    """Each run loads afresh, and so asks for another time."""
    again = change({"scheduledFor": FOUR}, "strike", by=True)
    moved = done({"scheduledFor": TWO}, "strike", outcome=outcome)
    assert judged(again, post(TWO)) == ""
    assert judged(again, post(TWO), moved) == DONE
    surely = outcome is Outcome.SUCCEEDED  # else nobody can tell whether somebody has moved it back
    assert judged(again, post(NOON), moved) == (DONE if surely else "changed_before")
    assert judged(change({"scheduledFor": FOUR}, "strike two", by=True), post(TWO), moved) == ""


def test_under_one_name_a_value_is_set_once_and_another_is_blocked():
    moved = done({"scheduledFor": TWO}, "strike")
    assert judged(change({"scheduledFor": TWO}, "strike"), post(NOON), moved) == DONE
    assert judged(change({"scheduledFor": FOUR}, "strike"), post(TWO), moved) == "changed_before"
    both = change({"scheduledFor": TWO, "content": "B"}, "strike")
    assert judged(both, post(TWO), moved) == "", "the time stays, and the text was not set under this name"
    assert judged(both, post(NOON), moved) == "changed_before", "the time would be set a second time"
    assert judged(both, post(TWO, "B"), moved) == DONE
    why = UPDATE.done_before(change({"scheduledFor": FOUR}, "strike"), post(TWO), [moved])
    assert why == Reason("changed_before", fields="scheduledFor", name="change='strike'")


def test_without_a_name_a_field_is_changed_once_by_a_ledger():
    """A cell that sets A, a later one that sets B, Run All: A is undone by this ledger, and not sent."""
    a, b = {"content": "A"}, {"content": "B"}
    assert judged(change(b), post()) == ""
    assert judged(change(a), post(content="A")) == DONE, "nothing is left to change"
    assert judged(change(a), post(content="B"), done(a), done(b, number=2)) == "changed_before"
    assert judged(change(b), post(content="B"), done(a), done(b, number=2)) == DONE
    assert judged(change(b), post(content="A"), done(a, "strike")) == "changed_before", "whatever name it had"
    assert judged(change({"tags": ["x"]}), post(content="B"), done(a)) == "", "another field"
    assert judged(change(a, "anew"), post(content="B"), done(a), done(b, number=2)) == "", (
        "a name says that it is meant"
    )
    left = change(a, outcome=Outcome.BLOCKED)
    assert judged(left, post(content="B"), left) == "changed_before", (
        "itself may have left, and somebody has changed it since"
    )


def test_what_the_api_has_kept_in_its_own_way_is_as_requested():
    spaced = {"content": "Hello  you", "scheduledFor": "2026-03-05T12:00:30Z"}
    kept = post(NOON, "Hello you")
    assert judged(change(spaced), kept) == "", "on a post that was not changed blanks may be what is to be changed"
    assert judged(change(spaced), kept, done(spaced)) == DONE
    assert judged(change(spaced | {"content": "Hello   you"}), kept, done(spaced)) == "changed_before"


def test_a_list_that_has_cut_a_text_decides_nothing():
    long = {"content": "A long text"}
    assert judged(change(long), post(content="A long…", source="list"), done(long)) == ""
    assert judged(change(long), post(content="A long…"), done(long)) == "changed_before"


def test_a_change_that_was_refused_has_used_no_name():
    refused = {"outcome": Outcome.FAILED, "error_code": "VALIDATION_ERROR"}
    again = change({"scheduledFor": FOUR}, "strike", by=True)
    assert judged(again, post(), done({"scheduledFor": TWO}, "strike", **refused)) == ""
    took = done({"scheduledFor": TWO}, "strike", **refused | {"error_code": NOT_AS_ASKED})
    assert judged(again, post(), took) == DONE
    assert judged(replace(again, item=replace(again.item, attempt=2)), post(), took) == "", "a deliberate attempt"


def marked(name: str, **values: Any) -> dict[str, Any]:
    changes = {keys.change_mark(name, field, "p"): keys.value_mark(value) for field, value in values.items()}
    return changes | keys.field_marks(values)


def test_a_name_is_known_by_the_marks_of_another_laptop():
    state = post(TWO, metadata={"voxopsChanges": marked("strike", scheduledFor=TWO)})
    assert judged(change({"scheduledFor": FOUR}, "strike", by=True), state) == DONE
    assert judged(change({"scheduledFor": TWO}, "strike"), state) == DONE
    assert judged(change({"scheduledFor": FOUR}, "strike"), state) == "changed_before"
    assert judged(change({"scheduledFor": FOUR}), state) == "", "without a name the ledger alone counts"
    clone = replace(state, post_id="q")
    assert judged(change({"scheduledFor": FOUR}, "strike", by=True), clone) == "", "clones carry metadata"
    cut = post(TWO, metadata={"voxopsChanges": dict.fromkeys(marked("strike", scheduledFor=TWO), "cut…")})
    assert judged(change({"scheduledFor": FOUR}, "strike", by=True), cut) == DONE
    assert judged(change({"scheduledFor": TWO}, "strike"), cut) == "changed_before", "which value it was is not known"


MARKS = {
    name: letter * 32
    for name, letter in zip(("voxopsOp", "voxopsRow", "voxopsCampaign", "voxopsAsked"), "abcd", strict=True)
}


@pytest.mark.parametrize(("metadata", "written"), [
    ({"owner": "me"} | MARKS, True), ({"owner": "me"}, True), ({"voxopsChanges": marked("first", content="A")}, True), (None, False),
    ({}, False), (MARKS | {"voxopsRow": "b" * 12 + "…"}, False), (MARKS | {"voxopsOp": "***"}, False),
    ({name: MARKS[name] for name in ("voxopsOp", "voxopsCampaign")}, False), (MARKS | {"voxopsChanges": "…"}, False),
])  # fmt: skip
def test_a_named_change_writes_its_marks_only_where_it_wipes_none(metadata, written):
    named = change({"content": "B"}, "strike").item
    state = post(metadata=metadata)
    body = json.loads(UPDATE.form([named], state).body)
    changes = {**(metadata or {}).get("voxopsChanges", {}), **marked("strike", content="B")} if written else None
    assert body == {"content": "B"} | ({"metadata": {**metadata, "voxopsChanges": changes}} if written else {})
    assert UPDATE.form([named], state).key == UPDATE.form([named]).key, "marks are in no key"
    assert "metadata" not in json.loads(UPDATE.form([change({"content": "B"}).item], state).body)


def test_a_frame_keeps_the_name_of_its_change():
    posts = pd.DataFrame({"post_id": ["p"], "status": "scheduled", "content": "A", "updated_at": pd.Timestamp(NOON)})
    plan = plan_update(posts.assign(new_content="B"), change=" Strike,  Monday")
    assert plan.frame["change"].to_list() == ["strike, monday"]
    again = UPDATE.replan(plan.frame, key="", campaign="")
    assert again.items[0].identity == plan.items[0].identity
    assert again.items[0].seen["change"] == "strike, monday"


# -- cancel


def withdrawal(number: int = 9, **details: Any) -> Request:
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


class Run:
    id = "run_7"

    def __init__(self, made: pd.DataFrame) -> None:
        self._made = made

    def made(self) -> pd.DataFrame:
        return self._made


def test_undoing_a_run_withdraws_what_comes_of_its_open_creates():
    made = pd.DataFrame(
        {"post_id": ["p", "q"], "status": "scheduled", "updated_at": pd.Timestamp(NOON), "row": ["a", "b"], "created_by_run": [True, False]}
    )  # fmt: skip
    made.attrs = {"open_rows": [["c", "i", 2]], "unsent_rows": ["d"]}
    plan = plan_cancel(Run(made))
    assert plan.undo == "run_7"
    assert plan.frame["row"].to_list() == ["a", "b", "c", "d"]
    assert plan.why == tuple(map(Reason, ("not_out_yet", "created_elsewhere", "withdrawn_when_created", "never_sent")))
    assert plan.frame["eligible"].to_list() == [True, False, True, False]
    first, later = plan.items
    assert first.seen["of_run"] is True
    assert (later.subject, later.seen, later.path, later.label) == (
        Subject("row", "i"),
        {"of": "i", "attempt": 2, "row": "c"},
        "",
        "c",
    )
    assert (
        plan.frame["idempotency_key"].notna().to_list()
        == plan.frame["request"].notna().to_list()
        == [True, False, False, False]
    )
    assert CANCEL.forbids(later, post(status="published"), []) == Reason("not_cancellable", status="published")
    assert CANCEL.forbids(later, post(), []) is None
    found = replace(later, subject=POST)
    (settled,) = CANCEL.settle_reading([request(found)], post(status="cancelled"), Attempted(None, 1.0))
    assert settled.result_id == "p"
    assert plan_cancel(made).undo == ""


def test_a_duplicate_names_the_post_to_keep():
    copies = pd.DataFrame(
        {"post_id": ["p"], "status": "scheduled", "updated_at": pd.Timestamp(NOON), "copy_of": "kept"}
    )
    (one,) = plan_cancel(copies).items
    assert one.seen["keep"] == "kept"


# -- redeliver, retry and fix


def test_what_has_arrived_is_not_sent_again_that_was_sent_again_before():
    path = "/v1/webhooks/w/deliveries/d/retry"
    arrived, lost, meant = (
        request(item("redeliver", Subject("delivery", "d", "w"), path, **seen), 9)
        for seen in ({"success": True}, {"success": False}, {"success": True, "again": True})
    )
    before = replace(arrived, id=1)
    assert REDELIVER.done_before(arrived, {}, [before]) == Reason("redelivered_before")
    assert [REDELIVER.done_before(each, {}, [before]) for each in (lost, meant)] == [None, None]
    assert REDELIVER.done_before(arrived, {}, []) is None


def targets(*statuses: str, target_id: str | None = "pp", updated: str = NOON) -> PostState:
    found = tuple(
        TargetState(platform, "acc", status, "E", target_id=target_id)
        for platform, status in zip(("twitter", "facebook"), statuses, strict=True)
    )
    return PostState("p", "failed", updated, targets=found, source="single")


SEEN = {
    "platform": "twitter", "account_id": "acc", "status": "failed", "error_code": "E", "post_status": "failed", "updated_at": NOON,
}  # fmt: skip


def test_a_fix_needs_the_id_of_its_target_and_allows_for_fixes_of_the_same_load():
    one = item("fix", POST, "/v1/posts/p/platforms/twitter~acc/fix", {}, **SEEN)
    both = targets("failed", "failed")
    assert FIX.forbids(one, both, []) is None
    assert FIX.form([one], both).path == "/v1/posts/p/platforms/pp/fix"
    assert FIX.form([one], both).key == FIX.form([one]).key
    assert FIX.form([one], targets("failed", "failed", target_id=None)).path == one.path
    assert FIX.covers([one], targets("failed", "failed", target_id=None)) == Reason("target_without_id")
    assert [FIX.covers([one], state) for state in (both, None)] == [None, None]
    moved = targets("failed", "published", updated=TWO)
    changed = Reason("changed_since_loaded", fields="updated_at")
    other = request(item("fix", POST, "/v1/posts/p/platforms/facebook~acc/fix", {}, **SEEN | {"platform": "facebook"}))
    assert FIX.forbids(one, moved, []) == changed
    assert FIX.forbids(one, moved, [other]) is None
    assert FIX.forbids(one, targets("published", "published", updated=TWO), [other]).code == "changed_since_loaded"
    earlier = replace(other, item=replace(other.item, seen={**other.item.seen, "updated_at": "2026-03-01T09:00:00Z"}))
    assert FIX.forbids(one, moved, [earlier]) == changed
    assert FIX.forbids(one, moved, [request(one)]) == changed
    assert FIX.forbids(one, None, []) == Reason("post_gone")


def test_rule_03_a_retry_covers_what_was_chosen():
    one = item("retry", POST, "/v1/posts/p/retry", **SEEN)
    assert RETRY.covers([one], targets("failed", "published")) is None
    assert RETRY.covers([one], targets("failed", "failed")) == Reason("other_target_open")
    assert RETRY.covers([one], targets("failed", "pending")) == Reason("other_target_open")
    assert RETRY.covers([one], None) is None


def test_stuck_rows_keep_what_the_analyst_has_set():
    rows = pd.DataFrame(
        {
            "post_id": ["p", "q", "r"], "platform": "twitter", "account_id": "acc", "status": ["publishing", "failed", "failed"],
            "error_code": [None, "RATE_LIMITED", "RATE_LIMITED"], "error_message": None, "post_status": ["publishing", "failed", "failed"],
            "updated_at": pd.Timestamp(NOON), "cause": "mine", "verdict": "retry", "remedy": "do it", "retryable": [True, False, True],
        }
    )  # fmt: skip
    fresh = RETRY.failed_rows(rows, [True, False, False])
    assert fresh["retryable"].to_list() == [True, True, True]
    assert (fresh["cause"] == "mine").to_list() == [True, False, False]
    assert (fresh["remedy"] == "do it").to_list() == [True, False, False]
    assert fresh["retryable"].dtype == bool
    assert not RETRY.failed_rows(rows, [False] * 3)["retryable"][0]
    assert RETRY.failed_rows(rows.drop(columns=["cause", "verdict", "remedy", "retryable"]), [True] * 3).shape[0] == 3


def test_a_create_has_passed_once_its_time_has():
    row = item("create", Subject("row", "i"), "/v1/posts/bulk", {"scheduledFor": NOON})
    times = [pd.Timestamp(when).to_pydatetime() for when in ("2026-03-05T11:59Z", NOON)]
    assert [CREATE.has_passed(row, now) for now in times] == [False, True]
    assert not UPDATE.has_passed(change({"content": "B"}).item, times[1])
