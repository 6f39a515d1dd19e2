"""The API's answer: its JSON, read leniently, and its error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from voxops._support import canonical, safe
from voxops._support.eventloop import collector_paused
from voxops.api.error_bodies import ErrorBody, read_answer
from voxops.api.timing import retry_after
from voxops.client._clock import parse_date
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
_LONGEST = 500  # characters of a server's message in an error text


@dataclass(frozen=True)
class Reply:
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
    """

    endpoint: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    broken: str = ""

    @cached_property
    def data(self) -> Any:
        """The body as JSON, None if it is empty.

        Raises
        ------
        DecodeError
            If the body is not JSON, or is incomplete.
        """
        if not self.broken and not self.body.strip():
            return None
        text = f"{self.endpoint} answered {self.status} {self.broken}; it was not read"
        if not self.broken:
            try:
                return decode(self.body)
            except ValueError:
                text = _not_json(self)
        raise DecodeError(text, endpoint=self.endpoint, status=self.status, body=self.body)

    @property
    def ok(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    @cached_property
    def date(self) -> datetime | None:
        """The time in the ``Date`` header, in whole seconds."""
        return parse_date(self.headers.get("date"))

    @property
    def request_id(self) -> str | None:
        """The server's id of the request."""
        named = next((self.headers[name] for name in _REQUEST_IDS if name in self.headers), None)
        return None if named is None else safe.plain(named)


def decode(body: bytes) -> Any:
    """Read JSON, as leniently as `voxops._support.canonical.decode`; ValueError if it is not JSON."""
    with collector_paused():
        return canonical.decode(body)


def single(reply: Reply) -> Any:
    """Return the one object of a reply, bare or as ``{data: {…}}`` (contract: section 2); ``{}`` for an empty body, else DecodeError."""
    data = reply.data
    if data is None:
        return {}
    if isinstance(data, dict):
        inner = data.get("data")
        return inner if isinstance(inner, dict) and "id" not in data else data
    raise DecodeError(
        f"{reply.endpoint} answered with a {type(data).__name__} where one object was expected",
        endpoint=reply.endpoint,
        status=reply.status,
        body=reply.body,
    )


def with_items(reply: Reply) -> dict[str, Any]:
    """Return the answer to a request with many items, whatever its HTTP status; without ``results`` it is an error."""
    try:
        data = reply.data
    except DecodeError:
        data = None
    if isinstance(data, dict) and isinstance(data.get("results"), list):
        return data
    error = error_of(reply)
    if error is not None:
        raise error
    text = f"{reply.endpoint} answered {reply.status} without results; the outcome of its items is unknown"
    raise DecodeError(text, endpoint=reply.endpoint, status=reply.status, body=reply.body)


def error_of(
    reply: Reply, *, url: str = "", now: datetime | None = None, redact: Callable[[Any], Any] = lambda value: value
) -> ApiError | None:
    """Return the error of a reply, None if it is a success.

    `redact` removes the API key from a decoded value: a server may echo it in a form that redaction of the raw body misses.
    """
    if reply.ok:
        return None
    error = ErrorBody(*redact(list(_error_body(reply))))
    # The server's text may be printed in a terminal, so control characters are removed.
    code, message = safe.plain(error.code), safe.plain(error.message, _LONGEST)
    said: dict[str, Any] = {
        "code": code,
        "details": error.details,
        "request_id": reply.request_id,
        "body": reply.body,
    }
    words = f"{reply.endpoint} answered {' '.join(filter(None, (str(reply.status), code)))}"
    words += f": {message}" if message else ""
    words += _hint(reply, url)
    if reply.status == 429:
        now = now or reply.date
        pause = None if now is None else retry_after(reply.headers.get("retry-after"), now)
        return RateLimitError(words, status=429, retry_after=pause, **said)
    return _kind(reply.status)(words, status=reply.status, **said)


def _kind(status: int) -> type[ApiError]:
    """Return the class of an error, which depends on the status only (contract: ERR)."""
    if status >= 500:
        return ServerError
    kinds: dict[int, type[ApiError]] = {
        400: ValidationError,
        401: AuthError,
        402: AuthError,
        403: AuthError,
        404: NotFoundError,
        409: ConflictError,
        422: ValidationError,
    }
    return kinds.get(status, ApiError)


def _error_body(reply: Reply) -> ErrorBody:
    """Read the body of an error; a web page is only named as one."""
    try:
        return read_answer(reply.data)
    except DecodeError:
        return ErrorBody(message="a web page" if _is_page(reply) else "")


def _hint(reply: Reply, url: str) -> str:
    """Return what to do about a configuration error."""
    if reply.status == 402:
        return ". The plan's quota is used up"
    if 300 <= reply.status < 400:
        return ". Redirects are not followed, so that the API key stays with its host; give the final address as url="
    if _is_page(reply) and reply.status < 500:
        return f". Is {url or 'this'} the API's address? Check url= or VOXBURST_API_URL"
    if reply.status == 401:
        return ". Check the API key: VOXBURST_API_KEY or api_key="
    if reply.status == 403:
        return ". The API key lacks the scope for this call; scopes are set in the dashboard"
    return ""


def _is_page(reply: Reply) -> bool:
    return (
        "html" in reply.headers.get("content-type", "")
        or re.match(rb"\s*<(!doctype|html)", reply.body, re.IGNORECASE) is not None
    )


def _not_json(reply: Reply) -> str:
    what = "a web page" if _is_page(reply) else f"{len(reply.body)} bytes that are not JSON"
    return f"{reply.endpoint} answered {reply.status} with {what}. Is the address right? Check url= or VOXBURST_API_URL"
