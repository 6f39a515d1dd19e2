"""What three published clients send and read, each request in the shape in which it leaves them (A, B, C)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.sandbox.support import account, create, draft, fields, refusal

from voxburst_sandbox import Sandbox

SANDBOX, SWITCHES = {"posts": 60, "deliveries": 60}, {"failure_rate": 0.0}
THEN = "2026-04-01T09:00:00Z"


def test_a_connects_with_the_platform_in_the_body(sandbox, api):
    begun = api.post("/accounts/connect", json={"platform": "twitter"})
    assert begun.json()["url"].startswith("http://127.0.0.1:")
    granted = sandbox.authorize(api.post("/accounts/connect/MASTODON").json()["state"])
    made = api.post("/accounts/callback/mastodon", json=granted).json()["account"]
    assert (made["platform"], made["status"]) == ("mastodon", "active")


@pytest.mark.parametrize(("more", "status"), [({}, "publishing"), ({"scheduledAt": THEN}, "scheduled"),
({"draft": True}, "draft")])  # fmt: skip
def test_a_posts_by_platform_under_the_switch(sandbox, api, more, status):
    sandbox.set_switches(legacy=True)
    made = api.post("/posts", json={"content": "Hello", "platforms": ["TWITTER"], **more}).json()
    assert made["status"] == status
    assert [target["platform"] for target in made["platforms"]] == ["twitter"]
    if status == "draft":
        path = f"/posts/{made['id']}"
        moved = api.patch(path, json={"scheduledAt": THEN}).json()
        assert (moved["status"], moved["scheduledFor"]) == ("scheduled", "2026-04-01T09:00:00.000Z")
        changed = api.patch(path, json={"platforms": ["linkedin"]}).json()
        assert [target["platform"] for target in changed["platforms"]] == ["linkedin"]


@pytest.mark.parametrize(("old", "value"), [
    ("platforms", ["twitter"]), ("scheduledAt", THEN), ("draft", True), ("mediaIds", ["m"]), ("overrides", {}),
])  # fmt: skip
def test_an_old_name_is_refused_and_never_ignored(sandbox, api, old, value):
    post, body = draft(api)["id"], fields(api, **{old: value})
    before = len(sandbox.effects())
    for answer in (api.post("/posts", json=body), api.patch(f"/posts/{post}", json={old: value})):
        assert answer.json()["error"]["details"]["field"] == old
    (result,) = api.post("/posts/bulk", json={"posts": [body]}).json()["results"]
    assert result["errors"][0]["field"] == old
    assert len(sandbox.effects()) == before


@pytest.mark.parametrize("path", ["/posts", "/media", "/accounts"])
def test_an_offset_is_read_under_the_switch_and_else_refused(sandbox, api, path):
    def ids(**query: int) -> list[str]:
        return [record["id"] for record in api.get(path, params=query).json()["data"]]

    assert api.get(path, params={"offset": 3}).json()["error"]["details"]["field"] == "offset"
    sandbox.set_switches(legacy=True)
    assert ids(limit=5, offset=3) == ids(limit=10)[3:8]


def test_a_reads_webhooks_by_their_name_and_active(api):
    found = api.get("/webhooks").json()
    assert found["webhooks"] == found["data"]
    assert all({"id", "url", "events", "active", "enabled"} <= set(webhook) for webhook in found["webhooks"])
    changed = api.patch(f"/webhooks/{found['data'][0]['id']}", json={"active": False}).json()
    assert (changed["active"], changed["enabled"]) == (False, False)


UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA==",
}  # fmt: skip


@pytest.mark.parametrize("headers", [{}, UPGRADE], ids=["plain", "upgrade"])
def test_a_tunnel_is_answered_with_a_word(api, headers):
    assert refusal(api.get("/webhooks/tunnel", headers=headers)) == (501, "NOT_IMPLEMENTED")


def test_c_is_sent_back_to_its_address(api):
    begun = api.post("/accounts/connect/threads", json={"callbackUrl": "http://127.0.0.1:8976/callback?flow=7"}).json()
    there = urlsplit(httpx.get(begun["authUrl"], headers={"Accept": "text/html"}, trust_env=False).headers["location"])
    query = parse_qs(there.query)
    assert (there.netloc, there.path) == ("127.0.0.1:8976", "/callback")
    assert (query["flow"], query["state"]) == (["7"], [begun["state"]])


def test_a_post_shows_its_accounts_and_media_under_every_name(sandbox, api):
    media = next(file.id for file in sandbox.world.media.values() if file.status == "ready")
    post, key = draft(api, media=[media]), account(api, "facebook")
    assert post["mediaUrls"] == [post["media"][0]["url"]]
    assert post["accounts"] == [
        {"id": key, "platform": "facebook", "username": "aldercoffee", "displayName": "Alder Coffee"}
    ]
    assert post["platforms"][0]["accountAvatarUrl"].endswith(f"{key}.jpg")


def test_page_selection_knows_its_pages(api):
    path = f"/accounts/{account(api, 'facebook')}"
    first, chosen, *_ = api.get(f"{path}/pages").json()["pages"]
    assert api.get(path).json()["pageId"] == first["id"]
    assert refusal(api.post(f"{path}/select-page", json={"pageId": "page_77"})) == (400, "ACCOUNT_PAGE_MISMATCH")
    assert api.post(f"{path}/select-page", json={"pageId": chosen["id"]}).json() == {"success": True}
    shown = api.get(path).json()
    assert (shown["pageId"], shown["pageName"]) == (chosen["id"], chosen["name"])


def test_the_first_edition_names_platforms_and_partial_results(sandbox, api):
    sandbox.set_switches(event_shape="first")
    api.post("/webhooks", json={"url": "https://mine.example/x", "events": ["*"]})
    key = draft(api, accountIds=[account(api, "facebook"), account(api, "threads")])["id"]
    next(target for target in sandbox.world.posts[key].targets if target.platform == "threads").flaw = "rejected"
    api.post(f"/posts/{key}/publish")
    sandbox.advance(120)
    said = [json.loads(entry["body"]) for entry in sandbox.received() if entry["host"] == "mine.example"]
    assert [event["type"] for event in said] == ["post.created", "post.partial"]
    assert set(said[0]["data"]) == {"postId", "status", "scheduledFor"}
    assert said[1]["data"]["platforms"] == ["facebook", "threads"]


def test_posts_are_approved_rejected_and_archived(sandbox, api):
    key = create(api, scheduledFor="2026-03-02T12:00:00Z")["id"]
    api.post("/webhooks", json={"url": "https://mine.example/x", "events": ["post.draft.approved"]})

    def do(act: str) -> tuple[int, str]:
        answer = api.post(f"/posts/{key}/{act}")
        return answer.status_code, answer.json().get("status") or answer.json()["error"]["code"]

    assert do("approve") == (409, "CONFLICT")
    assert do("start-approval") == (200, "pending_approval")
    assert do("reject") == (200, "draft")
    assert do("start-approval") == (200, "pending_approval")
    assert do("approve") == (200, "scheduled")
    sandbox.advance(4 * 3600)
    assert [entry["host"] for entry in sandbox.received()].count("mine.example") == 1
    assert do("archive") == (200, "archived")
    assert do("unarchive") == (200, "published")
    assert do("unarchive") == (409, "CONFLICT")
    assert [entry["kind"] for entry in sandbox.effects() if entry["kind"].startswith("post.")] == [
        "post.create", "post.submit", "post.reject", "post.submit", "post.approve", "post.archive", "post.unarchive",
    ]  # fmt: skip


# Figures.

METRICS = {"impressions", "reach", "engagements", "likes", "comments", "shares", "clicks", "saves"}


@pytest.fixture
def figures(sandbox: Sandbox, api: httpx.Client):
    """Ask for the figures of a post that went out on at least two platforms."""
    key = next(
        post.id
        for post in sandbox.world.posts.values()
        if sum(target.status == "published" for target in post.targets) > 1
    )
    return lambda **query: api.get(f"/analytics/posts/{key}", params=query)


@pytest.mark.parametrize("query", [
    {}, {"since": "30d"}, {"startDate": "2026-02-01", "endDate": "2026-03-02T09:00:00Z", "granularity": "DAILY"},
])  # fmt: skip
def test_the_figures_of_a_post_as_a_b_and_c_read_them(figures, query):
    answer = figures(**query).json()
    assert answer["period"]  # A
    assert {
        "postId", "platform", "platformPostUrl", "dataAvailable", "collectedAt", "periodStart", "periodEnd",
    } <= set(answer)  # B  # fmt: skip
    for record in answer["data"]:  # C
        assert {"postId", "platform", "metrics", "collectedAt"} <= set(record)
        assert record["impressions"] == record["metrics"]["impressions"]
    assert answer["metrics"] == {name: sum(record["metrics"][name] for record in answer["data"]) for name in METRICS}


def test_figures_are_chosen_and_those_of_periods_add_up(figures):
    def impressions(start: str, end: str) -> int:
        return int(figures(startDate=start, endDate=end).json()["metrics"]["impressions"])

    whole = figures().json()
    assert whole["dataAvailable"] is True
    assert whole["metrics"]["impressions"] > whole["metrics"]["engagements"] > 0
    assert set(figures(metrics="likes,clicks").json()["data"][0]["metrics"]) == {"likes", "clicks"}
    parts = [impressions("2026-02-01", "2026-02-27"), impressions("2026-02-27", "2026-03-02")]
    assert impressions("2026-02-01", "2026-03-02") == sum(parts)


def test_the_figures_of_accounts_and_of_all_posts_as_a_b_and_c_read_them(api):
    def figures(path: str, **query: Any) -> dict[str, Any]:
        return api.get(f"/analytics/{path}", params=query).json()

    one = figures(f"accounts/{account(api, 'bluesky')}", since="7d")
    assert one["period"] == "7d"
    assert set(one["metrics"]) >= METRICS
    assert 0 < one["avgEngagementRate"] < 0.2
    overview = figures("overview", startDate="2026-02-01", endDate="2026-03-02")
    assert overview["totalImpressions"] == sum(entry["impressions"] for entry in overview["byPlatform"])
    engagements = [post["engagements"] for post in overview["topPosts"]]
    assert engagements == sorted(engagements, reverse=True)
    chosen = f"{account(api, 'twitter')},{account(api, 'linkedin')}"
    both = figures("aggregate", accountIds=chosen, platforms="linkedin", limit=3)
    assert [entry["platform"] for entry in both["byPlatform"]] == ["linkedin"]
    assert len(both["topPerformingPosts"]) <= 3
    assert both["totals"]["impressions"] == both["byPlatform"][0]["impressions"]


@pytest.mark.parametrize(("path", "details"), [
    ("posts/post_none", {"resource": "post"}), ("pots/post_none", {"endpoint": "/v1/analytics/pots/post_none"}),
])  # fmt: skip
def test_an_unknown_post_is_another_404_than_an_unknown_endpoint(api, path, details):
    answer = api.get(f"/analytics/{path}")
    assert (answer.status_code, answer.json()["error"]["details"]) == (404, details)


@pytest.mark.parametrize("query", [{"since": "soon"}, {"granularity": "YEARLY"}, {"startDate": "yesterday"}])
def test_a_period_that_makes_no_sense_is_refused(figures, query):
    assert figures(**query).status_code == 400
