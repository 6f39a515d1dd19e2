"""What is this post? What posts that are there make of rows, and which post is which row, by its mark or by what it shows (rules 10, 11, 14 and 17)."""

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.acts.support import item, request

from voxops.acts import keys
from voxops.acts.act import Subject
from voxops.acts.keys import asked_hash, shown_of_body
from voxops.api.limits import CREATED_WITHIN, SKEW
from voxops.api.reasons import Reason
from voxops.api.states import PostState, TargetState
from voxops.engine.match import is_remembered, judge, looks_like, posts_for, strangers
from voxops.ledger.records import Seen
from voxops.model import Outcome

BODY = {"content": "Hello, you", "accountIds": ["a", "b"], "scheduledFor": "2027-03-01T09:00:31+00:00"}
SENT = 1_772_442_000.0  # 2026-03-02T09:00Z
SINCE, LATER = "2026-03-02T09:00:05+00:00", "2026-03-02T11:00:00+00:00"


def row(attempt=1, **seen):
    one = item("create", Subject("row", "mine"), "/v1/posts/bulk", BODY, campaign="c", row="mine", **seen)
    return request(replace(one, attempt=attempt), asked=attempt)


# -- what is there makes of a row that is to be created -----------------------------------------------------------------


def seen(post="p", status="scheduled", attempt=1, **shown):
    """A post of the row as the ledger remembers it."""
    marks = {
        "op_mark": keys.mark("c", "mine", attempt),
        "row_mark": keys.row_mark("c", "mine"),
        "campaign_mark": keys.campaign_mark("c"),
    }
    known = {**marks, "asked": asked_hash(BODY), "shown": shown_of_body(BODY), **shown}
    return Seen(post, known.pop("created", SINCE), status, **known)


OTHER = {"asked": "other", "shown": "other"}
MOVED = {"shown": "other"}
UNMARKED = dict.fromkeys(("op_mark", "row_mark", "campaign_mark", "asked"))


def withdrawn(attempt=2, status="cancelled"):
    return Reason("withdrawn_since", post="p", status=status, attempt=attempt)


@pytest.mark.parametrize(("posts", "said", "asked"), [
    ([seen()], "p", 1), ([seen(**MOVED)], "p", 1), ([seen(asked=None, shown=None)], "p", 1),
    ([seen(**OTHER)], Reason("other_content", post="p"), 1),
    ([seen(asked="other")], Reason("shows_it_now", post="p"), 1),
    # what was withdrawn, deleted or sent back blocks until a next attempt, whatever it asked for
    ([seen(status="cancelled")], withdrawn(), 1), ([seen(status="deleted", **OTHER)], withdrawn(status="deleted"), 1),
    ([seen(status="draft")], withdrawn(status="a draft again"), 1), ([seen(status="draft")], None, 2),
    ([seen(status="cancelled"), seen("q", "cancelled", 3)], withdrawn(4), 1),
    # another attempt that is live is the row; so is the first one that is live again
    ([seen(status="draft"), seen("q", attempt=2)], "q", 1), ([seen(status="draft"), seen("q", "cancelled", 2)], withdrawn(3, "a draft again"), 1),
    ([seen(), seen("q", "cancelled", 2)], "p", 2), ([seen(op_mark=None, status="cancelled")], withdrawn(), 1),
    # a copy that shows something else is no row: beside the row's post it is another one, in its place a person must look at it
    ([seen(), seen("q", created=LATER, **MOVED)], "p", 1),
    ([seen(status="cancelled"), seen("q", created=LATER, **MOVED)], Reason("duplicate_of", post="q", own="p", status="cancelled", attempt=2), 1),
    ([seen(status="cancelled"), seen("q", created=LATER)], "q", 1),
])  # fmt: skip
def test_rule_10_what_is_there_is_the_row_or_forbids_it(posts, said, asked):
    found = judge(row(asked), posts)
    if isinstance(said, str):
        assert (found.outcome, found.result_id) == (Outcome.SUCCEEDED, said)
    else:
        assert found == said


def test_rule_10_a_copy_that_shows_something_else_is_let_be_where_the_row_is_meant_as_one_of_its_own():
    posts = [seen(status="cancelled"), seen("q", created=LATER, **MOVED)]
    assert judge(row(2, twin=True), posts) is None


ELSE = {"op_mark": "f" * 32, "row_mark": "e" * 32}  # of another row
CAMPAIGN = {**ELSE, "campaign_mark": keys.campaign_mark("other")}


@pytest.mark.parametrize(("post", "said", "details"), [
    (seen(**UNMARKED), Reason("looks_like", post="p"), {}), (seen(**UNMARKED), None, {"twin": True}),
    (seen(op_mark="d" * 32), None, {}),
    (seen(**CAMPAIGN), Reason("looks_like_row", post="p", of=""), {}), (seen(**CAMPAIGN), None, {"twin": True}),
    (seen(**ELSE), Reason("looks_like_row", post="p", of=""), {}),
    *((seen(status=status, **ELSE), None, {}) for status in ("cancelled", "draft")),
])  # fmt: skip
def test_rule_17_a_post_that_looks_like_a_row_blocks_it(post, said, details):
    assert looks_like(row(**details), [post], []) == said


