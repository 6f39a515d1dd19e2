"""Uploads: each file and each address of a sheet once, with a receipt in the ledger, before the sheet is planned."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from voxops._support import loads
from voxops._support.eventloop import all_or_none
from voxops._support.safe import redact_address
from voxops.acts import keys
from voxops.api.assumptions import polled_status
from voxops.api.endpoints import UNSET
from voxops.api.error_bodies import read_error, says_absent
from voxops.api.limits import FIRST_LOOK, LONGEST_LOOK, STUCK_AFTER
from voxops.api.reasons import Reason
from voxops.client import Answer, AsyncClient
from voxops.errors import ApiError, AuthError, DecodeError, NotFoundError, ServerError, TransportError, WaitTooLong
from voxops.frames.checks import need, table_of
from voxops.frames.schemas import STRING_DTYPE
from voxops.ledger.ledger import Media
from voxops.ledger.records import Medium
from voxops.sheets.media import UPLOAD_COLUMNS, MediaFile, content_type_of, look_at
from voxops.sheets.rules import media_faults, sheet_rows

UPLOADED = {
    "path": "string", "name": "string", "media_id": "string", "status": "string", "bytes": "Int64", "reused": "boolean",
    "error_code": "string", "error_message": "string",
}  # fmt: skip

Commit = Callable[[Callable[[], Any]], Awaitable[Any]]  # does a piece of work in a transaction of the ledger

ARRIVED = frozenset({"processing", "ready"})  # statuses of a medium whose bytes are there
GONE = frozenset({"failed", "error", "gone", "expired", "deleted"})  # and of one that never becomes ready
LOOKS = 4  # at a medium that was just requested and is not found
PARALLEL = 3  # files uploaded at the same time
KEYS = 5  # media that one source is requested as in one call, each under its own key, where the earlier ones are gone


@dataclass(frozen=True, slots=True)
class Outcome:
    """The media id of a source, whether its bytes were sent now, and why it failed; None if it did not."""

    media_id: str | None = None
    put: bool = False
    why: Reason | None = None


class Uploads:
    """Uploads files and imports addresses, three at the same time.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    receipts : Media
        The receipts in the ledger.
    commit : callable
        Does a piece of work in a transaction of the ledger.
    """

    def __init__(self, client: AsyncClient, receipts: Media, commit: Commit) -> None:
        self._client = client
        self._receipts = receipts
        self._commit = commit
        self._room = asyncio.Semaphore(PARALLEL)
        self._sent: dict[str, int] = {}  # source -> bytes
        self._bytes = self._count = self._ended = 0

    async def files(self, paths: Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
        """Upload files; one row per path, as ``ws.upload`` returns them."""
        looked = [await asyncio.to_thread(look_at, path) for path in paths]
        outcomes = await self._all({file.source: file for file in looked if isinstance(file, MediaFile)})
        rows, put = [], set[str]()
        for path, file in zip(paths, looked, strict=True):
            row: dict[str, Any] = {"path": os.fspath(path), "name": Path(path).name, "status": "ready"}
            outcome = Outcome(why=file) if isinstance(file, Reason) else outcomes[file.source]
            if isinstance(file, MediaFile):
                reused = outcome.why is None and (not outcome.put or file.source in put)
                row |= {"media_id": outcome.media_id, "bytes": file.size, "reused": reused}
                put.add(file.source)
            if why := outcome.why:
                row |= {"status": "failed", "error_code": why.code, "error_message": why.sentence()}
            rows.append(row)
        return table_of(rows, UPLOADED)

    async def sheet(self, sheet: pd.DataFrame, folder: str | Path | None = None) -> pd.DataFrame:
        """Upload what a sheet names; the sheet with the columns of its uploads."""
        need(sheet, ["media"], "ws.upload() needs a campaign, or paths", "Use vx.read_campaign(path).")
        rows = await asyncio.to_thread(sheet_rows, sheet, reads=True, folder=folder)
        found = [part for row in rows for part in row["found"].values()]
        files = {part.source: part for part in reversed(found) if isinstance(part, MediaFile)}
        addresses = (part for part in found if isinstance(part, str) and not part.startswith("sha256:"))
        outcomes = await self._all({**files, **dict.fromkeys(addresses)})
        cells = pd.DataFrame([upload_cells(row, outcomes) for row in rows], sheet.index, UPLOAD_COLUMNS, STRING_DTYPE)
        return sheet.assign(**cells)

    async def _all(self, wanted: Mapping[str, MediaFile | None]) -> dict[str, Outcome]:
        """Bring all of these; what failed does not stop the others, but an API key that is refused and a limit that lasts do."""
        self._count, self._bytes = len(wanted), sum(file.size for file in wanted.values() if file)
        outcomes = await all_or_none(self._one(source, file) for source, file in wanted.items())
        return dict(zip(wanted, outcomes, strict=True))

    async def _one(self, source: str, file: MediaFile | None) -> Outcome:
        name = redact_address(source)[-100:] if file is None else file.name
        try:
            async with self._room:
                medium, status, message = await self._bring(source, file)
            put = source in self._sent
            began, look = self._now, 0
            # After ten minutes it is left, and a later call goes on. Many that wait are read less often, a tenth of a second for each.
            while status not in GONE and status != "ready" and self._now - began <= STUCK_AFTER.total_seconds():
                await self._client._clock.sleep(max(min(LONGEST_LOOK, FIRST_LOOK * 1.5**look), self._count / 10))
                look += 1
                status, message = await self._status(medium.media_id)
            ready = status == "ready"
            state = "failed" if status in GONE else "ready" if ready else medium.state
            await self._keep(replace(medium, state=state))
            why = None if ready else Reason("media_failed", value=name, said=message or status)
            outcome = Outcome(medium.media_id if ready else None, put, why)
        except (AuthError, WaitTooLong):
            raise
        except (ApiError, TransportError, DecodeError) as error:
            changed = file is not None and await asyncio.to_thread(look_at, file.path) != file
            failed = Reason("media_failed", value=name, said=str(error).rstrip("."))
            outcome = Outcome(why=Reason("media_changed", value=name) if changed else failed)
        self._ended += 1
        self._progress(source, file.size if file else 0)
        return outcome

    async def _bring(self, source: str, file: MediaFile | None) -> tuple[Medium, str, str]:
        """The medium of a source whose bytes have arrived, its status, and what the API says of it.

        It is the one of the receipt, if that is there; an interrupted upload goes on. Else one is requested under a key that another
        laptop would use, too, so it may be the one of that laptop. Where that is gone or has failed, the next key gives the next one.
        """
        medium = self._receipts.get([source]).get(source)
        first = 0 if medium is None else medium.number
        for number in range(first, first + KEYS):
            place: Mapping[str, Any] = {}
            looks = 1
            if medium is None or number > first:
                place = (await self._request(source, file, number)).record
                named = place.get("mediaId") or place.get("id")
                medium = Medium(source, str(named), number, "sent")
                await self._keep(medium)
                looks = LOOKS  # media that were just created may not show immediately
            status, message = await self._status(medium.media_id, looks)
            if file is not None and status not in GONE | ARRIVED:
                status = await self._put(file, medium.media_id, place or {"mediaId": medium.media_id})
            if status not in GONE:
                break
        assert medium is not None
        return medium, status, message

    async def _request(self, source: str, file: MediaFile | None, number: int) -> Answer:
        """Request a medium: the key names the source, so that a lost answer and another laptop get the same one."""
        media = self._client.media
        if file is None:
            key = keys.stable_key("POST", "/v1/media/import-from-url", source, number)
            kind = content_type_of(source) or UNSET
            answer = await media.import_from_url(url=source, content_type=kind, idempotency_key=key)
        else:
            key = keys.stable_key("POST", "/v1/media/upload", [source, file.name, file.type, file.size], number)
            answer = await media.presign(
                filename=file.name, content_type=file.type, size_bytes=file.size, idempotency_key=key
            )
        if not (answer.record.get("mediaId") or answer.record.get("id")):
            answer.refuse("answered without the id of the media file")
        return answer

    async def _put(self, file: MediaFile, media_id: str, place: Mapping[str, Any]) -> str:
        """Send the bytes of a file to a medium, at a new address if that one has expired; the medium's status."""
        digest = file.source.partition(":")[2]
        progress = partial(self._progress, file.source)
        try:
            await self._client.upload(file.path, content_type=file.type, progress=progress, place=place, sha256=digest)
        except NotFoundError:  # the API gives no new address
            status, _ = await self._status(media_id)
            return "gone" if status == "pending" else status
        except (TransportError, ServerError):
            status, _ = await self._status(media_id)
            if status not in ARRIVED:  # else only the answer was lost
                raise
        return "processing"

    async def _status(self, media_id: str, looks: int = 1) -> tuple[str, str]:
        """A medium's status, ``gone`` if it does not exist after so many looks, and what the API says of it."""
        for look in range(looks):
            if look:
                await self._client._clock.sleep(FIRST_LOOK)
            try:
                record = await self._client.media.get(media_id)
            except NotFoundError as error:
                if not says_absent(error):
                    raise
                continue
            problem = read_error(record.get("validationResults"))
            return polled_status("media", record), problem.message or problem.code
        return "gone", ""

    async def _keep(self, medium: Medium) -> None:
        await self._commit(lambda: self._receipts.keep(medium))

    @property
    def _now(self) -> float:
        return self._client.now().timestamp()

    def _progress(self, source: str, sent: int, _: int = 0) -> None:
        self._sent[source] = sent
        all_sent, size = sum(self._sent.values()) / 1e6, self._bytes / 1e6
        loads.current().reach(self._ended, self._count, f"media, {all_sent:,.1f} of {size:,.1f} MB")


def upload_cells(row: Mapping[str, Any], outcomes: Mapping[str, Outcome]) -> tuple[str | None, ...]:
    """Return the cells of a row in the columns of uploads."""
    fault, sources, ids = next(media_faults(row), None), [], []
    for part in row["media"]:
        found = row["found"].get(part, part)
        source = found.source if isinstance(found, MediaFile) else str(found)
        outcome = outcomes.get(source)
        fault = fault or (outcome.why if outcome else None)
        sources.append(source.removeprefix("sha256:"))
        ids.append(row["uploaded"].get(source, source) if outcome is None else outcome.media_id or "")
    if fault is not None:
        return None, None, None, fault.sentence()
    return (";".join(ids), ";".join(sources), ";".join(row["media"]), None) if ids else (None,) * 4
