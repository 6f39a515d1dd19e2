"""A web service that creates the posts of campaign sheets and tells live what becomes of them. service.md says how it is used."""

import asyncio
import json
import logging
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pandas as pd
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import voxops as vx

logging.basicConfig(level=logging.INFO)
logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each request
DATA = Path(os.environ.get("SERVICE_DATA", "service-data"))  # on a disk that outlives the process: the ledger is in it
TOKEN = os.environ.get("SERVICE_TOKEN", "")  # whoever has it can post
HOSTS = os.environ.get("SERVICE_HOSTS", "127.0.0.1,localhost").split(",")  # under which names it may be called
LARGEST = 10 * 2**20  # bytes of a sheet


class Guard:
    """Let in only who knows the token, and no web page: any page that somebody visits can send requests to this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or pass the request on."""
        if scope["type"] == "http" and (refusal := refused_by(Request(scope))):
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def refused_by(request: Request) -> JSONResponse | None:
    """Why a request is refused; None if it is not."""
    headers = request.headers
    own = {None, f"{request.url.scheme}://{headers.get('host')}"}
    if headers.get("origin") not in own or headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return JSONResponse({"error": "Forbidden", "detail": "web pages of other sites may not call this service"}, 403)
    if not secrets.compare_digest(headers.get("authorization", "").encode(), f"Bearer {TOKEN}".encode()):
        return JSONResponse(
            {"error": "Unauthorized", "detail": "send Authorization: Bearer and the token"},
            401,
            {"WWW-Authenticate": "Bearer"},
        )
    return None


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Connect before the first request; at the end (SIGTERM) pause the runs once nothing is in flight."""
    if len(TOKEN) < 32:
        raise RuntimeError(
            "set SERVICE_TOKEN to 32 characters or more: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    os.umask(0o077)  # what is kept here is for nobody else on this machine
    (DATA / "sheets").mkdir(parents=True, exist_ok=True)
    async with await vx.aconnect(ledger=DATA / "ledger.sqlite") as app.state.ws:
        yield


def space(request: Request) -> vx.Workspace:
    """The workspace of this process."""
    ws: vx.Workspace = request.app.state.ws
    return ws


def kept(name: str, body: bytes | None = None) -> pd.DataFrame:
    """Read a sheet, after keeping it if there is a new one: whole, whoever else reads it now."""
    if not re.fullmatch(r"[\w-]+\.(csv|xlsx)", name):
        raise vx.errors.PlanError("a sheet is called NAME.csv or NAME.xlsx")
    path = DATA / "sheets" / name
    if body is not None:
        part = path.with_name(f"{secrets.token_hex(8)}.part")  # another upload of this name has its own
        part.write_bytes(body)
        part.replace(path)
    return vx.read_campaign(path)


def planned(name: str) -> vx.Plan:
    """Plan a sheet, anew each time: a row of a campaign keeps its key, whichever process plans it."""
    return vx.plan_create(kept(name), key="row_id", campaign=name.partition(".")[0])


def records(frame: pd.DataFrame) -> object:
    """A frame as JSON."""
    return json.loads(frame.to_json(orient="records", date_format="iso"))


async def body_of(request: Request) -> bytes:
    """The body of a request, as far as it may be; a larger one is not read to its end."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise HTTPException(413, f"a sheet may have {LARGEST:,} bytes")
    return bytes(body)


async def upload(request: Request) -> JSONResponse:
    """PUT /sheets/{sheet}: keep a sheet; returns everything that is known to fail."""
    sheet = await asyncio.to_thread(kept, request.path_params["sheet"], await body_of(request))
    return JSONResponse({"rows": len(sheet), "findings": records(await space(request).aio.check(sheet))}, 201)


async def plan(request: Request) -> JSONResponse:
    """GET /sheets/{sheet}/plan: what would be sent, and why the rest would not; nothing is."""
    made = await asyncio.to_thread(planned, request.path_params["sheet"])
    return JSONResponse({"requests": made.cost.requests, "rows": records(made.frame)})


async def begin(request: Request) -> JSONResponse:
    """POST /sheets/{sheet}/runs?reason=: begin to send; a second call sends nothing twice."""
    made = await asyncio.to_thread(planned, request.path_params["sheet"])
    run = await space(request).aio.run(made, reason=request.query_params.get("reason"))
    return JSONResponse({"run": run.id}, 202)


async def runs(request: Request) -> JSONResponse:
    """GET /runs: all runs of the ledger, newest first; a restart leaves them paused."""
    return JSONResponse(records((await space(request).aio.runs()).reset_index()))


async def resume(request: Request) -> JSONResponse:
    """POST /runs/{run}/resume: go on after a restart; what is unknown is read before anything is sent."""
    run = await space(request).aio.attach(request.path_params["run"])
    await run.aio.resume()
    return JSONResponse({"run": run.id}, 202)


async def events(request: Request) -> StreamingResponse:
    """GET /runs/{run}/events: each row as it settles, as server-sent events, from the run's beginning to its end."""
    run = await space(request).aio.attach(request.path_params["run"])

    async def stream() -> AsyncIterator[str]:
        async for event in run.aio.events():
            yield f"data: {json.dumps({'row': event.item, 'platform': event.platform, 'outcome': event.now})}\n\n"
        yield f"event: end\ndata: {json.dumps({'phase': run.snapshot.phase, 'left': run.snapshot.total - run.snapshot.settled})}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


async def refused(_: Request, error: Exception) -> JSONResponse:
    """What voxops refuses, in its words."""
    status = 404 if isinstance(error, vx.errors.RunNotFound) else 422 if isinstance(error, vx.errors.PlanError) else 502
    return JSONResponse({"error": type(error).__name__, "detail": str(error)}, status)


ROUTES = [
    Route("/sheets/{sheet}", upload, methods=["PUT"]),
    Route("/sheets/{sheet}/plan", plan),
    Route("/sheets/{sheet}/runs", begin, methods=["POST"]),
    Route("/runs", runs),
    Route("/runs/{run}/resume", resume, methods=["POST"]),
    Route("/runs/{run}/events", events),
]
DOORS = [Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False), Middleware(Guard)]
app = Starlette(routes=ROUTES, middleware=DOORS, exception_handlers={vx.VoxopsError: refused}, lifespan=lifespan)
