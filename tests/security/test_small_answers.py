"""A small answer takes little memory and time, whatever it unpacks to, and a list says how far it was read."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.security.raw import PEAK, answer, serve

from voxops.api.limits import ANSWER_BYTES, ANSWER_VALUES
from voxops.client import AsyncClient, _pages
from voxops.client._body import read_body
from voxops.errors import DecodeError

READ = (
    PEAK
    + """
import asyncio, sys
from voxops.client import AsyncClient
from voxops.errors import DecodeError
async def main():
    async with AsyncClient("vb_live_a_key_of_a_test", url=sys.argv[1]) as client:
        before = peak()
        try:
            async for page in client.posts.list():
                print("a page of", len(page.records))
        except DecodeError as error:
            print(error)
        print(peak() - before)
asyncio.run(main())
"""
)


@pytest.mark.parametrize("value", [b"{}", b'"ab"', b'{"a":1}'])
def test_a_small_answer_of_many_values_takes_little_memory(value: bytes) -> None:
    """In a process of its own: the memory is that of the whole client, measured."""
    body = b'{"data":[' + b",".join([value] * ((ANSWER_BYTES - 100) // (len(value) + 1))) + b"]}"
    packed = gzip.compress(body, 4)
    assert len(packed) < 600_000
    with serve(answer(packed, Content_Encoding="gzip")) as server:
        done = subprocess.run(
            [sys.executable, "-c", READ, server.url], capture_output=True, text=True, timeout=60, check=True
        )
    said, megabytes = done.stdout.splitlines()
    assert said == "GET /v1/posts answered 200 with more than 2,000,000 values; it was not read"
    assert int(megabytes) < 250


def listed(url: str, **query: Any) -> list[int]:
    """How many records each page of a list has."""

    async def main() -> list[int]:
        async with AsyncClient("vb_live_a_key_of_a_test", url=url) as client:
            return [len(page.records) async for page in client.pages("/v1/posts", query)]

    return asyncio.run(main())


@pytest.mark.parametrize(("limit", "most"), [(None, 10_000), (5, 10_000), (100, 10_000), (200, 20_000)])
def test_a_page_with_many_times_the_requested_records_is_refused(limit: int | None, most: int) -> None:
    body = json.dumps({"data": [{}] * most, "pagination": {"hasMore": False}}).encode()
    with serve(answer(body)) as server:
        assert listed(server.url, limit=limit) == [most]
    with serve(answer(body.replace(b"{}", b"{}, {}", 1))) as server:
        with pytest.raises(
            DecodeError, match=f"answered with {most + 1:,} records where {max(limit or 0, 100)} were requested"
        ):
            listed(server.url, limit=limit)


@pytest.mark.parametrize(("name", "value"), [("LIST_RECORDS", 250), ("LIST_BYTES", 2_500)])
def test_a_list_is_bounded_in_records_and_bytes(name: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pages, name, value)
    cursors = itertools.count()

    def page(*_: bytes) -> Iterator[bytes]:
        cursor = {"nextCursor": f"c{next(cursors)}"}
        yield answer(json.dumps({"data": [{"id": f"{at:04}"} for at in range(100)], "pagination": cursor}).encode())

    with (
        serve(page) as server,
        pytest.raises(DecodeError, match=r"has not ended after \d pages?, \d00 records and 0 MB; narrow"),
    ):
        listed(server.url)
    assert len(server.requests) in (2, 3)


def test_an_answer_of_just_so_many_values_is_read() -> None:
    async def chunks(body: bytes) -> Any:
        yield body

    body = b"[" + b",".join([b"1"] * ANSWER_VALUES) + b"]"
    assert asyncio.run(read_body(chunks(body), "", ANSWER_BYTES)) == (body, "")
    found, broken = asyncio.run(read_body(chunks(body[:-1] + b",1]"), "", ANSWER_BYTES))
    assert broken == "with more than 2,000,000 values" and body.startswith(found)
