"""What three published clients send and read, each request in the shape in which it leaves them (A, B, C)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.sandbox.support import account, draft, fields, refusal

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


REGISTERED = "https://app.example/back?tab=2#top"


@pytest.mark.parametrize(("back", "goes"), [
    (REGISTERED, True), *((f"http://{host}/lab?x=1", True) for host in ("localhost:9", "127.0.0.1:8888", "[::1]:7")),
    *((back, False) for back in (
        "https://evil.example/", "https://app.example/back", "//evil.example", "http://127.0.0.1.evil.example/", "javascript:alert(1)",
    )),
])  # fmt: skip
def test_a_person_is_sent_back_only_to_what_was_registered_or_to_this_machine(sandbox, api, back, goes):
    state = api.post("/accounts/connect/threads", json={"callbackUrl": REGISTERED}).json()["state"]
    there, query = f"{sandbox.url}/_sandbox/oauth/authorize", {"redirect_uri": back}
    answer = httpx.get(there, params=query | {"state": state}, trust_env=False)
    assert answer.status_code == (307 if goes else 400)
    assert answer.headers.get("location", "").startswith(back.split("#")[0]) is goes
    assert httpx.get(there, params=query | {"state": "st_made_up"}, trust_env=False).status_code == 400


@pytest.mark.parametrize(
    "back", ["javascript:alert(1)", "//evil.example", "ftp://a.example/", "http://[", "http://h:99999/", 7]
)
def test_only_a_web_address_can_be_registered(api, back):
    assert api.post("/accounts/connect/threads", json={"callbackUrl": back}).status_code == 400


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
    chosen = figures(metrics="likes, clicks").json()
    assert chosen["metrics"] == {name: whole["metrics"][name] for name in ("likes", "clicks")}
    assert set(chosen["data"][0]["metrics"]) == {"likes", "clicks"}
    parts = [impressions("2026-02-01", "2026-02-27"), impressions("2026-02-27", "2026-03-02")]
    assert impressions("2026-02-01", "2026-03-02") == sum(parts)


def rate(metrics: dict[str, int]) -> float:
    return round(metrics["engagements"] / metrics["impressions"], 4)


@pytest.fixture
def records(sandbox: Sandbox, api: httpx.Client):
    """Ask for the figures of every publication, those of one account if it is named."""

    def ask(key: str = "") -> list[dict[str, Any]]:
        owners = {target.id: target.account_id for post in sandbox.world.posts.values() for target in post.targets}
        answers = [api.get(f"/analytics/posts/{post}").json()["data"] for post in sandbox.world.posts]
        return [each for answer in answers for each in answer if key in ("", owners[each["postPlatformId"]])]

    return ask


def test_the_figures_of_an_account_are_the_sums_of_its_posts_also_after_a_refresh(sandbox, api, records):
    key = account(api, "bluesky")
    before = api.get(f"/analytics/accounts/{key}").json()
    sandbox.advance(1200)  # within the hour nothing is collected
    assert api.get(f"/analytics/accounts/{key}").json()["metrics"] == before["metrics"]
    refreshed = api.post(f"/analytics/accounts/{key}/refresh").json()
    shown = api.get(f"/analytics/accounts/{key}").json()
    assert refreshed == {"status": "queued", **shown}
    assert before["metrics"]["impressions"] < shown["metrics"]["impressions"]
    assert (before["collectedAt"], shown["collectedAt"]) == ("2026-03-02T09:00:00.000Z", "2026-03-02T09:20:00.000Z")
    own, metrics = records(key), shown["metrics"]
    sums = {name: sum(record[name] for record in own) for name in METRICS}
    assert sums["impressions"] > 0
    assert metrics == sums | {
        "followers": shown["totalFollowers"], "following": shown["following"], "totalPosts": len(own),
        "totalImpressions": sums["impressions"], "totalReach": sums["reach"], "totalEngagements": sums["engagements"],
        "engagementRate": rate(sums),
    }  # fmt: skip
    assert (shown["totalPosts"], shown["avgEngagementRate"]) == (len(own), rate(sums))
    assert metrics["followers"] == api.get(f"/accounts/{key}").json()["followers"]


@pytest.mark.parametrize(("granularity", "days", "first"), [
    ("HOURLY", 7 * 24, "2026-02-23T09:00:00.000Z"), ("DAILY", 7, "2026-02-23"), ("WEEKLY", 1, "2026-02-23"),
])  # fmt: skip
def test_a_history_has_the_steps_that_it_names(api, granularity, days, first):
    query = {"since": "7d", "granularity": granularity}
    shown = api.get(f"/analytics/accounts/{account(api, 'bluesky')}", params=query).json()
    assert (shown["granularity"], shown["period"]) == (granularity, "7d")
    assert (len(shown["timeseries"]), shown["timeseries"][0]["date"]) == (days, first)


def test_totals_are_the_sums_of_what_posts_show(api, records):
    own = records()
    sums = {name: sum(record[name] for record in own) for name in METRICS}
    posts = len({record["postId"] for record in own})
    totals = {"totalPosts": posts, "averageEngagementRate": rate(sums)}
    totals |= {f"total{name.capitalize()}": value for name, value in sums.items()}
    overview, aggregate = (api.get(f"/analytics/{name}").json() for name in ("overview", "aggregate"))
    assert posts > 0
    assert sums["saves"] > 0
    assert overview["summary"] == totals
    for answer in (overview, aggregate):
        assert {name: answer[name] for name in totals} == totals
    assert overview["period"] == {"start": "2026-01-31T09:00:00.000Z", "end": "2026-03-02T09:00:00.000Z"}
    best = sorted(own, key=lambda record: -record["engagements"])[:5]
    names = ("platform", "postId", "engagements", "impressions")
    assert [[post[name] for name in names] for post in overview["topPosts"]] == [
        [record[name] for name in names] for record in best
    ]
    assert aggregate["topPerformingPosts"][:5] == overview["topPosts"]
    for entry in overview["byPlatform"]:
        there = [record for record in own if record["platform"] == entry["platform"]]
        assert entry["posts"] == len({record["postId"] for record in there})
        assert {name: entry[name] for name in METRICS} == {n: sum(record[n] for record in there) for n in METRICS}


def test_an_aggregate_of_one_account_is_what_the_account_shows(api):
    key = account(api, "linkedin")
    query = {"accountIds": f"{key},{account(api, 'twitter')}", "platforms": "LINKEDIN", "limit": 3}
    one, both = api.get(f"/analytics/accounts/{key}").json(), api.get("/analytics/aggregate", params=query).json()
    assert [entry["platform"] for entry in both["byPlatform"]] == ["linkedin"]
    assert len(both["topPerformingPosts"]) == 3
    for name in ("totalPosts", "totalImpressions", "totalReach", "totalEngagements"):
        assert both[name] == one["metrics"][name]
    assert both["averageEngagementRate"] == one["metrics"]["engagementRate"]


def test_a_post_counts_from_when_it_was_published(api):
    query = {"startDate": "2026-02-01", "endDate": "2026-02-02"}
    assert api.get("/analytics/overview", params=query).json()["summary"]["totalPosts"] == 0


@pytest.mark.parametrize(("path", "details"), [
    ("posts/post_none", {"resource": "post"}), ("pots/post_none", {"endpoint": "/v1/analytics/pots/post_none"}),
])  # fmt: skip
def test_an_unknown_post_is_another_404_than_an_unknown_endpoint(api, path, details):
    answer = api.get(f"/analytics/{path}")
    assert (answer.status_code, answer.json()["error"]["details"]) == (404, details)


@pytest.mark.parametrize("query", [{"since": "soon"}, {"granularity": "YEARLY"}, {"startDate": "yesterday"}])
def test_a_period_that_makes_no_sense_is_refused(figures, query):
    assert figures(**query).status_code == 400
