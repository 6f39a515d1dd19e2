"""Uploads go where they may, with what they need, and no part of their address gets into a log, also where a host repeats it."""

from __future__ import annotations

import logging
from urllib.parse import quote

import pytest
from tests.security.leaks import MARK, frames, pieces
from tests.security.raw import answer, uploaded

from voxops.client.request import upload_host
from voxops.errors import ApiError, ConfigError, TransportError

HERE, AWAY = "http://127.0.0.1:8080", "https://api.voxburst.io"


@pytest.mark.parametrize(("url", "api", "host"), [
    ("https://bucket.s3.amazonaws.com/key?X-Amz-Signature=1", AWAY, "bucket.s3.amazonaws.com"),
    ("https://bucket.s3.amazonaws.com/key", HERE, "bucket.s3.amazonaws.com"),
    ("http://127.0.0.1:9000/key", HERE, "127.0.0.1"), ("http://localhost:9000/key", HERE, "localhost"),
    ("http://127.0.0.1:9000/key", AWAY, None), ("http://localhost/admin", AWAY, None),
    ("http://[::1]:2375/containers/create", AWAY, None), ("http://storage.example/key", HERE, None),
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


def test_what_is_put_has_its_signature_and_no_log_has_it(tmp_path, caplog):
    wanted = {
        "Content-Type": "image/jpeg", "content-md5": "x", "x-amz-meta-a": "b", "x-goog-meta-a": "b", "x-ms-blob-type": "BlockBlob",
    }  # fmt: skip
    refused = {
        "Authorization": "Bearer x", "Cookie": "a=b", "Proxy-Authorization": "x", "X-Internal-Role": "admin", "Upgrade": "h2c",
        "x-amz-evil": "a\r\nHost: internal", "x-amz-é": "a", "x-amz-b": "é", "x-amz-a\r\nHost: evil": "a", "x-amz- a": "a",
    }  # fmt: skip
    with (
        caplog.at_level(logging.DEBUG),
        uploaded(
            tmp_path,
            answer(b""),
            QUERY,
            uploadHeaders=wanted | refused | {"Host": "internal", "Transfer-Encoding": "chunked"},
        ) as (server, send),
    ):
        assert send() == "media_1"
    put, body = server.requests[-1]
    assert put.startswith(f"PUT /bucket/a.jpg?{QUERY} HTTP/1.1".encode())
    sent = {line.partition(b":")[0].lower() for line in put.split(b"\r\n")[1:]}
    own = {b"host", b"content-length", b"user-agent", b"accept", b"accept-encoding", b"connection", b""}
    assert sent - own == {name.lower().encode() for name in wanted}
    assert b"\r\nHost: internal" not in put
    assert body == (tmp_path / "photo.jpg").read_bytes()
    assert "/bucket/a.jpg?***" in caplog.text, "the request itself is logged"
    for value in VALUES.values():
        assert value not in caplog.text and quote(value, safe="") not in caplog.text


ECHOES = {
    **{
        value: answer(b"", f"400 no {value}", X_Provided=value)
        for plain in VALUES.values()
        for value in (plain, quote(plain, safe=""))
    },
    "a redirect": answer(b"", "307 Temporary Redirect", Location=f"https://bucket.example/a.jpg?{QUERY}"),
}


@pytest.mark.parametrize("what", ECHOES)
def test_no_value_of_an_upload_address_is_logged_that_the_storage_repeats(what, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG), uploaded(tmp_path, ECHOES[what], QUERY) as (_, send), pytest.raises(ApiError):
        send()
    logged = "https://bucket.example/a.jpg?***" if what == "a redirect" else "X-Provided"
    assert logged in caplog.text, "the answer itself is logged"
    assert not [value for value in (what, *VALUES.values()) if value in caplog.text]


BROKEN = [
    b"",
    b"no http\r\n\r\n",
    *(
        answer(b"", status)
        for status in ("400 No", "403 Forbidden", "307 Moved", "500 Oops", "409 No", "412 No", "429 Later", "503 No")
    ),
]


@pytest.mark.parametrize("stored", BROKEN, ids=range(10))
def test_no_traceback_with_local_variables_shows_a_signature(stored, tmp_path):
    with (
        uploaded(tmp_path, stored, f"X-Amz-Signature={MARK}") as (_, send),
        pytest.raises((ApiError, TransportError)) as caught,
    ):
        send()
    shown = [repr(frame.f_locals) for frame in frames(caught.value)]
    assert len(shown) > 3
    assert not [text for text in shown if pieces(text)]


@pytest.mark.parametrize(
    "place", ["http://storage.example/a", "https://user:word@storage.example/a", "https://[::1].evil.example/a"]
)
def test_an_upload_address_that_is_refused_is_in_no_traceback_with_local_variables(place, tmp_path):
    signed = {"uploadUrl": f"{place}?X-Amz-Signature={MARK}", "uploadHeaders": {"x-amz-security-token": MARK}}
    with (
        uploaded(tmp_path, answer(b""), **signed) as (_, send),
        pytest.raises(ConfigError, match="nothing was") as caught,
    ):
        send()
    shown = [repr(frame.f_locals) for frame in frames(caught.value)]
    assert len(shown) > 3
    assert not [text for text in shown if pieces(text)]
