"""Uploads: each file and each address of a sheet once, with a receipt in the ledger, before the sheet is planned."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from voxops._support import loads
from voxops._support.eventloop import all_or_none
from voxops.acts import keys
from voxops.api.assumptions import polled_status
from voxops.api.endpoints import UNSET
from voxops.api.error_bodies import read_error, says_absent
from voxops.api.reasons import Reason
from voxops.api.timing import FIRST_LOOK, LONGEST_LOOK, STUCK_AFTER
from voxops.client import Answer, AsyncClient
from voxops.errors import ApiError, AuthError, DecodeError, NotFoundError, ServerError, TransportError, WaitTooLong
from voxops.frames.columns import need_frame, table_of
from voxops.frames.schemas import STRING_DTYPE
from voxops.ledger.media import Media
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
PARALLEL = 3  # files uploaded at once
KEYS = 5  # media that one source is requested as in one call, each under its own key, where the earlier ones are gone


@dataclass(frozen=True, slots=True)
class Outcome:
    """The media id of a source, whether its bytes were sent now, and why it failed; None if it did not."""

    media_id: str | None = None
    put: bool = False
    why: Reason | None = None


class Uploads:
    """Uploads files and imports addresses, three at once.

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
        outcomes = await self._all({one.source: one for one in looked if isinstance(one, MediaFile)})
        rows, put = [], set[str]()
        for path, one in zip(paths, looked, strict=True):
            row: dict[str, Any] = {"path": os.fspath(path), "name": Path(path).name}
            why = one if isinstance(one, Reason) else outcomes[one.source].why
            if isinstance(one, MediaFile):
                outcome = outcomes[one.source]
                reused = why is None and not (outcome.put and one.source not in put)
                row |= {"media_id": outcome.media_id, "bytes": one.size, "reused": reused}
                put.add(one.source)
            said = {"error_code": why.code, "error_message": why.sentence()} if why else {}
            rows.append(row | {"status": "failed" if why else "ready"} | said)
        return table_of(rows, UPLOADED)

    async def sheet(self, sheet: pd.DataFrame) -> pd.DataFrame:
        """Upload what a sheet names; the sheet with the columns of its uploads."""
        need_frame(sheet, ["media"], "ws.upload() needs a campaign, or paths", "Use vx.read_campaign(path).")
        rows = await asyncio.to_thread(sheet_rows, sheet, reads=True)
        faults = [next(media_faults(row), None) for row in rows]
        wanted: dict[str, MediaFile | None] = {}
        for row in rows:
            for one in row["found"].values():
                if isinstance(one, MediaFile):
                    wanted.setdefault(one.source, one)
                elif isinstance(one, str) and not one.startswith("sha256:"):
                    wanted[one] = None
        outcomes = await self._all(wanted)
        cells = [_cells(row, fault, outcomes) for row, fault in zip(rows, faults, strict=True)]
        columns = zip(UPLOAD_COLUMNS, zip(*cells, strict=True) if cells else [()] * len(UPLOAD_COLUMNS), strict=True)
        return sheet.assign(**{name: pd.array(values, dtype=STRING_DTYPE) for name, values in columns})

    async def _all(self, wanted: Mapping[str, MediaFile | None]) -> dict[str, Outcome]:
        """Bring all of these; what failed does not stop the others, but an API key that is refused and a limit that lasts do."""
        self._count, self._bytes = len(wanted), sum(file.size for file in wanted.values() if file)
        outcomes = await all_or_none(self._one(source, file) for source, file in wanted.items())
        return dict(zip(wanted, outcomes, strict=True))

    async def _one(self, source: str, file: MediaFile | None) -> Outcome:
        # What an address asks for may be a secret.
        name = source.partition("?")[0][-100:] if file is None else file.name
        try:
            async with self._room:
                medium, status, said = await self._bring(source, file)
            put = source in self._sent
            status, said = await self._ready(medium, status, said)
            why = None if status == "ready" else Reason("media_failed", value=name, said=said or status)
            state = "failed" if status in GONE else "ready" if why is None else medium.state
            await self._keep(replace(medium, state=state))
            outcome = Outcome(None if why else medium.media_id, put, why)
        except (AuthError, WaitTooLong):
            raise
        except (ApiError, TransportError, DecodeError) as error:
            changed = file is not None and await asyncio.to_thread(look_at, file.path) != file
            failed = Reason("media_failed", value=name, said=str(error).rstrip("."))
            outcome = Outcome(why=Reason("media_changed", value=name) if changed else failed)
        self._ended += 1
        self._sent[source] = file.size if file else 0
        self._progress()
        return outcome

    async def _bring(self, source: str, file: MediaFile | None) -> tuple[Medium, str, str]:
        """The medium of a source whose bytes have arrived, its status, and what the API says of it.

        It is the one of the receipt, if that is there; an interrupted upload goes on. Else one is requested under a key that another
        laptop would use, too, so it may be the one of that laptop. Where that is gone or has failed, the next key gives the next one.
        """
        receipt = self._receipts.get([source]).get(source)
        first = 0 if receipt is None else receipt.number
        place: Mapping[str, Any] | None
        for number in range(first, first + KEYS):
            if receipt is not None and number == first:
                medium, place = receipt, {"mediaId": receipt.media_id}
                status, said = await self._status(medium.media_id)
            else:
                media_id, place = await self._request(source, file, number)
                medium = Medium(source, media_id, number, "sent")
                await self._keep(medium)
                status, said = await self._status(media_id, LOOKS)  # what was just created may not show at once
            if file is not None and place is not None and status not in GONE | ARRIVED:
                status = await self._put(file, medium.media_id, place)
            if status not in GONE:
                break
        return medium, status, said

    async def _request(self, source: str, file: MediaFile | None, number: int) -> tuple[str, Mapping[str, Any] | None]:
        """Request a medium: the key names the source, so that a lost answer and another laptop get the same one."""
        if file is None:
            key = keys.stable_key("POST", "/v1/media/import-from-url", source, number)
            kind = content_type_of(source) or UNSET
            answer = await self._client.media.import_from_url(url=source, content_type=kind, idempotency_key=key)
            return _named(answer), None
        key = keys.stable_key("POST", "/v1/media/upload", [source, file.name, file.type, file.size], number)
        answer = await self._client.media.presign(
            filename=file.name, content_type=file.type, size_bytes=file.size, idempotency_key=key
        )
        return _named(answer), answer.record

    async def _put(self, file: MediaFile, media_id: str, place: Mapping[str, Any]) -> str:
        """Send the bytes of a file to a medium, at a new address if that one has expired; the medium's status."""

        def notice(sent: int, _: int) -> None:
            self._sent[file.source] = sent
            self._progress()

        digest = file.source.partition(":")[2]
        try:
            await self._client.upload(file.path, content_type=file.type, progress=notice, place=place, sha256=digest)
        except NotFoundError:  # the API gives no new address
            status, _ = await self._status(media_id)
            return "gone" if status == "pending" else status
        except (TransportError, ServerError):
            status, _ = await self._status(media_id)
            if status not in ARRIVED:  # else only the answer was lost
                raise
        return "processing"

    async def _ready(self, medium: Medium, status: str, said: str) -> tuple[str, str]:
        """A medium's status once it has ended, and what the API says of it; after ten minutes it is left, and a later call goes on."""
        began, look = self._now, 0
        while status not in GONE and status != "ready" and self._now - began <= STUCK_AFTER.total_seconds():
            # Many that wait are read less often, a tenth of a second for each.
            await self._client._clock.sleep(max(min(LONGEST_LOOK, FIRST_LOOK * 1.5**look), self._count / 10))
            look += 1
            status, said = await self._status(medium.media_id)
        return status, said

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
            said = read_error(record.get("validationResults"))
            return polled_status("media", record), said.message or said.code
        return "gone", ""

    async def _keep(self, medium: Medium) -> None:
        await self._commit(lambda: self._receipts.keep(medium))

    @property
    def _now(self) -> float:
        return self._client.now().timestamp()

    def _progress(self) -> None:
        sent, size = sum(self._sent.values()) / 1e6, self._bytes / 1e6
        loads.current().reach(self._ended, self._count, f"media, {sent:,.1f} of {size:,.1f} MB")


def _named(answer: Answer) -> str:
    """The id of the medium that the API has created."""
    named = answer.record.get("mediaId") or answer.record.get("id")
    return str(named) if named else answer.refuse("answered without the id of the media file")


def _cells(row: Mapping[str, Any], fault: Reason | None, outcomes: Mapping[str, Outcome]) -> tuple[str | None, ...]:
    """The cells of a row in the columns of uploads."""
    sources, ids = [], []
    for part in row["media"]:
        one = row["found"].get(part, part)
        source = one.source if isinstance(one, MediaFile) else one
        outcome = outcomes.get(source) if isinstance(source, str) else None
        fault = fault or (outcome.why if outcome else None)
        sources.append(source)
        ids.append(row["uploaded"].get(source, source) if outcome is None else outcome.media_id or "")
    if fault is not None:
        return None, None, None, fault.sentence()
    if not ids:
        return None, None, None, None
    return ";".join(ids), ";".join(one.removeprefix("sha256:") for one in sources), ";".join(row["media"]), None
