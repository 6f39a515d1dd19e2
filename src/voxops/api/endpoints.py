"""The table of endpoints, from which the methods of `voxops.client.AsyncClient` and their stub file are generated.

``client.posts.create`` is the row ``"posts.create"``, and ``client.posts.create.operation`` returns it. A new endpoint is one row; a list
that becomes a frame needs a schema in `voxops.frames.schemas`, too. After a change, ``python -m tests.client_stub`` writes the stub file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter, Signature
from textwrap import fill, indent
from typing import Any

from voxops.api.assumptions import (
    BULK_PRESIGN_LIST,
    BULK_VALIDATE_LIST,
    BULK_VIDEO_LIST,
    CONNECT_RETURN,
    DELIVERIES_PATH,
    DELIVERIES_QUERY,
    DRAFT_FLAG_SENT,
    DRIVE_FILE,
)
from voxops.api.matrix import MATRIX, Endpoint, may_resend, polled

UNSET: Any = ...  # the default of a field that is not sent; None is sent as null


def wire_name(name: str) -> str:
    """Return a name as the API spells it: ``account_ids`` is ``accountIds`` (contract: SCH)."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def _draft_without_time(body: dict[str, Any]) -> dict[str, Any]:
    """Send a post without a time as a draft, because sources differ on the default."""
    if DRAFT_FLAG_SENT and body.get("scheduledFor") is None and not body.get("queue"):
        body.setdefault("saveAsDraft", True)
    return body


@dataclass(frozen=True)
class Operation:
    """One endpoint.

    Attributes
    ----------
    name : str
        Group and method: ``posts.create`` is ``client.posts.create``; a name without a group is a method of the client itself.
    at : int or str
        The row of the matrix, which has its method and path; for a read these, such as ``GET /v1/posts/:id``.
    ids : str
        Names of the parameters in its path, in their order.
    takes : str
        Names of its fields: of the query of a read, else of the body. ``since=from`` is `since` in Python and ``from`` in the API.
        An ellipsis means that its other fields are not documented, so that any are sent.
    says : str
        What it does, in one line.
    more : str
        What else must be known.
    listed : bool
        Whether it reads a list, page by page.
    completes : callable
        Completes the body.
    """

    name: str
    at: int | str
    ids: str
    takes: str
    says: str
    more: str = ""
    listed: bool = False
    completes: Callable[[dict[str, Any]], dict[str, Any]] = dict

    @cached_property
    def row(self) -> Endpoint | None:
        """Its row of the matrix, None for a read."""
        return next((row for row in MATRIX if row.row == self.at), None)

    @property
    def call(self) -> tuple[str, str]:
        """Method and path."""
        method, _, path = str(self.row or self.at).partition(" ")
        return method, path

    @cached_property
    def fields(self) -> dict[str, str]:
        """Name in Python -> name in the API."""
        named = (each.partition("=") for each in self.takes.replace("...", "").split())
        return {name: sent or wire_name(name) for name, _, sent in named}

    @property
    def is_open(self) -> bool:
        """Whether it takes fields of any name."""
        return "..." in self.takes

    @property
    def options(self) -> list[str]:
        """Names of further parameters, which are arguments of `AsyncClient.request`."""
        if self.row is None:
            return ["page_size"] if self.listed else []
        keyed = ["idempotency_key"] if self.row.idempotent else []
        return [*(["version"] if self.row.note == "use version token" else []), *keyed, "timeout"]

    @property
    def returned(self) -> str:
        """The annotation of the result."""
        return "Listing" if self.listed else "dict[str, Any]" if self.row is None else "Answer"


