"""Items of the answer to a batch that contradict each other settle nothing (rule 15)."""

from __future__ import annotations

import pytest
from tests.acts.support import item, request

from voxops.acts.act import Subject
from voxops.acts.create import read_items
from voxops.acts.table import act_named
from voxops.model import Outcome

ROW = request(item("create", Subject("row", "i"), "/v1/posts/bulk", {}))


def items(*pairs: tuple[int, str]) -> dict[str, object]:
    return {"results": [{"index": index, "status": "created", "postId": post} for index, post in pairs]}


def test_rule_15_two_rows_are_not_one_post() -> None:
    """Both say that they are the same post: one of them was not made, and nobody knows which."""
    assert read_items(items((0, "post_1"), (1, "post_1"))) == {}


def test_rule_15_items_that_are_counted_from_one_are_not_their_neighbours() -> None:
    """An index beyond the last row says that the numbers are not ours."""
    assert read_items(items((1, "post_a"), (2, "post_b"), (3, "post_c"))) == {}
    assert read_items(items((1, "post_a"), (2, "post_b"))) == {}, "the last row may have failed"


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
    (settled,) = act_named("create").settle_refusal([ROW], around({name: found}))
    assert (settled.outcome, settled.result_id) == (Outcome.SUCCEEDED, "post_1")


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
    act = act_named("create")
    for said in ({"results": [], "created": 1}, {"results": [{"index": 0, "status": "?"}]}):
        (read,) = act.settle_refusal([ROW], said)
        assert read.outcome is Outcome.UNKNOWN
    for said in ({"results": []}, {"results": [], "created": 0}, {"error": "no"}, None):
        assert act.settle_refusal([ROW], said) == []


def test_an_answer_that_shows_marks_of_other_rows_is_another_s() -> None:
    act = act_named("create")
    mine, other = ({"post": {"metadata": {"voxopsOp": mark}}} for mark in (ROW.item.mark, "a" * 32))
    assert not act.is_of_another([ROW], "/v1/posts/bulk", {"results": [mine, {"post": {}}, "odd"]})
    assert act.is_of_another([ROW], "/v1/posts/bulk", {"results": [mine, other]})
    assert act_named("create_one").is_of_another([ROW], "/v1/posts", other["post"])
    path = "/v1/posts/post_1/platforms/pp_1/fix"
    said = ({"id": "post_1"}, {"id": "post_2"}, {"platformId": "pp_1"}, {"platformId": "pp_2"}, {})
    assert [act_named("fix").is_of_another([ROW], path, data) for data in said] == [False, True, False, True, False]
    assert not act_named("retry").is_of_another([ROW], "/v1/posts/post_1/retry", {"platformId": "pp_2"})
