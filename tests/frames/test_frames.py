"""Records become frames whose columns and dtypes never depend on what the server sent; frames become bytes and back."""

from __future__ import annotations

import copy
import pickle
import string
from datetime import UTC, datetime
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.frames.makers import ODD, PROMISED, TARGETS, dtypes, some_posts

from voxops.frames.cells import Json, Target, Targets, metadata_value
from voxops.frames.records import Columns, build, targets, targets_in
from voxops.frames.schemas import SCHEMAS


@pytest.mark.parametrize("kind", PROMISED)
def test_columns_and_dtypes_are_the_promised_ones_for_empty_full_and_hostile_input(kind):
    names = sorted({path[0] for column in SCHEMAS[kind] for path in column.paths})
    hostile = [dict.fromkeys(names, odd) for odd in ODD] + [{}, {"unknown": 1}, None, "text", 3, [1]]
    for records in ([], [{}], [{"id": "x"}], hostile):
        assert dtypes(build(kind, records)) == PROMISED[kind]
    assert len(build(kind, hostile)) == len(ODD) + 2


def test_the_targets_frame_has_the_promised_columns_for_empty_childless_and_hostile_posts():
    hostile = [{"id": "p", "platforms": odd} for odd in ODD]
    hostile += [
        {"id": "p", "platforms": [dict.fromkeys(Target.__struct_fields__, odd) | {"platform": odd, "error": odd}]}
        for odd in ODD
    ]
    for records in ([], [{"id": "p"}], hostile):
        assert dtypes(targets(build("posts", records))) == TARGETS


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=10))  # fmt: skip
def test_no_json_value_anywhere_changes_a_dtype_or_raises(value):
    for kind in PROMISED:
        names = {path[0] for column in SCHEMAS[kind] for path in column.paths}
        frame = build(kind, [dict.fromkeys(names, value), {"data": value}, value])
        assert dtypes(frame) == PROMISED[kind]
    assert dtypes(targets(build("posts", [{"id": "p", "platforms": value}]))) == TARGETS


_word = st.text(string.ascii_letters, min_size=1, max_size=8)
_times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def _snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)


@st.composite
def _wire_posts(draw):
    """Posts with what the frame should say of them, in a spelling of the server's choice."""
    error = st.none() | st.fixed_dictionaries({"code": _word, "message": st.text()})
    target = st.fixed_dictionaries({
        "platform": _word, "accountId": _word, "status": st.sampled_from(["FAILED", "failed", "published", "NEW_ONE"]),
        "retryCount": st.none() | st.integers(-(2**63), 2**63 - 1), "error": error,
    })  # fmt: skip
    post = st.fixed_dictionaries({
        "status": _word, "content": st.none() | st.text(), "updatedAt": _times, "platforms": st.lists(target, max_size=3),
        "tags": st.lists(st.text(), max_size=2),
        "metadata": st.none() | st.dictionaries(st.text(), st.integers() | st.text(), max_size=2),
    })  # fmt: skip
    posts = draw(st.lists(post, max_size=12))
    return draw(st.sampled_from([str, _snake, str.upper])), [{"id": f"post_{n}", **one} for n, one in enumerate(posts)]


@given(_wire_posts(), st.sampled_from(["+00:00", "Z"]))
def test_a_record_becomes_a_row_that_says_the_same(drawn, zone):
    spell, posts = drawn
    sent = [{**post, "updatedAt": post["updatedAt"].isoformat().replace("+00:00", zone)} for post in posts]
    frame = build("posts", [{spell(name): value for name, value in post.items()} for post in sent])
    rows = targets(frame)
    for column, name in {"post_id": "id", "updated_at": "updatedAt", "metadata": "metadata"}.items():
        assert list(frame[column]) == [post[name] for post in posts]
    assert [None if pd.isna(text) else text for text in frame["content"]] == [post["content"] for post in posts]
    assert [list(tags) for tags in frame["tags"]] == [post["tags"] for post in posts]
    assert list(frame["status"]) == [post["status"].lower() for post in posts]
    failed = [sum(entry["status"].lower() == "failed" for entry in post["platforms"]) for post in posts]
    assert list(frame["failed_targets"]) == failed
    expected = []
    for post in posts:
        for entry in post["platforms"] or [{}]:
            error = entry.get("error") or {"code": "", "message": ""}  # an empty text says nothing
            texts = (entry.get("platform", "").lower(), entry.get("status", "").lower(), error["code"].upper())
            expected.append(
                (post["id"], *(text or None for text in (*texts, error["message"])), entry.get("retryCount"))
            )
    found = rows[["post_id", "platform", "status", "error_code", "error_message", "retry_count"]]
    assert [tuple(None if pd.isna(cell) else cell for cell in row) for row in found.itertuples(index=False)] == expected


