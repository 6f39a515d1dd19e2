"""The presigned storage on another port: takes the bytes, and nothing that belongs to the API (row 33)."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from voxburst_sandbox.clock import http_date, iso
from voxburst_sandbox.faults import Fault
from voxburst_sandbox.http import Answer
from voxburst_sandbox.media import emit_uploaded, start_processing
from voxburst_sandbox.records import Media
from voxburst_sandbox.spoil import Cut, inject, spoil
from voxburst_sandbox.world import World

__all__ = ["Storage"]


class Storage:
    """Takes presigned uploads as an object store does: by PUT, once signed, within its time, without other credentials."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def endpoint(self, request: Request) -> Response:
        """Take one upload."""
        world, path = self._world, request.url.path
        await world.settle()
        entry = world.requests.note(
            method=request.method, path=path, query={}, key=None, api_key="", status=0, body="",
            acting=request.method == "PUT", effect=False, replay=False, fault="", at=iso(world.now()), ended="",
        )  # fmt: skip
        faults, cleared = world.faults.strike(request.method, path, path), world.faults.cleared
        entry["fault"] = "+".join(f"{fault.action}:{fault.when}" for fault in faults)
        try:
            answer = inject(world, faults) or await self._take(request, entry)
            for fault in faults:
                if fault.action == "delay":
                    await world.faults.hold(fault, cleared)
            return self._respond(answer, entry, faults)
        finally:
            world.requests.amend(entry, ended=iso(world.now()))
            world.flush()

    async def _take(self, request: Request, entry: dict[str, Any]) -> Answer:
        """Check the request, read its bytes without keeping them, and let the file be processed."""
        world = self._world
        key = request.url.path.removeprefix("/upload/")
        media = world.media.get(key)
        refusal = self._refusal(request, media)
        if refusal is not None or media is None:
            return refusal or _error(404, "NoSuchKey")
        digest, size = sha256(), 0
        async for chunk in request.stream():
            digest.update(chunk)
            size += len(chunk)
        if size != media.size:
            return _error(400, "IncompleteBody")
        world.requests.amend(entry, body=digest.hexdigest()[:16], effect=True)
        first = media.status == "pending"
        media.sha256 = digest.hexdigest()
        world.media.save(media)
        world.effect("media.upload", request=entry["seq"], media=key, sha256=media.sha256, size=size, first=first)
        if first:
            start_processing(world, media, world.now())
            emit_uploaded(world, media, world.now())
        return Answer(200, headers={"ETag": f'"{media.sha256[:32]}"'})

    def _refusal(self, request: Request, media: Media | None) -> Answer | None:
        """Why an upload is not taken; None if it is."""
        headers, query = request.headers, request.query_params
        if "authorization" in headers or "cookie" in headers:
            return _error(400, "InvalidArgument", "only one auth mechanism allowed")
        if request.method != "PUT":
            return _error(405, "MethodNotAllowed")
        if media is None:
            return _error(404, "NoSuchKey")
        if query.get("signature") != media.upload_token or headers.get("content-type") != media.upload_type:
            return _error(403, "SignatureDoesNotMatch")
        if media.expires_at is None or self._world.now() > media.expires_at:
            return _error(403, "AccessDenied", "Request has expired")
        return None

    def _respond(self, answer: Answer, entry: dict[str, Any], faults: list[Fault]) -> Response:
        """Return the answer on its wire."""
        spoiled = spoil(answer, faults, None)
        headers = {**spoiled.headers, "Date": http_date(self._world.shown_time())}
        cut = next((fault for fault in faults if fault.action in ("drop", "truncate")), None)
        self._world.requests.amend(entry, status=spoiled.status if cut is None else 0)
        if cut is not None:
            return Cut(spoiled.encoded(), spoiled.status, headers, send=False)
        return Response(spoiled.encoded() or None, spoiled.status, headers, media_type="application/xml")


def _error(status: int, code: str, message: str = "") -> Answer:
    """Return an error as object stores write it."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message or code}</Message></Error>'
    return Answer(status, body=body.encode())