# Parameter -> its type, and what it means. `tests.client_stub` and the reference read this, too.
PARAMETERS: Mapping[str, tuple[str, str]] = {
    "account_id": ("str", "Id of the account."),
    "account": ("str", "One account id."),
    "account_ids": ("Sequence[str]", "Accounts to post to; they determine the platforms."),
    "code": ("str", "The code of the consent."),
    "content": ("str", "The text, at most 10,000 characters; platforms allow fewer."),
    "content_type": ("str", "The type of a post, such as ``CAROUSEL``, or of a file, such as ``image/jpeg``."),
    "delivery_id": ("str", "Id of the delivery."),
    "dry_run": ("bool", "Only validate them."),
    "enabled": ("bool", "Whether it is on."),
    "end": ("datetime | str", "Last instant; the API may shorten a longer period."),
    "event_type": ("str", "Such as ``post.failed``."),
    "events": ("Sequence[str]", "Such as ``post.failed``; ``*`` for all."),
    "file_id": ("str", "Id of the file in the drive."),
    "filename": ("str", "Name of the file."),
    "files": ("Sequence[dict[str, Any]]", "Files as ``{filename, contentType, sizeBytes}``."),
    "first_comment": ("str", "The first comment, at most 2,200 characters."),
    "first_comment_delay": ("int", "Seconds, 0 to 60."),
    "idempotency_key": ("str", "The same key repeats the same request; by default a random one."),
    "include_archived": ("bool", "Include archived ones; the API ignores it if `status` is given."),
    "media": ("Sequence[Any]", "Media ids; to validate, ``{type, url?, mimeType?, sizeBytes?, durationMs?}``."),
    "media_id": ("str", "Id of the media file."),
    "media_ids": ("Sequence[str]", "Ids of media files."),
    "media_url": ("str", "https address of the new media."),
    "metadata": ("dict[str, Any]", "Your own fields: texts of at most 1,000 characters."),
    "page_id": ("str", "Id of the page; an empty one clears the selection."),
    "page_name": ("str", "Name of the page."),
    "page_size": ("int", "Records per page, 1 to 100."),
    "persona_id": ("str", "Id of the persona."),
    "platform": ("str", "One platform, such as ``linkedin``."),
    "platform_metadata": ("dict[str, Any]", "Platform -> its own fields."),
    "platform_overrides": ("dict[str, Any]", 'Platform -> fields that differ on it, such as ``{"content": ...}``.'),
    "platforms": ("Sequence[str]", "Platforms, in upper case."),
    "post_id": ("str", "Id of the post."),
    "posts": ("Sequence[dict[str, Any]]", "At most 50 posts, under the API's own names of fields."),
    "queue": ("bool", "Use the next free slot; excludes `scheduled_for`."),
    "refresh_media": ("bool", "Re-encode the first image as JPEG; not together with `media_url`."),
    "return_url": ("str", "Address that the browser returns to."),
    "save_as_draft": ("bool", "Save it as a draft; overrides `scheduled_for`."),
    "scheduled_for": ("datetime | str", "When it goes out; ISO text needs an offset."),
    "since": ("datetime | str", "First instant; ISO text needs an offset."),
    "size_bytes": ("int", "Its size."),
    "start": ("datetime | str", "First instant; the API's default is 30 days."),
    "state": ("str", "The state of the consent."),
    "status": ("str", "One status, or ``all``; not every server supports each filter."),
    "success": ("bool", "Only delivered, or only failed ones."),
    "tags": ("Sequence[str]", "Free words."),
    "target_id": ("str", "The target's ``postPlatformId``, which only a single post shows."),
    "thread_posts": ("Sequence[dict[str, Any]]", "``{sequence, content, mediaIds?}``, at most 25, numbered from 1."),
    "timeout": ("float | str", 'Seconds, or such as ``"30s"``; by default the client\'s.'),
    "until": ("datetime | str", "Last instant; ISO text needs an offset."),
    "url": ("str", "https address: of a file, or of the receiver of events."),
    "version": ("str", "The post's ``updatedAt`` as last read; a ConflictError then means that it changed after that."),
    "videos": ("Sequence[dict[str, Any]]", "At most 20 videos, of at most 20 GB in total."),
    "webhook_id": ("str", "Id of the webhook."),
}

# Group -> its docstring.
GROUPS: Mapping[str, str] = {
    "posts": """Posts of the workspace.

    Every method sends immediately, and sends again only as its row of the matrix allows, under the same key. Only a plan
    (``ws.run(plan)``) prevents duplicates *across calls, kernels and crashes*; here the caller must pass the same `idempotency_key`
    for the same request.""",
    "accounts": "Social accounts that the workspace may post to.",
    "analytics": "Figures of posts, accounts and the workspace, as the API sends them, in several shapes (contract: 8.7).",
    "media": "Images, videos, documents and captions; posts refer to them by id once their status is ``ready``.",
    "webhooks": "Webhooks of the workspace, and their delivery history.",
}

_POST = (
    "content account_ids scheduled_for content_type save_as_draft platform_overrides platform_metadata media tags persona_id queue "
    "thread_posts first_comment first_comment_delay metadata"
)
_PERIOD = "start=startDate end=endDate"

