"""Control of a sandbox: each verb is declared once, and is both a method of `Remote` and a call under ``/_sandbox``.

The acts of a `Person` are no requests of the API. The record shows them as effects ``person.…``, apart from the effects of
clients.
"""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_type_hints
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from voxburst_sandbox.accounts import connection, oauth_code
from voxburst_sandbox.bodies import Time
from voxburst_sandbox.gates import is_loopback_address
from voxburst_sandbox.http import Body, RefusedError
from voxburst_sandbox.posts import approve, copy_post, move, require
from voxburst_sandbox.publishing import await_time, publish_post
from voxburst_sandbox.store import Post, Target, identifier
from voxburst_sandbox.switches import Fault, Switches
from voxburst_sandbox.world import World, by_kind, duplicates, instant, iso, parse_time

API_KEY = "vb_test_sandbox"

_DAY = 86_400_000
P = ParamSpec("P")
T = TypeVar("T")


# -- a person in the dashboard -----------------------------------------------------------------------------------------


class Act(Generic[P]):
    """One act: a method of `Person`, and what it does to a post; arguments are sent by name."""

    def __init__(self, do: Callable[Concatenate[World, Post, P], Post]) -> None:
        self.do = do
        self.__doc__ = do.__doc__

    def __get__(self, person: Person, _: object) -> Callable[Concatenate[str, P], str]:
        name = self.do.__name__.strip("_")

        def method(post_id: str, /, *_: P.args, **more: P.kwargs) -> str:
            return person.act(name, post_id, **more)

        return method


def _edit(
    world: World,
    post: Post,
    *,
    tags: list[str] | None = None,
    content: str | None = None,
    scheduled_for: str | None = None,
) -> Post:
    """Change tags, text or time (ISO 8601 with an offset) of a post; `updatedAt` moves."""
    post.tags = tags or post.tags
    post.content = content or post.content
    if scheduled_for:
        require(post, "draft", "scheduled")
        post.scheduled_for = parse_time(scheduled_for)
        post.status = "scheduled"
        await_time(world, post)
    world.touch(post, world.now())
    return post


def _delete(world: World, post: Post) -> Post:
    """Delete a post, whatever its status."""
    world.remove_post(post)
    return post


def _withdraw(world: World, post: Post) -> Post:
    """Cancel a post that has not gone out."""
    return move(world, post, "cancelled", "draft", "scheduled", "pending_approval", "approved")


def _duplicate(world: World, post: Post) -> Post:
    """Create a draft of a post with its metadata, and so its mark."""
    return copy_post(world, post, identifier("post_", world.seed, "person", post.id, len(world.effects)))


def _post_copy(world: World, post: Post, *, scheduled_for: str | None = None) -> Post:
    """Post a copy with its metadata: at `scheduled_for`, else at the post's own time if that is to come, else now."""
    copy = _duplicate(world, post)
    planned = parse_time(scheduled_for) if scheduled_for else post.scheduled_for
    if planned is not None and planned > world.now():
        copy.scheduled_for = planned
        move(world, copy, "scheduled", copy.status)
        await_time(world, copy)
    else:
        publish_post(world, copy, world.now(), key=None)
    return copy


def _submit(world: World, post: Post) -> Post:
    """Send a draft or scheduled post for approval: it is ``pending_approval``."""
    return move(world, post, "pending_approval", "draft", "scheduled")


def _reject(world: World, post: Post) -> Post:
    """Send a post back to its author: a draft again."""
    return move(world, post, "draft", "pending_approval")


class Person:
    """A person in the dashboard; each method returns the id of the post, or of its copy.

    ValueError where the post's status does not allow the act.
    """

    def __init__(self, act: Callable[..., str]) -> None:
        self.act = act

    edit = Act(_edit)
    delete = Act(_delete)
    withdraw = Act(_withdraw)
    duplicate = Act(_duplicate)
    post_copy = Act(_post_copy)
    submit = Act(_submit)
    approve = Act(approve)
    reject = Act(_reject)