# -- which post a row of an unknown call is ----------------------------------------------------------------------------


def post(name="p", content="Hello, you", when=BODY["scheduledFor"], created=SINCE, **state):
    accounts = state.pop("accounts", ("a", "b"))
    targets = tuple(TargetState("twitter", account, "scheduled") for account in accounts)
    known = {"status": "scheduled", "updated_at": created, "source": "single", **state}
    return PostState(
        name, known.pop("status"), known.pop("updated_at"), created, when, content, targets=targets, **known
    )


def marks(attempt=1, **more):
    return {
        "voxopsOp": keys.mark("c", "mine", attempt),
        "voxopsRow": keys.row_mark("c", "mine"),
        "voxopsAsked": asked_hash(BODY),
        **more,
    }


EDITED = {"updated_at": LATER}
CLONE = {"status": "draft", "when": None}


@pytest.mark.parametrize(("posts", "says"), [
    ([post(metadata=marks(), content="mended", **EDITED)], "p"),
    ([post(metadata=marks(voxopsAsked="d" * 32))], None),  # a colleague has created the row with another body
    ([post(metadata=marks(voxopsAsked=None))], "p"),
    # drafts without a time are clones, unless no other post bears the mark
    ([post(metadata=marks(), **CLONE)], "p"), ([post(metadata=marks(), **CLONE), post("q", metadata=marks())], "q"),
    ([post("e", metadata=marks(), **CLONE), post("l", created=LATER, metadata=marks(), **CLONE)], "l"),
    ([post()], None),  # the same content, accounts and time, without a mark
    ([post("l", created=LATER, metadata=marks()), post("e", when=None, status="published", metadata=marks())], "e"),
])  # fmt: skip
def test_rule_10_a_post_with_the_mark_is_the_row(posts, says):
    assert posts_for([row()], posts) == ({} if says is None else {1: says})


def at(seconds):
    return datetime.fromtimestamp(SENT + seconds, UTC).isoformat()


FINE = {"created": at(5.25), "updated_at": at(5.25)}  # stamps with milliseconds, never edited


@pytest.mark.parametrize(("state", "unknown", "known"), [
    (post(), True, True),  # stamps of whole seconds: nobody can tell whether it was edited
    (post(**FINE), True, False), (post(created=at(5.25), updated_at=at(9.5)), True, True),
    (post(content="Lunch", when=LATER, metadata={"tool": "x"}, **EDITED), True, True),  # a text tells nothing, nor do other metadata
    (post(accounts=("x",), **EDITED), False, False), (post(accounts=(), **EDITED), True, True),
    (post(metadata=marks(2), **EDITED), False, False), (post("claimed", **EDITED), False, False),
    (post(metadata=marks(voxopsOp="ab…"), **EDITED), True, True),
    (post(created=at(-300), updated_at=at(9)), True, True), (post(created=at(-301), updated_at=at(9)), False, False),
    (post(created=at(600), updated_at=at(900)), True, True), (post(created=at(601), updated_at=at(900)), False, False),
    (post(created=None, updated_at=None), True, True),
])  # fmt: skip
def test_rule_11_a_post_without_our_marks_may_be_the_row(state, unknown, known):
    for shows, said in ((False, unknown), (True, known)):
        found = strangers([row()], [state], {"claimed"}, (SENT - SKEW, SENT + CREATED_WITHIN), shows_metadata=shows)
        assert found == ({1: state.post_id} if said else {})


TEXTS = {
    "line ends": ("one\r\ntwo", lambda text: text.replace("\r\n", "\n")), "one line": ("one\n\ntwo", lambda text: " ".join(text.split())), "composed": ("Cafe\u0301", lambda text: unicodedata.normalize("NFC", text)),
    "invisible": ("one", lambda text: f"\ufeff{text}"),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_rule_17_a_text_that_reads_the_same_is_the_same(name):
    text, change = TEXTS[name]
    body = {**BODY, "content": text}
    shown = {**body, "content": change(text), "accountIds": ["b", "a"], "scheduledFor": "2027-03-01T10:00:31.200+01:00"}
    assert shown["content"] != text
    assert shown_of_body(shown) == shown_of_body(body)


@pytest.mark.parametrize(("state", "remembered"), [
    (post(content=None), True), (post(source="list", metadata=marks(), when=None), True),
    (post(source="list", metadata={"voxopsRow": "e" * 32}, when=None), True), (post(source="list", when=None), False),
    (post(source="list", content=None), False), (post(source="list"), True), (post(source="list", when="2026-03-02T09:00:00+00:00"), False),
])  # fmt: skip
def test_rule_17_a_post_is_remembered_that_bears_a_mark_or_that_a_row_may_ask_for(state, remembered):
    assert is_remembered(state, SENT) == remembered
