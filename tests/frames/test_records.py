"""Records become frames whose columns and dtypes never depend on what the server sent; frames become bytes and back."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta

import msgspec
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pandas.testing import assert_frame_equal
from tests.frames.makers import NOW, ODD, PROMISED, TARGETS, dtypes, some_posts

from voxops.errors import PlanError
from voxops.frames.cells import Target, Targets, metadata_value
from voxops.frames.records import Columns, build, latest_targets, targets, targets_in
from voxops.frames.schemas import SCHEMAS


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=10))  # fmt: skip
def test_no_json_value_anywhere_changes_a_promised_dtype_or_raises(value):
    for kind in PROMISED:
        names = {path[0] for column in SCHEMAS[kind] for path in column.paths}
        hostile = [dict.fromkeys(names, each) for each in (*ODD, value)]
        for records in ([], hostile, [hostile[-1], {"data": value}, value]):
            assert dtypes(build(kind, records)) == PROMISED[kind]
    assert dtypes(targets(build("posts", [{"id": "p", "platforms": value}]))) == TARGETS


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
    assert_frame_equal(columns.frame(), build("posts", posts))


def test_attrs_say_where_from_and_are_plain_json(tmp_path):
    origin = {"source": "https://api.example", "fetched_at": "2026-03-02T09:00:00Z", "filters": {"status": ["failed"]}}
    frame = build("posts", [{"id": "a", "platforms": ["x"]}], **origin)
    assert frame.attrs == {"kind": "posts", "unread": {}, **origin}
    assert pd.concat([frame, frame], ignore_index=True).attrs == frame.attrs
    targets(frame).to_parquet(tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet").attrs["source"] == "https://api.example"


def test_cells_are_compared_counted_and_saved_like_any_value(tmp_path):
    failed = [{"platform": "twitter", "status": "failed"}]
    metadata = [{"a": 1, "b": [2]}, {"b": [2], "a": 1}, None, {"a": 2}]
    posts = build(
        "posts", [{"id": "p", "metadata": each, "platforms": failed, "tags": ["a", "b"]} for each in metadata]
    )
    assert posts.nunique()[["metadata", "targets", "tags"]].to_list() == [2, 1, 1]
    assert posts.groupby("metadata").size().to_list() == [2, 1]
    cell = posts["metadata"][0]
    assert (cell, dict(cell), cell["a"], len(cell), "b" in cell) == ({"a": 1, "b": [2]}, cell.value, 1, 2, True)
    assert (cell.get("b"), cell.get("c"), cell.get("c", 0), str(cell)) == ([2], None, 0, '{"a":1,"b":[2]}')
    assert repr(cell) == str(cell)
    posts.to_parquet(tmp_path / "posts.parquet")
    posts.to_csv(tmp_path / "posts.csv", index=False)
    for back in (pd.read_parquet(tmp_path / "posts.parquet"), pd.read_csv(tmp_path / "posts.csv")):
        assert [metadata_value(each, ["a"]) for each in back["metadata"]] == [1, 1, None, 2]
        assert [list(targets_in(each)) for each in back["targets"]] == [
            [Target(platform="twitter", status="failed")]
        ] * 4


RECORDS = {
    "posts": [
        {"id": "p", "status": "failed", "contentType": "text", "createdAt": "2026-03-02T09:00:00Z", "metadata": {}, "platforms": [
            {"platform": "twitter", "accountId": "a", "accountName": "A", "error": {"code": "X_Y", "message": "no"}}]},
        {"ID": "p", "STATUS": "FAILED", "CONTENTTYPE": "TEXT", "CREATEDAT": "2026-03-02T09:00:00+00:00", "METADATA": {}, "PLATFORMS": [
            {"PLATFORM": "TWITTER", "ACCOUNTID": "a", "ACCOUNTNAME": "A", "ERROR": {"CODE": "x_y", "MESSAGE": "no"}}]},
        {"post_id": "p", "status": "failed", "content_type": "text", "created_at": "2026-03-02T10:00:00+01:00", "metadata": {}, "targets": [
            {"platform": "twitter", "account": {"id": "a", "username": "A"}, "error_code": "X_Y", "error_message": "no"}]},
    ],
    "webhooks": [{"id": "w", "enabled": True, "failureCount": 2}, {"webhook_id": "w", "active": "true", "failure_count": "2"}],
    "deliveries": [
        {"id": "d", "eventType": "x", "latencyMs": 40, "success": False}, {"delivery_id": "d", "event": "x", "latency_ms": "40", "success": 0},
    ],
    "accounts": [{"id": "a", "platform": "twitter", "status": "active"}, {"accountId": "a", "platform": "TWITTER", "status": "ACTIVE"}],
    "bulk_results": [
        {"index": 1, "status": "failed", "errors": [{"issue": "NOT_FOUND", "detail": "none"}]},
        {"index": 1, "success": False, "errors": [{"issue": "NOT_FOUND", "detail": "none"}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", RECORDS)
def test_every_spelling_of_a_record_gives_the_same_row(kind):
    first, *others = [build(kind, [record]) for record in RECORDS[kind]]
    for frame in others:
        assert_frame_equal(frame, first)
    assert first.notna().sum(axis=None) > 2


def test_a_cell_of_targets_is_a_sequence_of_them():
    cell = some_posts()["targets"][699]
    entries = list(cell)
    assert [entry.platform for entry in cell] == ["twitter", "threads", "bluesky"]
    assert (len(cell), cell[0], cell[1:], cell) == (3, entries[0], entries[1:], entries)
    assert cell not in (entries[:1], 3)
    for same in (pickle.loads(pickle.dumps(cell)), copy.deepcopy(cell)):
        assert (type(same), same) == (Targets, cell)


@pytest.mark.parametrize("value", [{"n": 2**70}, {"text": "\ud83d"}])
def test_json_that_few_can_write_is_kept(value):
    (cell,) = build("posts", [{"id": "p", "metadata": value}])["metadata"]
    assert repr(cell.value) == repr(value)


def test_targets_follow_their_posts_through_sorting_filtering_and_joining():
    others = some_posts(5)
    mixed = pd.concat([some_posts().sample(frac=0.5, random_state=1), others.assign(post_id="q" + others["post_id"])])
    rows = targets(mixed)
    pairs = zip(mixed["post_id"], mixed["targets"], strict=True)
    expected = [(post, entry.account_id) for post, entries in pairs for entry in entries or [Target()]]
    assert list(rows["post_id"]) == [post for post, _ in expected]
    assert [None if pd.isna(value) else value for value in rows["account_id"]] == [account for _, account in expected]
    assert rows.index.equals(pd.RangeIndex(len(expected)))


def test_targets_remember_what_is_open_even_when_rows_are_filtered_away():
    rows = targets(some_posts(4))
    assert msgspec.json.decode(rows.attrs["open_targets"]) == {"p1": [1, 0], "p2": [0, 1], "p3": [1, 1]}
    assert rows[rows["platform"] == "twitter"].attrs["open_targets"] == rows.attrs["open_targets"]


LATER = NOW + timedelta(hours=1)


def test_targets_of_posts_that_stand_in_a_frame_twice_count_once_as_they_are_by_now():
    """After a `pd.concat` of a load before a retry and one after it."""
    before = some_posts(8)
    after = before.assign(updated_at=LATER)
    after["targets"] = [[replace(one, status="published") for one in cell] for cell in after["targets"]]
    silent = before.assign(targets=[()] * 8)  # a load may show no targets
    for frames in ([before, after], [after, before], [silent, after], [after, silent]):
        found = targets(pd.concat(frames, ignore_index=True))
        assert_frame_equal(found.sort_values("post_id", kind="stable", ignore_index=True), targets(after))
        assert found.attrs["open_targets"] == "{}", "targets that were open before are not open now"
    tagged = before.assign(tags=[("a", "b")] * len(before)).explode("tags")
    assert_frame_equal(targets(tagged), targets(before))
    assert_frame_equal(latest_targets(pd.concat([targets(silent), targets(after)])), targets(after))


def test_the_latest_of_joined_targets_stay():
    before = targets(some_posts(8))
    after = before.assign(updated_at=LATER, status="published")
    for joined in (pd.concat([before, after]), pd.concat([after, before]), pd.concat([before, after, before])):
        kept = latest_targets(joined)
        assert (len(kept), set(kept["status"])) == (len(after), {"published"})
        assert kept.index.isin(joined.index).all()
    equal = pd.concat([before, before.assign(status="cancelled")])
    assert set(latest_targets(equal)["status"]) == {"cancelled"}, "of equals the last"
    for one in (before, before.drop(columns="account_id"), None):
        assert latest_targets(one) is one


def test_a_target_is_known_by_its_account_or_its_id_and_else_may_be_another_one():
    older = targets(some_posts(8)).dropna(subset="platform")
    ids = [f"t{number}" for number in range(len(older))]
    for first, second, kept in (
        ({"target_id": None}, {"target_id": ids}, 1), ({"account_id": None, "target_id": ids},) * 2 + (1,),
        ({"post_id": None},) * 2 + (2,), ({"account_id": None, "target_id": None},) * 2 + (2,),
    ):  # fmt: skip
        joined = pd.concat([older.assign(**first), older.assign(**second)])
        assert len(latest_targets(joined)) == kept * len(older)
    childless = targets(some_posts(4).assign(targets=[()] * 4))
    assert len(latest_targets(pd.concat([childless, childless]))) == 4, "a post without targets is known by its id"


@pytest.mark.parametrize(("passed", "said"), [
    (some_posts(2).drop(columns=["targets", "scheduled_for"]), "missing: targets, scheduled_for"),
    (some_posts(2).assign(targets="[<twitter>]"), "column targets .*names no platform"),
], ids=range(2))  # fmt: skip
def test_what_is_no_frame_of_posts_is_refused(passed, said):
    with pytest.raises(PlanError, match=rf"{said}.*ws\.posts"):
        targets(passed)
