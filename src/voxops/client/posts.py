"""Posts: list, read, make, change, check (rows 1-3, 7, 8, 11-13 of the matrix) and, inherited, acting on them."""

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

    Every method sends at once and resends only as its row of the matrix allows, under one key. That nothing is done twice
    *across calls, kernels and crashes* is promised for plans alone (``ws.run(plan)``); here it holds as far as the caller passes
    the same `idempotency_key` for the same request.
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
            One status (``all`` for every one), one platform, one account id. Not every server knows each filter.
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

        The never-twice promise covers plans; see the class.
        """
        body = _fields("fields", fields).new()
        return single(await self._caller.request("POST", "/v1/posts", json=body, idempotency_key=idempotency_key))

    async def update(
        self, post_id: str, fields: PostFields, *, version: str | None = None, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Change a draft or scheduled post (row 2) and return it.

        Parameters
        ----------
        post_id : str
            Which post.
        fields : PostFields
            What changes; None clears a field.
        version : str, optional
            The post's ``updatedAt`` as it was read; a ConflictError then says that somebody changed it meanwhile.
        idempotency_key : str, optional
            The same for the same request. The never-twice promise covers plans; see the class.
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
        """Delete a draft or scheduled post (row 3); ``{}`` where the API says nothing.

        The never-twice promise covers plans; see the class.
        """
        return single(await self._caller.request("DELETE", path("posts", post_id), idempotency_key=idempotency_key))

    async def clone(self, post_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Copy a post into a new draft (row 7) and return it. The never-twice promise covers plans; see the class."""
        return await self._act("POST", path("posts", post_id, "clone"), None, idempotency_key)

    async def duplicate(
        self, post_id: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Duplicate a post (row 8); the body passes through, its fields are not documented.

        The never-twice promise covers plans; see the class.
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
            Only check them.
        idempotency_key : str, optional
            The same for the same request. The never-twice promise covers plans; see the class.

        Returns
        -------
        dict
            ``results`` holds one entry per item, found by its ``index``; read each, whatever the status of the whole was.

        Raises
        ------
        ApiError
            If the whole was refused, so that there are no items to read.
        """
        checks.check_count("posts", posts, limits.BULK_POSTS)
        items = [_fields(f"posts[{at}]", post).item(at, dry_run=dry_run) for at, post in enumerate(posts)]
        body = {"posts": items, "dryRun": dry_run}
        return with_items(await send_many(self._caller, "/v1/posts/bulk", body, idempotency_key))

    async def bulk_video(
        self, videos: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Create up to 20 video posts in one request (row 12); results are read as those of `bulk`.

        Items pass through; only their ``content`` and ``scheduledFor`` are looked at, which are those of a post.
        The never-twice promise covers plans; see the class.
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
        """Ask what each platform would say of a post; changes nothing (row 13).

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
            ``valid``, and per platform ``valid``, ``errors`` and ``warnings``; platforms may come in either case, or in both.
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
    """The fields of a post, as the class that checks them."""
    if not isinstance(fields, PostFields):
        checks.refuse(name, f"takes vx.PostFields(content=..., account_ids=[...]), not {type(fields).__name__}")
    return fields


def _video(field: str, video: Mapping[str, Any]) -> dict[str, Any]:
    """One item of a bulk request for videos."""
    item = dict(video)
    if item.get("content") is not None:
        checks.check_length(f"{field}.content", item["content"])
    if item.get("scheduledFor") is not None:
        item["scheduledFor"] = checks.instant(f"{field}.scheduledFor", item["scheduledFor"])
    return item