# -- the verbs, as the server runs them -------------------------------------------------------------------------------


async def _state(world: World) -> dict[str, Any]:
    """Return seed, clock, workspace, addresses, counts."""
    counts = {name: len(table) for name, table in world.tables()} | {name: len(log) for name, log in world.logs()}
    following, hosts = world.next_due(), world.hosts
    return {
        "url": hosts["api"],
        "storageUrl": hosts["storage"],
        "receiverUrl": hosts["receiver"],
        "seed": world.seed,
        "workspaceId": world.workspace_id,
        "now": iso(world.now()),
        "speed": world.clock.speed,
        "nextDue": None if following is None else iso(following),
        "counts": counts,
        "effects": by_kind(world.effects),
    }


async def _requests(world: World, since: int = 0, *, acting: bool | None = None) -> list[dict[str, Any]]:
    """Return the requests after number `since`; `acting` selects those that would change something, or the others."""
    return [entry for entry in world.requests[since:] if acting in (None, entry["acting"])]


async def _effects(world: World, kind: str | None = None, since: int = 0) -> list[dict[str, Any]]:
    """Return the side effects that happened, after number `since`."""
    return [entry for entry in world.effects[since:] if kind in (None, entry["kind"])]


async def _duplicates(world: World) -> list[dict[str, Any]]:
    """Return the side effects that happened twice for one logical thing."""
    return duplicates(world.effects)


async def _received(world: World, since: int = 0) -> list[dict[str, Any]]:
    """Return what the built-in webhook receiver got."""
    return world.received[since:]


async def _advance(world: World, seconds: float) -> dict[str, str]:
    world.clock.advance(seconds)
    await world.quiesce()
    return {"now": iso(world.now())}


async def _set_speed(world: World, speed: float) -> dict[str, Any]:
    """Set the virtual seconds per real second; 0 stops the clock."""
    world.clock.set_speed(speed)
    world.due.set()
    return {"now": iso(world.now()), "speed": speed}


async def _faults(world: World) -> list[dict[str, Any]]:
    """Return the faults in force, with how often each `matched` and `struck`."""
    return world.faults.shown()


async def _add_fault(world: World, *faults: Fault) -> list[dict[str, Any]]:
    """Put faults in force."""
    for fault in faults:
        world.faults.add(fault)
    return world.faults.shown()


async def _clear_faults(world: World) -> list[dict[str, Any]]:
    """Drop all faults."""
    world.faults.clear()
    return []


async def _switches(world: World) -> Switches:
    return world.switches


async def _set_switches(world: World, /, **changes: Any) -> Switches:
    """Change switches, and return them all."""
    world.read_by(world.switches.changed(changes))
    return world.switches


async def _receiver(world: World, /, **behaviour: Any) -> list[dict[str, Any]]:
    """Set how the built-in receiver answers: `host status latency_ms body times`; without any, drop all rules."""
    if unknown := set(behaviour) - {"host", "status", "latency_ms", "body", "times"}:
        raise ValueError(f"no such receiver setting: {', '.join(sorted(unknown))}")
    world.receiver_rules[:] = [behaviour, *world.receiver_rules] if behaviour else []
    return world.receiver_rules


def _find(world: World, key: str) -> Post:
    if key not in world.posts:
        raise ValueError(f"no such post: {key}")
    return world.posts[key]


async def _touch(world: World, post: str) -> dict[str, str]:
    """Edit a post's tags in the dashboard: `updatedAt` moves, nothing else."""
    found = _find(world, post)
    found.tags = [*found.tags, "edited"]
    world.touch(found, world.now())
    return {"updatedAt": iso(found.updated_at)}


async def _person(world: World, /, act: str, post: str, **more: Any) -> dict[str, str]:
    acts = {name: each.do for name, each in vars(Person).items() if isinstance(each, Act)}
    if act not in acts:
        raise ValueError(f"no such act: {act!r}; one of {', '.join(sorted(acts))}")
    found = _find(world, post)
    result = acts[act](world, found, **more)
    source = None if result is found else found.id
    world.effect(f"person.{act}", post=result.id, status=result.status, source=source)
    return {"post": result.id, "status": result.status}


