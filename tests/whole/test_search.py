"""Searching posts by text, campaign, owner and tag, and typos that are named as what they are."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox


def mine(sandbox: Sandbox, **fields: object) -> str:
    account = next(a.id for a in sandbox.world.accounts.values() if a.status == "active")
    return sandbox.plant_post("A Straße of RISTRETTO", [account], **fields)


def test_posts_are_found_by_text_campaign_owner_and_tag(ws, sandbox):
    post = mine(sandbox, tags=["Spring", "sale"], metadata={"owner": "Zoë.K", "campaign": "Launch 7"})
    for search in (
        {"text": "ristretto"}, {"text": ["nothing", "strasse OF"]}, {"owner": "zoë.k"}, {"campaign": "launch 7"}, {"tag": "SPRING"},
        {"text": "ristretto", "owner": "Zoë.K", "tag": ["x", "sale"]},
    ):  # fmt: skip
        found = ws.posts(**search)
        assert found["post_id"].to_list() == [post], search
        assert found.attrs["filtered_here"] == [name for name in ("text", "campaign", "owner", "tag") if name in search]
        assert set(search) <= set(found.attrs["filters"])
    assert "filtered_here" not in ws.posts(limit=1).attrs
    assert len(ws.posts(text="ristretto", status="published")) == 0, "nothing is near: an empty frame"
    assert len(ws.posts(campaign="Launch 8")) == 0, "another number is another name: next week's campaign, not a typo"
    assert len(ws.posts(text="ristretto", limit=1)) == 1
    assert len(ws.posts(platform="X")) == len(ws.posts(platform="twitter")) > 0
    assert len(ws.posts(status="all")) == len(ws.posts())
    assert len(ws.posts(platform="mastodon")) == 0, "a platform that the API serves, and nobody is on"


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


def test_owner_finds_the_rows_that_the_column_owner_shows(sandbox):
    said = {"list": ["ada", "bo"], "number": 7, "flag": True, "text": " ada "}
    posts = {mine(sandbox, metadata={"team": {"lead": value}}): name for name, value in said.items()}
    with vx.connect(sandbox=sandbox, owner_field="metadata.team.lead") as ws:
        shown = ws.posts().set_index("post_id")["owner"].reindex(list(posts))
        assert shown.dropna().rename(posts).to_dict() == {"list": "ada, bo", "number": "7", "text": "ada"}
        for owner, expected in {"ada": {"list", "text"}, "7": {"number"}}.items():
            assert {posts[post] for post in ws.posts(owner=owner)["post_id"]} == expected
        assert ws.posts(owner="True").empty


@pytest.mark.parametrize("until", ["3D", pd.Timedelta("3D")])
def test_scheduled_posts_until_a_span_before_now_are_warned_of(ws, until):
    now = ws.client.now()
    ahead = f"{now + pd.Timedelta('3D'):%Y-%m-%dT%H:%MZ}"
    with pytest.warns(UserWarning, match=r"no scheduled post: until=.* in the past.*such as until='\+3D'"):
        assert ws.posts(status="scheduled", until=until).empty
    found = ws.posts(status="scheduled", until="+3D")
    assert found["scheduled_for"].max() < pd.Timestamp(ahead)
    pd.testing.assert_frame_equal(found, ws.posts(status="scheduled", until=ahead))
    tomorrow = (pd.Timestamp(now) + pd.Timedelta("1D")).normalize()
    assert ws.posts(status="scheduled", since="tomorrow")["scheduled_for"].min() >= tomorrow
    assert ws.posts(status=["scheduled", "draft"], until="900D").empty, "an empty frame"


def test_a_status_that_is_not_known_and_that_no_post_has_is_warned_of(ws):
    with pytest.warns(UserWarning, match="no post has status='error', which is unknown; known are approved, archived"):
        assert ws.posts(status="error").empty
    assert ws.posts(status="archived").empty, "an empty frame"


def test_an_event_that_is_not_known_is_warned_of(ws):
    with pytest.warns(UserWarning, match="no delivery has event_type='story.boosted', which is unknown"):
        assert ws.deliveries(event_type=["story.boosted"]).empty
    assert ws.deliveries(event_type="account.error", since="1s").empty, "an empty frame"
    assert len(ws.deliveries(event_type=["post.failed", "post_published"])) > 0


def sheet(*names: str) -> pd.DataFrame:
    rows = pd.DataFrame({"row_id": names, "content": names})
    return rows.assign(accounts="twitter:@aldercoffee", scheduled_for="2027-01-01T00:00Z")


def test_posts_are_found_by_the_campaign_under_which_they_were_planned(ws):
    made = ws.run(vx.plan_create(sheet(*"ab"), key="row_id", campaign="Spring  2026")).wait().made()
    found = ws.posts(campaign="spring 2026")
    assert set(made["post_id"]) == set(found["post_id"])
    assert set(made["post_id"]) < set(ws.posts(campaign=["spring 2026", "spring-2026"])["post_id"])


def test_a_mark_of_a_campaign_that_is_no_text_is_none(ws, sandbox):
    for odd in (["spring"], {"a": 1}, 7):
        mine(sandbox, metadata={"voxopsCampaign": odd})
    found = mine(sandbox, metadata={"campaign": "odd"})
    assert ws.posts(campaign="odd")["post_id"].to_list() == [found]


def test_runs_of_one_second_are_listed_newest_first(ws):
    runs = [ws.run(vx.plan_create(sheet(name), key="row_id")).wait().id for name in "abcdef"]
    assert ws.runs().index.to_list() == runs[::-1]


def test_a_selection_without_rows_selects_nothing(ws, sandbox):
    """The ids of accounts of which none is suspended today are no wish for the posts of all accounts."""
    accounts = ws.accounts()
    none = accounts.loc[accounts["status"] == "suspended", "account_id"]
    before = len(sandbox.requests())
    for filters in (
        {"status": "scheduled", "account": none},
        {"campaign": []},
        {"tag": ()},
        {"status": set()},
        {"text": []},
    ):
        posts = ws.posts(**filters)
        empty = {name: [] for name, value in filters.items() if not isinstance(value, str)}
        assert (len(posts), posts.attrs["complete"]) == (0, True), filters
        assert empty.items() <= posts.attrs["filters"].items(), "loaded again by what it says, it is as empty"
        assert vx.plan_cancel(posts).eligible == 0
    for filters in ({"webhook": none}, {"event_type": []}):
        log = ws.deliveries(**filters)
        assert (len(log), log.attrs["filters"]) == (0, {name: [] for name in filters})
    assert len(sandbox.requests()) == before
    assert list(posts.columns) == list(ws.posts(limit=1).columns)
