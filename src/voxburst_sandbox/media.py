"""Media: presigned uploads, imports, checks (contract: 8.5; rows 24-32)."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from voxburst_sandbox import wire
from voxburst_sandbox.gates import Cut, inject, spoil
from voxburst_sandbox.http import (
    Answer,
    Call,
    RefusedError,
    Route,
    deleted,
    envelope,
    invalid,
    is_web_address,
    new_id,
    not_found,
    page,
    refuse,
    refuse_quota,
    single,
)
from voxburst_sandbox.store import Event, Media, fraction, identifier, uniform
from voxburst_sandbox.switches import Fault
from voxburst_sandbox.webhooks import emit
from voxburst_sandbox.world import Handler, World, http_date, iso

UPLOAD_SECONDS = 15 * 60
_MEGABYTE = 1024 * 1024
_MOST_VIDEOS, _MOST_VIDEO_BYTES = 20, 20 * 1024 * _MEGABYTE
MOST_FILES = 100
# Content type -> most bytes (contract: MED).
SIZES = {
    **dict.fromkeys(("image/jpeg", "image/png", "image/gif", "image/webp"), 20 * _MEGABYTE),
    **dict.fromkeys(("video/mp4", "video/quicktime", "video/x-msvideo", "video/webm"), 500 * _MEGABYTE),
    "application/pdf": 100 * _MEGABYTE,
    **dict.fromkeys(("text/srt", "text/vtt", "text/plain"), 5 * _MEGABYTE),
}
_INTO_JPEG = ("image/png", "image/webp")


def _find(call: Call) -> Media:
    """Return the file that the path names."""
    key = call.params["id"]
    return call.world.media.get(key) or not_found("media", key)


def _list(call: Call) -> Answer:
    """GET /media: newest first."""
    world, status = call.world, call.word("status")
    # The order of ids breaks ties, so that the list is the same however the files came about.
    ordered = sorted((item.created_at, item.id) for item in world.media.values())
    order = [(at, number, key) for number, (at, key) in enumerate(ordered)]
    keys, limit, following = page(call, order, lambda key: status in (None, world.media[key].status))
    return envelope(world, "data", [wire.media(world, world.media[key]) for key in keys], limit, following)


def _get(call: Call) -> Answer:
    """GET /media/:id."""
    return single(call.world, wire.media(call.world, _find(call)))


def _check_file(body: dict[str, Any], *, most: int | None = None) -> tuple[str, str, int]:
    """Name, type and size of a file that may be uploaded."""
    name, kind, size = body.get("filename"), body.get("contentType"), body.get("sizeBytes")
    if not isinstance(name, str) or not name.strip():
        invalid("filename is required", field="filename")
    if not isinstance(kind, str) or kind not in SIZES:
        invalid(f"contentType must be one of {', '.join(sorted(SIZES))}", field="contentType")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        invalid("sizeBytes must be a number above 0", field="sizeBytes")
    allowed = most or SIZES[kind]
    if size > allowed:
        invalid(f"{size} bytes, {allowed} allowed", field="sizeBytes", maxLength=allowed, actualLength=size)
    return name, kind, size


def _presign(world: World, media: Media) -> dict[str, Any]:
    """Return a fresh upload address for a file, valid for 15 minutes."""
    at = world.now()
    media.expires_at = at + UPLOAD_SECONDS * 1000
    media.upload_token = identifier("", world.seed, media.id, at)
    media.upload_type = media.content_type
    world.media.save(media)
    base = world.hosts.get("storage", "")
    url = f"{base}/upload/{media.id}?expires={media.expires_at // 1000}&signature={media.upload_token}"
    headers = {"Content-Type": media.content_type}
    return {"mediaId": media.id, "uploadUrl": url, "uploadHeaders": headers, "expiresAt": iso(media.expires_at)}


def _new(call: Call, name: str, kind: str, size: int, *parts: object) -> Media:
    """Return a file that waits for its bytes."""
    key = new_id(call, "media_", call.world.media, *parts)
    return call.world.media.save(Media(key, name, kind, size, "pending", call.world.now()))


def _upload(call: Call) -> Answer:
    """POST /media/upload: where to PUT the bytes."""
    refuse_quota(call)
    media = _new(call, *_check_file(call.json(required=True)))
    call.effect("media.create", media=media.id)
    return single(call.world, _presign(call.world, media), 201)


def _refresh(call: Call) -> Answer:
    """POST /media/:id/refresh-presign: another address, as long as the bytes have not come."""
    media = _find(call)
    if media.status != "pending" or media.import_status is not None:
        refuse(409, "CONFLICT", f"media that is {media.status} needs no upload", status=media.status)
    call.effect("media.presign", media=media.id)
    return single(call.world, _presign(call.world, media))


def _delete(call: Call) -> Answer:
    """DELETE /media/:id."""
    media = _find(call)
    call.world.media.drop(media.id)
    call.effect("media.delete", media=media.id)
    return deleted(call.world, media.id)


def _register(call: Call) -> Answer:
    """POST /media/register: a file that is already on the web."""
    refuse_quota(call)
    world, body = call.world, call.json(required=True)
    url, kind = _web_address(body), body.get("contentType")
    if not isinstance(kind, str) or kind not in SIZES:
        invalid("contentType is required", field="contentType")
    media = _new(call, _name(body, url), kind, 0)
    media.status, media.url = "ready", url
    call.effect("media.register", media=media.id)
    return single(world, wire.media(world, media), 201)


def _name(body: dict[str, Any], url: str) -> str:
    """Return the name of a file from the web: the one that the body names, else the last part of its address."""
    return str(body.get("filename") or urlsplit(url).path.rsplit("/", 1)[-1] or "file")


def _web_address(body: dict[str, Any]) -> str:
    """Return the https address in a body."""
    url = body.get("url")
    if not is_web_address(url, "https"):
        invalid("url must be an https address", field="url")
    return str(url)


def _bulk_presign(call: Call) -> Answer:
    """POST /media/bulk-presign: one address per file, each with its own result (assumed: as bulk posts)."""
    return _presign_many(call, ("files",), MOST_FILES)


def _bulk_videos(call: Call) -> Answer:
    """POST /media/bulk-video-upload-urls: at most 20 videos and 20 GB (contract: MED)."""
    body = call.json(required=True)
    videos = body.get("videos", body.get("files"))
    sizes = (
        [video.get("sizeBytes", 0) for video in videos if isinstance(video, dict)] if isinstance(videos, list) else []
    )
    total = sum(size for size in sizes if isinstance(size, int))
    if total > _MOST_VIDEO_BYTES:
        invalid("more than 20 GB in one batch", field="videos", maxLength=_MOST_VIDEO_BYTES, actualLength=total)
    return _presign_many(call, ("videos", "files"), _MOST_VIDEOS, kind="video/")


def _presign_many(call: Call, names: tuple[str, ...], most: int, kind: str = "") -> Answer:
    """Presign each file or say what is wrong with it."""
    refuse_quota(call)
    body = call.json(required=True)
    files = next((body[name] for name in names if name in body), None)
    if not isinstance(files, list) or not 1 <= len(files) <= most:
        invalid(f"{names[0]} must hold 1 to {most} files", field=names[0])
    results = [_presign_one(call, index, item, kind) for index, item in enumerate(files)]
    failed = sum(result["status"] == "failed" for result in results)
    data = {"total": len(results), "created": len(results) - failed, "failed": failed, "results": results}
    return Answer(207 if failed else 201, data)


def _presign_one(call: Call, index: int, item: Any, kind: str) -> dict[str, Any]:
    """Return the result of one file."""
    try:
        name, content_type, size = _check_file(item if isinstance(item, dict) else {})
        if not content_type.startswith(kind):
            invalid("a video is required", field="contentType")
    except RefusedError as error:
        problem = {"field": error.details.get("field", ""), "issue": error.code, "detail": error.message}
        return {"index": index, "status": "failed", "errors": [problem]}
    media = _new(call, name, content_type, size, index)
    call.effect("media.create", media=media.id)
    return {"index": index, "status": "created", **_presign(call.world, media)}


def _validate(call: Call) -> Answer:
    """POST /media/:id/validate: queued; follow the media's status (assumed)."""
    media = _find(call)
    _queue_check(call, media)
    return single(call.world, {"id": media.id, "mediaId": media.id, "status": "queued"}, 202)


