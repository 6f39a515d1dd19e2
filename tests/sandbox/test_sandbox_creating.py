"""Creating and changing posts in the sandbox: what is refused, what happens when, and what an idempotency key keeps."""

from __future__ import annotations

import pytest
from tests.sandbox.support import KEY, account, draft, walk


@pytest.mark.parametrize(("change", "code", "field"), [
    ({"content": ""}, "VALIDATION_ERROR", "content"), ({"content": 5}, "VALIDATION_ERROR", "content"),
    ({"content": None}, "VALIDATION_ERROR", "content"), ({"content": "x" * 10_001}, "CONTENT_TOO_LONG", "content"),
    ({"content": "x" * 281}, "CONTENT_TOO_LONG", "content"), ({"accountIds": []}, "VALIDATION_ERROR", "accountIds"),
    ({"accountIds": [1]}, "VALIDATION_ERROR", "accountIds"),
    ({"accountIds": ["acc_none"]}, "ACCOUNT_NOT_FOUND", "accountIds[0]"),
    ({"scheduledFor": "2026-04-01T10:00:00"}, "INVALID_DATE", "scheduledFor"),
    ({"contentType": "POEM"}, "CONTENT_TYPE_NOT_SUPPORTED", "contentType"),
    ({"metadata": {"note": "x" * 1001}}, "METADATA_LIMIT", "metadata.note"),
    ({"metadata": []}, "VALIDATION_ERROR", "metadata"),
    ({"firstCommentDelay": 61}, "VALIDATION_ERROR", "firstCommentDelay"),
    ({"media": ["media_none"]}, "VALIDATION_ERROR", "media[0]"),
    ({"threadPosts": [{"sequence": 2, "content": "x"}]}, "VALIDATION_ERROR", "threadPosts"),
    ({"threadPosts": [{"sequence": 1}]}, "VALIDATION_ERROR", "threadPosts[0]"),
])  # fmt: skip
def test_a_wrong_post_is_not_created_and_its_field_is_named(sandbox, api, change, code, field):
    answer = api.post("/posts", json={"content": "fine", "accountIds": [account(api, "twitter")], **change})
    assert answer.status_code == (422 if code == "METADATA_LIMIT" else 400)
    assert (answer.json()["error"]["code"], answer.json()["error"]["details"]["field"]) == (code, field)
    assert sandbox.effects() == []


def test_instagram_needs_media_and_a_content_type(api):
    media = walk(api, "/media", status="ready")[0]["id"]
    body = {"content": "x", "accountIds": [account(api, "instagram")]}
    assert api.post("/posts", json=body).json()["error"]["code"] == "MEDIA_REQUIRED"
    assert api.post("/posts", json=body | {"media": [media]}).json()["error"]["code"] == "CONTENT_TYPE_REQUIRED"
    assert api.post("/posts", json=body | {"media": [media], "contentType": "IMAGE"}).status_code == 201


def test_without_a_time_a_post_is_a_draft_or_goes_out_as_the_reading_says(sandbox, api):
    body = {"content": "now or never", "accountIds": [account(api, "facebook")]}
    assert api.post("/posts", json=body).json()["status"] == "publishing"
    sandbox.set_switches(publish_on_create=False)
    assert api.post("/posts", json=body).json()["status"] == "draft"


def test_a_scheduled_post_goes_out_at_its_time(sandbox, api):
    body = {"content": "later", "accountIds": [account(api, "facebook")], "scheduledFor": "2026-03-02T12:00:00+02:00"}
    made = api.post("/posts", json=body).json()
    assert (made["status"], made["scheduledFor"]) == ("scheduled", "2026-03-02T10:00:00.000Z")
    sandbox.advance(3599)
    assert api.get(f"/posts/{made['id']}").json()["status"] == "scheduled"
    sandbox.advance(100)
    assert api.get(f"/posts/{made['id']}").json()["status"] == "published"


