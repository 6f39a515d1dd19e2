"""The upload of one file: its presigned address, its bytes piece by piece, and renewal of an expired address."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from voxops.api.assumptions import PRESIGN_NAMES
from voxops.api.fields import FILE_TYPES, check_file, refuse
from voxops.api.matrix import MATRIX, may_resend
from voxops.api.timing import is_ambiguous
from voxops.client._loop import OwnLoop
from voxops.client._reply import Reply, single
from voxops.client._retries import Retries, log_retry
from voxops.errors import ApiError, ConflictError, DecodeError, NotFoundError, ServerError, TransportError, VoxopsError

CHUNK = 256 * 1024  # bytes read at once
MARGIN = 15.0  # an address counts as expired this many seconds early
RENEWALS = 2  # renewals of an address that the storage refused
# Statuses that prove that the bytes have arrived; an unknown one proves nothing.
_ARRIVED = frozenset({"processing", "ready"})
# Row 33: a PUT of the same bytes to the same place.
_RESEND = may_resend(next(row for row in MATRIX if row.method == "PUT"), with_key=False)


@dataclass(frozen=True, slots=True)
class Source:
    """A local file."""

    path: Path  # absolute
    content_type: str
    size: int
    sha256: str | None = None  # the hash that its bytes must have, if that is known; else nothing is uploaded


@dataclass(frozen=True, slots=True)
class Presigned:
    """The upload address of one media file.

    Attributes
    ----------
    media_id : str
        The media file.
    url : str
        The address. Anybody who has it can upload, so it is not in the repr.
    headers : mapping
        Headers to send with the bytes.
    expires_at : datetime or None
        When it expires, None if the API does not say.
    """

    media_id: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of the file at `path`: `sent` of `size` bytes; `sent` restarts at 0 with each try."""

    path: Path
    sent: int
    size: int


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The outcome of one file.

    Attributes
    ----------
    path : Path
        The file.
    media_id : str or None
        The media file, None if the upload failed.
    error : VoxopsError or None
        Why it failed.
    """

    path: Path
    media_id: str | None
    error: VoxopsError | None = None


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage host, and the parts of the client that an upload uses."""

    url: str  # of the API that presigns
    put: Callable[[str, Mapping[str, str], AsyncIterable[bytes], int], Awaitable[Reply]]  # once
    now: Callable[[], datetime]
    retries: Retries
    loop: OwnLoop


class Presigner(Protocol):
    """Presigns addresses, and reads which bytes have arrived."""

    @property
    def presign(self) -> Callable[..., Awaitable[Presigned]]:
        """Return an address for a new media file: its name, content type and size."""

    async def renew(self, media_id: str) -> Presigned:
        """Return a new address for a media file whose bytes have not arrived."""

    async def status(self, media_id: str) -> str:
        """Return a media file's status in lower case."""


def source_of(file: Path, content_type: str | None) -> Source:
    """Return the type and size of a local file; ValidationError if it is unreadable or not accepted."""
    try:
        stat = file.stat()
        absolute = file.resolve()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        refuse("file", f"{file} can't be read ({getattr(error, 'strerror', error)})")
    if not absolute.is_file():
        refuse("file", f"{file} is not a file")
    kind = content_type or FILE_TYPES.get(file.suffix.lower(), "")
    if not kind:
        refuse("contentType", f"can't be derived from the name {file.name!r}; pass content_type=")
    check_file(file.name, kind, stat.st_size)
    return Source(absolute, kind, stat.st_size)


