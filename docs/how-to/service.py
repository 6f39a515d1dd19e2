"""A web service that creates the posts of campaign sheets and tells live what becomes of them. service.md says how it is used."""

import asyncio
import json
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pandas as pd
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

import voxops as vx

logging.basicConfig(level=logging.INFO)
logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each request
DATA = Path(os.environ.get("SERVICE_DATA", "service-data"))  # on a disk that outlives the process: the ledger is in it


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Connect before the first request; at the end (SIGTERM) pause the runs once nothing is in flight."""
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
        path.with_suffix(".part").write_bytes(body)
        path.with_suffix(".part").replace(path)
    return vx.read_campaign(path)


def planned(name: str) -> vx.Plan:
    """Plan a sheet, anew each time: a row of a campaign keeps its key, whichever process plans it."""
    return vx.plan_create(kept(name), key="row_id", campaign=name.partition(".")[0])


def records(frame: pd.DataFrame) -> object:
    """A frame as JSON."""
    return json.loads(frame.to_json(orient="records", date_format="iso"))


async def upload(request: Request) -> JSONResponse:
    """PUT /sheets/{sheet}: keep a sheet; returns everything that is known to fail."""
    sheet = await asyncio.to_thread(kept, request.path_params["sheet"], await request.body())
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
app = Starlette(routes=ROUTES, exception_handlers={vx.VoxopsError: refused}, lifespan=lifespan)