@given(st.lists(st.integers(0, 300), max_size=6), st.randoms())
def test_the_frame_does_not_depend_on_how_the_pages_were_cut(sizes, rng):
    posts = [
        {"id": f"p{number}", "updatedAt": f"2026-03-02T09:{number % 60:02}:00Z", "platforms": ["x"] * rng.randint(0, 2)}
        for number in range(sum(sizes))
    ]
    columns, done = Columns("posts"), 0
    for size in sizes:
        columns.extend(posts[done : done + size])
        done += size
        if rng.random() < 0.3:
            assert len(columns.frame()) == done == len(columns)
    pd.testing.assert_frame_equal(columns.frame(), build("posts", posts))


def test_a_frame_taken_early_does_not_change_when_more_arrives():
    columns = Columns("webhooks")
    columns.extend([{"id": "wh_1"}])
    early = columns.frame()
    early.loc[0, "url"] = "https://changed.example"
    columns.extend([{"id": "wh_2"}])
    late = columns.frame()
    assert [list(frame["webhook_id"]) for frame in (early, late)] == [["wh_1"], ["wh_1", "wh_2"]]
    assert late["url"].isna().all()


def test_attrs_say_where_from_and_are_plain_json(tmp_path):
    origin = {
        "source": "https://api.example", "fetched_at": "2026-03-02T09:00:00Z", "filters": {"status": ["failed"]}, "complete": True,
    }  # fmt: skip
    frame = build("posts", [{"id": "a", "platforms": ["x"]}], **origin)
    assert frame.attrs == {"kind": "posts", "unread": {}, **origin}
    assert msgspec.json.decode(msgspec.json.encode(frame.attrs)) == frame.attrs
    assert pd.concat([frame, frame], ignore_index=True).attrs == frame.attrs
    targets(frame).to_parquet(tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet").attrs["source"] == "https://api.example"


def test_cells_are_compared_counted_and_saved_like_any_value(tmp_path):
    def some(metadata: dict[str, Any]) -> pd.DataFrame:
        failed = [{"platform": "twitter", "status": "failed"}]
        return build("posts", [{"id": name, "metadata": each, "platforms": failed, "tags": ["a", "b"]} for name, each in metadata.items()])  # fmt: skip

    posts = some({"p0": {"a": 1, "b": [2]}, "p1": {"b": [2], "a": 1}, "p2": None})
    whole = pd.concat([posts, posts.iloc[::-1], some({"p0": {"b": [2], "a": 1}, "p9": {"a": 2}})], ignore_index=True)
    assert whole.drop_duplicates()["post_id"].to_list() == ["p0", "p1", "p2", "p9"]
    assert whole.drop_duplicates("metadata")["post_id"].to_list() == ["p0", "p2", "p9"]
    assert whole.nunique()[["post_id", "metadata", "targets", "tags"]].to_list() == [4, 2, 1, 1]
    assert whole.groupby("metadata")["post_id"].nunique().to_list() == [2, 1]
    assert whole.explode("tags")["tags"].value_counts().to_dict() == {"a": 8, "b": 8}
    cell = whole["metadata"][0]
    assert (type(cell), cell, dict(cell), cell["a"], len(cell), "b" in cell) == (
        Json,
        {"a": 1, "b": [2]},
        cell.value,
        1,
        2,
        True,
    )
    assert (cell.get("b"), cell.get("c"), cell.get("c", 0)) == ([2], None, 0)
    assert str(cell) == repr(cell) == '{"a":1,"b":[2]}'
    whole.to_parquet(tmp_path / "posts.parquet")
    whole.to_csv(tmp_path / "posts.csv", index=False)
    for back in (pd.read_parquet(tmp_path / "posts.parquet"), pd.read_csv(tmp_path / "posts.csv")):
        assert [metadata_value(each, ["a"]) for each in back["metadata"]] == [1, 1, None, None, 1, 1, 1, 2]
        assert [list(targets_in(each)) for each in back["targets"]] == [
            [Target(platform="twitter", status="failed")]
        ] * 8


def test_a_cell_of_targets_is_a_sequence_of_them():
    cell = some_posts()["targets"][699]
    entries = list(cell)
    assert [entry.platform for entry in cell] == ["twitter", "threads", "bluesky"]
    assert (type(cell), len(cell), cell[0], cell[-1], cell[1:]) == (Targets, 3, entries[0], entries[2], entries[1:])
    assert cell == entries
    assert cell not in (entries[:1], 3)
    for same in (pickle.loads(pickle.dumps(cell)), copy.deepcopy(cell)):
        assert type(same) is Targets
        assert same == cell


@pytest.mark.parametrize("value", [{"n": 2**70}, {"text": "\ud83d"}])
def test_json_that_few_can_write_is_kept(value):
    (cell,) = build("posts", [{"id": "p", "metadata": value}])["metadata"]
    assert repr(cell.value) == repr(value)
