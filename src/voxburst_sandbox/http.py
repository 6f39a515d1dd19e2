"""HTTP as handlers see it: a call and its body, an answer, a refusal, a route, a page of a list."""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NoReturn, TypeVar

import msgspec

from voxburst_sandbox.store import identifier
from voxburst_sandbox.world import World, parse_time

_ID = re.compile(r"[A-Za-z0-9_:.-]{1,100}")


@dataclass(slots=True)
class Answer:
    """An answer: a status, JSON-ready data or bytes, and more headers.

    `settled` makes the data after everything that is due has run, for a call that waits for its effect.
    """

    status: int
    data: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    settled: Callable[[], Any] | None = None

    def encoded(self) -> bytes:
        """Return the body as bytes; no data is no body."""
        if self.body is None:
            self.body = b"" if self.data is None else msgspec.json.encode(self.data)
        return self.body


class RefusedError(Exception):
    """A refusal, which becomes an error answer."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})

    def answer(self, world: World) -> Answer:
        """Return the error in the shape that the switches choose (contract: section 5)."""
        switches = world.switches
        code = switches.forbidden_code if self.code == "AUTHORIZATION_ERROR" else self.code
        error = {"code": code, "message": self.message, **({"details": self.details} if self.details else {})}
        shapes: dict[str, Any] = {
            "string": {"error": self.message},
            "pair": {"error" if name == "code" else name: value for name, value in error.items()},
            "toplevel": error,
        }
        return Answer(self.status or switches.validation_status, shapes.get(switches.error_shape, {"error": error}))

    def item(self) -> dict[str, Any]:
        """Return the error of one item of a bulk request (contract: K1-2)."""
        return {"field": self.details.get("field", ""), "issue": self.code, "detail": self.message}


def refuse(status: int, code: str, message: str, /, **details: Any) -> NoReturn:
    """Answer with an error."""
    raise RefusedError(status, code, message, details)


def invalid(message: str, code: str = "VALIDATION_ERROR", /, **details: Any) -> NoReturn:
    """Answer that the request is wrong."""
    raise RefusedError(0, code, message, details)  # 0: the status that the switches choose for validation


def not_found(kind: str, key: str) -> NoReturn:
    """Answer that there is no such thing, or that the id can't be one (contract: ERR)."""
    if not _ID.fullmatch(key):
        refuse(400, "BAD_REQUEST", f"malformed {kind} id")
    refuse(404, "NOT_FOUND", f"{kind} not found", resource=kind)


class Body(msgspec.Struct, kw_only=True, rename="camel"):
    """A request body; fields that it does not name are ignored."""


B = TypeVar("B", bound=Body)
# Fields whose wrong values have a code of their own; INVALID_DATE is 400 whatever status validation has.
_CODES = {"contentType": "CONTENT_TYPE_NOT_SUPPORTED", "scheduledFor": "INVALID_DATE"}


def decoded(kind: type[B], data: dict[str, Any]) -> B:
    """Return a body from its JSON object; refuse it with the first field that is missing or wrong."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        missing = re.search(r"required field `(\w+)`", message)
        named = re.match(r"\.(\w+(\[\d+\](?=\.))?)", path.rstrip("`") + (f".{missing[1]}" if missing else ""))
        field = named[1] if named else ""
        code = _CODES.get(field, "VALIDATION_ERROR")
        raise RefusedError(400 if code == "INVALID_DATE" else 0, code, message, {"field": field}) from None


@dataclass(frozen=True, slots=True)
class CutShort:
    """A bulk request that breaks off after so many items, and what is answered then."""

    items: int
    answer: Answer


@dataclass(slots=True)
class Call:
    """One request, as handlers see it."""

    world: World
    method: str
    path: str
    params: dict[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    api_key: str = ""
    key: str | None = None
    request: int | None = None
    dispatch: Callable[[Call], Answer] | None = None
    cut_short: CutShort | None = None
    changed: bool = False

    def json(self, *, required: bool = False) -> dict[str, Any]:
        """Return the body as an object; an absent one is empty unless required."""
        if not self.body.strip():
            if required:
                refuse(400, "BAD_REQUEST", "a JSON body is required")
            return {}
        try:
            data = msgspec.json.decode(self.body)
        except (ValueError, RecursionError):
            refuse(400, "BAD_REQUEST", "the body is not JSON")
        if data is None and not required:
            return {}
        if not isinstance(data, dict):
            refuse(400, "BAD_REQUEST", "the body must be a JSON object")
        return dict(data)

    def read(self, kind: type[B]) -> B:
        """Return the body; it may be absent if no field of it is required."""
        required = any(field.required for field in msgspec.structs.fields(kind))
        return decoded(kind, self.json(required=required))

    def effect(self, kind: str, **ids: Any) -> None:
        """Record a side effect of this request."""
        self.changed = True
        self.world.effect(kind, key=self.key, request=self.request, **ids)

    def time(self, name: str) -> int | None:
        """Return an instant from the query; a bare date is its midnight in UTC."""
        text = self.query.get(name)
        if not text:
            return None
        try:
            return parse_time(f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text)
        except ValueError:
            refuse(400, "INVALID_DATE", f"{name} must be ISO 8601 with an offset or Z", field=name)

    def limit(self, default: int = 20, most: int = 100) -> int:
        """Return the page size."""
        text = self.query.get("limit")
        if not text:
            return default
        if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= most:
            invalid(f"limit must be a number from 1 to {most}", field="limit")
        return int(text)

    def offset(self) -> int:
        """Return how many entries to skip, in place of a cursor; refused unless the switch `legacy` is on."""
        text = self.query.get("offset")
        if text is None:
            return 0
        if not self.world.switches.legacy:
            invalid("offset is not read: send cursor (the switch `legacy` reads it)", field="offset")
        if not text.isdecimal() or len(text) > 9:
            invalid("offset must be a number from 0", field="offset")
        return int(text)

    def word(self, name: str) -> str | None:
        """Return a filter in lower case; None if absent or ``all``."""
        text = self.query.get(name, "").lower()
        return None if text in ("", "all") else text


class Route:
    """One endpoint.

    Parameters
    ----------
    endpoint : str
        Method and path.
    handler : callable
        Takes the call, and its decoded body if `body` names one; returns the answer.
    body : type of Body or None
        The request body; None where there is none, and where the handler decodes it.
    keyed : bool
        An idempotency key is honoured.
    reads : bool
        It changes nothing, whatever the method.
    public : bool
        No API key is needed.
    """

    def __init__(
        self,
        endpoint: str,
        handler: Callable[..., Answer],
        body: type[Body] | None = None,
        *,
        keyed: bool = True,
        reads: bool = False,
        public: bool = False,
    ) -> None:
        self.method, _, self.path = endpoint.partition(" ")
        self.pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path))
        self.handler, self.body = handler, body
        self.keyed, self.public = keyed, public
        self.reads = reads or self.method == "GET"

    def run(self, call: Call) -> Answer:
        """Return the handler's answer or its refusal."""
        try:
            if self.body is None:
                return self.handler(call)
            return self.handler(call, call.read(self.body))
        except RefusedError as error:
            return error.answer(call.world)