# fmt: off
ENDPOINTS: tuple[Operation, ...] = (
    Operation("identity", "GET /v1/auth/me", "", "", "Read the owner of the API key: at least ``workspaceId workspaceName plan``."),
    Operation("health", "GET /v1/health", "", "", "Read the API's own health report."),
    # -- posts
    Operation("posts.list", "GET /v1/posts", "", "status platform account=accountId since=from until=to", "Read posts, newest created first.", listed=True),
    Operation("posts.get", "GET /v1/posts/:id", "post_id", "", "Read one post."),
    Operation("posts.create", 1, "", _POST, "Create a post; without `scheduled_for` or `queue` it is a draft.", completes=_draft_without_time),
    Operation("posts.update", 2, "post_id", _POST, "Update a draft or scheduled post; None clears a field."),
    Operation("posts.delete", 3, "post_id", "", "Delete a draft or scheduled post."),
    Operation("posts.publish", 4, "post_id", "", "Queue a post for publication."),
    Operation("posts.retry", 5, "post_id", "", "Queue every failed, pending and stuck target of a post again."),
    Operation("posts.cancel", 6, "post_id", "", "Cancel a draft or scheduled post."),
    Operation("posts.clone", 7, "post_id", "", "Clone a post into a new draft."),
    Operation("posts.duplicate", 8, "post_id", "...", "Duplicate a post."),
    Operation("posts.unpublish", 9, "post_id", "...", "Unpublish a post."),
    Operation("posts.fix", 10, "post_id target_id", "content media_url refresh_media", "Fix one target of a post and queue it again; without changes it is only queued again."),
    Operation("posts.bulk", 11, "", "posts dry_run", "Create up to 50 posts in one request.", "Give each a time: a post without one might be published immediately."),
    Operation("posts.bulk_video", 12, "", "videos", "Create up to 20 video posts in one request."),
    Operation("posts.validate", 13, "", "content platforms media_ids media first_comment platform_metadata", "Validate a post for each platform, without creating it."),
    Operation("posts.set_recurrence", 14, "post_id", "...", "Set a post's recurrence."),
    Operation("posts.update_recurrence", 15, "post_id", "...", "Change a post's recurrence."),
    Operation("posts.delete_recurrence", 16, "post_id", "", "Delete a post's recurrence."),
    # -- accounts
    Operation("accounts.list", "GET /v1/accounts", "", "status platform include_archived", "Read accounts; without `status` the API omits disconnected ones.", listed=True),
    Operation("accounts.get", "GET /v1/accounts/:id", "account_id", "", "Read one account."),
    Operation("accounts.pages", "GET /v1/accounts/:id/pages", "account_id", "", "Read the pages that an account may post to.", listed=True),
    Operation("accounts.connect", 17, "platform", f"return_url={CONNECT_RETURN}", "Start to connect an account.",
              "The answer has ``state`` and the address at which the account's owner consents: ``authUrl``, ``authorizationUrl`` or ``url``."),
    Operation("accounts.callback", 18, "platform", "code state", "Finish connecting an account: never sent again, because a code can't be replayed.",
              "After a TransportError or ServerError, check `list` before you connect again."),
    Operation("accounts.delete", 19, "account_id", "", "Disconnect an account."),
    Operation("accounts.refresh", 20, "account_id", "", "Refresh an account's token; ``success`` in the answer says whether it worked."),
    Operation("accounts.test", 21, "account_id", "", "Test an account; ``success`` in the answer reports its health, the HTTP status does not."),
    Operation("accounts.select_page", 22, "account_id", "page_id page_name", "Select the page that an account posts to."),
    Operation("accounts.backfill", 23, "account_id", "...", "Backfill an account's analytics."),
    # -- analytics
    Operation("analytics.post", "GET /v1/analytics/posts/:id", "post_id", _PERIOD, "Read the figures of one post."),
    Operation("analytics.account", "GET /v1/analytics/accounts/:id", "account_id", _PERIOD, "Read the figures of one account."),
    Operation("analytics.overview", "GET /v1/analytics/overview", "", _PERIOD, "Read the figures of the whole workspace."),
    # -- media; `AsyncClient.upload` sends files
    Operation("media.list", "GET /v1/media", "", "status", "Read media.", listed=True),
    Operation("media.get", "GET /v1/media/:id", "media_id", "", "Read one media file; its status may come in either case."),
    Operation("media.presign", 24, "", "filename content_type size_bytes", "Request an upload address for a new media file, valid for 15 minutes."),
    Operation("media.delete", 25, "media_id", "", "Delete a media file."),
    Operation("media.validate", 26, "media_id", "", "Let the API validate a media file again."),
    Operation("media.register", 27, "", "url content_type filename", "Register a file on the web as a media file; its id is ``id``, not ``mediaId``."),
    Operation("media.bulk_presign", 28, "", f"files={BULK_PRESIGN_LIST}", "Request upload addresses for many media files."),
    Operation("media.bulk_video_urls", 29, "", f"videos={BULK_VIDEO_LIST}", "Request upload addresses for up to 20 videos of at most 20 GB in total."),
    Operation("media.bulk_validate", 30, "", f"media_ids={BULK_VALIDATE_LIST}", "Let the API validate many media files again."),
    Operation("media.import_from_url", 31, "", "url filename content_type", "Let the API import a file from the web; ``metadata.importStatus`` shows its status."),
    Operation("media.import_from_drive", 32, "", f"file_id={DRIVE_FILE} ...", "Let the API import a file from a connected drive."),
    # -- webhooks
    Operation("webhooks.list", "GET /v1/webhooks", "", "", "Read webhooks.", listed=True),
    Operation("webhooks.get", "GET /v1/webhooks/:id", "webhook_id", "", "Read one webhook."),
    Operation("webhooks.create", 34, "", "url events", "Create a webhook.", "No later read returns its ``secret``: store it, and don't print it."),
    Operation("webhooks.update", 35, "webhook_id", "url events enabled", "Update a webhook."),
    Operation("webhooks.delete", 36, "webhook_id", "", "Delete a webhook."),
    Operation("webhooks.rotate_secret", 37, "webhook_id", "", "Replace a webhook's secret: never sent again, because each call changes it.",
              "After a TransportError or ServerError the valid secret is unknown: rotate it once more by hand."),
    Operation("webhooks.test", 38, "", "webhook_id", "Send a test event to an enabled webhook; ``success`` in the answer says whether it was accepted."),
    Operation("webhooks.deliveries", f"GET {DELIVERIES_PATH}", "webhook_id", DELIVERIES_QUERY, "Read a webhook's delivery history, newest first (assumed).", listed=True),
    Operation("webhooks.retry_delivery", 39, "webhook_id delivery_id", "", "Queue a delivery again."),
)
# fmt: on