def _bulk_validate(call: Call) -> Answer:
    """POST /media/bulk-validate: each file queued for itself."""
    body = call.json(required=True)
    keys = body.get("mediaIds")
    if not isinstance(keys, list) or not 1 <= len(keys) <= MOST_FILES:
        invalid(f"mediaIds must hold 1 to {MOST_FILES} ids", field="mediaIds")
    results: list[dict[str, Any]] = []
    for index, key in enumerate(keys):
        media = call.world.media.get(key) if isinstance(key, str) else None
        if media is None or media.status == "pending":
            issue = "NOT_FOUND" if media is None else "CONFLICT"
            results.append(
                {"index": index, "mediaId": key, "status": "failed", "errors": [{"field": "mediaIds", "issue": issue}]}
            )
            continue
        _queue_check(call, media)
        results.append({"index": index, "mediaId": key, "status": "queued"})
    return Answer(202, {"total": len(results), "results": results})


def _queue_check(call: Call, media: Media) -> None:
    """Let a file be checked."""
    if media.status == "pending":
        refuse(409, "CONFLICT", "the media has not been uploaded", status=media.status)
    call.effect("media.validate", media=media.id)
    start_processing(call.world, media, call.world.now())


def _import_url(call: Call) -> Answer:
    """POST /media/import-from-url."""
    body = call.json(required=True)
    url = _web_address(body)
    return _import(call, _name(body, url), body)


