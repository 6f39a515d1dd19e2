"""A storage host that repeats the signature of an upload, part by part, brings none of it into a log."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.security.raw import answer, serve

from voxops.client import AsyncClient
from voxops.client._transport import _storage_headers
from voxops.client.outgoing import post_json
from voxops.errors import ApiError

VALUES = {
    "X-Amz-Signature": "c0ffee5161a7012e" * 4,
    "X-Amz-Credential": "AKIAIOSFODNN7EXAMPLE/20261130/eu/s3/aws4_request",
    "X-Amz-Security-Token": "IQoJb3JpZ2luX2VjEHQ+/aCXVzLWVhc3QtMSJG==",
    "sig": "a%b c;d=e/f&g?h",
}
QUERY = "&".join(f"{name}={quote(value, safe='')}" for name, value in VALUES.items())


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("quoted", [False, True])
def test_no_value_of_an_upload_address_is_logged(
    name: str, quoted: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" + bytes(100))
    value = quote(VALUES[name], safe="") if quoted else VALUES[name]

    def api(head: bytes, _: bytes) -> Iterator[bytes]:
        if head.startswith(b"PUT"):
            yield answer(b"", f"400 no {value}", X_Provided=value)
            return
        yield answer(json.dumps({"mediaId": "media_1", "uploadUrl": f"{server.url}/bucket/a.jpg?{QUERY}"}).encode())

    async def send(url: str) -> None:
        async with AsyncClient("vb_live_a_key_of_a_test", url=url) as client:
            await client.uploads.send(photo)

    with caplog.at_level(logging.DEBUG), serve(api) as server, pytest.raises(ApiError, match="400"):
        asyncio.run(send(server.url))
    assert "X-Provided" in caplog.text and "400 no" in caplog.text, "the answer itself is logged"
    assert value not in caplog.text
    assert VALUES[name] not in caplog.text


def test_no_part_of_the_address_of_a_report_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    token = "kGz9XW3vTq1LwYb7RmN2pQsD"
    with caplog.at_level(logging.DEBUG), serve(answer(b"", f"200 {token}", X_Hook=token)) as server:
        assert post_json(f"{server.url}/services/T012/B034/{token}?a=b", b"{}") == 200
    assert "X-Hook" in caplog.text
    assert token not in caplog.text


@pytest.mark.parametrize(
    "name", ["x-amz-a\r\nHost: evil", "x-amz-a\n", "x-amz-a: b", "x-amz-ä", "x-amz- a", "x-amz-\x00"]
)
def test_no_header_is_sent_whose_name_is_more_than_a_name(name: str) -> None:
    assert _storage_headers({name: "value", "x-amz-meta-a": "b"}) == {"x-amz-meta-a": "b"}
