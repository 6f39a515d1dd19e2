"""Media: presigned uploads, imports, checks (contract: 8.5; rows 24-32)."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from voxburst_sandbox import wire
from voxburst_sandbox.bodies import DriveFile, Files, MediaIds, NewFile, RegisteredFile, RemoteFile, Videos
from voxburst_sandbox.gates import inject, named, respond
from voxburst_sandbox.http import (
    Answer,
    Call,
    RefusedError,
    Route,
    decoded,
    deleted,
    envelope,
    invalid,
    new_id,
    not_found,
    page,
    refuse,
    refuse_quota,
    single,
)
from voxburst_sandbox.store import Event, Media, fraction, identifier, uniform
from voxburst_sandbox.webhooks import emit
from voxburst_sandbox.world import Handler, World, iso

_UPLOAD_MS = 15 * 60 * 1000
# First part of the content type -> most megabytes (contract: MED).
_MEGABYTES = {"image": 20, "video": 500, "application": 100, "text": 5}
_MOST_VIDEO_BYTES = 20 * 1024**3
_INTO_JPEG = ("image/png", "image/webp")


def _find(call: Call) -> Media:
    """Return the file that the path names."""
    key = call.params["id"]
    return call.world.media.get(key) or not_found("media", key)


def _list(call: Call) -> Answer:
    """GET /media: newest first."""
    world, status = call.world, call.word("status")
    # Ids break ties, so that the list does not depend on the order of creation.
    ordered = sorted((item.created_at, item.id) for item in world.media.values())
    order = [(at, number, key) for number, (at, key) in enumerate(ordered)]
    keys, limit, following = page(call, order, lambda key: status in (None, world.media[key].status))
    return envelope(world, "data", [wire.media(world, world.media[key]) for key in keys], limit, following)


def _get(call: Call) -> Answer:
    """GET /media/:id."""
    return single(call.world, wire.media(call.world, _find(call)))


def _presign(world: World, media: Media) -> dict[str, Any]:
    """Return a fresh upload address for a file, valid for 15 minutes."""
    at = world.now()
    media.expires_at = at + _UPLOAD_MS
    media.upload_token = identifier("", world.seed, media.id, at)
    media.upload_type = media.content_type
    world.media.save(media)
    base = world.hosts.get("storage", "")
    url = f"{base}/upload/{media.id}?expires={media.expires_at // 1000}&signature={media.upload_token}"
    headers = {"Content-Type": media.content_type}
    return {"mediaId": media.id, "uploadUrl": url, "uploadHeaders": headers, "expiresAt": iso(media.expires_at)}


def _new(call: Call, name: str, kind: str, size: int, *parts: object) -> Media:
    """Create a file without its bytes."""
    key = new_id(call, "media_", call.world.media, *parts)
    return call.world.media.save(Media(key, name, kind, size, "pending", call.world.now()))


def _to_upload(call: Call, file: NewFile, *parts: object) -> dict[str, Any]:
    """Return where the bytes of a file go, if it is not too large."""
    if not file.filename.strip():
        invalid("filename is blank", field="filename")
    most = _MEGABYTES[file.content_type.partition("/")[0]] * 1024**2
    if file.size_bytes > most:
        message = f"{file.size_bytes} bytes, {most} allowed"
        invalid(message, field="sizeBytes", maxLength=most, actualLength=file.size_bytes)
    media = _new(call, file.filename, file.content_type, file.size_bytes, *parts)
    call.effect("media.create", media=media.id)
    return _presign(call.world, media)


def _upload(call: Call, file: NewFile) -> Answer:
    """POST /media/upload: where to PUT the bytes."""
    refuse_quota(call)
    return single(call.world, _to_upload(call, file), 201)


def _refresh(call: Call) -> Answer:
    """POST /media/:id/refresh-presign: another address, until the file is uploaded."""
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


def _register(call: Call, file: RegisteredFile) -> Answer:
    """POST /media/register: a file that is already on the web."""
    refuse_quota(call)
    media = _new(call, _name(file), file.content_type, 0)
    media.status, media.url = "ready", file.url
    call.effect("media.register", media=media.id)
    return single(call.world, wire.media(call.world, media), 201)


def _name(file: RemoteFile) -> str:
    """Return the name of a file from the web: the one it is given, else the last part of its address."""
    return file.filename or urlsplit(file.url).path.rsplit("/", 1)[-1] or "file"


def _bulk_presign(call: Call, body: Files) -> Answer:
    """POST /media/bulk-presign: one address per file, each with its own result (assumed: as bulk posts)."""
    return _presign_each(call, body.files)


def _bulk_videos(call: Call, body: Videos) -> Answer:
    """POST /media/bulk-video-upload-urls: at most 20 videos and 20 GB (contract: MED)."""
    sizes = [video.get("sizeBytes") for video in body.videos if isinstance(video, dict)]
    total = sum(size for size in sizes if isinstance(size, int))
    if total > _MOST_VIDEO_BYTES:
        invalid("more than 20 GB in one batch", field="videos", maxLength=_MOST_VIDEO_BYTES, actualLength=total)
    return _presign_each(call, body.videos, "video/")


def _presign_each(call: Call, files: list[Any], kind: str = "") -> Answer:
    """Return the result of each file."""
    refuse_quota(call)
    results = [_presign_one(call, index, item, kind) for index, item in enumerate(files)]
    failed = sum(result["status"] == "failed" for result in results)
    data = {"total": len(results), "created": len(results) - failed, "failed": failed, "results": results}
    return Answer(207 if failed else 201, data)


def _presign_one(call: Call, index: int, item: Any, kind: str) -> dict[str, Any]:
    try:
        file = decoded(NewFile, item)
        if not file.content_type.startswith(kind):
            invalid("a video is required", field="contentType")
        return {"index": index, "status": "created", **_to_upload(call, file, index)}
    except RefusedError as error:
        return {"index": index, "status": "failed", "errors": [error.item()]}


def _validate(call: Call) -> Answer:
    """POST /media/:id/validate: queued; follow the media's status (assumed)."""
    media = _find(call)
    _queue_check(call, media)
    return single(call.world, {"id": media.id, "mediaId": media.id, "status": "queued"}, 202)


