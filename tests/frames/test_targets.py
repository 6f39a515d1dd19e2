"""The targets of posts: one cell per post, one row per platform."""

from __future__ import annotations

import msgspec
import pandas as pd
import pytest
from msgspec.structs import replace
from tests.frames.makers import some_posts, two_posts

from voxops.errors import PlanError
from voxops.frames.cells import Target
from voxops.frames.records import latest_targets, targets


def test_targets_follow_their_posts_through_sorting_filtering_and_joining():
    posts, others = some_posts(), some_posts(5)
    some = posts.sample(frac=0.5, random_state=1)
    mixed = pd.concat([some, posts.drop(some.index).iloc[::-3], others.assign(post_id="q" + others["post_id"].str[1:])])
    rows = targets(mixed)
    pairs = zip(mixed["post_id"], mixed["targets"], strict=True)
    expected = [(post, entry.account_id) for post, entries in pairs for entry in entries or [Target()]]
    assert list(rows["post_id"]) == [post for post, _ in expected]
    assert [None if pd.isna(value) else value for value in rows["account_id"]] == [account for _, account in expected]
    assert all(account is None or post[1:] == account[1:] for post, account in expected)
    assert rows.index.equals(pd.RangeIndex(len(expected)))


def test_targets_remember_what_is_open_even_when_rows_are_filtered_away():
    rows = targets(some_posts(8))
    counted = rows.groupby("post_id")["status"].agg(
        lambda states: [(states == "failed").sum(), (states == "publishing").sum()]
    )
    assert msgspec.json.decode(rows.attrs["open_targets"]) == {
        post: list(map(int, both)) for post, both in counted.items() if any(both)
    }
    assert rows[rows["platform"] == "twitter"].attrs["open_targets"] == rows.attrs["open_targets"]


def test_targets_of_posts_that_stand_in_a_frame_twice_count_once_as_they_are_by_now():
    """After a `pd.concat` of a load before a retry and one after it."""
    before = some_posts(8).assign(updated_at=pd.Timestamp("2026-03-02T09:00Z"))
    after = before.assign(updated_at=pd.Timestamp("2026-03-02T10:00Z"))
    after["targets"] = [[replace(one, status="published") for one in cell] for cell in after["targets"]]
    for frames in ([before, after], [after, before]):
        found = targets(pd.concat(frames, ignore_index=True))
        pd.testing.assert_frame_equal(
            found.sort_values(["post_id", "platform"], ignore_index=True),
            targets(after).sort_values(["post_id", "platform"], ignore_index=True),
        )
        assert found.attrs["open_targets"] == "{}", "targets that were open before are not open now"
    tagged = before.assign(tags=[("a", "b")] * len(before)).explode("tags")
    pd.testing.assert_frame_equal(targets(tagged), targets(before))
    assert targets(tagged).attrs["open_targets"] == targets(before).attrs["open_targets"]


def test_the_latest_of_joined_targets_stay():
    before = targets(some_posts(8).assign(updated_at=pd.Timestamp("2026-03-02T09:00Z")))
    after = before.assign(updated_at=pd.Timestamp("2026-03-02T10:00Z"), status="published")
    for joined in (pd.concat([before, after]), pd.concat([after, before]), pd.concat([before, after, before])):
        kept = latest_targets(joined)
        assert (len(kept), set(kept["status"])) == (len(after), {"published"})
        assert kept.index.isin(joined.index).all()
    equal = pd.concat([before, before.assign(status="cancelled")])
    assert set(latest_targets(equal)["status"]) == {"cancelled"}, "of equals the last"
    for one in (before, before.drop(columns="account_id"), None):
        assert latest_targets(one) is one


def test_a_target_is_known_by_its_account_or_its_id_and_else_may_be_another_one():
    older = targets(some_posts(8).assign(updated_at=pd.Timestamp("2026-03-02T09:00Z"))).dropna(subset="platform")
    newer = older.assign(updated_at=pd.Timestamp("2026-03-02T10:00Z"), status="published")
    ids = [f"t{number}" for number in range(len(older))]
    bare = pd.concat([older.assign(target_id=None), newer.assign(target_id=ids)])
    assert set(latest_targets(bare)["status"]) == {"published"}, "one load may show the ids of targets, another not"
    known = older.assign(account_id=None, target_id=ids)
    assert len(latest_targets(pd.concat([known, known]))) == len(known)
    childless = targets(some_posts(4).assign(targets=[()] * 4))
    assert len(latest_targets(pd.concat([childless, childless]))) == 4, "a post without targets is known by its id"
    for unknown in ({"post_id": None}, {"account_id": None, "target_id": None}):
        joined = pd.concat([older.assign(**unknown)] * 2)
        assert latest_targets(joined) is joined


def test_a_post_that_showed_no_targets_in_an_earlier_load_counts_once():
    after = some_posts(6).assign(updated_at=pd.Timestamp("2026-01-02T09:00Z"))
    before = after.assign(targets=[()] * 6, updated_at=pd.Timestamp("2026-01-01T09:00Z"))
    wanted = targets(after)
    for joined in ([before, after], [after, before]):
        found = targets(pd.concat(joined, ignore_index=True)).sort_values("post_id", kind="stable", ignore_index=True)
        pd.testing.assert_frame_equal(found, wanted)
    kept = latest_targets(pd.concat([targets(before), wanted]))
    pd.testing.assert_frame_equal(kept, wanted)
    silent = targets(after.assign(targets=[({}, {"platform": "twitter"})] * 6))
    assert len(latest_targets(silent)) == len(silent) == 12, "a target that says nothing is one"


def test_equal_targets_of_one_post_stay():
    posts = some_posts(2)
    posts["targets"] = [[Target(platform="twitter"), Target(platform="twitter")]] * 2
    assert len(targets(posts)) == 4


@pytest.mark.parametrize(("passed", "said"), [
    *((passed, "needs a posts frame, not ") for passed in (None, [{"id": "p1"}], pd.Series(["p1"]), {"post_id": ["p1"]})),
    (some_posts(2).drop(columns=["targets", "scheduled_for"]), "missing: targets, scheduled_for"),
    (two_posts().assign(targets="[<twitter>]"), "column targets .*names no platform"),
], ids=range(6))  # fmt: skip
def test_what_is_no_frame_of_posts_is_refused(passed, said):
    with pytest.raises(PlanError, match=rf"{said}.*ws\.posts"):
        targets(passed)
