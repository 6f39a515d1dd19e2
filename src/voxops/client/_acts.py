"""Acting on posts: publish, retry, fix, cancel, unpublish, repeat (rows 4-6, 9, 10, 14-16 of the matrix)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxops.client import _checks as checks
from voxops.client._caller import Caller, path, present
from voxops.client._handles import Handle, before_act
from voxops.client._reply import single

__all__ = ["PostActs"]


class PostActs:
    """Acts on one post. Only a plan (``ws.run``) prevents duplicates across calls and crashes; these calls alone do not."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def publish(self, post_id: str, *, idempotency_key: str | None = None) -> Handle:
        """Queue a post for publication (row 4). Only ``ws.run`` prevents duplicates; see the class."""
        return await self._queue(post_id, path("posts", post_id, "publish"), None, idempotency_key, None)

    async def retry(self, post_id: str, *, idempotency_key: str | None = None) -> Handle:
        """Queue every failed, pending and stuck target of a post again (row 5).

        ``accepted`` lists ``retriedPlatforms`` and ``skippedPlatforms``. The post is read first: only a change tells a new failure
        from the old one. Only ``ws.run`` prevents duplicates; see the class.
        """
        before = await before_act(self._read(post_id))
        return await self._queue(post_id, path("posts", post_id, "retry"), None, idempotency_key, before)

    async def _read(self, post_id: str) -> dict[str, Any]:
        return single(await self._caller.request("GET", path("posts", post_id)))

    async def _queue(
        self,
        post_id: str,
        where: str,
        body: Mapping[str, Any] | None,
        idempotency_key: str | None,
        before: Mapping[str, Any] | None,
    ) -> Handle:
        """An act whose 2xx only means "queued"."""
        reply = await self._caller.request("POST", where, json=body, idempotency_key=idempotency_key)
        return Handle(post_id, "post", single(reply), accepted_at=reply.date, before=before, caller=self._caller)

    async def fix(
        self,
        post_id: str,
        target_id: str,
        *,
        content: str | None = None,
        media_url: str | None = None,
        refresh_media: bool = False,
        idempotency_key: str | None = None,
    ) -> Handle:
        """Fix one target of a post and queue it again (row 10); without changes it is only queued again. The post is read first.

        Parameters
        ----------
        post_id, target_id : str
            The post, and the target's ``postPlatformId``, which only a single post shows.
        content : str, optional
            New text on that platform only.
        media_url : str, optional
            https address of the new media.
        refresh_media : bool
            Re-encode the first image as JPEG; not together with `media_url`.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates; see the class.
        """
        if content is not None:
            checks.check_content("content", content)
        if media_url is not None:
            checks.check_https("mediaUrl", media_url)
            if refresh_media:
                checks.refuse("refreshMedia", "can't be used with mediaUrl")
        body = present(content=content, mediaUrl=media_url, refreshMedia=refresh_media or None)
        where = path("posts", post_id, "platforms", target_id, "fix")
        return await self._queue(post_id, where, body, idempotency_key, await before_act(self._read(post_id)))

    async def cancel(self, post_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Cancel a draft or scheduled post (row 6) and return it. Only ``ws.run`` prevents duplicates; see the class."""
        return await self._act("POST", path("posts", post_id, "cancel"), None, idempotency_key)

    async def unpublish(
        self, post_id: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Unpublish a post (row 9); the body passes through. Only ``ws.run`` prevents duplicates; see the class."""
        return await self._act("POST", path("posts", post_id, "unpublish"), body, idempotency_key)

    async def set_recurrence(
        self, post_id: str, rule: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Set a post's recurrence (row 14); the rule passes through. Only ``ws.run`` prevents duplicates; see the class."""
        return await self._act("POST", path("posts", post_id, "recurrence"), rule, idempotency_key)

    async def update_recurrence(
        self, post_id: str, changes: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Change a post's recurrence (row 15); changes pass through. Only ``ws.run`` prevents duplicates; see the class."""
        return await self._act("PATCH", path("posts", post_id, "recurrence"), changes, idempotency_key)

    async def delete_recurrence(self, post_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Delete a post's recurrence (row 16). Only ``ws.run`` prevents duplicates; see the class."""
        return await self._act("DELETE", path("posts", post_id, "recurrence"), None, idempotency_key)

    async def _act(
        self, method: str, where: str, body: Mapping[str, Any] | None, idempotency_key: str | None
    ) -> dict[str, Any]:
        """An act whose 2xx is its outcome."""
        return single(await self._caller.request(method, where, json=body, idempotency_key=idempotency_key))
