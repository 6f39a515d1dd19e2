"""Media that unsent creates wait for: each uploaded or imported once, and followed until it is ready (rule 10)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from voxops._support.eventloop import all_or_none
from voxops.acts import keys
from voxops.acts.act import Item
from voxops.api.assumptions import polled_status
from voxops.api.error_bodies import read_error
from voxops.api.reasons import Reason
from voxops.api.timing import STUCK_AFTER
from voxops.client.uploads import PARALLEL
from voxops.engine.lists import interval
from voxops.engine.reduce import says_absent
from voxops.errors import (
    ApiError,
    AuthError,
    ConflictError,
    DecodeError,
    NotFoundError,
    RateLimitError,
    ServerError,
    TransportError,
    VoxopsError,
    WaitTooLong,
)
from voxops.ledger.records import Medium
from voxops.sheets.media import MediaFile, content_type_of, look_at

if TYPE_CHECKING:
    from voxops.client import AsyncClient, Presigned, Progress
    from voxops.engine.facts import Knowledge
    from voxops.engine.read import Commit

File = Mapping[str, Any]  # of `Item.seen`: its path, name, type and size
ARRIVED = frozenset({"processing", "ready"})  # statuses of a medium whose bytes are there
GONE = frozenset({"failed", "error", "gone", "expired", "deleted"})  # and of one that never becomes ready
PAGE = 20  # media under way that count as a page of a list: the more there are, the less often each is looked at
LOOKS = 3  # at a medium that was just requested and is not found
KEYS = 5  # media that one source is requested as in one run, each under its own key, where the earlier ones are gone


class _FailedError(Exception):
    """A medium can't become ready, for a reason that a person must look at."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(eq=False)
