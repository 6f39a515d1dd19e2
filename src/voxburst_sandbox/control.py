"""People at work in the web page: they edit, delete, withdraw, copy and approve while a client runs.

Their acts are no requests of the API. The record of effects shows them as ``person.…``, so that counts of what the API's
clients caused stay clean.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from voxburst_sandbox.accounts import connection, oauth_code
from voxburst_sandbox.gates import is_loopback_address
from voxburst_sandbox.posts import copy_post
from voxburst_sandbox.publishing import await_time, publish_post
from voxburst_sandbox.store import Log, Post, Target, identifier
from voxburst_sandbox.switches import Fault, Switches
from voxburst_sandbox.world import World, by_kind, duplicates, iso, parse_time

_DAY = 86_400_000
Act = Callable[[World, Post, Mapping[str, Any]], Post]


def act(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """Let a person do something to a post.

    Parameters
    ----------
    world : World
        Where it happens.
    body : mapping
        `act` (a name of the table below), `post`, and what the act needs.

    Returns
    -------
    dict
        `post` (the post acted on, or the new copy) and its `status`.

    Raises
    ------
    ValueError
        No such act or post, or the post's status does not allow it.
    """
    name, key = str(body.get("act", "")), str(body.get("post", ""))
    if name not in _ACTS:
        raise ValueError(f"no such act: {name!r}; one of {', '.join(sorted(_ACTS))}")
    post = world.posts.get(key)
    if post is None:
        raise ValueError(f"no such post: {key}")
    result = _ACTS[name](world, post, body)
    source = None if result is post else post.id
    world.effect(f"person.{name}", post=result.id, status=result.status, source=source)
    return {"post": result.id, "status": result.status}


def _require(post: Post, *statuses: str) -> None:
    """Raise ValueError for a post in another status."""
    if post.status not in statuses:
        raise ValueError(f"the post is {post.status}, not {' or '.join(statuses)}")


def _enter(world: World, post: Post, status: str) -> Post:
    """Put a post into another status."""
    post.status = status
    world.touch(post, world.now())
    return post


def _edit(world: World, post: Post, body: Mapping[str, Any]) -> Post:
    """Change tags, text or time; what the body does not name stays."""
    post.tags = [str(tag) for tag in body.get("tags") or post.tags]
    post.content = str(body.get("content") or post.content)
    if body.get("scheduledFor"):
        _require(post, "draft", "scheduled")
        post.scheduled_for = parse_time(str(body["scheduledFor"]))
        post.status = "scheduled"
        await_time(world, post)
    world.touch(post, world.now())
    return post


def _delete(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Remove a post, whatever its status."""
    world.remove_post(post)
    return post