class _Planted(Body, forbid_unknown_fields=True):
    content: str
    account_ids: list[str]
    status: str = "draft"
    days_old: float = 0
    scheduled_for: Time | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None


async def _plant_post(world: World, /, **fields: Any) -> dict[str, str]:
    body = msgspec.convert(fields, _Planted)
    if not body.account_ids or not set(body.account_ids) <= set(world.accounts):
        raise ValueError("accountIds must name accounts of this workspace")
    accounts = [world.accounts[key] for key in body.account_ids]
    created = world.now() - round(body.days_old * _DAY)
    number = world.ordinal()
    key = identifier("post_", world.seed, "planted", number)
    status = body.status.lower()
    shown = status if status in ("published", "failed") else "pending"
    post = Post(
        key, number, body.content, "text", status, created, created,
        [Target(identifier("pp_", key, a.id), a.platform, a.id, shown, created) for a in accounts],
        scheduled_for=None if body.scheduled_for is None else instant(body.scheduled_for), tags=body.tags or [], metadata=body.metadata or {},
    )  # fmt: skip
    world.add_post(post)
    await_time(world, post)
    return {"post": key, "status": status}


async def _reset(world: World, *, empty: bool = False) -> dict[str, Any]:
    """Reset records, clock, logs and faults to the seeded state."""
    await world.restart(empty=empty)
    return await _state(world)


# -- the verbs, as a client calls them --------------------------------------------------------------------------------


class Verb(Generic[P, T]):
    """One verb: a method of `Remote`, and its control call; arguments are sent by name, faults as a list."""

    def __init__(self, call: str, run: Callable[Concatenate[World, P], Awaitable[T]]) -> None:
        self.method, _, self.path = call.partition(" ")
        self._run = run
        self.__doc__ = run.__doc__
        self._hints = get_type_hints(run)
        self._signature = inspect.signature(run)
        _, *parameters = self._signature.parameters.values()
        self._names = [each.name for each in parameters]
        self._listed = any(each.kind is each.VAR_POSITIONAL for each in parameters)

    def __get__(self, remote: Remote, _: object) -> Callable[P, T]:
        def method(*args: P.args, **named: P.kwargs) -> T:
            sent = list(args) if self._listed else dict(zip(self._names, args, strict=False)) | named
            answer: T = msgspec.json.decode(remote.send(self.method, self.path, sent), type=self._hints["return"])
            return answer

        return method

    async def serve(self, world: World, request: Request) -> Any:
        """Run the control call."""
        body = await request.body()
        sent: Any = dict(request.query_params) if request.method == "GET" else msgspec.json.decode(body or b"{}")
        run: Callable[..., Awaitable[Any]] = self._run
        if self._listed:
            return await run(world, *[Fault(**each) for each in (sent if isinstance(sent, list) else [sent])])
        if not isinstance(sent, dict):
            raise TypeError(f"the body must be an object, not {type(sent).__name__}")
        hints = {name: self._hints[name] for name in self._names}
        named = {name: msgspec.convert(each, hints.get(name, Any), strict=False) for name, each in sent.items()}
        self._signature.bind(world, **named)  # TypeError for a name that is missing or unknown
        return await run(world, **named)


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
        self.person = Person(lambda act, post, **more: self._person(act, post, **more)["post"])

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

    state = Verb("GET state", _state)
    requests = Verb("GET requests", _requests)
    effects = Verb("GET effects", _effects)
    duplicates = Verb("GET duplicates", _duplicates)
    received = Verb("GET received", _received)
    set_speed = Verb("POST speed", _set_speed)
    faults = Verb("GET faults", _faults)
    add_fault = Verb("POST faults", _add_fault)
    clear_faults = Verb("DELETE faults", _clear_faults)
    set_switches = Verb("PATCH switches", _set_switches)
    receiver = Verb("POST receiver", _receiver)
    touch = Verb("POST touch", _touch)
    reset = Verb("POST reset", _reset)
    _advance = Verb("POST advance", _advance)
    _switches = Verb("GET switches", _switches)
    _person = Verb("POST person", _person)
    _plant_post = Verb("POST posts", _plant_post)

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

    @property
    def switches(self) -> Switches:
        """The switches in force."""
        return self._switches()

    def now(self) -> datetime:
        """Return the virtual time."""
        return datetime.fromisoformat(self.state()["now"])

    def advance(self, seconds: float) -> datetime:
        """Move the virtual clock forward; everything that falls due has happened on return."""
        return datetime.fromisoformat(self._advance(seconds)["now"])

    def plant_post(self, content: str, account_ids: Iterable[str], **fields: Any) -> str:
        """Add a post without an effect or event, and return its id.

        Parameters
        ----------
        content : str
            Its text.
        account_ids : iterable of str
            Accounts of this workspace.
        **fields
            `status` (default ``draft``), `daysOld`, `scheduledFor`, `tags`, `metadata`.
        """
        return self._plant_post(content=content, accountIds=list(account_ids), **fields)["post"]

    def authorize(self, state: str) -> dict[str, str]:
        """Agree to connect an account; return `code` and `state`, as the browser would bring them back."""
        return dict(msgspec.json.decode(self.send("GET", "oauth/authorize", {"state": state})))

    def send(self, method: str, path: str, sent: Any) -> bytes:
        """Make one control call; ValueError with the sandbox's message if it refuses."""
        data: dict[str, Any] = {"content": msgspec.json.encode(sent), "headers": {"Content-Type": "application/json"}}
        if method == "GET":
            data = {"params": {name: value for name, value in sent.items() if value is not None}}
        answer = self._http.request(method, f"{self.url}/_sandbox/{path}", **data)
        if answer.status_code == 400:
            raise ValueError(answer.json()["error"])
        return answer.raise_for_status().content

    def close(self) -> None:
        """Close the connection to the control calls; the sandbox runs on."""
        self._http.close()


