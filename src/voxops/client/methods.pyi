"""Generated from `voxops.api.endpoints` by ``python -m tests.client_stub``; edit the table instead."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from voxops.api.endpoints import Operation
from voxops.client.answer import Answer
from voxops.client.pages import Listing

class Group:
    """The methods of one part of the API."""

    def __init__(self, client: Any) -> None: ...

def classes_of(operations: Iterable[Operation]) -> dict[str, type[Group]]:
    """Return a class per group of operations."""

CLASSES: dict[str, type[Group]]

class Posts:
    """Posts of the workspace."""

    def list(
        self,
        *,
        status: str | None = ...,
        platform: str | None = ...,
        account: str | None = ...,
        since: datetime | str | None = ...,
        until: datetime | str | None = ...,
        page_size: int | None = ...,
    ) -> Listing:
        """Read posts, newest created first."""

    async def get(self, post_id: str) -> dict[str, Any]:
        """Read one post."""

    async def create(
        self,
        *,
        content: str | None = ...,
        account_ids: Sequence[str] | None = ...,
        scheduled_for: datetime | str | None = ...,
        content_type: str | None = ...,
        save_as_draft: bool | None = ...,
        platform_overrides: dict[str, Any] | None = ...,
        platform_metadata: dict[str, Any] | None = ...,
        media: Sequence[Any] | None = ...,
        tags: Sequence[str] | None = ...,
        persona_id: str | None = ...,
        queue: bool | None = ...,
        thread_posts: Sequence[dict[str, Any]] | None = ...,
        first_comment: str | None = ...,
        first_comment_delay: int | None = ...,
        metadata: dict[str, Any] | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Create a post; without `scheduled_for` or `queue` it is a draft."""

    async def update(
        self,
        post_id: str,
        *,
        content: str | None = ...,
        account_ids: Sequence[str] | None = ...,
        scheduled_for: datetime | str | None = ...,
        content_type: str | None = ...,
        save_as_draft: bool | None = ...,
        platform_overrides: dict[str, Any] | None = ...,
        platform_metadata: dict[str, Any] | None = ...,
        media: Sequence[Any] | None = ...,
        tags: Sequence[str] | None = ...,
        persona_id: str | None = ...,
        queue: bool | None = ...,
        thread_posts: Sequence[dict[str, Any]] | None = ...,
        first_comment: str | None = ...,
        first_comment_delay: int | None = ...,
        metadata: dict[str, Any] | None = ...,
        version: str | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Update a draft or scheduled post; None clears a field."""

    async def delete(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Delete a draft or scheduled post."""

    async def publish(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Queue a post for publication."""

    async def retry(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Queue every failed, pending and stuck target of a post again."""

    async def cancel(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Cancel a draft or scheduled post."""

    async def clone(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Clone a post into a new draft."""

    async def duplicate(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ..., **fields: Any
    ) -> Answer:
        """Duplicate a post."""

    async def unpublish(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ..., **fields: Any
    ) -> Answer:
        """Unpublish a post."""

    async def fix(
        self,
        post_id: str,
        target_id: str,
        *,
        content: str | None = ...,
        media_url: str | None = ...,
        refresh_media: bool | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Fix one target of a post and queue it again; without changes it is only queued again."""

    async def bulk(
        self,
        *,
        posts: Sequence[dict[str, Any]] | None = ...,
        dry_run: bool | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Create up to 50 posts in one request."""

    async def bulk_video(
        self,
        *,
        videos: Sequence[dict[str, Any]] | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Create up to 20 video posts in one request."""

    async def validate(
        self,
        *,
        content: str | None = ...,
        platforms: Sequence[str] | None = ...,
        media_ids: Sequence[str] | None = ...,
        media: Sequence[Any] | None = ...,
        first_comment: str | None = ...,
        platform_metadata: dict[str, Any] | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Validate a post for each platform, without creating it."""

    async def set_recurrence(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ..., **fields: Any
    ) -> Answer:
        """Set a post's recurrence."""

    async def update_recurrence(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ..., **fields: Any
    ) -> Answer:
        """Change a post's recurrence."""

    async def delete_recurrence(
        self, post_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Delete a post's recurrence."""

class Accounts:
    """Social accounts that the workspace may post to."""

    def list(
        self,
        *,
        status: str | None = ...,
        platform: str | None = ...,
        include_archived: bool | None = ...,
        page_size: int | None = ...,
    ) -> Listing:
        """Read accounts; without `status` the API omits disconnected ones."""

    async def get(self, account_id: str) -> dict[str, Any]:
        """Read one account."""

    def pages(self, account_id: str, *, page_size: int | None = ...) -> Listing:
        """Read the pages that an account may post to."""

    async def connect(
        self, platform: str, *, return_url: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Start to connect an account."""

    async def callback(
        self, platform: str, *, code: str | None = ..., state: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Finish connecting an account: never sent again, because a code can't be replayed."""

    async def delete(
        self, account_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Disconnect an account."""

    async def refresh(
        self, account_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Refresh an account's token; ``success`` in the answer says whether it worked."""

    async def test(
        self, account_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Test an account; ``success`` in the answer reports its health, the HTTP status does not."""

    async def select_page(
        self,
        account_id: str,
        *,
        page_id: str | None = ...,
        page_name: str | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Select the page that an account posts to."""

    async def backfill(
        self, account_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ..., **fields: Any
    ) -> Answer:
        """Backfill an account's analytics."""

class Analytics:
    """Figures of posts, accounts and the workspace, as the API sends them, in several shapes (contract: 8.7)."""

    async def post(
        self, post_id: str, *, start: datetime | str | None = ..., end: datetime | str | None = ...
    ) -> dict[str, Any]:
        """Read the figures of one post."""

    async def account(
        self, account_id: str, *, start: datetime | str | None = ..., end: datetime | str | None = ...
    ) -> dict[str, Any]:
        """Read the figures of one account."""

    async def overview(self, *, start: datetime | str | None = ..., end: datetime | str | None = ...) -> dict[str, Any]:
        """Read the figures of the whole workspace."""

class Media:
    """Images, videos, documents and captions; posts refer to them by id once their status is ``ready``."""

    def list(self, *, status: str | None = ..., page_size: int | None = ...) -> Listing:
        """Read media."""

    async def get(self, media_id: str) -> dict[str, Any]:
        """Read one media file; its status may come in either case."""

    async def presign(
        self,
        *,
        filename: str | None = ...,
        content_type: str | None = ...,
        size_bytes: int | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Request an upload address for a new media file, valid for 15 minutes."""

    async def delete(
        self, media_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Delete a media file."""

    async def validate(
        self, media_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Let the API validate a media file again."""

    async def register(
        self,
        *,
        url: str | None = ...,
        content_type: str | None = ...,
        filename: str | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Register a file on the web as a media file; its id is ``id``, not ``mediaId``."""

    async def bulk_presign(
        self,
        *,
        files: Sequence[dict[str, Any]] | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Request upload addresses for many media files."""

    async def bulk_video_urls(
        self,
        *,
        videos: Sequence[dict[str, Any]] | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Request upload addresses for up to 20 videos of at most 20 GB in total."""

    async def bulk_validate(
        self,
        *,
        media_ids: Sequence[str] | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Let the API validate many media files again."""

    async def import_from_url(
        self,
        *,
        url: str | None = ...,
        filename: str | None = ...,
        content_type: str | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Let the API import a file from the web; ``metadata.importStatus`` shows its status."""

    async def import_from_drive(
        self,
        *,
        file_id: str | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
        **fields: Any,
    ) -> Answer:
        """Let the API import a file from a connected drive."""

class Webhooks:
    """Webhooks of the workspace, and their delivery history."""

    def list(self, *, page_size: int | None = ...) -> Listing:
        """Read webhooks."""

    async def get(self, webhook_id: str) -> dict[str, Any]:
        """Read one webhook."""

    async def create(
        self,
        *,
        url: str | None = ...,
        events: Sequence[str] | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Create a webhook."""

    async def update(
        self,
        webhook_id: str,
        *,
        url: str | None = ...,
        events: Sequence[str] | None = ...,
        enabled: bool | None = ...,
        idempotency_key: str | None = ...,
        timeout: float | str | None = ...,
    ) -> Answer:
        """Update a webhook."""

    async def delete(
        self, webhook_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Delete a webhook."""

    async def rotate_secret(self, webhook_id: str, *, timeout: float | str | None = ...) -> Answer:
        """Replace a webhook's secret: never sent again, because each call changes it."""

    async def test(
        self, *, webhook_id: str | None = ..., idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Send a test event to an enabled webhook; ``success`` in the answer says whether it was accepted."""

    def deliveries(
        self,
        webhook_id: str,
        *,
        since: datetime | str | None = ...,
        until: datetime | str | None = ...,
        event_type: str | None = ...,
        success: bool | None = ...,
        page_size: int | None = ...,
    ) -> Listing:
        """Read a webhook's delivery history, newest first (assumed)."""

    async def retry_delivery(
        self, webhook_id: str, delivery_id: str, *, idempotency_key: str | None = ..., timeout: float | str | None = ...
    ) -> Answer:
        """Queue a delivery again."""

class Methods:
    """A client with its groups of methods, such as `posts`."""

    async def identity(self) -> dict[str, Any]:
        """Read the owner of the API key: at least ``workspaceId workspaceName plan``."""

    async def health(self) -> dict[str, Any]:
        """Read the API's own health report."""

    posts: Posts
    accounts: Accounts
    analytics: Analytics
    media: Media
    webhooks: Webhooks
    def __init__(self) -> None: ...
