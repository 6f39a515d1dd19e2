"""Uploads: each file and each address of a sheet once, with a receipt in the ledger, before the sheet is planned."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, starmap
from pathlib import Path
from typing import Any

import pandas as pd

from voxops._support import loads
from voxops._support.eventloop import all_or_none
from voxops._support.safe import redact_address
from voxops.acts import keys
from voxops.api.assumptions import polled_status
from voxops.api.endpoints import UNSET
from voxops.api.error_bodies import read_error
from voxops.api.reasons import Reason
from voxops.api.timing import FIRST_LOOK, STUCK_AFTER
from voxops.client import AsyncClient, Polled, read_record
from voxops.client.jobs import follow
from voxops.errors import NotFoundError, VoxopsError
from voxops.frames.checks import need, table_of
from voxops.frames.schemas import STRING_DTYPE
from voxops.ledger.media import Media
from voxops.ledger.records import Medium
from voxops.loading.accounts import result_or_error
from voxops.sheets.media import UPLOAD_COLUMNS, MediaFile, content_type_of, look_at
from voxops.sheets.rules import media_faults, sheet_rows

UPLOADED = {
    **dict.fromkeys(("path", "name", "media_id", "status"), "string"), "bytes": "Int64", "reused": "boolean", "error_code": "string",
    "error_message": "string",
}  # fmt: skip

Commit = Callable[[Callable[[], Any]], Awaitable[Any]]  # does a piece of work in a transaction of the ledger

ARRIVED = frozenset({"processing", "ready"})  # statuses of a medium whose bytes are there
GONE = frozenset({"failed", "error", "gone", "expired", "deleted"})  # and of one that never becomes ready
LOOKS = 4  # at a medium that was just requested and is not found
PARALLEL = 3  # files uploaded at the same time
KEYS = 5  # media that one source is requested as in one call, each under its own key, where the earlier ones are gone


@dataclass(frozen=True, slots=True)
class Outcome:
    """The media id of a source, and why it failed; None if it did not."""

    media_id: str | None = None
    why: Reason | None = None


class Uploads:
    """Uploads files and imports addresses, three at the same time, and waits until posts can use them.

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
        self._sent: dict[str, int] = {}  # source -> bytes

    async def files(self, paths: Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
        """Upload files; one row per path, as ``ws.upload`` returns them."""
        looked = [await asyncio.to_thread(look_at, path) for path in paths]
        outcomes = await self._all({file.source: file for file in looked if isinstance(file, MediaFile)})
        rows, put = [], set[str]()
        for path, file in zip(paths, looked, strict=True):
            row: dict[str, Any] = {"path": os.fspath(path), "name": Path(path).name, "status": "ready"}
            outcome = Outcome(why=file) if isinstance(file, Reason) else outcomes[file.source]
            if isinstance(file, MediaFile):
                reused = outcome.why is None and (file.source not in self._sent or file.source in put)
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
        media = [part for row in rows for part in row["found"].values()]
        files = {part.source: part for part in reversed(media) if isinstance(part, MediaFile)}
        addresses = (part for part in media if isinstance(part, str) and not part.startswith("sha256:"))
        outcomes = await self._all({**files, **dict.fromkeys(addresses)})
        cells = pd.DataFrame([upload_cells(row, outcomes) for row in rows], sheet.index, UPLOAD_COLUMNS, STRING_DTYPE)
        return sheet.assign(**cells)

    async def _all(self, wanted: Mapping[str, MediaFile | None]) -> dict[str, Outcome]:
        """Bring all of these, and wait for them; a failure stops no other, but a refused API key and a limit that lasts do."""
        room, ended, size = (
            asyncio.Semaphore(PARALLEL),
            count(1),
            sum(file.size for file in wanted.values() if file) / 1e6,
        )

        async def bring(source: str, file: MediaFile | None) -> Medium | VoxopsError:
            async with room:
                medium = await result_or_error(self._bring(source, file))
            sent = sum(self._sent.values()) / 1e6
            loads.current().reach(next(ended), len(wanted), f"media, {sent:,.1f} of {size:,.1f} MB")
            return medium

        brought = dict(zip(wanted, await all_or_none(starmap(bring, wanted.items())), strict=True))
        ids = tuple(dict.fromkeys(medium.media_id for medium in brought.values() if isinstance(medium, Medium)))
        records: Mapping[str, Mapping[str, Any]] = {}
        if ids:  # after ten minutes they are left, and a later call goes on
            waited = await result_or_error(follow(Polled("media", ids), self._client, STUCK_AFTER.total_seconds()))
            if isinstance(waited, VoxopsError):
                brought = {
                    source: waited if isinstance(medium, Medium) else medium for source, medium in brought.items()
                }
            else:
                records = dict(zip(ids, waited.records, strict=True))
        settled, outcomes = [], {}
        for source, medium in brought.items():
            file = wanted[source]
            name = redact_address(source)[-100:] if file is None else file.name
            if isinstance(medium, Medium):
                status, message = (
                    _status(records[medium.media_id]),
                    read_error(records[medium.media_id].get("validationResults")),
                )
                if status == "ready" or status in GONE:
                    settled.append(replace(medium, state="ready" if status == "ready" else "failed"))
                why = Reason("media_failed", value=name, said=message.message or message.code or status)
                outcomes[source] = Outcome(medium.media_id) if status == "ready" else Outcome(why=why)
            elif file is not None and await asyncio.to_thread(look_at, file.path) != file:
                outcomes[source] = Outcome(why=Reason("media_changed", value=name))
            else:
                outcomes[source] = Outcome(why=Reason("media_failed", value=name, said=str(medium).rstrip(".")))
        for medium in settled:
            await self._commit(partial(self._receipts.keep, medium))
        return outcomes

    async def _bring(self, source: str, file: MediaFile | None) -> Medium:
        """The medium of a source, whose bytes have arrived.

        It is the one of the receipt, if that is there; an interrupted upload goes on. Else one is requested under a key that another
        laptop would use, too, so it may be the one of that laptop. Where that is gone or has failed, the next key gives the next one.
        """
        medium = self._receipts.get([source]).get(source)
        first = 0 if medium is None else medium.number
        for number in range(first, first + KEYS):
            place: Mapping[str, Any] = {}
            if medium is None or number > first:
                place = await self._request(source, file, number)
                medium = Medium(source, str(place.get("mediaId") or place.get("id")), number, "sent")
                await self._commit(partial(self._receipts.keep, medium))
            polled, record = Polled("media", (medium.media_id,)), None
            for look in range(LOOKS if place else 1):  # media that were just created may not show immediately
                if look:
                    await self._client._clock.sleep(FIRST_LOOK)
                if (record := await read_record(polled, self._client)) is not None:
                    break
            if _status(record) in GONE:
                continue
            if file is None or _status(record) in ARRIVED:
                break
            try:
                await self._client.upload(
                    file.path, content_type=file.type, sha256=source.partition(":")[2], place=place or {"mediaId": medium.media_id},
                    progress=lambda sent, _: self._sent.update({source: sent}),
                )  # fmt: skip
                break
            except NotFoundError:  # the API gives no new address
                continue
        assert medium is not None
        return medium

    async def _request(self, source: str, file: MediaFile | None, number: int) -> Mapping[str, Any]:
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
        record: Mapping[str, Any] = answer.record
        if not (record.get("mediaId") or record.get("id")):
            answer.refuse("answered without the id of the media file")
        return record


def _status(record: Mapping[str, Any] | None) -> str:
    """Return the status of a medium, ``gone`` if it does not exist."""
    return polled_status("media", record) if record else "gone"


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
