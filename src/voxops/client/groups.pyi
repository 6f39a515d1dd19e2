"""Generated from `voxops.api.endpoints` by ``python -m tests.client_stub``; edit the table instead."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from voxops.api.fields import PostFields
from voxops.api.records import (
    Account,
    BulkAddresses,
    BulkResult,
    Connected,
    Consent,
    Deleted,
    Delivery,
    MediaFile,
    NewSecret,
    Post,
    Success,
    Validation,
    Webhook,
)
from voxops.client._handles import Handle
from voxops.client._methods import Group
from voxops.client._pages import Listing
from voxops.client._upload import Presigned
from voxops.client.uploads import FileUploads

GROUPS: Mapping[str, type[Group]]

class Posts(Group):
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
        page_size: int = 100,
    ) -> Listing[Post]:
        """Read posts, newest created first.

        ``GET /v1/posts``: a read; it may be sent again.

        Parameters
        ----------
        status : str, optional
            One status, or ``all``; not every server supports each filter.
        platform : str, optional
            One platform.
        account : str, optional
            One account id.
        since : datetime | str, optional
            First instant; ISO text needs an offset.
        until : datetime | str, optional
            Last instant; ISO text needs an offset.
        page_size : int, optional
            Records per page, 1 to 100.

        Returns
        -------
        Listing[Post]
            ``async for`` yields its records, `pages` its pages; requests are sent then.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def get(self, post_id: str) -> Post:
        """Read one post.

        ``GET /v1/posts/:id``: a read; it may be sent again.

        Parameters
        ----------
        post_id : str
            Id of the post.

        Returns
        -------
        Post

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def create(self, fields: PostFields, *, idempotency_key: str | None = None) -> Post:
        """Create a post; without `scheduled_for` or `queue` it is a draft.

        ``POST /v1/posts``: row 1 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        fields : PostFields
            The post; it needs a content and accounts.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Post

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def update(
        self,
        post_id: str,
        fields: PostFields,
        *,
        version: str | None = None,
        idempotency_key: str | None = None,
    ) -> Post:
        """Update a draft or scheduled post.

        ``PATCH /v1/posts/:id``: row 2 of the matrix; it may be sent again.

        Parameters
        ----------
        post_id : str
            Id of the post.
        fields : PostFields
            The fields to change; None clears a field.
        version : str, optional
            The post's ``updatedAt`` as last read; a ConflictError then means that it changed after that.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Post

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def delete(self, post_id: str, *, idempotency_key: str | None = None) -> Deleted:
        """Delete a draft or scheduled post.

        ``DELETE /v1/posts/:id``: row 3 of the matrix; it may be sent again.

        Parameters
        ----------
        post_id : str
            Id of the post.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Deleted
            ``{}`` if the answer has no body.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def publish(self, post_id: str, *, idempotency_key: str | None = None) -> Handle:
        """Queue a post for publication.

        ``POST /v1/posts/:id/publish``: row 4 of the matrix; it may be sent again under the same key only; a 2xx only means that it is
        queued.

        Parameters
        ----------
        post_id : str
            Id of the post.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Handle
            ``await`` it for the outcome.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def retry(self, post_id: str, *, idempotency_key: str | None = None) -> Handle:
        """Queue every failed, pending and stuck target of a post again.

        ``POST /v1/posts/:id/retry``: row 5 of the matrix; it may be sent again under the same key only; a 2xx only means that it is
        queued. The subject is read first: only a change shows that it was tried again.

        Parameters
        ----------
        post_id : str
            Id of the post.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Handle
            ``await`` it for the outcome. ``accepted`` lists ``retriedPlatforms`` and ``skippedPlatforms``.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def cancel(self, post_id: str, *, idempotency_key: str | None = None) -> Post:
        """Cancel a draft or scheduled post.

        ``POST /v1/posts/:id/cancel``: row 6 of the matrix; it may be sent again.

        Parameters
        ----------
        post_id : str
            Id of the post.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Post

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def clone(self, post_id: str, *, idempotency_key: str | None = None) -> Post:
        """Clone a post into a new draft.

        ``POST /v1/posts/:id/clone``: row 7 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        post_id : str
            Id of the post.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Post

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def duplicate(
        self,
        post_id: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Post:
        """Duplicate a post; its fields are not documented.

        ``POST /v1/posts/:id/duplicate``: row 8 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        post_id : str
            Id of the post.
        body : Mapping[str, Any], optional
            More fields; they pass through.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Post

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def unpublish(
        self,
        post_id: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Post:
        """Unpublish a post.

        ``POST /v1/posts/:id/unpublish``: row 9 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        post_id : str
            Id of the post.
        body : Mapping[str, Any], optional
            More fields; they pass through.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Post

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

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
        """Fix one target of a post and queue it again; without changes it is only queued again.

        ``POST /v1/posts/:id/platforms/:id/fix``: row 10 of the matrix; it may be sent again under the same key only; a 2xx only means
        that it is queued. The subject is read first: only a change shows that it was tried again.

        Parameters
        ----------
        post_id : str
            Id of the post.
        target_id : str
            The target's ``postPlatformId``, which only a single post shows.
        content : str, optional
            New text on that platform only.
        media_url : str, optional
            https address of the new media.
        refresh_media : bool, optional
            Re-encode the first image as JPEG; not together with `media_url`.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Handle
            ``await`` it for the outcome.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def bulk(
        self,
        posts: Sequence[PostFields],
        *,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> BulkResult:
        """Create up to 50 posts in one request.

        ``POST /v1/posts/bulk``: row 11 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        posts : Sequence[PostFields]
            1 to 50; each needs a time, unless it is a dry run.
        dry_run : bool, optional
            Only validate them.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        BulkResult
            ``results`` has one entry per item, identified by its ``index``; read each, whatever the HTTP status was.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def bulk_video(
        self,
        videos: Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> BulkResult:
        """Create up to 20 video posts in one request.

        ``POST /v1/posts/bulk-video``: row 12 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        videos : Sequence[Mapping[str, Any]]
            Items pass through; only ``content`` and ``scheduledFor`` are checked.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        BulkResult
            ``results`` has one entry per item, identified by its ``index``; read each, whatever the HTTP status was.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def validate(
        self,
        *,
        content: str,
        platforms: Sequence[str],
        media_ids: Sequence[str] | None = None,
        media: Sequence[Mapping[str, Any]] | None = None,
        first_comment: str | None = None,
        platform_metadata: Mapping[str, Any] | None = None,
    ) -> Validation:
        """Validate a post for each platform, without creating it.

        ``POST /v1/posts/validate``: row 13 of the matrix; it may be sent again.

        Parameters
        ----------
        content : str
            Its text.
        platforms : Sequence[str]
            In any case.
        media_ids : Sequence[str], optional
            Its media, by id.
        media : Sequence[Mapping[str, Any]], optional
            Its media, as ``{type, url?, mimeType?, sizeBytes?, durationMs?}``.
        first_comment : str, optional
            Its first comment.
        platform_metadata : Mapping[str, Any], optional
            As in `PostFields`.

        Returns
        -------
        Validation

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def set_recurrence(
        self,
        post_id: str,
        rule: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> Post:
        """Set a post's recurrence.

        ``POST /v1/posts/:id/recurrence``: row 14 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        post_id : str
            Id of the post.
        rule : Mapping[str, Any]
            The rule; it passes through.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Post

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def update_recurrence(
        self,
        post_id: str,
        changes: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> Post:
        """Change a post's recurrence.

        ``PATCH /v1/posts/:id/recurrence``: row 15 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        post_id : str
            Id of the post.
        changes : Mapping[str, Any]
            The changes; they pass through.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Post

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def delete_recurrence(self, post_id: str, *, idempotency_key: str | None = None) -> Deleted:
        """Delete a post's recurrence.

        ``DELETE /v1/posts/:id/recurrence``: row 16 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        post_id : str
            Id of the post.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Deleted

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

class Accounts(Group):
    """Social accounts that the workspace may post to."""

    def list(
        self,
        *,
        status: str | None = None,
        platform: str | None = None,
        include_archived: bool = False,
        page_size: int = 100,
    ) -> Listing[Account]:
        """Read accounts.

        ``GET /v1/accounts``: a read; it may be sent again.

        Parameters
        ----------
        status : str, optional
            ``active inactive error disconnected all``; by default the API omits disconnected ones.
        platform : str, optional
            One platform.
        include_archived : bool, optional
            Include archived ones; the API ignores it if `status` is given.
        page_size : int, optional
            Records per page, 1 to 100.

        Returns
        -------
        Listing[Account]
            ``async for`` yields its records, `pages` its pages; requests are sent then.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def get(self, account_id: str) -> Account:
        """Read one account.

        ``GET /v1/accounts/:id``: a read; it may be sent again.

        Parameters
        ----------
        account_id : str
            Id of the account.

        Returns
        -------
        Account

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def pages(self, account_id: str) -> Any:
        """Read the pages that an account may post to.

        ``GET /v1/accounts/:id/pages``: a read; it may be sent again.

        Parameters
        ----------
        account_id : str
            Id of the account.

        Returns
        -------
        Any
            As the API sends it.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def connect(
        self,
        platform: str,
        return_url: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Consent:
        """Start to connect an account.

        ``POST /v1/accounts/connect/:platform``: row 17 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        platform : str
            Such as ``linkedin``.
        return_url : str, optional
            Address that the browser returns to.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Consent
            ``state``, and the address at which the account's owner consents: ``authUrl``, ``authorizationUrl`` or ``url``.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def callback(self, platform: str, code: str, state: str) -> Connected:
        """Finish connecting an account: never sent again, because a code can't be replayed.

        ``POST /v1/accounts/callback/:platform``: row 18 of the matrix; it is never sent again. After a TransportError or ServerError,
        check `list` before you connect again.

        Parameters
        ----------
        platform : str
            Such as ``linkedin``.
        code : str
            The code of the consent.
        state : str
            The state of the consent.

        Returns
        -------
        Connected

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def delete(self, account_id: str, *, idempotency_key: str | None = None) -> Deleted:
        """Disconnect an account.

        ``DELETE /v1/accounts/:id``: row 19 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        account_id : str
            Id of the account.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Deleted
            ``{}`` if the answer has no body.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def refresh(self, account_id: str, *, idempotency_key: str | None = None) -> Success:
        """Refresh an account's token.

        ``POST /v1/accounts/:id/refresh``: row 20 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        account_id : str
            Id of the account.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Success
            ``success`` says whether it worked.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def test(self, account_id: str, *, idempotency_key: str | None = None) -> Success:
        """Test an account.

        ``POST /v1/accounts/:id/test``: row 21 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        account_id : str
            Id of the account.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Success
            ``success`` reports its health, the HTTP status does not.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def select_page(
        self,
        account_id: str,
        page_id: str,
        page_name: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Success:
        """Select the page that an account posts to.

        ``POST /v1/accounts/:id/select-page``: row 22 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        account_id : str
            Id of the account.
        page_id : str
            Id of the page; an empty one clears the selection.
        page_name : str, optional
            Name of the page.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Success

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def backfill(
        self,
        account_id: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Handle:
        """Backfill an account's analytics.

        ``POST /v1/accounts/:id/backfill``: row 23 of the matrix; it may be sent again under the same key only; a 2xx only means that it
        is queued.

        Parameters
        ----------
        account_id : str
            Id of the account.
        body : Mapping[str, Any], optional
            More fields; they pass through.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Handle
            ``await`` it for the outcome.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

class Analytics(Group):
    """Figures of posts, accounts and the workspace, as the API sends them, in several shapes (contract: 8.7)."""

    async def post(self, post_id: str, *, start: datetime | None = None, end: datetime | None = None) -> Any:
        """Read the figures of one post.

        ``GET /v1/analytics/posts/:id``: a read; it may be sent again.

        Parameters
        ----------
        post_id : str
            Id of the post.
        start : datetime, optional
            First instant; the API's default is 30 days.
        end : datetime, optional
            Last instant; the API may shorten a longer period.

        Returns
        -------
        Any
            As the API sends it.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def account(self, account_id: str, *, start: datetime | None = None, end: datetime | None = None) -> Any:
        """Read the figures of one account.

        ``GET /v1/analytics/accounts/:id``: a read; it may be sent again.

        Parameters
        ----------
        account_id : str
            Id of the account.
        start : datetime, optional
            First instant; the API's default is 30 days.
        end : datetime, optional
            Last instant; the API may shorten a longer period.

        Returns
        -------
        Any
            As the API sends it.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def overview(self, *, start: datetime | None = None, end: datetime | None = None) -> Any:
        """Read the figures of the whole workspace.

        ``GET /v1/analytics/overview``: a read; it may be sent again.

        Parameters
        ----------
        start : datetime, optional
            First instant; the API's default is 30 days.
        end : datetime, optional
            Last instant; the API may shorten a longer period.

        Returns
        -------
        Any
            As the API sends it.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

class Media(Group):
    """Images, videos, documents and captions; posts refer to them by id once their status is ``ready``."""

    def list(self, *, status: str | None = None, page_size: int = 100) -> Listing[MediaFile]:
        """Read media.

        ``GET /v1/media``: a read; it may be sent again.

        Parameters
        ----------
        status : str, optional
            ``pending processing ready failed``; by default all.
        page_size : int, optional
            Records per page, 1 to 100.

        Returns
        -------
        Listing[MediaFile]
            ``async for`` yields its records, `pages` its pages; requests are sent then.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def get(self, media_id: str) -> MediaFile:
        """Read one media file.

        ``GET /v1/media/:id``: a read; it may be sent again.

        Parameters
        ----------
        media_id : str
            Id of the media file.

        Returns
        -------
        MediaFile
            Its status may come in either case.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def delete(self, media_id: str, *, idempotency_key: str | None = None) -> Deleted:
        """Delete a media file.

        ``DELETE /v1/media/:id``: row 25 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        media_id : str
            Id of the media file.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Deleted
            ``{}`` if the answer has no body.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def validate(self, media_id: str, *, idempotency_key: str | None = None) -> Handle:
        """Let the API validate a media file again.

        ``POST /v1/media/:id/validate``: row 26 of the matrix; it may be sent again under the same key only; a 2xx only means that it is
        queued.

        Parameters
        ----------
        media_id : str
            Id of the media file.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Handle
            ``await`` it for the outcome.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def register(
        self,
        url: str,
        content_type: str,
        *,
        filename: str | None = None,
        idempotency_key: str | None = None,
    ) -> MediaFile:
        """Register a file on the web as a media file.

        ``POST /v1/media/register``: row 27 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        url : str
            https address of the file.
        content_type : str
            Such as ``image/jpeg``.
        filename : str, optional
            Its name.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        MediaFile
            Its id is ``id``, not ``mediaId``.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def bulk_validate(
        self,
        media_ids: Sequence[str],
        *,
        idempotency_key: str | None = None,
    ) -> tuple[Handle, ...]:
        """Let the API validate many media files again.

        ``POST /v1/media/bulk-validate``: row 30 of the matrix; it may be sent again under the same key only; a 2xx only means that it
        is queued.

        Parameters
        ----------
        media_ids : Sequence[str]
            1 to 100 ids.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        tuple[Handle, ...]
            One per id, in their order; ``accepted`` is the item's result, ``{}`` if it has none. An item of status ``failed`` was not
            queued.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def import_from_url(
        self,
        url: str,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> Handle:
        """Let the API import a file from the web; ``metadata.importStatus`` shows its status.

        ``POST /v1/media/import-from-url``: row 31 of the matrix; it may be sent again under the same key only; a 2xx only means that it
        is queued.

        Parameters
        ----------
        url : str
            https address of the file.
        filename : str, optional
            Its name.
        content_type : str, optional
            Such as ``image/jpeg``.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Handle
            ``await`` it for the outcome.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def import_from_drive(
        self,
        file_id: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Handle:
        """Let the API import a file from a connected drive.

        ``POST /v1/media/import-from-drive``: row 32 of the matrix; it may be sent again under the same key only; a 2xx only means that
        it is queued.

        Parameters
        ----------
        file_id : str
            Id of the file in the drive.
        body : Mapping[str, Any], optional
            More fields; they pass through.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Handle
            ``await`` it for the outcome.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

class Webhooks(Group):
    """Webhooks of the workspace, and their delivery history."""

    def list(self, *, page_size: int = 100) -> Listing[Webhook]:
        """Read webhooks.

        ``GET /v1/webhooks``: a read; it may be sent again.

        Parameters
        ----------
        page_size : int, optional
            Records per page, 1 to 100.

        Returns
        -------
        Listing[Webhook]
            ``async for`` yields its records, `pages` its pages; requests are sent then.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def get(self, webhook_id: str) -> Webhook:
        """Read one webhook.

        ``GET /v1/webhooks/:id``: a read; it may be sent again.

        Parameters
        ----------
        webhook_id : str
            Id of the webhook.

        Returns
        -------
        Webhook

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def create(self, url: str, events: Sequence[str], *, idempotency_key: str | None = None) -> Webhook:
        """Create a webhook.

        ``POST /v1/webhooks``: row 34 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        url : str
            Address that receives the events.
        events : Sequence[str]
            Such as ``post.failed``; ``*`` for all.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Webhook
            With its ``secret``, which no later read returns: store it, and don't print it.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        enabled: bool | None = None,
        idempotency_key: str | None = None,
    ) -> Webhook:
        """Update a webhook; None leaves a field unchanged.

        ``PATCH /v1/webhooks/:id``: row 35 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        webhook_id : str
            Id of the webhook.
        url : str, optional
            Address that receives the events.
        events : Sequence[str], optional
            Such as ``post.failed``; ``*`` for all.
        enabled : bool, optional
            Whether it is on.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Webhook

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def delete(self, webhook_id: str, *, idempotency_key: str | None = None) -> Deleted:
        """Delete a webhook.

        ``DELETE /v1/webhooks/:id``: row 36 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        webhook_id : str
            Id of the webhook.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Deleted
            ``{}`` if the answer has no body.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def rotate_secret(self, webhook_id: str) -> NewSecret:
        """Replace a webhook's secret: never sent again, because each call changes it.

        ``POST /v1/webhooks/:id/rotate-secret``: row 37 of the matrix; it is never sent again. After a TransportError or ServerError the
        valid secret is unknown: rotate it once more by hand.

        Parameters
        ----------
        webhook_id : str
            Id of the webhook.

        Returns
        -------
        NewSecret

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def test(self, webhook_id: str, *, idempotency_key: str | None = None) -> Delivery:
        """Send a test event to a webhook.

        ``POST /v1/webhooks/test``: row 38 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        webhook_id : str
            Id of the webhook, which must be enabled.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Delivery
            Its ``success`` says whether it was accepted.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    def deliveries(
        self,
        webhook_id: str,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        event_type: str | None = None,
        success: bool | None = None,
        page_size: int = 100,
    ) -> Listing[Delivery]:
        """Read a webhook's delivery history, newest first (assumed).

        ``GET /v1/webhooks/:id/deliveries``: a read; it may be sent again.

        Parameters
        ----------
        webhook_id : str
            Id of the webhook.
        since : datetime | str, optional
            First instant; ISO text needs an offset.
        until : datetime | str, optional
            Last instant; ISO text needs an offset.
        event_type : str, optional
            Such as ``post.failed``.
        success : bool, optional
            Only delivered, or only failed ones.
        page_size : int, optional
            Records per page, 1 to 100.

        Returns
        -------
        Listing[Delivery]
            ``async for`` yields its records, `pages` its pages; requests are sent then.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def retry_delivery(self, webhook_id: str, delivery_id: str, *, idempotency_key: str | None = None) -> Handle:
        """Queue a delivery again.

        ``POST /v1/webhooks/:id/deliveries/:id/retry``: row 39 of the matrix; it may be sent again under the same key only; a 2xx only
        means that it is queued. The subject is read first: only a change shows that it was tried again.

        Parameters
        ----------
        webhook_id : str
            Id of the webhook.
        delivery_id : str
            Id of the delivery.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Handle
            ``await`` it for the outcome.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

class Uploads(FileUploads):
    """Uploads of files from this machine."""

    async def presign(
        self,
        filename: str,
        content_type: str,
        size: int,
        *,
        idempotency_key: str | None = None,
    ) -> Presigned:
        """Request an upload address for a new media file.

        ``POST /v1/media/upload``: row 24 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        filename : str
            Its name.
        content_type : str
            Such as ``image/jpeg``.
        size : int
            Its bytes.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        Presigned
            It is valid for 15 minutes.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def bulk_presign(
        self,
        files: Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> BulkAddresses:
        """Request upload addresses for many media files.

        ``POST /v1/media/bulk-presign``: row 28 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        files : Sequence[Mapping[str, Any]]
            1 to 100 files as ``{filename, contentType, sizeBytes}``.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        BulkAddresses
            ``results`` has one entry per item, identified by its ``index``; read each, whatever the HTTP status was.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

    async def bulk_video_urls(
        self,
        videos: Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> BulkAddresses:
        """Request upload addresses for up to 20 videos of at most 20 GB in total.

        ``POST /v1/media/bulk-video-upload-urls``: row 29 of the matrix; it may be sent again under the same key only.

        Parameters
        ----------
        videos : Sequence[Mapping[str, Any]]
            1 to 20 files as ``{filename, contentType, sizeBytes}``.
        idempotency_key : str, optional
            Pass the same key to repeat the same request. Only ``ws.run`` prevents duplicates across calls and crashes.

        Returns
        -------
        BulkAddresses
            ``results`` has one entry per item, identified by its ``index``; read each, whatever the HTTP status was.

        Raises
        ------
        ValidationError
            With status 0, if a value exceeds a documented limit: nothing was sent.
        ApiError, TransportError, DecodeError, WaitTooLong
            As for `AsyncClient.request`.
        """

class Groups:
    """A caller with its groups, such as `posts`."""

    posts: Posts
    accounts: Accounts
    analytics: Analytics
    media: Media
    webhooks: Webhooks
    uploads: Uploads
    def __init__(self) -> None: ...