# -- how the methods show themselves

_WIDTH = 128
_MEANS = {
    "Listing": "``async for`` yields its records, `pages` its pages; requests are sent then.",
    "dict[str, Any]": "The record, as the API sent it.",
}


def signature_of(operation: Operation) -> Signature:
    """Return the signature of a method; annotations are text, as in any module with postponed ones."""
    parameters = [Parameter("self", Parameter.POSITIONAL_ONLY)]
    for name in operation.ids.split():
        parameters.append(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=PARAMETERS[name][0]))
    for name in (*operation.fields, *operation.options):
        kind = f"{PARAMETERS[name][0]} | None"
        parameters.append(Parameter(name, Parameter.KEYWORD_ONLY, default=UNSET, annotation=kind))
    if operation.is_open:
        parameters.append(Parameter("fields", Parameter.VAR_KEYWORD, annotation="Any"))
    return Signature(parameters, return_annotation=operation.returned)


def docstring(operation: Operation) -> str:
    """Return the docstring of a method."""
    row, returned = operation.row, operation.returned
    law = "a read; it may be sent again" if row is None else f"row {row.row} of the matrix; it {_resent(row)}"
    queued = "" if row is None or not row.is_async else "; a 2xx only means that it is queued"
    parts = [operation.says, fill(f"``{' '.join(operation.call)}``: {law}{queued}. {operation.more}", _WIDTH)]
    names = [*operation.ids.split(), *operation.fields, *operation.options]
    lines = [f"{name} : {PARAMETERS[name][0]}\n{_inner(PARAMETERS[name][1])}" for name in names]
    if operation.is_open:
        lines.append("**fields\n    They pass through: they are not documented.")
    if lines:
        parts.append("Parameters\n----------\n" + "\n".join(lines))
    means = _MEANS.get(returned) or (
        "Its `job` is what ``await client.wait(answer)`` follows." if row and polled(row) else ""
    )
    means += " Its `items` have one entry per item; read each." if row and row.partial else ""
    parts.append(f"Returns\n-------\n{returned}" + (f"\n{_inner(means)}" if means else ""))
    parts.append(
        "Raises\n------\nApiError, TransportError, DecodeError, WaitTooLong\n    As for `AsyncClient.request`."
    )
    return "\n\n".join(parts) + "\n"


def _resent(row: Endpoint) -> str:
    if may_resend(row, with_key=False):
        return "may be sent again"
    return "may be sent again under the same key only" if may_resend(row, with_key=True) else "is never sent again"


def _inner(text: str) -> str:
    return indent(fill(re.sub(" +", " ", text.strip()), _WIDTH - 4), "    ")
