"""Lists, page by page: four envelopes, two spellings, and an end that always comes (contract: section 3)."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voxops.api.error_bodies import bears_error
from voxops.api.limits import LIST_PAGES
from voxops.client._reply import Reply
from voxops.errors import DecodeError

__all__ = ["Page", "pages", "prefetch", "read_page"]

_NO_RECORDS = frozenset({"details", "errors", "stack", "warnings"})  # lists beside a message, which are no records

# Addresses or numbers that may stand beside a place that is read.
_FOLLOWING = ("next", "nextPage", "next_page", "nextUrl", "next_url")
_DIGITS = 16  # what has more is no number of a page
_ON_ITS_WAY = 5  # turns of the loop after which a request has left

Fetch = Callable[[Mapping[str, Any]], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes
    ----------
    records : list of dict
        As the API sent them.
    cursor : str or None
        Where the next page begins, None on the last one.
    raw : Reply
        The whole answer.
    param : str
        Name of the query parameter that takes the cursor: ``cursor``, or ``page`` where a list counts its pages.
    says_more : bool
        Whether the answer has a word on how the list goes on, or that it ends. Without one a full page may be its end or not.
    total : int or None
        How many records the answer counts, where it says neither where the next page is nor that this is the last one.
    """

    records: list[dict[str, Any]]
    cursor: str | None
    raw: Reply = field(repr=False)
    param: str = "cursor"
    says_more: bool = True
    total: int | None = None


async def pages(fetch: Fetch, params: Mapping[str, Any]) -> AsyncIterator[Page]:
    """Read a list to its end.

    Parameters
    ----------
    fetch : callable
        Reads one page; takes the query, returns the reply.
    params : mapping
        Query of the first page.

    Yields
    ------
    Page
        At least one.

    Raises
    ------
    DecodeError
        If a page is not a list, the list counts more records than it shows and does not say where they are, or it repeats a cursor or
        has more than 20,000 pages, and so would never end.
    """
    query = dict(params)
    seen = {str(query["cursor"])} if query.get("cursor") is not None else set()
    from_top, count, records = not seen, 0, 0
    while True:
        page = read_page(await fetch(query))
        yield page
        count += 1
        records += len(page.records)
        if page.cursor is None and from_top and page.total is not None and 0 < records < page.total:
            raise _broken(page.raw, f"says that there are {page.total:,}, but not where to find more than {records:,}")
        if page.cursor is None:
            return
        if count >= LIST_PAGES:
            raise _broken(page.raw, f"has not ended after {count:,} pages; narrow the list, such as by a time")
        if page.cursor in seen:
            raise _broken(page.raw, f"repeats a cursor after {count} pages and would never end")
        seen.add(page.cursor)
        query[page.param] = page.cursor


async def prefetch(source: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """Ask for the next page of a list before the last one is worked on, so that the work and the waiting overlap.

    For lists that are read to their end: who stops early has asked for one page too many.
    """
    following = asyncio.ensure_future(anext(source, None))
    try:
        while (page := await following) is not None:
            following = asyncio.ensure_future(anext(source, None))
            for _ in range(_ON_ITS_WAY):
                await asyncio.sleep(0)
            yield page
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def read_page(reply: Reply) -> Page:
    """Read one page, whichever envelope it comes in.

    A missing pagination object means the last page. A promise of more without a place to go on is an error: a list that ends
    early in silence would look complete.

    Raises
    ------
    DecodeError
        If it is not a list of objects.
    """
    data = reply.data
    records, holder = _records(data, reply.endpoint.rpartition("/")[2])
    if records is None or not set(map(type, records)) <= {dict}:
        raise _broken(reply, "answered with something that is not a list of objects")
    if not isinstance(data, dict):
        return Page(records, None, reply, says_more=False)
    if bears_error(data):  # an empty list would be taken for proof that nothing is there (rule 14)
        raise _broken(reply, "answered with an error in the place of its list")
    parts = [
        part[name] for name in ("pagination", "meta") for part in (holder, data) if isinstance(part.get(name), dict)
    ]
    place = ChainMap(*parts, holder, data)
    cursor = _first(place, "nextCursor", "next_cursor")
    more = _first(place, "hasMore", "has_more")
    if more is False:
        return Page(records, None, reply)
    if cursor not in (None, ""):
        return Page(records, str(cursor), reply)
    if more:
        raise _broken(reply, "says that there is more, but not where")
    ends = bool({"nextCursor", "next_cursor"} & place.keys())
    counted = None if ends else _whole(_first(place, "total", "totalCount"))
    number, says_more = _next_number(place, len(records))
    links = place.get("links")
    following = [part for part in (links, place) if isinstance(part, Mapping)]
    if number is None and not ends and any(_first(part, *_FOLLOWING) for part in following):
        raise _broken(reply, "says that there is more, in a way that is not known here")
    says_more = says_more or ends or (more is not None if counted is None else counted <= len(records))
    return Page(records, number, reply, "page", says_more, counted)


def _records(data: Any, name: str) -> tuple[list[Any] | None, dict[str, Any]]:
    """The list in an answer, and what holds it: bare, under ``data``, under the name of its path, or the only one under any other name."""
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
    """The first of these that is there and not null."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def _whole(value: Any) -> int | None:
    """A whole number, also as text; None for anything else."""
    if type(value) is int:
        return value
    return (
        int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _DIGITS else None
    )


def _next_number(data: Mapping[str, Any], count: int) -> tuple[str | None, bool]:
    """Number of the next page of a list that counts its pages, and whether it says which is the last one.

    A short page is the last one, unless it is said to be another; an empty one in the middle is none.
    """
    number = _whole(data.get("page"))
    limit = _whole(_first(data, "limit", "perPage", "per_page", "pageSize", "page_size"))
    last = _whole(_first(data, "totalPages", "total_pages", "pages"))
    if number is None or (last is None and limit is None):
        return None, False
    goes_on = number < last if last is not None else limit is not None and 0 < limit <= count
    return str(number + 1) if goes_on else None, True


def _broken(reply: Reply, what: str) -> DecodeError:
    """The error of a list that can't be read."""
    return DecodeError(f"{reply.endpoint} {what}", endpoint=reply.endpoint, status=reply.status, body=reply.body)
