"""Lenient reading of answers: all kinds of JSON, errors, and all envelopes of lists.

The shapes of error bodies: `tests/api/test_error_bodies.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from voxops import errors
from voxops.client import Answer, Page
from voxops.client.answer import error_of
from voxops.client.pages import pages, read_page
from voxops.errors import ApiError, DecodeError


def reply(body: Any, status: int = 200, endpoint: str = "GET /v1/posts", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(endpoint, status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


@pytest.mark.parametrize("body", [b"<html>", b"{", b'{"a":1}x', b"\xff\xfe\xfa", b"[" * 100_000, b"9" * 5_000])
def test_a_body_that_is_not_json_names_the_endpoint_and_keeps_its_bytes(body):
    what = "a web page" if body == b"<html>" else f"{len(body)} bytes that are not JSON"
    with pytest.raises(DecodeError, match=f"^GET /v1/posts answered 200 with {what}.*VOXBURST_API_URL$") as caught:
        _ = reply(body).json
    assert (caught.value.body, caught.value.endpoint, caught.value.status) == (body, "GET /v1/posts", 200)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(("body", "record"), [
    ({"id": "a", "data": {"x": 1}}, {"id": "a", "data": {"x": 1}}), ({"data": {"id": "a"}}, {"id": "a"}), (b"", {}),
])  # fmt: skip
def test_a_single_object_is_taken_bare_or_wrapped(body, record):
    assert reply(body).record == record
    assert reply(b" \n").json is None
    with pytest.raises(DecodeError, match="one object"):
        _ = reply([1]).record


# Errors.


def error(body: Any, status: int = 400, **headers: str) -> ApiError:
    answer = reply(body, status, "POST /v1/posts", **headers)
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    found = error_of(answer, url="https://api.example", now=now, redact=lambda value: value)
    assert found is not None
    return found


@pytest.mark.parametrize(("kind", "statuses"), [
    ("ValidationError", (400, 422)), ("AuthError", (401, 402, 403)), ("NotFoundError", (404,)),
    ("ConflictError", (409,)),
    ("RateLimitError", (429,)), ("ServerError", (500, 503)), ("ApiError", (408, 301)),
])  # fmt: skip
def test_the_class_of_an_error_depends_on_the_status_only(kind, statuses):
    for status in statuses:
        found = error({"error": {"code": "SOMETHING", "message": "no"}}, status, x_request_id="req_9")
        assert type(found) is getattr(errors, kind)
        assert (found.status, found.code, found.request_id) == (status, "SOMETHING", "req_9")


@pytest.mark.parametrize(("body", "code", "message", "details"), [
    ({"error": {"code": "INVALID", "message": "too long", "details": {"field": "content"}}}, "INVALID", "too long",
        {"field": "content"}),
    (b"\x00\x01", "", "", {}),
])  # fmt: skip
def test_an_error_keeps_what_its_body_says_and_its_bytes(body, code, message, details):
    found = error(body)
    assert (found.code, found.details) == (code, details)
    assert str(found).startswith("POST /v1/posts answered 400")
    assert message in str(found)
    assert found.body == (body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_long_message_is_cut_and_put_on_one_line():
    text = str(error({"error": {"code": "X", "message": "a\nb " + "z" * 5_000}}))
    assert "a b z" in text
    assert "\n" not in text
    assert len(text) < 600


@pytest.mark.parametrize(("status", "body", "hint"), [
    (401, {}, "VOXBURST_API_KEY"), (402, {}, "quota"), (403, {}, "scope"), (307, {}, "final address"),
    *((status, b"<!DOCTYPE html><html>", "a web page. Is https://api.example the API's address? Check url= or VOXBURST_API_URL") for status in (403, 404)),
    (502, b"<!DOCTYPE html><html>", "a web page"),
])  # fmt: skip
def test_a_configuration_error_says_what_to_do(status, body, hint):
    assert hint in str(error(body, status))


@pytest.mark.parametrize(("after", "seconds"), [("Mon, 02 Mar 2026 09:00:30 GMT", 30.0), ("soon", None)])
def test_retry_after_is_read(after, seconds):
    assert error({}, 429, retry_after=after).retry_after == seconds


@pytest.mark.parametrize(("said", "date"), [
    ("Mon, 02 Mar 2026 09:00:00 GMT", datetime(2026, 3, 2, 9, tzinfo=UTC)),
    ("Mon, 02 Mar 2026 09:00:00 +0100", datetime(2026, 3, 2, 8, tzinfo=UTC)), ("Fri, 31 Dec 9999 23:59:59 -1200", None),
    ("Fri, 31 Dec 9999 23:59:59 GMT", None), ("", None),
])  # fmt: skip
def test_an_invalid_date_is_ignored(said, date):
    assert reply({}, date=said).date == date


# Lists.

ROWS = [{"id": "a"}, {"id": "b"}]


def at(cursor: Any) -> dict[str, Any]:
    return {"data": ROWS, "pagination": {"nextCursor": cursor}}


@pytest.mark.parametrize("body", [ROWS, {"data": ROWS}, {"webhooks": ROWS}, {"posts": ROWS, "warnings": []}])
def test_records_are_found_in_every_envelope_and_none_of_these_reports_its_end(body):
    page = read_page(reply(body))
    assert (page.records, page.cursor, page.says_more) == (ROWS, None, False)


@pytest.mark.parametrize(("beside", "cursor", "says_more"), [
    ({"pagination": {"has_more": True, "next_cursor": "c1", "limit": 2}}, "c1", True),
    ({"pagination": {"hasMore": True, "nextCursor": "c1"}}, "c1", True),
    ({"pagination": {"hasMore": True, "nextCursor": None, "has_more": True, "next_cursor": "c1"}}, "c1", True),
    ({"pagination": {"nextCursor": 17}}, "17", True), ({"hasMore": True, "nextCursor": "c1"}, "c1", True),
    ({"meta": {"next_cursor": "c1"}}, "c1", True),
    ({"pagination": {"has_more": False, "next_cursor": "c1"}}, None, True),
    ({"pagination": {"hasMore": False}}, None, True),
    *(({"pagination": {"nextCursor": cursor}}, None, True) for cursor in (None, "")),
    ({"nextCursor": None, "next": "/v1/posts?cursor=c1"}, None, True),
    # By the number of the page, or by a count.
    ({"pagination": {"page": "1", "limit": "2"}}, "2", True),
    ({"pagination": {"page": 1, "limit": 100, "totalPages": "3"}}, "2", True),
    ({"page": 1, "totalPages": 2, "next": "/v1/posts?page=2"}, "2", True),
    ({"page": 2, "per_page": 2}, "3", True), ({"page": 2, "perPage": 3}, None, True),
    ({"page": 1, "pageSize": 5}, None, True),
    ({"page": 1, "limit": 0}, None, True), ({"page": 3, "totalPages": 3, "limit": 2}, None, True),
    ({"total": 2}, None, True), ({"totalCount": "2"}, None, True), ({"total": "3"}, None, False),
    # Nothing that reports an end: the number of records on this page does not.
    ({"pagination": None}, None, False), ({"page": 1}, None, False), ({"page": "9" * 30, "limit": 5}, None, False), ({"next": None}, None, False),
])  # fmt: skip
@pytest.mark.parametrize("inside", [False, True])
def test_a_page_reports_the_next_one_or_its_end_or_neither(beside, cursor, says_more, inside):
    body = {"data": {"posts": ROWS, **beside}} if inside else {"posts": ROWS, **beside}
    page = read_page(reply(body))
    assert (page.records, page.cursor, page.says_more) == (ROWS, cursor, says_more)
    if cursor is not None:
        assert page.param == ("cursor" if cursor in ("c1", "17") else "page")


@pytest.mark.parametrize("body", [
    {"id": "a"}, {"data": None}, {"a": [], "b": []}, {"data": ["x"]}, 7, b"",
    {"data": ROWS, "pagination": {"hasMore": True}}, {"data": ROWS, "next": "/v1/posts?cursor=c1"},
    {"data": ROWS, "pagination": {"next": "/v1/posts"}}, {"data": ROWS, "links": {"next": "x"}},
])  # fmt: skip
def test_what_is_no_list_or_goes_on_in_an_unknown_way_is_not_taken_for_the_end(body):
    with pytest.raises(DecodeError, match=r"GET /v1/posts (answered|reports)"):
        read_page(reply(body))


def walk(answers: list[Any], **params: Any) -> tuple[list[Page], list[Mapping[str, Any]], DecodeError | None]:
    """Read pages from fixed answers; return the pages, the queries and the error."""
    asked, read, left = list[Mapping[str, Any]](), list[Page](), iter(answers)

    async def fetch(query: Mapping[str, Any]) -> Answer:
        asked.append(dict(query))
        return reply(next(left))

    async def main() -> None:
        async for page in pages(fetch, params):
            read.append(page)

    try:
        asyncio.run(main())
    except DecodeError as error:
        return read, asked, error
    return read, asked, None


def test_pages_follow_the_cursor_and_keep_the_query():
    read, asked, error = walk([at("c1"), at("c2"), at(None)], status="failed", limit=2)
    assert (len(read), error) == (3, None)
    assert asked == [{"status": "failed", "limit": 2, **({"cursor": c} if c else {})} for c in (None, "c1", "c2")]


@pytest.mark.parametrize("place", [{"limit": 2}, {"limit": 2, "total": 3}, {"totalPages": 2}])
def test_a_list_that_counts_its_pages_is_read_to_its_end(place):
    read, asked, error = walk([{"data": rows, "page": at, **place} for at, rows in ((1, ROWS), (2, ROWS[:1]))])
    assert error is None
    assert [query.get("page") for query in asked] == [None, "2"]
    assert sum(len(page.records) for page in read) == 3


@pytest.mark.parametrize(("answers", "params"), [
    ([at("c1")] * 2, {}), ([at("c1"), at("c2"), at("c1")], {}), ([at("c0")], {"cursor": "c0"}),
    ([{"contacts": ROWS, "page": 1, "limit": 2}] * 2, {}),
])  # fmt: skip
def test_a_list_that_repeats_a_cursor_or_ignores_the_page_number_ends_with_an_error_and_not_in_a_loop(answers, params):
    read, asked, error = walk(answers, **params)
    assert "repeats a cursor" in str(error)
    assert len(read) == len(asked) == len(answers)


def test_a_list_with_fewer_records_than_its_total_is_not_complete():
    page = {"data": ROWS, "total": 3}
    read, _, error = walk([page])
    assert "3 records" in str(error)
    assert len(read) == 1, "the caller still gets the first page"
    assert walk([page], cursor="c7")[2] is None, "earlier pages count, too"
    assert walk([page | {"data": []}])[2] is None
