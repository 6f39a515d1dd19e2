"""Load posts and deliveries: by status, account, text, campaign, owner, tag and time; typos are named as what they are."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

import voxops as vx


def test_posts_are_those_that_were_asked_for_and_say_so(ws):
    posts = ws.posts(status="failed", since="30D")
    assert set(posts["status"]) == {"failed"}
    assert posts["created_at"].is_monotonic_decreasing
    assert posts.attrs["complete"] is True
    assert posts.attrs["filters"] == {"status": ["failed"], "since": "30D"}
    assert pd.Timestamp(posts.attrs["fetched_at"]).tzinfo is not None
    both = ws.posts(status=["failed", "partial"])  # one list each, merged
    assert len(both) == len(ws.posts(status="failed")) + len(ws.posts(status="partial"))
    assert both["post_id"].is_unique
    account = ws.accounts()["account_id"].iloc[0]
    mine = ws.posts(account=account)
    assert len(mine) and all(any(t.account_id == account for t in cell) for cell in mine["targets"])
    empty = ws.posts(status="archived")
    assert len(empty) == 0
    pd.testing.assert_series_equal(empty.dtypes, posts.dtypes)
    pd.testing.assert_series_equal(vx.targets(empty).dtypes, vx.targets(posts).dtypes)


def test_posts_are_found_by_text_campaign_owner_and_tag(ws, sandbox):
    account = next(a.id for a in sandbox.world.accounts.values() if a.status == "active")
    named = {"tags": ["Spring", "sale"], "metadata": {"owner": "Zoë.K", "campaign": "Launch 7"}}
    post = sandbox.plant_post("A Straße of RISTRETTO", [account], **named)
    for search in (
        {"text": "ristretto"}, {"text": ["nothing", "strasse OF"]}, {"owner": "zoë.k"}, {"campaign": "launch 7"}, {"tag": "SPRING"},
        {"text": "ristretto", "owner": "Zoë.K", "tag": ["x", "sale"], "limit": 1},
    ):  # fmt: skip
        found = ws.posts(**search)
        assert found["post_id"].to_list() == [post], search
        assert found.attrs["filtered_here"] == [name for name in ("text", "campaign", "owner", "tag") if name in search]
        assert set(search) - {"limit"} <= set(found.attrs["filters"])
    assert "filtered_here" not in ws.posts(limit=1).attrs
    for nothing in (
        {"text": "ristretto", "status": "published"},  # nothing is near
        {"campaign": "Launch 8"},  # another number is another name: next week's campaign, not a typo
        {"platform": "mastodon"},  # which the API serves, and nobody is on
    ):
        assert ws.posts(**nothing).empty
    assert len(ws.posts(platform="X")) == len(ws.posts(platform="twitter")) > 0
    assert len(ws.posts(status="all")) == len(ws.posts())


def test_an_account_is_found_by_its_name_also_once_it_is_disconnected_or_connected_anew(ws, sandbox):
    accounts = sandbox.world.accounts
    old = next(each for each in accounts.values() if each.platform == "twitter")
    name, before = f"twitter:@{old.username}", set(ws.posts(account=old.id)["post_id"])
    old.status = "disconnected"
    assert before
    assert set(ws.posts(account=name)["post_id"]) == before
    accounts["acc_anew"] = replace(old, id="acc_anew", status="active")
    post_id = sandbox.plant_post("ristretto", ["acc_anew"])
    assert set(ws.posts(account=name)["post_id"]) == before | {post_id}, "a name matches all its accounts"
    assert set(ws.posts(account="acc_anew")["post_id"]) == {post_id}


def test_scheduled_posts_until_a_span_before_now_are_warned_of(ws):
    ahead = f"{ws.client.now() + pd.Timedelta('3D'):%Y-%m-%dT%H:%MZ}"
    with pytest.warns(UserWarning, match=r"no scheduled post: until=.* in the past.*such as until='\+3D'"):
        assert ws.posts(status="scheduled", until="3D").empty
    pd.testing.assert_frame_equal(ws.posts(status="scheduled", until="+3D"), ws.posts(status="scheduled", until=ahead))


def test_a_value_that_is_unknown_and_that_nothing_has_is_warned_of(ws):
    with pytest.warns(UserWarning, match="no post has status='error', which is unknown; known are approved, archived"):
        assert ws.posts(status="error").empty
    with pytest.warns(UserWarning, match="no delivery has event_type='story.boosted', which is unknown"):
        assert ws.deliveries(event_type=["story.boosted"]).empty
    assert ws.deliveries(event_type="account.error", since="1s").empty, "an empty frame"
    assert len(ws.deliveries(event_type=["post.failed", "post_published"])) > 0


def test_a_selection_without_rows_selects_nothing(ws, sandbox):
    """The ids of accounts of which none is suspended today are no wish for the posts of all accounts."""
    accounts = ws.accounts()
    none = accounts.loc[accounts["status"] == "suspended", "account_id"]
    before = len(sandbox.requests())
    for filters in ({"account": none}, {"campaign": []}, {"tag": ()}, {"status": set()}, {"text": []}):
        posts = ws.posts(**filters)
        assert (len(posts), posts.attrs["complete"]) == (0, True), filters
        assert posts.attrs["filters"] == {name: [] for name in filters}, "loaded again by what it says, it is as empty"
        assert vx.plan_cancel(posts).eligible == 0
    assert ws.deliveries(webhook=none).empty
    assert len(sandbox.requests()) == before
    assert list(posts.columns) == list(ws.posts(limit=1).columns)