def _bulk_validate(call: Call, body: MediaIds) -> Answer:
    """POST /media/bulk-validate: each file queued for itself."""
    results: list[dict[str, Any]] = []
    for index, key in enumerate(body.media_ids):
        result: dict[str, Any] = {"index": index, "mediaId": key, "status": "queued"}
        media = call.world.media.get(key)
        if media is None or media.status == "pending":
            issue = "NOT_FOUND" if media is None else "CONFLICT"
            result |= {"status": "failed", "errors": [{"field": "mediaIds", "issue": issue}]}
        else:
            _queue_check(call, media)
        results.append(result)
    return Answer(202, {"total": len(results), "results": results})


def _queue_check(call: Call, media: Media) -> None:
    if media.status == "pending":
        refuse(409, "CONFLICT", "the media has not been uploaded", status=media.status)
    call.effect("media.validate", media=media.id)
    start_processing(call.world, media, call.world.now())


def _import_url(call: Call, file: RemoteFile) -> Answer:
    """POST /media/import-from-url."""
    return _import(call, _name(file), file.content_type)


def _import_drive(call: Call, file: DriveFile) -> Answer:
    """POST /media/import-from-drive."""
    return _import(call, file.filename or f"{file.file_id}.jpg", file.content_type)


def _import(call: Call, name: str, kind: str) -> Answer:
    """Import a file; it stays pending, and `metadata.importStatus` shows the progress (contract: MED)."""
    refuse_quota(call)
    world = call.world
    media = _new(call, name, kind, 0)
    media.import_status = "queued"
    world.schedule(world.now() + 2_000, "media.importing", media.id)
    took = int(uniform(5_000, 40_000, world.seed, "import", media.id))
    world.schedule(world.now() + took, "media.imported", media.id)
    call.effect("media.import", media=media.id)
    return single(world, wire.media(world, media), 202)


def start_processing(world: World, media: Media, at: int) -> None:
    """Process a file; its status shows when that is done."""
    media.status = "processing"
    world.media.save(media)
    took = int(uniform(2_000, 20_000, world.seed, "media", media.id, at))
    world.schedule(at + took, "media.processed", media.id)


def _on_processed(world: World, event: Event) -> None:
    """Finish processing; files named `broken…` fail."""
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
    media = world.media.get(event.subject)
    if media is not None and media.import_status == "queued":
        media.import_status = "importing"
        world.media.save(media)


def _on_imported(world: World, event: Event) -> None:
    """Finish an import; files named `missing…` fail."""
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
    Route("GET /v1/media", _list),
    Route("GET /v1/media/{id}", _get),
    Route("POST /v1/media/upload", _upload, NewFile),
    Route("POST /v1/media/{id}/refresh-presign", _refresh),
    Route("DELETE /v1/media/{id}", _delete),
    Route("POST /v1/media/{id}/validate", _validate),
    Route("POST /v1/media/register", _register, RegisteredFile),
    Route("POST /v1/media/bulk-presign", _bulk_presign, Files),
    Route("POST /v1/media/bulk-video-upload-urls", _bulk_videos, Videos),
    Route("POST /v1/media/bulk-validate", _bulk_validate, MediaIds),
    Route("POST /v1/media/import-from-url", _import_url, RemoteFile),
    Route("POST /v1/media/import-from-drive", _import_drive, DriveFile),
)


class Storage:
    """Takes presigned uploads as an object store does: by PUT, signed, in time, without other credentials."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def endpoint(self, request: Request) -> Response:
        """Serve one upload."""
        world, path = self._world, request.url.path
        await world.settle()
        entry = world.requests.note(
            method=request.method, path=path, query={}, key=None, api_key="", status=0, body="",
            acting=request.method == "PUT", effect=False, replay=False, fault="", at=iso(world.now()), ended="",
        )  # fmt: skip
        faults, cleared = world.faults.strike(request.method, path, path), world.faults.cleared
        entry["fault"] = named(faults)
        try:
            answer = inject(faults) or await self._take(request, entry)
            for fault in faults:
                if fault.action == "delay":
                    await world.faults.hold(fault, cleared)
            return respond(world, entry, answer, faults, "application/xml")
        finally:
            world.requests.amend(entry, ended=iso(world.now()))
            world.flush()

    async def _take(self, request: Request, entry: dict[str, Any]) -> Answer:
        """Check the request, read its bytes without keeping them, and start processing."""
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
        """Return why an upload is refused; None if it is taken."""
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


def _error(status: int, code: str, message: str = "") -> Answer:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message or code}</Message></Error>'
    return Answer(status, body=body.encode())