def _withdraw(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Cancel a post that has not gone out."""
    _require(post, "draft", "scheduled", "pending_approval", "approved")
    return _enter(world, post, "cancelled")


def _unpublish(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Take a published post down."""
    _require(post, "published", "partial")
    for target in post.targets:
        if target.status == "published":
            target.status, target.since = "unpublished", world.now()
    return _enter(world, post, "unpublished")


def _duplicate(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Make a draft of the post, its metadata (and so its mark) copied."""
    return copy_post(world, post, identifier("post_", world.seed, "person", post.id, len(world.effects)))


def _post_copy(world: World, post: Post, body: Mapping[str, Any]) -> Post:
    """Post a copy: for the time in the body or the post's own if that is to come, else at once."""
    copy = _duplicate(world, post, body)
    planned = parse_time(str(body["scheduledFor"])) if body.get("scheduledFor") else post.scheduled_for
    if planned is not None and planned > world.now():
        copy.scheduled_for = planned
        _enter(world, copy, "scheduled")
        await_time(world, copy)
    else:
        publish_post(world, copy, world.now(), key=None)
    return copy


def _submit(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Send a post for approval."""
    _require(post, "draft", "scheduled")
    return _enter(world, post, "pending_approval")


def _approve(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Approve a post: scheduled if it has a time, else it waits to be published (contract: APR)."""
    _require(post, "pending_approval")
    _enter(world, post, "approved" if post.scheduled_for is None else "scheduled")
    await_time(world, post)
    return post


def _reject(world: World, post: Post, _: Mapping[str, Any]) -> Post:
    """Send a post back to its author as a draft."""
    _require(post, "pending_approval")
    return _enter(world, post, "draft")


def _backdate(world: World, post: Post, body: Mapping[str, Any]) -> Post:
    """Let a post be older than it is, by days: the workspace as it would be if it had been made then."""
    days = float(body.get("days", 0))
    if days < 0:
        raise ValueError("days must not be negative")
    world.remove_post(post)
    post.created_at -= round(days * _DAY)
    post.updated_at -= round(days * _DAY)
    return world.add_post(post)


_ACTS: dict[str, Act] = {
    "edit": _edit,
    "delete": _delete,
    "withdraw": _withdraw,
    "unpublish": _unpublish,
    "duplicate": _duplicate,
    "post_copy": _post_copy,
    "submit": _submit,
    "approve": _approve,
    "reject": _reject,
    "backdate": _backdate,
}


def plant_post(world: World, body: Mapping[str, Any]) -> dict[str, Any]:
    """Put a post into the workspace as if it had always been there; no effect, no event.

    Parameters
    ----------
    world : World
        The world that it is put into.
    body : mapping
        `content`, `accountIds`, and optionally `status` (default ``draft``), `daysOld`, `scheduledFor`, `tags`, `metadata`.

    Returns
    -------
    dict
        `post` and its `status`.
    """
    known = {"content", "accountIds", "status", "daysOld", "scheduledFor", "tags", "metadata"}
    if unknown := sorted(set(body) - known):
        raise ValueError(f"no such field of a planted post: {', '.join(unknown)}")
    accounts = [world.accounts[key] for key in body.get("accountIds") or [] if key in world.accounts]
    if not accounts or len(accounts) != len(body["accountIds"]):
        raise ValueError("accountIds must name accounts of this workspace")
    created = world.now() - round(float(body.get("daysOld", 0)) * _DAY)
    number = world.ordinal()
    key = identifier("post_", world.seed, "planted", number)
    status = str(body.get("status", "draft")).lower()
    shown = status if status in ("published", "failed") else "pending"
    post = Post(
        key, number, str(body["content"]), "text", status, created, created,
        [Target(identifier("pp_", key, a.id), a.platform, a.id, shown, created) for a in accounts],
        scheduled_for=parse_time(str(body["scheduledFor"])) if body.get("scheduledFor") else None,
        tags=[str(tag) for tag in body.get("tags") or []], metadata=dict(body.get("metadata") or {}),
    )  # fmt: skip
    world.add_post(post)
    await_time(world, post)
    return {"post": key, "status": status}


API_KEY = "vb_test_sandbox"
# A second key of the same workspace, with separate idempotency keys.
SECOND_API_KEY = "vb_test_second"


class Person:
    """Somebody at work in the web page; what they do is no request, and on record as effects ``person.…``.

    Each method raises ValueError where the post's status does not allow it. Those that make a copy return its id.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def _act(self, act: str, post_id: str, **more: Any) -> str:
        """Do one thing to a post; the id of the post, or of the copy."""
        return str(self._call("POST", "person", {"act": act, "post": post_id, **more})["post"])

    def edit(
        self,
        post_id: str,
        *,
        tags: Iterable[str] | None = None,
        content: str | None = None,
        scheduled_for: str | None = None,
    ) -> None:
        """Change tags, text or time (ISO 8601 with an offset) of a post; `updatedAt` moves."""
        wanted = None if tags is None else list(tags)
        self._act("edit", post_id, tags=wanted, content=content, scheduledFor=scheduled_for)

    def delete(self, post_id: str) -> None:
        """Delete a post, whatever its status."""
        self._act("delete", post_id)

    def withdraw(self, post_id: str) -> None:
        """Cancel a post that has not gone out."""
        self._act("withdraw", post_id)

    def unpublish(self, post_id: str) -> None:
        """Take a published post down."""
        self._act("unpublish", post_id)

    def duplicate(self, post_id: str) -> str:
        """Make a draft of a post, its metadata (and so its mark) copied."""
        return self._act("duplicate", post_id)

    def post_copy(self, post_id: str, *, scheduled_for: str | None = None) -> str:
        """Post a copy, its metadata copied: at `scheduled_for`, else the post's own time if that is to come, else now."""
        return self._act("post_copy", post_id, scheduledFor=scheduled_for)

    def submit(self, post_id: str) -> None:
        """Send a draft or scheduled post for approval: it is ``pending_approval``."""
        self._act("submit", post_id)

    def approve(self, post_id: str) -> None:
        """Approve a post: ``scheduled`` if it has a time, else ``approved``."""
        self._act("approve", post_id)

    def reject(self, post_id: str) -> None:
        """Send a post back to its author: a draft again."""
        self._act("reject", post_id)

    def backdate(self, post_id: str, *, days: float) -> None:
        """Let a post be as old as if it had been made so many days earlier."""
        self._act("backdate", post_id, days=days)


class Remote:
    """A running sandbox, controlled over HTTP.

    Parameters
    ----------
    url : str
        Its address, without ``/v1``.
    trust : path or None
        The certificate of a sandbox that speaks https.
    """

    def __init__(self, url: str = "", *, trust: str | Path | None = None) -> None:
        self._url = url.rstrip("/")
        verify = True if trust is None else ssl.create_default_context(cafile=trust)
        self._http = httpx.Client(trust_env=False, timeout=60, verify=verify)
        self.api_key = API_KEY
        self.second_api_key = SECOND_API_KEY
        self.person = Person(self._control)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url or '(not started)'}>"

    @property
    def url(self) -> str:
        """Address of the API, without ``/v1``; RuntimeError while there is none."""
        if not self._url:
            raise RuntimeError(
                "the sandbox is not started, so it has no address; start it first: with Sandbox() as sb: ..., or Sandbox().start()"
            )
        return self._url

    def _control(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One control call; ValueError with the sandbox's words if it refuses."""
        params = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        wanted = {name: value for name, value in params.items() if value is not None}
        answer = self._http.request(method, f"{self.url}/_sandbox/{path}", params=wanted, json=body)
        if answer.status_code == 400:
            raise ValueError(answer.json()["error"])
        answer.raise_for_status()
        return answer.json()

    def close(self) -> None:
        """Close the connection to the control calls; the sandbox runs on."""
        self._http.close()

    def answers(self) -> bool:
        """Whether a sandbox answers here."""
        try:
            return "workspaceId" in self.state()
        except (httpx.HTTPError, ValueError, TypeError):
            return False

    def state(self) -> dict[str, Any]:
        """Seed, clock, workspace, counts."""
        return dict(self._control("GET", "state"))

    @property
    def workspace_id(self) -> str:
        """Name of the workspace."""
        return str(self.state()["workspaceId"])

    @property
    def storage_url(self) -> str:
        """Address of the presigned storage."""
        return str(self.state()["storageUrl"])

    @property
    def receiver_url(self) -> str:
        """Address of the built-in webhook receiver."""
        return str(self.state()["receiverUrl"])

    def now(self) -> datetime:
        """Return the virtual time."""
        return datetime.fromisoformat(self.state()["now"])

    def advance(self, seconds: float) -> datetime:
        """Move the virtual clock forward; everything due meanwhile has happened on return."""
        return datetime.fromisoformat(self._control("POST", "advance", {"seconds": seconds})["now"])

    def set_speed(self, speed: float) -> None:
        """Virtual seconds per real second from now on; 0 stands still."""
        self._control("POST", "speed", {"speed": speed})

    def add_fault(self, *faults: Fault) -> None:
        """Put faults in force."""
        self._control("POST", "faults", [asdict(fault) for fault in faults])

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults in force, with how often each `matched` and `struck`."""
        return list(self._control("GET", "faults"))

    def clear_faults(self) -> None:
        """Drop all faults."""
        self._control("DELETE", "faults")

    def requests(self, since: int = 0, *, acting: bool | None = None) -> list[dict[str, Any]]:
        """Return requests received, after number `since`; only those that act, or only the others, if asked."""
        return list(self._control("GET", "requests", since=since, acting=acting))

    def effects(self, kind: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """Side effects that happened, after number `since`."""
        return list(self._control("GET", "effects", kind=kind, since=since))

    def duplicates(self) -> list[dict[str, Any]]:
        """Side effects that happened twice for one logical thing."""
        return list(self._control("GET", "duplicates"))

    def received(self, since: int = 0) -> list[dict[str, Any]]:
        """Say what the built-in webhook receiver got."""
        return list(self._control("GET", "received", since=since))

    def receiver(self, **behaviour: Any) -> None:
        """How the built-in receiver answers: `host status latency_ms body times`; nothing drops all rules."""
        self._control("POST", "receiver", behaviour)

    def authorize(self, state: str) -> dict[str, str]:
        """Play the person who agrees to connect an account; `code` and `state`, as their browser would bring them back."""
        return dict(self._control("GET", "oauth/authorize", state=state))

    def touch(self, post_id: str) -> None:
        """Let somebody edit a post's tags in the dashboard, so that its `updatedAt` moves and nothing else."""
        self._control("POST", "touch", {"post": post_id})

    def plant_post(self, content: str, account_ids: Iterable[str], **fields: Any) -> str:
        """Put a post into the workspace as if it had always been there, and return its id; no effect, no event.

        Parameters
        ----------
        content : str
            Its text.
        account_ids : iterable of str
            Accounts of this workspace.
        **fields
            `status` (default ``draft``), `daysOld`, `scheduledFor`, `tags`, `metadata`.
        """
        body = {"content": content, "accountIds": list(account_ids), **fields}
        return str(self._control("POST", "posts", body)["post"])

    @property
    def switches(self) -> Switches:
        """The present readings of the contract."""
        return Switches().changed(self._control("GET", "switches"))

    def set_switches(self, **changes: Any) -> Switches:
        """Read the contract differently from now on."""
        shown: Mapping[str, Any] = self._control("PATCH", "switches", changes)
        return Switches().changed(shown)

    def reset(self, *, empty: bool = False) -> None:
        """Go back to the seeded beginning: records, clock, logs, faults."""
        self._control("POST", "reset", {"empty": empty})


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
        return act(self._world, await _json(request))

    async def plant_post(self, request: Request) -> dict[str, Any]:
        """Put a post into the workspace as if it had always been there."""
        return plant_post(self._world, await _json(request))

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
