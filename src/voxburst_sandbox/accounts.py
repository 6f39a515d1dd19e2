"""Identity, health, batches and accounts (contract: 1, 8.2, 8.4; rows 17 to 23)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from voxburst_sandbox import wire
from voxburst_sandbox.bodies import LIMITS, Agreed, Batch, Connect, Login, Operation, Page, Return
from voxburst_sandbox.http import (
    Answer,
    Call,
    Route,
    deleted,
    envelope,
    invalid,
    new_id,
    not_found,
    page,
    refuse,
    refuse_quota,
    single,
)
from voxburst_sandbox.store import Account, Event, identifier, uniform
from voxburst_sandbox.webhooks import emit
from voxburst_sandbox.world import Handler, World, iso


def _health(call: Call) -> Answer:
    """GET /health."""
    return Answer(200, {"status": "ok", "time": iso(call.world.now())})


def _me(call: Call) -> Answer:
    """GET /auth/me."""
    if call.world.switches.no_identity:
        refuse(404, "NOT_FOUND", "no such endpoint")
    return Answer(200, {"workspaceId": call.world.workspace_id, "workspaceName": "Alder Coffee", "plan": "PRO"})


def _login(_: Call, body: Login) -> Answer:
    """POST /auth/login: an API key for the password ``sandbox`` (contract: K3)."""
    if not body.email or body.password != "sandbox":  # noqa: S105 - a word for everybody
        refuse(401, "UNAUTHORIZED", "wrong e-mail address or password")
    return Answer(200, {"accessToken": "vb_test_second"})


_MOST_BATCH_BYTES, _MOST_BODY_BYTES = 5 * 1024**2, 100 * 1024
_SKIPPED = {"code": "SKIPPED", "message": "an operation before this one failed"}


def _batch(call: Call, body: Batch) -> Answer:
    """POST /batch: operations in order; only `continueOnError: false` stops at one that fails."""
    if len(call.body) > _MOST_BATCH_BYTES:
        return Answer(422, {"error": "the batch is larger than 5 MB"})
    if len({operation.id for operation in body.operations}) != len(body.operations):
        invalid("operation ids must be unique", field="operations")
    if any(len(msgspec.json.encode(operation.body)) > _MOST_BODY_BYTES for operation in body.operations):
        return Answer(422, {"error": "the body of an operation is larger than 100 KB"})
    results: list[dict[str, Any]] = []
    skipped = failed = 0
    for operation in body.operations:
        if failed and not body.continue_on_error:
            result: dict[str, Any] = {"id": operation.id, "status": 424, "body": None, "error": _SKIPPED}
            skipped += 1
        else:
            result = _operate(call, operation)
            failed += result["status"] >= 400
        results.append(result)
    succeeded = len(results) - failed - skipped
    summary = {"total": len(results), "succeeded": succeeded, "failed": failed, "skipped": skipped}
    return Answer(207 if failed else 200, {"results": results, "summary": summary})


def _operate(call: Call, operation: Operation) -> dict[str, Any]:
    assert call.dispatch is not None, "calls that come from outside have one"
    headers = {name.lower(): str(value) for name, value in (operation.headers or {}).items()}
    parts = urlsplit(operation.path)
    inner = replace(
        call, method=operation.method, path=parts.path, query=dict(parse_qsl(parts.query)), headers=headers, changed=False,
        body=b"" if operation.body is None else msgspec.json.encode(operation.body), key=headers.get("idempotency-key"),
    )  # fmt: skip
    answer = call.dispatch(inner)
    call.changed = call.changed or inner.changed
    data = msgspec.json.decode(answer.encoded() or b"null")
    if answer.status >= 400 and isinstance(data, dict):
        return {"id": operation.id, "status": answer.status, "body": None, "error": data.get("error", data)}
    return {"id": operation.id, "status": answer.status, "body": data}


def find_account(call: Call) -> Account:
    """Return the account that the path names."""
    key = call.params["id"]
    return call.world.accounts.get(key) or not_found("account", key)


# Requested status -> the statuses that it covers, where these are several.
_COVERED = {"error": ("error", "expired", "revoked"), "inactive": ("expired", "revoked", "suspended")}


def _list(call: Call) -> Answer:
    """GET /accounts: disconnected ones only where a status or `includeArchived` asks for them (contract: ACC-n)."""
    world, platform, status = call.world, call.word("platform"), call.query.get("status", "").lower()
    archived = call.query.get("includeArchived", "").lower() == "true"

    def accept(key: str) -> bool:
        item = world.accounts[key]
        if not status and not archived and item.status == "disconnected":
            return False
        return platform in (None, item.platform) and (
            status in ("", "all") or item.status in _COVERED.get(status, (status,))
        )

    order = [(world.start, -number, key) for number, key in enumerate(world.accounts)][::-1]
    keys, limit, following = page(call, order, accept)
    records = [wire.account(world, world.accounts[key]) for key in keys]
    return envelope(world, world.switches.accounts_envelope, records, limit, following, "accounts")


def _get(call: Call) -> Answer:
    """GET /accounts/:id."""
    return single(call.world, wire.account(call.world, find_account(call)))


def _pages(call: Call) -> Answer:
    """GET /accounts/:id/pages: the pages that a Facebook account may post to."""
    account = _find_with_pages(call)
    return Answer(200, {"pages": [{"id": key, "name": name} for key, name in _pages_of(account).items()]})


def _find_with_pages(call: Call) -> Account:
    account = find_account(call)
    if account.platform not in ("facebook", "linkedin"):
        refuse(400, "PAGE_SELECTION_NOT_SUPPORTED", f"{account.platform} has no pages")
    return account


def _pages_of(account: Account) -> dict[str, str]:
    """Return the pages that an account may post to, name by id: the one it has, and two more."""
    own = {} if account.page_id is None else {account.page_id: account.page_name or account.display_name}
    return own | {f"page_{number}": f"{account.display_name} {number}" for number in (1, 2)}


def _connect(call: Call, body: Return) -> Answer:
    """POST /accounts/connect/:platform, or with the platform in the body: where to agree, under every name."""
    refuse_quota(call)
    world = call.world
    platform = (body.platform if isinstance(body, Connect) else call.params["platform"]).lower()
    if platform not in LIMITS:
        refuse(400, "BAD_REQUEST", f"no such platform: {platform[:40]}")
    back = body.redirect_uri or body.callback_url
    number = sum(effect["kind"] == "account.connect" for effect in world.effects)
    state = identifier("st_", world.seed, platform, number)
    url = f"{world.hosts.get('api', '')}/_sandbox/oauth/authorize?platform={platform}&state={state}"
    call.effect("account.connect", platform=platform, state=state, redirect=back)
    return Answer(200, {"authorizationUrl": url, "authUrl": url, "url": url, "state": state, "redirectUri": back})


def connection(world: World, state: str) -> dict[str, Any] | None:
    """Return the effect that began a connection (`platform`, `redirect`); None if the state is unknown."""
    begun = (effect for effect in world.effects if effect["kind"] == "account.connect" and effect["state"] == state)
    return next(begun, None)


def oauth_code(world: World, state: str) -> str:
    """Return the code that agreeing to a connection gives."""
    return identifier("code_", world.seed, state)


def _callback(call: Call, body: Agreed) -> Answer:
    """POST /accounts/callback/:platform: a code works once; an expired account of the platform is active again."""
    world, platform, state = call.world, call.params["platform"].lower(), body.state
    issued = connection(world, state)
    used = any(effect["kind"] == "account.connected" and effect["state"] == state for effect in world.effects)
    if issued is None or issued["platform"] != platform or body.code != oauth_code(world, state):
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
    return deleted(world, account.id)


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


def _select_page(call: Call, body: Page) -> Answer:
    """POST /accounts/:id/select-page: an empty id clears the choice."""
    account, page_id = _find_with_pages(call), body.page_id
    known = _pages_of(account)
    if page_id and page_id not in known:
        refuse(400, "ACCOUNT_PAGE_MISMATCH", "the page does not belong to this account")
    account.page_id = page_id or None
    account.page_name = (body.page_name or known[page_id]) if page_id else None
    call.world.accounts.save(account)
    call.effect("account.page", account=account.id, page=page_id)
    return Answer(200, {"success": True})


def _backfill(call: Call) -> Answer:
    """POST /accounts/:id/backfill: asynchronous; `backfill.status` of the account shows the progress (assumed)."""
    world, account = call.world, find_account(call)
    at = world.now()
    account.backfill = {"status": "processing", "startedAt": iso(at), "finishedAt": None}
    world.accounts.save(account)
    took = int(uniform(10_000, 90_000, world.seed, "backfill", account.id, at))
    world.schedule(at + took, "account.backfilled", account.id)
    call.effect("account.backfill", account=account.id)
    return Answer(202, {"id": account.id, "status": "processing", "backfill": account.backfill})


def _on_backfilled(world: World, event: Event) -> None:
    account = world.accounts.get(event.subject)
    if account is not None and account.backfill is not None:
        account.backfill = {**account.backfill, "status": "completed", "finishedAt": iso(event.at)}
        world.accounts.save(account)


HANDLERS: dict[str, Handler] = {"account.backfilled": _on_backfilled}

ROUTES = (
    Route("GET /v1/health", _health),
    Route("GET /v1/auth/me", _me),
    Route("POST /v1/auth/login", _login, Login, keyed=False, reads=True, public=True),
    Route("POST /v1/batch", _batch, Batch),
    Route("GET /v1/accounts", _list),
    Route("GET /v1/accounts/{id}", _get),
    Route("GET /v1/accounts/{id}/pages", _pages),
    Route("POST /v1/accounts/connect", _connect, Connect, keyed=False),
    Route("POST /v1/accounts/connect/{platform}", _connect, Return, keyed=False),
    Route("POST /v1/accounts/callback/{platform}", _callback, Agreed, keyed=False),
    Route("DELETE /v1/accounts/{id}", _disconnect),
    Route("POST /v1/accounts/{id}/refresh", _refresh),
    Route("POST /v1/accounts/{id}/test", _test),
    Route("POST /v1/accounts/{id}/select-page", _select_page, Page),
    Route("POST /v1/accounts/{id}/backfill", _backfill),
)