def new_id(call: Call, prefix: str, taken: Mapping[str, Any], *parts: object) -> str:
    """Return an id drawn from the request, not from a counter, so that it doesn't depend on order."""
    base = call.key or sha256(call.body).hexdigest()
    for count in range(1 << 30):
        key = identifier(prefix, call.world.seed, call.method, call.path, base, *parts, count)
        if key not in taken:
            return key
    raise RuntimeError("out of ids")


def single(world: World, data: dict[str, Any], status: int = 200) -> Answer:
    """Return a single object, bare or wrapped as the switches say."""
    return Answer(status, {"data": data} if world.switches.wrapped_objects else data)


def envelope(
    world: World, name: str, records: Iterable[Any], limit: int, following: str | None, path: str = ""
) -> Answer:
    """Return a list with its pagination, in the chosen spelling (contract: section 3); `path` is its other name."""
    listed = list(records)
    if name not in ("data", "both"):
        return Answer(200, {name: listed})
    shown: dict[str, Any] = {"data": listed} | ({path: listed} if name == "both" else {})
    spelling = world.switches.pagination
    pages: dict[str, Any] = {}
    if spelling in ("both", "snake"):
        pages |= {"has_more": following is not None, "next_cursor": following}
    if spelling in ("both", "camel"):
        pages |= {"hasMore": following is not None, "nextCursor": following}
    if pages:
        shown["pagination"] = pages | {"limit": limit}
    return Answer(200, shown)


def page(
    call: Call, order: list[tuple[int, int, str]], accept: Callable[[str], bool], default: int = 20
) -> tuple[list[str], int, str | None]:
    """Return the ids of one page, newest first, its size, and the cursor of the next page.

    `order` is ascending by instant and ordinal. The cursor names the last entry shown, so a list that grows at its start
    neither repeats nor skips.
    """
    limit, skip = call.limit(default), call.offset()
    position = _start(call, order)
    since, until = call.time("from"), call.time("to")
    found: list[tuple[int, int, str]] = []
    while position > 0 and len(found) <= limit + skip:
        position -= 1
        entry = order[position]
        if since is not None and entry[0] < since:
            break
        if (until is None or entry[0] <= until) and accept(entry[2]):
            found.append(entry)
    found = found[skip:]
    following = _cursor(found[limit - 1]) if len(found) > limit else None
    return [entry[2] for entry in found[:limit]], limit, following


def _cursor(entry: tuple[int, int, str]) -> str:
    return base64.urlsafe_b64encode(f"{entry[0]}.{entry[1]}".encode()).decode().rstrip("=")


def _start(call: Call, order: list[tuple[int, int, str]]) -> int:
    """Return the index above the first entry of the page."""
    text = call.query.get("cursor")
    if not text:
        return len(order)
    try:
        instant, _, ordinal = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(".")
        place = (int(instant), int(ordinal), "")
    except (ValueError, binascii.Error, UnicodeDecodeError):
        refuse(400, "BAD_REQUEST", "the cursor is not one of ours")
    return bisect_left(order, place)


def deleted(world: World, key: str) -> Answer:
    """Return the answer to a delete, with or without a body."""
    return Answer(204) if world.switches.delete_204 else Answer(200, {"id": key, "success": True, "deleted": True})


def refuse_quota(call: Call) -> None:
    """Answer 402 to the key whose plan has nothing left."""
    if call.api_key == "vb_test_quota":
        refuse(402, "LIMIT_EXCEEDED", "the plan's quota is used up", limit=0)
