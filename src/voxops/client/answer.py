"""The API's answer: its JSON, read leniently, its items and its error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Literal, NoReturn

from voxops._support import canonical, safe
from voxops._support.eventloop import collector_paused
from voxops.api.error_bodies import ErrorBody, read_answer, read_error
from voxops.api.matrix import Endpoint
from voxops.api.timing import retry_after
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

_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "x-correlation-id")
_ITEM_IDS = ("postId", "mediaId", "platformId", "accountId", "id")
_END_OF_TIMES = 2262  # a later year is a fault, and times count nanoseconds since 1970 in 64 bits
_LONGEST = 500  # characters of a server's message in an error text
# The class of an error depends on the status only (contract: ERR).
_ERRORS: Mapping[int, type[ApiError]] = {
    400: ValidationError, 401: AuthError, 402: AuthError, 403: AuthError, 404: NotFoundError, 409: ConflictError, 422: ValidationError,
}  # fmt: skip
# What to do about an error of the configuration.
_REMEDIES = {
    401: ". Check the API key: VOXBURST_API_KEY or api_key=",
    402: ". The plan's quota is used up",
    403: ". The API key lacks the scope for this call; scopes are set in the dashboard",
}

Kind = Literal["post", "media", "account", "delivery"]


@dataclass(frozen=True, slots=True)
class Polled:
    """What is read until it has ended: the job of an asynchronous call, or what a watch follows.

    Attributes
    ----------
    kind : str
        ``post``, ``media``, ``account`` or ``delivery``.
    ids : tuple of str
        Ids of the post, media files, account or delivery.
    webhook_id : str or None
        The webhook of a delivery, None for the other kinds.
    accepted : mapping
        The answer that accepted it, as the API sent it. It is not the outcome.
    accepted_at : datetime or None
        When it was accepted, by the server's clock.
    before : mapping or None
        A delivery or a post before the act: only a change shows that it was tried again. None if unknown or not needed.
    """

    kind: Kind
    ids: tuple[str, ...]
    webhook_id: str | None = None
    accepted: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    accepted_at: datetime | None = None
    before: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)

    @property
    def id(self) -> str:
        """Its id, the first of several."""
        return self.ids[0]

    @property
    def parts(self) -> list[Polled]:
        """One job per id."""
        return [replace(self, ids=(part,)) for part in self.ids]


@dataclass(frozen=True)
class Answer:
    """One answer of the API.

    Attributes
    ----------
    endpoint : str
        Method and path of the request.
    status : int
        HTTP status.
    headers : mapping
        Names in lower case.
    body : bytes
        As received.
    broken : str
        Why `body` is incomplete, such as ``with more than 67,108,864 bytes``; ``""`` if it is complete.
    row : Endpoint or None
        The row of the matrix that governs the request, None for a read.
    items : tuple of dict
        For the six rows that can half succeed, one per item: ``index status id error``, so that ``pd.DataFrame(answer.items)`` is a
        frame; empty for the others. Read each, whatever the status of the whole was.
    job : Polled or None
        For the nine asynchronous rows, what ``await client.wait(answer)`` follows: their 2xx only means "queued" (contract: SEED).
    """

    endpoint: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    broken: str = ""
    row: Endpoint | None = None
    items: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    job: Polled | None = None

    @cached_property
    def json(self) -> Any:
        """The body as JSON, None if it is empty.

        Raises
        ------
        DecodeError
            If the body is not JSON, or is incomplete.
        """
        if self.broken:
            self.refuse(f"answered {self.status} {self.broken}; it was not read")
        if not self.body.strip():
            return None
        try:
            with collector_paused():
                return canonical.decode(self.body)
        except ValueError:
            what = "a web page" if _is_page(self) else f"{len(self.body)} bytes that are not JSON"
        return self.refuse(f"answered {self.status} with {what}. Is the address right? Check url= or VOXBURST_API_URL")

    @property
    def record(self) -> dict[str, Any]:
        """The one object in the body, bare or as ``{data: {…}}`` (contract: section 2); ``{}`` for an empty body, else DecodeError."""
        data = {} if self.json is None else self.json
        if not isinstance(data, dict):
            self.refuse(f"answered with a {type(data).__name__} where one object was expected")
        inner = data.get("data")
        return inner if isinstance(inner, dict) and "id" not in data else data

    def refuse(self, what: str) -> NoReturn:
        """Raise a DecodeError that says what is wrong with it."""
        raise DecodeError(f"{self.endpoint} {what}", endpoint=self.endpoint, status=self.status, body=self.body)

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    @cached_property
    def date(self) -> datetime | None:
        """The time in the ``Date`` header, in whole seconds; None if it is absent or unreadable, or of a year that no clock can show yet."""
        try:
            date = parsedate_to_datetime(self.headers.get("date", ""))
            date = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):  # the offset may lead to a year out of range
            return None
        return date if date.year < _END_OF_TIMES else None

    @property
    def request_id(self) -> str | None:
        """The server's id of the request."""
        named = next((self.headers[name] for name in _REQUEST_IDS if name in self.headers), None)
        return None if named is None else safe.plain(named)


