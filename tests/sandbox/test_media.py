"""Media of the sandbox: uploads to its storage, and what becomes of them."""

from __future__ import annotations

import httpx
import pytest
from tests.sandbox.support import fields

FILE = {"filename": "a.jpg", "contentType": "image/jpeg", "sizeBytes": 5}
VIDEO = {"filename": "a.mp4", "contentType": "video/mp4", "sizeBytes": 500 * 1024 * 1024}


@pytest.fixture
def upload(api):
    """Announce a file, and send bytes to its address."""

    def put(content=b"bytes", headers=None, **file):
        link = api.post("/media/upload", json=FILE | file).json()
        headers = link["uploadHeaders"] | (headers or {})
        return httpx.put(link["uploadUrl"], content=content, headers=headers, trust_env=False), link["mediaId"]

    return put


@pytest.mark.parametrize(("content", "headers", "status"), [
    (b"bytes", {"Authorization": "Bearer vb_test_sandbox"}, 400), (b"bytes", {"Cookie": "a=b"}, 400),
    (b"bytes", {"Content-Type": "image/png"}, 403), (b"byt", {}, 400),
])  # fmt: skip
def test_the_storage_refuses_what_is_not_its_own(api, upload, content, headers, status):
    answer, key = upload(content, headers)
    assert answer.status_code == status
    assert answer.text.startswith("<?xml")
    assert api.read(f"/media/{key}")["status"] == "pending"


def test_a_png_becomes_a_jpeg_and_a_broken_file_fails(sandbox, api, upload):
    keys = [upload(filename=name, contentType="image/png")[1] for name in ("a.png", "broken.png")]
    sandbox.advance(30)
    good, broken = (api.read(f"/media/{key}") for key in keys)
    assert (good["status"], good["contentType"]) == ("ready", "image/jpeg")
    assert (broken["status"], broken["validationResults"][0]["code"]) == ("failed", "MEDIA_PROCESSING_FAILED")
    assert api.post("/posts", json=fields(api, media=[broken["id"]])).status_code == 400


@pytest.mark.parametrize(("path", "body", "status"), [
    ("upload", FILE | {"sizeBytes": 20 * 1024 * 1024 + 1}, 400), ("upload", FILE | {"sizeBytes": 0}, 400),
    ("upload", FILE | {"contentType": "image/bmp"}, 400), ("upload", FILE | {"filename": ""}, 400),
    ("bulk-video-upload-urls", {"videos": [VIDEO] * 20}, 201),
    ("bulk-video-upload-urls", {"videos": [VIDEO] * 21}, 400),
])  # fmt: skip
def test_a_file_that_can_not_be_taken_is_refused(api, path, body, status):
    assert api.post(f"/media/{path}", json=body).status_code == status