def _import_drive(call: Call) -> Answer:
    """POST /media/import-from-drive."""
    body = call.json(required=True)
    key = body.get("fileId")
    if not isinstance(key, str) or not key:
        invalid("fileId is required", field="fileId")
    return _import(call, str(body.get("filename") or f"{key}.jpg"), body)


def _import(call: Call, name: str, body: dict[str, Any]) -> Answer:
    """Return a file that comes by itself; it stays pending, `metadata.importStatus` says how far it is (contract: MED)."""
    refuse_quota(call)
    world = call.world
    media = _new(call, name, str(body.get("contentType") or "image/jpeg"), 0)
    media.import_status = "queued"
    world.schedule(world.now() + 2_000, "media.importing", media.id)
    took = int(uniform(5_000, 40_000, world.seed, "import", media.id))
    world.schedule(world.now() + took, "media.imported", media.id, name=name)
    call.effect("media.import", media=media.id)
    return single(world, wire.media(world, media), 202)


def start_processing(world: World, media: Media, at: int) -> None:
    """Let a file be looked at; its status says when that is done."""
    media.status = "processing"
    world.media.save(media)
    took = int(uniform(2_000, 20_000, world.seed, "media", media.id, at))
    world.schedule(at + took, "media.processed", media.id)


def _on_processed(world: World, event: Event) -> None:
    """Finish looking at a file. Files named `broken…` are found to be that."""
    media = world.media.get(event.subject)
    if media is None or media.status != "processing":
        return
    broken = media.filename.lower().startswith("broken")
    issue = {"code": "MEDIA_PROCESSING_FAILED", "message": "the file can't be decoded", "severity": "error"}
    media.results = [issue] if broken else []
    media.status = "failed" if broken else "ready"
    if media.content_type in _INTO_JPEG:
        media.content_type = "image/jpeg"
    if not broken and media.url is None:
        media.url = f"https://cdn.voxburst.example/{media.id}/{media.filename}"
    if media.content_type.startswith("image/") and media.width is None:
        side = 1080 + 8 * int(fraction(world.seed, "side", media.id) * 60)
        media.width, media.height = side, side
    world.media.save(media)
    world.listed.clear()


def _on_importing(world: World, event: Event) -> None:
    """Let an import begin."""
    media = world.media.get(event.subject)
    if media is not None and media.import_status == "queued":
        media.import_status = "importing"
        world.media.save(media)


def _on_imported(world: World, event: Event) -> None:
    """Let an import end; files named `missing…` were not there."""
    media = world.media.get(event.subject)
    if media is None or media.import_status is None:
        return
    if media.filename.lower().startswith("missing"):
        media.import_status = media.status = "failed"
        media.results = [{"code": "IMPORT_FAILED", "message": "the source answered 404", "severity": "error"}]
    else:
        media.import_status, media.status = "completed", "ready"
        media.size = 200_000 + int(fraction(world.seed, "size", media.id) * 2_000_000)
        media.url = f"https://cdn.voxburst.example/{media.id}/{media.filename}"
        emit_uploaded(world, media, event.at)
    world.media.save(media)


def emit_uploaded(world: World, media: Media, at: int) -> None:
    """Send ``media.uploaded``."""
    data = {
        "id": media.id,
        "workspaceId": world.workspace_id,
        "filename": media.filename,
        "contentType": media.content_type,
    }
    event_id = identifier("evt_", world.seed, media.id, "media.uploaded", at)
    emit(world, "media.uploaded", data | {"sizeBytes": media.size}, at, event_id)


HANDLERS: dict[str, Handler] = {
    "media.processed": _on_processed,
    "media.importing": _on_importing,
    "media.imported": _on_imported,
}

ROUTES = (
    Route("GET", "/v1/media", _list),
    Route("GET", "/v1/media/{id}", _get),
    Route("POST", "/v1/media/upload", _upload),
    Route("POST", "/v1/media/{id}/refresh-presign", _refresh),
    Route("DELETE", "/v1/media/{id}", _delete),
    Route("POST", "/v1/media/{id}/validate", _validate),
    Route("POST", "/v1/media/register", _register),
    Route("POST", "/v1/media/bulk-presign", _bulk_presign),
    Route("POST", "/v1/media/bulk-video-upload-urls", _bulk_videos),
    Route("POST", "/v1/media/bulk-validate", _bulk_validate),
    Route("POST", "/v1/media/import-from-url", _import_url),
    Route("POST", "/v1/media/import-from-drive", _import_drive),
)


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
