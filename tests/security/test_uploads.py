"""Uploads go where they may, with what they need, and no part of their address gets into a log, also where a host repeats it."""

from __future__ import annotations

import logging
from urllib.parse import quote

import pytest
from tests.security.leaks import MARK, frames, pieces
from tests.security.raw import answer, uploaded

from voxops.client.request import upload_host
from voxops.errors import ApiError, VoxopsError

HERE, AWAY = "http://127.0.0.1:8080", "https://api.voxburst.io"


@pytest.mark.parametrize(("url", "api", "host"), [
    ("https://bucket.s3.amazonaws.com/key?X-Amz-Signature=1", AWAY, "bucket.s3.amazonaws.com"),
    ("http://127.0.0.1:9000/key", HERE, "127.0.0.1"), ("http://localhost:9000/key", HERE, "localhost"),
    ("http://127.0.0.1:9000/key", AWAY, None), ("http://[::1]:2375/containers/create", AWAY, None), ("http://storage.example/key", HERE, None),
    ("https://user:word@storage.example/key", AWAY, None), ("https://storage.example\\@evil.example/", AWAY, None),
    ("https://[::1].evil.example/", AWAY, None), ("https://stor\u200bage.example/key", AWAY, None),
    ("https://storage.example/\r\nHost: x", AWAY, None), ("ftp://storage.example", AWAY, None),
    ("https://" + "a" * 70_000, AWAY, None),
])  # fmt: skip
def test_plain_http_goes_to_this_machine_only_where_the_api_is_here(url, api, host):
    found, fault = upload_host(url, here=api == HERE)
    assert (found, not fault) == (host or "", host is not None)


VALUES = {
    "X-Amz-Signature": "c0ffee5161a7012e" * 4,
    "X-Amz-Credential": "AKIAIOSFODNN7EXAMPLE/20261130/eu/s3/aws4_request",
    "X-Amz-Security-Token": "IQoJb3JpZ2luX2VjEHQ+/aCXVzLWVhc3QtMSJG==",
    "sig": "a%b c;d=e/f&g?h",
}
QUERY = "&".join(f"{name}={quote(value, safe='')}" for name, value in VALUES.items())


SHOWN = [text for value in VALUES.values() for text in (value, quote(value, safe=""))]


def test_what_is_put_has_its_signature_and_only_headers_that_an_object_store_signs(tmp_path):
    signed = {
        "Content-Type": "image/jpeg", "content-md5": "x", "x-amz-meta-a": "b", "x-goog-meta-a": "b", "x-ms-blob-type": "BlockBlob",
    }  # fmt: skip
    others = {
        "Authorization": "Bearer x", "Cookie": "a=b", "Proxy-Authorization": "x", "X-Internal-Role": "admin", "Upgrade": "h2c",
        "x-amz-evil": "a\r\nHost: internal", "x-amz-é": "a", "x-amz-b": "é", "x-amz-a\r\nHost: evil": "a", "x-amz- a": "a",
        "Host": "internal", "Transfer-Encoding": "chunked",
    }  # fmt: skip
    with uploaded(tmp_path, answer(b""), QUERY, uploadHeaders=signed | others) as (server, send):
        assert send() == "media_1"
    put, _ = server.requests[-1]
    assert put.startswith(f"PUT /bucket/a.jpg?{QUERY} HTTP/1.1".encode())
    sent = {line.partition(b":")[0].lower() for line in put.split(b"\r\n")[1:]}
    own = {b"host", b"content-length", b"user-agent", b"accept", b"accept-encoding", b"connection"}
    assert sent - own == {name.lower().encode() for name in signed}
    assert b"\r\nHost: internal" not in put


@pytest.mark.parametrize("value", SHOWN)
def test_no_value_of_an_upload_address_is_logged_that_the_storage_repeats(value, tmp_path, caplog):
    stored = answer(b"", f"307 no {value}", X_Provided=value, Location=f"https://bucket.example/b.jpg?{QUERY}")
    with caplog.at_level(logging.DEBUG), uploaded(tmp_path, stored, QUERY) as (_, send), pytest.raises(ApiError):
        send()
    logged = ("/bucket/a.jpg?***", "X-Provided", "/b.jpg?***")
    assert all(text in caplog.text for text in logged), "request and answer are logged"
    assert not [text for text in SHOWN if text in caplog.text]


SIGNED = f"X-Amz-Signature={MARK}"
STORED = [
    b"",
    b"no http\r\n\r\n",
    *(answer(b"", status) for status in ("307 Moved", "400 No", "403 Forbidden", "503 No")),
]
REFUSED = ["http://storage.example/a", "https://user:word@storage.example/a", "https://[::1].evil.example/a"]


@pytest.mark.parametrize(
    ("stored", "place"),
    [*((stored, {}) for stored in STORED), *((b"", {"uploadUrl": f"{url}?{SIGNED}"}) for url in REFUSED)],
    ids=range(9),
)
def test_no_traceback_with_local_variables_shows_a_signature(stored, place, tmp_path):
    signed = {"uploadHeaders": {"x-amz-security-token": MARK}}
    with uploaded(tmp_path, stored, SIGNED, **signed, **place) as (_, send), pytest.raises(VoxopsError) as caught:
        send()
    shown = [repr(frame.f_locals) for frame in frames(caught.value)]
    assert len(shown) > 3
    assert not [text for text in shown if pieces(text)]
