"""The API as one ASGI endpoint."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from voxburst_sandbox import accounts, analytics, media, posts, webhooks
from voxburst_sandbox.gates import KEYS, KeyStore, Limiter, authorise, cut_short, inject, named, respond, too_many
from voxburst_sandbox.http import Answer, Call, RefusedError, Route, refuse
from voxburst_sandbox.switches import Fault
from voxburst_sandbox.world import World, iso

ROUTES = (*accounts.ROUTES, *posts.ROUTES, *media.ROUTES, *webhooks.ROUTES, *analytics.ROUTES)
# Among two that match, the one with fewer variable parts wins.
_BY_PRECEDENCE = sorted(ROUTES, key=lambda route: route.path.count("{"))


class Api:
    """The API as one ASGI endpoint.

    Parameters
    ----------
    world : World
        Its state.
    limiter : Limiter
        Its rate limit.
    """

    def __init__(self, world: World, limiter: Limiter) -> None:
        self.world = world
        self.limiter = limiter
        self.keys = KeyStore(world)

    async def endpoint(self, request: Request) -> Response:
        """Serve one request."""
        body = await request.body()
        world = self.world
        await world.settle()
        call = Call(
            world, request.method, request.url.path, {}, request.query_params, request.headers, body,
            key=request.headers.get("idempotency-key"), dispatch=self.dispatch,
        )  # fmt: skip
        entry = self._note(call, request.url.query)
        faults = world.faults.strike(call.method, call.path, call.key or f"{call.method} {call.path}")
        entry["fault"] = named(faults)
        try:
            return respond(world, entry, await self._serve(call, entry, faults), faults)
        finally:
            world.requests.amend(entry, ended=iso(world.now()))
            world.flush()

    def _note(self, call: Call, query: str) -> dict[str, Any]:
        """Put the request on record, without an unknown API key."""
        key = call.headers.get("authorization", "").partition(" ")[2].strip()
        call.api_key = key if key in KEYS else ""
        entry = self.world.requests.note(
            method=call.method, path=call.path, query=dict(parse_qsl(query)), key=call.key, api_key=call.api_key, status=0,
            body=sha256(call.body).hexdigest()[:16] if call.body else "", acting=_acts(call), effect=False,
            replay=False, fault="", at=iso(self.world.now()), ended="", host=call.headers.get("host", ""),
        )  # fmt: skip
        if self.world.switches.record_bodies:
            entry["sent"] = call.body.decode(errors="replace")
        call.request = entry["seq"]
        return entry

    async def _serve(self, call: Call, entry: dict[str, Any], faults: list[Fault]) -> Answer:
        """Return the answer before faults corrupt it."""
        headers, wait = self.limiter.count(call.api_key, self.world.now())
        for fault in faults:
            if fault.action == "advance":
                self.world.clock.advance(fault.seconds)
                await self.world.settle()
        answer = inject(faults)
        if answer is None and wait is not None:
            answer = too_many(wait)
        if answer is None:
            try:
                answer = await self._run(call, entry, faults)
            except RefusedError as error:
                answer = error.answer(self.world)
        self.world.requests.amend(entry, status=answer.status, effect=call.changed)
        answer.headers.update(headers)
        return answer

    async def _run(self, call: Call, entry: dict[str, Any], faults: list[Fault]) -> Answer:
        """Authorise the call, look its key up, and let its handler run."""
        route = _match(call)
        if route is None or not route.public:
            authorise(call.headers)
        route = _permitted(call)
        keyed = route.keyed and not route.reads
        stored = self.keys.begin(call) if keyed else None
        if stored is not None:
            entry["replay"] = True
            return stored
        answer, sent = Answer(500), 500
        try:
            await self._delay(faults, "before")
            call.cut_short = cut_short(faults)
            answer = route.run(call)
            self.world.requests.amend(entry, effect=call.changed)
            if answer.settled is not None:
                await self.world.quiesce()
                answer.data = answer.settled()
            sent = next((f.status for f in faults if f.action == "status" and f.when == "after"), answer.status)
            self.world.flush()
            await self._delay(faults, "after")
        finally:
            if keyed:
                self.keys.finish(call, answer, sent, forget=any(fault.forget_key for fault in faults))
        return answer

    def dispatch(self, call: Call) -> Answer:
        """Serve one operation of a batch, under its own key if it has one."""
        try:
            route = _permitted(call)
            stored = self.keys.begin(call) if route.keyed else None
            if stored is not None:
                return stored
            answer = route.run(call)
            if route.keyed:
                self.keys.finish(call, answer, answer.status)
        except RefusedError as error:
            answer = error.answer(call.world)
        return answer

    async def _delay(self, faults: list[Fault], when: str) -> None:
        """Delay the request for real seconds, or until the faults are cleared; then settle what is due."""
        generation, cleared = self.world.generation, self.world.faults.cleared
        for fault in faults:
            if fault.action == "delay" and fault.when == when:
                await self.world.faults.hold(fault, cleared)
                await self.world.settle()
        if self.world.generation != generation:
            refuse(503, "SERVICE_UNAVAILABLE", "the sandbox was reset")


def _match(call: Call) -> Route | None:
    """Return the route of a call, and fill in the call's path parameters."""
    for route in _BY_PRECEDENCE:
        if route.method == call.method and (found := route.pattern.fullmatch(call.path)):
            call.params = found.groupdict()
            return route
    return None


def _permitted(call: Call) -> Route:
    """Return the route of a call, if there is one and the API key may use it."""
    route = _match(call)
    if route is None:
        refuse(404, "NOT_FOUND", f"no such endpoint: {call.method} {call.path[:200]}", endpoint=call.path[:200])
    if not (route.reads or route.public or KEYS.get(call.api_key)):
        refuse(403, "AUTHORIZATION_ERROR", "the API key may only read")
    return route


def _acts(call: Call) -> bool:
    """Whether the request would change something: a write that is neither a check nor a dry run."""
    found = _match(call)
    if call.method not in ("POST", "PATCH", "PUT", "DELETE") or (found is not None and found.reads):
        return False
    return not (call.path.startswith("/v1/posts/bulk") and _is_dry_run(call.body))


def _is_dry_run(body: bytes) -> bool:
    try:
        data = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("dryRun") is True