def _is_page(answer: Answer) -> bool:
    html = re.match(rb"\s*<(!doctype|html)", answer.body, re.IGNORECASE)
    return html is not None or "html" in answer.headers.get("content-type", "")


def items_of(row: Endpoint, answer: Answer) -> tuple[dict[str, Any], ...]:
    """Return the items of an answer to a row that can half succeed: ``index status id error`` of each.

    Raises
    ------
    DecodeError
        If the answer to a request for many items has no results: the outcome of its items is unknown.
    """
    data = answer.record
    if row.is_async:  # one post: what of it was queued again, and what was not
        named = (("retried", "retriedPlatforms"), ("skipped", "skippedPlatforms"))
        entries = [(status, entry) for status, name in named for entry in _entries(data, name)] or [("", data)]
    elif isinstance(data.get("results"), list):
        entries = [("", entry) for entry in _entries(data, "results")]
    else:
        answer.refuse(f"answered {answer.status} without results; the outcome of its items is unknown")
    return tuple(_item(number, status, entry) for number, (status, entry) in enumerate(entries))


def _entries(data: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    values = data.get(name)
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _item(number: int, status: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    problem = entry.get("errors") or entry.get("error") or (status == "skipped" and entry.get("reason")) or None
    error = read_error(problem)
    text = ": ".join(filter(None, (error.code, error.message))) or None
    return {
        "index": entry.get("index", number),
        "status": status or str(entry.get("status") or "").lower() or ("failed" if text else "succeeded"),
        "id": next((str(entry[name]) for name in _ITEM_IDS if entry.get(name)), None),
        "error": text,
    }


def error_of(answer: Answer, *, url: str, now: datetime, redact: Callable[[Any], Any]) -> ApiError | None:
    """Return the error of an answer, None if it is a success.

    `redact` removes the API key from a decoded value: a server may echo it in a form that redaction of the raw body misses.
    """
    if answer.ok:
        return None
    try:
        error = read_answer(answer.json)
    except DecodeError:
        error = ErrorBody(message="a web page" if _is_page(answer) else "")
    error = ErrorBody(*redact(list(error)))
    # The server's text may be printed in a terminal, so control characters are removed.
    code, message = safe.plain(error.code), safe.plain(safe.without_queries(error.message), _LONGEST)
    words = f"{answer.endpoint} answered {answer.status} {code}".rstrip() + (f": {message}" if message else "")
    if 300 <= answer.status < 400:
        words += ". Redirects are not followed, so that the API key stays with its host; give the final address as url="
    elif _is_page(answer) and answer.status < 500:
        words += f". Is {url} the API's address? Check url= or VOXBURST_API_URL"
    else:
        words += _REMEDIES.get(answer.status, "")
    facts: dict[str, Any] = {
        "status": answer.status, "code": code, "details": error.details, "request_id": answer.request_id, "body": answer.body,
    }  # fmt: skip
    if answer.status == 429:
        return RateLimitError(words, retry_after=retry_after(answer.headers.get("retry-after"), now), **facts)
    return _ERRORS.get(answer.status, ServerError if answer.status >= 500 else ApiError)(words, **facts)