async def upload(
    presigner: Presigner,
    storage: Storage,
    source: Source,
    notice: Callable[[Progress], None],
    given: Presigned | None = None,
) -> Uploaded:
    """Upload one file; to the `given` address, or to no other medium than its.

    Raises
    ------
    ApiError, TransportError
        If it could not be uploaded.
    """
    known = None if given is None else given.media_id
    place: Presigned | Literal["there", "gone"] = given or "gone"
    renewals = 0
    failure: ApiError | TransportError | None = None
    for attempt in range(storage.retries.backoff.tries):
        if failure is not None:
            log_retry("upload", attempt, failure)
            await storage.retries.pause(attempt)
        refused = isinstance(failure, ApiError) and failure.status == 403  # object stores answer so after expiry
        if isinstance(place, Presigned) and (refused or _expired(place, storage.now())):
            known, renewals = place.media_id, renewals + refused
            place = await _arrived(presigner, known)
        if place == "there":
            return Uploaded(source.path, known)
        if not isinstance(place, Presigned) and given is not None:
            raise NotFoundError(f"the media file {known} is gone or has failed", status=404)
        if not isinstance(place, Presigned):
            place = await presigner.presign(source.path.name, source.content_type, source.size)
        failure = await _put(storage, source, place, notice)
        if failure is None:
            return Uploaded(source.path, place.media_id)
        if not _passing(failure, renewals):
            break
    assert failure is not None
    raise failure


async def _put(
    storage: Storage, source: Source, place: Presigned, notice: Callable[[Progress], None]
) -> ApiError | TransportError | None:
    """Put the bytes once; return the error, if any."""
    pieces = _pieces(source, notice)
    try:
        reply = await storage.put(place.url, place.headers, pieces, source.size)
    except TransportError as error:
        return error
    finally:
        await pieces.aclose()
    return None if reply.ok else _refusal(reply, source)


async def _pieces(source: Source, notice: Callable[[Progress], None]) -> AsyncGenerator[bytes, None]:
    """Yield a file piece by piece, none of another one than was to be uploaded: it is hashed through the descriptor that is sent."""
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
            notice(Progress(source.path, sent, source.size))
    finally:
        file.close()


async def _arrived(presigner: Presigner, media_id: str) -> Presigned | Literal["there", "gone"]:
    """Return whether a media file's bytes have arrived; if not, a new address for them, if the API gives one."""
    for _ in range(2):
        try:
            status = await presigner.status(media_id)
            if status == "failed":
                return "gone"
            if status in _ARRIVED:
                return "there"
            return await presigner.renew(media_id)
        except ConflictError:
            continue  # the bytes arrived between the two calls
        except (NotFoundError, DecodeError):
            return "gone"
    return "gone"


def _expired(place: Presigned, now: datetime) -> bool:
    """Return whether an address has expired, or is about to."""
    return place.expires_at is not None and (place.expires_at - now).total_seconds() < MARGIN


def _passing(failure: ApiError | TransportError, renewals: int) -> bool:
    """Return whether another try may help: with the same address if row 33 allows, or with a new one."""
    if isinstance(failure, ApiError) and failure.status == 403:
        return renewals < RENEWALS
    return _RESEND and (isinstance(failure, TransportError) or failure.status == 429 or is_ambiguous(failure.status))


def _refusal(reply: Reply, source: Source) -> ApiError:
    """Return the storage's error; object stores answer in XML."""
    found = re.search(rb"<Code>([A-Za-z0-9]{1,60})</Code>", reply.body)
    code = found.group(1).decode() if found else ""
    words = f"the storage did not accept {source.path.name}: {reply.status} {code}".rstrip()
    kind = ServerError if reply.status >= 500 else ApiError
    return kind(words, status=reply.status, code=code, request_id=reply.request_id, body=reply.body)


def presigned(reply: Reply, media_id: str | None) -> Presigned:
    """Read an address from an answer, under any of its field names.

    Raises
    ------
    DecodeError
        If the answer contains no address.
    """
    data = single(reply)

    def named(what: str) -> Any:
        return next((data[name] for name in PRESIGN_NAMES[what] if data.get(name)), None)

    url, headers, media = named("url"), named("headers") or {}, media_id or named("id")
    if not isinstance(url, str) or not isinstance(headers, Mapping) or not media:
        text = f"{reply.endpoint} answered without an upload address"
        raise DecodeError(text, endpoint=reply.endpoint, status=reply.status, body=reply.body)
    return Presigned(
        str(media), url, {str(name): str(value) for name, value in headers.items()}, _time(named("expires"))
    )


def _time(text: Any) -> datetime | None:
    """Return an instant, None if the text is not a time with an offset."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None
