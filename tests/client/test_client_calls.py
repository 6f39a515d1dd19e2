"""Frozen requests, and keys that belong to one request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops.client import _calls
from voxops.client._calls import KeyBook, freeze
from voxops.errors import ConflictError, ValidationError

requests = st.builds(
    lambda method, path, body: (method, path, body),
    st.sampled_from(["POST", "PATCH", "DELETE"]),
    st.sampled_from(["/v1/posts", "/v1/posts/a", "/v1/media"]),
    st.one_of(st.none(), st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=2)),
)


@given(first=requests, second=requests)
def test_a_key_belongs_to_one_request_however_often_it_is_sent(first, second):
    book = KeyBook()
    for _ in range(3):
        book.check(freeze(first[0], first[1], json=first[2], key="the-key-1"))
    other = freeze(second[0], second[1], json=second[2], key="the-key-1")
    if first == second:
        book.check(other)
        return
    with pytest.raises(ConflictError) as caught:
        book.check(other)
    assert (caught.value.status, caught.value.code) == (0, "IDEMPOTENCY_CONFLICT")
    assert "the-key-1" not in str(caught.value)
    book.check(freeze(second[0], second[1], json=second[2], key="the-key-2"))


def test_the_same_json_in_another_order_is_the_same_request():
    book = KeyBook()
    book.check(freeze("POST", "/v1/posts", json={"a": 1, "b": 2}, key="k"))
    book.check(freeze("POST", "/v1/posts", json={"b": 2, "a": 1}, key="k"))


def test_a_request_without_a_key_is_not_checked():
    book = KeyBook()
    book.check(freeze("POST", "/v1/posts", json={"a": 1}))
    book.check(freeze("POST", "/v1/posts", json={"a": 2}))


def test_only_the_latest_keys_are_remembered(monkeypatch):
    monkeypatch.setattr(_calls, "_REMEMBERED", 2)
    book = KeyBook()
    for key in ("k1", "k2", "k1", "k3"):  # k2 is the least recently used
        book.check(freeze("POST", "/v1/posts", json={"key": key}, key=key))
    book.check(freeze("POST", "/v1/posts", json={"another": 1}, key="k2"))
    with pytest.raises(ConflictError):
        book.check(freeze("POST", "/v1/posts", json={"another": 1}, key="k3"))


def test_a_body_that_can_not_be_encoded_is_refused():
    with pytest.raises(ValidationError) as caught:
        freeze("POST", "/v1/posts", json={"a": object()})
    assert caught.value.status == 0
