"""How a fault shows on the wire: injected answers, closed connections, spoiled bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voxburst_sandbox.faults import Fault
from voxburst_sandbox.gates import too_many
from voxburst_sandbox.http import Answer, CutShort
from voxburst_sandbox.world import World

__all__ = ["CONNECTION", "Cut", "cut_short", "inject", "spoil"]

# Where the server puts the connection of a request, for whoever must close it.
CONNECTION = "voxops.connection"
_HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1><hr>edge-7</body></html>"
_GARBAGE = {"html": _HTML, "json": b'{"unexpected":[1,2,3]}', "empty": b""}


class Cut(Response):
    """A connection that is closed under the request: without an answer, or in the middle of it."""

    def __init__(self, body: bytes, status: int, headers: dict[str, str], *, send: bool) -> None:
        super().__init__(body, status, headers, media_type="application/json")
        self._half = body[: len(body) // 2] if send else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send half of the answer, or nothing, and close."""
        transport = scope[CONNECTION]
        if transport is None:
            return  # the client has gone by itself
        if self._half is None:
            transport.abort()
        else:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._half, "more_body": True})
            transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


def inject(world: World, faults: list[Fault]) -> Answer | None:
    """Return the answer that a fault gives before the request takes effect; None if it may go on."""
    for fault in faults:
        if fault.action == "retry_after":
            return too_many(world, fault.seconds)
        if fault.when != "before":
            continue
        if fault.action == "status":
            return _status(fault)
        if fault.action in ("drop", "truncate"):
            return Answer(500, {"error": {"code": fault.code, "message": fault.message}})
        if fault.action == "garbage":
            return Answer(200, {})
    return None


def cut_short(faults: list[Fault]) -> CutShort | None:
    """Return after how many items a bulk request breaks off; None if it does not."""
    fault = next((fault for fault in faults if fault.action == "bulk_partial"), None)
    return None if fault is None else CutShort(fault.items, _status(fault))


def _status(fault: Fault) -> Answer:
    """Return the error that a fault puts in place of the answer."""
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.details:
        error["details"] = dict(fault.details)
    return Answer(fault.status, {"error": error}, headers=dict(fault.headers))


def spoil(answer: Answer, faults: list[Fault], cursor: str | None) -> Answer:
    """Return the answer as it leaves: a copy, so that what is stored under a key stays whole."""
    spoiled = Answer(answer.status, answer.data, answer.body, dict(answer.headers))
    for fault in faults:
        if fault.action == "status" and fault.when == "after":
            injected = _status(fault)
            spoiled = Answer(injected.status, injected.data, headers={**spoiled.headers, **injected.headers})
        elif fault.action == "garbage":
            status = spoiled.status if fault.status == 500 else fault.status
            kind = "text/html" if fault.body == "html" else "application/json"
            spoiled = Answer(status, body=_GARBAGE[fault.body], headers={**spoiled.headers, "Content-Type": kind})
        elif fault.action == "repeat_cursor":
            spoiled = _edited(spoiled, lambda data: _repeat_cursor(data, cursor))
        elif fault.action.startswith("bulk_") and fault.action in _ITEM_FAULTS:
            spoiled = _edited(spoiled, _ITEM_FAULTS[fault.action])
    return spoiled


def _edited(answer: Answer, edit: Callable[[dict[str, Any]], None]) -> Answer:
    """Return an answer whose JSON was edited, if it is an object."""
    data = msgspec.json.decode(answer.encoded() or b"null")
    if isinstance(data, dict):
        edit(data)
    return Answer(answer.status, data, headers=answer.headers)


def _repeat_cursor(data: dict[str, Any], cursor: str | None) -> None:
    """Name the page's own cursor as the next one."""
    pages = data.get("pagination")
    if isinstance(pages, dict):
        again = cursor or pages.get("next_cursor") or pages.get("nextCursor")
        for name in ("next_cursor", "nextCursor"):
            if name in pages:
                pages[name] = again
        for name in ("has_more", "hasMore"):
            if name in pages:
                pages[name] = True


def _double(data: dict[str, Any]) -> None:
    """Say the first item's index twice."""
    if len(data.get("results") or ()) > 1:
        data["results"][-1]["index"] = data["results"][0]["index"]


def _missing(data: dict[str, Any]) -> None:
    """Leave the last item out."""
    if data.get("results"):
        data["results"].pop()


def _unknown(data: dict[str, Any]) -> None:
    """Give the last item an index that was not asked for."""
    if data.get("results"):
        data["results"][-1]["index"] = 10_000


_ITEM_FAULTS = {"bulk_double_index": _double, "bulk_missing_index": _missing, "bulk_unknown_index": _unknown}
