"""Uploads of local files to the API's storage (row 33 of the matrix).

Bytes are read from disk piece by piece and sent to the storage host only, without API key and cookies.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from voxops._support.eventloop import all_or_none
from voxops.api.assumptions import polled_status
from voxops.api.fields import ident, refuse
from voxops.client._methods import Group
from voxops.client._reply import single
from voxops.client._upload import Presigned, Progress, Uploaded, presigned, source_of, upload
from voxops.errors import ApiError, AuthError, DecodeError, TransportError, WaitTooLong

PARALLEL = 3  # files uploaded at once

Notice = Callable[[Progress], None]


class FileUploads(Group):
    """The methods of ``client.uploads`` that send files; the others are rows of `voxops.api.endpoints`."""

    presign: Callable[..., Awaitable[Presigned]]  # the row of the table

    async def send(
        self,
        file: str | os.PathLike[str],
        *,
        content_type: str | None = None,
        progress: Notice | None = None,
        place: Presigned | None = None,
        sha256: str | None = None,
    ) -> Uploaded:
        """Upload one file; posts can use the media file once the API has processed it and its status is ``ready``.

        Parameters
        ----------
        file : path
            A file of any size; it is read piece by piece.
        content_type : str, optional
            Derived from the file's name by default.
        progress : callable, optional
            Called with a `Progress` after each piece, on the client's loop (in another thread for ``ws.client``); it must return at
            once.
        place : Presigned, optional
            Where to, from `presign` or `renew`; by default a new media file is requested.
        sha256 : str, optional
            The hash of the file's bytes in hexadecimal digits; another file is not uploaded.

        Returns
        -------
        Uploaded

        Raises
        ------
        ValidationError
            With status 0, if the file can't be read or has changed, or the API does not accept its type or size.
        ApiError, TransportError
            If the API or its storage refused the file, or could not be reached.
        """
        source = replace(await asyncio.to_thread(source_of, _path(file), content_type), sha256=sha256)
        work = upload(self, self._caller.storage, source, progress or _ignore, place)
        return await self._caller.storage.loop.run(work)

    async def send_all(
        self, files: Sequence[str | os.PathLike[str]], *, progress: Notice | None = None
    ) -> list[Uploaded]:
        """Upload many files, three at once; a failed one does not stop the others. ``ws.upload`` also resumes.

        Parameters
        ----------
        files : sequence of path
            The files.
        progress : callable, optional
            As for `send`.

        Returns
        -------
        list of Uploaded
            One per file, in their order.

        Raises
        ------
        AuthError, WaitTooLong
            These would fail for every file, so they end the batch.
        """
        if isinstance(files, str | bytes | os.PathLike):
            refuse("files", f"takes a list of paths, not {type(files).__name__}")
        paths = [_path(file) for file in files]
        return await self._caller.storage.loop.run(self._send_all(paths, progress or _ignore))

    async def _send_all(self, paths: Sequence[Path], notice: Notice) -> list[Uploaded]:
        room = asyncio.Semaphore(PARALLEL)

        async def one(file: Path) -> Uploaded:
            async with room:
                try:
                    source = await asyncio.to_thread(source_of, file, None)
                    return await upload(self, self._caller.storage, source, notice)
                except (AuthError, WaitTooLong):
                    raise
                except (ApiError, TransportError, DecodeError) as error:
                    return Uploaded(file, None, error=error)

        files = list(dict.fromkeys(paths))
        uploaded = dict(zip(files, await all_or_none(one(file) for file in files), strict=True))
        return [uploaded[file] for file in paths]

    async def renew(self, media_id: str) -> Presigned:
        """Request a new address for a media file whose bytes have not arrived; sent once, since no row governs it."""
        return presigned(await self._caller.raw("POST", f"{_media(media_id)}/refresh-presign"), media_id)

    async def status(self, media_id: str) -> str:
        """Return a media file's status in lower case: ``pending`` until its bytes have arrived."""
        return polled_status("media", single(await self._caller.request("GET", _media(media_id))))


def _media(media_id: str) -> str:
    return f"/v1/media/{quote(ident('id', media_id), safe='')}"


def _path(file: Any) -> Path:
    if not isinstance(file, str | os.PathLike):
        refuse("file", f"takes a path, not {type(file).__name__}")
    return Path(file)


def _ignore(progress: Progress) -> None:
    """Ignore the progress of an upload."""
