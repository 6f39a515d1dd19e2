"""Every row of the matrix over a socket: its effect, its key, its scope, its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from voxburst_sandbox import Sandbox, Switches
from voxops.api.matrix import MATRIX, Endpoint


@dataclass
class Setting:
    """A running sandbox with something of every kind in it."""

    sandbox: Sandbox
    api: httpx.Client

    def account(self, platform: str, status: str = "active") -> str:
        accounts = self.sandbox.world.accounts.values()
        return next(a.id for a in accounts if (a.platform, a.status) == (platform, status))

    def post(self, status: str) -> str:
        return next(p.id for p in self.sandbox.world.posts.values() if p.status == status)

    def draft(self, **more: Any) -> str:
        body = {"content": "A draft", "accountIds": [self.account("facebook")], "saveAsDraft": True, **more}
        return str(self.api.post("/v1/posts", json=body).json()["id"])

    def recurring(self) -> str:
        key = self.draft()
        assert self.api.post(f"/v1/posts/{key}/recurrence", json={"frequency": "DAILY"}).status_code == 201
        return key

    def failed_target(self) -> str:
        post = next(p for p in self.sandbox.world.posts.values() if any(t.status == "failed" for t in p.targets))
        return f"{post.id}/platforms/{next(t.id for t in post.targets if t.status == 'failed')}"

    def unpublishable(self) -> str:
        active = {a.id for a in self.sandbox.world.accounts.values() if a.status == "active"}
        posts = (p for p in self.sandbox.world.posts.values() if p.status == "published")
        return next(p.id for p in posts if all(t.account_id in active for t in p.targets))

    def media(self, status: str = "ready") -> str:
        return next(m.id for m in self.sandbox.world.media.values() if m.status == status)

    def webhook(self) -> str:
        return list(self.sandbox.world.webhooks)[1]

    def delivery(self) -> str:
        return next(d.id for d in self.sandbox.world.deliveries.values() if d.webhook_id == self.webhook())

    def granted(self) -> dict[str, str]:
        link = self.api.post("/v1/accounts/connect/threads", json={}).json()
        return dict(httpx.get(link["url"], trust_env=False).json())


FILE = {"filename": "a.jpg", "contentType": "image/jpeg", "sizeBytes": 5}
VIDEO = {"filename": "a.mp4", "contentType": "video/mp4", "sizeBytes": 500}

# Row -> path and body that it takes in a setting, status of a success, kind of the effect.
CALLS: dict[int, tuple[Callable[[Setting], tuple[str, Any]], int, str]] = {
    1: (lambda s: ("/v1/posts", {"content": "x", "accountIds": [s.account("facebook")]}), 201, "post.create"),
    2: (lambda s: (f"/v1/posts/{s.draft()}", {"content": "y"}), 200, "post.update"),
    3: (lambda s: (f"/v1/posts/{s.draft()}", None), 200, "post.delete"),
    4: (lambda s: (f"/v1/posts/{s.draft()}/publish", None), 202, "post.publish"),
    5: (lambda s: (f"/v1/posts/{s.post('failed')}/retry", None), 202, "post.retry"),
    6: (lambda s: (f"/v1/posts/{s.draft()}/cancel", None), 200, "post.cancel"),
    7: (lambda s: (f"/v1/posts/{s.post('published')}/clone", None), 201, "post.clone"),
    8: (lambda s: (f"/v1/posts/{s.post('published')}/duplicate", None), 201, "post.duplicate"),
    9: (lambda s: (f"/v1/posts/{s.unpublishable()}/unpublish", None), 200, "post.unpublish"),
    10: (lambda s: (f"/v1/posts/{s.failed_target()}/fix", {}), 202, "target.fix"),
    11: (lambda s: ("/v1/posts/bulk", {"posts": [{"content": "b", "accountIds": [s.account("facebook")]}]}), 201, "post.create"),
    12: (lambda s: ("/v1/posts/bulk-video", {"videos": [{"content": "v", "accountIds": [s.account("facebook")], "mediaId": s.media()}]}), 201, "post.create"),
    13: (lambda _: ("/v1/posts/validate", {"content": "x", "platforms": ["TWITTER"]}), 200, ""),
    14: (lambda s: (f"/v1/posts/{s.draft()}/recurrence", {"frequency": "WEEKLY"}), 201, "recurrence.create"),
    15: (lambda s: (f"/v1/posts/{s.recurring()}/recurrence", {"frequency": "MONTHLY"}), 200, "recurrence.update"),
    16: (lambda s: (f"/v1/posts/{s.recurring()}/recurrence", None), 200, "recurrence.delete"),
    17: (lambda _: ("/v1/accounts/connect/threads", {"redirectUri": "https://app.example/back"}), 200, "account.connect"),
    18: (lambda s: ("/v1/accounts/callback/threads", s.granted()), 200, "account.connected"),
    19: (lambda s: (f"/v1/accounts/{s.account('threads')}", None), 200, "account.disconnect"),
    20: (lambda s: (f"/v1/accounts/{s.account('threads')}/refresh", None), 200, "account.refresh"),
    21: (lambda s: (f"/v1/accounts/{s.account('threads')}/test", None), 200, "account.test"),
    22: (lambda s: (f"/v1/accounts/{s.account('facebook')}/select-page", {"pageId": "page_1"}), 200, "account.page"),
    23: (lambda s: (f"/v1/accounts/{s.account('threads')}/backfill", None), 202, "account.backfill"),
    24: (lambda _: ("/v1/media/upload", FILE), 201, "media.create"),
    25: (lambda s: (f"/v1/media/{s.media()}", None), 200, "media.delete"),
    26: (lambda s: (f"/v1/media/{s.media()}/validate", None), 202, "media.validate"),
    27: (lambda _: ("/v1/media/register", {"url": "https://cdn.example/a.jpg", "contentType": "image/jpeg"}), 201, "media.register"),
    28: (lambda _: ("/v1/media/bulk-presign", {"files": [FILE]}), 201, "media.create"),
    29: (lambda _: ("/v1/media/bulk-video-upload-urls", {"videos": [VIDEO]}), 201, "media.create"),
    30: (lambda s: ("/v1/media/bulk-validate", {"mediaIds": [s.media()]}), 202, "media.validate"),
    31: (lambda _: ("/v1/media/import-from-url", {"url": "https://cdn.example/b.jpg"}), 202, "media.import"),
    32: (lambda _: ("/v1/media/import-from-drive", {"fileId": "drive-1"}), 202, "media.import"),
    34: (lambda _: ("/v1/webhooks", {"url": "https://new.example/hook", "events": ["*"]}), 201, "webhook.create"),
    35: (lambda s: (f"/v1/webhooks/{s.webhook()}", {"enabled": False}), 200, "webhook.update"),
    36: (lambda s: (f"/v1/webhooks/{s.webhook()}", None), 200, "webhook.delete"),
    37: (lambda s: (f"/v1/webhooks/{s.webhook()}/rotate-secret", None), 200, "webhook.rotate"),
    38: (lambda s: ("/v1/webhooks/test", {"webhookId": s.webhook()}), 200, "webhook.test"),
    39: (lambda s: (f"/v1/webhooks/{s.webhook()}/deliveries/{s.delivery()}/retry", None), 202, "delivery.resend"),
}  # fmt: skip
ROWS = [row for row in MATRIX if row.row in CALLS]
KEY = {"Idempotency-Key": "6f1c0e52-5c4e-4a43-9f0e-7a3a4a7d8c11"}


@pytest.fixture
def setting():
    with Sandbox(posts=300, deliveries=60, rate_limit=None, switches=Switches(silent_webhooks=True)) as sandbox:
        headers = {"Authorization": "Bearer vb_test_sandbox"}
        with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False) as api:
            yield Setting(sandbox, api)


def test_every_row_but_the_direct_upload_is_listed_here():
    assert sorted(CALLS) == [row.row for row in MATRIX if row.row != 33]
    assert len(MATRIX) == 39


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_acts_once_under_one_key(setting: Setting, row: Endpoint):
    call, status, kind = CALLS[row.row]
    path, body = call(setting)
    before = len(setting.sandbox.effects(kind)) if kind else 0
    first, second = (setting.api.request(row.method, path, json=body, headers=KEY) for _ in range(2))
    assert first.status_code == status, first.text
    assert first.json() is not None
    happened = len(setting.sandbox.effects(kind)) - before if kind else 0
    if row.idempotent:
        assert happened == 1
        assert (second.status_code, second.content) == (first.status_code, first.content)
        other = setting.api.request(row.method, path, json={**(body or {}), "another": 1}, headers=KEY)
        assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    elif kind:
        assert happened == (1 if row.row == 18 else 2)
    if row.is_async:
        assert status == 202
    if row.partial and body:
        assert first.json().get("results") or row.row == 10


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_needs_the_right_to_write(setting: Setting, row: Endpoint):
    path, body = CALLS[row.row][0](setting)
    since = len(setting.sandbox.effects())
    headers = {"Authorization": "Bearer vb_test_readonly"}
    answer = httpx.request(row.method, setting.sandbox.url + path, json=body, headers=headers, trust_env=False)
    assert answer.status_code == (200 if row.row == 13 else 403)
    assert setting.sandbox.effects(since=since) == []


@pytest.mark.parametrize("row", [row for row in ROWS if row.method == "DELETE" and row.row != 16], ids=str)
def test_a_delete_may_answer_without_a_body(setting: Setting, row: Endpoint):
    setting.sandbox.set_switches(delete_204=True)
    path, _ = CALLS[row.row][0](setting)
    answer = setting.api.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(("row", "path", "read"), [
    (4, "/v1/posts/{}", lambda d: d["status"] not in ("publishing", "draft")),
    (23, "/v1/accounts/{}", lambda d: d["backfill"]["status"] == "completed"),
    (26, "/v1/media/{}", lambda d: d["status"] == "ready"),
    (31, "/v1/media/{}", lambda d: d["metadata"]["importStatus"] == "completed" and d["status"] == "ready"),
    (32, "/v1/media/{}", lambda d: d["metadata"]["importStatus"] == "completed"),
])  # fmt: skip
def test_an_async_row_ends_where_its_read_says(setting: Setting, row: int, path: str, read: Callable[[Any], bool]):
    where, body = CALLS[row][0](setting)
    answer = setting.api.post(where, json=body).json()
    now = setting.api.get(path.format(answer["id"])).json()
    assert not read(now)
    setting.sandbox.advance(120)
    assert read(setting.api.get(path.format(answer["id"])).json())


def upload(setting: Setting, content: bytes = b"bytes", **file: Any) -> tuple[str, dict[str, Any]]:
    body = {**FILE, "sizeBytes": len(content), **file}
    answer = setting.api.post("/v1/media/upload", json=body).json()
    return answer["mediaId"], answer


def test_row_33_takes_the_bytes_and_tells_the_webhooks(setting: Setting):
    setting.sandbox.set_switches(silent_webhooks=False)
    media, link = upload(setting, b"hello")
    assert link["uploadUrl"].startswith(setting.sandbox.storage_url)
    answer = httpx.put(link["uploadUrl"], content=b"hello", headers=link["uploadHeaders"], trust_env=False)
    assert answer.status_code == 200
    assert setting.api.get(f"/v1/media/{media}").json()["status"] == "processing"
    setting.sandbox.advance(30)
    assert setting.api.get(f"/v1/media/{media}").json()["status"] == "ready"
    again = httpx.put(link["uploadUrl"], content=b"hello", headers=link["uploadHeaders"], trust_env=False)
    assert again.status_code == 200
    assert [effect["first"] for effect in setting.sandbox.effects("media.upload")] == [True, False]
    events = [entry["headers"]["x-voxburst-event"] for entry in setting.sandbox.received()]
    assert events == ["media.uploaded"]


@pytest.mark.parametrize(("extra", "status"), [
    ({"Authorization": "Bearer vb_test_sandbox"}, 400), ({"Cookie": "a=b"}, 400), ({"Content-Type": "image/png"}, 403),
])  # fmt: skip
def test_the_storage_refuses_what_is_not_its_own(setting: Setting, extra: dict[str, str], status: int):
    media, link = upload(setting)
    answer = httpx.put(link["uploadUrl"], content=b"bytes", headers=link["uploadHeaders"] | extra, trust_env=False)
    assert answer.status_code == status
    assert answer.text.startswith("<?xml")
    assert setting.api.get(f"/v1/media/{media}").json()["status"] == "pending"


def test_an_upload_address_expires_and_is_renewed(setting: Setting):
    media, link = upload(setting)
    setting.sandbox.advance(901)
    late = httpx.put(link["uploadUrl"], content=b"bytes", headers=link["uploadHeaders"], trust_env=False)
    assert (late.status_code, "expired" in late.text) == (403, True)
    fresh = setting.api.post(f"/v1/media/{media}/refresh-presign").json()
    assert fresh["uploadUrl"] != link["uploadUrl"]
    assert (
        httpx.put(fresh["uploadUrl"], content=b"bytes", headers=fresh["uploadHeaders"], trust_env=False).status_code
        == 200
    )
    assert setting.api.post(f"/v1/media/{media}/refresh-presign").status_code == 409


def test_a_short_upload_is_not_taken(setting: Setting):
    media, link = upload(setting, b"12345")
    answer = httpx.put(link["uploadUrl"], content=b"123", headers=link["uploadHeaders"], trust_env=False)
    assert answer.status_code == 400
    assert setting.api.get(f"/v1/media/{media}").json()["status"] == "pending"


def test_a_png_becomes_a_jpeg_and_a_broken_file_fails(setting: Setting):
    ids = []
    for name in ("a.png", "broken.png"):
        media, link = upload(setting, filename=name, contentType="image/png")
        httpx.put(link["uploadUrl"], content=b"bytes", headers=link["uploadHeaders"], trust_env=False)
        ids.append(media)
    setting.sandbox.advance(30)
    good, broken = (setting.api.get(f"/v1/media/{key}").json() for key in ids)
    assert (good["status"], good["contentType"]) == ("ready", "image/jpeg")
    assert (broken["status"], broken["validationResults"][0]["code"]) == ("failed", "MEDIA_PROCESSING_FAILED")
    body = {"content": "x", "accountIds": [setting.account("facebook")], "media": [ids[1]]}
    assert setting.api.post("/v1/posts", json=body).status_code == 400


@pytest.mark.parametrize("change", [
    {"sizeBytes": 20 * 1024 * 1024 + 1}, {"sizeBytes": 0}, {"contentType": "image/bmp"}, {"filename": ""},
])  # fmt: skip
def test_a_file_that_can_not_be_taken_is_refused(setting: Setting, change: dict[str, Any]):
    assert setting.api.post("/v1/media/upload", json=FILE | change).status_code == 400


def test_many_files_have_many_results(setting: Setting):
    answer = setting.api.post("/v1/media/bulk-presign", json={"files": [FILE, {**FILE, "contentType": "x/y"}]})
    assert answer.status_code == 207
    assert [(r["index"], r["status"], "uploadUrl" in r) for r in answer.json()["results"]] == [
        (0, "created", True), (1, "failed", False),
    ]  # fmt: skip
    videos = {"videos": [{**VIDEO, "sizeBytes": 500 * 1024 * 1024}] * 21}
    assert setting.api.post("/v1/media/bulk-video-upload-urls", json=videos).status_code == 400


def test_disconnected_accounts_are_left_out_unless_asked_for(setting: Setting):
    gone = setting.account("threads")
    setting.api.delete(f"/v1/accounts/{gone}")

    def ids(**params: str) -> set[str]:
        return {a["id"] for a in setting.api.get("/v1/accounts", params={"limit": 100, **params}).json()["data"]}

    assert gone not in ids()
    assert gone in ids(status="all")
    assert gone in ids(includeArchived="true")
    assert ids(status="DISCONNECTED") == {gone}
    assert setting.api.get(f"/v1/accounts/{gone}").json()["status"] == "disconnected"


def test_a_login_gives_a_key(setting: Setting):
    url = setting.sandbox.url + "/v1/auth/login"
    answer = httpx.post(url, json={"email": "a@b.example", "password": "sandbox"}, trust_env=False)
    assert answer.json() == {"accessToken": "vb_test_second"}
    assert httpx.post(url, json={"email": "a@b.example", "password": "x"}, trust_env=False).status_code == 401