def test_a_bulk_reports_each_item_by_its_index(sandbox, api):
    good = {"content": "fine", "accountIds": [account(api, "twitter")], "scheduledFor": "2026-03-09T10:00:00Z"}
    bad = {"content": "x" * 300, "accountIds": [account(api, "twitter"), "acc_none"]}
    answer = api.post("/posts/bulk", json={"posts": [good, bad, good | {"content": "also fine"}]})
    data = answer.json()
    assert answer.status_code == 207
    assert (data["dry_run"], data["total"], data["created"], data["failed"]) == (False, 3, 2, 1)
    assert [item["index"] for item in data["results"]] == [0, 1, 2]
    assert [item["status"] for item in data["results"]] == ["created", "failed", "created"]
    assert {error["issue"] for error in data["results"][1]["errors"]} == {"CONTENT_TOO_LONG", "ACCOUNT_NOT_FOUND"}
    assert "postId" not in data["results"][1]
    assert "errors" not in data["results"][0]
    assert [effect["post"] for effect in sandbox.effects("post.create")] == [
        item["postId"] for item in data["results"] if item["status"] == "created"
    ]
    assert api.post("/posts/bulk", json={"posts": [good]}).status_code == 201
    assert api.post("/posts/bulk", json={"posts": [bad]}).status_code == 207
    assert api.post("/posts/bulk", json={"posts": [good] * 51}).status_code == 400


def test_one_bad_item_refuses_the_whole_bulk_where_that_is_the_reading(sandbox, api):
    sandbox.set_switches(bulk_refuses_whole=True)
    good = {"content": "fine", "accountIds": [account(api, "twitter")], "scheduledFor": "2026-03-09T10:00:00Z"}
    answer = api.post("/posts/bulk", json={"posts": [good, good | {"accountIds": ["acc_none"]}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "ACCOUNT_NOT_FOUND")
    assert answer.json()["error"]["details"] == {"field": "posts[1].accountIds[0]", "index": 1}
    assert sandbox.effects() == []


def test_an_edit_of_tags_moves_only_the_version(sandbox, api):
    before = walk(api, "/posts", status="failed")[0]
    sandbox.touch(before["id"])
    after = walk(api, "/posts", status="failed")[0]
    assert after["updatedAt"] > before["updatedAt"]
    assert after["platforms"] == before["platforms"]
    with pytest.raises(ValueError, match="post_none"):
        sandbox.touch("post_none")


def test_a_dry_run_creates_nothing_and_does_not_act(sandbox, api):
    good = {"content": "fine", "accountIds": [account(api, "twitter")], "scheduledFor": "2026-03-09T10:00:00Z"}
    answer = api.post("/posts/bulk", json={"posts": [good], "dryRun": True})
    assert (answer.status_code, answer.json()["results"]) == (200, [{"index": 0, "status": "valid"}])
    assert sandbox.effects() == []
    assert sandbox.requests(acting=True) == []


def test_a_patch_needs_the_present_version(sandbox, api):
    post = draft(api)
    stale = api.patch(f"/posts/{post['id']}", json={"content": "new"}, headers={"If-Match": "2020-01-01T00:00:00.000Z"})
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "CONFLICT")
    fresh = api.patch(f"/posts/{post['id']}", json={"content": "new"}, headers={"If-Match": f'"{post["updatedAt"]}"'})
    assert fresh.json()["content"] == "new"
    assert fresh.json()["updatedAt"] > post["updatedAt"]
    assert [p["postPlatformId"] for p in fresh.json()["platforms"]] == [p["postPlatformId"] for p in post["platforms"]]


def test_a_batch_runs_its_operations_in_order(sandbox, api):
    post = draft(api)
    operations = [
        {"id": "a", "method": "PATCH", "path": f"/v1/posts/{post['id']}", "body": {"content": "changed"}},
        {"id": "b", "method": "DELETE", "path": "/v1/posts/post_none"},
        {"id": "c", "method": "DELETE", "path": f"/v1/posts/{post['id']}"},
    ]
    stopped = api.post("/batch", json={"operations": operations, "continueOnError": False}).json()
    assert [result["status"] for result in stopped["results"]] == [200, 404, 424]
    assert stopped["summary"] == {"total": 3, "succeeded": 1, "failed": 1, "skipped": 1}
    through = api.post("/batch", json={"operations": operations}).json()
    assert [result["status"] for result in through["results"]] == [200, 404, 200]
    kinds = [effect["kind"] for effect in sandbox.effects() if effect["kind"] in ("post.update", "post.delete")]
    assert kinds == ["post.update", "post.update", "post.delete"]


def test_a_batch_with_odd_headers_is_refused(sandbox, api):
    for headers in ("x", ["x"], 0):
        operation = {"id": "a", "method": "DELETE", "path": "/v1/posts/post_none", "headers": headers}
        answer = api.post("/batch", json={"operations": [operation]})
        assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, "operations[0]")
    assert api.post("/batch", json={"operations": [operation | {"headers": None}]}).status_code == 207


