"""Who am I, is it up, and many operations in one request (contract: sections 1 and 8.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from voxburst_sandbox import wire
from voxburst_sandbox.http import (
    Answer,
    Call,
    Route,
    envelope,
    invalid,
    is_web_address,
    new_id,
    not_found,
    refuse,
    refuse_quota,
    single,
)
from voxburst_sandbox.publishing import LIMITS
from voxburst_sandbox.store import Account, Event, identifier, uniform
from voxburst_sandbox.webhooks import emit
from voxburst_sandbox.world import Handler, World, iso

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


def find_account(call: Call) -> Account:
    """Return the account that the path names."""
    key = call.params["id"]
    return call.world.accounts.get(key) or not_found("account", key)


def _list(call: Call) -> Answer:
    """GET /accounts: disconnected ones only where a status or `includeArchived` asks for them (contract: ACC-n)."""
    world, platform = call.world, call.word("platform")
    asked = call.query.get("status", "").lower()
    archived = call.query.get("includeArchived", "").lower() == "true"
    names = {"error": ("error", "expired", "revoked"), "inactive": ("expired", "revoked", "suspended")}.get(
        asked, (asked,)
    )

    def shown(item: Account) -> bool:
        if asked and asked != "all" and item.status not in names:
            return False
        if not asked and not archived and item.status == "disconnected":
            return False
        return platform is None or item.platform == platform

    found = [item for item in world.accounts.values() if shown(item)]
    limit, start = call.limit(), _place(call, found) + call.offset()
    following = found[start + limit - 1].id if len(found) > start + limit else None
    records = [wire.account(world, item) for item in found[start : start + limit]]
    return envelope(world, world.switches.accounts_envelope, records, limit, following, "accounts")


def _place(call: Call, found: list[Account]) -> int:
    """Index behind the account that the cursor names."""
    cursor = call.query.get("cursor")
    if not cursor:
        return 0
    keys = [item.id for item in found]
    if cursor not in keys:
        refuse(400, "BAD_REQUEST", "the cursor is not one of ours")
    return keys.index(cursor) + 1


def _get(call: Call) -> Answer:
    """GET /accounts/:id."""
    return single(call.world, wire.account(call.world, find_account(call)))


def _pages(call: Call) -> Answer:
    """GET /accounts/:id/pages: the pages that a Facebook account may post to."""
    account = find_account(call)
    if account.platform not in ("facebook", "linkedin"):
        refuse(400, "PAGE_SELECTION_NOT_SUPPORTED", f"{account.platform} has no pages")
    return Answer(200, {"pages": [{"id": key, "name": name} for key, name in _pages_of(account).items()]})


def _pages_of(account: Account) -> dict[str, str]:
    """Return the pages that an account may post to, name by id: the one it has, and two more."""
    own = {} if account.page_id is None else {account.page_id: account.page_name or account.display_name}
    return own | {f"page_{number}": f"{account.display_name} {number}" for number in (1, 2)}


def _connect(call: Call) -> Answer:
    """POST /accounts/connect/:platform, or with the platform in the body: where a person must go to agree, under every name."""
    refuse_quota(call)
    world = call.world
    platform = str(call.params.get("platform") or call.json(required=True).get("platform") or "").lower()
    if not platform:
        invalid("platform is required", field="platform")
    if platform not in LIMITS:
        refuse(400, "BAD_REQUEST", f"no such platform: {platform[:40]}")
    back = _return_address(call.json())
    number = sum(effect["kind"] == "account.connect" for effect in world.effects)
    state = identifier("st_", world.seed, platform, number)
    url = f"{world.hosts.get('api', '')}/_sandbox/oauth/authorize?platform={platform}&state={state}"
    call.effect("account.connect", platform=platform, state=state, redirect=back)
    return Answer(200, {"authorizationUrl": url, "authUrl": url, "url": url, "state": state, "redirectUri": back})


def _return_address(body: dict[str, Any]) -> str | None:
    """Return where the person is to come back to, under either name; it must be a web address."""
    back = body.get("redirectUri") or body.get("callbackUrl")
    if back is None:
        return None
    if not is_web_address(back, "http", "https"):
        invalid("the address to come back to must be http or https", field="callbackUrl")
    return str(back)


def connection(world: World, state: str) -> dict[str, Any] | None:
    """Return the beginning of a connection (`platform`, `redirect`); None if nobody began one with this state."""
    begun = (effect for effect in world.effects if effect["kind"] == "account.connect" and effect["state"] == state)
    return next(begun, None)


def oauth_code(world: World, state: str) -> str:
    """Return the code that agreeing to a connection gives."""
    return identifier("code_", world.seed, state)


def _callback(call: Call) -> Answer:
    """POST /accounts/callback/:platform: a code works once; an expired account of the platform comes back to life."""
    world, platform, body = call.world, call.params["platform"].lower(), call.json(required=True)
    code, state = str(body.get("code", "")), str(body.get("state", ""))
    issued = connection(world, state)
    used = any(effect["kind"] == "account.connected" and effect["state"] == state for effect in world.effects)
    if issued is None or issued["platform"] != platform or code != oauth_code(world, state):
        invalid("the code does not belong to this state and platform", field="code")
    if used:
        invalid("the code has been used", field="code")
    account = _reconnected(world, platform) or _new(call, platform)
    world.accounts.save(account)
    world.listed.clear()
    call.effect("account.connected", account=account.id, platform=platform, state=state)
    _emit(world, "account.connected", account)
    return Answer(200, {"account": wire.account(world, account)})


def _reconnected(world: World, platform: str) -> Account | None:
    """Return the platform's first account that can't publish, now active again."""
    broken = [item for item in world.accounts.values() if item.platform == platform and item.status != "active"]
    for account in broken[:1]:
        account.status, account.connected_at, account.refreshable = "active", world.now(), True
        return account
    return None


def _new(call: Call, platform: str) -> Account:
    """Return an account that was not there before."""
    key = new_id(call, "acc_", call.world.accounts)
    return Account(key, platform, f"alder_{key[4:10]}", "Alder Coffee New", "business", "active", call.world.now())


def _emit(world: World, kind: str, account: Account, **more: Any) -> None:
    """Send an account event (contract: K1)."""
    data = {"accountId": account.id, "platform": account.platform.upper(), "username": account.username, **more}
    emit(world, kind, data, world.now(), identifier("evt_", world.seed, kind, account.id, len(world.effects)))


def _disconnect(call: Call) -> Answer:
    """DELETE /accounts/:id: a soft delete."""
    world, account = call.world, find_account(call)
    if account.status != "disconnected":
        account.status = "disconnected"
        world.accounts.save(account)
        world.listed.clear()
        call.effect("account.disconnect", account=account.id)
        _emit(world, "account.disconnected", account, reason="user_request")
    return (
        Answer(204) if world.switches.delete_204 else Answer(200, {"id": account.id, "success": True, "deleted": True})
    )


def _refresh(call: Call) -> Answer:
    """POST /accounts/:id/refresh: a new token, unless the account must be connected anew."""
    world, account = call.world, find_account(call)
    fine = account.status == "active" or (account.status == "expired" and account.refreshable)
    if fine and account.status != "active":
        account.status = "active"
        world.accounts.save(account)
        world.listed.clear()
    call.effect("account.refresh", account=account.id, success=fine)
    return Answer(200, {"success": fine})


def _test(call: Call) -> Answer:
    """POST /accounts/:id/test: 200 also for an account that does not work."""
    account = find_account(call)
    call.effect("account.test", account=account.id)
    if account.status == "active" and account.scope_health is None:
        account.scope_health = {"status": "OK", "degradedCapabilities": [], "verifiedAt": iso(call.world.now())}
        call.world.accounts.save(account)
    if account.status != "active":
        return Answer(200, {"success": False, "message": f"The account is {account.status}. Reconnect it."})
    number = identifier("", call.world.seed, account.id)[:12]
    details = {"platformUserId": number, "username": account.username, "displayName": account.display_name}
    return Answer(200, {"success": True, "message": "The account works.", "details": details})


def _select_page(call: Call) -> Answer:
    """POST /accounts/:id/select-page: an empty id clears the choice."""
    world, account, body = call.world, find_account(call), call.json(required=True)
    page_id = body.get("pageId")
    if account.platform not in ("facebook", "linkedin"):
        refuse(400, "PAGE_SELECTION_NOT_SUPPORTED", f"{account.platform} has no pages")
    if not isinstance(page_id, str):
        invalid("pageId is required; empty clears it", field="pageId")
    known = _pages_of(account)
    if page_id and page_id not in known:
        refuse(400, "ACCOUNT_PAGE_MISMATCH", "the page does not belong to this account")
    account.page_id = page_id or None
    account.page_name = (str(body.get("pageName") or "") or known.get(page_id)) if page_id else None
    world.accounts.save(account)
    call.effect("account.page", account=account.id, page=page_id)
    return Answer(200, {"success": True})


def _backfill(call: Call) -> Answer:
    """POST /accounts/:id/backfill: analytics come later; `backfill.status` of the account says when (assumed)."""
    world, account = call.world, find_account(call)
    at = world.now()
    account.backfill = {"status": "processing", "startedAt": iso(at), "finishedAt": None}
    world.accounts.save(account)
    took = int(uniform(10_000, 90_000, world.seed, "backfill", account.id, at))
    world.schedule(at + took, "account.backfilled", account.id)
    call.effect("account.backfill", account=account.id)
    return Answer(202, {"id": account.id, "status": "processing", "backfill": account.backfill})


def _on_backfilled(world: World, event: Event) -> None:
    """Analytics have come."""
    account = world.accounts.get(event.subject)
    if account is not None and account.backfill is not None:
        account.backfill = {**account.backfill, "status": "completed", "finishedAt": iso(event.at)}
        world.accounts.save(account)


HANDLERS: dict[str, Handler] = {"account.backfilled": _on_backfilled}

ROUTES = (
    Route("GET", "/v1/accounts", _list),
    Route("GET", "/v1/accounts/{id}", _get),
    Route("GET", "/v1/accounts/{id}/pages", _pages),
    Route("POST", "/v1/accounts/connect", _connect, keyed=False),
    Route("POST", "/v1/accounts/connect/{platform}", _connect, keyed=False),
    Route("POST", "/v1/accounts/callback/{platform}", _callback, keyed=False),
    Route("DELETE", "/v1/accounts/{id}", _disconnect),
    Route("POST", "/v1/accounts/{id}/refresh", _refresh),
    Route("POST", "/v1/accounts/{id}/test", _test),
    Route("POST", "/v1/accounts/{id}/select-page", _select_page),
    Route("POST", "/v1/accounts/{id}/backfill", _backfill),
)
