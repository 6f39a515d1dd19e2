"""Uploads go where they may, with what they need, and leave no signature in a log (point 11 of the review of leaks)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from tests.security.raw import Raw, answer, serve

from voxops.client import AsyncClient
from voxops.client._address import upload_host
from voxops.client._transport import _storage_headers
from voxops.client.outgoing import post_json
from voxops.errors import ApiError, ConfigError

SIGNATURE = "c0ffee5161a7012e"
HERE, AWAY = "http://127.0.0.1:8080", "https://api.voxburst.io"


@pytest.mark.parametrize(("url", "api", "host"), [
    ("https://bucket.s3.amazonaws.com/key?X-Amz-Signature=1", AWAY, "bucket.s3.amazonaws.com"),
    ("https://bucket.s3.amazonaws.com/key", HERE, "bucket.s3.amazonaws.com"),
    ("http://127.0.0.1:9000/key", HERE, "127.0.0.1"), ("http://localhost:9000/key", "http://[::1]:80", "localhost"),
    ("http://127.0.0.1:9000/key", AWAY, None), ("http://localhost/admin", AWAY, None),
    ("http://[::1]:2375/containers/create", AWAY, None), ("http://storage.example/key", HERE, None),
    ("https://user:word@storage.example/key", AWAY, None), ("https://storage.example\\@evil.example/", AWAY, None),
    ("https://[::1].evil.example/", AWAY, None), ("https://stor\u200bage.example/key", AWAY, None),
    ("https://storage.example/\r\nHost: x", AWAY, None), ("ftp://storage.example", AWAY, None),
    ("https://" + "a" * 70_000, AWAY, None),
])  # fmt: skip
def test_plain_http_goes_to_this_machine_only_where_the_api_is_here(url, api, host):
    if host is not None:
        assert upload_host(url, api=api) == host
        return
    with pytest.raises(ConfigError, match="nothing was uploaded"):
        upload_host(url, api=api)


def test_headers_for_the_storage_are_those_that_an_object_store_signs():
    wanted = {
        "Content-Type": "image/jpeg", "content-md5": "x", "x-amz-acl": "private", "x-goog-meta-a": "b",
        "x-ms-blob-type": "BlockBlob",
    }  # fmt: skip
    others = {
        "Authorization": "Bearer x", "Cookie": "a=b", "Host": "internal", "Content-Length": "0", "Transfer-Encoding": "chunked",
        "Proxy-Authorization": "x", "X-Forwarded-For": "10.0.0.1", "X-Api-Key": "x", "Expect": "100-continue", "Upgrade": "h2c",
        "x-amz-evil": "a\r\nHost: internal", "x-amz-é": "a", "x-amz-b": "é",
    }  # fmt: skip
    assert _storage_headers({**wanted, **others}) == wanted


def test_no_signature_is_logged_that_a_redirect_repeats(tmp_path, caplog):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" + bytes(100))
    query = f"X-Amz-Signature={SIGNATURE}&X-Amz-Expires=900"

    def api(head: bytes, _: bytes) -> Iterator[bytes]:
        if head.startswith(b"PUT"):
            yield answer(b"", "307 Temporary Redirect", Location=f"https://bucket.example/a.jpg?{query}")
            return
        yield answer(json.dumps({"mediaId": "media_1", "uploadUrl": f"{server.url}/bucket/a.jpg?{query}"}).encode())

    async def send(url: str) -> Any:
        async with AsyncClient("vb_live_a_key_of_a_test", url=url) as client:
            return await client.uploads.send(photo)

    with caplog.at_level(logging.DEBUG), serve(api) as server, pytest.raises(ApiError, match="307"):
        asyncio.run(send(server.url))
    assert "https://bucket.example/a.jpg?***" in caplog.text
    assert SIGNATURE not in caplog.text


def test_the_address_that_a_report_goes_to_is_in_no_log(caplog):
    with caplog.at_level(logging.DEBUG), serve(answer(b"")) as server:
        assert post_json(f"{server.url}/services/T012/B034/{SIGNATURE}?key={SIGNATURE}", b"{}") == 200
    assert "HTTP Request: POST" in caplog.text
    assert SIGNATURE not in caplog.text


def test_no_signature_is_logged_and_no_foreign_header_sent(tmp_path, caplog):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" + bytes(100))

    def api(head: bytes, _: bytes) -> Iterator[bytes]:
        if head.startswith(b"PUT"):
            yield answer(b"")
            return
        place = {
            "mediaId": "media_1",
            "uploadUrl": f"{server.url}/bucket/a%20b.jpg?X-Amz-Signature={SIGNATURE}&X-Amz-Expires=900",
            "uploadHeaders": {"Content-Type": "image/jpeg", "X-Internal-Role": "admin", "x-amz-meta-a": "b"},
        }
        yield answer(json.dumps(place).encode())

    async def send(url: str) -> Any:
        async with AsyncClient("vb_live_a_key_of_a_test", url=url) as client:
            return await client.uploads.send(photo)

    with caplog.at_level(logging.DEBUG), serve(api) as server:
        assert isinstance(server, Raw)
        done = asyncio.run(send(server.url))
    assert done.media_id == "media_1"
    put, body = server.requests[-1]
    assert put.startswith(f"PUT /bucket/a%20b.jpg?X-Amz-Signature={SIGNATURE}&X-Amz-Expires=900 HTTP/1.1".encode())
    assert (
        b"x-amz-meta-a: b" in put.lower()
        and b"x-internal-role" not in put.lower()
        and b"authorization" not in put.lower()
    )
    assert body == photo.read_bytes()
    assert "/bucket/a%20b.jpg?[signed]" in caplog.text, "the request itself is logged"
    assert SIGNATURE not in caplog.text
