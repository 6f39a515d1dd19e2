"""Items of a bulk answer that contradict each other settle nothing (rule 15)."""

from __future__ import annotations

from voxops.acts.create import read_bulk


def items(*pairs: tuple[int, str]) -> dict[str, object]:
    return {"results": [{"index": index, "status": "created", "postId": post} for index, post in pairs]}


def test_rule_15_two_rows_are_not_one_post() -> None:
    """Both say that they are the same post: one of them was not made, and nobody knows which."""
    assert read_bulk(items((0, "post_1"), (1, "post_1")), 2) == [None, None]


def test_rule_15_items_that_are_counted_from_one_are_not_their_neighbours() -> None:
    """An index beyond the last row says that the numbers are not ours."""
    assert read_bulk(items((1, "post_a"), (2, "post_b"), (3, "post_c")), 3) == [None, None, None]
