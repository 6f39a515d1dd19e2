"""The page at ``/``: what is served, with which key, what happened lately, and how to break it."""

from __future__ import annotations

import re
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

from voxburst_sandbox.gates import (
    KEYS,
    Cut,
    KeyStore,
    Limiter,
    authorise,
    cut_short,
    error_answer,
    inject,
    spoil,
    too_many,
)
from voxburst_sandbox.http import Answer, Call, RefusedError, Route, refuse
from voxburst_sandbox.store import identifier
from voxburst_sandbox.switches import ACTIONS, Fault, Switches
from voxburst_sandbox.world import World, by_kind, duplicates, http_date, iso

_LATEST = 12
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.5rem;margin-bottom:.2rem} h2{font-size:1.05rem;margin:1.8rem 0 .4rem}
table{border-collapse:collapse;width:100%;font-size:.87rem} td,th{text-align:left;padding:.15rem .7rem .15rem 0;vertical-align:top}
tr{border-bottom:1px solid #eee} th{font-weight:600} code,pre{font:.85rem/1.45 ui-monospace,monospace}
pre{background:#f5f5f2;padding:.7rem .9rem;white-space:pre-wrap;overflow-wrap:anywhere} details{margin:.4rem 0} .note{color:#666}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818} tr{border-color:#333} pre{background:#232323} .note{color:#999}}
"""
# No script, nothing from elsewhere, in nobody's frame.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def routes(world: World, served: Iterable[Route], api_key: str) -> list[HttpRoute]:
    """Return the page and what browsers ask for beside it; neither is on record."""
    table = sorted(served, key=lambda route: (route.path, route.method))

    async def page(_: Request) -> Response:
        await world.settle()
        return Response(_page(world, table, api_key), headers=_HEADERS, media_type="text/html")

    async def icon(_: Request) -> Response:
        return Response(status_code=204)

    return [HttpRoute("/", page, methods=["GET"]), HttpRoute("/favicon.ico", icon, methods=["GET"])]


def _page(world: World, served: list[Route], api_key: str) -> str:
    """Return the whole page."""
    url = world.hosts["api"]
    twice = len(duplicates(world.effects))
    counts = ", ".join(f"{name} {count}" for name, count in by_kind(world.effects).items()) or "nothing yet"
    parts = [
        "<h1>The VoxBurst API on this machine</h1>",
        f'<p class="note">{escape(iso(world.now()))} · virtual time at {world.clock.speed:g} s per second'
        f" · workspace {escape(world.workspace_id)} · {len(world.posts)} posts, {len(world.deliveries)} deliveries</p>",
        "<h2>Ask it</h2>",
        _code(f"curl -H 'Authorization: Bearer {api_key}' '{url}/v1/posts?status=failed&limit=5'"),
        f'<p class="note">Storage {escape(world.hosts["storage"])} · webhook receiver {escape(world.hosts["receiver"])} ·'
        ' <a href="/v1/openapi.json">OpenAPI</a></p>',
        "<h2>What happened</h2>",
        f"<p>Side effects: {escape(counts)}. Happened twice: <b>{twice}</b>.</p>",
        _table(("", "request", "status", "key", "fault"), _requests(world)),
        "<h2>Break it</h2>",
        _code(_breaking(url)),
        f'<p class="note">Faults: {escape(", ".join(sorted(ACTIONS)))}.</p>',
        _details("Readings of the contract", _table(("switch", "now", "default"), _switches(world))),
        _details(f"Endpoints ({len(served)})", _table(("method", "path"), ((r.method, r.path) for r in served))),
    ]
    body = "\n".join(parts)
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>voxops sandbox</title><style>{_STYLE}</style>\n{body}'


def _requests(world: World) -> Iterable[tuple[Any, ...]]:
    """The latest requests, newest first."""
    for entry in world.requests[: -_LATEST - 1 : -1]:
        asked = f"{entry['method']} {entry['path'][:80]}"
        key = (entry["key"] or "")[:20] + (" (replayed)" if entry["replay"] else "")
        yield entry["seq"], asked, entry["status"] or "cut", key, entry["fault"]


def _switches(world: World) -> Iterable[tuple[Any, ...]]:
    """Every switch, those that were changed first."""
    plain = Switches()
    names = sorted(
        (field.name for field in fields(Switches)),
        key=lambda name: getattr(world.switches, name) == getattr(plain, name),
    )
    for name in names:
        yield name, getattr(world.switches, name), getattr(plain, name)


def _breaking(url: str) -> str:
    """Commands that spoil something, and put it right again."""
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
    """Return a block of commands."""
    return f"<pre>{escape(text)}</pre>"


def _details(title: str, inner: str) -> str:
    """Return something that opens on demand."""
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table; every cell is text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    lines = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


class Api:
    """The API as one ASGI endpoint.

    Parameters
    ----------
    world : World
        What it serves.
    routes : iterable of Route
        Its endpoints; among two that match, the one with fewer variable parts wins.
    limiter : Limiter
        Its rate limit.
    """

    def __init__(self, world: World, routes: Iterable[Route], limiter: Limiter) -> None:
        self.world = world
        self.limiter = limiter
        self.keys = KeyStore(world)
        self._routes: list[tuple[re.Pattern[str], Route]] = []
        self.add(routes)

    def add(self, routes: Iterable[Route]) -> None:
        """Serve more endpoints."""
        added = [(re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)), route) for route in routes]
        self._routes = sorted(self._routes + added, key=lambda entry: entry[1].path.count("{"))

    def served(self) -> list[Route]:
        """Return the endpoints."""
        return [route for _, route in self._routes]

    async def endpoint(self, request: Request) -> Response:
        """Serve one request."""
        body = await request.body()
        world = self.world
        await world.settle()
        call = Call(
            world, request.method, request.url.path, {}, request.query_params, request.headers, body,
            key=request.headers.get("idempotency-key"),
        )  # fmt: skip
        entry = self._note(call, request.url.query)
        faults = world.faults.strike(call.method, call.path, call.key or f"{call.method} {call.path}")
        if faults:
            entry["fault"] = "+".join(f"{fault.action}:{fault.when}" for fault in faults)
        try:
            return self._respond(await self._serve(call, entry, faults), entry, faults)
        finally:
            world.requests.amend(entry, ended=iso(world.now()))
            world.flush()

    def _note(self, call: Call, query: str) -> dict[str, Any]:
        """Put the request on record; an unknown API key is not written down."""
        key = call.headers.get("authorization", "").partition(" ")[2].strip()
        call.api_key = key if key in KEYS else ""
        entry = self.world.requests.note(
            method=call.method, path=call.path, query=dict(parse_qsl(query)), key=call.key, api_key=call.api_key, status=0,
            body=sha256(call.body).hexdigest()[:16] if call.body else "", acting=self._acts(call), effect=False,
            replay=False, fault="", at=iso(self.world.now()), ended="", host=call.headers.get("host", ""),
        )  # fmt: skip
        if self.world.switches.record_bodies:
            entry["sent"] = call.body.decode(errors="replace")
        call.request = entry["seq"]
        return entry

    def _acts(self, call: Call) -> bool:
        """Whether the request would change something: a write that is neither a check nor a dry run."""
        if call.method not in ("POST", "PATCH", "PUT", "DELETE"):
            return False
        found = self._match(call)
        if found is not None and found.reads:
            return False
        return not (call.path.startswith("/v1/posts/bulk") and _is_dry_run(call.body))

    def _match(self, call: Call) -> Route | None:
        """Return the route of a call, with the path's variable parts put into the call."""
        for pattern, route in self._routes:
            if route.method == call.method and (found := pattern.fullmatch(call.path)):
                call.params = found.groupdict()
                return route
        return None

    async def _serve(self, call: Call, entry: dict[str, Any], faults: list[Fault]) -> Answer:
        """Return the answer, as it would go out over a healthy wire."""
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
                answer = error_answer(self.world, error)
        self.world.requests.amend(entry, status=answer.status, effect=call.changed)
        if not self.world.switches.no_rate_headers:
            answer.headers.update(headers)
        return answer

    async def _run(self, call: Call, entry: dict[str, Any], faults: list[Fault]) -> Answer:
        """Authorise the call, look its key up, and let its handler run."""
        route = self._match(call)
        if route is None or not route.public:
            authorise(call.headers)
        route = self._route(call)
        writes = call.method != "GET" and not route.reads
        keyed = writes and route.keyed
        stored = self.keys.begin(call) if keyed else None
        if stored is not None:
            entry["replay"] = True
            return stored
        answer, sent = Answer(500), 500
        try:
            await self._delay(faults, "before")
            call.cut_short = cut_short(faults)
            answer = _handled(route, call)
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

    def _route(self, call: Call) -> Route:
        """Return the route that serves a call, if the API key may use it."""
        route = self._match(call)
        if route is None:
            refuse(404, "NOT_FOUND", f"no such endpoint: {call.method} {call.path[:200]}", endpoint=call.path[:200])
        if call.method != "GET" and not (route.reads or route.public) and not KEYS.get(call.api_key, False):
            refuse(403, "AUTHORIZATION_ERROR", "the API key may only read")
        return route

    def dispatch(self, call: Call) -> Answer:
        """Serve one operation of a batch, under its own key if it has one."""
        try:
            route = self._route(call)
            stored = self.keys.begin(call) if route.keyed else None
            if stored is not None:
                return stored
            answer = _handled(route, call)
            if route.keyed:
                self.keys.finish(call, answer, answer.status)
        except RefusedError as error:
            answer = error_answer(call.world, error)
        return answer

    async def _delay(self, faults: list[Fault], when: str) -> None:
        """Hold the request up for real seconds, or until the faults are cleared; whatever is due meanwhile happens first."""
        generation, cleared = self.world.generation, self.world.faults.cleared
        for fault in faults:
            if fault.action == "delay" and fault.when == when:
                await self.world.faults.hold(fault, cleared)
                await self.world.settle()
        if self.world.generation != generation:
            refuse(503, "SERVICE_UNAVAILABLE", "the sandbox began again meanwhile")

    def _respond(self, answer: Answer, entry: dict[str, Any], faults: list[Fault]) -> Response:
        """Return the answer on its wire, spoiled by the faults."""
        spoiled = spoil(answer, faults, entry["query"].get("cursor"))
        media = spoiled.headers.pop("Content-Type", "application/json")
        headers = {
            **spoiled.headers,
            "Date": http_date(self.world.shown_time()),
            "X-Request-Id": identifier("req_", self.world.seed, entry["seq"]),
        }
        body = spoiled.encoded()
        cut = next((f for f in faults if f.action in ("drop", "truncate")), None)
        sent = 0 if cut is not None and cut.action == "drop" else spoiled.status
        self.world.requests.amend(entry, status=sent)
        if cut is not None:
            return Cut(body, spoiled.status, headers, send=cut.action == "truncate")
        return Response(body or None, spoiled.status, headers, media_type=media if body else None)


def _handled(route: Route, call: Call) -> Answer:
    """Return the handler's answer or its refusal."""
    try:
        return route.handler(call)
    except RefusedError as error:
        return error_answer(call.world, error)


def _is_dry_run(body: bytes) -> bool:
    """Whether a bulk body only asks for a check."""
    try:
        data = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("dryRun") is True
