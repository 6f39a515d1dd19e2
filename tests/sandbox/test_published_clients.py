"""What three published clients send and read, each request in the shape in which it leaves them (A, B, C; none is ours)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from voxburst_sandbox import Sandbox

SANDBOX, SWITCHES = {"posts": 60, "deliveries": 60}, {"failure_rate": 0.0}


@pytest.fixture
def api(sandbox):
    headers = {"Authorization": "Bearer vb_test_sandbox", "Content-Type": "application/json"}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as opened:
        yield opened


def account(sandbox: Sandbox, platform: str = "facebook") -> str:
    return next(item.id for item in sandbox.world.accounts.values() if item.platform == platform)


def item(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return {"content": "Fresh", "accountIds": [account(sandbox)], **more}


def test_a_connects_with_the_platform_in_the_body(sandbox, api):
    begun = api.post("/v1/accounts/connect", json={"platform": "twitter"})
    assert begun.status_code == 200
    assert begun.json()["url"].startswith("http://127.0.0.1:")
    granted = sandbox.authorize(api.post("/v1/accounts/connect/MASTODON").json()["state"])
    made = api.post("/v1/accounts/callback/mastodon", json=granted).json()["account"]
    assert (made["platform"], made["status"]) == ("mastodon", "active")


@pytest.mark.parametrize(
    ("more", "status"),
    [({}, "publishing"), ({"scheduledAt": "2026-04-01T09:00:00Z"}, "scheduled"), ({"draft": True}, "draft")],
)
def test_a_posts_by_platform_under_the_switch(sandbox, api, more, status):
    sandbox.set_switches(legacy=True)
    answer = api.post("/v1/posts", json={"content": "Hello", "platforms": ["twitter"], **more})
    assert (answer.status_code, answer.json()["status"]) == (201, status)
    assert [target["platform"] for target in answer.json()["platforms"]] == ["twitter"]


def test_a_changes_time_and_platforms_under_the_switch(sandbox, api):
    sandbox.set_switches(legacy=True)
    key = api.post("/v1/posts", json={"content": "Hello", "platforms": ["TWITTER"], "draft": True}).json()["id"]
    moved = api.patch(f"/v1/posts/{key}", json={"scheduledAt": "2026-04-01T09:00:00Z"}).json()
    assert (moved["status"], moved["scheduledFor"]) == ("scheduled", "2026-04-01T09:00:00.000Z")
    changed = api.patch(f"/v1/posts/{key}", json={"platforms": ["linkedin"]}).json()
    assert [target["platform"] for target in changed["platforms"]] == ["linkedin"]


@pytest.mark.parametrize("old", ["platforms", "scheduledAt", "draft", "mediaIds", "overrides"])
@pytest.mark.parametrize("way", ["create", "bulk", "update"])
def test_an_old_name_is_refused_and_never_ignored(sandbox, api, old, way):
    value = {"draft": True, "scheduledAt": "2026-04-01T09:00:00Z", "overrides": {}}.get(old, ["twitter"])
    draft = api.post("/v1/posts", json=item(sandbox, saveAsDraft=True)).json()["id"]
    before = len(sandbox.effects())
    if way == "create":
        error = api.post("/v1/posts", json=item(sandbox, **{old: value})).json()["error"]["details"]["field"]
    elif way == "update":
        error = api.patch(f"/v1/posts/{draft}", json={old: value}).json()["error"]["details"]["field"]
    else:
        answer = api.post("/v1/posts/bulk", json={"posts": [item(sandbox, **{old: value})]})
        error = answer.json()["results"][0]["errors"][0]["field"]
    assert error == old
    assert len(sandbox.effects()) == before


@pytest.mark.parametrize("path", ["/v1/posts", "/v1/media", "/v1/accounts"])
def test_an_offset_is_read_under_the_switch_and_else_refused(sandbox, api, path):
    assert api.get(path, params={"offset": 3}).json()["error"]["details"]["field"] == "offset"
    sandbox.set_switches(legacy=True)
    whole = [record["id"] for record in api.get(path, params={"limit": 10}).json()["data"]]
    assert [record["id"] for record in api.get(path, params={"limit": 5, "offset": 3}).json()["data"]] == whole[3:8]


def test_a_reads_webhooks_by_their_name_and_active(api):
    found = api.get("/v1/webhooks").json()
    assert found["webhooks"] == found["data"]
    assert all({"id", "url", "events", "active", "enabled"} <= set(webhook) for webhook in found["webhooks"])
    changed = api.patch(f"/v1/webhooks/{found['data'][0]['id']}", json={"active": False}).json()
    assert (changed["active"], changed["enabled"]) == (False, False)


def test_a_tunnel_is_answered_with_a_word(api):
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA==",
    }  # fmt: skip
    for headers in ({}, upgrade):
        answer = api.get("/v1/webhooks/tunnel", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "NOT_IMPLEMENTED")


def test_c_is_sent_back_to_its_address(api):
    back = "http://127.0.0.1:8976/callback?flow=7"
    begun = api.post("/v1/accounts/connect/threads", json={"callbackUrl": back}).json()
    there = urlsplit(httpx.get(begun["authUrl"], headers={"Accept": "text/html"}, trust_env=False).headers["location"])
    assert (there.netloc, there.path) == ("127.0.0.1:8976", "/callback")
    assert parse_qs(there.query)["flow"] == ["7"]
    assert parse_qs(there.query)["state"] == [begun["state"]]


def test_a_post_shows_its_accounts_and_media_under_every_name(sandbox, api):
    media = next(file.id for file in sandbox.world.media.values() if file.status == "ready")
    post = api.post("/v1/posts", json=item(sandbox, media=[media], saveAsDraft=True)).json()
    assert post["mediaUrls"] == [post["media"][0]["url"]]
    assert post["accounts"] == [
        {"id": account(sandbox), "platform": "facebook", "username": "aldercoffee", "displayName": "Alder Coffee"}
    ]
    assert post["platforms"][0]["accountAvatarUrl"].endswith(f"{account(sandbox)}.jpg")


def test_page_selection_knows_its_pages(sandbox, api):
    key = account(sandbox)
    pages = api.get(f"/v1/accounts/{key}/pages").json()["pages"]
    assert api.get(f"/v1/accounts/{key}").json()["pageId"] == pages[0]["id"]
    chosen = pages[1]
    assert api.post(f"/v1/accounts/{key}/select-page", json={"pageId": chosen["id"]}).json() == {"success": True}
    shown = api.get(f"/v1/accounts/{key}").json()
    assert (shown["pageId"], shown["pageName"]) == (chosen["id"], chosen["name"])
    wrong = api.post(f"/v1/accounts/{key}/select-page", json={"pageId": "page_77"})
    assert wrong.json()["error"]["code"] == "ACCOUNT_PAGE_MISMATCH"


def test_the_first_edition_names_platforms_and_partial_results(sandbox, api):
    sandbox.set_switches(event_shape="first")
    api.post("/v1/webhooks", json={"url": "https://mine.example/x", "events": ["*"]})
    key = api.post(
        "/v1/posts", json=item(sandbox, accountIds=[account(sandbox), account(sandbox, "threads")], saveAsDraft=True)
    ).json()["id"]
    next(target for target in sandbox.world.posts[key].targets if target.platform == "threads").flaw = "rejected"
    api.post(f"/v1/posts/{key}/publish")
    sandbox.advance(120)
    said = [
        httpx.Response(200, content=entry["body"]).json()
        for entry in sandbox.received()
        if entry["host"] == "mine.example"
    ]
    assert [event["type"] for event in said] == ["post.created", "post.partial"]
    assert set(said[0]["data"]) == {"postId", "status", "scheduledFor"}
    assert said[1]["data"]["platforms"] == ["facebook", "threads"]


def test_posts_are_approved_rejected_and_archived(sandbox, api):
    key = api.post("/v1/posts", json=item(sandbox, scheduledFor="2026-03-02T12:00:00Z")).json()["id"]

    def do(act: str) -> tuple[int, str]:
        answer = api.post(f"/v1/posts/{key}/{act}")
        return answer.status_code, answer.json().get("status") or answer.json()["error"]["code"]

    assert do("approve") == (409, "CONFLICT")
    assert do("start-approval") == (200, "pending_approval")
    assert do("reject") == (200, "draft")
    assert do("start-approval") == (200, "pending_approval")
    sandbox.receiver(host="mine.example", status=200)
    api.post("/v1/webhooks", json={"url": "https://mine.example/x", "events": ["post.draft.approved"]})
    assert do("approve") == (200, "scheduled")
    sandbox.advance(4 * 3600)
    assert [entry["host"] for entry in sandbox.received() if entry["host"] == "mine.example"] == ["mine.example"]
    assert do("archive") == (200, "archived")
    assert do("unarchive") == (200, "published")
    assert do("unarchive") == (409, "CONFLICT")
    assert [entry["kind"] for entry in sandbox.effects() if entry["kind"].startswith("post.")] == [
        "post.create", "post.submit", "post.reject", "post.submit", "post.approve", "post.archive", "post.unarchive",
    ]  # fmt: skip


METRICS = {"impressions", "reach", "engagements", "likes", "comments", "shares", "clicks", "saves"}


def published(sandbox: Sandbox) -> str:
    """A post of the campaign that went out on at least two platforms."""
    return next(
        post.id
        for post in sandbox.world.posts.values()
        if sum(target.status == "published" for target in post.targets) > 1
    )


def test_the_figures_of_a_post_as_a_b_and_c_read_them(sandbox, api):
    key = published(sandbox)
    answers = [
        api.get(f"/v1/analytics/posts/{key}").json(),
        api.get(f"/v1/analytics/posts/{key}", params={"since": "30d"}).json(),
        api.get(
            f"/v1/analytics/posts/{key}",
            params={"startDate": "2026-02-01", "endDate": "2026-03-02T09:00:00Z", "granularity": "DAILY"},
        ).json(),
    ]
    for answer in answers:
        assert answer["period"]  # A
        assert set(answer["metrics"]) == METRICS
        assert {
            "postId",
            "platform",
            "platformPostUrl",
            "dataAvailable",
            "collectedAt",
            "periodStart",
            "periodEnd",
        } <= set(answer)  # B
        assert all({"postId", "platform", "metrics", "collectedAt"} <= set(record) for record in answer["data"])  # C
        assert all(record["impressions"] == record["metrics"]["impressions"] for record in answer["data"])
        for name in METRICS:
            assert answer["metrics"][name] == sum(record["metrics"][name] for record in answer["data"])
    assert answers[0]["dataAvailable"] is True
    assert answers[0]["metrics"]["impressions"] > answers[0]["metrics"]["engagements"] > 0
    only = api.get(f"/v1/analytics/posts/{key}", params={"metrics": "likes,clicks"}).json()
    assert set(only["data"][0]["metrics"]) == {"likes", "clicks"}


def test_periods_add_up(sandbox, api):
    key = published(sandbox)

    def impressions(start: str, end: str) -> int:
        asked = api.get(f"/v1/analytics/posts/{key}", params={"startDate": start, "endDate": end}).json()
        return int(asked["metrics"]["impressions"])

    whole = impressions("2026-02-01", "2026-03-02")
    assert whole == impressions("2026-02-01", "2026-02-27") + impressions("2026-02-27", "2026-03-02")


def test_the_figures_of_accounts_and_of_all_posts_as_a_b_and_c_read_them(sandbox, api):
    key = account(sandbox, "instagram")
    answer = api.get(f"/v1/analytics/accounts/{key}", params={"since": "7d"}).json()
    assert answer["period"] == "7d"  # A
    assert set(answer["metrics"]) >= METRICS
    assert 0 < answer["avgEngagementRate"] < 0.2
    answer = api.get("/v1/analytics/overview", params={"startDate": "2026-02-01", "endDate": "2026-03-02"}).json()
    assert answer["totalImpressions"] == sum(entry["impressions"] for entry in answer["byPlatform"])
    engagements = [post["engagements"] for post in answer["topPosts"]]
    assert engagements == sorted(engagements, reverse=True)
    chosen = [account(sandbox, "twitter"), account(sandbox, "linkedin")]
    query = {"accountIds": ",".join(chosen), "platforms": "linkedin", "limit": 3}
    answer = api.get("/v1/analytics/aggregate", params=query).json()
    assert [entry["platform"] for entry in answer["byPlatform"]] == ["linkedin"]
    assert len(answer["topPerformingPosts"]) <= 3
    assert answer["totals"]["impressions"] == answer["byPlatform"][0]["impressions"]


def test_an_unknown_post_is_another_404_than_an_unknown_endpoint(api):
    post = api.get("/v1/analytics/posts/post_none")
    endpoint = api.get("/v1/analytics/pots/post_none")
    assert (post.status_code, endpoint.status_code) == (404, 404)
    assert post.json()["error"]["details"] == {"resource": "post"}
    assert endpoint.json()["error"]["details"] == {"endpoint": "/v1/analytics/pots/post_none"}


@pytest.mark.parametrize("query", [{"since": "soon"}, {"granularity": "YEARLY"}, {"startDate": "yesterday"}])
def test_a_period_that_makes_no_sense_is_refused(sandbox, api, query):
    assert api.get(f"/v1/analytics/posts/{published(sandbox)}", params=query).status_code == 400
