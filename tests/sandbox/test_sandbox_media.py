"""Media of the sandbox: uploads to its storage, what becomes of them, and accounts that are disconnected."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.sandbox.support import account

FILE = {"filename": "a.jpg", "contentType": "image/jpeg", "sizeBytes": 5}
VIDEO = {"filename": "a.mp4", "contentType": "video/mp4", "sizeBytes": 500}


def upload(api, content: bytes = b"bytes", **file: Any) -> tuple[str, dict[str, Any]]:
    body = {**FILE, "sizeBytes": len(content), **file}
    answer = api.post("/media/upload", json=body).json()
    return answer["mediaId"], answer


def test_row_33_takes_the_bytes_and_tells_the_webhooks(sandbox, api):
    sandbox.set_switches(silent_webhooks=False)
    media, link = upload(api, b"hello")
    assert link["uploadUrl"].startswith(sandbox.storage_url)
    answer = httpx.put(link["uploadUrl"], content=b"hello", headers=link["uploadHeaders"], trust_env=False)
    assert answer.status_code == 200
    assert api.get(f"/media/{media}").json()["status"] == "processing"
    sandbox.advance(30)
    assert api.get(f"/media/{media}").json()["status"] == "ready"
    again = httpx.put(link["uploadUrl"], content=b"hello", headers=link["uploadHeaders"], trust_env=False)
    assert again.status_code == 200
    assert [effect["first"] for effect in sandbox.effects("media.upload")] == [True, False]
    events = [entry["headers"]["x-voxburst-event"] for entry in sandbox.received()]
    assert events == ["media.uploaded"]


@pytest.mark.parametrize(("extra", "status"), [
    ({"Authorization": "Bearer vb_test_sandbox"}, 400), ({"Cookie": "a=b"}, 400), ({"Content-Type": "image/png"}, 403),
])  # fmt: skip
def test_the_storage_refuses_what_is_not_its_own(sandbox, api, extra, status):
    media, link = upload(api)
    answer = httpx.put(link["uploadUrl"], content=b"bytes", headers=link["uploadHeaders"] | extra, trust_env=False)
    assert answer.status_code == status
    assert answer.text.startswith("<?xml")
    assert api.get(f"/media/{media}").json()["status"] == "pending"


def test_an_upload_address_expires_and_is_renewed(sandbox, api):
    media, link = upload(api)
    sandbox.advance(901)
    late = httpx.put(link["uploadUrl"], content=b"bytes", headers=link["uploadHeaders"], trust_env=False)
    assert (late.status_code, "expired" in late.text) == (403, True)
    fresh = api.post(f"/media/{media}/refresh-presign").json()
    assert fresh["uploadUrl"] != link["uploadUrl"]
    assert (
        httpx.put(fresh["uploadUrl"], content=b"bytes", headers=fresh["uploadHeaders"], trust_env=False).status_code
        == 200
    )
    assert api.post(f"/media/{media}/refresh-presign").status_code == 409


def test_a_short_upload_is_not_taken(sandbox, api):
    media, link = upload(api, b"12345")
    answer = httpx.put(link["uploadUrl"], content=b"123", headers=link["uploadHeaders"], trust_env=False)
    assert answer.status_code == 400
    assert api.get(f"/media/{media}").json()["status"] == "pending"


def test_a_png_becomes_a_jpeg_and_a_broken_file_fails(sandbox, api):
    ids = []
    for name in ("a.png", "broken.png"):
        media, link = upload(api, filename=name, contentType="image/png")
        httpx.put(link["uploadUrl"], content=b"bytes", headers=link["uploadHeaders"], trust_env=False)
        ids.append(media)
    sandbox.advance(30)
    good, broken = (api.get(f"/media/{key}").json() for key in ids)
    assert (good["status"], good["contentType"]) == ("ready", "image/jpeg")
    assert (broken["status"], broken["validationResults"][0]["code"]) == ("failed", "MEDIA_PROCESSING_FAILED")
    body = {"content": "x", "accountIds": [account(api, "facebook")], "media": [ids[1]]}
    assert api.post("/posts", json=body).status_code == 400


@pytest.mark.parametrize("change", [
    {"sizeBytes": 20 * 1024 * 1024 + 1}, {"sizeBytes": 0}, {"contentType": "image/bmp"}, {"filename": ""},
])  # fmt: skip
def test_a_file_that_can_not_be_taken_is_refused(sandbox, api, change):
    assert api.post("/media/upload", json=FILE | change).status_code == 400


def test_many_files_have_many_results(sandbox, api):
    answer = api.post("/media/bulk-presign", json={"files": [FILE, {**FILE, "contentType": "x/y"}]})
    assert answer.status_code == 207
    assert [(r["index"], r["status"], "uploadUrl" in r) for r in answer.json()["results"]] == [
        (0, "created", True), (1, "failed", False),
    ]  # fmt: skip
    videos = {"videos": [{**VIDEO, "sizeBytes": 500 * 1024 * 1024}] * 21}
    assert api.post("/media/bulk-video-upload-urls", json=videos).status_code == 400


def test_disconnected_accounts_are_left_out_unless_asked_for(sandbox, api):
    gone = account(api, "threads")
    api.delete(f"/accounts/{gone}")

    def ids(**params: str) -> set[str]:
        return {a["id"] for a in api.get("/accounts", params={"limit": 100, **params}).json()["data"]}

    assert gone not in ids()
    assert gone in ids(status="all")
    assert gone in ids(includeArchived="true")
    assert ids(status="DISCONNECTED") == {gone}
    assert api.get(f"/accounts/{gone}").json()["status"] == "disconnected"


def test_a_login_gives_a_key(sandbox, api):
    url = sandbox.url + "/v1/auth/login"
    answer = httpx.post(url, json={"email": "a@b.example", "password": "sandbox"}, trust_env=False)
    assert answer.json() == {"accessToken": "vb_test_second"}
    assert httpx.post(url, json={"email": "a@b.example", "password": "x"}, trust_env=False).status_code == 401
