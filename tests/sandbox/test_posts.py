"""Posts of the sandbox: what is refused, what goes out when, what a retry and a fix do, and the record of effects."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.sandbox.support import create, draft, failed_post, fields, refusal, target

SANDBOX = {"posts": 500, "deliveries": 0}
SWITCHES = {"failure_rate": 0.0, "recovery_rate": 1.0, "silent_webhooks": True}


@pytest.mark.parametrize(("field", "value", "code"), [
    *(("content", value, "VALIDATION_ERROR") for value in ("", 5, None)),
    *(("content", "x" * length, "CONTENT_TOO_LONG") for length in (281, 10_001)),
    ("accountIds", [], "VALIDATION_ERROR"), ("accountIds", [1], "VALIDATION_ERROR"),
    ("accountIds[0]", ["acc_none"], "ACCOUNT_NOT_FOUND"), ("scheduledFor", "2026-04-01T10:00:00", "INVALID_DATE"),
    ("contentType", "POEM", "CONTENT_TYPE_NOT_SUPPORTED"), ("metadata.note", {"note": "x" * 1001}, "METADATA_LIMIT"),
    ("metadata", [], "VALIDATION_ERROR"), ("firstCommentDelay", 61, "VALIDATION_ERROR"),
    ("media[0]", ["media_none"], "VALIDATION_ERROR"),
    ("threadPosts", [{"sequence": 2, "content": "x"}], "VALIDATION_ERROR"),
    ("threadPosts[0]", [{"sequence": 1}], "VALIDATION_ERROR"),
])  # fmt: skip
def test_a_wrong_post_is_not_created_and_its_field_is_named(sandbox, api, field, value, code):
    (name,) = re.findall(r"^\w+", field)
    answer = api.post("/posts", json=fields(api, "twitter") | {name: value})
    assert refusal(answer) == (422 if code == "METADATA_LIMIT" else 400, code)
    assert answer.json()["error"]["details"]["field"] == field
    assert sandbox.effects() == []


def test_instagram_needs_media_and_a_content_type(api):
    media = {"media": [api.read("/media", status="ready")["data"][0]["id"]]}
    for more, lacks in (({}, "MEDIA_REQUIRED"), (media, "CONTENT_TYPE_REQUIRED")):
        assert refusal(api.post("/posts", json=fields(api, "instagram", **more))) == (400, lacks)
    assert create(api, platform="instagram", contentType="IMAGE", **media)


@pytest.mark.parametrize(("publishes", "status"), [(True, "publishing"), (False, "draft")])
def test_without_a_time_a_post_is_a_draft_or_goes_out_as_the_reading_says(sandbox, api, publishes, status):
    sandbox.set_switches(publish_on_create=publishes)
    assert create(api)["status"] == status


def test_a_scheduled_post_goes_out_at_its_time(sandbox, api):
    made = create(api, scheduledFor="2026-03-02T12:00:00+02:00")
    assert made["scheduledFor"] == "2026-03-02T10:00:00.000Z"
    for seconds, status in ((3599, "scheduled"), (100, "published")):
        sandbox.advance(seconds)
        assert api.read(f"/posts/{made['id']}")["status"] == status


@pytest.fixture
def bulk(api):
    """The body of a bulk of two posts, one of which is no good."""
    good = fields(api, scheduledFor="2026-03-09T10:00:00Z")
    return {"posts": [good, good | {"accountIds": ["acc_none"]}]}


def test_a_dry_run_creates_nothing_and_does_not_act(sandbox, api, bulk):
    """What a bulk answers for each item: `tests/conformance`."""
    answer = api.post("/posts/bulk", json={"posts": bulk["posts"][:1], "dryRun": True})
    assert (answer.status_code, answer.json()["results"]) == (200, [{"index": 0, "status": "valid"}])
    assert sandbox.effects() == sandbox.requests(acting=True) == []


def test_one_bad_item_refuses_the_whole_bulk_where_that_is_the_reading(sandbox, api, bulk):
    sandbox.set_switches(bulk_refuses_whole=True)
    answer = api.post("/posts/bulk", json=bulk)
    assert refusal(answer) == (400, "ACCOUNT_NOT_FOUND")
    assert answer.json()["error"]["details"] == {"field": "posts[1].accountIds[0]", "index": 1}
    assert sandbox.effects() == []


# The queue.


def test_a_publication_goes_through_the_queue(sandbox, api):
    before = draft(api)
    path = f"/posts/{before['id']}"
    answer = api.post(f"{path}/publish")
    assert (answer.status_code, answer.json()["status"]) == (202, "publishing")
    versions, states = {before["updatedAt"]: 0}, {}
    for second in range(61):
        now = api.read(path)
        states[now["status"], now["platforms"][0]["status"]] = versions[now["updatedAt"]] = second
        sandbox.advance(1)
    assert [*states] == [("publishing", "pending"), ("publishing", "publishing"), ("published", "published")]
    assert [*versions] == sorted(versions)
    assert len(versions) == 4
    assert now["publishedAt"] == now["platforms"][0]["publishedAt"]
    assert now["platforms"][0]["platformPostUrl"].startswith("https://www.facebook.com/")
    assert [effect["kind"] for effect in sandbox.effects()] == ["post.create", "post.publish", "target.publish"]


@pytest.fixture
def retry(sandbox, api):
    """Retry a post, and let it end."""

    def retried(post_id, key="retry-0001"):
        answer = api.post(f"/posts/{post_id}/retry", headers={"Idempotency-Key": key})
        assert answer.status_code == 202
        sandbox.advance(60)
        return answer.json()

    return retried


def test_a_retry_requeues_what_failed_and_says_what_it_left_out(sandbox, api, retry):
    post_id, target_id = failed_post(sandbox)
    before = target(api, post_id, target_id)["retryCount"]
    data = retry(post_id)
    assert set(data) == {"id", "status", "retriedPlatforms", "skippedPlatforms"}
    assert [entry["retryCount"] for entry in data["retriedPlatforms"]] == [before + 1]
    assert {entry["reason"] for entry in data["skippedPlatforms"]} == {"already published"}
    assert target(api, post_id, target_id)["error"] is None
    assert api.read(f"/posts/{post_id}")["status"] == "published"
    published = sandbox.effects("target.publish")
    assert [(effect["target"], effect["key"]) for effect in published] == [(target_id, "retry-0001")]


def test_a_target_at_its_cap_is_skipped(sandbox, retry):
    capped = next(p for p in sandbox.world.posts.values() if any(t.retry_count == 3 for t in p.targets))
    data = retry(capped.id)
    assert "retry limit reached" in [entry["reason"] for entry in data["skippedPlatforms"]]
    assert all(entry["retryCount"] <= 3 for entry in data["retriedPlatforms"])


@pytest.mark.parametrize(("code", "error"), [
    ("SERVICE_UNAVAILABLE", None), ("INTERNAL_ERROR", None),
    *((code, code) for code in ("TOKEN_EXPIRED", "CONTENT_TOO_LONG", "MEDIA_ASPECT_RATIO", "MEDIA_TOO_LARGE")),
])  # fmt: skip
def test_passing_failures_recover_and_lasting_ones_fail_again(sandbox, api, retry, code, error):
    post_id, target_id = failed_post(sandbox, code)
    retry(post_id)
    now = target(api, post_id, target_id)
    assert (now["status"], (now["error"] or {}).get("code")) == ("failed" if error else "published", error)


@pytest.mark.parametrize(("code", "body", "ends"), [
    ("CONTENT_TOO_LONG", {"content": "short"}, "published"), ("CONTENT_TOO_LONG", {}, "failed"),
    ("MEDIA_ASPECT_RATIO", {"mediaUrl": "https://cdn.example/square.jpg"}, "published"),
    ("MEDIA_ASPECT_RATIO", {"refreshMedia": True}, "failed"),
    ("MEDIA_FORMAT_NOT_SUPPORTED", {"refreshMedia": True}, "published"),
])  # fmt: skip
def test_a_fix_mends_what_it_brings(sandbox, api, code, body, ends):
    post_id, target_id = failed_post(sandbox, code)
    answer = api.post(f"/posts/{post_id}/platforms/{target_id}/fix", json=body)
    assert (answer.status_code, answer.json()) == (202, {"success": True, "platformId": target_id, "status": "pending"})
    sandbox.advance(60)
    assert target(api, post_id, target_id)["status"] == ends
    assert [effect["target"] for effect in sandbox.effects("target.fix")] == [target_id]


@pytest.mark.parametrize("body", [
    {"mediaUrl": "http://cdn.example/x.jpg"}, {"content": "x" * 63_207},
    {"mediaUrl": "https://cdn.example/x.jpg", "refreshMedia": True},
])  # fmt: skip
def test_a_wrong_fix_changes_nothing(sandbox, api, body):
    post_id, target_id = failed_post(sandbox)
    assert api.post(f"/posts/{post_id}/platforms/{target_id}/fix", json=body).status_code == 400
    assert sandbox.effects() == []


def test_a_reconnected_account_publishes_again(sandbox, api, retry):
    (expired,) = api.read("/accounts", status="expired")["data"]
    for act in ("refresh", "test"):
        assert api.post(f"/accounts/{expired['id']}/{act}").json()["success"] is False
    link = api.post("/accounts/connect/instagram", json={"redirectUri": "https://app.example/back"}).json()
    granted = httpx.get(link["authorizationUrl"], trust_env=False).json()
    first, again = (api.post("/accounts/callback/instagram", json=granted) for _ in range(2))
    assert (first.json()["account"]["id"], again.status_code) == (expired["id"], 400)
    post_id, target_id = failed_post(sandbox, "TOKEN_EXPIRED")
    retry(post_id)
    assert target(api, post_id, target_id)["status"] == "published"


def test_a_target_queued_twice_is_published_twice_and_the_record_says_so(sandbox, api):
    post_id, target_id = failed_post(sandbox)
    for key in ("retry-first", "retry-second"):
        assert api.post(f"/posts/{post_id}/retry", headers={"Idempotency-Key": key}).status_code == 202
    sandbox.advance(60)
    published = {effect["platform_post"]: effect["key"] for effect in sandbox.effects("target.publish")}
    assert sorted(published.values()) == ["retry-first", "retry-second"]
    doubled = [(entry["kind"], entry["subject"]) for entry in sandbox.duplicates()]
    assert doubled == [("target.requeue", target_id), ("target.publish", target_id)]


def test_a_retry_after_the_first_has_ended_is_no_duplicate(sandbox, retry):
    sandbox.set_switches(recovery_rate=0.0)
    post_id, _ = failed_post(sandbox)
    for key in ("retry-first", "retry-second"):
        retry(post_id, key)
    assert [entry["again"] for entry in sandbox.effects("target.requeue")] == [False, False]
    assert sandbox.duplicates() == []


def test_a_stuck_target_is_requeued_and_a_fresh_one_is_not(sandbox, api, retry):
    post_id, stuck = next(
        (post.id, target.id)
        for post in sandbox.world.posts.values() for target in post.targets if target.status == "publishing"
    )  # fmt: skip
    retry(post_id)
    assert stuck in [effect["target"] for effect in sandbox.effects("target.requeue")]
    assert target(api, post_id, stuck)["status"] == "published"
    path = f"/posts/{draft(api)['id']}"
    api.post(f"{path}/publish")
    while api.read(path)["platforms"][0]["status"] != "publishing":
        sandbox.advance(0.5)
    skipped = api.post(f"{path}/retry").json()["skippedPlatforms"]
    assert [entry["reason"] for entry in skipped] == ["publishing"]


@pytest.mark.parametrize(
    ("act", "status"), [("publish", "published"), ("retry", "draft"), ("cancel", "published"), ("unpublish", "draft")]
)
def test_a_state_that_does_not_permit_it_is_409(sandbox, api, act, status):
    post = api.read("/posts", status=status)["data"][0]["id"]
    assert refusal(api.post(f"/posts/{post}/{act}")) == (409, "CONFLICT")
    assert sandbox.effects() == []
