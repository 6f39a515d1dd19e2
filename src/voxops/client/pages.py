"""Lists, page by page: four envelopes, two spellings, and no endless loop (contract: section 3)."""

from __future__ import annotations

import asyncio
import re
from collections import ChainMap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voxops._support import loads
from voxops._support.safe import many
from voxops.api.error_bodies import bears_error
from voxops.api.limits import LIST_BYTES, LIST_PAGES, LIST_RECORDS, PAGE_RECORDS, PAGE_TIMES
from voxops.client.answer import Answer

_NO_RECORDS = frozenset({"details", "errors", "stack", "warnings"})  # lists that accompany a message

# Links or numbers of a next page; the client does not follow them.
_FOLLOWING = ("next", "nextPage", "next_page", "nextUrl", "next_url")
_TURNS_TO_SEND = 5  # turns of the event loop after which a request has been sent

Fetch = Callable[[Mapping[str, Any]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes
    ----------
    records : list of dict
        As the API sent them.
    cursor : str or None
        Start of the next page, None on the last one.
    raw : Answer
        The whole answer.
    param : str
        Query parameter for the cursor: ``cursor``, or ``page`` if the list numbers its pages.
    says_more : bool
        Whether the answer reports if more pages follow. If not, a full page may be the last one or not.
    total : int or None
        Number of records by the answer's count, if it reports neither a next page nor the end.
    """

    records: list[dict[str, Any]]
    cursor: str | None
    raw: Answer = field(repr=False)
    param: str = "cursor"
    says_more: bool = True
    total: int | None = None


class Listing:
    """A list of the API: ``async for`` yields its records, and `pages` its pages. Each iteration reads it from the beginning.

    Parameters
    ----------
    read : callable
        Begins to read it, page by page.
    """

    def __init__(self, read: Callable[[], AsyncIterator[Page]]) -> None:
        self._read = read

    def pages(self) -> AsyncIterator[Page]:
        """Read it page by page, to its end.

        Raises
        ------
        ApiError, TransportError, DecodeError, WaitTooLong
            While it is read.
        """
        return self._read()

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        async for page in self._read():
            for record in page.records:
                yield record


async def pages(fetch: Fetch, params: Mapping[str, Any]) -> AsyncIterator[Page]:
    """Read a list to its end, at least one page; `fetch` reads a page, `params` is the query of the first.

    Raises
    ------
    DecodeError
        If a page is not a list, records are missing by the answer's own count, a cursor repeats, or a page has many times the
        requested records. Also if a list has over 20,000 pages, two million records or 4 GB.
    """
    query = dict(params)
    seen = {str(query["cursor"])} if query.get("cursor") is not None else set()
    wanted = max(_whole(query.get("limit")) or 0, PAGE_RECORDS)
    from_top, count, records, size = not seen, 0, 0, 0
    while True:
        page = read_page(await fetch(query))
        if len(page.records) > wanted * PAGE_TIMES:
            page.raw.refuse(f"answered with {len(page.records):,} records where {wanted} were requested")
        loads.current().page(len(page.records))
        yield page
        count += 1
        records += len(page.records)
        size += len(page.raw.body)
        if page.cursor is None and from_top and page.total is not None and 0 < records < page.total:
            page.raw.refuse(f"counts {page.total:,} records, but gives no way to read more than {records:,}")
        if page.cursor is None:
            return
        if count >= LIST_PAGES or records >= LIST_RECORDS or size >= LIST_BYTES:
            read = f"{many(count, 'page')}, {many(records, 'record')} and {size / 1e6:,.0f} MB"
            page.raw.refuse(f"has not ended after {read}; narrow the list, for example by time")
        if page.cursor in seen:
            page.raw.refuse(f"repeats a cursor after {count} pages and would never end")
        seen.add(page.cursor)
        query[page.param] = page.cursor


async def prefetch(source: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """Request the next page of a list while the caller processes the last one.

    For lists that are read to their end: stopping early wastes one request.
    """
    following = asyncio.ensure_future(anext(source, None))
    try:
        while (page := await following) is not None:
            following = asyncio.ensure_future(anext(source, None))
            for _ in range(_TURNS_TO_SEND):
                await asyncio.sleep(0)
            yield page
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def read_page(answer: Answer) -> Page:
    """Read one page in any of the envelopes.

    A missing pagination object means the last page. A page that reports more but gives no cursor is an error: a list that silently
    ends early would look complete.

    Raises
    ------
    DecodeError
        If it is not a list of objects.
    """
    data = answer.json
    records, holder = _records(data, answer.endpoint.rpartition("/")[2])
    if records is None or not set(map(type, records)) <= {dict}:
        answer.refuse("answered with something that is not a list of objects")
    if not isinstance(data, dict):
        return Page(records, None, answer, says_more=False)
    if bears_error(data):  # an empty list would prove that nothing exists (rule 11)
        answer.refuse("answered with an error instead of a list")
    parts = [
        part[name] for name in ("pagination", "meta") for part in (holder, data) if isinstance(part.get(name), dict)
    ]
    place = ChainMap(*parts, holder, data)
    cursor = _first(place, "nextCursor", "next_cursor")
    more = _first(place, "hasMore", "has_more")
    if more is False:
        return Page(records, None, answer)
    if cursor not in (None, ""):
        return Page(records, str(cursor), answer)
    if more:
        answer.refuse("reports more records, but gives no cursor")
    ends = bool({"nextCursor", "next_cursor"} & place.keys())
    counted = None if ends else _whole(_first(place, "total", "totalCount"))
    number, says_more = _next_number(place, len(records))
    links = place.get("links")
    following = [part for part in (links, place) if isinstance(part, Mapping)]
    if number is None and not ends and any(_first(part, *_FOLLOWING) for part in following):
        answer.refuse("reports more records, but in an unknown form")
    says_more = says_more or ends or (more is not None if counted is None else counted <= len(records))
    return Page(records, number, answer, "page", says_more, counted)


def _records(data: Any, name: str) -> tuple[list[Any] | None, dict[str, Any]]:
    """Return the list in an answer and the object that contains it: bare, under ``data`` or its path's name, else the only list."""
    if isinstance(data, list):
        return data, {}
    if not isinstance(data, dict):
        return None, {}
    for named in (data.get("data"), data.get(name)):
        if isinstance(named, list):
            return named, data
    lists = [value for key, value in data.items() if isinstance(value, list) and key not in _NO_RECORDS]
    if len(lists) == 1:
        return lists[0], data
    return _records(data.get("data"), name) if not lists else (None, data)


def _first(record: Mapping[str, Any], *names: str) -> Any:
    """Return the first of these values that is present and not null."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def _whole(value: Any) -> int | None:
    """Return a whole number, also from text; None for anything else."""
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,15}", value) else None


def _next_number(data: Mapping[str, Any], count: int) -> tuple[str | None, bool]:
    """Return the number of the next page, and whether the list reports which page is its last.

    Without a number of pages, a page with fewer records than `limit` is the last one.
    """
    number = _whole(data.get("page"))
    limit = _whole(_first(data, "limit", "perPage", "per_page", "pageSize", "page_size"))
    last = _whole(_first(data, "totalPages", "total_pages", "pages"))
    if number is None or (last is None and limit is None):
        return None, False
    goes_on = number < last if last is not None else limit is not None and 0 < limit <= count
    return str(number + 1) if goes_on else None, True
