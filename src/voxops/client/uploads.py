"""Files from this machine to the API's storage (rows 24, 28, 29 and 33 of the matrix).

Bytes are read from disk piece by piece and go to the storage host alone, without API key and cookies.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxops._support.eventloop import all_or_none
from voxops.api import limits
from voxops.api.assumptions import BULK_PRESIGN_LIST, BULK_VIDEO_LIST, polled_status
from voxops.client import _checks as checks
from voxops.client._caller import Caller, path, send_many
from voxops.client._receipt import Receipt
from voxops.client._reply import single, with_items
from voxops.client._upload import Presigned, Progress, Storage, Uploaded, presigned, source_of, upload
from voxops.errors import ApiError, AuthError, DecodeError, TransportError, WaitTooLong

__all__ = ["Presigned", "Progress", "Uploaded", "Uploads"]

PARALLEL = 3  # files under way at once

Notice = Callable[[Progress], None]


class Uploads:
    """Uploads of files from this machine."""

    def __init__(self, caller: Caller, storage: Storage) -> None:
        self._caller = caller
        self._storage = storage

    async def send(
        self,
        file: str | os.PathLike[str],
        *,
        content_type: str | None = None,
        progress: Notice | None = None,
    ) -> Uploaded:
        """Upload one file; the media file is then processed, and may be attached once it is ``ready``.

        Parameters
        ----------
        file : path
            Read piece by piece, whatever its size.
        content_type : str, optional
            Follows from the file's name by default.
        progress : callable, optional
            Called with a `Progress` after each piece, on the client's loop, which for ``ws.client`` is in another thread; must
            return at once.

        Returns
        -------
        Uploaded

        Raises
        ------
        ValidationError
            With status 0, if the file can't be read, or the API takes no such type or size.
        ApiError, TransportError
            If the API or its storage refused, or could not be reached.
        """
        source = await asyncio.to_thread(source_of, _path(file), content_type)
        receipt = Receipt(None, self._storage.url)
        return await self._storage.loop.run(upload(self, self._storage, source, receipt, progress or _ignore))

    async def send_all(
        self,
        files: Sequence[str | os.PathLike[str]],
        *,
        receipt: str | os.PathLike[str] | None = None,
        progress: Notice | None = None,
    ) -> list[Uploaded]:
        """Upload many files, three at once; one that fails does not stop the others.

        Parameters
        ----------
        files : sequence of path
            The files.
        receipt : path, optional
            A small file that remembers which file became which media file. Called again with it, in any process, finished files are
            not uploaded again, and a broken one goes on under its media file.
        progress : callable, optional
            As for `send`.

        Returns
        -------
        list of Uploaded
            One per file, in their order.

        Raises
        ------
        AuthError, WaitTooLong
            These would stop every file, so they end the batch.
        ConfigError
            If the receipt can't be read or written, is none, or is one of another API.
        """
        if isinstance(files, str | bytes | os.PathLike):
            checks.refuse("files", f"takes a list of paths, not {type(files).__name__}")
        paths = [_path(file) for file in files]
        kept = await asyncio.to_thread(Receipt, None if receipt is None else Path(receipt), self._storage.url)
        return await self._storage.loop.run(self._send_all(paths, kept, progress or _ignore))

    async def _send_all(self, paths: Sequence[Path], kept: Receipt, notice: Notice) -> list[Uploaded]:
        """Upload many files, on the client's own loop."""
        room = asyncio.Semaphore(PARALLEL)

        async def one(file: Path) -> Uploaded:
            async with room:
                try:
                    source = await asyncio.to_thread(source_of, file, None)
                    return await upload(self, self._storage, source, kept, notice)
                except (AuthError, WaitTooLong):
                    raise
                except (ApiError, TransportError, DecodeError) as error:
                    return Uploaded(file, None, error=error)

        files = list(dict.fromkeys(paths))
        uploaded = dict(zip(files, await all_or_none(one(file) for file in files), strict=True))
        return [uploaded[file] for file in paths]

    async def presign(
        self, filename: str, content_type: str, size: int, *, idempotency_key: str | None = None
    ) -> Presigned:
        """Ask where to put the bytes of a new media file (row 24); the address lives 15 minutes."""
        checks.check_file(filename, content_type, size)
        body = {"filename": filename, "contentType": content_type, "sizeBytes": size}
        reply = await self._caller.request("POST", "/v1/media/upload", json=body, idempotency_key=idempotency_key)
        return presigned(reply, None)

    async def renew(self, media_id: str) -> Presigned:
        """Ask for a new address for a media file whose bytes have not come; no row governs this call, so it is sent once."""
        return presigned(await self._caller.raw("POST", path("media", media_id, "refresh-presign")), media_id)

    async def status(self, media_id: str) -> str:
        """Return a media file's status in lower case: ``pending`` as long as its bytes have not come."""
        return polled_status("media", single(await self._caller.request("GET", path("media", media_id))))

    async def bulk_presign(
        self, files: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Ask for addresses of many media at once (row 28); items are ``{filename, contentType, sizeBytes}``.

        Returns
        -------
        dict
            ``results`` holds one entry per file, found by its ``index``; read each.
        """
        checks.check_items(BULK_PRESIGN_LIST, files, limits.MANY_MEDIA)
        for item in files:
            checks.check_file(item.get("filename"), item.get("contentType"), item.get("sizeBytes"))
        body = {BULK_PRESIGN_LIST: [*map(dict, files)]}
        return with_items(await send_many(self._caller, "/v1/media/bulk-presign", body, idempotency_key))

    async def bulk_video_urls(
        self, videos: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Ask for addresses of up to 20 videos of together 20 GB (row 29); otherwise as `bulk_presign`."""
        checks.check_items(BULK_VIDEO_LIST, videos, limits.BULK_VIDEOS)
        for item in videos:
            checks.check_file(
                item.get("filename"),
                item.get("contentType"),
                item.get("sizeBytes"),
                most=limits.BULK_VIDEO_BYTES,
                kind="video/",
            )
        total = sum(item["sizeBytes"] for item in videos)
        if total > limits.BULK_VIDEO_BYTES:
            checks.refuse(BULK_VIDEO_LIST, f"{total:,} bytes in all, {limits.BULK_VIDEO_BYTES:,} allowed")
        body = {BULK_VIDEO_LIST: [*map(dict, videos)]}
        return with_items(await send_many(self._caller, "/v1/media/bulk-video-upload-urls", body, idempotency_key))


def _path(file: Any) -> Path:
    """A path, checked before anything is read."""
    if not isinstance(file, str | os.PathLike):
        checks.refuse("file", f"takes a path, not {type(file).__name__}")
    return Path(file)


def _ignore(progress: Progress) -> None:
    """The progress of an upload that nobody follows."""
