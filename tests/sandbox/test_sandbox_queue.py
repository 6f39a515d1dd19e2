"""The sandbox's publishing queue: what a retry, a fix and a publication do, and what the record of effects says of it."""

from __future__ import annotations

import httpx
import pytest
from tests.sandbox.support import draft

from voxburst_sandbox import Sandbox, Switches

SANDBOX = {"posts": 500, "deliveries": 0}
SWITCHES = {"failure_rate": 0.0, "recovery_rate": 1.0, "silent_webhooks": True}


def failed_post(sandbox: Sandbox, code: str, targets: int | None = None, cap: int = 2):
    """A post with exactly one failed target, failed for this reason and not retried too often."""
    for post in sandbox.world.posts.values():
        failed = [target for target in post.targets if target.status != "published"]
        fits = len(failed) == 1 and failed[0].status == "failed" and failed[0].retry_count <= cap
        if fits and failed[0].error["code"] == code and targets in (None, len(post.targets)):
            return post.id, failed[0].id
    raise AssertionError(f"the campaign has no lone {code}")


def target(api: httpx.Client, post_id: str, target_id: str) -> dict:
    post = api.get(f"/posts/{post_id}").json()
    return next(entry for entry in post["platforms"] if entry["postPlatformId"] == target_id)


def test_a_publication_goes_through_the_queue(sandbox, api):
    post = draft(api, "facebook")
    answer = api.post(f"/posts/{post['id']}/publish")
    assert (answer.status_code, answer.json()["status"]) == (202, "publishing")
    seen = [post["updatedAt"]]
    states = []
    for _ in range(61):
        now = api.get(f"/posts/{post['id']}").json()
        states.append((now["status"], now["platforms"][0]["status"]))
        seen.append(now["updatedAt"])
        sandbox.advance(1)
    order = list(dict.fromkeys(states))
    assert order == [("publishing", "pending"), ("publishing", "publishing"), ("published", "published")]
    assert len(set(seen)) == 4
    assert seen == sorted(seen)
    done = api.get(f"/posts/{post['id']}").json()
    assert done["publishedAt"] == done["platforms"][0]["publishedAt"]
    assert done["platforms"][0]["platformPostUrl"].startswith("https://www.facebook.com/")
    assert [effect["kind"] for effect in sandbox.effects()] == ["post.create", "post.publish", "target.publish"]


def test_a_retry_requeues_what_failed_and_says_what_it_left_out(sandbox, api):
    post_id, target_id = failed_post(sandbox, "RATE_LIMITED", targets=2)
    before = target(api, post_id, target_id)["retryCount"]
    answer = api.post(f"/posts/{post_id}/retry", headers={"Idempotency-Key": "retry-0001"})
    data = answer.json()
    assert answer.status_code == 202
    assert set(data) == {"id", "status", "retriedPlatforms", "skippedPlatforms"}
    assert [entry["retryCount"] for entry in data["retriedPlatforms"]] == [before + 1]
    assert [entry["reason"] for entry in data["skippedPlatforms"]] == ["already published"]
    assert target(api, post_id, target_id)["error"] is None
    sandbox.advance(60)
    assert api.get(f"/posts/{post_id}").json()["status"] == "published"
    published = sandbox.effects("target.publish")
    assert [(effect["target"], effect["key"]) for effect in published] == [(target_id, "retry-0001")]
    assert sandbox.duplicates() == []


def test_a_target_at_its_cap_is_skipped(sandbox, api):
    capped = next(p for p in sandbox.world.posts.values() if any(t.retry_count == 3 for t in p.targets))
    data = api.post(f"/posts/{capped.id}/retry").json()
    assert "retry limit reached" in [entry["reason"] for entry in data["skippedPlatforms"]]
    assert all(entry["retryCount"] <= 3 for entry in data["retriedPlatforms"])


