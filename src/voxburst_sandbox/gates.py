"""What every request passes: the guard against web pages, API keys, the rate limit, idempotency keys, and faults.

A page that the user visits may send requests to this machine, also under a name that points here (DNS rebinding). So the
Host must be this machine's, and a request that a browser marks as foreign is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from math import ceil
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from voxburst_sandbox.http import Answer, Call, CutShort, refuse
from voxburst_sandbox.store import StoredAnswer, identifier
from voxburst_sandbox.switches import Fault
from voxburst_sandbox.world import World, http_date

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAMES = ("127.0.0.1", "localhost")


def is_loopback_address(url: str) -> bool:
    """Whether a web address leads to this machine."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and parts.hostname in LOOPBACK


class Guard:
    """An application that refuses requests from web pages.

    Parameters
    ----------
    app : ASGI application
        The guarded application.
    port : int
        Its port.
    open_to : callable or None
        Whether a foreign Host (lower case, with its port) is accepted; None accepts none.
    page : str
        Path that a link on another site may lead to; empty for none.
    """

    def __init__(
        self, app: ASGIApp, port: int, *, open_to: Callable[[str], bool] | None = None, page: str = ""
    ) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in _NAMES}
        self._origins = {f"{scheme}://{host}" for scheme in ("http", "https") for host in self._hosts}
        self._open_to = open_to
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it before anything reads it."""
        refusal = self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return why a request is not served; None if it is."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host not in self._hosts and not (self._open_to is not None and self._open_to(host)):
            names = " or ".join(sorted(self._hosts))
            return _refuse(421, "FOREIGN_HOST", f"this sandbox is called {names}")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in self._origins:
            return _refuse(403, "FOREIGN_ORIGIN", "a page of another origin may not use the sandbox")
        site = headers.get("sec-fetch-site", "none").lower()
        if site not in ("none", "same-origin") and not self._followed(scope, headers):
            return _refuse(403, "FOREIGN_ORIGIN", "a page of another site may not use the sandbox")
        return None

    def _followed(self, scope: Scope, headers: Headers) -> bool:
        """Whether a link led to the page that is open to links."""
        navigates = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
        return scope["method"] == "GET" and navigates and scope["path"] == self._page


def _refuse(status: int, code: str, message: str) -> Response:
    """Return an error in the API's shape."""
    body = {"error": {"code": code, "message": message}}
    return Response(msgspec.json.encode(body), status, media_type="application/json")


# API key -> whether it may write.
KEYS = {"vb_test_sandbox": True, "vb_test_second": True, "vb_test_readonly": False, "vb_test_quota": True}
_WINDOW_MS = 60_000
_KEY = re.compile(r"[A-Za-z0-9_-]{8,255}")


def authorise(headers: Mapping[str, str]) -> str:
    """Return the API key of the caller (contract: AUTH-n)."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or key.strip() not in KEYS:
        refuse(401, "UNAUTHORIZED", "the API key is missing or not valid")
    return key.strip()


class Limiter:
    """Requests per API key and minute of the virtual clock (contract: AUTH-n, ERR).

    Parameters
    ----------
    limit : int or None
        Requests a minute; None counts nothing and sends no headers.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._counts: dict[str, tuple[int, int]] = {}

    def count(self, api_key: str, at: int) -> tuple[dict[str, str], int | None]:
        """Return headers for the answer, and the seconds to wait if the request is one too many."""
        if self.limit is None:
            return {}, None
        window = at // _WINDOW_MS
        began, used = self._counts.get(api_key, (window, 0))
        used = used + 1 if began == window else 1
        self._counts[api_key] = (window, used)
        reset = (window + 1) * _WINDOW_MS
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - used)),
            "X-RateLimit-Reset": str(reset // 1000),
        }
        return headers, ceil((reset - at) / 1000) if used > self.limit else None

    def clear(self) -> None:
        """Forget all counts."""
        self._counts.clear()


def too_many(seconds: float) -> Answer:
    """Return the 429, with its pause in seconds."""
    pause = ceil(seconds)
    error = {"code": "RATE_LIMITED", "message": f"too many requests, retry after {pause} s"}
    return Answer(429, {"error": error}, headers={"Retry-After": str(pause)})


class KeyStore:
    """Idempotency keys: their stored answers, and those in flight (contract: section 6)."""

    def __init__(self, world: World) -> None:
        self._world = world

    def begin(self, call: Call) -> Answer | None:
        """Return the stored answer of a repeated request; None if the request is to run."""
        if call.key is None or self._world.switches.ignore_keys:
            return None
        if not _KEY.fullmatch(call.key):
            refuse(400, "IDEMPOTENCY_INVALID_KEY", "a key has 8 to 255 letters, digits, - or _", key=call.key[:40])
        name, asked = self._name(call), _fingerprint(call)
        if name in self._world.in_flight:
            if self._world.in_flight[name] != asked:
                refuse(409, "IDEMPOTENCY_CONFLICT", "the key is in use for another request", key=call.key)
            refuse(409, "IDEMPOTENCY_IN_PROGRESS", "a request under this key is still running", key=call.key)
        stored = self._world.answers.get(name)
        if stored is not None and self._world.now() - stored.at < self._world.switches.key_retention_seconds * 1000:
            if stored.fingerprint != asked:
                refuse(409, "IDEMPOTENCY_CONFLICT", "the key was used for another request", key=call.key)
            return Answer(stored.status, body=stored.body.encode())
        self._world.in_flight[name] = asked
        return None

    def finish(self, call: Call, answer: Answer, sent_status: int, *, forget: bool = False) -> None:
        """Store the answer of a request that took effect, or a refusal other than 429 and in-progress.

        `sent_status` is the status after faults; a fault may also make the server `forget` the key.
        """
        if call.key is None or self._world.switches.ignore_keys:
            return
        name = self._name(call)
        if self._world.in_flight.pop(name, None) is None:
            return
        forgotten = forget or (self._world.switches.forget_key_on_5xx and max(answer.status, sent_status) >= 500)
        if forgotten or answer.status == 429 or (answer.status >= 500 and not call.changed):
            return
        body = answer.encoded().decode()
        self._world.answers.save(StoredAnswer(name, _fingerprint(call), self._world.now(), answer.status, body))

    def _name(self, call: Call) -> str:
        """Return the name that a key is stored under; each API key has its own unless the workspace shares them."""
        return f"{'' if self._world.switches.workspace_keys else call.api_key} {call.key}"


