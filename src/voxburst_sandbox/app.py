"""The API as one ASGI endpoint, and the index page that shows what is served, what happened lately, and how to break it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from voxburst_sandbox import accounts, analytics, media, openapi, others, posts, webhooks
from voxburst_sandbox.gates import KEYS, KeyStore, Limiter, authorise, cut_short, inject, named, respond, too_many
from voxburst_sandbox.http import Answer, Call, RefusedError, Route, refuse
from voxburst_sandbox.switches import ACTIONS, Fault, Switches
from voxburst_sandbox.world import World, by_kind, duplicates, iso

ROUTES: tuple[Route, ...] = (
    *accounts.ROUTES,
    *posts.ROUTES,
    *media.ROUTES,
    *webhooks.ROUTES,
    *analytics.ROUTES,
    *others.ROUTES,
    Route("GET /api/openapi.json", lambda _: _described("application/json"), public=True),
    Route("GET /api/openapi.yaml", lambda _: _described("application/yaml"), public=True),
)
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
        answer = inject(self.world, faults)
        if answer is None and wait is not None:
            answer = too_many(self.world, wait)
        if answer is None:
            try:
                answer = await self._run(call, entry, faults)
            except RefusedError as error:
                answer = error.answer(self.world)
        self.world.requests.amend(entry, status=answer.status, effect=call.changed)
        if not self.world.switches.no_rate_headers:
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


def _described(media_type: str) -> Answer:
    """Return the OpenAPI document; JSON is YAML, too (contract: MAP)."""
    return Answer(200, openapi.described(ROUTES), headers={"Content-Type": media_type})


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


_LATEST = 12
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem;margin-bottom:.2rem} h2{font-size:1.05rem;margin:1.8rem 0 .4rem}
table{border-collapse:collapse;width:100%;font-size:.87rem} td,th{text-align:left;padding:.15rem .7rem .15rem 0;vertical-align:top}
tr{border-bottom:1px solid #eee} th{font-weight:600} code,pre{font:.85rem/1.45 ui-monospace,monospace}
pre{background:#f5f5f2;padding:.7rem .9rem;white-space:pre-wrap;overflow-wrap:anywhere} details{margin:.4rem 0} .note{color:#666}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818} tr{border-color:#333} pre{background:#232323} .note{color:#999}}
"""
# No script, nothing from elsewhere, in no frame.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def index_page(world: World, api_key: str) -> list[HttpRoute]:
    """Return the index page and its icon; requests for them are not on record."""

    async def page(_: Request) -> Response:
        await world.settle()
        return Response(_page(world, api_key), headers=_HEADERS, media_type="text/html")

    async def icon(_: Request) -> Response:
        return Response(status_code=204)

    return [HttpRoute("/", page, methods=["GET"]), HttpRoute("/favicon.ico", icon, methods=["GET"])]


def _page(world: World, api_key: str) -> str:
    url = world.hosts["api"]
    endpoints = sorted(((route.method, route.path) for route in ROUTES), key=lambda each: each[::-1])
    twice = len(duplicates(world.effects))
    counts = ", ".join(f"{name} {count}" for name, count in by_kind(world.effects).items()) or "nothing yet"
    parts = [
        "<h1>The VoxBurst API on this machine</h1>",
        f'<p class="note">{escape(iso(world.now()))} · virtual time at {world.clock.speed:g} s per second'
        f" · workspace {escape(world.workspace_id)} · {len(world.posts)} posts, {len(world.deliveries)} deliveries</p>",
        "<h2>Send a request</h2>",
        _code(f"curl -H 'Authorization: Bearer {api_key}' '{url}/v1/posts?status=failed&limit=5'"),
        f'<p class="note">Storage {escape(world.hosts["storage"])} · webhook receiver {escape(world.hosts["receiver"])} ·'
        ' <a href="/api/openapi.json">OpenAPI</a></p>',
        "<h2>What happened</h2>",
        f"<p>Side effects: {escape(counts)}. Happened twice: <b>{twice}</b>.</p>",
        _table(("", "request", "status", "key", "fault"), _requests(world)),
        "<h2>Break it</h2>",
        _code(_breaking(url)),
        f'<p class="note">Faults: {escape(", ".join(sorted(ACTIONS)))}.</p>',
        _details("Readings of the contract", _table(("switch", "now", "default"), _switches(world))),
        _details(f"Endpoints ({len(ROUTES)})", _table(("method", "path"), endpoints)),
    ]
    body = "\n".join(parts)
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>voxops sandbox</title><style>{_STYLE}</style>\n{body}'


def _requests(world: World) -> Iterable[tuple[Any, ...]]:
    """Yield the latest requests, newest first."""
    for entry in world.requests[: -_LATEST - 1 : -1]:
        asked = f"{entry['method']} {entry['path'][:80]}"
        key = (entry["key"] or "")[:20] + (" (replayed)" if entry["replay"] else "")
        yield entry["seq"], asked, entry["status"] or "cut", key, entry["fault"]


def _switches(world: World) -> Iterable[tuple[Any, ...]]:
    """Yield every switch, those that were changed first."""
    plain = Switches()
    names = sorted(
        (field.name for field in fields(Switches)),
        key=lambda name: getattr(world.switches, name) == getattr(plain, name),
    )
    for name in names:
        yield name, getattr(world.switches, name), getattr(plain, name)


def _breaking(url: str) -> str:
    """Return commands that break something, and undo it."""
    json = "-H 'Content-Type: application/json'"
    fault = '{"action":"status","method":"POST","path":"/v1/posts/*/retry","when":"after","status":500}'
    return "\n".join(
        [
            "# the next retry takes effect and answers 500",
            f"curl -X POST {json} -d '{fault}' {url}/_sandbox/faults",
            "# lists lag by 20 seconds; then an hour passes",
            f"curl -X PATCH {json} -d '{{\"list_lag_seconds\":20}}' {url}/_sandbox/switches",
            f"curl -X POST {json} -d '{{\"seconds\":3600}}' {url}/_sandbox/advance",
            "# what happened twice; the beginning again",
            f"curl {url}/_sandbox/duplicates",
            f"curl -X POST {json} -d '{{}}' {url}/_sandbox/reset",
        ]
    )


def _code(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _details(title: str, inner: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table; every cell is text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    lines = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
