"""Control calls: what a test or a person does to the sandbox itself, under ``/_sandbox``, without an API key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from voxburst_sandbox import people
from voxburst_sandbox.accounts import connection, oauth_code
from voxburst_sandbox.clock import iso
from voxburst_sandbox.duplicates import by_kind, duplicates
from voxburst_sandbox.faults import Fault
from voxburst_sandbox.guard import is_loopback_address
from voxburst_sandbox.store import Log
from voxburst_sandbox.world import World

__all__ = ["PAGES", "Controlled", "routes"]

# Where a link on another site may lead a person.
PAGES = ("/", "/v1/openapi.json", "/_sandbox/oauth/authorize")


class Controlled(Protocol):
    """What can be controlled."""

    world: World

    def addresses(self) -> dict[str, str]:
        """Return the loopback addresses of the API, the storage and the receiver."""

    async def restart(self, *, empty: bool) -> None:
        """Begin again."""


def routes(sandbox: Controlled) -> list[Route]:
    """Return the control calls of one sandbox."""
    control = _Control(sandbox)
    table: dict[tuple[str, str], Callable[[Request], Awaitable[Any]]] = {
        ("GET", "state"): control.state,
        ("GET", "requests"): control.requests,
        ("GET", "effects"): control.effects,
        ("GET", "duplicates"): control.duplicates,
        ("GET", "received"): control.received,
        ("GET", "faults"): control.faults,
        ("POST", "faults"): control.add_faults,
        ("DELETE", "faults"): control.clear_faults,
        ("GET", "switches"): control.switches,
        ("PATCH", "switches"): control.set_switches,
        ("POST", "advance"): control.advance,
        ("POST", "speed"): control.set_speed,
        ("POST", "receiver"): control.receiver,
        ("POST", "touch"): control.touch,
        ("POST", "person"): control.person,
        ("POST", "posts"): control.plant_post,
        ("POST", "reset"): control.reset,
        ("GET", "oauth/authorize"): control.authorize,
    }
    return [
        Route(f"/_sandbox/{path}", _endpoint(sandbox, action), methods=[method])
        for (method, path), action in table.items()
    ]


def _endpoint(
    sandbox: Controlled, action: Callable[[Request], Awaitable[Any]]
) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a control call for HTTP: what is due happens first, a bad request is 400."""

    async def endpoint(request: Request) -> Response:
        # A page can send a form or plain text anywhere without asking first, JSON only where it is allowed to.
        if request.method in ("POST", "PATCH") and not _is_json(request):
            error = {"error": "control calls take JSON: send Content-Type: application/json"}
            return Response(msgspec.json.encode(error), 415, media_type="application/json")
        await sandbox.world.settle()
        try:
            data = await action(request)
        except (ValueError, TypeError) as error:
            return Response(msgspec.json.encode({"error": str(error)}), 400, media_type="application/json")
        sandbox.world.flush()
        return (
            data if isinstance(data, Response) else Response(msgspec.json.encode(data), media_type="application/json")
        )

    return endpoint


