"""The page at ``/``: what is served, with which key, what happened lately, and how to break it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from voxburst_sandbox.clock import iso
from voxburst_sandbox.duplicates import by_kind, duplicates
from voxburst_sandbox.faults import ACTIONS
from voxburst_sandbox.http import Route
from voxburst_sandbox.switches import Switches
from voxburst_sandbox.world import World

__all__ = ["routes"]

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
