"""What stands before every handler: who calls, how often, and whether this very request was served before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from math import ceil
from typing import Any

import msgspec

from voxburst_sandbox.clock import http_date
from voxburst_sandbox.http import Answer, Call, RefusedError, refuse
from voxburst_sandbox.records import StoredAnswer
from voxburst_sandbox.world import World

__all__ = ["KEYS", "KeyStore", "Limiter", "authorise", "error_answer", "too_many"]

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
        """Headers for an answer, and the seconds to wait if the request is one too many."""
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


def too_many(world: World, seconds: float, code: str = "RATE_LIMITED") -> Answer:
    """Return the 429, with its pause in seconds or as a date."""
    after = (
        http_date(world.shown_time() + int(seconds * 1000)) if world.switches.retry_after_date else str(ceil(seconds))
    )
    error = {"code": code, "message": f"too many requests, retry after {ceil(seconds)} s"}
    return Answer(429, {"error": error}, headers={"Retry-After": after})


class KeyStore:
    """Idempotency keys: what was answered under them, and which are still in flight (contract: section 6)."""

    def __init__(self, world: World) -> None:
        self._world = world

    def begin(self, call: Call) -> Answer | None:
        """Return the stored answer of a repeated request; None if this is the first and may run."""
        if call.key is None or self._world.switches.ignore_keys:
            return None
        if not _KEY.fullmatch(call.key):
            refuse(400, "IDEMPOTENCY_INVALID_KEY", "a key has 8 to 255 letters, digits, - or _", key=call.key[:40])
        name, asked = self._name(call), self._fingerprint(call)
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
        """Remember the answer: of every request that took effect, and of refusals but 429 and in-progress.

        `sent_status` is what really goes out, which a fault may have changed; a fault may also ask to `forget` the key.
        """
        if call.key is None or self._world.switches.ignore_keys:
            return
        name = self._name(call)
        if self._world.in_flight.pop(name, None) is None:
            return
        switches = self._world.switches
        forgotten = forget or (switches.forget_key_on_5xx and max(answer.status, sent_status) >= 500)
        if forgotten or answer.status == 429 or (answer.status >= 500 and not call.changed):
            return
        status, body = answer.status, answer.encoded().decode()
        if switches.replay_sent_status and sent_status != status:
            status, body = sent_status, '{"error":{"code":"INTERNAL_ERROR","message":"stored failure"}}'
        self._world.answers.save(StoredAnswer(name, self._fingerprint(call), self._world.now(), status, body))

    def _name(self, call: Call) -> str:
        """Under which name a key is stored: each API key has its own, unless the workspace shares them."""
        return f"{'' if self._world.switches.workspace_keys else call.api_key} {call.key}"

    def _fingerprint(self, call: Call) -> str:
        """Return method, path and body, as bytes or as JSON."""
        body = call.body
        if self._world.switches.json_bodies and body:
            body = _canonical(body)
        return sha256(b"\0".join((call.method.encode(), call.path.encode(), body))).hexdigest()


def _canonical(body: bytes) -> bytes:
    """JSON in one spelling; other bytes as they are."""
    try:
        data: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return body
    return msgspec.json.encode(data, order="sorted")


def error_answer(world: World, error: RefusedError) -> Answer:
    """Return an error in the shape that the switches choose (contract: section 5)."""
    switches = world.switches
    code = switches.forbidden_code if error.code == "AUTHORIZATION_ERROR" else error.code
    body: dict[str, Any] = {"code": code, "message": error.message}
    if error.details:
        body["details"] = error.details
    data: dict[str, Any] = {"error": body}
    if switches.error_shape == "string":
        data = {"error": error.message}
    elif switches.error_shape == "pair":
        data = {"error": body.pop("code"), **body}
    elif switches.error_shape == "toplevel":
        data = body
    return Answer(error.status or switches.validation_status, data)
