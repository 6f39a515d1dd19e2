"""Posts: list, read, create, update, validate (rows 1-3, 7, 8, 11-13 of the matrix), and the acts of `PostActs`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from voxops.api import limits
from voxops.client import _checks as checks
from voxops.client._acts import PostActs
from voxops.client._caller import path, present, send_many
from voxops.client._fields import PostFields
from voxops.client._pages import Page
from voxops.client._reply import single, with_items

__all__ = ["Posts"]


class Posts(PostActs):
    """Posts of the workspace.

    Every method sends at once, and sends again only as its row of the matrix allows, under the same key. Only a plan
    (``ws.run(plan)``) prevents duplicates *across calls, kernels and crashes*; here the caller must pass the same `idempotency_key`
    for the same request.
    """

    def list(
        self,
        *,
        status: str | None = None,
        platform: str | None = None,
        account: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        page_size: int = limits.PAGE_RECORDS,
    ) -> AsyncIterator[Page]:
        """Read posts page by page, newest created first.

        Parameters
        ----------
        status, platform, account : str, optional
            One status (or ``all``), one platform, one account id. Not every server supports each filter.
        since, until : datetime or ISO text, optional
            With an offset.
        page_size : int
            Posts per page, 1 to 100.

        Returns
        -------
        async iterator of Page

        Raises
        ------
        ApiError, TransportError, DecodeError
            While it is read.
        """
        query = present(status=status, platform=platform, accountId=account, limit=page_size)
        if since is not None:
            query["from"] = checks.instant("since", since)
        if until is not None:
            query["to"] = checks.instant("until", until)
        return self._caller.pages("/v1/posts", query)

    async def get(self, post_id: str) -> dict[str, Any]:
        """Read one post."""
        return single(await self._caller.request("GET", path("posts", post_id)))

    async def create(self, fields: PostFields, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Create a post (row 1) and return it; without `scheduled_for` or `queue` it is a draft.

        Only ``ws.run`` prevents duplicates; see the class.
        """
        body = _fields("fields", fields).new()
        return single(await self._caller.request("POST", "/v1/posts", json=body, idempotency_key=idempotency_key))

    async def update(
        self, post_id: str, fields: PostFields, *, version: str | None = None, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Update a draft or scheduled post (row 2) and return it.

        Parameters
        ----------
        post_id : str
            Id of the post.
        fields : PostFields
            The fields to change; None clears a field.
        version : str, optional
            The post's ``updatedAt`` as last read; a ConflictError then means that the post changed after that.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates; see the class.
        """
        body = _fields("fields", fields).changes()
        if not body:
            checks.refuse("fields", "nothing to change")
        return single(
            await self._caller.request(
                "PATCH", path("posts", post_id), json=body, version=version, idempotency_key=idempotency_key
            )
        )

    async def delete(self, post_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Delete a draft or scheduled post (row 3); ``{}`` if the answer has no body.

        Only ``ws.run`` prevents duplicates; see the class.
        """
        return single(await self._caller.request("DELETE", path("posts", post_id), idempotency_key=idempotency_key))

    async def clone(self, post_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Clone a post into a new draft (row 7) and return it. Only ``ws.run`` prevents duplicates; see the class."""
        return await self._act("POST", path("posts", post_id, "clone"), None, idempotency_key)

    async def duplicate(
        self, post_id: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Duplicate a post (row 8); the body passes through, its fields are not documented.

        Only ``ws.run`` prevents duplicates; see the class.
        """
        return await self._act("POST", path("posts", post_id, "duplicate"), body, idempotency_key)

    async def bulk(
        self, posts: Sequence[PostFields], *, dry_run: bool = False, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Create up to 50 posts in one request (row 11).

        Parameters
        ----------
        posts : sequence of PostFields
            1 to 50; each needs a time, unless it is a dry run.
        dry_run : bool
            Only validate them.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates; see the class.

        Returns
        -------
        dict
            ``results`` has one entry per item, identified by its ``index``; read each, whatever the HTTP status was.

        Raises
        ------
        ApiError
            If the whole request was refused, so that there are no results.
        """
        checks.check_count("posts", posts, limits.BULK_POSTS)
        items = [_fields(f"posts[{at}]", post).item(at, dry_run=dry_run) for at, post in enumerate(posts)]
        body = {"posts": items, "dryRun": dry_run}
        return with_items(await send_many(self._caller, "/v1/posts/bulk", body, idempotency_key))

    async def bulk_video(
        self, videos: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Create up to 20 video posts in one request (row 12); results are those of `bulk`.

        Items pass through; only their ``content`` and ``scheduledFor`` are checked.
        Only ``ws.run`` prevents duplicates; see the class.
        """
        checks.check_items("videos", videos, limits.BULK_VIDEOS)
        body = {"videos": [_video(f"videos[{number}]", video) for number, video in enumerate(videos)]}
        return with_items(await send_many(self._caller, "/v1/posts/bulk-video", body, idempotency_key))

    async def validate(
        self,
        *,
        content: str,
        platforms: Sequence[str],
        media_ids: Sequence[str] | None = None,
        media: Sequence[Mapping[str, Any]] | None = None,
        first_comment: str | None = None,
        platform_metadata: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Validate a post for each platform, without creating it (row 13).

        Parameters
        ----------
        content : str
            Its text.
        platforms : sequence of str
            In any case.
        media_ids, media : sequence, optional
            Media by id, or as ``{type, url?, mimeType?, sizeBytes?, durationMs?}``.
        first_comment : str, optional
            Its first comment.
        platform_metadata : mapping, optional
            As for `create`.

        Returns
        -------
        dict
            ``valid``, and per platform ``valid``, ``errors`` and ``warnings``; platforms may be in upper or lower case, or both.
        """
        checks.check_count("platforms", platforms, limits.VALIDATED_PLATFORMS)
        if media:
            checks.check_items("media", media, limits.VALIDATED_MEDIA)
        body = present(
            content=content,
            platforms=[platform.upper() for platform in checks.texts("platforms", platforms)],
            mediaIds=media_ids and checks.texts("mediaIds", media_ids),
            media=media and [dict(one) for one in media],
            firstComment=first_comment,
            platformMetadata=platform_metadata,
        )
        return single(await self._caller.request("POST", "/v1/posts/validate", json=body))


def _fields(name: str, fields: PostFields) -> PostFields:
    """Require `PostFields`, which checks itself."""
    if not isinstance(fields, PostFields):
        checks.refuse(name, f"takes vx.PostFields(content=..., account_ids=[...]), not {type(fields).__name__}")
    return fields


def _video(field: str, video: Mapping[str, Any]) -> dict[str, Any]:
    """Return one checked item of `bulk_video`."""
    item = dict(video)
    if item.get("content") is not None:
        checks.check_length(f"{field}.content", item["content"])
    if item.get("scheduledFor") is not None:
        item["scheduledFor"] = checks.instant(f"{field}.scheduledFor", item["scheduledFor"])
    return item
