"""What three published clients send and read, each request in the shape in which it leaves them (A, B, C)."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.sandbox.support import account, draft, fields

SANDBOX, SWITCHES = {"posts": 60, "deliveries": 60}, {"failure_rate": 0.0}
THEN = "2026-04-01T09:00:00Z"


def test_a_connects_with_the_platform_in_the_body(sandbox, api):
    begun = api.post("/accounts/connect", json={"platform": "twitter"})
    assert begun.json()["url"].startswith("http://127.0.0.1:")
    granted = sandbox.authorize(api.post("/accounts/connect/MASTODON").json()["state"])
    made = api.post("/accounts/callback/mastodon", json=granted).json()["account"]
    assert (made["platform"], made["status"]) == ("mastodon", "active")


@pytest.mark.parametrize(
    ("more", "status"), [({}, "publishing"), ({"scheduledAt": THEN}, "scheduled"), ({"draft": True}, "draft")]
)
def test_a_posts_by_platform_under_the_switch(sandbox, api, more, status):
    sandbox.set_switches(legacy=True)
    made = api.post("/posts", json={"content": "Hello", "platforms": ["TWITTER"], **more}).json()
    assert made["status"] == status
    assert [target["platform"] for target in made["platforms"]] == ["twitter"]


def test_a_changes_a_post_by_its_old_names_under_the_switch(sandbox, api):
    sandbox.set_switches(legacy=True)
    path = f"/posts/{draft(api)['id']}"
    moved = api.patch(path, json={"scheduledAt": THEN}).json()
    assert (moved["status"], moved["scheduledFor"]) == ("scheduled", "2026-04-01T09:00:00.000Z")
    changed = api.patch(path, json={"platforms": ["linkedin"]}).json()
    assert [target["platform"] for target in changed["platforms"]] == ["linkedin"]


@pytest.mark.parametrize(("old", "value"), [
    ("platforms", ["twitter"]), ("scheduledAt", THEN), ("draft", True), ("mediaIds", ["m"]), ("overrides", {}),
])  # fmt: skip
def test_an_old_name_is_refused_and_never_ignored(sandbox, api, old, value):
    post, body = draft(api)["id"], fields(api, **{old: value})
    before = sandbox.effects()
    for answer in (api.post("/posts", json=body), api.patch(f"/posts/{post}", json={old: value})):
        assert answer.json()["error"]["details"]["field"] == old
    (result,) = api.post("/posts/bulk", json={"posts": [body]}).json()["results"]
    assert result["errors"][0]["field"] == old
    assert sandbox.effects() == before


@pytest.mark.parametrize("path", ["/posts", "/media", "/accounts"])
def test_an_offset_is_read_under_the_switch_and_else_refused(sandbox, api, path):
    assert api.read(path, offset=3)["error"]["details"]["field"] == "offset"
    sandbox.set_switches(legacy=True)
    assert api.read(path, limit=5, offset=3)["data"] == api.read(path, limit=10)["data"][3:8]


def test_a_reads_webhooks_by_their_name_and_active(api):
    found = api.read("/webhooks")
    assert found["webhooks"] == found["data"]
    assert all({"id", "url", "events", "active", "enabled"} <= set(webhook) for webhook in found["webhooks"])
    changed = api.patch(f"/webhooks/{found['data'][0]['id']}", json={"active": False}).json()
    assert (changed["active"], changed["enabled"]) == (False, False)


def test_c_is_sent_back_to_its_address(api):
    begun = api.post("/accounts/connect/threads", json={"callbackUrl": "http://127.0.0.1:8976/callback?flow=7"}).json()
    answer = httpx.get(begun["authUrl"], headers={"Accept": "text/html"}, trust_env=False)
    there = urlsplit(answer.headers["location"])
    assert (there.netloc, there.path) == ("127.0.0.1:8976", "/callback")
    query = parse_qs(there.query)
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
    page = f"{sandbox.url}/_sandbox/oauth/authorize"
    queries = ({"redirect_uri": back, "state": each} for each in (state, "st_made_up"))
    answer, made_up = (httpx.get(page, params=query, trust_env=False) for query in queries)
    assert (answer.status_code, made_up.status_code) == (307 if goes else 400, 400)
    assert answer.headers.get("location", "").startswith(back.split("#")[0]) is goes


@pytest.mark.parametrize(
    "back", ["javascript:alert(1)", "//evil.example", "ftp://a.example/", "http://[", "http://h:99999/", 7]
)
def test_only_a_web_address_can_be_registered(api, back):
    assert api.post("/accounts/connect/threads", json={"callbackUrl": back}).status_code == 400


def test_a_post_shows_its_accounts_and_media_under_every_name(api):
    post, key = draft(api, media=[api.read("/media", status="ready")["data"][0]["id"]]), account(api, "facebook")
    assert post["mediaUrls"] == [post["media"][0]["url"]]
    shown = {"id": key, "platform": "facebook", "username": "aldercoffee", "displayName": "Alder Coffee"}
    assert post["accounts"] == [shown]
    assert post["platforms"][0]["accountAvatarUrl"].endswith(f"{key}.jpg")


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
def post(sandbox):
    """The figures of a post that went out on at least two platforms."""
    shown = (
        post.id for post in sandbox.world.posts.values() if [t.status for t in post.targets].count("published") > 1
    )
    return f"/analytics/posts/{next(shown)}"


@pytest.mark.parametrize("query", [
    {}, {"since": "30d"}, {"startDate": "2026-02-01", "endDate": "2026-03-02T09:00:00Z", "granularity": "DAILY"},
])  # fmt: skip
def test_the_figures_of_a_post_as_a_b_and_c_read_them(api, post, query):
    answer = api.read(post, **query)
    assert answer["period"]  # A
    read_by_b = "postId platform platformPostUrl dataAvailable collectedAt periodStart periodEnd"
    assert {*read_by_b.split()} <= set(answer)
    for record in answer["data"]:  # C
        assert {"postId", "platform", "metrics", "collectedAt"} <= set(record)
        assert record["impressions"] == record["metrics"]["impressions"]
    assert answer["metrics"] == {name: sum(record["metrics"][name] for record in answer["data"]) for name in METRICS}


@pytest.fixture
def records(sandbox, api):
    """The figures of every publication."""
    return [record for key in sandbox.world.posts for record in api.read(f"/analytics/posts/{key}")["data"]]


def sums(records):
    return {name: sum(record[name] for record in records) for name in METRICS}


def totals(records):
    """The figures of publications, under the names of totals."""
    metrics = sums(records)
    return {f"total{name.capitalize()}": value for name, value in metrics.items()} | {
        "totalPosts": len({record["postId"] for record in records}),
        "averageEngagementRate": round(metrics["engagements"] / metrics["impressions"], 4),
    }


def test_totals_are_the_sums_of_what_posts_show(api, records):
    overview, aggregate = (api.read(f"/analytics/{name}") for name in ("overview", "aggregate"))
    assert overview["summary"]["totalSaves"] > 0
    assert overview["summary"] == totals(records)
    for answer in (overview, aggregate):
        assert overview["summary"].items() <= answer.items()
    assert overview["period"] == {"start": "2026-01-31T09:00:00.000Z", "end": "2026-03-02T09:00:00.000Z"}
    best = sorted(records, key=lambda record: -record["engagements"])[:5]
    for top, record in zip(overview["topPosts"], best, strict=True):
        assert all(top[name] == record[name] for name in ("platform", "postId", "engagements", "impressions"))
    assert aggregate["topPerformingPosts"][:5] == overview["topPosts"]
    for entry in overview["byPlatform"]:
        there = [record for record in records if record["platform"] == entry["platform"]]
        posts = {"platform": entry["platform"], "posts": len({record["postId"] for record in there})}
        assert entry == posts | sums(there)


@pytest.mark.parametrize(("path", "details"), [
    ("posts/post_none", {"resource": "post"}), ("pots/post_none", {"endpoint": "/v1/analytics/pots/post_none"}),
])  # fmt: skip
def test_an_unknown_post_is_another_404_than_an_unknown_endpoint(api, path, details):
    answer = api.get(f"/analytics/{path}")
    assert (answer.status_code, answer.json()["error"]["details"]) == (404, details)


@pytest.mark.parametrize("query", [{"since": "soon"}, {"granularity": "YEARLY"}, {"startDate": "yesterday"}])
def test_a_period_that_makes_no_sense_is_refused(api, post, query):
    assert api.get(post, params=query).status_code == 400
