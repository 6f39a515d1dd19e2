"""Lenient reading of answers: all kinds of JSON, all shapes of errors, all envelopes of lists."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxops.client import Page, Reply
from voxops.client._pages import pages, read_page
from voxops.client._reply import decode, error_of, single
from voxops.errors import (
    ApiError,
    AuthError,
    ConflictError,
    DecodeError,
    NotFoundError,
    RateLimitError,
    ServerError,
    ValidationError,
)


def reply(body: Any, status: int = 200, endpoint: str = "GET /v1/posts", **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(endpoint, status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values)
def test_json_round_trips(value):
    assert decode(json.dumps(value).encode()) == value
    assert decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**40 + 1, -(10**25) - 7])
def test_whole_numbers_stay_exact_however_long(number):
    for text in (f'{{"id":{number}}}', f'{{"id": {number} }}', f"[{number}]", str(number)):
        read = decode(text.encode())
        found = read["id"] if isinstance(read, dict) else read[0] if isinstance(read, list) else read
        assert found == number and type(found) is int


def test_invalid_but_common_json_is_read():
    assert math.isnan(decode(b'{"rate": NaN}')["rate"])
    assert decode(b"[Infinity, -Infinity]") == [math.inf, -math.inf]
    assert decode(rb'{"content": "\ud83d cut"}') == {"content": "\ud83d cut"}
    assert decode(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("body", [b"<html>", b"{", b'{"a":1}x', b"\xff\xfe\xfa", b"[" * 100_000, b"9" * 5_000])
def test_a_body_that_is_not_json_names_the_endpoint_and_keeps_its_bytes(body):
    with pytest.raises(DecodeError, match="GET /v1/posts answered 200") as caught:
        _ = reply(body).data
    assert caught.value.body == body and caught.value.endpoint == "GET /v1/posts" and caught.value.status == 200
    assert caught.value.__context__ is None


def test_an_empty_body_is_none():
    assert reply(b"").data is None and reply(b" \n").data is None and single(reply(b"")) == {}


def test_a_single_object_is_taken_bare_or_wrapped():
    assert single(reply({"id": "a", "data": {"x": 1}})) == {"id": "a", "data": {"x": 1}}
    assert single(reply({"data": {"id": "a"}})) == {"id": "a"}
    with pytest.raises(DecodeError, match="one object"):
        single(reply([1]))


KINDS = {
    400: ValidationError, 401: AuthError, 402: AuthError, 403: AuthError, 404: NotFoundError, 409: ConflictError,
    422: ValidationError, 429: RateLimitError, 500: ServerError, 502: ServerError, 503: ServerError, 408: ApiError, 301: ApiError,
    418: ApiError,
}  # fmt: skip


def error(body: Any, status: int = 400, **headers: str) -> ApiError:
    found = error_of(reply(body, status, "POST /v1/posts", **headers), url="https://api.example")
    assert found is not None
    return found


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
def test_the_class_depends_on_the_status_only(status, kind):
    found = error({"error": {"code": "SOMETHING", "message": "no"}}, status, x_request_id="req_9")
    assert type(found) is kind
    assert (found.status, found.code, found.request_id) == (status, "SOMETHING", "req_9")


@pytest.mark.parametrize(
    ("body", "code", "message", "details"),
    [
        ({"error": {"code": "VALIDATION_ERROR", "message": "too long", "details": {"field": "content"}}}, "VALIDATION_ERROR", "too long", {"field": "content"}),
        ({"error": {"code": "not_found"}}, "NOT_FOUND", "", {}),
        ({"error": {"code": "X", "message": "m", "details": ["a", "b"]}}, "X", "m", {"details": ["a", "b"]}),
        ({"error": {"code": "PERSONA_IN_USE", "message": "in use", "linkedPostCount": 3}}, "PERSONA_IN_USE", "in use", {"linkedPostCount": 3}),
        ({"error": "the body is larger than 100 KB"}, "", "the body is larger than 100 KB", {}),
        ({"error": "Bad Request", "message": "no such field", "statusCode": 400}, "BAD REQUEST", "no such field", {}),
        ({"code": "CONFLICT", "message": "not now"}, "CONFLICT", "not now", {}),
        ({"message": "email not confirmed"}, "", "email not confirmed", {}),
        ({"error": None}, "", "", {}),
        ([], "", "", {}),
        ("no", "", "no", {}),
        (b"", "", "", {}),
        (b"\x00\x01", "", "", {}),
        ({"error": {"code": None, "message": {"deep": 1}, "details": None}}, "", "", {}),
    ],
)  # fmt: skip
def test_every_shape_of_error_is_read(body, code, message, details):
    found = error(body)
    assert found.code == code and found.details == details
    assert str(found).startswith("POST /v1/posts answered 400") and (not message or message in str(found))
    assert found.body == (body if isinstance(body, bytes) else json.dumps(body).encode())


def test_a_long_message_is_cut_and_put_on_one_line():
    text = str(error({"error": {"code": "X", "message": "a\nb " + "z" * 5_000}}))
    assert "\n" not in text and len(text) < 600 and "a b z" in text


@pytest.mark.parametrize(("status", "hint"), [
    (401, "VOXBURST_API_KEY"), (402, "quota"), (403, "scope"), (307, "final address"), (404, "VOXBURST_API_URL"),
    (502, "a web page"),
])  # fmt: skip
def test_a_configuration_error_says_what_to_do(status, hint):
    body: Any = b"<!DOCTYPE html><html>" if status in (404, 502) else {"error": {"code": "X", "message": "m"}}
    assert hint in str(error(body, status))


def test_a_success_is_no_error_and_carries_its_request_id():
    assert [error_of(reply(b"", status)) for status in (200, 201, 202, 204, 207)] == [None] * 5
    assert (reply({}, x_request_id="req_1").request_id, reply({}).request_id, reply({}).date) == ("req_1", None, None)


def test_retry_after_is_read():
    now = "Mon, 02 Mar 2026 09:00:00 GMT"
    for after, seconds in (("7", 7.0), ("Mon, 02 Mar 2026 09:00:30 GMT", 30.0), ("soon", None)):
        found = error({"error": {"code": "RATE_LIMITED"}}, 429, retry_after=after, date=now)
        assert isinstance(found, RateLimitError) and found.retry_after == seconds


ROWS = [{"id": "a"}, {"id": "b"}]


@pytest.mark.parametrize(("body", "cursor"), [
    ({"data": ROWS, "pagination": {"has_more": True, "next_cursor": "c1", "limit": 2}}, "c1"),
    ({"data": ROWS, "pagination": {"hasMore": True, "nextCursor": "c1"}}, "c1"),
    ({"data": ROWS, "pagination": {"hasMore": True, "nextCursor": None, "has_more": True, "next_cursor": "c1"}}, "c1"),
    ({"data": ROWS, "pagination": {"nextCursor": 17}}, "17"),
    ({"data": ROWS, "hasMore": True, "nextCursor": "c1"}, "c1"),
    ({"data": ROWS, "pagination": {"has_more": False, "next_cursor": "c1"}}, None),
    ({"data": ROWS, "pagination": {"next_cursor": None}}, None),
    ({"data": ROWS, "pagination": {"next_cursor": ""}}, None), ({"data": ROWS, "pagination": None}, None),
    ({"data": ROWS}, None), ({"webhooks": ROWS}, None), ({"posts": ROWS, "warnings": []}, None),
    ({"data": {"posts": ROWS}}, None),
    ({"data": {"posts": ROWS, "pagination": {"hasMore": True, "nextCursor": "c1"}}}, "c1"),
    ({"data": {"posts": ROWS, "hasMore": True, "nextCursor": "c1"}}, "c1"),
    ({"data": {"posts": ROWS}, "pagination": {"nextCursor": "c1"}}, "c1"), (ROWS, None),
    ({"contacts": ROWS, "page": 1, "limit": 50}, None),
])  # fmt: skip
def test_every_envelope_is_read(body, cursor):
    page = read_page(reply(body))
    assert page.records == ROWS
    assert page.cursor == cursor
    assert cursor is None or page.param == "cursor"


@pytest.mark.parametrize("body", [{}, {"id": "a"}, {"data": None}, {"a": [], "b": []}, {"data": ["x"]}, 7, b""])
def test_a_body_that_is_not_a_list_names_the_endpoint(body):
    with pytest.raises(DecodeError, match="GET /v1/posts answered with something that is not a list"):
        read_page(reply(body))


def test_more_records_without_a_cursor_are_not_taken_for_the_end():
    with pytest.raises(DecodeError, match="gives no cursor"):
        read_page(reply({"data": ROWS, "pagination": {"hasMore": True}}))


def walk(
    answers: list[Any], params: Mapping[str, Any] | None = None
) -> tuple[list[Page], list[Mapping[str, Any]], DecodeError | None]:
    """Read pages from fixed answers; return the pages, the queries and the error."""
    asked: list[Mapping[str, Any]] = []
    read: list[Page] = []

    async def fetch(query: Mapping[str, Any]) -> Reply:
        asked.append(dict(query))
        return reply(answers[min(len(asked), len(answers)) - 1])

    async def main() -> None:
        async for page in pages(fetch, params or {}):
            read.append(page)

    try:
        asyncio.run(main())
    except DecodeError as error:
        return read, asked, error
    return read, asked, None


def at(cursor: str | None) -> dict[str, Any]:
    return {"data": ROWS, "pagination": {"nextCursor": cursor}}


def test_pages_follow_the_cursor_and_keep_the_query():
    read, asked, error = walk([at("c1"), at("c2"), at(None)], {"status": "failed", "limit": 2})
    assert error is None and len(read) == 3
    assert asked == [{"status": "failed", "limit": 2, **({"cursor": c} if c else {})} for c in (None, "c1", "c2")]


@pytest.mark.parametrize("answers", [["c1", "c1"], ["c1", "c2", "c1"], ["c1", "c2", "c3", "c3"]])
def test_a_cursor_that_repeats_ends_with_an_error_and_not_in_a_loop(answers):
    read, asked, error = walk([at(cursor) for cursor in answers])
    assert error is not None and "repeats a cursor" in str(error)
    assert len(read) == len(asked) == len(answers)


def test_a_cursor_that_repeats_the_one_it_began_with():
    assert walk([at("c0")], {"cursor": "c0"})[2] is not None


def test_a_list_that_counts_its_pages_is_read_to_its_end():
    full = {"contacts": ROWS, "limit": 2}
    read, asked, error = walk([full | {"page": 1}, full | {"page": 2}, {"contacts": [], "page": 3, "limit": 2}])
    assert error is None and len(read) == 3 and [query.get("page") for query in asked] == [None, "2", "3"]


@pytest.mark.parametrize("first", [
    {"page": 1, "limit": 2, "total": 3}, {"page": 1, "totalPages": 2},
    {"page": 1, "limit": 2, "total": 3, "totalPages": 2},
])  # fmt: skip
def test_pages_are_counted_in_the_pagination_as_well(first):
    last = {"data": ROWS[:1], "pagination": first | {"page": 2}}
    read, asked, error = walk([{"data": ROWS, "pagination": first}, last])
    assert error is None
    assert [query.get("page") for query in asked] == [None, "2"]
    assert sum(len(page.records) for page in read) == 3


@pytest.mark.parametrize(
    "beside", [{"total": 3}, {"pagination": {"total": 3, "limit": 2}}, {"page": 1, "totalCount": 3}]
)
def test_a_list_with_fewer_records_than_its_total_is_not_complete(beside):
    read, _, error = walk([{"data": ROWS, **beside}])
    assert "counts 3 records, but gives no way to read more than 2" in str(error)
    assert len(read) == 1, "the caller still gets the first page"
    assert walk([{"data": ROWS, **beside}], {"cursor": "c7"})[2] is None, "earlier pages count, too"
    assert walk([{"data": [], **beside}])[2] is None


def test_a_list_that_ignores_the_page_number_does_not_loop():
    assert walk([{"contacts": ROWS, "page": 1, "limit": 2}])[2] is not None


@pytest.mark.parametrize(("said", "date"), [
    ("Mon, 02 Mar 2026 09:00:00 GMT", datetime(2026, 3, 2, 9, tzinfo=UTC)),
    ("Mon, 02 Mar 2026 09:00:00 +0100", datetime(2026, 3, 2, 8, tzinfo=UTC)), ("Fri, 31 Dec 9999 23:59:59 -1200", None),
    ("yesterday", None), ("", None),
])  # fmt: skip
def test_an_invalid_date_is_ignored(said, date):
    assert Reply("GET /v1/posts", 200, {"date": said}, b"").date == date


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"pagination": {"hasMore": False}}, True), ({"pagination": {"nextCursor": None}}, True), ({"nextCursor": None}, True),
        ({"page": 1, "limit": 5}, True), ({"total": 2}, True), ({"totalCount": 2}, True), ({"total": 3}, False), ({"count": 2}, False), ({}, False),
        ({"pagination": {}}, False), ({"pagination": {"limit": 2}}, False), ({"pagination": {"limit": 2, "offset": 0}}, False), ({"page": 1}, False),
        ({"pagination": {"page": "1", "limit": "5"}}, True), ({"total": "2"}, True), ({"total": "3"}, False), ({"meta": {"nextCursor": None}}, True),
        ({"page": 1, "perPage": 5}, True), ({"page": 1, "pageSize": 5}, True), ({"page": "9" * 30, "limit": 5}, False), ({"next": None}, False),
    ],
)  # fmt: skip
def test_says_more_tells_whether_the_page_reports_more_or_its_end(beside, said):
    """The number of records on this page does not report if more follow."""
    body = json.dumps({"posts": [{"id": "a"}, {"id": "b"}], **beside}).encode()
    page = read_page(Reply("GET /v1/posts", 200, {}, body))
    assert (page.says_more, page.cursor) == (said, None)


@pytest.mark.parametrize(
    ("beside", "following"),
    [
        ({"page": "1", "limit": "2"}, "2"), ({"page": 1, "limit": 100, "totalPages": "3"}, "2"), ({"page": 3, "totalPages": 3, "limit": 2}, None),
        ({"page": 1, "limit": 2, "nextPage": 2}, "2"), ({"page": 1, "totalPages": 2, "next": "/v1/posts?page=2"}, "2"),
        ({"page": 2, "per_page": 2}, "3"), ({"page": 2, "perPage": 3}, None), ({"page": 1, "limit": 0}, None),
    ],
)  # fmt: skip
def test_the_number_of_the_next_page_is_read_also_where_numbers_are_text(beside, following):
    page = read_page(reply({"data": ROWS, "pagination": beside}))
    assert (page.cursor, page.param, page.says_more) == (following, "page", True)


def test_an_empty_page_in_the_middle_ends_no_list():
    assert read_page(reply({"data": [], "pagination": {"page": 2, "limit": 100, "totalPages": 3}})).cursor == "3"
    assert read_page(reply({"data": [], "pagination": {"page": 3, "limit": 100, "totalPages": 3}})).cursor is None
    assert read_page(reply({"data": [], "pagination": {"page": 3, "limit": 100}})).cursor is None


def test_a_cursor_may_be_in_meta():
    assert read_page(reply({"data": ROWS, "meta": {"next_cursor": "c1"}})).cursor == "c1"


@pytest.mark.parametrize(
    "beside",
    [{"next": "/v1/posts?cursor=c1"}, {"pagination": {"next": "/v1/posts"}}, {"links": {"next": "x"}}, {"nextPage": 2}],
)
def test_an_unknown_form_of_more_is_not_taken_for_the_end(beside):
    with pytest.raises(DecodeError, match="reports more records, but in an unknown form"):
        read_page(reply({"data": ROWS, **beside}))
    assert read_page(reply({"data": ROWS, "nextCursor": None, **beside})).cursor is None, "it reports its end"


def test_a_bare_list_does_not_report_its_end():
    assert not read_page(Reply("GET /v1/posts", 200, {}, b"[]")).says_more