# -- the control calls ------------------------------------------------------------------------------------------------

# Where a link on another site may lead.
AUTHORIZE = "/_sandbox/oauth/authorize"


def routes(world: World) -> list[Route]:
    """Return the control calls of one sandbox."""
    calls = {(each.method, each.path): each.serve for each in vars(Remote).values() if isinstance(each, Verb)}
    calls["GET", "oauth/authorize"] = _authorize
    return [
        Route(f"/_sandbox/{path}", _endpoint(world, serve), methods=[method]) for (method, path), serve in calls.items()
    ]


def _endpoint(
    world: World, serve: Callable[[World, Request], Awaitable[Any]]
) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a control call for HTTP: settle what is due first, answer a bad request with 400."""

    async def endpoint(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        # A page may send a form or plain text anywhere without a preflight, JSON only with one.
        if request.method in ("POST", "PATCH") and kind != "application/json":
            return _json({"error": "control calls take JSON: send Content-Type: application/json"}, 415)
        await world.settle()
        try:
            answer = await serve(world, request)
        except (ValueError, TypeError, RefusedError) as error:
            return _json({"error": str(error)}, 400)
        world.flush()
        return answer if isinstance(answer, Response) else _json(answer)

    return endpoint


def _json(data: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(data), status, media_type="application/json")


async def _authorize(world: World, request: Request) -> Any:
    """Agree to a connection; a browser is sent back to the address that was registered, or to this machine."""
    state = request.query_params.get("state", "")
    begun = connection(world, state)
    if begun is None:
        raise ValueError("no connection was begun with this state")
    answer = {"code": oauth_code(world, state), "state": state}
    back = request.query_params.get("redirect_uri")
    if not back and "text/html" in request.headers.get("accept", ""):
        back = begun["redirect"]
    if not back:
        return answer
    if back != begun["redirect"] and not is_loopback_address(back):
        raise ValueError("redirect_uri is neither what was registered nor on this machine")
    parts = urlsplit(back)
    return RedirectResponse(urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(answer)))))))