class Upload:
    """How far a medium is: `sent` of `size` bytes, whether any were `put` here, and whether it has ended; an import has no size."""

    size: int
    sent: int = 0
    put: bool = False
    ended: bool = False
    waiters: int = 0
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Uploads:
    """Uploads and imports media for all runs of a workspace, three at once.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    known : Knowledge
        Where failures are kept; and the ledger, which keeps the receipts.
    commit : callable
        Does a piece of work in a transaction of the ledger.
    rng : random.Random
        Source of jitter.
    """

    def __init__(self, client: AsyncClient, known: Knowledge, commit: Commit, rng: random.Random) -> None:
        self._client = client
        self._known = known
        self._ledger = known.ledger
        self._commit = commit
        self._rng = rng
        self._uploads: dict[str, Upload] = {}
        self._room = asyncio.Semaphore(PARALLEL)

    def needs(self, items: Sequence[Item]) -> dict[str, File | None]:
        """What these creates wait for: the file of each source, None for an address."""
        files = {source: file for item in items for source, file in (item.seen.get("files") or {}).items()}
        sources = dict.fromkeys(source for item in items for source in item.sources)
        media = self._ledger.media.get(sources)
        return {
            source: files.get(source)
            for source in sources
            if source not in self._known.failed_media and not self._known.is_ready(media.get(source))
        }

    def upload(self, source: str, file: File | None) -> Upload:
        """The upload of a source, which `bring` has begun or is about to begin."""
        return self._uploads.setdefault(source, Upload(0 if file is None else int(file["size"])))

    async def bring(self, needs: Mapping[str, File | None]) -> None:
        """Return when each of these is ready or has failed; what nobody waits for any more stops after the piece in flight.

        Raises
        ------
        VoxopsError
            What would fail for every medium: an outage, a refused API key, a rate limit that lasts.
        """
        await all_or_none(self._shared(source, file) for source, file in needs.items())

    async def bring_each(self, files: Sequence[MediaFile]) -> list[tuple[Medium | None, bool, Reason | None]]:
        """Bring files for their own sake; the medium of each, whether its bytes were put now, and why it has failed.

        Raises
        ------
        AuthError, WaitTooLong
            These would fail for every file.
        """
        needs = {one.source: one.seen() for one in files}
        for source in needs:
            self._known.failed_media.pop(source, None)  # it is tried anew
        uploads = {source: self.upload(source, file) for source, file in needs.items()}
        tasks = [asyncio.create_task(self._shared(source, file)) for source, file in needs.items()]
        try:
            errors = dict(zip(needs, await asyncio.gather(*tasks, return_exceptions=True), strict=True))
        finally:
            for task in tasks:
                task.cancel()
        for error in errors.values():
            if isinstance(error, AuthError | WaitTooLong) or not isinstance(error, VoxopsError | None):
                raise error
        media, found, put = self._ledger.media.get(needs), [], set[str]()
        for one in files:
            error, medium = errors[one.source], media.get(one.source)
            why = self._known.failed_media.get(one.source)
            if isinstance(error, VoxopsError):
                why = _failed(one.name, str(error)).reason
            found.append((medium, uploads[one.source].put and one.source not in put, why))
            put.add(one.source)
        return found

    async def _shared(self, source: str, file: File | None) -> None:
        upload = self.upload(source, file)
        if upload.task is None:
            upload.task = asyncio.create_task(self._bring(source, file, upload))
        upload.waiters += 1
        try:
            await asyncio.shield(upload.task)
        finally:
            upload.waiters -= 1
            if not upload.waiters:
                self._uploads.pop(source, None)
                upload.task.cancel()
                await asyncio.gather(upload.task, return_exceptions=True)

    async def _bring(self, source: str, file: File | None, upload: Upload) -> None:
        # What an address asks for may be a secret.
        name = source.partition("?")[0] if file is None else str(file["name"])
        try:
            async with self._room:
                medium, status = await (
                    self._import(source, name) if file is None else self._send(source, file, name, upload)
                )
            await self._follow(medium, status)
        except _FailedError as failed:
            self._known.failed_media[source] = failed.reason
        except (AuthError, RateLimitError, WaitTooLong, ServerError, TransportError):
            raise
        except ApiError as error:
            self._known.failed_media[source] = _failed(name, str(error)).reason
        upload.ended, upload.sent = True, upload.size

    async def _send(self, source: str, file: File, name: str, upload: Upload) -> tuple[Medium, str]:
        """Upload a file, unless its bytes have arrived; an interrupted upload goes on under its medium's id."""
        kind, size, uploads = str(file["type"]), int(file["size"]), self._client.uploads

        async def request(number: int) -> tuple[str, Presigned]:
            await asyncio.to_thread(_check, source, file)
            key = keys.stable_key("POST", "/v1/media/upload", [source, name, kind, size], number)
            place = await uploads.presign(name, kind, size, idempotency_key=key)
            return place.media_id, place

        medium, place, status = await self._requested(source, name, size, request, uploads.renew)
        if place is None or status in ARRIVED:
            return medium, status

        def notice(progress: Progress) -> None:
            upload.sent, upload.put = progress.sent, True

        await asyncio.to_thread(_check, source, file)
        digest = source.partition(":")[2]
        try:
            await uploads.send(file["path"], content_type=kind, progress=notice, place=place, sha256=digest)
        except (TransportError, ServerError) as error:
            status, _ = await self._status(medium.media_id)  # which fails, too, where nobody is reached
            if status not in ARRIVED:
                raise _failed(name, str(error)) from error
        except ApiError:
            await asyncio.to_thread(_check, source, file)  # it may have changed since
            raise
        return medium, "processing"

    async def _import(self, source: str, name: str) -> tuple[Medium, str]:
        """Let the API import an address, unless it has done so."""

        async def request(number: int) -> tuple[str, None]:
            key = keys.stable_key("POST", "/v1/media/import-from-url", source, number)
            kind = content_type_of(source) or None
            handle = await self._client.media.import_from_url(source, content_type=kind, idempotency_key=key)
            return handle.id, None

        medium, _, status = await self._requested(source, name, 0, request)
        return medium, status

    async def _requested(
        self,
        source: str,
        name: str,
        size: int,
        request: Callable[[int], Awaitable[tuple[str, Presigned | None]]],
        renew: Callable[[str], Awaitable[Presigned]] | None = None,
    ) -> tuple[Medium, Presigned | None, str]:
        """The medium of a source, the address for its bytes where they have not arrived, and its status.

        It is the one in the ledger, if that is there. Else one is requested under a key that another laptop would use, too: it may be
        the one of that laptop. Where that is gone or has failed, the next key gives the next one.
        """
        medium = self._ledger.media.get([source]).get(source)
        number, place = 0, None
        if medium is not None:
            status, _ = await self._status(medium.media_id)
            try:
                if renew is not None and status not in GONE | ARRIVED:
                    place = await renew(medium.media_id)
            except ConflictError:  # its bytes have arrived between the two calls
                status = "processing"
            except (NotFoundError, DecodeError):
                status = "gone"
            if status not in GONE:
                return medium, place, status
            number = medium.number + 1
        for next_number in range(number, number + KEYS):
            media_id, place = await request(next_number)
            medium = Medium(source, media_id, next_number, "sent", "", self._known.now, size, name)
            await self._keep(medium)
            status, said = await self._status(media_id)
            for look in range(LOOKS):
                if status != "gone":
                    break
                await self._client.clock.sleep(interval(look, self._rng))  # what was just created may not show at once
                status, said = await self._status(media_id)
            if status not in GONE:
                return medium, place, status
        raise _failed(name, said or status)

    async def _follow(self, medium: Medium, status: str) -> None:
        """Look at a medium until it is ready; it is given up after ten minutes, and a later run goes on."""
        began, look, said = self._known.now, 0, ""
        while status not in GONE and status != "ready":
            if self._known.now - began > STUCK_AFTER.total_seconds():
                raise _failed(medium.name, f"still {status}")
            await self._client.clock.sleep(interval(look, self._rng, len(self._uploads) // PAGE))
            look += 1
            status, said = await self._status(medium.media_id)
        now = self._known.now
        if status == "ready":
            await self._keep(replace(medium, state="ready", reason="", at=now))
            return
        await self._keep(replace(medium, state="failed", reason=said, at=now))
        raise _failed(medium.name, said or status)

    async def _keep(self, medium: Medium) -> None:
        await self._commit(lambda: self._ledger.media.keep(medium))

    async def _status(self, media_id: str) -> tuple[str, str]:
        """A medium's status, ``gone`` for one that does not exist, and what the API says of it."""
        try:
            record = await self._client.media.get(media_id)
        except NotFoundError as error:
            if says_absent(error):
                return "gone", ""
            raise
        said = read_error(record.get("validationResults"))
        return polled_status("media", record), said.message or said.code


def _check(source: str, file: File) -> None:
    """Refuse a file that is not what was planned any more."""
    found = look_at(file["path"])
    if not isinstance(found, MediaFile) or found.source != source:
        lost = isinstance(found, Reason) and found.code in {"media_missing", "media_unreadable", "media_no_file"}
        raise _FailedError(Reason("media_file_lost" if lost else "media_changed", value=str(file["name"])))


def _failed(name: str, said: str) -> _FailedError:
    return _FailedError(Reason("media_failed", value=name[-100:], said=said.rstrip(".")))
