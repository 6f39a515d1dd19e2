"""No answer fills memory or never ends, and a list says how far it was read."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import time
import tracemalloc

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.security.programs import lines_of
from tests.security.raw import answer, asked, serve, uploaded

from voxops.api import limits
from voxops.client import AsyncClient
from voxops.client import pages as pages_module
from voxops.client.transport import _body
from voxops.errors import ApiError, DecodeError, TransportError

MEGABYTE = 1024 * 1024


def test_a_gzip_bomb_is_left_at_the_bound_and_a_write_keeps_its_status():
    """The engine must learn that the request arrived, and that nothing is known of the outcome."""
    packed = gzip.compress(bytes(128 * MEGABYTE))
    tracemalloc.start()
    try:
        with serve(answer(packed, "201 Created", Content_Encoding="gzip")) as server:
            with pytest.raises(DecodeError, match="more than 67,108,864 bytes") as caught:
                asked(server.url)
            reply = asked(server.url, lambda client: client.request("POST", "/v1/posts/p/approve", idempotency_key="k"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * MEGABYTE
    assert len(caught.value.body) <= MEGABYTE and caught.value.status == 201
    assert reply.status == 201 and reply.broken
    with pytest.raises(DecodeError):
        _ = reply.json


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b""])
def test_a_drip_of_single_bytes_each_in_time_ends(head):
    def drip(*_):
        yield head
        for byte in itertools.cycle(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000):
            time.sleep(0.02)
            yield bytes([byte])

    with serve(drip) as server, pytest.raises(TransportError, match="completely within 1 s") as caught:
        asked(server.url, AsyncClient.identity, "vb_live_a_key_of_a_test", 1.0)
    assert caught.value.sent


@given(st.binary(min_size=1, max_size=300), st.integers(0, 250), st.integers(1, 40), st.booleans())
def test_a_body_is_whole_exactly_up_to_its_bound(body, most, cut, packed):
    wire = gzip.compress(body, mtime=0) if packed else body

    async def pieces():
        for at in range(0, len(wire), cut):
            yield wire[at : at + cut]

    headers = {"Content-Encoding": "gzip" if packed else "identity"}
    found, broken = asyncio.run(_body(httpx.Response(200, headers=headers, content=pieces()), most))
    assert (broken == "") == (len(body) <= most)
    assert found == body if not broken else body.startswith(found)


def test_the_storage_host_has_little_to_say(tmp_path):
    said = answer(b"<Code>Odd</Code>" + bytes(2 * limits.STORAGE_ANSWER_BYTES), "400 Bad Request")
    with uploaded(tmp_path, said) as (_, send), pytest.raises(ApiError, match="400 Odd") as caught:
        send()
    assert len(caught.value.body) <= 64 * 1024


# -- many values and many records --------------------------------------------------------------------------------------

READ = """
import asyncio, sys
from voxops.client import AsyncClient
from voxops.errors import ApiError, DecodeError, TransportError
async def main():
    before = peak()
    for url in sys.argv[1:]:
        async with AsyncClient("vb_live_a_key_of_a_test", url=url) as client:
            try:
                async for page in client.posts.list().pages():
                    print("a page of", len(page.records))
            except DecodeError as error:
                print(error)
    print(peak() - before)
asyncio.run(main())
"""


def test_a_small_answer_of_many_values_takes_little_memory():
    """In a process of its own: the memory is that of the whole client, measured."""
    bodies = []
    for value in (b'"ab"', b'{"a":1}'):
        values = b",".join([value] * ((limits.ANSWER_BYTES - 100) // (len(value) + 1)))
        bodies.append(gzip.compress(b'{"data":[' + values + b"]}", 4))
    assert max(map(len, bodies)) < 600_000
    with serve(lambda *_: iter([answer(bodies.pop(), Content_Encoding="gzip")])) as server:
        *said, megabytes = lines_of(READ, *[server.url] * 2)
    assert ["more than 2,000,000 values" in each for each in said] == [True] * 2
    assert int(megabytes) < 250


def listed(url, **query):
    """How many records each page of a list has."""

    async def use(client):
        return [len(page.records) async for page in client.pages("/v1/posts", query)]

    return asked(url, use)


@pytest.mark.parametrize(("limit", "most"), [(5, 10_000), (200, 20_000)])
def test_a_page_with_many_times_the_requested_records_is_refused(limit, most):
    body = json.dumps({"data": [{}] * most, "pagination": {"hasMore": False}}).encode()
    with serve(answer(body)) as server:
        assert listed(server.url, limit=limit) == [most]
    with serve(answer(body.replace(b"{}", b"{}, {}", 1))) as server, pytest.raises(DecodeError) as caught:
        listed(server.url, limit=limit)
    assert f"{most + 1:,} records where {max(limit, 100)} were" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "pages"), [("LIST_PAGES", 5, 5), ("LIST_RECORDS", 250, 3), ("LIST_BYTES", 2_500, 2)]
)
def test_a_list_that_goes_on_for_ever_ends_with_the_count(name, value, pages, monkeypatch):
    monkeypatch.setattr(pages_module, name, value)
    cursors = iter(range(20))  # else a test that fails would never end

    def page(*_):
        cursor = {"nextCursor": f"c{next(cursors)}"}
        yield answer(json.dumps({"data": [{"id": f"{at:04}"} for at in range(100)], "pagination": cursor}).encode())

    with serve(page) as server, pytest.raises(DecodeError, match=f"not ended after {pages} page.*{pages}00 records"):
        listed(server.url)
    assert len(server.requests) == pages
