"""The upload of one file: its presigned address, its bytes piece by piece, and renewal of an expired address (row 33)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from voxops.api.assumptions import PRESIGN_NAMES, polled_status
from voxops.api.limits import FILE_TYPES, is_ambiguous
from voxops.api.matrix import MATRIX, may_resend
from voxops.client.answer import Answer
from voxops.client.request import filled, refuse
from voxops.errors import ApiError, ConflictError, DecodeError, NotFoundError, ServerError, TransportError

CHUNK = 256 * 1024  # bytes per read
MARGIN = timedelta(seconds=15)  # by which an address counts as expired early
_NEVER = datetime.max.replace(tzinfo=UTC)
RENEWALS = 2  # renewals of an address that the storage refused
# Statuses that prove that the bytes have arrived; an unknown one proves nothing.
_ARRIVED = frozenset({"processing", "ready"})
# Row 33: a PUT of the same bytes to the same place.
_RESEND = may_resend(next(row for row in MATRIX if row.method == "PUT"), with_key=False)

Notice = Callable[[int, int], object]  # takes the bytes that were sent, from 0 with each try, and all bytes


@dataclass(frozen=True, slots=True)
class _Source:
    """A local file. If `sha256` is given, its bytes must have that hash, or nothing is uploaded."""

    path: Path  # absolute
    content_type: str
    size: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """The upload address of one media file; `expires_at` is the end of times if the API does not say when it expires."""

    media_id: str
    url: str = field(repr=False)  # anybody who has it can upload
    headers: Mapping[str, str] = field(repr=False)
    expires_at: datetime


def _source(file: Any, content_type: str | None, sha256: str | None) -> _Source:
    """Return the type and size of a local file; ValidationError if it is unreadable."""
    try:
        path = Path(file)
        size, absolute = path.stat().st_size, path.resolve()
    except (TypeError, OSError, ValueError) as error:  # ValueError: a null byte in the name
        refuse("file", f"{file} can't be read ({getattr(error, 'strerror', error)})")
    if not absolute.is_file() or not size:
        refuse("file", f"{path} is {'empty' if absolute.is_file() else 'not a file'}")
    kind = content_type or FILE_TYPES.get(path.suffix.lower(), "")
    if not kind:
        refuse("content_type", f"can't be derived from the name {path.name!r}; pass content_type=")
    return _Source(absolute, kind, size, sha256)


async def upload(
    client: Any,
    file: Any,
    content_type: str | None,
    sha256: str | None,
    notice: Notice,
    given: Mapping[str, Any] | None,
) -> str:
    """Upload one file, and return its media id; with `given`, to that address and media file only.

    Raises
    ------
    ApiError, TransportError
        If it could not be uploaded.
    """
    source = await asyncio.to_thread(_source, file, content_type, sha256)
    place = None if given is None else _place(given)
    renewals, refused = 0, False
    failure: ApiError | TransportError | None = None
    for attempt in range(client._backoff.tries):
        if failure is not None:
            await client._rest("upload", attempt, failure)
        if place is not None and (refused or not place.url or client.now() + MARGIN > place.expires_at):
            renewals += refused
            renewed = await _renewed(client, place.media_id)
            if renewed == "there":
                return place.media_id
            if renewed is None and given is not None:
                raise NotFoundError(f"the media file {place.media_id} is gone or has failed", status=404)
            place = renewed
        if place is None:
            about = {"filename": source.path.name, "contentType": source.content_type, "sizeBytes": source.size}
            place = _answered(await client.request("POST", "/v1/media/upload", json=about))
        failure = await _put(client, source, place, notice)
        if failure is None:
            return place.media_id
        status = failure.status if isinstance(failure, ApiError) else 0  # 0: no answer
        refused = status == 403  # object stores answer so after expiry
        # With a new address, or with the same if row 33 allows it.
        if not (renewals < RENEWALS if refused else _RESEND and (status in {0, 429} or is_ambiguous(status))):
            break
    assert failure is not None
    raise failure


async def _put(client: Any, source: _Source, place: _Place, notice: Notice) -> ApiError | TransportError | None:
    """Put the bytes once; return the error, if any."""
    pieces = _pieces(source, notice)
    try:
        with client._pace.aside():
            answer: Answer = await client._transport.put(place.url, place.headers, pieces, source.size)
    except TransportError as error:
        return error
    finally:
        await pieces.aclose()
    if answer.ok:
        return None
    named = re.search(rb"<Code>([A-Za-z0-9]{1,60})</Code>", answer.body)  # object stores answer in XML
    code = named[1].decode() if named else ""
    words = f"the storage did not accept {source.path.name}: {answer.status} {code}".rstrip()
    kind = ServerError if answer.status >= 500 else ApiError
    return kind(words, status=answer.status, code=code, request_id=answer.request_id, body=answer.body)


async def _pieces(source: _Source, notice: Notice) -> AsyncGenerator[bytes, None]:
    """Yield a file piece by piece. It is hashed through the same descriptor, so that no other file can take its place."""
    file = await asyncio.to_thread(source.path.open, "rb")
    try:
        if source.sha256 is not None:
            found = await asyncio.to_thread(hashlib.file_digest, file, "sha256")
            if found.hexdigest() != source.sha256:
                refuse("file", f"{source.path} changed before it was uploaded")
            file.seek(0)
        sent, digest = 0, hashlib.sha256()
        while sent < source.size:
            piece = await asyncio.to_thread(file.read, min(CHUNK, source.size - sent))
            if not piece or os.fstat(file.fileno()).st_size != source.size:
                refuse("file", f"{source.path} changed while it was uploaded; upload it again")
            sent += len(piece)
            digest.update(piece)
            if sent == source.size and source.sha256 not in {None, digest.hexdigest()}:
                refuse("file", f"{source.path} changed before it was uploaded")
            yield piece
            notice(sent, source.size)
    finally:
        file.close()


async def _renewed(client: Any, media_id: str) -> _Place | Literal["there"] | None:
    """Return a new address for a media file, ``there`` if its bytes have arrived, None if it is gone or the API gives no address."""
    where = filled("/v1/media/:id", [media_id])
    for _ in range(2):
        try:
            status = polled_status("media", (await client.request("GET", where)).record)
            if status in _ARRIVED:
                return "there"
            if status == "failed":
                return None
            # No row governs it, so it is sent once.
            return _answered(await client.request("POST", f"{where}/refresh-presign"), media_id)
        except ConflictError:
            continue  # the bytes arrived between the two calls
        except (NotFoundError, DecodeError):
            return None
    return None


def _answered(answer: Answer, media_id: str = "") -> _Place:
    """Return the place in an answer; a DecodeError if there is none."""
    place = _place(answer.record)
    place = replace(place, media_id=media_id or place.media_id)
    if not place.url or not place.media_id:
        answer.refuse("answered without an upload address")
    return place


def _place(data: Mapping[str, Any]) -> _Place:
    """Read an address, under any of its field names; its parts are empty if they are missing."""
    named = {what: next(filter(None, map(data.get, names)), None) for what, names in PRESIGN_NAMES.items()}
    url, headers, expires = named["url"], named["headers"], _NEVER
    with suppress(ValueError):  # not a time
        expires = datetime.fromisoformat(str(named["expires"]))
    return _Place(
        str(named["id"] or ""),
        url if isinstance(url, str) else "",
        {str(name): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {},
        expires if expires.tzinfo is not None else _NEVER,
    )