@pytest.mark.parametrize(("code", "lasting"), [
    ("SERVICE_UNAVAILABLE", False), ("RATE_LIMITED", False), ("INTERNAL_ERROR", False),
    ("TOKEN_EXPIRED", True), ("CONTENT_TOO_LONG", True), ("MEDIA_ASPECT_RATIO", True), ("MEDIA_TOO_LARGE", True),
])  # fmt: skip
def test_passing_failures_recover_and_lasting_ones_fail_again(sandbox, api, code, lasting):
    post_id, target_id = failed_post(sandbox, code)
    assert api.post(f"/posts/{post_id}/retry").status_code == 202
    sandbox.advance(60)
    now = target(api, post_id, target_id)
    assert now["status"] == ("failed" if lasting else "published")
    assert (now["error"] or {}).get("code") == (code if lasting else None)


@pytest.mark.parametrize(("code", "body", "mended"), [
    ("CONTENT_TOO_LONG", {"content": "short"}, True),
    ("CONTENT_TOO_LONG", {}, False),
    ("MEDIA_ASPECT_RATIO", {"mediaUrl": "https://cdn.example/square.jpg"}, True),
    ("MEDIA_ASPECT_RATIO", {"refreshMedia": True}, False),
    ("MEDIA_FORMAT_NOT_SUPPORTED", {"refreshMedia": True}, True),
])  # fmt: skip
def test_a_fix_mends_what_it_brings(sandbox, api, code, body, mended):
    post_id, target_id = failed_post(sandbox, code)
    answer = api.post(f"/posts/{post_id}/platforms/{target_id}/fix", json=body)
    assert (answer.status_code, answer.json()) == (202, {"success": True, "platformId": target_id, "status": "pending"})
    sandbox.advance(60)
    assert target(api, post_id, target_id)["status"] == ("published" if mended else "failed")
    assert [effect["target"] for effect in sandbox.effects("target.fix")] == [target_id]


@pytest.mark.parametrize("body", [
    {"mediaUrl": "http://cdn.example/x.jpg"}, {"mediaUrl": "https://cdn.example/x.jpg", "refreshMedia": True},
    {"content": "x" * 63_207},
])  # fmt: skip
def test_a_wrong_fix_changes_nothing(sandbox, api, body):
    post_id, target_id = failed_post(sandbox, "SERVICE_UNAVAILABLE")
    assert api.post(f"/posts/{post_id}/platforms/{target_id}/fix", json=body).status_code == 400
    assert sandbox.effects() == []


def test_a_reconnected_account_publishes_again(sandbox, api):
    expired = next(a for a in api.get("/accounts").json()["data"] if a["status"] == "expired")
    assert api.post(f"/accounts/{expired['id']}/refresh").json() == {"success": False}
    assert api.post(f"/accounts/{expired['id']}/test").json()["success"] is False
    link = api.post("/accounts/connect/instagram", json={"redirectUri": "https://app.example/back"}).json()
    granted = httpx.get(link["authorizationUrl"], trust_env=False).json()
    callback = api.post("/accounts/callback/instagram", json=granted)
    assert (callback.status_code, callback.json()["account"]["id"]) == (200, expired["id"])
    assert api.post("/accounts/callback/instagram", json=granted).status_code == 400
    post_id, target_id = failed_post(sandbox, "TOKEN_EXPIRED")
    api.post(f"/posts/{post_id}/retry")
    sandbox.advance(60)
    assert target(api, post_id, target_id)["status"] == "published"


def test_a_target_queued_twice_is_published_twice_and_the_record_says_so(sandbox, api):
    post_id, target_id = failed_post(sandbox, "RATE_LIMITED", cap=1)
    for key in ("retry-first", "retry-second"):
        assert api.post(f"/posts/{post_id}/retry", headers={"Idempotency-Key": key}).status_code == 202
    sandbox.advance(60)
    published = sandbox.effects("target.publish")
    assert {effect["key"] for effect in published} == {"retry-first", "retry-second"}
    assert len({effect["platform_post"] for effect in published}) == len(published) == 2
    doubled = [(entry["kind"], entry["subject"]) for entry in sandbox.duplicates()]
    assert doubled == [("target.requeue", target_id), ("target.publish", target_id)]


