"""Who am I, is it up, and many operations in one request (contract: sections 1 and 8.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from voxburst_sandbox.clock import iso
from voxburst_sandbox.http import Answer, Call, Route, invalid, refuse

__all__ = ["MOST_OPERATIONS", "routes"]

_GROUPS = ("/v1/posts", "/v1/accounts", "/v1/media", "/v1/webhooks")
MOST_OPERATIONS = 100
_MOST_BYTES, _MOST_BODY = 5 * 1024 * 1024, 100 * 1024


def _health(call: Call) -> Answer:
    """GET /health."""
    return Answer(200, {"status": "ok", "time": iso(call.world.now())})


def _me(call: Call) -> Answer:
    """GET /auth/me."""
    if call.world.switches.no_identity:
        refuse(404, "NOT_FOUND", "no such endpoint")
    return Answer(200, {"workspaceId": call.world.workspace_id, "workspaceName": "Alder Coffee", "plan": "PRO"})


def _login(call: Call) -> Answer:
    """POST /auth/login: a key for whoever knows the word ``sandbox`` (contract: K3)."""
    body = call.json(required=True)
    if not body.get("email") or body.get("password") != "sandbox":
        refuse(401, "UNAUTHORIZED", "wrong e-mail address or password")
    return Answer(200, {"accessToken": "vb_test_second"})


def routes(dispatch: Callable[[Call], Answer]) -> tuple[Route, ...]:
    """Return the endpoints of this page; `dispatch` serves one operation of a batch."""

    def batch(call: Call) -> Answer:
        """POST /batch."""
        return _batch(call, dispatch)

    return (
        Route("GET", "/v1/health", _health),
        Route("GET", "/v1/auth/me", _me),
        Route("POST", "/v1/auth/login", _login, keyed=False, reads=True, public=True),
        Route("POST", "/v1/batch", batch),
    )


def _batch(call: Call, dispatch: Callable[[Call], Answer]) -> Answer:
    """Operations in order; each has its own status, and only `continueOnError: false` stops at a failure."""
    if len(call.body) > _MOST_BYTES:
        return Answer(422, {"error": "the batch is larger than 5 MB"})
    body = call.json(required=True)
    operations = body.get("operations")
    if not isinstance(operations, list) or not 1 <= len(operations) <= MOST_OPERATIONS:
        invalid(f"operations must hold 1 to {MOST_OPERATIONS} operations", field="operations")
    for number, operation in enumerate(operations):
        _check(operation, number)
    if len({operation["id"] for operation in operations}) != len(operations):
        invalid("operation ids must be unique", field="operations")
    if any(len(msgspec.json.encode(operation.get("body"))) > _MOST_BODY for operation in operations):
        return Answer(422, {"error": "the body of an operation is larger than 100 KB"})
    results: list[dict[str, Any]] = []
    stopped = False
    for operation in operations:
        if stopped:
            results.append({"id": operation["id"], "status": 424, "body": None, "error": _SKIPPED})
            continue
        result = _operate(call, operation, dispatch)
        results.append(result)
        stopped = result["status"] >= 400 and body.get("continueOnError") is False
    skipped = sum(result.get("error") is _SKIPPED for result in results)
    succeeded = sum(result["status"] < 400 for result in results)
    failed = len(results) - succeeded - skipped
    summary = {"total": len(results), "succeeded": succeeded, "failed": failed, "skipped": skipped}
    return Answer(207 if failed else 200, {"results": results, "summary": summary})


_SKIPPED = {"code": "SKIPPED", "message": "an operation before this one failed"}


def _check(operation: Any, number: int) -> None:
    """Refuse a batch with a malformed operation."""
    field = f"operations[{number}]"
    if (
        not isinstance(operation, dict)
        or not isinstance(operation.get("id"), str)
        or not 1 <= len(operation["id"]) <= 64
    ):
        invalid("an operation needs an id of 1 to 64 characters", field=field)
    if operation.get("method") not in ("POST", "PATCH", "DELETE"):
        invalid("method must be POST, PATCH or DELETE", field=field)
    path = operation.get("path")
    if not isinstance(path, str) or len(path) > 500 or not path.startswith(_GROUPS):
        invalid("path must lie under posts, accounts, media or webhooks", field=field)
    if not isinstance(operation.get("headers"), dict | None):
        invalid("headers must be an object", field=field)


def _operate(call: Call, operation: dict[str, Any], dispatch: Callable[[Call], Answer]) -> dict[str, Any]:
    """Serve one operation."""
    headers = {str(name).lower(): str(value) for name, value in (operation.get("headers") or {}).items()}
    parts = urlsplit(operation["path"])
    body = b"" if operation.get("body") is None else msgspec.json.encode(operation["body"])
    inner = Call(
        call.world, operation["method"], parts.path, {}, dict(parse_qsl(parts.query)), headers, body,
        api_key=call.api_key, key=headers.get("idempotency-key"), request=call.request,
    )  # fmt: skip
    answer = dispatch(inner)
    call.changed = call.changed or inner.changed
    data = msgspec.json.decode(answer.encoded() or b"null")
    if answer.status >= 400 and isinstance(data, dict):
        return {"id": operation["id"], "status": answer.status, "body": None, "error": data.get("error", data)}
    return {"id": operation["id"], "status": answer.status, "body": data}
