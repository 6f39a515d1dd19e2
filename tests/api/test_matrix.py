"""The matrix as data: what each row says, how a call finds its row, and the policy that follows."""

from __future__ import annotations

import re

import pytest

from voxops.api.matrix import MATRIX, Resend, find, matrix, may_resend, polled

ROW = {row.row: row for row in MATRIX}
# Every set below is read off the published table (contract: MTX, SEED).


def test_which_rows_are_what():
    def rows(condition) -> list[int]:
        return [row.row for row in MATRIX if condition(row)]

    assert rows(lambda row: not row.idempotent) == [13, 17, 18, 33, 37]
    assert rows(lambda row: row.is_async) == [4, 5, 10, 23, 26, 30, 31, 32, 39]
    assert rows(lambda row: row.partial) == [5, 10, 11, 12, 28, 29]
    assert rows(lambda row: row.resend is Resend.NEVER) == [18, 37]
    assert rows(lambda row: row.resend is Resend.WITH_KEY) == [1, 4, 5, 7, 8, 10, 11, 12]
    assert rows(lambda row: row.emits) == [1, 4, 5, 7, 8, 10, 11, 12, 18, 19, 33]
    assert rows(lambda row: not row.inferred) == [1, 2, 3, 4, 5, 6, 7, 8, 11]


@pytest.mark.parametrize("row", [row for row in MATRIX if row.method != "PUT"], ids=lambda row: f"{row.row} {row}")
def test_a_call_finds_its_row_whatever_the_ids(row):
    path = re.sub(r":\w+", "a-Z_.~%2F9", row.path)
    assert find(row.method, path) is find(row.method.lower(), path.removeprefix("/v1")) is row


@pytest.mark.parametrize(("method", "path", "row"), [
    ("POST", "/v1/posts/bulk", 11), ("DELETE", "/v1/posts/bulk", 3), ("PATCH", "/posts/validate", 2),
])  # fmt: skip
def test_fixed_words_win_over_ids(method, path, row):
    assert find(method, path) is ROW[row]


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/v1/posts"), ("POST", "/v1/posts/p/retry/again"), ("POST", "/v1/media/m/refresh-presign"),
    ("PUT", "/v1/posts/p"), ("POST", "/v1/posts//retry"), ("POST", "/v2/posts"), ("POST", ""),
])  # fmt: skip
def test_what_no_row_governs_has_none(method, path):
    assert find(method, path) is None
    assert not may_resend(None, with_key=True)


def test_the_policy_follows_from_the_cells():
    for row in MATRIX:
        assert may_resend(row, with_key=True) is (row.resend is not Resend.NEVER), row
        if may_resend(row, with_key=False):
            assert row.resend is Resend.SAFE, row
            assert row.method == "PUT" or "retry_safe" not in row.inferred, "an inferred word needs the key"
        assert row.idempotent or row.resend is not Resend.WITH_KEY, row


def test_the_frame_shows_the_rows():
    table = matrix()
    assert table.index.to_list() == list(range(1, 40))
    assert len({str(row) for row in MATRIX}) == 39
    assert table["group"].value_counts().to_dict() == {"posts": 16, "media": 10, "accounts": 7, "webhooks": 6}
    polls = {row.row: polled(row) for row in MATRIX if polled(row)}
    media = dict.fromkeys((26, 30, 31, 32), "media")
    assert polls == {**dict.fromkeys((4, 5, 10), "post"), 23: "account", **media, 39: "delivery"}
    assert table.loc[5, ["resend", "polled", "emits"]].to_list() == ["with key", "post", "post.published, post.failed"]
