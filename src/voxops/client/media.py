"""Media of the workspace (rows 25-27 and 30-32 of the matrix); `uploads` sends files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from voxops.api import limits
from voxops.api.assumptions import BULK_VALIDATE_LIST, DRIVE_FILE
from voxops.client import _checks as checks
from voxops.client._caller import Caller, path, present, send_many
from voxops.client._handles import Handle
from voxops.client._pages import Page
from voxops.client._reply import Reply, single, with_items

__all__ = ["Media"]


class Media:
    """Images, videos, documents and captions; posts refer to them by id once their status is ``ready``."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, status: str | None = None, page_size: int = limits.PAGE_RECORDS) -> AsyncIterator[Page]:
        """Read media page by page, of one status (``pending processing ready failed``) or all."""
        return self._caller.pages("/v1/media", present(status=status, limit=page_size))

    async def get(self, media_id: str) -> dict[str, Any]:
        """Read one media file; its status may come in either case."""
        return single(await self._caller.request("GET", path("media", media_id)))

    async def delete(self, media_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Delete a media file (row 25); ``{}`` if the answer has no body."""
        where = path("media", media_id)
        return single(await self._caller.request("DELETE", where, idempotency_key=idempotency_key))

    async def register(
        self, url: str, content_type: str, *, filename: str | None = None, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Register a file on the web as a media file (row 27); the answer's id is ``id``, not ``mediaId``."""
        checks.check_https("url", url)
        body = present(url=url, contentType=content_type, filename=filename)
        return single(await self._post("/v1/media/register", body, idempotency_key))

    async def validate(self, media_id: str, *, idempotency_key: str | None = None) -> Handle:
        """Let the API validate a media file again (row 26, asynchronous)."""
        reply = await self._post(path("media", media_id, "validate"), None, idempotency_key)
        return Handle(media_id, "media", single(reply), accepted_at=reply.date, caller=self._caller)

    async def bulk_validate(
        self, media_ids: Sequence[str], *, idempotency_key: str | None = None
    ) -> tuple[Handle, ...]:
        """Let the API validate many media files again (row 30, asynchronous).

        Returns
        -------
        tuple of Handle
            One per id, in their order; ``accepted`` is the item's result, ``{}`` if it has none. An item of status ``failed`` was
            not queued.
        """
        checks.check_count(BULK_VALIDATE_LIST, media_ids, limits.MANY_MEDIA)
        for media_id in media_ids:
            checks.check_id(BULK_VALIDATE_LIST, media_id)
        body = {BULK_VALIDATE_LIST: [*media_ids]}
        reply = await send_many(self._caller, "/v1/media/bulk-validate", body, idempotency_key)
        answers = {str(item.get("mediaId")): item for item in with_items(reply)["results"] if isinstance(item, dict)}
        return tuple(
            Handle(media_id, "media", answers.get(media_id, {}), accepted_at=reply.date, caller=self._caller)
            for media_id in media_ids
        )

    async def import_from_url(
        self,
        url: str,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> Handle:
        """Let the API import a file from the web (row 31, asynchronous); ``metadata.importStatus`` shows its status."""
        checks.check_https("url", url)
        body = present(url=url, filename=filename, contentType=content_type)
        return self._imported(await self._post("/v1/media/import-from-url", body, idempotency_key))

    async def import_from_drive(
        self, file_id: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Handle:
        """Let the API import a file from a connected drive (row 32, asynchronous); more fields pass through."""
        fields = {**(body or {}), DRIVE_FILE: checks.check_id(DRIVE_FILE, file_id)}
        return self._imported(await self._post("/v1/media/import-from-drive", fields, idempotency_key))

    async def _post(self, where: str, body: Mapping[str, Any] | None, key: str | None) -> Reply:
        return await self._caller.request("POST", where, json=body, idempotency_key=key)

    def _imported(self, reply: Reply) -> Handle:
        """Return the handle of an import; its id is in the answer."""
        answer = single(reply)
        media_id = str(answer.get("id") or answer.get("mediaId") or "")
        return Handle(media_id, "media", answer, accepted_at=reply.date, caller=self._caller)
