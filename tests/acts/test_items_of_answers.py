"""Items of the answer to a batch that contradict each other settle nothing (rule 15)."""

from __future__ import annotations

import pytest

from voxops.acts.create import read_items
from voxops.acts.operation import Item, Member, Subject
from voxops.acts.table import act_named
from voxops.model import Outcome


def items(*pairs: tuple[int, str]) -> dict[str, object]:
    return {"results": [{"index": index, "status": "created", "postId": post} for index, post in pairs]}


def test_rule_15_two_rows_are_not_one_post() -> None:
    """Both say that they are the same post: one of them was not made, and nobody knows which."""
    assert read_items(items((0, "post_1"), (1, "post_1")), 2) == [None, None]


def test_rule_15_items_that_are_counted_from_one_are_not_their_neighbours() -> None:
    """An index beyond the last row says that the numbers are not ours."""
    assert read_items(items((1, "post_a"), (2, "post_b"), (3, "post_c")), 3) == [None, None, None]
    assert read_items(items((1, "post_a"), (2, "post_b")), 3) == [None, None, None], "the last row may have failed"


@pytest.mark.parametrize(
    "around",
    [
        lambda found: {"data": found},
        lambda found: {"error": found},
        lambda found: {"error": {"code": "X", "details": found}},
    ],
)
@pytest.mark.parametrize("name", ["results", "items"])
def test_rule_15_items_are_found_wherever_an_answer_has_them(around, name) -> None:
    """A refusal that shows them is about each row by itself, and some of them may have been made."""
    found = items((0, "post_1"))["results"]
    (item,) = read_items(around({name: found}), 1) or [None]
    assert item is not None
    assert item.post_id == "post_1"
    row = Item(0, "i", 1, Subject("row", "i"), "a", "", "", "", "POST", "/v1/posts/bulk", {}, {})
    member = Member(1, 0, row, Outcome.PENDING, "")
    (settled,) = act_named("create").settle_refusal([member], around({name: found}))
    assert settled.outcome is Outcome.SUCCEEDED


ERRORS = ({"error": "x"}, {"error": {"code": "LOCKED"}}, {"errors": [{"code": "LOCKED"}]}, {"success": False})
FINE = ({}, {"error": None}, {"errors": []}, {"success": True})


@pytest.mark.parametrize("name", ["create_one", "update", "cancel", "retry", "fix"])
def test_rule_15_an_answer_that_bears_an_error_is_not_what_a_call_returns(name: str) -> None:
    shape = {"id": "post_1", "status": "scheduled", "platformId": "pp_1"}
    assert [act_named(name).decodes(shape | said) for said in (*FINE, *ERRORS)] == [True] * 4 + [False] * 4


def test_rule_15_items_of_a_batch_and_of_a_log_speak_for_themselves() -> None:
    for said in ERRORS:
        assert act_named("create").decodes({"results": []} | said)
        assert act_named("redeliver").decodes({"id": "del_1", "success": False} | said), "the error is the receiver's"


def test_rule_15_a_count_of_what_was_created_is_no_refusal() -> None:
    member = Member(
        1,
        0,
        Item(0, "i", 1, Subject("row", "i"), "a", "", "", "", "POST", "/v1/posts/bulk", {}, {}),
        Outcome.PENDING,
        "",
    )
    act = act_named("create")
    for said in ({"results": [], "created": 1}, {"results": [{"index": 0, "status": "?"}]}):
        (read,) = act.settle_refusal([member], said)
        assert read.outcome is Outcome.UNKNOWN
    for said in ({"results": []}, {"results": [], "created": 0}, {"error": "no"}, None):
        assert act.settle_refusal([member], said) == []