def test_a_strict_server_refuses_a_retry_while_one_is_running(sandbox, api):
    sandbox.set_switches(strict_retry=True)
    post_id, _ = failed_post(sandbox, "RATE_LIMITED")
    assert api.post(f"/posts/{post_id}/retry").status_code == 202
    assert api.post(f"/posts/{post_id}/retry").status_code == 409
    sandbox.advance(60)
    assert api.post(f"/posts/{post_id}/retry").status_code == 409
    assert sandbox.duplicates() == []


def test_a_lingering_post_shows_its_old_status_and_version_for_a_while(sandbox, api):
    sandbox.set_switches(linger_failed_seconds=3)
    post_id, target_id = failed_post(sandbox, "RATE_LIMITED", targets=1)
    before = api.get(f"/posts/{post_id}").json()
    assert api.post(f"/posts/{post_id}/retry").json()["status"] == "failed"
    sandbox.advance(2.9)
    during = api.get(f"/posts/{post_id}").json()
    assert (during["status"], during["updatedAt"]) == ("failed", before["updatedAt"])
    sandbox.advance(0.1)
    after = api.get(f"/posts/{post_id}").json()
    assert after["status"] == "publishing"
    assert after["updatedAt"] > before["updatedAt"]
    sandbox.advance(63)
    assert target(api, post_id, target_id)["status"] == "published"


def test_a_stuck_target_is_requeued_and_a_fresh_one_is_not(sandbox, api):
    stuck = next(p for p in sandbox.world.posts.values() if any(t.status == "publishing" for t in p.targets))
    wanted = next(t.id for t in stuck.targets if t.status == "publishing")
    api.post(f"/posts/{stuck.id}/retry")
    assert wanted in [effect["target"] for effect in sandbox.effects("target.requeue")]
    sandbox.advance(60)
    assert target(api, stuck.id, wanted)["status"] == "published"
    post = draft(api, "facebook")
    api.post(f"/posts/{post['id']}/publish")
    while api.get(f"/posts/{post['id']}").json()["platforms"][0]["status"] != "publishing":
        sandbox.advance(0.5)
    skipped = api.post(f"/posts/{post['id']}/retry").json()["skippedPlatforms"]
    assert [entry["reason"] for entry in skipped] == ["publishing"]


@pytest.mark.parametrize("act", ["publish", "retry", "cancel", "unpublish"])
def test_a_state_that_does_not_permit_it_is_409(sandbox, api, act):
    wrong = {"publish": "published", "retry": "draft", "cancel": "published", "unpublish": "draft"}[act]
    post = next(p.id for p in sandbox.world.posts.values() if p.status == wrong)
    answer = api.post(f"/posts/{post}/{act}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")
    assert sandbox.effects() == []


def test_a_cancelled_post_never_goes_out(sandbox, api):
    scheduled = next(p for p in sandbox.world.posts.values() if p.status == "scheduled")
    assert api.post(f"/posts/{scheduled.id}/cancel").json()["status"] == "cancelled"
    sandbox.advance(3 * 86_400)
    assert api.get(f"/posts/{scheduled.id}").json()["status"] == "cancelled"
    assert scheduled.id not in [effect["post"] for effect in sandbox.effects("target.publish")]


@pytest.mark.release
def test_outcomes_depend_on_seed_and_subject_not_on_order():
    def run(backwards: bool) -> dict[str, str]:
        switches = Switches(recovery_rate=0.5, silent_webhooks=True)
        with Sandbox(posts=200, deliveries=0, rate_limit=None, switches=switches) as sandbox:
            posts = sorted(p.id for p in sandbox.world.posts.values() if p.status in ("failed", "partial"))
            headers = {"Authorization": "Bearer vb_test_sandbox"}
            with httpx.Client(base_url=sandbox.url + "/v1", headers=headers, trust_env=False) as api:
                for post in reversed(posts) if backwards else posts:
                    api.post(f"/posts/{post}/retry")
                    sandbox.advance(1.5 if backwards else 0)
            sandbox.advance(120)
            return {t.id: (t.error or {}).get("code", "") for p in posts for t in sandbox.world.posts[p].targets}

    forwards = run(False)
    assert forwards == run(True)
    assert "" in forwards.values()
    assert "RATE_LIMITED" in forwards.values()