def _is_json(request: Request) -> bool:
    """Whether the request says that its body is JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


async def _json(request: Request) -> Any:
    """Return the body, an empty object if there is none."""
    body = await request.body()
    return msgspec.json.decode(body) if body else {}


async def _object(request: Request) -> dict[str, Any]:
    """Return the body as an object."""
    body = await _json(request)
    if not isinstance(body, dict):
        raise TypeError(f"the body must be an object, not {type(body).__name__}")
    return body


def _since(request: Request, log: Log) -> list[dict[str, Any]]:
    """Entries after the number that the query names."""
    return log[int(request.query_params.get("since", 0)) :]


class _Control:
    """The actions."""

    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox

    @property
    def _world(self) -> World:
        """The world as it is now; a reset keeps it."""
        return self._sandbox.world

    async def state(self, _: Request) -> dict[str, Any]:
        """Seed, clock, workspace, counts."""
        world = self._world
        counts = {name: len(table) for name, table in world.tables()} | {name: len(log) for name, log in world.logs()}
        following = world.next_due()
        return {
            **self._sandbox.addresses(),
            "seed": world.seed,
            "workspaceId": world.workspace_id,
            "now": iso(world.now()),
            "speed": world.clock.speed,
            "nextDue": None if following is None else iso(following),
            "counts": counts,
            "effects": by_kind(world.effects),
        }

    async def requests(self, request: Request) -> list[dict[str, Any]]:
        """Return the record of requests."""
        found = _since(request, self._world.requests)
        acting = request.query_params.get("acting")
        return found if acting is None else [entry for entry in found if entry["acting"] == (acting == "true")]

    async def effects(self, request: Request) -> list[dict[str, Any]]:
        """Return the record of side effects."""
        kind = request.query_params.get("kind")
        return [entry for entry in _since(request, self._world.effects) if kind in (None, entry["kind"])]

    async def duplicates(self, _: Request) -> list[dict[str, Any]]:
        """Say what happened twice."""
        return duplicates(self._world.effects)

    async def received(self, request: Request) -> list[dict[str, Any]]:
        """Say what the built-in receiver got."""
        return _since(request, self._world.received)

    async def faults(self, _: Request) -> list[dict[str, Any]]:
        """Return the faults in force."""
        return self._world.faults.shown()

    async def add_faults(self, request: Request) -> list[dict[str, Any]]:
        """Put one fault or several in force."""
        data = await _json(request)
        for fault in [Fault(**entry) for entry in (data if isinstance(data, list) else [data])]:
            self._world.faults.add(fault)
        return self._world.faults.shown()

    async def clear_faults(self, _: Request) -> list[dict[str, Any]]:
        """Drop all faults."""
        self._world.faults.clear()
        return []

    async def switches(self, _: Request) -> dict[str, Any]:
        """Return the present readings."""
        return asdict(self._world.switches)

    async def set_switches(self, request: Request) -> dict[str, Any]:
        """Change readings."""
        world = self._world
        world.read_by(world.switches.changed(await _json(request)))
        return asdict(world.switches)

    async def advance(self, request: Request) -> dict[str, Any]:
        """Move the clock, and let everything happen that falls due."""
        self._world.clock.advance(float((await _object(request)).get("seconds", 0)))
        await self._world.quiesce()
        return {"now": iso(self._world.now())}

    async def set_speed(self, request: Request) -> dict[str, Any]:
        """Change the clock's speed."""
        self._world.clock.set_speed(float((await _object(request)).get("speed", 0)))
        self._world.due.set()
        return {"now": iso(self._world.now()), "speed": self._world.clock.speed}

    async def receiver(self, request: Request) -> list[dict[str, Any]]:
        """Put a rule of the built-in receiver in front; an empty body drops all rules."""
        rule = await _json(request)
        unknown = set(rule) - {"host", "status", "latency_ms", "body", "times"}
        if unknown:
            raise ValueError(f"no such receiver setting: {', '.join(sorted(unknown))}")
        self._world.receiver_rules[:] = [rule, *self._world.receiver_rules] if rule else []
        return self._world.receiver_rules

    async def touch(self, request: Request) -> dict[str, Any]:
        """Let somebody edit a post's tags in the dashboard: it changes, and nothing else does."""
        key = str((await _json(request)).get("post", ""))
        post = self._world.posts.get(key)
        if post is None:
            raise ValueError(f"no such post: {key}")
        post.tags = [*post.tags, "edited"]
        self._world.touch(post, self._world.now())
        return {"updatedAt": iso(post.updated_at)}

    async def person(self, request: Request) -> dict[str, Any]:
        """Let a person do something to a post in the web page."""
        return people.act(self._world, await _json(request))

    async def plant_post(self, request: Request) -> dict[str, Any]:
        """Put a post into the workspace as if it had always been there."""
        return people.plant_post(self._world, await _json(request))

    async def reset(self, request: Request) -> dict[str, Any]:
        """Begin again."""
        await self._sandbox.restart(empty=bool((await _object(request)).get("empty", False)))
        return await self.state(request)

    async def authorize(self, request: Request) -> Any:
        """Play the person who agrees to a connection; a browser is sent back to what was registered, or to this machine."""
        state = request.query_params.get("state", "")
        begun = connection(self._world, state)
        if begun is None:
            raise ValueError("no connection was begun with this state")
        answer = {"code": oauth_code(self._world, state), "state": state}
        back = request.query_params.get("redirect_uri")
        if not back and "text/html" in request.headers.get("accept", ""):
            back = begun["redirect"]
        if not back:
            return answer
        if back != begun["redirect"] and not is_loopback_address(back):
            raise ValueError("redirect_uri is neither what was registered nor on this machine")
        parts = urlsplit(back)
        return RedirectResponse(
            urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(answer))))))
        )