def test_the_same_key_replays_the_answer_without_running_again(sandbox, api):
    body = {"content": "once", "accountIds": [account(api, "facebook")]}
    first, second = (api.post("/posts", json=body, headers=KEY) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert len(sandbox.effects("post.create")) == 1
    assert [entry["replay"] for entry in sandbox.requests(acting=True)] == [False, True]
    assert [entry["effect"] for entry in sandbox.requests(acting=True)] == [True, False]


@pytest.mark.parametrize("key", ["short", "x" * 256, "white space", "semi;colon"])
def test_a_malformed_key_is_refused_before_anything_happens(sandbox, api, key):
    post = draft(api)
    answer = api.post(f"/posts/{post['id']}/cancel", headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "IDEMPOTENCY_INVALID_KEY")
    assert sandbox.effects("post.cancel") == []


def test_a_key_is_forgotten_after_its_retention(sandbox, api):
    body = {"content": "once a day", "accountIds": [account(api, "facebook")]}
    api.post("/posts", json=body, headers=KEY)
    sandbox.advance(86_399)
    api.post("/posts", json=body, headers=KEY)
    assert len(sandbox.effects("post.create")) == 1
    sandbox.advance(1)
    api.post("/posts", json=body, headers=KEY)
    assert len(sandbox.effects("post.create")) == 2


def test_a_refusal_is_stored_too_and_a_key_is_good_for_no_other_path(sandbox, api):
    post = draft(api)
    api.post(f"/posts/{post['id']}/cancel")
    first, second = (api.post(f"/posts/{post['id']}/publish", headers=KEY) for _ in range(2))
    assert first.status_code == second.status_code == 409
    assert sandbox.requests()[-1]["replay"] is True
    elsewhere = api.post(f"/posts/{post['id']}/cancel", headers=KEY)
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")


def test_equal_json_is_the_same_body_only_where_the_reading_says_so(sandbox, api):
    one = b'{"content":"x","accountIds":["%s"]}' % account(api, "facebook").encode()
    two = one.replace(b'":"x"', b'": "x"')
    api.post("/posts", content=one, headers=KEY)
    assert api.post("/posts", content=two, headers=KEY).status_code == 409
    sandbox.reset()
    sandbox.set_switches(json_bodies=True)
    api.post("/posts", content=one, headers=KEY)
    assert api.post("/posts", content=two, headers=KEY).status_code == 201
    assert len(sandbox.effects("post.create")) == 1


def test_an_ignored_key_protects_nothing(sandbox, api):
    sandbox.set_switches(ignore_keys=True)
    body = {"content": "twice", "accountIds": [account(api, "facebook")], "metadata": {"voxopsOp": "m1"}}
    first, second = (api.post("/posts", json=body, headers=KEY).json()["id"] for _ in range(2))
    assert first != second
    assert [(entry["kind"], entry["subject"]) for entry in sandbox.duplicates()] == [("post.create", "mark m1")]