def _fingerprint(call: Call) -> str:
    """Return a digest of method, path and body."""
    return sha256(b"\0".join((call.method.encode(), call.path.encode(), call.body))).hexdigest()


# Key of a request's connection in the scope, for the faults that close it.
CONNECTION = "voxops.connection"
_HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1><hr>edge-7</body></html>"
_GARBAGE = {"html": _HTML, "json": b'{"unexpected":[1,2,3]}', "empty": b""}


class Cut(Response):
    """A connection that closes without an answer, or in the middle of it."""

    def __init__(self, body: bytes, status: int, headers: dict[str, str], *, send: bool) -> None:
        super().__init__(body, status, headers, media_type="application/json")
        self._half = body[: len(body) // 2] if send else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half of the answer, or nothing, and close."""
        transport = scope[CONNECTION]
        if transport is None:
            return  # the client has closed it
        if self._half is None:
            transport.abort()
        else:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._half, "more_body": True})
            transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


def inject(faults: list[Fault]) -> Answer | None:
    """Return the answer that a fault gives before the request takes effect; None if it may go on."""
    for fault in faults:
        if fault.action == "retry_after":
            return too_many(fault.seconds)
        if fault.when != "before":
            continue
        if fault.action in ("status", "drop", "truncate"):
            return _status(fault)
        if fault.action == "garbage":
            return Answer(200, {})
    return None


def cut_short(faults: list[Fault]) -> CutShort | None:
    """Return after how many items a bulk request breaks off; None if it does not."""
    fault = next((fault for fault in faults if fault.action == "bulk_partial"), None)
    return None if fault is None else CutShort(fault.items, _status(fault))


def _status(fault: Fault) -> Answer:
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.details:
        error["details"] = dict(fault.details)
    return Answer(fault.status, {"error": error}, headers=dict(fault.headers))


def named(faults: list[Fault]) -> str:
    """Return the faults that struck, as the record of requests shows them."""
    return "+".join(f"{fault.action}:{fault.when}" for fault in faults)


def respond(
    world: World, entry: dict[str, Any], answer: Answer, faults: list[Fault], media_type: str = "application/json"
) -> Response:
    """Return the answer as the faults corrupt it, and record its status; 0 if nothing is sent."""
    sent = _corrupted(answer, faults, entry["query"].get("cursor"))
    media_type = sent.headers.pop("Content-Type", media_type)
    request_id = identifier("req_", world.seed, entry["seq"])
    headers = {**sent.headers, "Date": http_date(world.shown_time()), "X-Request-Id": request_id}
    body = sent.encoded()
    cut = next((fault.action for fault in faults if fault.action in ("drop", "truncate")), None)
    half = bool(body) and cut == "truncate"
    world.requests.amend(entry, status=sent.status if half or cut is None else 0)
    if cut is not None:
        return Cut(body, sent.status, headers, send=half)
    return Response(body or None, sent.status, headers, media_type=media_type if body else None)


def _corrupted(answer: Answer, faults: list[Fault], cursor: str | None) -> Answer:
    """Return a corrupted copy; the stored answer stays whole."""
    sent = Answer(answer.status, answer.data, answer.body, dict(answer.headers))
    for fault in faults:
        if fault.action == "status" and fault.when == "after":
            injected = _status(fault)
            sent = Answer(injected.status, injected.data, headers={**sent.headers, **injected.headers})
        elif fault.action == "garbage":
            status = sent.status if fault.status == 500 else fault.status
            kind = "text/html" if fault.body == "html" else "application/json"
            sent = Answer(status, body=_GARBAGE[fault.body], headers={**sent.headers, "Content-Type": kind})
        elif fault.action.startswith(("repeat_", "bulk_")):
            data = msgspec.json.decode(sent.encoded() or b"null")
            if isinstance(data, dict):
                _corrupt(data, fault.action, cursor)
            sent = Answer(sent.status, data, headers=sent.headers)
    return sent


def _corrupt(data: dict[str, Any], action: str, cursor: str | None) -> None:
    """Repeat a page's own cursor, or give the last item of a bulk answer a wrong index or none."""
    results, pages = data.get("results"), data.get("pagination")
    if pages and action == "repeat_cursor":
        again = cursor or pages.get("next_cursor") or pages.get("nextCursor")
        wrong = {"next_cursor": again, "nextCursor": again, "has_more": True, "hasMore": True}
        pages.update({name: value for name, value in wrong.items() if name in pages})
    elif results and action == "bulk_missing_index":
        results.pop()
    elif results and action == "bulk_double_index":
        results[-1]["index"] = results[0]["index"]
    elif results and action == "bulk_unknown_index":
        results[-1]["index"] = 10_000
