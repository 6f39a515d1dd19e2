"""No answer fills memory or never ends (point 7 of the review of leaks)."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.security.raw import answer, serve

from voxops.api import limits
from voxops.client import AsyncClient, _pages, _transport, outgoing
from voxops.client._body import read_body
from voxops.errors import ApiError, DecodeError, TransportError

MEGABYTE = 1024 * 1024


def bomb(size: int, tail: bytes = b"") -> bytes:
    """So many zeros, compressed."""
    pack = zlib.compressobj(9, wbits=31)
    piece = bytes(MEGABYTE)
    return b"".join([*(pack.compress(piece) for _ in range(size // MEGABYTE)), pack.compress(tail), pack.flush()])


def asked(url: str, use: Callable[[AsyncClient], Any], timeout: float = 30.0) -> Any:
    """What a client of its own gets."""

    async def main() -> Any:
        async with AsyncClient("vb_live_a_key_of_a_test", url=url, timeout=timeout) as client:
            client._retries.backoff = type(client._retries.backoff)(tries=1)
            return await use(client)

    return asyncio.run(main())


def test_a_gzip_bomb_is_left_at_the_bound():
    packed = bomb(128 * MEGABYTE)
    assert len(packed) < 2 * MEGABYTE
    tracemalloc.start()
    try:
        with serve(answer(packed, Content_Encoding="gzip")) as server:
            with pytest.raises(DecodeError, match="with more than 67,108,864 bytes") as caught:
                asked(server.url, lambda client: client.identity())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * MEGABYTE
    assert len(caught.value.body) <= MEGABYTE and caught.value.status == 200


@pytest.mark.parametrize("bombs", [False, True])
def test_what_the_receiver_of_a_report_says_is_not_read(bombs):
    def say(*_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n" + (b"Content-Encoding: gzip\r\n\r\n" if bombs else b"\r\n")
        for _ in itertools.repeat(None, 40):  # seconds
            yield bomb(64 * MEGABYTE) if bombs else b"x"
            time.sleep(1)

    tracemalloc.start()
    began = time.monotonic()
    try:
        with serve(say) as server:
            assert outgoing.post_json(f"{server.url}/hook", b"{}") == 200
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * MEGABYTE
    assert time.monotonic() - began < 20


def test_a_receiver_whose_headers_never_end_has_not_taken_the_report(monkeypatch):
    monkeypatch.setattr(outgoing, "_PATIENCE", 1.0)

    def drip(*_: bytes) -> Iterator[bytes]:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200:
            yield bytes([byte])
            time.sleep(0.1)

    began = time.monotonic()
    with serve(drip) as server, pytest.raises(TransportError, match="did not accept the report"):
        outgoing.post_json(f"{server.url}/hook", b"{}")
    assert time.monotonic() - began < 15


def test_a_body_without_an_end_is_left_at_the_bound():
    def endless(*_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        yield from itertools.repeat(bytes(MEGABYTE))

    with serve(endless) as server, pytest.raises(DecodeError, match="with more than"):
        asked(server.url, lambda client: client.identity())


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b""])
def test_a_drip_of_single_bytes_ends(head, monkeypatch):
    """Each byte comes in time, the answer never does."""
    monkeypatch.setattr(
        _transport, "_WHOLE", 0.1
    )  # so that a byte has ten seconds, on a busy machine too, and all have one

    def drip(*_: bytes) -> Iterator[bytes]:
        yield head
        for byte in itertools.cycle(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000):
            time.sleep(0.02)
            yield bytes([byte])

    with serve(drip) as server, pytest.raises(TransportError, match="did not answer completely within 1 s") as caught:
        asked(server.url, lambda client: client.identity(), timeout=10)
    assert caught.value.sent


def test_a_write_whose_answer_is_too_large_has_its_status():
    """The engine must learn that the request arrived, and that nothing is known of the outcome."""
    with serve(answer(bomb(80 * MEGABYTE), "201 Created", Content_Encoding="gzip")) as server:
        reply = asked(server.url, lambda client: client.raw("POST", "/v1/posts/p/retry", idempotency_key="k"))
    assert reply.status == 201 and reply.broken
    with pytest.raises(DecodeError):
        _ = reply.data


@pytest.mark.parametrize(("body", "encoding", "error"), [
    (b"not gzip", "gzip", TransportError), (gzip.compress(b'{"a": 1}', mtime=0)[:-9], "gzip", TransportError),
    (zlib.compress(b"{}"), "deflate", DecodeError), (b"{}", "br", DecodeError),
    (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "gzip, gzip", DecodeError),
])  # fmt: skip
def test_a_damaged_or_unasked_encoding_is_an_error_of_ours(body, encoding, error):
    with serve(answer(body, Content_Encoding=encoding)) as server, pytest.raises(error):
        asked(server.url, lambda client: client.identity())


def test_only_what_can_be_bounded_is_asked_for():
    with serve(answer(gzip.compress(b'{"workspaceId": "ws"}', mtime=0), Content_Encoding="gzip")) as server:
        assert asked(server.url, lambda client: client.identity()) == {"workspaceId": "ws"}
    ((head, _),) = server.requests
    assert b"accept-encoding: gzip\r\n" in head.lower() + b"\r\n"


def read(wire: bytes, encoding: str, most: int, cut: int) -> tuple[bytes, str]:
    """A body that comes in pieces of this size."""

    async def chunks() -> Any:
        for at in range(0, len(wire), cut):
            yield wire[at : at + cut]

    return asyncio.run(read_body(chunks(), encoding, most))


@given(st.lists(st.binary(max_size=60), max_size=5), st.integers(0, 250), st.integers(1, 40), st.booleans())
def test_a_body_is_whole_exactly_up_to_its_bound(parts, most, cut, packed):
    """Also one of several members, with padding between them."""
    body = b"".join(parts)
    members = b"\0\0".join(gzip.compress(part, mtime=0) for part in parts or [b""]) + b"\0"
    found, broken = read(members if packed else body, "gzip" if packed else "", most, cut)
    assert (broken == "") == (len(body) <= most)
    assert found == body if not broken else body.startswith(found)


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_gzip_body_that_ends_in_its_second_member_is_damaged(cut):
    whole = gzip.compress(b"{}", mtime=0) + gzip.compress(b"[]", mtime=0)
    for wire, error in [(whole[:-1], EOFError), (whole[:-9], EOFError), (whole + b"{}", zlib.error)]:
        with pytest.raises(error):
            read(wire, "gzip", 100, cut)


def test_a_list_that_goes_on_for_ever_ends_with_the_count(monkeypatch):
    monkeypatch.setattr(_pages, "LIST_PAGES", 5)
    cursors = itertools.count()

    def page(*_: bytes) -> Iterator[bytes]:
        yield answer(json.dumps({"data": [{"id": "a"}], "pagination": {"nextCursor": f"c{next(cursors)}"}}).encode())

    async def read(client: AsyncClient) -> None:
        async for _ in client.posts.list():
            pass

    with serve(page) as server, pytest.raises(DecodeError, match="has not ended after 5 pages"):
        asked(server.url, read)
    assert len(server.requests) == 5


def test_the_storage_host_has_little_to_say(tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8" + bytes(100))

    def api(head: bytes, _: bytes) -> Iterator[bytes]:
        if head.startswith(b"PUT"):
            yield answer(b"<Code>Odd</Code>" + bytes(2 * limits.STORAGE_ANSWER_BYTES), "400 Bad Request")
        else:
            yield answer(
                json.dumps({"mediaId": "media_1", "uploadUrl": f"{server.url}/put?X-Amz-Signature=abc"}).encode()
            )

    with (
        serve(api) as server,
        pytest.raises(ApiError, match=r"the storage did not accept photo\.jpg: 400 Odd") as caught,
    ):
        asked(server.url, lambda client: client.uploads.send(photo))
    assert len(caught.value.body) <= 64 * 1024
