"""An error body says the same to the client, to the engine and in a frame, whichever shape it has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops.api.error_bodies import ErrorBody, read_answer, read_error

FIELD = {"field": "content", "maxLength": 280, "actualLength": 300}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"error": {"code": "VALIDATION_ERROR", "message": "no", "details": FIELD}}, ErrorBody("VALIDATION_ERROR", "no", FIELD)),
        ({"Error": {"CODE": "not_found", "Message": "no"}}, ErrorBody("NOT_FOUND", "no")),
        ({"code": "CONFLICT", "message": "not now"}, ErrorBody("CONFLICT", "not now")),
        ({"message": "email not confirmed"}, ErrorBody("", "email not confirmed")),
        ({"error": "the body is larger than 100 KB"}, ErrorBody("", "the body is larger than 100 KB")),
        ({"error": "VALIDATION_ERROR", "message": "too long", "details": FIELD}, ErrorBody("VALIDATION_ERROR", "too long", FIELD)),
        ({"error": "Conflict", "message": "not now"}, ErrorBody("CONFLICT", "not now")),
        ({"error": "not now", "code": "CONFLICT"}, ErrorBody("CONFLICT", "not now")),
        ({"error": "MEDIA_INVALID"}, ErrorBody("MEDIA_INVALID")),
        ({"error": {"code": "PERSONA_IN_USE", "message": "m", "linkedPostCount": 3}}, ErrorBody("PERSONA_IN_USE", "m", {"linkedPostCount": 3})),
        ({"error": {"code": "X", "message": "m", "details": ["a"]}}, ErrorBody("X", "m", {"details": ["a"]})),
        ({"errors": [{"field": "media", "issue": "MEDIA_NOT_READY", "detail": "wait"}]}, ErrorBody("MEDIA_NOT_READY", "wait", {"field": "media", "issue": "MEDIA_NOT_READY", "detail": "wait"})),
        ({"error": {"field": "media", "issue": "too large"}}, ErrorBody("", "too large", {"field": "media", "issue": "too large"})),
        ({"error": {"reason": "odd"}}, ErrorBody("", '{"reason":"odd"}', {"reason": "odd"})),
        ({"error": {"code": 4017, "message": None}}, ErrorBody("4017")),
        ({"error": None}, ErrorBody()),
        ({}, ErrorBody()),
        ("no", ErrorBody("", "no")),
        (None, ErrorBody()),
    ],
)  # fmt: skip
def test_every_shape_of_an_answer_is_read(body: Any, wanted: ErrorBody) -> None:
    assert read_answer(body) == wanted


@pytest.mark.parametrize(("details", "row"), [
    ({"index": 7}, 7), ({"field": "posts[7].scheduledFor"}, 7), ([{"field": "posts[3]"}, {"index": 9}], 3), ({"index": "7"}, None),
    ({"index": True}, None), ({"field": "content"}, None), ({"field": "threadPosts[7]"}, None), (None, None), ("posts[7]", None),
])  # fmt: skip
@pytest.mark.parametrize("envelope", [
    lambda details: {"error": {"code": "VALIDATION_ERROR", "message": "no", "details": details}},
    lambda details: {"error": "VALIDATION_ERROR", "message": "no", "details": details},
])  # fmt: skip
def test_the_row_that_a_refused_batch_names(envelope: Any, details: Any, row: int | None) -> None:
    assert read_answer(envelope(details)).row == row


def test_an_error_of_a_target_may_be_a_list() -> None:
    assert read_error([None, {"code": "X", "message": "m"}]) == ErrorBody("X", "m")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "errors", "code", "message", "details", "issue", "index", "x"]) | st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_nothing_that_a_server_sends_raises(data: Any) -> None:
    found = read_answer(data)
    assert isinstance(found.code, str) and isinstance(found.message, str) and found.code == found.code.upper()
    assert isinstance(dict(found.details), dict) and (found.row is None or type(found.row) is int)


def test_a_deep_error_is_read() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    assert read_answer({"error": {"message": deep}}).message.startswith("[")
    assert json.loads(read_answer({"error": {"message": [1, "a"]}}).message) == [1, "a"]
